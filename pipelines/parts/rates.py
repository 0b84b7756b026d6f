"""How the learning rate goes over a training: a factor on it, a pure function of the step. Nothing to save or restore.

A warm-up rises from its first step on: one that begins at 0 wastes a step, and a training of one step learns nothing.
"""

import math
from collections.abc import Callable

START, END = 1 / 25, 1e-4 / 25
"""Where one cycle begins and ends, and how much of it rises (arXiv 1708.07120; as torch's OneCycleLR)."""
RISING = 0.3


def constant(done: float) -> float:
    return 1.0


def linear(done: float) -> float:
    return 1.0 - done


def cosine(done: float) -> float:
    return (1 + math.cos(math.pi * done)) / 2


RATES: dict[str, Callable[[float], float]] = {"constant": constant, "linear": linear, "cosine": cosine}
"""By the field's name: the factor after that share [0, 1) of the steps that follow the warm-up."""
ONE_CYCLE = "one_cycle"


def factor(schedule: str, step: int, steps: int, warmup: int = 0) -> float:
    """What the learning rate is multiplied by at `step`, counted from 0, of `steps`.

    `warmup` steps rise in a straight line; one cycle brings its own rise. Raises KeyError for a schedule unknown.
    """
    if schedule == ONE_CYCLE:
        return _one_cycle(step, steps)
    fall = RATES[schedule]
    if step < warmup:
        return (step + 1) / warmup
    return fall((step - warmup) / max(1, steps - warmup))


def _one_cycle(step: int, steps: int) -> float:
    top, last = max(RISING * steps - 1, 0), steps - 1
    if step <= top:
        return _between(START, 1.0, step / top if top > 0 else 1.0)
    return _between(1.0, END, (step - top) / (last - top) if last > top else 1.0)


def _between(start: float, end: float, done: float) -> float:
    return end + (start - end) * cosine(done)
