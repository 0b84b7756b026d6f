"""Defects drawn physically into the masked areas: the base that needs no weights. Never imports torch."""

import cv2
import numpy as np

from pipelines.core import images
from pipelines.core.errors import BadInput
from pipelines.core.requests import Inpaint
from pipelines.core.requests.generate import sibling
from pipelines.core.runs import Run
from pipelines.generate import scene
from pipelines.generate.scene import Area, Scene, Variant
from pipelines.parts import crop, defects, lighting

MEASURED_PX = 1024  # lamp and tones are read from a copy of the picture no larger than this


def run(request: Inpaint, run: Run, whole: Scene) -> None:
    """Make `request.num_images` pictures; picture k uses seed + k."""
    optics = _measure(whole.pixels, whole.white)
    for index in run.items(request.num_images):
        one = request.for_image(index)
        here = whole.for_image(one)
        painted = here.pixels.copy()
        changed, notes = [], []
        for number, area in enumerate(here.areas):
            run.tick(index, request.num_images, f"picture {index + 1} of {request.num_images}")
            own = np.zeros(here.asked.shape, bool)
            for piece in range(len(area.pieces)):
                drawn, facts = _draw(painted, here.white, area, piece, one, number, optics)
                own |= drawn
                notes.append(facts)
            changed.append(own)
        scores = scene.save(run, index, here, one, Variant(painted, changed))
        run.log(image=index, seed=one.seed, scores=scores, drawn=notes)
        run.tick(index + 1, request.num_images, preview=painted)


def _draw(
    pixels: np.ndarray,
    white: int,
    area: Area,
    piece: int,
    request: Inpaint,
    number: int,
    whole: lighting.Optics,
) -> tuple[np.ndarray, dict[str, object]]:
    """Draw one defect into `pixels`, in place. Returns bool HxW, what changed, and what was found out on the way."""
    region, mask = area.region, area.pieces[piece]
    severity = request.severity if region.severity is None else region.severity
    box = crop.around(mask, area.padding_px + area.feather_px)
    before = pixels[box.window].copy()
    weight = crop.feather(mask[box.window], area.feather_px)
    values = images.to_float(before, white)
    drawing = defects.draw(
        values,
        weight > 0,
        region.defect,
        severity=severity,
        seed=sibling(region.seed or 0, piece),
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
