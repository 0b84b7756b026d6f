"""A hazelnut as a solid of revolution seen at any tilt: shell with meridian stripes, rough base, downy tip."""

import math
from dataclasses import replace

import numpy as np

from pipelines.core.noise import blur, smoothstep
from pipelines.parts.surfaces.objects import backdrop
from pipelines.parts.surfaces.sheet import Ground, Material, Sheet, hsv, over, tint


def hazelnut(sheet: Sheet) -> Material:
    """A hazelnut in its shell; its axis leans towards the camera so that part of the base shows."""
    r = sheet.random
    turn, lean = float(r.uniform(0, 2 * math.pi)), float(r.uniform(-0.25, 0.85))
    size = r.uniform(0.29, 0.34)
    # unit vector from the base to the tip, z towards the camera
    axis = (math.cos(turn) * math.cos(lean), math.sin(turn) * math.cos(lean), -math.sin(lean))
    x = (sheet.x - np.float32(r.normal(0, 0.02))) / np.float32(size)
    y = (sheet.y - np.float32(r.normal(0, 0.02))) / np.float32(size)
    wobble = 0.02 * sheet.noise("wobble", 0.5, octaves=2)
    z, depth, cover = _surface(x * (1 + wobble), y * (1 + wobble), axis, r.uniform(0.92, 1.06), sheet.pixel / size)
    place = cover
    t = axis[0] * x + axis[1] * y + axis[2] * z  # -1 at the base, 1.12 at the tip
    # two directions square to the axis give the longitude; 0 faces the camera, the seam lies at the back
    front = np.array([0, 0, 1]) - axis[2] * np.array(axis)
    front /= np.linalg.norm(front)
    beside = np.cross(axis, front)
    longitude = np.arctan2(beside[0] * x + beside[1] * y + beside[2] * z, front[0] * x + front[1] * y + front[2] * z)
    shell, shell_relief = _shell(sheet, t, longitude)
    base, base_relief, on_base = _base(sheet, t, longitude)
    albedo = over(shell, base, on_base)
    limb = smoothstep(0.5, 0.0, depth)
    albedo = albedo * (1 - 0.18 * limb)[..., None]
    relief = (0.8 * z * size * 512 + shell_relief * (1 - on_base) + base_relief * on_base).astype(np.float32)
    gloss = (0.13 * (1 - on_base) * (1 - 0.7 * smoothstep(0.7, 1.0, t))).astype(np.float32)
    part = Material("hazelnut", albedo.astype(np.float32), relief, gloss, r.uniform(10, 18), turn, reach=5)
    return replace(part, ground=Ground(backdrop(sheet), place, size * 0.5))


def _surface(
    x: np.ndarray, y: np.ndarray, axis: tuple[float, float, float], plump: float, pixel: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Height of the visible face over the middle plane, how squarely it faces the camera (0 at the limb), and coverage.

    The body is |p|^2 - t^2 = g(t), t along the axis. Each pixel's ray meets it where Newton's method, coming from
    outside, settles; rays that miss stop at their closest approach.
    """

    def body(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Squared radius at t and its slope: a ball, flattened at the base, drawn out to a tip."""
        c = np.clip(t, -1.3, 1.3)
        squared = plump * plump * (1 - c * c * (1 - 0.16 * c)) - 0.10 * smoothstep(-0.55, -1.1, c)
        slope = plump * plump * (-2 * c + 0.48 * c * c)
        return squared, slope

    flat = axis[0] * x + axis[1] * y
    plane = x * x + y * y
    lead = axis[2]

    def value(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        t = flat + lead * z
        squared, slope = body(t)
        return plane + z * z - t * t - squared, 2 * z - 2 * t * lead - slope * lead

    closest = -lead * flat * 0.2
    for _ in range(4):
        _, slope = value(closest)
        _, ahead = value(closest + 0.02)
        closest = closest - slope / np.maximum((ahead - slope) / 0.02, 0.5)
    miss, _ = value(closest)
    z = closest + np.sqrt(np.maximum(-miss, 0) / 0.9) + 0.02
    for _ in range(4):
        f, slope = value(z)
        z = z - np.clip(f / np.maximum(slope, 0.15), -0.3, 0.3)
    z = np.maximum(z, closest)
    cover = smoothstep(1.5 * pixel, -1.5 * pixel, miss / 2)
    facing = np.sqrt(np.clip(-miss, 0, 1))
    return z.astype(np.float32), facing.astype(np.float32), cover


def _shell(sheet: Sheet, t: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brown shell: stripes from pole to pole that fade in and out, dull down at the tip, fine scars."""
    r = sheet.random
    taper = np.sqrt(np.clip(1.05 - 0.8 * t * t, 0.15, 1)).astype(np.float32)
    drift = 0.05 * sheet.noise("drift", 0.35, octaves=2)
    around = longitude + drift
    stripes = sheet.line("stripes", around, r.uniform(0.16, 0.26), octaves=3, gain=0.6)
    threads = sheet.line("threads", around + 0.02 * sheet.noise("waver", 0.15, octaves=3), 0.06, octaves=3, gain=0.8)
    fade = 0.6 + 0.4 * np.tanh(sheet.noise("fade", 0.2, octaves=4))
    clouds = sheet.noise("clouds", 0.3, octaves=5, gain=0.55)
    mottle = sheet.noise("mottle", 0.012, octaves=3, gain=0.7)
    hue = r.uniform(0.052, 0.072)
    dark, light = (
        hsv(hue - 0.012, r.uniform(0.62, 0.74), r.uniform(0.26, 0.36)),
        hsv(hue, r.uniform(0.54, 0.66), r.uniform(0.6, 0.72)),
    )
    share = 0.56 + fade * (0.17 * np.tanh(1.3 * stripes) + 0.05 * threads) + 0.1 * clouds + 0.025 * mottle
    share = share - 0.25 * smoothstep(0.45, 1.05, t) - 0.12 * smoothstep(-0.35, -0.75, t)
    albedo = tint(share, dark, light)
    down = smoothstep(0.55, 1.1, t + 0.12 * stripes + 0.1 * clouds) * (0.5 + 0.3 * mottle + 0.25 * threads)
    albedo = over(albedo, hsv(0.085, 0.3, 0.56), np.clip(0.6 * down, 0, 0.8))
    scars = smoothstep(2.35, 3.0, sheet.noise("scars", 0.012, octaves=3, gain=0.6, aniso=4, angle=r.uniform(0, 3)))
    albedo = over(albedo, hsv(0.08, 0.35, 0.72), 0.55 * scars)
    relief = (0.7 * stripes * fade + 0.08 * threads) * taper + 0.12 * mottle
    return albedo, relief


def _base(sheet: Sheet, t: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The scar where the husk sat: pale brown fibres running to the pole, a scalloped, corky rim."""
    r = sheet.random
    edge = -r.uniform(0.42, 0.6)
    scallop = 0.014 * sheet.line("scallop", longitude, 0.11, octaves=2) + 0.012 * sheet.noise("ragged", 0.03, octaves=4)
    inside = edge - t + scallop
    cover = smoothstep(-0.012, 0.02, inside)
    fibres = sheet.line("fibres", longitude + 0.05 * sheet.noise("bend", 0.05, octaves=4), 0.06, octaves=4, gain=0.85)
    cork = sheet.noise("cork", 0.02, octaves=5, gain=0.7)
    pits = smoothstep(0.9, 2.0, sheet.noise("pits", 0.016, octaves=3))
    rim = np.exp(-(((inside - 0.035) / 0.03) ** 2)) * (
        0.6 + 0.5 * np.tanh(sheet.line("teeth", longitude, 0.09, octaves=1))
    )
    share = np.clip(0.45 + 0.14 * fibres + 0.13 * cork - 0.3 * pits + 0.5 * rim, 0, 1)
    hue = r.uniform(0.07, 0.085)
    albedo = tint(share, hsv(hue, 0.5, 0.24), hsv(hue + 0.005, 0.4, 0.68))
    relief = 0.8 * fibres + 1.0 * cork - 1.6 * pits + 3.0 * rim
    return albedo, blur(relief.astype(np.float32), 0.001 * sheet.side), cover.astype(np.float32)
