"""The job table: who asked for what, who works on it, which items are done. SQLite in WAL mode, safe against SIGKILL.

Knows nothing of pixels or of what a task does. A row is a run, an item is one picture of it. An artefact is written
before its item's row, so a committed item is always whole; an uncommitted one is made again.
"""

import json
import os
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from pipelines.core import ids
from pipelines.core.errors import DiskFull, LostLease, Missing, Problem, Quarantined
from pipelines.core.requests import Request

State = Literal["queued", "running", "waiting_disk", "done", "failed", "cancelled", "quarantined"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled", "quarantined")

LEASE_S = 15.0
DEATHS = 3
ROOM_BYTES = 64 * 2**20
RETRY_DISK_S = 5.0
SEEN_S = 10.0
BUSY_S = 30.0

_HELD = "host=? AND pid=? AND born=?"
_TABLES = """
CREATE TABLE IF NOT EXISTS run(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, task TEXT NOT NULL, request TEXT NOT NULL,
  state TEXT NOT NULL, lane TEXT NOT NULL, priority INTEGER NOT NULL, user TEXT NOT NULL,
  host TEXT, pid INTEGER, born REAL, lease REAL, stop INTEGER NOT NULL DEFAULT 0,
  done INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL, note TEXT NOT NULL DEFAULT '', code TEXT, sentence TEXT,
  created REAL NOT NULL, started REAL, ended REAL);
CREATE INDEX IF NOT EXISTS run_open ON run(lane, priority DESC, seq)
  WHERE state IN ('queued', 'running', 'waiting_disk');
CREATE TABLE IF NOT EXISTS item(
  run TEXT NOT NULL, idx INTEGER NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, row TEXT,
  PRIMARY KEY(run, idx)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS worker(
  host TEXT NOT NULL, pid INTEGER NOT NULL, born REAL NOT NULL, device TEXT NOT NULL, lanes TEXT NOT NULL,
  seen REAL NOT NULL,
  PRIMARY KEY(host, pid));
"""


@dataclass(frozen=True)
class Owner:
    """A process that may hold a run. Its start time tells it from a later process with the same number."""

    host: str
    pid: int
    born: float

    @classmethod
    def me(cls) -> "Owner":
        return cls(socket.gethostname(), os.getpid(), psutil.Process().create_time())

    def gone(self) -> bool:
        """True when it is known to be dead; a process on another host is only known by its lease."""
        if self.host != socket.gethostname():
            return False
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.born) > 1 or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True


@dataclass(frozen=True)
class Row:
    """A run as the queue knows it."""

    seq: int
    id: str
    task: str
    request: dict[str, Any]
    state: State
    lane: str
    priority: int
    user: str
    owner: Owner | None
    stop: bool
    done: int
    total: int
    note: str
    code: str | None
    sentence: str | None
    created: float
    started: float | None
    ended: float | None

    @property
    def over(self) -> bool:
        return self.state in ENDED

    def public(self) -> dict[str, Any]:
        """What the page and HTTP show: everything but who holds it."""
        keys = (
            "id",
            "task",
            "state",
            "done",
            "total",
            "note",
            "code",
            "sentence",
            "created",
            "started",
            "ended",
            "user",
            "request",
        )
        return {key: getattr(self, key) for key in keys}


class Busy(Problem):
    """Somebody else holds the job table for longer than anyone should."""

    code = "busy"


class Queue:
    """The job table of one runs folder. One object may be used from many threads; each gets its own connection."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self._local = threading.local()
        try:
            runs.mkdir(parents=True, exist_ok=True)
            self._db.executescript(_TABLES)
        except (OSError, sqlite3.OperationalError) as error:
            if "full" in str(error):
                raise DiskFull(f"the disk of the runs folder {runs} is full: make room") from error
            raise Problem(
                f"the runs folder {runs} cannot be written ({error}): make it writable or choose another with --runs"
            ) from error
        except sqlite3.DatabaseError as error:
            raise Problem(
                f"{runs / 'queue.db'} is damaged ({error}): move it away and start again; the runs' folders stay"
            ) from error

    @property
    def _db(self) -> sqlite3.Connection:
        if not hasattr(self._local, "db"):
            db = sqlite3.connect(self.runs / "queue.db", timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            self._local.db = db
        found: sqlite3.Connection = self._local.db
        return found

    def close(self) -> None:
        """Close this thread's connection."""
        if hasattr(self._local, "db"):
            self._local.db.close()
            del self._local.db

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            if "full" in str(error):
                raise DiskFull(f"the disk of the runs folder {self.runs} is full: make room and it goes on") from error
            raise Busy(f"the job table in {self.runs} cannot be written now ({error}): try again") from error

    # -- asking

    def submit(
        self, request: Request, *, user: str = "", priority: int | None = None, owner: Owner | None = None
    ) -> str:
        """Put a request in line and return its run id. With `owner` the run is at once that process's own."""
        run = ids.new_run()
        now = time.time()
        held = (owner.host, owner.pid, owner.born, now + LEASE_S, now) if owner else (None, None, None, None, None)
        with self._write() as db:
            db.execute(
                "INSERT INTO run(id, task, request, state, lane, priority, user, host, pid, born, lease, started,"
                " total, created) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    run,
                    request.task,
                    request.model_dump_json(),
                    "running" if owner else "queued",
                    request.lane(),
                    request.priority() if priority is None else priority,
                    user,
                    *held,
                    request.count(),
                    now,
                ),
            )
        return run

    def has(self, run: str) -> bool:
        """Whether there is a run of that id."""
        return self._db.execute("SELECT 1 FROM run WHERE id=?", (run,)).fetchone() is not None

    def get(self, run: str) -> Row:
        """Raises Missing."""
        row = self._db.execute("SELECT * FROM run WHERE id=?", (run,)).fetchone()
        if row is None:
            raise Missing(f"no run {run!r} in {self.runs.name}")
        return _row(row)

    def newest(self, after: str | None = None, limit: int = 50, user: str | None = None) -> list[Row]:
        """Newest first; `after` is the last id of the page before."""
        below = self.get(after).seq if after else 2**62
        where, values = ("AND user=?", (user,)) if user is not None else ("", ())
        rows = self._db.execute(
            f"SELECT * FROM run WHERE seq<? {where} ORDER BY seq DESC LIMIT ?", (below, *values, limit)
        )
        return [_row(row) for row in rows]

    def open(self) -> list[Row]:
        """Everything not over, in the order it will be worked on."""
        query = (
            "SELECT * FROM run WHERE state IN ('running','queued','waiting_disk')"
            " ORDER BY state='running' DESC, priority DESC, seq"
        )
        return [_row(row) for row in self._db.execute(query)]

    def stop(self, run: str) -> Row:
        """Ask a run to stop. One that nobody holds is cancelled at once; a held one when its worker confirms."""
        with self._write() as db:
            row = _row(self._one(db, run))
            if row.state in ("queued", "waiting_disk") or (row.state == "running" and row.owner and row.owner.gone()):
                db.execute("UPDATE run SET state='cancelled', stop=1, ended=? WHERE id=?", (time.time(), run))
                db.execute("UPDATE item SET attempts=0 WHERE run=?", (run,))
            elif row.state == "running":
                db.execute("UPDATE run SET stop=1, note='stopping' WHERE id=?", (run,))
        return self.get(run)

    def resume(self, run: str, owner: Owner | None = None) -> Row:
        """Take up a run where it stopped; a run that is done, or held by a live worker, stays as it is.

        A person's resume forgives the deaths counted so far. With `owner` the run is at once that process's own.
        """
        with self._write() as db:
            found = self._one(db, run)
            row = _row(found)
            alive = row.owner is not None and not row.owner.gone() and found["lease"] > time.time()
            held = row.state == "running" and alive and row.owner != owner
            if row.state != "done" and not held:
                now = time.time()
                mine = (owner.host, owner.pid, owner.born, now + LEASE_S) if owner else (None, None, None, None)
                db.execute(
                    "UPDATE run SET state=?, stop=0, code=NULL, sentence=NULL, note='', ended=NULL,"
                    " host=?, pid=?, born=?, lease=? WHERE id=?",
                    ("running" if owner else "queued", *mine, run),
                )
                db.execute("UPDATE item SET attempts=0 WHERE run=?", (run,))
        return self.get(run)

    # -- working

    def claim(self, owner: Owner, lanes: tuple[str, ...], above: int | None = None) -> Row | None:
        """The next run for this worker, or None. Takes over at once what a dead process held."""
        now = time.time()
        marks = ",".join("?" * len(lanes))
        with self._write() as db:
            rows = db.execute(
                f"SELECT * FROM run WHERE state IN ('queued','running','waiting_disk') AND lane IN ({marks})"
                " AND priority>? ORDER BY priority DESC, seq",
                (*lanes, -1000 if above is None else above),
            )
            for found in rows.fetchall():
                row = _row(found)
                if row.owner == owner and row.state == "running":
                    continue
                if row.state == "running" and not (row.owner is None or row.owner.gone() or found["lease"] < now):
                    continue
                if row.state == "waiting_disk" and (found["lease"] > now or self._free() < ROOM_BYTES):
                    continue
                db.execute(
                    "UPDATE run SET state='running', host=?, pid=?, born=?, lease=?, started=COALESCE(started, ?),"
                    " code=NULL, sentence=NULL WHERE id=?",
                    (owner.host, owner.pid, owner.born, now + LEASE_S, now, row.id),
                )
                return _row(self._one(db, row.id))
        return None

    def _free(self) -> int:
        return shutil.disk_usage(self.runs).free

    def beat(self, owner: Owner, device: str, lanes: tuple[str, ...]) -> None:
        """Say that this worker is alive; whatever it holds stays its own."""
        now = time.time()
        with self._write() as db:
            db.execute(
                "INSERT INTO worker VALUES(?,?,?,?,?,?) ON CONFLICT(host, pid) DO UPDATE SET"
                " born=excluded.born, seen=excluded.seen, device=excluded.device, lanes=excluded.lanes",
                (owner.host, owner.pid, owner.born, device, ",".join(lanes), now),
            )
            db.execute(
                "UPDATE run SET lease=? WHERE state='running' AND " + _HELD,
                (now + LEASE_S, owner.host, owner.pid, owner.born),
            )

    def hand_back(self, run: str, owner: Owner) -> None:
        """One run goes back in line, uncounted, if it is still this worker's."""
        mine = (run, owner.host, owner.pid, owner.born)
        with self._write() as db:
            db.execute(
                "UPDATE item SET attempts=0 WHERE state='running' AND run IN"
                " (SELECT id FROM run WHERE id=? AND state='running' AND " + _HELD + ")",
                mine,
            )
            db.execute(
                "UPDATE run SET state='queued', host=NULL, pid=NULL, born=NULL WHERE id=? AND state='running' AND "
                + _HELD,
                mine,
            )

    def leave(self, owner: Owner) -> None:
        """A clean goodbye: what this worker held goes back in line, uncounted."""
        mine = (owner.host, owner.pid, owner.born)
        for row in self._db.execute("SELECT id FROM run WHERE state='running' AND " + _HELD, mine).fetchall():
            self.hand_back(row["id"], owner)
        with self._write() as db:
            db.execute("DELETE FROM worker WHERE host=? AND pid=?", mine[:2])

    def workers(self) -> list[dict[str, Any]]:
        """Workers heard of lately and not known to be dead: host, pid, device, lanes, seen."""
        rows = self._db.execute("SELECT * FROM worker WHERE seen>?", (time.time() - SEEN_S,)).fetchall()
        return [
            {
                "host": row["host"],
                "pid": row["pid"],
                "device": row["device"],
                "lanes": row["lanes"].split(","),
                "seen": row["seen"],
            }
            for row in rows
            if not Owner(row["host"], row["pid"], row["born"]).gone()
        ]

    def progress(self, run: str, owner: Owner, done: int, total: int, note: str) -> bool:
        """Note how far a run is; returns whether it was asked to stop. Raises LostLease."""
        with self._write() as db:
            changed = db.execute(
                "UPDATE run SET done=?, total=?, note=CASE WHEN stop THEN 'stopping' ELSE ? END"
                " WHERE id=? AND state='running' AND " + _HELD,
                (done, total, note, run, owner.host, owner.pid, owner.born),
            )
            if changed.rowcount != 1:
                raise LostLease(run)
            return bool(self._one(db, run)["stop"])

    def stopping(self, run: str) -> bool:
        return bool(self._one(self._db, run)["stop"])

    def end(self, run: str, owner: Owner, state: State, code: str | None = None, sentence: str | None = None) -> None:
        """Close a run, or set it aside until there is room on the disk. Raises LostLease."""
        now = time.time()
        with self._write() as db:
            changed = db.execute(
                "UPDATE run SET state=?, done=CASE WHEN ? THEN total ELSE done END, code=?, sentence=?, note='',"
                " ended=?, host=NULL, pid=NULL, born=NULL, lease=? WHERE id=? AND state='running' AND " + _HELD,
                (
                    state,
                    state == "done",
                    code,
                    sentence,
                    now if state in ENDED else None,
                    now + RETRY_DISK_S,
                    run,
                    owner.host,
                    owner.pid,
                    owner.born,
                ),
            )
            if changed.rowcount != 1:
                raise LostLease(run)
            db.execute("UPDATE item SET attempts=0 WHERE run=? AND state='running'", (run,))

    # -- items

    def start_item(self, run: str, owner: Owner, index: int) -> None:
        """Count an attempt at an item before it is made. Raises Quarantined after three deaths on it, LostLease."""
        with self._write() as db:
            self._mine(db, run, owner)
            row = db.execute("SELECT attempts FROM item WHERE run=? AND idx=?", (run, index)).fetchone()
            deaths = row["attempts"] if row else 0
            if deaths >= DEATHS:
                raise Quarantined(
                    f"picture {index} of {run} took its worker down {deaths} times in a row: look at its log,"
                    " then resume to try again"
                )
            db.execute(
                "INSERT INTO item(run, idx, state, attempts) VALUES(?,?,'running',1)"
                " ON CONFLICT(run, idx) DO UPDATE SET attempts=attempts+1",
                (run, index),
            )

    def finish_item(self, run: str, owner: Owner, index: int, row: dict[str, Any]) -> None:
        """Commit an item whose files are on the disk. Raises LostLease."""
        with self._write() as db:
            self._mine(db, run, owner)
            db.execute(
                "INSERT INTO item(run, idx, state, attempts, row) VALUES(?,?,'done',0,?)"
                " ON CONFLICT(run, idx) DO UPDATE SET state='done', attempts=0, row=excluded.row",
                (run, index, json.dumps(row, ensure_ascii=False, sort_keys=True)),
            )
            db.execute(
                "UPDATE run SET done=(SELECT count(*) FROM item WHERE run=? AND state='done') WHERE id=?", (run, run)
            )

    def finished(self, run: str) -> dict[int, dict[str, Any]]:
        """The committed items: their manifest rows by index."""
        found = self._db.execute("SELECT idx, row FROM item WHERE run=? AND state='done'", (run,))
        return {row["idx"]: json.loads(row["row"]) for row in found}

    def forget_item(self, run: str, owner: Owner, index: int) -> None:
        """A committed item whose files are gone is to be made again. Raises LostLease."""
        with self._write() as db:
            self._mine(db, run, owner)
            db.execute("DELETE FROM item WHERE run=? AND idx=?", (run, index))

    def rows(self, run: str, after: int = -1, limit: int = 2**31) -> list[dict[str, Any]]:
        """Committed items in order, as their manifest rows."""
        query = "SELECT row FROM item WHERE run=? AND state='done' AND idx>? ORDER BY idx LIMIT ?"
        return [json.loads(row["row"]) for row in self._db.execute(query, (run, after, limit))]

    def _one(self, db: sqlite3.Connection, run: str) -> sqlite3.Row:
        row: sqlite3.Row | None = db.execute("SELECT * FROM run WHERE id=?", (run,)).fetchone()
        if row is None:
            raise Missing(f"no run {run!r} in {self.runs.name}")
        return row

    def _mine(self, db: sqlite3.Connection, run: str, owner: Owner) -> None:
        row = self._one(db, run)
        if row["state"] != "running" or (row["host"], row["pid"], row["born"]) != (owner.host, owner.pid, owner.born):
            raise LostLease(run)


def _row(row: sqlite3.Row) -> Row:
    owner = Owner(row["host"], row["pid"], row["born"]) if row["pid"] is not None else None
    keys = (
        "seq",
        "id",
        "task",
        "state",
        "lane",
        "priority",
        "user",
        "done",
        "total",
        "note",
        "code",
        "sentence",
        "created",
        "started",
        "ended",
    )
    return Row(
        request=json.loads(row["request"]), owner=owner, stop=bool(row["stop"]), **{key: row[key] for key in keys}
    )
