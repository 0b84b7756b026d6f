"""FLUX.2: dev (Mistral reads the text, guidance-distilled) and klein (Qwen3; step-distilled, or not: its base edition).

All make pictures and edit them by instruction; klein inpaints too. Their autoencoder's latents are normalised patch by
patch, by the running statistics of a batch norm that it brings.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.core.errors import BadInput
from pipelines.parts.family import Guides, Task, Text
from pipelines.parts.flux import PATCH, Patched

LEAST_PX, MOST_RATIO = 64, 8
"""What diffusers takes as the picture to edit."""


class Flux2(Patched):
    """An opened FLUX.2."""

    parts = ("transformer", "vae", "text_encoder")
    lora_targets = ("to_q", "to_k", "to_v", "to_out.0", "to_qkv_mlp_proj")
    text_lora_targets = ("q_proj", "k_proj", "v_proj", "o_proj")
    pipelines: Mapping[Task, str] = {"text": "Flux2Pipeline", "edit": "Flux2Pipeline"}

    def __init__(self, source: Any, parts: Any, tokenizers: Any, schedule: Any, device: str) -> None:
        super().__init__(source, parts, tokenizers, schedule, device)
        if "Klein" in str(self.index.get("_class_name")):
            self.pipelines = {
                "text": "Flux2KleinPipeline",
                "edit": "Flux2KleinPipeline",
                "inpaint": "Flux2KleinInpaintPipeline",
            }

    @property
    def klein(self) -> bool:
        return "inpaint" in self.pipelines

    @property
    def guides(self) -> Guides:
        if not self.klein:
            return "told"
        return "not" if self.index.get("is_distilled") else "two calls"

    def alone(self, task: Task) -> bool:
        """Pictures to edit come one at a time: the pipeline shows every picture of a batch all of them."""
        return task == "edit"

    def encode_prompt(self, prompts: Sequence[str], *, clip_skip: int = 0) -> Text:
        """`prompt_embeds` [B, n, 3 x width]: the text as three layers of the language model see it."""
        self.check_skip(clip_skip)
        encoder = self.held["text_encoder"].config
        depth = int(getattr(encoder, "text_config", encoder).num_hidden_layers)
        found, _ = self.pipeline("text").encode_prompt(
            prompt=list(prompts),
            max_sequence_length=min(self.text_length, self._most_tokens),
            text_encoder_out_layers=(depth // 4, depth // 2, depth * 3 // 4),  # 10, 20, 30 of Mistral's 40
        )
        return {"prompt_embeds": found}

    @property
    def _most_tokens(self) -> int:
        speaks = self.spoken["tokenizer"]
        return int(getattr(speaks, "tokenizer", speaks).model_max_length)

    def text_arguments(self, prompts: Sequence[str], negatives: Sequence[str], clip_skip: int) -> dict[str, Any]:
        if self.guides == "two calls":
            return super().text_arguments(prompts, negatives, clip_skip)
        return dict(self.encode_prompt(prompts, clip_skip=clip_skip))

    def more_arguments(self, task: Task, scale: float) -> dict[str, Any]:
        return {"guidance_scale": scale} if self.klein else {}

    def pictures(self, task: Task, images: Tensor) -> Any:
        if task == "edit":
            return self._to_edit(images)
        # The pipeline would shrink what is larger than a megapixel; latents it takes as they are.
        return F.pixel_unshuffle(self.encode_image(images * 2 - 1).mode(), PATCH)

    def _to_edit(self, images: Tensor) -> Any:
        from diffusers.image_processor import VaeImageProcessor

        height, width = images.shape[-2:]
        if min(height, width) < LEAST_PX or max(height, width) > MOST_RATIO * min(height, width):
            raise BadInput(
                f"the picture to edit is {width}x{height} px: {self.name} takes sides from {LEAST_PX} px and up to"
                f" {MOST_RATIO}:1",
                "image",
            )
        return VaeImageProcessor.numpy_to_pil(VaeImageProcessor.pt_to_numpy(images))

    def components(self) -> dict[str, Any]:
        return {**super().components(), **({"is_distilled": self.guides == "not"} if self.klein else {})}

    def _spread(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and spread of each number of a patch."""
        norm = self.vae.bn
        mean = norm.running_mean.view(1, -1, 1, 1).to(like)
        return mean, torch.sqrt(norm.running_var.view(1, -1, 1, 1).to(like) + self.vae.config.batch_norm_eps)

    def scaled(self, latents: Tensor) -> Tensor:
        mean, spread = self._spread(latents)
        return F.pixel_shuffle((F.pixel_unshuffle(latents, PATCH) - mean) / spread, PATCH)

    def decode(self, latents: Tensor) -> Tensor:
        mean, spread = self._spread(latents)
        unscaled = F.pixel_shuffle(F.pixel_unshuffle(latents, PATCH) * spread + mean, PATCH)
        return self.vae.decode(unscaled.to(self.vae.dtype)).sample.clamp(-1, 1)

    def unpacked(self, latents: Tensor, size: tuple[int, int]) -> Tensor:
        if latents.ndim == 4:  # klein's pipelines end with the autoencoder's own latents, not with what they step over
            return self.scaled(latents)
        return super().unpacked(latents, size)

    def predict(self, noisy: Tensor, timesteps: Tensor, text: Text, beside: Tensor | None = None) -> Tensor:
        from diffusers import Flux2Pipeline

        if beside is not None:
            raise BadInput(f"{self.name} takes no mask and masked picture beside the latents")
        patches = F.pixel_unshuffle(noisy, PATCH)
        words = text["prompt_embeds"]
        predicted = self.transformer(
            hidden_states=self.repacked(noisy),
            timestep=timesteps / self.known,
            guidance=self.told(len(noisy)),
            encoder_hidden_states=words,
            txt_ids=Flux2Pipeline._prepare_text_ids(words).to(noisy.device),
            img_ids=Flux2Pipeline._prepare_latent_ids(patches).to(noisy.device),
            return_dict=False,
        )[0]
        return F.pixel_shuffle(predicted.transpose(1, 2).unflatten(2, patches.shape[-2:]), PATCH)
