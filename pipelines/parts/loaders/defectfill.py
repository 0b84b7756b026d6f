"""The tree of DefectFill's public code: train/defective/<type>/000.png, train/defective_masks/<type>/000_mask.png."""

from collections.abc import Iterator
from pathlib import Path

from pipelines.core.splits import PARTS
from pipelines.parts.loaders import tree
from pipelines.parts.loaders.example import Example
from pipelines.parts.loaders.tree import Report


def fits(root: Path) -> bool:
    return any((root / part / "defective").is_dir() for part in PARTS)


def load(root: Path, report: Report) -> Iterator[Example]:
    """Good pictures lie in train/good, where there are any."""
    for part in PARTS:
        for image in tree.pictures(root / part / "good"):
            yield Example(image, part=part, group=tree.group(image, root))
        pictures, masks = root / part / "defective", root / part / "defective_masks"
        for kind in sorted({folder.name for place in (pictures, masks) for folder in tree.folders(place)}):
            pairs = tree.matched(tree.pictures(pictures / kind), tree.pictures(masks / kind), root, report)
            for image, mask in pairs:
                yield Example(image, mask, defect=kind, part=part, group=tree.group(image, root))
