"""What the page shows of a project: its facts, a page of its pictures, the strip beside the samples; and what it keeps.

Knows projects, assets and the index of what was made from them; nothing of Gradio's events.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pipelines.core.assets import Asset
from pipelines.core.errors import Missing
from pipelines.core.gallery import Filter, Gallery
from pipelines.core.projects import Picture, Project
from studio.context import Context
from studio.downloads import THUMB_PX
from studio.i18n import Language

PAGE = 60
STRIP = 40


def facts(project: Project) -> dict[str, Any]:
    """A project without its pictures, of which there may be thousands."""
    return {**project.model_dump(exclude={"pictures"}), "count": len(project.pictures)}


def page(
    context: Context, gallery: Gallery, project: Project, first: int, limit: int = PAGE, around: str = ""
) -> dict[str, Any]:
    """Some of a project's pictures, in its order, with what was made from each; or the page with the one `around`."""
    gallery.refresh()
    if around in project.assets:
        first = project.assets.index(around) // limit * limit
    elif first >= len(project.pictures):  # what was there has been taken out meanwhile
        first = max(0, len(project.pictures) - 1) // limit * limit
    shown = project.pictures[first : first + limit]
    return {
        "items": [_tile(context, gallery, one) for one in shown],
        "first": first,
        "total": len(project.pictures),
        "open": project.open,
    }


def _tile(context: Context, gallery: Gallery, picture: Picture) -> dict[str, Any]:
    """One picture; what is missing or damaged in the store says so, and can be taken out."""
    try:
        asset = context.assets.get(picture.asset)
    except Missing:
        return {"asset": picture.asset, "name": picture.name, "missing": True}
    verdicts = gallery.verdicts(Filter(source=asset.sha256))
    made = sum(count for verdict, count in verdicts.items() if verdict != "deleted")
    size = {"width": asset.width, "height": asset.height, "bits": asset.bits, "bytes": asset.bytes}
    results = {"made": made, "kept": verdicts.get("kept", 0)}
    return {"asset": asset.id, "name": asset.name, "thumb": thumb(asset.id, asset.name), **size, **results}


def thumb(asset: str, name: str) -> str:
    """Where a browser finds a small copy."""
    return f"/files/{asset}/{quote(name)}?side={THUMB_PX}"


def strip(context: Context, id: str) -> dict[str, Any]:
    """The pictures around the open one, for the strip beside the samples. Of an unknown project: none."""
    project = context.projects.newest(id)
    if project is None:
        return {"project": "", "name": "", "items": [], "open": "", "total": 0}
    at = project.assets.index(project.open) if project.open in project.assets else 0
    begin = max(0, min(at - STRIP // 2, len(project.pictures) - STRIP))
    items = [
        {"asset": one.asset, "title": one.name, "thumb": thumb(one.asset, one.name)}
        for one in project.pictures[begin : begin + STRIP]
    ]
    total = len(project.pictures)
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
