"""The routes of what a project knows of its pictures: class, tags, captions, parts; for one, for many, undoably.

Knows the records of projects; nothing of the page. Pictures are named by asset id, or by a filter that finds them.
"""

import re
from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from typing import Annotated, Any, Literal

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from pipelines.core import overlays, statistics, templates
from pipelines.core.errors import Missing
from pipelines.core.records import FIELDS, Filter, Record, Records
from studio.context import Context

SHOWN = 100
MOST_CHANGED = 20_000
MOST_MEASURED = 20_000
LOOKING = 2
SETTLED = {"Cache-Control": "private, max-age=31536000, immutable"}
Text = Literal["caption", "tags", "defect"]


class Body(BaseModel):
    """What a route is sent; a field it does not know is a mistake, not a wish."""

    model_config = ConfigDict(extra="forbid")


class Which(Body):
    """Which pictures; what is left out does not narrow."""

    defect: str | None = Field(None, description="Of that class; empty = the good ones")
    text: str = Field("", max_length=200, description="In the name, the caption or the tags")
    tag: str = Field("", max_length=200)
    part: Literal["", "train", "val", "test"] | None = None
    masked: bool | None = Field(None, description="With a mask or without")
    captioned: bool | None = Field(None, description="With a caption or without")
    out: bool | None = Field(None, description="Left out of data sets or not")
    assets: tuple[str, ...] | None = Field(None, max_length=MOST_CHANGED, description="Of these only")

    def filter(self) -> Filter:
        return Filter(**self.model_dump())


def asked_for(
    defect: str | None = None,
    text: Annotated[str, Query(max_length=200)] = "",
    tag: Annotated[str, Query(max_length=200)] = "",
    part: Literal["", "train", "val", "test"] | None = None,
    masked: bool | None = None,
    captioned: bool | None = None,
    out: bool | None = None,
) -> Filter:
    """The same from an address."""
    return Filter(defect, text, tag, part, masked, captioned, out)


Asked = Annotated[Filter, Depends(asked_for)]


class Change(Body):
    """The same for each of some pictures."""

    which: Which
    values: dict[str, str] = Field(description=f"Of {', '.join(FIELDS)}; empty text = nothing")


class Each(Body):
    """For each picture its own."""

    values: dict[str, dict[str, str]] = Field(max_length=MOST_CHANGED, description="By asset id")


class Tags(Body):
    """Words to put to the tags of some pictures, or to take from them."""

    which: Which
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class Rewrite(Body):
    """A change of text that can be looked at first."""

    which: Which
    preview: bool = Field(True, description="Only show what would change")


class Replace(Rewrite):
    """Find and replace."""

    field: Text = "caption"
    find: str = Field(min_length=1, max_length=500)
    instead: str = Field("", max_length=500)
    case: bool = Field(False, description="Only in the same case")
    whole: bool = Field(False, description="Only whole words")


Line = Annotated[str, Field(max_length=1000)]


class Template(Rewrite):
    """A caption for each picture from what is known of it."""

    template: Line = Field(description="With {caption}, {defect}, {tags}, {name}, {product}")
    templates: dict[str, Line] = Field({}, max_length=200, description="Of single classes, by their names")


def router(context: Context) -> APIRouter:
    """What lies below /api/projects/{id} and is about labels."""
    routes = APIRouter(prefix="/api/projects/{id}", tags=["projects"])
    store, looking = context.projects, anyio.CapacityLimiter(LOOKING)
    measured: dict[str, statistics.Measure | None] = {}

    @routes.get("/tally", summary="How many pictures there are of each class, part, tag ...")
    def tally(id: str, which: Asked) -> dict[str, Any]:
        return counted(store.records(id), which)

    @routes.get("/records", summary="A page of what is known of pictures")
    def records(
        id: str,
        which: Asked,
        first: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=500)] = SHOWN,
    ) -> dict[str, Any]:
        known = store.records(id)
        total = known.count(which)
        undo, redo = known.steps()
        shown = [asdict(one) for one in known.page(which, first, limit)]
        return {"records": shown, "first": first, "total": total, "undo": undo, "redo": redo}

    @routes.post("/change", summary="Set the same of many pictures, in one step that `undo` takes back")
    def change(id: str, asked: Change) -> dict[str, Any]:
        step = store.records(id).change_all(asked.which.filter(), asked.values, ", ".join(asked.values))
        return asdict(step)

    @routes.post("/each", summary="Set for each picture its own, in one step")
    def each(id: str, asked: Each) -> dict[str, Any]:
        what = ", ".join(dict.fromkeys(name for fields in asked.values.values() for name in fields))
        return asdict(store.records(id).change(asked.values, what))

    @routes.post("/tags", summary="Put tags to pictures, or take them away")
    def tags(id: str, asked: Tags) -> dict[str, Any]:
        def retagged(tags: str) -> str:
            had = [one for one in tags.split(", ") if one and one not in asked.remove]
            return ", ".join([*had, *(one for one in asked.add if one not in had)])

        return _rewritten(
            store.records(id), asked.which.filter(), "tags", lambda one: retagged(one.tags), preview=False
        )

    @routes.post("/replace", summary="Find and replace; `preview` shows the first and counts all")
    def replace(id: str, asked: Replace) -> dict[str, Any]:
        return _rewritten(
            store.records(id), asked.which.filter(), asked.field, _replacing(asked), preview=asked.preview
        )

    @routes.post("/template", summary="Write captions from a template; `preview` shows the first and counts all")
    def template(id: str, asked: Template) -> dict[str, Any]:
        product = store.get(id).product
        return _rewritten(
            store.records(id),
            asked.which.filter(),
            "caption",
            lambda one: _filled(asked.templates.get(one.defect, asked.template), one, product),
            preview=asked.preview,
        )

    @routes.get(
        "/overlay/{asset}",
        summary="What is marked on a picture, to lay over it: PNG with transparency",
        description="Its mask filled, its boxes and polygons as lines. With `of` as the tile of the picture says it, "
        "the answer stays true for ever.",
        response_class=Response,
        responses={404: {"description": "No such picture, or nothing is marked on it"}},
    )
    async def overlay(
        id: str,
        asset: str,
        side: Annotated[int, Query(ge=16, le=2048, description="Longest side, in pixels")] = 256,
        of: Annotated[str, Query(max_length=40)] = "",
    ) -> Response:
        return await anyio.to_thread.run_sync(_overlay, context, id, asset, side, of, limiter=looking)

    @routes.get("/statistics", summary="Classes, sizes, parts, and how large and where the defects are")
    async def look(id: str, which: Asked) -> dict[str, Any]:
        def count() -> dict[str, Any]:
            if len(measured) > MOST_MEASURED:
                measured.clear()
            return asdict(statistics.of(store.records(id).page(which), context.assets, measured))

        return await anyio.to_thread.run_sync(count, limiter=looking)

    return routes


def _overlay(context: Context, id: str, asset: str, side: int, of: str) -> Response:
    record = context.projects.records(id).get(asset)
    stamp = overlays.stamp(record)
    if not stamp:
        raise Missing(f"nothing is marked on {record.name}: draw its mask in Paint")
    headers = SETTLED if of == stamp else {"Cache-Control": "private, no-cache"}
    return Response(overlays.png(record, context.assets, side), media_type="image/png", headers=headers)


def counted(records: Records, which: Filter) -> dict[str, Any]:
    """How many of them there are, by class and part and tag, and how many have what."""
    tags: dict[str, int] = {}
    for said, count in records.tally("tags", which).items():
        for tag in filter(None, said.split(", ")):
            tags[tag] = tags.get(tag, 0) + count
    return {
        "total": records.count(which),
        "classes": records.tally("defect", which),
        "parts": records.tally("part", which),
        "tags": dict(sorted(tags.items(), key=lambda pair: (-pair[1], pair[0]))),
        **{
            name: sum(count for value, count in records.tally(field, which).items() if value)
            for name, field in (("masked", "mask"), ("captioned", "caption"), ("out", "out"))
        },
    }


def _rewritten(
    records: Records, which: Filter, field: str, rewrite: Callable[[Record], str], *, preview: bool
) -> dict[str, Any]:
    """What a rewriting would change, the first of it shown; or the step that did it."""
    found = records.rewritten(which, field, rewrite)
    if not preview:
        return asdict(records.change({one.asset: {field: after} for one, after in found}, field))
    shown = [
        {"asset": one.asset, "name": one.name, "before": getattr(one, field), "after": after}
        for one, after in islice(found, SHOWN)
    ]
    return {"count": len(shown) + sum(1 for _ in found), "shown": shown}


def _replacing(asked: Replace) -> Callable[[Record], str]:
    found = re.escape(asked.find)
    pattern = re.compile(rf"(?<!\w){found}(?!\w)" if asked.whole else found, 0 if asked.case else re.IGNORECASE)
    return lambda one: pattern.sub(lambda _: asked.instead, getattr(one, asked.field))


def _filled(template: str, one: Record, product: str) -> str:
    """The template with what is known of a picture. Raises BadInput for a field that there is not."""
    stem = one.name.rpartition(".")[0] or one.name
    fields = {"caption": one.caption, "defect": one.defect, "tags": one.tags, "name": stem, "product": product}
    return templates.tidy(templates.filled(template, fields, "template"))
