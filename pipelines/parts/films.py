"""Painters of defects that lie on or in the surface: inclusion, patches, scale, stain, colour and contamination.

A painter takes a place and the values of its kind's parameters and returns a layer; it never touches pixels of the
picture.
"""

import colorsys
import math

import cv2
import numpy as np

from pipelines.core import shapes
from pipelines.core.noise import blur, smoothstep
from pipelines.parts import lighting
from pipelines.parts.layers import WHITE, Layer
from pipelines.parts.lines import Canvas, Values, lighter
from pipelines.parts.outlines import own_outline
from pipelines.parts.place import Place

DUST = 0.65  # how pale dust is at least, however dark the part
FLUIDS = {  # what a full layer lets through of red, green and blue, what it does to gloss, and its rim
    "water": ((0.80, 0.80, 0.79), -0.05, 1.0),
    "oil": ((0.50, 0.44, 0.32), 0.35, 0.35),
    "rust": ((0.62, 0.38, 0.20), -0.10, 0.5),
}


def inclusion(place: Place, values: Values) -> Layer:
    """Lenses of foreign matter drawn out along the surface's grain, with torn flanks and trailing ends."""
    random = place.random("inclusion")
    if place.line or place.aspect > 1.8:
        turn = place.angle
    else:
        turn = place.optics.angle if place.optics.coherence > 0.15 else place.direction(random, 0.0)
    body = Canvas(place)
    widest = max(values["width"] / 100 * place.size, 1.4 * place.optics.sharpness_px)
    if place.line:
        widest = min(widest, 1.5 * place.reach)
    count = round(values["count"])
    for number in range(count):
        share = 1.0 if number == 0 else random.uniform(0.2, 0.75)
        path = place.path(random, turn + random.normal(0, 0.04), 0.0 if number == 0 else random.uniform(-0.75, 0.75))
        if number > 0 and shapes.length(path) < 0.35 * place.size:
            continue  # across a corner of the mask there is no room for a drawn-out piece
        reach = random.uniform(0.65, 0.95) * share**0.7
        start = random.uniform(0, 1 - reach)
        path = shapes.resample(path[int(start * 95) : int((start + reach) * 95) + 2], 120)
        t = np.linspace(0, 1, 120)
        fat = random.uniform(0.25, 0.75)
        bulge = np.sin(np.pi * t ** (math.log(0.5) / math.log(fat)))  # a lens, fattest at `fat`
        lens = np.clip(bulge, 0, 1) ** random.uniform(0.7, 1.6) * np.exp(0.35 * shapes.wander(random, 120, 0.9)).clip(
            0.5, 1.4
        )
        fits = min(widest * math.sqrt(share), 0.12 * shapes.length(path))
        stray = shapes.wander(random, 120, 0.35) * 0.35 * fits
        path = path + shapes.sideways(path) * stray[:, None]
        fade = 1 - values["streak"] * np.clip(2.2 * np.abs(t - fat) - 0.5, 0, 1) * random.uniform(0.4, 0.9)
        body.ribbon(path, np.maximum(lens * fits, 0.6), np.clip(fade * random.uniform(0.75, 1), 0, 1))
    solid = body.done()
    grain = place.noise("inclusion-edge", 0.45 * values["width"], octaves=4, gain=0.65, aniso=3.0, angle=turn)
    soft = blur(solid, 0.16 * widest)
    alpha = np.clip(soft * 1.1, 0, 1) * smoothstep(0.16, 0.5, soft + 0.13 * grain * (soft > 0.02))
    mottle = 1 + 0.16 * place.noise("inclusion-mottle", values["width"], octaves=4, gain=0.7, aniso=4.0, angle=turn)
    dark = values["darkness"]
    return Layer(
        height=0.35 * values["relief"] * widest * blur(alpha, 0.2 * widest),
        cover=alpha,
        paint=lighter(place, -0.9 * dark if dark > 0 else -dark) * np.clip(mottle, 0.5, 1.5)[..., None],
        through=0.6,
        gloss=-0.05 * alpha,
        softness_px=0.06 * widest,
        reach_px=max(0.5 * widest, 2),
        recess=0.9,
    )


def patches(place: Place, values: Values) -> Layer:
    """Blotches whose tone changes over soft shoulders that break along the surface's own texture."""
    count = round(values["count"])
    aniso = 1.0 + 0.6 * float(place.optics.coherence > 0.25)
    alpha, level = own_outline(
        place,
        softness=0.45 + 0.9 * values["softness"],
        raggedness=values["raggedness"],
        count=max(count, 1),
        fill=0.5,
        aniso=aniso,
        follow=0.6,
    )
    random = place.random("patches")
    hollow = random.uniform(0.0, 0.35)  # many blotches are palest in their middle, where they dried last
    body = alpha * (1 - hollow * smoothstep(0.1, 0.55, level))
    mottle = place.noise("patches-mottle", 9, octaves=5, gain=0.65, aniso=aniso, angle=place.optics.angle)
    halo = blur(alpha, 0.05 * place.size) * smoothstep(0, 0.4, place.inner) * 0.25
    body = np.clip(np.maximum(body, halo) * (1 + 0.13 * mottle), 0, 1)
    dark = values["darkness"]
    change = -0.85 * dark * body if dark > 0 else -0.9 * dark * body
    return Layer(tint=1 + change, flat=0.25 * alpha * abs(dark), gloss=-0.03 * alpha, recess=0.85, whole=True)


def flakes(place: Place, values: Values) -> Layer:
    """Flakes of scale in clusters: torn little plates, darker than the surface, some standing out, some pressed in."""
    random = place.random("flakes")
    alpha, _level = own_outline(place, softness=0.9, raggedness=0.8, fill=0.85)
    turn = place.optics.angle + (math.pi / 2 if place.optics.coherence > 0.25 else random.uniform(0, math.pi))
    turn += random.normal(0, 0.12)
    aniso = values["elongation"]
    size = values["size"]
    plates = place.noise("flakes", 0.75 * size, octaves=4, gain=0.6, aniso=aniso, angle=turn)
    clusters = place.noise("flakes-clusters", 24, octaves=3, gain=0.6)
    field = plates + 0.75 * clusters + 1.5 * (alpha - 1)
    inside = field[place.mask]
    threshold = float(np.quantile(inside, 1 - values["cover"]))
    solid = smoothstep(threshold - 0.10, threshold + 0.22, field) * smoothstep(0.02, 0.25, alpha)
    tone = np.clip(1 + 0.35 * place.noise("flakes-tone", 1.6 * size, octaves=3), 0.3, 1.7)
    dark = values["darkness"]
    return Layer(
        height=values["relief"] * 0.11 * size / 100 * place.size * blur(solid, 0.06 * size / 100 * place.size),
        tint=1 - 0.85 * dark * solid * tone if dark > 0 else 1 - 0.8 * dark * solid * tone,
        flat=0.35 * solid,
        gloss=-0.05 * solid,
        reach_px=max(0.1 * size / 100 * place.size, 2),
        recess=0.85,
    )


def stain(place: Place, values: Values) -> Layer:
    """A fluid that spread and dried: smooth lobes, a stronger rim, drops around it; the surface shows through."""
    random = place.random("stain")
    passes, gloss, rim_share = FLUIDS[values["fluid"]]
    rusty = values["fluid"] == "rust"
    alpha, level = own_outline(
        place,
        softness=0.10 + 0.5 * values["softness"],
        raggedness=0.75 if rusty else 0.45,
        count=1 + int(random.integers(3)),
        fill=0.5,
        follow=0.7 if rusty else 0.15,
    )
    edge = np.exp(-(((level - 0.02) / (0.025 + 0.06 * values["softness"])) ** 2)) * smoothstep(0.0, 0.25, alpha)
    drops = Canvas(place)
    points = place.scatter(random, 12, ((place.inner > 0.15) & (alpha < 0.05)).astype(np.float32))
    for (x, y), room in zip(points[: round(9 * values["drips"])].tolist(), place.at(place.depth, points), strict=False):
        radius = min(place.size * random.uniform(0.008, 0.035), 0.7 * float(room))
        drops.fill([shapes.outline(random, (x, y), (radius, radius * random.uniform(0.75, 1)), 0, 0.12)])
    spill = np.maximum(alpha, 0.8 * blur(drops.done(), 0.004 * place.size))
    washes = place.noise("stain-washes", 22, octaves=5, gain=0.5 if not rusty else 0.72)
    density = values["density"] * np.clip(
        spill * (0.72 + (0.30 if rusty else 0.14) * washes) + 0.5 * values["rim"] * rim_share * edge, 0, 1.25
    )
    colour = np.array(passes, np.float32)
    if place.grey:
        colour = np.full(3, float(colour.mean()), np.float32)
    dark_surface = float(np.mean(place.base[place.mask])) < 0.13
    tint = 1 + density[..., None] * (colour - 1)
    glow = None
    if dark_surface:  # on black a fluid cannot darken: it shows by the pale salts or the sheen it leaves
        residue = {"water": (1.0, 1.0, 1.0), "oil": (0.75, 0.7, 0.55), "rust": (1.0, 0.5, 0.22)}[values["fluid"]]
        pale = np.array(residue, np.float32) if not place.grey else np.full(3, float(np.mean(residue)), np.float32)
        body = density * (0.35 + 0.65 * np.clip(edge + 0.4 * np.clip(washes, 0, 2), 0, 1))
        return Layer(
            cover=0.4 * body,
            paint=np.clip(place.base + 0.5 * max(place.optics.bright, WHITE) * pale, 0, 1),
            through=0.9,
        )
    if values["fluid"] == "oil":
        glow = 0.05 * density * np.clip(place.texture, 0, 2)
    height = 0.004 * place.size * density * place.noise("stain-crust", 1.5, octaves=3, gain=0.8) if rusty else None
    return Layer(tint=tint, glow=glow, height=height, gloss=gloss * density * 0.2, recess=0.9)


def color(place: Place, values: Values) -> Layer:
    """Paint or a rubbed-off finish: another colour that catches the high spots and leaves the valleys."""
    alpha, _ = own_outline(
        place, softness=0.15 + 0.6 * values["softness"], raggedness=0.45, fill=0.5, follow=0.5, count=2
    )
    wear = place.noise("color-wear", 6, octaves=5, gain=0.7)
    streaks = place.noise(
        "color-streaks", 10, octaves=4, gain=0.6, aniso=5.0, angle=place.direction(place.random("rub"))
    )
    density = (
        values["density"] * alpha * np.clip(0.72 + 0.17 * wear + 0.17 * streaks + 0.16 * place.texture, 0.05, 1.15)
    )
    level = float(np.mean(place.base[place.mask]))
    saturation = 0.0 if place.grey else values["saturation"]
    # A paint of the surface's own tone shows by its colour alone; where it has none, it is lighter or darker.
    contrast = math.copysign(max(abs(values["brightness"]), 0.35 * (1 - saturation)), values["brightness"])
    value = np.clip(level * (1 + 0.85 * contrast) + 0.22 * max(contrast, 0), 0.03, 1)
    pure = np.array(colorsys.hsv_to_rgb(values["hue"] / 360, saturation, 1.0), np.float32)
    pure /= max(float(pure @ np.array([0.299, 0.587, 0.114])), 0.25)
    light = place.base.mean(-1, keepdims=True) / max(level, 0.02)
    paint = np.clip(float(value) * pure * np.clip(light, 0.4, 1.8), 0, 1)
    return Layer(cover=np.clip(density, 0, 1), paint=paint, through=0.85, gloss=-0.05 * alpha, recess=0.9)


def contamination(place: Place, values: Values) -> Layer:
    """Crumbs, chips and fibres that lie on the surface, lit by the same lamp and shading what is beside them."""
    random = place.random("contamination")
    count = round(values["count"])
    crumbs, fibres = Canvas(place), Canvas(place)
    dense = np.exp(1.3 * place.noise("contamination-where", 30, octaves=3)) * (place.inner > 0.12)
    surface = float(lighting.luminance(place.base)[place.mask].mean())
    lean_pale = float(np.clip(0.9 * (0.42 - surface), -0.35, 0.35))  # dust shows on dark parts, dirt on bright ones
    texture = min(place.roughness / max(surface, 0.08), 0.3)  # in a busy texture only larger, plainer bits are seen
    unit = max(values["size"] * (1 + 2.5 * texture) / 100 * place.size, 0.9 * place.optics.sharpness_px)
    points = place.scatter(random, count, dense)
    for (x, y), room in zip(points.tolist(), place.at(place.depth, points).tolist(), strict=True):
        radius = unit * float(np.clip(0.3 + 0.45 * random.pareto(2.2), 0.25, 2.8))
        if random.random() < values["fibres"]:
            reach = min(radius * random.uniform(4, 10), 1.6 * room)
            bend = random.uniform(0, 2 * np.pi) + np.cumsum(random.normal(0, 0.16, 24) + random.normal(0, 0.12))
            hair = np.array([x, y]) + np.cumsum(np.stack([np.cos(bend), np.sin(bend)], 1), 0) * reach / 24
            hair -= hair.mean(0) - np.array([x, y])
            fibres.ribbon(hair, max(0.2 * unit, 0.6), random.uniform(0.7, 1))
        else:
            radius = min(radius, 0.85 * room)
            for _ in range(int(random.integers(1, 4))):  # a crumb is a few splinters that stick together
                turn = np.sort(random.uniform(0, 2 * np.pi, int(random.integers(4, 7))))
                corners = np.stack([np.cos(turn), random.uniform(0.3, 0.9) * np.sin(turn)], 1)
                lean, part = random.uniform(0, np.pi), radius * random.uniform(0.5, 1)
                spin = np.array([[math.cos(lean), math.sin(lean)], [-math.sin(lean), math.cos(lean)]])
                beside = random.normal(0, 0.35, 2) * radius
                crumbs.fill([np.array([x, y]) + beside + part * corners @ spin], random.uniform(0.7, 1))
    bits, hairs = crumbs.done(), fibres.done()
    solid = np.maximum(bits, hairs)
    lamp = place.optics.light.vector()
    moved = np.array([[1, 0, -lamp[0] * 0.7 * unit], [0, 1, -lamp[1] * 0.7 * unit]], np.float32)
    shadow = cv2.warpAffine(blur(bits, 0.3 * unit), moved, (place.shape[1], place.shape[0]))
    rough = place.noise("contamination-rough", 0.7 * values["size"], octaves=3, gain=0.7)
    usual = float(np.clip(values["tone"] + lean_pale, -1, 1))
    mixed = place.noise("contamination-tone", 2.2 * values["size"], octaves=2)
    tone = math.copysign(1.0, usual) * np.clip(0.45 + 0.55 * abs(usual) + 1.5 * texture + 0.2 * mixed, 0.25, 1)
    ground = place.base.mean(-1)
    pale = ground + (0.9 * max(place.optics.bright, DUST) - ground) * np.clip(tone, 0, 1)
    tones = np.maximum(
        np.where(tone > 0, np.maximum(pale, ground), ground * (1 + 0.9 * tone)) * (1 + 0.22 * rough), 0.02
    )
    dust = np.array([1.0, 1.0, 1.0] if place.grey else [1.05, 1.0, 0.88], np.float32)
    return Layer(
        height=0.22 * unit * blur(bits, 0.3 * unit) * (1 + 0.3 * rough),
        cover=np.clip(1.1 * solid, 0, 0.92),
        paint=np.clip(tones[..., None] * dust, 0, 1).astype(np.float32),
        through=0.1,
        tint=1 - 0.4 * np.clip(shadow - bits, 0, 1),
        gloss=0.1,
        gleam=0.4,
        reach_px=max(0.6 * unit, 2),
        recess=0.6,
    )
