"""Where on a picture a defect may lie: on all of it, on the part that it shows, and as masks say. Knows no shapes."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipelines.core import images
from pipelines.core.errors import BadInput
from pipelines.parts.conditions.outline import outline


@dataclass(frozen=True)
class Area:
    """The legal part of a picture."""

    mask: np.ndarray
    """bool HxW."""
    note: str = ""
    """What a person should know of how it came about."""


def area(
    pixels: np.ndarray,
    where: Literal["anywhere", "foreground", "as real"] = "anywhere",
    legal: np.ndarray | None = None,
    illegal: np.ndarray | None = None,
    *,
    name: str = "the picture",
) -> Area:
    """The legal part of a picture, HxW or HxWx3, uint8 or uint16; the masks are bool HxW of it.

    Raises BadInput where nothing is left of it.
    """
    found, note = np.ones(pixels.shape[:2], bool), ""
    if where == "foreground":
        part = outline(images.to_float(pixels, images.white(pixels)))
        if part is None:
            note = f"{name}: no part stands before an even background, so all of the picture counts as the part"
        else:
            found = part
    if legal is not None:
        found = found & legal
    if illegal is not None:
        found = found & ~illegal
    if not found.any():
        raise BadInput(f"nothing of {name} is legal: make legal larger, or illegal smaller", "legal")
    return Area(found, note)
