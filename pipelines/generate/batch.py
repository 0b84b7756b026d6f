"""Makes a data set: picture by picture as the plan says, each kept or set aside with the reason, until all are there.

Every try is an item of the run, committed by itself: try `attempt` at picture `slot` is item attempt x count + slot.
All first tries come first, then the second ones of what is open. What is kept depends only on what came before in that
order, so a kill changes nothing.
"""

import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.core import datasets, images, projects
from pipelines.core.errors import BadInput, Cancelled, DiskFull, LostLease, Missing, Problem, Quarantined
from pipelines.core.models import Models
from pipelines.core.queue import Busy
from pipelines.core.requests import Batch
from pipelines.core.runs import ASIDE, Laid, Run, name
from pipelines.generate import items
from pipelines.generate.planning import Plan, Wish
from pipelines.parts import gates, loaders
from pipelines.parts.gates import Likeness, Reason, Seen
from pipelines.parts.loaders import project
from pipelines.parts.metrics.realism import Marked

FAILED = "failed"
"""What the row of a try that made no picture says the sentence under."""
GIVE_UP = 8
"""So many tries that fail one after the other, with none before that did not, are no accident."""
MOST_REAL = 400
ENDS_ALL = (Cancelled, LostLease, DiskFull, Busy, Quarantined)


@dataclass(frozen=True)
class Tried:
    """What one try came to, before anything is known of the others."""

    laid: Laid | None
    print: str
    reason: Reason | None
    trace: str = ""


class Maker:
    """Makes one try after the other. What it makes depends on the plan and the item's number alone."""

    def __init__(self, plan: Plan, models: Models) -> None:
        self.plan, self.models, request = plan, models, plan.request
        self.gates = request.gates
        self._likeness: Likeness | None = None
        if request.gates.texture is not None and request.real is not None:
            self._likeness = Likeness(list(_real(request.real, plan)), request.gates.texture)
        self._clips: list[str] = []
        if request.gates.clip is not None:
            from pipelines.core import captioners

            self._clips = captioners.clips()[:1]
            if not self._clips and (lack := captioners.no_clip()):
                raise lack

    def make(self, index: int, heard: items.Heard = lambda note: None) -> Tried:
        """Item `index`. Raises what ends the whole run, and Missing."""
        attempt, slot = divmod(index, len(self.plan))
        try:
            wish = self.plan.wish(slot, attempt)
            made = items.make(wish.request, name(index, len(self.plan)), self.plan.assets, self.models, heard)
            return self._judged(wish, made)
        except (*ENDS_ALL, Missing):
            raise
        except Problem as problem:
            return Tried(None, "", Reason(FAILED, str(problem)))
        except Exception as error:  # one picture must not end a night's work
            reason = Reason(FAILED, f"it failed with {type(error).__name__}: {error}")
            return Tried(None, "", reason, traceback.format_exc())

    def _judged(self, wish: Wish, made: items.Made) -> Tried:
        laid = made.told(plan=wish.facts, print=gates.hashed(made.picture, made.defect))
        row = laid.row
        reason = gates.scores(self.gates, row)
        if made.defect is not None and made.defect.any():
            if self._likeness is not None:
                row["scores"] = {**row["scores"], "texture": round(self._likeness.of(made.picture, made.defect), 3)}
                reason = reason or self._likeness.judged(row["scores"]["texture"])
            if self._clips:
                margin = gates.worded(made.picture, made.defect, row["caption"], self._clips, self.models)
                row["scores"] = {**row["scores"], "clip": round(margin, 4)}
                reason = reason or gates.liked(self.gates, margin)
        return Tried(laid, row["print"], reason)


def run(request: Batch, run: Run, models: Models) -> None:
    """Keep `request.length()` pictures, as far as `tries` reach. The result says how many, and why others are not."""
    plan = Plan(request, run.assets)
    book = _Book(plan, run)
    maker = Maker(plan, models)
    for index in _open(plan, book):
        run.give_way()
        _tell(run, book, force=True)
        run.begin(index)
        _put(run, plan, book, index, maker.make(index, lambda note: _tell(run, book)))
    run.write_manifest()
    run.finish(book.told())


def _tell(run: Run, book: "_Book", *, force: bool = False) -> None:
    kept, aside = len(book.filled), sum(book.reasons.values())
    run.tick(book.done, book.expected, f"{kept} of {len(book.plan)} kept, {aside} set aside", force=force)


def _open(plan: Plan, book: "_Book") -> Iterator[int]:
    """The items left to do, in order: those of open slots, as long as they may be tried again."""
    for attempt in range(plan.request.tries):
        for slot in range(len(plan)):
            index = attempt * len(plan) + slot
            if slot not in book.filled and not book.has(index):
                yield index


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

    def has(self, index: int) -> bool:
        return index in self._done

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


def _real(data: str, plan: Plan) -> Iterator[Marked]:
    """Real defects with their masks. Raises Missing, BadInput."""
    if projects.ID.fullmatch(data):
        examples = project.load(data, plan.assets)
    else:
        examples = loaders.load(datasets.folder(data, plan.assets.runs), "auto", lambda fault: None)
    marked = [one for one in examples if one.mask is not None or one.boxes]
    for one in marked[:: max(1, len(marked) // MOST_REAL)]:
        picture = images.read(one.image).pixels
        mask = loaders.mask_of(one, picture.shape[:2])
        if mask.any():
            yield Marked(picture, mask, one.group)
