"""Where defects lie, as a map of a picture whatever its size: made of masks, smoothed, spread over a picture, shown.

A map is float32 GRID x GRID, the cells of core/statistics, so that it is the same map the page shows of a data set.
"""

from collections.abc import Iterable

import cv2
import numpy as np

from pipelines.core import images
from pipelines.core.statistics import GRID

CELL_PX = 20
LEAST_CELLS, MOST_CELLS = 0.7, 4.0
"""How far a map is smoothed."""


def of(parts: Iterable[np.ndarray]) -> np.ndarray:
    """The map of defects, each as `statistics.shares` has it; large and small ones weigh alike. All 0 without any."""
    whole = np.zeros((GRID, GRID), np.float32)
    for part in parts:
        whole += part / max(float(part.sum()), 1e-9)
    return whole


def smoothed(cells: np.ndarray, count: int) -> np.ndarray:
    """A map of `count` defects as the chance of one in each cell, its sum 1.

    The fewer they are, the less is known of the next one: Silverman's rule for two dimensions.
    """
    chance = cells / max(float(cells.sum()), 1e-9)
    rows, columns = np.mgrid[:GRID, :GRID]
    spread = [float((chance * (at - (chance * at).sum()) ** 2).sum()) for at in (rows, columns)]
    sigma = float(np.clip(np.sqrt(np.mean(spread)) * max(count, 1) ** (-1 / 6), LEAST_CELLS, MOST_CELLS))
    soft = cv2.GaussianBlur(chance.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return np.asarray(soft / max(float(soft.sum()), 1e-9), np.float32)


def spread(cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The map over a picture (height, width), float32 HxW, at least 0."""
    return np.maximum(cv2.resize(cells, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), 0)


def picture(cells: np.ndarray, shape: tuple[int, int] = (1, 1)) -> np.ndarray:
    """uint8 RGB of a map, dark where nothing lies, as wide against its height as a picture (height, width)."""
    high, wide = (max(CELL_PX, round(GRID * CELL_PX * side / max(shape))) for side in shape)
    field = spread(cells.astype(np.float32), (high, wide))
    levels = np.rint(255 * field / max(float(field.max()), 1e-9)).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB))


def overlay(pixels: np.ndarray, mask: np.ndarray, side: int = 320) -> np.ndarray:
    """uint8 RGB of at most `side` px: a picture with a mask (bool HxW) outlined and tinted; thin masks stay seen."""
    small = images.smaller(pixels, side)
    shown = cv2.cvtColor(small, cv2.COLOR_GRAY2RGB) if small.ndim == 2 else small.copy()
    factor = max(mask.shape[0] / small.shape[0], 1.0)
    reach = 2 * int(np.ceil(factor / 2)) - 1
    wide = cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8))
    where = cv2.resize(wide, (small.shape[1], small.shape[0]), interpolation=cv2.INTER_NEAREST) > 0
    edge = where & (cv2.erode(where.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    ink = np.array([255, 72, 48], np.float32)
    shown[where] = np.rint(0.7 * shown[where] + 0.3 * ink).astype(np.uint8)
    shown[edge] = ink.astype(np.uint8)
    return shown
