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

CREAM = np.array([1.0, 0.75, 0.50], np.float32)  # torn wood, leather and shell inside
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


def torn_inside(place: Place, amount: float) -> np.ndarray:
    """The colour of a fresh tear: lighter, and on brown materials the pale inside of wood, leather or shell."""
    fresh = lighter(place, amount)
    if place.warmth == 0 or place.grey:
        return fresh
    tone = lighting.luminance(fresh)
    goal = tone + 0.55 * amount * np.maximum(0.85 * max(place.optics.bright, WHITE) - tone, 0)
    pale = goal[..., None] * CREAM / float(CREAM @ np.array([0.299, 0.587, 0.114]))
    return fresh + np.float32(0.75 * place.warmth) * (np.clip(pale, 0, 1) - fresh)


def bent(place: Place, random: np.random.Generator, spine: np.ndarray, amount: float) -> np.ndarray:
    """A line laid across an area, bowed and wandering by about `amount` of its length, as no ruler is."""
    count, long = len(spine), shapes.length(spine)
    bow = random.normal(0, amount) * np.sin(np.pi * np.linspace(0, 1, count) ** random.uniform(0.7, 1.4))
    stray = (bow + 0.6 * amount * shapes.wander(random, count, 0.3)) * long
    room = 0.6 * place.reach
    return spine + shapes.sideways(spine) * (room * np.tanh(stray / room))[:, None]


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
    if place.optics.coherence > 0.3 and random.random() < 0.75:
        lines = _hairlines(place, random, values, width, alpha)
    else:
        breaks = place.noise("crazing-breaks", 2.2 * values["mesh"], octaves=4, gain=0.6)
        torn = smoothstep(-0.5, 0.5, breaks + 2.4 * values["closed"] - 1.0 + 1.1 * (alpha - 0.6))
        border = place.borders("crazing", values["mesh"], 0.16)
        swell = np.clip(1 + 0.45 * place.noise("crazing-swell", values["mesh"], octaves=3), 0.35, 2)
        lines = smoothstep(1.0, 0.2, border * mesh * 0.5 / (0.75 * width * swell)) * torn * smoothstep(0.02, 0.5, alpha)
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


def _hairlines(
    place: Place, random: np.random.Generator, values: Values, width: float, alpha: np.ndarray
) -> np.ndarray:
    """Torn hairlines across the grain, 0..1: of every length and strength, thick in one spot and sparse in another."""
    mesh = values["mesh"] / 100 * place.size
    turn = place.optics.angle + math.pi / 2
    clusters = np.exp(0.9 * place.noise("crazing-clusters", 22, octaves=3))
    count = round((0.30 + 0.45 * values["closed"]) * (place.size / mesh) ** 2)
    points = place.scatter(random, count, alpha * clusters)
    sheet = Canvas(place)
    t = np.linspace(0, 1, 28)
    for (x, y), strong in zip(points.tolist(), place.at(alpha, points).tolist(), strict=True):
        long = mesh * float(np.clip(1.05 * np.exp(0.6 * random.standard_normal()), 0.35, 4.5))
        lean = turn + random.normal(0, 0.16)
        forward = np.array([math.cos(lean), math.sin(lean)])
        steps = np.interp(t, np.linspace(0, 1, 9), random.standard_normal(9))
        stray = (0.13 * shapes.wander(random, 28, 0.5) + 0.035 * steps) * long
        path = np.array([x, y]) + forward * ((t - 0.5) * long)[:, None] + np.outer(stray, [-forward[1], forward[0]])
        press = np.clip(np.sin(np.pi * t) ** 0.6 * (1 + 0.35 * np.interp(t, t[::4], random.standard_normal(7))), 0, 1.4)
        dark = random.uniform(0.25, 1.0) * (0.35 + 0.65 * strong)
        own = width * random.uniform(0.6, 1.3)
        sheet.ribbon(path, np.maximum(own * (0.35 + 0.75 * press), 0.4), np.clip(dark * press, 0, 1))
    return sheet.done() * smoothstep(0.0, 0.3, alpha)


def cut(place: Place, values: Values) -> Layer:
    """A slit by a blade, widest towards one end: dark ground, the far lip lit, the near one in shadow.

    In leather, wood and cloth the lips are torn and a few pale fibres bridge the gap; hard surfaces get a clean gouge,
    and fibres only when asked for more of them than half.
    """
    random = place.random("cut")
    width = thin_px(place, values["width"], 0.7)
    spine = shapes.resample(place.path(random), 120)
    if not place.line:
        spine = bent(place, random, spine, 0.07)
    if random.random() < 0.5:
        spine = spine[::-1]
    grained = min(max(10 * place.roughness / max(float(place.base[place.mask].mean()), 0.05) - 1, 0.0), 1.0)
    fibrous = max(place.warmth, grained * (place.optics.coherence < 0.5))
    t = np.linspace(0, 1, 120)
    widest = random.uniform(0.55, 0.82)
    lens = np.clip(np.sin(np.pi * t ** (math.log(0.5) / math.log(widest))), 0, 1) ** random.uniform(1.0, 1.6)
    mouth = np.exp(-(((t - widest) / random.uniform(0.05, 0.1)) ** 2)) * random.uniform(0.3, 0.9) * fibrous
    gape = (0.16 + 0.84 * lens + mouth) * np.exp(0.3 * shapes.wander(random, 120, 0.8)).clip(0.6, 1.4)
    gape = gape * np.minimum(1, np.minimum(t * 9, (1 - t) * 16)) ** 0.8
    jitter = shapes.wander(random, 120, 0.8) * (0.15 + 0.35 * fibrous) * width
    bulge = float(random.choice([-0.3, 0.3])) * gape * width  # one lip stays straight, the other gives way
    path = spine + shapes.sideways(spine) * (jitter + bulge)[:, None]
    body = Canvas(place)
    body.ribbon(path, np.maximum(gape * width, 0.5), np.clip(0.35 + 1.3 * gape, 0, 1))
    gap = body.done()
    lamp = place.optics.light.vector()
    away = blur(gap, 0.25 * width)
    far, near = (
        np.clip(1.4 * _moved(away, -lamp[0] * side * 0.6 * width, -lamp[1] * side * 0.6 * width) - gap, 0, 1)
        for side in (1, -1)
    )
    torn = np.clip(0.8 + 0.25 * place.noise("cut-lip", 6 * values["width"], octaves=2), 0.4, 1.2)
    lit = np.clip(0.8 * values["lips"] * far * torn, 0, 1)
    wall = gap * np.clip(1 - 1.2 * _moved(away, -lamp[0] * 0.5 * width, -lamp[1] * 0.5 * width), 0, 1)
    hairs = _fibres(place, random, path, gape * width, values["fibres"] - 0.5 * (1 - fibrous))
    depth = values["darkness"]
    ground = place.base * np.float32(0.45 - 0.38 * depth)
    fresh = torn_inside(place, 0.8)
    paint = ground + (0.35 * wall)[..., None] * (place.base - ground)
    bright = np.clip(np.maximum(lit * (1 - gap), hairs), 0, 1)
    paint = paint + (bright / np.maximum(np.maximum(gap * (1 - hairs), bright), 1e-3))[..., None] * (fresh - paint)
    return Layer(
        height=-values["lips"] * width * blur(gap, 0.9 * width),
        cover=np.clip(np.maximum(gap * (0.55 + 0.45 * depth), bright), 0, 1),
        paint=paint,
        through=0.15,
        tint=1 - np.clip(0.45 * depth * near * torn, 0, 0.4),
        gloss=0.12 + 0.3 * (1 - fibrous) * float(place.optics.coherence > 0.3),
        reach_px=max(width, 2),
        recess=0.45,
    )


def _moved(field: np.ndarray, right: float, down: float) -> np.ndarray:
    """A field shifted by so many pixels."""
    turn = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return cv2.warpAffine(field, turn, (field.shape[1], field.shape[0]), borderMode=cv2.BORDER_REPLICATE)


def _fibres(
    place: Place, random: np.random.Generator, path: np.ndarray, widths: np.ndarray, amount: float
) -> np.ndarray:
    """Thin threads from lip to lip where a slit gapes most, 0..1."""
    sheet = Canvas(place)
    across = shapes.sideways(path)
    open_at = np.flatnonzero(widths > 0.6 * widths.max())
    t = np.linspace(0, 1, 12)
    for _ in range(round(max(0.0, 8 * amount))):
        start = int(random.choice(open_at))
        end = int(np.clip(start + random.normal(0, 5), 0, len(path) - 1))
        left, right = path[start] + across[start] * 0.55 * widths[start], path[end] - across[end] * 0.55 * widths[end]
        sag = random.normal(0, 0.18) * widths[start] * np.sin(np.pi * t)
        thread = left + (right - left) * t[:, None]
        thread = thread + shapes.sideways(thread) * sag[:, None]
        torn_at = random.uniform(0.45, 1.6)  # most hold, some are torn and hang from one lip
        kept = max(3, round(min(torn_at, 1) * 12))
        sheet.ribbon(thread[:kept], random.uniform(0.05, 0.13) * widths.max(), random.uniform(0.35, 0.8))
    return sheet.done()


def burr(place: Place, values: Values) -> Layer:
    """A ragged ridge pushed up along a line, bright on its crest, with teeth to one side."""
    random = place.random("burr")
    width = thin_px(place, values["width"], 0.8)
    spine = place.path(random)
    if not place.line:
        spine = bent(place, random, spine, 0.07)
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
