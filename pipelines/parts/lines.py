"""Painters of thin defects: scratches, cracks, crazing, cuts, burrs. They follow a stroke or lay their own path.

A painter takes a place and the values of its kind's parameters and returns a layer; it never touches pixels of the
picture.
"""

import math
from typing import Any

import cv2
import numpy as np

from pipelines.core import shapes
from pipelines.core.noise import blur, smoothstep
from pipelines.parts import lighting
from pipelines.parts.layers import WHITE, Layer
from pipelines.parts.outlines import own_outline
from pipelines.parts.place import Place

Values = dict[str, Any]
GLEAM = 0.5  # freshly bared metal mirrors the lamp: brighter than anything else in the picture
FINER = 4  # how many times finer than the picture thin things are drawn


class Canvas:
    """A supersampled sheet for ribbons; `done` gives their coverage 0..1 at the picture's size."""

    def __init__(self, place: Place) -> None:
        self.shape = place.shape
        self.scale = FINER if max(place.shape) <= 1200 else 2
        self.sheet = np.zeros((self.shape[0] * self.scale, self.shape[1] * self.scale), np.uint8)

    def ribbon(self, path: np.ndarray, widths: np.ndarray | float, values: np.ndarray | float = 1.0) -> None:
        level = np.clip(np.rint(np.asarray(values) * 255), 0, 255).astype(int)
        shapes.ribbon(self.sheet, path, widths, self.scale, level)

    def fill(self, polygons: list[np.ndarray], value: float = 1.0) -> None:
        shapes.fill(self.sheet, polygons, self.scale, round(value * 255))

    def done(self) -> np.ndarray:
        small = cv2.resize(self.sheet, (self.shape[1], self.shape[0]), interpolation=cv2.INTER_AREA)
        return small.astype(np.float32) / 255


def thin_px(place: Place, hundredths: float, at_most: float = 1.0) -> float:
    """A width in pixels: never so thin that the lens would swallow it, never wider than the stroke it follows."""
    wanted = max(hundredths / 100 * place.size, 0.9 * place.optics.sharpness_px, 0.7)
    return min(wanted, max(at_most * 2 * place.reach, 1.0)) if place.line else wanted


def lighter(place: Place, amount: float, gleam: float = 0.0) -> np.ndarray:
    """The surface's colour moved towards the picture's lights (amount > 0) or shadows (< 0), float32 HxWx3."""
    if amount >= 0:
        tone = lighting.luminance(place.base)
        goal = np.clip(
            tone * (1 + 1.1 * amount) + 0.06 * amount, None, np.maximum(max(place.optics.bright, WHITE), tone)
        )
        colour = place.base / np.maximum(tone, 0.02)[..., None]
        return np.clip(goal[..., None] * (colour + 0.35 * amount * (1 - colour)), 0, 1)
    return place.base * (1 + 0.85 * amount)


def scratches(place: Place, values: Values) -> Layer:
    """Marks of a hard edge: tapering, now pressing, now skipping; one wide one or a bundle."""
    random = place.random("scratches")
    single = "count" not in values
    count = 1 if single else round(values["count"])
    width = thin_px(place, values["width"], 0.8 if single else 0.35)
    turn = place.direction(random)
    body = Canvas(place)
    marks = []
    if single and place.line:
        marks = [shapes.resample(stroke, 96) for stroke in place.strokes]
    middle = random.normal(0, 0.25, 2)
    for number in range(count if not marks else 0):
        lean = turn + random.normal(0, 0.02 + 0.5 * values.get("spread", 0.0) ** 1.5) * (0 if number == 0 else 1)
        path = place.path(random, lean, 0.0 if single else float(np.clip(random.normal(middle[0], 0.38), -0.85, 0.85)))
        reach = random.uniform(0.85, 1.0) if single else random.uniform(0.25, 0.95) * random.uniform(0.6, 1)
        start = random.uniform(0, 1 - reach)
        marks.append(shapes.resample(path[int(start * 95) : int((start + reach) * 95) + 2], 96))
    for path in marks:
        long = shapes.length(path)
        stray = shapes.wander(random, 96, 0.1) * values["waviness"] * min(0.05 * long, 0.5 * place.reach)
        path = path + shapes.sideways(path) * stray[:, None]
        t = np.linspace(0, 1, 96)
        taper = np.minimum(1, np.minimum(t * random.uniform(3, 14), (1 - t) * random.uniform(2, 6))) ** 0.8
        skips = np.interp(t, np.linspace(0, 1, 14), random.standard_normal(14))
        chatter = np.interp(t, np.linspace(0, 1, 48), random.standard_normal(48))
        press = taper * np.clip(1 + values["breaks"] * (0.55 * skips - 0.25) + 0.12 * chatter, 0.04, 1.35)
        own = width * random.uniform(0.55, 1.15) if not single else width
        body.ribbon(
            path, np.maximum(own * (0.45 + 0.6 * press), 0.5), np.clip(0.2 + 0.75 * press, 0, 1) * (press > 0.1)
        )
    grooves = body.done()
    bright = float(values["brightness"])
    tone = float(lighting.luminance(place.base)[place.mask].mean())
    most = max(place.optics.bright, WHITE)
    if bright > 0 and most + GLEAM * (1 - most) - tone < 0.2:
        bright = -bright  # nothing can be brighter than a white part: there a mark shows by the dirt in it
    raised = np.clip(blur(grooves, 0.8 * width) - 0.4 * grooves, 0, None)
    burnish = 1 + 0.25 * np.clip(place.noise("burnish", 3, octaves=3, gain=0.8), -2, 2)
    return Layer(
        height=width * values["depth"] * (0.35 * raised - 0.5 * grooves),
        cover=np.clip(grooves * (0.5 + 0.6 * abs(bright)) * burnish, 0, 1),
        paint=lighter(place, 0.55 * np.sign(bright) + 1.0 * bright, GLEAM),
        gleam=GLEAM,
        through=0.55,
        gloss=0.25 * grooves,
        reach_px=max(2 * width, 2),
        recess=0.85,
    )


def crack(place: Place, values: Values) -> Layer:
    """A gap that kinks, thins out and may branch; its edges may stand up."""
    random = place.random("crack")
    width = thin_px(place, values["width"], 0.6)
    body = Canvas(place)
    reach = 0.11 if not place.line else min(0.11, 0.7 * place.reach / place.size)
    for number, spine in enumerate(place.strokes or (place.path(random),)):
        branches = round(values["branches"]) if number == 0 and not (place.line and place.reach < 4) else 0
        fray = (0.25 + 0.5 * values["jaggedness"]) * width
        for path, relative in shapes.crack_paths(random, spine, values["jaggedness"], branches, reach, fray):
            body.ribbon(path, np.maximum(relative * width, 0.45), np.clip(0.35 + relative, 0, 1))
    gap = body.done()
    around = blur(gap, 1.5 * width)
    depth = values["darkness"]
    return Layer(
        height=-0.8 * width * depth * gap
        + values["lips"] * width * np.clip(blur(gap, 0.9 * width) - 0.5 * gap, 0, None),
        cover=np.clip(gap * (0.35 + 0.75 * depth), 0, 1),
        paint=place.base * np.float32(0.5 - 0.42 * depth),
        through=0.15,
        tint=1 - np.clip(0.35 * depth * around, 0, 0.3),
        reach_px=max(1.5 * width, 2),
        recess=0.8 - 0.4 * depth,
    )


def crazing(place: Place, values: Values) -> Layer:
    """A net of hairlines; on a surface with a grain, torn pieces that run across it, as on rolled steel."""
    random = place.random("crazing")
    mesh = values["mesh"] / 100 * place.size
    width = thin_px(place, values["width"], 1.0)
    alpha, _ = own_outline(place, softness=0.9, raggedness=0.8)
    breaks = place.noise("crazing-breaks", 2.2 * values["mesh"], octaves=4, gain=0.6)
    torn = smoothstep(-0.5, 0.5, breaks + 2.4 * values["closed"] - 1.0 + 1.1 * (alpha - 0.6))
    if place.optics.coherence > 0.3 and random.random() < 0.75:
        across = place.optics.angle + math.pi / 2
        ridge = place.noise("crazing-ridge", 0.9 * values["mesh"], octaves=4, gain=0.5, aniso=4.0, angle=across)
        slope = np.hypot(*lighting.slopes(ridge))
        lines = np.abs((1.1 * ridge) % 1 - 0.5) / 1.1  # level lines of the noise, about one a mesh
        away = lines / np.maximum(slope, 0.25 / mesh)
    else:
        border, _ = place.cells("crazing", values["mesh"], 0.16)
        away = border * mesh * 0.5
    swell = np.clip(1 + 0.45 * place.noise("crazing-swell", values["mesh"], octaves=3), 0.35, 2)
    lines = smoothstep(1.0, 0.2, away / (0.75 * width * swell)) * torn * smoothstep(0.02, 0.5, alpha)
    depth = values["darkness"]
    return Layer(
        height=-0.7 * width * lines,
        cover=np.clip(lines * (0.25 + 0.75 * depth), 0, 1),
        paint=place.base * np.float32(0.55 - 0.4 * depth),
        through=0.3,
        tint=1 - 0.10 * depth * blur(lines, 3 * width),
        reach_px=max(2 * width, 2),
        recess=0.8,
    )


def cut(place: Place, values: Values) -> Layer:
    """A slit that gapes towards one end, with lips that catch the light and pale torn fibres in the wound."""
    random = place.random("cut")
    width = thin_px(place, values["width"], 0.7)
    spine = place.path(random)
    long = shapes.length(spine)
    if not place.line:
        bow = random.normal(0, 0.05) * long * np.sin(np.linspace(0, np.pi, 96))
        spine = spine + shapes.sideways(spine) * bow[:, None]
    if random.random() < 0.5:
        spine = spine[::-1]
    t = np.linspace(0, 1, 96)
    jitter = shapes.wander(random, 96, 0.75) * 0.3 * width
    open_at, spread = random.uniform(0.62, 0.85), random.uniform(0.06, 0.16)
    wound = np.exp(-(((t - open_at) / spread) ** 2))
    gape = (
        wound * np.exp(0.4 * shapes.wander(random, 96, 0.95)).clip(0.4, 1.4) + 0.20 + 0.15 * (t < open_at) * t / open_at
    )
    gape = gape * np.minimum(1, np.minimum(t, 1 - t) * 12) ** 0.7
    body = Canvas(place)
    bulge = random.choice([-0.4, 0.4]) * gape * width  # one lip stays straight, the other gives way
    path = spine + shapes.sideways(spine) * (jitter + bulge)[:, None]
    body.ribbon(path, np.maximum(gape * width, 0.5), 0.6 + 0.4 * np.clip(wound * 1.5, 0, 1))
    gap = body.done()
    fibres = Canvas(place)
    wounded = np.flatnonzero(np.abs(t - open_at) < 1.1 * spread)
    side = random.choice([-1.0, 1.0])  # the flap that was pulled shows its torn inside along one lip
    for _ in range(round(26 * values["fibres"])):
        at = int(random.choice(wounded))
        root = path[at] + shapes.sideways(path)[at] * side * random.normal(0.22, 0.16) * gape[at] * width
        turn = random.uniform(0, 2 * np.pi)
        reach = random.uniform(0.3, 1.0) * width
        bend = np.cumsum(random.normal(0, 0.5, 9)) + turn
        hair = root + np.cumsum(np.stack([np.cos(bend), np.sin(bend)], 1), 0) * reach / 9
        fibres.ribbon(hair, max(random.uniform(0.12, 0.34) * width, 0.7), random.uniform(0.5, 1.0))
    hairs = fibres.done()
    depth = values["darkness"]
    lips = np.clip(blur(gap, 0.9 * width) - 0.55 * gap, 0, None)
    inside = place.base * np.float32(0.42 - 0.36 * depth)
    pale = np.clip(
        lighter(place, 1.0) * 0.4 + 0.6 * place.optics.bright * np.array([1.0, 0.96, 0.86], np.float32), 0, 1
    )
    cover = np.maximum(gap * (0.5 + 0.5 * depth), hairs)
    paint = inside + (np.clip(1.3 * hairs, 0, 1))[..., None] * (pale - inside)
    return Layer(
        height=values["lips"] * 1.6 * width * lips - 0.5 * width * gap,
        cover=np.clip(cover, 0, 1),
        paint=paint,
        through=0.1,
        tint=1 - np.clip(0.3 * depth * blur(gap, 1.2 * width), 0, 0.3),
        gloss=0.1,
        reach_px=max(width, 2),
        recess=0.5,
    )


def burr(place: Place, values: Values) -> Layer:
    """A ragged ridge pushed up along a line, bright on its crest, with teeth to one side."""
    random = place.random("burr")
    width = thin_px(place, values["width"], 0.8)
    spine = place.path(random)
    long = shapes.length(spine)
    t, across = place.measure(spine)
    ragged = values["raggedness"]
    count = max(12, int(long / (1.1 * width)))
    teeth = np.abs(random.standard_normal(count)) * ragged
    fine = np.abs(random.standard_normal(4 * count)) * ragged
    reach = (
        0.45
        + 0.7 * np.interp(t, np.linspace(0, 1, count), teeth)
        + 0.35 * np.interp(t, np.linspace(0, 1, 4 * count), fine)
    )
    swell = np.clip(np.interp(t, np.linspace(0, 1, 9), 0.75 + 0.35 * random.standard_normal(9)), 0.15, 1.5)
    ends = smoothstep(0, 0.08, t) * smoothstep(1, 0.92, t)
    half = (0.5 * width * swell * ends).astype(np.float32)
    side = np.where(across > 0, across / np.maximum(half * reach * 1.5, 0.3), -across / np.maximum(0.7 * half, 0.3))
    ridge = np.clip(1 - side * side, 0, 1).astype(np.float32)
    crest = smoothstep(0.35, 0.95, ridge)
    rough = 1 + 0.5 * place.noise("burr", 1.5 * values["width"], octaves=3, gain=0.7) * ragged
    return Layer(
        height=(values["height"] * 0.8 * width * np.sqrt(ridge) * np.clip(rough, 0.3, 1.8)).astype(np.float32),
        cover=(0.75 * crest * np.clip(rough, 0, 1)).astype(np.float32),
        paint=lighter(place, 0.8),
        through=0.3,
        flat=0.6 * smoothstep(0.0, 0.4, ridge),
        tint=1 - 0.25 * smoothstep(0.0, 0.25, ridge) * (1 - crest),
        gloss=0.5,
        shininess=16.0,
        reach_px=max(0.8 * width, 2),
        recess=0.7,
    )
