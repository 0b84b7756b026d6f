"""Mineral surfaces: concrete, glazed ceramic, terrazzo."""

import math
from statistics import NormalDist

import numpy as np

from pipelines.core.noise import smoothstep
from pipelines.parts.surfaces.sheet import Material, Sheet, hsv, over, plain


def concrete(sheet: Sheet) -> Material:
    """A cast wall: pale cement skin, round air pores of all sizes, damp clouds, sand, sometimes a formwork joint."""
    r = sheet.random
    base = r.uniform(0.48, 0.7)
    clouds = sheet.noise("clouds", 0.5, octaves=7, gain=0.58)
    mottle = sheet.noise("mottle", 0.05, octaves=5, gain=0.65)
    stains = smoothstep(0.3, 1.9, sheet.noise("stains", 0.3, octaves=6, gain=0.6))
    chalk = smoothstep(0.5, 2.0, sheet.noise("chalk", 0.16, octaves=6, gain=0.65))
    sand = sheet.noise("sand", 0.006, octaves=2, gain=0.8)
    grit = smoothstep(1.9, 2.7, sheet.noise("grit", 0.007, octaves=2) + 0.4 * mottle)
    trowel = sheet.noise("trowel", 0.03, octaves=4, gain=0.6, aniso=7, angle=float(r.uniform(0, math.pi)))
    pores = sheet.bowls("pores", r.uniform(20, 240), 0.0013, r.uniform(0.007, 0.02), slope=1.7)
    pores = np.clip(pores * (1 + 0.25 * sheet.noise("ragged", 0.006, octaves=2)), 0, 1)
    contrast = r.uniform(0.6, 1.3)
    tone = base * (1 + contrast * (0.05 * clouds + 0.03 * mottle - 0.1 * stains + 0.06 * chalk + 0.015 * trowel))
    tone = tone * (1 + 0.018 * sand - 0.13 * grit)
    relief = 0.9 * clouds + 0.3 * mottle + r.uniform(0.05, 0.22) * sand + 0.25 * trowel - 3.2 * np.sqrt(pores)
    if r.random() < 0.35:  # two boards of the formwork met here
        along, across = sheet.along(float(r.choice([0, math.pi / 2]) + r.normal(0, 0.01)))
        gap = across - r.uniform(-0.3, 0.3) + 0.002 * sheet.line("joint", along, 0.2)
        joint = np.exp(-((gap / 0.004) ** 2)) * smoothstep(-1.2, 0.4, sheet.line("break", along, 0.06))
        relief = relief + 2.0 * joint + 1.4 * smoothstep(-0.002, 0.002, gap)
        tone = tone * (1 - 0.05 * joint + 0.06 * (smoothstep(-0.003, 0.003, gap) - 0.5))
    tone = tone * (1 - 0.38 * smoothstep(0.05, 0.6, pores))
    colour = np.array([1, r.uniform(0.965, 0.99), r.uniform(0.89, 0.97)])
    return Material("concrete", plain(tone, colour), relief, 0.0, 5, reach=6, softness=1.1)


def ceramic(sheet: Sheet) -> Material:
    """Glazed tiles with their joints, or one slab with veins; the glaze is glassy and never quite flat."""
    r = sheet.random
    hue = float(r.choice([r.uniform(0.06, 0.13), r.uniform(0.45, 0.62)], p=[0.65, 0.35]))
    colour = hsv(hue, r.uniform(0, 0.3), r.uniform(0.62, 0.88))
    wavy = sheet.noise("wavy", 0.09, octaves=2)
    cloud = sheet.noise("cloud", 0.3, octaves=5)
    if r.random() < 0.55:
        size = r.uniform(0.22, 0.6)
        turn = r.normal(0, 0.012)
        u, v = sheet.along(turn)
        u, v = (
            (u + r.uniform(0, size)) / np.float32(size),
            (v + r.uniform(0, size)) / np.float32(size * r.choice([1, 0.5])),
        )
        row = np.floor(v)
        u = u + np.float32(r.choice([0, 0.5])) * row
        column = np.floor(u)
        to_edge = np.minimum(np.minimum(u - column, 1 - (u - column)) * size, np.minimum(v - row, 1 - (v - row)) * size)
        joint = r.uniform(0.004, 0.009) + 0.0008 * sheet.noise("edge", 0.03, octaves=3)
        glaze = sheet.inside(joint - to_edge, 1.0)
        ids = ((row + 64) * 128 + column + 64).astype(np.int32)
        shade = sheet.each("tile", ids)
        rounded = np.sqrt(np.clip((to_edge - joint) / np.float32(r.uniform(0.007, 0.016)), 0, 1))
        relief = 2.6 * rounded + 0.3 * wavy + (1 - glaze) * 0.25 * sheet.noise("grout", 0.006, octaves=3)
        tilt = 0.6 * (sheet.each("tilt-x", ids) * (u - column) + sheet.each("tilt-y", ids) * (v - row))
        relief = relief + tilt
        tone = 1 + 0.03 * shade + 0.02 * cloud - 0.04 * (1 - rounded)
        grout = hsv(0.1, r.uniform(0, 0.08), r.uniform(0.4, 0.75)) * (1 + 0.06 * sheet.noise("dirt", 0.02))[..., None]
        albedo = over(grout, plain(tone, colour), glaze)
        return Material("glazed ceramic tile", albedo, relief, 0.05 + 0.4 * glaze, r.uniform(40, 90), reach=5)
    colour = hsv(hue, r.uniform(0.01, 0.09), r.choice([r.uniform(0.7, 0.88), r.uniform(0.16, 0.3)], p=[0.75, 0.25]))
    flow = float(r.uniform(0, math.pi))
    pale = bool(colour.max() < 0.5)  # white veins in a dark stone, grey or golden ones in a light stone
    stone = colour * (
        hsv(0.1, 0.1, 2.4) if pale else hsv(r.choice([0.09, 0.6]), r.uniform(0.05, 0.35), r.uniform(0.35, 0.7))
    )
    veins = np.zeros(sheet.shape, np.float32)
    for k, (size, width, strength) in enumerate(((0.55, 0.04, 1.0), (0.35, 0.03, 0.7), (0.18, 0.03, 0.4))):
        ridge = sheet.noise(f"vein-{k}", size, octaves=6, gain=0.5, aniso=r.uniform(2.5, 4), angle=flow + 0.25 * k)
        own = width * np.exp(0.45 * sheet.noise(f"width-{k}", 0.2, octaves=4))
        there = smoothstep(-0.8, 0.8, sheet.noise(f"there-{k}", 0.35, octaves=2))
        veins = np.maximum(veins, strength * there * np.exp(-np.abs(ridge) / own))
    body = 1 + 0.05 * cloud + 0.03 * sheet.noise("body", 0.12, octaves=6, gain=0.65)
    albedo = over(plain(body, colour), stone, r.uniform(0.5, 0.9) * veins.astype(np.float32))
    return Material("marbled ceramic slab", albedo, 0.4 * wavy, r.uniform(0.15, 0.35), r.uniform(40, 90))


def terrazzo(sheet: Sheet) -> Material:
    """Stone chips of several sizes, cut flat and polished in a cement ground."""
    r = sheet.random
    ground = hsv(r.uniform(0.05, 0.6), r.uniform(0, 0.12), r.uniform(0.55, 0.88))
    grain = sheet.noise("grain", 0.006, octaves=3, gain=0.8)
    albedo = plain(1 + 0.02 * grain + 0.025 * sheet.noise("cloud", 0.3), ground)
    palette = [hsv(r.choice([0.06, 0.1, 0.58, 0.0]), r.uniform(0, 0.3), r.uniform(0.12, 0.95)) for _ in range(5)]
    relief = 0.12 * sheet.noise("polish", 0.15, octaves=3)
    for k, (size, share) in enumerate(((0.018, 0.3), (0.036, 0.34), (r.uniform(0.06, 0.1), r.uniform(0.2, 0.45)))):
        _, edge, ids = sheet.cells(f"chips-{k}", size, jitter=0.95, warp=0.05)
        pick = sheet.each(f"pick-{k}", ids)
        chosen = pick < NormalDist().inv_cdf(share)
        margin = 0.22 + 0.1 * sheet.each(f"margin-{k}", ids)
        worn = 0.05 * sheet.noise(f"worn-{k}", size * 0.3, octaves=3)
        cover = sheet.inside((margin - edge + worn) * size * 0.5) * chosen
        kind = np.abs((sheet.each(f"kind-{k}", ids) * 1000).astype(np.int32)) % len(palette)
        stone = (
            np.stack(palette)[kind]
            * (
                1
                + 0.07 * sheet.each(f"tone-{k}", ids)
                + 0.07 * sheet.noise(f"stone-{k}", size * 0.5, octaves=5, gain=0.65)
            )[..., None]
        )
        albedo = over(albedo, stone, cover.astype(np.float32))
        relief = relief + 0.15 * cover
    return Material("terrazzo", np.clip(albedo, 0.02, 1), relief, r.uniform(0.1, 0.3), r.uniform(30, 80))
