"""Lays a plant's own defects into a painted mask of another part. Knows pictures and masks, no files and no runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.core.noise import rng
from pipelines.parts.exemplars import poses, residual, weave
from pipelines.parts.exemplars.residual import Cutout, cut, greyed

__all__ = ["Cutout", "Drawn", "cut", "draw", "greyed", "margin_px"]

MARGIN_PX = 16
"""Surroundings of a defect that are looked at beside it, at least."""
POSES = 4
CHOOSY = 2.0
"""How strongly an example whose mask is like the painted one is preferred."""
LEAST_GAIN = 0.6
"""How much of an example's contrast is left at severity 0; at 0.5 it is all there."""
SPREAD = 0.12
"""How far contrast varies from one defect to the next."""


@dataclass(frozen=True)
class Drawn:
    """A picture with a real defect in it."""

    image: np.ndarray
    """float32 HxWx3 in [0, 1]; beyond the mask's feather the given picture, bit for bit."""
    example: int
    """Which example lent most of it."""
    gain: float


def margin_px(mask: np.ndarray) -> int:
    """How much around a mask (bool HxW) should be in a crop of it."""
    return max(MARGIN_PX, round(1.5 * residual.sigma_px(mask)) + residual.BESIDE_PX)


def draw(
    picture: np.ndarray,
    mask: np.ndarray,
    examples: Sequence[Cutout],
    weight: np.ndarray,
    *,
    severity: float,
    seed: int,
    light_deg: float,
) -> Drawn:
    """Fill `mask` (bool HxW) of a crop (float32 HxWx3 in [0, 1]) with what the examples show.

    `weight` (float32 HxW) says how much of the change is applied: 0 beyond the feather, where nothing changes.
    """
    random = rng(seed, "exemplar")
    apart = np.array([poses.likeness(one, mask) for one in examples])
    chances = np.exp(-CHOOSY * (apart - apart.min()))
    lead = int(random.choice(len(examples), p=chances / chances.sum()))
    sigma = residual.sigma_px(mask)
    ground = residual.background(picture, None, sigma)
    own = residual.relative(picture, ground)
    free = weight > 0
    grain = residual.grain(own, np.ones(mask.shape, bool))
    found = poses.posed(residual.with_grain(examples[lead], grain), mask, light_deg, POSES, random)
    pieces = [piece for piece, _ in found]
    grown = weave.grow(own, mask, free, pieces, random, found[0][1])
    gain = float((LEAST_GAIN + (2 - 2 * LEAST_GAIN) * severity) * random.uniform(1 - SPREAD, 1 + SPREAD))
    inner = grown - own
    made = residual.absolute(own + inner * gain, ground)
    mixed = picture + weight[..., None] * (made - picture)
    image = np.where(free[..., None], np.clip(mixed, 0, 1), picture).astype(np.float32)
    return Drawn(image, lead, gain)
