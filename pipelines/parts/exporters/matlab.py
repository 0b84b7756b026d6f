"""MATLAB masks: <part>/images/x.png and <part>/masks/x.mat, whose array `mask` holds 0 for good and else the class.

Line k + 1 of classes.txt names class k; the first says background. Where two areas overlap, the later one lies on top.
"""

import io
from collections.abc import Sequence

import numpy as np

from pipelines.parts.exporters.book import Book, Entry, File, Files, Picture, ahead, lines_file, pairs_file, read

ABOUT = b"MATLAB 5.0 MAT-file, exported by Flawsmith"
ABOUT_BYTES = 116
"""A file begins with so many bytes for a person to read."""


def save(entries: Sequence[Entry], book: Book) -> Files:
    """A good picture has an array of zeros."""

    def one(entry: Entry) -> list[File]:
        picture = read(entry)
        return [
            File(_place(entry), picture.png),
            File(f"{entry.part}/masks/{entry.stem}.mat", mat(_numbers(picture, book))),
        ]

    yield from ahead(one, entries)
    yield [lines_file("classes.txt", ["background", *book.classes])]
    yield pairs_file(book, entries, _place)


def _place(entry: Entry) -> str:
    return f"{entry.part}/images/{entry.stem}.png"


def _numbers(picture: Picture, book: Book) -> np.ndarray:
    kind = np.uint8 if len(book.classes) < 256 else np.uint16
    found = np.zeros((picture.height, picture.width), kind)
    for defect, mask in picture.masks:
        found[mask] = book.number(defect) + 1
    return found


def mat(array: np.ndarray) -> bytes:
    """An array as `mask` in a file of version 5, which scipy would date."""
    from scipy.io import savemat  # half a second, for a format that few ask for

    data = io.BytesIO()
    savemat(data, {"mask": array}, do_compression=True)
    return ABOUT.ljust(ABOUT_BYTES) + data.getvalue()[ABOUT_BYTES:]
