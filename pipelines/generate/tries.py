"""One try at one picture of a batch: made, judged and laid out, whoever asks for it. Knows no run and no queue.

What it comes to depends on the plan and the item's number alone, so the same item is the same here and on a cluster.
"""

import traceback
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.core import images
from pipelines.core.errors import Cancelled, DiskFull, LostLease, Missing, Problem, Quarantined
from pipelines.core.models import Models
from pipelines.core.queue import Busy
from pipelines.core.runs import FAILED, Laid, name
from pipelines.core.statistics import spaced
from pipelines.generate import items
from pipelines.generate.planning import Plan, Wish
from pipelines.parts import gates, loaders
from pipelines.parts.gates import Likeness, Reason
from pipelines.parts.metrics.realism import Marked

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


def _real(data: str, plan: Plan) -> Iterator[Marked]:
    """Real defects with their masks. Raises Missing, BadInput."""
    examples = loaders.named(data, "auto", plan.assets)
    for one in spaced([one for one in examples if one.mask is not None or one.boxes], MOST_REAL):
        picture = images.read(one.image).pixels
        mask = loaders.mask_of(one, picture.shape[:2])
        if mask.any():
            yield Marked(picture, mask, one.group)
