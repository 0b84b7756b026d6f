"""KID against a second way to compute it, and the halves that share no source."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipelines.parts.metrics import kid


def looped(one: np.ndarray, other: np.ndarray) -> float:
    """The same by the definition: one pair at a time."""

    def kernel(a: Sequence[float], b: Sequence[float]) -> float:
        return float((sum(x * y for x, y in zip(a, b, strict=True)) / len(a) + 1) ** 3)

    def within(values: Sequence[Sequence[float]]) -> float:
        pairs = [kernel(a, b) for i, a in enumerate(values) for j, b in enumerate(values) if i != j]
        return sum(pairs) / len(pairs)

    first, second = one.tolist(), other.tolist()
    crossed = [kernel(a, b) for a in first for b in second]
    return within(first) + within(second) - 2 * sum(crossed) / len(crossed)


def normal(count: int, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (count, 6))


def alone(count: int) -> list[str]:
    """Each of a source of its own."""
    return [str(place) for place in range(count)]


@pytest.mark.parametrize(("count", "others"), [(2, 2), (9, 9), (5, 12)])
def test_the_estimate_is_that_of_a_double_loop(count: int, others: int) -> None:
    one, other = normal(count), normal(others, 0.7, seed=1)
    assert kid.unbiased(one, other) == pytest.approx(looped(one, other), rel=1e-9)


def test_the_estimate_is_unbiased_for_sets_of_one_kind() -> None:
    found = [kid.unbiased(normal(8, seed=2 * seed), normal(8, seed=2 * seed + 1)) for seed in range(600)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))


def test_the_further_apart_the_larger() -> None:
    near, middle, far = (
        kid.between(normal(60), normal(60, shift, seed=1), alone(60), 30).value for shift in (0.0, 0.5, 1.0)
    )
    assert near < middle < far


def test_all_of_both_sets_leaves_nothing_to_chance() -> None:
    one, other = normal(10), normal(10, 1, seed=1)
    found = kid.between(one, other, alone(10), 10)
    assert found.value == pytest.approx(kid.unbiased(one, other))
    assert found.deviation == pytest.approx(0, abs=1e-12)


def test_the_deviation_is_over_the_seeds() -> None:
    one, other = normal(40), normal(40, 1, seed=1)
    each = [kid.between(one, other, alone(40), 10, seeds=[seed]).value for seed in kid.SEEDS]
    found = kid.between(one, other, alone(40), 10)
    assert (found.value, found.deviation) == pytest.approx((np.mean(each), np.std(each)))


def test_several_samples_of_a_source_make_no_distance() -> None:
    """Within a source all samples are one: taken for samples of their own, they would look like another world."""
    pictures = normal(24)
    values, sources = np.repeat(pictures, 6, axis=0), [str(place) for place in range(24) for _ in range(6)]
    assert kid.halves(values, sources, 12).value == pytest.approx(kid.halves(pictures, alone(24), 12).value, abs=0.1)


def test_a_subset_holds_one_sample_of_each_source() -> None:
    sources = [name for name in "abca" for _ in range(5)]
    for seed in range(20):
        chosen = kid._one_each(sources, np.random.default_rng(seed))
        assert sorted(sources[place] for place in chosen) == ["a", "b", "c"]
