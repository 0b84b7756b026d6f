"""What a data set of each format looks like from outside: its folders, and how many files lie in each.

Computed from what is known of the pictures, so that a tree can be shown before a byte is written; a test exports in
every format and counts. Knows no file's content.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.core.splits import PARTS, Part

CARD = ("README.md", "recipe.json", "sheet.jpg")
"""What lies in every data set, whatever its layout: what it is, how to make it again, what it looks like."""
SHARD = 1000
SHARD_LIST = "shards.json"

SEVERAL = "combined"
"""What a picture with defects of more than one kind goes by, as in the original MVTec AD."""

# `train/` of the MVTec tree can hold no defect, `test/` none whose good picture is trained on: parts/exporters/mvtec.
MVTEC_GOOD: dict[Part, str] = {"train": "train/good", "val": "validation/good", "test": "test/good"}
MVTEC_DEFECTS: dict[Part, tuple[str, str]] = {
    "train": ("train_defects", "train_defects_masks"),
    "val": ("validation_defects", "validation_defects_masks"),
    "test": ("test", "ground_truth"),
}

NORMAL = "normal"
"""The folder of good pictures beside those of defects where nothing prescribes one: `train/good` is MVTec AD's mark."""
VISA_GOOD, VISA_DEFECTS, VISA_MASKS = "Data/Images/Normal", "Data/Images/Anomaly", "Data/Masks/Anomaly"
BOARDS, BOARD_LABELS = "group00000/00000", "group00000/00000_not"
"""DeepPCB numbers its boards and the groups they came in; here they are all of one."""


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
    beside: str = ""
    """The folder where the good picture lies beside each picture, by its name; empty: it is among them."""
    needs_good: bool = False
    """The layout is nothing without good pictures, whether pairs are asked for or not."""
    sharded: bool = False
    """Lies in shards of so many pictures; their tables, not pairs.csv, say which good picture is whose."""
    one_mask: bool = False
    """A picture has one mask for all that is wrong with it, and a kind as a whole."""
    loses: str = ""
    """What else of a data set it cannot hold, as a sentence for whoever exports; empty: nothing."""


def shown(defects: Sequence[str]) -> str:
    """What a picture with these kinds of defect is filed under."""
    return defects[0] if len(defects) == 1 else SEVERAL


def filed(defects: Sequence[str]) -> str:
    """The same; a picture without a defect is filed under NORMAL."""
    return shown(defects) if defects else NORMAL


def tree(
    layout: Layout,
    leaves: Sequence[Leaf],
    dealt: Mapping[str, Part],
    product: str,
    *,
    pairs: bool,
    shard_size: int = SHARD,
) -> Tree:
    """Folders and files of the data set that these pictures become. `dealt` says which part an origin goes to."""
    with_good = pairs or layout.needs_good
    goods = dict.fromkeys(leaf.origin for leaf in leaves if leaf.sourced) if with_good else {}
    entries = [(leaf, dealt[leaf.origin]) for leaf in leaves]
    if not layout.beside:
        entries += [(Leaf(origin, (), areas=0), dealt[origin]) for origin in goods]
    found = _shards(entries, shard_size) if layout.sharded else layout.places(entries, product)
    if layout.beside and with_good:
        found[layout.beside] += sum(leaf.count for leaf in leaves if leaf.sourced)
    if pairs and not layout.beside and not layout.sharded:
        found["pairs.csv"] = 1
    found.update(CARD)
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


def _defectfill(entries: Dealt, product: str) -> Tree:
    found = Tree()
    for leaf, part in entries:
        kinds = [f"{kind}/{shown(leaf.defects)}" for kind in ("defective", "defective_masks") if leaf.defects]
        for folder in kinds or ["good"]:
            found[f"{part}/{folder}/"] += leaf.count
    return found


def _visa(entries: Dealt, product: str) -> Tree:
    found = Tree({"split_csv/": 2, f"{product}/": 1})
    for leaf, _ in entries:
        for folder in (VISA_DEFECTS, VISA_MASKS) if leaf.defects else (VISA_GOOD,):
            found[f"{product}/{folder}/"] += leaf.count
    return found


def _magnetic_tile(entries: Dealt, product: str) -> Tree:
    found = _lists()
    for leaf, _ in entries:
        found[f"MT_{shown(leaf.defects).removeprefix('MT_') if leaf.defects else 'Free'}/Imgs/"] += 2 * leaf.count
    return found


def _deeppcb(entries: Dealt, product: str) -> Tree:
    lists = {"trainval.txt": 1, "test.txt": 1, "classes.txt": 1}
    return Tree({f"{BOARDS}/": _pictures(entries), f"{BOARD_LABELS}/": _pictures(entries), **lists})


def _elpv(entries: Dealt, product: str) -> Tree:
    return Tree({"images/": _pictures(entries), "labels.csv": 1}) + _lists()


def _sagemaker(entries: Dealt, product: str) -> Tree:
    found = Tree(f"{part}/" for part in {part for _, part in entries})  # each has its manifest
    for leaf, part in entries:
        found[f"{part}/"] += leaf.count
    return found


def _cvat(entries: Dealt, product: str) -> Tree:
    return Tree({"images/": _pictures(entries), "annotations.xml": 1})


def _labelme(entries: Dealt, product: str) -> Tree:
    found = Tree()
    for leaf, part in entries:
        found[f"{part}/"] += 2 * leaf.count
    return found


def _matlab(entries: Dealt, product: str) -> Tree:
    found = Tree({"classes.txt": 1})
    for leaf, part in entries:
        for kind in ("images", "masks"):
            found[f"{part}/{kind}/"] += leaf.count
    return found


def _imagefolder(entries: Dealt, product: str) -> Tree:
    found = Tree(f"{part}/" for part in {part for _, part in entries})  # each has its table
    for leaf, part in entries:
        found[f"{part}/{filed(leaf.defects)}/"] += leaf.count
    found["masks/"] = _pictures(entries) if any(leaf.defects for leaf, _ in entries) else 0
    return found


def _captioned(entries: Dealt, product: str) -> Tree:
    found = Tree()
    for leaf, part in entries:
        found[f"{part}/{filed(leaf.defects)}/"] += 2 * leaf.count
    return found


def _shards(entries: Dealt, size: int = SHARD) -> Tree:
    counts = Counter[Part]()
    for leaf, part in entries:
        counts[part] += leaf.count
    shards = [shard_name(part, number) for part in PARTS for number in range(-(-counts[part] // size))]
    return Tree({**{f"{name}.tar": 1 for name in shards}, "manifest/": len(shards), SHARD_LIST: 1})


def shard_name(part: Part, number: int) -> str:
    """Without ending."""
    return f"{part}-{number:06d}"


def _lists() -> Tree:
    """A list of pictures for each part, in layouts that have no parts of their own."""
    return Tree(f"{part}.txt" for part in PARTS)


def _pictures(entries: Dealt) -> int:
    return sum(leaf.count for leaf, _ in entries)


LAYOUTS: dict[str, Layout] = {
    # The only place this tree has for defects is its test.
    "mvtec": Layout("MVTec AD tree", _mvtec, first=("test", "train", "val"), needs_good=True, one_mask=True),
    "coco": Layout("COCO", _coco),
    "yolo-seg": Layout("YOLO, outlines", _yolo),
    "yolo": Layout("YOLO, boxes", _yolo),
    "voc": Layout("Pascal VOC", _voc),
    "folder": Layout("plain folder", _folder, beside="good/"),
    "defectfill": Layout("DefectFill tree", _defectfill, one_mask=True),
    # Its table of one class trains on good pictures alone, as MVTec AD does.
    "visa": Layout(
        "VisA tree",
        _visa,
        first=("test", "train", "val"),
        needs_good=True,
        one_mask=True,
        loses="VisA has no validation part: those pictures are there, but stand in no table of parts",
    ),
    "magnetic_tile": Layout(
        "magnetic tile folders",
        _magnetic_tile,
        one_mask=True,
        loses="the pictures are 8-bit JPEG, as this layout wants them, and no longer pixel for pixel the run's",
    ),
    "deeppcb": Layout(
        "DeepPCB",
        _deeppcb,
        beside=f"{BOARDS}/",
        needs_good=True,
        loses="DeepPCB holds boxes, no masks, and one list for training and validation",
    ),
    "elpv": Layout("ELPV", _elpv, loses="ELPV says whether a picture shows a defect, but not which, and not where"),
    "sagemaker": Layout(
        "SageMaker Ground Truth",
        _sagemaker,
        loses="the manifests hold boxes, no masks, and name pictures by their place in this folder: upload it, and put "
        "s3://BUCKET/ before each source-ref",
    ),
    "cvat": Layout("CVAT for images 1.1", _cvat),
    "labelme": Layout("LabelMe", _labelme),
    "matlab": Layout(
        "MATLAB masks",
        _matlab,
        loses="an array holds one number a pixel: where areas overlap, the later one covers the earlier",
    ),
    "imagefolder": Layout("imagefolder of Hugging Face", _imagefolder, one_mask=True),
    "captioned": Layout("pictures with captions", _captioned, loses="captions say what is seen: there are no masks"),
    "webdataset": Layout("webdataset shards", lambda entries, product: _shards(entries), sharded=True),
}
