"""What is measured on every picture: did anything move outside, did the defect fill what was asked, can it be seen?"""

from dataclasses import asdict, dataclass

import cv2
import numpy as np

RING_PX = 12
FLOOR = 2 / 255
"""Contrast below two grey levels cannot be seen on a screen, however even the surroundings."""


@dataclass(frozen=True)
class Quality:
    """Scores of one picture; all plain numbers, kept in its manifest row."""

    outside_max: int
    """Largest change outside the feathered mask, in levels of the picture's own bit depth. Must be 0."""
    outside_mean: float
    """Mean absolute change outside the feathered mask, in the same levels. Must be 0."""
    fidelity: float
    """Intersection over union of what changed with what was asked."""
    coverage: float
    """Share of the asked area that changed."""
    visibility: float
    """Contrast of what changed against the ring around it, in units of the ring's own variation; 1 = hidden."""

    def row(self) -> dict[str, float]:
        return {key: round(value, 4) for key, value in asdict(self).items()}


def measure(
    before: np.ndarray, after: np.ndarray, *, asked: np.ndarray, feathered: np.ndarray, changed: np.ndarray
) -> Quality:
    """Compare two pictures of the same shape and dtype; asked, feathered (the widest), changed are bool HxW."""
    outside = cv2.absdiff(before, after)
    outside[feathered] = 0
    values = int(np.count_nonzero(~feathered)) * (outside.size // feathered.size)
    union = int(np.count_nonzero(asked | changed))
    both = int(np.count_nonzero(asked & changed))
    return Quality(
        outside_max=int(outside.max()),
        outside_mean=sum(cv2.sumElems(outside)) / values if values else 0.0,
        fidelity=both / union if union else 1.0,
        coverage=both / max(1, int(np.count_nonzero(asked))),
        visibility=_visibility(after, changed),
    )


def _visibility(after: np.ndarray, changed: np.ndarray) -> float:
    """Root mean square distance of the changed pixels from the ring's median colour, over the ring's own."""
    if not changed.any():
        return 0.0
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    window = (
        slice(max(0, rows[0] - RING_PX), rows[-1] + RING_PX + 1),
        slice(max(0, columns[0] - RING_PX), columns[-1] + RING_PX + 1),
    )
    inner = changed[window]
    near = cv2.dilate(
        inner.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RING_PX + 1, 2 * RING_PX + 1))
    )
    ring = (near > 0) & ~inner
    if not ring.any():
        return 1.0
    scale = np.float32(np.iinfo(after.dtype).max)
    pixels = after[window].astype(np.float32) / scale
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    middle = np.median(pixels[ring], axis=0)
    defect, surroundings = (float(np.sqrt(np.mean((pixels[where] - middle) ** 2))) for where in (inner, ring))
    return defect / max(surroundings, FLOOR)
