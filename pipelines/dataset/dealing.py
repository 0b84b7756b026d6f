"""What is settled of a data set before it is written: which pictures, their names, and what its layout cannot hold.

The same for a data set that is packed at once and for one that is written shard by shard. Writes nothing.
"""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.core import files, layouts, projects
from pipelines.core.errors import BadInput, DiskFull
from pipelines.core.layouts import Layout, Leaf
from pipelines.core.requests import Export
from pipelines.core.runs import Run
from pipelines.parts import cards, datasets, projected
from pipelines.parts.datasets import Sample, Wanted
from pipelines.parts.exporters import Entry

RESERVE_BYTES = 64 * 2**20
DRAWN = "drawn"
"""Below the run's folder: masks that are made of boxes, until the data set is written."""
WHOLE = "made"
"""What a picture without a defect goes by, where it was made and not only given."""
NAME_BYTES = 120
NO_FILE_NAME = set('/\\:*?"<>|')


def pictures(request: Export, run: Run) -> tuple[list[Sample], dict[Path, Wanted]]:
    """The samples of projects, which come first, and what leaves of which runs. Raises Missing, BadInput."""
    run.bring_up_to_date(request.data)
    kept = [name for name in dict.fromkeys(request.data) if projects.ID.fullmatch(name)]
    made = [name for name in request.data if name not in kept]
    given = [one for name in kept for one in projected.load(name, run.assets, run.folder / DRAWN)]
    choice = datasets.choose(
        made, run.folder.parent, kept_only=request.kept_only, only=request.only, without=request.without
    )
    return given, choice


def name(defects: Sequence[str], number: int, count: int) -> str:
    """The stem of a sample: what it shows, and its number among so many."""
    return f"{layouts.shown(defects) if defects else WHOLE}_{number:0{_digits(count)}d}"


def good_name(number: int, count: int) -> str:
    """That of a good picture, by its own number beside so many samples."""
    return f"{cards.GOOD}_{number:0{_digits(count)}d}"


def _digits(count: int) -> int:
    return max(5, len(str(count)))


def needed(entries: Iterable[Entry]) -> int:
    """How many bytes the pictures take; labels are small beside them. Raises Missing."""
    paths = (entry.of.image if isinstance(entry.of, Sample) else entry.of.path() for entry in entries)
    return sum(path.stat().st_size for path in paths)


def check_room(path: Path, needed: int) -> None:
    """Raises DiskFull before anything is written where it plainly cannot fit."""
    place = next(folder for folder in path.absolute().parents if folder.exists())
    free = shutil.disk_usage(place).free
    if needed + RESERVE_BYTES > free:
        raise DiskFull(
            f"the export needs about {files.size(needed)}, but {place} has {files.size(free)} free: "
            "make room there, then it goes on"
        )


def classes(kinds: Iterable[str]) -> tuple[str, ...]:
    """Sorted. Raises BadInput where two names differ in case alone, or one cannot be a folder."""
    names = sorted({safe(defect, "defect") for defect in set(kinds)})
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(name.casefold(), name)
        if other != name:
            raise BadInput(
                f"the defects {other!r} and {name!r} differ in case alone, which many disks cannot tell: rename one"
            )
    if cards.GOOD in known:
        raise BadInput(
            f"a defect is named {cards.GOOD!r}, which every layout takes for a picture without one: rename it"
        )
    return tuple(names)


def safe(name: str, what: str) -> str:
    """The name, if every system takes it for a folder; any script and spaces are welcome. Raises BadInput."""
    bad = sorted(sign for sign in set(name) if sign in NO_FILE_NAME or not sign.isprintable())
    if bad:
        raise BadInput(
            f"{what} {name!r} cannot be a folder's name because of {' '.join(map(repr, bad))}: choose another", what
        )
    if (
        name != name.strip(". ")
        or files.DEVICE.fullmatch(name.split(".")[0])
        or not 0 < len(name.encode()) <= NAME_BYTES
    ):
        raise BadInput(
            f"{what} {name!r} is no folder's name: no dot or space at its ends, no device, {NAME_BYTES} bytes at most",
            what,
        )
    return name


@dataclass
class Lost:
    """Counts what a layout cannot hold of the pictures, one after the other."""

    orphans: int = 0
    whole: int = 0
    mixed: int = 0
    boxes: int = 0
    """Areas that are known by boxes alone."""

    def add(self, leaf: Leaf) -> None:
        self.orphans += not leaf.sourced and bool(leaf.areas)
        self.whole += not leaf.areas
        self.mixed += len(leaf.defects) > 1

    def notes(self, layout: Layout, *, wants_good: bool) -> list[str]:
        """As sentences for whoever exports."""
        found = []
        if wants_good and self.orphans:
            found.append(f"made from no photograph, so without a good picture beside them: {self.orphans} pictures")
        if self.whole:
            found.append(
                f"made whole, without a mask, and so among the good ones: {self.whole} pictures; none may show a defect"
            )
        if layout.loses:
            found.append(layout.loses)
        if layout.one_mask and self.mixed:
            found.append(f"one mask a picture: in {self.mixed} with several kinds nothing says which lies where")
        if self.boxes:
            found.append(f"labelled by boxes alone, which are filled where the layout has masks: {self.boxes} areas")
        return found


def filled(given: Iterable[Sample], folder: Path) -> int:
    """How many areas of these are boxes that were drawn into the run's folder."""
    return sum(one.mask.is_relative_to(folder / DRAWN) for sample in given for one in sample.regions)
