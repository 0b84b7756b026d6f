"""Painters of defects of form where nothing is lost: dents, bumps, folds and drops of glue.

A painter takes a place and the values of its kind's parameters and returns a layer; it never touches pixels of the
picture.
"""

import math

import cv2
import numpy as np

from pipelines.core import shapes
from pipelines.core.noise import blur, smoothstep
from pipelines.parts import lighting
from pipelines.parts.layers import Layer
from pipelines.parts.lines import Values
from pipelines.parts.outlines import own_outline
from pipelines.parts.place import Place


def _swelling(place: Place, stream: str, flatness: float) -> tuple[np.ndarray, np.ndarray, float]:
    """(profile 0..1, distance where 1 is the rim, radius in pixels) of a form a little off round."""
    random = place.random(stream)
    if place.line:
        _, across = place.measure(place.path(random))
        radius = 0.8 * place.reach
        away = np.abs(across) / max(radius, 0.5)
    else:
        stretch = min(math.sqrt(place.aspect), 1.7)
        radius = 0.5 * place.size / 2
        squeeze = random.uniform(0.72, 1.0)
        lean = place.angle if place.aspect > 1.25 else random.uniform(0, np.pi)
        x, y = place.grid
        push = random.normal(0, 0.05, 2).clip(-0.08, 0.08) * place.reach
        cos, sin = math.cos(lean), math.sin(lean)
        dx, dy = x - np.float32(place.centre[0] + push[0]), y - np.float32(place.centre[1] + push[1])
        u, v = (dx * cos + dy * sin) / (radius * stretch), (dy * cos - dx * sin) / (radius * squeeze / stretch)
        away = np.hypot(u, v)
    away = away * (1 + 0.10 * np.clip(place.noise(stream, 55, octaves=3, gain=0.45), -1.6, 2.5))
    power = 2.0 + 4.0 * flatness
    profile = np.exp(-((1.25 * away) ** power)) * smoothstep(1.5, 0.9, away)
    return profile.astype(np.float32), away.astype(np.float32), radius


def dent(place: Place, values: Values) -> Layer:
    """A bowl or a flat-grounded pressing, its material pushed up around it; nothing but shading."""
    bowl, away, radius = _swelling(place, "dent", values["flatness"])
    lip = np.exp(-(((away - 1.28) / 0.22) ** 2)).astype(np.float32)
    fine = place.noise("dent-fine", 14, octaves=3, gain=0.5)
    return Layer(
        height=radius * values["depth"] * (-0.62 * bowl * (1 + 0.05 * fine) + 0.05 * values["lip"] * lip),
        gloss=0.18,
        shininess=12.0,
        reach_px=max(0.35 * radius, 2),
        recess=0.9,
        whole=True,
    )


def bump(place: Place, values: Values) -> Layer:
    """A dome or a blister, its crest shining a little; it lays a soft shadow on its far side."""
    dome, _away, radius = _swelling(place, "bump", values["flatness"])
    lamp = place.optics.light.vector()
    reach = 0.25 * radius
    moved = np.array([[1, 0, -lamp[0] * reach], [0, 1, -lamp[1] * reach]], np.float32)
    cast = cv2.warpAffine(dome, moved, (place.shape[1], place.shape[0]), borderMode=cv2.BORDER_REPLICATE)
    return Layer(
        height=radius * values["height"] * 0.62 * dome,
        tint=1 - 0.35 * values["height"] * np.clip(blur(cast, 0.15 * radius) - dome, 0, 1),
        gloss=0.1 + 0.5 * values["gloss"],
        shininess=24.0,
        reach_px=max(0.18 * radius, 2),
        recess=0.9,
        whole=True,
    )


def glue(place: Place, values: Values) -> Layer:
    """A clear drop or film: it bends what lies beneath, gathers light on its far side and mirrors the lamp."""
    thick = values["thickness"]
    alpha, _level = own_outline(place, softness=0.0, raggedness=0.25, fill=0.6, stream="glue")
    solid = smoothstep(0.46, 0.54, blur(alpha, min(0.05 * place.size, 0.25 * place.reach)))
    away = cv2.distanceTransform((solid > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    radius = max(float(away.max()), 1.0)
    t = np.clip(away / radius, 0, 1)
    dome = blur(np.sqrt(np.clip(1 - (1 - t) ** 2, 0, 1)), 0.07 * radius) * solid
    waves = place.noise("glue-waves", 22, octaves=3, gain=0.4)
    height = radius * (0.10 + 0.5 * thick) * dome * (1 + 0.06 * waves)
    across, down = lighting.slopes(blur(height, max(0.03 * radius, 0.6)))
    lamp = place.optics.light.vector()
    facing = across * lamp[0] + down * lamp[1]  # rising away from the lamp: the flank it leaves in shadow
    gather = np.clip(facing, -1, 1) * (0.55 + 0.45 * thick)
    rim = np.exp(-((away / (0.05 * radius + 0.8)) ** 2)) * solid
    _, flash = lighting.factors(height, place.optics.light, 70.0, max(0.3 * radius, 2))
    spot = np.clip(flash, 0, 1) * solid
    yellow = np.array([1, 1, 1] if place.grey else [1.0, 0.93, 0.74], np.float32)
    shade = 1 - 0.16 * thick * solid + 0.55 * gather * solid - 0.30 * rim * (0.4 + thick)
    tint = shade[..., None] * (1 + values["tint"] * solid[..., None] * (yellow - 1))
    bend = 0.35 * thick * radius * 0.35
    return Layer(
        tint=np.clip(tint, 0.2, 1.8).astype(np.float32),
        shift=(-across * bend * solid, -down * bend * solid),
        flat=solid * (0.25 + 0.25 * thick),
        glow=(values["gloss"] * 0.85 * spot**0.8).astype(np.float32),
        recess=0.8,
        whole=True,
    )


def fold(place: Place, values: Values) -> Layer:
    """A crease: one flank bright, the other in shadow, both fading at its ends, the pattern pushed aside."""
    random = place.random("fold")
    spine = place.path(random, place.direction(random, 0.0))
    long = shapes.length(spine)
    if not place.line:
        bow = random.normal(0, 0.07) * long * np.sin(np.linspace(0, np.pi, 96) * random.uniform(0.8, 1.3))
        spine = spine + shapes.sideways(spine) * bow[:, None]
    t, across = place.measure(spine)
    half = min(0.5 * place.reach, 0.16 * long) if not place.line else 0.75 * place.reach
    sharp = values["sharpness"]
    steep = random.uniform(0.35, 0.7)  # a crease leans: one flank is steeper than the other
    lean = np.where(across > 0, across / (half * steep), -across / half)
    lean = np.clip(lean, 0, 6)
    crest = np.exp(-(lean ** (2.0 - 0.75 * sharp)) * 1.1)
    at = np.clip((t - 0.04) / 0.92, 0, 1)
    peak = random.uniform(0.3, 0.7)
    along = np.clip(np.sin(np.pi * at ** (math.log(0.5) / math.log(peak))), 0, 1) ** 1.3
    swell = np.interp(t, np.linspace(0, 1, 8), 1 + 0.15 * random.standard_normal(8))
    height = (values["height"] * 0.85 * half * crest * along * swell).astype(np.float32)
    height = blur(height, max(0.13 * half, 0.8))
    push = values["shift"] * 0.55 * height
    down_x, down_y = lighting.slopes(blur(height, 0.25 * half))
    steepness = np.maximum(np.hypot(down_x, down_y), 0.05)
    return Layer(
        height=height,
        shift=(push * down_x / steepness, push * down_y / steepness),
        gloss=0.15,
        shininess=14.0,
        reach_px=max(0.5 * half, 2),
        recess=0.55,
        whole=True,
    )
