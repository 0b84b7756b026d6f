"""The crop around a mask and its feather."""

import numpy as np
import pytest

from pipelines.parts import crop
from tests import pictures


def test_the_box_holds_the_mask_and_its_padding_and_stays_in_the_picture() -> None:
    mask = np.zeros((100, 200), bool)
    mask[3:10, 150:160] = True
    assert crop.around(mask, 20) == crop.Box(0, 130, 30, 180)
    assert crop.around(mask, 0) == crop.Box(3, 150, 10, 160)


@pytest.mark.parametrize("feather_px", [0, 1, 2, 5, 16])
def test_the_feather_is_whole_in_the_mask_and_nothing_beyond_its_width(feather_px: int) -> None:
    mask = pictures.disc(100, 100, radius=20)
    weight = crop.feather(mask, feather_px)
    rows, columns = np.mgrid[0:100, 0:100]
    inside = np.stack([rows[mask], columns[mask]], 1)
    distance = np.sqrt(((np.stack([rows, columns], -1)[:, :, None] - inside[None, None]) ** 2).sum(-1)).min(-1)
    assert (weight[mask] == 1).all()
    assert (weight[distance > feather_px] == 0).all()
    assert ((weight > 0) == (distance <= feather_px)).all()


def test_a_mask_that_fills_the_picture_needs_no_feather() -> None:
    assert (crop.feather(np.ones((8, 8), bool), 4) == 1).all()


def test_strokes_far_apart_are_worked_on_apart_and_near_ones_together() -> None:
    near, far = pictures.disc(400, 600, at=(100, 100), radius=20), pictures.disc(400, 600, at=(500, 300), radius=20)
    beside = pictures.disc(400, 600, at=(170, 100), radius=20)
    apart = crop.groups(near | far | beside, 32)
    assert len(apart) == 2
    assert (apart[0] == (near | beside)).all()
    assert (apart[1] == far).all()
    assert len(crop.groups(near | far, 400)) == 1
    assert (crop.groups(near, 8)[0] == near).all()


@pytest.mark.parametrize("feather_px", [0, 3])
def test_all_that_may_change_is_where_the_feather_has_weight(feather_px: int) -> None:
    mask = pictures.disc(at=(5, 60), radius=12)
    assert (crop.feathered(mask, feather_px) == (crop.feather(mask, feather_px) > 0)).all()
