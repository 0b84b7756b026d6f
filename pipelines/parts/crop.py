"""The crop around a mask, and the way back: only the mask's surroundings are computed.

Beyond the feather not one byte moves. Knows nothing of what is drawn inside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np


@dataclass(frozen=True)
class Box:
    """A rectangle of the picture, end exclusive, in pixels."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def window(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)


def around(mask: np.ndarray, padding_px: int) -> Box:
    """The mask's bounding box grown by `padding_px`, within the picture. mask is bool HxW with at least one pixel."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    return Box(
        max(0, int(rows[0]) - padding_px),
        max(0, int(columns[0]) - padding_px),
        min(height, int(rows[-1]) + 1 + padding_px),
        min(width, int(columns[-1]) + 1 + padding_px),
    )


def union(boxes: Sequence[Box]) -> Box:
    """The smallest box around all of them."""
    return Box(
        min(box.top for box in boxes),
        min(box.left for box in boxes),
        max(box.bottom for box in boxes),
        max(box.right for box in boxes),
    )


def touch(one: Box, other: Box) -> bool:
    """Whether two boxes share a pixel."""
    across = one.left < other.right and other.left < one.right
    return across and one.top < other.bottom and other.top < one.bottom


def squarer(box: Box, shape: tuple[int, int]) -> Box:
    """The box grown along its shorter side, as far as the picture (height, width) goes: what sees a window whole was
    made for squares.
    """
    side = max(box.bottom - box.top, box.right - box.left)
    top, bottom = _grown(box.top, box.bottom, side, shape[0])
    left, right = _grown(box.left, box.right, side, shape[1])
    return Box(top, left, bottom, right)


def _grown(first: int, last: int, side: int, most: int) -> tuple[int, int]:
    side = min(max(side, last - first), most)
    start = min(max(0, first - (side - (last - first)) // 2), most - side)
    return start, start + side


def groups(mask: np.ndarray, padding_px: int) -> list[np.ndarray]:
    """The mask in pieces (bool HxW each) whose padded boxes do not touch: each can be worked on in a crop of its own.

    Strokes at two corners of a large photograph must not make the whole of it be computed. In reading order.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    boxes = [
        [left - padding_px, top - padding_px, left + width + padding_px, top + height + padding_px, {number}]
        for number, (left, top, width, height, _) in enumerate(stats[1:].tolist(), start=1)
    ]
    merged = True
    while merged and len(boxes) > 1:
        merged = False
        rest = boxes
        boxes = []
        for box in rest:
            near = next((one for one in boxes if _touch(one, box)), None)
            if near is None:
                boxes.append(box)
            else:
                merged = True
                near[0], near[1] = min(near[0], box[0]), min(near[1], box[1])
                near[2], near[3] = max(near[2], box[2]), max(near[3], box[3])
                near[4] |= box[4]
    if len(boxes) <= 1:
        return [mask]
    return [np.isin(labels, sorted(box[4])) for box in sorted(boxes, key=lambda box: (box[1], box[0]))]


def _touch(one: list[Any], other: list[Any]) -> bool:
    return bool(one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3])


def feathered(mask: np.ndarray, feather_px: int) -> np.ndarray:
    """bool HxW: the mask and its feather, all that may change."""
    box = around(mask, feather_px)
    whole = np.zeros(mask.shape, bool)
    whole[box.window] = feather(mask[box.window], feather_px) > 0
    return whole


def feather(mask: np.ndarray, feather_px: int) -> np.ndarray:
    """float32 HxW: 1 in the mask, falling to 0 over `feather_px` pixels outside it, 0 beyond."""
    if feather_px == 0:
        return mask.astype(np.float32)
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    weight = np.clip(1 - distance / (feather_px + 1), 0, 1)
    weight[distance > feather_px] = 0
    return weight.astype(np.float32)
