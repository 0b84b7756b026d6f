"""From a material to a photograph: light on the relief, the part on its ground, lens, falloff of the lamp, sensor."""

from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.core import noise
from pipelines.parts import lighting
from pipelines.parts.surfaces.sheet import REFERENCE_PX, Ground, Material, Sheet


@dataclass(frozen=True)
class Surface:
    """A picture of a good surface and everything that is exactly known about it, HxW or HxWx3, float32."""

    image: np.ndarray  # [0, 1]
    height: np.ndarray  # pixels
    normals: np.ndarray  # unit vectors, z towards the camera
    albedo: np.ndarray  # [0, 1]
    place: np.ndarray | None  # bool HxW, where the part is; None where the surface fills the picture
    caption: str
    angle: float  # direction the texture runs along, radians, x to the right and y down
    light: lighting.Light


def take(material: Material, sheet: Sheet) -> Surface:
    """Photograph a material."""
    scale = sheet.side / REFERENCE_PX
    height, image, albedo = _lit(material, sheet)
    place = None
    if material.ground is not None:
        under, ground_image, ground_albedo = _lit(material.ground.under, sheet)
        share = material.ground.place[..., None]
        ground_image = ground_image * (1 - _shadow(material.ground, sheet))[..., None]
        image = ground_image + (image - ground_image) * share
        albedo = ground_albedo + (albedo - ground_albedo) * share
        lift = np.float32(material.ground.stands * sheet.side)
        inside = material.ground.place > 0.5
        floor = float(height[inside].min()) if inside.any() else 0.0
        height = under + (height - min(floor, 0.0) + lift - under) * material.ground.place
        place = inside
    random = noise.rng(sheet.seed, "camera")
    image = image * _falloff(sheet, random)[..., None]
    image = _film(image)
    if material.grey:
        image = np.repeat(lighting.luminance(image)[..., None], 3, axis=2)
    image = noise.blur(image.astype(np.float32), scale * material.softness * random.uniform(0.4, 0.7))
    level = random.uniform(0.003, 0.009)
    grain = sheet.noise("sensor", 1.2 / REFERENCE_PX, octaves=2, gain=1.0)
    image = image + (level * (0.6 + 0.6 * np.sqrt(np.clip(image, 0, 1)))) * grain[..., None]
    if not material.grey:
        image[..., 0] += np.float32(0.4 * level) * sheet.noise("sensor-red", 3 / REFERENCE_PX, octaves=2)
        image[..., 2] += np.float32(0.5 * level) * sheet.noise("sensor-blue", 3 / REFERENCE_PX, octaves=2)
    return Surface(
        image=np.clip(image, 0, 1).astype(np.float32),
        height=height.astype(np.float32),
        normals=lighting.normals(height),
        albedo=np.clip(albedo, 0, 1).astype(np.float32),
        place=place,
        caption=material.caption,
        angle=float(material.angle),
        light=sheet.light,
    )


def _lit(material: Material, sheet: Sheet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Height in pixels of this picture, lit image and albedo."""
    scale = sheet.side / REFERENCE_PX
    height = (material.relief * np.float32(scale)).astype(np.float32)
    albedo = material.albedo.astype(np.float32)
    image = lighting.shade(albedo, height, material.gloss, material.shininess, sheet.light, material.reach * scale)
    if material.sheen is not None:
        image = image * material.sheen[..., None]
    if material.mirror is not None:
        image = image + material.mirror[..., None]
    return height, image, albedo


def _shadow(ground: Ground, sheet: Sheet) -> np.ndarray:
    """What the part takes from the light on its ground: a cast shadow away from the lamp and a dark line of contact."""
    casts = ground.place
    lamp = sheet.light.vector()
    reach = ground.stands * sheet.side / max(float(lamp[2]), 0.3)
    shadow = np.zeros(sheet.shape, np.float32)
    steps = 6
    for k in range(1, steps + 1):  # the silhouette of each layer of the part, further away the higher the layer
        move = np.array([[1, 0, -lamp[0] * reach * k / steps], [0, 1, -lamp[1] * reach * k / steps]], np.float32)
        moved = cv2.warpAffine(casts, move, (sheet.width, sheet.height), borderMode=cv2.BORDER_CONSTANT)
        shadow = np.maximum(shadow, noise.blur(moved, reach * (0.06 + 0.12 * k / steps)))
    contact = noise.blur(casts, 0.012 * sheet.side)
    return np.clip(0.5 * shadow + 0.3 * contact, 0, 0.8)


def _falloff(sheet: Sheet, random: np.random.Generator) -> np.ndarray:
    """The lamp is near: its side is brighter; and lenses darken the corners."""
    lamp = sheet.light.vector()
    toward = sheet.x * lamp[0] + sheet.y * lamp[1]
    radius = sheet.x * sheet.x + sheet.y * sheet.y
    slope, corner = random.uniform(0.05, 0.32), random.uniform(0.05, 0.3)
    return (random.uniform(0.9, 1.1) * (1 + slope * toward - corner * radius)).astype(np.float32)


def _film(image: np.ndarray) -> np.ndarray:
    """Highlights roll off instead of being cut."""
    bright = np.maximum(image - 0.72, 0)
    return np.maximum(image, 0) - bright + bright / (1 + 2.2 * bright)
