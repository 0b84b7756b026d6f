"""What every training of a diffusion base has in common: noise on latents, and how far the base is off it.

Knows families and tensors; no recipe. Every number drawn is a pure function of seed and step.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.core import bases
from pipelines.core.errors import BadInput
from pipelines.parts.chance import generator
from pipelines.parts.family import Family, Text
from pipelines.parts.feed import Batch, Feed
from pipelines.parts.likeness import SIDE as LPIPS_PX
from pipelines.parts.likeness import Lpips
from pipelines.parts.sampling import Ask, OnStep, pixels, sample
from pipelines.parts.stable_diffusion import Noising

HELD_LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Shares of the schedule at which held-out pictures are looked at, each time the same."""
MOST_HELD = 16
SMALL_PX = 32
MOST_STEPS = 25
"""Steps of the pictures that a training shows on the way."""


@dataclass(frozen=True)
class Levels:
    """Which noise is learned from."""

    low: float = 0.0
    high: float = 1.0
    offset: float = 0.0
    """Strength of noise that is one number a channel (crosslabs.org/blog/diffusion-with-offset-noise)."""
    gamma: float | None = None
    """Of min-SNR weighting (arXiv 2303.09556)."""


@dataclass(frozen=True)
class Noised:
    """Latents with noise on them."""

    noisy: Tensor
    timesteps: Tensor
    noise: Tensor
    target: Tensor
    """What the base is to answer."""
    weights: Tensor
    """[B]."""


def noised(base: Family, latents: Tensor, levels: Levels, seed: int, batch: int, rank: int = 0) -> Noised:
    """The latents [B, C, h, w] of batch number `batch` as they are learned from."""
    draws = generator(seed, batch, "noise", rank)
    noise = torch.randn(latents.shape, generator=draws)
    if levels.offset:
        noise = noise + levels.offset * torch.randn(*latents.shape[:2], 1, 1, generator=draws)
    timesteps = base.draw_timesteps(len(latents), generator(seed, batch, "timesteps", rank), levels.low, levels.high)
    noise, timesteps = noise.to(latents), timesteps.to(latents.device)
    return Noised(
        base.add_noise(latents, noise, timesteps),
        timesteps,
        noise,
        base.target(latents, noise, timesteps),
        base.noise_weights(timesteps, levels.gamma) if levels.gamma else torch.ones_like(timesteps, dtype=torch.float),
    )


def off(base: Family, batch: Batch, text: Text, given: Noised) -> Tensor:
    """[B]: the weighted mean square by which the base is off its target, row by row."""
    predicted = base.predict(given.noisy.to(base.dtype), given.timesteps, text, _beside(base, batch))
    error = (predicted.float() - given.target.float()).square().flatten(1).mean(1)
    return error * given.weights.to(error)


def terms(off: Tensor, prior: Tensor, prior_weight: float) -> dict[str, Tensor]:
    """The loss of the rows, and that of the ordinary kind apart, weighted (arXiv 2208.12242)."""
    prior = prior.to(off.device)
    if not bool(prior.any()):
        return {"denoising": off.mean()}
    return {"denoising": off[~prior].mean(), "prior": prior_weight * off[prior].mean()}


def marked_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean over the rows of sum(w v) / (C sum w): values [B, C, h, w], weights [B, 1, h, w].

    Rows where nothing is marked do not count; where there are no others it is 0.
    """
    sums = weights.flatten(1).sum(1)
    rows = (values * weights).flatten(1).sum(1) / (values.shape[1] * sums).clamp(min=1e-8)
    return rows.sum() / (sums > 0).sum().clamp(min=1)


def unlike(base: Noising, lpips: Lpips, batch: Batch, noisy: Tensor, predicted: Tensor, timesteps: Tensor) -> Tensor:
    """LPIPS inside the masks between pictures and what the base makes of them, by how much of them is no noise.

    The first rows of the batch, as many as `predicted` [B, C, h, w] has.
    """
    count = len(predicted)
    clean = base.clean(noisy.float(), predicted, timesteps)
    made = base.decode(clean.to(base.vae.dtype)).float()
    with torch.no_grad():
        real = base.decode(batch.latents[:count]).float()
    size = (max(real.shape[-2], LPIPS_PX), max(real.shape[-1], LPIPS_PX))  # it halves four times
    inside = F.interpolate(batch.area[:count].to(made), size=size)
    return marked_mean(lpips(made, real, size) * base.signal(timesteps).view(-1, 1, 1, 1), inside)


@torch.no_grad()
def held_out(feed: Feed, apart: Callable[[Batch, Levels, int], float], seed: int) -> float:
    """Mean of `apart` (batch, levels, number) over pictures that are never learned from: always the same, in the same
    noise."""
    found = []
    for place in range(min(len(feed.rows), MOST_HELD)):
        for level in HELD_LEVELS:
            batch = feed.of([(place, 0)], generator(seed, place, f"held out at {level}"))
            found.append(apart(batch, Levels(level, min(1.0, level + 1e-3)), place))
    return sum(found) / len(found)


def samples(
    base: Family, feed: Feed | None, prompts: Sequence[str], count: int, seed: int, side: int, on_step: OnStep
) -> dict[str, list[np.ndarray]]:
    """Pictures of each prompt, uint8 HxWx3, always with the same seeds. One that inpaints paints into what it knows."""
    usual = bases.get(base.name).defaults
    steps = min(usual.num_inference_steps, MOST_STEPS)
    shape = side - side % base.side_px
    found: dict[str, list[np.ndarray]] = {}
    for prompt in prompts:
        task = next(one for one in ("text", "inpaint", "edit") if one in base.tasks)
        given = {}
        if task == "inpaint":
            if feed is None:
                raise BadInput(
                    f"num_class_images: {base.name} inpaints and makes no whole picture: give class_data instead",
                    "num_class_images",
                )
            rows = [feed.picture(place % len(feed.rows), 0) for place in range(count)]
            given = {"images": torch.cat([one for one, _ in rows]), "masks": torch.cat([one for _, one in rows])}
        made = sample(
            base,
            Ask(
                task=task,
                prompts=[prompt] * count,
                seeds=[seed + number for number in range(count)],
                size=(shape, shape),
                steps=steps,
                scales=[1.0 if base.guides == "not" else usual.guidance_scale] * count,
                scheduler=usual.scheduler,
                **given,
            ),
            on_step,
        )
        found[prompt] = [pixels(one) for one in made]
    return found


def diversity(pictures: Mapping[str, Sequence[np.ndarray]]) -> dict[str, float]:
    """How much pictures of one prompt differ, 0 to 1: the mean difference of pairs, seen small. Falling, it is a hint
    that a training repeats what it was shown.
    """
    apart = []
    for made in pictures.values():
        small = [
            cv2.resize(one, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA).astype(float) / 255 for one in made
        ]
        apart += [float(np.abs(one - other).mean()) for one, other in combinations(small, 2)]
    return {"diversity": sum(apart) / len(apart)} if apart else {}


def _beside(base: Family, batch: Batch) -> Tensor | None:
    return None if batch.beside is None else batch.beside.to(base.dtype)
