"""What the page shows of a project: its facts, a page of its pictures, the strip beside the samples; and what it keeps.

Knows projects, assets and the index of what was made from them; nothing of Gradio's events.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from pipelines.core import overlays
from pipelines.core.assets import Asset
from pipelines.core.errors import Missing
from pipelines.core.gallery import Filter as Made
from pipelines.core.gallery import Gallery
from pipelines.core.projects import Project
from pipelines.core.records import EVERY, Filter, Record
from studio.context import Context
from studio.downloads import THUMB_PX
from studio.i18n import Language

PAGE = 60
STRIP = 40


def facts(context: Context, project: Project) -> dict[str, Any]:
    """A project without its pictures, of which there may be thousands."""
    return {**project.model_dump(), "count": context.projects.records(project.id).count()}


@dataclass(frozen=True)
class Place:
    """Which of a project's pictures to show."""

    first: int = 0
    limit: int = PAGE
    around: str = ""
    """Instead of `first`: the page with this asset."""
    which: Filter = EVERY


def page(context: Context, gallery: Gallery, project: Project, place: Place) -> dict[str, Any]:
    """Some of a project's pictures, in its order, with what is known of each and what was made from it."""
    gallery.refresh()
    records, first, limit = context.projects.records(project.id), place.first, place.limit
    total = records.count(place.which)
    at = records.before(place.around, place.which) if place.around else total
    if at < total:
        first = at // limit * limit
    elif first >= total:  # what was there has been taken out meanwhile
        first = max(0, total - 1) // limit * limit
    shown = records.page(place.which, first, limit)
    undo, redo = records.steps()
    return {
        "items": [{**_tile(context, gallery, one), "overlay": overlay(project.id, one)} for one in shown],
        "first": first,
        "total": total,
        "all": total if place.which == EVERY else records.count(),
        "open": project.open,
        "undo": undo,
        "redo": redo,
    }


def _tile(context: Context, gallery: Gallery, record: Record) -> dict[str, Any]:
    """One picture; what is missing or damaged in the store says so, and can be taken out."""
    known = {**asdict(record), "boxes": len(json.loads(record.boxes or "[]"))}
    try:
        asset = context.assets.get(record.asset)
    except Missing:
        return {**known, "missing": True}
    verdicts = gallery.verdicts(Made(source=asset.sha256))
    made = sum(count for verdict, count in verdicts.items() if verdict != "deleted")
    size = {"width": asset.width, "height": asset.height, "bits": asset.bits, "bytes": asset.bytes}
    results = {"made": made, "kept": verdicts.get("kept", 0)}
    return {**known, "thumb": thumb(asset.id, asset.name), **size, **results}


def thumb(asset: str, name: str) -> str:
    """Where a browser finds a small copy."""
    return f"/files/{asset}/{quote(name)}?side={THUMB_PX}"


def overlay(project: str, record: Record) -> str:
    """Where a browser finds what is marked on a picture; "" where nothing is."""
    stamp = overlays.stamp(record)
    return f"/api/projects/{project}/overlay/{record.asset}?side={THUMB_PX}&of={stamp}" if stamp else ""


def strip(context: Context, id: str) -> dict[str, Any]:
    """The pictures around the open one, for the strip beside the samples. Of an unknown project: none."""
    project = context.projects.newest(id)
    if project is None:
        return {"project": "", "name": "", "items": [], "open": "", "total": 0}
    records = context.projects.records(project.id)
    total, at = records.count(), records.before(project.open) if project.open else 0
    begin = max(0, min((at if at < total else 0) - STRIP // 2, total - STRIP))
    items = [
        {"asset": one.asset, "title": one.name, "thumb": thumb(one.asset, one.name)}
        for one in records.page(first=begin, limit=STRIP)
    ]
    return {"project": project.id, "name": project.name, "items": items, "open": project.open, "total": total}


def took(context: Context, say: Language, id: Any, assets: Sequence[Asset], *, open: bool = True) -> Project:
    """Puts pictures into a project, and opens the last; where there is no project yet, one is made without a word.

    `id` is what the browser remembers, "" or a project of another day included.
    """
    project = context.projects.settle(id if isinstance(id, str) else "", say("data.untitled"))
    added = context.projects.add(project.id, assets).project
    return context.projects.change(project.id, open=assets[-1].id) if open and assets else added


def keep_form(context: Context, say: Language, id: Any, form: Mapping[str, Any]) -> Project | None:
    """Keeps what the page's controls hold, where there is a project to keep it in; another one is not touched."""
    project = context.projects.newest(id) if isinstance(id, str) else None
    return context.projects.change(id, form=form) if project and project.id == id else None
