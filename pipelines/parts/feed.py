"""What a training looks at: its pictures as latents, batch by batch, each a pure function of seed and step.

A picture is shown in a fixed number of ways (parts/augment), so that what the autoencoder makes of each is made once
and kept; kept or not, the numbers are the same. Knows pictures and families; nothing of losses.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.core.errors import BadInput
from pipelines.parts import augment
from pipelines.parts.chance import generator, picked
from pipelines.parts.family import Family, Text
from pipelines.parts.sampling import in_cells, whole_cells

KEPT_BYTES = 2 * 2**30
"""What is kept stays on the device up to here, and in main memory beyond."""
GREY = 0.5
"""What surrounds a defect that is shown alone: 0 in [-1, 1]."""
ALPHA = 0.2
"""Of the beta distribution that MixUp and CutMix draw their share from (arXiv 1710.09412, 1905.04899)."""


@dataclass(frozen=True)
class Row:
    """A picture to learn from."""

    name: str
    read: Callable[[], tuple[np.ndarray, np.ndarray]]
    """(float32 HxWx3 in [0, 1], bool HxW: where its defect is)."""
    prompt: str
    part: bool = False
    """Only the defect: what surrounds it is mid-grey, 0 in [-1, 1]."""
    prior: bool = False
    """Of the ordinary kind, which is not to be forgotten."""


@dataclass(frozen=True)
class Settings:
    """How the rows are shown."""

    side: int
    batch: int
    views: int = 1
    augment: bool = True
    oriented: bool = False
    kept: bool = True
    mix: Literal["none", "mixup", "cutmix"] = "none"
    seed: int = 0
    filled: bool = False
    """A base that inpaints is also shown each picture with its own defect as the hole."""


@dataclass(frozen=True)
class Moments:
    """A picture's latents as a distribution, with what a base that inpaints sees beside them. All on the CPU or device.

    Each [1, C, h, w]; `beside` and `filled` [1, 1 + C, h, w].
    """

    mean: Tensor
    std: Tensor
    cells: Tensor
    """bool [1, 1, h, w]: the latent cells that the defect touches."""
    area: Tensor
    """float32 [1, 1, h, w]: how much of each cell the defect covers, 0 to 1."""
    beside: Tensor | None = None
    """With boxes anywhere as the hole."""
    filled: Tensor | None = None
    """With the defect as the hole."""

    def to(self, device: torch.device) -> "Moments":
        return replace(self, **{name: one.to(device) for name, one in self._tensors().items()})

    @property
    def bytes(self) -> int:
        return sum(one.numel() * one.element_size() for one in self._tensors().values())

    def _tensors(self) -> dict[str, Tensor]:
        return {name: one for name, one in self.__dict__.items() if one is not None}


@dataclass(frozen=True)
class Batch:
    """What one step looks at: B rows."""

    latents: Tensor
    """[B, C, h, w], scaled."""
    prompts: list[str]
    prior: Tensor
    """bool [B]."""
    cells: Tensor
    """bool [B, 1, h, w]."""
    area: Tensor
    """float32 [B, 1, h, w] in [0, 1]."""
    beside: Tensor | None
    filled: Tensor | None
    places: tuple[int, ...]
    """Which rows of the feed these are."""


@dataclass
class Feed:
    """The rows of a training."""

    base: Family
    rows: Sequence[Row]
    settings: Settings
    _moments: dict[tuple[int, int], Moments] = field(default_factory=dict)
    _held: int = 0

    def __post_init__(self) -> None:
        if not self.rows:
            raise BadInput("there is no picture to learn from: choose another data set or defect", "data")
        self.every = list(self.rows)

    def also(self, ordinary: Sequence[Row]) -> None:
        """Rows of the ordinary kind: each batch has as many of them as of the others."""
        self.every = [*self.rows, *ordinary]

    def batch(self, step: int, rank: int = 0, ranks: int = 1) -> Batch:
        """What step number `step` looks at; several processes share the rows of a step without overlap."""
        chosen = self._chosen(step, len(self.rows), 0, rank, ranks)
        if ordinary := len(self.every) - len(self.rows):
            chosen += self._chosen(step, ordinary, len(self.rows), rank, ranks)
        draws = generator(self.settings.seed, step, "views", rank)
        views = torch.randint(0, self.settings.views, (len(chosen),), generator=draws).tolist()
        return self.of([*zip(chosen, views, strict=True)], generator(self.settings.seed, step, "latents", rank))

    def of(self, which: Sequence[tuple[int, int]], draws: torch.Generator) -> Batch:
        """The batch of these (row, view), their latents sampled by `draws`."""
        found = [self._seen(place, view) for place, view in which]
        mean, std = (torch.cat([getattr(one, name) for one in found]) for name in ("mean", "std"))
        noise = torch.randn(mean.shape, generator=draws).to(mean)
        rows = [self.every[place] for place, _ in which]
        batch = Batch(
            latents=self.base.scaled(mean + std * noise),
            prompts=[row.prompt for row in rows],
            prior=torch.tensor([row.prior for row in rows]),
            cells=torch.cat([one.cells for one in found]),
            area=torch.cat([one.area for one in found]),
            beside=_all([one.beside for one in found]),
            filled=_all([one.filled for one in found]),
            places=tuple(place for place, _ in which),
        )
        return batch if self.settings.mix == "none" else _mixed(batch, self.settings.mix, draws)

    def _chosen(self, step: int, count: int, first: int, rank: int, ranks: int) -> list[int]:
        batch = self.settings.batch
        places = picked(self.settings.seed, step, batch * ranks, count)
        return [first + place for place in places[rank * batch : (rank + 1) * batch]]

    def _seen(self, place: int, view: int) -> Moments:
        if (place, view) in self._moments:
            return self._moments[place, view].to(self.base.device)
        made = self._encoded(place, view)
        if self.settings.kept:
            near = self._held + made.bytes <= KEPT_BYTES
            self._moments[place, view] = made if near else made.to(torch.device("cpu"))
            self._held += made.bytes
        return made

    def picture(self, place: int, view: int) -> tuple[Tensor, Tensor]:
        """A row as it is shown: float32 [1, 3, side, side] in [0, 1], and bool [1, 1, side, side], its defect."""
        row = self.every[place]
        picture, mask = row.read()
        draws = generator(self.settings.seed, view, f"view of {place}")
        way = augment.drawn(draws, oriented=self.settings.oriented) if self.settings.augment else augment.View()
        picture, mask = augment.shown(picture, mask, way, self.settings.side)
        pixels, marked = torch.from_numpy(picture).permute(2, 0, 1)[None], torch.from_numpy(mask)[None, None]
        return (torch.where(marked, pixels, GREY), marked) if row.part else (pixels, marked)

    @torch.no_grad()
    def _encoded(self, place: int, view: int) -> Moments:
        """One picture at a time, so that its numbers do not depend on what else is in the batch."""
        pixels, marked = self.picture(place, view)
        pixels = pixels * 2 - 1
        spread = self.base.encode_image(pixels)
        cell, device = self.base.cell_px, self.base.device
        beside = filled = None
        if self.base.inpaints:
            draws = generator(self.settings.seed, view, f"hole of {place}")
            beside = self._hidden(pixels, torch.from_numpy(augment.boxes(self.settings.side, draws))[None, None])
            if self.settings.filled:  # as whoever paints with it hides it: in whole cells, which thin strokes outlive
                filled = self._hidden(pixels, whole_cells(marked, cell))
        return Moments(
            spread.mean.float(),
            spread.std.float(),
            in_cells(marked, cell).to(device),
            F.avg_pool2d(marked.float(), cell).to(device),
            beside,
            filled,
        )

    def _hidden(self, pixels: Tensor, hole: Tensor) -> Tensor:
        """float32 [1, 1 + C, h, w]: the hole in cells, and the latents of the picture that has it, grey inside."""
        masked = self.base.scaled(self.base.encode_image(pixels * ~hole).mode())
        return torch.cat([in_cells(hole, self.base.cell_px).to(masked), masked], dim=1).float()


def _all(tensors: Sequence[Tensor | None]) -> Tensor | None:
    found = [one for one in tensors if one is not None]
    return torch.cat(found) if found else None


def _mixed(batch: Batch, how: str, draws: torch.Generator) -> Batch:
    """Each row blended with the one after it; what it is called stays its own."""
    count, _, height, width = batch.latents.shape
    other = batch.latents.roll(1, 0)
    share = float(_beta(draws))
    share = max(share, 1 - share)  # the row stays the larger part of itself
    if how == "mixup":
        return replace(batch, latents=share * batch.latents + (1 - share) * other)
    keep = torch.ones(count, 1, height, width, dtype=torch.bool, device=batch.latents.device)
    high, wide = (round(side * (1 - share) ** 0.5) for side in (height, width))
    top, left = (int(torch.randint(0, n + 1, (1,), generator=draws)) for n in (height - high, width - wide))
    keep[:, :, top : top + high, left : left + wide] = False
    return replace(batch, latents=torch.where(keep, batch.latents, other))


def _beta(draws: torch.Generator) -> Tensor:
    """One number of Beta(ALPHA, ALPHA), from two gamma numbers of a generator of our own."""
    pair = torch._standard_gamma(torch.full((2,), ALPHA, dtype=torch.float64), generator=draws)
    return pair[0] / pair.sum().clamp(min=1e-300)


class Spoken:
    """Prompts as a base reads them; kept where what reads them does not change."""

    def __init__(self, base: Family, *, kept: bool) -> None:
        self.base = base
        self._kept: dict[str, Text] | None = {} if kept else None

    def __call__(self, prompts: Sequence[str]) -> Text:
        """Each tensor's first axis is the prompt. With gradients where the text is trained."""
        if self._kept is None:
            return self.base.encode_prompt(prompts)
        for prompt in dict.fromkeys(prompts):
            if prompt not in self._kept:
                with torch.no_grad():
                    self._kept[prompt] = self.base.encode_prompt([prompt])
        found = [self._kept[prompt] for prompt in prompts]
        return {name: torch.cat([one[name] for one in found]) for name in found[0]}
