"""Classifier-free guidance as a hook on the denoiser: the same in every pipeline, with what most of them lack.

diffusers' pipelines take one number for a whole batch, and few rescale. The hook guides by itself and gives the
pipeline two equal halves, whose own guidance then changes nothing. The pipeline must be called with guidance_scale > 1,
so that it doubles the batch. What an adapter adds has a strength of its own beside the prompt's. Knows tensors and
adapters; no pipeline and no family.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.parts import adapters

SAID = 0x7E47
"""Laid over a seed for the noise on its prompt."""
ON = 2.0
"""What the pipeline is told, so that it asks for both halves; it has no effect beyond that."""


@dataclass(frozen=True)
class Guidance:
    """How strongly the prompt pulls, image by image."""

    scale: Sequence[float]
    """One value an image of the batch: 1 leaves the prompt's own prediction, more goes past it."""
    rescale: float = 0.0
    """Share of the prediction brought back to its spread before guidance (phi, section 3.4, arXiv 2305.08891)."""
    interval: tuple[float, float] = (0.0, 1.0)
    """From which to which share of the noise schedule it guides; outside, scale 1 (arXiv 2404.07724)."""
    timesteps: int = 1000
    """The timestep that stands for pure noise."""
    adapter_scale: float = 1.0
    """How far from the bare base's prediction to that with the adapters: 0 is the base, more than 1 goes past them."""

    def combined(self, without: Tensor, with_prompt: Tensor, timestep: Tensor | float) -> Tensor:
        """The guided prediction [B, ...] from the two of the network."""
        shape = (-1, *(1 for _ in with_prompt.shape[1:]))
        scale = torch.as_tensor(self.scale, dtype=with_prompt.dtype, device=with_prompt.device).view(shape)
        gone = 1.0 - float(torch.as_tensor(timestep).flatten()[0]) / self.timesteps
        if not self.interval[0] <= gone <= self.interval[1]:
            scale = torch.ones_like(scale)
        guided = without + scale * (with_prompt - without)
        return rescaled(guided, with_prompt, self.rescale) if self.rescale else guided

    @contextmanager
    def attached(self, denoiser: nn.Module) -> Iterator[None]:
        """Guides every call of `denoiser` (UNet or transformer) inside the `with`."""
        with self.weighed(denoiser):
            handle = denoiser.register_forward_hook(self._hook, with_kwargs=True)
            try:
                yield
            finally:
                handle.remove()

    @contextmanager
    def weighed(self, denoiser: nn.Module) -> Iterator[None]:
        """Every answer of `denoiser` as far from the bare base's as `adapter_scale` says: two calls instead of one."""
        if self.adapter_scale == 1:
            yield
            return

        def hook(denoiser: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], output: Any) -> Any:
            with adapters.bare([denoiser]):
                plain = denoiser.forward(*arguments, **named)  # past the hooks: what steers is in `named` by now
            if isinstance(output, tuple):
                return (plain[0] + self.adapter_scale * (output[0] - plain[0]), *output[1:])
            return type(output)(sample=plain.sample + self.adapter_scale * (output.sample - plain.sample))

        handle = denoiser.register_forward_hook(hook, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    @contextmanager
    def in_two_calls(self, denoiser: nn.Module, count: int) -> Iterator[None]:
        """Guides a pipeline that asks with the prompt first, then without, and is told the strength ON.

        The second answer is made such that what the pipeline mixes of both is the guided one. `count` is how many of
        the tokens are the picture's: pictures shown to the denoiser stand behind it.
        """
        with_prompt: list[Tensor] = []

        def hook(denoiser: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], output: Any) -> Any:
            predicted = output[0][:, :count]
            if not with_prompt:
                with_prompt.append(predicted)
                return (predicted, *output[1:])
            first = with_prompt.pop()
            guided = self.combined(predicted, first, named["timestep"])
            return (first + (first - guided) / (ON - 1), *output[1:])

        with self.weighed(denoiser):
            handle = denoiser.register_forward_hook(hook, with_kwargs=True)
            try:
                yield
            finally:
                handle.remove()

    def _hook(self, denoiser: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], output: Any) -> Any:
        predicted = output[0] if isinstance(output, tuple) else output.sample
        timestep = named["timestep"] if "timestep" in named else arguments[1]
        without, with_prompt = predicted.chunk(2)
        guided = self.combined(without, with_prompt, timestep)
        both = torch.cat([guided, guided])
        return (both, *output[1:]) if isinstance(output, tuple) else type(output)(sample=both)


def noised(prompts: Tensor, seeds: Sequence[int], spread: float) -> Tensor:
    """Prompts [B, n, width] with noise of this spread on them, each by its picture's seed."""
    if not spread:
        return prompts
    draws = [torch.Generator().manual_seed(seed ^ SAID) for seed in seeds]
    noise = torch.stack([torch.randn(prompts.shape[1:], generator=draw) for draw in draws])
    return prompts + spread * noise.to(prompts)


@contextmanager
def told_each(denoiser: nn.Module, scales: Sequence[float]) -> Iterator[None]:
    """Tells a guidance-distilled denoiser each picture's own strength: pipelines tell it one for all."""

    def before(denoiser: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if named.get("guidance") is not None:
            named = named | {"guidance": torch.tensor(list(scales), device=named["guidance"].device)}
        return arguments, named

    handle = denoiser.register_forward_pre_hook(before, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def rescaled(guided: Tensor, with_prompt: Tensor, share: float) -> Tensor:
    """eq. 15 and 16, arXiv 2305.08891: guidance widens the spread of a prediction, which burns the picture out."""
    axes = tuple(range(1, guided.ndim))
    narrowed = guided * (with_prompt.std(dim=axes, keepdim=True) / guided.std(dim=axes, keepdim=True))
    return share * narrowed + (1 - share) * guided
