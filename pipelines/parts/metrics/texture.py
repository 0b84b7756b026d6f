"""Built-in texture features of a crop: what can be compared with no downloaded weight.

Multi-scale Gabor energies, uniform local binary patterns, grey levels, gradients and colour. They know surfaces, not
things: two textures that only a person would tell apart by meaning are the same to them. Figures made of them are
comparable among themselves, never with those of a network.
"""

import cv2
import numpy as np
from skimage.feature import local_binary_pattern

SIDE = 128
"""A crop is resampled to this many pixels a side first, so the grain of a far larger one is not seen."""
PATTERNS = ((8, 1), (16, 2), (24, 3))
"""Points and radius of each local binary pattern; P points have P + 2 uniform codes."""
SCALES, ORIENTATIONS, BINS = 4, 6, 8
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
LENGTH = (
    (4 + len(QUANTILES))  # grey levels
    + (5 + BINS)  # gradients
    + 4  # colour
    + 2 * SCALES * ORIENTATIONS  # Gabor energies
    + sum(points + 2 for points, _ in PATTERNS)
)
FARTHEST = 3.0
"""Standardised values end here: one feature that hardly varies among the references must not outweigh the rest."""


def features(crop: np.ndarray) -> np.ndarray:
    """float64 [LENGTH] of float32 HxWx3 in [0, 1], of any size."""
    how = cv2.INTER_AREA if min(crop.shape[:2]) > SIDE else cv2.INTER_CUBIC
    values = np.clip(cv2.resize(crop, (SIDE, SIDE), interpolation=how), 0, 1)
    grey = cv2.cvtColor(values, cv2.COLOR_RGB2GRAY)
    parts = (_levels(grey), _gradients(grey), _colours(values), _gabor(grey), _patterns(grey))
    return np.concatenate(parts).astype(np.float64)


def standardised(values: np.ndarray, references: np.ndarray) -> np.ndarray:
    """NxLENGTH in deviations from the references' mean, within FARTHEST; a feature that they share counts as it is."""
    middle, spread = references.mean(axis=0), references.std(axis=0)
    found: np.ndarray = np.clip((values - middle) / np.where(spread > 1e-9, spread, 1), -FARTHEST, FARTHEST)
    return found


def _levels(grey: np.ndarray) -> np.ndarray:
    mean, spread = float(grey.mean()), float(grey.std())
    away = (grey - mean) / max(spread, 1e-4)
    return np.array([mean, spread, (away**3).mean(), (away**4).mean(), *np.quantile(grey, QUANTILES)])


def _gradients(grey: np.ndarray) -> np.ndarray:
    """Strength, its high quantiles, the share of each direction, and what a Laplacian finds: edges and grain."""
    across, down = (cv2.Scharr(grey, cv2.CV_32F, x, 1 - x) / 32 for x in (1, 0))
    strength, angle = cv2.cartToPolar(across, down)
    directions, _ = np.histogram(angle % np.pi, bins=BINS, range=(0, np.pi), weights=strength)
    shares = directions / max(float(directions.sum()), 1e-6)
    grain = float(cv2.Laplacian(grey, cv2.CV_32F).std())
    return np.array([strength.mean(), strength.std(), *np.quantile(strength, (0.9, 0.99)), grain, *shares])


def _colours(values: np.ndarray) -> np.ndarray:
    """Mean and deviation of the two opponent colours; all 0 in grey pictures."""
    red, green, blue = cv2.split(values)
    warm, yellow = red - green, (red + green) / 2 - blue
    return np.array([warm.mean(), warm.std(), yellow.mean(), yellow.std()])


def _gabor(grey: np.ndarray) -> np.ndarray:
    """Mean and deviation of the energy (even and odd filter) at wavelengths of 4, 8, 16 and 32 px."""
    found: list[float] = []
    for _ in range(SCALES):  # one bank of small filters on ever smaller copies, instead of ever larger filters
        for turn in range(ORIENTATIONS):
            energy = np.zeros_like(grey)
            for phase in (0, np.pi / 2):
                kernel = cv2.getGaborKernel((13, 13), 2.2, turn * np.pi / ORIENTATIONS, 4.0, 0.6, phase, cv2.CV_32F)
                kernel -= kernel.mean()  # a filter that also answers to brightness measures the lamp
                energy += cv2.filter2D(grey, cv2.CV_32F, kernel) ** 2
            strength = np.sqrt(energy)
            found += [float(strength.mean()), float(strength.std())]
        grey = cv2.pyrDown(grey)
    return np.array(found)


def _patterns(grey: np.ndarray) -> np.ndarray:
    levels = np.rint(grey * 255).astype(np.uint8)
    shares = []
    for points, radius in PATTERNS:
        codes = local_binary_pattern(levels, points, radius, method="uniform")
        counts, _ = np.histogram(codes, bins=points + 2, range=(0, points + 2))
        shares.append(counts / codes.size)
    return np.concatenate(shares)
