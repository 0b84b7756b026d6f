"""Painters of defects where material is gone: pits, holes and pieces broken away.

A painter takes a place and the values of its kind's parameters and returns a layer; the picture's pixels it never
touches.
"""

import math

import cv2
import numpy as np

from pipelines.core import shapes
from pipelines.core.noise import blur, smoothstep
from pipelines.parts import lighting
from pipelines.parts.layers import Layer
from pipelines.parts.lines import Canvas, Values, lighter, torn_inside
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
    along, across = (
        rim * np.cos(turn) * values["elongation"] ** 0.5,
        rim * np.sin(turn) * (flat / values["elongation"] ** 0.5)[:, None],
    )
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
    """A dark ground, a wall lit on the side away from the lamp, a scraped rim of fresh material, at times splits."""
    random = place.random("hole")
    room = place.reach if not place.line else 0.9 * place.reach
    radius = room * values["size"] * 0.92
    push = random.normal(0, 0.25, 2) * max(room - radius, 0) * 0.5
    centre = (place.centre[0] + push[0], place.centre[1] + push[1])
    if not place.mask[int(np.clip(centre[1], 0, place.shape[0] - 1)), int(np.clip(centre[0], 0, place.shape[1] - 1))]:
        deepest = np.unravel_index(int(np.argmax(place.depth)), place.shape)
        centre = (float(deepest[1]) + 0.5, float(deepest[0]) + 0.5)
    torn, chipped = 1 - values["roundness"], values["chipping"]
    squeeze = random.uniform(1 - 0.35 * torn, 1.0)
    lean = random.uniform(0, np.pi)
    mouth = Canvas(place)
    mouth.fill([shapes.outline(random, centre, (radius, radius * squeeze), lean, 0.06 + 0.5 * torn)])
    gap = mouth.done()
    rough = place.noise("hole-rough", 4, octaves=4, gain=0.7)
    ring, grooves = _scraped(place, random, centre, radius, chipped)
    near = blur(ring, 0.15 * radius) > 0.05
    chip = smoothstep(0.38, 0.62, blur(ring, 0.04 * radius) + (0.04 + 0.06 * torn) * rough * near) * (1 - gap)
    cracks = Canvas(place)
    first, count = random.uniform(0, 2 * np.pi), round(values["cracks"])
    for number in range(count):
        turn = first + 2 * np.pi * number / count + random.normal(0, 0.35)
        forward = np.array([math.cos(turn), math.sin(turn)])
        reach = random.uniform(0.5, 0.95) * max(place.run(np.array(centre), forward) - radius, 0.5 * radius)
        spine = np.array(centre) + forward * np.linspace(0.5 * radius, radius + reach, 30)[:, None]
        for path, relative in shapes.crack_paths(random, spine, 0.6, 0, 0.13):
            width = relative * (1 - np.linspace(0, 1, len(path))) ** 0.6 * 0.12 * radius
            cracks.ribbon(path, np.maximum(width, 0.5))
    lines = cracks.done() * (1 - gap)
    crumbs = _crumbs(place, random, centre, radius, round(random.uniform(0, 9) * chipped)) * (1 - gap) * (1 - chip)
    lamp = place.optics.light.vector()
    x, y = place.grid
    side = ((x - centre[0]) * -lamp[0] + (y - centre[1]) * -lamp[1]) / (radius * 0.65)
    near_edge = np.clip(2.2 * (1 - blur(gap, 0.30 * radius)), 0, 1)
    wall = near_edge**1.5 * smoothstep(-0.35, 1.0, side)
    dark = values["darkness"]
    inside = place.base * ((1 - dark) * (0.55 + 0.08 * rough) + (0.75 - 0.35 * dark) * wall * (1 + 0.16 * rough))[
        ..., None
    ].clip(0.02, 1)
    slope = np.clip(1 - 0.35 * blur(gap, 0.22 * radius) + 0.09 * rough, 0.5, 1.3) * (1 - 0.6 * grooves)
    fresh = torn_inside(place, 0.8) * slope[..., None]
    paint = inside * gap[..., None] + fresh * (1 - gap)[..., None]
    split = np.where((gap < 0.5) & (crumbs < 0.1), np.clip(2 * lines, 0, 1), 0)[..., None]
    paint = paint + split * (place.base * np.float32(0.3) - paint)
    lip = np.clip(blur(gap, 0.12 * radius) - 0.5 * gap, 0, None)
    return Layer(
        height=radius
        * (
            0.05 * lip * (1 + 0.4 * rough)
            - 0.09 * blur(chip, 0.05 * radius) * (1 + 0.2 * rough)
            - 0.06 * blur(grooves, 0.03 * radius)
            + 0.05 * blur(crumbs, 0.03 * radius)
        )
        * (1 - gap),
        cover=np.clip(gap + 0.9 * chip + 0.8 * lines + 0.85 * crumbs, 0, 1).astype(np.float32),
        paint=paint.astype(np.float32),
        through=0.0,
        tint=(1 - 0.22 * np.clip(blur(gap, 0.25 * radius), 0, 1) * (1 - gap)).astype(np.float32),
        gloss=0.1,
        reach_px=max(0.25 * radius, 2),
        recess=0.3,
    )


def _scraped(
    place: Place, random: np.random.Generator, centre: tuple[float, float], radius: float, chipped: float
) -> tuple[np.ndarray, np.ndarray]:
    """(collar where the rim is broken or gnawed away, grooves in it), each 0..1: lobes side by side around a mouth."""
    collar, grooves = Canvas(place), Canvas(place)
    if chipped < 0.12:
        return collar.done(), grooves.done()
    whole = shapes.outline(random, centre, (radius * (1.0 + 0.15 * chipped),) * 2, random.uniform(0, np.pi), 0.3)
    collar.fill([whole])
    bites, start = int(random.integers(4, 9)), random.uniform(0, 2 * np.pi)
    for number in range(bites):
        turn = start + 2 * np.pi * number / bites + random.normal(0, 0.3)
        forward = np.array([math.cos(turn), math.sin(turn)])
        large = radius * random.uniform(0.16, 0.50) * (0.35 + 0.65 * chipped)
        middle = np.array(centre) + forward * radius * random.uniform(0.95, 1.25)
        oval = (large, large * random.uniform(0.55, 0.9))
        collar.fill([shapes.outline(random, (middle[0], middle[1]), oval, turn, 0.15)])
        if random.random() < 0.45 * chipped:
            along = np.array([-forward[1], forward[0]]) * random.choice([-1.0, 1.0]) + random.normal(0, 0.5, 2)
            mark = middle + forward * 0.2 * large + along * np.linspace(-0.6, 0.6, 9)[:, None] * large
            grooves.ribbon(mark, 0.30 * large * np.sin(np.linspace(0.3, np.pi - 0.3, 9)))
    return collar.done(), grooves.done()


def _crumbs(
    place: Place, random: np.random.Generator, centre: tuple[float, float], radius: float, count: int
) -> np.ndarray:
    """A few splinters of the inside that fell beside a hole, 0..1."""
    sheet = Canvas(place)
    for _ in range(count):
        turn, out = random.uniform(0, 2 * np.pi), radius * random.uniform(1.35, 2.1)
        at = (centre[0] + out * math.cos(turn), centre[1] + out * math.sin(turn))
        large = radius * random.uniform(0.03, 0.10)
        sheet.fill([shapes.outline(random, at, (large, large * random.uniform(0.35, 0.8)), random.uniform(0, 3), 0.5)])
    return sheet.done()


def missing(place: Place, values: Values) -> Layer:
    """A piece gone. Before a background, the background shows; within a surface, the rough inside of a chip."""
    random = place.random("missing")
    ground = place.optics.background
    behind = np.zeros(place.shape, bool)
    if ground is not None:
        apart = np.abs(blur(place.picture, 1.5 * place.optics.sharpness_px) - np.array(ground, np.float32)).max(-1)
        behind = apart < 0.07
    open_side = float((behind & place.mask).sum()) > 0.04 * float(place.mask.sum())
    scale = max(place.reach, 1.0)
    ids = place.facets("missing", 12, 0.12)
    chance = random.standard_normal(4096).astype(np.float32)[ids % 4096]
    chips = blur(chance, 0.004 * place.size)  # material breaks in chips: straight runs between corners
    splinters = place.noise("missing-splinters", 8, octaves=4, gain=0.6)
    inner = _inside_of_break(place, random, behind if open_side else None) / scale
    stray = values["jaggedness"] * (0.06 * chips + 0.035 * splinters)
    level = inner + stray * np.minimum(inner * 8, 1)
    start = 0.08
    level = np.where(_largest(level > start - 0.015), level, 0).astype(np.float32)
    gone = smoothstep(start - 0.012, start + 0.012, level)
    rough = place.noise("missing-rough", 1.6, octaves=3, gain=0.8)
    band = max(0.15 * values["edge"], 1.2 * place.optics.sharpness_px / scale)
    broken = gone * smoothstep(start + 1.5 * band, start + 0.7 * band, level + 0.02 * rough)
    lamp = place.optics.light.vector()
    across, down = lighting.slopes(blur(inner * scale, 0.06 * scale))
    facing = np.clip(-(across * lamp[0] + down * lamp[1]), -1, 1)
    if open_side and ground is not None:
        wall = lighter(place, 0.25) * np.clip(0.85 + 0.4 * facing + 0.12 * rough, 0.25, 1.5)[..., None]
        floor = np.broadcast_to(np.array(ground, np.float32), place.base.shape)
    else:
        # A chip: its edge goes down at once, so the side next to the lamp lies in its own shadow and the far side is
        # lit; its ground is one or two faces of the broken inside, each a little turned.
        depth = values["depth"]
        x, y = place.grid
        lean = random.uniform(0, 2 * np.pi, 2)
        planes = [
            np.float32(math.cos(a)) * (x - place.centre[0]) + np.float32(math.sin(a)) * (y - place.centre[1])
            for a in lean
        ]
        faces = np.maximum(planes[0], planes[1] - 0.15 * scale) / scale
        turned_x, turned_y = lighting.slopes(blur(faces.astype(np.float32) * scale, 0.03 * scale))
        tilt = turned_x * lamp[0] + turned_y * lamp[1]
        away = 0.28 * depth * scale
        moved = np.array([[1, 0, -lamp[0] * away], [0, 1, -lamp[1] * away]], np.float32)
        rim = cv2.warpAffine(1 - gone, moved, (place.shape[1], place.shape[0]), borderMode=cv2.BORDER_REPLICATE)
        shadow = blur(rim, 0.25 * away) * gone
        # Dark parts break paler than their skin, all others darker, as far as the wound is deep.
        tone = float(lighting.luminance(place.base)[place.mask].mean())
        inside = torn_inside(place, 0.25 + 0.3 * depth) if tone < 0.2 else place.base * np.float32(0.95 - 0.35 * depth)
        inside = inside + np.float32(0.25) * (inside.mean(-1, keepdims=True) - inside)
        light = np.clip(1 + 0.10 * rough + 0.35 * tilt, 0.5, 1.5) * (1 - (0.35 + 0.3 * depth) * shadow)
        corner = 1 - 0.3 * smoothstep(start + 0.35, start, level)  # little light comes to the foot of the broken edge
        floor = inside * np.clip(light * corner, 0.1, 1.5)[..., None]
        lit = np.clip(-facing, 0, 1)[..., None]  # a recess is lit on the side away from the lamp
        wall = inside * np.clip(1 - 0.8 * facing + 0.08 * rough, 0.25, 1.6)[..., None]
        wall = wall + 0.6 * lit * (torn_inside(place, 0.7) - wall)
    return Layer(
        height=None if open_side else (-0.05 * values["depth"] * scale * gone).astype(np.float32),
        cover=gone,
        paint=np.clip(floor + (broken * (0.4 + 0.6 * values["edge"]))[..., None] * (wall - floor), 0, 1).astype(
            np.float32
        ),
        gloss=0.05,
        reach_px=max(0.08 * scale, 2),
        recess=0.6,
        ends_at_mask=open_side,
    )


def _inside_of_break(place: Place, random: np.random.Generator, behind: np.ndarray | None) -> np.ndarray:
    """Distance in pixels from a cornered break line that lies within the mask, 0 outside it, float32 HxW.

    Where the mask reaches over the background, the piece is open to it: no line is drawn there.
    """
    if place.line:
        return np.maximum(place.depth - 0.2 * place.reach, 0)
    corners = []
    count = int(random.integers(6, 11))
    turns = (np.arange(count) + random.uniform(-0.35, 0.35, count)) * 2 * np.pi / count
    centre = np.array(place.centre)
    for turn, share in zip(turns, random.uniform(0.5, 0.95, count), strict=True):
        forward = np.array([np.cos(turn), np.sin(turn)])
        reach = place.run(centre, forward)
        end = np.clip(centre + reach * forward, 0, [place.shape[1] - 1, place.shape[0] - 1]).astype(int)
        outside = behind is not None and bool(behind[end[1], end[0]])
        corners.append(centre + forward * reach * (1.2 if outside else share))
    sheet = np.zeros(place.shape, np.uint8)
    shapes.fill(sheet, [np.array(corners)], 1.0, 1)
    if behind is not None:
        sheet |= behind.astype(np.uint8)
    return cv2.distanceTransform(np.pad(sheet, 1, mode="edge"), cv2.DIST_L2, 5)[1:-1, 1:-1].astype(np.float32)


def _largest(part: np.ndarray) -> np.ndarray:
    """The largest connected piece: what breaks away goes in one."""
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(part.astype(np.uint8), connectivity=4)
    return pieces == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])) if count > 1 else part
