"""A finished run of the studio as a data set. Knows its folder by parts/datasets alone."""

from collections.abc import Iterator
from pathlib import Path

from pipelines.core import layouts
from pipelines.parts import datasets
from pipelines.parts.loaders.example import Example
from pipelines.parts.loaders.tree import Report


def fits(root: Path) -> bool:
    return (root / "manifest.jsonl").is_file() and (root / "images").is_dir()


def load(root: Path, report: Report) -> Iterator[Example]:
    """Pictures that were discarded in review stay out. Raises Missing, BadInput."""
    for sample in datasets.load_run(root):
        defect = layouts.shown(sample.defects) if sample.defects else ""
        caption = str(sample.facts.get("caption") or "")
        yield Example(sample.image, sample.mask, defect=defect, caption=caption, group=sample.origin)
