"""Stable Diffusion 1.x and 2.x, also their inpainting editions."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pipelines.core.errors import BadInput
from pipelines.parts import schedulers
from pipelines.parts.family import Family, Residuals, Source, Task, Text

INPAINT_CHANNELS = 9


class Noising(Family):
    """What all families share whose denoiser is a UNet that takes noise away (not a flow)."""

    def __init__(self, source: Source, parts: Any, tokenizers: Any, schedule: Any, device: str) -> None:
        super().__init__(source, parts, tokenizers, schedule, device)
        self._noise = schedulers.make("ddpm", schedule)

    @property
    def unet(self) -> Any:
        return self.held["unet"]

    @property
    def inpaints(self) -> bool:
        return int(self.unet.config.in_channels) == INPAINT_CHANNELS

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return self._noise.add_noise(latents, noise, timesteps)

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        if self.schedule.get("prediction_type") == "v_prediction":
            return self._noise.get_velocity(latents, noise, timesteps)
        return noise

    def clean(self, noisy: Tensor, predicted: Tensor, timesteps: Tensor) -> Tensor:
        """The latents without noise, as a prediction has them (eq. 12 of arXiv 2006.11239; for v, 2202.00512)."""
        kept = self.signal(timesteps).view(-1, 1, 1, 1)
        if self.schedule.get("prediction_type") == "v_prediction":
            return kept.sqrt() * noisy - (1 - kept).sqrt() * predicted
        return (noisy - (1 - kept).sqrt() * predicted) / kept.clamp(min=1e-4).sqrt()

    def signal(self, timesteps: Tensor) -> Tensor:
        """float32 [B]: the share of the latents' variance that is not noise."""
        return self._noise.alphas_cumprod.to(timesteps.device)[timesteps].float()

    def draw_timesteps(self, count: int, generator: torch.Generator, low: float, high: float) -> Tensor:
        known = int(self.schedule.get("num_train_timesteps", 1000))
        return torch.randint(round(low * known), max(round(high * known), 1), (count,), generator=generator)

    def noise_weights(self, timesteps: Tensor, gamma: float) -> Tensor:
        from diffusers.training_utils import compute_snr

        ratio = compute_snr(self._noise, timesteps)
        most = torch.clamp(ratio, max=gamma)
        velocity = self.schedule.get("prediction_type") == "v_prediction"
        return most / (ratio + 1) if velocity else most / ratio.clamp(min=1e-8)

    def predict(self, noisy: Tensor, timesteps: Tensor, text: Text, beside: Tensor | None = None) -> Tensor:
        check_beside(self, beside)
        given = noisy if beside is None else torch.cat([noisy, beside], dim=1)
        return self.unet(
            given, timesteps, encoder_hidden_states=text["prompt_embeds"], **self.conditions(text, noisy)
        ).sample

    def conditions(self, text: Text, noisy: Tensor) -> dict[str, Any]:
        """What the UNet reads beside the text."""
        return {}

    def hinted(self, net: Any, maps: Tensor) -> Tensor:
        return maps.flip(1) if net.config.get("controlnet_conditioning_channel_order") == "bgr" else maps

    def residuals(
        self, net: Any, hint: Tensor, mode: int | None, arguments: Sequence[Any], named: Mapping[str, Any]
    ) -> Residuals:
        """arXiv 2302.05543, section 3. A UNet that inpaints takes mask and masked picture too, its net does not."""
        noisy, timestep = arguments[0][:, : net.config.in_channels], arguments[1]
        text = {name: named[name] for name in ("encoder_hidden_states", "added_cond_kwargs") if name in named}
        if mode is None:
            down, middle = net(noisy, timestep, controlnet_cond=hint, return_dict=False, **text)
        else:
            kinds = torch.zeros(len(noisy), net.config.num_control_type).to(noisy)
            kinds[:, mode] = 1
            union: dict[str, Any] = {"controlnet_cond": [hint], "control_type": kinds, "control_type_idx": [mode]}
            down, middle = net(noisy, timestep, return_dict=False, **union, **text)
        return {"down_block_additional_residuals": list(down), "mid_block_additional_residual": middle}


class StableDiffusion(Noising):
    """An opened SD1 or SD2."""

    parts = ("unet", "vae", "text_encoder")
    pipelines: Mapping[Task, str] = {
        "text": "StableDiffusionPipeline",
        "image": "StableDiffusionImg2ImgPipeline",
        "inpaint": "StableDiffusionInpaintPipeline",
    }

    def encode_prompt(self, prompts: Sequence[str], *, clip_skip: int = 0) -> Text:
        """`prompt_embeds` [B, 77, width]. `clip_skip` leaves out that many of the encoder's last layers.

        Our own, as diffusers' fails on clip_skip with the CLIP of transformers 5. What passes 77 tokens is cut.
        """
        encoder = self.held["text_encoder"]
        found = encoder(tokens(self.spoken["tokenizer"], prompts, self.device), output_hidden_states=True)
        if clip_skip == 0:
            return {"prompt_embeds": found.last_hidden_state}
        check_skip(clip_skip, len(found.hidden_states) - 2)
        final = getattr(encoder, "final_layer_norm", None)
        norm = final if final is not None else encoder.text_model.final_layer_norm
        return {"prompt_embeds": norm(found.hidden_states[-1 - clip_skip])}

    def components(self) -> dict[str, Any]:
        return {
            **super().components(),
            "safety_checker": None,
            "feature_extractor": None,
            "requires_safety_checker": False,
        }


def check_beside(base: Family, beside: Tensor | None) -> None:
    """Raises BadInput where a base that inpaints gets no mask and masked picture, or one that does not gets them."""
    if base.inpaints and beside is None:
        raise BadInput(f"{base.name} needs mask and masked picture beside the latents")
    if beside is not None and not base.inpaints:
        raise BadInput(f"{base.name} takes no mask and masked picture beside the latents")


def tokens(tokenizer: Any, prompts: Sequence[str], device: torch.device, length: int | None = None) -> Tensor:
    """[B, n] token numbers, padded and cut to `length`, or the tokenizer's own."""
    found = tokenizer(
        list(prompts),
        padding="max_length",
        max_length=length or tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    return found.input_ids.to(device)


def check_skip(clip_skip: int, most: int) -> None:
    """Raises BadInput where a text encoder has not so many layers to leave out."""
    if not 0 <= clip_skip <= most:
        raise BadInput(f"clip_skip = {clip_skip}: this text encoder allows 0 to {most}", "clip_skip")
