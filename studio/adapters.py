"""The routes of the adapter library: list, add, change, delete and take back. Knows the store and the job table.

A file comes in by POST /api/uploads/adapter; what can be done with one, `convert` does as any task.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from pipelines.core import library, runs
from pipelines.core.errors import BadInput, Missing
from pipelines.core.library import Change, Entry, Library
from studio import shelf
from studio.context import Context

MOST_RUNS = 300
"""So many of the newest runs with adapters are looked through for pictures made with one."""
SAMPLES = 4
_USING = "SELECT id, request FROM run WHERE instr(request, '\"adapters\"') ORDER BY seq DESC LIMIT ?"


class New(BaseModel):
    """An adapter to add: a file that was uploaded, or what a run trained."""

    model_config = ConfigDict(extra="forbid")

    asset: str | None = Field(None, description="The asset of an adapter file")
    run: str | None = Field(None, description="The run that trained it")
    name: str | None = Field(None, description="What to call it; empty = as the file calls itself")


def router(context: Context) -> APIRouter:
    """Everything below /api/adapters."""
    routes = APIRouter(prefix="/api/adapters", tags=["adapters"])
    store = Library(context.runs)
    no_such: dict[int | str, dict[str, Any]] = {404: {"description": "No such adapter"}}

    @routes.get("", summary="Every adapter of the library, newest first, and a sentence for each that is damaged")
    def every() -> dict[str, Any]:
        found = store.every()
        using = _using(context, found.entries)
        return {
            "adapters": [_facts(context, one, using.get(one.id, [])) for one in found.entries],
            "damaged": list(found.damaged),
        }

    @routes.post(
        "",
        status_code=201,
        summary="Add an adapter; a file that is there already stays as it is",
        responses={422: {"description": "No adapter, or one this studio cannot apply"}},
    )
    def add(asked: New) -> dict[str, Any]:
        if (asked.asset is None) == (asked.run is None):
            raise BadInput("name the adapter's asset, or the run that trained it: one of them", "asset")
        asset = library.asset_of(context.assets, asked.asset or asked.run or "")
        if asset is None:
            raise BadInput(
                "asset: upload the file first (POST /api/uploads/adapter) and use the id it returns", "asset"
            )
        return _facts(context, store.add(asset, asked.name, asked.run))

    @routes.get("/{id}", summary="One adapter", responses=no_such)
    def one(id: str) -> dict[str, Any]:
        return _facts(context, store.get(id))

    @routes.patch("/{id}", summary="Rename it, or set trigger words, base, note, samples", responses=no_such)
    def change(id: str, asked: Change) -> dict[str, Any]:
        return _facts(context, store.change(id, asked))

    @routes.delete("/{id}", summary="Delete it; for a week that can be taken back", responses=no_such)
    def delete(id: str) -> dict[str, Any]:
        store.delete(id)
        return {"deleted": id}

    @routes.post("/{id}/restore", summary="Take a deletion back", responses=no_such)
    def restore(id: str) -> dict[str, Any]:
        return _facts(context, store.restore(id))

    return routes


def _facts(context: Context, entry: Entry, using: Sequence[str] = ()) -> dict[str, Any]:
    """An entry with the addresses of its pictures: those somebody chose, else those that runs made with it."""
    chosen = [found for one in entry.samples if (found := _chosen(context, one))]
    return {
        **entry.model_dump(mode="json"),
        "download": f"/files/{entry.asset}/{quote(entry.file)}",
        "pictures": chosen or _made(context, using),
    }


def _chosen(context: Context, id: str) -> dict[str, str] | None:
    try:
        asset = context.assets.get(id)
    except Missing:  # freed since
        return None
    return {"thumb": shelf.thumb(asset.id, asset.name), "file": f"/files/{asset.id}/{quote(asset.name)}"}


def _using(context: Context, entries: Sequence[Entry]) -> Mapping[str, list[str]]:
    """Which runs used which adapter, newest first."""
    if not entries:
        return {}
    rows = [(row["id"], row["request"]) for row in context.queue.reading.execute(_USING, (MOST_RUNS,))]
    return library.samples(rows, entries)


def _made(context: Context, using: Sequence[str]) -> list[dict[str, str]]:
    """The newest pictures of these runs that nobody turned down."""
    found: list[dict[str, str]] = []
    for run in using:
        try:
            verdicts = runs.verdicts(context.runs / run)
        except (OSError, json.JSONDecodeError):  # its folder is gone, or damaged: there are other runs
            continue
        for row in context.queue.rows(run, limit=SAMPLES * 2):
            stem = str(row.get("file", "")).removeprefix("images/").removesuffix(".png")
            if "thumb" in row and verdicts.get(stem) not in ("discarded", "deleted"):
                found.append({"thumb": f"/files/{run}/{row['thumb']}", "file": f"/files/{run}/{row['file']}"})
        if len(found) >= SAMPLES:
            break
    return found[:SAMPLES]
