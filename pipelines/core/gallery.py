"""An index of finished pictures: which there are, what was decided about them, page by page. SQLite, beside queue.db.

Derived, every bit of it, from the job table and from the runs' review.json: it may be deleted, and is then made again.
A `refresh` reads only what changed since the last. Knows nothing of pixels.
"""

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.core import runs as folders
from pipelines.core.errors import Missing

RUN_STEP = 2**27
"""Newest first is by the run's place in the job table, then by the picture's place in the run; no run has as many."""
VERSION = 2
"""Of the tables' meaning. An index of another version is made anew."""

_TABLES = """
CREATE TABLE IF NOT EXISTS picture(
  key INTEGER PRIMARY KEY, run TEXT NOT NULL, stem TEXT NOT NULL, idx INTEGER NOT NULL, made REAL NOT NULL,
  defect TEXT NOT NULL, areas INTEGER NOT NULL, source TEXT, source_name TEXT,
  visibility REAL, fidelity REAL, verdict TEXT NOT NULL DEFAULT '');
CREATE UNIQUE INDEX IF NOT EXISTS picture_name ON picture(run, stem);
CREATE INDEX IF NOT EXISTS picture_verdict ON picture(verdict, key);
CREATE INDEX IF NOT EXISTS picture_source ON picture(source, verdict, source_name);
CREATE INDEX IF NOT EXISTS picture_defect ON picture(defect, verdict);
CREATE INDEX IF NOT EXISTS picture_group ON picture(run, source, defect, areas, verdict);
CREATE TABLE IF NOT EXISTS known(
  run TEXT PRIMARY KEY, done INTEGER NOT NULL, state TEXT NOT NULL, pictures INTEGER NOT NULL, stamp TEXT NOT NULL)
  WITHOUT ROWID;
"""
_NEW_ROWS = f"""
INSERT INTO picture(key, run, stem, idx, made, defect, areas, source, source_name, visibility, fidelity)
SELECT ?1 * {RUN_STEP} + idx, run, substr(row ->> '$.file', 8, length(row ->> '$.file') - 11), idx, ?2,
  row ->> '$.defect', json_array_length(row, '$.regions'), row ->> '$.source.sha256', row ->> '$.source.name',
  row ->> '$.scores.visibility', row ->> '$.scores.fidelity'
FROM jobs.item WHERE item.run = ?3 AND item.state = 'done'
  AND NOT EXISTS (SELECT 1 FROM picture WHERE picture.key = ?1 * {RUN_STEP} + item.idx)
  AND row ->> '$.thumb' IS NOT NULL AND row ->> '$.annotator' IS NULL AND row ->> '$.aside' IS NULL
"""


@dataclass(frozen=True)
class Filter:
    """Which pictures. What is empty or None does not narrow. Unless it is asked for, what was deleted stays away."""

    verdict: Literal["", "undecided", "kept", "discarded", "deleted"] = ""
    defect: str = ""
    source: str = ""
    """The sha256 of the good picture."""
    run: str = ""
    since: float | None = None
    until: float | None = None
    visibility: tuple[float | None, float | None] = (None, None)
    fidelity: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True)
class Group:
    """Pictures of one run that a data set cannot tell apart: made from the same source, showing the same."""

    run: str
    source: str | None
    stem: str | None
    """Of the picture, where it has no source: then it is a group of its own."""
    defects: tuple[str, ...]
    areas: int
    verdict: str
    count: int


@dataclass(frozen=True)
class Picture:
    """A finished picture as the index knows it."""

    key: int
    """Its place in the order; what a page goes on from."""
    run: str
    stem: str
    index: int
    made: float
    """When its run was asked for, in seconds since 1970."""
    defects: tuple[str, ...]
    areas: int
    source: str | None
    source_name: str | None
    visibility: float | None
    fidelity: float | None
    verdict: str
    """kept, discarded, deleted, or "": nobody decided."""

    @property
    def id(self) -> str:
        return f"{self.run}/{self.stem}"

    def alone(self) -> Group:
        """A group of one."""
        return Group(self.run, self.source, self.stem, self.defects, self.areas, self.verdict, 1)


class Gallery:
    """The index of one runs folder. May be used from many threads; each gets its own connection."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self._local = threading.local()
        self._refreshing = threading.Lock()

    @property
    def _db(self) -> sqlite3.Connection:
        if not hasattr(self._local, "db"):
            db = sqlite3.connect(self.runs / "gallery.db", timeout=30, isolation_level=None)
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")  # what a power cut takes away is read again from the runs
            _make(db)
            db.execute("ATTACH ? AS jobs", (str(self.runs / "queue.db"),))
            self._local.db = db
        found: sqlite3.Connection = self._local.db
        return found

    def close(self) -> None:
        """Close this thread's connection."""
        if hasattr(self._local, "db"):
            self._local.db.close()
            del self._local.db

    # -- keeping up

    def refresh(self) -> None:
        """Take in what the runs have made and what was decided since the last time."""
        with self._refreshing:
            self._take_rows()
            known = self._db.execute("SELECT run, stamp FROM known WHERE pictures > 0").fetchall()
            for one in known:
                stamp = _stamp(self.runs / one["run"])
                if stamp != one["stamp"]:
                    self._take_verdicts(one["run"], stamp)

    def _take_rows(self) -> None:
        db = self._db
        changed = db.execute(
            "SELECT run.id, run.seq, run.created, run.done, run.state FROM jobs.run"
            " LEFT JOIN known ON known.run = run.id"
            " WHERE run.done > 0 AND (known.run IS NULL OR known.done != run.done OR known.state != run.state)"
        ).fetchall()
        for run in changed:
            db.execute("BEGIN IMMEDIATE")
            db.execute(_NEW_ROWS, (run["seq"], run["created"], run["id"]))
            db.execute(
                "INSERT INTO known SELECT ?1, ?2, ?3, (SELECT count(*) FROM picture WHERE run = ?1), ''"
                " WHERE true ON CONFLICT(run) DO UPDATE SET done = excluded.done, state = excluded.state,"
                " pictures = excluded.pictures, stamp = ''",
                (run["id"], run["done"], run["state"]),
            )
            db.execute("COMMIT")

    def _take_verdicts(self, run: str, stamp: str) -> None:
        found = folders.verdicts(self.runs / run)
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE picture SET verdict = '' WHERE run = ? AND verdict != ''", (run,))
        db.executemany(
            "UPDATE picture SET verdict = ? WHERE run = ? AND stem = ?",
            [(verdict, run, stem) for stem, verdict in found.items()],
        )
        db.execute("UPDATE known SET stamp = ? WHERE run = ?", (stamp, run))
        db.execute("COMMIT")

    def retake(self, runs: Iterable[str]) -> None:
        """Forget these runs and take them in anew: pictures of theirs have gone."""
        with self._refreshing:
            db = self._db
            for run in runs:
                db.execute("BEGIN IMMEDIATE")
                db.execute("DELETE FROM picture WHERE run = ?", (run,))
                db.execute("DELETE FROM known WHERE run = ?", (run,))
                db.execute("COMMIT")
        self.refresh()

    # -- asking

    def page(
        self, wanted: Filter, *, before: int | None = None, after: int | None = None, limit: int = 60
    ) -> list[Picture]:
        """Newest first: the newest there are, those that follow the picture `before`, or lead up to the one `after`."""
        where, values = _where(wanted)
        if after is not None:
            rows = self._db.execute(
                f"SELECT * FROM picture WHERE {where} AND key > ? ORDER BY key LIMIT ?", (*values, after, limit)
            ).fetchall()[::-1]
        else:
            start = 2**62 if before is None else before
            rows = self._db.execute(
                f"SELECT * FROM picture WHERE {where} AND key < ? ORDER BY key DESC LIMIT ?", (*values, start, limit)
            ).fetchall()
        return [_picture(row) for row in rows]

    def count(self, wanted: Filter, *, above: int = -1) -> int:
        """How many there are; with `above`, how many of them come before the picture of that key."""
        where, values = _where(wanted)
        return int(
            self._db.execute(f"SELECT count(*) FROM picture WHERE {where} AND key > ?", (*values, above)).fetchone()[0]
        )

    def verdicts(self, wanted: Filter) -> dict[str, int]:
        """How many of each verdict, whatever verdict the filter names; "" is undecided."""
        where, values = _where(wanted, any_verdict=True)
        rows = self._db.execute(
            f"SELECT verdict, count(*) AS pictures FROM picture WHERE {where} GROUP BY verdict", values
        )
        return {row["verdict"]: row["pictures"] for row in rows}

    def every(self, wanted: Filter) -> list[Picture]:
        """All of them, newest first."""
        return self.page(wanted, limit=2**31)

    def groups(self, wanted: Filter) -> list[Group]:
        """All of them again, counted where they are alike: what a data set of them would look like needs no more."""
        where, values = _where(wanted)
        rows = self._db.execute(
            "SELECT run, source, CASE WHEN source IS NULL THEN stem END AS stem, defect, areas, verdict, count(*) AS n"
            f" FROM picture WHERE {where} GROUP BY 1, 2, 3, 4, 5, 6",
            values,
        )
        return [
            Group(row["run"], row["source"], row["stem"], _kinds(row), row["areas"], row["verdict"], row["n"])
            for row in rows
        ]

    def named(self, ids: Iterable[str]) -> list[Picture]:
        """Pictures by their ids, "RUN/00000", in that order. Raises Missing."""
        found = []
        for id in ids:
            run, _, stem = id.partition("/")
            row = self._db.execute("SELECT * FROM picture WHERE run = ? AND stem = ?", (run, stem)).fetchone()
            if row is None:
                raise Missing(f"there is no picture {id[:120]!r}: reload the page")
            found.append(_picture(row))
        return found

    def defects(self) -> list[tuple[str, int]]:
        """Each kind of defect and how many pictures show it, by name."""
        found: dict[str, int] = {}
        rows = self._db.execute("SELECT defect, count(*) FROM picture WHERE verdict != 'deleted' GROUP BY defect")
        for kinds, count in rows:
            for kind in filter(None, kinds.split("+")):
                found[kind] = found.get(kind, 0) + count
        return sorted(found.items())

    def sources(self, limit: int) -> list[tuple[str, str, int]]:
        """(sha256, name, pictures made from it) of the good pictures that most were made from."""
        rows = self._db.execute(
            "SELECT source, max(source_name), count(*) FROM picture WHERE verdict != 'deleted' AND source IS NOT NULL"
            " GROUP BY source ORDER BY count(*) DESC LIMIT ?",
            (limit,),
        )
        return [tuple(row) for row in rows]

    def newest_runs(self, limit: int) -> list[tuple[str, int]]:
        """(run, pictures) of the runs that made any, newest first."""
        rows = self._db.execute(
            "SELECT known.run, known.pictures FROM jobs.run JOIN known ON known.run = run.id WHERE known.pictures > 0"
            " ORDER BY run.seq DESC LIMIT ?",
            (limit,),
        )
        return [tuple(row) for row in rows]


def _make(db: sqlite3.Connection) -> None:
    """The tables, empty where they meant something else before."""
    db.executescript(_TABLES)
    if db.execute("PRAGMA user_version").fetchone()[0] == VERSION:
        return
    db.execute("BEGIN IMMEDIATE")
    if db.execute("PRAGMA user_version").fetchone()[0] != VERSION:  # nobody else did it meanwhile
        db.execute("DELETE FROM picture")
        db.execute("DELETE FROM known")
        db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")


def _where(wanted: Filter, *, any_verdict: bool = False) -> tuple[str, Sequence[object]]:
    """The filter as SQL and its values."""
    parts: list[str] = []
    values: list[object] = []

    def narrow(part: str, *given: object) -> None:
        parts.append(part)
        values.extend(given)

    if not any_verdict and wanted.verdict:
        narrow("verdict = ?", "" if wanted.verdict == "undecided" else wanted.verdict)
    elif not any_verdict:
        narrow("verdict != 'deleted'")
    if wanted.defect:
        narrow("instr('+' || defect || '+', ?) > 0", f"+{wanted.defect}+")
    if wanted.source:
        narrow("source = ?", wanted.source)
    if wanted.run:
        narrow("run = ?", wanted.run)
    ranges = {
        "made": (wanted.since, wanted.until),
        "visibility": wanted.visibility,
        "fidelity": wanted.fidelity,
    }
    for column, (low, high) in ranges.items():
        if low is not None:
            narrow(f"{column} >= ?", low)
        if high is not None:
            narrow(f"{column} <= ?", high)
    return " AND ".join(parts) or "true", values


def _stamp(folder: Path) -> str:
    """Changes whenever review.json does: it is always written anew and put in the old one's place."""
    try:
        found = (folder / "review.json").stat()
    except FileNotFoundError:
        return ""
    return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"


def _kinds(row: sqlite3.Row) -> tuple[str, ...]:
    return tuple(filter(None, row["defect"].split("+")))


def _picture(row: sqlite3.Row) -> Picture:
    return Picture(
        row["key"],
        row["run"],
        row["stem"],
        row["idx"],
        row["made"],
        _kinds(row),
        row["areas"],
        row["source"],
        row["source_name"],
        row["visibility"],
        row["fidelity"],
        row["verdict"],
    )
