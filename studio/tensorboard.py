"""TensorBoard beside the studio: started and stopped from the page, ended with the studio however that ends.

Run as a module this is the process itself: it serves until its standard input closes, which it does with the studio.
"""

import atexit
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from pipelines.core.errors import Problem
from studio.context import Context

HOST = "127.0.0.1"
SAID = "tensorboard.log"
ROOT = Path(__file__).parents[1]
END_S = 5.0
ASKED_S = 0.3


class TensorBoard:
    """One process of it, over all runs. May be used from several threads."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._alone = threading.Lock()

    def state(self) -> dict[str, Any]:
        """Whether it runs, whether it answers already, and where."""
        with self._alone:
            return self._state()

    def _state(self) -> dict[str, Any]:
        running = self._process is not None and self._process.poll() is None
        url = f"http://{HOST}:{self._port}/" if running else None
        return {"running": running, "ready": running and self._answers(), "port": self._port or None, "url": url}

    def start(self) -> dict[str, Any]:
        """Starts it where it does not run. Raises Problem where it cannot."""
        with self._alone:
            if self._process is None or self._process.poll() is not None:
                self._port = _free_port()
                arguments = ["--logdir", str(self.runs), "--host", HOST, "--port", str(self._port)]
                command = [sys.executable, "-m", "studio.tensorboard", *arguments]
                try:
                    with (self.runs / SAID).open("wb") as said:
                        self._process = subprocess.Popen(
                            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=said, stderr=subprocess.STDOUT
                        )
                except OSError as error:
                    raise Problem(f"TensorBoard cannot be started ({error.strerror}): try again") from error
                atexit.register(self.stop)
            return self._state()

    def stop(self) -> dict[str, Any]:
        """Ends it where it runs."""
        with self._alone:
            process, self._process = self._process, None
            if process is not None:
                atexit.unregister(self.stop)
                process.terminate()
                try:
                    process.wait(END_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                if process.stdin:
                    process.stdin.close()
            self._port = 0
            return self._state()

    def _answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self._port), ASKED_S):
                return True
        except OSError:
            return False


def router(context: Context) -> APIRouter:
    """Everything below /api/tensorboard."""
    routes = APIRouter(prefix="/api/tensorboard", tags=["trainings"])
    board = TensorBoard(context.runs)

    @routes.get("", summary="Whether TensorBoard runs, and where on this machine it answers")
    def state() -> dict[str, Any]:
        return board.state()

    @routes.post("", summary="Start it over all trainings; it answers on the studio's own machine only")
    def start() -> dict[str, Any]:
        return board.start()

    @routes.delete("", summary="Stop it")
    def stop() -> dict[str, Any]:
        return board.stop()

    return routes


def _free_port() -> int:
    with socket.socket() as door:
        door.bind((HOST, 0))
        return int(door.getsockname()[1])


def _end_with_input() -> None:
    """The studio holds the other end; when it is gone, by whatever way, this is read to the end."""
    while os.read(0, 1024):
        pass
    os._exit(0)


def main() -> None:
    threading.Thread(target=_end_with_input, daemon=True).start()
    from tensorboard import main as board

    board.run_main()


if __name__ == "__main__":
    main()
