"""Two branches in one UNet: a whole picture and its defect alone, made together (DualAnoDiff, CVPR 2025).

Rows come in pairs: row 2j is the whole picture, row 2j + 1 its part. Each branch has changes of its own (LoRA, arXiv
2106.09685) in every attention, and after each attention the two look at each other at the same place. Knows modules and
numbers; no loss, no step, no file.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.core.errors import BadInput
from pipelines.parts.family import Family
from pipelines.parts.stable_diffusion import StableDiffusion

Mode = Literal["dual", "record", "plain"]
"""What the rows are: pairs; backgrounds, whose way through the whole branch is kept; or anything, for the bare base."""
Recorded = dict[str, Tensor]
"""What each self-attention was given in the pass over the backgrounds, [B, d, C] by the attention's name."""
MIDDLE = 320
"""Width inside the two layers that a background goes through."""


@dataclass(frozen=True)
class Shape:
    """What the two branches are made of."""

    rank: int = 32
    interaction_rank: int | None = None
    """Of the layers by which the branches meet; None = whole matrices, as published."""
    background: bool = False
    """Whether the whole picture's self-attention also reads a background."""
    compat: bool = False
    """As the authors' own code: the interaction begins as torch begins any layer, so that the base is another one from
    the first step on; and backgrounds are not scaled as the base expects them."""


class Change(nn.Module):
    """What LoRA adds to a layer, at strength 1; nothing at first."""

    def __init__(self, given: int, made: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(given, rank, bias=False)
        self.up = nn.Linear(rank, made, bias=False)
        nn.init.normal_(self.down.weight, std=1 / rank)
        nn.init.zeros_(self.up.weight)

    def forward(self, values: Tensor) -> Tensor:
        return self.up(self.down(values.to(self.down.weight.dtype)))


class Interaction(nn.Module):
    """y = o(softmax(q(z) k(z)^T / sqrt(C)) v(z)), z = i(n(x)), over the two branches at one place; never across places.

    One head. [B, 2, d, C] in and out, the input not added.
    """

    def __init__(self, width: int, shape: Shape) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.input, self.query, self.key, self.value, self.output = (
            _matrix(width, shape.interaction_rank) for _ in range(5)
        )
        if not shape.compat:
            last = self.output[-1] if isinstance(self.output, nn.Sequential) else self.output
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, both: Tensor) -> Tensor:
        met = self.input(self.norm(both.to(self.norm.weight.dtype)))
        query, key, value = self.query(met), self.key(met), self.value(met)
        scores = torch.einsum("bidc,bjdc->bdij", query, key) * met.shape[-1] ** -0.5
        return self.output(torch.einsum("bdij,bjdc->bidc", scores.softmax(-1).to(value.dtype), value))


def _matrix(width: int, rank: int | None) -> nn.Module:
    if rank is None:
        return nn.Linear(width, width)
    return nn.Sequential(nn.Linear(width, rank, bias=False), nn.Linear(rank, width))


class Background(nn.Module):
    """(1 - a) h + a MLP(background): what a self-attention reads besides what it has, nothing of it at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(width, MIDDLE), nn.Linear(MIDDLE, width)
        self.share = nn.Parameter(torch.zeros(1))

    def forward(self, hidden: Tensor, background: Tensor) -> Tensor:
        seen = self.last(self.first(background.to(self.first.weight.dtype)))
        return ((1 - self.share) * hidden + self.share * seen).to(hidden.dtype)


class Processor(nn.Module):
    """The attention of both branches, as diffusers' Attention calls it.

    `mode` and `background` are told with each call and not kept: what the memory saver computes again is then the same.
    """

    def __init__(self, name: str, attention: Any, shape: Shape) -> None:
        super().__init__()
        self.name = name
        read, inner = attention.to_k.in_features, attention.to_q.out_features
        wide = {
            "q": (attention.to_q.in_features, inner),
            "k": (read, inner),
            "v": (read, inner),
            "out": (inner, attention.to_out[0].out_features),
        }
        self.changes = nn.ModuleDict(
            {which: nn.ModuleList(Change(*sides, shape.rank) for _ in range(2)) for which, sides in wide.items()}
        )
        self.interaction = Interaction(attention.to_out[0].out_features, shape)
        self.self_attention = name.endswith("attn1")
        self.background = Background(read) if shape.background and self.self_attention else None

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        mode: Mode = "dual",
        background: Recorded | None = None,
    ) -> Tensor:
        """[rows, d, C] -> the same. SD's UNets mask nothing."""
        read = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        if background is not None and self.background is not None:
            if mode == "record":
                background.setdefault(self.name, hidden_states)  # computed again, it stays the one that was read
            else:
                whole = self.background(read[0::2], background[self.name])
                read = interleaved(whole, read[1::2])
        query = self._changed("q", attn.to_q, hidden_states, mode)
        key, value = (self._changed(which, getattr(attn, f"to_{which}"), read, mode) for which in ("k", "v"))
        heads = (one.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for one in (query, key, value))
        looked = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
        made = attn.to_out[1](self._changed("out", attn.to_out[0], looked.to(query.dtype), mode))
        if mode != "dual":
            return made
        return made + self.interaction(made.unflatten(0, (-1, 2))).flatten(0, 1).to(made.dtype)

    def _changed(self, which: str, layer: nn.Module, values: Tensor, mode: Mode) -> Tensor:
        """The base's layer with what its branch adds to it."""
        made = layer(values)
        if mode == "plain":
            return made
        whole, part = self.changes[which]
        if mode == "record":
            return made + whole(values).to(made.dtype)
        return made + interleaved(whole(values[0::2]), part(values[1::2])).to(made.dtype)


class Branches:
    """What two branches add to a base's UNet. Inside `on`; `aside` for a while, for whoever else uses the base."""

    def __init__(self, base: Family, processors: Mapping[str, Processor], before: Mapping[str, Any]) -> None:
        """`before`: the processors that the base came with, as diffusers names them."""
        self.base, self.processors, self.before = base, processors, before

    def parameters(self) -> list[nn.Parameter]:
        """What learns, in an order that stays."""
        return [one for _, one in self._named()]

    def tensors(self) -> dict[str, Tensor]:
        """All that learns, under names to `load` it by."""
        return {name: one.detach() for name, one in self._named()}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], name: str) -> None:
        """Takes over what `tensors` gave; `name` is what they came in. Raises BadInput where they fit not."""
        own = dict(self._named())
        odd = sorted(own.keys() ^ tensors.keys())
        if odd:
            raise BadInput(
                f"model {name} does not fit base {self.base.name}: {len(odd)} of its tensors find no counterpart"
                f" ({odd[0]}); name the base that it was trained on"
            )
        for key, one in tensors.items():
            if own[key].shape != one.shape:
                here, there = ("x".join(map(str, shape)) for shape in (own[key].shape, one.shape))
                raise BadInput(
                    f"model {name} does not fit base {self.base.name}: {key} is {here} there and {there} in the file;"
                    " name the base that it was trained on"
                )
            own[key].copy_(one)

    def _named(self) -> list[tuple[str, nn.Parameter]]:
        return [
            (f"{name}.{inner}", one)
            for name, processor in self.processors.items()
            for inner, one in processor.named_parameters()
        ]

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The base as if nothing were on it; afterwards the branches are back, as they were."""
        with _processing(self.base.denoiser, self.before):
            yield

    @contextmanager
    def again(self) -> Iterator[None]:
        """Inside `aside`, the base with the branches on it for a while."""
        with _processing(self.base.denoiser, _named_processors(self.processors)):
            yield


@contextmanager
def on(base: Family, shape: Shape, seed: int, dtype: torch.dtype = torch.float32) -> Iterator[Branches]:
    """The base with two branches in its UNet; off again afterwards, also after an error. Raises BadInput for a base
    whose UNet is not that of SD1 or SD2.

    What begins by chance begins by `seed`. What learns is float32, whatever the base is.
    """
    unet = checked(base).denoiser
    unet.requires_grad_(False)
    before = dict(unet.attn_processors)
    names = [name.removesuffix(".processor") for name in before]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = {name: Processor(name, unet.get_submodule(name), shape) for name in names}
    for processor in made.values():
        processor.to(base.device, dtype)
    with _processing(unet, _named_processors(made)):
        yield Branches(base, made, before)


def checked(base: Family) -> StableDiffusion:
    """The base, as one that two branches go into. Raises BadInput."""
    if not isinstance(base, StableDiffusion) or base.inpaints:
        raise BadInput(
            f"base {base.name} has not the UNet of SD1 or SD2 that two branches are made for: choose one that makes"
            " whole pictures, such as sd15 or sd2",
            "base",
        )
    return base


def _named_processors(processors: Mapping[str, Processor]) -> dict[str, Any]:
    """By the names that diffusers gives them."""
    return {f"{name}.processor": one for name, one in processors.items()}


@contextmanager
def _processing(unet: Any, processors: Mapping[str, Any]) -> Iterator[None]:
    before = dict(unet.attn_processors)
    unet.set_attn_processor(dict(processors))  # it empties the table it is given
    try:
        yield
    finally:
        unet.set_attn_processor(before)


def predict(
    base: Family,
    noisy: Tensor,
    timesteps: Tensor,
    text: Tensor,
    mode: Mode = "dual",
    background: Recorded | None = None,
) -> Tensor:
    """The UNet's answer, [rows, C, h, w]; `text` is [rows, n, width]. Inside `on`."""
    told = {"mode": mode, "background": background}
    return base.denoiser(
        noisy.to(base.dtype), timesteps, encoder_hidden_states=text.to(base.dtype), cross_attention_kwargs=told
    ).sample


def recorded(base: Family, noisy: Tensor, timesteps: Tensor, text: Tensor) -> Recorded:
    """What `predict` is told of backgrounds [B, C, h, w], one for each pair. Inside `on`."""
    found: Recorded = {}
    predict(base, noisy, timesteps, text, "record", found)
    return found


def interleaved(whole: Tensor, part: Tensor) -> Tensor:
    """[2B, ...] of two [B, ...]: whole, part, whole, part."""
    return torch.stack([whole, part], dim=1).flatten(0, 1)
