"""The job table: who asked for what, who works on it, which items are done. SQLite in WAL mode, safe against SIGKILL.

Knows nothing of pixels or of what a task does. A row is a run, an item is one picture of it. An artefact is written
before its item's row, so a committed item is always whole; an uncommitted one is made again.
"""

import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipelines.core import ids
from pipelines.core.errors import DiskFull, LostLease, Missing, Problem, Quarantined
from pipelines.core.owners import Owner
from pipelines.core.requests import Request

State = Literal["queued", "running", "waiting_disk", "done", "failed", "cancelled", "quarantined"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled", "quarantined")

LEASE_S = 15.0
DEATHS = 3
ROOM_BYTES = 64 * 2**20
RETRY_DISK_S = 5.0
SEEN_S = 10.0
FORGET_S = 24 * 3600.0
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
CREATE TABLE IF NOT EXISTS report(
  host TEXT NOT NULL, pid INTEGER NOT NULL, born REAL NOT NULL, said TEXT NOT NULL, PRIMARY KEY(host, pid));
"""
# A table that is missing is made when the file is opened; none is altered, so that an older Flawsmith can go on too.


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

    @property
    def reading(self) -> sqlite3.Connection:
        """This thread's connection, for a look at tables that others keep in the same file."""
        return self._db

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
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
        values = (
            run,
            request.task,
            request.model_dump_json(),
            "running" if owner else "queued",
            request.lane(),
            request.priority() if priority is None else priority,
            user,
            *held,
            request.length(),
            now,
        )
        with self.writing() as db:
            db.execute(
                "INSERT INTO run(id, task, request, state, lane, priority, user, host, pid, born, lease, started,"
                " total, created) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                values,
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

    def count_open(self) -> int:
        """How many are not over."""
        query = "SELECT count(*) FROM run WHERE state IN ('running','queued','waiting_disk')"
        return int(self._db.execute(query).fetchone()[0])

    def open(self) -> list[Row]:
        """Everything not over, in the order it will be worked on."""
        query = (
            "SELECT * FROM run WHERE state IN ('running','queued','waiting_disk')"
            " ORDER BY state='running' DESC, priority DESC, seq"
        )
        return [_row(row) for row in self._db.execute(query)]

    def stop(self, run: str) -> Row:
        """Ask a run to stop. One that nobody holds is cancelled at once; a held one when its worker confirms."""
        with self.writing() as db:
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
        with self.writing() as db:
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

    def reopen(self, run: str, forget: str = "", request: Request | None = None) -> Row:
        """Put a run that is over back in line, also one that is done: for what it left open.

        Items whose row has the key `forget` are forgotten, so that they are made again. `request` takes the place of
        what was asked; what was made for the old one must be right for it too. Raises Missing, Problem.
        """
        with self.writing() as db:
            row = _row(self._one(db, run))
            if not row.over:
                raise Problem(f"run {run} is not over yet: stop it first, or wait until it is done")
            if forget:
                db.execute("DELETE FROM item WHERE run=? AND json_type(row, ?) IS NOT NULL", (run, f'$."{forget}"'))
            asked = request.model_dump_json() if request is not None else json.dumps(row.request, ensure_ascii=False)
            db.execute(
                "UPDATE run SET state='queued', stop=0, code=NULL, sentence=NULL, note='', ended=NULL, request=?,"
                " host=NULL, pid=NULL, born=NULL, lease=NULL,"
                " done=(SELECT count(*) FROM item WHERE run=? AND state='done') WHERE id=?",
                (asked, run, run),
            )
            db.execute("UPDATE item SET attempts=0 WHERE run=?", (run,))
        return self.get(run)

    # -- working

    def claim(self, owner: Owner, lanes: tuple[str, ...], above: int | None = None) -> Row | None:
        """The next run for this worker, or None. Takes over at once what a dead process held.

        What is open is looked through without the table's lock, and unread; the lock is taken for the one run that is
        free, which is ours only if nobody has touched it since.
        """
        now = time.time()
        marks = ",".join("?" * len(lanes))
        found = self._db.execute(
            "SELECT id, state, host, pid, born, lease FROM run WHERE state IN ('queued','running','waiting_disk')"
            f" AND lane IN ({marks}) AND priority>? ORDER BY priority DESC, seq",
            (*lanes, -1000 if above is None else above),
        ).fetchall()
        for one in found:
            if not self._can_be_had(one, owner, now):
                continue
            with self.writing() as db:
                changed = db.execute(
                    "UPDATE run SET state='running', host=?, pid=?, born=?, lease=?, started=COALESCE(started, ?),"
                    " code=NULL, sentence=NULL"
                    " WHERE id=? AND state IS ? AND host IS ? AND pid IS ? AND born IS ? AND lease IS ?",
                    (owner.host, owner.pid, owner.born, now + LEASE_S, now, *one),
                )
                if changed.rowcount == 1:
                    return _row(self._one(db, one["id"]))
        return None

    def _can_be_had(self, found: sqlite3.Row, owner: Owner, now: float) -> bool:
        holder = _owner(found)
        if found["state"] == "running":
            return holder != owner and (holder is None or holder.gone() or found["lease"] < now)
        if found["state"] == "waiting_disk":
            return bool(found["lease"] <= now) and self._free() >= ROOM_BYTES
        return True

    def _free(self) -> int:
        return shutil.disk_usage(self.runs).free

    def beat(self, owner: Owner, device: str, lanes: tuple[str, ...], report: Mapping[str, Any] | None = None) -> None:
        """Say that this worker is alive, and how it is; whatever it holds stays its own. Sweeps out the long dead."""
        now = time.time()
        said = json.dumps(report or {}, ensure_ascii=False)
        with self.writing() as db:
            db.execute(
                "INSERT INTO worker VALUES(?,?,?,?,?,?) ON CONFLICT(host, pid) DO UPDATE SET"
                " born=excluded.born, seen=excluded.seen, device=excluded.device, lanes=excluded.lanes",
                (owner.host, owner.pid, owner.born, device, ",".join(lanes), now),
            )
            db.execute(
                "INSERT INTO report VALUES(?,?,?,?) ON CONFLICT(host, pid) DO UPDATE SET"
                " born=excluded.born, said=excluded.said",
                (owner.host, owner.pid, owner.born, said),
            )
            db.execute(
                "UPDATE run SET lease=? WHERE state='running' AND " + _HELD,
                (now + LEASE_S, owner.host, owner.pid, owner.born),
            )
            db.execute("DELETE FROM worker WHERE seen<?", (now - FORGET_S,))
            db.execute("DELETE FROM report WHERE (host, pid) NOT IN (SELECT host, pid FROM worker)")

    def hand_back(self, run: str, owner: Owner) -> None:
        """One run goes back in line, uncounted, if it is still this worker's."""
        mine = (run, owner.host, owner.pid, owner.born)
        with self.writing() as db:
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
        with self.writing() as db:
            for table in ("worker", "report"):
                db.execute(f"DELETE FROM {table} WHERE host=? AND pid=?", mine[:2])

    def workers(self) -> list[dict[str, Any]]:
        """Workers heard of lately and not known to be dead: id, owner, host, pid, device, lanes, seen, report.

        `report` is what the worker said of itself; one that says nothing (an older Flawsmith's) has {}.
        """
        rows = self._db.execute(
            "SELECT worker.*, said FROM worker LEFT JOIN report USING(host, pid, born) WHERE seen>?"
            " ORDER BY lanes, pid",
            (time.time() - SEEN_S,),
        ).fetchall()
        owners = [Owner(row["host"], row["pid"], row["born"]) for row in rows]
        return [
            {
                "id": owner.id,
                "owner": owner,
                "host": row["host"],
                "pid": row["pid"],
                "device": row["device"],
                "lanes": row["lanes"].split(","),
                "seen": row["seen"],
                "report": json.loads(row["said"] or "{}"),
            }
            for owner, row in zip(owners, rows, strict=True)
            if not owner.gone()
        ]

    def progress(self, run: str, owner: Owner, done: int, total: int, note: str) -> bool:
        """Note how far a run is; returns whether it was asked to stop. Raises LostLease."""
        with self.writing() as db:
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
        with self.writing() as db:
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
        with self.writing() as db:
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

    def finish_item(self, run: str, owner: Owner, index: int, row: dict[str, Any], done: int | None = None) -> None:
        """Commit an item whose files are on the disk. `done` is how many are then, for who knows: counting a million
        takes a while. Raises LostLease.
        """
        with self.writing() as db:
            self._mine(db, run, owner)
            db.execute(
                "INSERT INTO item(run, idx, state, attempts, row) VALUES(?,?,'done',0,?)"
                " ON CONFLICT(run, idx) DO UPDATE SET state='done', attempts=0, row=excluded.row",
                (run, index, json.dumps(row, ensure_ascii=False, sort_keys=True)),
            )
            if done is None:
                counted = "SELECT count(*) FROM item WHERE run=? AND state='done'"
                done = db.execute(counted, (run,)).fetchone()[0]
            db.execute("UPDATE run SET done=? WHERE id=?", (done, run))

    def finished(self, run: str) -> dict[int, dict[str, Any]]:
        """The committed items: their manifest rows by index."""
        found = self._db.execute("SELECT idx, row FROM item WHERE run=? AND state='done'", (run,))
        return {row["idx"]: json.loads(row["row"]) for row in found}

    def forget_item(self, run: str, owner: Owner, index: int) -> None:
        """A committed item whose files are gone is to be made again. Raises LostLease."""
        with self.writing() as db:
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


def _owner(row: sqlite3.Row) -> Owner | None:
    return Owner(row["host"], row["pid"], row["born"]) if row["pid"] is not None else None


def _row(row: sqlite3.Row) -> Row:
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
        request=json.loads(row["request"]), owner=_owner(row), stop=bool(row["stop"]), **{key: row[key] for key in keys}
    )
