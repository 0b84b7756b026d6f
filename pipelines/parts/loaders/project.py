"""The pictures of a project as examples, with the class, the mask, the boxes and the caption it knows of each."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from pipelines.core import projects
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput
from pipelines.core.records import USED, Record
from pipelines.parts import packed
from pipelines.parts.loaders.example import Box, Example, Part
from pipelines.parts.loaders.tree import Report


def load(id: str, assets: Assets) -> list[Example]:
    """In the project's order, without what was left out; a picture whose areas have masks of their own is one example
    for each of its kinds. Raises Missing, and BadInput where there are none.
    """
    store = projects.Projects(assets.runs)
    found = [one for record in store.records(id).page(USED) for one in examples(record, assets)]
    if not found:
        raise BadInput(f"the project {store.get(id).name} holds no picture: add some under Data", "data")
    return found


def load_packed(root: Path, report: Report) -> Iterator[Example]:
    """The pictures of a packed project, without those left out, by the files that came with it."""
    for line in packed.lines(root):
        if not line.record.out:
            yield from _labelled(line.record, partial(packed.found, root))


def examples(record: Record, assets: Assets) -> list[Example]:
    """A picture's labels. Raises Missing for a file that is gone."""
    return _labelled(record, lambda id: assets.get(id).path)


def _labelled(record: Record, where: Callable[[str], Path]) -> list[Example]:
    boxes = json.loads(record.boxes or "[]")
    whole = Example(
        where(record.asset),
        where(record.mask) if record.mask else None,
        tuple(box(one) for one in boxes if not one.get("mask")),
        record.defect,
        record.caption,
        cast(Part, record.part),
        record.origin or record.asset,
    )
    drawn = [
        replace(whole, mask=where(one["mask"]), boxes=(), defect=str(one["defect"])) for one in boxes if one.get("mask")
    ]
    return [*drawn, *([whole] if whole.mask or whole.boxes or not drawn else [])]


def box(data: Mapping[str, Any]) -> Box:
    """A box as records keep it, JSON of `kept`."""
    outline = tuple((float(x), float(y)) for x, y in data.get("outline", ()))
    x0, y0, x1, y1 = (int(data[name]) for name in ("x0", "y0", "x1", "y1"))
    return Box(x0, y0, x1, y1, str(data["defect"]), outline)


def kept(box: Box) -> dict[str, Any]:
    """A box as records keep it. Its runs are not among it: what is no outline is kept as a mask."""
    said: dict[str, Any] = {"x0": box.x0, "y0": box.y0, "x1": box.x1, "y1": box.y1, "defect": box.defect}
    return {**said, "outline": [list(corner) for corner in box.outline]} if box.outline else said
