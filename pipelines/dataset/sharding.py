"""Writes a data set shard by shard, to a folder or an address. Each shard is an item of the run, committed by itself.

Two passes: the first reads of each picture what deals it, the second packs. What a shard holds is a function of the
request and of the runs alone, so a kill, a full disk or a lost line costs one shard, and the same export again writes
nothing.
"""

import hashlib
import shutil
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipelines.core import layouts, splits
from pipelines.core.layouts import LAYOUTS
from pipelines.core.requests import Export
from pipelines.core.runs import Run
from pipelines.core.splits import PARTS, Part
from pipelines.dataset import dealing
from pipelines.parts import cards, glimpses, making, places
from pipelines.parts.exporters import Book, Entry, webdataset
from pipelines.parts.exporters.webdataset import Written
from pipelines.parts.listing import Listing
from pipelines.parts.places import Place

LAYOUT = LAYOUTS["webdataset"]


@dataclass(frozen=True)
class Shard:
    """One shard of the plan."""

    name: str
    part: Part
    numbers: range
    """Places in what is dealt to its part."""


class Plan:
    """The data set as it will be: which picture lies where, and what is said of it."""

    def __init__(self, request: Export, listing: Listing, boxes: int) -> None:
        """Raises BadInput."""
        self.listing = listing
        groups = splits.grouped((leaf.origin, leaf.defects) for leaf in listing.leaves())
        shares = request.split.shares()
        self.dealt = splits.deal(groups, shares, request.seed, first=LAYOUT.first)
        self.notes = splits.shortfalls(self.dealt, groups, shares)
        self.tally = cards.Tally(bases=listing.bases)
        self.goods: dict[str, int] = {}
        """Origins whose good picture leaves, in order."""
        self._numbers: dict[Part, array[int]] = {part: array("Q") for part in PARTS}
        lost = dealing.Lost(boxes=boxes)
        for number, leaf in enumerate(listing.leaves()):
            part, source = self.dealt[leaf.origin], listing.sources.get(leaf.origin)
            lost.add(leaf)
            self.tally.add(part, leaf.defects, source)
            self._numbers[part].append(number)
            if request.pairs and source is not None and leaf.defects:
                self.goods.setdefault(leaf.origin, len(self.goods))
        for number, origin in enumerate(self.goods):
            part = self.dealt[origin]
            self.tally.add(part, (), listing.sources[origin])
            self._numbers[part].append(len(listing) + number)
        self._good = list(self.goods)
        self.notes += lost.notes(LAYOUT, wants_good=request.pairs)
        self.notes += [] if webdataset.has_parquet() else [webdataset.NO_PARQUET]
        self.book = Book(
            dealing.safe(request.name, "name"),
            dealing.classes(defect for kind in listing.kinds for defect in kind),
            request.segmentation,
            request.pairs,
            request.shard_size,
            {listing.sources[origin]: dealing.good_name(n, len(listing)) for origin, n in self.goods.items()},
            cards.weights(listing.bases),
        )
        self.shards = [
            Shard(layouts.shard_name(part, number), part, range(first, min(first + request.shard_size, count)))
            for part in PARTS
            for count in (len(self._numbers[part]),)
            for number, first in enumerate(range(0, count, request.shard_size))
        ]

    def entries(self, shard: Shard) -> Iterator[Entry]:
        """The pictures of a shard, each read when it is its turn. Raises Missing, BadInput."""
        count = len(self.listing)
        for place in shard.numbers:
            number = self._numbers[shard.part][place]
            if number >= count:
                origin = self._good[number - count]
                yield Entry(dealing.good_name(number - count, count), shard.part, self.listing.sources[origin])
                continue
            sample = self.listing.sample(number)
            good = self.listing.sources[sample.origin] if sample.origin in self.goods and sample.regions else None
            yield Entry(dealing.name(sample.defects, number, count), shard.part, sample, good)

    def mark(self, shard: Shard) -> str:
        """What tells whether a shard that was committed before is still the one that is wanted."""
        said = [repr((self.book.name, self.book.classes, sorted(self.book.models.items()), webdataset.has_parquet()))]
        for place in shard.numbers:
            number = self._numbers[shard.part][place]
            of = number - len(self.listing)
            said.append(f"{number} {self.listing.mark(number) if of < 0 else self._good[of]}")
        return hashlib.sha256("\n".join(said).encode()).hexdigest()

    def files(self, shard: Shard) -> tuple[str, str]:
        return f"{shard.name}.tar", webdataset.table_name(shard.name)


def run(request: Export, run: Run) -> None:
    """Write the shards that are not there, then what stands beside them. The result counts every class."""
    assert request.output is not None
    given, wanted = dealing.pictures(request, run)
    listing = Listing(given, wanted, lambda count: run.tick(0, 1, f"reading what was made: {count} pictures"))
    plan = Plan(request, listing, dealing.filled(given, run.folder))
    place = places.at(request.output, run.folder)
    planned = [*(name for shard in plan.shards for name in plan.files(shard)), layouts.SHARD_LIST, *layouts.CARD]
    places.begin(place, planned)
    done = _still_there(plan, place, run.finished())
    for index, shard in enumerate(plan.shards):
        if index not in done:
            run.give_way()
            run.begin(index)
            done[index] = _write(plan, shard, place, run, len(done))
            run.commit(index, done[index])
    rows = [done[index] for index in range(len(plan.shards))]
    listed = [Written(row["shard"], row["samples"], row["bytes"], row["sha256"]) for row in rows]
    sheet = glimpses.sheet([listing.sample(number) for number in glimpses.chosen(len(listing))])
    told = making.tell(request, wanted, len(given))
    card = cards.files(plan.tally, plan.book, LAYOUT.title, plan.notes, told, sheet)
    for file in (webdataset.shard_list(plan.book, listed), *card):
        places.put(place, file.name, file.data)
    places.end(place, planned)
    shutil.rmtree(run.folder / dealing.DRAWN, ignore_errors=True)
    run.log(exported=sum(one.samples for one in listed), notes=plan.notes)
    run.finish(
        {
            "output": request.output,
            "format": request.format,
            "images": len(listing),
            "good": len(plan.goods),
            "classes": plan.tally.counts(),
            "sources": dict(sorted(Counter(plan.dealt.values()).items())),
            "shards": len(rows),
            "written": sum(row["written"] for row in rows),
            "notes": plan.notes,
        }
    )


def _still_there(plan: Plan, place: Place, rows: Mapping[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """The shards that were committed before, are still wanted, and lie where they were put."""
    return {
        index: row
        for index, row in rows.items()
        if index < len(plan.shards)
        and row.get("asked") == plan.mark(plan.shards[index])
        and place.size(f"{row['shard']}.tar") == row["bytes"]
        and place.size(row["table"]) is not None
    }


def _write(plan: Plan, shard: Shard, place: Place, run: Run, before: int) -> dict[str, Any]:
    """Pack a shard and its table, and put what is not there already. Returns its row."""
    name, table_name = plan.files(shard)
    entries, rows = list(plan.entries(shard)), []
    need = dealing.needed(entries)
    if isinstance(place, places.Folder):
        dealing.check_room(place.root / name, need)
    with place.draft(need) as draft:
        with draft.open("xb") as file:
            out = _Hashing(file)
            for row in webdataset.pack(entries, shard.name, plan.book, out):
                rows.append(row)
                run.tick(before, len(plan.shards), f"writing {name}")
        size = draft.stat().st_size
        written = places.settle(place, draft, name, out.sha256.hexdigest())
    table = webdataset.table(shard.name, rows)
    written = places.put(place, table.name, table.data) or written
    return {
        "shard": shard.name,
        "samples": len(rows),
        "bytes": size,
        "sha256": out.sha256.hexdigest(),
        "table": table_name,
        "asked": plan.mark(shard),
        "written": written,
    }


class _Hashing:
    """Writes through to a file and hashes what goes by."""

    def __init__(self, file: BinaryIO) -> None:
        self.sha256 = hashlib.sha256()
        self._file = file

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()
