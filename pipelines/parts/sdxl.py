"""Stable Diffusion XL, also its inpainting edition: two text encoders, and a UNet that is told the picture's size."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pipelines.parts.family import Task, Text
from pipelines.parts.loading import index_of
from pipelines.parts.stable_diffusion import Noising, check_skip, tokens


class StableDiffusionXL(Noising):
    """An opened SDXL (arXiv 2307.01952)."""

    parts = ("unet", "vae", "text_encoder", "text_encoder_2")
    tokenizers = ("tokenizer", "tokenizer_2")
    pipelines: Mapping[Task, str] = {
        "text": "StableDiffusionXLPipeline",
        "image": "StableDiffusionXLImg2ImgPipeline",
        "inpaint": "StableDiffusionXLInpaintPipeline",
    }

    def encode_prompt(self, prompts: Sequence[str], *, clip_skip: int = 0) -> Text:
        """`prompt_embeds` [B, 77, widths of both encoders] and `pooled_prompt_embeds` [B, width of the second].

        SDXL reads the layer before an encoder's last; `clip_skip` counts from there.
        """
        first, _ = penultimate(self.held["text_encoder"], self._tokens("tokenizer", prompts), clip_skip)
        second, pooled = penultimate(self.held["text_encoder_2"], self._tokens("tokenizer_2", prompts), clip_skip)
        return {"prompt_embeds": torch.cat([first, second], dim=-1), "pooled_prompt_embeds": pooled}

    def _tokens(self, name: str, prompts: Sequence[str]) -> Tensor:
        return tokens(self.spoken[name], prompts, self.device)

    def text_arguments(self, prompts: Sequence[str], negatives: Sequence[str], clip_skip: int) -> dict[str, Any]:
        told = super().text_arguments(prompts, negatives, clip_skip)
        if self.zeros_for_empty:
            said = torch.tensor([bool(one.strip()) for one in negatives], device=self.device)
            for name in ("negative_prompt_embeds", "negative_pooled_prompt_embeds"):
                told[name] = told[name] * said.view(-1, *(1 for _ in told[name].shape[1:]))
        return told

    @cached_property
    def zeros_for_empty(self) -> bool:
        """Whether no negative prompt is zeros, not the text "": how the base was trained to see nothing."""
        return bool(index_of(self.source.folder).get("force_zeros_for_empty_prompt", True))

    def conditions(self, text: Text, noisy: Tensor) -> dict[str, Any]:
        """The pooled text, and `time_ids` [B, 6]: height and width before cropping, the crop's top and left, its size.

        Where the text brings no `time_ids`, the picture is whole and of the size of its latents.
        """
        ids = text.get("time_ids")
        if ids is None:
            height, width = (side * self.cell_px for side in noisy.shape[-2:])
            ids = torch.tensor([[height, width, 0, 0, height, width]]).repeat(len(noisy), 1)
        pooled = text["pooled_prompt_embeds"]
        return {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": ids.to(pooled)}}

    def encode_image(self, pixels: Tensor) -> Any:
        with self._in_full():
            return super().encode_image(pixels)

    def decode(self, latents: Tensor) -> Tensor:
        with self._in_full():
            return super().decode(latents)

    @contextmanager
    def _in_full(self) -> Iterator[None]:
        """The autoencoder in float32 where it says that float16 is too small for it: its numbers would be infinite."""
        dtype = self.vae.dtype
        small = dtype == torch.float16 and self.vae.config.force_upcast
        if small:
            self.vae.to(torch.float32)
        try:
            yield
        finally:
            if small:
                self.vae.to(dtype)

    def components(self) -> dict[str, Any]:
        return {
            **super().components(),
            "image_encoder": None,
            "feature_extractor": None,
            "force_zeros_for_empty_prompt": self.zeros_for_empty,
            "add_watermarker": False,
        }


def penultimate(encoder: Any, ids: Tensor, clip_skip: int) -> tuple[Tensor, Tensor]:
    """What a CLIP makes of tokens [B, n]: its layer before the last [B, n, width], and its first output, pooled or not.

    `clip_skip` leaves out that many layers more. Raises BadInput where there are not so many.
    """
    found = encoder(ids, output_hidden_states=True)
    check_skip(clip_skip, len(found.hidden_states) - 3)
    return found.hidden_states[-2 - clip_skip], found[0]
