"""The built-in texture features: what they tell apart, and what they must not be moved by."""

import cv2
import numpy as np
import pytest

from pipelines.core import images
from pipelines.parts.metrics import texture
from tests import pictures


def surface(height: int = 90, width: int = 120, seed: int = 1) -> np.ndarray:
    return images.to_float(pictures.good(height, width, seed=seed))


@pytest.mark.parametrize("size", [(9, 7), (64, 64), (128, 128), (300, 200)])
def test_a_crop_of_any_size_gives_the_documented_length(size: tuple[int, int]) -> None:
    found = texture.features(surface(*size))
    assert found.shape == (texture.LENGTH,)
    assert found.dtype == np.float64
    assert np.isfinite(found).all()


def test_an_even_crop_is_no_division_by_zero() -> None:
    assert np.isfinite(texture.features(np.full((40, 40, 3), 0.5, np.float32))).all()


def test_stripes_and_the_same_stripes_turned_differ_in_the_filters_that_lie_along_them() -> None:
    stripes = np.sin(np.arange(128, dtype=np.float32) * 2 * np.pi / 4) * 0.3 + 0.5
    lying = np.repeat(np.repeat(stripes[:, None], 128, 1)[..., None], 3, -1)
    energy = slice(28, 28 + 2 * texture.ORIENTATIONS, 2)  # means at the finest scale
    across = texture.features(lying)[energy]
    along = texture.features(np.ascontiguousarray(lying.transpose(1, 0, 2)))[energy]
    assert abs(int(across.argmax()) - int(along.argmax())) == texture.ORIENTATIONS // 2
    assert across.max() > 3 * across.min()


def test_brightness_alone_moves_no_gabor_energy() -> None:
    even = [texture.features(np.full((64, 64, 3), level, np.float32)) for level in (0.2, 0.8)]
    energies = slice(28, 28 + 2 * texture.SCALES * texture.ORIENTATIONS)
    assert np.abs(even[1][energies] - even[0][energies]).max() < 1e-5


def test_a_blurred_surface_is_further_away_than_another_piece_of_it() -> None:
    made = np.stack([texture.features(surface(seed=seed)) for seed in range(8)])
    other = texture.features(surface(seed=20))
    blurred = texture.features(cv2.GaussianBlur(surface(seed=20), (0, 0), 2))
    near, far = texture.standardised(np.stack([other, blurred]), made)
    assert np.linalg.norm(far) > 2 * np.linalg.norm(near)


def test_standardised_references_have_mean_0_and_deviation_1() -> None:
    references = np.random.default_rng(0).normal(5, 3, (200, 4)).clip(0, 10)
    found = texture.standardised(references, references)
    assert np.allclose(found.mean(0), 0, atol=0.02)
    assert np.allclose(found.std(0), 1, atol=0.02)


def test_a_feature_that_all_references_share_does_not_blow_up() -> None:
    found = texture.standardised(np.array([[1.0, 900.0]]), np.array([[1.0, 0.0], [1.0, 2.0]]))
    assert found.tolist() == [[0.0, texture.FARTHEST]]
