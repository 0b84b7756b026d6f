"""CVAT for images 1.1: one XML file of boxes, polygons, ellipses, lines, points and masks of many pictures.

A tag names a picture's kind without saying where it shows. Tracks of films, skeletons and cuboids are not read.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from pipelines.core import layouts
from pipelines.core.errors import BadInput
from pipelines.parts.loaders import drawn, tree
from pipelines.parts.loaders.example import Box, Example
from pipelines.parts.loaders.tree import Report

MOST_BYTES = 500_000_000
SHAPES = frozenset({"box", "polygon", "polyline", "points", "ellipse", "mask", "cuboid", "skeleton"})


def fits(root: Path) -> bool:
    return bool(_tables(root))


def load(root: Path, report: Report) -> Iterator[Example]:
    """Pictures lie beside the file or in images/. One without a label is a good one."""
    for table in _tables(root):
        try:
            text = tree.long_text(table, MOST_BYTES)
            if "<!DOCTYPE" in text or "<!ENTITY" in text:
                raise ValueError("it declares a document type, which no label needs")
            annotations = ElementTree.fromstring(text)
            if annotations.find("track") is not None:
                raise BadInput("it holds the tracks of a film: export the task as CVAT for images 1.1")
        except (BadInput, ElementTree.ParseError, ValueError, OSError) as error:
            report(tree.broken_annotation(table, root, str(error)))
            continue
        for entry in annotations.iter("image"):
            name, subset = entry.get("name", ""), entry.get("subset", "")
            image = _image(table, root, name, subset)
            if image is None:
                label = f"entry in {tree.named(table, root)}"
                report(tree.mask_without_image(root / name.replace("\0", ""), root, label))
                continue
            boxes: tuple[Box, ...] = ()
            tags = [tag.get("label", "") for tag in entry.iter("tag")]
            try:
                shape = int(entry.attrib["height"]), int(entry.attrib["width"])
                boxes = tuple(_box(one, shape) for one in entry if one.tag in SHAPES)
            except KeyError as error:
                what = f"an entry of {tree.named(image, root)} lacks {error.args[0]!r}"
                report(tree.broken_annotation(table, root, what, (image,)))
            except (ValueError, OverflowError) as error:
                what = f"an entry of {tree.named(image, root)}: {error}"
                report(tree.broken_annotation(table, root, what, (image,)))
            names = tuple(dict.fromkeys(box.defect for box in boxes))
            names = names or tuple(dict.fromkeys(tag for tag in tags if tag and tag.lower() not in tree.GOOD))
            part = tree.PARTS.get(subset.lower()) or tree.part(image.relative_to(root))
            defect = layouts.shown(names) if names else ""
            yield Example(image, boxes=boxes, defect=defect, part=part, group=tree.group(image, root))


def _tables(root: Path) -> list[Path]:
    found = sorted([*root.glob("*.xml"), *root.glob("*/annotations.xml")])
    return [path for path in found if path.is_file() and tree.holds(path, b"<annotations>", b"</annotations>")]


def _image(table: Path, root: Path, name: str, subset: str) -> Path | None:
    bases = dict.fromkeys((table.parent, root))
    places = ("images", f"images/{subset}", ".", subset) if subset else ("images", ".")
    tries = (tree.place(name, base / place, root) for base in bases for place in places)
    return next((path for path in tries if path is not None), None)


def _box(entry: ElementTree.Element, shape: tuple[int, int]) -> Box:
    """One label. Raises ValueError, KeyError naming the attribute that is not there."""
    label, kind = entry.attrib["label"], entry.tag
    if kind == "box":
        x0, y0, x1, y1 = (float(entry.attrib[edge]) for edge in ("xtl", "ytl", "xbr", "ybr"))
        degrees = float(entry.get("rotation", 0))
        if degrees % 360:
            return drawn.outlined(drawn.turned(x0, y0, x1, y1, degrees), label)
        return Box(round(x0), round(y0), round(x1), round(y1), label)
    if kind == "ellipse":
        x, y, along, across = (float(entry.attrib[key]) for key in ("cx", "cy", "rx", "ry"))
        return drawn.ellipse((x, y), (along, across), float(entry.get("rotation", 0)), shape, label)
    if kind == "mask":
        lengths = [int(length) for length in entry.attrib["rle"].split(",")]
        left, top, width, height = (int(float(entry.attrib[key])) for key in ("left", "top", "width", "height"))
        return drawn.of_rows(lengths, left, top, width, height, shape, label)
    if kind in ("cuboid", "skeleton"):
        raise BadInput(f"a {kind} of {label} is not read: draw it as a polygon")
    points = [_point(one) for one in entry.attrib["points"].split(";")]
    if kind == "polygon":
        return drawn.outlined(points, label)
    if kind == "polyline":
        return drawn.line(points, shape, label)
    return drawn.together([drawn.line([point], shape, label, 2 * drawn.DOT_PX) for point in points], shape)


def _point(text: str) -> drawn.Point:
    x, _, y = text.partition(",")
    return float(x), float(y)
