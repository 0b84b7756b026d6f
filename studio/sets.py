"""The routes of data sets: what can be trained on, a folder that is opened for it, and what the look through it found.

A data set is one by its id; no route takes a path of the disk but one below a folder that was opened with --data.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from pipelines.core import datasets, files, ids, projects
from pipelines.core.errors import Missing, Problem
from pipelines.core.folders import SUFFIXES, natural
from pipelines.core.records import USED
from pipelines.core.requests.organize import JOURNAL, PLAN, UNDONE
from studio import i18n
from studio.answers import hide
from studio.context import Context

MOST_RUNS = 30
MAKING = ("inpaint", "text", "crop")
"""Tasks whose runs hold pictures to learn from."""
TOLD = {"checks": "check", "ingests": "ingest", "sortings": "organize", "crops": "crop"}
"""What a run over a data set is called in an address, and its task."""
MOST_MOVES = 20
MOST_CROPS, CROPS_LOOKED = 24, 500
REAL = 8
MOST_LOOKED = 20_000
NO_PICTURES = ("ground_truth", "mask", "annotation", "label")
"""A folder or file with this in its name holds what was drawn about pictures."""
MASKED = ("_mask", ".mask", "_gt")
GOOD = ("good", "ok", "normal")


class Place(BaseModel):
    """A folder below one of those that were opened."""

    model_config = ConfigDict(extra="forbid")

    root: int = Field(description="The folder's number in `roots` of GET /api/folders")
    path: str = Field("", max_length=1024, description="Below that folder, with /; empty for the folder itself")


def router(context: Context) -> APIRouter:
    """Everything below /api/datasets."""
    routes = APIRouter(prefix="/api/datasets", tags=["data sets"])

    @routes.get("", summary="What can be trained on: data sets, projects and runs with pictures")
    def every() -> dict[str, list[dict[str, Any]]]:
        return {"datasets": _kept(context), "projects": _projects(context), "runs": _runs(context)}

    @routes.post(
        "",
        status_code=201,
        summary="Make a folder a data set; the same folder has the same id each time",
        responses={404: {"description": "No such folder"}},
    )
    def add(asked: Place) -> dict[str, str]:
        folder = context.folders.find(asked.root, asked.path)
        root = context.folders.names()[asked.root]
        made = datasets.put(context.runs, folder, f"{root}/{asked.path}" if asked.path else root)
        return {"id": made.id, "label": made.label}

    @routes.get(
        "/moves", summary="Runs of the task `organize` that moved pictures and were not taken back, newest first"
    )
    def moves() -> list[dict[str, Any]]:
        return _moves(context)

    @routes.get(
        "/{kind}/{run}",
        summary="How far a run over a data set is and what it found, in sentences of a language",
        responses={404: {"description": "No such run, or one of another task"}},
    )
    def told(
        kind: Literal["checks", "ingests", "sortings", "crops"],
        run: str,
        language: Annotated[str, Query(max_length=20, description="Such as ja")] = i18n.ENGLISH,
    ) -> dict[str, Any]:
        return _told(context, run, TOLD[kind], language)

    return routes


def _told(context: Context, run: str, task: str, language: str) -> dict[str, Any]:
    """A run of that task: how far it is, and when it is done what it found."""
    row = context.queue.get(run)
    if row.task != task:
        raise Missing(f"run {run} is of another task: GET /api/runs says which")
    say = i18n.language(i18n.best(language, ""))
    sentence = hide(row.sentence, context.runs) if row.sentence else ""
    found = _found(context.runs / run / "result.json", say, context.runs) if row.state == "done" else None
    if found is not None and task == "crop":
        found["crops"] = _crops(context, run)
    return {
        "id": run,
        "state": row.state,
        "data": row.request.get("data"),
        "layout": row.request.get("layout"),
        "done": row.done,
        "total": row.total,
        "note": say.sentence(row.note) if row.note else "",
        "sentence": say.sentence(sentence) if sentence else "",
        "found": found,
    }


def label(context: Context, data: str) -> str:
    """What to call the data of a request."""
    try:
        if datasets.ID.fullmatch(data):
            return datasets.get(context.runs, data).label
        if projects.ID.fullmatch(data):
            return context.projects.get(data).name
    except Problem:  # gone since: the training is still one of it
        return data
    return data if ids.RUN.fullmatch(data) else Path(data).name


def pictures(context: Context, data: str, defect: str | None, most: int = REAL) -> list[Path]:
    """Some of its pictures, spread over all of them: of that defect, or good ones, as far as names of folders tell.

    Of a folder that is not opened to the studio: none.
    """
    if projects.ID.fullmatch(data):
        listed = context.projects.records(data).assets(USED)
        found = [context.assets.get(one).path for one in listed if context.assets.has(one)]
        return _spread(found, most)
    try:
        folder = datasets.folder(data, context.runs)
    except Problem:
        return []
    if ids.RUN.fullmatch(data):
        return _spread(sorted((folder / "images").rglob("*.png")), most)
    unpacked = context.runs / "datasets"
    if not any(folder.resolve().is_relative_to(root) for root in (*context.folders.roots, unpacked)):
        return []
    every = sorted(_walk(folder), key=lambda one: natural(one.relative_to(folder).as_posix()))
    named = [one for one in every if _shows(one.relative_to(folder), defect)]
    return _spread(named or every, most)


def _walk(folder: Path) -> Iterator[Path]:
    """Pictures below a folder, masks left out, links not followed."""
    left = MOST_LOOKED
    for here, names, found in os.walk(folder):
        names[:] = [name for name in names if not _drawn(name) and not name.startswith(".")]
        for name in found:
            left -= 1
            if name.lower().endswith(SUFFIXES) and not any(one in name.lower() for one in MASKED):
                yield Path(here, name)
        if left < 0:
            return


def _drawn(name: str) -> bool:
    return any(one in name.lower() for one in NO_PICTURES)


def _shows(path: Path, defect: str | None) -> bool:
    """Whether a picture's folders, or its own name (`crazing_12.jpg`), say that it shows the defect, or none."""
    folders = [part.lower() for part in path.parent.parts]
    if defect is None:
        return any(good in folders for good in GOOD)
    return defect.lower() in folders or path.name.lower().startswith(f"{defect.lower()}_")


def _spread(found: list[Path], most: int) -> list[Path]:
    return found if len(found) <= most else [found[place * len(found) // most] for place in range(most)]


def _kept(context: Context) -> list[dict[str, Any]]:
    """Folders that are data sets and are still there, by their names."""
    found = []
    for path in (context.runs / "datasets").glob("dataset-*.json"):
        try:
            one = datasets.get(context.runs, path.stem)
        except Missing:
            continue
        if one.folder.is_dir():
            found.append({"id": one.id, "label": one.label})
    return sorted(found, key=lambda one: natural(one["label"]))


def _projects(context: Context) -> list[dict[str, Any]]:
    every = context.projects.every().projects
    counted = [(one, context.projects.records(one.id).count(USED)) for one in every]
    return [{"id": one.id, "label": one.name, "count": count} for one, count in counted if count]


def _runs(context: Context) -> list[dict[str, Any]]:
    """The newest runs that made pictures."""
    found = []
    for row in context.queue.newest(limit=200):
        if row.task in MAKING and row.state == "done" and row.done:
            said = str(row.request.get("defect") or row.request.get("prompt") or row.task)
            found.append({"id": row.id, "label": said[:60], "count": row.done, "created": row.created})
    return found[:MOST_RUNS]


def _found(path: Path, say: i18n.Language, runs: Path) -> dict[str, Any] | None:
    """The result of a run, its sentences in the language."""
    try:
        with files.reading(path, path.name) as file:
            said = json.loads(file.read())
    except (Problem, ValueError):
        return None
    for fault in said.get("faults", ()):
        fault["sentences"] = [say.sentence(hide(str(one), runs)) for one in fault.get("sentences", ())]
    if "notes" in said:
        said["notes"] = [say.sentence(hide(str(one), runs)) for one in said["notes"]]
    return dict(said)


def _crops(context: Context, run: str) -> list[dict[str, str]]:
    """Some windows of a run, those with a defect first: what each was cut from, its thumbnail and its mask."""
    rows = sorted(context.queue.rows(run, limit=CROPS_LOOKED), key=lambda one: not one["regions"])
    at = f"/files/{run}"
    return [
        {
            "name": one["name"],
            "defect": one["defect"],
            "thumb": f"{at}/{one['thumb']}",
            "mask": f"{at}/{one['mask']}" if one["regions"] else "",
        }
        for one in rows[:MOST_CROPS]
    ]


def _moves(context: Context) -> list[dict[str, Any]]:
    """Moves that stand: of each its run, its data set, and how many pictures it was to move."""
    found: list[dict[str, Any]] = []
    for path in sorted(context.runs.glob(f"*/{JOURNAL}"), reverse=True):
        with suppress(Problem, OSError, ValueError):  # a run that nobody asked for, or whose files are damaged
            row, undone = context.queue.get(path.parent.name), path.with_name(UNDONE)
            if not row.over or (undone.is_file() and "result" in json.loads(undone.read_text(encoding="utf-8"))):
                continue
            moved = json.loads(path.with_name(PLAN).read_text(encoding="utf-8"))["moved"]
            data = str(row.request["data"])
            one = {"id": row.id, "data": data, "label": label(context, data), "moved": moved, "created": row.created}
            found.append(one)
    return found[:MOST_MOVES]
