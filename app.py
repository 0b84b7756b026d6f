"""Starts the studio: the page in this process, workers beside it. Knows processes, port and environment; no task.

Workers start first, so that they wake up while Gradio is imported, which is most of the time until the page is up.
"""

import argparse
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipelines.core import device
from pipelines.core.errors import BadInput, Problem
from studio.context import Context
from studio.supervisor import Post, Supervisor

OK, FAILED, BAD = 0, 1, 2
LOCAL = ("127.0.0.1", "localhost", "::1")
REFUSED = {
    "GRADIO_SHARE": "a share link would put this studio on the internet; unset it",
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "it lets a weights file run code; unset it",
}
# Product pictures may not leave the house: Gradio and the hub are told so before either is imported.
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
GOODBYE_S = 2
LAST_RESORT_S = 15.0


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; returns the exit code: 0 stopped, 1 no use of the runs folder, 2 bad flag or port."""
    chosen = _parser().parse_args(arguments)
    try:
        _end_on_signal()
        return _serve(chosen)
    except BadInput as error:
        print(error, file=sys.stderr)
        return BAD
    except Problem as error:
        print(error, file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python app.py", description="Flawsmith: the page and its workers.", allow_abbrev=False
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default 127.0.0.1, this machine alone)")
    parser.add_argument("--port", type=int, default=7860, help="default 7860; 0 takes any free one")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="the runs folder (default ./runs)"
    )
    parser.add_argument(
        "--workers", type=int, default=None, metavar="N", help="how many devices get a worker (default: all)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a folder of pictures that the page may browse and take pictures from; give the flag once for each folder"
        " (default: none)",
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open the page")
    return parser


def _serve(chosen: argparse.Namespace) -> int:
    refuse_environment(os.environ)
    with listening(chosen.host, chosen.port) as door:
        context = Context.open(chosen.runs, chosen.data)
        workers = Supervisor(posts(context.runs, device.present() or ["cpu"], chosen.workers), grace_s=LAST_RESORT_S)
        os.environ.update(QUIET)
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        try:
            workers.start()
            _page(door, context, open_browser=not chosen.no_browser)
        finally:
            print("Ending: the workers finish the picture at hand; the rest goes on at the next start.", flush=True)
            workers.stop()
    return OK


def refuse_environment(environment: Mapping[str, str]) -> None:
    """Raises BadInput when a variable asks for what the studio never does."""
    for name, reason in REFUSED.items():
        if environment.get(name, "").lower() not in ("", "0", "false", "no"):
            raise BadInput(f"{name}={environment[name]} is set: {reason}", name)


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """The open port. Raises BadInput when it is another program's, or when others could reach it."""
    if host not in LOCAL:
        raise BadInput(
            f"--host {host}: the studio has no users yet, so it listens on this machine alone; leave --host out,"
            " and reach it from elsewhere with `ssh -L 7860:127.0.0.1:7860 MACHINE`",
            "host",
        )
    if not 0 <= port <= 65535:
        raise BadInput(f"--port {port}: a port is a number from 0 to 65535", "port")
    door = socket.socket(socket.AF_INET6 if host == "::1" else socket.AF_INET, socket.SOCK_STREAM)
    with door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((host, port))
            door.listen(128)  # from now on a browser waits for the page instead of being turned away
        except OSError as error:
            raise BadInput(
                f"port {port} on {host} cannot be used ({error.strerror}): stop the program that has it,"
                f" or choose another with --port {port + 1 if port < 65535 else port - 1}",
                "port",
            ) from error
        yield door


def posts(runs: Path, devices: list[str], most: int | None) -> list[Post]:
    """The workers to keep alive: the light one, and one a device, as many as asked for. Raises BadInput."""
    if most is not None and not 0 <= most <= len(devices):
        here = ", ".join(devices)
        raise BadInput(
            f"--workers {most}: one worker serves one device, and this machine has {len(devices)} ({here})", "workers"
        )
    work = (sys.executable, "-m", "pipelines", "work", "--runs", str(runs), "--parent", str(os.getpid()))
    light = Post("light worker", (*work, "--device", "cpu", "--lane", "cpu"))
    return [
        light,
        *(Post(f"worker on {name}", (*work, "--device", name, "--lane", "device")) for name in devices[:most]),
    ]


def _page(door: socket.socket, context: Context, *, open_browser: bool) -> None:
    import uvicorn

    from studio import server

    application = server.build(context)
    config = uvicorn.Config(application, log_level="warning", timeout_graceful_shutdown=GOODBYE_S, server_header=False)
    host, port = door.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    print(f"Flawsmith is at {address}   (Ctrl-C ends it; runs are in {context.runs})", flush=True)
    if open_browser and _has_screen():
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    uvicorn.Server(config).run(sockets=[door])


def _has_screen() -> bool:
    """Without one, `webbrowser` would start a text browser in this terminal."""
    return sys.platform in ("win32", "darwin") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _end_on_signal() -> None:
    """Ctrl-C, a service manager's SIGTERM and a closed terminal all unwind the stack once, past the `finally` above; a
    second one changes nothing, as the workers are being asked to end already.

    While uvicorn serves, it takes SIGINT and SIGTERM itself, closes its connections, and raises them again after.
    """
    heard = False

    def end(*_: object) -> None:
        nonlocal heard
        if not heard:
            heard = True
            raise SystemExit(OK)

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))


if __name__ == "__main__":
    sys.exit(main())
