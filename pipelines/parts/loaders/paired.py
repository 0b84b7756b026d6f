"""Pictures and masks by name: two folders side by side, or part.png with part_mask.png. A mask may hold class numbers.

Where the masks of a set hold small numbers they are class numbers, 0 the background and 255 "do not care": such a
picture becomes one example for each class in it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipelines.core import images
from pipelines.core.errors import Problem
from pipelines.parts.loaders import tree
from pipelines.parts.loaders.example import Example, Fault, Reading
from pipelines.parts.loaders.tree import Report

PICTURES = ("images", "imgs", "image")
MASKS = ("masks", "mask", "annotations", "ground_truth", "labels")
LISTS = ("classes.txt", "labels.txt")
DEFECT = "defect"
"""What a defect is called where nothing names it."""
MOST_CLASSES = 64
IGNORED = 255
LOOKED_AT = 8


def fits(root: Path) -> bool:
    if _sides(root):
        return True
    places = {(path.parent, path.stem) for path in _beside(root)}
    return any((folder, tree.stem(Path(name))) in places - {(folder, name)} for folder, name in places)


def load(root: Path, report: Report) -> Iterator[Example]:
    """Folders below images/ name the part or the defect; `classes.txt` may name the class numbers, from 1 on."""
    examples = list(_all(root, report))
    masks = [example.mask for example in examples if example.mask is not None]
    if not _numbered(masks):
        yield from examples
        return
    values = {mask: _values(mask) for mask in masks}
    called = names(root)
    known = set(called) if called else _known([found for found in values.values() if found is not None])
    for example in examples:
        found = values.get(example.mask) if example.mask is not None else None
        if found is None:
            yield example
            continue
        inside = sorted(found & known)
        for value in sorted(found - known):
            report(_beyond(example, root, value, sorted(known), bool(inside)))
        if not inside:
            yield replace(example, defect="", reading=Reading("index"))
        for value in inside:
            yield replace(example, defect=called.get(value, str(value)), reading=Reading("index", value))


def _all(root: Path, report: Report) -> Iterator[Example]:
    for pictures, masks in _sides(root):
        places = {path.parent.relative_to(pictures) for path in tree.pictures(pictures, below=True)}
        places |= {path.parent.relative_to(masks) for path in tree.pictures(masks, below=True)}
        for place in sorted(places):
            files, labels = tree.pictures(pictures / place), tree.pictures(masks / place)
            yield from _folder(files, labels, place, root, report)
    if _sides(root):
        return
    folders: dict[Path, list[Path]] = {}
    for path in _beside(root):
        folders.setdefault(path.parent, []).append(path)
    for folder, found in folders.items():
        files = [path for path in found if tree.stem(path) == path.stem]
        labels = [path for path in found if tree.stem(path) != path.stem]
        yield from _folder(files, labels, folder.relative_to(root), root, report)


def _folder(files: list[Path], labels: list[Path], place: Path, root: Path, report: Report) -> Iterator[Example]:
    """The pictures of one folder; the innermost name of its place that names no part is the defect."""
    kind = next((name for name in reversed(place.parts) if name.lower() not in tree.PARTS), DEFECT)
    good = kind.lower() in tree.GOOD
    for image, mask in tree.matched(files, labels, root, report, good=good):
        part, group = tree.part(image.relative_to(root)), tree.group(image, root)
        yield Example(image, mask, defect="" if good else kind, part=part, group=group)


def _sides(root: Path) -> list[tuple[Path, Path]]:
    """Folders of pictures with the masks' folder beside, in the data set's folder or one or two below.

    The masks' folder of one may be empty where another's is not: a part of good pictures.
    """
    found = []
    for base in (root, *tree.folders(root), *(inner for outer in tree.folders(root) for inner in tree.folders(outer))):
        pictures, masks = tree.folder(base, PICTURES), tree.folder(base, MASKS)
        if pictures is not None and masks is not None:
            found.append((pictures, masks))
    return found if any(tree.pictures(masks, below=True) for _, masks in found) else []


def _beside(root: Path) -> list[Path]:
    return tree.pictures(root, below=True)


def _numbered(masks: Sequence[Path]) -> bool:
    """Whether masks hold class numbers. A few of them tell, evenly spread; black ones tell nothing."""
    spread = masks[:: max(1, len(masks) // LOOKED_AT)]
    tops = [max(found, default=0) for mask in spread if (found := _values(mask)) is not None]
    votes = Counter(top <= MOST_CLASSES for top in tops if top > 0)
    return votes[True] > votes[False]


def _values(mask: Path) -> set[int] | None:
    """The numbers in a grey mask but 0 and 255; None for what is no grey picture."""
    try:
        pixels = images.read(mask).pixels
    except Problem:
        return None
    return {int(value) for value in np.unique(pixels)} - {0, IGNORED} if pixels.ndim == 2 else None


def names(root: Path) -> dict[int, str]:
    """What class numbers are called, from 1 on, by a list in the data set's folder."""
    path = next((root / name for name in LISTS if (root / name).is_file()), None)
    if path is None:
        return {}
    words = [line.strip() for line in tree.text(path).splitlines() if line.strip()]
    return dict(enumerate(words[1:] if words and words[0].lower() == "background" else words, start=1))


def _known(found: Sequence[set[int]]) -> set[int]:
    """The classes of masks that nobody named: the numbers from 1 on without a gap, and those that come twice."""
    counts = Counter(value for values in found for value in values)
    known = {value for value, count in counts.items() if count > 1 and value <= MOST_CLASSES}
    value = 1
    while value in counts:
        known.add(value)
        value += 1
    return known


def _beyond(example: Example, root: Path, value: int, known: list[int], rest: bool) -> Fault:
    assert example.mask is not None
    classes = ", ".join(map(str, known[:8])) + (", ..." if len(known) > 8 else "")
    return Fault(
        "mask_value_beyond_classes",
        (example.mask, example.image),
        f"{tree.named(example.mask, root)} holds the value {value}, and the classes are {classes}: correct it, take it"
        " for background (mend), or leave the picture out",
        ("mend", "leave_out") if rest else ("leave_out",),
    )
