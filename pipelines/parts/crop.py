"""The crop around a mask, and the way back: only the mask's surroundings are computed.

Beyond the feather not one byte moves. Knows nothing of what is drawn inside.
"""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Box:
    """A rectangle of the picture, end exclusive, in pixels."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def window(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)


def around(mask: np.ndarray, padding_px: int) -> Box:
    """The mask's bounding box grown by `padding_px`, within the picture. mask is bool HxW with at least one pixel."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    return Box(
        max(0, int(rows[0]) - padding_px),
        max(0, int(columns[0]) - padding_px),
        min(height, int(rows[-1]) + 1 + padding_px),
        min(width, int(columns[-1]) + 1 + padding_px),
    )


def feathered(mask: np.ndarray, feather_px: int) -> np.ndarray:
    """bool HxW: the mask and its feather, all that may change."""
    box = around(mask, feather_px)
    whole = np.zeros(mask.shape, bool)
    whole[box.window] = feather(mask[box.window], feather_px) > 0
    return whole


def feather(mask: np.ndarray, feather_px: int) -> np.ndarray:
    """float32 HxW: 1 in the mask, falling to 0 over `feather_px` pixels outside it, 0 beyond."""
    if feather_px == 0:
        return mask.astype(np.float32)
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    weight = np.clip(1 - distance / (feather_px + 1), 0, 1)
    weight[distance > feather_px] = 0
    return weight.astype(np.float32)
