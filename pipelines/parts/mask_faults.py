"""What can be wrong with one mask, told from its pixels and its picture's. Knows no folders but for sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from pipelines.core.headers import Header
from pipelines.parts.loaders.example import Choice, Example, Fault, Reading
from pipelines.parts.loaders.reading import marked, placed
from pipelines.parts.loaders.tree import named
from pipelines.parts.twins import SIDE, Print

SOFT_PX, SOFT_MIDDLE_PX = 2.5, 1.3
"""How many pixels of an edge may lie between 16 and 240, and between 64 and 192, for each pixel of its length.

Resampled masks of the magnetic tiles come to 1.8 and 1.0, a mask blurred by 1.5 px to 3.6 and 1.6.
"""
LEAST_SOFT = 12
RIM = 0.7
"""Share of the picture's rim that an inverted mask marks at least."""


@dataclass(frozen=True)
class Seen:
    """What one mask shows, for the judgement that takes the others into account."""

    example: Example
    share: float
    """Of the picture that is marked."""
    rim: float
    """Of its rim."""
    odd: float
    """How much stranger the unmarked area looks than the marked one; above 0: the unmarked is the defect."""


def look(
    example: Example, root: Path, pixels: np.ndarray, mask_header: Header, image: Header, known: Print
) -> tuple[list[Fault], Seen | None]:
    """The faults of a mask that is read, and what `inverted` needs. `known` is the picture's own print."""
    assert example.mask is not None
    faults: list[Fault] = []
    name, reading, index = named(example.mask, root), example.reading, example.reading.marks in ("index", "colour")
    shape = image.height, image.width

    def add(kind: str, sentence: str, *choices: Choice, instead: str = "") -> None:
        assert example.mask is not None
        faults.append(Fault(kind, (example.mask,), f"{name} {sentence}", choices, instead=instead))

    if mask_header.colour in ("palette", "rgb", "cmyk") and not index:
        what = "has a palette" if mask_header.colour == "palette" else "is an RGB picture"
        add(
            f"{'palette' if mask_header.colour == 'palette' else 'rgb'}_mask",
            f"{what}, and a mask is grey: save it so, or take every colour but the background's for the defect (mend)",
            "mend",
            "leave_out",
        )
        reading = Reading("other")
    _size(example, name, shape, pixels.shape[:2], image, mask_header, faults)
    found = marked(pixels, reading)
    share = float(found.mean())
    if not example.defect:
        if share > 0:
            part = f"{share:.2%} of the picture"
            text = (
                f"marks {part}, which is filed as good: move the picture to its defect, or use it as good all the same"
            )
            files = (example.image, example.mask)
            faults.append(Fault("defect_in_good", files, f"{name} {text}", ("leave_out", "use")))
        return faults, None
    if share == 0:
        top = int(pixels.max())
        if top:
            sentence = (
                f"marks nothing: its brightest value is {top} of {np.iinfo(pixels.dtype).max}; take all but 0 (mend)"
            )
            add("empty_mask", sentence, "mend", "leave_out", instead="other")
        else:
            add(
                "empty_mask",
                "marks nothing: paint the defect, or take the picture for a good one (mend)",
                "leave_out",
                "mend",
            )
    elif share == 1:
        add("full_mask", "marks the whole picture: paint the defect alone, or use it as it is", "leave_out", "use")
    else:
        if not index and pixels.ndim == 2 and reading.marks == "bright" and (edge := _soft(pixels, found)):
            sentence = f"has soft edges, {edge:.1f} px wide: what is above the middle is the defect (mend)"
            add("soft_edged_mask", sentence, "mend", "leave_out")
        fits = placed(found, Reading(scaled=True), shape)
        if not index:
            rim = np.concatenate([found[0], found[-1], found[:, 0], found[:, -1]])
            return faults, Seen(example, share, float(rim.mean()), _odd(known, fits))
    return faults, None


def inverted(seen: Sequence[Seen], root: Path) -> list[Fault]:
    """Masks that mark most of the picture and its rim, unlike the others, where the rest is what looks strange."""
    shares = [one.share for one in seen if one.share < 0.5]
    found = []
    for one in seen:
        if one.share <= 0.5 or one.rim < RIM:
            continue
        usual = median(shares) if len(shares) >= 2 else None
        if usual is None:
            turned = one.odd > 0
        else:
            unlike = abs(np.log((1 - one.share) / usual)) < abs(np.log(one.share / usual))
            turned = bool(unlike and (one.odd > 0 or one.share > 0.85)) or (one.share > 0.9 and one.odd > 0)
        if turned and one.example.mask is not None:
            others = f", and the others {usual:.1%}" if usual is not None else ""
            found.append(
                Fault(
                    "inverted_mask",
                    (one.example.mask,),
                    f"{named(one.example.mask, root)} marks {one.share:.1%} of the picture and its rim{others}: turn it"
                    " over (mend), or leave the picture out",
                    ("mend", "leave_out", "use"),
                )
            )
    return found


def _size(
    example: Example,
    name: str,
    shape: tuple[int, int],
    mask: tuple[int, ...],
    image: Header,
    mask_header: Header,
    faults: list[Fault],
) -> None:
    assert example.mask is not None
    stored = shape[::-1] if image.orientation >= 5 else shape
    turned = image.orientation != 1 and mask_header.orientation == 1
    if turned and mask == stored:
        either = mask == shape
        meant = "may be drawn on the picture as it was before" if either else "is drawn on the picture as it was before"
        choices: tuple[Choice, ...] = ("leave_out", "mend", "use") if either else ("mend", "leave_out")
        faults.append(
            Fault(
                "exif_rotated",
                (example.image, example.mask),
                f"{example.image.name} is turned by its EXIF orientation {image.orientation}, and {name} {meant}:"
                " turn the mask too (mend), or leave the picture out",
                choices,
                instead=str(image.orientation),
            )
        )
    elif mask != shape:
        alike = abs(mask[1] / mask[0] / (shape[1] / shape[0]) - 1) < 0.01
        mend = "make it as large (mend), or leave" if alike else "draw it on that very picture, or leave"
        faults.append(
            Fault(
                "size_mismatch",
                (example.mask,),
                f"{name} is {mask[1]} x {mask[0]} px and its picture {shape[1]} x {shape[0]}: {mend} the picture out",
                ("mend", "leave_out") if alike else ("leave_out",),
            )
        )


def _soft(pixels: np.ndarray, found: np.ndarray) -> float:
    """How many pixels wide the edges are, 0 for sharp ones."""
    values = pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
    between = int(np.count_nonzero((values >= 16) & (values < 240)))
    if between < LEAST_SOFT:
        return 0.0
    inner = cv2.erode(found.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) > 0
    length = max(int(np.count_nonzero(found & ~inner)), 1)
    middle = int(np.count_nonzero((values >= 64) & (values < 192)))
    return between / length if between > SOFT_PX * length or middle > SOFT_MIDDLE_PX * length else 0.0


def _odd(known: Print, mask: np.ndarray) -> float:
    """Distance from the picture's usual brightness and grain, in its own spreads: mean unmarked less mean marked."""
    small = cv2.resize(mask.astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_AREA) > 0
    if small.all() or not small.any():
        return 0.0
    grey = known.small.astype(np.float32)
    level = cv2.GaussianBlur(grey, (0, 0), 1.5)
    grain = np.sqrt(cv2.GaussianBlur((grey - level) ** 2, (0, 0), 2.0))
    far = np.zeros_like(grey)
    for feature in (level, grain):
        off = np.abs(feature - np.median(feature))
        far += off / (float(np.median(off)) + 1.0)
    return float(far[~small].mean() - far[small].mean())
