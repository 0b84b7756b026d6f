"""How light falls on a relief, and what a photograph tells about its own light, lens and grain.

Heights are in pixels, images float32 HxWx3. Image axes: x to the right, y down, z towards the camera; azimuths are the
inspector's, in degrees, 0 = light from the right, 90 = from the top of the picture. Knows nothing of defects or
surfaces.
"""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipelines.core.noise import blur

AMBIENT = 0.35  # the share of light that comes from everywhere, as in a lit hall rather than a dark room
ABOVE_LEFT = 135.0  # where people put a lamp, and where an eye expects it when a picture does not say


@dataclass(frozen=True)
class Light:
    """A distant lamp. `elevation_deg` is its height over the surface: 90 is from the camera, 20 is raking."""

    azimuth_deg: float = ABOVE_LEFT
    elevation_deg: float = 50.0

    def vector(self) -> np.ndarray:
        """Unit vector towards the lamp in image axes (y down)."""
        azimuth, elevation = math.radians(self.azimuth_deg), math.radians(self.elevation_deg)
        flat = math.cos(elevation)
        return np.array([math.cos(azimuth) * flat, -math.sin(azimuth) * flat, math.sin(elevation)], np.float32)


@dataclass(frozen=True)
class Optics:
    """What a picture says about how it was taken: `estimate` measures it."""

    light: Light
    sharpness_px: float  # sigma of the Gaussian that blurred the sharpest edges
    grain: float  # standard deviation of the finest detail, noise and texture together
    angle: float  # direction the texture runs along, radians, x to the right and y down
    coherence: float  # 0 = no direction at all, 1 = perfectly parallel lines
    dark: float  # luminance of the picture's deepest shadows
    bright: float  # and of its brightest lights
    background: tuple[float, float, float] | None  # the colour behind the part, where it stands before an even one


def slopes(height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """dh/dx and dh/dy, dimensionless (pixels over pixels)."""
    height = np.ascontiguousarray(height, np.float32)
    across = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    down = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    return across, down


def normals(height: np.ndarray) -> np.ndarray:
    """Unit normals float32 HxWx3 of a height map in pixels; a flat surface gives (0, 0, 1)."""
    across, down = slopes(height)
    length = np.sqrt(across * across + down * down + 1)
    return np.stack([-across / length, -down / length, 1 / length], -1)


def occlusion(height: np.ndarray, reach_px: float = 4.0) -> np.ndarray:
    """Light that still reaches a recess, 1 in the open and darker the deeper below its surroundings, float32 HxW."""
    seen = np.ones(height.shape, np.float32)
    for reach in (reach_px, 2.4 * reach_px):
        around = blur(height, reach)
        seen += 0.4 * np.minimum(height - around, 0) / reach
    return np.clip(seen, 0.3, 1)


def factors(
    height: np.ndarray, light: Light, shininess: float = 20.0, reach_px: float = 4.0
) -> tuple[np.ndarray, np.ndarray]:
    """What relief does to a flat surface: (factor on its albedo, highlight to add per unit of gloss), float32 HxW each.

    Lambert and Blinn-Phong over an ambient share and ambient occlusion, both normalised so that where the surface is
    flat the factor is 1 and the highlight 0.
    """
    lamp = light.vector()
    half = lamp + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    across, down = slopes(height)
    length = np.sqrt(across * across + down * down + 1)
    facing = np.maximum(lamp[2] - across * lamp[0] - down * lamp[1], 0) / length
    glance = np.maximum(half[2] - across * half[0] - down * half[1], 0) / length
    diffuse = (AMBIENT + (1 - AMBIENT) / float(lamp[2]) * facing) * occlusion(height, reach_px)
    highlight = cv2.pow(glance.astype(np.float32), shininess) - float(half[2]) ** shininess
    return diffuse.astype(np.float32), highlight


def shade(
    albedo: np.ndarray,
    height: np.ndarray,
    gloss: np.ndarray | float,
    shininess: float,
    light: Light,
    reach_px: float = 4.0,
) -> np.ndarray:
    """The lit surface, float32 HxWx3, not clipped. `gloss` is a number or HxW; a flat surface gives its albedo."""
    diffuse, highlight = factors(height, light, shininess, reach_px)
    return albedo * diffuse[..., None] + (np.float32(0.7) * gloss * highlight)[..., None]


def estimate(picture: np.ndarray) -> Optics:
    """Measure light, sharpness, grain and texture direction of a picture float HxWx3 in [0, 1]."""
    whole = cv2.resize(np.asarray(picture, np.float32), _fit(picture.shape, 512), interpolation=cv2.INTER_AREA)
    grey, window = luminance(whole), luminance(middle(picture))
    angle, coherence = direction(window)
    dark, bright = np.quantile(grey, (0.004, 0.997)).tolist()
    return Optics(
        estimate_light(grey),
        sharpness(window),
        grain_level(window),
        angle,
        coherence,
        dark,
        bright,
        background(whole),
    )


def within(whole: Optics, crop: np.ndarray) -> Optics:
    """Lamp, tones and background of the whole picture, lens, grain and texture of a crop of it, float HxWx3.

    The whole may have been measured on a reduced copy; the crop is at the scale that is drawn at.
    """
    window = luminance(middle(crop))
    angle, coherence = direction(window)
    return replace(whole, sharpness_px=sharpness(window), grain=grain_level(window), angle=angle, coherence=coherence)


def relit(optics: Optics, azimuth_deg: float) -> Optics:
    """The same measurements with the lamp where a person put it."""
    return replace(optics, light=replace(optics.light, azimuth_deg=azimuth_deg))


def background(picture: np.ndarray) -> tuple[float, float, float] | None:
    """The colour behind the part, or None when the surface fills the picture or its frame is uneven."""
    small = cv2.resize(picture.astype(np.float32), _fit(picture.shape, 96), interpolation=cv2.INTER_AREA)
    part = _foreground(blur(luminance(small), 1.0))
    if part.all():
        return None
    red, green, blue = np.median(small[~part], axis=0).tolist()
    return red, green, blue


def luminance(picture: np.ndarray) -> np.ndarray:
    """Rec. 601 luma, float32 HxW."""
    return cv2.transform(np.ascontiguousarray(picture, np.float32), np.array([[0.299, 0.587, 0.114]], np.float32))


def estimate_light(grey: np.ndarray) -> Light:
    """Where the lamp most likely stands, from shading; the sum of three witnesses, each weighing what it is worth.

    A near lamp brightens its own side of a flat part. On a part that stands before a background, the rim facing the
    lamp is bright. Neither can be told from paint, so the usual lamp above and to the left has a small vote that
    decides when the picture says nothing.
    """
    small = cv2.resize(grey, _fit(grey.shape, 96), interpolation=cv2.INTER_AREA)
    small = blur(small, 1.0)
    rows, columns = small.shape
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    part = _foreground(small)
    weight = part.astype(np.float32)
    total = float(weight.sum())
    centre_x, centre_y = float((x * weight).sum()) / total, float((y * weight).sum()) / total
    u, v = (x - centre_x) / max(rows, columns), (y - centre_y) / max(rows, columns)
    level = np.log(small + 0.05)
    design = np.stack([np.ones(int(total)), u[part], v[part]], 1)
    fitted, *_ = np.linalg.lstsq(design, level[part], rcond=None)
    spread = np.hypot(np.std(u[part]), np.std(v[part]))
    residual = float(np.std(level[part] - design @ fitted)) + 0.02
    slope = np.array([fitted[1], fitted[2]]) * spread
    votes = slope / (residual + float(np.hypot(*slope))) * (1.5 if not part.all() else 1.0)
    votes = votes + 0.25 * Light(ABOVE_LEFT, 0).vector()[:2]
    azimuth = math.degrees(math.atan2(-float(votes[1]), float(votes[0]))) % 360
    return Light(azimuth)


def sharpness(grey: np.ndarray) -> float:
    """Sigma in pixels of the lens and sensor blur, from the sharpest edges re-blurred (Zhuo and Sim 2011)."""
    known = 1.0
    first = _magnitude(grey)
    second = _magnitude(blur(grey, known))
    floor = float(np.quantile(first[::3, ::3], 0.97))
    if floor <= 1e-6:  # a flat picture has no edge; the common camera's blur stands in
        return 0.7
    edges = first >= floor
    ratio = np.maximum(first[edges] / np.maximum(second[edges], 1e-9), 1.001)
    sigma = float(np.quantile(known / np.sqrt(ratio * ratio - 1), 0.4))
    own = 0.55  # variance in px^2 that the slopes' own 3 x 3 kernel adds
    return float(np.clip(math.sqrt(max(sigma * sigma - own, 0)), 0.35, 6.0))


def grain_level(grey: np.ndarray) -> float:
    """Standard deviation of the finest detail: what a blur of one pixel removes, robust against edges."""
    fine = np.abs(grey - blur(grey, 1.0))
    return float(np.median(fine) / 0.6745 * 1.15)  # MAD; a blur of 1 px takes away 1 / 1.15 of white noise


def direction(grey: np.ndarray, scale_px: float = 1.5) -> tuple[float, float]:
    """(angle the lines run along, coherence 0..1) from the mean structure tensor."""
    across, down = slopes(blur(grey, scale_px * 0.6))
    bound = 3 * float(np.sqrt(np.mean(across * across + down * down))) + 1e-9
    across, down = np.clip(across, -bound, bound), np.clip(down, -bound, bound)  # one hard edge is not the texture
    xx, yy, xy = float(np.mean(across**2)), float(np.mean(down**2)), float(np.mean(across * down))
    difference = math.hypot(xx - yy, 2 * xy)
    angle = 0.5 * math.atan2(2 * xy, xx - yy) + math.pi / 2
    return angle % math.pi, difference / (xx + yy + 1e-12)


def middle(grey: np.ndarray, side: int = 640) -> np.ndarray:
    """The middle of a picture, HxW or HxWx3, at most `side` pixels wide and tall: enough to know its grain by."""
    top, left = max(0, (grey.shape[0] - side) // 2), max(0, (grey.shape[1] - side) // 2)
    return np.ascontiguousarray(grey[top : top + side, left : left + side])


def _foreground(small: np.ndarray) -> np.ndarray:
    """The part before its background where the picture's frame is even and clearly apart; else everything."""
    frame = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    ground = float(np.median(frame))
    apart = np.abs(small - ground) > max(0.08, 4 * float(np.median(np.abs(frame - ground))))
    share = float(apart.mean())
    even = float(np.mean(np.abs(frame - ground) < 0.06)) > 0.85
    return apart if even and 0.08 < share < 0.85 else np.ones(small.shape, bool)


def _magnitude(grey: np.ndarray) -> np.ndarray:
    across, down = slopes(grey)
    return cv2.magnitude(across, down)


def _fit(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    scale = min(1.0, side / max(shape[:2]))
    return max(2, round(shape[1] * scale)), max(2, round(shape[0] * scale))
