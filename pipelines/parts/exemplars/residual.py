"""A real defect as what it does to its surface: its picture taken apart into background and residual.

The residual is relative to the background's level, so that it can be laid on a lighter or darker part. Knows nothing of
where it goes.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipelines.parts import lighting

DARK_FLOOR, BRIGHT_FLOOR = 0.02, 0.3
"""What takes light away is counted against the background's level: a hole is as black on a bright part as on a dark
one. What adds light is counted nearly as it is: a glint would else be blown up. Added to the level, parts of white."""
BESIDE_PX = 5
"""How far past its mask a defect may still show: annotators cut close, lenses blur."""
BACKGROUND = 0.35
"""Sigma of the background's blur, as a share of the defect's half width; between the two bounds below."""
LEAST_SIGMA_PX, MOST_SIGMA_PX = 5.0, 40.0
FINE_PX = 1.0


@dataclass(frozen=True)
class Cutout:
    """One example's defect with some of its surroundings."""

    residual: np.ndarray
    """float32 HxWx3, as `relative` has it."""
    mask: np.ndarray
    """bool HxW."""
    grain: float
    """Standard deviation of the residual's finest detail beside the defect."""
    light_deg: float
    """Where its picture's lamp stands."""

    @property
    def half_width_px(self) -> float:
        return half_width(self.mask)


def half_width(mask: np.ndarray) -> float:
    """Half the width of a mask where it is widest, but for its knots, in pixels."""
    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)
    return float(np.quantile(depth[depth > 0], 0.9))


def cut(picture: np.ndarray, mask: np.ndarray, light_deg: float) -> Cutout:
    """Take a crop (float32 HxWx3 in [0, 1]) apart; mask is bool HxW, with some of the background beside it."""
    ground = background(picture, mask, sigma_px(mask))
    residual = relative(picture, ground)
    beside = cv2.dilate(mask.astype(np.uint8), np.ones((2 * BESIDE_PX + 1,) * 2, np.uint8)) == 0
    return Cutout(residual, mask, grain(residual, beside), light_deg)


def greyed(cutout: Cutout) -> Cutout:
    """The same for a picture without colour: its three channels are one."""
    grey = lighting.luminance(cutout.residual)
    return replace(cutout, residual=np.repeat(grey[..., None], 3, axis=2))


def relative(picture: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """How far a picture is from its background, float32 HxWx3, in parts of the background's level."""
    off = picture - ground
    return (off / (ground + np.where(off < 0, DARK_FLOOR, BRIGHT_FLOOR))).astype(np.float32)


def absolute(residual: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """The picture of which `relative` is the residual."""
    found: np.ndarray = ground + residual * (ground + np.where(residual < 0, DARK_FLOOR, BRIGHT_FLOOR))
    return found.astype(np.float32)


def sigma_px(mask: np.ndarray) -> float:
    """How far a background is smoothed for a defect of this width."""
    return float(np.clip(BACKGROUND * half_width(mask) * 2, LEAST_SIGMA_PX, MOST_SIGMA_PX))


def background(picture: np.ndarray, mask: np.ndarray | None, sigma: float) -> np.ndarray:
    """The surface's tone at large, float32 HxWx3; what the mask covers is filled in from around it."""
    if mask is None or not mask.any():
        return _smooth(picture, sigma)
    reach = np.ones((2 * BESIDE_PX + 1,) * 2, np.uint8)
    seen = (cv2.dilate(mask.astype(np.uint8), reach) == 0).astype(np.float32)
    if not seen.any():
        seen = (~mask).astype(np.float32)
    if not seen.any():
        return np.broadcast_to(picture.mean(axis=(0, 1), dtype=np.float32), picture.shape).copy()
    found = np.zeros_like(picture)
    told = np.zeros(mask.shape, np.float32)
    wide = sigma
    while True:  # nearest witnesses first; a wider blur only says what the narrower ones could not
        share = _smooth(seen, wide)
        values = _smooth(picture * seen[..., None], wide) / np.maximum(share, 1e-6)[..., None]
        trust = np.clip(share / 0.15, 0, 1) * (1 - told)
        found += trust[..., None] * values
        told += trust
        if told.min() > 0.999 or wide > 4 * max(mask.shape):
            break
        wide *= 1.6
    return found / np.maximum(told, 1e-6)[..., None]


def grain(residual: np.ndarray, where: np.ndarray) -> float:
    """Standard deviation of the finest detail of HxWx3 where bool HxW says, robust against edges."""
    grey = lighting.luminance(residual)
    fine = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), FINE_PX, borderType=cv2.BORDER_REFLECT_101))
    chosen = fine[where] if where.any() else fine
    return float(np.median(chosen) / 0.6745)


def with_grain(cutout: Cutout, grain: float) -> Cutout:
    """The same with its finest detail made as strong as `grain`, at most twice and at least half as strong."""
    factor = float(np.clip(grain / max(cutout.grain, 1e-5), 0.5, 2.0))
    coarse = cv2.GaussianBlur(cutout.residual, (0, 0), FINE_PX, borderType=cv2.BORDER_REFLECT_101)
    return replace(cutout, residual=coarse + factor * (cutout.residual - coarse), grain=cutout.grain * factor)


def _smooth(a: np.ndarray, sigma: float) -> np.ndarray:
    factor = max(1, int(sigma / 4))
    if factor == 1 or min(a.shape[:2]) < 4 * factor:
        return cv2.GaussianBlur(a, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    height, width = a.shape[:2]
    small = cv2.resize(a, (-(-width // factor), -(-height // factor)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_REFLECT_101)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
