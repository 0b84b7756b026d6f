"""Claims runs from the queue and answers them, one at a time. Knows the queue and the engine; not what a task does."""

import logging
import signal
import sqlite3
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from pipelines import engine
from pipelines.core import files, orders, requests, safeload, settings
from pipelines.core.assets import Assets
from pipelines.core.errors import Cancelled, DiskFull, LostLease, Problem, Quarantined
from pipelines.core.models import Models
from pipelines.core.owners import Owner
from pipelines.core.queue import Busy, Queue, Row
from pipelines.core.runs import Run
from pipelines.core.vitals import Vitals

HEART_S = 3.0
POLL_S = 0.1
PARENT_S = 0.5

log = logging.getLogger("flawsmith.worker")


class Worker:
    """One process on the queue: it owns a device and works on the lanes it was given."""

    def __init__(self, runs: Path, device: str, lanes: tuple[str, ...]) -> None:
        safeload.check_environment()
        self.queue = Queue(runs)
        self.orders = orders.Orders(self.queue)
        Assets(runs).sweep()
        self.models = Models(device, _budget(runs, device))
        self.vitals = Vitals(device, self.models)
        self.device = device
        self.lanes = lanes
        self.owner = Owner.me()
        self._owed: set[str] = set()
        """Runs that go back in line as soon as the job table can be written again."""
        self._unsaid: dict[int, orders.Answer] = {}
        """Orders that were obeyed, whose answer goes down as soon as the job table can be written again."""
        self._leaving = threading.Event()
        self._news = threading.Event()
        """Something changed that should be heard of before the next beat is due."""

    def __enter__(self) -> "Worker":
        self._beat()
        threading.Thread(target=self._heart, name="heart", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.leave()
        try:
            self.orders.forget(self.owner)
            self.queue.leave(self.owner)
        except Problem as problem:  # nothing is lost: what a process that is gone held is taken over at once
            log.warning("no clean goodbye: %s", problem)

    def _heart(self) -> None:
        while not self._leaving.is_set():
            self._news.wait(HEART_S)
            self._news.clear()
            if not self._leaving.is_set():
                try:
                    self._beat()
                except (Problem, sqlite3.Error) as problem:  # the next beat may get through
                    log.warning("a heartbeat was lost: %s", problem)

    def _beat(self) -> None:
        try:
            report = self.vitals.report()
        except Exception:  # whatever a strange machine answers: the heart beats on, and the run stays this worker's
            log.exception("no report with this heartbeat")
            report = {}
        self.queue.beat(self.owner, self.device, self.lanes, report)

    def leave(self) -> None:
        """Finish the picture at hand, give the rest back, and go."""
        self._leaving.set()
        self._news.set()

    def work(self) -> None:
        """Serve until told to leave."""
        while not self._leaving.is_set():
            self._obey()
            row = self._claim()
            if row is None:
                self._leaving.wait(POLL_S)
            else:
                self.serve(row)

    def _between(self, priority: int) -> Callable[[], None]:
        def between() -> None:
            self._obey()
            while not self._leaving.is_set() and (row := self._claim(priority)):
                self.serve(row)
            if self._leaving.is_set():
                raise _Leaving

        return between

    def _obey(self) -> None:
        """Do what people ordered, and answer. An order is obeyed once, also if its answer cannot be written at once."""
        try:
            for order in self.orders.waiting(self.owner):
                if order.id not in self._unsaid:
                    self._unsaid[order.id] = self._obeyed(order.what)
            for id, answer in list(self._unsaid.items()):
                self.orders.answer(id, answer)
                del self._unsaid[id]
                self._news.set()
        except (Problem, sqlite3.Error) as problem:
            log.warning("an order waits, as the job table does not answer: %s", problem)

    def _obeyed(self, what: str) -> orders.Answer:
        try:
            return orders.obey(what, self.models, self.device, self.queue.runs)
        except Exception as error:  # as at the end of a run: nobody foresaw it, and the worker goes on
            log.exception("the order %s failed", what)
            return orders.Answer(code="internal", sentence=f"the order failed with {type(error).__name__}: {error}")

    def _claim(self, above: int | None = None) -> Row | None:
        try:
            for run in list(self._owed):
                self.queue.hand_back(run, self.owner)
                self._owed.discard(run)
            return self.queue.claim(self.owner, self.lanes, above)
        except (Problem, sqlite3.Error) as problem:
            log.warning("the job table does not answer: %s", problem)
            self._leaving.wait(HEART_S)
            return None

    def serve(self, row: Row) -> Row:
        """Answer one claimed run to its end. The one place where a failure is written down instead of raised."""
        try:
            self._answer(row)
        except LostLease:
            log.warning("run %s was taken over by another worker", row.id)
        except (Problem, sqlite3.Error) as problem:
            log.warning("the end of run %s could not be written (%s): it goes back in line", row.id, problem)
            self._owed.add(row.id)
        return self.queue.get(row.id)

    def _answer(self, row: Row) -> None:
        end = self.queue.end
        run: Run | None = None
        try:
            request = requests.parse(row.request)
            run = Run(self.queue, row.id, request, self.owner, self._between(row.priority))
            run.tick(row.done, row.total, "starting", force=True)
            engine.perform(request, run, self.models)
        except Cancelled:
            _list_what_is_finished(run)
            end(row.id, self.owner, "cancelled")
        except _Leaving:
            log.info("run %s goes back in line", row.id)
        except (LostLease, Busy, sqlite3.Error):
            raise
        except Quarantined as problem:
            _list_what_is_finished(run)
            end(row.id, self.owner, "quarantined", problem.code, str(problem))
        except DiskFull as problem:
            end(row.id, self.owner, "waiting_disk", problem.code, str(problem))
        except Problem as problem:
            _list_what_is_finished(run)
            end(row.id, self.owner, "failed", problem.code, str(problem))
        except OSError as error:
            if error.errno in files.NO_ROOM:
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


def _budget(runs: Path, device: str) -> int | None:
    """What somebody set for this device. A settings file that cannot be read keeps no worker from its work."""
    try:
        return settings.read(runs).budgets.get(device)
    except Problem as problem:
        log.warning("models may hold the default: %s", problem)
        return None


def _list_what_is_finished(run: Run | None) -> None:
    """However a run ends, what it finished can be reviewed and exported."""
    if run is not None:
        try:
            run.write_manifest()
        except (Problem, OSError) as problem:
            log.warning("the manifest of run %s could not be written: %s", run.id, problem)


class _Leaving(Exception):
    """The worker was told to go between two pictures."""


def serve_until_told(runs: Path, device: str, lanes: tuple[str, ...], parent: int | None = None) -> None:
    """`python -m pipelines work`: a worker that leaves cleanly on SIGTERM and SIGINT, and when its parent is gone.

    A studio killed with SIGKILL cannot end its workers; started again, it would put a second one on each device.
    """
    with Worker(runs, device, lanes) as worker:
        for number in (signal.SIGTERM, signal.SIGINT):
            # In a thread of its own: an Event's lock is not re-entrant, and the signal may have interrupted its holder.
            signal.signal(number, lambda *_: threading.Thread(target=worker.leave).start())
        if parent is not None:
            threading.Thread(target=_leave_after, args=(parent, worker), name="parent", daemon=True).start()
        worker.work()


def _leave_after(parent: int, worker: Worker) -> None:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(parent)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:  # `wait` would wait for who reaps it
            time.sleep(PARENT_S)
    worker.leave()


def follow(queue: Queue, run: str, given_up: Callable[[], bool]) -> Row:
    """Watch a run that another process holds until it is over, or until the watcher gives up."""
    while not (row := queue.get(run)).over and not given_up():
        time.sleep(POLL_S)
    return row
