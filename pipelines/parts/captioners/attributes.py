"""A caption out of the mask: how many, how large, where, which way they run, darker or brighter than around.

Measured, so that it says the same of the same mask every time, and needs no network. Knows numpy and cv2 only.
"""

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.parts import contours
from pipelines.parts.captioners import nouns
from pipelines.parts.captioners.seen import How, Seen

SIZES = ((0.002, "tiny"), (0.02, "small"), (0.1, ""), (0.3, "large"), (math.inf, "very large"))
"""Up to which share of the picture one piece is called so."""
LENGTHS = ((0.15, "short"), (0.6, ""), (math.inf, "long"))
"""Up to which share of the picture's short side one that is elongated is called so."""
ELONGATED = 3.0
"""From how many times as long as wide a piece has a direction."""
TOGETHER = 0.6
"""How far directions may differ and still be one: the length of their mean, 1 where all are parallel."""
SPAN = 2 / 3
"""From which share of a side a defect lies across the picture, and not in a part of it."""
CLOSE = 1 / 2
"""Up to which share of a side several pieces lie together."""
SPECK = 0.02
"""A piece below this share of the largest is not counted, nor one of fewer pixels than SPECK_PX."""
SPECK_PX = 4
AROUND = 0.03
"""Width of what counts as surroundings, as a share of the picture's short side."""
LEAST_LEVELS = 8.0
"""From how many grey levels of 255 the defect is darker or brighter than around it."""

PLACES = (
    ("in the upper left", "at the top", "in the upper right"),
    ("on the left", "in the middle", "on the right"),
    ("in the lower left", "at the bottom", "in the lower right"),
)
ACROSS = ("across the top", "across the middle", "across the bottom")
DOWN = ("down the left side", "down the middle", "down the right side")
EVERYWHERE = "across the whole picture"
SPREAD = "spread over the picture"


@dataclass(frozen=True)
class Attributes:
    """What a mask says of its defect. A word is "" where there is nothing to say."""

    count: int
    """Pieces that hang together."""
    share: float
    """Of the picture, 0..1, all pieces together."""
    size: str
    """Of one piece: an adjective of SIZES, or of LENGTHS for elongated ones."""
    place: str
    direction: str
    """Which way it runs; "" unless it is elongated."""
    contrast: str
    """"darker", "brighter" or ""."""


def caption(seen: Seen) -> str:
    """One sentence for a picture. Without a mask, or with an empty one, only what is known by name is said.

    Raises BadInput where the mask has another size than the picture.
    """
    start = f"a photo of {nouns.phrase(nouns.called(seen.product) or 'part')}"
    noun = nouns.called(seen.defect)
    if seen.mask is None or not seen.mask.any():
        if noun:
            return f"{start} with {nouns.phrase(noun)}"
        return start if seen.mask is None else f"{start} without a defect"
    found = measured(seen.picture, seen.mask)
    noun = noun or "defect"
    said = f"{start} with {nouns.phrase(noun, found.count, found.size)} {found.place}"
    if found.direction:
        said += f", {found.direction}"
    if found.contrast:
        its = "their" if found.count > 1 or nouns.plural(noun) else "its"
        said += f", {found.contrast} than {its} surroundings"
    return said


def captions(seen: Sequence[Seen], how: How, models: Models) -> list[str]:
    """`caption` of each."""
    return [caption(one) for one in seen]


def measured(picture: np.ndarray, mask: np.ndarray) -> Attributes:
    """Attributes of a bool HxW mask that is not empty, on a picture uint8 HxWx3. Raises BadInput."""
    if mask.shape != picture.shape[:2]:
        sizes = [f"{one.shape[1]} x {one.shape[0]}" for one in (mask, picture)]
        raise BadInput(f"the mask has {sizes[0]} px and its picture {sizes[1]}: they must be equal", "mask")
    if not mask.any():
        raise BadInput("the mask is empty: there is nothing to measure", "mask")
    pieces = _pieces(mask)
    share = float(mask.mean())
    long = [piece for piece in pieces if piece.elongation >= ELONGATED]
    area = sum(piece.area for piece in pieces)
    elongated = 2 * sum(piece.area for piece in long) > area
    if elongated:
        size = _word(LENGTHS, max(piece.length for piece in long) / min(mask.shape))
    else:
        size = _word(SIZES, area / mask.size / len(pieces))
    return Attributes(
        len(pieces),
        share,
        size,
        _place(pieces, mask.shape),
        _direction(long) if elongated else "",
        _contrast(picture, mask),
    )


@dataclass(frozen=True)
class _Piece:
    """One part of a mask that hangs together: pixels, centre, box, and its axes by second moments."""

    area: int
    centre: tuple[float, float]
    """x, y."""
    box: tuple[int, int, int, int]
    """left, top, right, bottom, the latter just past the last pixel."""
    length: float
    """In px: of a rectangle with these moments."""
    elongation: float
    angle: float
    """Of the long axis, radians."""


def _pieces(mask: np.ndarray) -> list[_Piece]:
    """The pieces that count, the largest first."""
    left, top, right, bottom = contours.box(mask)
    window = np.ascontiguousarray(mask[top:bottom, left:right], np.uint8)
    count, labels, stats, centres = cv2.connectedComponentsWithStats(window, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    rows, columns = np.nonzero(window)
    of = labels[rows, columns]
    x, y = columns - centres[of, 0], rows - centres[of, 1]
    # A pixel is a square and no point, hence the twelfth: a line one pixel wide has a width too.
    xx, xy, yy = (
        np.bincount(of, product, count) / np.maximum(areas, 1) + more
        for product, more in ((x * x, 1 / 12), (x * y, 0.0), (y * y, 1 / 12))
    )
    largest = int(areas[1:].max())
    least = max(SPECK * largest, min(SPECK_PX, largest))
    found = []
    for at in range(1, count):
        if areas[at] < least:
            continue
        middle, apart = (xx[at] + yy[at]) / 2, math.hypot((xx[at] - yy[at]) / 2, xy[at])
        begins = left + int(stats[at, cv2.CC_STAT_LEFT]), top + int(stats[at, cv2.CC_STAT_TOP])
        wide, high = int(stats[at, cv2.CC_STAT_WIDTH]), int(stats[at, cv2.CC_STAT_HEIGHT])
        found.append(
            _Piece(
                int(areas[at]),
                (left + float(centres[at, 0]) + 0.5, top + float(centres[at, 1]) + 0.5),
                (*begins, begins[0] + wide, begins[1] + high),
                math.sqrt(12 * (middle + apart)),
                math.sqrt((middle + apart) / max(middle - apart, 1e-6)),
                math.atan2(2 * xy[at], xx[at] - yy[at]) / 2,
            )
        )
    return sorted(found, key=lambda piece: -piece.area)


def _word(words: Sequence[tuple[float, str]], value: float) -> str:
    return next(word for most, word in words if value <= most)


def _place(pieces: Sequence[_Piece], shape: tuple[int, ...]) -> str:
    """By the box where that lies across the picture, by the centre of gravity where all lies close together.

    Pieces further apart have a place each: between them may be nothing.
    """
    height, width = shape
    across, down = (
        (max(piece.box[end] for piece in pieces) - min(piece.box[start] for piece in pieces)) / side
        for start, end, side in ((0, 2, width), (1, 3, height))
    )
    area = sum(piece.area for piece in pieces)
    centre = [sum(piece.area * piece.centre[axis] for piece in pieces) / area for axis in (0, 1)]
    centres = [centre] if len(pieces) == 1 or max(across, down) <= CLOSE else [piece.centre for piece in pieces]
    columns = {min(2, int(3 * x / width)) for x, _ in centres}
    rows = {min(2, int(3 * y / height)) for _, y in centres}
    column, row = min(columns), min(rows)
    if len(pieces) == 1 and min(across, down) >= SPAN:
        return EVERYWHERE
    if len(rows) == 1 and (across >= SPAN > down or len(columns) > 1):
        return ACROSS[row]
    if len(columns) == 1 and (down >= SPAN > across or len(rows) > 1):
        return DOWN[column]
    return PLACES[row][column] if len(rows) == len(columns) == 1 else SPREAD


def _direction(pieces: Sequence[_Piece]) -> str:
    """The mean of the axes by area; an axis is the same the other way round, so angles are doubled for it."""
    mean = sum(piece.area * cmath.exp(2j * piece.angle) for piece in pieces) / sum(piece.area for piece in pieces)
    if abs(mean) < TOGETHER:
        return "running in different directions"
    slope = abs(math.degrees(cmath.phase(mean) / 2))
    if slope <= 22.5:
        return "running horizontally"
    return "running vertically" if slope >= 67.5 else "running diagonally"


def _contrast(picture: np.ndarray, mask: np.ndarray) -> str:
    """The mean of the mask against that of a band around it, in grey levels."""
    wide = max(3, round(AROUND * min(mask.shape)))
    left, top, right, bottom = contours.box(mask)
    window = (slice(max(0, top - wide), bottom + wide), slice(max(0, left - wide), right + wide))
    inside = mask[window]
    kernel = np.ones((2 * wide + 1, 2 * wide + 1), np.uint8)
    around = (cv2.dilate(np.ascontiguousarray(inside, np.uint8), kernel) > 0) & ~inside
    if not around.any():
        return ""
    grey = cv2.cvtColor(np.ascontiguousarray(picture[window]), cv2.COLOR_RGB2GRAY)
    apart = float(grey[inside].mean()) - float(grey[around].mean())
    if abs(apart) < LEAST_LEVELS:
        return ""
    return "brighter" if apart > 0 else "darker"
