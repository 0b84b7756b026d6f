"""The routes that follow batches: which there are, how far one is and what it sets aside, its pictures as they come.

Reads the job table by SQL, a page at a time, so that a batch of a hundred thousand is as quick to look at as a small
one. Makes no picture.
"""

import json
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePosixPath
from statistics import mean, median
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from pipelines.core import files, requests
from pipelines.core.errors import Missing
from pipelines.core.queue import ENDED, Row
from pipelines.core.requests import Batch
from pipelines.core.runs import ASIDE, FAILED
from studio import batching, i18n
from studio.answers import hide
from studio.context import Context
from studio.i18n import Language
from studio.labels import Body

MOST = 40
WALL = 48
MOST_WALL = 200
TIMED = 25
"""So many of the newest pictures say how fast it goes, and how large a picture is."""
PAUSE = 5
"""A gap so many times as long as the others was no work: the batch was stopped, or something urgent went first."""
ANEW_S = 5.0
MOST_COUNTED = 200
Tongue = Annotated[str, Query(max_length=20, description="The language of sentences, such as ja")]
_LISTED = (
    "SELECT id, state, done, total, note, sentence, stop, created, started, ended, json_remove(request, '$.sources',"
    " '$.masks') AS request, json_array_length(request, '$.sources') AS sources FROM run"
)
_COUNTED = (
    "SELECT max(idx) AS top, count(*) AS n, row ->> '$.aside.gate' AS gate, row ->> '$.failed' IS NOT NULL AS failed,"
    " row ->> '$.plan.class' AS class FROM item WHERE run = ? AND state = 'done' AND idx > ? GROUP BY 3, 4, 5"
)
_WALL = (
    "SELECT idx, row ->> '$.thumb' AS thumb, row ->> '$.file' AS file, row ->> '$.mask' AS mask, row ->> '$.seed' AS"
    " seed, row ->> '$.aside.gate' AS gate, row ->> '$.aside.why' AS why, row ->> '$.failed' AS failed,"
    " row ->> '$.plan.class' AS class, row ->> '$.plan.attempt' AS attempt, row -> '$.scores' AS scores,"
    " row -> '$.source' AS source FROM item WHERE run = ? AND state = 'done' AND idx < ? ORDER BY idx DESC LIMIT ?"
)


class Again(Body):
    """What a batch that is over is to do once more."""

    tries: int | None = Field(None, ge=1, le=100, description="Try each open picture so often; empty = as before")


@dataclass
class Count:
    """What became of the tries of a batch, as far as they were counted."""

    top: int = -1
    kept: Counter[str] = field(default_factory=Counter)
    """By class."""
    aside: Counter[str] = field(default_factory=Counter)
    """By gate."""
    failed: int = 0

    @property
    def tried(self) -> int:
        return self.kept.total() + self.aside.total() + self.failed


class Counts:
    """The counts of batches that are looked at: each try is counted once. May be used from several threads.

    Tries come in the order of their numbers, but for those that are made again: where the job table knows of more than
    were counted, and when a batch has ended, all are counted anew.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._kept: OrderedDict[str, tuple[float | None, float, Count]] = OrderedDict()
        self._alone = threading.Lock()

    def of(self, run: str, done: int, ended: float | None) -> Count:
        """The counts of a run that the job table knows like that."""
        with self._alone:
            now = time.monotonic()
            before, at, count = self._kept.get(run, (0.0, 0.0, Count()))
            if ended is None and before is None:
                count = self._on(run, count)
                if count.tried < done and now - at > ANEW_S:
                    at, count = now, self._on(run, Count())
            elif ended is None or before != ended:
                at, count = now, self._on(run, Count())
            self._kept[run] = (ended, at, count)
            self._kept.move_to_end(run)
            while len(self._kept) > MOST_COUNTED:
                self._kept.popitem(last=False)
            return count

    def _on(self, run: str, before: Count) -> Count:
        found = Count(before.top, Counter(before.kept), Counter(before.aside), before.failed)
        for row in self._context.queue.reading.execute(_COUNTED, (run, before.top)):
            found.top = max(found.top, row["top"])
            if row["failed"]:
                found.failed += row["n"]
            elif row["gate"]:
                found.aside[row["gate"]] += row["n"]
            else:
                found.kept[row["class"] or ""] += row["n"]
        return found


def router(context: Context) -> APIRouter:
    """Everything below /api/batches."""
    routes = APIRouter(prefix="/api/batches", tags=["batches"])
    counts = Counts(context)
    no_such: dict[int | str, dict[str, Any]] = {404: {"description": "No such batch"}}

    @routes.get("", summary="Batches, newest first: what each makes and how far it is")
    def every(language: Tongue = i18n.ENGLISH) -> list[dict[str, Any]]:
        say = i18n.language(i18n.best(language, ""))
        query = f"{_LISTED} WHERE task = 'batch' ORDER BY seq DESC LIMIT ?"
        return [_facts(context, say, counts, dict(row)) for row in context.queue.reading.execute(query, (MOST,))]

    @routes.get("/{run}", summary="One batch: kept, set aside and why, how fast it goes", responses=no_such)
    def one(run: str, language: Tongue = i18n.ENGLISH) -> dict[str, Any]:
        say = i18n.language(i18n.best(language, ""))
        found = context.queue.reading.execute(f"{_LISTED} WHERE task = 'batch' AND id = ?", (run,)).fetchone()
        if found is None:
            raise _unknown(run)
        facts = _facts(context, say, counts, dict(found))
        return {**facts, **_pace(context, run, facts), "request": json.loads(found["request"])}

    @routes.get("/{run}/wall", summary="Its tries, the last first, page by page", responses=no_such)
    def wall(
        run: str,
        before: Annotated[int | None, Query(ge=0, description="The number of the last one of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_WALL)] = WALL,
        language: Tongue = i18n.ENGLISH,
    ) -> dict[str, Any]:
        say = i18n.language(i18n.best(language, ""))
        query = "SELECT 1 FROM run WHERE task = 'batch' AND id = ?"
        if context.queue.reading.execute(query, (run,)).fetchone() is None:
            raise _unknown(run)
        top = 2**62 if before is None else before
        rows = [dict(row) for row in context.queue.reading.execute(_WALL, (run, top, limit + 1))]
        more = rows[limit - 1]["idx"] if len(rows) > limit else None
        return {"pictures": [_tile(context, say, run, row) for row in rows[:limit]], "next": more}

    @routes.post(
        "/{run}/retry",
        summary="Put a batch that is over back in line: for what failed, and for what is open still",
        responses=no_such,
    )
    def retry(run: str, asked: Again) -> dict[str, Any]:
        row = _batch(context, run)
        request = requests.parse(row.request)
        assert isinstance(request, Batch)
        again = batching.more(request, asked.tries)
        found = context.queue.reopen(run, FAILED, again)
        if again != request and (context.runs / run).is_dir():
            files.write_json(context.runs / run / "request.json", again.model_dump(mode="json"))
        return {"id": found.id, "state": found.state, "tries": again.tries}

    return routes


def _unknown(run: str) -> Missing:
    return Missing(f"run {run[:80]} is no batch: GET /api/batches lists those that there are")


def _batch(context: Context, run: str) -> Row:
    row = context.queue.get(run)
    if row.task != "batch":
        raise _unknown(run)
    return row


def _facts(context: Context, say: Language, counts: Counts, row: Mapping[str, Any]) -> dict[str, Any]:
    asked = json.loads(row["request"])
    count = counts.of(row["id"], row["done"], row["ended"])
    sentence = hide(row["sentence"], context.runs) if row["sentence"] else ""
    over, wanted = row["state"] in ENDED, min(asked["count"], asked.get("first") or asked["count"])
    defects = [str(one.get("defect") or "") for one in asked["defects"]] or [str(asked["template"].get("defect", ""))]
    return {
        **{name: row[name] for name in ("id", "state", "created", "started", "ended", "sources")},
        "over": over,
        "stopping": bool(row["stop"]) and not over,
        "wanted": wanted,
        "count": asked["count"],
        "first": asked.get("first"),
        "tries": asked["tries"],
        "defects": defects,
        "base": asked["template"].get("base", ""),
        "kept": count.kept.total(),
        "classes": dict(count.kept),
        "aside": dict(count.aside.most_common()),
        "failed": count.failed,
        "tried": count.tried,
        "sentence": say.sentence(sentence) if sentence else "",
    }


def _pace(context: Context, run: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Seconds and bytes for each picture that is kept, tries that were set aside included; None before there are any.

    Time is taken from the newest files, without the gaps in which the batch stood still.
    """
    query = (
        "SELECT row ->> '$.file' AS file, row ->> '$.mask' AS mask, row ->> '$.changed' AS changed,"
        " row ->> '$.asked' AS asked, row ->> '$.thumb' AS thumb FROM item WHERE run = ? AND state = 'done'"
        " ORDER BY idx DESC LIMIT ?"
    )
    times, sizes = [], []
    for row in context.queue.reading.execute(query, (run, TIMED)):
        found = [stat for stat in map(context.runs.joinpath(run).joinpath, filter(None, row)) if stat.is_file()]
        if found:
            times.append(max(path.stat().st_mtime for path in found))
            sizes.append(sum(path.stat().st_size for path in found))
    tries = facts["tried"] / facts["kept"] if facts["kept"] else None
    each = _gap(times) if len(times) > 1 else None
    if each is None and len(times) == 1 and facts["started"]:
        each = max(0.0, times[0] - facts["started"])
    return {
        "seconds_each": round(each * tries, 3) if each is not None and tries else None,
        "bytes_each": round(mean(sizes) * tries) if sizes and tries else None,
        "per_minute": round(60 / (each * tries), 2) if each and tries else None,
    }


def _gap(times: Sequence[float]) -> float:
    ordered = sorted(times)
    gaps = [after - before for before, after in pairwise(ordered)]
    usual = median(gaps)
    return mean(gap for gap in gaps if gap <= PAUSE * usual) if usual else mean(gaps)


def _tile(context: Context, say: Language, run: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A try for the wall; one that failed has no picture."""
    here = {"index": row["idx"], "class": row["class"] or "", "attempt": row["attempt"] or 0}
    if row["failed"] is not None:
        return {**here, "failed": say.sentence(hide(str(row["failed"]), context.runs)), "aside": None}
    address = f"/files/{run}/"
    stem = PurePosixPath(str(row["file"]).removeprefix(f"{ASIDE}/")).relative_to("images").with_suffix("").as_posix()
    scores = {
        name: value for name, value in json.loads(row["scores"] or "{}").items() if isinstance(value, int | float)
    }
    aside = {"gate": row["gate"], "why": say.sentence(str(row["why"]))} if row["gate"] else None
    return {
        **here,
        "failed": "",
        "aside": aside,
        "stem": f"{ASIDE}/{stem}" if aside else stem,
        "thumb": address + str(row["thumb"]),
        "file": address + str(row["file"]),
        "mask": address + str(row["mask"]) if row["mask"] else "",
        "seed": row["seed"],
        "source": (json.loads(row["source"]) or {}).get("name", "") if row["source"] else "",
        "scores": scores,
    }
