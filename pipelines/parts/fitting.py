"""Sets a drawn kind of defect after real ones: what is measured of a defect, and the search for the nearest look.

A look is judged by what it does to its surface, the picture against its background, so that a real defect and one that
was drawn on another picture differ by nothing but the defect. Knows pictures and kinds; no files and no runs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core.kinds import Kind, Parameter
from pipelines.core.noise import blur, rng
from pipelines.parts import defects, lighting
from pipelines.parts.exemplars import poses, residual, weave
from pipelines.parts.metrics import texture

Look = dict[str, float | str]

SEVERITIES = (0.5, 0.0, 0.25, 0.75, 1.0)
"""The kind's usual looks, with which every search begins."""
ANYWHERE, ROUNDS, CHILDREN, ELITE = 7, 3, 12, 4
STEP = 0.18
"""How far a child is from its parent at first, in parts of a parameter's span; less with every round."""
TONE, EDGE_UNIT_PX, ROUGH = 0.06, 3.0, 1.0
"""Differences in tone, in edge width and in roughness that are seen alike: one unit each of what a person names."""
DEPTHS = 5
"""From rim to core, the tone is compared in so many steps."""
PLAIN = 7 + 3 + 3 * DEPTHS
UNITS = np.repeat([TONE, EDGE_UNIT_PX, ROUGH, TONE], [4, 1, 1, PLAIN - 6])
FARTHEST = 6.0
"""Units and deviations end here: one feature must not outweigh all others."""
EDGE_PX = 8


@dataclass(frozen=True)
class Site:
    """A real defect, and the same place without it, where the like of it can be drawn."""

    real: np.ndarray
    """float32 HxWx3 in [0, 1]."""
    mask: np.ndarray
    """bool HxW."""
    ground: np.ndarray
    """float32 HxWx3 in [0, 1], as `mended` gives it."""
    grey: bool


@dataclass(frozen=True)
class Measured:
    """What real defects are like, medians over them; of the residual, so in parts of the background's level."""

    area_px: float
    elongation: float
    """Longer by shorter axis."""
    orientation_deg: float
    """Of the longer axis, 0 = level, 90 = upright."""
    contrast: float
    """Mean tone: below 0 it is darker than its surroundings."""
    colour: tuple[float, float, float]
    """The same by channel."""
    edge_px: float
    """From a tenth to nine tenths of the way into it."""
    roughness: float
    """Its finest detail against that of its surroundings; 1 = alike."""


@dataclass(frozen=True)
class Fitted:
    """The nearest looks of a kind that were found."""

    kind: Kind
    look: Look
    ranges: dict[str, tuple[float, float]]
    """From the least to the most of the nearest few, for each number."""
    distance: float
    usual: float
    """Distance of the kind as it is drawn at severity 0.5."""


def measure(sites: Sequence[Site]) -> Measured:
    """What the real ones are like; the orientation is the mean of the axes."""
    rows = [_plain(one.real, one.mask) for one in sites]
    shapes = [poses.axes(one.mask) for one in sites]
    turn = np.mean([np.exp(2j * angle) for _, angle, _ in shapes])
    tone, red, green, blue, edge, rough = np.median([row[:6] for row in rows], axis=0).tolist()
    return Measured(
        area_px=float(np.median([np.count_nonzero(one.mask) for one in sites])),
        elongation=float(np.median([longer for _, _, longer in shapes])),
        orientation_deg=math.degrees(-0.5 * float(np.angle(turn))) % 180,
        contrast=tone,
        colour=(red, green, blue),
        edge_px=edge,
        roughness=rough,
    )


def mended(real: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """float32 HxWx3: the defect replaced by the surface's tone, and its texture from beside the defect."""
    ground = residual.background(real, mask, residual.sigma_px(mask))
    left = residual.relative(real, ground)
    reach = np.ones((2 * residual.BESIDE_PX + 1,) * 2, np.uint8)
    wide = cv2.dilate(mask.astype(np.uint8), reach) > 0
    moves = [(way * far, axis) for axis in (0, 1) for far in range(2, mask.shape[axis] - 1, 3) for way in (1, -1)]
    far, axis = min(moves, key=lambda move: int((np.roll(wide, move[0], move[1]) & wide).sum()))
    beside = np.where(np.roll(wide, far, axis)[..., None], 0, np.roll(left, far, axis))
    share = blur(wide.astype(np.float32), 1.5)[..., None]
    clean = np.clip(residual.absolute(beside, ground), 0, 1)
    return np.where(wide[..., None], clean, real + share * (clean - real)).astype(np.float32)


def drawn(site: Site, kind: str, seed: int, look: Look) -> np.ndarray:
    """float32 HxWx3: the kind drawn on the site's sound place, of severity 0.5."""
    return defects.draw(site.ground, site.mask, kind, seed=seed, look=look, grey=site.grey).image


def describe(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """float64 [N] of a defect by what it does to its surface."""
    left = _residual(picture, mask)
    return np.concatenate([_plain(picture, mask, left), texture.features(np.clip(0.5 + 0.5 * left, 0, 1))])


class Search:
    """Looks for the look, of any kind, that is nearest to the real defects of the sites."""

    def __init__(self, sites: Sequence[Site], every: Sequence[Kind], seed: int) -> None:
        """`every` is what the yardstick is made of: a feature counts by how far the usual kinds differ in it."""
        self.sites, self.seed = sites, seed
        self._real = [describe(one.real, one.mask) for one in sites]
        rows = [
            [real, *(describe(drawn(one, kind.id, seed, {}), one.mask) for kind in every)]
            for one, real in zip(sites, self._real, strict=True)
        ]
        self._spread = np.maximum(np.sqrt(np.mean(np.var(rows, axis=1), axis=0)), 1e-4)
        self._spread[:PLAIN] = UNITS
        looks = len(self._spread) - PLAIN
        self._weight = np.repeat([1 / PLAIN, 1 / looks], [PLAIN, looks])

    def distance(self, kind: Kind, look: Look, most: int | None = None) -> float:
        """How far what is drawn on the first `most` sites is from the real ones there, in the mean over the sites."""
        apart = [
            describe(drawn(one, kind.id, self.seed + k, look), one.mask) - real
            for k, (one, real) in enumerate(zip(self.sites[:most], self._real[:most], strict=True))
        ]
        off = np.clip(np.mean(apart, axis=0) / self._spread, -FARTHEST, FARTHEST)
        return float(np.sqrt(np.average(off**2, weights=self._weight)))

    def glance(self, kind: Kind) -> float:
        """How near a kind's usual looks come, seen on one site: enough to leave out most kinds."""
        random = rng(self.seed, "fit", kind.id, "glance")
        return min(self.distance(kind, kind.settle(severity, {}, random.random), 1) for severity in SEVERITIES)

    def fit(self, kind: Kind, tick: Callable[[int, int], None]) -> Fitted:
        """The nearest look of a kind; `tick` hears how many of all looks have been tried."""
        random = rng(self.seed, "fit", kind.id)
        usual = [kind.settle(severity, {}, random.random) for severity in SEVERITIES]
        tries: list[Look] = [
            *usual,
            *({n: _any(p, random) for n, p in kind.parameters.items()} for _ in range(ANYWHERE)),
        ]
        total = len(tries) + ROUNDS * CHILDREN
        found: list[tuple[float, Look]] = []
        first = math.inf
        for turn in range(ROUNDS + 1):
            for look in tries:
                found.append((self.distance(kind, look), look))
                tick(len(found), total)
            first = min(first, found[0][0]) if turn == 0 else first
            found.sort(key=lambda one: one[0])
            step = STEP / 2**turn
            tries = [_near(kind, found[k % ELITE][1], step, random) for k in range(CHILDREN)]
            tries = tries if turn < ROUNDS else []
        best = [look for _, look in found[:ELITE]]
        ranges = {
            name: (min(values), max(values))
            for name, one in kind.parameters.items()
            if not one.choices and (values := [float(look[name]) for look in best])
        }
        return Fitted(kind, best[0], ranges, found[0][0], first)


def _plain(picture: np.ndarray, mask: np.ndarray, left: np.ndarray | None = None) -> np.ndarray:
    """float64 [PLAIN]: tone, its red, green and blue, edge width, roughness, spread, three quantiles of the tone, and
    the mean colour from rim to core.
    """
    left = _residual(picture, mask) if left is None else left
    grey = lighting.luminance(left)
    inside = grey[mask]
    beside = weave.signed(mask) < -residual.BESIDE_PX
    rough = residual.grain(left, mask) / max(residual.grain(left, beside), 1e-4)
    return np.array(
        [
            inside.mean(),
            *left[mask].mean(axis=0),
            _edge(grey, mask),
            min(rough, 10.0),
            inside.std(),
            *np.quantile(inside, (0.05, 0.5, 0.95)),
            *_by_depth(left, mask).ravel(),
        ],
        np.float64,
    )


def _by_depth(left: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """float [DEPTHS, 3]: the mean colour of as many pixels in each step, the outermost first."""
    order = np.argsort(weave.signed(mask)[mask], kind="stable")
    steps = np.array_split(left[mask][order], DEPTHS)
    return np.array([one.mean(axis=0) if len(one) else left[mask].mean(axis=0) for one in steps])


def _residual(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    ground = residual.background(picture, mask, residual.sigma_px(mask))
    return residual.relative(picture, ground)


def _edge(grey: np.ndarray, mask: np.ndarray) -> float:
    """Pixels over which the mean tone goes from a tenth to nine tenths of the way into the defect, EDGE_PX at most."""
    distance = weave.signed(mask)
    steps = np.arange(-EDGE_PX, min(EDGE_PX, residual.half_width(mask)) + 1)
    tones = [
        float(grey[np.abs(distance - step) <= 0.75].mean()) for step in steps if (np.abs(distance - step) <= 0.75).any()
    ]
    if len(tones) < 3 or abs(tones[-1] - tones[0]) < 1e-3:
        return float(EDGE_PX)
    way = np.maximum.accumulate((np.array(tones) - tones[0]) / (tones[-1] - tones[0]))
    low, high = (int(np.argmax(way >= share)) for share in (0.1, 0.9))
    return float(min(max(high - low, 1), EDGE_PX))


def _any(parameter: Parameter, random: np.random.Generator) -> float | str:
    if parameter.choices:
        return parameter.choices[int(random.integers(len(parameter.choices)))]
    return float(random.uniform(parameter.low, parameter.high))


def _near(kind: Kind, look: Look, step: float, random: np.random.Generator) -> Look:
    """A child: every number a little off, now and then another choice."""
    child: Look = {}
    for name, one in kind.parameters.items():
        value = look[name]
        if isinstance(value, str):
            child[name] = _any(one, random) if random.random() < step else value
        else:
            child[name] = float(np.clip(value + random.normal(0, step) * (one.high - one.low), one.low, one.high))
    return child
