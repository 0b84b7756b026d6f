"""Kernel inception distance on features that are given: unbiased, over subsets, with its deviation over seeds.

Binkowski et al., arXiv 1801.01401: the squared maximum mean discrepancy of the kernel (x.y / d + 1)^3. Does not know
what the features are; a distance is worth nothing without the distance of the real ones among themselves beside it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.core.noise import rng

SEEDS = (0, 1, 2, 3, 4)
SUBSETS = 20
"""Subsets a seed; their mean is what a seed says."""

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Kid:
    """A distance; unbiased, so that it may lie below 0 where there is none."""

    value: float
    """Mean over the seeds."""
    deviation: float
    """Over the seeds."""
    size: int
    """Samples of each side in a subset."""


def unbiased(one: np.ndarray, other: np.ndarray) -> float:
    """The distance of features NxD and MxD, two of each at least."""
    count, others = len(one), len(other)
    within, across = _kernel(one, one), _kernel(other, other)
    alone = (within.sum() - np.trace(within)) / (count * (count - 1))
    apart = (across.sum() - np.trace(across)) / (others * (others - 1))
    return float(alone + apart - 2 * _kernel(one, other).mean())


def between(
    synthetic: np.ndarray, real: np.ndarray, sources: Sequence[str], size: int, seeds: Sequence[int] = SEEDS
) -> Kid:
    """The distance of two sets, of `size` samples of each at a time; `sources` are those of the real ones.

    A subset holds one real sample of a source: several would be nearer to each other than to anything else, and a
    distance would be found where there is none.
    """

    def drawn(random: np.random.Generator) -> Pair:
        return synthetic[random.permutation(len(synthetic))[:size]], real[_one_each(sources, random)[:size]]

    return _over_seeds(drawn, size, seeds)


def halves(real: np.ndarray, sources: Sequence[str], size: int, seeds: Sequence[int] = SEEDS) -> Kid:
    """The distance of one set from itself, drawn likewise: no source is in both halves. size: at most half of them."""

    def drawn(random: np.random.Generator) -> Pair:
        chosen = _one_each(sources, random)
        return real[chosen[:size]], real[chosen[size : 2 * size]]

    return _over_seeds(drawn, size, seeds)


def _one_each(sources: Sequence[str], random: np.random.Generator) -> np.ndarray:
    """The place of one sample of each source, in any order."""
    order = random.permutation(len(sources))
    _, first = np.unique(np.asarray(sources)[order], return_index=True)
    found: np.ndarray = random.permutation(order[first])
    return found


def _over_seeds(drawn: Callable[[np.random.Generator], Pair], size: int, seeds: Sequence[int]) -> Kid:
    each = [np.mean([unbiased(*drawn(rng(seed, "kid", k))) for k in range(SUBSETS)]) for seed in seeds]
    return Kid(float(np.mean(each)), float(np.std(each)), size)


def _kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    found: np.ndarray = (one @ other.T / one.shape[1] + 1) ** 3
    return found
