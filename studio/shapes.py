"""Masks that the canvas asks for: drawn by a defect brush, or read from an uploaded file. Keeps nothing.

Both answers are the box around what is painted: its place in the picture and an 8-bit PNG. What a brush draws is known
in pipelines.core.shapes, what a mask file may be in pipelines.core.images; nothing is known here of pictures or runs.
"""

from base64 import b64encode
from typing import Annotated, Any, Literal

import anyio
import anyio.to_thread
import numpy as np
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from pipelines.core import images, shapes
from pipelines.core.errors import BadInput
from studio.context import Context

MOST_SIDE = 4096
MOST_POINTS = 2000
MOST_WIDTHS = 500  # pits grow with a stroke's length in brush widths, about 1.6 ms each
DRAWING = 2

Shape = Literal["scratch", "crack", "pits", "blob", "flakes", "line", "rectangle", "ellipse", "polygon"]
Coordinate = Annotated[float, Field(ge=-2 * MOST_SIDE, le=3 * MOST_SIDE, allow_inf_nan=False)]


class Stroke(BaseModel):
    """One stroke of a brush over a picture of width x height, all in that picture's pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shape: Shape = Field(description="What the stroke looks like")
    width: int = Field(ge=1, le=MOST_SIDE, description="The picture's width")
    height: int = Field(ge=1, le=MOST_SIDE, description="The picture's height")
    points: list[tuple[Coordinate, Coordinate]] = Field(
        min_length=1, max_length=MOST_POINTS, description="The way of the pointer, x and y; one point is a click"
    )
    width_px: float = Field(16, gt=0, le=MOST_SIDE, allow_inf_nan=False, description="How wide the brush is")
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Another seed is another scratch; the same one the same")


def draw(stroke: Stroke) -> dict[str, Any]:
    """The stroke's mask, boxed. Raises BadInput when it is too long or paints nothing."""
    path = np.asarray(stroke.points, np.float64)
    widths = shapes.length(path) / stroke.width_px
    if widths > MOST_WIDTHS:
        raise BadInput(
            f"this stroke is {widths:.0f} brush widths long and {MOST_WIDTHS} may be drawn at once:"
            " draw a shorter one, or take a wider brush",
            "points",
        )
    mask = shapes.draw(stroke.shape, (stroke.height, stroke.width), path, width_px=stroke.width_px, seed=stroke.seed)
    if not mask.any():
        raise BadInput(
            f"nothing of this {stroke.shape} falls on the picture: draw over it, with a wider brush", "points"
        )
    return boxed(mask)


def boxed(mask: np.ndarray) -> dict[str, Any]:
    """The part of a mask that is not empty: {x, y, width, height, mask}, the last an 8-bit PNG in base64."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    y, x = int(rows[0]), int(columns[0])
    part = mask[y : rows[-1] + 1, x : columns[-1] + 1]
    png = b64encode(images.encode_png(part)).decode()
    return {"x": x, "y": y, "width": part.shape[1], "height": part.shape[0], "mask": png}


def router(context: Context) -> APIRouter:
    """POST /api/shapes and GET /api/masks/{asset}."""
    routes = APIRouter(tags=["masks"])
    drawing = anyio.CapacityLimiter(DRAWING)
    bad: dict[int | str, dict[str, Any]] = {422: {"description": "What is wrong, and what would do"}}

    @routes.post(
        "/api/shapes",
        summary="Draw one stroke of a defect brush",
        description="Answers with the box around what is painted: x, y, width, height and `mask`, "
        "an 8-bit grey PNG in base64 (255 where it is painted). The same stroke is the same mask, to the pixel.",
        responses=bad,
    )
    async def shape(stroke: Stroke) -> dict[str, Any]:
        return await anyio.to_thread.run_sync(draw, stroke, limiter=drawing)

    @routes.get(
        "/api/masks/{asset}",
        summary="An uploaded mask, for a picture of this size",
        description="The same answer as of /api/shapes. A mask of another size, an empty one and a coloured one are "
        "refused with the reason.",
        responses={**bad, 404: {"description": "No such asset"}},
    )
    async def mask(
        asset: str,
        width: Annotated[int, Query(ge=1, description="The picture's width")],
        height: Annotated[int, Query(ge=1, description="The picture's height")],
    ) -> dict[str, Any]:
        found = context.assets.get(asset)

        def read() -> dict[str, Any]:
            return boxed(images.read_mask(found.path, (height, width), name=found.name))

        return await anyio.to_thread.run_sync(read, limiter=drawing)

    return routes
