"""How large a picture becomes: what was asked, what the base can, and the shape of the picture it is made from."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.requests import Text

MOST = 8
WHOLE_PX = 8
"""What diffusers' pipelines want of a side, whatever the autoencoder."""
LEAST = 2


@dataclass(frozen=True)
class Size:
    """Height and width in pixels."""

    height: int
    width: int
    note: str = ""
    """A sentence where it is not what was asked for."""

    @property
    def pair(self) -> tuple[int, int]:
        return self.height, self.width


def of(request: Text, resolution: int, side_px: int, shape: tuple[int, int] | None) -> Size:
    """The size for a request; `shape` is (height, width) of the picture to start from.

    What was not asked for follows the picture's shape, with as many pixels as the base was made for; without a picture
    it is the base's own square.
    """
    width, height = request.width, request.height
    if width is None and height is None:
        return Size(*like(shape or (1, 1), resolution, side_px))
    side_px = math.lcm(side_px, WHOLE_PX)
    ratio = shape[1] / shape[0] if shape else 1.0
    if width is None:
        assert height is not None
        width = round(height * ratio) if shape else resolution
    if height is None:
        height = round(width / ratio) if shape else resolution
    found = Size(_whole(height, side_px), _whole(width, side_px))
    asked = (request.height or found.height, request.width or found.width)
    if asked == found.pair:
        return found
    return Size(
        found.height,
        found.width,
        f"{asked[1]} x {asked[0]} px became {found.width} x {found.height}: this base makes multiples of {side_px} px",
    )


def like(shape: tuple[int, ...], resolution: int, side_px: int) -> tuple[int, int]:
    """Height and width in the proportions of `shape`, with as many pixels as a base of this resolution is made for."""
    side_px, ratio = math.lcm(side_px, WHOLE_PX), shape[1] / shape[0]
    return _whole(resolution / ratio**0.5, side_px), _whole(resolution * ratio**0.5, side_px)


def _whole(length: float, side_px: int) -> int:
    return max(LEAST, round(length / side_px)) * side_px


def fitted(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """float32 HxWx3 brought to (height, width): scaled until it covers that, and cut to its middle."""
    height, width = values.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    large = (max(size[1], round(width * scale)), max(size[0], round(height * scale)))
    if (width, height) != large:
        values = cv2.resize(values, large, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = (large[1] - size[0]) // 2, (large[0] - size[1]) // 2
    return values[top : top + size[0], left : left + size[1]].clip(0, 1)


def at_once(device: str) -> int:
    """How many pictures are made together: eight on a GPU, which idles on one alone.

    On a CPU one: real sizes gain next to nothing there, a picture alone can be made again to the byte (in a batch the
    sums are rounded otherwise, by a grey level at most), and running out of main memory raises nothing, it kills.
    """
    return MOST if device != "cpu" else 1
