"""Stable Diffusion 1.x and 2.x, also their inpainting editions: one convention over their parts. Loads by the registry.

What differs is read, never assumed: prediction type and noise schedule from the scheduler's configuration, latent size
and scaling from the autoencoder's, inpainting from the UNet's input channels. Knows no request and no run.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from pipelines.core import safeload
from pipelines.core.errors import BadInput, Missing
from pipelines.core.models import Key, Models
from pipelines.parts import schedulers

Task = Literal["text", "image", "inpaint"]
PIPELINES: dict[Task, str] = {
    "text": "StableDiffusionPipeline",
    "image": "StableDiffusionImg2ImgPipeline",
    "inpaint": "StableDiffusionInpaintPipeline",
}
PARTS = ("unet", "vae", "text_encoder")
LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
TEXT_LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj")
IMAGE_CHANNELS, INPAINT_CHANNELS = 4, 9


@dataclass(frozen=True)
class Source:
    """Where a base's parts are: a diffusers folder; and what of it comes from elsewhere."""

    name: str
    folder: Path
    """Configurations, tokenizer and, unless said otherwise below, the weights."""
    unet_file: Path | None = None
    """A UNet alone, put over the base's own: how many community models are published."""


@contextmanager
def opened(source: Source, models: Models) -> Iterator["StableDiffusion"]:
    """The base, its parts in memory once however many pipelines use them. Raises Missing, BadInput, NoRoom."""
    device = models.device
    with ExitStack() as stack:
        parts = {}
        for part in PARTS:
            key = Key(source.name, part, device.dtype, device.name)
            parts[part] = stack.enter_context(models.use(key, partial(_load, source, part, device.dtype, device.name)))
        yield StableDiffusion(source.name, parts, _tokenizer(source.folder), _schedule(source.folder))


def _load(source: Source, part: str, dtype: str, device: str) -> Any:
    if part == "unet" and source.unet_file is not None:
        found = _unet_over(source.folder, source.unet_file, dtype)
    else:
        found = _from_folder(source.folder, part, dtype)
    found.requires_grad_(False)
    if part == "vae":
        found.enable_slicing()
        found.enable_tiling()
    return found.to(device).eval()


def _from_folder(folder: Path, part: str, dtype: str) -> Any:
    import diffusers
    from transformers import CLIPTextModel

    if not (folder / part).is_dir():
        raise Missing(f"{folder.name} has no folder {part}: it is no Stable Diffusion in diffusers layout")
    cls = {"unet": diffusers.UNet2DConditionModel, "vae": diffusers.AutoencoderKL, "text_encoder": CLIPTextModel}[part]
    return cls.from_pretrained(folder / part, dtype=getattr(torch, dtype), local_files_only=True)


def _unet_over(folder: Path, file: Path, dtype: str) -> Any:
    import diffusers
    from diffusers.loaders.single_file_utils import SingleFileComponentError

    checkpoint = safeload.tensors(file)
    try:
        return diffusers.UNet2DConditionModel.from_single_file(
            checkpoint, config=str(folder), subfolder="unet", local_files_only=True, dtype=getattr(torch, dtype)
        )
    except (SingleFileComponentError, RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(f"{file.name} is no UNet for {folder.name} ({reason}): it is for another base") from error


def _tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    if not (folder / "tokenizer").is_dir():
        raise Missing(f"{folder.name} has no folder tokenizer: copy it from the base it was made from")
    return CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)


def _schedule(folder: Path) -> dict[str, Any]:
    """The noise schedule the base was trained with."""
    import diffusers

    return dict(diffusers.DDIMScheduler.load_config(folder / "scheduler", local_files_only=True))


class StableDiffusion:
    """An opened base. Pictures are float [-1, 1] Bx3xHxW, latents as the UNet sees them (scaled)."""

    def __init__(self, name: str, parts: dict[str, Any], tokenizer: Any, schedule: dict[str, Any]) -> None:
        self.name = name
        self.unet, self.vae, self.text_encoder = (parts[part] for part in PARTS)
        self.tokenizer = tokenizer
        self.schedule = schedule
        self._noise = schedulers.make("ddpm", schedule)

    @property
    def denoiser(self) -> Any:
        return self.unet

    @property
    def models(self) -> dict[str, Any]:
        """The models an adapter may change, by part."""
        return {"unet": self.unet, "text_encoder": self.text_encoder}

    @property
    def inpaints(self) -> bool:
        """Whether it was trained to inpaint: its UNet also takes a mask and the masked picture."""
        return int(self.unet.config.in_channels) == INPAINT_CHANNELS

    @property
    def cell_px(self) -> int:
        """Pixels a latent cell is wide: 8 for SD, read from the autoencoder."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def device(self) -> torch.device:
        return torch.device(self.unet.device)

    def encode_prompt(self, prompts: Sequence[str], *, clip_skip: int = 0) -> Tensor:
        """[B, 77, width]: the text as the UNet reads it. `clip_skip` leaves out that many of the encoder's last layers.

        Our own, as diffusers' fails on clip_skip with the CLIP of transformers 5. What passes 77 tokens is cut.
        """
        tokens = self.tokenizer(
            list(prompts),
            padding="max_length",
            max_length=self.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids.to(self.device)
        with torch.no_grad():
            found = self.text_encoder(tokens, output_hidden_states=True)
            if clip_skip == 0:
                return found.last_hidden_state
            if not 0 <= clip_skip < len(found.hidden_states) - 1:
                most = len(found.hidden_states) - 2
                raise BadInput(f"clip_skip = {clip_skip}: this text encoder allows 0 to {most}", "clip_skip")
            final = getattr(self.text_encoder, "final_layer_norm", None)
            norm = final if final is not None else self.text_encoder.text_model.final_layer_norm
            return norm(found.hidden_states[-1 - clip_skip])

    def encode_image(self, pixels: Tensor) -> Any:
        """The distribution of a picture's latents, unscaled: sample it, or take its mode."""
        return self.vae.encode(pixels.to(self.device, self.vae.dtype)).latent_dist

    def scaled(self, latents: Tensor) -> Tensor:
        return latents * self.vae.config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        """Latents -> pictures in [-1, 1]."""
        return self.vae.decode(latents / self.vae.config.scaling_factor).sample.clamp(-1, 1)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return self._noise.add_noise(latents, noise, timesteps)

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the UNet is to predict: the noise, or v (eq. 10, arXiv 2202.00512)."""
        if self.schedule.get("prediction_type") == "v_prediction":
            return self._noise.get_velocity(latents, noise, timesteps)
        return noise

    def predict(self, noisy: Tensor, timesteps: Tensor, text: Tensor, beside: Tensor | None = None) -> Tensor:
        """The UNet's answer. `beside` [B, 5, h, w] is mask and masked latents, for a base that inpaints."""
        if self.inpaints != (beside is not None):
            wanted = "needs" if self.inpaints else "takes no"
            raise BadInput(f"{self.name} {wanted} mask and masked picture beside the latents")
        given = noisy if beside is None else torch.cat([noisy, beside], dim=1)
        return self.unet(given, timesteps, encoder_hidden_states=text).sample

    def pipeline(self, task: Task, scheduler: str = "unipc") -> Any:
        """A pipeline over the parts that are here, with a scheduler of its own. Nothing is copied or cast."""
        import diffusers

        if task != "inpaint" and self.inpaints:
            raise BadInput(
                f"{self.name} is an inpainting base: choose its plain edition to make whole pictures", "base"
            )
        made = getattr(diffusers, PIPELINES[task])(
            vae=self.vae,
            text_encoder=self.text_encoder,
            tokenizer=self.tokenizer,
            unet=self.unet,
            scheduler=schedulers.make(scheduler, self.schedule),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        made.set_progress_bar_config(disable=True)
        return made
