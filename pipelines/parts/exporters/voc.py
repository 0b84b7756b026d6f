"""Pascal VOC: JPEGImages, Annotations, SegmentationClass, SegmentationObject, ImageSets.

The pictures stay PNG, in the folder of the old name: JPEG would change the very pixels that are labelled. Boxes are one
a region, counted from 1 and inclusive, as the original's.
"""

import struct
import zlib
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np

from pipelines.core import images, png
from pipelines.core.errors import BadInput
from pipelines.core.splits import PARTS
from pipelines.parts.contours import box
from pipelines.parts.exporters.book import Book, Entry, File, Files, Picture, ahead, lines_file, pairs_file, read

MOST = 254
"""A palette has 256 places; 0 is background and 255 is the original's "do not care"."""


def save(entries: Sequence[Entry], book: Book) -> Files:
    """Class k is colour k + 1 of SegmentationClass; a picture's region k, from 1 on, colour k of SegmentationObject."""
    if len(book.classes) > MOST:
        raise BadInput(
            f"Pascal VOC has room for {MOST} classes, not {len(book.classes)}: export as coco or folder", "format"
        )
    yield from ahead(lambda entry: _one(entry, book), entries)
    yield [
        lines_file(f"ImageSets/{kind}/{part}.txt", [entry.stem for entry in entries if entry.part == part])
        for kind in ("Main", "Segmentation")
        for part in PARTS
    ]
    yield [lines_file("classes.txt", ["background", *book.classes])]
    yield pairs_file(book, entries, _place)


def _place(entry: Entry) -> str:
    return f"JPEGImages/{entry.stem}.png"


def _one(entry: Entry, book: Book) -> list[File]:
    picture = read(entry)
    if len(picture.masks) > MOST:
        raise BadInput(
            f"{entry.stem} has {len(picture.masks)} regions, Pascal VOC room for {MOST}: export as coco or folder",
            "format",
        )
    kinds, objects = np.zeros((2, picture.height, picture.width), np.uint8)
    for number, (defect, mask) in enumerate(picture.masks, start=1):  # where two overlap, the later one lies on top
        kinds[mask] = book.number(defect) + 1
        objects[mask] = number
    return [
        File(_place(entry), picture.png),
        File(f"Annotations/{entry.stem}.xml", _xml(entry, picture, book)),
        File(f"SegmentationClass/{entry.stem}.png", indexed_png(kinds)),
        File(f"SegmentationObject/{entry.stem}.png", indexed_png(objects)),
    ]


def _xml(entry: Entry, picture: Picture, book: Book) -> bytes:
    size = {"width": picture.width, "height": picture.height, "depth": picture.channels}
    root = ElementTree.Element("annotation")
    _add(
        root, {"folder": "JPEGImages", "filename": f"{entry.stem}.png", "source": {"database": book.name}, "size": size}
    )
    _add(root, {"segmented": int(bool(picture.masks))})
    for defect, mask in picture.masks:
        left, top, right, bottom = box(mask)
        cut = left == 0 or top == 0 or right == picture.width or bottom == picture.height
        edges = {"xmin": left + 1, "ymin": top + 1, "xmax": right, "ymax": bottom}
        facts = {"name": defect, "pose": "Unspecified", "truncated": int(cut), "difficult": 0, "bndbox": edges}
        _add(root, {"object": facts})
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _add(parent: ElementTree.Element, children: dict[str, object]) -> None:
    for tag, value in children.items():
        child = ElementTree.SubElement(parent, tag)
        if isinstance(value, dict):
            _add(child, value)
        else:
            child.text = str(value)


def palette() -> bytes:
    """The original's 256 colours, three bytes each: an index's bits dealt to red, green, blue, top bit first."""
    index = np.arange(256)
    colours = np.zeros((256, 3), int)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
    return colours.astype(np.uint8).tobytes()


def indexed_png(indices: np.ndarray) -> bytes:
    """uint8 HxW as a PNG with the palette. A grey PNG holds the same bytes, so only the header changes."""
    grey = images.encode_png(indices)
    header = bytearray(grey[len(png.SIGNATURE) + 8 : png.IHDR_END - 4])  # between length and name, and the check sum
    header[9] = 3  # colour type: palette
    return png.SIGNATURE + _chunk(b"IHDR", bytes(header)) + _chunk(b"PLTE", palette()) + grey[png.IHDR_END :]


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
