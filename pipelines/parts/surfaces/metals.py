"""Sheet and cast metal as a camera over a production line sees it: rolled, brushed, cast, machined, magnetic tile."""

import math

import numpy as np

from pipelines.core.noise import smoothstep
from pipelines.parts.surfaces.sheet import Material, Sheet, hsv, plain


def rolled(sheet: Sheet) -> Material:
    """Hot-rolled strip: dull, softly clouded, faint lines along the rolling direction, now and then specks of scale."""
    r = sheet.random
    angle = float(r.choice([0, math.pi / 2]) + r.normal(0, 0.03))
    base, contrast = r.uniform(0.28, 0.62), 0.25 * 4.5 ** r.uniform(0, 1)
    clouds = sheet.noise("clouds", 0.3, octaves=4, gain=0.55, aniso=r.uniform(1.2, 3), angle=angle)
    mottle = sheet.noise("mottle", r.uniform(0.006, 0.02), octaves=4, gain=0.7)
    lines = sheet.noise("lines", 0.01, octaves=3, gain=0.7, aniso=60, angle=angle)
    bands = sheet.noise("bands", 0.12, octaves=3, aniso=14, angle=angle)
    tone = base + contrast * (
        0.03 * clouds + r.uniform(0.008, 0.035) * mottle + r.uniform(0.004, 0.016) * lines + 0.012 * bands
    )
    scale = smoothstep(2.1, 2.9, sheet.noise("scale", 0.012, octaves=3, gain=0.5, aniso=2, angle=angle) + 0.35 * clouds)
    tone = tone - scale * max(r.uniform(-0.12, 0.14), 0)
    grey = bool(r.random() < 0.75)
    colour = hsv(r.uniform(0.05, 0.62), r.uniform(0.02, 0.1), 1)
    relief = 0.12 * mottle + 0.12 * lines - 0.4 * scale
    name = r.choice(["hot-rolled steel strip", "steel plate", "cold-rolled steel sheet"])
    return Material(
        str(name), plain(tone, colour), relief * r.uniform(0.25, 0.6), 0.15, 12, angle, grey, softness=r.uniform(1, 1.8)
    )


def brushed(sheet: Sheet) -> Material:
    """Brushed sheet: hairlines of finite length under a band of light across them."""
    r = sheet.random
    angle = float(r.uniform(0, math.pi))
    base, contrast = r.uniform(0.42, 0.68), r.uniform(0.6, 1.2)
    fine = sheet.noise("fine", 0.0045, octaves=2, gain=0.8, aniso=r.uniform(40, 110), angle=angle)
    middle = sheet.noise("middle", 0.016, octaves=3, gain=0.7, aniso=50, angle=angle)
    broad = sheet.noise("broad", 0.15, octaves=2, aniso=8, angle=angle)
    hair = smoothstep(1.7, 3.0, sheet.noise("hair", 0.004, octaves=1, aniso=55, angle=angle))
    tone = base + contrast * (0.03 * fine + 0.022 * middle + 0.012 * broad + 0.05 * hair)
    along, _ = sheet.along(angle)
    band = np.exp(-(((along - r.uniform(-0.5, 0.5)) / r.uniform(0.25, 0.6)) ** 2)).astype(np.float32)
    sheen = 0.86 + r.uniform(0.15, 0.4) * band * (1 + 0.05 * middle)
    metal, hue, saturation = (
        ("brushed stainless steel", 0.1, r.uniform(0, 0.05)),
        ("brushed aluminium", 0.6, r.uniform(0, 0.05)),
        ("brushed metal", 0.1, r.uniform(0, 0.08)),
        ("brushed brass", 0.115, r.uniform(0.25, 0.42)),
    )[int(r.choice(4, p=[0.35, 0.35, 0.2, 0.1]))]
    relief = 0.22 * fine + 0.2 * middle - 0.3 * hair
    return Material(metal, plain(tone, hsv(hue, saturation, 1)), relief, 0.35, r.uniform(8, 25), angle, sheen=sheen)


def cast(sheet: Sheet) -> Material:
    """A sand-cast or die-cast face: even round grain, soft waves, a few gas pores, a metal's glint on each rise."""
    r = sheet.random
    light_metal = bool(r.random() < 0.4)
    size = r.uniform(0.0045, 0.009)
    grain = sheet.noise("grain", size, octaves=2, gain=0.45)
    bumps = np.log1p(np.exp(1.4 * grain)) - 0.85  # the sand's grains stand out round, the gaps between them are flat
    knots = np.log1p(np.exp(1.6 * sheet.noise("knots", size * 3, octaves=3, gain=0.6))) - 0.85
    waves = sheet.noise("waves", 0.2, octaves=3)
    broad = sheet.noise("broad", 0.5, octaves=4, gain=0.55)
    pores = sheet.bowls("pores", r.uniform(0, 25), 0.003, 0.009)
    depth = size / 0.007 * (r.uniform(0.16, 0.3) if light_metal else r.uniform(0.3, 0.6))
    relief = depth * (bumps + 0.9 * knots) + 0.9 * waves - 2.5 * pores
    base = r.uniform(0.5, 0.64) if light_metal else r.uniform(0.2, 0.36)
    hue, saturation = (0.6, r.uniform(0, 0.04)) if light_metal else (r.choice([0.07, 0.6]), r.uniform(0.02, 0.12))
    speck = sheet.noise("speck", 0.0045, octaves=1)
    glints = smoothstep(1.6, 2.8, speck + 0.5 * grain)
    rust = (
        np.zeros(1, np.float32) if light_metal else smoothstep(0.8, 2.6, sheet.noise("rust", 0.2, octaves=6, gain=0.65))
    )
    tone = base * (1 + 0.05 * broad + 0.05 * bumps + 0.05 * knots + 0.03 * speck) * (1 - 0.6 * pores) + 0.14 * glints
    albedo = plain(tone, hsv(hue, saturation, 1)) * (
        1 - r.uniform(0, 0.3) * rust[..., None] * np.array([0.1, 0.45, 0.8], np.float32)
    )
    name = "die-cast aluminium" if light_metal else str(r.choice(["cast iron", "sand-cast iron"]))
    return Material(name, albedo.astype(np.float32), relief, r.uniform(0.3, 0.5), r.uniform(9, 16))


def machined(sheet: Sheet) -> Material:
    """A face cut by a tool: turned (rings), milled (arcs side by side) or ground (short straight scratches)."""
    r = sheet.random
    way = str(r.choice(["turned", "milled", "ground"]))
    turn = float(r.uniform(0, 2 * math.pi))
    along, across = sheet.along(turn)
    if way == "turned":
        distance = r.uniform(0.2, 1.6)
        dx, dy = along + np.float32(distance), across
        path = np.hypot(dx, dy)
        # brightest where the rings run square to the lamp
        lamp = math.radians(-sheet.light.azimuth_deg)
        bow = np.cos(2 * (np.arctan2(dy, dx) + turn - lamp))
        sheen = 1 + r.uniform(0.05, 0.18) * bow.astype(np.float32)
        feed = r.uniform(0.006, 0.012)
        sweep = 0.0
    elif way == "milled":
        radius = r.uniform(0.35, 1.2)
        reach = np.clip(across / np.float32(radius), -0.97, 0.97)
        path = along - np.float32(radius) * np.sqrt(1 - reach * reach)
        sheen = 1 + 0.12 * sheet.line("sheen", path, 0.25, octaves=2)
        feed = r.uniform(0.012, 0.035)
        sweep = r.uniform(0.2, 0.8)
    else:
        path = across
        sheen = 1 + 0.1 * sheet.noise("sheen", 0.5, octaves=2, aniso=3, angle=turn)
        feed = r.uniform(0.01, 0.02)
        sweep = 0.0
    drift = sheet.noise("drift", 0.4, octaves=2)
    path = path + np.float32(0.0006) * drift
    strength = 0.65 + 0.35 * np.tanh(sheet.line("strength", path, feed * 9, octaves=1))
    marks = np.sin(2 * math.pi * path / np.float32(feed)).astype(np.float32) * strength if way != "ground" else 0.0
    profile = sheet.line("profile", path, feed * 1.5, octaves=4, gain=0.8)
    if way == "ground":
        profile = 0.6 * profile + sheet.noise("grit", 0.005, octaves=2, gain=0.8, aniso=25, angle=turn)
    if sweep:  # the back of the cutter leaves a second, weaker set of arcs
        back = along + np.float32(radius) * np.sqrt(1 - reach * reach)
        profile = profile + sweep * sheet.line("back", back, feed, octaves=3, gain=0.8)
    base = r.uniform(0.42, 0.66)
    broad = sheet.noise("broad", 0.3, octaves=4)
    tone = base * (1 + 0.035 * profile + 0.03 * marks + 0.025 * broad)
    colour = hsv(r.choice([0.6, 0.1]), r.uniform(0, 0.07), 1)
    relief = (0.3 * marks * feed / 0.012 + 0.26 * profile) * r.uniform(0.35, 0.7)
    name = {"turned": "turned steel", "milled": "milled metal", "ground": "ground steel"}[way]
    return Material(name, plain(tone, colour), relief, 0.35, r.uniform(10, 25), turn, sheen=sheen)


def magnetic(sheet: Sheet) -> Material:
    """A ground ferrite tile: dark grey, grinding lines one way, sparkling grain, light falling off to the sides."""
    r = sheet.random
    angle = float(math.pi / 2 + r.normal(0, 0.02) if r.random() < 0.8 else r.normal(0, 0.02))
    base = r.uniform(0.22, 0.46)
    along, across = sheet.along(angle)
    profile = sheet.line("profile", across, 0.03, octaves=5, gain=0.85)
    lines = sheet.noise("lines", 0.005, octaves=2, gain=0.8, aniso=r.uniform(30, 80), angle=angle)
    grain = sheet.noise("grain", 0.005, octaves=2, gain=0.9)
    clouds = sheet.noise("clouds", 0.35, octaves=5, gain=0.55, aniso=2.5, angle=angle)
    bright = smoothstep(2.0, 3.4, lines + 0.5 * profile)
    falloff = 1 - r.uniform(0.2, 0.9) * (across - r.normal(0, 0.1)) ** 2 - r.uniform(0, 0.3) * along**2
    contrast = r.uniform(0.6, 1.2)
    tone = (
        base * falloff * (1 + contrast * (0.05 * profile + 0.05 * lines + 0.07 * grain + 0.07 * clouds + 0.5 * bright))
    )
    name = str(r.choice(["magnetic tile", "ferrite tile"]))
    return Material(name, plain(tone), 0.1 * lines + 0.1 * profile + 0.08 * grain, 0.12, 10, angle, True, softness=1.2)
