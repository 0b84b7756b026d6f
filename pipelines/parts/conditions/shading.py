"""How high a surface stands, guessed from one picture of it: from shading, from what lies in recesses, from outlines.

A linear guess, undone by a Wiener filter: light along the surface shows its slope (Pentland 1990, linear shape from
shading), and what lies deeper than its surroundings is darker. Neither can be told from paint, so a stain becomes a
hollow. Its constants were chosen on our own surfaces, whose heights are known. Knows nothing of maps.
"""

import cv2
import numpy as np
from scipy import fft

from pipelines.core.noise import blur, smoothstep
from pipelines.parts import lighting
from pipelines.parts.conditions.outline import outline

SIDE_PX = 256
"""Of the pictures the constants below were chosen on; others are seen as if they had this long side."""
SLOPE, RECESS = 0.4, 1.5
"""Relative brightness per unit of slope towards the lamp, and per share of the depth below the surroundings."""
REACHES_PX = 7.0, 21.0
NOISE, UNSURE = 0.003, 0.1
"""Power of what is no relief, and of the slope's part that a wrong lamp would get wrong."""
WIDE_PX = 20.0
"""Slower changes of brightness are the lamp's or the paint's."""
MOST = 0.6
"""Relative change of brightness beyond which it is a highlight, a shadow or paint."""
SMOOTH_PX = 0.35
MARGIN_PX = 32
TRUST = 0.5
"""How much of the guess is kept: about its correlation with the truth, which leaves the least error."""
ROUND = 0.6
"""How high a part stands, of half a ball with the part's own girth."""


def height(picture: np.ndarray) -> np.ndarray:
    """float32 HxW in pixels of a picture float32 HxWx3 in [0, 1]; a flat picture is 0 all over."""
    part = outline(picture)
    grey = lighting.luminance(picture)
    scale = max(grey.shape) / SIDE_PX
    change = _change(grey, part, scale)
    relief = _undone(change, lighting.estimate_light(grey), scale)
    return relief if part is None else relief + _dome(part)


def _change(grey: np.ndarray, part: np.ndarray | None, scale: float) -> np.ndarray:
    """Brightness relative to its surroundings, less 1; part and background have each their own."""
    grey = blur(grey, SMOOTH_PX * scale)
    if part is None:
        around = blur(grey, WIDE_PX * scale)
    else:
        around = np.zeros_like(grey)
        for place in (part, ~part):
            inside = place.astype(np.float32)
            around += inside * blur(grey * inside, WIDE_PX * scale) / np.maximum(blur(inside, WIDE_PX * scale), 1e-3)
    return np.clip((grey - around) / (around + 0.02), -MOST, MOST)


def _undone(change: np.ndarray, light: lighting.Light, scale: float) -> np.ndarray:
    """The height whose shading `change` is, in pixels."""
    margin = round(MARGIN_PX * scale)
    wide = _faded(change, margin)
    shape = [fft.next_fast_len(side, real=True) for side in wide.shape]
    down = np.fft.fftfreq(shape[0]).astype(np.float32)[:, None] * np.float32(scale)
    across = np.fft.rfftfreq(shape[1]).astype(np.float32)[None] * np.float32(scale)
    lamp = light.vector()
    along = 2 * np.pi * (across * lamp[0] + down * lamp[1]) / lamp[2]
    power = 4 * np.pi**2 * (across * across + down * down)
    recess = sum((1 - np.exp(-power * reach**2 / 2)) / reach for reach in REACHES_PX)
    seen = (RECESS * recess - 1j * SLOPE * along).astype(np.complex64)
    undo = np.conj(seen) / (np.abs(seen) ** 2 + UNSURE * power + NOISE)
    found = fft.irfft2(fft.rfft2(wide, shape) * undo, shape)
    rows, columns = change.shape
    return np.asarray(found[margin : margin + rows, margin : margin + columns] * (TRUST * scale), np.float32)


def _faded(change: np.ndarray, margin: int) -> np.ndarray:
    """Mirrored over its frame and faded out there: a Fourier transform takes the far edge for the neighbour."""
    wide = np.pad(change, margin, mode="symmetric")
    for axis, side in enumerate(change.shape):
        ramp = smoothstep(
            -margin - 1, 0, np.minimum(np.arange(-margin, side + margin), np.arange(side + margin, -margin, -1) - 1)
        )
        wide = wide * np.expand_dims(ramp, 1 - axis)
    return wide


def _dome(part: np.ndarray) -> np.ndarray:
    """A part rounded from its outline: half a ball over the widest place, a ridge over a bar."""
    edge = cv2.distanceTransform(np.pad(part, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    radius = float(edge.max())
    if radius <= 0:
        return np.zeros(part.shape, np.float32)
    width = 2 * round(0.06 * radius) + 1
    for _ in range(3):  # noise.blur's smaller copy would leave its grid in the normals
        edge = cv2.blur(edge, (width, width))
    edge = edge * part
    return np.asarray(ROUND * np.sqrt(edge * (2 * radius - np.minimum(edge, radius))), np.float32)
