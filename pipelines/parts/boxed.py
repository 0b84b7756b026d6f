"""What becomes of labels that are boxes: they stay, or each becomes a mask. Knows no data set.

Outlines and runs are masks already and become one, exactly. `refine` is GrabCut (Rother, Kolmogorov and Blake 2004):
what differs within the box from all that is around it; where that finds next to nothing, or all, it is the ellipse.
"""

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from pipelines.core import images
from pipelines.parts.loaders import Box
from pipelines.parts.loaders.reading import filled

How = Literal["keep", "box", "ellipse", "refine"]
ROUNDS = 4
AROUND = 1.0
"""How much of its surroundings GrabCut compares a box with, as a share of the box's longer side."""
SHARE = (0.04, 0.97)
"""Of a box: less is noise and more is the box."""
LEAST_PX = 6
"""Sides below it have too few pixels to tell anything from."""


def parted(boxes: Sequence[Box], how: How, pixels: np.ndarray) -> tuple[list[tuple[str, np.ndarray]], list[Box]]:
    """([(defect, mask bool HxW)], those that stay boxes) of a picture HxW or HxWx3."""
    shape = (pixels.shape[0], pixels.shape[1])
    masks: list[tuple[str, np.ndarray]] = []
    kept: list[Box] = []
    for box in boxes:
        if box.outline or box.runs is not None or how == "box":
            masks.append((box.defect, filled((box,), shape)))
        elif how == "keep":
            kept.append(box)
        else:
            masks.append((box.defect, ellipse(box, shape) if how == "ellipse" else refined(box, pixels)))
    return masks, kept


def ellipse(box: Box, shape: tuple[int, int]) -> np.ndarray:
    """bool HxW: the pixels whose centres lie in the ellipse that fits into the box, those of its axes at least."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    wide, high = max(box.x1 - box.x0, 1) / 2, max(box.y1 - box.y0, 1) / 2
    across = (x + 0.5 - (box.x0 + box.x1) / 2) / wide
    down = (y + 0.5 - (box.y0 + box.y1) / 2) / high
    return np.asarray(across**2 + down**2 <= 1)


def refined(box: Box, pixels: np.ndarray) -> np.ndarray:
    """bool HxW: what stands out in the box; its ellipse where nothing does."""
    shape = (pixels.shape[0], pixels.shape[1])
    left, top = max(box.x0, 0), max(box.y0, 0)
    right, bottom = min(box.x1, shape[1]), min(box.y1, shape[0])
    round_one = ellipse(box, shape)
    reach = round(AROUND * max(right - left, bottom - top))
    y0, x0 = max(top - reach, 0), max(left - reach, 0)
    window = pixels[y0 : bottom + reach, x0 : right + reach]
    marks = np.full(window.shape[:2], cv2.GC_BGD, np.uint8)
    inside = (slice(top - y0, bottom - y0), slice(left - x0, right - x0))
    if min(right - left, bottom - top) < LEAST_PX or marks[inside].size == marks.size:
        return round_one
    marks[inside] = cv2.GC_PR_FGD
    eight = np.rint(images.to_float(window) * 255).astype(np.uint8)
    eight = np.ascontiguousarray(eight if eight.ndim == 3 else np.repeat(eight[..., None], 3, axis=2))
    cv2.setRNGSeed(0)
    cv2.grabCut(eight, marks, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS, cv2.GC_INIT_WITH_MASK)
    found = np.zeros(shape, bool)
    found[y0 : bottom + reach, x0 : right + reach] = (marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)
    share = found[top:bottom, left:right].mean()
    return found if SHARE[0] <= share <= SHARE[1] else round_one
