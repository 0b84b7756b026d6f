"""VisA: <object>/Data/Images/{Normal,Anomaly} with masks of small numbers, and its parts in split_csv/1cls.csv.

The masks' numbers are no kinds: nobody says which is which. A picture's kind is what image_anno.csv calls it, several
of them `combined`, and `anomaly` without that table; all that is not 0 is the defect. Defects to train on, as our
exports have them, stand in 2cls_highshot.csv alone; where both tables name a picture, 1cls.csv counts. Of
2cls_fewshot.csv nothing is known.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from pipelines.core import layouts
from pipelines.core.errors import BadInput
from pipelines.parts.loaders import tree
from pipelines.parts.loaders.example import Example, Part, Reading
from pipelines.parts.loaders.tree import Report

KIND = "anomaly"
PARTS_TABLES, KINDS_TABLE = ("split_csv/2cls_highshot.csv", "split_csv/1cls.csv"), "image_anno.csv"


def fits(root: Path) -> bool:
    return bool(_objects(root))


def load(root: Path, report: Report) -> Iterator[Example]:
    """All objects, or one where that is the folder. Of several, a defect goes by its object's name too."""
    objects = _objects(root)
    parts: dict[Path, Part] = {}
    tables: dict[Path, str] = {}
    base = objects[0].parent  # the table may lie beside the one object that is asked for
    for table in PARTS_TABLES:
        for row, place in _rows(base / table, base, root, report):
            parts[place], tables[place] = tree.PARTS.get((row.get("split") or "").strip().lower(), ""), table
    for folder in objects:
        kinds = {place: row.get("label") or "" for row, place in _rows(folder / KINDS_TABLE, base, root, report)}
        before = f"{folder.name} " if len(objects) > 1 else ""
        images = folder / "Data" / "Images"
        there = set()
        for image in tree.pictures(images / "Normal"):
            there.add(image)
            yield Example(image, part=parts.get(image, ""), group=tree.group(image, root))
        masks = tree.pictures(folder / "Data" / "Masks" / "Anomaly")
        for image, mask in tree.matched(tree.pictures(images / "Anomaly"), masks, root, report):
            there.add(image)
            words = tuple(dict.fromkeys(word.strip() for word in kinds.get(image, "").split(",") if word.strip()))
            defect = before + (layouts.shown(words) if words else KIND)
            part, group = parts.get(image, ""), tree.group(image, root)
            yield Example(image, mask, defect=defect, part=part, group=group, reading=Reading("other"))
        for place in parts:
            if place.is_relative_to(folder) and place not in there:
                report(tree.mask_without_image(place, root, f"row in {tables[place]}"))


def _objects(root: Path) -> list[Path]:
    return [
        folder
        for folder in (root, *tree.folders(root))
        if (folder / "Data" / "Images" / "Normal").is_dir() or (folder / "Data" / "Images" / "Anomaly").is_dir()
    ]


def _rows(table: Path, base: Path, root: Path, report: Report) -> Iterator[tuple[dict[str, str], Path]]:
    """The rows of a table, each with the place of its picture; a table that is none is reported."""
    if not table.is_file():
        return
    try:
        rows = list(csv.DictReader(tree.text(table).splitlines()))
        if rows and "image" not in rows[0]:
            report(tree.broken_annotation(table, root, "it has no column image"))
            return
    except (BadInput, csv.Error, OSError) as error:
        report(tree.broken_annotation(table, root, str(error)))
        return
    for row in rows:
        name = (row["image"] or "").strip().replace("\\", "/")
        if name and ".." not in name.split("/"):
            yield row, base / name
