"""What a project knows of each of its pictures: class, mask, boxes, caption, tags, part, origin. SQLite, no pixels.

`pictures.db` lies in the project's folder and goes where that goes; it has no second file while nobody writes. Every
change is a step that can be undone, also one of a hundred thousand pictures, and several processes may write at once.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core import ids
from pipelines.core.assets import Asset
from pipelines.core.errors import BadInput, DiskFull, Missing, Problem

FILE = "pictures.db"
MOST = 200_000
"""Pictures of one project."""
MOST_TEXT = 4000
"""Characters of a value."""
MOST_BOXES = 400_000
"""Characters of the boxes of one picture."""
STEPS_KEPT = 100
TOLD = 100
"""Pictures of a step that are named."""
BUSY_S = 20
FIELDS = ("defect", "mask", "boxes", "caption", "tags", "part", "origin", "out")
"""What can be set of a picture. `defect` is its class and `tags` are words between commas, `mask` is an asset, `boxes`
are JSON; `origin` is what it was made from, and what shares that stays in one part: train, val or test, as `part` says;
`out` is a word on why it is left out of every data set. "" = nothing."""
PARTS = ("", "train", "val", "test")
_FACTS = ", ".join(f"{name} TEXT NOT NULL DEFAULT ''" for name in FIELDS)
_TABLES = f"""
CREATE TABLE IF NOT EXISTS picture(
  asset TEXT PRIMARY KEY, name TEXT NOT NULL, place INTEGER NOT NULL, gone TEXT NOT NULL DEFAULT '', {_FACTS});
CREATE INDEX IF NOT EXISTS picture_place ON picture(gone, place);
CREATE INDEX IF NOT EXISTS picture_defect ON picture(gone, defect, place);
CREATE TABLE IF NOT EXISTS step(
  id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, what TEXT NOT NULL, undone INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS change(
  step INTEGER NOT NULL, asset TEXT NOT NULL, field TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL,
  PRIMARY KEY(step, asset, field)) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Record:
    """A picture and what is known of it."""

    asset: str
    name: str
    defect: str = ""
    mask: str = ""
    boxes: str = ""
    caption: str = ""
    tags: str = ""
    """Separated by commas."""
    part: str = ""
    origin: str = ""
    out: str = ""


@dataclass(frozen=True)
class Filter:
    """Which pictures. What is None or empty does not narrow."""

    defect: str | None = None
    """"": the good ones."""
    text: str = ""
    """In the name, the caption or the tags, whatever the case (of ASCII letters)."""
    tag: str = ""
    part: str | None = None
    masked: bool | None = None
    captioned: bool | None = None
    out: bool | None = None
    assets: tuple[str, ...] | None = None

    def where(self) -> tuple[str, list[Any]]:
        """The condition and its values."""
        said, values = ["gone = ''"], []
        for field, value in (("defect", self.defect), ("part", self.part)):
            if value is not None:
                said.append(f"{field} = ?")
                values.append(value)
        for field, wanted in (("mask", self.masked), ("caption", self.captioned), ("out", self.out)):
            if wanted is not None:
                said.append(f"{field} {'!=' if wanted else '='} ''")
        if self.text:
            like = "%" + "".join(f"\\{sign}" if sign in "\\%_" else sign for sign in self.text) + "%"
            said.append("(name LIKE ? ESCAPE '\\' OR caption LIKE ? ESCAPE '\\' OR tags LIKE ? ESCAPE '\\')")
            values += [like] * 3
        if self.tag:
            said.append("instr(', ' || tags || ',', ?) > 0")
            values.append(f", {self.tag},")
        if self.assets is not None:
            said.append("asset IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(self.assets))
        return " AND ".join(said), values


EVERY = Filter()
USED = Filter(out=False)
"""What a data set is made of."""


@dataclass(frozen=True)
class Step:
    """A change that was made, undone or made again."""

    id: int
    what: str
    """Which it was, in a word: remove, class, caption, ..."""
    count: int
    """Pictures it touched."""
    assets: tuple[str, ...] = ()
    """The first of them, in the project's order."""


class Records:
    """The pictures of the project in `folder`, which must be there. Every method may raise Problem, DiskFull."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # -- looking

    def count(self, which: Filter = EVERY) -> int:
        where, values = which.where()
        return int(self._asked(f"SELECT count(*) FROM picture WHERE {where}", values)[0][0])

    def page(self, which: Filter = EVERY, first: int = 0, limit: int = -1) -> list[Record]:
        """Some of them, in the project's order; all with a limit of -1."""
        where, values = which.where()
        asked = f"SELECT asset, name, {', '.join(FIELDS)} FROM picture WHERE {where} ORDER BY place LIMIT ? OFFSET ?"
        return [Record(*row) for row in self._asked(asked, [*values, limit, first])]

    def assets(self, which: Filter = EVERY) -> list[str]:
        where, values = which.where()
        return [row[0] for row in self._asked(f"SELECT asset FROM picture WHERE {where} ORDER BY place", values)]

    def get(self, asset: str) -> Record:
        """Raises Missing."""
        found = self.page(Filter(assets=(asset,)))
        if not found:
            raise Missing(f"{asset[:40]!r} is no picture of this project")
        return found[0]

    def has(self, asset: str) -> bool:
        return bool(self.count(Filter(assets=(asset,))))

    def before(self, asset: str, which: Filter = EVERY) -> int:
        """How many of them come before a picture; all, where it is none of them."""
        where, values = which.where()
        place = "coalesce((SELECT place FROM picture WHERE gone = '' AND asset = ?), 9223372036854775807)"
        return int(
            self._asked(f"SELECT count(*) FROM picture WHERE {where} AND place < {place}", [*values, asset])[0][0]
        )

    def tally(self, field: str, which: Filter = EVERY) -> dict[str, int]:
        """How many pictures have each value of a field, the most frequent first."""
        where, values = which.where()
        asked = f"SELECT {_field(field)}, count(*) FROM picture WHERE {where} GROUP BY 1 ORDER BY 2 DESC, 1"
        return {row[0]: row[1] for row in self._asked(asked, values)}

    # -- changing

    def add(
        self, assets: Iterable[Asset], facts: Mapping[str, Mapping[str, str]] | None = None
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(added, already there) by id. New ones go to the end, with what `facts` knows of them by their id.

        What was taken out and is added again knows what it knew. Raises BadInput for too many and for values of no use.
        """
        given = {one.id: one for one in assets}
        known = facts or {}
        rows = {id: _checked(values) for id, values in known.items()}
        with self._writing() as db:
            there = {row[0] for row in _some(db, "SELECT asset FROM picture WHERE gone = '' AND asset", list(given))}
            new = [one for id, one in given.items() if id not in there]
            count, last = db.execute(
                "SELECT count(*) FILTER (WHERE gone = ''), coalesce(max(place), 0) FROM picture"
            ).fetchone()
            if count + len(new) > MOST:
                raise BadInput(
                    f"a project holds up to {MOST:,} pictures and this one has {count:,}: begin another project"
                )
            db.executemany(
                "INSERT INTO picture(asset, name, place) VALUES(?, ?, ?)"
                " ON CONFLICT(asset) DO UPDATE SET gone = '', place = excluded.place, name = excluded.name",
                [(one.id, one.name, last + 1 + number) for number, one in enumerate(new)],
            )
            for id, values in rows.items():
                if id not in there and id in given and values:
                    names = ", ".join(f"{name} = ?" for name in values)
                    db.execute(f"UPDATE picture SET {names} WHERE asset = ?", [*values.values(), id])
        return tuple(one.id for one in new), tuple(id for id in given if id in there)

    def adopt(self, listed: Iterable[Any]) -> None:
        """Takes over pictures {asset, name} as an older version listed them. Raises Problem where one is none."""
        try:
            sound = [(str(one["asset"]), str(one["name"])) for one in listed]
        except (TypeError, KeyError) as error:
            raise Problem(f"the project {self.folder.name} is damaged (its pictures are no list of ours)") from error
        with self._writing() as db:
            db.executemany(
                "INSERT OR IGNORE INTO picture(asset, name, place) VALUES(?, ?, ?)",
                [(asset, name, number) for number, (asset, name) in enumerate(sound, 1)],
            )

    def remove(self, assets: Sequence[str]) -> Step:
        """Takes pictures out; undone, they come back to their places with all that was known of them."""
        return self._step("remove", {asset: {"gone": "1"} for asset in assets})

    def change(self, values: Mapping[str, Mapping[str, str]], what: str) -> Step:
        """Sets fields of pictures by asset id; one that is not here is passed over. Raises BadInput for a value."""
        return self._step(what, {asset: _checked(fields) for asset, fields in values.items()})

    def change_all(self, which: Filter, values: Mapping[str, str], what: str) -> Step:
        """Sets the same of each of them."""
        checked = _checked(values)
        return self._step(what, dict.fromkeys(self.assets(which), checked))

    def undo(self) -> Step | None:
        """Takes the last change back; None where there is none."""
        return self._turned("SELECT id, what FROM step WHERE undone = 0 ORDER BY id DESC LIMIT 1", "before", 1)

    def redo(self) -> Step | None:
        """Makes what was undone last again; None where there is none."""
        return self._turned("SELECT id, what FROM step WHERE undone = 1 ORDER BY id LIMIT 1", "after", 0)

    def steps(self) -> tuple[str, str]:
        """What `undo` and `redo` would take back and make again, each in a word; "" for nothing."""
        undo = self._asked("SELECT what FROM step WHERE undone = 0 ORDER BY id DESC LIMIT 1", [])
        redo = self._asked("SELECT what FROM step WHERE undone = 1 ORDER BY id LIMIT 1", [])
        return (undo[0][0] if undo else ""), (redo[0][0] if redo else "")

    def rewritten(self, which: Filter, field: str, rewrite: Callable[[Record], str]) -> Iterator[tuple[Record, str]]:
        """Each picture whose field `rewrite` changes, with what it would become. Nothing is changed."""
        _field(field)
        for record in self.page(which):
            after = rewrite(record)
            if after != getattr(record, field):
                yield record, after

    # -- inside

    def _step(self, what: str, wanted: Mapping[str, Mapping[str, str]]) -> Step:
        with self._writing() as db:
            return self._stepped(db, what, wanted)

    def _stepped(self, db: sqlite3.Connection, what: str, wanted: Mapping[str, Mapping[str, str]]) -> Step:
        columns = ("gone", *FIELDS)
        rows = _some(db, f"SELECT asset, {', '.join(columns)} FROM picture WHERE gone = '' AND asset", list(wanted))
        changes = []
        for row in rows:
            now = dict(zip(columns, row[1:], strict=True))
            changes += [
                (row[0], name, now[name], after) for name, after in wanted[row[0]].items() if now[name] != after
            ]
        if not changes:
            return Step(0, what, 0)
        db.execute("DELETE FROM change WHERE step IN (SELECT id FROM step WHERE undone = 1)")
        db.execute("DELETE FROM step WHERE undone = 1")
        id = db.execute("INSERT INTO step(at, what) VALUES(?, ?)", (time.time(), what)).lastrowid or 0
        db.executemany("INSERT INTO change VALUES(?, ?, ?, ?, ?)", [(id, *one) for one in changes])
        self._set(db, id, "after")
        db.execute("DELETE FROM change WHERE step <= ?", (id - STEPS_KEPT,))
        db.execute("DELETE FROM step WHERE id <= ?", (id - STEPS_KEPT,))
        return _told(db, id, what)

    def _turned(self, last: str, side: str, undone: int) -> Step | None:
        with self._writing() as db:
            found = db.execute(last).fetchone()
            if found is None:
                return None
            id, what = found
            self._set(db, id, side)
            db.execute("UPDATE step SET undone = ? WHERE id = ?", (undone, id))
            return _told(db, id, what)

    def _set(self, db: sqlite3.Connection, step: int, side: str) -> None:
        """Gives the pictures of a step the values of its side, `before` or `after`."""
        for (field,) in db.execute("SELECT DISTINCT field FROM change WHERE step = ?", (step,)).fetchall():
            db.execute(
                f"UPDATE picture SET {field} = change.{side} FROM change"
                " WHERE change.step = ? AND change.field = ? AND change.asset = picture.asset",
                (step, field),
            )

    def _asked(self, question: str, values: Sequence[Any]) -> list[Any]:
        with self._opened() as db:
            return db.execute(question, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._opened() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """A connection for one look or one change: the folder may be moved between two of them."""
        path = self.folder / FILE
        try:
            with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as db:
                if not db.execute("PRAGMA user_version").fetchone()[0]:
                    db.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = 1; COMMIT;")
                yield db
        except sqlite3.OperationalError as error:
            if "full" in str(error):
                raise DiskFull("the disk of the runs folder is full: make room, then do it again") from error
            if not self.folder.is_dir():
                id = self.folder.name
                raise Missing(f"there is no project {id}: it was deleted, or never made") from error
            raise Problem(f"{FILE} of {self.folder.name} cannot be used just now ({error}): do it again") from error
        except sqlite3.DatabaseError as error:
            raise Problem(
                f"{FILE} of {self.folder.name} is damaged ({error}): move it away, then add the pictures again"
            ) from error


def _told(db: sqlite3.Connection, id: int, what: str) -> Step:
    touched = "FROM change JOIN picture ON picture.asset = change.asset WHERE step = ?"
    (count,) = db.execute(f"SELECT count(DISTINCT change.asset) {touched}", (id,)).fetchone()
    first = db.execute(f"SELECT DISTINCT change.asset {touched} ORDER BY place LIMIT {TOLD}", (id,)).fetchall()
    return Step(id, what, count, tuple(row[0] for row in first))


def _some(db: sqlite3.Connection, question: str, assets: Sequence[str]) -> list[Any]:
    """The rows of a question that ends before `IN`, for any number of assets."""
    return db.execute(f"{question} IN (SELECT value FROM json_each(?))", (json.dumps(assets),)).fetchall()


def _field(name: str) -> str:
    """Raises BadInput for one that there is not."""
    if name not in FIELDS:
        raise BadInput(f"a picture has no field {name[:40]!r}: it has {', '.join(FIELDS)}")
    return name


def _checked(values: Mapping[str, str]) -> dict[str, str]:
    """The values as they are kept. Raises BadInput."""
    return {_field(name): _value(name, value) for name, value in values.items()}


def _value(field: str, value: str) -> str:
    if not isinstance(value, str):
        raise BadInput(f"{field} is text, not {value!r:.40}", field)
    if field == "boxes":
        return _boxes(value)
    line = " ".join("".join(one if one.isprintable() else " " for one in value).split())
    if len(line) > MOST_TEXT:
        raise BadInput(f"{field} has {len(line):,} characters; up to {MOST_TEXT:,} are kept: shorten it", field)
    if field == "part" and line not in PARTS:
        raise BadInput(f"part {line[:40]!r} is none: use train, val, test, or leave it empty", field)
    if field == "mask" and line and not ids.ASSET.fullmatch(line):
        raise BadInput(f"mask {line[:40]!r} is no file of the store: upload it first", field)
    if field == "tags":
        return ", ".join(dict.fromkeys(tag for one in line.split(",") if (tag := one.strip())))
    return line


def _boxes(value: str) -> str:
    """As it came, where it is a list of boxes."""
    if not value:
        return ""
    if len(value) > MOST_BOXES:
        raise BadInput(f"boxes take {len(value):,} characters; up to {MOST_BOXES:,} are kept of a picture", "boxes")
    try:
        data = json.loads(value)
        sound = all({"x0", "y0", "x1", "y1", "defect"} <= set(one) for one in data)
    except (ValueError, TypeError, RecursionError):
        sound = False
    if not sound:
        raise BadInput("boxes is no list of boxes: each has x0, y0, x1, y1 and defect", "boxes")
    return value
