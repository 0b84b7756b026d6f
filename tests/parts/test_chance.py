"""Chance that is a pure function: the same at a step however it was come to, and different wherever it should be."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipelines.parts.chance import generator, picked


def drawn(seed: int, step: int, what: str = "", rank: int = 0) -> list[float]:
    found: list[float] = torch.rand(4, generator=generator(seed, step, what, rank)).tolist()
    return found


def test_the_same_step_draws_the_same() -> None:
    assert drawn(7, 120, "noise") == drawn(7, 120, "noise")


def test_seed_step_what_and_rank_each_draw_their_own() -> None:
    found = [
        drawn(7, 1),
        drawn(8, 1),
        drawn(7, 2),
        drawn(7, 1, "noise"),
        drawn(7, 1, "", 1),
        drawn(71, 1),
        drawn(7, 11),
    ]
    assert len({tuple(one) for one in found}) == len(found)


@given(seed=st.integers(0, 2**63), batch=st.integers(1, 9), count=st.integers(1, 25))
def test_every_sample_comes_once_before_any_comes_again(seed: int, batch: int, count: int) -> None:
    steps = -(-3 * count // batch)
    seen = [one for step in range(steps) for one in picked(seed, step, batch, count)]
    for turn in range(3):
        assert sorted(seen[turn * count : (turn + 1) * count]) == list(range(count))
    assert max(Counter(seen).values()) - min(Counter(seen).values()) <= 1


def test_each_time_round_has_an_order_of_its_own() -> None:
    turns = [picked(3, turn, 20, 20) for turn in range(3)]
    assert len({tuple(turn) for turn in turns}) == 3


@pytest.mark.parametrize("step", [0, 5, 17])
def test_it_is_the_same_wherever_one_begins(step: int) -> None:
    assert picked(3, step, 4, 10) == [picked(3, one, 4, 10) for one in range(20)][step]
