"""Every surface of the catalogue: the same at every resolution, exact in its truth, different with every seed."""

import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.core import images
from pipelines.core.errors import BadInput
from pipelines.parts import lighting, surfaces
from pipelines.parts.surfaces import SURFACES, Surface, make

NAMES = list(SURFACES)
SAMPLES = Path(__file__).parents[2] / "presets" / "samples"
PARTS = ["grid", "nut", "washer", "capsule", "pill", "hazelnut"]


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.fixture(scope="module")
def drawn() -> dict[str, Surface]:
    return {name: make(name, 11, (192, 256)) for name in NAMES}


def test_the_catalogue_has_every_surface_of_the_guide() -> None:
    asked = (
        "rolled brushed cast machined concrete magnetic ceramic terrazzo wood leather fabric carpet board grid painted "
    )
    asked += "rubber nut washer capsule pill hazelnut"
    assert set(asked.split()) <= set(SURFACES)


@pytest.mark.parametrize("name", NAMES)
def test_everything_returned_has_the_size_asked_for_and_is_in_range(name: str, drawn: dict[str, Surface]) -> None:
    surface = drawn[name]
    for field in (surface.image, surface.normals, surface.albedo):
        assert field.shape == (192, 256, 3)
        assert field.dtype == np.float32
    assert surface.height.shape == (192, 256)
    for field in (surface.image, surface.albedo):
        assert 0 <= float(field.min()) <= float(field.max()) <= 1
    assert np.isfinite(surface.height).all()
    assert surface.caption
    assert np.isfinite(surface.angle)


@pytest.mark.parametrize("name", NAMES)
def test_normals_are_those_of_the_height(name: str, drawn: dict[str, Surface]) -> None:
    surface = drawn[name]
    assert np.allclose(np.linalg.norm(surface.normals, axis=2), 1, atol=1e-4)
    assert np.array_equal(surface.normals, lighting.normals(surface.height))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bytes(name: str, drawn: dict[str, Surface]) -> None:
    again = make(name, 11, (192, 256))
    assert np.array_equal(again.image, drawn[name].image)
    assert np.array_equal(again.height, drawn[name].height)
    assert again.caption == drawn[name].caption


@pytest.mark.parametrize("name", NAMES)
def test_twice_the_pixels_show_the_same_surface(name: str) -> None:
    coarse, fine = make(name, 4, (512, 512)), make(name, 4, (1024, 1024))
    reduced = cv2.resize(fine.image, (512, 512), interpolation=cv2.INTER_AREA)
    assert fine.caption == coarse.caption
    assert correlation(reduced, coarse.image) > 0.9
    assert abs(float(reduced.mean()) - float(coarse.image.mean())) < 0.03
    # heights are in pixels of the picture they belong to
    halved = cv2.resize(fine.height, (512, 512), interpolation=cv2.INTER_AREA) / 2
    assert correlation(halved, coarse.height) > 0.9
    assert float(halved.std()) == pytest.approx(float(coarse.height.std()), rel=0.15)


@pytest.mark.parametrize("name", NAMES)
def test_seeds_differ_from_each_other(name: str) -> None:
    means, pictures = [], []
    for seed in range(6):
        image = make(name, seed, (96, 96)).image
        means.append(image.mean(axis=(0, 1)))
        pictures.append(image - image.mean(axis=(0, 1)))
    assert float(np.std(means, axis=0).max()) > 0.015
    alike = [correlation(a, b) for i, a in enumerate(pictures) for b in pictures[i + 1 :]]
    assert float(np.median(alike)) < 0.8


@pytest.mark.parametrize("name", NAMES)
def test_a_good_surface_is_neither_burnt_out_nor_black(name: str, drawn: dict[str, Surface]) -> None:
    image, place = drawn[name].image, drawn[name].place
    seen = image[place] if place is not None else image.reshape(-1, 3)
    assert float(np.mean(seen.max(axis=1) >= 0.999)) < 0.02
    assert float(np.mean(seen.max(axis=1) <= 0.01)) < 0.12
    assert float(seen.std()) > 0.006


@pytest.mark.parametrize("name", NAMES)
def test_only_parts_say_where_they_lie(name: str, drawn: dict[str, Surface]) -> None:
    place = drawn[name].place
    if name not in PARTS:
        assert place is None
        return
    assert place is not None
    assert place.dtype == bool
    assert 0.04 < float(place.mean()) < 0.9
    assert float(drawn[name].height[place].mean()) > float(drawn[name].height[~place].mean())


@pytest.mark.parametrize("name", ["capsule", "hazelnut", "cast", "leather"])
def test_the_light_asked_for_is_the_light_that_falls(name: str) -> None:
    right = make(name, 3, (256, 256), lighting.Light(0, 40))
    left = make(name, 3, (256, 256), lighting.Light(180, 40))
    assert np.array_equal(right.height, left.height)
    assert right.light == lighting.Light(0, 40)
    faces_right = right.normals[..., 0] > 0.15
    faces_left = right.normals[..., 0] < -0.15
    if right.place is not None:
        faces_right, faces_left = faces_right & right.place, faces_left & right.place
    change = right.image.mean(axis=2) - left.image.mean(axis=2)
    assert float(change[faces_right].mean()) > 0.01
    assert float(change[faces_left].mean()) < -0.01


def test_brushed_metal_runs_along_the_angle_it_reports() -> None:
    for seed in range(4):
        surface = make("brushed", seed, (256, 256))
        angle, coherence = lighting.direction(lighting.luminance(surface.image))
        apart = abs((angle - surface.angle + np.pi / 2) % np.pi - np.pi / 2)
        assert apart < 0.12
        assert coherence > 0.5


def test_an_unknown_surface_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(BadInput, match=r"marble.*rolled, brushed"):
        surfaces.make("marble", 1)


@pytest.mark.parametrize("size", [(8, 512), (512, 100_000)])
def test_an_impossible_size_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match="cannot be drawn"):
        surfaces.make("rolled", 1, size)


def test_a_tall_picture_is_no_stretched_square() -> None:
    tall = make("washer", 2, (384, 192))
    assert tall.place is not None
    rows, columns = np.flatnonzero(tall.place.any(axis=1)), np.flatnonzero(tall.place.any(axis=0))
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), rel=0.03)


def test_the_gallery_holds_exactly_the_samples_its_table_names() -> None:
    table = tomllib.loads((SAMPLES / "samples.toml").read_text(encoding="utf-8"))
    named = [sample["file"] for sample in table["samples"]]
    assert sorted(named) == sorted(path.name for path in SAMPLES.glob("*.jpg"))
    assert sum((SAMPLES / file).stat().st_size for file in named) < 3_000_000
    for sample in table["samples"]:
        drawn = make(sample["surface"], sample["seed"], (table["side"], table["side"]))
        kept = images.to_float(images.read(SAMPLES / sample["file"]).pixels)
        assert drawn.caption == sample["caption"]
        # JPEG is not exact; another surface or seed would be far away (`python -m bench.samples` redraws them)
        assert float(np.abs(kept - drawn.image).mean()) < 0.02, sample["name"]
