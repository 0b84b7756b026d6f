"""A shape as its outline and its bones: moved, turned, scaled and bent as points, and drawn anew at any size.

Points are float (x, y) in pixels, a pixel's middle at +0.5. Knows nothing of pictures or of where shapes go.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from skimage.morphology import skeletonize

from pipelines.core import shapes

FINE_PX = ((128, 4), (512, 2))
"""Up to which side a shape is traced and drawn so many times finer."""
DOTS = 400
LONG = 1.5
"""How many times longer than wide a shape is that runs somewhere."""
WAVES = 3


@dataclass(frozen=True)
class Outline:
    """A shape made of points alone."""

    rings: tuple[np.ndarray, ...]
    """Closed lines Nx2 around its parts and around their holes."""
    bones: np.ndarray
    """Mx2x2: short lines along its middle. However thin it is drawn, these stay."""
    dots: np.ndarray
    """Nx2: points strewn over its area, to tell which way it runs."""

    @property
    def points(self) -> np.ndarray:
        """Nx2: those of all rings."""
        return np.concatenate(self.rings)

    def moved(self, change: Callable[[np.ndarray], np.ndarray]) -> "Outline":
        """The shape with all its points (Nx2) changed."""
        bones = change(self.bones.reshape(-1, 2)).reshape(-1, 2, 2)
        return Outline(tuple(change(ring) for ring in self.rings), bones, change(self.dots))


def trace(mask: np.ndarray) -> Outline:
    """The outline of a mask, bool HxW with at least one pixel; (0, 0) is the mask's corner."""
    finer = _finer(max(mask.shape))
    fine = np.pad(mask.astype(np.uint8).repeat(finer, 0).repeat(finer, 1), 1)
    found, _ = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = tuple(_smooth(one.reshape(-1, 2).astype(np.float64), 0.6 * finer) for one in found)
    rows, columns = np.nonzero(mask)
    some = np.linspace(0, len(rows) - 1, min(len(rows), DOTS)).astype(int)
    dots = np.stack([columns[some], rows[some]], 1) + 0.5
    return Outline(tuple((ring - 0.5) / finer for ring in rings), _bones(mask), dots)


def length(points: np.ndarray) -> float:
    """The longer side of the narrowest rectangle around points Nx2."""
    return float(max(cv2.minAreaRect(points.astype(np.float32))[1]))


def length_px(mask: np.ndarray) -> float:
    """How long a mask is, bool HxW, in pixels: the longer side of the narrowest rectangle around it."""
    rows, columns = np.nonzero(mask)
    return length(np.stack([columns, rows], 1)) + 1


def direction(dots: np.ndarray) -> tuple[float, float]:
    """(angle, how many times longer than wide) of points Nx2. The angle is in degrees in [0, 180), 90 is upright."""
    spread = np.cov(dots.T, bias=True) + np.eye(2) / 12 if len(dots) > 1 else np.eye(2)  # a pixel has a width too
    least, most = np.linalg.eigvalsh(spread)
    turn = 0.5 * math.atan2(2 * spread[0, 1], spread[0, 0] - spread[1, 1])
    return math.degrees(-turn) % 180, math.sqrt(most / least)


def turned(outline: Outline, degrees: float) -> Outline:
    """Turned against the clock around the middle of its dots."""
    middle, turn = outline.dots.mean(0), math.radians(-degrees)
    matrix = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    return outline.moved(lambda points: (points - middle) @ matrix.T + middle)


def scaled(outline: Outline, across: float, down: float) -> Outline:
    """Stretched from (0, 0)."""
    return outline.moved(lambda points: points * np.array([across, down]))


def bent(outline: Outline, amount: float, random: np.random.Generator) -> Outline:
    """Bent by slow waves and stretched, `amount` 0 (not at all) to 1; nowhere is it folded over itself."""
    far = max(length(outline.points), 1.0)
    turns, waves = random.uniform(0, 2 * np.pi, (2, WAVES)), random.uniform(0.4, 1.2, WAVES)
    heights = random.dirichlet(np.ones(WAVES), 2)
    phases = random.uniform(0, 2 * np.pi, (2, WAVES))
    stretch = np.exp(random.normal(0, 0.15 * amount, 2))
    lead = np.stack([np.cos(turns[0]), np.sin(turns[0])]) * waves * 2 * np.pi / far

    def change(points: np.ndarray) -> np.ndarray:
        swing = np.sin((points @ lead)[:, None, :] + phases)
        return np.asarray((points + 0.1 * amount * far * (swing * heights).sum(2)) * stretch)

    return outline.moved(change)


def drawn(outline: Outline) -> tuple[np.ndarray, int, int]:
    """(bool HxW without empty borders, its left column, its top row). A thin shape is a pixel wide at least."""
    every = np.concatenate([outline.points, outline.bones.reshape(-1, 2)])
    corner = np.floor(every.min(0)).astype(int) - 1
    wide, high = (np.ceil(every.max(0)).astype(int) + 2 - corner).tolist()
    finer = _finer(max(wide, high))
    canvas = np.zeros((high * finer, wide * finer), np.uint8)
    unit = finer * 2**shapes.SUBPIXEL_BITS
    rings = [
        ((ring - corner) * unit - 2 ** (shapes.SUBPIXEL_BITS - 1)).round().astype(np.int32) for ring in outline.rings
    ]
    cv2.fillPoly(canvas, rings, 255, cv2.LINE_8, shapes.SUBPIXEL_BITS)
    mask = (cv2.resize(canvas, (wide, high), interpolation=cv2.INTER_AREA) >= 128).astype(np.uint8)
    spine = np.zeros_like(mask)
    bones = np.floor(outline.bones - corner).astype(np.int32)
    cv2.polylines(spine, list(bones), False, 1, 1, cv2.LINE_8)
    _, labels = cv2.connectedComponents(mask | spine, connectivity=8)
    kept = np.zeros(labels.max() + 1, bool)
    kept[labels[spine > 0]] = True  # a crumb without a bone broke off when it was drawn
    kept[0] = False
    mask = kept[labels]
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    cut = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.ascontiguousarray(cut), int(corner[0] + columns[0]), int(corner[1] + rows[0])


def _finer(side: int) -> int:
    return next((finer for most, finer in FINE_PX if side <= most), 1)


def _smooth(ring: np.ndarray, sigma: float) -> np.ndarray:
    """Without the steps of pixels, which would be seen on a larger copy."""
    reach = math.ceil(3 * sigma)
    if len(ring) <= 4 * reach:
        return ring
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    around = np.concatenate([ring[-reach:], ring, ring[:reach]])
    return np.stack([np.convolve(around[:, axis], kernel / kernel.sum(), "valid") for axis in (0, 1)], 1)


def _bones(mask: np.ndarray) -> np.ndarray:
    skeleton = skeletonize(np.pad(mask, 1))
    rows, columns = np.nonzero(skeleton)
    here = np.stack([columns, rows], 1)
    found = [np.stack([here, here], 1)]  # a speck is a line from its pixel to itself
    for right, down in ((1, 0), (0, 1), (1, 1), (-1, 1)):
        joined = here[skeleton[rows + down, columns + right]]
        found.append(np.stack([joined, joined + np.array([right, down])], 1))
    return np.concatenate(found) - 0.5
