"""What the exemplar bench measures by itself."""

import numpy as np

from bench import exemplar
from pipelines.core.noise import rng
from pipelines.parts.metrics.realism import Marked
from tests import pictures


def marked(seed: int, dark: int) -> Marked:
    picture, mask = pictures.good(seed=seed), pictures.disc(radius=8)
    picture[mask] = picture[mask] // dark
    return Marked(picture, mask, f"{seed}.png")


def test_a_set_covers_itself_and_one_far_away_covers_nothing() -> None:
    real = [marked(seed, 2) for seed in range(8)]
    assert exemplar.coverage(real, real) == 1
    plain = [Marked(pictures.good(seed=seed) // 9, one.mask, one.source) for seed, one in enumerate(real)]
    assert exemplar.coverage(plain, real) == 0


def test_a_painted_shape_is_like_a_mask_and_lies_where_it_may() -> None:
    mask = pictures.disc(radius=8)
    shape = exemplar.outline([mask], rng(0, "test"))
    assert 0.5 < np.count_nonzero(shape) / np.count_nonzero(mask) < 1.6
    room = np.zeros((72, 96), bool)
    room[:, 48:] = True
    found = exemplar.placed(shape, Marked(pictures.good(), room, "a"), rng(1, "test"))
    assert found is not None
    assert not (found & ~room).any()
