"""Edges and lines without a network: soft edges where HED would draw them, thin lines, and Canny's. White on black.

An edge is a crest of local energy (Morrone and Owens 1987), so that a step and a stroke are one line each, in colour
(Di Zenzo 1986). It is weighed against the texture around it (surround suppression, Grigorescu, Petkov and Westenberg
2003), so that grain and leather do not become white noise, and against a floor, so that a flat picture stays black.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.noise import blur, smoothstep
from pipelines.parts import lighting

SIDE_PX = 512
"""Of the pictures the constants below were chosen on; others are seen as if they had this long side."""


@dataclass(frozen=True)
class Pen:
    """What is drawn, and how. Chosen by eye on real steel, leather and hazelnuts, beside PiDiNet's maps of them."""

    scales_px: tuple[float, ...]
    """Blurs at which edges are measured; the wider, the less texture is left in them."""
    stands_out: tuple[float, float]
    """From how many times its surroundings an edge begins to show, and where it is white."""
    floor: float
    """Energy that no surroundings are taken to be below: 8-bit steps and a sensor's noise."""
    ceiling: float
    """Energy that none are taken to be above: a mesh is nothing but edges, and they are to be seen."""
    shortest_px: float
    """What is shorter is a speck."""
    width_px: float
    """Sigma of the stroke that is drawn along a crest."""


SOFT = Pen(scales_px=(1.3, 2.3, 4.5), stands_out=(1.6, 4.5), floor=0.009, ceiling=0.05, shortest_px=14, width_px=1.2)
FINE = Pen(scales_px=(0.8, 1.6), stands_out=(1.8, 3.8), floor=0.012, ceiling=0.06, shortest_px=10, width_px=0.6)
STEP = 2**0.5
"""Weight of first derivatives beside second ones: with this, a stroke has no second crest at its side."""
SURROUND_PX = 50.0
GAIN = 1.2
LEAST_SCALE = 0.75
"""A small picture has its noise in every pixel, so it is not seen finer than this."""


def soft(picture: np.ndarray) -> np.ndarray:
    """Soft edges float32 HxW in [0, 1] of a picture float32 HxWx3: lines of two to four pixels in one of 512 px."""
    return _drawn(picture, SOFT)


def lines(picture: np.ndarray) -> np.ndarray:
    """Thin lines float32 HxW in [0, 1] of a picture float32 HxWx3, along edges and along the middle of strokes."""
    return _drawn(picture, FINE)


def canny(picture: np.ndarray, low: int, high: int) -> np.ndarray:
    """Canny's edges, 0 or 1, float32 HxW; the thresholds are OpenCV's, for 8 bits."""
    grey = np.rint(np.clip(lighting.luminance(picture), 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.Canny(grey, low, high) / 255, np.float32)


def _drawn(picture: np.ndarray, pen: Pen) -> np.ndarray:
    """The mean of what each scale draws, so that what only one of them sees is fainter."""
    scale = max(max(picture.shape) / SIDE_PX, LEAST_SCALE)
    total = np.zeros(picture.shape[:2], np.float32)
    for width_px in pen.scales_px:
        energy, across, down = _energy(picture, width_px * scale)
        shown = smoothstep(*pen.stands_out, _crest(energy, across, down) / _surround(energy, scale, pen))
        total += blur(_long(shown, pen.shortest_px * scale), max(pen.width_px * scale, 0.5))
    full = 2.5 * max(pen.width_px * scale, 0.5)  # what the blur of a line one pixel wide takes away
    return np.clip(total * np.float32(GAIN * full / len(pen.scales_px)), 0, 1)


def _energy(picture: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How strong a step or a stroke of about `width` pixels is at each place, and the unit vector across it."""
    smooth = blur(picture, width)

    def slope(x: int, y: int) -> np.ndarray:
        scale = width * STEP / 8 if x + y == 1 else width * width / 4
        return cv2.Sobel(smooth, cv2.CV_32F, x, y, ksize=3, scale=scale, borderType=cv2.BORDER_REPLICATE)

    across, down, along_x, along_y, along_xy = slope(1, 0), slope(0, 1), slope(2, 0), slope(0, 2), slope(1, 1)
    xx = (across * across + along_x * along_x + along_xy * along_xy).sum(2)
    yy = (down * down + along_y * along_y + along_xy * along_xy).sum(2)
    xy = (across * down + along_xy * (along_x + along_y)).sum(2)
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)
    return np.sqrt((xx + yy + cv2.magnitude(xx - yy, 2 * xy)) / 6), np.cos(angle), np.sin(angle)


def _crest(strength: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """`strength` where it is largest on the way across, else 0."""
    y, x = np.indices(strength.shape, np.float32)
    beside = [
        cv2.remap(strength, x + sign * across, y + sign * down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for sign in (np.float32(1), np.float32(-1))
    ]
    return np.where((strength >= beside[0]) & (strength > beside[1]), strength, np.float32(0))


def _surround(strength: np.ndarray, scale: float, pen: Pen) -> np.ndarray:
    """What an edge must stand out of: the mean strength around it, at least the picture's own; bounded by the pen."""
    around = np.maximum(blur(strength, SURROUND_PX * scale), np.float32(np.median(strength)))
    return np.clip(around, np.float32(pen.floor), np.float32(pen.ceiling))


def _long(shown: np.ndarray, shortest: float) -> np.ndarray:
    """Without the pieces that are shorter than that both ways."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((shown > 0.05).astype(np.uint8), connectivity=8)
    long = np.maximum(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]) >= shortest
    long[0] = False
    return np.where(long[labels], shown, np.float32(0))
