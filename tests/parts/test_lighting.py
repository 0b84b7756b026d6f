"""Light on a relief, and what a picture tells about its own light: checked against scenes whose answer is known."""

import math

import cv2
import numpy as np
import pytest

from pipelines.core.noise import fractal
from pipelines.parts import lighting
from pipelines.parts.lighting import Light


def apart(one: float, other: float) -> float:
    """Degrees between two directions."""
    return abs((one - other + 180) % 360 - 180)


def dome(side: int = 160, radius: float = 0.38) -> tuple[np.ndarray, np.ndarray]:
    """(height of a half ball, where it stands)."""
    y, x = (np.mgrid[0:side, 0:side] - side / 2) / (radius * side)
    square = 1 - x * x - y * y
    return (np.sqrt(np.clip(square, 0, None)) * radius * side).astype(np.float32), square > 0


def test_a_flat_surface_shades_to_its_albedo() -> None:
    albedo = np.random.default_rng(0).random((40, 50, 3), np.float32)
    lit = lighting.shade(albedo, np.zeros((40, 50), np.float32), 0.4, 20, Light(30, 40))
    assert np.allclose(lit, albedo, atol=1e-5)


def test_a_crop_has_the_lamp_and_the_tones_of_its_picture_and_a_lens_and_a_grain_of_its_own() -> None:
    random = np.random.default_rng(2)
    picture = np.repeat(np.linspace(0.1, 0.9, 400, dtype=np.float32)[None, :, None], 300, 0).repeat(3, 2)
    picture[100:200, 100:200] += 0.05 * random.standard_normal((100, 100, 1), np.float32)
    whole, crop = lighting.estimate(picture), picture[100:200, 100:200]
    seen, alone = lighting.within(whole, crop), lighting.estimate(crop)
    assert (seen.light, seen.dark, seen.bright) == (whole.light, whole.dark, whole.bright)
    assert (seen.sharpness_px, seen.grain, seen.angle) == (alone.sharpness_px, alone.grain, alone.angle)
    assert seen.grain > 5 * whole.grain


def test_normals_are_unit_and_lean_away_from_the_slope() -> None:
    height = np.tile(np.arange(40, dtype=np.float32) * 0.5, (30, 1))  # rises to the right
    inner = lighting.normals(height)[5:-5, 5:-5]
    assert np.allclose(np.linalg.norm(inner, axis=-1), 1, atol=1e-5)
    assert np.allclose(inner[..., 0] / inner[..., 2], -0.5, atol=1e-4)


@pytest.mark.parametrize("azimuth", [0, 45, 90, 180, 270, 315])
def test_the_flank_that_faces_the_lamp_is_the_bright_one(azimuth: float) -> None:
    y, x = np.mgrid[0:81, 0:81] - 40.0
    bump = (8 * np.exp(-(x * x + y * y) / 200)).astype(np.float32)
    lit = lighting.shade(np.full((81, 81, 3), 0.5, np.float32), bump, 0, 20, Light(azimuth, 45))[..., 0]
    step = (round(10 * math.cos(math.radians(azimuth))), round(-10 * math.sin(math.radians(azimuth))))
    assert lit[40 + step[1], 40 + step[0]] > lit[40 - step[1], 40 - step[0]] + 0.1


def test_a_pit_is_darker_than_its_surroundings() -> None:
    height = np.zeros((61, 61), np.float32)
    height[25:36, 25:36] = -8
    assert lighting.occlusion(height)[30, 30] < 0.8
    assert lighting.occlusion(height)[5, 5] == pytest.approx(1, abs=0.01)


def test_shading_does_not_depend_on_the_number_of_pixels() -> None:
    small = 5 * fractal(3, (96, 96), 32, octaves=3)
    large = cv2.resize(small, (192, 192), interpolation=cv2.INTER_CUBIC) * 2
    one, _ = lighting.factors(small, Light(60), reach_px=4)
    two, _ = lighting.factors(large, Light(60), reach_px=8)
    again = cv2.resize(two, (96, 96), interpolation=cv2.INTER_AREA)
    assert np.abs(one - again)[8:-8, 8:-8].mean() < 0.03


@pytest.mark.parametrize("azimuth", [20, 90, 160, 250, 340])
def test_the_lamp_is_found_from_a_part_before_a_background(azimuth: float) -> None:
    height, part = dome()
    lit = lighting.shade(np.full((*part.shape, 3), 0.5, np.float32), height, 0.1, 20, Light(azimuth, 45))
    picture = np.where(part[..., None], lit, 0.05).astype(np.float32)
    assert apart(lighting.estimate(picture).light.azimuth_deg, azimuth) < 25


@pytest.mark.parametrize("azimuth", [0, 90, 210])
def test_the_lamp_is_found_from_its_falling_off_over_a_surface(azimuth: float) -> None:
    y, x = np.mgrid[0:120, 0:120] / 120 - 0.5
    towards = x * math.cos(math.radians(azimuth)) - y * math.sin(math.radians(azimuth))
    grain = 0.01 * np.random.default_rng(1).standard_normal((120, 120))
    picture = np.repeat((0.4 + 0.25 * towards + grain)[..., None], 3, -1).astype(np.float32)
    assert apart(lighting.estimate(picture).light.azimuth_deg, azimuth) < 30


def test_without_a_sign_of_a_lamp_it_stands_above_to_the_left() -> None:
    flat = np.full((80, 80, 3), 0.5, np.float32)
    assert apart(lighting.estimate(flat).light.azimuth_deg, lighting.ABOVE_LEFT) < 1


@pytest.mark.parametrize("sigma", [0.7, 1.2, 2.5])
def test_sharpness_is_the_blur_of_the_edges(sigma: float) -> None:
    board = (np.indices((200, 200)) // 25).sum(0) % 2 * 0.6 + 0.2
    seen = cv2.GaussianBlur(board.astype(np.float32), (0, 0), sigma)
    assert lighting.sharpness(seen) == pytest.approx(sigma, rel=0.3)


@pytest.mark.parametrize("level", [0.005, 0.02, 0.05])
def test_grain_is_the_level_of_the_noise_whatever_edges_there_are(level: float) -> None:
    board = (np.indices((200, 200)) // 50).sum(0) % 2 * 0.4 + 0.3
    noise = level * np.random.default_rng(2).standard_normal((200, 200))
    assert lighting.grain_level((board + noise).astype(np.float32)) == pytest.approx(level, rel=0.2)


@pytest.mark.parametrize("angle", [0.0, 0.6, math.pi / 2, 2.5])
def test_the_direction_of_a_texture_is_the_one_its_lines_run_along(angle: float) -> None:
    lines = fractal(1, (160, 160), 6, octaves=2, aniso=12, angle=angle)
    found, coherence = lighting.direction(lines)
    away = abs((found - angle + math.pi / 2) % math.pi - math.pi / 2)
    assert away < 0.15
    assert coherence > 0.5


def test_a_texture_without_direction_has_no_coherence() -> None:
    assert lighting.direction(fractal(1, (160, 160), 6, octaves=2))[1] < 0.25


def test_the_background_is_known_only_where_there_is_one() -> None:
    _, part = dome()
    before = np.where(part[..., None], 0.6, np.array([0.1, 0.12, 0.2])).astype(np.float32)
    found = lighting.background(before)
    assert found is not None
    assert np.allclose(found, [0.1, 0.12, 0.2], atol=0.01)
    assert lighting.background(0.5 + 0.1 * np.repeat(fractal(1, (90, 90), 20)[..., None], 3, -1)) is None
