"""The realism measure: its crops, its figures on sets whose answer is known, and what it refuses."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines.core import images
from pipelines.core.errors import BadInput
from pipelines.parts.metrics import METRICS, cropped, realism
from pipelines.parts.metrics.realism import Marked, Realism
from tests import pictures


def stained(seed: int, change: Callable[[np.ndarray], np.ndarray] = lambda pixels: pixels // 2) -> Marked:
    mask = pictures.disc(radius=8 + seed % 5, at=(30 + seed % 7 * 5, 36))
    picture = pictures.good(seed=seed)
    picture[mask] = change(picture)[mask]
    return Marked(picture, mask, f"part {seed}")


@pytest.fixture(scope="module")
def alike() -> Realism:
    """Two sets of one kind."""
    return METRICS["realism"]([stained(seed) for seed in range(50, 66)], [stained(seed) for seed in range(16)])


def test_defects_of_one_kind_are_as_near_as_the_real_ones_among_themselves(alike: Realism) -> None:
    assert alike.kid.value < alike.kid_real.value + 0.3
    assert 0.2 < alike.auroc < 0.8


def test_defects_of_another_kind_are_told_apart() -> None:
    def grained(pixels: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(0).integers(-40, 40, pixels.shape)
        return np.clip(pixels // 2 + noise, 0, 255).astype(np.uint8)

    made = [stained(seed, grained) for seed in range(50, 62)]
    found = realism.measure(made, [stained(seed) for seed in range(12)])
    assert found.kid.value > found.kid_real.value + 1
    assert found.auroc > 0.95


def test_a_crop_is_a_square_with_half_the_defects_length_on_every_side() -> None:
    mask = np.zeros((400, 400), bool)
    mask[100:140, 100:200] = True
    (crop,) = realism.crops(Marked(np.zeros((400, 400, 3), np.uint8), mask, "a"))
    assert crop.shape == (200, 200, 3)


def test_a_crop_at_the_picture_s_edge_is_moved_and_not_cut() -> None:
    mask = np.zeros((300, 300), bool)
    mask[0:60, 0:30] = True
    (crop,) = realism.crops(Marked(np.zeros((300, 300), np.uint8), mask, "a"))
    assert crop.shape[0] == crop.shape[1] >= 90


def test_a_speck_is_not_enlarged_beyond_recognition() -> None:
    mask = np.zeros((300, 300), bool)
    mask[100, 100] = True
    (crop,) = realism.crops(Marked(np.zeros((300, 300), np.uint8), mask, "a"))
    assert crop.shape[0] >= realism.LEAST_PX


def test_two_defects_of_a_picture_are_two_crops_and_none_is_none() -> None:
    mask = pictures.disc(radius=5, at=(15, 15)) | pictures.disc(radius=5, at=(80, 60))
    assert len(realism.crops(Marked(pictures.good(), mask, "a"))) == 2
    assert not realism.crops(Marked(pictures.good(), np.zeros_like(mask), "a"))


@pytest.mark.parametrize(
    ("synthetic", "real", "sentence"),
    [
        (4, 12, "synthetic: 4 defects of 4 pictures are too few to measure realism; it takes 10 of 5 pictures"),
        (12, 3, "real: 3 defects of 3 pictures are too few"),
    ],
)
def test_too_few_are_refused_with_how_many_it_takes(synthetic: int, real: int, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        realism.measure([stained(seed) for seed in range(synthetic)], [stained(seed) for seed in range(real)])


def test_a_row_holds_every_figure_and_of_how_many_as_plain_data(alike: Realism) -> None:
    row = alike.row()
    assert set(row["kid"]) == {"value", "deviation", "size"}
    assert (row["synthetic"], row["real"], row["synthetic_sources"], row["real_sources"]) == (16, 16, 16, 16)
    assert row["features"] == "texture"


def test_crop_paste_on_real_tiles_is_told_apart(test_data: Path) -> None:
    tiles = test_data / "magnetic_tile"
    good = [images.read(path).pixels for path in sorted((tiles / "MT_Free/Imgs").glob("*.jpg"))]
    real, pasted = [], []
    for place, path in enumerate(sorted((tiles / "MT_Crack/Imgs").glob("*.jpg"))):
        donor = Marked(images.read(path).pixels, images.read_mask(path.with_suffix(".png")), path.stem)
        real.append(donor)
        pasted.append(Marked(*cropped.paste(good[place], donor.picture, donor.mask, place), f"good {place}"))
    found = realism.measure(pasted, real)
    assert found.kid.value > found.kid_real.value + found.kid_real.deviation
    assert found.auroc > 0.75
