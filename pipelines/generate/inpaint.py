"""Paints defects into masked areas of a good part. Knows nothing of Gradio or of the queue."""

from dataclasses import dataclass
from functools import reduce

import cv2
import numpy as np

from pipelines.core import images, intake, kinds
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.core.requests import Inpaint, Region
from pipelines.core.requests.generate import sibling
from pipelines.core.runs import Painted, Run
from pipelines.parts import crop, defects, lighting, quality

MEASURED_PX = 1024  # lamp and tones are read from a copy of the picture no larger than this


@dataclass(frozen=True)
class Area:
    """A region with its mask read."""

    region: Region
    mask: np.ndarray
    pieces: list[np.ndarray]
    """The mask in parts that lie far from each other."""
    feather_px: int


def run(request: Inpaint, run: Run, models: Models) -> None:
    """Make `request.num_images` pictures; picture k uses seed + k."""
    assets = run.assets
    source = assets.get(request.image)
    picture = images.read(source.path, name=source.name)
    white = images.white(picture.pixels)
    areas = [_area(region, picture, assets) for region in request.areas()]
    asked = reduce(np.logical_or, [area.mask for area in areas])
    may_change = reduce(np.logical_or, [crop.feathered(area.mask, area.feather_px) for area in areas])
    box = crop.around(may_change, 0)
    whole = _measure(picture.pixels, white)
    for index in run.items(request.num_images):
        one = request.for_image(index)
        regions = one.areas()
        painted = picture.pixels.copy()
        labels, notes = [], []
        for number, (area, region) in enumerate(zip(areas, regions, strict=True)):
            run.tick(index, request.num_images, f"picture {index + 1} of {request.num_images}")
            changed = np.zeros(asked.shape, bool)
            for piece, mask in enumerate(area.pieces):
                own = region.model_copy(update={"seed": sibling(region.seed or 0, piece)})
                drawn, facts = _draw(painted, white, mask, own, one, number, whole)
                changed |= drawn
                notes.append(facts)
            labels.append((changed if one.label == "changed" else area.mask, _facts(region)))
        changed = np.zeros(asked.shape, bool)
        changed[box.window] = _differs(picture.pixels[box.window], painted[box.window])
        scores = quality.measure(picture.pixels, painted, asked=asked, feathered=may_change, changed=changed).row()
        done = Painted(
            picture=painted,
            asked=asked,
            changed=changed,
            label=one.label,
            regions=labels,
            request=intake.named(one, assets),
            row={
                "defect": "+".join(dict.fromkeys(area.region.defect for area in areas)),
                "seed": one.seed,
                "base": one.base,
                "source": {"asset": source.id, "name": source.name, "sha256": source.sha256},
                "caption": _caption(areas),
                "scores": scores,
            },
        )
        run.save(index, done)
        run.log(image=index, seed=one.seed, scores=scores, drawn=notes)
        run.tick(index + 1, request.num_images, preview=painted)
    run.write_manifest()
    rows = run.rows()
    run.finish({"images": len(rows), "outside_max": max((row["scores"]["outside_max"] for row in rows), default=0)})


def _area(region: Region, picture: images.Picture, assets: Assets) -> Area:
    asset = assets.get(region.mask)
    mask = images.read_mask(asset.path, size=(picture.height, picture.width), name=asset.name)
    padding_px, feather_px = _margins(region)
    return Area(region, mask, crop.groups(mask, padding_px + feather_px), feather_px)


def _margins(region: Region) -> tuple[int, int]:
    """Surroundings and soft edge in pixels, of a region as `Inpaint.areas` settled it."""
    return region.padding_px or 0, region.feather_px or 0


def _draw(
    pixels: np.ndarray,
    white: int,
    mask: np.ndarray,
    region: Region,
    request: Inpaint,
    number: int,
    whole: lighting.Optics,
) -> tuple[np.ndarray, dict[str, object]]:
    """Draw one defect into `pixels`, in place. Returns bool HxW, what changed, and what was found out on the way."""
    severity = request.severity if region.severity is None else region.severity
    padding_px, feather_px = _margins(region)
    box = crop.around(mask, padding_px + feather_px)
    before = pixels[box.window].copy()
    weight = crop.feather(mask[box.window], feather_px)
    values = images.to_float(before, white)
    drawing = defects.draw(
        values,
        weight > 0,
        region.defect,
        severity=severity,
        seed=region.seed or 0,
        light=region.light,
        look=region.look,
        grey=before.ndim == 2,
        bits=white.bit_length(),
        weight=weight * np.float32(request.strength),
        optics=lighting.within(whole, values),
    )
    if not drawing.mask.any():
        raise BadInput(
            f"nothing can be seen of {region.defect} in region {number + 1} at severity {severity:g} and"
            f" strength {request.strength:g}: raise one of them or paint a larger area",
            "severity",
        )
    pixels[box.window] = images.from_float(drawing.image, like=before, white=white)
    changed = np.zeros(mask.shape, bool)
    changed[box.window] = drawing.mask
    return changed, dict(drawing.facts)


def _measure(pixels: np.ndarray, white: int) -> lighting.Optics:
    """What the whole picture says about its lamp and its tones."""
    scale = min(1.0, MEASURED_PX / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = pixels if scale == 1 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return lighting.estimate(images.to_float(small, white))


def _differs(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """bool HxW: where any channel differs."""
    difference = cv2.absdiff(before, after)
    return difference > 0 if difference.ndim == 2 else difference.max(axis=2) > 0


def _facts(region: Region) -> dict[str, object]:
    return {"defect": region.defect, "severity": region.severity, "seed": region.seed}


def _caption(areas: list[Area]) -> str:
    names = dict.fromkeys(kinds.load()[area.region.defect].label.lower() for area in areas)
    return "a photo of a part with " + " and ".join(names)
