"""What a picture must show to be kept: plain to see, where it was asked for, unlike the others, like the real ones.

Each gate says in a sentence why a picture was set aside. Knows pixels and scores, no run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from pipelines.core import images
from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.core.requests.batch import Gates
from pipelines.parts import crop, twins
from pipelines.parts.metrics import realism, texture
from pipelines.parts.metrics.realism import Marked

PADDING = 0.25
"""Of the defect's longer side, added around it before it is hashed."""
LEAST_REAL = 3
FLAWLESS = "a photo of a flawless surface"


@dataclass(frozen=True)
class Reason:
    """Why a picture is set aside."""

    gate: str
    sentence: str


def scores(gates: Gates, row: Mapping[str, Any]) -> Reason | None:
    """What the picture's own scores say; one without scores was made whole and has none."""
    found = row.get("scores")
    if not found:
        return None
    if gates.leakage and found["outside_max"]:
        return Reason("leakage", f"{found['outside_max']:g} levels changed outside the mask")
    for name, least in (("visibility", gates.visibility), ("fidelity", gates.fidelity)):
        if least is not None and found[name] < least:
            return Reason(name, f"{name} is {found[name]:.2f}, less than {least:.2f}")
    return None


def hashed(picture: np.ndarray, defect: np.ndarray | None) -> str:
    """The perceptual hash of the defect with what is right around it, or of the whole picture: 16 hex digits."""
    if defect is not None and defect.any():
        tight = crop.around(defect, 0)
        padding = round(PADDING * max(tight.bottom - tight.top, tight.right - tight.left))
        picture = picture[crop.around(defect, padding).window]
    return f"{int(twins.fingerprint(np.ascontiguousarray(picture)).hashes[0]):016x}"


class Seen:
    """The hashes of what was kept."""

    def __init__(self, bits: int | None) -> None:
        self.bits = bits
        self._hashes = np.zeros(1024, np.uint64)
        self._names: list[str] = []

    def add(self, print: str, name: str) -> None:
        if len(self._names) == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)])
        self._hashes[len(self._names)] = int(print, 16)
        self._names.append(name)

    def twin(self, print: str) -> Reason | None:
        """The reason to set a picture aside that shows what another shows."""
        count = len(self._names)
        if self.bits is None or not count:
            return None
        apart = np.bitwise_count(self._hashes[:count] ^ np.uint64(int(print, 16)))
        nearest = int(np.argmin(apart))
        if apart[nearest] > self.bits:
            return None
        return Reason("duplicate", f"it shows what {self._names[nearest]} shows: {apart[nearest]} of 63 bits differ")


class Likeness:
    """How far a defect's texture lies from real ones, in typical distances between those."""

    def __init__(self, real: Sequence[Marked], most: float) -> None:
        """Raises BadInput where there are too few."""
        self.most = most
        self._real = np.stack(
            [texture.features(one) for marked in real for one in realism.crops(marked)] or [np.zeros(0)]
        )
        if len(self._real) < LEAST_REAL:
            raise BadInput(
                f"real: it holds {len(self._real)} defects with masks; to judge others it takes {LEAST_REAL} at least",
                "real",
            )
        own = texture.standardised(self._real, self._real)
        apart = np.linalg.norm(own[:, None] - own[None], axis=2)
        np.fill_diagonal(apart, np.inf)
        self._own, self._typical = own, float(np.median(apart.min(axis=1)))

    def of(self, picture: np.ndarray, defect: np.ndarray) -> float:
        """Of the farthest of its defects; 1 = as far as one real one is from the next."""
        found = [texture.features(one) for one in realism.crops(Marked(picture, defect, ""))]
        values = texture.standardised(np.stack(found), self._real)
        apart = np.linalg.norm(values[:, None] - self._own[None], axis=2).min(axis=1)
        return float(apart.max() / max(self._typical, 1e-6))

    def judged(self, far: float) -> Reason | None:
        if far <= self.most:
            return None
        return Reason(
            "texture", f"its texture is {far:.1f} times as far from a real one as real ones are, over {self.most:g}"
        )


def worded(picture: np.ndarray, defect: np.ndarray, words: str, clips: Sequence[str], models: Models) -> float:
    """How much liker to its words than to a flawless part CLIP finds a defect: a difference of cosines.

    Raises Missing without a CLIP's weights.
    """
    from pipelines.parts.captioners import ranking  # brings torch

    window = crop.around(defect, max(16, round(PADDING * max(defect.shape))))
    values = images.to_float(picture[window.window], images.white(picture))
    seen = np.rint(values * 255).astype(np.uint8)
    seen = cv2.cvtColor(seen, cv2.COLOR_GRAY2RGB) if seen.ndim == 2 else seen
    its, none = ranking.similarities([seen], [words, FLAWLESS], clips, models)[0].tolist()
    return float(its - none)


def liked(gates: Gates, margin: float) -> Reason | None:
    if gates.clip is None or margin >= gates.clip:
        return None
    return Reason("clip", f"CLIP likes its words {margin:.3f} more than a flawless part, less than {gates.clip:.3f}")
