"""Many pictures, none of them held: where each one's line stands, and what deals it. 20 bytes a picture.

Read once from the runs' manifests; a sample is read again when it is asked for. Knows manifests; writes nothing.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pipelines.core.layouts import Leaf
from pipelines.parts import cards, datasets
from pipelines.parts.datasets import Sample, Source, Wanted

EVERY = 1000


class Listing:
    """The pictures that leave: those given first, then those of runs in the order asked and made."""

    def __init__(
        self, given: Sequence[Sample], wanted: Mapping[Path, Wanted], heard: Callable[[int], None] = lambda count: None
    ) -> None:
        """`heard` is told now and then how many were read; it may raise to end it. Raises Missing, BadInput."""
        self.given = given
        self.folders = list(wanted)
        self.bases: Counter[str] = Counter()
        self.sources: dict[str, Source] = {}
        """What pictures were made from, by their origin."""
        self._kinds: dict[tuple[str, ...], int] = {}
        self._origins: dict[str, int] = {}
        self._kind, self._origin, self._folder = array("I"), array("I"), array("I")
        self._line, self._offset = array("I"), array("Q")
        for sample in given:
            self._add(sample.origin, sample.defects)
            self._note(sample.origin, sample.source, sample.facts.get("base"))
        for place, (folder, which) in enumerate(wanted.items()):
            for line, leaves in datasets.lines(folder, which):
                if line.number % EVERY == 0:
                    heard(len(self))
                if leaves:
                    seen = datasets.glance(folder, line)
                    self._add(seen.origin, seen.defects)
                    self._note(seen.origin, seen.source, seen.base)
                    self._folder.append(place)
                    self._line.append(line.number)
                    self._offset.append(line.offset)
        if wanted and len(self) == len(given):
            raise datasets.nothing(wanted)
        self.kinds, self.origins = list(self._kinds), list(self._origins)

    def _add(self, origin: str, defects: tuple[str, ...]) -> None:
        self._origin.append(self._origins.setdefault(origin, len(self._origins)))
        self._kind.append(self._kinds.setdefault(defects, len(self._kinds)))

    def _note(self, origin: str, source: Source | None, base: object) -> None:
        self.bases[cards.base_name(base)] += 1
        if source is not None:
            self.sources.setdefault(origin, source)

    def __len__(self) -> int:
        return len(self._kind)

    def leaf(self, number: int) -> Leaf:
        """Picture `number` as far as dealing and naming go."""
        origin, defects = self.origins[self._origin[number]], self.kinds[self._kind[number]]
        return Leaf(origin, defects, len(defects), origin in self.sources)

    def leaves(self) -> Iterator[Leaf]:
        """All of them, in order."""
        return map(self.leaf, range(len(self)))

    def sample(self, number: int) -> Sample:
        """Picture `number`, read now. Raises Missing, BadInput."""
        place = number - len(self.given)
        if place < 0:
            return self.given[number]
        folder = self.folders[self._folder[place]]
        return datasets.sample(folder, datasets.line_at(folder, self._line[place], self._offset[place]))

    def mark(self, number: int) -> str:
        """What tells it from any other: where it stands."""
        place = number - len(self.given)
        if place < 0:
            return f"{self.given[number].run}/{self.given[number].image.parent.name}"
        return f"{self.folders[self._folder[place]].name}:{self._offset[place]}"
