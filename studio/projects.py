"""The routes of projects: their list, their pictures, what is painted on them, and taking pictures in from a folder.

Knows the stores; nothing of the page. Pictures come as asset ids (POST /api/uploads) or as places in a --data folder.
"""

import time
from dataclasses import asdict
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from pipelines.core import files, projects
from pipelines.core.assets import Asset
from pipelines.core.errors import BadInput, DiskFull, Missing, Problem
from pipelines.core.gallery import Gallery
from studio import shelf, uploads
from studio.context import Context
from studio.labels import Asked, Which
from studio.shelf import Place

MOST_AT_ONCE = 20_000
TAKING = 2
TAKE_S = 1.5  # an answer every now and then: progress can be shown, and Stop is heard

Ids = Annotated[list[str], Field(max_length=MOST_AT_ONCE)]


class Body(BaseModel):
    """What a route is sent; a field it does not know is a mistake, not a wish."""

    model_config = ConfigDict(extra="forbid")


class New(Body):
    """A project to make."""

    name: str
    only_first: bool = Field(False, description="Only where there is none yet; else the newest is given")


class Change(Body):
    """What to set. What is left out stays as it is; of `form` the values that are named are set."""

    name: str | None = None
    product: str | None = None
    open: str | None = Field(None, description="The asset of the picture that is open")
    form: dict[str, Any] | None = None


class Add(Body):
    """Pictures to add."""

    assets: Ids


class Remove(Body):
    """Pictures to take out: by their ids, or all that a filter finds."""

    assets: Ids = []
    which: Which | None = None


class Take(Body):
    """Pictures of a --data folder to take in."""

    root: int
    paths: Ids


def router(context: Context) -> APIRouter:
    """Everything below /api/projects."""
    routes = APIRouter(prefix="/api/projects", tags=["projects"])
    store, gallery, taking = context.projects, Gallery(context.runs), anyio.CapacityLimiter(TAKING)
    no_such: dict[int | str, dict[str, Any]] = {404: {"description": "No such project, or no such picture"}}

    @routes.get("", summary="Every project, newest change first, and a sentence for each that is damaged")
    def every() -> dict[str, Any]:
        found = store.every()
        return {"projects": [shelf.facts(context, one) for one in found.projects], "damaged": list(found.damaged)}

    @routes.post("", status_code=201, summary="Make a project")
    def make(asked: New) -> dict[str, Any]:
        return shelf.facts(context, store.settle("", asked.name) if asked.only_first else store.create(asked.name))

    @routes.get("/{id}", summary="One project", responses=no_such)
    def one(id: str) -> dict[str, Any]:
        return shelf.facts(context, store.get(id))

    @routes.patch("/{id}", summary="Rename it, open a picture, keep what a form holds", responses=no_such)
    def change(id: str, asked: Change) -> dict[str, Any]:
        return shelf.facts(context, store.change(id, **asked.model_dump(exclude_unset=True)))

    @routes.delete("/{id}", summary="Delete it, undoably", responses=no_such)
    def delete(id: str) -> dict[str, Any]:
        store.delete(id)
        return {"deleted": id}

    @routes.post("/{id}/restore", summary="Take a deletion back", responses=no_such)
    def restore(id: str) -> dict[str, Any]:
        return shelf.facts(context, store.restore(id))

    @routes.get("/{id}/pictures", summary="A page of its pictures, or of those that a filter finds", responses=no_such)
    def pictures(
        id: str,
        which: Asked,
        first: Annotated[int, Query(ge=0, description="How many to pass over")] = 0,
        limit: Annotated[int, Query(ge=1, le=200, description="How many")] = shelf.PAGE,
        around: Annotated[str, Query(description="Instead of `first`: the page with this asset")] = "",
    ) -> dict[str, Any]:
        return shelf.page(context, gallery, store.get(id), Place(first, limit, around, which))

    @routes.post("/{id}/pictures", summary="Add pictures by their asset ids", responses=no_such)
    def add(id: str, asked: Add) -> dict[str, Any]:
        found = store.add(id, [context.assets.get(one) for one in asked.assets])
        return {"added": found.added, "already": found.already, "count": store.records(id).count()}

    @routes.post("/{id}/pictures/remove", summary="Take pictures out; `undo` puts them back", responses=no_such)
    def remove_several(id: str, asked: Remove) -> dict[str, Any]:
        found = store.records(id).assets(asked.which.filter()) if asked.which else asked.assets
        return asdict(store.remove(id, found))

    @routes.delete("/{id}/pictures/{asset}", summary="Take one picture out", responses=no_such)
    def remove(id: str, asset: str) -> dict[str, Any]:
        done = store.remove(id, [asset])
        if not done.count:
            raise Missing(f"{asset[:40]!r} is no picture of this project")
        return asdict(done)

    @routes.post(
        "/{id}/undo",
        summary="Take back the last change of its pictures, whatever it was: what and of how many; null for none",
        responses=no_such,
    )
    def undo(id: str) -> dict[str, Any] | None:
        done = store.records(id).undo()
        return asdict(done) if done else None

    @routes.post("/{id}/redo", summary="Make it again", responses=no_such)
    def redo(id: str) -> dict[str, Any] | None:
        done = store.records(id).redo()
        return asdict(done) if done else None

    @routes.post("/{id}/take", summary="Take in pictures of a --data folder, as many as a moment allows")
    async def take(id: str, asked: Take) -> dict[str, Any]:
        return await anyio.to_thread.run_sync(_take, context, id, asked, limiter=taking)

    @routes.get("/{id}/drafts/{asset}", summary="What is painted on a picture; null for nothing", responses=no_such)
    def draft(id: str, asset: str) -> Response:
        found = store.draft(id, asset)
        return Response(found or b"null", media_type="application/json", headers={"Cache-Control": "no-store"})

    @routes.put(
        "/{id}/drafts/{asset}",
        summary="Keep what is painted on a picture; null forgets it",
        description=f"Any JSON, up to {files.size(projects.MAX_DRAFT)}.",
        responses=no_such,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}},
    )
    async def keep_draft(id: str, asset: str, request: Request) -> dict[str, Any]:
        data = await request.body()
        await anyio.to_thread.run_sync(store.keep_draft, id, asset, data)
        return {"kept": len(data)}

    return routes


def _take(context: Context, id: str, asked: Take) -> dict[str, Any]:
    """Pictures in the order given, until the moment is over; `done` is how many were looked at."""
    context.projects.get(id)
    kept, refused, done, begun = [], [], 0, time.monotonic()
    for path in asked.paths:
        try:
            kept.append(_kept(context, asked.root, path))
        except DiskFull:
            raise
        except (BadInput, Missing) as problem:
            refused.append({"name": path, "message": str(problem)})
        except Problem:  # its sentence names folders of this machine, which are nobody's business over HTTP
            refused.append({"name": path, "message": f"{path} cannot be read: check who may read it"})
        done += 1
        if time.monotonic() - begun > TAKE_S:
            break
    found = context.projects.add(id, kept)
    count = context.projects.records(id).count()
    return {"done": done, "added": found.added, "already": found.already, "refused": refused, "count": count}


def _kept(context: Context, root: int, path: str) -> Asset:
    found = context.folders.find(root, path)
    if not found.is_file():
        raise BadInput(f"{path} is no file: choose a picture")
    return context.assets.get(uploads.keep(context, found, path.rpartition("/")[2])["asset"])
