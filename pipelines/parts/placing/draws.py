"""What is to be laid, before there is a place for it: a shape of a size that runs some way, from chance alone.

A real defect is drawn whole, with the size and the direction it has and a little beside them: so sizes and directions
follow those that were measured, smoothed, and fit the outline. Knows nothing of where it goes.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipelines.core import shapes
from pipelines.core.errors import BadInput
from pipelines.core.requests.place import Place
from pipelines.parts.placing import outlines
from pipelines.parts.placing.real import Piece, Real

USUAL: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "line": ((0.12, 0.45), (0.015, 0.04)),
    "rectangle": ((0.05, 0.2), (0.3, 1.0)),
    "ellipse": ((0.04, 0.15), (0.5, 1.0)),
    "polygon": ((0.06, 0.22), (0.4, 1.0)),
    "scratch": ((0.2, 0.55), (0.12, 0.3)),
    "crack": ((0.2, 0.6), (0.06, 0.16)),
    "pits": ((0.15, 0.4), (0.4, 0.9)),
    "blob": ((0.08, 0.28), (0.4, 1.0)),
    "flakes": ((0.15, 0.45), (0.4, 0.9)),
}
"""By brush: how long (shares of the picture's shorter side) and how wide against its length, where nothing is said."""
THIN = ("line", "scratch", "crack")
"""Brushes that are as wide as they are, whatever the defect measured."""
CANVAS_PX = (24, 320)
"""Between how many pixels a brush draws; what is longer is that outline, enlarged."""
LEAST_JITTER, MOST_JITTER = 0.03, 0.2
"""Of a size, as a share of it: between few measured values much is possible."""
LEAST_TURN, MOST_TURN = 2.0, 12.0
"""Of a direction, in degrees."""
ROUND_TURN = 10.0
BEYOND = 0.2
"""How much of its length a shape is drawn on past the side that cuts it, so that a bend leaves no gap there."""
NEAR = 0.35
"""How far (in natural logarithms) a real defect may be from the asked size to be a likely model of it."""


@dataclass(frozen=True)
class Draft:
    """What is to be laid."""

    length_px: float
    angle: float | None
    """Degrees in [0, 180); None leaves it as the model lies, but for a little."""
    piece: Piece | None
    """The real defect it is modelled on."""
    brush: str = ""
    """Draws it; "" where the outline is the real one's."""
    cut: bool = False
    """Whether the picture's sides may cut it as they cut its model."""


@dataclass(frozen=True)
class Shape:
    """A draft made of pixels."""

    mask: np.ndarray
    """bool, no larger than it must be."""
    source: str
    """The brush, or the picture of the real defect."""
    top: int | None = None
    """Where it must lie: a shape that a side cuts lies along that side."""
    left: int | None = None


class Drafts:
    """Where drafts come from: the request, and what was measured."""

    def __init__(self, request: Place, real: Real | None, brush: str) -> None:
        """Raises BadInput where the outlines of real defects are asked for and all of them are boxes."""
        self.request = request
        self.brushes = request.brushes or (brush,)
        self.real = real
        self.pieces = real.pieces if real else ()
        self.traced = request.from_real and any(one.drawn for one in self.pieces)
        if self.traced:
            self.pieces = tuple(one for one in self.pieces if one.drawn)
        elif request.shapes == "real":
            raise BadInput(
                "the defects of data are boxed, not outlined: choose shapes = library, or data with masks", "shapes"
            )
        if request.angle not in (None, "as real") and any(not one.cut for one in self.pieces):
            self.pieces = tuple(one for one in self.pieces if not one.cut)  # the others lie one way only
        self._angles = np.array([one.angle for one in self.pieces if one.angle is not None])
        lengths = np.log([one.length for one in self.pieces]) if self.pieces else np.zeros(1)
        rule = 0.9 * float(lengths.std()) * len(lengths) ** (-1 / 5)
        self._jitter = float(np.clip(rule, LEAST_JITTER, MOST_JITTER)) if self.pieces else 0.0
        self._logs = lengths
        doubled = np.exp(2j * np.radians(self._angles))
        lean = 1 - abs(doubled.mean()) if len(doubled) else 1.0
        self._turn = float(np.clip(40 * lean * max(len(doubled), 1) ** (-1 / 5), LEAST_TURN, MOST_TURN))

    def draw(self, shape: tuple[int, int], random: np.random.Generator, *, cut: bool = True) -> Draft:
        """What is next on a picture (height, width)."""
        asked = self.request.length_px(shape)
        brush = "" if self.traced else str(random.choice(self.brushes))
        short = min(shape)
        if asked:
            wanted = math.exp(random.uniform(math.log(asked[0]), math.log(asked[1])))
            piece = self._near(wanted / short, random)
        elif self.pieces:
            piece = self.pieces[int(random.integers(len(self.pieces)))]
            wanted = piece.length * short * math.exp(random.normal(0, self._jitter))
        else:
            piece = None
            wanted = short * math.exp(random.uniform(*np.log(USUAL[brush][0])))
        along = cut and piece is not None and bool(piece.cut) and not brush and self.request.angle in (None, "as real")
        return Draft(max(wanted, 1.0), self._angle(piece, brush, random), piece, brush, along)

    def least_px(self, draft: Draft, shape: tuple[int, int]) -> float:
        """How short it may become where there is no room for it as it is."""
        asked = self.request.length_px(shape)
        return asked[0] if asked else max(1.0, 0.4 * draft.length_px)

    def _near(self, share: float, random: np.random.Generator) -> Piece | None:
        """A real defect about as long: enlarged much, one looks like what it is, a few pixels."""
        if not self.pieces:
            return None
        away = (self._logs - math.log(share)) / NEAR
        chance = np.exp(-0.5 * (away**2 - (away**2).min()))
        return self.pieces[int(random.choice(len(self.pieces), p=chance / chance.sum()))]

    def _angle(self, piece: Piece | None, brush: str, random: np.random.Generator) -> float | None:
        asked: Any = self.request.angle
        if isinstance(asked, int | float):
            return float(asked)
        if asked == "any" or piece is None:
            return float(random.uniform(0, 180))
        if piece.angle is not None:
            return float(piece.angle + random.normal(0, self._turn)) % 180
        if brush and len(self._angles):
            return float(random.choice(self._angles) + random.normal(0, self._turn)) % 180
        return float(random.uniform(0, 180)) if brush else None


def made(draft: Draft, warp: float, random: np.random.Generator, shape: tuple[int, int]) -> Shape:
    """The pixels of a draft, for a picture (height, width)."""
    if draft.cut and draft.piece is not None:
        return _cut(draft, draft.piece, warp, random, shape)
    if draft.brush:
        outline, source = outlines.trace(_brushed(draft, random)), draft.brush
    else:
        assert draft.piece is not None
        outline, source = draft.piece.outline, draft.piece.name
        if draft.angle is not None and draft.piece.angle is not None and random.random() < 0.5:
            outline = outlines.scaled(outline, -1, 1)
    # Bent at the size it has: waves are as long as the shape, whatever its pixels.
    outline = outlines.bent(outline, warp, random)
    turn = (
        random.normal(0, ROUND_TURN * warp)
        if draft.angle is None
        else draft.angle - outlines.direction(outline.dots)[0]
    )
    outline = outlines.turned(outline, float(turn))
    factor = max(draft.length_px - 0.5, 0.5) / max(outlines.length(outline.points), 1e-6)
    mask, _, _ = outlines.drawn(outlines.scaled(outline, factor, factor))
    return Shape(mask, source)


def smaller(draft: Draft, factor: float) -> Draft:
    """The same draft, so many times as long; one that a side cut is so no longer."""
    return replace(draft, length_px=draft.length_px * factor, cut=False)


def _cut(draft: Draft, piece: Piece, warp: float, random: np.random.Generator, shape: tuple[int, int]) -> Shape:
    """A defect that runs out of the picture, along the side that cuts it, as large as its model and a little bent."""
    height, width = shape
    high, wide = piece.mask.shape
    factor = draft.length_px / max(outlines.length_px(piece.mask), 1.0)
    across = width / wide if {"left", "right"} <= piece.cut else factor
    down = height / high if {"top", "bottom"} <= piece.cut else factor
    flips = (not {"left", "right"} & piece.cut, not {"top", "bottom"} & piece.cut)
    mirrored = random.random(2) < 0.5
    leans = piece.angle is not None
    outline, far = piece.outline, BEYOND * max(high, wide)

    def beyond(points: np.ndarray) -> np.ndarray:
        pushed = points.copy()
        for axis, low, high_, end in ((0, "left", "right", wide), (1, "top", "bottom", high)):
            if low in piece.cut:
                pushed[points[:, axis] < 0.75, axis] -= far
            if high_ in piece.cut:
                pushed[points[:, axis] > end - 0.75, axis] += far
        return pushed

    outline = outlines.scaled(outlines.bent(outline.moved(beyond), 0.6 * warp, random), across, down)
    size = np.array([wide * across, high * down])
    for axis in (0, 1):
        # Mirrored along its side it leans the other way: only what leans nowhere may be.
        if flips[axis] and mirrored[axis] and not leans:
            outline = outline.moved(lambda points, axis=axis: np.where(np.arange(2) == axis, size - points, points))  # type: ignore[misc]
    mask, left, top = outlines.drawn(outline)
    rows = _fixed({"top", "bottom"} & piece.cut, "top", top, mask.shape[0], height, size[1])
    columns = _fixed({"left", "right"} & piece.cut, "left", left, mask.shape[1], width, size[0])
    mask = mask[rows[0] : rows[1], columns[0] : columns[1]]
    if not mask.any():  # bent out of the picture altogether
        return made(replace(draft, cut=False), warp, random, shape)
    inner = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    above, before = int(inner[0][0]), int(inner[1][0])
    mask = np.ascontiguousarray(mask[above : inner[0][-1] + 1, before : inner[1][-1] + 1])
    place_top = None if rows[2] is None else rows[2] + above
    place_left = None if columns[2] is None else columns[2] + before
    return Shape(mask, piece.name, place_top, place_left)


def _fixed(cut: set[str], low: str, start: int, extent: int, side: int, size: float) -> tuple[int, int, int | None]:
    """(first, last) line of a drawn shape that stays inside, and where the first lies; None where it is free."""
    if not cut:
        return 0, extent, None
    offset = start if low in cut else side - round(float(size)) + start
    first, last = max(0, -offset), min(extent, side - offset)
    return first, max(first, last), offset + first


def _brushed(draft: Draft, random: np.random.Generator) -> np.ndarray:
    """A shape of the library, level, about as long as the draft; bool HxW with at least one pixel."""
    long = float(np.clip(draft.length_px, *CANVAS_PX))
    share = random.uniform(*USUAL[draft.brush][1])
    if draft.piece is not None and draft.brush not in THIN:
        share = float(np.clip(1 / draft.piece.longer, 0.1, 1.0))
    wide, edge = max(long * share, 1.0), 0.6 * long + 8
    size = (round(2 * edge), round(long + 2 * edge))
    seed = int(random.integers(2**32))
    if draft.brush in ("rectangle", "ellipse"):
        path = np.array([[edge, edge - wide / 2], [edge + long, edge + wide / 2]])
    elif draft.brush == "polygon":
        middle = (edge + long / 2, edge)
        path = shapes.outline(random, middle, (long / 2, wide / 2), 0.0, 0.35)
    else:
        ends = 0.0 if draft.brush in THIN else wide / 2
        path = np.array([[edge + ends, edge], [edge + max(long - ends, ends + 0.1), edge]])
    mask = shapes.draw(draft.brush, size, path, width_px=wide, seed=seed)
    if not mask.any():
        mask = shapes.draw("line", size, path, width_px=1.0, seed=seed)
    return mask
