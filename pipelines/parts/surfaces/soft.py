"""Soft goods: woven fabric, carpet, moulded rubber."""

import math

import numpy as np

from pipelines.core.noise import smoothstep
from pipelines.parts.surfaces.sheet import Material, Sheet, hsv, plain, tint

# which thread lies on top: True where the warp does, repeating over rows (weft) and columns (warp)
WEAVES = {
    "plain weave": [[1, 0], [0, 1]],
    "twill": [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 1]],
    "canvas": [[1, 0], [0, 1]],
    "denim": [[1, 1, 0], [0, 1, 1], [1, 0, 1]],
}


def fabric(sheet: Sheet) -> Material:
    """Woven cloth: round twisted yarns of uneven thickness pass over and under each other, fuzz stands off them."""
    r = sheet.random
    weave = str(r.choice(list(WEAVES)))
    pattern = np.array(WEAVES[weave], bool)
    pitch = r.uniform(0.011, 0.026)
    turn = float(r.normal(0, 0.06) + r.choice([0, math.pi / 4], p=[0.8, 0.2]))
    u, v = sheet.along(turn)
    pull = pitch * 0.35
    u = u + np.float32(pull) * sheet.noise("pull-x", 0.25, octaves=4, gain=0.55)
    v = v + np.float32(pull) * sheet.noise("pull-y", 0.25, octaves=4, gain=0.55)
    # each yarn wanders and swells on its own
    u, v = u / np.float32(pitch), v / np.float32(pitch * r.uniform(0.9, 1.15))
    u = u + 0.14 * sheet.line("set-x", u, 1.0, octaves=1)
    v = v + 0.14 * sheet.line("set-y", v, 1.0, octaves=1)
    column, row = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
    s, t = u - column - 0.5, v - row - 0.5
    on_top = pattern[row % pattern.shape[0], column % pattern.shape[1]]
    thick_warp = 1 + 0.1 * sheet.line("thick-x", u, 1.0, octaves=1)
    thick_weft = 1 + 0.1 * sheet.line("thick-y", v, 1.0, octaves=1)
    round_warp = np.sqrt(np.clip(1 - (2 * s / thick_warp) ** 2, 0, 1))
    round_weft = np.sqrt(np.clip(1 - (2 * t / thick_weft) ** 2, 0, 1))
    # the upper yarn arches over the lower one along its own direction
    arch_warp, arch_weft = 1 - (1.6 * t) ** 2, 1 - (1.6 * s) ** 2
    height = np.where(on_top, 0.65 * round_warp + 0.5 * arch_warp, 0.65 * round_weft + 0.5 * arch_weft)
    twist = np.where(on_top, np.sin(2 * math.pi * (3.2 * v + 1.5 * s)), np.sin(2 * math.pi * (3.2 * u + 1.5 * t)))
    fuzz = sheet.noise("fuzz", 0.006, octaves=3, gain=0.9)
    relief = (height + 0.07 * twist + 0.1 * fuzz) * pitch / 0.016 * r.uniform(1.6, 2.6)
    saturation, value = r.uniform(0.0, 0.5), r.uniform(0.25, 0.8)
    warp = hsv(r.random(), saturation, value)
    other = str(r.choice(["same", "pale", "free"], p=[0.55, 0.25, 0.2]))
    weft = warp * r.uniform(0.85, 1.1) if other == "same" else hsv(r.random(), r.uniform(0, 0.5), r.uniform(0.3, 0.8))
    if other == "pale" or weave == "denim":
        weft = hsv(0.12, r.uniform(0.02, 0.12), r.uniform(0.6, 0.85))
        warp = hsv(r.uniform(0.56, 0.64), r.uniform(0.35, 0.65), r.uniform(0.25, 0.5)) if weave == "denim" else warp
    yarn = np.where(on_top, sheet.line("dye-x", u, 1.3, octaves=1), sheet.line("dye-y", v, 1.3, octaves=1))
    slub = np.where(on_top, sheet.line("slub", v + 37 * column, 4.0), sheet.line("slub", u + 41 * row, 4.0))
    tone = 1 + 0.07 * yarn + 0.05 * slub + 0.06 * fuzz + 0.03 * twist + 0.04 * sheet.noise("fade", 0.4)
    depth = 0.72 + 0.28 * np.where(on_top, round_warp, round_weft)
    albedo = np.where(on_top[..., None], warp, weft) * np.clip(tone * depth, 0, None)[..., None]
    name = {"plain weave": "woven fabric", "twill": "twill fabric", "canvas": "canvas", "denim": "denim"}[weave]
    return Material(name, albedo.astype(np.float32), relief.astype(np.float32), 0.02, 6, turn, reach=4, softness=1.1)


def carpet(sheet: Sheet) -> Material:
    """Loop pile in rows or cut pile: tufts of yarn, each leaning and dyed a little differently, dark between them."""
    r = sheet.random
    loops = bool(r.random() < 0.5)
    size = r.uniform(0.016, 0.026) if loops else r.uniform(0.010, 0.016)
    near, edge, ids = sheet.cells("tufts", size, jitter=0.55 if loops else 0.95, warp=0.12 if loops else 0.35)
    lean_x, lean_y = sheet.each("lean-x", ids), sheet.each("lean-y", ids)
    own = sheet.each("own", ids)
    # strands of a tuft run its own way: one noise, looked up along each tuft's direction
    strands = sheet.noise("strands", 0.0065, octaves=3, gain=0.9)
    dome = np.sqrt(np.clip(1.02 - (near / 0.75) ** 2, 0, 1))
    tilt = (lean_x * sheet.noise("lay-x", 0.05, octaves=2) + lean_y * sheet.noise("lay-y", 0.05, octaves=2)) * 0.12
    relief = (2.6 * dome + 0.5 * own + 0.75 * strands + tilt) * size / 0.018 * r.uniform(1.2, 1.8)
    trodden = sheet.noise("trodden", 0.35, octaves=5, gain=0.55)
    hue, saturation = r.random(), r.uniform(0.04, 0.4)
    first, second = (
        hsv(hue, saturation, r.uniform(0.3, 0.62)),
        hsv(hue + r.normal(0, 0.05), saturation * 0.8, r.uniform(0.25, 0.75)),
    )
    mix = smoothstep(-0.6, 0.6, own + r.uniform(-1.5, 0.5))
    tone = (
        (0.5 + 0.5 * dome) * (1 + 0.1 * own + 0.1 * strands + 0.06 * trodden) * (0.75 + 0.25 * smoothstep(0, 0.3, edge))
    )
    albedo = tint(mix, first, second) * np.clip(tone, 0, None)[..., None]
    name = "loop-pile carpet" if loops else "cut-pile carpet"
    return Material(name, albedo.astype(np.float32), relief.astype(np.float32), 0.0, 5, reach=5, softness=1.2)


def rubber(sheet: Sheet) -> Material:
    """Moulded rubber, mostly black: a mat of ribs, round studs or a diamond tread, or a plain sheet with dust on it."""
    r = sheet.random
    way = str(r.choice(["ribs", "studs", "diamonds", "sheet"]))
    turn = float(r.choice([0, math.pi / 4, math.pi / 2]) + r.normal(0, 0.03))
    u, v = sheet.along(turn)
    pitch = r.uniform(0.05, 0.11)
    skin = sheet.noise("skin", 0.009, octaves=4, gain=0.75)
    flow = sheet.noise("flow", 0.3, octaves=4)
    relief = r.uniform(0.06, 0.2) * skin + 0.4 * flow
    raised: np.ndarray = np.zeros(sheet.shape, np.float32)
    if way == "ribs":
        rib = np.abs(v / np.float32(pitch * 0.5) - np.round(v / np.float32(pitch * 0.5)))
        raised = smoothstep(0.36, 0.18, rib)
    elif way == "studs":
        column = np.round(u / np.float32(pitch))
        odd = 0.5 * (column % 2)
        row = v / np.float32(pitch) - odd
        radius = np.hypot(u / np.float32(pitch) - column, row - np.round(row))
        raised = smoothstep(0.4, 0.24, radius) * (1 - 0.2 * smoothstep(0.25, 0.0, radius))
    elif way == "diamonds":
        a, b = (u + v) / np.float32(pitch), (u - v) / np.float32(pitch)
        t = np.minimum(np.abs(a - np.round(a)), np.abs(b - np.round(b)))
        raised = smoothstep(0.06, 0.2, t)
    relief = relief + raised * r.uniform(2.2, 4)
    value = r.uniform(0.15, 0.27)
    dust = smoothstep(0.3, 2.2, sheet.noise("dust", 0.25, octaves=6, gain=0.65) + 0.5 * skin)
    lint = smoothstep(2.5, 3.2, sheet.noise("lint", 0.006, octaves=2, gain=0.6))
    tone = value * (1 + 0.06 * flow + 0.05 * skin) + 0.05 * dust * (1 - 0.4 * raised) + 0.03 * raised + 0.1 * lint
    colour = hsv(r.choice([0.6, 0.08]), r.uniform(0, 0.08), 1)
    if r.random() < 0.3:  # dyed: silicone seals, blue and green mats
        tone, colour = tone * 1.6, hsv(r.choice([0.02, 0.4, 0.6]), r.uniform(0.15, 0.65), 1)
    name = {
        "ribs": "ribbed rubber mat",
        "studs": "studded rubber mat",
        "diamonds": "rubber mat",
        "sheet": "rubber sheet",
    }
    return Material(name[way], plain(tone, colour), relief, r.uniform(0.18, 0.32), r.uniform(7, 16), turn, reach=3)
