"""What the training loop asks of a recipe, and what it tells it: where it is, the loss, a look. Values and no work."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from pipelines.parts.optimizers import Group

Terms = Mapping[str, Tensor]
"""The parts of a loss by name, each a number already weighted; their sum is what is learned from."""


@dataclass(frozen=True)
class At:
    """Where in a training: step counted from 0, which of the batches of the step, which process of how many."""

    step: int
    micro: int = 0
    micros: int = 1
    rank: int = 0
    ranks: int = 1

    @property
    def batch(self) -> int:
        """The number of the batch, over all steps."""
        return self.step * self.micros + self.micro


@dataclass(frozen=True)
class Look:
    """What a training shows of itself on the way."""

    held_out: float | None = None
    """Loss on the pictures it never saw."""
    pictures: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)
    """Prompt -> uint8 HxWx3."""
    facts: Mapping[str, float] = field(default_factory=dict)
    """More numbers, such as how much its pictures differ."""
    views: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)
    """More that can be seen, by what it is (`attention`): uint8 HxWx3."""


class Recipe(Protocol):
    """What is trained, and how."""

    @property
    def groups(self) -> Sequence[Group]:
        """What learns, in an order that stays."""

    @property
    def scored(self) -> bool:
        """Whether a look tells the loss on pictures held back: the best checkpoint is then the best by that."""

    def before(self, step: int) -> None:
        """Whatever changes with the step: a rank that grows."""

    def loss(self, at: At) -> Terms:
        """What is to become less."""

    def hold_back(self) -> None:
        """After the backward pass: gradients of what must not move are taken away."""

    def tensors(self) -> dict[str, Tensor]:
        """All that learns, by name."""

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what `tensors` gave."""

    def aside(self) -> AbstractContextManager[None]:
        """The models as they are without the training, for somebody who waits."""

    def look(self, step: int, tick: Callable[[str], None]) -> Look:
        """What it can do by now."""

    def write(self, folder: Path) -> Sequence[str]:
        """The product, file by file whole; returns their names."""
