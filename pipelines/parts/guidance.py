"""Classifier-free guidance as a hook on the denoiser: the same in every pipeline, with what most of them lack.

diffusers' pipelines take one number for a whole batch, and few rescale. The hook guides by itself and gives the
pipeline two equal halves, whose own guidance then changes nothing. The pipeline must be called with guidance_scale > 1,
so that it doubles the batch. Knows tensors; no pipeline and no family.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

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
        handle = denoiser.register_forward_hook(self._hook, with_kwargs=True)
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


def rescaled(guided: Tensor, with_prompt: Tensor, share: float) -> Tensor:
    """eq. 15 and 16, arXiv 2305.08891: guidance widens the spread of a prediction, which burns the picture out."""
    axes = tuple(range(1, guided.ndim))
    narrowed = guided * (with_prompt.std(dim=axes, keepdim=True) / guided.std(dim=axes, keepdim=True))
    return share * narrowed + (1 - share) * guided
