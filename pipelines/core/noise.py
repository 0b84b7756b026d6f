"""Random fields that look the same at every resolution: fractal noise, cells, and the two curves that shape them.

A field is a function of the seed and of the place in the picture measured in cells, so the same seed at twice the
pixels (and twice `cell_px`) is the same field, drawn finer. Knows nothing of surfaces, defects or pictures.
"""

from hashlib import blake2b

import cv2
import numpy as np

Field = np.ndarray  # float32
Part = tuple[slice, slice]  # rows and columns, with a start and a stop

# A cubic B-spline over unit-variance lattice values has the mean variance 151/315 along each axis.
SPLINE_DEVIATION = 151 / 315
# OpenCV's warps round positions to 1/32 of a source sample: harmless on lattices this fine, staircases on coarser ones.
FINE_SPACING_PX = 4.0
# A matrix product is worked off in blocks: a part that begins and ends with them has the sums of the whole, to the bit.
BLOCK_PX = 64


def rng(seed: int, *stream: int | str) -> np.random.Generator:
    """One of the independent random streams of a seed, the same on every machine and in every process."""
    name = repr((int(seed), *(part if isinstance(part, str) else int(part) for part in stream)))
    return np.random.default_rng(int.from_bytes(blake2b(name.encode(), digest_size=16).digest(), "little"))


def smoothstep(lo: float, hi: float, x: Field) -> Field:
    """0 at `lo`, 1 at `hi`, level at both ends; with lo > hi it falls instead of rising."""
    span = hi - lo
    t = np.clip((x - lo) / (span if span else 1e-9), 0, 1).astype(np.float32)
    return t * t * (3 - 2 * t)


def blur(a: Field, sigma: float) -> Field:
    """Gaussian blur of an HxW or HxWxC field; wide ones are done on a smaller copy, which nobody can see."""
    if sigma < 0.05:
        return a
    height, width = a.shape[:2]
    factor = int(min(sigma / 3, height / 8, width / 8))
    if factor < 2:
        return cv2.GaussianBlur(a, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    small = cv2.resize(a, (-(-width // factor), -(-height // factor)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_REFLECT_101)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def fractal(
    seed: int,
    shape: tuple[int, int],
    cell_px: float,
    *,
    octaves: int = 4,
    gain: float = 0.5,
    aniso: float = 1.0,
    angle: float = 0.0,
    stream: str = "",
    part: Part | None = None,
) -> Field:
    """Smooth noise of about zero mean and unit variance, HxW; of that only `part`, where one is asked for.

    `cell_px` is the size of its largest features, each further octave halves it and weighs `gain`; `aniso` > 1
    stretches them along `angle` (radians from the x axis, y down). Octaves finer than a pixel are dropped, and the
    rest keep the weight they have in a finer picture. A part has the values of the whole and, while it lies upright,
    takes its share of the time.
    """
    height, width = shape
    wanted = part or (slice(0, height), slice(0, width))
    cells_px = [cell_px / 2**k for k in range(octaves)]
    visible = [k for k, cell in enumerate(cells_px) if cell >= 0.99] or [0]
    weights = [gain**k / np.sqrt(sum(gain ** (2 * j) for j in range(octaves))) for k in range(octaves)]

    def on_grid(
        extent: tuple[float, float], step: tuple[float, float], stretch: tuple[float, float], part: Part | None = None
    ) -> Field:
        """The octaves on a grid over extent = (y, x) pixels, one sample a step, with cells stretched along y and x."""
        count = (int(np.ceil(extent[0] / step[0] - 1e-6)), int(np.ceil(extent[1] / step[1] - 1e-6)))
        rows, columns = part or (slice(0, count[0]), slice(0, count[1]))
        total = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.float32)
        for k in visible:
            cell = (max(cells_px[k], 1.0) * stretch[0], max(cells_px[k], 1.0) * stretch[1])
            total += weights[k] * _octave(rng(seed, "fractal", stream, k), extent, step, count, cell, part)
        return total

    quarter = angle / (np.pi / 2)
    if aniso == 1 or abs(quarter - round(quarter)) < 1e-9:
        upright = round(quarter) % 2 == 1
        blocks = (_blocks(wanted[0], height), _blocks(wanted[1], width))
        everything = blocks == (slice(0, height), slice(0, width))
        stretch = (aniso, 1.0) if upright else (1.0, aniso)
        found = on_grid((height, width), (1, 1), stretch, None if everything else blocks)
        top, left = blocks[0].start, blocks[1].start
        return found[wanted[0].start - top : wanted[0].stop - top, wanted[1].start - left : wanted[1].stop - left]
    # Drawn level in a frame turned by `angle` about the centre, large enough for the picture, then turned into place.
    cos, sin = np.cos(angle), np.sin(angle)
    along = 1.02 * (abs(width * cos) + abs(height * sin))
    across = 1.02 * (abs(width * sin) + abs(height * cos))
    step = float(np.clip(cells_px[visible[-1]] * aniso / 4, 1, 4))
    level = on_grid((across, along), (1, step), (1, aniso))
    # position in `level` of the picture's pixel (x, y): its centre at ((x, y) + .5 - size / 2) turned, in steps
    cx, cy = 0.5 - width / 2, 0.5 - height / 2
    turn = np.array(
        [
            [cos / step, sin / step, (along / 2 + cos * cx + sin * cy) / step - 0.5],
            [-sin, cos, across / 2 - sin * cx + cos * cy - 0.5],
        ]
    )
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(level, turn, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)[wanted]


def _blocks(part: slice, end: int) -> slice:
    """`part`, widened to whole blocks."""
    return slice(part.start // BLOCK_PX * BLOCK_PX, min(-(-part.stop // BLOCK_PX) * BLOCK_PX, end))


def _octave(
    random: np.random.Generator,
    extent: tuple[float, float],
    step: tuple[float, float],
    count: tuple[int, int],
    cell: tuple[float, float],
    part: Part | None,
) -> Field:
    """One octave: a cubic B-spline surface over a lattice of normal values, shifted by a random part of a cell."""
    rows_px, columns_px = part or (slice(0, count[0]), slice(0, count[1]))
    offset = random.random(2)
    size = [int(np.ceil(round(extent[i] / cell[i], 6))) + 5 for i in (0, 1)]
    start = [1 + offset[i] + 0.5 * step[i] / cell[i] for i in (0, 1)]
    pace = [step[i] / cell[i] for i in (0, 1)]
    fine = max(cell[0] / step[0], cell[1] / step[1]) <= FINE_SPACING_PX
    if fine:  # rows below the part are not looked at, and drawn last
        size[0] = min(size[0], int(start[0] + pace[0] * rows_px.stop) + 6)
    lattice = random.standard_normal((size[0], size[1]), dtype=np.float32)
    values: Field
    if fine:
        spline = np.array([1, 4, 1], np.float32) / 6  # the spline's values on the lattice; cubic interpolation between
        knots = cv2.sepFilter2D(lattice, -1, spline, spline)
        if part is None:
            place = np.array([[pace[1], 0, start[1]], [0, pace[0], start[0]]])
            flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
            values = cv2.warpAffine(knots, place, (count[1], count[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        else:  # warpAffine's own places, in its own precision
            x = np.float32(pace[1]) * np.arange(columns_px.start, columns_px.stop, dtype=np.float32)
            y = np.float32(pace[0]) * np.arange(rows_px.start, rows_px.stop, dtype=np.float32)
            at_x, at_y = np.meshgrid(x + np.float32(start[1]), y + np.float32(start[0]))
            values = cv2.remap(knots, at_x, at_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    else:
        rows = _spline_weights(start[0], pace[0], count[0], size[0])[rows_px]
        columns = _spline_weights(start[1], pace[1], count[1], size[1])[columns_px]
        if size[0] <= size[1]:
            values = rows @ (lattice @ columns.T)
        else:
            values = (rows @ lattice) @ columns.T
    return values / np.float32(SPLINE_DEVIATION)


def _spline_weights(start: float, pace: float, count: int, size: int) -> Field:
    """Matrix count x size: the weight of each lattice value at positions start, start + pace, ..."""
    position = start + pace * np.arange(count)
    first = np.floor(position).astype(int)
    t = position - first
    weights = np.zeros((count, size), np.float32)
    pieces = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    for k, piece in enumerate(pieces):
        weights[np.arange(count), np.clip(first - 1 + k, 0, size - 1)] += piece / 6
    return weights


def cells(
    seed: int, shape: tuple[int, int], cell_px: float, *, jitter: float = 1.0, warp: float = 0.0, stream: str = ""
) -> tuple[Field, Field, np.ndarray]:
    """Cellular (Worley) noise, each HxW: distance to the nearest point, to the border (F2 - F1), both in cells; ids.

    One point lies in each cell of a square grid, at most half of `jitter` away from its centre; `warp` bends the
    borders by so many cells. Ids count from 0 and stay below (height / cell_px + 5) x (width / cell_px + 5).
    """
    height, width = shape
    rows, columns = (int(np.ceil(round(side / cell_px, 6))) + 4 for side in shape)
    random = rng(seed, "cells", stream)
    points_x = (np.arange(columns)[None, :] + 0.5 + jitter * (random.random((rows, columns)) - 0.5)).astype(np.float32)
    points_y = (np.arange(rows)[:, None] + 0.5 + jitter * (random.random((rows, columns)) - 0.5)).astype(np.float32)
    x = np.broadcast_to(((np.arange(width, dtype=np.float32) + 0.5) / cell_px + 2)[None, :], shape)
    y = np.broadcast_to(((np.arange(height, dtype=np.float32) + 0.5) / cell_px + 2)[:, None], shape)
    if warp > 0:
        x = x + np.float32(warp) * fractal(seed, shape, cell_px * 1.5, octaves=3, stream=f"{stream}/warp-x")
        y = y + np.float32(warp) * fractal(seed, shape, cell_px * 1.5, octaves=3, stream=f"{stream}/warp-y")
    column = np.clip(x.astype(np.int32), 1, columns - 2)
    row = np.clip(y.astype(np.int32), 1, rows - 2)
    home = row * columns + column
    first: Field = np.full(shape, 1e9, np.float32)
    second: Field = first.copy()
    ids = home.copy()
    flat_x, flat_y = points_x.ravel(), points_y.ravel()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            at = home + np.int32(dy * columns + dx)
            away_x, away_y = flat_x.take(at) - x, flat_y.take(at) - y
            distance = away_x * away_x + away_y * away_y
            np.copyto(ids, at, where=distance < first)
            second = cv2.min(second, cv2.max(first, distance))
            first = cv2.min(first, distance)
    nearest = cv2.sqrt(first)
    return nearest, cv2.sqrt(second) - nearest, ids
