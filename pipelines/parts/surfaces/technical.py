"""Engineered faces: metal grid, painted sheet."""

import math
from dataclasses import replace

import numpy as np

from pipelines.core.noise import blur, smoothstep
from pipelines.parts.lighting import slopes
from pipelines.parts.surfaces.sheet import Ground, Material, Sheet, hsv, plain


def grid(sheet: Sheet) -> Material:
    """Woven wire cloth or perforated sheet before a dark or a pale ground."""
    r = sheet.random
    pitch = r.uniform(0.045, 0.09)
    turn = float(r.choice([0, math.pi / 4]) + r.normal(0, 0.03))
    u, v = sheet.along(turn)
    u, v = u / np.float32(pitch), v / np.float32(pitch)
    scale = pitch * 512
    tone = r.uniform(0.42, 0.68)
    cloud = sheet.noise("cloud", 0.3)
    metal = hsv(r.choice([0.6, 0.1]), r.uniform(0, 0.06), 1)
    woven = bool(r.random() < 0.6)
    # seen through a perforated sheet a pale ground would pass for bosses on it
    ground_tone = r.uniform(0.68, 0.82) if woven and r.random() < 0.4 else r.uniform(0.03, 0.12)
    ground_albedo = plain(ground_tone * (1 + 0.05 * cloud + 0.03 * sheet.noise("ground", 0.01)))
    ground = Material("ground", ground_albedo, 0.2 * sheet.noise("ground", 0.01), 0.02)
    if woven:
        radius = r.uniform(0.13, 0.2)
        u = u + 0.02 * sheet.line("set-x", u, 1.0, octaves=1) + 0.01 * sheet.noise("bent-x", 0.3, octaves=3)
        v = v + 0.02 * sheet.line("set-y", v, 1.0, octaves=1) + 0.01 * sheet.noise("bent-y", 0.3, octaves=3)
        column, row = np.round(u), np.round(v)
        s, t = u - column, v - row
        # each wire waves: over one, under the next
        wave_u = np.cos(math.pi * v) * np.where(column % 2 == 0, 1, -1)
        wave_v = np.cos(math.pi * u) * np.where(row % 2 == 0, -1, 1)
        wire_u = np.sqrt(np.clip(1 - (s / radius) ** 2, 0, 1)) + 0.9 * wave_u
        wire_v = np.sqrt(np.clip(1 - (t / radius) ** 2, 0, 1)) + 0.9 * wave_v
        cover_u, cover_v = sheet.inside((np.abs(s) - radius) * pitch), sheet.inside((np.abs(t) - radius) * pitch)
        top_is_u = (wave_u > wave_v) & (cover_u > 0.01) | (cover_v <= 0.01)
        relief = np.where(top_is_u, wire_u, wire_v) * radius * scale * 0.8
        place = np.maximum(cover_u, cover_v)
        drawn = np.where(
            top_is_u,
            sheet.noise("drawn-u", 0.006, octaves=2, aniso=12, angle=turn + math.pi / 2),
            sheet.noise("drawn-v", 0.006, octaves=2, aniso=12, angle=turn),
        )
        # the lower wire is darker beside the upper one that covers it
        near = np.where(top_is_u, np.abs(t), np.abs(s))
        buried = 1 - 0.45 * smoothstep(0.0, -0.9, np.where(top_is_u, wave_u, wave_v)) * smoothstep(
            radius * 2.2, radius, near
        )
        albedo = plain(tone * buried * (1 + 0.05 * drawn + 0.03 * cloud), metal)
        part = Material("woven wire mesh", albedo, relief, 0.5, r.uniform(12, 30), turn, bool(r.random() < 0.4))
        return replace(part, ground=Ground(ground, place.astype(np.float32), 0.02))
    column = np.round(u)
    v = v * np.float32(1.155) - 0.5 * (column % 2)
    distance = np.hypot(u - column, (v - np.round(v)) / 1.155)
    radius = r.uniform(0.28, 0.37)
    place = sheet.inside((radius - distance) * pitch)
    rim = smoothstep(radius + 0.09, radius, distance)
    lines = sheet.noise("lines", 0.006, octaves=3, gain=0.7, aniso=20, angle=turn)
    albedo = plain(tone * (1 + 0.03 * lines + 0.04 * cloud), metal)
    relief = -2.2 * rim + 0.15 * lines + 0.5 * cloud
    part = Material("perforated sheet", albedo, relief, 0.35, r.uniform(12, 30), turn, bool(r.random() < 0.4))
    return replace(part, ground=Ground(ground, place, 0.012))


def painted(sheet: Sheet) -> Material:
    """Lacquer or powder coat: one colour, orange peel, a little dust under it."""
    r = sheet.random
    # machines are painted grey, blue, green, yellow, orange or red
    hue = r.choice([0.6, 0.57, 0.38, 0.13, 0.06, 0.0]) + r.normal(0, 0.015)
    colour = hsv(hue, r.choice([r.uniform(0, 0.1), r.uniform(0.4, 0.8)]), r.uniform(0.22, 0.82))
    texture = r.uniform(0.010, 0.03)
    peel = sheet.noise("peel", texture, octaves=2, gain=0.35)
    waves = sheet.noise("waves", 0.25, octaves=2)
    flat = sheet.noise("flat", 0.4, octaves=5)
    rough = bool(r.random() < 0.4)
    fine = sheet.noise("fine", 0.006, octaves=2, gain=0.8)
    nibs = sheet.bowls("nibs", r.uniform(0, 14), 0.003, 0.006)
    relief = (
        texture / 0.012 * 0.04 * 4 ** r.uniform(0, 1) * peel + 0.6 * waves + (0.14 * fine if rough else 0) + 1.2 * nibs
    )
    flakes = r.uniform(0.01, 0.03) * fine if r.random() < 0.3 else 0.0
    albedo = plain(1 + 0.015 * flat + 0.01 * peel + flakes, colour)
    gloss, shine = (r.uniform(0.05, 0.15), r.uniform(8, 16)) if rough else (r.uniform(0.2, 0.4), r.uniform(30, 80))
    name = str(r.choice(["powder-coated metal"] if rough else ["painted metal", "lacquered metal", "plastic housing"]))
    mirror: np.ndarray = np.zeros(sheet.shape, np.float32)
    if not rough:  # a tube lamp above the line is seen in the lacquer, its outline bent by the orange peel
        turn = float(r.uniform(0, math.pi))
        across, down = slopes(blur(relief.astype(np.float32), 0.002 * sheet.side))
        v = sheet.along(turn)[1] + r.uniform(0.2, 0.45) * (np.cos(turn) * down - np.sin(turn) * across)
        v = v - np.float32(r.uniform(-0.4, 0.4))
        width, soft = r.uniform(0.06, 0.2), r.uniform(0.05, 0.15)
        mirror = r.uniform(0.03, 0.16) * smoothstep(width + soft, width - soft, np.abs(v))
    return Material(name, albedo, relief, gloss, shine, mirror=mirror)
