"""The one set of mask generators, for the page's brushes, for automatic placement, for the painters and for tests.

Paths and polygons are float arrays Nx2 of (x, y) in pixels, (0, 0) at the corner of the first pixel. Everything random
is laid out in parts of the shape's own size with a fixed number of points, so the same stroke at twice the pixels is
the same shape, drawn finer. Knows nothing of pictures, defects or light.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np

from pipelines.core.errors import BadInput
from pipelines.core.noise import Part, fractal, rng

Points = Sequence[tuple[float, float]] | np.ndarray
SUBPIXEL_BITS = 5
CLICK = 1e-6  # a stroke shorter than this is a click
FARTHEST_BEND = 8  # deviations of a fractal that no picture ever shows


def draw(shape: str, size: tuple[int, int], points: Points, *, width_px: float, seed: int, **own: float) -> np.ndarray:
    """The mask of one stroke, bool HxW for size = (height, width), drawn along `points` with a brush `width_px` wide.

    One point is a click. `own` are the shape's own numbers (its function lists them). Raises BadInput.
    """
    if shape not in SHAPES:
        raise BadInput(f"no shape {shape!r}; choose one of {', '.join(SHAPES)}", "shape")
    path = np.asarray(points, np.float64).reshape(-1, 2)
    if len(path) == 0:
        raise BadInput(f"{shape} needs at least one point", "points")
    if not np.isfinite(path).all():
        raise BadInput(f"{shape}: every point needs two finite numbers, x and y in pixels", "points")
    if not width_px > 0:
        raise BadInput(f"width_px = {width_px:g}: a brush is wider than 0", "width_px")
    return SHAPES[shape](size, path, float(width_px), seed, **own)


# ---- paths


def length(path: np.ndarray) -> float:
    """Length of a path in pixels."""
    return float(np.hypot(*np.diff(path, axis=0).T).sum()) if len(path) > 1 else 0.0


def resample(path: np.ndarray, count: int) -> np.ndarray:
    """`count` points at equal distances along a path."""
    steps = np.r_[0.0, np.cumsum(np.hypot(*np.diff(path, axis=0).T))]
    if steps[-1] <= 0:
        return np.repeat(path[:1], count, 0)
    at = np.linspace(0, steps[-1], count)
    return np.stack([np.interp(at, steps, path[:, 0]), np.interp(at, steps, path[:, 1])], 1)


def sideways(path: np.ndarray) -> np.ndarray:
    """Unit vectors across a path at each of its points, turned a quarter from the way it runs."""
    if len(path) < 2:
        return np.repeat(np.array([[0.0, 1.0]]), len(path), 0)
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    return np.stack([-along[:, 1], along[:, 0]], 1)


def wander(random: np.random.Generator, count: int, roughness: float = 0.6, kinks: float = 0.0) -> np.ndarray:
    """How far a wandering line strays at `count` equal steps, 0 at both ends, about one unit in its middle.

    Midpoint displacement: each level strays `2**-(1.5 - roughness)` times as far as the one above; `kinks` (0..1) mixes
    in rare long jumps.
    """
    values = np.zeros(2)
    reach = 1.0
    while len(values) < count:
        jumps = random.standard_normal(len(values) - 1)
        rare = random.standard_t(2.2, len(values) - 1).clip(-4, 4)
        middle = (values[1:] + values[:-1]) / 2 + reach * ((1 - kinks) * jumps + kinks * rare)
        grown = np.empty(len(values) * 2 - 1)
        grown[0::2], grown[1::2] = values, middle
        values = grown
        reach *= 2 ** -(1.5 - roughness)
    return np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(values)), values)


def crack_paths(
    random: np.random.Generator,
    spine: np.ndarray,
    jaggedness: float,
    branches: int,
    reach: float = 0.11,
    fray_px: float = 0.0,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """A crack along a spine and its side cracks: pairs (path, relative width 0..1 along it).

    It strays from its spine by `reach` of its length, and by `fray_px` from grain to grain.
    """
    count = 160
    path = resample(spine, count)
    size = length(path)
    stray = wander(random, count, 0.25 + 0.4 * jaggedness, 0.35) * size * reach * (0.35 + 0.65 * jaggedness)
    grains = np.interp(np.arange(count), np.sort(random.uniform(0, count, 64)), random.standard_normal(64))
    path = path + sideways(path) * (stray + grains * fray_px)[:, None]
    t = np.linspace(0, 1, count)
    thick = random.uniform(0.15, 0.85)  # where along it the crack gapes widest
    taper = np.minimum(1, np.minimum(t / max(thick, 0.05), (1 - t) / max(1 - thick, 0.05)) * 1.6) ** 0.7
    pulse = np.exp(
        0.45 * wander(random, count, 0.9)
        + 0.3 * np.interp(np.arange(count), np.linspace(0, count, 40), random.standard_normal(40))
    )
    found = [(path, np.clip(taper * pulse, 0.05, 1.3))]
    for _ in range(branches):
        root = int(random.uniform(0.15, 0.85) * count)
        away = path[min(root + 6, count - 1)] - path[max(root - 6, 0)]
        turn = math.atan2(away[1], away[0]) + float(random.choice([-1, 1])) * random.uniform(0.45, 1.15)
        far = size * random.uniform(0.08, 0.28)
        own = 70
        straight = path[root] + np.linspace(0, far, own)[:, None] * np.array([math.cos(turn), math.sin(turn)])
        bend = wander(random, own, 0.25 + 0.4 * jaggedness, 0.35) * far * 0.12
        side = straight + np.array([-math.sin(turn), math.cos(turn)]) * bend[:, None]
        width = found[0][1][root] * random.uniform(0.35, 0.75) * (1 - np.linspace(0, 1, own)) ** 0.6
        found.append((side, np.clip(width, 0.03, 1)))
    return found


def outline(
    random: np.random.Generator,
    centre: tuple[float, float],
    radii: tuple[float, float],
    angle: float,
    roughness: float,
) -> np.ndarray:
    """A closed irregular outline around a centre: an ellipse whose radius wanders by `roughness`, 48 points."""
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    drawn = [(random.uniform(0, 2 * np.pi), roughness * 0.6 * random.standard_normal() / w**1.35) for w in range(1, 9)]
    phase, reach = np.array(drawn).T[..., None]
    waves = reach * np.cos(np.arange(1, 9)[:, None] * turn + phase)
    radius = np.add.reduce([np.ones(48), *waves])
    radius = np.clip(radius, 0.25, 2.0)
    along, across = radii[0] * radius * np.cos(turn), radii[1] * radius * np.sin(turn)
    cos, sin = math.cos(angle), math.sin(angle)
    return np.stack([centre[0] + cos * along - sin * across, centre[1] + sin * along + cos * across], 1)


# ---- rasteriser


def ribbon(
    canvas: np.ndarray,
    path: np.ndarray,
    widths: np.ndarray | float,
    scale: float = 1.0,
    values: np.ndarray | int = 255,
) -> None:
    """Lay a ribbon of varying width (pixels) and value along a path onto a uint8 canvas drawn `scale` times finer."""
    count = len(path)
    half = np.broadcast_to(np.asarray(widths, np.float64) / 2, (count,))[:, None]
    value = np.broadcast_to(np.asarray(values), (count,))
    across = sideways(path) * half
    unit = scale * 2**SUBPIXEL_BITS
    left = ((path + across) * unit - 2 ** (SUBPIXEL_BITS - 1)).round().astype(np.int32)
    right = ((path - across) * unit - 2 ** (SUBPIXEL_BITS - 1)).round().astype(np.int32)
    quads = np.stack([left[:-1], left[1:], right[1:], right[:-1]], 1)
    for quad, shade in zip(quads, value[:-1].tolist(), strict=True):
        cv2.fillConvexPoly(canvas, quad, shade, cv2.LINE_8, SUBPIXEL_BITS)


def fill(canvas: np.ndarray, polygons: Iterable[np.ndarray], scale: float = 1.0, value: int = 255) -> None:
    """Fill closed polygons onto a uint8 canvas drawn `scale` times finer."""
    for polygon in polygons:
        corners = (np.asarray(polygon) * scale * 2**SUBPIXEL_BITS - 2 ** (SUBPIXEL_BITS - 1)).round().astype(np.int32)
        cv2.fillPoly(canvas, [corners], value, cv2.LINE_8, SUBPIXEL_BITS)


# ---- the brushes


def line(size: tuple[int, int], path: np.ndarray, width_px: float, seed: int) -> np.ndarray:
    """An even round stroke."""
    canvas = np.zeros(size, np.uint8)
    corners = (path * 2**SUBPIXEL_BITS - 2 ** (SUBPIXEL_BITS - 1)).round().astype(np.int32)
    if width_px >= 2:
        for x, y in corners:
            cv2.circle(
                canvas, (int(x), int(y)), round(width_px / 2 * 2**SUBPIXEL_BITS), 255, -1, cv2.LINE_8, SUBPIXEL_BITS
            )
        for start, end in itertools.pairwise(path):
            ribbon(canvas, np.stack([start, end]), width_px)
    else:
        corners = corners[[0, *range(len(corners))]]  # a click is drawn as a stroke from a point to itself
        cv2.polylines(canvas, [corners], False, 255, 1, cv2.LINE_8, SUBPIXEL_BITS)
    return canvas > 0


def rectangle(size: tuple[int, int], path: np.ndarray, width_px: float, seed: int) -> np.ndarray:
    """The upright rectangle from the first point to the last; a click is a square as wide as the brush."""
    low, high = _span(path, width_px)
    canvas = np.zeros(size, np.uint8)
    fill(canvas, [np.array([low, (high[0], low[1]), high, (low[0], high[1])])])
    return canvas > 0


def ellipse(size: tuple[int, int], path: np.ndarray, width_px: float, seed: int) -> np.ndarray:
    """The upright ellipse that fits between the first point and the last; a click is a disc as wide as the brush."""
    low, high = _span(path, width_px)
    turn = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    centre, radii = (low + high) / 2, (high - low) / 2
    canvas = np.zeros(size, np.uint8)
    fill(canvas, [centre + radii * np.stack([np.cos(turn), np.sin(turn)], 1)])
    return canvas > 0


def polygon(size: tuple[int, int], path: np.ndarray, width_px: float, seed: int) -> np.ndarray:
    """The area a loop encloses, its ends joined; fewer than three points are a stroke."""
    if len(path) < 3:
        return line(size, path, width_px, seed)
    canvas = np.zeros(size, np.uint8)
    fill(canvas, [path])
    return canvas > 0


def scratch(
    size: tuple[int, int], path: np.ndarray, width_px: float, seed: int, count: float = 5, spread: float = 0.15
) -> np.ndarray:
    """A bundle of `count` thin tapering marks in the brush's width, leaning `spread` radians; a click is short."""
    random = rng(seed, "scratch")
    spine = resample(_stroke(path, width_px, random), 48)
    across, whole = sideways(spine), length(spine)
    scale = _finer(size)
    canvas = np.zeros((size[0] * scale, size[1] * scale), np.uint8)
    for _ in range(max(1, round(count))):
        start, end = np.sort(random.uniform(0, 1, 2))
        middle, reach = (start + end) / 2, max(end - start, random.uniform(0.3, 0.9)) / 2
        part = slice(max(0, int((middle - reach) * 47)), int(min(1.0, middle + reach) * 47) + 2)
        offset = random.normal(0, 0.28) * width_px
        tilt = math.tan(float(np.clip(random.normal(0, spread), -1.2, 1.2))) * whole / 48
        steps = np.arange(len(spine[part]))
        mark = spine[part] + across[part] * (offset + tilt * (steps - steps.mean()))[:, None]
        if len(mark) < 2:
            continue
        t = np.linspace(0, 1, len(mark))
        taper = np.minimum(1, np.minimum(t, 1 - t) * random.uniform(3, 9)) ** 0.7
        ribbon(canvas, mark, np.maximum(taper * width_px * random.uniform(0.06, 0.14), 0.7), scale)
    return _bool(canvas, size)


def crack(
    size: tuple[int, int],
    path: np.ndarray,
    width_px: float,
    seed: int,
    branches: float = 2,
    jaggedness: float = 0.6,
) -> np.ndarray:
    """A kinking line that tapers and branches, a third of the brush wide at its widest; a click is a short one."""
    random = rng(seed, "crack")
    scale = _finer(size)
    canvas = np.zeros((size[0] * scale, size[1] * scale), np.uint8)
    for mark, width in crack_paths(random, _stroke(path, width_px, random), jaggedness, round(branches)):
        ribbon(canvas, mark, np.maximum(width * width_px / 3, 0.8), scale)
    return _bool(canvas, size)


def pits(
    size: tuple[int, int], path: np.ndarray, width_px: float, seed: int, density: float = 1.0, radius: float = 0.035
) -> np.ndarray:
    """Small irregular spots strewn along the stroke; `radius` is the typical one, in parts of the brush's width."""
    random = rng(seed, "pits")
    whole = length(path)
    count = max(3, round(density * 26 * (1 + whole / width_px)))
    spine = resample(path, 200) if whole > CLICK else np.repeat(path[:1], 200, 0)
    scale = _finer(size)
    canvas = np.zeros((size[0] * scale, size[1] * scale), np.uint8)
    for _ in range(count):
        at = spine[random.integers(200)] + random.normal(0, 0.24, 2).clip(-0.48, 0.48) * width_px
        spot = radius * width_px * float(np.clip(0.5 + random.pareto(2.5), 0.4, 3.5))
        flat = random.uniform(0.6, 1)
        fill(canvas, [outline(random, (at[0], at[1]), (spot, spot * flat), random.uniform(0, np.pi), 0.3)], scale)
    return _bool(canvas, size)


def blob(size: tuple[int, int], path: np.ndarray, width_px: float, seed: int, roughness: float = 0.5) -> np.ndarray:
    """The stroke with a wandering outline, `roughness` from 0 (round) to 1 (torn)."""
    # Nowhere do the bends reach so many deviations inwards: no pixel outside this part belongs to the stain.
    part = _around(size, path, (1 + (0.32 * FARTHEST_BEND - 0.12) * roughness) * width_px / 2)
    bends = fractal(seed, size, width_px * 0.7, octaves=5, gain=0.55, stream="blob", part=part)
    away = _away(size, path, part)
    mask = np.zeros(size, bool)
    mask[part] = away / (width_px / 2) + 0.32 * roughness * bends < 1 - 0.12 * roughness
    return mask


def flakes(
    size: tuple[int, int],
    path: np.ndarray,
    width_px: float,
    seed: int,
    cover: float = 0.35,
    aniso: float = 2.5,
    angle: float = 0.0,
) -> np.ndarray:
    """Scattered flakes along the stroke, `aniso` times longer along `angle` (radians), covering about `cover` of it."""
    part = _around(size, path, width_px / 2)
    away = _away(size, path, part) / (width_px / 2)
    grain = fractal(seed, size, width_px * 0.14, octaves=3, aniso=aniso, angle=angle, stream="flakes", part=part)
    mask = np.zeros(size, bool)
    mask[part] = (grain > 1.4 - 2.6 * cover + 1.6 * np.maximum(away - 0.35, 0)) & (away < 1)
    return mask


SHAPES: dict[str, Callable[..., np.ndarray]] = {
    "line": line,
    "rectangle": rectangle,
    "ellipse": ellipse,
    "polygon": polygon,
    "scratch": scratch,
    "crack": crack,
    "pits": pits,
    "blob": blob,
    "flakes": flakes,
}


def _span(path: np.ndarray, width_px: float) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.minimum(path[0], path[-1]), np.maximum(path[0], path[-1])
    if length(path[[0, -1]]) <= CLICK:
        low, high = low - width_px / 2, high + width_px / 2
    return low, high


def _stroke(path: np.ndarray, width_px: float, random: np.random.Generator) -> np.ndarray:
    """The path, or for a click a straight piece four brushes long in a direction of its own."""
    if length(path) > CLICK:
        return path
    turn = random.uniform(0, 2 * np.pi)
    reach = 2 * width_px * np.array([math.cos(turn), math.sin(turn)])
    return np.stack([path[0] - reach, path[0] + reach])


def _around(size: tuple[int, int], path: np.ndarray, reach_px: float) -> Part:
    """The part of the picture that lies within `reach_px` of the path's box; at least a pixel, for an easy sequel."""
    spare = reach_px + 2  # the line itself is a pixel wide
    low = np.clip(np.floor(path.min(0) - spare), 0, np.array(size[::-1]) - 1).astype(int)
    high = np.clip(np.ceil(path.max(0) + spare), low + 1, size[::-1]).astype(int)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def _away(size: tuple[int, int], path: np.ndarray, part: Part) -> np.ndarray:
    """Distance of the pixels of a part around the path to the path, float32."""
    rows, columns = part
    canvas = np.full((rows.stop - rows.start, columns.stop - columns.start), 255, np.uint8)
    corners = (path[[0, *range(len(path))]] * 2**SUBPIXEL_BITS - 2 ** (SUBPIXEL_BITS - 1)).round().astype(np.int32)
    corners -= np.array([columns.start, rows.start], np.int32) * 2**SUBPIXEL_BITS
    cv2.polylines(canvas, [corners], False, 0, 1, cv2.LINE_8, SUBPIXEL_BITS)
    if canvas.all():
        return np.full(canvas.shape, 1e6, np.float32)  # the stroke lies wholly outside the picture
    return cv2.distanceTransform(canvas, cv2.DIST_L2, 5)


def _finer(size: tuple[int, int]) -> int:
    return 2 if max(size) <= 2048 else 1


def _bool(canvas: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(canvas, (size[1], size[0]), interpolation=cv2.INTER_AREA) >= 110
