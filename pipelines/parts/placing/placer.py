"""Lays shapes into the legal area of a picture: inside it, apart from each other, as often where the map says.

Nothing is clipped. What does not fit is tried elsewhere, then everywhere at once, then smaller. Knows no files.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from pipelines.core import kinds, overlays
from pipelines.core.errors import BadInput
from pipelines.core.noise import rng
from pipelines.core.requests.place import Place
from pipelines.parts.crop import Box
from pipelines.parts.placing import draws, heat, outlines
from pipelines.parts.placing.draws import Draft, Drafts, Shape
from pipelines.parts.placing.real import Real

DRAFTS, DARTS = 3, 24
"""How many shapes of one size are tried, and each in how many places, before every place is looked at."""
REMADE = 8
SMALLER = 0.8
EXACT_PX = 1024
"""Up to which side every place is looked at; in larger pictures those of a grid as fine as that."""


@dataclass(frozen=True)
class Placed:
    """A shape in its place."""

    size: tuple[int, int]
    """(height, width) of the picture."""
    box: Box
    pixels: np.ndarray
    """bool, as large as the box."""
    source: str
    """The brush that drew it, or the picture of the real defect it is modelled on."""
    tries: int

    @property
    def mask(self) -> np.ndarray:
        """bool HxW of the picture."""
        whole = np.zeros(self.size, bool)
        whole[self.box.window] = self.pixels
        return whole

    @property
    def facts(self) -> dict[str, Any]:
        """Box (top, left, bottom, right) and length in pixels, area in pixels, angle in degrees (None: round)."""
        angle, longer = outlines.direction(np.argwhere(self.pixels)[:, ::-1].astype(np.float64))
        return {
            "box": [self.box.top, self.box.left, self.box.bottom, self.box.right],
            "area_px": int(self.pixels.sum()),
            "length_px": round(outlines.length_px(self.pixels), 1),
            "angle": round(angle, 1) % 180 if longer >= outlines.LONG else None,
            "shape": self.source,
            "tries": self.tries,
        }


class Placer:
    """Built once for a request and what was measured; then asked mask by mask."""

    def __init__(self, request: Place, real: Real | None = None) -> None:
        """Raises BadInput where the request follows real defects in a way these cannot be followed."""
        self.request = request
        self.heat = real.heat if real is not None and request.where == "as real" else None
        self._drafts = Drafts(request, real, kinds.get(request.defect).shape)

    def draw(self, area: np.ndarray, seed: int, *, name: str = "the picture") -> list[Placed]:
        """The areas of one mask, from `instances` least to most, within `area` (bool HxW, True where it is legal).

        Raises BadInput where there is no room for the least number of them.
        """
        random = rng(seed, "place")
        least, most = self.request.instances
        ground = _Ground(area, self.heat, self.request.gap_px, name)
        found: list[Placed] = []
        wanted = int(random.integers(least, most + 1))
        for number in range(wanted):
            one = self._lay(ground, rng(seed, "place", number))
            if one is None and len(found) >= least:
                break
            if one is None:
                raise BadInput(
                    f"there is no room on {name} for area {number + 1} of {least}: {100 * area.mean():.1f} % of it is"
                    " legal; make legal larger, or ask for smaller, for fewer, or for areas closer together",
                    "size",
                )
            ground.take(one)
            found.append(one)
        return found

    def _lay(self, ground: "_Ground", random: np.random.Generator) -> Placed | None:
        draft = self._drafts.draw(ground.size, random)
        least, tries = self._drafts.least_px(draft, ground.size), 0
        while True:
            for attempt in range(DRAFTS):
                shape = self._made(draft, ground.size, random)
                if shape is None:
                    continue
                if attempt == DRAFTS - 1 and not draft.cut:
                    tries += 1
                    at = ground.anywhere(shape, random)
                else:
                    at, thrown = ground.darts(shape, random, DARTS)
                    tries += thrown
                if at is not None:
                    return _placed(shape, at, ground.size, tries)
            if draft.cut:
                # It lies along a side, where nothing may lie here: another one, and after it this one uncut.
                other = self._drafts.draw(ground.size, random)
                draft = draws.smaller(other, 1.0)
                least = self._drafts.least_px(draft, ground.size)
            elif draft.length_px * SMALLER >= least:
                draft = draws.smaller(draft, SMALLER)
            elif draft.length_px > least:
                draft = draws.smaller(draft, least / draft.length_px)
            else:
                return None

    def _made(self, draft: Draft, size: tuple[int, int], random: np.random.Generator) -> Shape | None:
        """The draft in pixels. Those are whole: what became a pixel too long or too short is made anew."""
        asked = self.request.length_px(size)
        for _ in range(REMADE):
            shape = draws.made(draft, self.request.warp, random, size)
            if asked is None or asked[0] - 1 <= outlines.length_px(shape.mask) <= asked[1] + 1:
                return shape
        return None


class _Ground:
    """The area of one picture, and what of it is left."""

    def __init__(self, area: np.ndarray, cells: np.ndarray | None, gap_px: int, name: str) -> None:
        self.size = (int(area.shape[0]), int(area.shape[1]))
        self._gap = gap_px
        self._free = area.copy()
        self._coarse = coarse = -(-max(self.size) // EXACT_PX)
        small = (-(-self.size[0] // coarse), -(-self.size[1] // coarse))
        field = cv2.resize(area.astype(np.uint8) * 255, small[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
        if cells is not None:
            field *= heat.spread(cells, small)
        if not field.any():
            raise BadInput(
                f"the defects of data lie where nothing of {name} is legal: choose where = anywhere, or another legal",
                "where",
            )
        self._field = field
        self._sums = np.cumsum(field.ravel(), dtype=np.float64)

    def take(self, one: Placed) -> None:
        """What lies within the gap of it is free no more."""
        reach = self._gap + 1
        height, width = self.size
        box = Box(
            max(0, one.box.top - reach),
            max(0, one.box.left - reach),
            min(height, one.box.bottom + reach),
            min(width, one.box.right + reach),
        )
        away = cv2.distanceTransform((~one.mask[box.window]).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        self._free[box.window] &= away > self._gap

    def darts(self, shape: Shape, random: np.random.Generator, count: int) -> tuple[tuple[int, int] | None, int]:
        """((top, left) of the first of at most `count` chances that fits, how many there were)."""
        high, wide = shape.mask.shape
        for thrown in range(1, count + 1):
            place = int(np.searchsorted(self._sums, random.random() * self._sums[-1], side="right"))
            cell = divmod(min(place, len(self._sums) - 1), self._field.shape[1])
            row, column = ((np.array(cell) + random.random(2)) * self._coarse).astype(int).tolist()
            top = row - high // 2 if shape.top is None else shape.top
            left = column - wide // 2 if shape.left is None else shape.left
            inside = top >= 0 and left >= 0 and top + high <= self.size[0] and left + wide <= self.size[1]
            if inside and self._free[top : top + high, left : left + wide][shape.mask].all():
                return (top, left), thrown
        return None, count

    def anywhere(self, shape: Shape, random: np.random.Generator) -> tuple[int, int] | None:
        """(top, left) by the same chances, out of all places where it fits; None where there is none."""
        coarse = self._coarse
        free, mask = _whole(self._free, coarse), overlays.pooled(shape.mask, coarse)
        if mask.shape[0] > free.shape[0] or mask.shape[1] > free.shape[1]:
            return None
        taken = cv2.matchTemplate((~free).astype(np.float32), mask.astype(np.float32), cv2.TM_CCORR)
        high, wide = shape.mask.shape
        middles = self._field[high // 2 // coarse :, wide // 2 // coarse :][: taken.shape[0], : taken.shape[1]]
        fits = taken[: middles.shape[0], : middles.shape[1]] < 0.5
        sums = np.cumsum(np.where(fits, middles, 0).ravel(), dtype=np.float64)
        if not sums[-1] > 0:
            return None
        place = int(np.searchsorted(sums, random.random() * sums[-1], side="right"))
        top, left = (coarse * at for at in divmod(min(place, len(sums) - 1), fits.shape[1]))
        there = self._free[top : top + high, left : left + wide]
        return (top, left) if there.shape == shape.mask.shape and there[shape.mask].all() else None


def _whole(free: np.ndarray, factor: int) -> np.ndarray:
    """bool HxW, `factor` times smaller; True where all pixels it stands for are, and lie in the picture."""
    high, wide = (side // factor for side in free.shape)
    inside = free[: high * factor, : wide * factor]
    return np.asarray(inside.reshape(high, factor, wide, factor).all((1, 3)))


def _placed(shape: Shape, at: tuple[int, int], size: tuple[int, int], tries: int) -> Placed:
    top, left = at
    high, wide = shape.mask.shape
    return Placed(size, Box(top, left, top + high, left + wide), shape.mask, shape.source, tries)
