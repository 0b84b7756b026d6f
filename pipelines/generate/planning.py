"""What each picture of a batch is asked for: its class, source, mask, seed and parameters. Makes no picture.

A function of the request and of the picture's number alone. `slot` is a picture that is to be kept, `attempt` how often
it was tried before; of both depends all that chance decides. A longer batch begins with the same pictures.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.core import images
from pipelines.core.assets import Asset, Assets
from pipelines.core.errors import BadInput
from pipelines.core.requests import Batch, Inpaint, Request
from pipelines.core.requests.batch import Share, Vary
from pipelines.generate import exemplar
from pipelines.generate.place import Placings


@dataclass(frozen=True)
class Wish:
    """What one try at one picture is asked for."""

    request: Request
    slot: int
    attempt: int
    facts: dict[str, Any]
    """What the manifest says beside the picture's own row: its class, its number in it, and what was varied."""


class Plan:
    """The plan of a batch. Its files are assets by now. Raises BadInput where it does not hold together."""

    def __init__(self, request: Batch, assets: Assets) -> None:
        self.request = request
        self.assets = assets
        self._examples: dict[int, Inpaint] = {}
        self._placings: Placings | None = None
        if request.paints and not request.masks:
            self._placings = Placings([request.placing(share) for share in request.classes], assets)
        self._sources = [assets.get(one) for one in request.sources]
        self._pairs = self._painted()
        self._order = {number: _shuffled(len(self._pairs), request.seed, number) for number in range(len(self.shares))}
        self._class, self._number = _dealt([one.share for one in self.shares], request.length())
        self._whole = {
            id(one): _is_whole(request.sample(share), one)
            for share in request.classes
            for one in request.varied(share)
            if not one.values
        }

    @property
    def shares(self) -> tuple[Share, ...]:
        return self.request.classes

    def __len__(self) -> int:
        return self.request.length()

    def class_of(self, slot: int) -> Share:
        return self.shares[self._class[slot]]

    def wish(self, slot: int, attempt: int) -> Wish:
        """Raises BadInput where the picture leaves no room for a defect."""
        number, k = self._class[slot], self._number[slot]
        share = self.shares[number]
        seed = _seed(self.request.seed, share.defect or "", number, k, attempt)
        varied = self._varied(share, k, attempt, seed)
        facts: dict[str, Any] = {"slot": slot, "attempt": attempt, "class": share.defect or "", "number": k}
        facts |= {"varied": varied} if varied else {}
        given: dict[str, Any] = {**varied, "seed": seed}
        if self.request.paints:
            given["image"], masks, placed = self._where(number, k, seed)
            facts |= {"placed": placed} if placed else {}
            given |= _areas(share.defect or "", masks)
        several = len(given.get("regions", ())) > 1
        request = _with_own_looks(self.request, share, given) if several else self.request.asked(share, given)
        if isinstance(request, Inpaint) and request.examples is not None:
            request = self._settled(request, number)
        return Wish(request, slot, attempt, facts)

    def _settled(self, request: Inpaint, number: int) -> Inpaint:
        """With the examples of its class one by one, which all pictures of it share: they are looked for once."""
        if number not in self._examples:
            self._examples[number] = exemplar.settle(
                request.model_copy(update={"seed": self.request.seed}), self.assets
            )
        settled = self._examples[number]
        return request.model_copy(update={name: getattr(settled, name) for name in exemplar.SETTLED})

    def _where(self, number: int, k: int, seed: int) -> tuple[str, list[str], list[dict[str, Any]]]:
        """The source and the masks for it, as assets, and what is known of how each was laid."""
        order = self._order[number]
        shifted = k + k // len(order)  # each round begins one later: no source meets the same value of a list each time
        source, mask = self._pairs[order[shifted % len(order)]]
        if self._placings is None:
            assert mask is not None
            return source.id, [mask.id], []
        placed = self._placings.draw(number, source.id, seed)
        kept = [self.assets.put(images.encode_png(one.mask), "placed.png").id for one in placed]
        return source.id, kept, [one.facts for one in placed]

    def _painted(self) -> list[tuple[Asset, Asset | None]]:
        """Each source with each mask that is for it; with none where they are placed."""
        if not self.request.paints:
            return []
        if not self.request.masks:
            return [(source, None) for source in self._sources]
        found: list[tuple[Asset, Asset | None]] = []
        for one in self.request.masks:
            mask = self.assets.get(one.mask)
            own = [self.assets.get(one.image)] if one.image else self._sources
            size = (mask.width, mask.height)
            fitting = [(source, mask) for source in own if (source.width, source.height) == size]
            if not fitting:
                raise BadInput(
                    f"mask {mask.name} is {size[0]} x {size[1]} px, and no picture that it is for is: paint it on one"
                    " of the sources",
                    "masks",
                )
            found += fitting
        return found

    def _varied(self, share: Share, k: int, attempt: int, seed: int) -> dict[str, Any]:
        """The value of each parameter that differs. A second try draws by chance: the value may be what failed."""
        chance = np.random.default_rng(seed)
        found, step, ranges = {}, 1, 0
        for one in self.request.varied(share):
            free = one.how == "random" or attempt > 0
            if one.values:
                chosen = int(chance.integers(len(one.values))) if free else k // step % len(one.values)
                found[one.field] = one.values[chosen]
                step *= len(one.values)
                continue
            assert one.low is not None
            assert one.high is not None
            ranges += 1
            place = float(chance.random()) if free else (k + 0.5) * _leap(ranges) % 1
            value = one.low + place * (one.high - one.low)
            found[one.field] = math.floor(one.low + place * (one.high - one.low + 1)) if self._whole[id(one)] else value
        return found


def _areas(defect: str, masks: Sequence[str]) -> dict[str, Any]:
    if len(masks) == 1:
        return {"mask": masks[0], "defect": defect}
    return {"regions": [{"mask": mask, "defect": defect} for mask in masks]}


def _with_own_looks(batch: Batch, share: Share, given: Mapping[str, Any]) -> Request:
    """Of several areas each has the look of its own that a request of one area has for itself."""
    one = batch.asked(share, {**given, "regions": [], "mask": given["regions"][0]["mask"], "defect": share.defect})
    look = getattr(one, "look", {})
    regions = [{**region, "look": look} for region in given["regions"]]
    plain = {name: value for name, value in given.items() if not name.startswith("look")}
    return batch.asked(share.model_copy(update={"fields": {**share.fields, "look": {}}}), {**plain, "regions": regions})


def _dealt(shares: Sequence[float], count: int) -> tuple[list[int], list[int]]:
    """For each slot its class and its number in it: at any time each class has its share, rounded (smooth turns)."""
    total = sum(shares)
    due, given = [0.0] * len(shares), [0] * len(shares)
    classes, numbers = [], []
    for _ in range(count):
        for place, share in enumerate(shares):
            due[place] += share / total
        chosen = max(range(len(shares)), key=lambda place: (round(due[place], 9), -place))
        due[chosen] -= 1
        classes.append(chosen)
        numbers.append(given[chosen])
        given[chosen] += 1
    return classes, numbers


def _shuffled(count: int, seed: int, number: int) -> list[int]:
    return [int(one) for one in np.random.default_rng((seed, number)).permutation(count)]


def _seed(seed: int, defect: str, number: int, k: int, attempt: int) -> int:
    """32 bits of a hash: no two tries share one but by chance."""
    said = f"{seed}/{number}/{defect}/{k}/{attempt}".encode()
    return int.from_bytes(hashlib.sha256(said).digest()[:4], "big")


def _leap(dimension: int) -> float:
    """The step of a sequence that fills the unit interval evenly, another for each dimension (Roberts' R_d)."""
    root = 2.0
    for _ in range(40):
        root = (1 + root) ** (1 / (dimension + 1))
    return root**-1


def _is_whole(sample: Request, one: Vary) -> bool:
    """Whether the field takes whole numbers only."""
    value: Any = sample.model_dump(mode="json")
    for name in one.field.split("."):
        if isinstance(value, list):
            value = value[int(name)] if name.isdigit() and int(name) < len(value) else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return isinstance(value, int) and not isinstance(value, bool)
