"""A defect as layers over a picture - relief, paint, tint, worn texture - and how they become light again.

The picture itself is taken as albedo on a flat surface under its own lamp: only what the layers change is added,
blurred as its lens blurs, with grain like its own where its own is covered, and within its own range of tones. Knows no
kinds.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipelines.core.noise import blur, smoothstep
from pipelines.parts import lighting
from pipelines.parts.lighting import Light
from pipelines.parts.place import Place

WHITE = 0.42  # what a lamp's mirror image reaches at least, however dark the part


@dataclass
class Layer:
    """What a painter hands over. Arrays are float32 HxW (colours HxWx3), large as the place; None = unchanged."""

    height: np.ndarray | None = None  # relief in pixels
    cover: np.ndarray | None = None  # 0..1, how far `paint` hides the surface
    paint: np.ndarray | None = None  # colour of what covers it
    through: float = 0.0  # share of the surface's texture that shows through the paint
    tint: np.ndarray | None = None  # factor on the surface's colour
    flat: np.ndarray | None = None  # 0..1, how far the surface's texture is worn off
    shift: tuple[np.ndarray, np.ndarray] | None = None  # pixels by which the surface is pushed aside, (x, y)
    gloss: np.ndarray | float = 0.0  # strength of the highlight that `height` gives
    shininess: float = 20.0
    glow: np.ndarray | None = None  # light added as such, in parts of the picture's white
    gleam: float = 0.0  # how far above the picture's own lights it may go, 1 = to white
    recess: float = 1.0  # how far below the picture's own shadows it may go, 1 = not at all, 0 = to black
    reach_px: float = 4.0  # how far a recess shades itself
    softness_px: float = 0.0  # blur beyond the lens
    whole: bool = False  # one form with soft shoulders, labelled as a whole
    ends_at_mask: bool = False  # a piece that is gone is gone up to the mask's edge: no fading before it


def render(place: Place, layer: Layer, light: Light, amount: float) -> np.ndarray:
    """The place with the layer on it, `amount` times as strong, float32 HxWx3, not yet limited to the mask."""
    picture, lens = place.picture, lens_px(place, layer)
    surface = picture
    if layer.shift is not None:
        x, y = place.grid
        surface = cv2.remap(
            picture,
            x - 0.5 + layer.shift[0],
            y - 0.5 + layer.shift[1],
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT_101,
        )
    kept = np.ones(place.shape, np.float32)
    if layer.flat is not None:
        worn = np.clip(soften(layer.flat, lens), 0, 1)
        surface = surface + worn[..., None] * (place.base - surface)
        kept *= 1 - worn
    if layer.tint is not None:
        strength = soften(layer.tint, lens) - 1
        tint = np.maximum(1 + np.float32(amount) * strength, 0.02)
        surface = surface * (tint if tint.ndim == 3 else tint[..., None])
    if layer.height is not None:
        relief = soften(layer.height * deeper(layer, amount), lens)
        lamp, flash = lighting.factors(relief, light, layer.shininess, layer.reach_px)
    else:
        lamp, flash = np.ones(place.shape, np.float32), None
    if layer.cover is not None and layer.paint is not None:
        # More of it is both denser and stronger paint; denser alone would level out where the mark was faint.
        denser = np.float32(amount**0.5)
        cover = np.clip(soften(layer.cover, lens), 0, 1)
        cover = cover * denser / (1 + cover * (denser - 1)) if denser > 1 else cover
        paint = soften(np.broadcast_to(layer.paint, picture.shape), lens)
        paint = place.base + (paint - place.base) * min(denser, 2.0)
        if layer.through > 0:
            paint = paint + layer.through * (surface - place.base)
        surface = surface + cover[..., None] * (paint - surface)
        kept *= 1 - cover * (1 - layer.through)
    surface = surface * lamp[..., None]
    white = 0.5 * (max(place.optics.bright, WHITE) + place.base)
    if flash is not None and not (isinstance(layer.gloss, float) and layer.gloss == 0):
        surface = surface + (0.7 * layer.gloss * flash)[..., None] * white
    if layer.glow is not None:
        surface = surface + (soften(layer.glow, lens) * min(amount, 1.3))[..., None] * white
    if place.two_tones is not None:
        return _in_two_tones(place, surface, place.two_tones)
    surface = within_range(place, surface, kept, layer)
    return surface + missing_grain(place, surface, kept)


def _in_two_tones(place: Place, image: np.ndarray, tones: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The drawn image as a picture of two tones shows it: where it goes far enough towards the other tone, it is that.

    Far enough is half of what the defect's plainest parts do, so that a faint one keeps its form.
    """
    before = lighting.luminance(place.picture)
    bright = before > (float(tones[0].mean()) + float(tones[1].mean())) / 2
    change = lighting.luminance(image) - before
    # One defect is all of one tone: the one it goes towards on the whole.
    darker = float(change[place.mask].sum()) < 0
    towards = blur(np.where(bright, -change, 0) if darker else np.where(bright, 0, change), 0.5)
    inside = towards[place.mask & (towards > 0.02)]
    if len(inside) == 0:
        return place.picture
    plain = float(np.quantile(inside, 0.75))
    turned = smoothstep(0.28 * plain, 0.46 * plain, towards)[..., None]
    return place.picture + turned * ((tones[0] if darker else tones[1]) - place.picture)


def deeper(layer: Layer, amount: float) -> np.float32:
    """How many times as deep the relief gets when the layer is drawn `amount` times as strong.

    Where there is paint, paint carries the defect: more of it helps, a deeper groove would only turn it black.
    """
    return np.float32(amount if layer.cover is None and layer.tint is None else min(amount, 1.5))


def speck(place: Place) -> Layer:
    """What any defect is in a mask too small for its form: a soft spot, darker than the surface or on black paler."""
    dark = float(lighting.luminance(place.base)[place.mask].mean()) > 0.2
    spot = smoothstep(0.0, 0.7, place.inner) if place.reach > 1.5 else place.mask.astype(np.float32)
    return Layer(cover=0.8 * spot, paint=place.base * np.float32(0.5) if dark else place.base + np.float32(0.15))


def pale(place: Place, layer: Layer) -> Layer:
    """The same layer for a surface too dark for shadows: it shows as dust, salts or a fresh edge."""
    body = np.zeros(place.shape, np.float32)
    if layer.cover is not None:
        body = np.maximum(body, layer.cover)
    if layer.tint is not None:
        change = np.abs(layer.tint - 1)
        body = np.maximum(body, 1.4 * (change if change.ndim == 2 else change.max(-1)))
    spots = np.clip(body, 0, 1) * np.clip(0.8 + 0.2 * place.noise("pale", 2.5, octaves=4, gain=0.75), 0.2, 1.2)
    bare = layer.paint if layer.paint is not None else place.base
    paint = np.maximum(bare, place.base + np.float32(0.16))
    if float(body.max()) < 0.3:  # nothing but relief: it shows by what its flanks mirror
        return replace(layer, gloss=np.maximum(layer.gloss, 1.0), shininess=min(layer.shininess, 10.0))
    return replace(layer, height=None, cover=np.clip(0.8 * spots, 0, 1), paint=paint, tint=None, through=0.5)


def lens_px(place: Place, layer: Layer) -> float:
    """Blur for what is drawn: the picture's own, less what drawing with soft edges has brought already."""
    own = max(place.optics.sharpness_px**2 - 0.35**2, 0.0) ** 0.5
    return float(np.hypot(own, layer.softness_px))


def soften(a: np.ndarray, sigma: float) -> np.ndarray:
    return blur(np.ascontiguousarray(a, np.float32), sigma) if sigma >= 0.25 else a


def within_range(place: Place, image: np.ndarray, kept: np.ndarray, layer: Layer) -> np.ndarray:
    """Bend tones darker or brighter than any the picture has back towards its range; what was there already stays.

    Tones are judged without the surface's texture where it is `kept`, so that bending does not iron it flat.
    """
    plain = lighting.luminance(place.base)
    flattened = plain / np.maximum(lighting.luminance(place.picture), 0.02)
    flattened -= 1
    flattened *= kept
    flattened += 1
    tone = np.maximum(lighting.luminance(image) * flattened, 0.002)
    bright = max(place.optics.bright, WHITE)
    low = np.minimum(plain, place.optics.dark * layer.recess)
    high = np.maximum(plain, bright + layer.gleam * (1 - bright))
    bent = tone + 0.8 * np.maximum(low - tone, 0) - 0.75 * np.maximum(tone - high, 0)
    return image * (np.maximum(bent, 0.004) / tone)[..., None]


def missing_grain(place: Place, image: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Grain like the picture's, as much as is lacking where its own was covered or darkened, float32 HxWx3."""
    ratio = lighting.luminance(image) / np.maximum(lighting.luminance(place.picture), 0.02)
    retained = np.clip(kept * np.minimum(ratio, 1), 0, 1)
    wanted = np.clip(ratio, 0.02, 1.3) ** 0.6  # sensor noise falls more slowly than the light does
    lack = np.sqrt(np.maximum(np.minimum(wanted, 1) ** 2 - retained**2, 0))
    if float(lack.max()) < 0.05:
        return np.zeros((), np.float32)
    return soften(lack, 1.0)[..., None] * grain_like(place)


def grain_like(place: Place, tile: int = 96) -> np.ndarray:
    """Noise with the level, the spectrum and the colour of the picture's own finest detail, float32 HxWx3.

    Random phases over the amplitude spectrum of a piece of the surroundings (Galerne, Gousseau and Morel 2011); one set
    of phases for all channels keeps their correlation.
    """
    height, width = place.shape
    rows, columns = min(tile, height), min(tile, width)
    taken = cv2.boxFilter(
        place.mask.astype(np.float32), -1, (columns, rows), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT
    )[: height - rows + 1, : width - columns + 1]
    top, left = divmod(int(np.argmin(taken)), taken.shape[1])
    around = place.picture[max(0, top - 6) : top + rows + 6, max(0, left - 6) : left + columns + 6]
    fine = around - cv2.GaussianBlur(around, (0, 0), 1.6, borderType=cv2.BORDER_REFLECT_101)
    piece = fine[min(top, 6) : min(top, 6) + rows, min(left, 6) : min(left, 6) + columns]
    limit = 4 * np.median(np.abs(piece)) / 0.6745 + 1e-6  # an edge that runs through the piece is not grain
    piece = np.clip(piece, -limit, limit)
    random = place.random("grain")
    phase = np.exp(1j * np.angle(np.fft.rfft2(random.standard_normal((rows, columns)))))
    channels = [
        np.fft.irfft2(np.abs(np.fft.rfft2(piece[..., c])) * phase, s=(rows, columns)).astype(np.float32)
        for c in ((0,) if place.grey else (0, 1, 2))
    ]
    grain = np.stack(channels * (3 if place.grey else 1), -1)
    return np.tile(grain, (-(-height // rows), -(-width // columns), 1))[:height, :width]
