"""An example's defect turned, mirrored and scaled to go into a painted mask. Knows residuals and masks alone."""

import math

import cv2
import numpy as np

from pipelines.core.noise import blur
from pipelines.parts import lighting
from pipelines.parts.exemplars import residual
from pipelines.parts.exemplars.residual import Cutout
from pipelines.parts.exemplars.weave import Piece

LONG = 2.0
"""A mask this many times longer than wide lies along something."""
LARGEST, SMALLEST = 1.6, 0.2
"""How far an example is scaled."""
SHADED = 0.25
"""A defect with one side this much lighter than the other is lit from there, and keeps to the lamp."""
ORIENTED = 0.35
"""A surface whose lines are this parallel is not turned."""


def axes(mask: np.ndarray) -> tuple[tuple[float, float], float, float]:
    """((y, x) of the middle, angle of the longer axis in radians, how many times it is longer)."""
    y, x = np.nonzero(mask)
    middle = float(y.mean()), float(x.mean())
    covariance = np.cov(np.stack([x, y])) + np.eye(2) / 12 if len(y) > 1 else np.eye(2)
    values, vectors = np.linalg.eigh(covariance)
    return middle, float(math.atan2(vectors[1, 1], vectors[0, 1])), float(math.sqrt(values[1] / values[0]))


def likeness(cutout: Cutout, mask: np.ndarray) -> float:
    """How alike two masks are in width, length and area: 0 = the same."""
    own, other = axes(cutout.mask)[2], axes(mask)[2]
    wide = residual.half_width(mask) / cutout.half_width_px
    area = np.count_nonzero(mask) / np.count_nonzero(cutout.mask)
    return abs(math.log(own / other)) + abs(math.log(wide)) + 0.3 * abs(math.log(area))


def posed(
    cutout: Cutout, mask: np.ndarray, light_deg: float, count: int, random: np.random.Generator
) -> list[tuple[Piece, tuple[float, float]]]:
    """The example in up to `count` poses, the likeliest first, each with where (y, x) its origin lies on the mask."""
    middle, along, longer = axes(mask)
    _, own_along, own_longer = axes(cutout.mask)
    scale = float(np.clip(residual.half_width(mask) / cutout.half_width_px, SMALLEST, LARGEST))
    scale = 1.0 if 0.83 < scale < 1.2 else scale
    ground = lighting.luminance(cutout.residual)
    oriented = lighting.direction(np.where(cutout.mask, 0, ground))[1] > ORIENTED
    if longer > LONG and own_longer > LONG:
        turns = [along - own_along, along - own_along + math.pi]
    elif oriented:
        turns = [0.0, math.pi]
    else:
        turns = [0.0, math.pi / 2, math.pi, 3 * math.pi / 2]
    every = [(turn, mirror) for turn in turns for mirror in (False, True)]
    ways = [every[one] for one in random.permutation(len(every))]
    away = math.radians(light_deg - cutout.light_deg)
    dipole, strength = _dipole(cutout)
    if strength > SHADED:
        ways.sort(key=lambda way: -math.cos(_turned(dipole, way[0], way[1], own_along) - (dipole - away)))
        ways = ways[: max(count, len(ways) // 2)]
    found = [_moved(cutout, turn, mirror, own_along, scale, middle, random) for turn, mirror in ways]
    return sorted(found, key=lambda one: -_overlap(one, mask))[:count]


def _overlap(one: tuple[Piece, tuple[float, float]], mask: np.ndarray) -> float:
    """Intersection over union of a piece's mask, where it lies, with the painted one."""
    piece, (top, left) = one
    y, x = np.nonzero(piece.mask)
    y, x = y + round(top), x + round(left)
    inside = (y >= 0) & (x >= 0) & (y < mask.shape[0]) & (x < mask.shape[1])
    both = int(np.count_nonzero(mask[y[inside], x[inside]]))
    return both / (len(y) + int(np.count_nonzero(mask)) - both)


def _turned(angle: float, turn: float, mirror: bool, about: float) -> float:
    """Where a direction of the picture goes; mirrored about the longer axis first."""
    return (2 * about - angle if mirror else angle) + turn


def _dipole(cutout: Cutout) -> tuple[float, float]:
    """Direction (radians, y down) in which one side of the defect is lighter than the other; how much, 0 to 1."""
    grey = lighting.luminance(cutout.residual)
    slope_x, slope_y = lighting.slopes(blur(cutout.mask.astype(np.float32), 1.5))
    x, y = -float((grey * slope_x).sum()), -float((grey * slope_y).sum())
    total = float((np.abs(grey) * np.hypot(slope_x, slope_y)).sum())
    return math.atan2(y, x), math.hypot(x, y) / max(total, 1e-9)


def _moved(
    cutout: Cutout,
    turn: float,
    mirror: bool,
    about: float,
    scale: float,
    middle: tuple[float, float],
    random: np.random.Generator,
) -> tuple[Piece, tuple[float, float]]:
    """One pose. Quarter turns at the example's own scale move pixels and resample none."""
    own_y, own_x = axes(cutout.mask)[0]
    quarter = turn / (math.pi / 2)
    if scale == 1.0 and abs(quarter - round(quarter)) < 1e-6:
        values, mask = cutout.residual, cutout.mask
        y, x = own_y, own_x
        if mirror:
            values, mask, x = values[:, ::-1], mask[:, ::-1], mask.shape[1] - 1 - x
        for _ in range(round(quarter) % 4):  # y down: a turn to the right
            values, mask = np.rot90(values, -1), np.rot90(mask, -1)
            y, x = x, mask.shape[1] - 1 - y
        valid = np.ones(mask.shape, bool)
        values, mask = np.ascontiguousarray(values), np.ascontiguousarray(mask)
    else:
        matrix = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) * scale
        if mirror:
            cos, sin = math.cos(2 * about), math.sin(2 * about)
            matrix = matrix @ np.array([[cos, sin], [sin, -cos]])
        height, width = cutout.mask.shape
        corners = matrix @ np.array([[0, width, 0, width], [0, 0, height, height]], float)
        low = corners.min(axis=1)
        wide, tall = (int(one) for one in np.ceil(corners.max(axis=1) - low))
        whole = np.hstack([matrix, -low[:, None]])
        values = cv2.warpAffine(
            blur(cutout.residual, 0.4 / scale if scale < 0.6 else 0.0),
            whole,
            (wide, tall),
            flags=cv2.INTER_LANCZOS4,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        share = cv2.warpAffine(cutout.mask.astype(np.float32), whole, (wide, tall), flags=cv2.INTER_LINEAR)
        mask = share >= min(0.5, 0.5 * float(share.max()))
        inner = cv2.warpAffine(np.ones((height, width), np.float32), whole, (wide, tall), flags=cv2.INTER_LINEAR)
        valid = inner > 0.999
        x, y = whole @ np.array([own_x, own_y, 1.0])
        beside = ~mask & valid
        here = residual.grain(values, beside)
        coarse = cv2.GaussianBlur(values, (0, 0), residual.FINE_PX, borderType=cv2.BORDER_REFLECT_101)
        values = coarse + float(np.clip(cutout.grain / max(here, 1e-6), 0.7, 1.6)) * (values - coarse)
    return Piece(values, mask, valid), (middle[0] - y, middle[1] - x)
