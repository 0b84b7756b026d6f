"""What grew: sawn wood and tanned leather."""

import math

import numpy as np

from pipelines.core.noise import blur, smoothstep
from pipelines.parts.surfaces.sheet import Material, Sheet, hsv, plain, tint

# early wood, late wood, how strong the rings are, how long and dark the pores: colours of planed, unvarnished boards
TIMBER: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], float, float]] = {
    "pine": ((0.83, 0.68, 0.47), (0.66, 0.45, 0.25), 1.0, 0.0),
    "spruce": ((0.86, 0.75, 0.57), (0.72, 0.55, 0.36), 0.9, 0.0),
    "oak": ((0.71, 0.56, 0.39), (0.55, 0.40, 0.26), 0.6, 0.42),
    "ash": ((0.80, 0.69, 0.53), (0.64, 0.51, 0.36), 0.7, 0.35),
    "beech": ((0.79, 0.62, 0.47), (0.70, 0.51, 0.36), 0.4, 0.14),
    "walnut": ((0.47, 0.34, 0.25), (0.27, 0.18, 0.13), 0.6, 0.35),
}


def wood(sheet: Sheet) -> Material:
    """A board sawn from a log: rings are true shells around a pith, so flat cuts show arches, quarter cuts lines."""
    r = sheet.random
    species = str(r.choice(list(TIMBER)))
    early, late, ring_strength, pore_strength = TIMBER[species]
    angle = float(r.choice([0, math.pi / 2]) + r.normal(0, 0.04))
    along, across = sheet.along(angle)
    # the log's axis runs nearly along the board, `depth` under its face; it wanders, and the saw was not quite parallel
    wander = sheet.noise("wander", 0.9, octaves=4, gain=0.35, aniso=3, angle=angle)
    depth = r.uniform(0.05, 0.5) + r.uniform(0.05, 0.5) * along * r.choice([-1, 1]) + 0.05 * wander
    aside = across - r.uniform(-0.7, 0.7) + r.normal(0, 0.03) * along
    aside = aside + 0.03 * sheet.noise("sway", 0.5, octaves=4, gain=0.45, aniso=4, angle=angle)
    knot = np.zeros(sheet.shape, np.float32)
    knot_face = knot
    if species in ("pine", "spruce", "oak") and r.random() < 0.35:
        at_u, at_v, size = r.uniform(-0.35, 0.35), r.uniform(-0.3, 0.3), r.uniform(0.03, 0.06)
        u, v = (along - np.float32(at_u)) / np.float32(size * 1.3), (across - np.float32(at_v)) / np.float32(size)
        around = np.sqrt(u * u + v * v) * (1 + 0.12 * sheet.noise("knot", size * 1.5, octaves=4))
        knot = smoothstep(1.15, 0.8, around)
        # rings flow round a knot: they are pushed away across the grain, further along it than across it
        push = np.exp(-((u / 2.6) ** 2) - (v / 3.0) ** 2).astype(np.float32)
        aside = aside + -np.float32(size * 1.25) * push * np.tanh(v * 1.5)
        knot_face = around
    shells = np.hypot(aside, depth)
    spacing = r.uniform(0.012, 0.035)
    rings = shells / np.float32(spacing)
    rings = rings + 0.55 * sheet.line("years", rings, 3.0, octaves=3) + 0.05 * sheet.noise("waver", 0.05, octaves=4)
    year = np.floor(rings)
    t = rings - year
    # slow early wood, dark late wood, then a sharp end of the year, softened where a ring is thinner than a pixel
    late_share = np.clip(t, 0, 1) ** 2.2 * smoothstep(1.0, 0.93, t)
    years = sheet.each("year", (year - year.min()).astype(np.int32))
    fibres = sheet.noise("fibres", 0.006, octaves=3, gain=0.8, aniso=22, angle=angle)
    streaks = sheet.noise("streaks", 0.03, octaves=4, gain=0.6, aniso=12, angle=angle)
    clouds = sheet.noise("clouds", 0.5, octaves=3, aniso=2, angle=angle)
    vessels = sheet.noise("vessels", 0.0032, octaves=1, aniso=r.uniform(6, 10), angle=angle)
    # oak and ash open their year with a band of wide vessels, the others spread theirs evenly
    banded = 1.5 * smoothstep(0.4, 0.05, t) - 0.9 if species in ("oak", "ash") else 0.0
    pores = smoothstep(1.1, 2.6, vessels + banded)
    share = (
        ring_strength * r.uniform(0.55, 1) * late_share * (1 + 0.25 * years)
        + 0.07 * fibres
        + 0.08 * streaks
        + 0.10 * clouds
        + 0.2
    )
    light = np.array(early) * r.uniform(0.92, 1.05) * (1 + r.normal(0, 0.015, 3))
    albedo = tint(share, light, np.array(late) * r.uniform(0.92, 1.05)) * (1 - pore_strength * pores)[..., None]
    relief = 0.12 * fibres - 0.8 * pore_strength * pores + 0.08 * late_share
    if knot.any():
        rings_in = 0.5 + 0.5 * np.sin(knot_face * 13 + 1.6 * sheet.noise("heart", 0.04, octaves=4))
        ray = sheet.noise("ray", 0.012, octaves=3)
        heart = tint(0.35 + 0.25 * rings_in + 0.15 * ray, np.array(late) * 0.55, np.array(late) * 0.98)
        rim = np.exp(-(((knot_face - 0.98) / 0.13) ** 2))
        albedo = albedo * (1 - knot[..., None]) + heart * knot[..., None]
        albedo = albedo * (1 - 0.3 * rim)[..., None]
    return Material(f"{species} board", albedo.astype(np.float32), relief, 0.05, 8, angle, softness=1.2)


def leather(sheet: Sheet) -> Material:
    """Grained hide: pebbles between creases of very different depth, folds of the skin over them, pores in them."""
    r = sheet.random
    size = r.uniform(0.018, 0.042)
    near, edge, ids = sheet.cells("pebbles", size, jitter=1, warp=r.uniform(0.06, 0.2))
    _, coarse_edge, _ = sheet.cells("folds", size * r.uniform(2.2, 3.2), jitter=1, warp=0.25)
    _, fine_edge, _ = sheet.cells("wrinkles", size * 0.5, jitter=1, warp=0.25)
    # a crease is deep here and shallow there
    deep = 0.68 + 0.32 * np.tanh(1.2 * sheet.noise("deep", size * 3, octaves=3))
    crease = smoothstep(r.uniform(0.12, 0.3), 0.0, edge) * deep
    fold = smoothstep(0.16, 0.0, coarse_edge) * (0.6 + 0.4 * np.tanh(sheet.noise("fold", size * 6, octaves=2)))
    wrinkle = smoothstep(0.3, 0.0, fine_edge) * smoothstep(0, 1.2, sheet.noise("wrinkled", size * 4, octaves=3))
    cut = np.maximum(np.maximum(crease, fold), 0.45 * wrinkle)
    dome = np.clip(1 - near * near, 0, 1)
    pore = smoothstep(2.2, 2.9, sheet.noise("pores", 0.005, octaves=1))
    skin = sheet.noise("skin", 0.007, octaves=3, gain=0.8)
    lumps = sheet.noise("lumps", size * 4, octaves=3)
    depth = size / 0.025 * 0.35 * 3.2 ** r.uniform(0, 1)
    relief = (
        depth * (2.6 * (1 - cut) + r.uniform(0.4, 1.7) * dome + 0.35 * sheet.each("pebble", ids) + 0.9 * lumps)
        + 0.14 * skin
        - 0.6 * pore
    )
    relief = blur(relief.astype(np.float32), 0.0016 * sheet.side)
    colours = [
        hsv(r.uniform(0.02, 0.075), r.uniform(0.35, 0.62), r.uniform(0.3, 0.62)),  # tan and brown
        hsv(r.uniform(0.95, 1.02), r.uniform(0.45, 0.65), r.uniform(0.2, 0.4)),  # oxblood
        hsv(r.uniform(0.3, 0.65), r.uniform(0.2, 0.5), r.uniform(0.14, 0.32)),  # bottle green to navy
        hsv(r.random(), 0.08, r.uniform(0.1, 0.16)),  # black
    ]
    colour = colours[int(r.choice(4, p=[0.6, 0.12, 0.16, 0.12]))]
    worn = sheet.noise("worn", 0.35, octaves=5)
    tone = 1 - 0.16 * cut + 0.05 * worn + 0.03 * skin + 0.03 * dome
    # dye gathers in creases or is rubbed off beside them
    albedo = plain(tone, colour) * (1 + r.uniform(-0.1, 0.45) * cut[..., None] * np.array([1, 0.8, 0.65], np.float32))
    return Material("leather", albedo.astype(np.float32), relief, r.uniform(0.08, 0.2), r.uniform(8, 22), reach=5)
