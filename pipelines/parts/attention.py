"""Where a base looked for a word while it painted: cross-attention of the decoder's blocks, kept over all steps.

Heads, layers and steps are averaged (as A[V*] of DefectFill, arXiv 2503.13985, section 3.3). Watched by hooks on the
queries and keys; the pictures stay as they are.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import cv2
import numpy as np
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


class Maps:
    """The maps of one batch, summed up while it is painted."""

    def __init__(self, tokens: Sequence[Sequence[int]]) -> None:
        self.tokens = [list(one) for one in tokens]
        self.sides = (1, 1)
        self.seen: set[str] = set()
        self.queries: dict[str, Tensor] = {}
        self._sum: Tensor | None = None

    def add(self, name: str, query: Tensor, key: Tensor, heads: int) -> None:
        """query [2B, pixels, C], key [2B, tokens, C] of one layer."""
        count = len(self.tokens)
        if name in self.seen or len(query) != 2 * count:
            return  # another region's prompt asks the same layer again
        self.seen.add(name)
        query, key = query[count:].float(), key[count:].float()
        split = (count, -1, heads, query.shape[-1] // heads)
        scores = query.view(split).transpose(1, 2) @ key.view(split).permute(0, 2, 3, 1)
        attention = (scores * split[-1] ** -0.5).softmax(dim=-1).mean(dim=1)
        factor = (self.sides[0] * self.sides[1] / attention.shape[1]) ** 0.5
        height = round(self.sides[0] / factor)
        for place, tokens in enumerate(self.tokens):
            found = attention[place, :, tokens].mean(dim=1).view(1, 1, height, -1)
            if self._sum is None:
                self._sum = found.new_zeros(count, SIDE, SIDE)
            self._sum[place] += F.interpolate(found, size=(SIDE, SIDE), mode="bilinear")[0, 0]

    def pictures(self) -> list[np.ndarray]:
        """float32 [SIDE, SIDE] in [0, 1] for each picture of the batch."""
        if self._sum is None:
            return []
        found = self._sum.cpu().numpy()
        low, high = found.min(axis=(1, 2), keepdims=True), found.max(axis=(1, 2), keepdims=True)
        return list((found - low) / np.maximum(high - low, 1e-8))


@contextmanager
def watched(base: Family, tokens: Sequence[Sequence[int]]) -> Iterator[Maps]:
    """Inside the `with` every step adds to the maps. `tokens` are the places in each picture's prompt."""
    maps = Maps(tokens)

    def begin(denoiser: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        sample = named["sample"] if "sample" in named else arguments[0]
        maps.sides = tuple(sample.shape[-2:])
        maps.seen.clear()

    def query(name: str, layer: Any, arguments: tuple[Any, ...], found: Tensor) -> None:
        maps.queries[name] = found.detach()

    def key(name: str, heads: int, layer: Any, arguments: tuple[Any, ...], found: Tensor) -> None:
        maps.add(name, maps.queries.pop(name), found.detach(), heads)

    with ExitStack() as stack:
        handles = [base.denoiser.register_forward_pre_hook(begin, with_kwargs=True)]
        for name, module in base.denoiser.named_modules():
            if name.startswith("up_blocks") and name.endswith("attn2"):
                handles.append(module.to_q.register_forward_hook(partial(query, name)))
                handles.append(module.to_k.register_forward_hook(partial(key, name, module.heads)))
        for handle in handles:
            stack.callback(handle.remove)
        yield maps


def laid_over(pixels: np.ndarray, white: int, window: tuple[slice, slice], heat: np.ndarray) -> np.ndarray:
    """uint8 HxWx3: the picture with the heat of a window over it."""
    shown = np.rint(images.to_float(pixels, white) * 255).astype(np.uint8)
    part = shown[window]
    size = (part.shape[1], part.shape[0])
    levels = np.rint(cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR).clip(0, 1) * 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    shown[window] = np.rint((1 - SHARE) * part + SHARE * colours).astype(np.uint8)
    return shown
