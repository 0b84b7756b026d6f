"""A defect's shape laid into the maps that steer: a stroke becomes an edge, a dent depth and normals.

Maps are float32 HxWx3 in [0, 1] as parts/conditions makes them; a relief is float32 HxW in pixels, out of the surface
above 0. Knows shapes; not what a map was made of, nor what reads it.
"""

import cv2
import numpy as np

from pipelines.core.noise import blur
from pipelines.parts import crop, lighting
from pipelines.parts.conditions import relief

DEEP = ("hole", "missing")
"""Kinds that go through the surface: what is drawn of them is what is behind, not their own relief."""
BOWL = 0.8
"""Depth of such a one against its radius."""
SHARE = 0.4
"""How much of a depth map's whole range the deepest defect takes."""
SLOPED_PX = 2
"""How far past a relief its slopes reach."""
SOFT_PX = 2.0
"""Width of an outline: nets for soft edges were shown blurred ones."""


def bowl(where: np.ndarray) -> np.ndarray:
    """The relief of a hole as wide as `where` (bool HxW)."""
    away = cv2.distanceTransform(np.pad(where.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    radius = float(away.max())
    if radius == 0:
        return np.zeros(where.shape, np.float32)
    inward = np.clip(away / radius, 0, 1)
    return (-BOWL * radius * np.sqrt(1 - (1 - inward) ** 2)).astype(np.float32)


def into_edges(map: np.ndarray, where: np.ndarray, amount: float, soft: bool) -> np.ndarray:
    """The outline of what was drawn (bool HxW) beside what edges there are; a stroke of a pixel or two is its own."""
    inner = cv2.erode(where.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))) > 0
    line = (where & ~inner).astype(np.float32)
    if soft:
        line = np.clip(blur(line, SOFT_PX / 2) * 2.0, 0, 1)
    return np.maximum(map, amount * line[..., None]).astype(np.float32)


def into_depth(map: np.ndarray, height: np.ndarray, amount: float) -> np.ndarray:
    """Nearer where the relief rises, further where it sinks; `amount` in [0, 1] of what is laid in at most."""
    most = float(np.abs(height).max())
    if most == 0:
        return map
    shift = (SHARE * amount / most) * height
    return np.clip(map + shift[..., None], 0, 1).astype(np.float32)


def into_normals(map: np.ndarray, height: np.ndarray) -> np.ndarray:
    """The slopes of the relief on top of those of the surface."""
    if not height.any():
        return map
    window = crop.around(height != 0, SLOPED_PX).window
    own, laid = relief.normals_of(map[window]), lighting.normals(height[window])
    slopes = own[..., :2] / np.maximum(own[..., 2:], 0.05) + laid[..., :2] / np.maximum(laid[..., 2:], 0.05)
    both = np.concatenate([slopes, np.ones_like(slopes[..., :1])], axis=2)
    leaning = relief.normal_map(both / np.linalg.norm(both, axis=2, keepdims=True))
    changed, found = np.abs(laid[..., :2]).max(axis=2, keepdims=True) > 0, map.copy()
    found[window] = np.where(changed, leaning, map[window])
    return found
