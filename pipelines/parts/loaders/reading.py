"""From an example to its mask: a file read as its `Reading` says, else boxes, outlines and runs filled.

Knows no layout.
"""

from pathlib import Path

import cv2
import numpy as np

from pipelines.core import decoders, images
from pipelines.core.errors import BadInput
from pipelines.parts.loaders.example import Box, Example, Reading, Runs

OTHER = 48
"""By how many of 255 levels a colour differs from the background's in some channel: beyond what JPEG adds to it."""


def mask_of(example: Example, shape: tuple[int, int]) -> np.ndarray:
    """bool HxW of its picture's (height, width): True where the defect is; all False for a good picture.

    A picture that somebody chose to use without its mask is all False too. Raises BadInput for a mask that is damaged
    or of another size; Missing.
    """
    if example.mask is not None:
        pixels = pixels_of(example.mask, example.reading)
        found = placed(marked(pixels, example.reading), example.reading, shape)
        if found.shape != shape:
            raise BadInput(
                f"mask {example.mask.name} is {found.shape[1]} x {found.shape[0]} px and {example.image.name}"
                f" {shape[1]} x {shape[0]}: draw it on that very picture",
                "mask",
            )
        return found
    for box in example.boxes:
        if box.runs is not None and (box.runs.height, box.runs.width) != shape:
            raise BadInput(
                f"the mask of {box.defect} is {box.runs.width} x {box.runs.height} px and {example.image.name}"
                f" {shape[1]} x {shape[0]}: draw it on that very picture",
                "mask",
            )
    return filled(example.boxes, shape)


def pixels_of(mask: Path, reading: Reading) -> np.ndarray:
    """The pixels of a mask file, HxW or HxWx3. One of colours may be drawn on nothing. Raises BadInput, Missing."""
    return images.read(mask, over_black=reading.marks == "colour").pixels


def marked(pixels: np.ndarray, reading: Reading) -> np.ndarray:
    """bool HxW of a mask's pixels, HxW or HxWx3 of uint8 or uint16, by `marks` and `inverted` alone."""
    if reading.marks == "index":
        found = pixels == reading.index if reading.index and pixels.ndim == 2 else np.zeros(pixels.shape[:2], bool)
    elif reading.marks == "colour":
        found = _coloured(pixels, reading)
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
    """bool HxW: rectangles and polygons, as far as they lie inside, and runs of that very size."""
    found = np.zeros(shape, bool)
    for box in boxes:
        if box.runs is not None:
            found |= unrolled(box.runs)
            continue
        left, top = max(box.x0, 0), max(box.y0, 0)
        window = found[top : max(box.y1, 0), left : max(box.x1, 0)]
        window |= _polygon(box, left, top, window.shape) if box.outline and window.size else True
    return found


def unrolled(runs: Runs) -> np.ndarray:
    """bool HxW."""
    lengths = np.frombuffer(runs.lengths, np.uint32)
    return np.repeat(np.arange(len(lengths)) % 2 > 0, lengths).reshape(runs.width, runs.height).T


def packed(pixels: np.ndarray) -> np.ndarray:
    """Colours as 0xRRGGBB, int32 HxW, of uint8 HxW or HxWx3."""
    wide = pixels.astype(np.int32)
    return wide * 0x010101 if wide.ndim == 2 else (wide[..., 0] << 16) + (wide[..., 1] << 8) + wide[..., 2]


def _coloured(pixels: np.ndarray, reading: Reading) -> np.ndarray:
    if pixels.dtype != np.uint8:
        pixels = (pixels >> 8).astype(np.uint8)
    found = packed(pixels)
    marked = np.asarray(found == reading.index)
    others = [other for other in reading.others if other != reading.index]
    blended = ~np.isin(found, [reading.index, *others]) if others else np.zeros_like(marked)
    if blended.any():
        colours = np.stack([found[blended] >> shift & 255 for shift in (16, 8, 0)], axis=1)

        def far(colour: int) -> np.ndarray:
            return np.asarray(((colours - (colour >> 16, colour >> 8 & 255, colour & 255)) ** 2).sum(axis=1))

        here = far(reading.index)
        marked[blended] = np.logical_and.reduce([here < far(other) for other in others])
    return marked


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
