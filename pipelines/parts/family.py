"""What every family of diffusion bases can do, in one convention, and where the parts of a base come from.

A family opens a base into its parts (autoencoder, text encoders, denoiser), each in memory once however many pipelines
use it. Pictures are float [-1, 1] Bx3xHxW, latents as the denoiser's scheduler sees them (scaled). What differs between
bases is read from their configurations, never assumed. Knows no request and no run.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from pipelines.core.errors import BadInput
from pipelines.parts import adapters, schedulers

Task = Literal["text", "image", "inpaint", "edit"]
Guides = Literal["both halves", "two calls", "told", "not"]
Residuals = dict[str, Any]
"""What a control net adds inside the denoiser, by the denoiser's own argument: a tensor, or a list of them."""
Text = dict[str, Tensor]
"""A prompt as the denoiser reads it: `prompt_embeds` and whatever else the family's pipelines take by that name."""


@dataclass(frozen=True)
class Source:
    """Where a base's parts are: a diffusers folder; and what of it comes from elsewhere."""

    name: str
    family: str
    folder: Path
    """Configurations, tokenizers and, unless said otherwise below, the weights."""
    file: Path | None = None
    """One file with all weights, as most community models are published."""
    denoiser_file: Path | None = None
    """A UNet or transformer alone, put over the base's own."""
    shared: str = ""
    """Whose parts those are that come from `folder`: a base that only brings a denoiser holds nothing twice."""


class Family(ABC):
    """An opened base."""

    parts: ClassVar[tuple[str, ...]]
    """The models it is made of, by the name of their folder."""
    optional: ClassVar[tuple[str, ...]] = ()
    """Those of them it also works without."""
    denoiser_part: ClassVar[str] = "unet"
    tokenizers: ClassVar[tuple[str, ...]] = ("tokenizer",)
    pipelines: Mapping[Task, str]
    """What answers each task: a class of diffusers."""
    usual_scheduler: ClassVar[str] = "unipc"
    lora_targets: ClassVar[tuple[str, ...]] = ("to_q", "to_k", "to_v", "to_out.0")
    text_lora_targets: ClassVar[tuple[str, ...]] = ("q_proj", "k_proj", "v_proj", "out_proj")

    def __init__(
        self,
        source: Source,
        parts: Mapping[str, Any],
        tokenizers: Mapping[str, Any],
        schedule: Mapping[str, Any],
        device: str,
    ) -> None:
        """`device` is where it computes; its parts may rest elsewhere (parts/resting)."""
        self.source = source
        self.device = torch.device(device)
        self.name = source.name
        self.held = dict(parts)
        self.spoken = dict(tokenizers)
        self.schedule = dict(schedule)

    @property
    def denoiser(self) -> Any:
        return self.held[self.denoiser_part]

    @property
    def vae(self) -> Any:
        return self.held["vae"]

    @property
    def models(self) -> dict[str, Any]:
        """The models an adapter may change, by part."""
        return {part: model for part, model in self.held.items() if part != "vae"}

    @cached_property
    def dtype(self) -> torch.dtype:
        """Of the denoiser's weights; diffusers looks through all of them to say it."""
        return torch.empty(0, dtype=self.denoiser.dtype).dtype

    @property
    def inpaints(self) -> bool:
        """Whether it was trained to inpaint: its denoiser also takes a mask and the masked picture."""
        return False

    @property
    def tasks(self) -> frozenset[Task]:
        """What it can be asked for."""
        return frozenset(self.pipelines) if not self.inpaints else frozenset({"inpaint"})

    @property
    def cell_px(self) -> int:
        """Pixels a latent cell is wide: 8 for SD, read from the autoencoder."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def side_px(self) -> int:
        """What the sides of a picture must be a multiple of."""
        return self.cell_px

    @property
    def guides(self) -> Guides:
        """How it is guided: its pipelines ask the denoiser for both halves in one batch, or by two calls one after the
        other, so that parts/guidance can guide; or it is told the strength as it was trained to be (and knows no
        negative prompt); or it is not guided at all."""
        return "both halves"

    @property
    def usual_px(self) -> int:
        """Side of the square pictures it was trained on, where its configuration says; 1024 where it does not."""
        side = self.denoiser.config.get("sample_size")
        return side * self.cell_px if isinstance(side, int) else 1024

    @property
    def replaces(self) -> bool:
        """Whether its inpainting pipeline puts the noised original back around the mask at each step."""
        return not self.inpaints

    @abstractmethod
    def encode_prompt(self, prompts: Sequence[str], *, clip_skip: int = 0) -> Text:
        """The text as the denoiser reads it; each tensor's first axis is the prompt. Raises BadInput for clip_skip."""

    def encode_image(self, pixels: Tensor) -> Any:
        """The distribution of a picture's latents, unscaled: sample it, or take its mode."""
        return self.vae.encode(pixels.to(self.device, self.vae.dtype)).latent_dist

    def scaled(self, latents: Tensor) -> Tensor:
        """Latents of the autoencoder as the denoiser takes them."""
        return (latents - (getattr(self.vae.config, "shift_factor", None) or 0.0)) * self.vae.config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents -> pictures in [-1, 1]."""
        unscaled = latents / self.vae.config.scaling_factor + (getattr(self.vae.config, "shift_factor", None) or 0.0)
        return self.vae.decode(unscaled.to(self.vae.dtype)).sample.clamp(-1, 1)

    @abstractmethod
    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Latents as they are at these timesteps of the schedule."""

    @abstractmethod
    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the denoiser is to predict: noise, v (eq. 10, arXiv 2202.00512) or flow (arXiv 2210.02747)."""

    @abstractmethod
    def draw_timesteps(self, count: int, generator: torch.Generator, low: float, high: float) -> Tensor:
        """[B] timesteps to learn from, on the CPU; `low` and `high` in [0, 1] bound the share of the schedule."""

    @abstractmethod
    def noise_weights(self, timesteps: Tensor, gamma: float) -> Tensor:
        """[B]: how much the loss at these timesteps counts, by min-SNR (2303.09556). Raises BadInput for a flow."""

    @abstractmethod
    def predict(self, noisy: Tensor, timesteps: Tensor, text: Text, beside: Tensor | None = None) -> Tensor:
        """The denoiser's answer. `beside` [B, 1 + C, h, w] is mask and masked latents, for a base that inpaints."""

    def hinted(self, net: Any, maps: Tensor) -> Tensor:
        """Maps [B, 3, H, W] in [0, 1] as a control net of this family takes them. Raises BadInput where none steers."""
        raise self._unsteered()

    def residuals(
        self, net: Any, hint: Tensor, mode: int | None, arguments: Sequence[Any], named: Mapping[str, Any]
    ) -> Residuals:
        """What a control net at its full strength adds to a call of the denoiser with these arguments.

        `mode` is the number under which a union net knows this kind of map.
        """
        raise self._unsteered()

    def _unsteered(self) -> BadInput:
        return BadInput(f"base {self.name} is steered by no control net: choose SD1, SD2, SDXL, SD3 or FLUX.1", "base")

    def unpacked(self, latents: Tensor, size: tuple[int, int]) -> Tensor:
        """Latents as a pipeline holds them between steps -> [B, C, h, w] scaled, for a picture of (height, width)."""
        return latents

    def repacked(self, latents: Tensor) -> Tensor:
        """The way back from `unpacked`."""
        return latents

    def text_arguments(self, prompts: Sequence[str], negatives: Sequence[str], clip_skip: int) -> dict[str, Any]:
        """The prompts as this family's pipelines take them."""
        both = self.encode_prompt([*prompts, *negatives], clip_skip=clip_skip)
        count = len(prompts)
        return {
            **{name: tensor[:count] for name, tensor in both.items()},
            **{f"negative_{name}": tensor[count:] for name, tensor in both.items()},
        }

    def more_arguments(self, task: Task, scale: float) -> dict[str, Any]:
        """What else a pipeline is told. `scale` is for one that guides in two calls: above 1 it makes the second."""
        return {}

    def size_arguments(self, task: Task, size: tuple[int, int]) -> dict[str, Any]:
        """Height and width as its pipelines take them."""
        return {"height": size[0], "width": size[1]}

    def pictures(self, task: Task, images: Tensor) -> Any:
        """Pictures [B, 3, H, W] in [0, 1] as its pipelines take them."""
        return images

    def alone(self, task: Task) -> bool:
        """Whether its pipeline for a task takes one picture at a time only."""
        return False

    @classmethod
    def in_diffusers_words(cls, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of a denoiser's file under names that diffusers knows to read."""
        return tensors

    def components(self) -> dict[str, Any]:
        """What every pipeline of the family is made of, beside its scheduler."""
        return {**self.held, **self.spoken}

    def pipeline(self, task: Task, scheduler: str | None = None) -> Any:
        """A pipeline over the parts that are here, with a scheduler of its own. Nothing is copied or cast.

        Raises BadInput for a task the base cannot do.
        """
        import diffusers

        if task not in self.tasks:
            can = ", ".join(sorted(self.tasks))
            raise BadInput(f"base {self.name} cannot do {task}, only {can}: choose another base", "base")
        cls = getattr(diffusers, self.pipelines[task])
        noises = task in ("image", "inpaint")
        steps = schedulers.make(scheduler or self.usual_scheduler, self.schedule, noises=noises)
        made = cls(scheduler=steps, **self.components())
        made.set_progress_bar_config(disable=True)
        return made

    @contextmanager
    def attached(self, uses: Sequence[adapters.Use]) -> Iterator["Attached"]:
        """The base with these adapters on it, and the words they bring. Off again afterwards, also after an error."""
        with ExitStack() as stack:
            changing = [use for use in uses if use.adapter.layers]
            counts = stack.enter_context(adapters.attached(self.models, changing, self.name))
            before = dict(self.spoken)
            written: dict[str, str] = {}
            stack.callback(self.spoken.update, before)
            for use in uses:
                if use.adapter.embeddings:
                    written |= stack.enter_context(self._speaking(use))
            yield Attached(dict(zip((use.adapter.name for use in changing), counts, strict=True)), written)

    @contextmanager
    def _speaking(self, use: adapters.Use) -> Iterator[dict[str, str]]:
        """New words in the text encoder they were made for. SDXL's files hold both, by `clip_l` and `clip_g`."""
        encoders = [part for part in self.parts if part.startswith("text_encoder")]
        with ExitStack() as stack:
            written: dict[str, str] = {}
            for part, embeddings in use.adapter.by_encoder(encoders).items():
                tokenizer = part.replace("text_encoder", "tokenizer")
                opened = adapters.words(self.spoken[tokenizer], self.held[part], embeddings)
                self.spoken[tokenizer], words = stack.enter_context(opened)
                written |= words
            yield written


@dataclass(frozen=True)
class Attached:
    """What adapters did to a base."""

    changed: Mapping[str, int]
    """Adapter -> how many modules it changes."""
    written: Mapping[str, str]
    """Word -> what to write for it in a prompt: one of several vectors is several words."""

    def prompt(self, text: str) -> str:
        """A prompt with each new word written out."""
        for word, whole in self.written.items():
            text = text.replace(word, whole)
        return text
