"""The crop-paste reference: what it changes, where, and the same for the same seed."""

import numpy as np
import pytest

from pipelines.core.errors import BadInput
from pipelines.parts import crop
from pipelines.parts.metrics import cropped
from tests import pictures

MASK = pictures.disc(radius=9, at=(40, 30))


def donor(bits: int = 8, grey: bool = False) -> np.ndarray:
    picture = pictures.good(seed=2, bits=bits, grey=grey)
    picture[MASK] = 0
    return picture


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("grey", [True, False])
def test_beyond_mask_and_feather_not_one_pixel_changes(bits: int, grey: bool) -> None:
    good = pictures.good(bits=bits, grey=grey)
    pasted, mask = cropped.paste(good, donor(bits, grey), MASK, 3)
    changed = (pasted != good).reshape(*mask.shape, -1).any(-1)
    assert pasted.dtype == good.dtype
    assert not (changed & ~crop.feathered(mask, cropped.FEATHER_PX)).any()
    assert changed[mask].mean() > 0.95


def test_the_defect_arrives_whole_and_as_large_as_it_was() -> None:
    pasted, mask = cropped.paste(pictures.good(), donor(), MASK, 4)
    inner = pictures.disc(radius=6, at=(40, 30)).sum()
    assert (pasted[mask].max(-1) == 0).sum() > inner
    assert mask.sum() == pytest.approx(MASK.sum(), rel=0.05)


def test_another_seed_is_another_place_and_the_same_seed_the_same_bytes() -> None:
    one, again, other = (cropped.paste(pictures.good(), donor(), MASK, seed) for seed in (1, 1, 2))
    assert np.array_equal(one[0], again[0])
    assert not np.array_equal(one[1], other[1])


def test_it_stays_where_it_may_lie() -> None:
    legal = np.zeros((72, 96), bool)
    legal[10:60, 50:90] = True
    for seed in range(10):
        _, mask = cropped.paste(pictures.good(), donor(), MASK, seed, legal)
        assert not (mask & ~legal).any()


def test_a_line_of_one_pixel_is_still_there_at_any_angle() -> None:
    line = np.zeros((72, 96), bool)
    line[36, 40:60] = True
    for seed in range(10):
        assert cropped.paste(pictures.good(), donor(), line, seed)[1].sum() >= 15


def test_a_defect_without_room_is_refused_with_both_sizes() -> None:
    with pytest.raises(BadInput, match="of 27 x 27 px finds no room on a picture of 20 x 16 px"):
        cropped.paste(pictures.good(16, 20), donor(), MASK, 0)
