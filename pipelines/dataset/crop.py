"""Cuts pictures and their masks into windows to train on. Knows which windows; parts/crop knows how one is laid.

No pixel is made up: a window lies within its picture, nothing is scaled, and its mask is that very window of the mask.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.core import files, images, layouts
from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.core.requests.crop import Crop, Cut
from pipelines.core.runs import Painted, Run
from pipelines.parts import crop, marked, quality
from pipelines.parts.crop import Box
from pipelines.parts.marked import Seen

APART_PX = 8
"""Areas whose boxes lie at least twice as far from each other are defects of their own."""
MOST = 100_000
SHOWN = 20


@dataclass(frozen=True)
class Window:
    """A crop that is to be made."""

    seen: Seen
    box: Box
    area: int
    """Pixels of a defect in it."""


def run(request: Crop, run: Run, models: Models) -> None:
    """Save every window with its mask: a run to train from. Windows with too little of a defect are only counted."""
    name, pictures = marked.read(request.data, request.layout, run.assets)
    told = [one for one in pictures if not one.unmarked]
    plan, left_out = _again(request.only, told) if request.only else _plan(request, told, run)
    if not plan:
        raise BadInput(
            f"no window of {name} is left ({len(pictures) - len(told)} pictures show a defect that nobody marked,"
            f" {left_out} windows show less than minimum_area_px): mark defects, or keep_good",
            "data",
        )
    if len(plan) > MOST:
        raise BadInput(f"{name} would give {len(plan)} windows, at most {MOST}: choose most_per_picture", "side_px")
    cutter = _Cutter(request.model_copy(update={"data": name}), run)
    for index in run.items(len(plan)):
        row = cutter.cut(index, plan[index])
        run.log(image=index, **row["cut"])
        run.tick(index + 1, len(plan))
    run.write_manifest()
    good = sum(not row["regions"] for row in run.rows())
    run.finish(
        {
            "images": len(plan),
            "good": good,
            "defective": len(plan) - good,
            "left_out": left_out,
            "sources": len({window.seen.path for window in plan}),
            "unmarked": [one.path.name for one in pictures if one.unmarked][:SHOWN],
        }
    )


def tiles(shape: tuple[int, int], side: int, overlap: float) -> list[Box]:
    """Squares that cover a picture (height, width), none smaller than that side. The last ones of a row reach back."""
    step = max(1, round(side * (1 - overlap)))
    rows, columns = ([*range(0, length - side, step), length - side] for length in shape)
    return [Box(top, left, top + side, left + side) for top in rows for left in columns]


def square(box: Box, side: int, shape: tuple[int, int]) -> Box:
    """The square of that side around the middle of a box, within a picture (height, width) of at least that side."""
    row, column = (box.top + box.bottom) // 2, (box.left + box.right) // 2
    return crop.squarer(Box(row - side // 2, column, row - side // 2 + side, column + 1), shape)


def _plan(request: Crop, pictures: Sequence[Seen], run: Run) -> tuple[list[Window], int]:
    """Every window, and how many show too little of a defect. Raises BadInput where a picture is too small."""
    small = sorted((one for one in pictures if min(one.shape) < request.side_px), key=lambda one: min(one.shape))
    if small:
        one = small[0]
        raise BadInput(
            f"{len(small)} of {len(pictures)} pictures are smaller than side_px = {request.side_px}; the smallest,"
            f" {one.path.name}, has {one.shape[1]} x {one.shape[0]} px: choose side_px up to {min(one.shape)},"
            " or leave them out",
            "side_px",
        )
    found: list[Window] = []
    left_out = 0
    total = len(pictures)
    for done, one in enumerate(pictures, start=1):
        run.tick(done, total, f"picture {done} of {total}")
        masks = [mask for mask, _ in one.areas()]
        union = np.logical_or.reduce(masks) if masks else np.zeros(one.shape, bool)
        windows = [Window(one, box, int(union[box.window].sum())) for box in _boxes(request, union)]
        kept = [window for window in windows if window.area >= request.minimum_area_px]
        left_out += sum(0 < window.area < request.minimum_area_px for window in windows)
        good = [window for window in windows if not window.area] if request.keep_good else []
        found += _chosen(kept, good, request.most_per_picture)
    return found, left_out


def _boxes(request: Crop, mask: np.ndarray) -> list[Box]:
    height, width = mask.shape
    if request.how == "tiles":
        return tiles((height, width), request.side_px, request.overlap)
    if not mask.any():
        return [square(Box(0, 0, height, width), request.side_px, (height, width))]
    if request.how == "square":
        return [crop.squarer(_around(mask, request), (height, width))]
    return list(dict.fromkeys(_around(piece, request) for piece in crop.groups(mask, APART_PX)))


def _around(mask: np.ndarray, request: Crop) -> Box:
    """A defect's box with its padding, at least side_px wide and high."""
    box = crop.around(mask, 0)
    padding_px = round(request.padding * max(box.bottom - box.top, box.right - box.left))
    return crop.union([crop.around(mask, padding_px), square(box, request.side_px, (mask.shape[0], mask.shape[1]))])


def _chosen(defective: list[Window], good: list[Window], most: int | None) -> Iterator[Window]:
    """In reading order; where they are too many, the largest defects and then good ones spread over the picture."""
    if most is not None:
        defective = sorted(defective, key=lambda one: -one.area)[:most]
        room = min(len(good), most - len(defective))
        good = [good[at * len(good) // room] for at in range(room)]
    return iter(sorted([*defective, *good], key=lambda one: (one.box.top, one.box.left, one.box.bottom, one.box.right)))


def _again(cut: Cut, pictures: Sequence[Seen]) -> tuple[list[Window], int]:
    """The one window that a crop's metadata names. Raises BadInput where its picture is not there."""
    alike = sorted(pictures, key=lambda one: one.path.name != cut.name)
    one = next((one for one in alike if files.sha256(one.path) == cut.sha256), None)
    box = Box(*cut.window)
    if one is None or box.bottom > one.shape[0] or box.right > one.shape[1]:
        raise BadInput(f"{cut.name} is not in this data set as it was: name the one that it was cut from", "data")
    return [Window(one, box, 0)], 0


class _Cutter:
    """Makes crops; the picture at hand is read once for all its windows."""

    def __init__(self, request: Crop, run: Run) -> None:
        self._request = request
        self._run = run
        self._seen: Seen | None = None

    def cut(self, index: int, window: Window) -> dict[str, Any]:
        """One crop, committed. Returns its row."""
        if self._seen is not window.seen:
            self._seen, self._areas = window.seen, window.seen.areas()
            self._picture = images.read(window.seen.path)
        box, picture = window.box, self._picture
        cut = Cut(name=picture.name, sha256=picture.sha256, window=(box.top, box.left, box.bottom, box.right))
        metadata = self._request.model_copy(update={"only": cut}).model_dump(mode="json")
        pixels = np.ascontiguousarray(picture.pixels[box.window])
        areas = [(np.ascontiguousarray(mask[box.window]), kind) for mask, kind in self._areas if mask[box.window].any()]
        row: dict[str, Any] = {
            "name": picture.name,
            "seed": 0,
            "base": "photograph",
            "cut": cut.model_dump(mode="json"),
        }
        if window.seen.caption and (areas or not self._areas):  # of a damaged picture it would speak of the damage
            row["caption"] = window.seen.caption
        if not areas:
            return self._run.save_whole(index, pixels, metadata, row)
        union = np.logical_or.reduce([mask for mask, _ in areas])
        # nothing was painted: the scores only say how plainly the defect is seen
        scores = quality.measure(pixels, pixels, asked=union, feathered=union, changed=union)
        row |= {"defect": layouts.shown(tuple(kind for _, kind in areas)), "scores": scores.row()}
        done = Painted(
            picture=pixels,
            asked=union,
            changed=union,
            label="changed",
            regions=[(mask, {"defect": kind}) for mask, kind in areas],
            request=metadata,
            row=row,
        )
        return self._run.save(index, done)
