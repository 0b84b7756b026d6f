"""The scores every picture carries, each against a case whose answer is known."""

import numpy as np
import pytest

from pipelines.parts import quality
from pipelines.parts.quality import Quality
from tests import pictures


def scores(after: np.ndarray, before: np.ndarray, asked: np.ndarray) -> Quality:
    difference = before != after
    changed = difference if difference.ndim == 2 else difference.any(axis=2)
    return quality.measure(before, after, asked=asked, feathered=asked, changed=changed)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("grey", [True, False])
def test_what_was_asked_and_done_is_perfect(bits: int, grey: bool) -> None:
    before, asked = pictures.good(bits=bits, grey=grey), pictures.disc()
    after = before.copy()
    after[asked] = after[asked] // 2
    found = scores(after, before, asked)
    assert (found.outside_max, found.outside_mean, found.fidelity, found.coverage) == (0, 0.0, 1.0, 1.0)
    assert found.visibility > 3


def test_a_leak_of_one_level_in_one_pixel_is_seen() -> None:
    before, asked = pictures.good(), pictures.disc()
    after = before.copy()
    after[asked] = 0
    after[0, 0, 1] += 1
    found = scores(after, before, asked)
    assert found.outside_max == 1
    assert found.outside_mean == pytest.approx(1 / (3 * np.count_nonzero(~asked)))


def test_half_of_what_was_asked_is_half_the_fidelity() -> None:
    before, asked = pictures.good(), np.zeros((72, 96), bool)
    asked[20:40, 20:60] = True
    after = before.copy()
    after[20:40, 20:40] = 0
    found = scores(after, before, asked)
    assert (found.fidelity, found.coverage) == (0.5, 0.5)


def test_a_patch_of_the_same_surface_cannot_be_told_apart() -> None:
    before, asked = np.full((96, 96), 128, np.uint8), pictures.disc(96, 96, radius=20)
    before = before + np.random.default_rng(0).integers(-20, 20, before.shape).astype(np.uint8)
    after = before.copy()
    after[asked] = np.roll(before, (7, 11), (0, 1))[asked]
    assert scores(after, before, asked).visibility == pytest.approx(1, abs=0.1)


def test_nothing_changed_cannot_be_seen() -> None:
    before = pictures.good()
    assert scores(before, before, pictures.disc()).visibility == 0
