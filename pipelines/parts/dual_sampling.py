"""Pairs of pictures out of a base with two branches (parts/dual): the whole picture, and its defect alone.

A batch is many single pairs: each has a seed of its own, and comes out as it would alone. Knows tensors and families;
no request, no file, no run.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipelines.parts import dual, previews, schedulers
from pipelines.parts.family import Family
from pipelines.parts.guidance import SAID
from pipelines.parts.sampling import APART, DECODED_PX, OnStep, Step

BEHIND = 0xBAC6
"""Laid over a seed for the noise of its background."""


@dataclass(frozen=True)
class Said:
    """The prompts as the UNet reads them, each [1, n, width]."""

    whole: Tensor
    part: Tensor
    nothing: Tensor


@dataclass(frozen=True)
class Ask:
    """What is wanted: B pairs of one size."""

    seeds: Sequence[int]
    size: tuple[int, int]
    """Height and width in pixels, multiples of the family's `side_px`."""
    steps: int
    scale: float
    """Strength of guidance: 1 leaves the prompts' own prediction, more goes past it."""
    said: Said
    plain: Said | None = None
    """The same prompts as the bare base reads them; needed where `adapter_scale` is not 1."""
    adapter_scale: float = 1.0
    """How much of the way from the bare base's guided prediction to that with the branches: 0 is the base."""
    scheduler: str | None = None
    shared_noise: bool = False
    """Both pictures of a pair begin in the same noise."""
    prompt_noise: float = 0.0
    """Spread of the noise laid on the prompts."""
    backgrounds: Tensor | None = None
    """[B, C, h, w] latents."""
    blank: Tensor | None = None
    """[1, C, h, w]: the background of the prediction without a prompt, where backgrounds are given."""


def usual_scale(shape: dual.Shape) -> float:
    """Strength of guidance as published, with backgrounds and without."""
    return 2.0 if shape.background else 2.5


def said(base: Family, whole: str, part: str) -> Said:
    """The prompts, by the text encoder as it is now."""
    with torch.no_grad():
        found = base.encode_prompt([whole, part, ""])["prompt_embeds"]
    return Said(*found.split(1))


@torch.no_grad()
def sample(base: Family, ask: Ask, on_step: OnStep) -> Tensor:
    """float32 [B, 2, 3, H, W] in [0, 1], on the CPU: whole and part. What `on_step` raises ends it at once."""
    return _Sampler(base, ask).made(on_step)


class _Sampler:
    def __init__(self, base: Family, ask: Ask) -> None:
        self.base, self.ask = base, ask
        self.scheduler = schedulers.make(ask.scheduler or base.usual_scheduler, base.schedule)
        self.scheduler.set_timesteps(ask.steps, device=base.device)
        first = [(seed, seed if ask.shared_noise else seed ^ APART) for seed in ask.seeds]
        self.draws = [torch.Generator().manual_seed(seed) for pair in first for seed in pair]
        self.behind = [torch.Generator().manual_seed(seed ^ BEHIND) for seed in ask.seeds]
        takes = inspect.signature(self.scheduler.step).parameters
        self.more: dict[str, Any] = {"generator": self.draws} if "generator" in takes else {}
        self.text = self._rows(ask.said)
        self.plain = None if ask.plain is None else self._rows(ask.plain)

    def made(self, on_step: OnStep) -> Tensor:
        base, ask = self.base, self.ask
        shape = (base.vae.config.latent_channels, *(side // base.cell_px for side in ask.size))
        noise = torch.stack([torch.randn(shape, generator=draw) for draw in self.draws]).to(base.device)
        latents = noise * self.scheduler.init_noise_sigma
        steps = self.scheduler.timesteps
        for index, timestep in enumerate(steps):
            latents = self.scheduler.step(
                self._guided(latents, timestep), timestep, latents, **self.more, return_dict=False
            )[0]

            def look(now: Tensor = latents) -> Tensor:
                return torch.cat([previews.rough(base, one[None]) for one in now[:2]], dim=2)

            on_step(Step(index + 1, len(steps), look))
        together = max(1, DECODED_PX // (ask.size[0] * ask.size[1]))
        made = torch.cat([base.decode(some).float().cpu() for some in latents.split(together)])
        return ((made + 1) / 2).unflatten(0, (-1, 2))

    def _rows(self, said: Said) -> Tensor:
        """The text of every row: where it is guided, first all without a prompt, then all with theirs."""
        ask, count = self.ask, len(self.ask.seeds)
        rows = torch.cat([said.whole, said.part]).repeat(count, 1, 1)
        if ask.prompt_noise:
            draws = [torch.Generator().manual_seed(seed ^ SAID) for seed in ask.seeds]
            noise = torch.cat([torch.randn(2, *rows.shape[1:], generator=draw) for draw in draws])
            rows = rows + ask.prompt_noise * noise.to(rows)
        return rows if ask.scale == 1 else torch.cat([said.nothing.repeat(2 * count, 1, 1), rows])

    def _guided(self, latents: Tensor, timestep: Tensor) -> Tensor:
        """The prediction for all rows, guided, and as far from the bare base's as was asked."""
        given = self.scheduler.scale_model_input(latents, timestep)
        answer = self._answer("dual", given, timestep, self.text)
        if self.ask.adapter_scale == 1:
            return answer
        assert self.plain is not None
        bare = self._answer("plain", given, timestep, self.plain)
        return bare + self.ask.adapter_scale * (answer - bare)

    def _answer(self, mode: dual.Mode, given: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        twice = len(text) // len(given)
        rows = given.repeat(twice, 1, 1, 1)
        times = timestep.expand(len(rows))
        recorded = self._recorded(times, text) if mode == "dual" else None
        answer = dual.predict(self.base, rows, times, text, mode, recorded).float()
        if twice == 1:
            return answer
        without, with_prompt = answer.chunk(2)
        return without + self.ask.scale * (with_prompt - without)

    def _recorded(self, times: Tensor, text: Tensor) -> dual.Recorded | None:
        """The backgrounds' way through the UNet, noised as far as the pairs are, anew at each step as in training."""
        behind = self.ask.backgrounds
        if behind is None:
            return None
        noise = torch.stack([torch.randn(behind.shape[1:], generator=draw) for draw in self.behind]).to(behind)
        clean = behind
        if self.ask.scale != 1:
            assert self.ask.blank is not None
            clean = torch.cat([self.ask.blank.expand_as(behind), behind])
            noise = noise.repeat(2, 1, 1, 1)
        level = times[0::2].round().long()
        noisy = self.base.add_noise(clean, noise, level)
        return dual.recorded(self.base, noisy, level, text[0::2])
