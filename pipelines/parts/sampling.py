"""Pictures out of an opened base: one way to ask for them, whatever the family. Calls diffusers' pipelines.

A batch is many single pictures: each has its own prompt, seed and guidance, and comes out as it would alone.
Knows tensors and families; no request, no file, no run.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.core import images
from pipelines.core.errors import BadInput
from pipelines.parts import previews
from pipelines.parts.adapters import wrapped
from pipelines.parts.control import Steer, steered
from pipelines.parts.family import Family, Task
from pipelines.parts.guidance import ON, Guidance, noised, told_each

DECODED_PX = 1024 * 1024
"""Small pictures are decoded several at a time, up to so many pixels: decoding takes more memory than all the steps."""
APART = 0x5EED
"""Laid over a seed where a picture needs noise beside that of its own first step."""


@dataclass(frozen=True)
class Ask:
    """What is wanted of a base, for a batch of B pictures of one size."""

    task: Task
    prompts: Sequence[str]
    """B texts."""
    seeds: Sequence[int]
    """B numbers: same seed, same picture, alone or in a batch."""
    size: tuple[int, int]
    """Height and width in pixels, multiples of the family's `side_px`."""
    steps: int
    scales: Sequence[float]
    """B strengths of guidance: 1 leaves the prompt's own prediction, more goes past it."""
    negatives: Sequence[str] = ()
    """B texts, or none."""
    images: Tensor | None = None
    """[B, 3, H, W] in [0, 1]: what is painted on, changed or edited."""
    masks: Tensor | None = None
    """bool [B, 1, H, W]: where it is painted (inpaint)."""
    strength: float = 1.0
    """How far it may stray from the picture, in (0, 1]."""
    scheduler: str | None = None
    rescale: float = 0.0
    interval: tuple[float, float] = (0.0, 1.0)
    clip_skip: int = 0
    adapter_scale: float = 1.0
    """How far from the bare base to what the adapters make of it."""
    prompt_noise: float = 0.0
    """Spread of the noise laid on the prompts."""
    steers: Sequence[Steer] = ()
    """Control nets, each with a map for every picture."""

    @property
    def count(self) -> int:
        return len(self.prompts)

    def one(self, place: int) -> "Ask":
        """That picture of the batch alone."""
        own = slice(place, place + 1)
        names = ("prompts", "seeds", "scales", "negatives", "images", "masks")
        given = {name: getattr(self, name) for name in names}
        alone: dict[str, Any] = {name: one[own] for name, one in given.items() if one is not None}
        return replace(self, **alone, steers=[one.one(place) for one in self.steers])


@dataclass(frozen=True)
class Step:
    """How far a batch is."""

    done: int
    total: int
    look: Callable[[], Tensor]
    """[3, h, w] in [0, 1]: roughly what the first picture of the batch looks like now. Costs next to nothing."""


OnStep = Callable[[Step], None]


@torch.no_grad()
def sample(base: Family, ask: Ask, on_step: OnStep) -> Tensor:
    """float32 [B, 3, H, W] in [0, 1], on the CPU. What `on_step` raises ends it at once: that is how a run is stopped.

    Raises BadInput for a task the base cannot do.
    """
    _check(base, ask)
    if base.alone(ask.task) and ask.count > 1:
        return torch.cat([sample(base, ask.one(k), _one_of(on_step, k, ask.count)) for k in range(ask.count)])
    twice = base.guides == "two calls" and any(scale != 1 for scale in ask.scales)
    pipe = base.pipeline(ask.task, ask.scheduler)
    told: dict[str, Any] = {
        **base.text_arguments(ask.prompts, ask.negatives or [""] * ask.count, ask.clip_skip),
        "num_inference_steps": steps_for(ask),
        "generator": generators(ask.seeds),
        "output_type": "latent",
        **base.size_arguments(ask.task, ask.size),
        **base.more_arguments(ask.task, ON if twice else 1.0),
    }
    told["prompt_embeds"] = noised(told["prompt_embeds"], ask.seeds, ask.prompt_noise)
    cells = None
    if ask.images is not None:
        told["image"] = base.pictures(ask.task, ask.images.to(base.device))
    if ask.task in ("image", "inpaint"):
        told["strength"] = ask.strength
    if ask.task == "inpaint":
        assert ask.masks is not None
        cells = in_cells(ask.masks, base.side_px)
        told["mask_image"] = whole_cells(ask.masks, base.side_px).float().to(base.device)
    around = _Around(base, ask, cells) if cells is not None and not base.replaces else None
    # those that are asked in two calls count time from 0 to 1
    known = int(base.schedule.get("num_train_timesteps", 1000)) if base.guides == "both halves" else 1
    guidance = Guidance(ask.scales, ask.rescale, ask.interval, known, ask.adapter_scale)
    with ExitStack() as stack:
        if base.guides == "both halves":
            told["guidance_scale"] = ON
            stack.enter_context(guidance.attached(base.denoiser))
        elif twice:
            count = ask.size[0] * ask.size[1] // base.side_px**2
            stack.enter_context(guidance.in_two_calls(base.denoiser, count))
        else:
            stack.enter_context(guidance.weighed(base.denoiser))
        if base.guides == "told":
            stack.enter_context(told_each(base.denoiser, ask.scales))
        stack.enter_context(steered(base, ask.steers, lambda: int(pipe.num_timesteps), 2 if twice else 1))

        def after(pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            latents = tensors["latents"]
            if around is not None:
                latents = tensors["latents"] = around.put_back(pipe, index, latents)

            def look() -> Tensor:
                return previews.rough(base, base.unpacked(latents[:1], ask.size))

            on_step(Step(index + 1, pipe.num_timesteps, look))
            return tensors

        latents = pipe(**told, callback_on_step_end=after).images
    together = max(1, DECODED_PX // (ask.size[0] * ask.size[1]))
    made = [base.decode(base.unpacked(some, ask.size)).float().cpu() for some in latents.split(together)]
    return (torch.cat(made) + 1) / 2


def _check(base: Family, ask: Ask) -> None:
    """Raises BadInput for what was asked and could have no effect on this base."""
    if ask.adapter_scale != 1 and not wrapped(base.denoiser):
        raise BadInput(
            f"adapter_scale {ask.adapter_scale:g}: no adapter lies on {base.denoiser_part} of {base.name}, so there is"
            " nothing to weigh; add one, or use 1",
            "adapter_scale",
        )
    if base.guides not in ("told", "not"):
        return
    if any(text.strip() for text in ask.negatives):
        raise BadInput(f"negative_prompt: base {base.name} knows none; leave it empty", "negative_prompt")
    if ask.rescale:
        raise BadInput(
            f"guidance_rescale {ask.rescale:g}: base {base.name} guides by itself; use 0", "guidance_rescale"
        )
    if ask.interval != (0.0, 1.0):
        raise BadInput(
            f"guidance_start, guidance_end: base {base.name} guides by itself; use 0 and 1", "guidance_start"
        )
    asked = next((scale for scale in ask.scales if scale != 1), None)
    if base.guides == "not" and asked is not None:
        raise BadInput(f"guidance_scale {asked:g}: base {base.name} is not guided; use 1", "guidance_scale")


def _one_of(on_step: OnStep, place: int, count: int) -> OnStep:
    """What tells of a picture that is made alone, as part of the whole batch."""
    return lambda step: on_step(Step(place * step.total + step.done, count * step.total, step.look))


def steps_for(ask: Ask) -> int:
    """The steps of the whole schedule. A weak change takes only its last part: there must be one step left of it."""
    part = ask.strength if ask.task in ("image", "inpaint") else 1.0
    return max(ask.steps, math.ceil(1 / part))


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One for each picture; on the CPU, so that a seed means the same on every machine."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def pixels(made: Tensor) -> np.ndarray:
    """uint8 HxWx3 of one picture [3, H, W] in [0, 1]."""
    values = made.float().permute(1, 2, 0).numpy()
    return images.from_float(values, like=np.empty((1, 1, 3), np.uint8))


def in_cells(masks: Tensor, side_px: int) -> Tensor:
    """bool [B, 1, h, w]: the latent cells a mask touches. A stroke of one pixel keeps its cells."""
    return F.max_pool2d(masks.float(), side_px) > 0


def whole_cells(masks: Tensor, side_px: int) -> Tensor:
    """bool [B, 1, H, W]: the mask grown to whole latent cells, so that thin strokes outlive any way of shrinking it."""
    return F.interpolate(in_cells(masks, side_px).float(), scale_factor=side_px) > 0


class _Around:
    """Puts the original back around the mask after each step, noised as far as the step is (DefectFill)."""

    def __init__(self, base: Family, ask: Ask, cells: Tensor) -> None:
        assert ask.images is not None
        self.base = base
        # One at a time, as the pipelines do: encoding takes more memory than all the steps.
        self.clean = torch.cat([base.scaled(base.encode_image(one[None] * 2 - 1).mode()) for one in ask.images])
        self.noise = torch.stack(
            [
                torch.randn(self.clean.shape[1:], generator=one)
                for one in generators([seed ^ APART for seed in ask.seeds])
            ]
        ).to(self.clean)
        self.inside = F.interpolate(cells.float(), size=self.clean.shape[-2:]).to(self.clean)
        self.size = ask.size

    def put_back(self, pipe: Any, index: int, latents: Tensor) -> Tensor:
        """`latents` are the pipeline's after step `index`."""
        steps = pipe.scheduler.timesteps[-pipe.num_timesteps :]
        known = self.clean
        if index + 1 < len(steps):
            following = steps[index + 1].reshape(1).repeat(len(known)).to(self.clean.device)
            noised = getattr(pipe.scheduler, "scale_noise", None)  # flows noise by their own name
            noised = pipe.scheduler.add_noise if noised is None else lambda x, n, t: pipe.scheduler.scale_noise(x, t, n)
            known = noised(self.clean, self.noise, following)
        now = self.base.unpacked(latents, self.size)
        mixed = self.inside * now + (1 - self.inside) * known.to(now)
        return self.base.repacked(mixed).to(latents)
