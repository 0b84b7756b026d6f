"""LabelMe: a JSON file of shapes beside each picture. A picture whose file holds no shape is a good one.

Polygons, rectangles, circles, lines, points and painted masks are read; flags, groups and the copy of the picture in
`imageData` are not. The XML files of the older web tool of that name are another format.
"""

import base64
import binascii
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.core import files, headers, images, layouts
from pipelines.core.errors import BadInput, Problem
from pipelines.parts.loaders import drawn, tree
from pipelines.parts.loaders.example import Box, Example
from pipelines.parts.loaders.tree import Report

MOST_BYTES = 200_000_000
"""Of one file: it may hold its picture."""
LOOKED_AT = 64


def fits(root: Path) -> bool:
    return any(_is_label(path) for path in _tables(root)[:LOOKED_AT])


def load(root: Path, report: Report) -> Iterator[Example]:
    """`imagePath` is seen from the JSON file; where it leads nowhere, the picture beside it of its name is meant."""
    labelled: set[Path] = set()
    tables = [path for path in _tables(root) if _is_label(path)]
    for table in tables:
        beside = {path.stem: path for path in tree.pictures(table.parent)}
        image = beside.get(table.stem)
        boxes: tuple[Box, ...] = ()
        what = ""
        try:
            data = json.loads(tree.long_text(table, MOST_BYTES))
            image = tree.place(str(data.get("imagePath") or ""), table.parent, root) or image
            if image is not None:
                size = data.get("imageHeight"), data.get("imageWidth")
                shape = (int(size[0]), int(size[1])) if size[0] and size[1] else _size(image)
                boxes = tuple(_box(entry, shape) for entry in data["shapes"])
        except KeyError as error:
            what = f"it lacks {error.args[0]!r}"
        except (Problem, OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            what = str(error) or repr(error)
        if image is None:
            report(tree.mask_without_image(table, root, "JSON file"))
            continue
        if what:
            report(tree.broken_annotation(table, root, what, (image,)))
        labelled.add(image)
        yield _example(image, boxes, root)
    folders = {image.parent for image in labelled} | {table.parent for table in tables}
    for folder in sorted(folders):
        for image in tree.pictures(folder):
            if image not in labelled:
                report(tree.missing_mask(image, root, "JSON file"))
                yield _example(image, (), root)


def _example(image: Path, boxes: tuple[Box, ...], root: Path) -> Example:
    kinds = tuple(dict.fromkeys(box.defect for box in boxes))
    defect = layouts.shown(kinds) if kinds else ""
    part, group = tree.part(image.relative_to(root)), tree.group(image, root)
    return Example(image, boxes=boxes, defect=defect, part=part, group=group)


def _tables(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.json") if not tree.hidden(path, root) and path.is_file())


def _is_label(path: Path) -> bool:
    return tree.holds(path, b'"shapes"') and (tree.holds(path, b'"imagePath"') or tree.holds(path, b'"shape_type"'))


def _size(image: Path) -> tuple[int, int]:
    with files.reading(image, image.name) as file:
        header = headers.read(file, image.name)
    return header.height, header.width


def _box(entry: dict[str, Any], shape: tuple[int, int]) -> Box:
    """One shape; without a `shape_type`, as the first versions wrote it, a polygon. Raises ValueError, KeyError."""
    label, kind = str(entry["label"]), str(entry.get("shape_type") or "polygon")
    points = [(float(x), float(y)) for x, y in entry["points"]]
    if not label.strip():
        raise BadInput(f"a {kind} has no label")
    if kind in ("polygon", "rotation"):
        return drawn.outlined(points, label)
    if kind in ("line", "linestrip", "point", "points") and points:
        width = drawn.LINE_PX if kind.startswith("line") else 2 * drawn.DOT_PX
        return drawn.line(points, shape, label, width)
    if kind == "rectangle" and len(points) in (2, 4):
        columns, rows = zip(*points, strict=True)
        return Box(round(min(columns)), round(min(rows)), round(max(columns)), round(max(rows)), label)
    if kind == "circle" and len(points) == 2:
        (x, y), (right, down) = points
        radius = ((right - x) ** 2 + (down - y) ** 2) ** 0.5
        return drawn.ellipse((x, y), (radius, radius), 0, shape, label)
    if kind == "mask" and points:
        try:
            data = base64.b64decode(entry["mask"], validate=True)
        except binascii.Error as error:
            raise BadInput(f"the painted mask of {label} is no base64 ({error})") from error
        pixels = images.decode(data, "mask.png").pixels
        mask = (pixels if pixels.ndim == 2 else pixels.max(axis=2)) > 0
        return drawn.of_window(mask, round(points[0][0]), round(points[0][1]), shape, label)
    raise BadInput(f"a {kind} of {label} has {len(points)} points, and LabelMe writes none such")
