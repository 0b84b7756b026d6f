"""The pictures of a data set, a run or a project, and where each of their defects lies. Reads no pixel of a picture."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipelines.core import datasets, files, headers, ids, projects
from pipelines.core.assets import Assets
from pipelines.parts import loaders
from pipelines.parts.loaders import Example, paired

Area = tuple[np.ndarray, str]
"""bool HxW, and what the defect is called."""


@dataclass(frozen=True)
class Seen:
    """One picture of the data set, without its pixels."""

    path: Path
    shape: tuple[int, int]
    examples: tuple[Example, ...]

    @property
    def caption(self) -> str:
        return next((one.caption for one in self.examples if one.caption), "")

    @property
    def unmarked(self) -> bool:
        """Whether it shows a defect and nobody says where."""
        return any(one.classes and one.mask is None and not one.boxes for one in self.examples)

    def areas(self) -> list[Area]:
        """Its defects, a mask for each kind. Raises BadInput for a mask that is damaged or of another size."""
        found: dict[str, np.ndarray] = {}
        for one in self.examples:
            kinds = {name: tuple(box for box in one.boxes if box.defect == name) for name in one.classes}
            parts = [one] if one.mask is not None else [replace(one, boxes=boxes) for boxes in kinds.values()]
            for part, kind in zip(parts, [one.defect] if one.mask is not None else kinds, strict=True):
                mask = loaders.mask_of(part, self.shape)
                if mask.any():
                    kind = kind or paired.DEFECT
                    found[kind] = found[kind] | mask if kind in found else mask
        return [(mask, kind) for kind, mask in found.items()]


def read(data: str, layout: str, assets: Assets) -> tuple[str, list[Seen]]:
    """What the data set is called where its place says nothing, and its pictures by path. Raises BadInput, Missing."""
    if projects.ID.fullmatch(data):
        name = "project"
    else:
        folder = datasets.folder(data, assets.runs).name
        name = "run" if ids.RUN.fullmatch(folder) else folder
    grouped: dict[Path, list[Example]] = {}
    for example in loaders.named(data, layout, assets):
        grouped.setdefault(example.image, []).append(example)
    return name, [Seen(path, _shape(path), tuple(same)) for path, same in sorted(grouped.items())]


def _shape(path: Path) -> tuple[int, int]:
    with files.reading(path, path.name) as file:
        header = headers.read(file, path.name)
    return header.height, header.width
