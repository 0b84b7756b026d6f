"""The classifier that tells real from synthetic: it sees no source twice."""

import numpy as np

from pipelines.parts.metrics import separable


def normal(count: int, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (count, 4))


def names(count: int, of: int, what: str) -> list[str]:
    return [f"{what} {number % of}" for number in range(count)]


def test_sets_of_one_kind_cannot_be_told_apart() -> None:
    found = separable.auroc(normal(200), normal(200, seed=1), [*names(200, 40, "a"), *names(200, 40, "b")])
    assert 0.4 < found.auroc < 0.6


def test_sets_that_lie_apart_are_told_apart_every_time() -> None:
    found = separable.auroc(normal(50), normal(50, 6, seed=1), [*names(50, 10, "a"), *names(50, 10, "b")])
    assert found.auroc > 0.99


def test_a_source_known_by_heart_helps_nobody() -> None:
    """Each source has a mark of its own that says nothing of real or synthetic."""
    random = np.random.default_rng(0)
    marks = random.normal(0, 5, (20, 60))
    values = np.repeat(marks, 10, axis=0) + random.normal(0, 0.1, (200, 60))
    sources = [str(number) for number in range(20) for _ in range(10)]
    grouped = separable.auroc(values[:100], values[100:], sources)
    ungrouped = separable.auroc(values[:100], values[100:], [str(number) for number in range(200)])
    assert ungrouped.auroc > 0.95
    assert grouped.auroc < 0.75


def test_the_same_question_has_the_same_answer() -> None:
    sources = [*names(30, 6, "a"), *names(40, 8, "b")]
    one, other = (separable.auroc(normal(30), normal(40, 0.5, seed=1), sources) for _ in range(2))
    assert one == other
