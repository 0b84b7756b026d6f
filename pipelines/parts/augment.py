"""Ways to show a picture to a network that learns: flipped, turned, zoomed, cropped, lighter or darker.

Picture and mask go through the very same change, and what is cut out holds the defect, so that no mask ever loses its
defect. Knows arrays; no file, no tensor of a network.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch

MOST_ZOOM = 1.125
"""As DefectFill: resized by a factor from 1 to this, then cropped (section 4.1, arXiv 2503.13985)."""
MOST_GAIN, MOST_OFFSET = 0.1, 0.03
"""Conservative: what light and camera do between two parts of one line."""


@dataclass(frozen=True)
class View:
    """One way to show a picture. All zeros but `zoom`: as it is, cut to a square around its defect or its middle."""

    zoom: float = 1.0
    across: float = 0.5
    """Where in the room that is left the crop lies, 0 left to 1 right."""
    down: float = 0.5
    flip: bool = False
    turns: int = 0
    """Quarter turns."""
    gain: float = 1.0
    offset: float = 0.0


def drawn(generator: torch.Generator, *, oriented: bool) -> View:
    """A view by chance; parts that all lie the same way are neither flipped nor turned."""
    chance = torch.rand(5, generator=generator, dtype=torch.float64).tolist()
    flip, turns = (int(one) for one in torch.randint(0, 4, (2,), generator=generator))
    return View(
        zoom=1 + (MOST_ZOOM - 1) * chance[0],
        across=chance[1],
        down=chance[2],
        flip=not oriented and flip % 2 == 1,
        turns=0 if oriented else turns,
        gain=1 + MOST_GAIN * (2 * chance[3] - 1),
        offset=MOST_OFFSET * (2 * chance[4] - 1),
    )


def shown(picture: np.ndarray, mask: np.ndarray, view: View, side: int) -> tuple[np.ndarray, np.ndarray]:
    """(picture, mask) as a square of `side` px. picture: float32 HxWx3 in [0, 1]; mask: bool HxW.

    A pixel of the result is marked where anything marked went into it: strokes of one pixel outlive shrinking.
    """
    height, width = mask.shape
    scale = side * view.zoom / min(height, width)
    size = (max(side, round(width * scale)), max(side, round(height * scale)))
    smaller = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    large = cv2.resize(picture, size, interpolation=smaller)
    grown = cv2.resize(
        mask.astype(np.float32), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST_EXACT
    )
    whole = grown > 0
    left = _start(np.flatnonzero(whole.any(0)), size[0], side, view.across)
    top = _start(np.flatnonzero(whole.any(1)), size[1], side, view.down)
    if mask.any() and not whole[top : top + side, left : left + side].any():
        left, top = _on_it(whole, size, side, view)  # a defect's rows and columns need not meet in one corner of it
    place = (slice(top, top + side), slice(left, left + side))
    lit = np.clip(large[place] * view.gain + view.offset, 0, 1).astype(np.float32)
    return _laid(lit, view), _laid(whole[place], view)


def _laid(pixels: np.ndarray, view: View) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(pixels[:, ::-1] if view.flip else pixels, view.turns))


def _start(marked: np.ndarray, length: int, side: int, where: float) -> int:
    """Where a crop begins along one axis: anywhere that holds all that is marked, or lies within it if that is long."""
    low, high = 0, length - side
    if len(marked):
        first, last = int(marked[0]), int(marked[-1]) + 1
        ends = sorted((max(last - side, 0), min(first, length - side)))
        low, high = max(low, ends[0]), min(high, ends[1])
    return round(low + (high - low) * where)


def _on_it(marked: np.ndarray, size: tuple[int, int], side: int, view: View) -> tuple[int, int]:
    """(left, top) of a crop around one marked pixel."""
    rows, columns = np.nonzero(marked)
    one = round((len(rows) - 1) * view.across)
    return (
        int(np.clip(columns[one] - side // 2, 0, size[0] - side)),
        int(np.clip(rows[one] - side // 2, 0, size[1] - side)),
    )


def boxes(side: int, generator: torch.Generator, count: int = 30) -> np.ndarray:
    """bool side x side: the union of boxes whose sides are 3 to 25 % of the picture's (DefectFill)."""
    found = np.zeros((side, side), bool)
    chance = torch.rand(count, 4, generator=generator, dtype=torch.float64).numpy()
    for wide, high, left, top in chance:
        width, height = (max(1, round((0.03 + 0.22 * one) * side)) for one in (wide, high))
        x, y = round(left * (side - width)), round(top * (side - height))
        found[y : y + height, x : x + width] = True
    return found
