"""Where a base looks for a word: the cross-attention of its decoder's blocks, heads averaged (DefectFill's A[V*],
arXiv 2503.13985, section 3.3). Kept over all steps while it paints; with its gradient while it learns.

Watched by hooks on the queries and keys; what the base answers stays as it is.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.core import images
from pipelines.core.errors import BadInput
from pipelines.parts.family import Family

SIDE = 64
SHARE = 0.6
"""How much of the heat is laid over the picture."""


def places(base: Family, prompt: str, words: Sequence[str]) -> list[int]:
    """Which tokens of the prompt are the first of these words that it holds. Raises BadInput where it holds none."""
    if base.denoiser_part != "unet":
        raise BadInput(f"base {base.name} has no attention that can be shown word by word: leave attention_maps off")
    tokenizer = base.spoken["tokenizer"]
    said = tokenizer(prompt, truncation=True).input_ids
    for word in words:
        wanted = tokenizer(word, add_special_tokens=False).input_ids
        for start in range(len(said) - len(wanted) + 1):
            if wanted and said[start : start + len(wanted)] == wanted:
                return list(range(start, start + len(wanted)))
    raise BadInput(
        f"the prompt {prompt[:80]!r} holds none of the words {', '.join(words)}: say one of them, or leave"
        " attention_maps off",
        "prompt",
    )


class Watching(Protocol):
    """What is told of every layer of a forward pass."""

    def begin(self, sides: tuple[int, int]) -> None:
        """A pass over latents of this height and width."""

    def add(self, name: str, query: Tensor, key: Tensor, heads: int) -> None:
        """query [B, pixels, C], key [B, tokens, C] of one layer."""


def shares(query: Tensor, key: Tensor, heads: int) -> Tensor:
    """float32 [B, pixels, tokens]: how each place divides its attention, heads averaged."""
    query, key = query.float(), key.float()
    split = (len(query), -1, heads, query.shape[-1] // heads)
    with torch.autocast(query.device.type, enabled=False):
        scores = query.view(split).transpose(1, 2) @ key.view(split).permute(0, 2, 3, 1)
        return (scores * split[-1] ** -0.5).softmax(dim=-1).mean(dim=1)


def of_tokens(found: Tensor, tokens: Sequence[Sequence[int]], sides: tuple[int, int]) -> Tensor:
    """[B, 1, h, w]: of [B, pixels, tokens] the mean over each row's own tokens, shaped as latents of these sides."""
    factor = (sides[0] * sides[1] / found.shape[1]) ** 0.5
    chosen = torch.stack([found[row, :, list(own)].mean(dim=1) for row, own in enumerate(tokens)])
    return chosen.view(len(tokens), 1, round(sides[0] / factor), -1)


class Maps:
    """The maps of one batch, summed up while it is painted."""

    def __init__(self, tokens: Sequence[Sequence[int]]) -> None:
        self.tokens = [list(one) for one in tokens]
        self.sides = (1, 1)
        self.seen: set[str] = set()
        self._sum: Tensor | None = None

    def begin(self, sides: tuple[int, int]) -> None:
        self.sides = sides
        self.seen.clear()

    def add(self, name: str, query: Tensor, key: Tensor, heads: int) -> None:
        count = len(self.tokens)
        if name in self.seen or len(query) != 2 * count:
            return  # another region's prompt asks the same layer again
        self.seen.add(name)
        found = of_tokens(shares(query[count:].detach(), key[count:].detach(), heads), self.tokens, self.sides)
        found = F.interpolate(found, size=(SIDE, SIDE), mode="bilinear")[:, 0]
        self._sum = found if self._sum is None else self._sum + found

    def pictures(self) -> list[np.ndarray]:
        """float32 [SIDE, SIDE] in [0, 1] for each picture of the batch."""
        if self._sum is None:
            return []
        found = self._sum.cpu().numpy()
        low, high = found.min(axis=(1, 2), keepdims=True), found.max(axis=(1, 2), keepdims=True)
        return list((found - low) / np.maximum(high - low, 1e-8))


class Living:
    """The maps of one forward pass with their gradient, layer by layer. Watches nothing until it is told what.

    Inside `watched` from the forward to the backward pass: a memory saver asks every layer once more, in between, and
    must find the same.
    """

    def __init__(self) -> None:
        self.tokens: Sequence[Sequence[int]] = ()
        self.rows = slice(0, 0)
        self.sides = (1, 1)
        self.layers: dict[str, Tensor] = {}
        """[B, 1, h, w] of each layer, in its own size."""

    def expect(self, tokens: Sequence[Sequence[int]], first: int = 0) -> None:
        """From now on the rows of a pass from `first` on, each with its own tokens. None = nothing is watched."""
        self.tokens, self.rows = tokens, slice(first, first + len(tokens))
        self.layers = {}

    def begin(self, sides: tuple[int, int]) -> None:
        self.sides = sides

    def add(self, name: str, query: Tensor, key: Tensor, heads: int) -> None:
        if self.tokens:
            self.layers[name] = of_tokens(shares(query[self.rows], key[self.rows], heads), self.tokens, self.sides)

    def mean(self) -> Tensor:
        """[B, 1, h, w] of the latents' size: the mean of all layers, each brought there bilinearly."""
        layers = [F.interpolate(one, size=self.sides, mode="bilinear") for one in self.layers.values()]
        return torch.stack(layers).mean(dim=0)


@contextmanager
def watched(base: Family, maps: Watching) -> Iterator[None]:
    """Inside the `with` every forward pass of the base's UNet is told to `maps`."""
    queries: dict[str, Tensor] = {}

    def begin(denoiser: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        sample = named["sample"] if "sample" in named else arguments[0]
        maps.begin((sample.shape[-2], sample.shape[-1]))

    def query(name: str, layer: Any, arguments: tuple[Any, ...], found: Tensor) -> None:
        queries[name] = found

    def key(name: str, heads: int, layer: Any, arguments: tuple[Any, ...], found: Tensor) -> None:
        maps.add(name, queries.pop(name), found, heads)

    with ExitStack() as stack:
        handles = [base.denoiser.register_forward_pre_hook(begin, with_kwargs=True)]
        for name, module in base.denoiser.named_modules():
            if name.startswith("up_blocks") and name.endswith("attn2"):
                handles.append(module.to_q.register_forward_hook(partial(query, name)))
                handles.append(module.to_k.register_forward_hook(partial(key, name, module.heads)))
        for handle in handles:
            stack.callback(handle.remove)
        yield


def laid_over(pixels: np.ndarray, white: int, window: tuple[slice, slice], heat: np.ndarray) -> np.ndarray:
    """uint8 HxWx3: the picture with the heat of a window over it."""
    shown = np.rint(images.to_float(pixels, white) * 255).astype(np.uint8)
    part = shown[window]
    size = (part.shape[1], part.shape[0])
    levels = np.rint(cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR).clip(0, 1) * 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    shown[window] = np.rint((1 - SHARE) * part + SHARE * colours).astype(np.uint8)
    return shown
