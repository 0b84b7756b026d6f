"""Annotators: from a picture to the map that a ControlNet is steered by. Each kind has several; `auto` takes the best.

A map is white on black for edges and lines, near is white in depth, and normals have NormalBae's colours, as the
ControlNets were trained. Those without weights never import torch. Knows nothing of requests, nor of files of pictures.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core import images, weights
from pipelines.core.errors import BadInput, Missing, Problem
from pipelines.core.models import Models
from pipelines.parts import lighting, segmenters
from pipelines.parts.conditions import edges, networks, relief, shading
from pipelines.parts.surfaces import Surface

__all__ = ["AUTO", "CONDITIONS", "Annotator", "Given", "Map", "annotate", "chosen", "names", "needs_weights"]

AUTO = "auto"
DEPTHS = ("depth-anything", "dpt", "midas")
"""The networks that see depth, the best first."""
RISE = 0.2
"""Share of a picture's long side between a network's nearest and farthest: it says nothing of the scale itself."""


@dataclass(frozen=True)
class Given:
    """What an annotator may look at."""

    picture: np.ndarray
    """float32 HxWx3 in [0, 1]."""
    mask: np.ndarray | None = None
    """bool HxW: what was painted."""
    surface: Surface | None = None
    """What is exactly known about the picture, where it is one of our own."""
    low: int = 100
    """Canny's thresholds, 0..255."""
    high: int = 200


@dataclass(frozen=True)
class Map:
    """A condition, and which annotator made it."""

    pixels: np.ndarray
    """float32 HxWx3 in [0, 1], as large as the picture."""
    annotator: str


@dataclass(frozen=True)
class Annotator:
    """One way to make a map of a kind."""

    draw: Callable[[Given, Models], np.ndarray]
    """float32 HxW or HxWx3 in [0, 1]; of another size where it measured a smaller copy."""
    lacks: Callable[[bool, bool], Problem | None] = lambda surface, painted: None
    """What stands in its way, given whether the surface is known and something is painted."""
    weights: bool = False


def names() -> dict[str, tuple[str, ...]]:
    """The annotators of each kind, in the order in which `auto` prefers them."""
    return {kind: tuple(shelf) for kind, shelf in CONDITIONS.items()}


def chosen(kind: str, annotator: str, *, surface: bool, painted: bool) -> str:
    """The annotator's name; `auto` is the first that can be had.

    `surface`: the picture is one of our own; `painted`: there is a mask. Raises BadInput, Missing where it cannot be.
    """
    if kind not in CONDITIONS:
        raise BadInput(f"there is no condition {kind!r}; choose one of {', '.join(CONDITIONS)}", "kind")
    shelf = CONDITIONS[kind]
    if annotator not in (AUTO, *shelf):
        raise BadInput(f"{kind} has no annotator {annotator!r}; choose {AUTO} or {', '.join(shelf)}", "annotator")
    ways = shelf if annotator == AUTO else {annotator: shelf[annotator]}
    problems = {name: way.lacks(surface, painted) for name, way in ways.items()}
    for name, problem in problems.items():
        if problem is None:
            return name
    raise next(problem for problem in problems.values() if problem is not None)


def needs_weights(kind: str, annotator: str) -> bool:
    """Whether an annotator that `chosen` named loads a network."""
    return CONDITIONS[kind][annotator].weights


def annotate(kind: str, annotator: str, given: Given, models: Models) -> Map:
    """The map of a kind. Raises BadInput, Missing where the annotator cannot be; as the network's loading does."""
    name = chosen(kind, annotator, surface=given.surface is not None, painted=given.mask is not None)
    drawn: np.ndarray = np.asarray(CONDITIONS[kind][name].draw(given, models), np.float32)
    rows, columns = given.picture.shape[:2]
    if drawn.shape[:2] != (rows, columns):
        drawn = cv2.resize(drawn, (columns, rows), interpolation=cv2.INTER_LINEAR)
    if drawn.ndim == 2:
        drawn = np.repeat(drawn[..., None], 3, axis=2)
    return Map(np.clip(np.nan_to_num(drawn), 0, 1), name)


def _no_surface(surface: bool, painted: bool) -> Problem | None:
    if surface:
        return None
    return BadInput(
        "exact is for the pictures that come with the studio, whose height is known: choose auto or built-in instead",
        "annotator",
    )


def _nothing_painted(surface: bool, painted: bool) -> Problem | None:
    return None if painted else BadInput("nothing is painted: paint the place that the mask should show", "mask")


def _no_u2net(surface: bool, painted: bool) -> Problem | None:
    if (weights.folder() / "u2net" / segmenters.U2NET).is_file():
        return None
    return Missing(f"{segmenters.U2NET} is not in {weights.folder().name}/u2net: put it there, or paint a mask")


def _no_depth(surface: bool, painted: bool) -> Problem | None:
    return None if _depths() else networks.missing(DEPTHS[-1])


def _depths() -> list[str]:
    return [name for name in DEPTHS if networks.missing(name) is None]


def _network(name: str, as_map: Callable[[np.ndarray], np.ndarray] = np.asarray) -> Annotator:
    """A network whose answer `as_map` turns into a map."""
    return Annotator(
        lambda given, models: as_map(networks.answer(name, given.picture, models)),
        lambda surface, painted: networks.missing(name),
        weights=True,
    )


def _plain(of: Callable[[np.ndarray], np.ndarray], side_px: int) -> Annotator:
    """A built-in way that looks at the picture alone, at most `side_px` pixels of it a side."""
    return Annotator(lambda given, models: of(_at_most(given.picture, side_px)))


def _at_most(picture: np.ndarray, side_px: int) -> np.ndarray:
    scale = side_px / max(picture.shape)
    if scale >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _between(depth: np.ndarray) -> np.ndarray:
    """A network's depth from its farthest, 0, to its nearest, 1; a flat one is 0.5 all over."""
    low, high = float(depth.min()), float(depth.max())
    if not high - low > 1e-6 * max(abs(low), abs(high)):
        return np.full(depth.shape, 0.5, np.float32)
    return np.asarray((depth - low) / (high - low), np.float32)


def _normals_from_depth(given: Given, models: Models) -> np.ndarray:
    depth = _between(networks.answer(_depths()[0], given.picture, models))
    return relief.normal_map(lighting.normals(depth * np.float32(RISE * max(depth.shape))))


def _of_bae(answer: np.ndarray) -> np.ndarray:
    """NormalBae's answer as its authors show it; no direction at all is taken for towards the camera."""
    length = np.linalg.norm(answer, axis=-1, keepdims=True)
    unit = np.where(length > 1e-6, answer / np.maximum(length, 1e-6), np.array([0, 0, 1], np.float32))
    return np.asarray((unit + 1) / 2, np.float32)


def _u2net(given: Given, models: Models) -> np.ndarray:
    pixels = images.from_float(given.picture, np.empty((0, 0, 3), np.uint16))
    return segmenters.segment(segmenters.u2net(), pixels).mask.astype(np.float32)


def _exact_depth(given: Given, models: Models) -> np.ndarray:
    assert given.surface is not None  # `chosen` has seen to it
    return relief.depth_map(given.surface.height)


def _exact_normals(given: Given, models: Models) -> np.ndarray:
    assert given.surface is not None  # `chosen` has seen to it
    return relief.normal_map(given.surface.normals)


def _painted(given: Given, models: Models) -> np.ndarray:
    assert given.mask is not None  # `chosen` has seen to it
    return given.mask.astype(np.float32)


EDGES_PX, LINES_PX, RELIEF_PX = 640, 768, 1024
"""Long sides of the copies that the built-in ways look at."""

CONDITIONS: dict[str, dict[str, Annotator]] = {
    "hed": {
        "hed": _network("hed"),
        "pidinet": _network("pidinet"),
        "built-in": _plain(edges.soft, EDGES_PX),
    },
    "depth": {
        "exact": Annotator(_exact_depth, _no_surface),
        **{name: _network(name, _between) for name in DEPTHS},
        "built-in": _plain(lambda picture: relief.depth_map(shading.height(picture)), RELIEF_PX),
    },
    "normal": {
        "exact": Annotator(_exact_normals, _no_surface),
        "normalbae": _network("normalbae", _of_bae),
        "from-depth": Annotator(_normals_from_depth, _no_depth, weights=True),
        "built-in": _plain(lambda picture: relief.normal_map(lighting.normals(shading.height(picture))), RELIEF_PX),
    },
    "canny": {"opencv": Annotator(lambda given, models: edges.canny(given.picture, given.low, given.high))},
    "lineart": {"lineart": _network("lineart"), "built-in": _plain(edges.lines, LINES_PX)},
    "mask": {"painted": Annotator(_painted, _nothing_painted), "u2net": Annotator(_u2net, _no_u2net, weights=True)},
}
