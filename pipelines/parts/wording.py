"""A word that learns: vectors beside a text encoder's table, for a token its tokenizer did not know (arXiv 2208.01618).

Only the new vectors are parameters, so that nothing else of the table can move. Knows tokenizers and encoders; no loss.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.core.errors import BadInput

SPREAD = 0.01
"""By how much the vectors of one word differ at the start, as a share of the word they start from: else none would."""


class Taught(nn.Module):
    """An encoder's table of words with some that learn behind it."""

    def __init__(self, table: nn.Embedding, first: int, start: Tensor) -> None:
        """`first` is the token of the first new vector; `start` [n, width]."""
        super().__init__()
        self.table = table
        self.first = first
        self.vectors = nn.Parameter(start.float())

    @property
    def weight(self) -> Tensor:
        """As an encoder asks its table for: the whole of it, the new words last."""
        return torch.cat([self.table.weight[: self.first], self.vectors.to(self.table.weight)])

    def forward(self, ids: Tensor) -> Tensor:
        """[B, n] tokens -> [B, n, width]."""
        known = self.table(ids.clamp(max=self.first - 1))
        taught = F.embedding((ids - self.first).clamp(min=0), self.vectors).to(known.dtype)
        return torch.where((ids >= self.first).unsqueeze(-1), taught, known)


class Word:
    """A word that learns, in one or several text encoders."""

    def __init__(self, token: str, written: str, tables: Mapping[str, Taught], encoders: Mapping[str, Any]) -> None:
        self.token = token
        self.written = written
        """What to write for it in a prompt: several vectors are several words."""
        self.tables = tables
        self._encoders = encoders

    def tensors(self) -> dict[str, Tensor]:
        """Text encoder -> its vectors [n, width]."""
        return {part: one.vectors.detach() for part, one in self.tables.items()}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what `tensors` gave. Raises BadInput where it is another word's."""
        own = self.tensors()
        if own.keys() != tensors.keys() or any(own[part].shape != one.shape for part, one in tensors.items()):
            raise BadInput(
                "the word to go on from has another number of vectors, or is for another base: use its num_vectors",
                "resume_from",
            )
        for part, one in tensors.items():
            self.tables[part].vectors.copy_(one)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The encoders as if there were no new word."""
        for part, one in self.tables.items():
            self._encoders[part].set_input_embeddings(one.table)
        try:
            yield
        finally:
            for part, one in self.tables.items():
                self._encoders[part].set_input_embeddings(one)


@contextmanager
def learning(
    spoken: dict[str, Any], encoders: Mapping[str, Any], token: str, start: str, count: int, seed: int
) -> Iterator[Word]:
    """The encoders with a new word of `count` vectors, which begin as the word `start`; without it afterwards.

    `spoken` are a base's tokenizers, of which those of the encoders are replaced for the while. Raises BadInput where
    the token is a word already.
    """
    names = [token, *(f"{token}_{number}" for number in range(1, count))]
    before, tables = dict(spoken), {}
    try:
        for part, encoder in encoders.items():
            tokenizer = part.replace("text_encoder", "tokenizer")
            spoken[tokenizer], first = _extended(before[tokenizer], names)
            table = encoder.get_input_embeddings()
            begins = _begun(table, before[tokenizer], start, count, seed)
            tables[part] = Taught(table, first, begins).to(table.weight.device)
        for part, encoder in encoders.items():
            encoder.set_input_embeddings(tables[part])
        yield Word(token, " ".join(names), tables, encoders)
    finally:
        spoken.update(before)
        for part, one in tables.items():
            encoders[part].set_input_embeddings(one.table)


def _extended(tokenizer: Any, names: Sequence[str]) -> tuple[Any, int]:
    """A tokenizer that knows the names, and the number of the first."""
    longer = copy.deepcopy(tokenizer)
    if longer.add_tokens(list(names)) != len(names):
        raise BadInput(
            f"placeholder_token: {names[0]!r} is a word of this base already: choose one that it has not",
            "placeholder_token",
        )
    return longer, int(longer.convert_tokens_to_ids(names[0]))


def _begun(table: nn.Embedding, tokenizer: Any, start: str, count: int, seed: int) -> Tensor:
    """[count, width]: the mean of the start's tokens, a little apart. Raises BadInput for a start that is no word."""
    ids = tokenizer(start, add_special_tokens=False).input_ids
    if not ids:
        raise BadInput(f"initializer_token: {start!r} is no word: write one such as texture", "initializer_token")
    mean = table.weight.detach().float()[torch.tensor(ids, device=table.weight.device)].mean(0).cpu()
    noise = torch.randn(count, len(mean), generator=torch.Generator().manual_seed(seed))
    return mean + SPREAD * mean.std() * noise * (torch.arange(count) > 0).unsqueeze(1)
