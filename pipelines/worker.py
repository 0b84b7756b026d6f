"""Claims runs from the queue and answers them, one at a time. Knows the queue and the engine; not what a task does."""

import errno
import logging
import signal
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from pipelines import engine
from pipelines.core import requests, safeload
from pipelines.core.errors import Cancelled, DiskFull, LostLease, Problem, Quarantined
from pipelines.core.models import Models
from pipelines.core.queue import Owner, Queue, Row
from pipelines.core.runs import Run

HEART_S = 3.0
POLL_S = 0.1
PARENT_S = 0.5

log = logging.getLogger("flawsmith.worker")


class Worker:
    """One process on the queue: it owns a device and works on the lanes it was given."""

    def __init__(self, runs: Path, device: str, lanes: tuple[str, ...]) -> None:
        safeload.check_environment()
        self.queue = Queue(runs)
        self.models = Models(device)
        self.device = device
        self.lanes = lanes
        self.owner = Owner.me()
        self._leaving = threading.Event()

    def __enter__(self) -> "Worker":
        self.queue.beat(self.owner, self.device, self.lanes)
        threading.Thread(target=self._heart, name="heart", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._leaving.set()
        self.queue.leave(self.owner)

    def _heart(self) -> None:
        while not self._leaving.wait(HEART_S):
            self.queue.beat(self.owner, self.device, self.lanes)

    def leave(self) -> None:
        """Finish the picture at hand, give the rest back, and go."""
        self._leaving.set()

    def work(self) -> None:
        """Serve until told to leave."""
        while not self._leaving.is_set():
            row = self.queue.claim(self.owner, self.lanes)
            if row is None:
                self._leaving.wait(POLL_S)
            else:
                self.serve(row)

    def _between(self, priority: int) -> Callable[[], None]:
        def between() -> None:
            if self._leaving.is_set():
                raise _Leaving
            while row := self.queue.claim(self.owner, self.lanes, above=priority):
                self.serve(row)

        return between

    def serve(self, row: Row) -> Row:
        """Answer one claimed run to its end. The one place where a failure is written down instead of raised."""
        try:
            self._answer(row)
        except LostLease:
            log.warning("run %s was taken over by another worker", row.id)
        return self.queue.get(row.id)

    def _answer(self, row: Row) -> None:
        end = self.queue.end
        try:
            request = requests.parse(row.request)
            run = Run(self.queue, row.id, request, self.owner, self._between(row.priority))
            run.tick(row.done, row.total, "starting", force=True)
            engine.perform(request, run, self.models)
        except Cancelled:
            end(row.id, self.owner, "cancelled")
        except _Leaving:
            log.info("run %s goes back in line", row.id)
        except LostLease:
            raise
        except Quarantined as problem:
            end(row.id, self.owner, "quarantined", problem.code, str(problem))
        except DiskFull as problem:
            end(row.id, self.owner, "waiting_disk", problem.code, str(problem))
        except Problem as problem:
            end(row.id, self.owner, "failed", problem.code, str(problem))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                end(
                    row.id,
                    self.owner,
                    "waiting_disk",
                    DiskFull.code,
                    f"the disk of {self.queue.runs} is full: make room and it goes on by itself",
                )
            else:
                self._failed(row, error)
        except Exception as error:
            self._failed(row, error)
        else:
            end(row.id, self.owner, "done")

    def _failed(self, row: Row, error: Exception) -> None:
        """An error nobody foresaw: the sentence goes to the person, the trace to the run's log."""
        log.exception("run %s failed", row.id)
        trace = self.queue.runs / row.id / "error.txt"
        self.queue.end(
            row.id,
            self.owner,
            "failed",
            "internal",
            f"{row.task} failed with {type(error).__name__}: {error}; the trace is in {row.id}/error.txt",
        )
        trace.parent.mkdir(parents=True, exist_ok=True)
        trace.write_text(traceback.format_exc(), encoding="utf-8")


class _Leaving(Exception):
    """The worker was told to go between two pictures."""


def serve_until_told(runs: Path, device: str, lanes: tuple[str, ...], parent: int | None = None) -> None:
    """`python -m pipelines work`: a worker that leaves cleanly on SIGTERM and SIGINT, and when its parent is gone.

    A studio killed with SIGKILL cannot end its workers; started again, it would put a second one on each device.
    """
    with Worker(runs, device, lanes) as worker:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.leave())
        if parent is not None:
            threading.Thread(target=_leave_after, args=(parent, worker), name="parent", daemon=True).start()
        worker.work()


def _leave_after(parent: int, worker: Worker) -> None:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(parent)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:  # `wait` would wait for who reaps it
            time.sleep(PARENT_S)
    worker.leave()


def follow(queue: Queue, run: str, tell: Callable[[Row], None]) -> Row:
    """Watch a run that another process holds until it is over."""
    while not (row := queue.get(run)).over:
        tell(row)
        time.sleep(POLL_S)
    return row
