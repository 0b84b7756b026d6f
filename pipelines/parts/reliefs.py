"""Painters of defects of form: pits, holes, dents, bumps, glue, missing pieces and folds.

A painter takes a place and the values of its kind's parameters and returns a layer; it never touches pixels of the picture.
"""

import math

import cv2
import numpy as np

from pipelines.core import shapes
from pipelines.core.noise import blur, smoothstep
from pipelines.parts import lighting
from pipelines.parts.layers import Layer
from pipelines.parts.lines import Canvas, Values, lighter
from pipelines.parts.outlines import own_outline
from pipelines.parts.place import Place


def pits(place: Place, values: Values) -> Layer:
    """Many small pits of very uneven size, thicker where the attack was stronger."""
    random = place.random("pits")
    spread = place.noise("pits-where", 34, octaves=4, gain=0.6)
    count = round(values["count"])
    centres = place.scatter(random, count, np.exp(1.2 * spread) * np.clip(place.inner * 2.2 - 0.1, 0.01, 1))
    unit = max(values["size"] / 100 * place.size, 0.55 * place.optics.sharpness_px)
    corners = 12
    turn = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    radius = unit * np.clip(0.45 + 0.5 * random.pareto(2.6, count), 0.35, 3.2)
    radius = np.minimum(radius, np.maximum(place.at(place.depth, centres), 0.6))
    flat = random.uniform(0.6, 1.0, count)
    lean = place.optics.angle if place.optics.coherence > 0.15 else 0.0
    rim = np.clip(1 + 0.2 * random.standard_normal((count, corners)), 0.5, 1.6) * radius[:, None]
    rim = (rim + np.roll(rim, 1, 1)) / 2
    along, across = rim * np.cos(turn) * values["elongation"] ** 0.5, rim * np.sin(turn) * (flat / values["elongation"] ** 0.5)[:, None]
    x = centres[:, :1] + along * math.cos(lean) - across * math.sin(lean)
    y = centres[:, 1:] + along * math.sin(lean) + across * math.cos(lean)
    strength = random.uniform(0.35, 1.0, count)
    body = Canvas(place)
    for number in np.argsort(strength).tolist():
        body.fill([np.stack([x[number], y[number]], 1)], float(strength[number]))
    solid = body.done()
    bowl = blur(solid, 0.45 * unit)
    raised = np.clip(blur(solid, 1.1 * unit) - 0.8 * solid, 0, None)
    return Layer(
        height=-1.5 * values["depth"] * unit * bowl + 0.5 * values["depth"] * unit * raised,
        tint=1 - 0.9 * values["darkness"] * blur(solid, 0.25 * unit),
        flat=0.4 * solid,
        gloss=0.12,
        reach_px=max(unit, 2),
        recess=0.75,
    )


def hole(place: Place, values: Values) -> Layer:
    """A dark ground, a wall lit on the side away from the lamp, a chipped rim of fresh material, at times cracks."""
    random = place.random("hole")
    room = place.reach if not place.line else 0.9 * place.reach
    radius = room * values["size"] * 0.92
    push = random.normal(0, 0.25, 2) * max(room - radius, 0) * 0.5
    centre = (place.centre[0] + push[0], place.centre[1] + push[1])
    if not place.mask[int(np.clip(centre[1], 0, place.shape[0] - 1)), int(np.clip(centre[0], 0, place.shape[1] - 1))]:
        deepest = np.unravel_index(int(np.argmax(place.depth)), place.shape)
        centre = (float(deepest[1]) + 0.5, float(deepest[0]) + 0.5)
    torn = 1 - values["roundness"]
    squeeze = random.uniform(1 - 0.35 * torn, 1.0)
    lean = random.uniform(0, np.pi)
    mouth = Canvas(place)
    mouth.fill([shapes.outline(random, centre, (radius, radius * squeeze), lean, 0.05 + 0.28 * torn)])
    gap = mouth.done()
    chipped = values["chipping"]
    ring = Canvas(place)
    ring.fill([shapes.outline(random, (centre[0] + random.normal(0, 0.12) * radius, centre[1] + random.normal(0, 0.12) * radius), (radius * (1.05 + 0.45 * chipped), radius * squeeze * (1.05 + 0.4 * chipped)), lean, 0.12 + 0.3 * torn)])
    rough = place.noise("hole-rough", 4, octaves=4, gain=0.7)
    chip = ring.done() * float(chipped > 0.12)
    chip = smoothstep(0.35, 0.65, blur(chip, 0.05 * radius) + 0.12 * rough * (blur(chip, 0.15 * radius) > 0.05)) * (1 - gap)
    cracks = Canvas(place)
    for _ in range(round(values["cracks"])):
        turn = random.uniform(0, 2 * np.pi)
        forward = np.array([math.cos(turn), math.sin(turn)])
        reach = random.uniform(0.4, 1.0) * max(room - radius, 0.5 * radius)
        spine = np.array(centre) + forward * np.linspace(0.9 * radius, radius + reach, 30)[:, None]
        for path, relative in shapes.crack_paths(random, spine, 0.6, 0, 0.16):
            width = relative * (1 - np.linspace(0, 1, len(path))) ** 0.5 * 0.14 * radius
            cracks.ribbon(path, np.maximum(width, 0.5))
    lines = cracks.done() * (1 - gap)
    lamp = place.optics.light.vector()
    x, y = place.grid
    side = ((x - centre[0]) * -lamp[0] + (y - centre[1]) * -lamp[1]) / (radius * 0.65)
    near_edge = np.clip(2.2 * (1 - blur(gap, 0.30 * radius)), 0, 1)
    wall = near_edge**1.5 * smoothstep(-0.35, 1.0, side)
    dark = values["darkness"]
    inside = place.base * ((1 - dark) * (0.5 + 0.08 * rough) + (0.75 - 0.35 * dark) * wall * (1 + 0.16 * rough))[..., None].clip(0.02, 1)
    fresh = lighter(place, 0.85) * np.clip(1 + 0.10 * rough, 0.6, 1.4)[..., None]
    paint = inside * gap[..., None] + fresh * (1 - gap)[..., None]
    paint = np.where((lines > 0.02)[..., None] & (gap < 0.5)[..., None], place.base * np.float32(0.3), paint)
    lip = np.clip(blur(gap, 0.12 * radius) - 0.5 * gap, 0, None)
    return Layer(
        height=radius * (0.05 * lip * (1 + 0.4 * rough) - 0.07 * blur(chip, 0.06 * radius) * (1 + 0.35 * rough)) * (1 - gap),
        cover=np.clip(gap + 0.8 * chip + 0.8 * lines, 0, 1).astype(np.float32),
        paint=paint.astype(np.float32),
        through=0.0,
        tint=(1 - 0.22 * np.clip(blur(gap, 0.25 * radius), 0, 1) * (1 - gap)).astype(np.float32),
        gloss=0.1,
        reach_px=max(0.25 * radius, 2),
        recess=0.5,
    )


def _swelling(place: Place, stream: str, flatness: float) -> tuple[np.ndarray, np.ndarray, float]:
    """(profile 0..1, squared distance where 1 is the rim, radius in pixels) of a rounded form a little off the ellipse."""
    random = place.random(stream)
    if place.line:
        _, across = place.measure(place.path(random))
        radius = 0.8 * place.reach
        away = np.abs(across) / max(radius, 0.5)
    else:
        stretch = min(math.sqrt(place.aspect), 1.7)
        radius = 0.60 * place.size / 2
        squeeze = random.uniform(0.72, 1.0)
        lean = place.angle if place.aspect > 1.25 else random.uniform(0, np.pi)
        x, y = place.grid
        push = random.normal(0, 0.06, 2) * place.reach
        cos, sin = math.cos(lean), math.sin(lean)
        dx, dy = x - np.float32(place.centre[0] + push[0]), y - np.float32(place.centre[1] + push[1])
        u, v = (dx * cos + dy * sin) / (radius * stretch), (dy * cos - dx * sin) / (radius * squeeze / stretch)
        away = np.hypot(u, v)
    away = away * (1 + 0.10 * place.noise(stream, 55, octaves=3, gain=0.45))
    power = 2.0 + 4.0 * flatness
    profile = np.exp(-((1.25 * away) ** power))
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
    )


def bump(place: Place, values: Values) -> Layer:
    """A dome or a blister, its crest shining a little; it lays a soft shadow on its far side."""
    dome, away, radius = _swelling(place, "bump", values["flatness"])
    lamp = place.optics.light.vector()
    reach = 0.35 * radius
    moved = np.array([[1, 0, -lamp[0] * reach], [0, 1, -lamp[1] * reach]], np.float32)
    cast = cv2.warpAffine(dome, moved, (place.shape[1], place.shape[0]), borderMode=cv2.BORDER_REPLICATE)
    return Layer(
        height=radius * values["height"] * 0.62 * dome,
        tint=1 - 0.35 * values["height"] * np.clip(blur(cast, 0.15 * radius) - dome, 0, 1),
        gloss=0.1 + 0.5 * values["gloss"],
        shininess=24.0,
        reach_px=max(0.35 * radius, 2),
        recess=0.9,
    )


def glue(place: Place, values: Values) -> Layer:
    """A clear drop or film: it bends what lies beneath, gathers light on its far side and mirrors the lamp."""
    thick = values["thickness"]
    alpha, level = own_outline(place, softness=0.0, raggedness=0.25, fill=0.6, stream="glue")
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
    )


def missing(place: Place, values: Values) -> Layer:
    """A piece gone. Before a background, the background shows; within a surface, a rough dark wound."""
    random = place.random("missing")
    jagged = values["jaggedness"]
    ground = place.optics.background
    behind = np.zeros(place.shape, bool)
    if ground is not None:
        apart = np.abs(blur(place.picture, 1.5 * place.optics.sharpness_px) - np.array(ground, np.float32)).max(-1)
        behind = apart < 0.07
    open_side = ground is not None and float((behind & place.mask).mean()) > 0.04 * float(place.mask.mean())
    if open_side:
        whole = np.pad((place.mask | behind).astype(np.uint8), 1, mode="edge")
        inner = cv2.distanceTransform(whole, cv2.DIST_L2, 5)[1:-1, 1:-1]
    else:
        inner = place.depth
    scale = max(place.reach, 1.0)
    _, ids = place.cells("missing", 13, 0.12)
    random_of = random.standard_normal((int(ids.max()) + 1, 3)).astype(np.float32)
    splinters = place.noise("missing-splinters", 9, octaves=5, gain=0.66)
    chips = blur(random_of[ids, 0], 0.004 * place.size)  # material breaks in chips: straight runs between corners
    level = inner / scale + jagged * (0.11 * chips + 0.06 * splinters) * np.minimum(inner / scale * 5, 1)
    start = random.uniform(0.24, 0.36)
    gone = smoothstep(start - 0.015, start + 0.015, level)
    rough = place.noise("missing-rough", 4, octaves=5, gain=0.72)
    band = max(0.12 * values["edge"] * scale, 1.2 * place.optics.sharpness_px) / scale
    broken = gone * smoothstep(start + 1.5 * band, start + 0.7 * band, level + 0.03 * rough)
    lamp = place.optics.light.vector()
    if open_side or (ground is not None and place.line):
        across, down = lighting.slopes(blur(inner, 0.06 * scale))
        facing = np.clip(-(across * lamp[0] + down * lamp[1]), -1, 1)
        wall = lighter(place, 0.25) * np.clip(0.85 + 0.4 * facing + 0.12 * rough, 0.25, 1.5)[..., None]
        floor = np.broadcast_to(np.array(ground, np.float32), place.base.shape).astype(np.float32)
        relief = np.zeros(place.shape, np.float32)
    else:
        depth = values["depth"]
        x, y = place.grid
        tilt = blur(random_of[ids, 1] * np.sin(x * 0.9 / scale) + random_of[ids, 2] * np.cos(y * 0.9 / scale), 0.01 * place.size)
        bowl = smoothstep(start - 0.02, start + 0.16 + 0.25 * depth, level)
        relief = scale * (-0.30 * depth * bowl + 0.05 * depth * gone * tilt + 0.016 * depth * gone * rough)
        sunk = np.float32(0.35 * depth * scale)
        moved = np.array([[1, 0, -lamp[0] * sunk], [0, 1, -lamp[1] * sunk]], np.float32)
        rim = cv2.warpAffine(1 - gone, moved, (place.shape[1], place.shape[0]), borderMode=cv2.BORDER_REPLICATE)
        shadow = blur(rim, 0.12 * sunk) * gone
        tone = (1.0 - 0.30 * depth) * (1 + 0.05 * rough + 0.05 * tilt) * (1 - 0.55 * depth * shadow)
        floor = place.base * np.clip(tone, 0.08, 1.3)[..., None]
        wall = lighter(place, 0.35) * np.clip(1 + 0.10 * rough - 0.5 * shadow, 0.3, 1.4)[..., None]
    paint = floor + (broken * values["edge"])[..., None] * (wall - floor)
    return Layer(
        height=relief,
        cover=gone,
        paint=np.clip(paint, 0, 1).astype(np.float32),
        through=0.0,
        gloss=0.05,
        reach_px=max(0.08 * scale, 2),
        recess=0.6,
        ends_at_mask=open_side,
    )


def fold(place: Place, values: Values) -> Layer:
    """A crease: the flank towards the lamp bright, the other in shadow, both fading at its ends, the pattern pushed aside."""
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
    height = blur(height, max(0.07 * half, 0.8))
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
    )
