"""The magnetic tiles of Huang et al.: in MT_<defect>/Imgs each picture is a JPEG, its mask a PNG of that name."""

from collections.abc import Iterator
from pathlib import Path

from pipelines.parts.loaders import tree
from pipelines.parts.loaders.example import Example
from pipelines.parts.loaders.tree import Report

FREE = "MT_Free"


def fits(root: Path) -> bool:
    return any((folder / "Imgs").is_dir() for folder in root.glob("MT_*"))


def load(root: Path, report: Report) -> Iterator[Example]:
    """Defects are called as their folders are; MT_Free is good, and its masks are black. There are no parts."""
    for folder in sorted(root.glob("MT_*")):
        files = tree.pictures(folder / "Imgs")
        masks = [path for path in files if path.suffix.lower() == ".png"]
        images = [path for path in files if path.suffix.lower() != ".png"]
        good = folder.name == FREE
        for image, mask in tree.matched(images, masks, root, report, good=good):
            yield Example(image, mask, defect="" if good else folder.name)
