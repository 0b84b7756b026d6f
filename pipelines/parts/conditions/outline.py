"""Which part of a picture is the part: what stands before an even background, by colour, with the holes it has.

Says nothing where the surface fills the picture or the background is uneven. Knows nothing of heights or maps.
"""

import cv2
import numpy as np

from pipelines.core.noise import blur

SIDE_PX = 256
"""Long side of the copy that is looked at: an outline needs no more."""
EVEN, SHARE_EVEN = 0.08, 0.85
"""How far a frame's colours may lie from their middle, and how many of them must lie within."""
APART = 0.08
"""How far from the background a part is at least."""
BEYOND = 1.5
"""And how many times further than the frame's own unevenness."""
FRAME_PX = 4
SHADOW = 0.45
"""Share of the background's brightness that is left in a shadow."""
MOSTLY = 0.6
LEAST, MOST = 0.04, 0.85
"""Share of the picture that a part may have."""
COMPACT = 0.75
"""Share of its convex hull that a part fills, its holes counted in: texture on an even ground does not."""
CLOSED_PX, HOLE_PX = 5, 9
"""Gaps that are closed, and how wide a hole must be to be one."""


def outline(picture: np.ndarray) -> np.ndarray | None:
    """bool HxW, True where the part is, of a picture float32 HxWx3 in [0, 1]; None where there is no clear one.

    What differs from the background by more than a shadow would is the part, where that is most of what differs at all:
    a grey part on grey ground is not told from shadow by its colour.
    """
    small = _small(picture)
    ground = _ground(small)
    if ground is None:
        return None
    shaded = np.clip(small @ ground / max(float(ground @ ground), 1e-6), SHADOW, 1)[..., None] * ground
    with_shadow, part = (_compact(_apart(small, against)) for against in (ground, shaded))
    if with_shadow is None:
        return None
    if part is None or part.sum() < MOSTLY * with_shadow.sum():
        part = with_shadow
    shape = (picture.shape[1], picture.shape[0])
    return np.asarray(cv2.resize(blur(part.astype(np.float32), 1.5), shape, interpolation=cv2.INTER_LINEAR) > 0.5)


def _apart(small: np.ndarray, against: np.ndarray) -> np.ndarray:
    """uint8 HxW, 1 where the colour is further from `against` than the picture's own frame is."""
    away = blur(np.abs(small - against).max(2), 0.6)
    frame = np.concatenate(
        [away[:FRAME_PX].ravel(), away[-FRAME_PX:].ravel(), away[:, :FRAME_PX].ravel(), away[:, -FRAME_PX:].ravel()]
    )
    far = away > max(APART, BEYOND * float(np.quantile(frame, 0.98)))
    return np.asarray(cv2.morphologyEx(far.astype(np.uint8), cv2.MORPH_CLOSE, _disc(CLOSED_PX)))


def _small(picture: np.ndarray) -> np.ndarray:
    scale = min(1.0, SIDE_PX / max(picture.shape))
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


def _ground(small: np.ndarray) -> np.ndarray | None:
    """The colour of the picture's frame where it is even, else None."""
    smooth = blur(small, 1.5)
    frame = np.concatenate([smooth[0], smooth[-1], smooth[:, 0], smooth[:, -1]])
    middle = np.median(frame, axis=0)
    even = np.abs(frame - middle).max(1) < EVEN
    return np.asarray(middle, np.float32) if float(even.mean()) > SHARE_EVEN else None


def _compact(found: np.ndarray) -> np.ndarray | None:
    """The large pieces filled but for their wide holes, where they are compact and neither all nor next to nothing."""
    outlines, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    areas = [float(cv2.contourArea(one)) for one in outlines]
    large = [one for one, area in zip(outlines, areas, strict=True) if area > LEAST * found.size]
    if not large or sum(area for area in areas if area > LEAST * found.size) < 0.8 * sum(areas):
        return None
    if any(cv2.contourArea(one) < COMPACT * cv2.contourArea(cv2.convexHull(one)) for one in large):
        return None
    filled = cv2.drawContours(np.zeros_like(found), large, -1, 1, cv2.FILLED)
    holes = cv2.morphologyEx(filled & (1 - found), cv2.MORPH_OPEN, _disc(HOLE_PX))
    part = (filled > 0) & (holes == 0)
    return part if LEAST < float(part.mean()) < MOST else None


def _disc(width_px: int) -> np.ndarray:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width_px, width_px)))
