"""The random fields: deterministic, the same at every resolution, of the size and direction asked for."""

import subprocess
import sys
import time
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.core import noise

RECIPES = [  # cell_px, octaves, gain, aniso, angle
    (64.0, 5, 0.5, 1.0, 0.0),
    (24.0, 4, 0.8, 1.0, 0.0),
    (32.0, 3, 0.5, 4.0, 0.9),
    (16.0, 3, 0.5, 20.0, np.pi / 2),
]


def test_a_stream_gives_the_same_numbers_in_another_process() -> None:
    here = noise.rng(7, "albedo", 3).random(4).tolist()
    program = "from pipelines.core import noise; print(noise.rng(7, 'albedo', 3).random(4).tolist())"
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == str(here)


def test_streams_of_one_seed_are_independent() -> None:
    names = [("a",), ("b",), ("a", 0), ("a", 1), ()]
    first = [noise.rng(7, *name).random(2000) for name in names]
    for i, one in enumerate(first):
        for other in first[i + 1 :]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.1


@pytest.mark.parametrize(("cell_px", "octaves", "gain", "aniso", "angle"), RECIPES)
def test_a_finer_picture_shows_the_same_field(
    cell_px: float, octaves: int, gain: float, aniso: float, angle: float
) -> None:
    coarse = noise.fractal(3, (256, 320), cell_px, octaves=octaves, gain=gain, aniso=aniso, angle=angle)
    fine = noise.fractal(3, (512, 640), 2 * cell_px, octaves=octaves, gain=gain, aniso=aniso, angle=angle)
    reduced = cv2.resize(fine, (320, 256), interpolation=cv2.INTER_AREA)
    assert coarse.dtype == np.float32
    assert np.corrcoef(coarse.ravel(), reduced.ravel())[0, 1] > 0.98


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_field() -> None:
    one = noise.fractal(1, (128, 128), 16)
    assert np.array_equal(one, noise.fractal(1, (128, 128), 16))
    assert abs(np.corrcoef(one.ravel(), noise.fractal(2, (128, 128), 16).ravel())[0, 1]) < 0.3
    assert abs(np.corrcoef(one.ravel(), noise.fractal(1, (128, 128), 16, stream="b").ravel())[0, 1]) < 0.3


@pytest.mark.parametrize("aniso", [1.0, 4.0])
def test_fractal_noise_has_zero_mean_and_unit_variance(aniso: float) -> None:
    field = noise.fractal(5, (768, 768), 6, octaves=2, aniso=aniso, angle=0.5)
    assert abs(float(field.mean())) < 0.05
    assert float(field.std()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("angle", [0.0, 0.6, np.pi / 2, 2.4])
def test_anisotropic_noise_runs_along_its_angle(angle: float) -> None:
    field = noise.fractal(2, (256, 256), 6, octaves=2, aniso=16, angle=angle)
    down, across = np.gradient(field)
    change_along = np.mean((across * np.cos(angle) + down * np.sin(angle)) ** 2)
    change_across = np.mean((down * np.cos(angle) - across * np.sin(angle)) ** 2)
    assert change_across > 20 * change_along


def test_an_octave_finer_than_a_pixel_adds_nothing() -> None:
    two = noise.fractal(4, (128, 128), 2, octaves=2)
    five = noise.fractal(4, (128, 128), 2, octaves=5)
    assert np.corrcoef(two.ravel(), five.ravel())[0, 1] > 0.9999


def test_large_features_are_smooth_without_steps() -> None:
    field = noise.fractal(9, (512, 512), 300, octaves=1)
    bend = np.diff(field, n=2, axis=1)
    assert float(np.abs(bend).max()) < 20 / 300**2


def test_cells_agree_with_a_search_through_all_points() -> None:
    near, border, ids = noise.cells(6, (64, 96), 16)
    x, y = (np.arange(96) + 0.5) / 16 + 2, (np.arange(64) + 0.5) / 16 + 2
    random = noise.rng(6, "cells", "")
    rows, columns = 8, 10
    points_x = np.arange(columns)[None, :] + 0.5 + (random.random((rows, columns)) - 0.5)
    points_y = np.arange(rows)[:, None] + 0.5 + (random.random((rows, columns)) - 0.5)
    distance = np.hypot(points_x.ravel() - x[None, :, None], points_y.ravel() - y[:, None, None])
    ordered = np.sort(distance, axis=2)
    assert np.allclose(near, ordered[..., 0], atol=1e-4)
    assert np.array_equal(ids, distance.argmin(axis=2))
    close = ordered[..., 1] < 1  # further away the second nearest may lie outside the cells that are searched
    assert np.allclose(border[close], (ordered[..., 1] - ordered[..., 0])[close], atol=1e-3)


def test_cells_are_the_same_at_twice_the_pixels() -> None:
    _, _, coarse = noise.cells(8, (128, 192), 12, warp=0.2)
    _, _, fine = noise.cells(8, (256, 384), 24, warp=0.2)
    assert np.mean(coarse == fine[::2, ::2]) > 0.93  # half a pixel apart, so borders differ
    assert coarse.min() >= 0
    assert coarse.max() < (128 / 12 + 5) * (192 / 12 + 5)


def test_smoothstep_rises_or_falls_between_its_ends() -> None:
    x = np.array([-1, 0, 0.5, 1, 2], np.float32)
    assert noise.smoothstep(0, 1, x).tolist() == [0, 0, 0.5, 1, 1]
    assert noise.smoothstep(1, 0, x).tolist() == [1, 1, 0.5, 0, 0]


@pytest.mark.parametrize("sigma", [1.0, 12.0, 40.0])
def test_blur_is_the_gaussian_it_says(sigma: float) -> None:
    spot = np.zeros((257, 257), np.float32)
    spot[128, 128] = 1
    spread = noise.blur(spot, sigma)
    distance = (np.arange(257) - 128.0) ** 2
    assert float(spread.sum()) == pytest.approx(1, abs=0.03)
    if sigma < 40:  # the widest one reaches the border and is reflected there
        assert np.sqrt(float((spread * distance).sum() / spread.sum())) == pytest.approx(sigma, rel=0.06)


def test_a_blur_too_small_to_see_changes_nothing() -> None:
    field = noise.fractal(1, (32, 32), 4)
    assert np.array_equal(noise.blur(field, 0.01), field)


@pytest.mark.parametrize(("cell_px", "octaves", "gain", "aniso", "angle"), [*RECIPES, (2.2, 3, 0.5, 2.5, 0.0)])
def test_a_part_has_the_values_of_the_whole(
    cell_px: float, octaves: int, gain: float, aniso: float, angle: float
) -> None:
    recipe: dict[str, Any] = {"octaves": octaves, "gain": gain, "aniso": aniso, "angle": angle}
    whole = noise.fractal(3, (300, 420), cell_px, **recipe)
    for rows, columns in (((0, 1), (0, 1)), ((70, 131), (199, 420)), ((290, 300), (5, 400)), ((0, 300), (0, 420))):
        part = (slice(*rows), slice(*columns))
        found = noise.fractal(3, (300, 420), cell_px, part=part, **recipe)
        assert found.shape == (rows[1] - rows[0], columns[1] - columns[0])
        # to the bit with the libraries of today; another's last digit would move no edge by a pixel
        assert np.allclose(found, whole[part], atol=1e-5)


def test_a_part_costs_less_than_the_whole() -> None:
    def spent(part: noise.Part | None) -> float:
        noise.fractal(1, (1024, 1024), 45, octaves=5, part=part)
        start = time.process_time()
        for _ in range(3):
            noise.fractal(1, (1024, 1024), 45, octaves=5, part=part)
        return time.process_time() - start

    assert spent((slice(300, 420), slice(400, 520))) < 0.5 * spent(None)
