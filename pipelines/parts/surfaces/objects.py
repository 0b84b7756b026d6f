"""Parts that lie on a ground: nut, washer, capsule, pill. Each is a solid whose height is known at every pixel."""

import math
from dataclasses import replace

import numpy as np

from pipelines.core.noise import blur, smoothstep
from pipelines.parts.surfaces.sheet import Ground, Material, Sheet, hsv, over, plain

METALS: dict[str, tuple[float, float, float]] = {  # hue, saturation, brightness of the bare face
    "zinc-plated": (0.6, 0.04, 0.56),
    "stainless steel": (0.1, 0.03, 0.52),
    "yellow-passivated": (0.13, 0.3, 0.55),
    "black-oxide": (0.6, 0.08, 0.16),
    "brass": (0.12, 0.45, 0.62),
}


def backdrop(sheet: Sheet) -> Material:
    """What a part lies on in an inspection station: black felt, grey belt, white acrylic, card."""
    r = sheet.random
    kind = str(r.choice(["felt", "belt", "acrylic", "card"], p=[0.3, 0.25, 0.2, 0.25]))
    cloud = sheet.noise("backdrop-cloud", 0.5, octaves=3)
    fibre = sheet.noise("backdrop-fibre", 0.008, octaves=3, gain=0.85)
    if kind == "felt":
        tone = r.uniform(0.035, 0.1) * (1 + 0.12 * fibre + 0.08 * cloud)
        lint = smoothstep(2.7, 3.3, sheet.noise("backdrop-lint", 0.007, octaves=2))
        return Material(kind, plain(tone + 0.12 * lint, hsv(r.random(), r.uniform(0, 0.2), 1)), 0.16 * fibre, 0.0)
    if kind == "belt":
        weave = sheet.noise("belt-x", 0.005, octaves=1, aniso=5) + sheet.noise(
            "belt-y", 0.005, octaves=1, aniso=5, angle=math.pi / 2
        )
        tone = r.uniform(0.16, 0.4) * (1 + 0.05 * weave + 0.05 * cloud)
        colour = hsv(r.choice([0.6, 0.33, 0.1]), r.uniform(0, 0.3), 1)
        return Material(kind, plain(tone, colour), 0.15 * weave, 0.05, 10)
    if kind == "acrylic":
        tone = r.uniform(0.72, 0.86) * (1 + 0.01 * cloud)
        return Material(kind, plain(tone, hsv(0.6, r.uniform(0, 0.03), 1)), 0.1 * cloud, 0.05)
    tone = r.uniform(0.45, 0.75) * (1 + 0.02 * fibre + 0.02 * cloud)
    return Material(kind, plain(tone, hsv(r.choice([0.09, 0.58]), r.uniform(0, 0.15), 1)), 0.06 * fibre, 0.0)


def pose(sheet: Sheet) -> tuple[np.ndarray, np.ndarray, float]:
    """Coordinates of a part turned by any angle and a little off the middle, and that angle."""
    r = sheet.random
    turn = float(r.uniform(0, 2 * math.pi))
    x, y = sheet.x - np.float32(r.normal(0, 0.02)), sheet.y - np.float32(r.normal(0, 0.02))
    cos, sin = np.float32(math.cos(turn)), np.float32(math.sin(turn))
    return cos * x + sin * y, cos * y - sin * x, turn


def metal_of(sheet: Sheet) -> tuple[str, np.ndarray, float]:
    """A finish by name, its colour and its brightness."""
    name = str(sheet.random.choice(list(METALS), p=[0.35, 0.3, 0.12, 0.1, 0.13]))
    hue, saturation, value = METALS[name]
    return name, hsv(hue, saturation, 1), value * sheet.random.uniform(0.88, 1.1)


def bow(sheet: Sheet, x: np.ndarray, y: np.ndarray, turn: float) -> np.ndarray:
    """Turned rings reflect the lamp in two opposite sectors, like the shine of a record; -1..1, HxW."""
    lamp = math.radians(-sheet.light.azimuth_deg)
    theta = np.arctan2(y, x) + np.float32(turn - lamp)
    wide = np.cos(2 * theta)
    return (0.6 * wide + 0.4 * np.sign(wide) * wide**4).astype(np.float32)


def nut(sheet: Sheet) -> Material:
    """A hexagon nut from above: chamfered corners, countersunk thread, a face turned or forged."""
    r = sheet.random
    x, y, turn = pose(sheet)
    flats = r.uniform(0.26, 0.33)  # half the width over flats
    bore = flats * r.uniform(0.5, 0.62)
    hexagon = np.max([np.abs(x * math.cos(k) + y * math.sin(k)) for k in (0, math.pi / 3, 2 * math.pi / 3)], axis=0)
    corner = 0.05 * flats
    distance = np.hypot(x, y)
    finish, colour, base = metal_of(sheet)
    outer = sheet.inside(np.maximum(hexagon - flats, distance - flats * 1.13), 1.2)
    # the chamfer is a cone of 30 degrees; where it meets the flats it leaves the arcs that make a nut a nut
    cone = np.maximum(distance - flats * r.uniform(0.93, 0.98), 0)
    sink = np.maximum(bore * 1.13 - distance, 0)
    relief = -0.62 * cone * 512 - 0.85 * sink * 512 * (distance > bore * 0.96)
    relief = relief - 0.5 * np.maximum(hexagon - (flats - corner * 0.5), 0) * 512
    turned = bool(r.random() < 0.6)
    rings = sheet.line("rings", distance, 0.006, octaves=3, gain=0.8)
    rough = sheet.noise("rough", 0.012, octaves=4, gain=0.65)
    broad = sheet.noise("broad", 0.2, octaves=4)
    marks = smoothstep(1.5, 2.6, sheet.noise("marks", 0.03, octaves=4, gain=0.6))
    relief = relief + (0.16 * rings + 0.05 * rough if turned else 0.16 * rough + 0.5 * broad) - 0.4 * marks
    tone = base * (1 + 0.035 * broad + (0.03 * rings if turned else 0.04 * rough) - 0.12 * marks)
    # thread: a helix seen from above, flank after flank going down into the dark
    lead = bore * r.uniform(0.045, 0.07)
    phase = (bore - distance) / np.float32(lead) + np.arctan2(y, x) / np.float32(2 * math.pi)
    depth = np.clip((bore - distance) / (bore * 0.17), 0, 1)
    lamp_x, lamp_y = math.cos(math.radians(sheet.light.azimuth_deg)), -math.sin(math.radians(sheet.light.azimuth_deg))
    cos, sin = math.cos(turn), math.sin(turn)
    far_x, far_y = cos * lamp_x + sin * lamp_y, cos * lamp_y - sin * lamp_x
    facing = -(x * np.float32(far_x) + y * np.float32(far_y)) / np.maximum(
        distance, 1e-4
    )  # the wall opposite the lamp is lit
    flank = 0.5 + 0.5 * np.cos(2 * math.pi * phase)
    thread = (0.12 + 0.7 * flank**1.5) * (0.42 + 0.4 * facing) * (1 - 0.55 * depth)
    in_bore = smoothstep(bore + sheet.pixel, bore - sheet.pixel, distance)
    tone = tone * (1 - in_bore) + base * thread * in_bore
    sheen = 1 + (0.16 * bow(sheet, x, y, turn) if turned else 0.04 * broad) * (1 - in_bore)
    sheen = sheen * (1 - 0.12 * smoothstep(0, 0.02, cone))
    ground = backdrop(sheet)
    through = sheet.inside(distance - bore * 0.83, 1.2)
    place = outer * (1 - through)
    relief = relief * (1 - in_bore)
    part = Material(
        f"{finish} hexagon nut", plain(tone, colour), relief, 0.3 * (1 - in_bore), r.uniform(10, 20), turn, sheen=sheen
    )
    return replace(part, ground=Ground(ground, place, flats * 0.28))


def washer(sheet: Sheet) -> Material:
    """A turned or stamped ring with broken edges."""
    r = sheet.random
    x, y, turn = pose(sheet)
    distance = np.hypot(x, y)
    outer = r.uniform(0.31, 0.4)
    inner = outer * r.uniform(0.32, 0.62)
    finish, colour, base = metal_of(sheet)
    edge = r.uniform(0.006, 0.018)
    turned = bool(r.random() < 0.65)
    rings = sheet.line("rings", distance, 0.008, octaves=4, gain=0.8)
    fine = sheet.noise("fine", 0.006, octaves=2, gain=0.8)
    broad = sheet.noise("broad", 0.25, octaves=4)
    rolled = sheet.noise("rolled", 0.008, octaves=3, gain=0.7, aniso=12, angle=turn)
    to_edge = np.minimum(outer - distance, distance - inner)
    rounded = np.clip(1 - to_edge / np.float32(edge), 0, 1) ** 2
    relief = -rounded * edge * 512 * 0.6 + (0.15 * rings + 0.05 * fine if turned else 0.14 * rolled + 0.25 * broad)
    scuffs = smoothstep(1.8, 3.0, sheet.noise("scuffs", 0.012, octaves=3, aniso=5, angle=turn + 0.7))
    tone = base * (1 + 0.03 * broad + (0.04 * rings if turned else 0.035 * rolled) + 0.08 * scuffs)
    sheen = 1 + (r.uniform(0.15, 0.3) * bow(sheet, x, y, turn) if turned else 0.06 * broad)
    place = sheet.inside(np.maximum(distance - outer, inner - distance), 1.2)
    name = f"{finish} {r.choice(['washer', 'bearing ring', 'shim ring'] if turned else ['washer'])}"
    part = Material(name, plain(tone, colour), relief, 0.32, r.uniform(10, 22), turn, sheen=sheen)
    return replace(part, ground=Ground(backdrop(sheet), place, outer * 0.07))


def capsule(sheet: Sheet) -> Material:
    """A two-piece gelatine capsule: the cap sleeves over the body, both are glossy and a little translucent."""
    r = sheet.random
    x, y, turn = pose(sheet)
    radius = r.uniform(0.13, 0.17)
    long = radius * r.uniform(1.25, 1.75)
    seam = r.uniform(-0.2, 0.25) * long
    on_cap = smoothstep(seam - 1.2 * sheet.pixel, seam + 1.2 * sheet.pixel, x)
    wall = radius * 0.035
    own = radius - wall * (1 - on_cap)
    reach = np.hypot(np.maximum(np.abs(x) - (long - wall * (1 - on_cap)), 0), y) / own
    solid = np.sqrt(np.clip(1 - reach * reach, 0, 1)) * own
    place = sheet.inside((reach - 1) * radius, 1.2)
    first = hsv(r.random(), r.uniform(0.0, 0.85), r.uniform(0.5, 0.88))
    second = hsv(r.random(), r.uniform(0.35, 0.9), r.uniform(0.3, 0.8))
    if r.random() < 0.4:
        first = hsv(0.11, r.uniform(0, 0.12), r.uniform(0.78, 0.9))
    albedo = over(np.broadcast_to(first, (*sheet.shape, 3)), second, on_cap)
    # thin walls let light through: the limb is brighter than on an opaque body, the powder shows in clouds
    powder = sheet.noise("powder", 0.05, octaves=4)
    limb = np.clip(1 - solid / radius, 0, 1) ** 3
    albedo = albedo * (1 + 0.02 * powder + 0.25 * limb)[..., None]
    lip = np.exp(-(((x - seam) / (2.2 * wall)) ** 2)) * (x < seam)
    groove = np.exp(-(((x - seam - radius * 0.25) / (0.02 * radius)) ** 2))
    albedo = albedo * (1 - 0.25 * lip - 0.05 * groove)[..., None]
    relief = (0.8 * solid - 0.004 * groove) * 512 + 0.12 * sheet.noise("dimples", 0.04, octaves=2)
    part = Material("gelatine capsule", albedo.astype(np.float32), relief, 0.45, r.uniform(45, 90), turn, reach=6)
    return replace(part, ground=Ground(backdrop(sheet), place, radius * 0.55))


def pill(sheet: Sheet) -> Material:
    """A pressed tablet: domed face, bevelled edge, chalky skin, perhaps a break line, a code or speckles."""
    r = sheet.random
    x, y, turn = pose(sheet)
    width = r.uniform(0.25, 0.34)
    ratio = float(r.choice([1.0, r.uniform(0.55, 0.8)]))
    if ratio == 1.0:
        reach = np.hypot(x, y) / width
    else:  # a stadium, as long tablets are
        tall = width * ratio * 0.8
        reach = np.hypot(np.maximum(np.abs(x) - (width - tall), 0), y) / tall
    scale = width * ratio * (1.0 if ratio == 1.0 else 0.8)
    place = sheet.inside((reach - 1) * scale, 1.2)
    dome = np.sqrt(np.clip(1.35 - reach * reach, 0.05, None))
    bevel = np.maximum(reach - r.uniform(0.84, 0.9), 0)
    relief = (0.28 * dome * scale - 0.75 * bevel * scale) * 512
    chalk = sheet.noise("chalk", 0.008, octaves=3, gain=0.8)
    press = sheet.noise("press", 0.09, octaves=4)
    relief = relief + r.uniform(0.06, 0.16) * chalk + 0.3 * press
    style = str(r.choice(["plain", "scored", "crossed", "stamped"], p=[0.25, 0.4, 0.1, 0.25]))
    wide = scale * 0.045
    cut = np.zeros(sheet.shape, np.float32)
    if style in ("scored", "crossed"):
        cut = np.maximum(1 - np.abs(x) / np.float32(wide), 0)
    if style == "crossed":
        cut = np.maximum(cut, np.maximum(1 - np.abs(y) / np.float32(wide), 0))
    if style == "stamped":
        ring = np.abs(np.hypot(x, y) - 0.45 * scale)
        bar = np.maximum(np.abs(x) - 0.02 * scale, np.abs(y) - 0.3 * scale)
        cut = np.maximum(1 - np.minimum(ring, np.maximum(bar, 0)) / np.float32(wide * 0.7), 0)
    cut = blur(cut.astype(np.float32), 0.0015 * sheet.side)
    relief = relief - cut * wide * 512 * 0.55
    pale = r.random() < 0.6
    colour = hsv(r.choice([0.1, 0.14, 0.6]), r.uniform(0, 0.08), r.uniform(0.8, 0.9))
    if not pale:
        colour = hsv(r.random(), r.uniform(0.18, 0.5), r.uniform(0.62, 0.85))
    albedo = plain(1 + 0.012 * chalk + 0.015 * press - 0.08 * cut, colour)
    if r.random() < 0.4:
        speckle = smoothstep(1.9, 2.5, sheet.noise("speckle", 0.009, octaves=2, gain=0.6))
        albedo = over(albedo, colour * hsv(r.random(), r.uniform(0.2, 0.6), r.uniform(0.5, 0.85)), 0.8 * speckle)
    worn = smoothstep(0.8, 1.0, reach) * smoothstep(0.8, 2.2, sheet.noise("worn", 0.02, octaves=4))
    albedo = albedo * (1 - 0.08 * worn)[..., None]
    coated = bool(r.random() < 0.3)
    part = Material(
        "tablet", albedo.astype(np.float32), relief, 0.25 if coated else 0.03, 40 if coated else 8, turn, reach=5
    )
    return replace(part, ground=Ground(backdrop(sheet), place, scale * 0.28))
