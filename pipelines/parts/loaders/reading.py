"""From an example to its mask: a file read as its `Reading` says, else boxes filled. Knows no layout."""

import cv2
import numpy as np

from pipelines.core import decoders, images
from pipelines.core.errors import BadInput
from pipelines.parts.loaders.example import Box, Example, Reading

OTHER = 48
"""By how many of 255 levels a colour differs from the background's in some channel: beyond what JPEG adds to it."""


def mask_of(example: Example, shape: tuple[int, int]) -> np.ndarray:
    """bool HxW of its picture's (height, width): True where the defect is; all False for a good picture.

    A picture that somebody chose to use without its mask is all False too. Raises BadInput for a mask that is damaged
    or of another size; Missing.
    """
    if example.mask is not None:
        pixels = images.read(example.mask).pixels
        found = placed(marked(pixels, example.reading), example.reading, shape)
        if found.shape != shape:
            raise BadInput(
                f"mask {example.mask.name} is {found.shape[1]} x {found.shape[0]} px and {example.image.name}"
                f" {shape[1]} x {shape[0]}: draw it on that very picture",
                "mask",
            )
        return found
    return filled(example.boxes, shape)


def marked(pixels: np.ndarray, reading: Reading) -> np.ndarray:
    """bool HxW of a mask's pixels, HxW or HxWx3 of uint8 or uint16, by `marks` and `inverted` alone."""
    if reading.marks == "index":
        found = pixels == reading.index if reading.index and pixels.ndim == 2 else np.zeros(pixels.shape[:2], bool)
    elif reading.marks == "bright" or _grey(pixels):
        level = np.iinfo(pixels.dtype).max // 2 if reading.marks == "bright" or pixels.ndim == 3 else 0
        found = (pixels.max(axis=2) if pixels.ndim == 3 else pixels) > level
    else:
        rim = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        colours, counts = np.unique(rim, axis=0, return_counts=True)
        background = colours[np.argmax(counts)].astype(np.int32)
        unit = np.iinfo(pixels.dtype).max // 255
        found = np.abs(pixels.astype(np.int32) - background).max(axis=2) > OTHER * unit
    return ~found if reading.inverted else np.asarray(found)


def placed(mask: np.ndarray, reading: Reading, shape: tuple[int, int]) -> np.ndarray:
    """A mask turned as its picture was, and made as large where the reading says so."""
    if reading.turned != 1:
        mask = mask.T if reading.turned >= 5 else mask
        flip = decoders.FLIPS[reading.turned]
        mask = mask if flip is None else cv2.flip(mask.astype(np.uint8), flip) > 0
    if reading.scaled and mask.shape != shape:
        mask = cv2.resize(mask.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT) > 0
    return mask


def filled(boxes: tuple[Box, ...], shape: tuple[int, int]) -> np.ndarray:
    """bool HxW: rectangles and polygons, as far as they lie inside."""
    found = np.zeros(shape, bool)
    for box in boxes:
        left, top = max(box.x0, 0), max(box.y0, 0)
        window = found[top : max(box.y1, 0), left : max(box.x1, 0)]
        window |= _polygon(box, left, top, window.shape) if box.outline and window.size else True
    return found


def _polygon(box: Box, left: int, top: int, shape: tuple[int, ...]) -> np.ndarray:
    """The pixels of a window whose centres lie in the outline.

    At twice the size a pixel's edges are at even places and its centre at an odd one, so that drawing the outline too
    adds nothing; corners that our YOLO files put inside their pixels come to lie on its edge or its centre.
    """
    twice = np.zeros((2 * shape[0] + 1, 2 * shape[1] + 1), np.uint8)
    corners = np.rint((np.array(box.outline) - (left, top)) * 2).clip(-(2**15), 2**15).astype(np.int32)
    cv2.fillPoly(twice, [corners], 1)
    return twice[1::2, 1::2] > 0


def _grey(pixels: np.ndarray) -> bool:
    """Grey, or grey three times over."""
    return pixels.ndim == 2 or bool(
        (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all()
    )
