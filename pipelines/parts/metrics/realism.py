"""How far synthetic defects are from real ones: the one measure behind every comparison of ours.

Square crops around each defect, the built-in texture features, and on them (i) the KID of synthetic against real beside
that of real against real, (ii) how well a classifier tells the two apart. It looks at texture, contrast and edges; it
cannot tell whether a defect of this kind would ever lie there.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipelines.core import images
from pipelines.core.errors import BadInput
from pipelines.parts import crop
from pipelines.parts.metrics import kid, separable, texture
from pipelines.parts.metrics.kid import Kid

PADDING = 0.5
"""Of the defect's longer side, added on every side of it."""
LEAST_PX = 32
"""Side of a crop at least: enlarged specks would show nothing but the enlarging."""
LEAST_CROPS, LEAST_SOURCES = 10, separable.FOLDS


@dataclass(frozen=True)
class Marked:
    """A picture, where its defects are, and what it comes from."""

    picture: np.ndarray
    """HxW or HxWx3, uint8 or uint16."""
    mask: np.ndarray
    """bool HxW."""
    source: str
    """The picture that it is, or that it was painted on; all that share it are judged by who saw none of them."""


@dataclass(frozen=True)
class Realism:
    """Every figure, and of how many crops."""

    kid: Kid
    """Synthetic against real."""
    kid_real: Kid
    """Real against real, halves that share no source: what the first would be at best."""
    auroc: float
    """Lower is better; 0.5 = cannot be told apart."""
    auroc_deviation: float
    synthetic: int
    """Crops."""
    real: int
    synthetic_sources: int
    real_sources: int
    features: str = "texture"

    def row(self) -> dict[str, Any]:
        """As plain data, for a result or a table."""
        return asdict(self)


def measure(synthetic: Sequence[Marked], real: Sequence[Marked]) -> Realism:
    """Raises BadInput where there are fewer than 10 defects, or 5 sources, of either.

    Features count in deviations of the real ones, so that engines are compared by one yardstick; with fewer than about
    30 real defects that alone moves the KID by 0.1 or 0.2.
    """
    made, made_of = _seen(synthetic, "synthetic")
    true, true_of = _seen(real, "real")
    size = min(len(made), len(set(true_of)) // 2)
    own, other = texture.standardised(made, true), texture.standardised(true, true)
    told = separable.auroc(made, true, [*made_of, *true_of])
    return Realism(
        kid=kid.between(own, other, true_of, size),
        kid_real=kid.halves(other, true_of, size),
        auroc=told.auroc,
        auroc_deviation=told.deviation,
        synthetic=len(made),
        real=len(true),
        synthetic_sources=len(set(made_of)),
        real_sources=len(set(true_of)),
    )


def crops(marked: Marked) -> list[np.ndarray]:
    """A float32 square in [0, 1] around each of its defects; areas whose boxes touch are one defect."""
    if not marked.mask.any():
        return []
    white = images.white(marked.picture)
    boxes = [_square(piece) for piece in crop.groups(marked.mask, 0)]
    return [images.to_float(marked.picture[box.window], white) for box in boxes]


def _square(mask: np.ndarray) -> crop.Box:
    """Moved rather than cut where it would leave the picture."""
    tight = crop.around(mask, 0)
    longer = max(tight.bottom - tight.top, tight.right - tight.left)
    padding = max(round(PADDING * longer), (LEAST_PX - longer + 1) // 2)
    return crop.squarer(crop.around(mask, padding), (mask.shape[0], mask.shape[1]))


def _seen(marked: Sequence[Marked], what: str) -> tuple[np.ndarray, list[str]]:
    """Features of every crop, NxD, and the source of each."""
    found = [(texture.features(one), each.source) for each in marked for one in crops(each)]
    sources = [source for _, source in found]
    if len(found) < LEAST_CROPS or len(set(sources)) < LEAST_SOURCES:
        raise BadInput(
            f"{what}: {len(found)} defects of {len(set(sources))} pictures are too few to measure realism;"
            f" it takes {LEAST_CROPS} of {LEAST_SOURCES} pictures at least",
            what,
        )
    return np.stack([values for values, _ in found]), sources
