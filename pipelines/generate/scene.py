"""What a picture to be painted on is, before and after: its areas read, and a finished variant saved with its scores.

Knows requests, runs and pixels; not how a defect comes about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import cv2
import numpy as np

from pipelines.core import images, intake, kinds
from pipelines.core.assets import Asset, Assets
from pipelines.core.requests import Painting, Region
from pipelines.core.runs import Painted, Run
from pipelines.parts import crop, quality


@dataclass(frozen=True)
class Area:
    """A region with its mask read."""

    region: Region
    mask: np.ndarray
    """bool HxW."""
    pieces: list[np.ndarray]
    """The mask in parts that lie far from each other."""
    padding_px: int
    feather_px: int

    @property
    def facts(self) -> dict[str, Any]:
        return {name: getattr(self.region, name) for name in ("defect", "severity", "seed")}


@dataclass(frozen=True)
class Scene:
    """A picture and where it will be painted on."""

    source: Asset
    pixels: np.ndarray
    """HxW or HxWx3, uint8 or uint16."""
    white: int
    areas: list[Area]
    asked: np.ndarray
    """bool HxW: all areas."""
    may_change: np.ndarray
    """bool HxW: all areas and their feathers."""
    box: crop.Box
    """Around all that may change."""

    def for_image(self, request: Painting) -> "Scene":
        """The same with the regions as one picture's request has them."""
        regions = request.areas()
        return replace(
            self, areas=[replace(area, region=region) for area, region in zip(self.areas, regions, strict=True)]
        )


def read(request: Painting, assets: Assets) -> Scene:
    """The scene of a request. Raises BadInput, Missing."""
    source = assets.get(request.image)
    picture = images.read(source.path, name=source.name)
    areas = [_area(region, picture, assets) for region in request.areas()]
    nowhere = np.zeros((picture.height, picture.width), bool)
    may_change = reduce(np.logical_or, [crop.feathered(area.mask, area.feather_px) for area in areas], nowhere)
    return Scene(
        source=source,
        pixels=picture.pixels,
        white=images.white(picture.pixels),
        areas=areas,
        asked=reduce(np.logical_or, [area.mask for area in areas], nowhere),
        may_change=may_change,
        box=crop.around(may_change if areas else ~nowhere, 0),
    )


def _area(region: Region, picture: images.Picture, assets: Assets) -> Area:
    asset = assets.get(region.mask)
    mask = images.read_mask(asset.path, size=(picture.height, picture.width), name=asset.name)
    padding_px, feather_px = region.padding_px or 0, region.feather_px or 0
    return Area(region, mask, crop.groups(mask, padding_px + feather_px), padding_px, feather_px)


@dataclass(frozen=True)
class Variant:
    """One finished picture, not yet saved."""

    painted: np.ndarray
    """As the scene's pixels."""
    changed: Sequence[np.ndarray] | None = None
    """bool HxW an area: what changed of it; None = wherever the picture differs inside the area and its feather."""
    row: Mapping[str, Any] | None = None
    """More for the manifest."""


def save(run: Run, index: int, scene: Scene, request: Painting, variant: Variant) -> dict[str, Any]:
    """Scores a variant and commits it. `scene` and `request` are those of this one picture. Returns its scores."""
    changed = np.zeros(scene.asked.shape, bool)
    changed[scene.box.window] = differs(scene.pixels[scene.box.window], variant.painted[scene.box.window])
    scores = quality.measure(
        scene.pixels, variant.painted, asked=scene.asked, feathered=scene.may_change, changed=changed
    ).row()
    each = variant.changed
    if each is None:
        each = [changed & crop.feathered(area.mask, area.feather_px) for area in scene.areas]
    labels = [
        (own if request.label == "changed" else area.mask, area.facts)
        for area, own in zip(scene.areas, each, strict=True)
    ]
    done = Painted(
        picture=variant.painted,
        asked=scene.asked,
        changed=changed,
        label=request.label or "changed",
        regions=labels,
        request=intake.named(request, run.assets),
        row={
            "defect": "+".join(dict.fromkeys(area.region.defect for area in scene.areas)),
            "seed": request.seed,
            "base": request.base,
            "source": {"asset": scene.source.id, "name": scene.source.name, "sha256": scene.source.sha256},
            "caption": caption(scene.areas),
            "scores": scores,
            **(variant.row or {}),
        },
    )
    run.save(index, done)
    return scores


def finish(run: Run) -> None:
    """The end of a run of pictures: its manifest and its result."""
    run.write_manifest()
    rows = run.rows()
    run.finish({"images": len(rows), "outside_max": max((row["scores"]["outside_max"] for row in rows), default=0)})


def differs(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """bool HxW: where any channel differs."""
    difference = cv2.absdiff(before, after)
    return difference > 0 if difference.ndim == 2 else difference.max(axis=2) > 0


def caption(areas: Sequence[Area]) -> str:
    names = dict.fromkeys(kinds.load()[area.region.defect].label.lower() for area in areas)
    return "a photo of a part with " + " and ".join(names)
