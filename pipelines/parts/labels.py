"""What changed, and nothing else: limits a drawn defect to its mask and makes the label equal the changed pixels.

Knows of pictures and masks only.
"""

import cv2
import numpy as np

from pipelines.core.noise import blur, smoothstep
from pipelines.parts.place import Place


def settle(
    place: Place, drawn: np.ndarray, bits: int, *, fade: bool = True, whole: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(image float32 HxWx3 on the grid of `bits`, label bool HxW): the label is exactly where the two pictures differ.

    `fade` lets the defect end softly before the mask's edge, which is a safety net: its own outline lies further in.
    Changes too small to be seen are taken back, so that the label is as tight as a person would draw it; `whole` keeps
    the faint shoulders of soft forms, and closes the label over the line on which a lit form does not change.
    """
    picture, mask = place.picture, place.mask
    change = drawn - picture
    if fade and place.reach > 2:
        change = change * smoothstep(0, min(0.12 * place.reach + 0.5, 0.05 * place.size + 1), place.depth)[..., None]
    change[~mask] = 0
    seen = blur(np.abs(change).max(-1), 0.6 if place.reach > 1.5 else 0.0)
    inside = seen[mask]
    peak = float(np.quantile(inside, 0.98)) if len(inside) else 0.0
    least = max(1.6 / 255, 0.3 * place.optics.grain, (0.08 if whole else 0.17) * peak)
    change *= smoothstep(0.55 * least, 1.3 * least, seen)[..., None]
    label = _tidy((seen > 0.9 * least) & mask, place, whole)
    top = 2**bits - 1
    before = np.rint(picture * top)
    after = np.clip(np.rint((picture + change) * top), 0, top)
    if place.grey:
        after = np.repeat(after[..., :1], 3, -1)
    # Where the rounded change happens to be nothing, one step of the grid makes the label exact without being visible.
    same = label & (after == before).all(-1)
    lift = np.where(change.sum(-1) >= 0, 1, -1)[same]
    lift = np.where(before[same].max(-1) >= top, -1, np.where(before[same].min(-1) <= 0, 1, lift))
    after[same] = before[same] + lift[:, None]
    image = picture.copy()
    image[label] = (after[label] / top).astype(np.float32)
    return image, label


def contrast(place: Place, drawn: np.ndarray) -> float:
    """How much a defect stands out: the mean change of its plainest quarter, after an eye's blur."""
    change = np.abs(drawn - place.picture).max(-1)
    eye = blur(change, 0.8) if place.reach > 1.5 else change
    inside = eye[place.mask]
    strong = inside[inside > max(float(inside.max()) * 0.15, 1e-4)]
    if len(strong) == 0:
        return 0.0
    return float(np.sort(strong)[-max(1, len(strong) // 4) :].mean())


def _tidy(label: np.ndarray, place: Place, whole: bool) -> np.ndarray:
    """Close pinholes and drop specks too small for anyone to call part of the defect.

    A dent that is lit has a line along which nothing changes: a `whole` defect is closed over it.
    """
    reach = 1 + round(0.04 * place.size) if whole else 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    margin = np.pad(label.astype(np.uint8), reach)  # or the crop's border would hold the closing open
    closed = cv2.morphologyEx(margin, cv2.MORPH_CLOSE, kernel)[reach:-reach, reach:-reach]
    if whole:
        rims, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        closed = cv2.drawContours(np.zeros(closed.shape, np.uint8), rims, -1, 1, -1)
    closed = closed * place.mask
    least = max(2, int(0.00012 * place.size**2))
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= least
    large[0] = False
    if not large.any():
        return closed > 0
    return large[pieces]
