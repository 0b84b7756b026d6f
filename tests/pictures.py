"""Small pictures and masks that many tests paint on. Made here, never read from anywhere."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipelines.core import images


def good(height: int = 72, width: int = 96, *, bits: int = 8, grey: bool = False, seed: int = 1) -> np.ndarray:
    """A softly lit, grained surface: HxWx3 or HxW, uint8 or uint16."""
    random = np.random.default_rng(seed)
    slope = np.linspace(0.35, 0.6, width, dtype=np.float32)[None, :] + np.zeros((height, 1), np.float32)
    grain = cv2.GaussianBlur(random.standard_normal((height, width)).astype(np.float32), (0, 0), 0.8) * 0.02
    values = (slope + grain)[..., None] * np.array([1.0, 0.9, 0.8], np.float32)
    values = values[..., 0] if grey else values
    top = 2**bits - 1
    return np.round(values * top).astype(np.uint8 if bits == 8 else np.uint16)


def disc(height: int = 72, width: int = 96, *, radius: int = 18, at: tuple[int, int] | None = None) -> np.ndarray:
    """bool HxW: a filled circle; `at` is (x, y), the middle by default."""
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, at or (width // 2, height // 2), radius, 255, -1)
    return mask > 0


def line(height: int = 72, width: int = 96) -> np.ndarray:
    """bool HxW: a stroke one pixel wide."""
    mask = np.zeros((height, width), np.uint8)
    cv2.line(mask, (15, 20), (80, 50), 255, 1)
    return mask > 0


def request(
    folder: Path, *, picture: np.ndarray | None = None, mask: np.ndarray | None = None, **fields: Any
) -> dict[str, Any]:
    """A paintable request whose files lie in `folder`."""
    picture = good() if picture is None else picture
    mask = disc(*picture.shape[:2]) if mask is None else mask
    images.write_png(folder / "part.png", picture)
    images.write_png(folder / "mask.png", mask)
    files = {"image": str(folder / "part.png"), "mask": str(folder / "mask.png")}
    return {"task": "inpaint", **files, "defect": "hole", "severity": 0.7, **fields}
