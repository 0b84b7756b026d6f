"""The pictures of a project as samples, to leave as a data set. Knows records and samples; no format."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipelines.core import images
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput
from pipelines.core.projects import Projects
from pipelines.core.records import USED, Record
from pipelines.parts.datasets import Region, Sample
from pipelines.parts.loaders import project
from pipelines.parts.loaders.example import Example
from pipelines.parts.loaders.reading import filled


def load(id: str, assets: Assets, drawn: Path) -> Iterator[Sample]:
    """Its pictures, without those left out. A box becomes a mask in the folder `drawn`: the box, filled.

    Raises Missing, and BadInput where there are none or where a defect is named and not marked.
    """
    store, count = Projects(assets.runs), 0
    for record in store.records(id).page(USED):
        count += 1
        yield _sample(record, project.examples(record, assets), id, drawn / record.asset)
    if not count:
        raise BadInput(f"the project {store.get(id).name} holds no picture: add some under Data", "data")


def _sample(record: Record, examples: list[Example], id: str, drawn: Path) -> Sample:
    regions = [Region(one.mask, one.defect) for one in examples if one.mask]
    boxes = [box for one in examples for box in one.boxes]
    image = examples[0].image
    if record.defect and not regions and not boxes:
        raise BadInput(
            f"{record.name} shows {record.defect} and nothing is marked on it: draw its mask, or leave it out", "data"
        )
    if boxes or len(regions) > 1:
        pixels = images.read(image, name=record.name).pixels
        shape = (pixels.shape[0], pixels.shape[1])
        drawn.mkdir(parents=True, exist_ok=True)
        for place, box in enumerate(boxes, 1):
            path = drawn / f"{place}.png"
            _write(path, filled((box,), shape))
            regions.append(Region(path, box.defect))
        whole = np.any([images.read_mask(one.mask, shape) for one in regions], axis=0)
        _write(drawn / "all.png", whole)
    mask = drawn / "all.png" if len(regions) > 1 or boxes else regions[0].mask if regions else None
    facts = {"caption": record.caption} if record.caption else {}
    return Sample(id, image, mask, tuple(regions), None, facts, record.origin or record.asset)


def _write(path: Path, mask: np.ndarray) -> None:
    images.write_png(path, mask.astype(np.uint8) * 255)
