"""Makes a data set: picture by picture as the plan says, each kept or set aside with the reason, until all are there.

Every try is an item of the run, committed by itself: try `attempt` at picture `slot` is item attempt x count + slot.
All first tries come first, then the second ones of what is open. What is kept depends only on what came before in that
order, so a kill changes nothing.
"""

from collections import Counter
from typing import Any

from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.core.requests import Batch
from pipelines.core.runs import ASIDE, FAILED, Laid, Run
from pipelines.generate.executors import EXECUTORS
from pipelines.generate.planning import Plan
from pipelines.generate.tries import Tried
from pipelines.parts.gates import Seen

GIVE_UP = 8
"""So many tries that fail one after the other, with none before that did not, are no accident."""


def run(request: Batch, run: Run, models: Models) -> None:
    """Keep `request.length()` pictures, as far as `tries` reach. The result says how many, and why others are not."""
    plan = Plan(request, run.assets)
    book = _Book(plan, run)
    executor = EXECUTORS[request.executor](plan, models)

    def begin(index: int) -> None:
        run.give_way()
        _tell(run, book, force=True)
        run.begin(index)

    for attempt in range(request.tries):
        if left := book.left(attempt):
            for index, tried in executor.made(left, begin, lambda: _tell(run, book)):
                _put(run, plan, book, index, tried)
    run.write_manifest()
    run.finish(book.told())


def _tell(run: Run, book: "_Book", *, force: bool = False) -> None:
    kept, aside = len(book.filled), sum(book.reasons.values())
    run.tick(book.done, book.expected, f"{kept} of {len(book.plan)} kept, {aside} set aside", force=force)


def _put(run: Run, plan: Plan, book: "_Book", index: int, tried: Tried) -> None:
    """Keep a try or set it aside, and commit it."""
    reason = tried.reason or book.seen.twin(tried.print)
    attempt, slot = divmod(index, len(plan))
    if tried.laid is None:
        assert reason is not None
        facts = {"slot": slot, "attempt": attempt, "class": plan.class_of(slot).defect or ""}
        row = {FAILED: reason.sentence, "plan": facts}
        run.commit(index, row)
        if tried.trace:
            run.log(item=index, failed=reason.sentence, trace=tried.trace)
        book.take(index, row)
        book.give_up(reason.sentence)
        return
    if reason is None:
        book.take(index, run.put(index, tried.laid))
        return
    laid = tried.laid.aside()
    row = {**laid.row, ASIDE: {"gate": reason.gate, "why": reason.sentence}}
    book.take(index, run.put(index, Laid(laid.files, row)))


class _Book:
    """What became of the tries so far: which slots are filled, what was set aside and why."""

    def __init__(self, plan: Plan, run: Run) -> None:
        self.plan = plan
        self.filled: set[int] = set()
        self.kept: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.outside_max = 0
        self.seen = Seen(plan.request.gates.duplicate_bits)
        self._done: set[int] = set()
        self._failed_in_a_row = 0
        for index, row in sorted(run.finished().items()):
            self.take(index, row)

    def left(self, attempt: int) -> list[int]:
        """The items of these tries that are still to be made: those of open slots."""
        first = attempt * len(self.plan)
        slots = (slot for slot in range(len(self.plan)) if slot not in self.filled)
        return [first + slot for slot in slots if first + slot not in self._done]

    def take(self, index: int, row: dict[str, Any]) -> None:
        """Note a committed item."""
        self._done.add(index)
        if FAILED in row:
            self.reasons[FAILED] += 1
            self._failed_in_a_row += 1
            return
        self._failed_in_a_row = 0
        if ASIDE in row:
            self.reasons[row[ASIDE]["gate"]] += 1
            return
        self.filled.add(index % len(self.plan))
        self.kept[row["plan"]["class"]] += 1
        self.seen.add(row["print"], row["file"])
        self.outside_max = max(self.outside_max, row.get("scores", {}).get("outside_max", 0))

    def give_up(self, sentence: str) -> None:
        """Raises BadInput where nothing but failures has come so far: the next thousand would be no better."""
        if self._failed_in_a_row == len(self._done) >= min(GIVE_UP, len(self.plan)):
            raise BadInput(f"none of the first {len(self._done)} pictures could be made: {sentence}", "template")

    @property
    def done(self) -> int:
        return len(self._done)

    @property
    def expected(self) -> int:
        """How many tries there will be if all that are open succeed."""
        return self.done + len(self.plan) - len(self.filled)

    def told(self) -> dict[str, Any]:
        """The result."""
        wanted = Counter(self.plan.class_of(slot).defect or "" for slot in range(len(self.plan)))
        return {
            "images": len(self.filled),
            "wanted": len(self.plan),
            "tried": self.done,
            "aside": sum(count for gate, count in self.reasons.items() if gate != FAILED),
            "failed": self.reasons[FAILED],
            "reasons": dict(self.reasons.most_common()),
            "classes": {one: {"kept": self.kept[one], "wanted": count} for one, count in wanted.items()},
            "outside_max": self.outside_max,
        }
