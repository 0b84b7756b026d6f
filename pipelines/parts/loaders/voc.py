"""Pascal VOC: an XML file of boxes for each picture. Its masks are not read: a label is its box."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from pipelines.core import layouts
from pipelines.core.errors import BadInput
from pipelines.parts.loaders import tree
from pipelines.parts.loaders.example import Box, Example, Part
from pipelines.parts.loaders.tree import Report

PICTURES = ("JPEGImages", "images", "Imgs")
EDGES = ("xmin", "ymin", "xmax", "ymax")


def fits(root: Path) -> bool:
    labels = tree.folder(root, ["Annotations"])
    return labels is not None and _pictures(root) is not None and any(labels.glob("*.xml"))


def load(root: Path, report: Report) -> Iterator[Example]:
    """Parts are those of ImageSets/Main. A picture of the test without an XML file has not lost it: VOC's has none."""
    labels, folder = tree.folder(root, ["Annotations"]), _pictures(root)
    assert labels is not None
    assert folder is not None
    sources, parts = tree.sources(root), _parts(root)
    waiting = {path.stem: path for path in sorted(labels.glob("*.xml"))}
    for image in tree.pictures(folder):
        part = parts.get(image.stem, "")
        label = waiting.pop(image.stem, None)
        boxes: tuple[Box, ...] = ()
        if label is None:
            if part == "test":
                continue
            report(tree.missing_mask(image, root, "XML file"))
        else:
            try:
                boxes = _boxes(tree.text(label))
            except (BadInput, ElementTree.ParseError, ValueError, OverflowError, OSError) as error:
                report(tree.broken_annotation(label, root, str(error), (image,)))
        names = tuple(dict.fromkeys(box.defect for box in boxes))
        group = sources.get(image) or tree.group(image, root)
        yield Example(image, boxes=boxes, defect=layouts.shown(names) if names else "", part=part, group=group)
    for label in waiting.values():
        report(tree.mask_without_image(label, root, "XML file"))


def _pictures(root: Path) -> Path | None:
    return tree.folder(root, PICTURES)


def _parts(root: Path) -> dict[str, Part]:
    found: dict[str, Part] = {}
    for part in ("train", "val", "test"):
        for kind in ("Segmentation", "Main"):
            path = root / "ImageSets" / kind / f"{part}.txt"
            if path.is_file():
                found |= {line.strip(): tree.PARTS[part] for line in tree.text(path).splitlines() if line.strip()}
    return found


def _boxes(text: str) -> tuple[Box, ...]:
    """Edges count from 1, inclusive; tools that count from 0 write 0 for the first, and it is taken as the first.

    An edge that equals its opposite is no area: what those tools write after a slip of the mouse. Raises ValueError.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("it declares a document type, which no label needs")
    root = ElementTree.fromstring(text)
    found = []
    for number, entry in enumerate(root.iter("object"), start=1):
        name = (entry.findtext("name") or "").strip()
        edges = [entry.findtext(f"bndbox/{edge}") for edge in EDGES]
        missing = ["name"] * (not name) + [
            edge for edge, value in zip(EDGES, edges, strict=True) if value is None or not value.strip()
        ]
        if missing:
            raise ValueError(f"object {number} has no {missing[0]}")
        left, top, right, bottom = (round(float(value or "")) for value in edges)
        x0, y0 = max(left - 1, 0) if left >= 0 else left, max(top - 1, 0) if top >= 0 else top
        found.append(Box(x0, y0, x0 if right == left else right, y0 if bottom == top else bottom, name))
    return tuple(found)
