"""Writes finished pictures as a labelled data set. Knows the order of the work, not how a step of it is done."""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pipelines.core import splits
from pipelines.core.layouts import Leaf
from pipelines.core.models import Models
from pipelines.core.requests import Export
from pipelines.core.runs import Run
from pipelines.core.splits import Part
from pipelines.dataset import dealing, sharding
from pipelines.parts import cards, datasets, glimpses, making, targets
from pipelines.parts.datasets import Sample, Source
from pipelines.parts.exporters import EXPORTERS, Book, Entry, Exporter, webdataset


def run(request: Export, run: Run, models: Models) -> None:
    """Read runs, deal them to train, val and test, write them. The result names the output and counts every class."""
    if request.in_shards:
        return sharding.run(request, run)
    for index in run.items(request.length()):
        run.commit(index, _export(request, run))
    run.finish(run.rows()[0])


def _export(request: Export, run: Run) -> dict[str, Any]:
    exporter = EXPORTERS[request.format]
    given, wanted = dealing.pictures(request, run)
    made = [sample for folder, which in wanted.items() for sample in datasets.load_run(folder, which)]
    if wanted and not made:
        raise datasets.nothing(wanted)
    samples = [*given, *made]
    groups = splits.grouped((sample.origin, sample.defects) for sample in samples)
    shares = request.split.shares()
    dealt = splits.deal(groups, shares, request.seed, first=exporter.layout.first)
    wants_good = request.pairs or exporter.layout.needs_good
    notes = splits.shortfalls(dealt, groups, shares)
    lost = dealing.Lost(boxes=dealing.filled(given, run.folder))
    for sample in samples:
        lost.add(Leaf(sample.origin, sample.defects, len(sample.regions), sample.source is not None))
    notes += lost.notes(exporter.layout, wants_good=wants_good)
    if request.format == "webdataset" and not webdataset.has_parquet():
        notes.append(webdataset.NO_PARQUET)
    entries = list(_entries(samples, dealt, wants_good, exporter))
    tally = cards.tally(entries)
    book = Book(
        dealing.safe(request.name, "name"),
        dealing.classes(defect for sample in samples for defect in sample.defects),
        request.segmentation,
        request.pairs,
        request.shard_size,
        {entry.of: entry.stem for entry in entries if isinstance(entry.of, Source)},
        cards.weights(tally.bases),
    )
    path = run.folder / "export.zip" if request.output is None else Path(request.output)
    needed = dealing.needed(entries)
    dealing.check_room(path, needed)
    with targets.opened(path, run.id, needed) as target, closing(exporter.save(entries, book)) as written:
        for done, batch in enumerate(written):
            run.tick(min(done, len(entries)), len(entries), f"writing {path.name}")
            for file in batch:
                target.add(file.name, file.data)
        told = making.tell(request, wanted, len(given))
        sheet = glimpses.sheet([samples[place] for place in glimpses.chosen(len(samples))])
        for file in cards.files(tally, book, exporter.layout.title, notes, told, sheet):
            target.add(file.name, file.data)
        run.tick(len(entries), len(entries), f"closing {path.name}")
    shutil.rmtree(run.folder / dealing.DRAWN, ignore_errors=True)
    run.log(exported=len(entries), notes=notes)
    return {
        "output": path.name if request.output is None else str(path),
        "format": request.format,
        "images": len(samples),
        "good": len({entry.good for entry in entries if entry.good}),
        "classes": tally.counts(),
        "sources": dict(sorted(Counter(dealt.values()).items())),
        "notes": notes,
    }


def _entries(
    samples: Sequence[Sample], dealt: dict[str, Part], wants_good: bool, exporter: Exporter
) -> Iterator[Entry]:
    """Each sample, named for what it shows; then, where the layout mixes them in, each good picture once."""
    goods: dict[str, Source] = {}
    for number, sample in enumerate(samples):
        paired = wants_good and sample.source and sample.regions
        good = goods.setdefault(sample.origin, sample.source) if paired and sample.source else None
        yield Entry(dealing.name(sample.defects, number, len(samples)), dealt[sample.origin], sample, good)
    if not exporter.layout.beside:
        for number, (origin, source) in enumerate(goods.items()):
            yield Entry(dealing.good_name(number, len(samples)), dealt[origin], source)
