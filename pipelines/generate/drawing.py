"""Defects drawn physically into the masked areas: the base that needs no weights. Never imports torch."""

from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core import images
from pipelines.core.errors import BadInput
from pipelines.core.requests import Inpaint, Painting
from pipelines.core.requests.generate import sibling
from pipelines.core.runs import Run
from pipelines.generate import scene
from pipelines.generate.scene import Area, Scene, Variant
from pipelines.parts import crop, defects, lighting

MEASURED_PX = 1024  # lamp and tones are read from a copy of the picture no larger than this


def run(request: Inpaint, run: Run, whole: Scene) -> None:
    """Make `request.num_images` pictures; picture k uses seed + k."""
    optics = measure(whole.pixels, whole.white)
    for index in run.items(request.num_images):
        one = request.for_image(index)
        here = whole.for_image(one)
        run.tick(index, request.num_images, f"picture {index + 1} of {request.num_images}")
        drawn = draw(here, one, optics, one.strength)
        scores = scene.save(run, index, here, one, Variant(drawn.pixels, drawn.changed))
        run.log(image=index, seed=one.seed, scores=scores, drawn=drawn.facts)
        run.tick(index + 1, request.num_images, preview=drawn.pixels)


@dataclass(frozen=True)
class Drawn:
    """A scene with all its defects drawn."""

    pixels: np.ndarray
    """As the scene's."""
    changed: list[np.ndarray]
    """bool HxW an area."""
    height: np.ndarray
    """float32 HxW: the relief of all defects, in pixels."""
    facts: list[dict[str, object]]


def draw(here: Scene, request: Painting, optics: lighting.Optics, strength: float = 1.0) -> Drawn:
    """Draw every area's defect. Raises BadInput where nothing can be seen of one."""
    shape = here.asked.shape
    drawn = Drawn(here.pixels.copy(), [], np.zeros(shape, np.float32), [])
    for number, area in enumerate(here.areas):
        own = np.zeros(shape, bool)
        for piece in range(len(area.pieces)):
            box, found = _draw(drawn.pixels, here.white, area, piece, request, number, optics, strength)
            own[box.window] |= found.mask
            drawn.height[box.window] += found.height
            drawn.facts.append(dict(found.facts))
        drawn.changed.append(own)
    return drawn


def _draw(
    pixels: np.ndarray,
    white: int,
    area: Area,
    piece: int,
    request: Painting,
    number: int,
    whole: lighting.Optics,
    strength: float,
) -> tuple[crop.Box, defects.Drawing]:
    """Draw one defect into `pixels`, in place. Returns where, and what was drawn there."""
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
        weight=weight * np.float32(strength),
        optics=lighting.within(whole, values),
    )
    if not drawing.mask.any():
        raise BadInput(
            f"nothing can be seen of {region.defect} in region {number + 1} at severity {severity:g} and"
            f" strength {strength:g}: raise one of them or paint a larger area",
            "severity",
        )
    pixels[box.window] = images.from_float(drawing.image, like=before, white=white)
    return box, drawing


def measure(pixels: np.ndarray, white: int) -> lighting.Optics:
    """What the whole picture says about its lamp and its tones."""
    scale = min(1.0, MEASURED_PX / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = pixels if scale == 1 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return lighting.estimate(images.to_float(small, white))
