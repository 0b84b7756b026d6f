"""What all families share whose denoiser follows a flow from noise to picture (arXiv 2210.02747), not a noise schedule.

A timestep is the share of noise x 1000: the schedule's shift is in which of them are drawn, not in what they mean.
"""

import torch
from torch import Tensor

from pipelines.core.errors import BadInput
from pipelines.parts.family import Family


class Flowing(Family):
    """Straight lines between picture and noise."""

    @property
    def known(self) -> int:
        """The timestep that stands for pure noise."""
        return int(self.schedule.get("num_train_timesteps", 1000))

    def share(self, latents: Tensor, timesteps: Tensor) -> Tensor:
        """[B, 1, 1, 1]: the share of noise at these timesteps."""
        return (timesteps / self.known).to(latents).view(-1, *(1 for _ in latents.shape[1:]))

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        share = self.share(latents, timesteps)
        return (1 - share) * latents + share * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return noise - latents

    def draw_timesteps(self, count: int, generator: torch.Generator, low: float, high: float) -> Tensor:
        """Logit-normal, shifted as the base was trained (section 3.1 and 5.3.2, arXiv 2403.03206)."""
        share = torch.sigmoid(torch.randn(count, generator=generator))
        if not self.schedule.get("use_dynamic_shifting"):
            shift = float(self.schedule.get("shift") or 1.0)
            share = shift * share / (1 + (shift - 1) * share)
        return (low + (high - low) * share) * self.known

    def noise_weights(self, timesteps: Tensor, gamma: float) -> Tensor:
        raise BadInput(
            f"snr_gamma = {gamma:g}: {self.name} follows a flow and has no noise schedule to weigh by; leave it empty",
            "snr_gamma",
        )
