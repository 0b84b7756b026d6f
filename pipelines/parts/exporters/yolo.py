"""YOLO, boxes and outlines: images/{train,val,test}, a text file of the same name in labels/, data.yaml.

Boxes: one line a region. Outlines: a line holds one polygon, so a region in several parts becomes several lines of its
class; joining them by bridges, as some converters do, would label what is not defective. A hole is cut in.
"""

import json
from collections.abc import Callable, Sequence

import numpy as np

from pipelines.core.splits import PARTS
from pipelines.parts.contours import box, polygons
from pipelines.parts.exporters.book import Book, Entry, File, Files, ahead, lines_file, pairs_file, read

INSIDE = (0.05, 0.45)
"""Where in its pixel a corner lies. Ultralytics truncates coordinates, supervision rounds them: both fill the same."""


def save_boxes(entries: Sequence[Entry], book: Book) -> Files:
    """Labels are `class x_centre y_centre width height`, in shares of the picture's sides."""
    yield from _save(entries, book, _boxes)


def save_outlines(entries: Sequence[Entry], book: Book) -> Files:
    """Labels are `class x1 y1 x2 y2 ...`, in shares of the picture's sides."""
    yield from _save(entries, book, _polygons)


def _save(entries: Sequence[Entry], book: Book, lines: Callable[[np.ndarray], list[np.ndarray]]) -> Files:
    def one(entry: Entry) -> list[File]:
        picture = read(entry)
        labels = [
            " ".join([str(book.number(defect)), *(f"{value:.7f}" for value in line.ravel())])
            for defect, mask in picture.masks
            for line in lines(mask)
        ]
        # A good picture has an empty file: "nothing here", where no file would be "nobody has looked".
        return [File(_place(entry), picture.png), lines_file(f"labels/{entry.part}/{entry.stem}.txt", labels)]

    yield from ahead(one, entries)
    used = {entry.part for entry in entries}
    # JSON's strings are YAML's. Without `path` the folders are looked for beside data.yaml.
    yield [
        lines_file(
            "data.yaml",
            [
                *(f"{part}: images/{part}" for part in PARTS if part in used),
                f"nc: {len(book.classes)}",
                "names:",
                *(f"  {number}: {json.dumps(name, ensure_ascii=False)}" for number, name in enumerate(book.classes)),
            ],
        )
    ]
    yield pairs_file(book, entries, _place)


def _place(entry: Entry) -> str:
    return f"images/{entry.part}/{entry.stem}.png"


def _boxes(mask: np.ndarray) -> list[np.ndarray]:
    left, top, right, bottom = np.array(box(mask)) / (mask.shape[::-1] * 2)
    return [np.array([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top])]


def _polygons(mask: np.ndarray) -> list[np.ndarray]:
    return [line / mask.shape[::-1] for line in polygons(mask, *INSIDE)]
