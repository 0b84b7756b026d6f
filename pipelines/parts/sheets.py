"""Many pictures on one sheet, to be looked at together: as they come, or in rows and columns with labels.

Thumbnails are never enlarged: a small picture stays small in its cell. Knows nothing of runs or of what is shown.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from pipelines.core import images
from pipelines.core.errors import BadInput

GAP_PX = 8
PAPER, INK = (245, 245, 245), (40, 40, 40)
TEXT_PX, LINE_PX = 14, 22


def contact(pictures: Sequence[np.ndarray], captions: Sequence[str] | None = None, side: int = 256) -> np.ndarray:
    """uint8 RGB sheet of thumbnails of at most `side` px, ceil(sqrt(n)) to a row, a caption under each where given.

    Pictures are HxW or HxWx3; uint8, uint16 or bool. Raises BadInput without a picture, ValueError where the captions
    are of another number.
    """
    words = [""] * len(pictures) if captions is None else captions
    line = LINE_PX if captions is not None else 0
    cells = [_under(cell, text, line) for cell, text in zip(_cells(pictures, side), words, strict=True)]
    columns = math.ceil(math.sqrt(len(cells)))
    return _laid([cells[first : first + columns] for first in range(0, len(cells), columns)])


def grid(
    rows: Sequence[Sequence[np.ndarray]], row_labels: Sequence[str], column_labels: Sequence[str], side: int = 256
) -> np.ndarray:
    """uint8 RGB sheet with a label before each row and above each column; pictures as in `contact`.

    Raises BadInput without a picture, ValueError where a row is longer or shorter than the labels say.
    """
    cells = iter(_cells([picture for row in rows for picture in row], side))
    laid = [[next(cells) for _ in zip(row, column_labels, strict=True)] for row in rows]
    tall, wide = laid[0][0].shape[:2]
    margin = max(min(_length(label), side) for label in row_labels)
    heads = [_text(label, wide, LINE_PX) for label in column_labels]
    table = [[_text("", margin, LINE_PX), *heads]] if any(column_labels) else []
    table += [[_text(label, margin, tall), *row] for label, row in zip(row_labels, laid, strict=True)]
    return _laid(table)


def _cells(pictures: Sequence[np.ndarray], side: int) -> list[np.ndarray]:
    """Thumbnails in the middle of cells of one size."""
    if not len(pictures):
        raise BadInput("there is no picture to put on a sheet: give one at least")
    small = [_coloured(images.smaller(one, side)) for one in pictures]
    tall, wide = (max(one.shape[axis] for one in small) for axis in (0, 1))
    cells = []
    for one in small:
        cell = _paper(tall, wide)
        top, left = (tall - one.shape[0]) // 2, (wide - one.shape[1]) // 2
        cell[top : top + one.shape[0], left : left + one.shape[1]] = one
        cells.append(cell)
    return cells


def _coloured(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if pixels.ndim == 2 else pixels


def _laid(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Cells in rows, of one height in a row and one width in a column, with gaps between and around."""
    heights = [row[0].shape[0] for row in rows]
    widths = [cell.shape[1] for cell in rows[0]]
    sheet = _paper(sum(heights) + GAP_PX * (len(rows) + 1), sum(widths) + GAP_PX * (len(widths) + 1))
    top = GAP_PX
    for row, height in zip(rows, heights, strict=True):
        left = GAP_PX
        for cell in row:
            sheet[top : top + height, left : left + cell.shape[1]] = cell
            left += cell.shape[1] + GAP_PX
        top += height + GAP_PX
    return sheet


def _under(cell: np.ndarray, text: str, line: int) -> np.ndarray:
    return np.vstack([cell, _text(text, cell.shape[1], line)]) if line else cell


def _text(text: str, wide: int, tall: int) -> np.ndarray:
    """One line in the middle of a cell's height; what does not fit is cut and says so."""
    shown = text = " ".join(text.split())
    while len(text) and _length(shown) > wide:
        text = text[:-1]
        shown = text.rstrip() + "…"
    cell = _paper(tall, max(wide, 1))
    if text:
        cv2.putText(cell, shown, (0, (tall + TEXT_PX) // 2 - 2), INK, _font(), TEXT_PX)
    return cell


def _length(text: str) -> int:
    """In pixels."""
    return int(cv2.getTextSize((0, 0), text, (0, 0), _font(), TEXT_PX)[2]) + 1 if text else 0


def _font() -> cv2.FontFace:
    """OpenCV's own, with the letters of every language that the page speaks; its older fonts have ASCII alone."""
    return cv2.FontFace("sans")


def _paper(tall: int, wide: int) -> np.ndarray:
    return np.full((tall, wide, 3), PAPER, np.uint8)
