"""What is marked on a picture, as a see-through picture to lay over it: its mask filled, its boxes and polygons lines.

Knows a record and the store of files; nothing of who looks. Thin marks stay: a pixel of the small copy is painted when
ANY of those it stands for is.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from pipelines.core import images
from pipelines.core.assets import Asset, Assets
from pipelines.core.errors import BadInput, Missing, Problem
from pipelines.core.records import Record

INK = (255, 72, 48)
"""RGB, that of the first area on the canvas."""
FILLED, EDGE = 96, 255
"""How much of the picture shows through: of 255, inside a mask and along its edge."""


@dataclass(frozen=True)
class Mark:
    """A box of a picture, with the corners of its outline."""

    points: np.ndarray
    """float Nx2 in pixels of the picture, (x, y)."""
    mask: str = ""
    """The asset of its own mask."""


def stamp(record: Record) -> str:
    """What tells these marks from any others; "" where there are none."""
    if not (record.mask or record.boxes):
        return ""
    return hashlib.sha256(f"{record.asset}\n{record.mask}\n{record.boxes}".encode()).hexdigest()[:16]


def painted(record: Record, assets: Assets) -> np.ndarray:
    """bool HxW of the picture: True in its mask, and where it has none inside its boxes. Raises BadInput, Missing."""
    mask = np.zeros(_size(record, assets), bool)
    for one in _masks(record, assets, mask.shape):
        mask |= one
    if not mask.any():
        filled = mask.astype(np.uint8)
        for mark in marks(record):
            cv2.fillPoly(filled, [_pixels(mark.points, 1, mask.shape)], 1)
        mask = filled > 0
    return mask


def png(record: Record, assets: Assets, side: int) -> bytes:
    """RGBA, at most `side` px wide and high. Raises BadInput for a mask that is none of this picture, Missing."""
    height, width = size = _size(record, assets)
    factor = -(-max(size) // side)
    small = (-(-height // factor), -(-width // factor))
    mask = np.zeros(small, bool)
    for one in _masks(record, assets, size):
        mask |= pooled(one, factor)
    lines = np.zeros(small, np.uint8)
    for mark in marks(record):
        if not mark.mask:
            cv2.polylines(lines, [_pixels(mark.points, factor, small)], True, 1, thickness=2)
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1)
    alpha = np.where(mask, np.where(inner > 0, FILLED, EDGE), 0)
    drawn = np.empty((*small, 4), np.uint8)
    drawn[..., :3] = INK[::-1]  # OpenCV writes BGRA
    drawn[..., 3] = np.where(lines > 0, EDGE, alpha)
    done, data = cv2.imencode(".png", drawn)
    if not done:
        raise Problem(f"the marks of {record.name} could not be drawn: look at its mask in Paint")
    return data.tobytes()


def pooled(mask: np.ndarray, factor: int) -> np.ndarray:
    """bool HxW, `factor` times smaller; True where any of the pixels it stands for is."""
    if factor == 1:
        return mask
    height, width = (-(-side // factor) for side in mask.shape)
    padded = np.zeros((height * factor, width * factor), bool)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    return np.asarray(padded.reshape(height, factor, width, factor).any((1, 3)))


def marks(record: Record) -> Iterator[Mark]:
    """The boxes of a picture. Raises BadInput for one whose corners are no numbers."""
    for one in json.loads(record.boxes or "[]"):
        outline = one.get("outline") or _corners(one)
        try:
            points = np.array(outline, np.float64)
        except (TypeError, ValueError):
            points = np.zeros(0)
        if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
            raise BadInput(f"a box of {record.name} has corners that are no numbers of pixels: draw it anew", "boxes")
        yield Mark(points, str(one.get("mask") or ""))


def _corners(one: dict[str, Any]) -> list[list[Any]]:
    x0, y0, x1, y1 = (one[name] for name in ("x0", "y0", "x1", "y1"))
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def _masks(record: Record, assets: Assets, size: tuple[int, ...]) -> Iterator[np.ndarray]:
    """The masks of a picture of that (height, width), its own and those of its boxes, each bool HxW."""
    ids = dict.fromkeys([record.mask, *(mark.mask for mark in marks(record))])
    for id in filter(None, ids):
        found = assets.get(id)
        yield images.read_mask(found.path, (size[0], size[1]), name=found.name)


def _size(record: Record, assets: Assets) -> tuple[int, int]:
    """(height, width). Raises Missing."""
    picture: Asset = assets.get(record.asset)
    if not (picture.width and picture.height):
        raise Missing(f"{record.name} is no picture: take it out, and add the picture again")
    return picture.height, picture.width


def _pixels(points: np.ndarray, factor: int, size: tuple[int, ...]) -> np.ndarray:
    """Corners as OpenCV takes them, on a copy that is `factor` times smaller and `size` large."""
    limits = np.array([size[1] - 1, size[0] - 1])
    return np.clip(np.floor(points / factor), 0, limits).astype(np.int32).reshape(-1, 1, 2)
