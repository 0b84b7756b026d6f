"""Writes finished pictures as a labelled data set. Knows the order of the work, not how a step of it is done."""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pipelines.core import files, layouts, projects, splits
from pipelines.core.errors import BadInput, DiskFull
from pipelines.core.models import Models
from pipelines.core.requests import Export
from pipelines.core.runs import Run
from pipelines.core.splits import Part
from pipelines.parts import cards, datasets, projected, targets
from pipelines.parts.datasets import Sample, Source
from pipelines.parts.exporters import EXPORTERS, Book, Entry, Exporter

RESERVE_BYTES = 64 * 2**20
NAME_BYTES = 120
DRAWN = "drawn"
"""Below the run's folder: masks that are made of boxes, until the data set is written."""
WHOLE = "made"
"""What a picture without a defect goes by, where it was made and not only given."""
NO_FILE_NAME = set('/\\:*?"<>|')


def run(request: Export, run: Run, models: Models) -> None:
    """Read runs, deal them to train, val and test, write them. The result names the output and counts every class."""
    for index in run.items(request.length()):
        run.commit(index, _export(request, run))
    run.finish(run.rows()[0])


def _export(request: Export, run: Run) -> dict[str, Any]:
    exporter = EXPORTERS[request.format]
    run.bring_up_to_date(request.data)
    samples = _samples(request, run)
    book = Book(_safe(request.name, "name"), _classes(samples), request.segmentation, request.pairs)
    groups = splits.grouped((sample.origin, sample.defects) for sample in samples)
    shares = request.split.shares()
    dealt = splits.deal(groups, shares, request.seed, first=exporter.layout.first)
    notes = splits.shortfalls(dealt, groups, shares)
    wants_good = request.pairs or exporter.layout.needs_good
    if wants_good and (orphans := sum(sample.source is None and bool(sample.regions) for sample in samples)):
        notes.append(f"made from no photograph, so without a good picture beside them: {orphans} pictures")
    if whole := sum(not sample.regions for sample in samples):
        notes.append(
            f"made whole, without a mask, and so among the good ones: {whole} pictures; none may show a defect"
        )
    if exporter.layout.loses:
        notes.append(exporter.layout.loses)
    if exporter.layout.one_mask and (several := sum(len(sample.defects) > 1 for sample in samples)):
        notes.append(f"one mask a picture: in {several} with several kinds nothing says which lies where")
    if boxes := sum(one.mask.is_relative_to(run.folder / DRAWN) for sample in samples for one in sample.regions):
        notes.append(f"labelled by boxes alone, which are filled where the layout has masks: {boxes} areas")
    entries = list(_entries(samples, dealt, wants_good, exporter))
    path = run.folder / "export.zip" if request.output is None else Path(request.output)
    needed = _needed(entries)
    _check_room(path, needed)
    with targets.opened(path, run.id, needed) as target, closing(exporter.save(entries, book)) as written:
        for done, batch in enumerate(written):
            run.tick(min(done, len(entries)), len(entries), f"writing {path.name}")
            for file in batch:
                target.add(file.name, file.data)
        card = cards.card(entries, book, exporter.layout.title, notes)
        target.add(card.name, card.data)
        run.tick(len(entries), len(entries), f"closing {path.name}")
    shutil.rmtree(run.folder / DRAWN, ignore_errors=True)
    run.log(exported=len(entries), notes=notes)
    return {
        "output": path.name if request.output is None else str(path),
        "format": request.format,
        "images": len(samples),
        "good": len({entry.good for entry in entries if entry.good}),
        "classes": cards.counts(entries),
        "sources": dict(sorted(Counter(dealt.values()).items())),
        "notes": notes,
    }


def _samples(request: Export, run: Run) -> list[Sample]:
    """Of projects first, then of runs. Raises Missing, BadInput."""
    kept = [name for name in dict.fromkeys(request.data) if projects.ID.fullmatch(name)]
    made = [name for name in request.data if name not in kept]
    found = [one for name in kept for one in projected.load(name, run.assets, run.folder / DRAWN)]
    if made or request.only:
        found += datasets.load_runs(made, run.folder.parent, kept_only=request.kept_only, only=request.only)
    return found


def _entries(
    samples: Sequence[Sample], dealt: dict[str, Part], wants_good: bool, exporter: Exporter
) -> Iterator[Entry]:
    """Each sample, named for what it shows; then, where the layout mixes them in, each good picture once."""
    digits = max(5, len(str(len(samples))))
    goods: dict[str, Source] = {}
    for number, sample in enumerate(samples):
        paired = wants_good and sample.source and sample.regions
        good = goods.setdefault(sample.origin, sample.source) if paired and sample.source else None
        shown = layouts.shown(sample.defects) if sample.regions else WHOLE
        yield Entry(f"{shown}_{number:0{digits}d}", dealt[sample.origin], sample, good)
    if not exporter.layout.beside:
        for number, (origin, source) in enumerate(goods.items()):
            yield Entry(f"{cards.GOOD}_{number:0{digits}d}", dealt[origin], source)


def _classes(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Sorted. Raises BadInput where two names differ in case alone, or one cannot be a folder."""
    names = sorted({_safe(defect, "defect") for sample in samples for defect in sample.defects})
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


def _safe(name: str, what: str) -> str:
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


def _needed(entries: Sequence[Entry]) -> int:
    """How many bytes the pictures take; labels are small beside them."""
    paths = (entry.of.image if isinstance(entry.of, Sample) else entry.of.path() for entry in entries)
    return sum(path.stat().st_size for path in paths)


def _check_room(path: Path, needed: int) -> None:
    """Raises DiskFull before anything is written where it plainly cannot fit."""
    place = next(folder for folder in path.absolute().parents if folder.exists())
    free = shutil.disk_usage(place).free
    if needed + RESERVE_BYTES > free:
        raise DiskFull(
            f"the export needs about {files.size(needed)}, but {place} has {files.size(free)} free: "
            "make room there, then it goes on"
        )
