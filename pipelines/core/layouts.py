"""What a data set of each format looks like from outside: its folders, and how many files lie in each.

Computed from what is known of the pictures, so that a tree can be shown before a byte is written; a test exports in
every format and counts. Knows no file's content.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.core.splits import PARTS, Part

SEVERAL = "combined"
"""What a picture with defects of more than one kind goes by, as in the original MVTec AD."""

# `train/` of the MVTec tree can hold no defect, `test/` none whose good picture is trained on: parts/exporters/mvtec.
MVTEC_GOOD: dict[Part, str] = {"train": "train/good", "val": "validation/good", "test": "test/good"}
MVTEC_DEFECTS: dict[Part, tuple[str, str]] = {
    "train": ("train_defects", "train_defects_masks"),
    "val": ("validation_defects", "validation_defects_masks"),
    "test": ("test", "ground_truth"),
}


@dataclass(frozen=True)
class Leaf:
    """A picture of the data set as far as its place goes."""

    origin: str
    """What it was made from; what shares it stays in one part."""
    defects: tuple[str, ...]
    """Each kind once. Empty: a good picture."""
    areas: int = 1
    sourced: bool = True
    """Whether the good picture it was made from is known."""
    count: int = 1
    """How many pictures of the same origin show the same; each lies where the others do."""


Tree = Counter[str]
"""Files in each folder (its name ends in a slash), and single files by name, 1 each."""
Dealt = Sequence[tuple[Leaf, Part]]


@dataclass(frozen=True)
class Layout:
    """A format."""

    title: str
    places: Callable[[Dealt, str], Tree]
    first: tuple[Part, ...] = PARTS
    """Which parts get a source first when there are fewer sources than parts."""
    beside: bool = False
    """The good picture lies beside each picture, by its name, and not among them as one that shows nothing."""
    needs_good: bool = False
    """The layout is nothing without good pictures, whether pairs are asked for or not."""


def shown(defects: Sequence[str]) -> str:
    """What a picture with these kinds of defect is filed under."""
    return defects[0] if len(defects) == 1 else SEVERAL


def tree(layout: Layout, leaves: Sequence[Leaf], dealt: Mapping[str, Part], product: str, *, pairs: bool) -> Tree:
    """Folders and files of the data set that these pictures become. `dealt` says which part an origin goes to."""
    with_good = pairs or layout.needs_good
    goods = dict.fromkeys(leaf.origin for leaf in leaves if leaf.sourced) if with_good else {}
    entries = [(leaf, dealt[leaf.origin]) for leaf in leaves]
    if not layout.beside:
        entries += [(Leaf(origin, (), areas=0), dealt[origin]) for origin in goods]
    found = layout.places(entries, product)
    if layout.beside and with_good:
        found["good/"] += sum(leaf.count for leaf in leaves if leaf.sourced)
    if not layout.beside and pairs:
        found["pairs.csv"] = 1
    found["README.md"] = 1
    return Tree({place: count for place, count in found.items() if count})


def _mvtec(entries: Dealt, product: str) -> Tree:
    found = Tree()
    for leaf, part in entries:
        defective = [f"{kind}/{shown(leaf.defects)}" for kind in MVTEC_DEFECTS[part]]
        for folder in defective if leaf.defects else [MVTEC_GOOD[part]]:
            found[f"{product}/{folder}/"] += leaf.count
    return found


def _coco(entries: Dealt, product: str) -> Tree:
    return Tree({"images/": _pictures(entries), "annotations/": len(PARTS)})


def _yolo(entries: Dealt, product: str) -> Tree:
    found = Tree(["data.yaml"])
    for leaf, part in entries:
        for kind in ("images", "labels"):
            found[f"{kind}/{part}/"] += leaf.count
    return found


def _voc(entries: Dealt, product: str) -> Tree:
    folders = ("JPEGImages", "Annotations", "SegmentationClass", "SegmentationObject")
    sets = {f"ImageSets/{kind}/": len(PARTS) for kind in ("Main", "Segmentation")}
    return Tree({**{f"{folder}/": _pictures(entries) for folder in folders}, **sets, "classes.txt": 1})


def _folder(entries: Dealt, product: str) -> Tree:
    regions = sum(leaf.areas * leaf.count for leaf, _ in entries)
    tables = {"manifest.jsonl": 1, "manifest.csv": 1}
    masks = sum(leaf.count for leaf, _ in entries if leaf.defects)
    return Tree({"images/": _pictures(entries), "masks/": masks, "regions/": regions, **tables})


def _pictures(entries: Dealt) -> int:
    return sum(leaf.count for leaf, _ in entries)


LAYOUTS: dict[str, Layout] = {
    # The only place this tree has for defects is its test.
    "mvtec": Layout("MVTec AD tree", _mvtec, first=("test", "train", "val"), needs_good=True),
    "coco": Layout("COCO", _coco),
    "yolo-seg": Layout("YOLO, outlines", _yolo),
    "yolo": Layout("YOLO, boxes", _yolo),
    "voc": Layout("Pascal VOC", _voc),
    "folder": Layout("plain folder", _folder, beside=True),
}
