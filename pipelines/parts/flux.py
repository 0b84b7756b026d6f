"""FLUX.1: dev, schnell, Fill (inpaints) and Kontext (edits); and what all FLUX share: they flow, in patches.

Which edition a folder is, its own configurations say: Fill takes mask and masked picture beside the latents, Kontext is
told by its pipeline. A guidance-distilled base (dev, Fill, Kontext) guides by itself: it is told how strongly and knows
no negative prompt. One that is not is guided as SD is, by a second call of the denoiser. That costs as much again, so
it is made only where some picture asks for a strength other than 1.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.core.errors import BadInput
from pipelines.parts import original
from pipelines.parts.family import Guides, Residuals, Source, Task, Text
from pipelines.parts.flowing import Flowing

PATCH = 2
"""Latent cells a token is wide."""
TOLD = 1.0
"""The strength a guidance-distilled base is told while it learns: it is shown true pictures."""


class Patched(Flowing):
    """What all FLUX share: a transformer over patches of 2x2 latent cells that follows a flow."""

    denoiser_part = "transformer"
    usual_scheduler = "flow-euler"
    text_length: ClassVar[int] = 512
    """Tokens of text the transformer reads at most."""

    @property
    def transformer(self) -> Any:
        return self.held["transformer"]

    @property
    def side_px(self) -> int:
        return self.cell_px * PATCH

    @cached_property
    def index(self) -> dict[str, Any]:
        """model_index.json."""
        found: dict[str, Any] = json.loads((self.source.folder / "model_index.json").read_text(encoding="utf-8"))
        return found

    def unpacked(self, latents: Tensor, size: tuple[int, int]) -> Tensor:
        rows = size[0] // self.side_px
        return F.pixel_shuffle(latents.transpose(1, 2).unflatten(2, (rows, -1)), PATCH)

    def repacked(self, latents: Tensor) -> Tensor:
        return F.pixel_unshuffle(latents, PATCH).flatten(2).transpose(1, 2)

    def told(self, count: int) -> Tensor | None:
        """[B]: the strength a guidance-distilled base is told while it learns."""
        return torch.full([count], TOLD, device=self.device) if self.transformer.config.guidance_embeds else None

    def check_skip(self, clip_skip: int) -> None:
        """Raises BadInput: which layers the text is read from is part of these bases."""
        if clip_skip:
            raise BadInput(f"clip_skip = {clip_skip}: {self.name} leaves no layers of its text out; use 0", "clip_skip")


class Flux(Patched):
    """An opened FLUX.1."""

    parts = ("transformer", "vae", "text_encoder", "text_encoder_2")
    tokenizers = ("tokenizer", "tokenizer_2")
    pipelines: Mapping[Task, str] = {
        "text": "FluxPipeline",
        "image": "FluxImg2ImgPipeline",
        "inpaint": "FluxInpaintPipeline",
    }

    def __init__(self, source: Source, parts: Any, tokenizers: Any, schedule: Any, device: str) -> None:
        super().__init__(source, parts, tokenizers, schedule, device)
        if self._takes not in (self._latents, self._beside):
            raise BadInput(
                f"the transformer of {self.name} takes {self._takes} numbers a patch, where FLUX takes {self._latents}"
                f" and Fill {self._beside}: choose another base",
                "base",
            )
        if self.inpaints:
            self.pipelines = {"inpaint": "FluxFillPipeline"}
        elif self.index.get("_class_name") in ("FluxKontextPipeline", "FluxKontextInpaintPipeline"):
            self.pipelines = {
                "text": "FluxKontextPipeline",
                "edit": "FluxKontextPipeline",
                "inpaint": "FluxKontextInpaintPipeline",
            }

    @property
    def _takes(self) -> int:
        return int(self.transformer.config.in_channels)

    @property
    def _latents(self) -> int:
        """Numbers of a patch of latents."""
        return int(self.vae.config.latent_channels) * PATCH**2

    @property
    def _beside(self) -> int:
        """Latents, masked latents, and the mask with all its pixels."""
        return 2 * self._latents + self.side_px**2

    @property
    def inpaints(self) -> bool:
        return self._takes == self._beside

    @property
    def guides(self) -> Guides:
        if self.transformer.config.guidance_embeds:
            return "told"
        return "not" if self.inpaints else "two calls"

    @property
    def _tokens(self) -> int:
        """Tokens of text: schnell, known by its schedule that is the same for every size, was trained with half."""
        plain = not self.transformer.config.guidance_embeds and not self.schedule.get("use_dynamic_shifting")
        return min(self.text_length // 2 if plain else self.text_length, self.spoken["tokenizer_2"].model_max_length)

    def encode_prompt(self, prompts: Sequence[str], *, clip_skip: int = 0) -> Text:
        """`prompt_embeds` [B, n, width] of T5, `pooled_prompt_embeds` [B, width] of CLIP."""
        self.check_skip(clip_skip)
        pipe = self.pipeline(min(self.tasks))
        whole, pooled, _ = pipe.encode_prompt(list(prompts), None, max_sequence_length=self._tokens)
        return {"prompt_embeds": whole, "pooled_prompt_embeds": pooled}

    def text_arguments(self, prompts: Sequence[str], negatives: Sequence[str], clip_skip: int) -> dict[str, Any]:
        if self.guides == "two calls":
            return super().text_arguments(prompts, negatives, clip_skip)
        return dict(self.encode_prompt(prompts, clip_skip=clip_skip))

    def more_arguments(self, task: Task, scale: float) -> dict[str, Any]:
        return {"true_cfg_scale": scale} if self.guides == "two calls" else {}

    def size_arguments(self, task: Task, size: tuple[int, int]) -> dict[str, Any]:
        found = super().size_arguments(task, size)
        if self.pipelines[task].startswith("FluxKontext"):  # else it takes the nearest of the sizes it was trained with
            found |= {"max_area": size[0] * size[1], "_auto_resize": False}
        return found

    def predict(self, noisy: Tensor, timesteps: Tensor, text: Text, beside: Tensor | None = None) -> Tensor:
        """`beside` of Fill is the mask in whole cells and the masked latents [B, 1 + C, h, w]."""
        from diffusers import FluxPipeline

        if self.inpaints != (beside is not None):
            wanted = "needs" if self.inpaints else "takes no"
            raise BadInput(f"{self.name} {wanted} mask and masked picture beside the latents")
        given = self.repacked(noisy)
        if beside is not None:
            pixels = beside[:, :1].repeat(1, self.cell_px**2, 1, 1)
            given = torch.cat([given, self.repacked(beside[:, 1:]), self.repacked(pixels)], dim=2)
        count, _, height, width = noisy.shape
        words = text["prompt_embeds"]
        predicted = self.transformer(
            hidden_states=given,
            timestep=timesteps / self.known,
            guidance=self.told(count),
            pooled_projections=text["pooled_prompt_embeds"],
            encoder_hidden_states=words,
            txt_ids=torch.zeros(words.shape[1], 3, device=words.device, dtype=words.dtype),
            img_ids=FluxPipeline._prepare_latent_image_ids(
                count, height // PATCH, width // PATCH, noisy.device, noisy.dtype
            ),
            return_dict=False,
        )[0]
        return self.unpacked(predicted, (height * self.cell_px, width * self.cell_px))

    def hinted(self, net: Any, maps: Tensor) -> Tensor:
        """Packed latents of the maps; nets with a hint block of their own take the maps."""
        if net.input_hint_block is not None:
            return maps
        return self.repacked(self.scaled(self.encode_image(maps * 2 - 1).mode()))

    def residuals(
        self, net: Any, hint: Tensor, mode: int | None, arguments: Sequence[Any], named: Mapping[str, Any]
    ) -> Residuals:
        """One addition a block of the transformer. Tokens of pictures that it is shown stand last, and get none."""
        given, count = named["hidden_states"], hint.shape[1]
        if net.input_hint_block is not None:
            count = hint.shape[-2] * hint.shape[-1] // self.side_px**2
        guided = named.get("guidance") if net.config.guidance_embeds else None
        if net.config.guidance_embeds and guided is None:
            guided = torch.full([len(given)], TOLD, device=given.device)
        number = None if mode is None else torch.full([len(given), 1], mode, device=given.device)
        found = net(
            hidden_states=given[:, :count, : net.config.in_channels],
            controlnet_cond=hint,
            controlnet_mode=number,
            timestep=named["timestep"],
            guidance=guided,
            pooled_projections=named["pooled_projections"],
            encoder_hidden_states=named["encoder_hidden_states"],
            txt_ids=named["txt_ids"],
            img_ids=named["img_ids"][:count],
            return_dict=False,
        )
        names = ("controlnet_block_samples", "controlnet_single_block_samples")
        blocks = (self.transformer.transformer_blocks, self.transformer.single_transformer_blocks)
        rest, repeats = given.shape[1] - count, net.input_hint_block is not None
        return {
            name: [F.pad(one, (0, 0, 0, rest)) for one in spread(some, len(here), repeats)]
            for name, some, here in zip(names, found, blocks, strict=True)
            if some
        }

    @classmethod
    def in_diffusers_words(cls, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return original.transformer(tensors)


def spread(some: Sequence[Tensor], count: int, repeats: bool) -> list[Tensor]:
    """What a net of fewer blocks gives each of `count` blocks: in turn, or each to several in a row."""
    if repeats:
        return [some[place % len(some)] for place in range(count)]
    interval = -(-count // len(some))
    return [some[place // interval] for place in range(count)]
