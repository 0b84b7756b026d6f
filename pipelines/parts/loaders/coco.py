"""COCO: boxes, polygons and run-length masks of many pictures in one JSON file.

Run lengths come as numbers, or as the text that COCO's own tools write; both are read to the pixel.
"""

import json
import re
from collections.abc import Iterator
from math import ceil, floor
from pathlib import Path
from typing import Any

from pipelines.core import files, layouts
from pipelines.core.errors import BadInput
from pipelines.parts.loaders import drawn, tree
from pipelines.parts.loaders.example import Box, Example
from pipelines.parts.loaders.tree import Report

OTHER_TASKS = re.compile(r"captions|keypoints|panoptic|stuff|image_info|labels", re.IGNORECASE)
MOST_BYTES = 1_000_000_000


def fits(root: Path) -> bool:
    return bool(_tables(root))


def load(root: Path, report: Report) -> Iterator[Example]:
    """annotations/instances_*.json, or one table beside the pictures. A picture without annotations is a good one."""
    for table in _tables(root):
        try:
            size = table.stat().st_size
            if size > MOST_BYTES:
                raise ValueError(f"it has {files.size(size)}, and up to {files.size(MOST_BYTES)} are read")
            data = json.loads(table.read_bytes())
            names = {int(entry["id"]): str(entry["name"]) for entry in data["categories"]}
            labels: dict[object, list[dict[str, Any]]] = {}
            for annotation in data["annotations"]:
                labels.setdefault(annotation["image_id"], []).append(annotation)
            entries = [(entry["id"], str(entry["file_name"])) for entry in data["images"]]
        except KeyError as error:
            report(tree.broken_annotation(table, root, f"it lacks {error.args[0]!r}"))
            continue
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            report(tree.broken_annotation(table, root, str(error)))
            continue
        part = tree.PARTS.get(_suffix(table).lower()) or tree.part(table.relative_to(root))
        for id, name in entries:
            image = _image(table, root, name)
            if image is None:
                report(
                    tree.mask_without_image(root / name.replace("\0", ""), root, f"entry in {tree.named(table, root)}")
                )
                continue
            try:
                boxes, beyond = _boxes(labels.get(id, []), names)
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                what = f"the annotations of {tree.named(image, root)} are not as COCO writes them: {error!r}"
                report(tree.broken_annotation(table, root, what, (image,)))
                boxes, beyond = (), set()
            for number in sorted(beyond, key=str):
                known = [f"{key} {word}" for key, word in names.items()]
                report(tree.label_beyond_names(table, image, root, number, known, len(boxes)))
            kinds = tuple(dict.fromkeys(box.defect for box in boxes))
            group = tree.group(image, root)
            defect = layouts.shown(kinds) if kinds else ""
            yield Example(image, boxes=boxes, defect=defect, part=part, group=group)


def _tables(root: Path) -> list[Path]:
    folder = tree.folder(root, ["annotations"])
    found = sorted([*root.glob("*.json"), *root.glob("*/*.json"), *(folder.glob("*.json") if folder else ())])
    found = list(dict.fromkeys(found))
    instances = [path for path in found if path.name.startswith("instances") or path.stem.endswith("_annotations.coco")]
    return instances or [
        path for path in found if not OTHER_TASKS.search(path.name) and (path.parent == folder or _looks_like(path))
    ]


def _looks_like(path: Path) -> bool:
    """Whether the three words of the format stand in the file. Not parsed: a broken one is found when it is read."""
    if path.stat().st_size > MOST_BYTES:
        return False
    data = path.read_bytes()
    return all(word in data for word in (b'"images"', b'"annotations"', b'"categories"'))


def _suffix(table: Path) -> str:
    """instances_train -> train"""
    return table.stem.rpartition("_")[2]


def _image(table: Path, root: Path, name: str) -> Path | None:
    """Where a picture lies: beside the table, or in images/, with the part's folder between or without."""
    part = _suffix(table)
    for base in (table.parent, root / "images", root / "images" / part, root / part, root):
        try:
            path = files.inside(root, (base / name).relative_to(root).as_posix())
        except (BadInput, ValueError):  # a name that leads out is no picture of this set
            continue
        if path.is_file():
            return base / name
    return None


def _boxes(annotations: list[dict[str, Any]], names: dict[int, str]) -> tuple[tuple[Box, ...], set[object]]:
    """One box for each polygon of an annotation, one for its run lengths, else its bbox (x, y, width, height)."""
    found: list[Box] = []
    beyond: set[object] = set()
    for annotation in annotations:
        name = names.get(annotation["category_id"])
        if name is None:
            beyond.add(annotation["category_id"])
            continue
        polygons = annotation.get("segmentation")
        if isinstance(polygons, dict) and "counts" in polygons:
            tall, wide = map(int, polygons["size"])
            counts = polygons["counts"]
            lengths = unpacked(counts) if isinstance(counts, str) else counts
            found.append(drawn.of_lengths(lengths, (tall, wide), name))
            continue
        if not isinstance(polygons, list) or not polygons:
            x, y, width, height = map(float, annotation["bbox"])
            found.append(Box(round(x), round(y), round(x + width), round(y + height), name))
            continue
        for flat in polygons:
            outline = tuple((float(x), float(y)) for x, y in zip(flat[::2], flat[1::2], strict=True))
            columns, rows = zip(*outline, strict=True)
            far = ceil(max(columns)), ceil(max(rows))
            found.append(Box(floor(min(columns)), floor(min(rows)), *far, name, outline))
    return tuple(found), beyond


def unpacked(text: str) -> list[int]:
    """The numbers in a compressed `counts`: five bits a character, least first, from the third on less the one before
    the last (rleFrString of COCO's maskApi). Raises ValueError.
    """
    found: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError(f"its counts hold {character!r}, which COCO's tools never write")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        found.append(value + (found[-2] if len(found) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("its counts end in the middle of a number")
    return found
