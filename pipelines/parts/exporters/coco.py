"""COCO: images/ and annotations/instances_{train,val,test}.json. One annotation a region, area and box from its mask.

A mask is held as compressed run lengths, exact, `iscrowd` 0: pycocotools and all that is built on it read them as they
do polygons. Polygons are for tools that take nothing else; they follow the edges of the pixels, so pycocotools fills
them exactly too, though it may take thousands of corners.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as rle

from pipelines.core.splits import PARTS
from pipelines.parts.contours import box, polygons
from pipelines.parts.exporters.book import Book, Entry, File, Files, ahead, json_line, lines_file, pairs_file, read


def save(entries: Sequence[Entry], book: Book) -> Files:
    """Ids count from 1 in the order of the entries; a good picture is an image without annotations."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {part: {"images": [], "annotations": []} for part in PARTS}
    annotations = 0
    for number, (entry, (png, image, labels)) in enumerate(
        zip(entries, ahead(lambda entry: _one(entry, book), entries), strict=True), 1
    ):
        part = found[entry.part]
        part["images"].append({"id": number, **image})
        for label in labels:
            annotations += 1
            part["annotations"].append({"id": annotations, "image_id": number, **label})
        yield [png]
    categories = [
        {"id": number, "name": name, "supercategory": "defect"} for number, name in enumerate(book.classes, 1)
    ]
    head = {"info": {"description": book.name, "version": "1.0"}, "licenses": [], "categories": categories}
    yield [lines_file(f"annotations/instances_{part}.json", [json_line({**head, **found[part]})]) for part in PARTS]
    yield pairs_file(book, entries, _place)


def _place(entry: Entry) -> str:
    return f"images/{entry.stem}.png"


def _one(entry: Entry, book: Book) -> tuple[File, dict[str, Any], list[dict[str, Any]]]:
    picture = read(entry)
    labels = []
    for defect, mask in picture.masks:
        left, top, right, bottom = box(mask)
        labels.append(
            {
                "category_id": book.number(defect) + 1,
                "segmentation": _segmentation(mask, book),
                "area": int(mask.sum()),
                "bbox": [left, top, right - left, bottom - top],
                "iscrowd": 0,
            }
        )
    image = {"file_name": f"{entry.stem}.png", "width": picture.width, "height": picture.height}
    return File(_place(entry), picture.png), image, labels


def _segmentation(mask: np.ndarray, book: Book) -> dict[str, Any] | list[list[int]]:
    if book.segmentation == "polygon":
        return [line.astype(int).ravel().tolist() for line in polygons(mask, 0, 1)]
    return run_lengths(mask)


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """bool HxW as COCO's compressed run lengths, as pycocotools decodes them."""
    coded = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in coded["size"]], "counts": coded["counts"].decode("ascii")}
