"""The routes of the mask library: list, save, rename, delete and take back, and a mask's pixels. Knows the store alone.

Masks come and go as 8-bit PNG in base64, as they do between the canvas and /api/shapes.
"""

import base64
import binascii
from dataclasses import asdict
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from pipelines.core import images
from pipelines.core.errors import BadInput
from pipelines.core.masks import MOST_NAME, Mask, Masks
from studio.context import Context
from studio.shapes import MOST_SIDE, boxed

WORKING = 2
KEEP = {"Cache-Control": "private, max-age=31536000, immutable"}  # a mask is never changed, only its name


class New(BaseModel):
    """A mask to keep."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description=f"What it is called, up to {MOST_NAME} characters")
    mask: str = Field(description="An 8-bit PNG in base64, 255 where it is painted")


class Name(BaseModel):
    """What to call a mask."""

    model_config = ConfigDict(extra="forbid")

    name: str


def router(context: Context) -> APIRouter:
    """Everything below /api/library."""
    routes = APIRouter(prefix="/api/library", tags=["masks"])
    store, working = Masks(context.runs), anyio.CapacityLimiter(WORKING)
    no_such: dict[int | str, dict[str, Any]] = {404: {"description": "No such mask"}}

    @routes.get("", summary="Every mask of the library, newest first")
    def every() -> dict[str, Any]:
        return {"masks": [_facts(one) for one in store.every()]}

    @routes.post("", status_code=201, summary="Keep a mask", responses={422: {"description": "No name, or no mask"}})
    async def save(asked: New) -> dict[str, Any]:
        return await anyio.to_thread.run_sync(_save, store, asked, limiter=working)

    @routes.get(
        "/{id}",
        summary="A mask in its own size",
        description="Its name and size, and `box`: the same answer as of /api/shapes.",
        responses=no_such,
    )
    async def one(id: str) -> dict[str, Any]:
        def read() -> dict[str, Any]:
            return {**_facts(store.get(id)), "box": boxed(store.pixels(id))}

        return await anyio.to_thread.run_sync(read, limiter=working)

    @routes.get("/{id}/small", summary="A small picture of it, PNG", response_class=Response, responses=no_such)
    def small(id: str) -> Response:
        return Response(store.small(id), media_type="image/png", headers=KEEP)

    @routes.patch("/{id}", summary="Rename it", responses=no_such)
    def rename(id: str, asked: Name) -> dict[str, Any]:
        return _facts(store.rename(id, asked.name))

    @routes.delete("/{id}", summary="Delete it; for a week that can be taken back", responses=no_such)
    def delete(id: str) -> dict[str, Any]:
        store.delete(id)
        return {"deleted": id}

    @routes.post("/{id}/restore", summary="Take a deletion back", responses=no_such)
    def restore(id: str) -> dict[str, Any]:
        return _facts(store.restore(id))

    return routes


def _facts(mask: Mask) -> dict[str, Any]:
    return {**asdict(mask), "small": f"/api/library/{mask.id}/small"}


def _save(store: Masks, asked: New) -> dict[str, Any]:
    try:
        data = base64.b64decode(asked.mask, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInput("the mask came damaged: send an 8-bit PNG in base64", "mask") from error
    pixels = images.decode(data, "the mask", max_pixels=MOST_SIDE**2).pixels
    grey = pixels if pixels.ndim == 2 else pixels[..., 0]
    return _facts(store.save(asked.name, grey > np.iinfo(grey.dtype).max // 2))
