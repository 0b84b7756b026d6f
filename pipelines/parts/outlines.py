"""Outlines of their own for defects that spread: never the brush's edge, always inside it. Draws no colour."""

import numpy as np

from pipelines.core.noise import blur, smoothstep
from pipelines.parts.place import Place


def own_outline(
    place: Place,
    *,
    softness: float = 0.3,
    raggedness: float = 0.4,
    count: int = 1,
    fill: float = 0.75,
    aniso: float = 1.0,
    follow: float = 0.0,
    stream: str = "outline",
) -> tuple[np.ndarray, np.ndarray]:
    """(alpha 0..1, level): alpha falls from 1 to 0 over a shoulder at level 0, both float32 HxW.

    The level is a heap of a few hills that lie inside the mask, warped by noise; `fill` is how much of the mask they
    take, `aniso` stretches them along the surface's grain, and `follow` lets the shoulder break along the picture's own
    texture, as a deposit does that keeps to the valleys.
    """
    random = place.random(stream)
    angle = place.optics.angle
    x, y = place.grid
    hills = np.zeros(place.shape, np.float32)
    inner = place.inner
    if place.line:
        hills = inner.copy()
    else:
        pieces = max(count, 3)  # even one blotch is made of a few that ran together: none is round
        tops = place.scatter(random, pieces, (inner > (0.3 if count > 1 else 0.5)).astype(np.float32))
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        for top_x, top_y in tops.tolist():
            radius = place.size * random.uniform(0.14, 0.34) * (1.0 if count > 1 else 1.25)
            u = (x - top_x) * cos + (y - top_y) * sin
            v = (y - top_y) * cos - (x - top_x) * sin
            stretch = np.float32(max(aniso, 1.0) * random.uniform(0.75, 1.25))
            hills += np.exp(-1.3 * ((u / (radius * stretch)) ** 2 + (v / radius) ** 2))
        hills = np.minimum(hills, 1.0) if count > 1 else 0.75 * hills / hills.max() + 0.3 * inner
    warp = place.noise(stream + "-warp", 40, octaves=6, gain=0.58, aniso=aniso, angle=angle)
    level = hills + 0.42 * raggedness * warp
    if place.reach > 3 and not place.line:
        # Towards the brush's edge the heap sinks, gently, so that noise moves its outline far more than the edge does;
        # and by a blurred mask, which has neither the straight sides nor the corners of a painted rectangle.
        spread = blur(place.mask.astype(np.float32), 0.75 * place.reach)
        slope = np.clip(2 - 2 * spread / float(spread.max()), 0, 1.2)
        level -= 1.5 * slope + 0.35 * place.noise(stream + "-bays", 45, octaves=2) * smoothstep(0.0, 0.5, slope)
    if place.line:
        threshold = 0.35
    else:
        inside = level[place.mask & (inner > 0.12)] if bool((inner > 0.12).any()) else level[place.mask]
        threshold = float(np.quantile(inside, 1 - np.clip(fill, 0.05, 0.98)))
    if follow:
        level = level - 0.12 * follow * np.clip(
            blur(place.texture, 1.2 * place.optics.sharpness_px + 0.006 * place.size), -1.5, 1.5
        )
    level = level - threshold
    shoulder = 0.02 + 0.30 * softness
    alpha = smoothstep(-shoulder, shoulder, level)
    # The safety net: whatever noise does, it has faded before the brush's edge, over a stretch of uneven width.
    net = smoothstep(0.05, 0.26, inner + 0.10 * warp * np.minimum(inner * 6, 1)) if place.reach > 3 else 1.0
    return (alpha * net).astype(np.float32), level.astype(np.float32)
