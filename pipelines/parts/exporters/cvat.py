"""CVAT for images 1.1: images/ and annotations.xml with an exact mask for each area; `subset` is the picture's part."""

from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np

from pipelines.core.splits import PARTS
from pipelines.parts.contours import box
from pipelines.parts.exporters.book import Book, Entry, File, Files, ahead, pairs_file, read


def save(entries: Sequence[Entry], book: Book) -> Files:
    """Ids count from 0 in the order of the entries; a good picture is an image without a mask."""
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    root.append(_meta(entries, book))
    for number, (png, image) in enumerate(ahead(_one, entries)):
        image.set("id", str(number))
        root.append(image)
        yield [png]
    ElementTree.indent(root)
    yield [File("annotations.xml", ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))]
    yield pairs_file(book, entries, _place)


def _place(entry: Entry) -> str:
    return f"images/{entry.stem}.png"


def _meta(entries: Sequence[Entry], book: Book) -> ElementTree.Element:
    meta = ElementTree.Element("meta")
    task = ElementTree.SubElement(meta, "task")
    for tag, text in (("name", book.name), ("size", str(len(entries))), ("mode", "annotation")):
        ElementTree.SubElement(task, tag).text = text
    subsets, labels = ElementTree.SubElement(task, "subsets"), ElementTree.SubElement(task, "labels")
    for part in PARTS:
        if any(entry.part == part for entry in entries):
            ElementTree.SubElement(subsets, "subset").text = part
    for name in book.classes:
        label = ElementTree.SubElement(labels, "label")
        for tag, text in (("name", name), ("type", "any"), ("attributes", "")):
            ElementTree.SubElement(label, tag).text = text
    return meta


def _one(entry: Entry) -> tuple[File, ElementTree.Element]:
    picture = read(entry)
    facts = {"name": f"{entry.stem}.png", "subset": entry.part}
    image = ElementTree.Element("image", facts, width=str(picture.width), height=str(picture.height))
    for defect, mask in picture.masks:
        left, top, right, bottom = box(mask)
        place = {"left": left, "top": top, "width": right - left, "height": bottom - top, "z_order": 0}
        runs = ", ".join(map(str, _runs(mask[top:bottom, left:right])))
        known = {"label": defect, "source": "file", "occluded": "0", "rle": runs}
        ElementTree.SubElement(image, "mask", {**known, **{key: str(value) for key, value in place.items()}})
    return File(_place(entry), picture.png), image


def _runs(window: np.ndarray) -> list[int]:
    """How many pixels of a bool mask are unmarked and marked in turn, row by row."""
    flat = np.concatenate([[False], window.ravel()])
    turns = np.flatnonzero(flat[1:] != flat[:-1])
    found: list[int] = np.diff(np.concatenate([[0], turns, [window.size]])).tolist()
    return found
