"""Grows a residual into a mask of any shape out of patches of real ones.

Texture optimisation (Kwatra et al. 2005) with a guide (image analogies, Hertzmann et al. 2001).

Distance to the mask's edge guides which patch may lie where, so that rims stay rims and cores stay cores; what lies
around the mask is matched too. Coarse to fine; each pixel is copied, none is invented. Knows residuals, not pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from pipelines.core.noise import blur, fractal
from pipelines.parts.exemplars.residual import half_width

REACH = 3
"""Pixels from a patch's centre to its side: patches are 7 x 7."""
SIDE = 2 * REACH + 1
RIM_PX = 4.0
"""How far on either side of the edge a pixel counts as rim."""
DIMENSIONS = 18
"""Of a patch, after projection."""
MOST_SEARCHED = 4000
"""Pixels of a level that is searched through; finer ones only choose among what their neighbours found."""
MOST_PATCHES = 40_000
ROUNDS = 3
SOFT, SHARP = 1.5, 1.0
"""Sigma in pixels of how much the middle of a patch has more to say than its rim: while searching, and at last."""
FINE_PX = 1.2
MOST_CRISPER = 1.8
WANDER, WANDER_PX = 0.15, 4.0
"""How far a defect's outline withdraws into its mask, in parts of half its width, and in pixels at most."""
GUIDE_WEIGHT = 1.0
CENTRE_WEIGHT, THIN_WEIGHT, THIN_PX = 1.5, 5.0, 3.0
"""How much a pixel's own depth counts: more in a mask so thin that no patch of it is like one of a wider defect."""
_OFFSETS = [(dy, dx) for dy in range(-REACH, REACH + 1) for dx in range(-REACH, REACH + 1)]


@dataclass(frozen=True)
class Piece:
    """A residual with its mask, in one pose."""

    residual: np.ndarray
    """float32 HxWx3."""
    mask: np.ndarray
    """bool HxW."""
    valid: np.ndarray
    """bool HxW: where there is a picture."""


@dataclass(frozen=True)
class _Goal:
    """What is to be grown."""

    target: np.ndarray
    """float32 HxWx3: the part's own residual."""
    free: np.ndarray
    """bool HxW."""
    distance: np.ndarray
    """float32 HxW: pixels to the defect's own outline, which wanders along the mask's edge; positive inside."""
    half_width_px: float
    rim_px: float


@dataclass(frozen=True)
class _Level:
    """All pieces one below the other, and the target, at one scale."""

    canvas: np.ndarray  # float32 AxBx3
    canvas_guide: np.ndarray  # float32 AxBx2
    centres: np.ndarray  # int [N, 2]: where a whole patch may be taken
    allowed: np.ndarray  # bool AxB, the same
    tops: list[int]
    target: np.ndarray  # float32 HxWx3, padded by REACH
    guide: np.ndarray  # float32 HxWx2, padded by REACH
    pixels: np.ndarray  # int [M, 2] of the padded target: what is to be found
    centre: float  # how much a pixel's own depth counts


def grow(
    target: np.ndarray,
    mask: np.ndarray,
    free: np.ndarray,
    pieces: Sequence[Piece],
    random: np.random.Generator,
    start: tuple[float, float],
) -> np.ndarray:
    """float32 HxWx3: `target` with all of `free` (bool HxW, the mask and its feather) made anew from the pieces.

    `start` is where in the target (y, x) the origin of the first piece lies when it is laid on the mask as it is: that
    is what the growth begins with.
    """
    half = max(half_width(mask), 1.0)
    goal = _Goal(target, free, _wandering(mask, half, random), half, float(np.clip(half, 1, RIM_PX)))
    depth = 0
    while half / 2 ** (depth + 1) >= 1.5 and min(mask.shape) / 2 ** (depth + 1) >= 2 * SIDE and depth < 4:
        depth += 1
    while np.count_nonzero(free) / 4**depth > MOST_SEARCHED:
        depth += 1
    level = _level(goal, pieces, depth, random)
    found = _first(level, start, depth)
    found = _settled(level, found)
    for power in range(depth - 1, -1, -1):
        parent, level = level, _level(goal, pieces, power, random)
        found = _settled(level, _finer(level, found, parent))
    return _crisp(level, found)


def _settled(level: _Level, found: np.ndarray) -> np.ndarray:
    """What was found, improved in turns: values are voted for, then patches looked for that are like them."""
    searched = len(level.pixels) <= MOST_SEARCHED
    for _ in range(ROUNDS if searched else 1):
        values = _voted(level, found, SOFT)
        found = _searched(level, values) if searched else _spread(level, values, found)
    return found


def signed(mask: np.ndarray) -> np.ndarray:
    """float32 HxW: pixels to the edge, positive inside."""
    padded = np.pad(mask.astype(np.uint8), 1, mode="edge")
    inside = cv2.distanceTransform(padded, cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(1 - padded, cv2.DIST_L2, 5) if (padded == 0).any() else np.zeros_like(inside)
    return (np.where(padded > 0, inside - 0.5, 0.5 - outside))[1:-1, 1:-1].astype(np.float32)


def _wandering(mask: np.ndarray, half: float, random: np.random.Generator) -> np.ndarray:
    """`signed` with an edge that withdraws into the mask here and there: a brush is smoother than a defect."""
    most = min(WANDER * half, WANDER_PX)
    noise = fractal(int(random.integers(2**31)), mask.shape, max(4.0, half), octaves=4, gain=0.7)
    distance = signed(mask)
    return np.where(distance > 0, distance - most * np.abs(noise), distance).astype(np.float32)


def _guide(distance: np.ndarray, half: float, rim_px: float, factor: int) -> np.ndarray:
    """float32 HxWx2: the rim from -1 (outside) to 1, and the depth from 0 to 1 in the middle."""
    both = np.stack([np.clip(distance / rim_px, -1, 1), np.clip(distance / half, 0, 1)], -1)
    return _shrunk(both.astype(np.float32), factor)


def _shrunk(a: np.ndarray, factor: int) -> np.ndarray:
    if factor == 1:
        return a
    height, width = a.shape[:2]
    tall, wide = -(-height // factor) * factor, -(-width // factor) * factor
    padded = cv2.copyMakeBorder(a, 0, tall - height, 0, wide - width, cv2.BORDER_REPLICATE)
    return cv2.resize(padded, (wide // factor, tall // factor), interpolation=cv2.INTER_AREA)


def _level(goal: _Goal, pieces: Sequence[Piece], power: int, random: np.random.Generator) -> _Level:
    factor = 2**power
    parts = []
    for piece in pieces:
        valid = _shrunk(piece.valid.astype(np.float32), factor) > 0.999
        whole = cv2.erode(valid.astype(np.uint8), np.ones((SIDE, SIDE), np.uint8)) > 0
        distance = signed(piece.mask)
        guide = _guide(distance, max(half_width(piece.mask), 1.0), goal.rim_px, factor)
        near = _shrunk(distance, factor) > -(REACH * factor + RIM_PX)
        ends = (REACH,) * 4
        bordered = [
            cv2.copyMakeBorder(
                one, *ends, cv2.BORDER_REFLECT_101 if min(one.shape[:2]) > REACH else cv2.BORDER_REPLICATE
            )
            for one in (_shrunk(piece.residual, factor), guide)
        ]
        taken = near & (whole if (whole & near).any() else valid if (valid & near).any() else np.ones_like(valid))
        parts.append((*bordered, cv2.copyMakeBorder(taken.astype(np.uint8), *ends, cv2.BORDER_CONSTANT, value=0) > 0))
    wide = max(one[0].shape[1] for one in parts)
    tops, top = [], 0
    for one in parts:
        tops.append(top)
        top += one[0].shape[0]
    canvas = np.zeros((top, wide, 3), np.float32)
    canvas_guide = np.zeros((top, wide, 2), np.float32)
    allowed = np.zeros((top, wide), bool)
    for start, (residual, guide, valid) in zip(tops, parts, strict=True):
        rows, columns = residual.shape[:2]
        canvas[start : start + rows, :columns] = residual
        canvas_guide[start : start + rows, :columns] = guide
        allowed[start : start + rows, :columns] = valid
    centres = np.argwhere(allowed)
    if len(centres) > MOST_PATCHES:
        centres = centres[np.sort(random.choice(len(centres), MOST_PATCHES, replace=False))]
    pad = ((REACH, REACH), (REACH, REACH), (0, 0))
    small = np.pad(_shrunk(goal.target, factor), pad, mode="reflect")
    guide = np.pad(_guide(goal.distance, goal.half_width_px, goal.rim_px, factor), pad, mode="edge")
    pixels = np.argwhere(_shrunk(goal.free.astype(np.float32), factor) > 0) + REACH
    centre = THIN_WEIGHT if goal.half_width_px <= THIN_PX else CENTRE_WEIGHT
    return _Level(canvas, canvas_guide, centres, allowed, tops, small, guide, pixels, centre)


def _patches(a: np.ndarray, at: np.ndarray) -> np.ndarray:
    """float32 [N, SIDE * SIDE * C] of patches around [N, 2]."""
    found = np.empty((len(at), len(_OFFSETS), a.shape[2]), np.float32)
    for number, (dy, dx) in enumerate(_OFFSETS):
        found[:, number] = a[at[:, 0] + dy, at[:, 1] + dx]
    return found.reshape(len(at), -1)


def _first(level: _Level, start: tuple[float, float], power: int) -> np.ndarray:
    """int [M, 2] of the canvas: the first piece as it lies, and by the guide alone where it does not reach."""
    factor = 2**power
    origin = np.array(start) / factor
    at = np.round(level.pixels - origin).astype(int)
    rows, columns = level.canvas.shape[:2]
    end = level.tops[1] if len(level.tops) > 1 else rows
    inside = (at[:, 0] >= 0) & (at[:, 0] < end) & (at[:, 1] >= 0) & (at[:, 1] < columns)
    found = np.clip(at, 0, [end - 1, columns - 1])
    guides = level.guide[level.pixels[:, 0], level.pixels[:, 1]]
    fits = inside & level.allowed[found[:, 0], found[:, 1]]
    fits &= np.abs(level.canvas_guide[found[:, 0], found[:, 1]] - guides).max(axis=1) < 0.5
    if not fits.all():
        wanted, there = (
            _guides(one[0], one[1], level.centre)
            for one in ((level.guide, level.pixels[~fits]), (level.canvas_guide, level.centres))
        )
        middle, axes = _principal(there)
        _, nearest = cKDTree((there - middle) @ axes).query((wanted - middle) @ axes, eps=0.5)
        found[~fits] = level.centres[nearest]
    return found


def _finer(level: _Level, found: np.ndarray, parent: _Level) -> np.ndarray:
    """What was found at half the scale, as places of this one: neighbours go on being copied together."""
    lookup = np.full((*parent.target.shape[:2], 2), -1, np.int64)
    lookup[parent.pixels[:, 0], parent.pixels[:, 1]] = found
    fine = level.pixels - REACH
    coarse = fine // 2
    above = lookup[coarse[:, 0] + REACH, coarse[:, 1] + REACH]
    which = np.searchsorted(parent.tops, above[:, 0], side="right") - 1
    tops, parent_tops = np.array(level.tops), np.array(parent.tops)
    down, across = above[:, 0] - parent_tops[which] - REACH, above[:, 1] - REACH
    at = np.stack([2 * down + fine[:, 0] % 2 + tops[which] + REACH, 2 * across + fine[:, 1] % 2 + REACH], 1)
    return _lawful(level, at)


def _lawful(level: _Level, at: np.ndarray) -> np.ndarray:
    """The same, each moved to the nearest place where a patch may be taken."""
    at = np.clip(at, 0, np.array(level.canvas.shape[:2]) - 1)
    wrong = ~level.allowed[at[:, 0], at[:, 1]]
    if wrong.any():
        _, nearest = cKDTree(level.centres).query(at[wrong])
        at[wrong] = level.centres[nearest]
    return at


def _voted(level: _Level, found: np.ndarray, sigma: float) -> np.ndarray:
    total = np.zeros_like(level.target)
    weight = np.zeros(level.target.shape[:2], np.float32)
    for dy, dx in _OFFSETS:
        share = np.float32(np.exp(-(dy * dy + dx * dx) / (2 * sigma**2)))
        y, x = level.pixels[:, 0] + dy, level.pixels[:, 1] + dx
        total[y, x] += share * level.canvas[found[:, 0] + dy, found[:, 1] + dx]
        weight[y, x] += share
    values = level.target.copy()
    y, x = level.pixels[:, 0], level.pixels[:, 1]
    values[y, x] = total[y, x] / weight[y, x][:, None]
    return values


def _guides(guide: np.ndarray, at: np.ndarray, centre: float) -> np.ndarray:
    """What is compared of the guide: how the edge runs near by, and above all how deep the pixel itself lies."""
    return np.hstack([GUIDE_WEIGHT * _patches(guide, at), centre * guide[at[:, 0], at[:, 1]]])


def _features(
    level: _Level, values: np.ndarray, at: np.ndarray, guide: np.ndarray, scale: float, centre: float
) -> np.ndarray:
    return np.hstack([_patches(values, at) / scale, _guides(guide, at, centre)])


def _scale(level: _Level) -> float:
    return float(level.canvas[level.allowed].std()) + 1e-6


def _searched(level: _Level, values: np.ndarray) -> np.ndarray:
    """The nearest patch of all for each pixel."""
    scale = _scale(level)
    there = _features(level, level.canvas, level.centres, level.canvas_guide, scale, level.centre)
    middle, axes = _principal(there)
    wanted = _features(level, values, level.pixels, level.guide, scale, level.centre)
    _, nearest = cKDTree((there - middle) @ axes).query((wanted - middle) @ axes, eps=1.0)
    return level.centres[nearest]


def _principal(there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and the axes along which rows differ most, as columns."""
    middle = there.mean(axis=0)
    sample = there[:: max(1, len(there) // 3000)] - middle
    _, axes = np.linalg.eigh(sample.T @ sample)
    return middle, axes[:, ::-1][:, :DIMENSIONS]


def _spread(level: _Level, values: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The best of what a pixel and its neighbours found: whole regions are copied together."""
    scale = _scale(level)
    lookup = np.full((*level.target.shape[:2], 2), -1, np.int64)
    lookup[level.pixels[:, 0], level.pixels[:, 1]] = found
    best = np.full(len(found), np.inf, np.float32)
    chosen = found.copy()
    limit = np.array(level.canvas.shape[:2])
    for dy, dx in ((0, 0), (-2, 0), (2, 0), (0, -2), (0, 2)):
        y = np.clip(level.pixels[:, 0] + dy, 0, lookup.shape[0] - 1)
        x = np.clip(level.pixels[:, 1] + dx, 0, lookup.shape[1] - 1)
        at = lookup[y, x] - np.array([dy, dx])
        ok = (lookup[y, x, 0] >= 0) & (at >= 0).all(axis=1) & (at < limit).all(axis=1)
        ok[ok] = level.allowed[at[ok, 0], at[ok, 1]]
        cost = np.full(len(found), np.inf, np.float32)
        for part in np.array_split(np.flatnonzero(ok), max(1, int(ok.sum()) // 8000)):
            off = _features(level, values, level.pixels[part], level.guide, scale, level.centre)
            off -= _features(level, level.canvas, at[part], level.canvas_guide, scale, level.centre)
            cost[part] = np.einsum("nd,nd->n", off, off)
        better = cost < best * 0.95
        chosen[better], best[better] = at[better], cost[better]
    return chosen


def _crisp(level: _Level, found: np.ndarray) -> np.ndarray:
    """The votes, with as much fine detail as the patches had that were averaged; without the padding."""
    values = _voted(level, found, SHARP)
    fine = level.canvas - cv2.GaussianBlur(level.canvas, (0, 0), FINE_PX, borderType=cv2.BORDER_REFLECT_101)
    own = values - cv2.GaussianBlur(values, (0, 0), FINE_PX, borderType=cv2.BORDER_REFLECT_101)
    y, x = level.pixels[:, 0], level.pixels[:, 1]
    asked = np.zeros(level.target.shape[:2], np.float32)
    there = asked.copy()
    asked[y, x] = np.square(fine[found[:, 0], found[:, 1]]).sum(axis=1)
    there[y, x] = np.square(own[y, x]).sum(axis=1)
    asked, there = blur(asked, 3.0), blur(there, 3.0)
    gain = np.clip(np.sqrt(asked / np.maximum(there, 1e-9)), 1.0, MOST_CRISPER).astype(np.float32)
    crisp = values.copy()
    crisp[y, x] += (gain[y, x] - 1)[:, None] * own[y, x]
    return crisp[REACH:-REACH, REACH:-REACH]
