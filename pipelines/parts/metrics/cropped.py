"""The crop-paste reference: a real defect cut out of its picture, turned, and pasted on another with a soft edge.

What a synthetic defect has to beat. Does not match colour, light or grain: that is what it is a reference for.
"""

import cv2
import numpy as np

from pipelines.core import images
from pipelines.core.errors import BadInput
from pipelines.core.noise import rng
from pipelines.parts import crop

FEATHER_PX = 3
TRIES = 200


def paste(
    picture: np.ndarray, donor: np.ndarray, mask: np.ndarray, seed: int, legal: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(the picture with the donor's defect on it, bool HxW where): any angle, anywhere inside `legal`.

    Pictures are HxW or HxWx3, uint8 or uint16; the donor's `mask` and the picture's `legal` bool, as large as each.
    Raises BadInput where the cut-out finds no room.
    """
    random = rng(seed, "crop-paste")
    room = np.ones(picture.shape[:2], bool) if legal is None else legal
    box = crop.around(mask, FEATHER_PX + 1)
    cut = images.to_float(donor[box.window], images.white(donor))
    for _ in range(TRIES):
        turned, shape = _turned(cut, mask[box.window], float(random.uniform(0, 360)))
        tall, wide = room.shape[0] - shape.shape[0], room.shape[1] - shape.shape[1]
        if tall < 0 or wide < 0:
            continue
        top, left = int(random.integers(tall + 1)), int(random.integers(wide + 1))
        place = slice(top, top + shape.shape[0]), slice(left, left + shape.shape[1])
        if room[place][shape].all():
            return _laid(picture, turned, shape, place)
    raise BadInput(
        f"a cut-out of {box.right - box.left} x {box.bottom - box.top} px finds no room on a picture of"
        f" {room.shape[1]} x {room.shape[0]} px: take a smaller defect, or a larger picture"
    )


def _turned(cut: np.ndarray, mask: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """The cut-out and its mask turned, in a frame that holds the mask and its feather."""
    height, width = mask.shape
    side = int(np.ceil(np.hypot(height, width))) + 2
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    turn[:, 2] += ((side - width) / 2, (side - height) / 2)
    pixels = cv2.warpAffine(cut, turn, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    share = cv2.warpAffine(mask.astype(np.float32), turn, (side, side), flags=cv2.INTER_LINEAR)
    shape = share >= min(0.5, 0.5 * float(share.max()))  # a line one pixel wide is never more than half covered
    box = crop.around(shape, FEATHER_PX)
    return pixels[box.window], shape[box.window]


def _laid(
    picture: np.ndarray, cut: np.ndarray, shape: np.ndarray, place: tuple[slice, slice]
) -> tuple[np.ndarray, np.ndarray]:
    white = images.white(picture)
    under = images.to_float(picture[place], white)
    weight = crop.feather(shape, FEATHER_PX)[..., None]
    pasted, whole = picture.copy(), np.zeros(picture.shape[:2], bool)
    pasted[place] = images.from_float(under + weight * (cut - under), like=picture, white=white)
    whole[place] = shape
    return pasted, whole
