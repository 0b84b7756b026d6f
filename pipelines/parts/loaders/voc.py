"""Pascal VOC: an XML file of boxes for each picture, and masks of colours in SegmentationClass or SegmentationObject.

Where a picture has a mask, that is its label, and boxes stand only for classes without a colour in it. Colours are
named by labelmap.txt or class_names.txt, else they are VOC's own twenty classes. In SegmentationObject the colours
count the objects of the XML file. Parts of objects and what people do are not read.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from pipelines.core import images, layouts
from pipelines.core.errors import BadInput, Problem
from pipelines.parts.loaders import drawn, tree
from pipelines.parts.loaders.example import Box, Example, Fault, Part, Reading
from pipelines.parts.loaders.reading import packed
from pipelines.parts.loaders.tree import Report

PICTURES = ("JPEGImages", "images", "Imgs")
BY_CLASS, BY_OBJECT = "SegmentationClass", "SegmentationObject"
MOST_COLOURS = 256
VOID, WHITE = 0xE0E0C0, 0xFFFFFF
"""The seam around an object, which is nobody's; number 255 of VOC's colours, and of grey files."""
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
EDGES = ("xmin", "ymin", "xmax", "ymax")


def fits(root: Path) -> bool:
    labels = tree.folder(root, ["Annotations"])
    labelled = labels is not None and any(labels.glob("*.xml"))
    return _pictures(root) is not None and (labelled or bool(_masks(root, BY_CLASS)))


def load(root: Path, report: Report) -> Iterator[Example]:
    """Parts are those of ImageSets/Main. A picture of the test without an XML file has not lost it: VOC's has none."""
    labels, folder = tree.folder(root, ["Annotations"]), _pictures(root)
    assert folder is not None
    parts, called = _parts(root), _colours(root)
    waiting = {path.stem: path for path in sorted(labels.glob("*.xml"))} if labels is not None else {}
    classes, objects = _masks(root, BY_CLASS), _masks(root, BY_OBJECT)
    for image in tree.pictures(folder):
        part = parts.get(image.stem, "")
        label = waiting.pop(image.stem, None)
        mask, numbered = classes.pop(image.stem, None), objects.pop(image.stem, None)
        boxes: tuple[Box, ...] = ()
        if label is None and mask is None:
            if part == "test":
                continue
            report(tree.missing_mask(image, root, "XML file"))
        elif label is not None:
            try:
                boxes = _boxes(tree.text(label))
            except (BadInput, ElementTree.ParseError, ValueError, OverflowError, OSError) as error:
                report(tree.broken_annotation(label, root, str(error), (image,)))
        group = tree.group(image, root)
        if mask is not None:
            yield from _masked(image, mask, boxes, called, part, group, root, report)
            continue
        if numbered is not None and boxes:
            boxes = _painted(numbered, image, boxes, root, report)
        names = tuple(dict.fromkeys(box.defect for box in boxes))
        yield Example(image, boxes=boxes, defect=layouts.shown(names) if names else "", part=part, group=group)
    for label in waiting.values():
        report(tree.mask_without_image(label, root, "XML file"))
    for mask in (*classes.values(), *objects.values()):
        report(tree.mask_without_image(mask, root))


def colour(number: int) -> int:
    """0xRRGGBB of a number in VOC's colour map: its bits dealt to red, green and blue in turn, the highest first."""
    found = [0, 0, 0]
    for place in range(8):
        for channel in range(3):
            found[channel] |= (number >> (3 * place + channel) & 1) << (7 - place)
    return (found[0] << 16) + (found[1] << 8) + found[2]


def _masks(root: Path, name: str) -> dict[str, Path]:
    folder = tree.folder(root, [name])
    return {path.stem: path for path in tree.pictures(folder)} if folder is not None else {}


def _colours(root: Path) -> dict[int, str]:
    """What labelmap.txt (`name:r,g,b:...`) or class_names.txt (by VOC's numbers) call the colours; else nothing."""
    table, names, ours = root / "labelmap.txt", root / "class_names.txt", root / "classes.txt"
    if table.is_file():
        lines = [line.split(":") for line in tree.text(table).splitlines() if line.strip() and line[0] != "#"]
        try:
            found = {
                int("".join(f"{int(value):02x}" for value in words[1].split(",")), 16): words[0] for words in lines
            }
        except (IndexError, ValueError) as error:
            raise BadInput(f"labelmap.txt does not say which colour is which ({error}): write name:r,g,b::") from error
    elif names.is_file() or ours.is_file():
        words = [line.strip() for line in tree.text(names if names.is_file() else ours).splitlines() if line.strip()]
        if not names.is_file() and words[:1] != ["background"]:
            return {}
        found = {colour(number): word for number, word in enumerate(word for word in words if word != "__ignore__")}
    else:
        return {}
    return {key: name for key, name in found.items() if key and name.strip("_").lower() != "background"}


def _masked(
    image: Path,
    mask: Path,
    boxes: tuple[Box, ...],
    called: dict[int, str],
    part: Part,
    group: str,
    root: Path,
    report: Report,
) -> Iterator[Example]:
    """An example for each class whose colour is in the mask, and one of the boxes of the others."""
    names = tuple(dict.fromkeys(box.defect for box in boxes))
    try:
        pixels = images.read(mask, over_black=True).pixels
    except Problem:  # the pre-flight says what is wrong with it
        yield Example(image, mask, defect=layouts.shown(names) if names else "defect", part=part, group=group)
        return
    grey = pixels.ndim == 2
    there = [int(value) for value in np.unique(pixels if grey else packed(pixels))]
    if len(there) > MOST_COLOURS:
        what = f"it holds {len(there)} colours, and a mask one for each class: save it as PNG"
        report(tree.broken_annotation(mask, root, what, (image,)))
        there = []
    there = [value for value in there if value not in ((0, 255) if grey else (0, VOID, WHITE))]
    own = called or ({colour(number): name for number, name in enumerate(CLASSES, 1)} if _are_vocs(names) else {})
    known = {value: own[key] for value in there if (key := colour(value) if grey else value) in own}
    if len(there) == 1 and len(names) == 1 and not known:
        known = {there[0]: names[0]}
    for value in there:
        if value in known:
            reading = Reading("index" if grey else "colour", value)
            yield Example(image, mask, defect=known[value], part=part, group=group, reading=reading)
        else:
            report(_unnamed(image, mask, str(value) if grey else f"#{value:06x}", root, bool(known or boxes)))
    rest = tuple(box for box in boxes if box.defect not in known.values())
    if rest or not known:
        names = tuple(dict.fromkeys(box.defect for box in rest))
        yield Example(image, boxes=rest, defect=layouts.shown(names) if names else "", part=part, group=group)


def _are_vocs(names: tuple[str, ...]) -> bool:
    return set(names) <= set(CLASSES)


def _unnamed(image: Path, mask: Path, value: str, root: Path, rest: bool) -> Fault:
    return Fault(
        "mask_value_beyond_classes",
        (mask, image),
        f"{tree.named(mask, root)} holds the colour {value}, and no class has it: name it in labelmap.txt, take it for"
        " background (mend), or leave the picture out",
        ("mend", "leave_out") if rest else ("leave_out",),
    )


def _painted(mask: Path, image: Path, boxes: tuple[Box, ...], root: Path, report: Report) -> tuple[Box, ...]:
    """The objects as they are painted: colour n is the n-th of the XML file. One that is not there keeps its box."""
    try:
        pixels = images.read(mask, over_black=True).pixels
    except Problem as error:
        report(tree.broken_annotation(mask, root, str(error), (image,)))
        return boxes
    numbers = pixels if pixels.ndim == 2 else packed(pixels)
    found = []
    for number, box in enumerate(boxes, start=1):
        here = numbers == (number if pixels.ndim == 2 else colour(number))
        found.append(drawn.of_mask(here, box.defect) if here.any() else box)
    return tuple(found)


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
