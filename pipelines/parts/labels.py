"""What changed, and nothing else: limits a drawn defect to its mask and makes the label equal the changed pixels.

Knows of pictures and masks only.
"""

import cv2
import numpy as np

from pipelines.core.noise import blur, smoothstep
from pipelines.parts.place import Place


def settle(
    place: Place,
    drawn: np.ndarray,
    bits: int,
    *,
    fade: bool = True,
    whole: bool = False,
    weight: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(image float32 HxWx3 on the grid of `bits`, label bool HxW): the label is exactly where the two pictures differ.

    `fade` lets the defect end softly before the mask's edge, which is a safety net: its own outline lies further in.
    Changes too small to be seen are taken back, so that the label is as tight as a person would draw it; `whole` keeps
    the faint shoulders of soft forms, and closes the label over the line on which a lit form does not change.

    `weight` (HxW, 0..1) is how much of the change is applied. What is seen is judged against its highest value, so that
    the same defect at half the strength has the same label; where no pixel would change by a step, there is none.
    """
    picture, mask = place.picture, place.mask
    change = drawn - picture
    gate = mask.astype(np.float32)
    if fade and place.reach > 2:
        gate *= smoothstep(0, min(0.12 * place.reach + 0.5, 0.05 * place.size + 1), place.depth)
    strength = 1.0
    if weight is not None:
        strength = float(weight[mask].max())
        gate *= weight / max(strength, 1e-6)
    seen = blur(gate * largest(change), 0.6 if place.reach > 1.5 else 0.0)
    peak = float(np.quantile(seen[mask], 0.98))
    least = max(1.6 / 255, 0.3 * place.optics.grain, (0.08 if whole else 0.17) * peak)
    gate *= smoothstep(0.8 * least, 1.25 * least, seen)  # nothing at the label's border: it must not end in a step
    label = _tidy((seen > 0.8 * least) & mask, place, whole)
    if weight is not None:
        label &= weight > 0
    top = 2**bits - 1
    applied = change[label] * (strength * gate[label])[:, None]
    before = np.rint(picture[label] * top)
    after = np.clip(np.rint(before + applied * top), 0, top)
    if place.grey:
        after = np.repeat(after[:, :1], 3, -1)
    # Where the rounded change happens to be nothing, one step of the grid makes the label exact without being visible.
    same = (after == before).all(-1)
    if same.all():
        return picture, np.zeros_like(label)
    lift = np.where(applied[same].sum(-1) >= 0, 1, -1)
    lift = np.where(before[same].max(-1) >= top, -1, np.where(before[same].min(-1) <= 0, 1, lift))
    after[same] = before[same] + lift[:, None]
    image = picture.copy()
    image[label] = (after / top).astype(np.float32)
    return image, label


def largest(change: np.ndarray) -> np.ndarray:
    """The largest change of the three channels, float32 HxW."""
    red, green, blue = cv2.split(cv2.absdiff(change, np.zeros(4)))
    return cv2.max(cv2.max(red, green), blue)


def contrast(place: Place, drawn: np.ndarray) -> float:
    """How much a defect stands out: the mean change of its plainest quarter, after an eye's blur."""
    change = largest(drawn - place.picture)
    eye = blur(change, 0.8) if place.reach > 1.5 else change
    inside = eye[place.mask]
    strong = inside[inside > max(float(inside.max()) * 0.15, 1e-4)]
    if len(strong) == 0:
        return 0.0
    quarter = max(1, len(strong) // 4)
    return float(np.partition(strong, -quarter)[-quarter:].mean())


def _tidy(label: np.ndarray, place: Place, whole: bool) -> np.ndarray:
    """Close pinholes and drop specks too small for anyone to call part of the defect.

    A dent that is lit has a line along which nothing changes: a `whole` defect is closed over it.
    """
    reach = 1 + round(0.04 * place.size) if whole else 1
    margin = np.pad((~label).astype(np.uint8), reach + 1, constant_values=1)  # the crop's border holds nothing open
    grown = cv2.distanceTransform(margin, cv2.DIST_L2, 5) <= reach  # closing by distances costs the same at any reach
    kept = cv2.distanceTransform(grown.astype(np.uint8), cv2.DIST_L2, 5) > reach
    closed = kept[reach + 1 : -reach - 1, reach + 1 : -reach - 1].astype(np.uint8)
    if whole:
        rims, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        sheet = np.zeros(closed.shape, np.uint8)
        cv2.drawContours(sheet, rims, -1, 1, -1)
        closed = sheet
    closed *= place.mask
    least = max(2, int(0.00012 * place.size**2))
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= least
    large[0] = False
    if not large.any():
        return closed > 0
    return large[pieces]
