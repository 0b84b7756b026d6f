"""DeepPCB: boards as <number>_test.jpg with their template <number>_temp.jpg, and boxes in <folder>_not/<number>.txt.

A line is `x1 y1 x2 y2 type`, with spaces or commas. Templates are good pictures. trainval.txt and test.txt name parts.
In an export of ours classes.txt names the types, which may be more than the authors'.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pipelines.core import layouts
from pipelines.core.errors import BadInput
from pipelines.parts.loaders import paired, tree
from pipelines.parts.loaders.example import Box, Example, Part
from pipelines.parts.loaders.tree import Report

TYPES = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
"""From 1 on, as the authors' list has them; 0 is not used."""
LABELS, TEST, TEMPLATE = "_not", "_test", "_temp"
LISTS: dict[str, Part] = {"trainval.txt": "train", "test.txt": "test"}


def fits(root: Path) -> bool:
    return bool(_folders(root))


def load(root: Path, report: Report) -> Iterator[Example]:
    """The template stays in the part of its test picture."""
    parts: dict[str, Part] = {}
    names = paired.names(root) or dict(enumerate(TYPES, start=1))
    for base in (root, *tree.folders(root)):
        for name, part in LISTS.items():
            if (base / name).is_file():
                lines = tree.text(base / name).split("\n")
                parts |= {Path(line.split()[0]).stem: part for line in lines if line.strip()}
    for folder in _folders(root):
        labels = {path.stem: path for path in sorted(folder.with_name(folder.name + LABELS).glob("*.txt"))}
        for image in tree.pictures(folder):
            stem = image.stem.removesuffix(TEST).removesuffix(TEMPLATE)
            part, group = parts.get(stem, ""), f"{folder.name}/{stem}"
            if image.stem.endswith(TEMPLATE):
                yield Example(image, part=part, group=group)
                continue
            label = labels.pop(stem, None)
            boxes: tuple[Box, ...] = ()
            if label is None:
                report(tree.missing_mask(image, root, "label file"))
            else:
                boxes = _boxes(label, image, names, root, report)
            kinds = tuple(dict.fromkeys(box.defect for box in boxes))
            defect = layouts.shown(kinds) if kinds else ""
            yield Example(image, boxes=boxes, defect=defect, part=part, group=group)
        for label in labels.values():
            report(tree.mask_without_image(label, root, "label file"))


def _folders(root: Path) -> list[Path]:
    """Folders of pictures with one of labels beside, up to three levels below."""
    found = {
        labels.with_name(labels.name.removesuffix(LABELS))
        for depth in ("", "*/", "*/*/")
        for labels in root.glob(f"{depth}*{LABELS}")
        if labels.is_dir()
    }
    return sorted(folder for folder in found if any(path.stem.endswith(TEST) for path in tree.pictures(folder)))


def _boxes(label: Path, image: Path, names: dict[int, str], root: Path, report: Report) -> tuple[Box, ...]:
    found, beyond = [], set()
    try:
        for number, line in enumerate(tree.text(label).splitlines(), start=1):
            words = re.split(r"[\s,]+", line.strip())
            if words == [""]:
                continue
            if len(words) != 5:
                raise BadInput(f"line {number} is {line.strip()[:40]!r}, not x1 y1 x2 y2 type")
            x0, y0, x1, y1, type = (int(word) for word in words)
            if type in names:
                found.append(Box(x0, y0, x1, y1, names[type]))
            else:
                beyond.add(type)
    except (BadInput, ValueError, OSError) as error:
        report(tree.broken_annotation(label, root, str(error), (image,)))
        return ()
    for type in sorted(beyond):
        known = [f"{key} {word}" for key, word in names.items()]
        report(tree.label_beyond_names(label, image, root, type, known, len(found)))
    return tuple(found)
