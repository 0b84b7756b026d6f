"""The magnetic tiles of Huang et al.: in MT_<defect>/Imgs each picture is a JPEG, its mask a PNG of that name.

So the pictures cannot stay PNG. They are written at the best quality with their colours at full resolution, in 8 bits.
Good pictures go to MT_Free with a black mask, as theirs do. The tree has no parts: train.txt, val.txt and test.txt
tell them.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from pipelines.core import images, layouts
from pipelines.core.errors import Problem
from pipelines.parts.exporters.book import (
    Book,
    Entry,
    File,
    Files,
    Picture,
    ahead,
    lists_files,
    mask_png,
    pairs_file,
    read,
    spare,
)

FREE = "Free"
BEST = [
    cv2.IMWRITE_JPEG_QUALITY, 100,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]  # fmt: skip


def save(entries: Sequence[Entry], book: Book) -> Files:
    """MT_<defect>/Imgs/x.jpg and x.png. Raises BadInput for a defect that is named as the good ones' folder is."""
    spare(book, {FREE.casefold()}, layouts.LAYOUTS["magnetic_tile"].title)

    def one(entry: Entry) -> list[File]:
        picture = read(entry)
        black = np.zeros((picture.height, picture.width), bool)
        mask = mask_png(entry.sample, picture) if entry.sample else images.encode_png(black)
        place = _place(entry)
        return [File(place, _jpeg(picture, entry.stem)), File(place.removesuffix(".jpg") + ".png", mask)]

    yield from ahead(one, entries)
    yield lists_files(entries, _place)
    yield pairs_file(book, entries, _place)


def _place(entry: Entry) -> str:
    shown = layouts.shown(entry.sample.defects) if entry.sample else FREE
    return f"MT_{shown.removeprefix('MT_')}/Imgs/{entry.stem}.jpg"


def _jpeg(picture: Picture, name: str) -> bytes:
    pixels = images.smaller(images.decode(picture.png, name).pixels, max(picture.height, picture.width))
    done, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels, BEST)
    if not done:
        raise Problem(f"{name} could not be written as JPEG: choose another format")
    return data.tobytes()
