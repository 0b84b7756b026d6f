"""The numbers of a training's log as the page draws them: few enough for a screen, however many steps there were.

Knows the lines of log.jsonl; nothing of files or of how they came to be there.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

MOST_POINTS = 500
RISES = 1.05
"""Held-out loss this many times its least counts as risen."""
ALIKE = 0.75
"""Pictures that differ by less than this share of what they once did have grown alike."""
NOT_TERMS = ("time", "step", "learning_rate", "grad_norm")


class Log:
    """What the lines of a log said so far."""

    def __init__(self) -> None:
        self.terms: list[str] = []
        self.rows: list[tuple[int, float | None, list[float | None]]] = []
        """(step, learning rate, the loss and its terms as `terms` names them)."""
        self.looks: list[dict[str, Any]] = []
        self.notes: list[str] = []

    def take(self, line: Mapping[str, Any]) -> None:
        """One line more."""
        if isinstance(line.get("note"), str):
            self.notes.append(line["note"])
        if not isinstance(line.get("step"), int):
            return
        if "loss" in line:
            names = [name for name in line if name not in NOT_TERMS]
            self.terms += [name for name in names if name not in self.terms]
            row = (line["step"], _number(line.get("learning_rate")), [_number(line.get(name)) for name in self.terms])
            self.rows.append(row)
        elif isinstance(line.get("samples"), Mapping) or "held_out" in line:
            self.looks.append({name: value for name, value in line.items() if name != "time"})

    def drawn(self, most: int = MOST_POINTS) -> dict[str, Any]:
        """Columns, points and the smoothed terms: of each stretch of steps its last values and their mean."""
        stretch = max(1, math.ceil(len(self.rows) / most))
        points: list[list[Any]] = []
        smooth: list[list[float | None]] = []
        for begin in range(0, len(self.rows), stretch):
            some = self.rows[begin : begin + stretch]
            step, rate, last = some[-1]
            points.append([step, *_padded(last, len(self.terms)), rate])
            smooth.append([_mean([row[2][at] for row in some if at < len(row[2])]) for at in range(len(self.terms))])
        columns = ["step", *self.terms, "learning_rate"]
        return {"columns": columns, "points": points, "smooth": _smoothed(smooth)}

    def numbers(self, name: str) -> list[list[float]]:
        """[step, value] of what was measured on the way: held_out, diversity."""
        found = [(look["step"], _number(look.get(name))) for look in self.looks]
        return [[step, value] for step, value in found if value is not None]

    def hints(self) -> list[str]:
        """What speaks for learning by heart: `held_out` (it does worse on what it never saw), `alike` (its pictures
        grow alike).
        """
        found = []
        held, differ = self.numbers("held_out"), self.numbers("diversity")
        if len(held) >= 3 and self._fell_since(held):
            found.append("held_out")
        if len(differ) >= 3 and differ[-1][1] < ALIKE * max(value for _, value in differ[:-1]):
            found.append("alike")
        return found

    def _fell_since(self, held: Sequence[Sequence[float]]) -> bool:
        """Held-out loss rises, over the last two looks, while the loss itself does not."""
        least_step, least = min(held, key=lambda one: one[1])
        rises = min(value for _, value in held[-2:]) > RISES * least
        then = _mean([row[2][0] for row in self.rows if abs(row[0] - least_step) <= self._window()])
        now = _mean([row[2][0] for row in self.rows[-self._window() :]])
        return rises and (then is None or now is None or now <= then)

    def _window(self) -> int:
        return max(5, len(self.rows) // 20)


def _smoothed(rows: Sequence[Sequence[float | None]]) -> list[list[float | None]]:
    """A running mean over the means of the stretches, without the pull to its start."""
    keep = 1 - 1 / max(2.0, len(rows) / 25)
    sums: dict[int, tuple[float, float]] = {}
    found = []
    for row in rows:
        line: list[float | None] = []
        for at, value in enumerate(row):
            total, weight = sums.get(at, (0.0, 0.0))
            if value is not None:
                total, weight = keep * total + (1 - keep) * value, keep * weight + (1 - keep)
                sums[at] = total, weight
            line.append(_rounded(total / weight) if weight else None)
        found.append(line)
    return found


def _padded(values: Sequence[float | None], length: int) -> list[float | None]:
    return [*map(_rounded, values), *[None] * (length - len(values))]


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def _number(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None
