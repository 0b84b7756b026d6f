"""The command line: list | show | run | work | status | stop | resume | doctor | bases | fetch.

Knows the queue and the worker; no task by name.

Exit codes: 0 done, 1 failed (one sentence on stderr), 2 bad request (field, value, bound), 3 cancelled.
"""

import argparse
import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from getpass import getpass
from pathlib import Path
from typing import Any

from pipelines.core import device, intake, presets, recipes, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Cancelled, Problem
from pipelines.core.queue import Queue, Row

DONE, FAILED, BAD, CANCELLED = 0, 1, 2, 3


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        code: int = chosen.command(chosen)
        return code
    except BadInput as error:
        print(error, file=sys.stderr)
        return BAD
    except Problem as error:
        print(error, file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines", description="Flawsmith without the page.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Any, help: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help, description=help)
        command.set_defaults(command=function)
        command.add_argument(
            "--runs", type=Path, default=Path("runs"), metavar="DIR", help="the runs folder (default ./runs)"
        )
        return command

    add("list", _list, "one task a line")
    show = add("show", _show, "the JSON schema of a task, or the parameters of a defect")
    show.add_argument("name", metavar="TASK|DEFECT")
    run = add("run", _run, "answer a request file, or a task with its fields")
    run.add_argument("what", metavar="FILE.json|TASK")
    run.add_argument("--preset", help="a partial request, such as steel/scratches")
    run.add_argument(
        "--set", action="append", default=[], metavar="key=value", dest="fields",
        help="JSON where it parses as JSON, else text; dotted keys reach into tables",
    )  # fmt: skip
    work = add("work", _work, "a worker on the queue")
    for command in (run, work):
        _add_device(command)
    work.add_argument(
        "--lane", action="append", choices=("cpu", "device"), dest="lanes", help="which work it takes (default: all)"
    )
    work.add_argument("--parent", type=int, metavar="PID", help="leave when this process is gone")
    for name, function, help in (
        ("status", _status, "how far a run is"),
        ("stop", _stop, "stop a run"),
        ("resume", _resume, "take a run up where it stopped, here, to its end"),
    ):
        command = add(name, function, help)
        command.add_argument("run", metavar="RUN")
        if name == "resume":
            _add_device(command)
    doctor = add("doctor", _doctor, "what is here and what is missing")
    doctor.add_argument("--port", type=int, default=7860)
    own = add("bases", _bases, "every base with its state; add PATH lists one of your own, remove NAME forgets it")
    own.add_argument("what", nargs="?", choices=("add", "remove"))
    own.add_argument("which", nargs="?", metavar="PATH|NAME")
    own.add_argument("--name", default="", help="what to call it (default: its file's or folder's name)")
    own.add_argument("--over", default="", metavar="BASE", help="the base that lends what a single file does not bring")
    fetch = add("fetch", _fetch, "bring the weights of a base or a control net by name")
    fetch.add_argument("base", metavar="NAME")
    return parser


def _add_device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default=None, help="cpu, cuda:0, ... (default: the best there is)")


def _device(chosen: argparse.Namespace) -> str:
    """What to compute on; of several processes of one training each takes a GPU of its own. Raises BadInput."""
    here = [*device.present(), "cpu"]
    place = int(os.environ.get("LOCAL_RANK", "0"))
    name = chosen.device or (here[place] if place < len(here) - 1 else here[0])
    if name not in here:
        raise BadInput(f"--device {name}: this machine has {', '.join(here)}", "device")
    return str(name)


def _list(chosen: argparse.Namespace) -> int:
    for name, request in requests.TASKS.items():
        print(f"{name:10} {request.title}")
    return DONE


def _show(chosen: argparse.Namespace) -> int:
    from pipelines.core import kinds

    kind = kinds.load().get(chosen.name)
    shown = requests.task(chosen.name).model_json_schema() if kind is None else asdict(kind)
    print(json.dumps(shown, indent=2, ensure_ascii=False))
    return DONE


def _run(chosen: argparse.Namespace) -> int:
    if chosen.what.endswith(".json"):
        if chosen.preset:
            raise BadInput(f"--preset goes with a task, not with {chosen.what}: put its fields into the file", "preset")
        asked = [_with_fields(one, chosen.fields) for one in _read(chosen.what)]
    else:
        asked = [_table(chosen)]
    assets = Assets(chosen.runs)
    beside = [Path(chosen.what).parent, Path()] if chosen.what.endswith(".json") else []
    parsed = [requests.parse(recipes.brought(one, assets, beside)) for one in asked]
    ready = [one if recipes.waits(one) else intake.from_paths(one, assets) for one in parsed]
    codes = []
    if int(os.environ.get("RANK", "0")):
        return _compute_along(chosen, ready)
    from pipelines.worker import Worker

    with Worker(chosen.runs, _device(chosen), ()) as worker:
        told = _stop_on_signal(worker)
        for one in ready:
            request = intake.from_paths(one, assets) if recipes.waits(one) else one
            row = worker.queue.get(worker.queue.submit(request, owner=worker.owner))
            codes.append(_ended(_to_its_end(worker, row, told), chosen.runs))
            if told.is_set():
                break
    return max(codes, default=DONE)


def _compute_along(chosen: argparse.Namespace, ready: list[requests.Request]) -> int:
    """As one of several processes that `accelerate launch` started: the first answers, the others compute along."""
    from pipelines import engine
    from pipelines.core.models import Models
    from pipelines.core.runs import Beside

    for request in ready:
        if not isinstance(request, requests.Training):
            raise BadInput(f"{request.task} runs in one process: start it without a launcher", "task")
        try:
            engine.perform(request, Beside(chosen.runs, request), Models(_device(chosen)))
        except Cancelled:
            return CANCELLED
    return DONE


def _read(file: str) -> list[Any]:
    try:
        data = json.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise BadInput(f"{file} is nested too deeply for a request") from error
    except ValueError as error:
        raise BadInput(f"{file} is not valid JSON: {error}") from error
    found = data if isinstance(data, list) else [data]
    if not found:
        raise BadInput(f"{file} holds an empty list: put a request into it")
    return found


def _table(chosen: argparse.Namespace) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if chosen.preset:
        preset = presets.get(chosen.preset, own=presets.own_folder(chosen.runs))
        base = _with_fields({}, chosen.fields).get("base")
        data.update(json.loads(json.dumps(preset.asks(chosen.what, base))))
    return {**_with_fields(data, chosen.fields), "task": chosen.what}


def _with_fields(data: Any, fields: list[str]) -> Any:
    """The table with each `key=value` laid over it, in place."""
    if fields and not isinstance(data, dict):
        raise BadInput("--set goes with a request that is a table of fields")
    for assignment in fields:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise BadInput(f"--set {assignment!r} is not key=value")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        *path, last = key.split(".")
        place = data
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise BadInput(f"--set {key}: {part} is no table", key)
        place[last] = value
    return data


def _ended(row: Row, runs: Path) -> int:
    if row.state == "done":
        print(runs / row.id)
        return DONE
    waits = f"; then `resume {row.id}`" if row.state == "waiting_disk" else ""
    print((row.sentence or f"run {row.id} was {row.state}") + waits, file=sys.stderr)
    print(runs / row.id)
    if row.state == "cancelled":
        return CANCELLED
    return BAD if row.code == "bad_input" else FAILED


def _stop_on_signal(worker: Any) -> threading.Event:
    """Ctrl-C stops the run at hand, as `stop` would; what was finished stays. Returns what is set from then on.

    The stopping is done in a thread of its own: the signal may have come in the middle of a transaction.
    """
    told = threading.Event()

    def stop() -> None:
        told.set()
        for row in worker.queue.open():
            if row.owner == worker.owner:
                worker.queue.stop(row.id)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: threading.Thread(target=stop).start())
    return told


def _to_its_end(worker: Any, row: Row, told: threading.Event) -> Row:
    """Answer a run that is ours; one that another process has (or took, while this one was frozen) is followed."""
    from pipelines.worker import follow

    if row.owner == worker.owner:
        row = worker.serve(row)
    return row if row.over or row.state == "waiting_disk" else follow(worker.queue, row.id, told.is_set)


def _work(chosen: argparse.Namespace) -> int:
    from pipelines.worker import serve_until_told

    serve_until_told(chosen.runs, _device(chosen), tuple(chosen.lanes or ("cpu", "device")), chosen.parent)
    return DONE


def _status(chosen: argparse.Namespace) -> int:
    row = _queue(chosen.runs).get(chosen.run)
    print(json.dumps(row.public(), indent=2, ensure_ascii=False))
    return DONE


def _stop(chosen: argparse.Namespace) -> int:
    row = _queue(chosen.runs).stop(chosen.run)
    print(row.state if row.over else "stopping", file=sys.stderr)
    print(chosen.runs / row.id)
    return DONE


def _resume(chosen: argparse.Namespace) -> int:
    from pipelines.worker import Worker

    _queue(chosen.runs).get(chosen.run)
    with Worker(chosen.runs, _device(chosen), ()) as worker:
        told = _stop_on_signal(worker)
        row = _to_its_end(worker, worker.queue.resume(chosen.run, worker.owner), told)
    return _ended(row, chosen.runs)


def _queue(runs: Path) -> Queue:
    if not (runs / "queue.db").exists():
        raise BadInput(f"{runs} is no runs folder: name it with --runs")
    return Queue(runs)


def _doctor(chosen: argparse.Namespace) -> int:
    from pipelines.core import doctor

    findings = doctor.examine(chosen.runs, chosen.port)
    print(doctor.render(findings))
    return FAILED if any(finding.level == "problem" for finding in findings) else DONE


def _bases(chosen: argparse.Namespace) -> int:
    from pipelines.core import bases, nets, own_bases

    if chosen.what is None:
        known: list[bases.Base | nets.Net] = [*bases.load().values(), *nets.load().values()]
        for one in known:
            state = one.state()
            print(f"{one.name:16} {state.kind:8} {one.label}{' (own)' if one.own else ''}: {state.text}")
            if state.remedy:
                print(f"{'':25} -> {state.remedy}")
        return DONE
    if not chosen.which:
        raise BadInput(f"bases {chosen.what} needs {'a PATH' if chosen.what == 'add' else 'a NAME'}")
    if chosen.what == "remove":
        own_bases.forget(chosen.which)
        print(f"{chosen.which} is forgotten; its files lie where they were")
        return DONE
    base = own_bases.add(Path(chosen.which), bases.shipped(), chosen.name, chosen.over)
    print(f"{base.name} ({base.family}, {base.edition}): {base.state().text}")
    return DONE


def _fetch(chosen: argparse.Namespace) -> int:
    """In this process, without a queue; Ctrl-C leaves what is whole, and the next time goes on from there."""
    from pipelines.core import fetch, nets

    base = nets.fetchable(chosen.base)
    token = None
    if fetch.token_missing(base) and sys.stdin.isatty():
        token = getpass(f"{base.repo} asks for a token (kept nowhere; empty = try without): ")
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        found = fetch.fetch(base, fetch.printed(lambda line: print(line, file=sys.stderr)), token)
    except KeyboardInterrupt:
        print(f"stopped; what is whole stays, and `fetch {base.name}` goes on from there", file=sys.stderr)
        return CANCELLED
    print(f"{found.files} files, commit {found.commit}", file=sys.stderr)
    print(found.folder)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
