"""Several prompts for one picture, each where its own mask is: the denoiser answers for each, the masks mix them.

MultiDiffusion (arXiv 2302.08113) with one window: as many passes of the denoiser as there are prompts.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.parts.family import Family


def can(base: Family) -> bool:
    """Whether a base can do so: its denoiser sees latents as a picture, and the text beside them."""
    return base.denoiser_part == "unet"


@contextmanager
def prompts(
    base: Family, others: Sequence[Sequence[str]], masks: Sequence[np.ndarray], clip_skip: int
) -> Iterator[None]:
    """Inside the `with` each call of the denoiser answers for all prompts.

    others: for each of B pictures the prompts of regions 1, 2, ...; masks: bool HxW of regions 0, 1, 2, ...: where none
    or several are, their answers are mixed evenly. Nothing changes where there is only region 0.
    """
    if len(masks) < 2:
        yield
        return
    with torch.no_grad():
        wanted = [
            base.encode_prompt([own[number] for own in others], clip_skip=clip_skip) for number in range(len(masks) - 1)
        ]
    shares = _shares(masks)
    forward = base.denoiser.forward
    inside = False

    def answer(*arguments: Any, **named: Any) -> Any:
        nonlocal inside
        if inside:
            return forward(*arguments, **named)
        inside = True
        try:
            answers = [forward(*arguments, **named)]
            for text in wanted:
                answers.append(forward(*arguments, **_with(named, text)))
        finally:
            inside = False
        predicted = [one[0] if isinstance(one, tuple) else one.sample for one in answers]
        weights = F.interpolate(shares, size=predicted[0].shape[-2:], mode="area").to(predicted[0])
        mixed = sum(weight * one for weight, one in zip(weights, predicted, strict=True))
        first = answers[0]
        return (mixed, *first[1:]) if isinstance(first, tuple) else type(first)(sample=mixed)

    base.denoiser.forward = answer
    try:
        yield
    finally:
        del base.denoiser.forward  # the class's own again


def _with(named: dict[str, Any], text: dict[str, Tensor]) -> dict[str, Any]:
    """The denoiser's arguments with another prompt in the half that has one."""
    hidden = named["encoder_hidden_states"]
    without = hidden[: hidden.shape[0] // 2]
    found = {**named, "encoder_hidden_states": torch.cat([without, text["prompt_embeds"].to(hidden)])}
    more = named.get("added_cond_kwargs")
    if more and "text_embeds" in more:
        pooled = more["text_embeds"]
        own = torch.cat([pooled[: pooled.shape[0] // 2], text["pooled_prompt_embeds"].to(pooled)])
        found["added_cond_kwargs"] = {**more, "text_embeds": own}
    return found


def _shares(masks: Sequence[np.ndarray]) -> Tensor:
    """[R, 1, H, W]: how much each region has to say at each pixel; everywhere they add up to 1."""
    stack = torch.from_numpy(np.stack(masks)).float()[:, None]
    total = stack.sum(dim=0, keepdim=True)
    return torch.where(total > 0, stack / total.clamp(min=1), torch.full_like(stack, 1 / len(masks)))
