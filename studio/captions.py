"""The routes of captions: what can write them here, which runs did, what each said of a picture, and taking that over.

Reads the rows of a run as they come, also of one that was stopped. Captions go into a project in one step that can be
undone; what else is done with words is in studio/labels.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from pipelines.core.errors import Missing
from pipelines.core.queue import ENDED
from studio import captioning, i18n, labels
from studio.answers import hide
from studio.context import Context
from studio.i18n import Language
from studio.labels import Body, Which

MOST_RUNS = 12
MOST_ROWS = 500
SIDE_BY_SIDE = 6
"""Newest runs whose words for a picture are shown beside each other."""
LISTED = "pictures.json"
"""In a run's folder: the pictures in the order of its rows, as pipelines/dataset/caption writes it."""
Tongue = Annotated[str, Query(max_length=20, description="The language of sentences, such as ja")]


class Of(Body):
    """Some pictures of a run."""

    assets: tuple[str, ...] = Field(max_length=MOST_ROWS)


class Take(Body):
    """Whose words become the captions of which pictures."""

    which: Which
    captioner: str = Field("", max_length=40, description="Empty = the caption that the run chose")


def router(context: Context) -> APIRouter:
    """What lies below /api/captioners and /api/projects/{id}/captions."""
    routes = APIRouter(prefix="/api", tags=["captions"])
    store = context.projects

    @routes.get("/captioners", summary="What can write captions here, and what the others lack")
    def captioners(language: Tongue = i18n.ENGLISH) -> dict[str, Any]:
        return captioning.offered(i18n.language(i18n.best(language, "")))

    @routes.get("/projects/{id}/captions", summary="Runs that wrote captions for it, newest first")
    def runs(id: str, language: Tongue = i18n.ENGLISH) -> list[dict[str, Any]]:
        say = i18n.language(i18n.best(language, ""))
        return [_facts(context, say, one) for one in _runs(context, store.get(id).id)]

    @routes.get("/projects/{id}/captions/of/{asset}", summary="What the newest runs said of a picture")
    def said(id: str, asset: str) -> list[dict[str, Any]]:
        record = store.records(id).get(asset)
        found = [(one, _of(context, one["id"], [record.asset])) for one in _runs(context, id)]
        return [{"run": one["id"], "created": one["created"], **rows[0]} for one, rows in found if rows][:SIDE_BY_SIDE]

    @routes.get("/projects/{id}/captions/{run}/rows", summary="Finished rows of a run, in its order, page by page")
    def rows(
        id: str,
        run: str,
        first: Annotated[int, Query(ge=0, description="How many places to pass over")] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = labels.SHOWN,
    ) -> list[dict[str, Any]]:
        return context.queue.rows(_run(context, id, run), first - 1, limit)

    @routes.post("/projects/{id}/captions/{run}/rows", summary="The finished rows of some pictures")
    def rows_of(id: str, run: str, asked: Of) -> list[dict[str, Any]]:
        return _of(context, _run(context, id, run), asked.assets)

    @routes.post(
        "/projects/{id}/captions/{run}/take",
        summary="Take what a run, or one captioner of it, said of pictures, in one step that `undo` takes back",
    )
    def take(id: str, run: str, asked: Take) -> dict[str, Any]:
        records = store.records(id)
        meant = set(records.assets(asked.which.filter()))
        said = {row["image"]: _words(row, asked.captioner) for row in context.queue.rows(_run(context, id, run))}
        wanted = {asset: {"caption": words} for asset, words in said.items() if words and asset in meant}
        return asdict(records.change(wanted, "caption"))

    return routes


def _runs(context: Context, project: str) -> list[dict[str, Any]]:
    """The newest, without the pictures that each was asked for, of which there may be thousands."""
    asked = (
        "SELECT id, state, done, total, note, sentence, stop, created, started, ended, json_remove(request, '$.only')"
        " AS request FROM run WHERE task = 'caption' AND json_extract(request, '$.data') = ? ORDER BY seq DESC LIMIT ?"
    )
    found = [dict(row) for row in context.queue.reading.execute(asked, (project, MOST_RUNS))]
    return [{**one, "request": json.loads(one["request"])} for one in found]


def _facts(context: Context, say: Language, row: Mapping[str, Any]) -> dict[str, Any]:
    request, sentence = row["request"], hide(row["sentence"], context.runs) if row["sentence"] else ""
    return {
        **{name: row[name] for name in ("id", "state", "done", "total", "created", "started", "ended")},
        "captioners": request["captioners"],
        "write": request["write"],
        "over": row["state"] in ENDED,
        "stopping": bool(row["stop"]) and row["state"] not in ENDED,
        "note": say.sentence(row["note"]) if row["note"] else "",
        "sentence": say.sentence(sentence) if sentence else "",
    }


def _run(context: Context, project: str, run: str) -> str:
    """Raises Missing for one that wrote no captions for the project."""
    row = context.queue.get(run)
    if row.task != "caption" or row.request.get("data") != project:
        raise Missing(f"run {run} wrote no captions for this project: choose one of its own")
    return run


def _of(context: Context, run: str, assets: Sequence[str]) -> list[dict[str, Any]]:
    """The finished rows of those pictures, in the order of the run."""
    places = _places(context.runs / run / LISTED)
    wanted = [places[one] for one in assets if one in places]
    asked = (
        "SELECT row FROM item WHERE run = ? AND state = 'done' AND idx IN (SELECT value FROM json_each(?)) ORDER BY idx"
    )
    return [json.loads(row["row"]) for row in context.queue.reading.execute(asked, (run, json.dumps(wanted)))]


def _words(row: Mapping[str, Any], captioner: str) -> str:
    return str(row["said"].get(captioner, "") if captioner else row["caption"])


def _places(path: Path) -> Mapping[str, int]:
    """Which row is of which picture; none before the run begins."""
    try:
        return _read(path, path.stat().st_mtime_ns)
    except (FileNotFoundError, ValueError):
        return {}


@lru_cache(8)
def _read(path: Path, changed: int) -> Mapping[str, int]:
    return {str(one): place for place, one in enumerate(json.loads(path.read_text(encoding="utf-8")))}
