"""The painted place: where the mask lies, how it is shaped, and the piece of picture around it. Draws nothing.

Everything a painter measures is in parts of the place's own size, so a scene at twice the pixels gets the same defect.
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import cv2
import numpy as np
from skimage.morphology import skeletonize

from pipelines.core import shapes
from pipelines.core.noise import blur, cells, fractal, rng
from pipelines.parts import lighting
from pipelines.parts.lighting import Optics

SKETCH = 192  # the mask's form is read from a copy no larger than this, pixels
TONE = 0.1  # how far a pixel of artwork may be from one of its two tones, in parts of white
SURROUNDINGS = 40  # pixels that are looked at around the mask at least, for grain and for where traces run
THIN = 4.0  # a mask this many times longer than wide is a stroke


@dataclass(frozen=True)
class Place:
    """A crop of the picture around the mask, and the mask's form. Coordinates are (x, y) in the crop's pixels."""

    picture: np.ndarray  # float32 HxWx3 in [0, 1]
    mask: np.ndarray  # bool HxW
    box: tuple[int, int]  # (top, left) of the crop in the picture
    optics: Optics  # of the whole picture, save for direction and grain, which are the crop's
    seed: int
    grey: bool
    size: float  # diameter of the disc with the mask's area when it is a blob, its length when it is a stroke
    centre: tuple[float, float]
    angle: float  # direction of the mask's longer side, radians
    aspect: float  # longer by shorter side
    reach: float  # half the width at its widest
    corner: tuple[int, int]  # (top, left) of the mask in the crop
    extents: tuple[int, int]  # (height, width) of the mask
    strokes: tuple[np.ndarray, ...] = field(repr=False)  # centre lines, longest first, when the mask is a stroke

    @property
    def shape(self) -> tuple[int, int]:
        return self.mask.shape[0], self.mask.shape[1]

    @property
    def line(self) -> bool:
        """Whether the mask is a stroke, to be followed, rather than an area, to be filled."""
        return bool(self.strokes)

    @cached_property
    def depth(self) -> np.ndarray:
        """Distance to the mask's edge in pixels, 0 outside, float32 HxW.

        The picture's own frame is no edge, unless there is no other.
        """
        padded = np.pad(self.mask.astype(np.uint8), 1, mode="constant" if self.mask.all() else "edge")
        return np.ascontiguousarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1])

    @cached_property
    def inner(self) -> np.ndarray:
        """`depth` from 0 at the edge to 1 in the middle."""
        return self.depth / max(float(self.depth.max()), 1e-6)

    @cached_property
    def base(self) -> np.ndarray:
        """The picture without its texture, float32 HxWx3: what light and paint do at large."""
        return blur(self.picture, max(0.07 * min(self.size, 4 * self.reach + 8), 3 * self.optics.sharpness_px))

    @cached_property
    def texture(self) -> np.ndarray:
        """The picture's own texture as a multiple of its local spread, float32 HxW, about -3..3."""
        grey = lighting.luminance(self.picture) - lighting.luminance(self.base)
        return np.clip(grey / (self.roughness + 1e-4), -3, 3)

    @cached_property
    def roughness(self) -> float:
        """Standard deviation of the texture under the mask, in parts of white."""
        grey = lighting.luminance(self.picture) - lighting.luminance(self.base)
        return float(cv2.meanStdDev(grey, mask=self.mask.astype(np.uint8))[1][0, 0])

    @cached_property
    def warmth(self) -> float:
        """0 for a neutral or cool surface, 1 for one as brown as wood, leather or a nut."""
        red, _, blue, _ = cv2.mean(self.base, self.mask.astype(np.uint8))
        return float(np.clip((2 * (red - blue) / max(red + blue, 0.02) - 0.15) / 0.25, 0, 1))

    @cached_property
    def two_tones(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(dark, bright) colour of artwork or a thresholded scan, float32 of 3 each; None for every other picture."""
        grey = lighting.luminance(self.picture)
        dark, bright = grey < 0.5, grey >= 0.5
        if min(dark.mean(), bright.mean()) < 0.02:
            return None
        low, high = float(np.median(grey[dark])), float(np.median(grey[bright]))
        away = np.minimum(np.abs(grey - low), np.abs(grey - high))
        if high - low < 0.6 or float((away > TONE).mean()) > 0.04:
            return None
        return np.median(self.picture[dark], 0), np.median(self.picture[bright], 0)

    @cached_property
    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """x and y of every pixel's middle, float32 HxW each."""
        height, width = self.shape
        x, y = np.meshgrid(np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32) + 0.5)
        return x, y

    def random(self, stream: str) -> np.random.Generator:
        return rng(self.seed, "defect", stream)

    def noise(
        self, stream: str, cell: float, *, octaves: int = 4, gain: float = 0.5, aniso: float = 1.0, angle: float = 0.0
    ) -> np.ndarray:
        """Fractal noise with features `cell` hundredths of the place's size."""
        cell_px = max(cell * self.size / 100, 0.6)
        inside = fractal(
            self.seed, self.extents, cell_px, octaves=octaves, gain=gain, aniso=aniso, angle=angle, stream=stream
        )
        return self._around(inside)

    def facets(self, stream: str, mesh: float, warp: float = 0.0) -> np.ndarray:
        """Ids of cells `mesh` hundredths of the place's size, int HxW; the borders of large ones are good to 1/30."""
        cell_px = max(mesh * self.size / 100, 2.0)
        coarser = max(1, int(cell_px / 30))
        tall, wide = self.extents
        small = (-(-tall // coarser), -(-wide // coarser))
        _, _, ids = cells(self.seed, small, cell_px / coarser, warp=warp, stream=stream)
        whole = ids.repeat(coarser, 0).repeat(coarser, 1) if coarser > 1 else ids
        return self._around(whole[:tall, :wide])

    def borders(self, stream: str, mesh: float, warp: float = 0.0) -> np.ndarray:
        """Distance to the nearest border, in cells, of cells `mesh` hundredths of the place's size, float32 HxW."""
        cell_px = max(mesh * self.size / 100, 2.0)
        _, border, _ = cells(self.seed, self.extents, cell_px, warp=warp, stream=stream)
        return self._around(border)

    def scatter(self, random: np.random.Generator, count: int, weight: np.ndarray) -> np.ndarray:
        """`count` points (x, y) strewn over the mask, as dense as `weight` (HxW, at least 0) says, float Nx2.

        Each point throws darts over the mask's extents and keeps the first that the density there lets stand, so the
        points are the same at any number of pixels, but for a few on a border.
        """
        tries = 24
        tall, wide = self.extents
        top, left = self.corner
        thrown = random.random((count, tries, 3))
        x = np.minimum(left + thrown[..., 0] * wide, self.shape[1] - 1e-3)
        y = np.minimum(top + thrown[..., 1] * tall, self.shape[0] - 1e-3)
        row, column = y.astype(int), x.astype(int)
        density = np.where(self.mask[row, column], weight[row, column] + 1e-6, 0)
        highest = float(np.quantile(weight[self.mask], 0.98)) + 1e-6
        stands = density > thrown[..., 2] * highest
        # Where none of them stands, the one that came closest does.
        kept = np.where(stands.any(1), stands.argmax(1), (density / (thrown[..., 2] + 0.02)).argmax(1))
        each = np.arange(count)
        return np.stack([x[each, kept], y[each, kept]], 1)

    def at(self, field: np.ndarray, points: np.ndarray) -> np.ndarray:
        """A field's values at points (x, y) within the crop."""
        return field[points[:, 1].astype(int), points[:, 0].astype(int)]

    def _around(self, inside: np.ndarray) -> np.ndarray:
        """Carry a field over the mask's extents on into the crop's margin, which is a matter of pixels."""
        (top, left), (tall, wide) = self.corner, inside.shape
        below, right = self.shape[0] - top - tall, self.shape[1] - left - wide
        return np.pad(inside, ((top, below), (left, right)), mode="edge")

    def direction(self, random: np.random.Generator, along_grain: float = 0.6) -> float:
        """A direction to draw along: the mask's longer side, at times the surface's grain, else any."""
        if self.aspect > 1.8:
            return self.angle + random.normal(0, 0.08)
        if self.optics.coherence > 0.25 and random.random() < along_grain:
            return self.optics.angle + random.normal(0, 0.05)
        return random.uniform(0, math.pi) if self.aspect < 1.3 else self.angle + random.normal(0, 0.3)

    def path(self, random: np.random.Generator, along: float | None = None, offset: float = 0.0) -> np.ndarray:
        """A centre line to draw along, 96 points: the painted stroke, or a straight line across the area.

        `offset` shifts it sideways, -1..1 from edge to edge.
        """
        if self.strokes:
            spine = shapes.resample(self.strokes[0], 96)
            return spine + shapes.sideways(spine) * offset * self.reach
        turn = self.direction(random) if along is None else along
        forward = np.array([math.cos(turn), math.sin(turn)])
        side = np.array([-forward[1], forward[0]])
        middle = np.array(self.centre) + side * offset * self._extent(side)
        ahead, behind = self.run(middle, forward), self.run(middle, -forward)
        return shapes.resample(np.stack([middle - forward * behind, middle + forward * ahead]), 96)

    def _extent(self, forward: np.ndarray) -> float:
        """How far the mask reaches from its centre along a direction, pixels."""
        return (self.run(np.array(self.centre), forward) + self.run(np.array(self.centre), -forward)) / 2

    def run(self, start: np.ndarray, forward: np.ndarray) -> float:
        """Pixels from a point to where the mask ends in a direction; gaps of the mask are run over."""
        reach = np.arange(0, float(np.hypot(*self.shape)), max(0.5, self.size / 200))
        x = np.floor(start[0] + forward[0] * reach).astype(int)
        y = np.floor(start[1] + forward[1] * reach).astype(int)
        there = (x >= 0) & (y >= 0) & (x < self.shape[1]) & (y < self.shape[0])
        inside = np.zeros(len(reach), bool)
        inside[there] = self.mask[y[there], x[there]]
        return float(reach[inside][-1]) if inside.any() else 0.5

    def measure(self, path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For every pixel, (position 0..1 along a path, signed distance across it in pixels), float32 HxW each."""
        fine = shapes.resample(path, max(8, round(1.4 * shapes.length(path))))
        canvas = np.full(self.shape, 255, np.uint8)
        column = np.clip(fine[:, 0].astype(int), 0, self.shape[1] - 1)
        row = np.clip(fine[:, 1].astype(int), 0, self.shape[0] - 1)
        canvas[row, column] = 0
        _, labels = cv2.distanceTransformWithLabels(canvas, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
        position = np.zeros(int(labels.max()) + 1, np.int32)
        position[labels[row, column]] = np.arange(len(fine))
        nearest = position[labels]
        x, y = self.grid
        across = shapes.sideways(fine)
        there = fine.astype(np.float32)
        away_x, away_y = x - there[nearest, 0], y - there[nearest, 1]
        signed = away_x * across[nearest, 0].astype(np.float32) + away_y * across[nearest, 1].astype(np.float32)
        # Beyond its ends the path is the nearest point for a whole fan of pixels: there the plain distance counts.
        distance = np.hypot(away_x, away_y)
        at_end = (nearest < 3) | (nearest > len(fine) - 4)
        signed = np.where(at_end, np.where(signed < 0, -distance, distance), signed)
        return nearest.astype(np.float32) / (len(fine) - 1), signed


def find(picture: np.ndarray, mask: np.ndarray, optics: Optics, seed: int, grey: bool) -> Place:
    """Crop a picture around its mask, which is not empty, and read the mask's form."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    tall, wide = int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)
    margin = math.ceil(max(0.12 * max(tall, wide), 6 * optics.sharpness_px, SURROUNDINGS))
    top, left = max(0, int(rows[0]) - margin), max(0, int(columns[0]) - margin)
    window = (slice(top, int(rows[-1]) + 1 + margin), slice(left, int(columns[-1]) + 1 + margin))
    crop, cut = np.ascontiguousarray(picture[window]), np.ascontiguousarray(mask[window])
    moments = cv2.moments(cut.astype(np.uint8), binaryImage=True)
    area = moments["m00"]
    centre_x, centre_y = moments["m10"] / area + 0.5, moments["m01"] / area + 0.5
    spread = np.array([[moments["mu20"], moments["mu11"]], [moments["mu11"], moments["mu02"]]]) / area
    spread = spread + np.eye(2) / 12  # a pixel has a width of its own
    turn = 0.5 * math.atan2(2 * spread[0, 1], spread[0, 0] - spread[1, 1])
    least, most = np.linalg.eigvalsh(spread)
    strokes = tuple(_strokes(cut))
    reach = float(cv2.distanceTransform(np.pad(cut.astype(np.uint8), 1), cv2.DIST_L2, 5).max())
    size = shapes.length(strokes[0]) if strokes else 2 * math.sqrt(area / math.pi)
    fine = lighting.luminance(crop)
    near = lighting.middle(fine)
    turned, coherence = lighting.direction(near)
    own = replace(optics, grain=lighting.grain_level(near), angle=turned, coherence=coherence)
    return Place(
        crop,
        cut,
        (top, left),
        own,
        seed,
        grey,
        max(size, 1.0),
        (centre_x, centre_y),
        turn,
        float(math.sqrt(most / least)),
        reach,
        (int(rows[0]) - top, int(columns[0]) - left),
        (tall, wide),
        strokes,
    )


def _strokes(mask: np.ndarray) -> list[np.ndarray]:
    """Centre lines of a mask that is a stroke or several, longest first; none when it is an area."""
    scale = min(1.0, SKETCH / max(mask.shape))
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    small = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    small = np.pad((small >= min(0.5, max(0.1, scale))).astype(bool), 1)
    skeleton = skeletonize(small)
    bones = int(skeleton.sum())
    width = float(small.sum()) / max(bones, 1)
    if bones < THIN * width or bones < 5:
        return []
    found: list[np.ndarray] = []
    left = skeleton.copy()
    while len(found) < 12 and left.any():
        trace = _longest(left)
        if found and len(trace) < max(3.0, 1.5 * width):
            break
        found.append((trace[:, ::-1] - 0.5) / scale)
        used = np.zeros(left.shape, np.uint8)
        used[trace[:, 0], trace[:, 1]] = 1
        left &= cv2.dilate(used, np.ones((3, 3), np.uint8)) == 0
    return [_smooth(path, max(1.0, width)) for path in sorted(found, key=len, reverse=True) if len(path) > 2]


def _longest(skeleton: np.ndarray) -> np.ndarray:
    """The longest way through the skeleton's largest piece as pixels (row, column): twice a breadth-first search."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(skeleton.astype(np.uint8), connectivity=8)
    largest = 1 + int(np.argmax(stats[1:count, cv2.CC_STAT_AREA]))
    pixels = {(int(y), int(x)) for y, x in zip(*np.nonzero(labels == largest), strict=True)}

    def search(start: tuple[int, int]) -> list[tuple[int, int]]:
        came: dict[tuple[int, int], tuple[int, int]] = {start: start}
        queue = [start]
        for here in queue:
            y, x = here
            for step in ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
                there = (y + step[0], x + step[1])
                if there in pixels and there not in came:
                    came[there] = here
                    queue.append(there)
        way = [queue[-1]]
        while way[-1] != start:
            way.append(came[way[-1]])
        return way

    far = search(min(pixels))[0]
    return np.array(search(far))


def _smooth(path: np.ndarray, width: float) -> np.ndarray:
    """Take the pixel steps out of a traced line and let it reach as far as the stroke did."""
    count = len(path)
    sigma = max(1.0, 0.4 * width)
    reach = int(3 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    ends = np.concatenate([2 * path[:1] - path[reach:0:-1], path, 2 * path[-1:] - path[-2 : -reach - 2 : -1]])
    if len(ends) < count + 2 * reach:
        return path
    return np.stack([np.convolve(ends[:, axis], kernel, "valid") for axis in (0, 1)], 1)
