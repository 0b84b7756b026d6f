"""The learning rate over a training: as the libraries have it, and never nothing at the first step."""

import warnings

import pytest
import torch
from diffusers.optimization import get_scheduler

from pipelines.parts.rates import ONE_CYCLE, RATES, factor

STEPS, WARMUP = 50, 10


def libraries(schedule: str) -> list[float]:
    """What diffusers' or torch's schedule multiplies by at each step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    made = (
        torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=STEPS)
        if schedule == ONE_CYCLE
        else get_scheduler(schedule, optimizer, num_warmup_steps=WARMUP, num_training_steps=STEPS)
    )
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(STEPS):
            found.append(optimizer.param_groups[0]["lr"])
            made.step()
    return found


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_after_the_warm_up_it_falls_as_diffusers_has_it(schedule: str) -> None:
    ours = [factor(schedule, step, STEPS, WARMUP) for step in range(STEPS)]
    assert ours[WARMUP:] == pytest.approx(libraries(schedule)[WARMUP:], abs=1e-9)


def test_one_cycle_is_torchs() -> None:
    assert [factor(ONE_CYCLE, step, STEPS) for step in range(STEPS)] == pytest.approx(libraries(ONE_CYCLE), abs=1e-9)


@pytest.mark.parametrize("schedule", [*RATES, ONE_CYCLE])
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_every_step_learns_also_of_a_short_training(schedule: str, steps: int) -> None:
    found = [factor(schedule, step, steps, warmup=steps // 2) for step in range(steps)]
    assert all(0 < one <= 1 for one in found)
    assert found[0] > 0.01


def test_a_warm_up_rises_to_the_whole_rate() -> None:
    found = [factor("constant", step, STEPS, WARMUP) for step in range(STEPS)]
    assert found[:WARMUP] == pytest.approx([(step + 1) / WARMUP for step in range(WARMUP)])
    assert set(found[WARMUP:]) == {1.0}


def test_an_unknown_one_is_no_constant() -> None:
    with pytest.raises(KeyError):
        factor("polynomial", 0, STEPS)
