"""The maps that steer a picture: made of the part with its defect's shape drawn in, or brought ready-made.

Knows requests, scenes and maps; not what reads them. Never imports torch by itself: weight-free maps need none.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from pipelines.core import images
from pipelines.core.models import Models
from pipelines.core.requests.control import Steered
from pipelines.core.runs import Run
from pipelines.generate import drawing
from pipelines.generate.scene import Scene
from pipelines.parts import conditions, crop, geometry
from pipelines.parts.conditions import Map, exact
from pipelines.parts.surfaces import Surface

Window = tuple[slice, slice]
BROUGHT = "brought"
"""What the annotator of a ready-made map is called."""
EDGES = ("hed", "canny", "lineart")
LEAST_EDGE = 0.6
"""How bright the outline of the slightest defect is."""


class Maps:
    """What the maps of a run are made of: the picture, what is known of it, and the maps that were brought."""

    def __init__(self, request: Steered, run: Run, whole: Scene, models: Models) -> None:
        self.request, self.whole, self.models = request, whole, models
        self.surface = exact.known(whole.source.sha256)
        self.brought: dict[int, np.ndarray] = {}
        for number, one in enumerate(request.conditions):
            if one.image is None:
                continue
            asset = run.assets.get(one.image)
            picture = images.read(asset.path, name=asset.name)
            values = images.to_float(picture.pixels, images.white(picture.pixels))
            self.brought[number] = _sized(values, whole.asked.shape)

    @cached_property
    def optics(self) -> Any:
        return drawing.measure(self.whole.pixels, self.whole.white)

    def prepared(
        self, one: Steered, here: Scene, box: crop.Box | None = None, size: tuple[int, int] | None = None
    ) -> "Prepared":
        """What one picture's maps are made of: a window of it, brought to (height, width)."""
        window = box.window if box is not None else (slice(None), slice(None))
        clean = self._given(here, window, size)
        if not one.geometry or not here.areas:
            return Prepared(self, one, window, clean, clean, None)
        drawn = drawing.draw(here, one, self.optics)
        given = self._given(replace(here, pixels=drawn.pixels), window, size)
        shape = _Shape.of(drawn, here, one, window, given.picture.shape[:2])
        return Prepared(self, one, window, clean, given, shape)

    def _given(self, here: Scene, window: Window, size: tuple[int, int] | None) -> conditions.Given:
        values = images.to_float(here.pixels[window], here.white)
        size = size or (values.shape[0], values.shape[1])
        surface = None
        if self.surface is not None and self.surface.height.shape == here.asked.shape:
            surface = _part_of(self.surface, window, size, size[0] / values.shape[0])
        mask = _sized(here.asked[window].astype(np.float32), size) > 0 if here.areas else None
        return conditions.Given(_sized(values, size), mask, surface)


@dataclass(frozen=True)
class Prepared:
    """One picture, ready to be turned into maps."""

    maps: Maps
    request: Steered
    window: Window
    clean: conditions.Given
    drawn: conditions.Given
    """With the defects drawn into the picture: edges are read from it."""
    shape: "_Shape | None"

    def map(self, number: int) -> Map:
        """The map of a condition. Raises BadInput, Missing where its annotator cannot be had."""
        each = self.request.conditions[number]
        if number in self.maps.brought:
            made = Map(_sized(self.maps.brought[number][self.window], self.clean.picture.shape[:2]), BROUGHT)
        else:
            given = replace(self.drawn if each.kind in EDGES else self.clean, low=each.low, high=each.high)
            made = conditions.annotate(each.kind, each.annotator, given, self.maps.models)
        return made if self.shape is None else replace(made, pixels=self.shape.into(each.kind, made.pixels))


@dataclass(frozen=True)
class _Shape:
    """What was drawn, at the size of the maps."""

    where: np.ndarray
    """bool HxW."""
    height: np.ndarray
    """float32 HxW, in pixels."""
    severity: float
    """Of the worst."""

    @classmethod
    def of(cls, drawn: drawing.Drawn, here: Scene, one: Steered, window: Window, size: tuple[int, int]) -> "_Shape":
        where, height = np.zeros(here.asked.shape, bool), drawn.height
        severities = []
        for area, changed in zip(here.areas, drawn.changed, strict=True):
            where |= changed
            severities.append(one.severity if area.region.severity is None else area.region.severity)
            if area.region.defect in geometry.DEEP:
                height = np.where(changed, geometry.bowl(changed), height)
        scale = size[0] / height[window].shape[0]
        small = _sized(height[window], size) * np.float32(scale)
        return cls(_sized(where[window].astype(np.float32), size) > 0.3, small, max(severities))

    def into(self, kind: str, map: np.ndarray) -> np.ndarray:
        """The map with the defects' shape in it."""
        if kind in EDGES:
            bright = 1.0 if kind == "canny" else LEAST_EDGE + (1 - LEAST_EDGE) * self.severity
            return geometry.into_edges(map, self.where, bright, soft=kind == "hed")
        if kind == "depth":
            return geometry.into_depth(map, self.height, 0.5 + 0.5 * self.severity)
        return geometry.into_normals(map, self.height) if kind == "normal" else map


def _part_of(surface: Surface, window: Window, size: tuple[int, int], scale: float) -> Surface:
    """A window of a surface, at another size: heights are in pixels of that."""
    normals = _sized(surface.normals[window], size)
    place = None if surface.place is None else _sized(surface.place[window].astype(np.float32), size) > 0.5
    return replace(
        surface,
        image=_sized(surface.image[window], size),
        height=_sized(surface.height[window], size) * np.float32(scale),
        normals=normals / np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-6),
        albedo=_sized(surface.albedo[window], size),
        place=place,
    )


def _sized(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """float32 values at (height, width)."""
    height, width = size
    if values.shape[:2] == (height, width):
        return values
    smaller = height < values.shape[0]
    return cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
