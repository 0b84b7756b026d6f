"""Real examples laid into painted masks, end to end: exact outside, traced by hash, the same bytes again."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.core import images, intake, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput
from pipelines.core.queue import Row
from pipelines.parts import crop
from pipelines.worker import Worker
from tests import pictures


def examples(folder: Path, *, classes: tuple[str, ...] = ("pit",), grey: bool = False) -> Path:
    """An MVTec-like data set: two pictures of each class, each with a dark spot that is marked."""
    for number, name in enumerate(classes):
        for index in range(2):
            picture, mask = pictures.good(seed=10 * number + index, grey=grey), spot(index)
            picture[mask] = picture[mask] // 3
            for kind, stem, pixels in (("test", "", picture), ("ground_truth", "_mask", mask)):
                place = folder / kind / name
                place.mkdir(parents=True, exist_ok=True)
                images.write_png(place / f"{index:03d}{stem}.png", pixels)
    (folder / "train" / "good").mkdir(parents=True)
    images.write_png(folder / "train" / "good" / "000.png", pictures.good(grey=grey))
    return folder


def spot(index: int) -> np.ndarray:
    mask = np.zeros((72, 96), np.uint8)
    cv2.ellipse(mask, (40 + 8 * index, 36), (9, 6 + index), 20, 0, 360, 255, -1)
    return mask > 0


def stroke() -> np.ndarray:
    """bool HxW: three pixels wide, far longer than any example."""
    return cv2.dilate(pictures.line().astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def asked(folder: Path, runs: Path, **fields: Any) -> requests.Request:
    fields = {"base": "exemplar", "mask": spot(0), "examples": str(folder / "data"), **fields}
    return intake.from_paths(requests.parse(pictures.request(folder, **fields)), Assets(runs))


def served(request: requests.Request, runs: Path) -> tuple[Row, Path]:
    with Worker(runs, "cpu", ()) as worker:
        row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
    return row, runs / row.id


def paint(folder: Path, runs: Path, **fields: Any) -> tuple[Row, Path]:
    return served(asked(folder, runs, **fields), runs)


@pytest.mark.parametrize(("bits", "grey"), [(8, False), (16, True)])
def test_beyond_the_feather_nothing_changes_and_the_label_is_what_was_painted(
    tmp_path: Path, runs: Path, bits: int, grey: bool
) -> None:
    examples(tmp_path / "data", grey=not grey)
    before = pictures.good(bits=bits, grey=grey)
    row, run = paint(tmp_path, runs, picture=before, severity=0.5)
    assert row.state == "done", row.sentence
    after = images.read(run / "images" / "00000.png").pixels
    assert (after.dtype, after.shape) == (before.dtype, before.shape)
    outside = crop.feather(spot(0), 2) == 0
    assert (after[outside] == before[outside]).all()
    differs = after != before if grey else (after != before).any(axis=2)
    assert (images.read_mask(run / "masks" / "00000.png") == spot(0)).all()
    assert differs[spot(0)].mean() > 0.95


@pytest.mark.parametrize("mask", [stroke(), pictures.disc(radius=24), ~pictures.disc(radius=26)])
def test_a_mask_of_any_shape_is_filled_with_what_the_examples_show(
    tmp_path: Path, runs: Path, mask: np.ndarray
) -> None:
    examples(tmp_path / "data")
    row, run = paint(tmp_path, runs, mask=mask, severity=0.5)
    assert row.state == "done", row.sentence
    after, before = (
        images.read(one).pixels.astype(float) for one in (run / "images" / "00000.png", tmp_path / "part.png")
    )
    darker = (after[mask] / before[mask]).mean(axis=1)
    assert np.median(darker) < 0.75  # the examples are a third as light as their surroundings


def test_the_same_request_gives_the_same_bytes_and_a_picture_can_be_made_again_from_its_metadata(
    tmp_path: Path, runs: Path
) -> None:
    examples(tmp_path / "data")
    _, first = paint(tmp_path, runs, num_images=2, seed=4, num_examples=1)
    _, second = paint(tmp_path, runs, num_images=2, seed=4, num_examples=1)
    bytes_ = [(run / "images" / "00001.png").read_bytes() for run in (first, second)]
    assert bytes_[0] == bytes_[1]
    said = images.read_request(first / "images" / "00001.png")
    assert said is not None
    assert str(tmp_path) not in json.dumps(said)
    assert [set(one["image"]) for one in said["exemplars"]] == [{"name", "sha256"}]
    assert "examples" not in said
    row, again = served(requests.parse(said), runs)
    assert row.state == "done", row.sentence
    assert (again / "images" / "00000.png").read_bytes() == bytes_[0]


def test_two_seeds_are_two_defects(tmp_path: Path, runs: Path) -> None:
    examples(tmp_path / "data")
    _, run = paint(tmp_path, runs, num_images=2)
    one, other = (images.read(run / "images" / f"0000{number}.png").pixels for number in (0, 1))
    assert (one != other).any()


def test_of_several_classes_one_is_named_for_all_or_for_each_area(tmp_path: Path, runs: Path) -> None:
    examples(tmp_path / "data", classes=("pit", "scar"))
    row, _ = paint(tmp_path, runs)
    assert row.state == "failed"
    assert row.sentence == "the examples show pit, scar: name one of them in example_defect"
    mask = str(tmp_path / "mask.png")
    regions = [{"mask": mask, "defect": "hole", "example_defect": name} for name in ("pit", "scar")]
    request = {"task": "inpaint", "base": "exemplar", "image": str(tmp_path / "part.png"), "regions": regions}
    ready = intake.from_paths(requests.parse({**request, "examples": str(tmp_path / "data")}), Assets(runs))
    row, run = served(ready, runs)
    assert row.state == "done", row.sentence
    said = images.read_request(run / "images" / "00000.png")
    assert said is not None
    assert {one["defect"] for one in said["exemplars"]} == {"pit", "scar"}


def test_a_data_set_without_the_defect_or_without_marks_is_refused_in_a_sentence(tmp_path: Path, runs: Path) -> None:
    examples(tmp_path / "data")
    row, _ = paint(tmp_path, runs, example_defect="dent")
    assert (row.state, row.sentence) == ("failed", "the examples show no marked 'dent'; they show pit")
    (tmp_path / "plain").mkdir()
    images.write_png(tmp_path / "plain" / "a.png", pictures.good())
    row, _ = paint(tmp_path, runs, examples=str(tmp_path / "plain"))
    assert (row.state, row.sentence) == ("failed", "the examples show no marked defect: mark some first, under Data")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"base": "exemplar"}, "examples is missing"),
        ({"examples": "x"}, "base procedural reads no examples"),
        (
            {"base": "exemplar", "examples": "x", "exemplars": [{"image": "a", "mask": "b", "defect": "c"}]},
            "examples and exemplars say the same",
        ),
    ],
)
def test_examples_and_the_base_that_reads_them_go_together(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        requests.parse({"task": "inpaint", "image": "a", "mask": "b", "defect": "hole", **fields})


def test_other_bases_say_nothing_of_examples() -> None:
    request = requests.parse({"task": "inpaint", "image": "a", "mask": "b", "defect": "hole"})
    assert not {name for name in request.model_dump(mode="json") if "exam" in name or "exem" in name}
