"""Draws a defect into a masked part of any picture, under its own light. Knows nothing of files or runs.

Paint, lens, grain and label are each in a file of their own; this one is the door and the list of painters.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.core import kinds
from pipelines.core.errors import BadInput
from pipelines.parts import boards, films, labels, layers, lighting, lines, losses, place, reliefs
from pipelines.parts.layers import Layer
from pipelines.parts.lighting import Light, Optics
from pipelines.parts.place import Place

PAINTERS: dict[str, Callable[[Place, dict[str, Any]], Layer]] = {
    "scratches": lines.scratches,
    "crack": lines.crack,
    "crazing": lines.crazing,
    "cut": lines.cut,
    "burr": lines.burr,
    "inclusion": films.inclusion,
    "patches": films.patches,
    "flakes": films.flakes,
    "stain": films.stain,
    "color": films.color,
    "contamination": films.contamination,
    "pits": losses.pits,
    "hole": losses.hole,
    "dent": reliefs.dent,
    "bump": reliefs.bump,
    "glue": reliefs.glue,
    "missing": losses.missing,
    "fold": reliefs.fold,
    "open": boards.open_circuit,
    "short": boards.short_circuit,
    "spur": boards.spur,
    "mousebite": boards.mousebite,
    "pin_hole": boards.pin_hole,
    "spurious_copper": boards.spurious_copper,
}
# How much a defect must stand out, in parts of white: at severity 0 and at severity 1. Within a strong texture it
# needs more.
VISIBLE = (0.035, 0.075)
OVER_TEXTURE = (0.4, 0.8)
STRONGER = 2.5
TRIES = 3
BLACK = 0.16  # a surface darker than this hides what darkens it further


@dataclass(frozen=True)
class Drawing:
    """A picture with a defect, and exactly what changed."""

    image: np.ndarray  # float32 HxWx3 in [0, 1]; what did not change is the given picture bit for bit
    mask: np.ndarray  # bool HxW: where the picture, rounded to its bits, differs
    height: np.ndarray  # float32 HxW, the defect's relief in pixels
    facts: dict[str, Any]  # the values that were chosen, the light, the contrast


def draw(
    picture: np.ndarray,
    mask: np.ndarray,
    kind: str,
    *,
    severity: float = 0.5,
    seed: int = 0,
    light: float | None = None,
    look: Mapping[str, float | str] | None = None,
    grey: bool = False,
    bits: int = 8,
    weight: np.ndarray | None = None,
    optics: Optics | None = None,
) -> Drawing:
    """Draw `kind` inside `mask` (bool HxW) of a picture (float32 HxWx3 in [0, 1]); outside, nothing changes.

    `light` is the lamp's azimuth in degrees (0 right, 90 top), None = as measured. `grey` says that the three channels
    are one. `weight` (float32 HxW in [0, 1]) is how much of the change is applied at each pixel, None = all of it; one
    so small that nothing changes by a step of `bits` gives an empty mask. `optics` saves measuring the picture again,
    and lets a crop be drawn on as if the whole picture were there. Raises BadInput.
    """
    chosen = kinds.get(kind)
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise BadInput(f"the picture has shape {picture.shape}; it should be height x width x 3", "image")
    if mask.shape != picture.shape[:2]:
        here, there = f"{mask.shape[1]} x {mask.shape[0]}", f"{picture.shape[1]} x {picture.shape[0]}"
        raise BadInput(f"the mask is {here} pixels and the picture {there}: they should be equal", "mask")
    if not mask.any():
        raise BadInput("the mask is empty: paint at least one stroke where the defect goes", "mask")
    if not 0 <= severity <= 1:
        raise BadInput(f"severity = {severity:g}: it goes from 0 to 1", "severity")
    picture = np.ascontiguousarray(picture, np.float32)
    seen = optics or lighting.estimate(picture)
    if light is not None:
        seen = lighting.relit(seen, light)
    here_is = place.find(picture, mask.astype(bool), seen, seed, grey)
    values = chosen.settle(severity, look or {}, here_is.random("values").random)
    layer = PAINTERS[chosen.recipe["painter"]](here_is, values)
    plain = float(chosen.recipe.get("plain", 1.0))
    drawn, layer, contrast, amount = _visible(here_is, layer, seen.light, severity, plain)
    top, left = here_is.box
    window = (slice(top, top + here_is.shape[0]), slice(left, left + here_is.shape[1]))
    share = None if weight is None else weight[window]
    fade = not layer.ends_at_mask
    changed, label = labels.settle(here_is, drawn, bits, fade=fade, whole=layer.whole, weight=share)
    if not label.any():
        drawn, layer, contrast, amount = _visible(here_is, layers.speck(here_is), seen.light, severity, plain)
        changed, label = labels.settle(here_is, drawn, bits, fade=False, weight=share)
    image, whole, height = picture.copy(), np.zeros(mask.shape, bool), np.zeros(mask.shape, np.float32)
    image[window], whole[window] = changed, label
    if layer.height is not None:
        height[window] = layer.height * layers.deeper(layer, amount) * label * (1.0 if share is None else share)
    facts = {
        "kind": kind,
        "severity": severity,
        "seed": seed,
        "look": {name: round(v, 4) if isinstance(v, float) else v for name, v in values.items()},
        "light": round(seen.light.azimuth_deg, 1),
        "contrast": round(contrast, 4),
        "amount": round(amount, 3),
    }
    return Drawing(image, whole, height, facts)


def _visible(
    here: Place, layer: Layer, light: Light, severity: float, plain: float
) -> tuple[np.ndarray, Layer, float, float]:
    """(picture with the defect, layer, contrast, amount): strengthened until it stands out."""
    texture = here.roughness
    least = plain * (VISIBLE[0] + severity * (VISIBLE[1] - VISIBLE[0]))
    least = max(least, min(texture * (OVER_TEXTURE[0] + severity * (OVER_TEXTURE[1] - OVER_TEXTURE[0])), 0.12))
    amount, gain = 1.0, 0.55  # contrast grows as the amount to the power of the gain: learnt from the last step
    drawn = layers.render(here, layer, light, amount)
    contrast = labels.contrast(here, drawn)
    for attempt in range(TRIES):
        if contrast >= least:
            break
        if contrast < 0.5 * least and attempt == 1 and float(here.base[here.mask].mean()) < BLACK:
            layer, amount = layers.pale(here, layer), 1.0
        step = min(max((1.06 * least / max(contrast, 1e-3)) ** (1 / gain), 1.2), STRONGER)
        drawn, before = layers.render(here, layer, light, amount * step), contrast
        contrast = labels.contrast(here, drawn)
        gain = float(np.clip(np.log(max(contrast, 1e-6) / max(before, 1e-6)) / np.log(step), 0.25, 1.0))
        amount *= step
    return drawn, layer, contrast, amount
