"""What pictures have in common, counted: classes, parts, sizes, how large their defects are and where they lie.

Knows records and the store of files; nothing of how it is drawn. Files are looked at evenly spaced and at most so many,
so that a hundred thousand pictures answer in seconds too.
"""

from collections import Counter
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from pipelines.core import overlays
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Missing
from pipelines.core.records import Record

T = TypeVar("T")
MOST_MASKS = 400
MOST_SIZES = 2000
GRID = 24
"""The heat map has so many cells a side, whatever the picture's shape."""
EDGES = tuple(10 ** (power / 2) for power in range(-10, 1))
"""Of the histogram of areas, as shares of the picture: half a power of ten each, from 0.001 % to all of it."""
MAPS = 7
"""Classes with a heat map of their own, the most frequent first."""
MOST_KINDS = 12
"""Sizes that are counted by themselves."""


@dataclass(frozen=True)
class Measure:
    """What is known of one mask."""

    area: float
    """Share of the picture, in (0, 1]."""
    cells: np.ndarray
    """bool GRID x GRID, True where any of it lies."""


@dataclass(frozen=True)
class Heat:
    """In how many pictures a defect touches each cell."""

    defect: str | None
    """None: of any class."""
    count: int
    cells: list[int]
    """Row by row."""


@dataclass(frozen=True)
class Statistics:
    """Counts of some pictures."""

    pictures: int
    classes: dict[str, int]
    """By name, the most frequent first; "": the good ones."""
    parts: dict[str, int]
    sizes: list[tuple[int, int, int]]
    """(width, height, how many), the most frequent first; what comes after them is in `other_sizes`."""
    other_sizes: int
    sized: int
    """Pictures whose size was looked at."""
    marked: int
    """Pictures with a mask or boxes."""
    measured: int
    """Of them looked at and read."""
    unread: int
    """Of them looked at and not readable."""
    areas: list[int]
    """How many in each stretch between two EDGES; what is smaller counts to the first."""
    edges: tuple[float, ...]
    median: float | None
    """Share of the picture that half of the defects do not reach."""
    heat: list[Heat]
    grid: int
    shape: tuple[int, int] | None
    """(width, height) that most pictures have."""


def of(
    records: Sequence[Record], assets: Assets, known: MutableMapping[str, Measure | None] | None = None
) -> Statistics:
    """Counts `records`. `known` keeps what was measured, by the marks' stamp: they never change under it."""
    sizes = _sizes(spaced(records, MOST_SIZES), assets)
    frequent = sizes.most_common(MOST_KINDS)
    marked = [one for one in records if overlays.stamp(one)]
    looked = spaced(marked, MOST_MASKS)
    kept: MutableMapping[str, Measure | None] = {} if known is None else known
    found = [(one.defect, measure) for one in looked if (measure := _measured(one, assets, kept)) is not None]
    areas = np.array([measure.area for _, measure in found])
    return Statistics(
        pictures=len(records),
        classes=dict(Counter(one.defect for one in records).most_common()),
        parts=dict(Counter(one.part for one in records).most_common()),
        sizes=[(*size, count) for size, count in frequent],
        other_sizes=sizes.total() - sum(count for _, count in frequent),
        sized=sizes.total(),
        marked=len(marked),
        measured=len(found),
        unread=len(looked) - len(found),
        areas=[int(count) for count in np.histogram(np.clip(areas, EDGES[0], 1), EDGES)[0]],
        edges=EDGES,
        median=float(np.median(areas)) if found else None,
        heat=_heat(found),
        grid=GRID,
        shape=frequent[0][0] if frequent else None,
    )


def spaced(records: Sequence[T], most: int) -> Sequence[T]:
    """At most so many of them, evenly spaced, the first and the last among them."""
    if len(records) <= most:
        return records
    return [records[place * (len(records) - 1) // (most - 1)] for place in range(most)]


def measure(record: Record, assets: Assets) -> Measure:
    """Raises BadInput for marks that cannot be read, Missing."""
    mask = overlays.painted(record, assets)
    if not mask.any():
        raise BadInput(f"the marks of {record.name} lie outside of it: draw them anew", "boxes")
    return Measure(float(mask.mean()), shares(mask) > 0)


def shares(mask: np.ndarray) -> np.ndarray:
    """float32 GRID x GRID: how much of each cell a mask (bool HxW) fills, whatever the picture's shape."""
    return np.asarray(cv2.resize(mask.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA))


def _measured(record: Record, assets: Assets, known: MutableMapping[str, Measure | None]) -> Measure | None:
    """None where the marks cannot be read: the statistics say how many, and go on."""
    stamp = overlays.stamp(record)
    if stamp not in known:
        try:
            known[stamp] = measure(record, assets)
        except (BadInput, Missing):
            known[stamp] = None
    return known[stamp]


def _sizes(records: Iterable[Record], assets: Assets) -> Counter[tuple[int, int]]:
    found: Counter[tuple[int, int]] = Counter()
    for one in records:
        try:
            asset = assets.get(one.asset)
        except Missing:  # the tile says so
            continue
        if asset.width and asset.height:
            found[asset.width, asset.height] += 1
    return found


def _heat(found: Sequence[tuple[str, Measure]]) -> list[Heat]:
    """Of all first, then of the most frequent classes where there are several."""
    counts = Counter(defect for defect, _ in found)
    wanted: list[str | None] = [None, *(name for name, _ in counts.most_common(MAPS))] if len(counts) > 1 else [None]
    maps = []
    for name in wanted if found else []:
        some = [measure.cells for defect, measure in found if name is None or defect == name]
        maps.append(Heat(name, len(some), np.sum(some, 0).ravel().tolist()))
    return maps
