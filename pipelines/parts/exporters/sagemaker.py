"""SageMaker Ground Truth: train/, val/ and test/, each with its pictures and an output.manifest of a line a picture.

A line is what a bounding-box job leaves: one box for each area. The bucket is not known here, so `source-ref` is the
picture's place in this folder: s3://BUCKET/ comes before it where the folder is uploaded. Lines have no creation date,
so that the same export stays the same.
"""

from collections.abc import Sequence
from typing import Any

from pipelines.core.splits import PARTS
from pipelines.parts.contours import box
from pipelines.parts.exporters.book import Book, Entry, File, Files, ahead, json_line, lines_file, pairs_file, read

JOB = "defects"


def save(entries: Sequence[Entry], book: Book) -> Files:
    """train/x.png and train/output.manifest. A class's number is its place in the book; a good picture has no box."""
    lines: dict[str, list[str]] = {part: [] for part in PARTS}
    for entry, (png, line) in zip(entries, ahead(lambda entry: _one(entry, book), entries), strict=True):
        lines[entry.part].append(json_line(line))
        yield [png]
    yield [lines_file(f"{part}/output.manifest", found) for part, found in lines.items() if found]
    yield pairs_file(book, entries, _place)


def _place(entry: Entry) -> str:
    return f"{entry.part}/{entry.stem}.png"


def _one(entry: Entry, book: Book) -> tuple[File, dict[str, Any]]:
    picture = read(entry)
    boxes = []
    for defect, mask in picture.masks:
        left, top, right, bottom = box(mask)
        edges = {"left": left, "top": top, "width": right - left, "height": bottom - top}
        boxes.append({"class_id": book.number(defect), **edges})
    size = {"width": picture.width, "height": picture.height, "depth": picture.channels}
    facts = {
        "objects": [{"confidence": 1}] * len(boxes),
        "class-map": {str(number): name for number, name in enumerate(book.classes)},
        "type": "groundtruth/object-detection",
        "human-annotated": "no",
        "job-name": JOB,
    }
    line = {"source-ref": _place(entry), JOB: {"image_size": [size], "annotations": boxes}, f"{JOB}-metadata": facts}
    return File(_place(entry), picture.png), line
