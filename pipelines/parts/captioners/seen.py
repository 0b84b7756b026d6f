"""What a captioner may look at, and how it is asked. Knows no captioner."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Seen:
    """One picture, and what is known of it."""

    picture: np.ndarray
    """uint8 HxWx3 RGB."""
    mask: np.ndarray | None = None
    """bool HxW, True where the defect is."""
    defect: str = ""
    """Its kind, as the data set calls it."""
    product: str = ""
    """What the part is called, e.g. "wood"."""
    folder: str = ""
    """The name of the folder it lies in."""
    said: str = ""
    """What a .cap or .txt file beside it says already."""


@dataclass(frozen=True)
class How:
    """How captioners are asked; each reads what it understands."""

    prompt: str = ""
    """BLIP-2's question or beginning, BLIP's beginning, the instruction of LLaVA and of the endpoint. It may hold
    {defect} and {product}; empty: BLIP and BLIP-2 are asked nothing, the others mixing.INSTRUCTION."""
    keywords: tuple[str, ...] = ()
    """Those of the preset and of the defect, for the captioner `keywords`."""
    max_new_tokens: int = 40
    batch_size: int = 4
