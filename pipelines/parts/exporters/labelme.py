"""LabelMe: train/, val/ and test/ with a JSON file of polygons beside each picture; a good one's holds no shape.

An area in several parts is several polygons with one group_id, and a hole is cut in. Painted masks would be exact too,
but LabelMe before 5.2 and most that reads its files know polygons alone.
"""

import json
from collections.abc import Sequence
from typing import Any

from pipelines.parts.contours import polygons
from pipelines.parts.exporters.book import Book, Entry, File, Files, ahead, pairs_file, read

VERSION = "5.4.1"
INSIDE = (0.05, 0.45)
"""Where in its pixel a corner lies: LabelMe fills a polygon and draws its outline too, which on an edge is too much."""


def save(entries: Sequence[Entry], book: Book) -> Files:
    """train/x.png and train/x.json."""
    yield from ahead(_one, entries)
    yield pairs_file(book, entries, _place)


def _place(entry: Entry) -> str:
    return f"{entry.part}/{entry.stem}.png"


def _one(entry: Entry) -> list[File]:
    picture = read(entry)
    shapes: list[dict[str, Any]] = []
    for number, (defect, mask) in enumerate(picture.masks, start=1):
        lines = polygons(mask, *INSIDE)
        group = number if len(lines) > 1 else None
        shapes += [
            {
                "label": defect,
                "points": line.round(2).tolist(),
                "group_id": group,
                "description": "",
                "shape_type": "polygon",
                "flags": {},
                "mask": None,
            }
            for line in lines
        ]
    table: dict[str, Any] = {
        "version": VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": f"{entry.stem}.png",
        "imageData": None,
        "imageHeight": picture.height,
        "imageWidth": picture.width,
    }
    text = json.dumps(table, ensure_ascii=False, indent=2) + "\n"
    return [File(_place(entry), picture.png), File(f"{entry.part}/{entry.stem}.json", text.encode())]
