"""Hugging Face's imagefolder: train/<class>/*.png, or pictures with a metadata.csv or metadata.jsonl.

A class, in the folder's name or the column `label`, names the whole picture and marks no place in it; `objects` has
boxes, `mask_file_name` a mask, `text` the caption. Tables in Parquet are not read.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.core import layouts
from pipelines.core.errors import BadInput
from pipelines.parts.loaders import captioned, paired, tree
from pipelines.parts.loaders.example import Box, Example
from pipelines.parts.loaders.tree import Report

TABLES = ("metadata.csv", "metadata.jsonl")
NAME, MASK = "file_name", "mask_file_name"
CAPTIONS = ("text", "caption", "prompt")
MOST_BYTES = 500_000_000


def fits(root: Path) -> bool:
    return bool(_tables(root)) or bool(_classes(root))


def load(root: Path, report: Report) -> Iterator[Example]:
    """Tables where there are any, else folders: those called good, ok or normal hold good pictures."""
    tables = _tables(root)
    if not tables:
        for folder in _classes(root):
            good = folder.name.lower() in tree.GOOD
            for image in tree.pictures(folder):
                part, group = tree.part(image.relative_to(root)), tree.group(image, root)
                yield Example(image, defect="" if good else folder.name, part=part, group=group)
        return
    named: set[Path] = set()
    for table in tables:
        try:
            rows = list(_rows(table))
        except (BadInput, csv.Error, ValueError, OSError, RecursionError) as error:
            report(tree.broken_annotation(table, root, str(error)))
            continue
        for number, row in enumerate(rows, start=1):
            name = str(row.get(NAME) or "")
            there = tree.place(name, table.parent, root) if name else None
            if there is None:
                label = f"row {number} in {tree.named(table, root)}"
                report(tree.mask_without_image(table.parent / name.replace("\0", ""), root, label))
                continue
            example, files = _example(row, there, table, root, report)
            named |= files
            yield example
    for folder in sorted({path.parent for path in named}):
        for image in tree.pictures(folder):
            if image not in named:
                report(tree.missing_mask(image, root, "row in a metadata file"))
                yield Example(image, part=tree.part(image.relative_to(root)), group=tree.group(image, root))


def _tables(root: Path) -> list[Path]:
    """Those that lie in the folder or one or two below, and name files."""
    found = [path for depth in ("", "*/", "*/*/") for name in TABLES for path in sorted(root.glob(depth + name))]
    return [path for path in found if path.is_file() and tree.holds(path, NAME.encode())]


def _classes(root: Path) -> list[Path]:
    """The folders of classes: at least two in some part, nothing but pictures in them, no captions and no masks."""
    found: list[Path] = []
    several = False
    for outer in tree.folders(root):
        inner = tree.folders(outer)
        if outer.name.lower() not in tree.PARTS or tree.pictures(outer):
            continue
        if any(tree.folders(folder) or folder.name.startswith("_") for folder in inner):
            return []
        filled = [folder for folder in inner if tree.pictures(folder)]
        several = several or len(filled) > 1
        found += filled
    if not several or any(path.suffix in captioned.ENDINGS for folder in found for path in folder.iterdir()):
        return []
    return [] if paired.fits(root) else found


def _rows(table: Path) -> Iterator[dict[str, Any]]:
    text = tree.long_text(table, MOST_BYTES)
    if table.suffix == ".csv":
        yield from csv.DictReader(text.splitlines())
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict):
                raise BadInput(f"line {number} is {line.strip()[:40]!r}, no entry with a {NAME}")
            yield row


def _example(row: dict[str, Any], image: Path, table: Path, root: Path, report: Report) -> tuple[Example, set[Path]]:
    """The picture of a row, and the files that the row speaks of."""
    boxes: tuple[Box, ...] = ()
    try:
        boxes = _boxes(row.get("objects") or {})
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"the objects of {tree.named(image, root)} are not as imagefolder writes them: {error!r}"
        report(tree.broken_annotation(table, root, what, (image,)))
    label = "" if row.get("label") is None else str(row["label"])
    kinds = tuple(dict.fromkeys(box.defect for box in boxes))
    mask = None
    if row.get(MASK):
        mask = tree.place(str(row[MASK]), table.parent, root)
        if mask is None:
            report(tree.missing_mask(image, root))
        label = label or paired.DEFECT
    defect = layouts.shown(kinds) if kinds else "" if label.lower() in tree.GOOD else label
    caption = next((str(row[key]).strip() for key in CAPTIONS if row.get(key)), "")
    part, group = tree.part(image.relative_to(root)), tree.group(image, root)
    example = Example(image, mask, boxes, defect, caption[: captioned.MOST_CHARACTERS], part, group)
    return example, {image} if mask is None else {image, mask}


def _boxes(objects: dict[str, Any]) -> tuple[Box, ...]:
    """`bbox` is [x, y, width, height]; what names the boxes' classes is called variously."""
    boxes = objects.get("bbox", [])
    names = next((objects[key] for key in ("categories", "category", "label", "labels") if key in objects), None)
    found = []
    for (x, y, width, height), name in zip(boxes, names or [paired.DEFECT] * len(boxes), strict=True):
        left, top = float(x), float(y)
        right, bottom = left + float(width), top + float(height)
        found.append(Box(round(left), round(top), round(right), round(bottom), str(name)))
    return tuple(found)
