"""The MVTec AD tree of one product, and ours, which has defects to train on as well. See parts/exporters/mvtec."""

from collections.abc import Iterator
from pathlib import Path

from pipelines.core import layouts
from pipelines.parts.loaders import tree
from pipelines.parts.loaders.example import Example
from pipelines.parts.loaders.tree import Report


def fits(root: Path) -> bool:
    """A folder of defects with one of masks, or with good pictures to train on."""
    good = any(tree.pictures(root / place) for place in layouts.MVTEC_GOOD.values())
    return any(
        (tree.folders(root / pictures) and (good or (root / masks).is_dir()))
        for pictures, masks in layouts.MVTEC_DEFECTS.values()
    )


def load(root: Path, report: Report) -> Iterator[Example]:
    """test/<defect>/000.png with ground_truth/<defect>/000_mask.png, train/good, and the parts of an export of ours."""
    for part, (pictures, masks) in layouts.MVTEC_DEFECTS.items():
        good = root / layouts.MVTEC_GOOD[part]
        if good.parent != root / pictures:
            for image in tree.pictures(good):
                yield Example(image, part=part, group=tree.group(image, root))
        kinds = sorted({folder.name for place in (pictures, masks) for folder in tree.folders(root / place)})
        for kind in kinds:
            well = kind.lower() == "good"
            pairs = tree.matched(
                tree.pictures(root / pictures / kind), tree.pictures(root / masks / kind), root, report, good=well
            )
            for image, mask in pairs:
                group = tree.group(image, root)
                yield Example(image, mask, defect="" if well else kind, part=part, group=group)
