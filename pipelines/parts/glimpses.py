"""A few pictures of a data set on one sheet, what is marked on them as outlines. Knows entries; no format."""

from collections.abc import Sequence

import cv2
import numpy as np

from pipelines.core import images, layouts
from pipelines.core.overlays import INK
from pipelines.parts import sheets
from pipelines.parts.datasets import Sample

SHOWN, SIDE_PX = 24, 192


def chosen(count: int) -> list[int]:
    """Which of so many pictures are shown: the same each time, evenly from the first to the last."""
    return sorted({place * count // min(count, SHOWN) for place in range(min(count, SHOWN))})


def sheet(samples: Sequence[Sample]) -> bytes:
    """JPEG of these samples, the name of what they show below each. Raises Missing, BadInput."""
    captions = [" + ".join(sample.defects) or layouts.NORMAL for sample in samples]
    drawn = sheets.contact([_outlined(sample) for sample in samples], captions, SIDE_PX)
    return images.thumbnail(drawn, max(drawn.shape[:2]))


def _outlined(sample: Sample) -> np.ndarray:
    """uint8 RGB, at most SIDE_PX wide and high."""
    picture = images.read(sample.image, name=f"{sample.image.name} of run {sample.run}").pixels
    small = images.smaller(picture, SIDE_PX)
    if small.ndim == 2:
        small = cv2.cvtColor(small, cv2.COLOR_GRAY2RGB)
    size = (small.shape[1], small.shape[0])
    for region in sample.regions:
        mask = images.read_mask(region.mask, (picture.shape[0], picture.shape[1]))
        # A pixel of the small one is marked when any of those it stands for is, so that a thin scratch stays.
        near = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
        lines, _ = cv2.findContours(near.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(small, lines, -1, INK, 1)
    return small
