"""Pictures of a data set that come more than once: in one part, across its parts, as good ones and as flawed ones."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from pipelines.core import images
from pipelines.core.errors import Problem
from pipelines.parts import twins
from pipelines.parts.contours import box
from pipelines.parts.loaders.example import Example, Fault
from pipelines.parts.loaders.reading import mask_of
from pipelines.parts.loaders.tree import named

ACROSS = (("train", "val"), ("train", "test"), ("val", "test"))
CHECKSUM = re.compile(r"[0-9a-f]{64}")
"""A group that an export of ours names; any other is told from a file's name."""
AROUND_PX = 12


@dataclass
class _Set:
    """The pictures, each with its first example, and the pairs that were already told."""

    root: Path
    first: dict[Path, Example]
    prints: Mapping[Path, twins.Print]
    told: set[frozenset[Path]] = field(default_factory=set)

    def name(self, path: Path) -> str:
        return named(path, self.root)

    def tell(self, one: Path, other: Path) -> bool:
        """Whether a pair is new; from now on it is not."""
        pair = frozenset((one, other))
        new = pair not in self.told
        self.told.add(pair)
        return new

    def of(self, part: str) -> list[Path]:
        return sorted(path for path, example in self.first.items() if example.part == part)


def copies(examples: Sequence[Example], prints: Mapping[Path, twins.Print], root: Path) -> Iterator[Fault]:
    """A pair is told once, as the gravest of what it is. `examples` are those whose picture has a print."""
    known = _Set(root, {example.image: example for example in reversed(examples)}, prints)
    yield from _among_good(known)
    yield from _duplicates(known)
    for here, there in ACROSS:
        yield from _near(known, here, there)
        yield from _groups(known, here, there)


def _among_good(known: _Set) -> Iterator[Fault]:
    flawed = sorted(path for path, example in known.first.items() if example.classes)
    good = sorted(path for path, example in known.first.items() if not example.classes)
    by_digest = {known.prints[path].digest: path for path in reversed(flawed)}
    found = {path: by_digest[digest] for path in good if (digest := known.prints[path].digest) in by_digest}
    sides = [[known.prints[path] for path in side] for side in (flawed, good)]
    for a, b, _ in twins.pairs(*sides, moved=False):
        if _shows(known.first[good[b]], known.first[flawed[a]]):
            found.setdefault(good[b], flawed[a])
    for one, other in found.items():
        known.tell(one, other)
        defect = " and ".join(known.first[other].classes)
        text = (
            f"{known.name(one)} is filed as good and shows what {known.name(other)} does, {defect}: leave the good one"
            " out, or use both"
        )
        yield Fault("defect_in_good", (one,), text, ("leave_out", "use"))


def _shows(good: Example, flawed: Example) -> bool:
    """Whether a good picture that looks like a flawed one shows its very defect, and not the part before it."""
    one, other = images.read(good.image).pixels, images.read(flawed.image).pixels
    try:
        mask = mask_of(flawed, other.shape[:2])
    except Problem:  # another fault speaks of that mask
        return True
    if not mask.any():
        return True
    left, top, right, bottom = box(mask)
    window = (
        slice(max(top - AROUND_PX, 0), bottom + AROUND_PX),
        slice(max(left - AROUND_PX, 0), right + AROUND_PX),
    )
    grey = []
    for pixels in (one, other):
        values = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels
        scaled = values.astype(np.float32) * (255 / images.white(pixels))
        grey.append(cv2.resize(scaled, mask.shape[::-1]) if scaled.shape != mask.shape else scaled)
    return twins.agree(grey[0][window], grey[1][window])


def _duplicates(known: _Set) -> Iterator[Fault]:
    """Equal pixels. What is trained on comes first, so that it is kept."""
    rank = ("train", "val", "test", "")
    same: dict[bytes, list[Path]] = {}
    for path in sorted(known.first, key=lambda path: (rank.index(known.first[path].part), path)):
        same.setdefault(known.prints[path].digest, []).append(path)
    for one, *others in same.values():
        for other in others:
            if known.tell(one, other):
                parts = sorted({known.first[one].part, known.first[other].part} - {""})
                across = f", one in {' and one in '.join(parts)}" if len(parts) > 1 else ""
                text = f"{known.name(one)} and {known.name(other)} are the same picture{across}: keep the first (mend)"
                yield Fault("duplicate", (one, other), text, ("mend", "use"))


def _near(known: _Set, here: str, there: str) -> Iterator[Fault]:
    ones, others = known.of(here), known.of(there)
    for a, b, moved in twins.pairs([known.prints[path] for path in ones], [known.prints[path] for path in others]):
        one, other = ones[a], others[b]
        if known.tell(one, other):
            kind = "same_part_in_train_and_test" if moved else "near_duplicate_across_splits"
            how = "shifted, turned or flipped" if moved else "encoded anew or with other brightness"
            text = (
                f"{known.name(one)} in {here} and {known.name(other)} in {there} show the same, {how}: what is tested"
                " was trained on; keep the first (mend)"
            )
            yield Fault(kind, (one, other), text, ("mend", "use"))


def _groups(known: _Set, here: str, there: str) -> Iterator[Fault]:
    """One name in both parts. Where most names are in both they are numbers that begin anew, and tell nothing."""
    by_name: list[dict[str, list[Path]]] = [{}, {}]
    for found, part in zip(by_name, (here, there), strict=True):
        for path in known.of(part):
            found.setdefault(known.first[path].group, []).append(path)
    ours, theirs = by_name
    shared = sorted(set(ours) & set(theirs))
    plain = [group for group in shared if not CHECKSUM.fullmatch(group)]
    counted = len(plain) > 1 and len(plain) * 2 > min(len(ours), len(theirs))
    for group in shared:
        new = [
            other for other in theirs[group] if all(frozenset((one, other)) not in known.told for one in ours[group])
        ]
        if not new or (counted and not CHECKSUM.fullmatch(group)):
            continue
        one = ours[group][0]
        called = f"{group[:12]}..." if CHECKSUM.fullmatch(group) else group
        text = (
            f"{known.name(one)} in {here} and {known.name(new[0])} in {there} are of one part, {called}: what is tested"
            f" was trained on; keep those in {here} (mend)"
        )
        yield Fault("same_part_in_train_and_test", (one, *new), text, ("mend", "use"))
