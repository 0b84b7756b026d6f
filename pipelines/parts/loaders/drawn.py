"""Labels that are neither rectangles nor polygons, as boxes with runs: masks, run lengths, ellipses, thick lines, dots.

Knows no file format. A place (x, y) is on the plane whose pixel k spans k to k + 1; a pixel is marked where its centre
lies inside. A line or a dot says nothing of how wide the defect is: both are drawn as LabelMe draws them.
"""

from collections.abc import Sequence
from math import ceil, cos, floor, hypot, radians, sin

import numpy as np

from pipelines.core.headers import MAX_PIXELS
from pipelines.parts.loaders import reading
from pipelines.parts.loaders.example import Box, Runs

LINE_PX, DOT_PX = 10, 5
"""Width of a line and radius of a dot: the defaults of labelme.utils.shape_to_mask."""

Point = tuple[float, float]
Shape = tuple[int, int]
Edges = tuple[int, int, int, int]


def of_mask(mask: np.ndarray, defect: str) -> Box:
    """A bool HxW of the whole picture."""
    flat = mask.T.ravel()
    turns = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], turns, [flat.size]]))
    return of_lengths([0, *lengths] if flat[:1].any() else lengths, mask.shape, defect)


def of_lengths(lengths: Sequence[int] | np.ndarray, shape: tuple[int, ...], defect: str) -> Box:
    """How many pixels are unmarked and marked in turn, down the columns of a picture of shape (height, width).

    One that marks nothing has no area. Raises ValueError where they are not the picture's number of pixels.
    """
    height, width = shape
    counts = np.asarray(lengths, np.int64)
    _fits(shape)
    if counts.ndim != 1 or ((counts < 0) | (counts > height * width)).any() or counts.sum() != height * width:
        raise ValueError(f"its runs mark {counts.sum()} pixels of a picture that has {width} x {height}")
    ends = np.cumsum(counts)
    first, last = (ends - counts)[1::2], ends[1::2] - 1
    there = last >= first
    first, last = first[there], last[there]
    runs = Runs(height, width, counts.astype(np.uint32).tobytes())
    if not len(first):
        return Box(0, 0, 0, 0, defect, runs=runs)
    whole = bool((first // height != last // height).any())  # from one column into the next: from top to bottom
    top, bottom = (0, height) if whole else (int((first % height).min()), int((last % height).max()) + 1)
    return Box(int(first[0] // height), top, int(last[-1] // height) + 1, bottom, defect, runs=runs)


def of_window(mask: np.ndarray, left: int, top: int, shape: Shape, defect: str) -> Box:
    """A bool mask of a window of the picture, cut where it leaves it: the box says where it was written.

    Raises ValueError.
    """
    height, width = mask.shape
    inside = mask[max(-top, 0) : max(shape[0] - top, 0), max(-left, 0) : max(shape[1] - left, 0)]
    return _placed(inside, max(left, 0), max(top, 0), (left, top, left + width, top + height), shape, defect)


def of_rows(lengths: Sequence[int], left: int, top: int, width: int, height: int, shape: Shape, defect: str) -> Box:
    """How many pixels are unmarked and marked in turn, along the rows of a window. Raises ValueError."""
    counts = np.asarray(lengths, np.int64)
    fits = 0 < width * height <= MAX_PIXELS and width > 0 and not ((counts < 0) | (counts > width * height)).any()
    if not fits or counts.sum() != width * height:
        raise ValueError(f"its runs mark {counts.sum()} pixels of a window that has {width} x {height}")
    mask = np.repeat(np.arange(len(counts)) % 2 > 0, counts).reshape(height, width)
    return of_window(mask, left, top, shape, defect)


def ellipse(centre: Point, radii: Point, degrees: float, shape: Shape, defect: str) -> Box:
    """An ellipse, turned clockwise as it is looked at. Raises ValueError."""
    x, y = centre
    along, across = (abs(radius) for radius in radii)
    angle = radians(degrees)
    wide = hypot(along * cos(angle), across * sin(angle))
    high = hypot(along * sin(angle), across * cos(angle))
    edges = _edges([(x - wide, y - high), (x + wide, y + high)])
    columns, rows = _window(edges, shape)
    right, down = columns - x, rows - y
    one, other = right * cos(angle) + down * sin(angle), down * cos(angle) - right * sin(angle)
    with np.errstate(divide="ignore", invalid="ignore"):
        mask = (one / along) ** 2 + (other / across) ** 2 <= 1
    return _placed(mask, max(edges[0], 0), max(edges[1], 0), edges, shape, defect)


def line(points: Sequence[Point], shape: Shape, defect: str, width: float = LINE_PX) -> Box:
    """Straight pieces from point to point with round ends; of one point a dot. Raises ValueError."""
    radius = width / 2
    edges = _edges([(x + far, y + far) for x, y in points for far in (-radius, radius)])
    columns, rows = _window(edges, shape)
    mask = np.zeros((rows.shape[0], columns.shape[1]), bool)
    for (x0, y0), (x1, y1) in zip(points, points[1:] or points, strict=False):
        length = hypot(x1 - x0, y1 - y0) or 1.0
        across, down = (x1 - x0) / length, (y1 - y0) / length
        along = np.clip((columns - x0) * across + (rows - y0) * down, 0, length)
        mask |= (columns - x0 - along * across) ** 2 + (rows - y0 - along * down) ** 2 <= radius**2
    return _placed(mask, max(edges[0], 0), max(edges[1], 0), edges, shape, defect)


def turned(x0: float, y0: float, x1: float, y1: float, degrees: float) -> tuple[Point, ...]:
    """The corners of a rectangle that is turned about its middle, clockwise as it is looked at."""
    x, y, angle = (x0 + x1) / 2, (y0 + y1) / 2, radians(degrees)
    found = []
    for corner in ((x0, y0), (x1, y0), (x1, y1), (x0, y1)):
        right, down = corner[0] - x, corner[1] - y
        found.append((x + right * cos(angle) - down * sin(angle), y + right * sin(angle) + down * cos(angle)))
    return tuple(found)


def outlined(outline: Sequence[Point], defect: str) -> Box:
    """A polygon of at least three corners. Raises ValueError."""
    corners = tuple((float(x), float(y)) for x, y in outline)
    if len(corners) < 3:
        raise ValueError(f"a polygon of {defect} has {len(corners)} corners, and at least 3 make one")
    return Box(*_edges(corners), defect, corners)


def together(boxes: Sequence[Box], shape: Shape) -> Box:
    """Several shapes of one label, at least one, as one."""
    mask = np.zeros(shape, bool)
    for box in boxes:
        if box.runs is not None:
            mask |= reading.unrolled(box.runs)
    found = of_mask(mask, boxes[0].defect)
    left, top = min(box.x0 for box in boxes), min(box.y0 for box in boxes)
    right, bottom = max(box.x1 for box in boxes), max(box.y1 for box in boxes)
    return Box(left, top, right, bottom, boxes[0].defect, runs=found.runs)


def _placed(mask: np.ndarray, left: int, top: int, edges: Edges, shape: Shape, defect: str) -> Box:
    """The part of a label that lies in the picture; where it leaves it, the box says so. Raises ValueError."""
    _fits(shape)
    whole = np.zeros(shape, bool)
    if mask.size:
        whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    found = of_mask(whole, defect)
    beyond = min(edges[:2]) < 0 or edges[2] > shape[1] or edges[3] > shape[0]
    return Box(*edges, defect, runs=found.runs) if beyond else found


def _edges(points: Sequence[Point]) -> Edges:
    """Whole pixels around points. Raises ValueError."""
    if not all(abs(value) < 1e6 for point in points for value in point):
        raise ValueError(f"a corner lies at {points[0]}, which is no place in a picture")
    columns, rows = zip(*points, strict=True)
    return floor(min(columns)), floor(min(rows)), ceil(max(columns)), ceil(max(rows))


def _window(edges: Edges, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """The centres of the picture's columns (1xW) and rows (Hx1) within edges. Raises ValueError."""
    _fits(shape)
    columns = np.arange(max(edges[0], 0), min(edges[2], shape[1])) + 0.5
    rows = np.arange(max(edges[1], 0), min(edges[3], shape[0])) + 0.5
    return columns[None, :], rows[:, None]


def _fits(shape: tuple[int, ...]) -> None:
    if not 0 < shape[0] * shape[1] <= MAX_PIXELS or min(shape) < 0:
        raise ValueError(f"its picture is said to have {shape[1]} x {shape[0]} px, and there is none such")
