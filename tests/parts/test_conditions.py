"""From a picture to a map: the contract of the maps, what needs no weights, and what may happen to none of them."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.core import files, images, weights
from pipelines.core.errors import BadInput, Missing
from pipelines.core.models import Models
from pipelines.core.requests.control import ANNOTATORS
from pipelines.parts import conditions, lighting, segmenters, surfaces
from pipelines.parts.conditions import CONDITIONS, Given, annotate, exact, relief
from tests.imports import ROOT
from tests.parts import test_segmenters

PLAIN = [
    ("hed", "built-in"),
    ("depth", "built-in"),
    ("normal", "built-in"),
    ("canny", "opencv"),
    ("lineart", "built-in"),
]
SAMPLES = ROOT / "presets" / "samples"


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def models() -> Models:
    return Models("cpu")


def textured(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Grain, a bright scratch and a dark hole."""
    picture = 0.5 + 0.03 * np.random.default_rng(seed).standard_normal((height, width, 1)).astype(np.float32)
    cv2.line(picture, (width // 6, height // 8), (width // 4, height - 1), 0.85, 2)
    cv2.circle(picture, (2 * width // 3, height // 2), max(1, min(height, width) // 8), 0.15, -1)
    return np.clip(np.repeat(picture, 3, axis=2), 0, 1)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_the_names_are_those_of_the_request() -> None:
    assert conditions.names() == ANNOTATORS


@pytest.mark.parametrize(("kind", "annotator"), PLAIN)
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3), (64, 2000), (200, 200), (1300, 700)])
def test_a_map_is_as_large_as_its_picture_and_finite(
    kind: str, annotator: str, shape: tuple[int, int], models: Models
) -> None:
    made = annotate(kind, annotator, Given(textured(*shape)), models)
    assert made.annotator == annotator
    assert made.pixels.shape == (*shape, 3)
    assert made.pixels.dtype == np.float32
    assert np.isfinite(made.pixels).all()
    assert 0 <= made.pixels.min() <= made.pixels.max() <= 1


@pytest.mark.parametrize(("kind", "annotator"), PLAIN)
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_flat_picture_has_no_edge_and_no_relief(kind: str, annotator: str, level: float, models: Models) -> None:
    made = annotate(kind, annotator, Given(np.full((90, 120, 3), level, np.float32)), models).pixels
    flat = {"depth": (0.5, 0.5, 0.5), "normal": (0.5, 0.5, 1.0)}.get(kind, (0.0, 0.0, 0.0))
    np.testing.assert_allclose(made, np.broadcast_to(flat, made.shape), atol=1e-3)


def test_a_sensors_noise_on_a_flat_picture_draws_hardly_a_line(models: Models) -> None:
    noise = 0.5 + 0.008 * np.random.default_rng(3).standard_normal((400, 400, 3)).astype(np.float32)
    for kind in ("hed", "lineart"):
        assert annotate(kind, "built-in", Given(noise), models).pixels.mean() < 0.002


def test_soft_edges_and_lines_are_white_where_the_picture_changes_and_black_in_its_grain(models: Models) -> None:
    picture = textured(256, 256)
    rows, columns = np.mgrid[0:256, 0:256]
    distance = np.abs(np.hypot(rows - 128, columns - 170) - 32)
    for kind in ("hed", "lineart"):
        made = annotate(kind, "built-in", Given(picture), models).pixels[..., 0]
        assert made[distance < 3].mean() > 5 * made[distance > 12].mean()
        assert made[distance < 1.5].mean() > 0.3
        assert np.median(made) < 0.01


def test_a_scratch_is_one_soft_line_and_not_two(models: Models) -> None:
    picture = np.full((300, 300, 3), 0.4, np.float32)
    picture[40:260, 149:151] = 0.8
    row = annotate("hed", "built-in", Given(picture), models).pixels[150, :, 0]
    assert int(np.argmax(row)) in range(147, 153)
    assert np.count_nonzero((row[1:-1] > 0.2) & (row[1:-1] >= row[:-2]) & (row[1:-1] > row[2:])) == 1
    assert 2 <= np.count_nonzero(row > row.max() / 2) <= 8


def test_the_thresholds_of_canny_matter(models: Models) -> None:
    picture = textured(200, 200)
    many, few = (
        annotate("canny", "opencv", Given(picture, low=low, high=high), models).pixels.sum()
        for low, high in ((20, 40), (200, 250))
    )
    assert many > 2 * few > 0


def test_sixteen_bits_are_not_cut_down_to_eight(models: Models) -> None:
    """A relief within one of 255 levels: 8 bits see a flat picture."""
    surface = surfaces.make("leather", 3, (200, 200))
    grey = lighting.luminance(surface.image)
    dim = 128 / 255 + 0.003 * (grey - grey.mean())
    given = [np.repeat(dim[..., None], 3, axis=2)]
    given += [images.to_float(np.rint(dim * np.iinfo(kind).max).astype(kind)) for kind in (np.uint16, np.uint8)]
    whole, fine, coarse = (annotate("normal", "built-in", Given(one), models).pixels[..., :2] for one in given)
    assert correlation(fine, whole) > 0.99
    assert np.ptp(coarse) < 1e-6 < np.ptp(fine)


def test_the_depth_of_a_surface_is_near_where_it_is_high() -> None:
    height = np.zeros((60, 80), np.float32)
    height[20:40, 20:60] = 3
    made = relief.depth_map(height)
    assert made[30, 40] > 0.9
    assert made[5, 5] < 0.1
    np.testing.assert_array_equal(relief.depth_map(np.full((9, 9), 7.0)), np.full((9, 9), 0.5, np.float32))
    np.testing.assert_array_equal(relief.depth_map(np.full((2, 2), np.nan)), np.full((2, 2), 0.5, np.float32))


def test_a_relief_too_low_to_matter_is_not_blown_up_to_black_and_white() -> None:
    assert np.ptp(relief.depth_map(0.01 * np.random.default_rng(0).random((300, 300)))) < 0.05


def test_normals_have_the_colours_of_normalbae() -> None:
    """What faces up is green, what faces the left edge of the picture is red, what faces the camera is blue."""
    rows, columns = np.mgrid[-50:51, -50:51].astype(np.float32)
    ball = np.sqrt(np.maximum(45**2 - rows**2 - columns**2, 0))
    made = relief.normal_map(lighting.normals(ball))
    red, green, blue = np.moveaxis(made, 2, 0)
    assert red[50, 20] > 0.75 > 0.25 > red[50, 80]
    assert green[20, 50] > 0.75 > 0.25 > green[80, 50]
    assert blue[50, 50] > 0.99
    assert made[50, 50, :2] == pytest.approx([0.5, 0.5], abs=0.02)


def test_a_normal_map_leads_back_to_its_normals() -> None:
    normals = surfaces.make("leather", 1, (64, 64)).normals
    np.testing.assert_allclose(relief.normals_of(relief.normal_map(normals)), normals, atol=1e-4)
    found = relief.normals_of(np.zeros((4, 5, 3), np.float32))
    assert (found[..., 2] > 0).all()
    np.testing.assert_allclose(np.linalg.norm(found, axis=2), 1, atol=1e-5)


def test_the_built_in_relief_is_near_the_truth_of_our_own_surfaces(models: Models) -> None:
    """Medians over all surfaces; where the lamp and paint are guessed wrong, a single one may be far off."""
    found = []
    for name in surfaces.SURFACES:
        surface = surfaces.make(name, 5, (256, 256))
        given = Given(surface.image)
        depth = annotate("depth", "built-in", given, models).pixels[..., 0]
        normals = relief.normals_of(annotate("normal", "built-in", given, models).pixels)
        pairs = [(depth, relief.depth_map(surface.height))]
        pairs += [(normals[..., axis], surface.normals[..., axis]) for axis in (0, 1)]
        found.append([correlation(one, other) for one, other in pairs])
    depth_found, x, y = np.median(found, axis=0)
    assert depth_found > 0.5
    assert x > 0.5
    assert y > 0.5


def test_a_round_part_has_smooth_normals(models: Models) -> None:
    surface = surfaces.make("hazelnut", 1, (512, 512))
    assert surface.place is not None
    inside = cv2.erode(surface.place.astype(np.uint8), np.ones((61, 61), np.uint8)) > 0
    ball = np.where(surface.place[..., None], np.float32(0.2), np.float32(0.9)) * np.ones(3, np.float32)
    made = annotate("normal", "built-in", Given(ball), models).pixels[..., :2]
    bend = np.abs(cv2.Laplacian(made, cv2.CV_32F))
    assert np.quantile(bend[inside], 0.99) < 0.004


@pytest.mark.parametrize("name", ["hazelnut", "washer", "capsule"])
def test_a_part_is_nearer_than_the_ground_it_lies_on(name: str, models: Models) -> None:
    surface = surfaces.make(name, 1, (256, 256))
    assert surface.place is not None
    depth = annotate("depth", "built-in", Given(surface.image), models).pixels[..., 0]
    inside = cv2.erode(surface.place.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    outside = cv2.dilate(surface.place.astype(np.uint8), np.ones((41, 41), np.uint8)) == 0
    assert np.quantile(depth[inside], 0.2) > np.quantile(depth[outside], 0.98)


@pytest.mark.parametrize("name", ["leather", "board", "magnetic", "terrazzo", "carpet"])
def test_a_surface_that_fills_the_picture_is_no_part_on_a_ground(name: str) -> None:
    for seed in range(1, 5):
        assert conditions.shading.outline(surfaces.make(name, seed, (256, 256)).image) is None


def test_a_sample_is_known_by_its_file_and_its_maps_are_exact(models: Models) -> None:
    path = SAMPLES / "leather.jpg"
    surface = exact.known(files.sha256(path))
    assert surface is not None
    assert surface is exact.known(files.sha256(path))
    picture = images.to_float(images.read(path).pixels)
    assert correlation(surface.image, picture) > 0.97
    given = Given(picture, surface=surface)
    depth, normal = (annotate(kind, "auto", given, models) for kind in ("depth", "normal"))
    assert (depth.annotator, normal.annotator) == ("exact", "exact")
    np.testing.assert_allclose(relief.normals_of(normal.pixels), surface.normals, atol=1e-4)
    np.testing.assert_array_equal(depth.pixels[..., 0], relief.depth_map(surface.height))


def test_an_exact_map_is_snapped_to_the_canvas(models: Models) -> None:
    surface = surfaces.make("leather", 1, (64, 64))
    made = annotate("depth", "exact", Given(textured(50, 70), surface=surface), models)
    assert made.pixels.shape == (50, 70, 3)


def test_any_other_file_is_not_known() -> None:
    assert exact.known("0" * 64) is None


def test_the_painted_mask_is_a_map(models: Models) -> None:
    mask = np.zeros((40, 50), bool)
    mask[10:20, 5:45] = True
    made = annotate("mask", "auto", Given(textured(40, 50), mask=mask), models)
    assert made.annotator == "painted"
    np.testing.assert_array_equal(made.pixels, np.repeat(mask[..., None], 3, axis=2).astype(np.float32))


def test_a_network_finds_the_part_for_a_mask_where_its_weights_are(no_weights: Path, models: Models) -> None:
    path = no_weights / "u2net" / segmenters.U2NET
    path.parent.mkdir(parents=True)
    path.write_bytes(test_segmenters.net(bias=1.0))
    picture = np.full((90, 120, 3), 0.1, np.float32)
    picture[20:70, 30:80] = 0.9
    made = annotate("mask", "auto", Given(picture), models)
    assert made.annotator == "u2net"
    assert conditions.needs_weights("mask", "u2net")
    assert np.abs(made.pixels - (picture > 0.5)).mean() < 0.02


REFUSED = [
    (
        "edges",
        "auto",
        BadInput,
        "there is no condition 'edges'; choose one of hed, depth, normal, canny, lineart, mask",
    ),
    ("hed", "teed", BadInput, "hed has no annotator 'teed'; choose auto or hed, pidinet, built-in"),
    (
        "depth",
        "exact",
        BadInput,
        "exact is for the pictures that come with the studio, whose height is known: choose auto",
    ),
    ("mask", "painted", BadInput, "nothing is painted: paint the place that the mask should show"),
    ("mask", "auto", BadInput, "nothing is painted: paint the place that the mask should show"),
    ("mask", "u2net", Missing, "u2net.onnx is not in models/u2net: put it there, or paint a mask"),
    (
        "hed",
        "hed",
        Missing,
        "ControlNetHED.pth is not in models/annotators: put it there (it is in lllyasviel/Annotators",
    ),
    ("hed", "pidinet", Missing, "table5_pidinet.pth is not in models/annotators"),
    ("lineart", "lineart", Missing, "sk_model.pth is not in models/annotators"),
    ("depth", "midas", Missing, "dpt_hybrid-midas-501f0c75.pt is not in models/annotators"),
    (
        "depth",
        "dpt",
        Missing,
        "dpt is not in models/annotators: put it there (it is for example Intel/dpt-hybrid-midas",
    ),
    ("depth", "depth-anything", Missing, "depth-anything-v2 is not in models/annotators"),
    ("normal", "normalbae", Missing, "scannet.pt is not in models/annotators"),
    ("normal", "from-depth", Missing, "dpt_hybrid-midas-501f0c75.pt is not in models/annotators"),
]


@pytest.mark.parametrize(("kind", "annotator", "error", "sentence"), REFUSED)
def test_what_cannot_be_is_refused_in_a_sentence(
    kind: str, annotator: str, error: type[Exception], sentence: str, models: Models
) -> None:
    with pytest.raises(error) as caught:
        annotate(kind, annotator, Given(textured(20, 20)), models)
    assert str(caught.value).startswith(sentence)


def test_auto_takes_what_needs_no_weights_where_there_are_none() -> None:
    taken = {kind: conditions.chosen(kind, "auto", surface=False, painted=True) for kind in CONDITIONS}
    assert taken == {
        "hed": "built-in",
        "depth": "built-in",
        "normal": "built-in",
        "canny": "opencv",
        "lineart": "built-in",
        "mask": "painted",
    }
    assert not any(conditions.needs_weights(kind, name) for kind, name in taken.items())


def test_what_needs_no_weights_imports_no_torch() -> None:
    program = """
import sys
import numpy as np
from pipelines.core.models import Models
from pipelines.parts import surfaces
from pipelines.parts.conditions import CONDITIONS, Given, annotate
surface = surfaces.make("leather", 1, (64, 64))
for kind in CONDITIONS:
    annotate(kind, "auto", Given(surface.image, mask=np.ones((64, 64), bool)), Models())
    annotate(kind, "auto", Given(surface.image, mask=np.ones((64, 64), bool), surface=surface), Models())
print(sorted({"torch", "transformers", "controlnet_aux", "diffusers"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
