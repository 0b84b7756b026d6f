"""What real masks say of a defect: its outlines, how long they are, which way they run, where they lie.

Knows data sets by parts/loaders; nothing of how shapes are laid.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from pipelines.core import files, headers
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput
from pipelines.core.statistics import MOST_MASKS, shares, spaced
from pipelines.parts import loaders
from pipelines.parts.loaders import Example
from pipelines.parts.placing import heat, outlines
from pipelines.parts.placing.outlines import Outline

APART = 0.02
"""Specks closer than this share of the picture's shorter side are one defect."""
LEAST_PX = 3
"""Smaller ones are slips of whoever marked them, unless there is nothing else."""
SIDES = ("top", "left", "bottom", "right")


@dataclass(frozen=True)
class Piece:
    """One real defect."""

    name: str
    """Of its picture."""
    mask: np.ndarray
    """bool, no larger than it must be."""
    length: float
    """Share of its picture's shorter side."""
    angle: float | None
    """Degrees in [0, 180), 90 is upright; None where it is hardly longer than wide."""
    longer: float
    """How many times longer than wide."""
    cut: frozenset[str]
    """The sides of its picture that it runs into."""
    drawn: bool
    """Whether its outline was drawn, and is no box around it."""

    @cached_property
    def outline(self) -> Outline:
        return outlines.trace(self.mask)


@dataclass(frozen=True)
class Real:
    """All that was measured."""

    pieces: tuple[Piece, ...]
    heat: np.ndarray
    """The chance of a defect in each cell, float32 GRID x GRID, its sum 1."""


def measure(masks: Iterable[tuple[str, np.ndarray, bool]]) -> Real:
    """What masks say: (name, bool HxW, whether it was drawn and is no box). Raises BadInput where all are empty."""
    found: list[Piece] = []
    cells: list[np.ndarray] = []
    for name, mask, drawn in masks:
        for piece, where in _pieces(name, mask, drawn):
            found.append(piece)
            cells.append(where)
    if not found:
        raise BadInput("no mask of data shows a defect: name a data set with masks", "data")
    return Real(tuple(found), heat.smoothed(heat.of(cells), len(found)))


def load(
    data: str, assets: Assets, *, layout: str = "auto", which: str = "", tell: Callable[[int, int], Any] | None = None
) -> Real:
    """Measures a data set, a run or a project; at most MOST_MASKS of its pictures, evenly spaced.

    Masks that cannot be read are passed over: `check` lists them. `tell` hears (done, total). Raises BadInput, Missing.
    """
    examples = loaders.named(data, layout, assets)
    classes = sorted({name for one in examples for name in one.classes})
    if which and which not in classes:
        raise BadInput(
            f"data has no class {which!r}; it has {', '.join(classes) or 'none'}",
            "defect_class",
        )
    marked = [one for one in (_only(example, which) for example in examples) if one is not None]
    return measure(_masks(spaced(marked, MOST_MASKS), tell or (lambda done, total: None)))


def _only(example: Example, which: str) -> Example | None:
    """What of a picture is marked and of that class; None where nothing is."""
    if which and example.mask is None:
        example = replace(example, boxes=tuple(one for one in example.boxes if one.defect == which))
    marked = bool(example.classes) and (example.mask is not None or bool(example.boxes))
    return example if marked and (not which or which in example.classes) else None


def _masks(examples: Iterable[Example], tell: Callable[[int, int], Any]) -> Iterator[tuple[str, np.ndarray, bool]]:
    every = list(examples)
    for done, one in enumerate(every):
        tell(done, len(every))
        try:
            with files.reading(one.image, one.image.name) as file:
                header = headers.read(file, one.image.name)
            mask = loaders.mask_of(one, (header.height, header.width))
        except BadInput:
            continue
        drawn = one.mask is not None or all(box.outline or box.runs is not None for box in one.boxes)
        yield one.image.name, mask, drawn


def _pieces(name: str, mask: np.ndarray, drawn: bool) -> Iterator[tuple[Piece, np.ndarray]]:
    """Each with the shares of the cells that it fills."""
    height, width = mask.shape
    mask = mask.copy()
    for lines in (mask, mask[::-1], mask.T, mask.T[::-1]):
        lines[0] |= lines[min(1, len(lines) - 1)]  # polygons often stop a pixel short of the side that cuts the defect
    apart = max(3, round(APART * min(height, width)) | 1)
    near = cv2.dilate(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (apart, apart)))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(near, connectivity=8)
    areas = np.bincount(labels[mask], minlength=count)
    least = LEAST_PX if areas[1:].max(initial=0) >= LEAST_PX else 1
    for number in np.flatnonzero(areas >= least).tolist():
        left, top, wide, high, _ = boxes[number].tolist()
        own = mask[top : top + high, left : left + wide] & (labels[top : top + high, left : left + wide] == number)
        rows, columns = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
        top, left = top + int(rows[0]), left + int(columns[0])
        own = np.ascontiguousarray(own[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
        high, wide = own.shape
        whole = np.zeros(mask.shape, bool)
        whole[top : top + high, left : left + wide] = own
        touches = (top == 0, left == 0, top + high == height, left + wide == width)
        angle, longer = outlines.direction(np.argwhere(own)[:, ::-1].astype(np.float64))
        piece = Piece(
            name,
            own,
            outlines.length_px(own) / min(height, width),
            angle if longer >= outlines.LONG else None,
            longer,
            frozenset(side for side, touch in zip(SIDES, touches, strict=True) if touch),
            drawn,
        )
        yield piece, shares(whole)
