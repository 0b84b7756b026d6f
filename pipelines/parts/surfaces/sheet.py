"""What a surface is drawn on and what it is made of: the sheet, the material, and the helpers all surfaces share.

All lengths are shares of the picture's shorter side and all heights are pixels of a picture 512 px wide, so that a
material is the same thing at every resolution. Knows no particular surface.
"""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from pipelines.core import noise
from pipelines.parts.lighting import Light

REFERENCE_PX = 512.0  # heights and blurs are stated for a picture of this side


@dataclass(frozen=True)
class Material:
    """What light falls on. `relief` is in pixels of a 512 px picture."""

    caption: str
    albedo: np.ndarray  # HxWx3
    relief: np.ndarray  # HxW
    gloss: np.ndarray | float = 0.1
    shininess: float = 20.0
    angle: float = 0.0  # direction the texture runs along, radians, y down
    grey: bool = False  # photographed by a camera without colour
    softness: float = 1.0  # how much blurrier than usual the lens is
    reach: float = 4.0  # width of the recesses that ambient occlusion darkens
    sheen: np.ndarray | None = None  # HxW factor: a metal's own bright and dark sectors
    mirror: np.ndarray | None = None  # HxW added light: a lamp seen in a lacquered face
    ground: "Ground | None" = None  # what a part lies on; None where the surface fills the picture


@dataclass(frozen=True)
class Ground:
    """What lies under a part and how the part lies on it."""

    under: Material
    place: np.ndarray  # HxW in [0, 1], the part's coverage of each pixel
    stands: float  # how high the part stands over it, for its shadow, as a share of the side


@dataclass(frozen=True)
class Sheet:
    """An empty picture: its size, its light, its coordinates and its own random streams."""

    seed: int
    height: int
    width: int
    light: Light
    random: np.random.Generator
    x: np.ndarray = field(repr=False)  # HxW, 0 in the middle, in shares of the shorter side
    y: np.ndarray = field(repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def side(self) -> int:
        return min(self.height, self.width)

    @property
    def pixel(self) -> float:
        """One pixel as a share of the side."""
        return 1 / self.side

    def noise(
        self, stream: str, cell: float, *, octaves: int = 5, gain: float = 0.5, aniso: float = 1.0, angle: float = 0.0
    ) -> np.ndarray:
        """Fractal noise of about unit variance, its largest features `cell` wide."""
        size = cell * self.side
        return noise.fractal(
            self.seed, self.shape, size, octaves=octaves, gain=gain, aniso=aniso, angle=angle, stream=stream
        )

    def cells(
        self, stream: str, cell: float, *, jitter: float = 1.0, warp: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cellular noise: distance to the nearest point, to the border, and ids; see core.noise.cells."""
        return noise.cells(self.seed, self.shape, cell * self.side, jitter=jitter, warp=warp, stream=stream)

    def each(self, stream: str, ids: np.ndarray) -> np.ndarray:
        """A normal number for each id, HxW."""
        values = noise.rng(self.seed, "each", stream).standard_normal(int(ids.max()) + 1, dtype=np.float32)
        return values.take(ids)

    def line(
        self, stream: str, position: np.ndarray, cell: float, *, octaves: int = 3, gain: float = 0.6
    ) -> np.ndarray:
        """Noise along one coordinate of any unit, features `cell` of it: what a tool leaves that cuts one profile."""
        total = np.zeros(position.shape, np.float32)
        for k in range(octaves):
            size = cell / 2**k
            knots = noise.rng(self.seed, "line", stream, k).standard_normal(4096, dtype=np.float32)
            at = position / np.float32(size)
            base = np.floor(at).astype(np.int32)
            t = at - base
            t = t * t * (3 - 2 * t)
            left, right = knots.take(base, mode="wrap"), knots.take(base + 1, mode="wrap")
            total += np.float32(gain**k) * (left + (right - left) * t)
        return total / math.sqrt(sum(gain ** (2 * k) for k in range(octaves)))

    def along(self, angle: float) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates along and across a direction."""
        cos, sin = math.cos(angle), math.sin(angle)
        return np.float32(cos) * self.x + np.float32(sin) * self.y, np.float32(cos) * self.y - np.float32(sin) * self.x

    def inside(self, distance: np.ndarray, soft: float = 1.0) -> np.ndarray:
        """Coverage of each pixel by what lies where `distance` (in shares of the side) is negative."""
        return noise.smoothstep(soft * self.pixel, -soft * self.pixel, distance)

    def bowls(self, stream: str, count: float, smallest: float, largest: float, *, slope: float = 2.0) -> np.ndarray:
        """Round hollows 1 deep, of radii by a power law, `count` of them on a square picture; HxW in [0, 1]."""
        random = noise.rng(self.seed, "bowls", stream)
        across, down = self.width / self.side, self.height / self.side
        field_ = np.zeros(self.shape, np.float32)
        for _ in range(round(count * across * down)):
            u = random.random()
            radius = (smallest**-slope + u * (largest**-slope - smallest**-slope)) ** (-1 / slope)
            centre_x, centre_y = random.uniform(0, across), random.uniform(0, down)
            stretch, turn, bend = random.uniform(0.7, 1), random.uniform(0, math.pi), random.uniform(0, 0.25)
            left, top = (int((c - 1.5 * radius) * self.side) for c in (centre_x, centre_y))
            right, bottom = (int((c + 1.5 * radius) * self.side) + 2 for c in (centre_x, centre_y))
            left, top, right, bottom = max(left, 0), max(top, 0), min(right, self.width), min(bottom, self.height)
            if left >= right or top >= bottom:
                continue
            x = ((np.arange(left, right, dtype=np.float32) + 0.5) * self.pixel - centre_x)[None, :] / radius
            y = ((np.arange(top, bottom, dtype=np.float32) + 0.5) * self.pixel - centre_y)[:, None] / radius
            u_, v_ = math.cos(turn) * x + math.sin(turn) * y, (math.cos(turn) * y - math.sin(turn) * x) / stretch
            reach = u_ * u_ + v_ * v_ + np.float32(bend) * u_ * v_ * u_
            window = field_[top:bottom, left:right]
            np.maximum(window, np.clip(1 - reach, 0, 1), out=window)
        return field_


def open_sheet(seed: int, shape: tuple[int, int], light: Light, name: str) -> Sheet:
    """An empty sheet for the surface `name`."""
    height, width = shape
    side = min(shape)
    x = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / side
    y = (np.arange(height, dtype=np.float32) + 0.5 - height / 2) / side
    grid_x, grid_y = (np.ascontiguousarray(a, np.float32) for a in np.meshgrid(x, y))
    own = int(noise.rng(seed, "surface", name).integers(2**62))
    return Sheet(own, height, width, light, noise.rng(own, "parameters"), grid_x, grid_y)


def hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """An RGB colour from hue in turns, saturation and value."""
    colour = np.array([[[hue % 1 * 360, saturation, value]]], np.float32)
    return np.asarray(cv2.cvtColor(colour, cv2.COLOR_HSV2RGB)[0, 0], np.float32)


def tint(share: np.ndarray, low: np.ndarray | list[float], high: np.ndarray | list[float]) -> np.ndarray:
    """HxWx3: `low` where share is 0, `high` where it is 1."""
    dark, bright = np.asarray(low, np.float32), np.asarray(high, np.float32)
    return dark + (bright - dark) * np.clip(share, 0, 1)[..., None]


def plain(value: np.ndarray, colour: np.ndarray | list[float] | None = None) -> np.ndarray:
    """HxWx3: a brightness HxW times a colour (white when None)."""
    factor = np.ones(3, np.float32) if colour is None else np.asarray(colour, np.float32)
    return np.maximum(value, 0)[..., None] * factor


def over(below: np.ndarray, above: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """`above` laid over `below`, HxWx3 or one colour, as far as `cover` HxW says."""
    share = cover[..., None]
    return below + (above - below) * share
