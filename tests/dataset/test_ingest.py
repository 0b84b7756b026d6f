"""A data set taken into a project: labels to the pixel, faults that nobody decided about, twins, kills, asked twice."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.core import images
from pipelines.core.assets import Assets
from pipelines.core.errors import Cancelled
from pipelines.core.models import Models
from pipelines.core.projects import Projects
from pipelines.core.queue import Owner, Queue
from pipelines.core.records import Record
from pipelines.core.requests.ingest import Ingest
from pipelines.core.runs import Run
from pipelines.dataset import ingest
from pipelines.parts import boxed
from pipelines.parts.loaders import Box, mask_of, project
from tests import pictures

DISC = pictures.disc(radius=9, at=(20, 30))


def begin(runs: Path, data: Path, **fields: Any) -> Run:
    request, queue, me = Ingest(data=str(data), **fields), Queue(runs), Owner.me()
    return Run(queue, queue.submit(request, owner=me), request, me)


def done(runs: Path, data: Path, **fields: Any) -> dict[str, Any]:
    run = begin(runs, data, **fields)
    assert isinstance(run.request, Ingest)
    ingest.run(run.request, run, Models())
    found: dict[str, Any] = json.loads((run.folder / "result.json").read_text())
    return found


def records(runs: Path, id: str) -> dict[str, Record]:
    return {one.name: one for one in Projects(runs).records(id).page()}


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(pixels))
    return path


@pytest.fixture
def leather(tmp_path: Path) -> Path:
    """The MVTec layout: two good ones, a cut with its mask, one whose mask is empty, one that is torn, a twin."""
    root = tmp_path / "leather 革"
    for seed in range(2):
        write(root / f"train/good/{seed:03d}.png", pictures.good(seed=seed))
    write(root / "test/cut/010.png", pictures.good(seed=10, bits=16, grey=True))
    write(root / "ground_truth/cut/010_mask.png", DISC.astype(np.uint8) * 255)
    write(root / "test/cut/011.png", pictures.good(seed=11))
    write(root / "ground_truth/cut/011_mask.png", np.zeros_like(DISC, np.uint8))
    write(root / "test/cut/012.png", pictures.good(seed=12))
    write(root / "ground_truth/cut/012_mask.png", DISC.astype(np.uint8) * 255)
    whole = (root / "test/cut/012.png").read_bytes()
    (root / "test/cut/012.png").write_bytes(whole[: len(whole) // 2])
    write(root / "test/good/020.png", np.clip(pictures.good(seed=0).astype(int) + 9, 0, 255).astype(np.uint8))
    return root


def test_a_data_set_comes_in_with_masks_parts_and_reasons(runs: Path, leather: Path) -> None:
    result = done(runs, leather)
    assert result["layout"] == "mvtec"
    assert (result["images"], result["added"], result["pictures"]) == (6, 5, 5)
    assert (result["masks"], result["unread"], result["classes"]) == (1, 1, {"cut": 3})
    known = records(runs, result["project"])
    assert Projects(runs).get(result["project"]).name == "leather 革"
    assert {name: (one.defect, one.part, one.out) for name, one in known.items()} == {
        "000.png": ("", "train", "near_duplicate_across_splits"),
        "001.png": ("", "train", ""),
        "010.png": ("cut", "test", ""),
        "011.png": ("cut", "test", "empty_mask"),
        "020.png": ("", "test", "near_duplicate_across_splits"),
    }
    assert known["000.png"].origin == known["020.png"].origin != known["001.png"].origin
    assets = Assets(runs)
    assert np.array_equal(images.read(assets.get(known["010.png"].mask).path).pixels > 127, DISC)
    assert images.read(assets.get(known["010.png"].asset).path).pixels.dtype == np.uint16


def test_what_somebody_decided_is_done(runs: Path, leather: Path) -> None:
    said = {"empty_mask": "leave_out", "near_duplicate_across_splits": "use"}
    known = records(runs, done(runs, leather, faults=said)["project"])
    assert {name: one.out for name, one in known.items()} == dict.fromkeys(
        ("000.png", "001.png", "010.png", "020.png"), ""
    )


def test_asked_again_it_adds_what_is_new_and_leaves_the_rest(runs: Path, leather: Path) -> None:
    home = done(runs, leather)["project"]
    cut = records(runs, home)["010.png"]
    Projects(runs).records(home).change({cut.asset: {"defect": "slit", "out": ""}}, "defect")
    write(leather / "train/good/002.png", pictures.good(seed=2))
    result = done(runs, leather, project=home)
    assert (result["added"], result["pictures"], result["project"]) == (1, 6, home)
    assert records(runs, home)["010.png"].defect == "slit"


def test_a_stopped_run_goes_on_into_the_same_project(
    runs: Path, leather: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "AT_ONCE", 2)
    run = begin(runs, leather)
    stops = iter([False, True])

    def between() -> None:
        if next(stops):
            raise Cancelled("stopped")

    monkeypatch.setattr(run, "_between", between)
    with pytest.raises(Cancelled):
        ingest.run(run.request, run, Models())  # type: ignore[arg-type]
    assert [one.name for one in Projects(runs).every().projects] == ["leather 革"]
    monkeypatch.setattr(run, "_between", None)
    ingest.run(run.request, run, Models())  # type: ignore[arg-type]
    (home,) = Projects(runs).every().projects
    assert sorted(records(runs, home.id)) == ["000.png", "001.png", "010.png", "011.png", "020.png"]
    assert sum(row["added"] for row in run.rows()) == 5


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    """YOLO: a box of one class and a polygon of another on one picture, and a dark spot in a box on the other."""
    root = tmp_path / "boards"
    write(root / "images/train/a.png", pictures.good(seed=1))
    spot = np.full((120, 160, 3), 190, np.uint8)
    cv2.circle(spot, (80, 60), 14, (40, 40, 40), -1)
    write(root / "images/train/b.png", spot)
    (root / "labels/train").mkdir(parents=True)
    (root / "labels/train/a.txt").write_text("0 0.5 0.5 0.25 0.25\n1 0.1 0.1 0.3 0.1 0.3 0.3 0.1 0.3\n")
    (root / "labels/train/b.txt").write_text("0 0.5 0.5 0.3 0.4\n")
    (root / "data.yaml").write_text("train: images/train\nnames: [short, spur]\n")
    return root


def test_boxes_stay_boxes_until_somebody_asks(runs: Path, boards: Path) -> None:
    result = done(runs, boards)
    assert (result["layout"], result["boxes"], result["masks"]) == ("yolo", 2, 1)
    examples = project.load(result["project"], Assets(runs))
    assert [one.classes for one in examples if one.mask] == [("spur",)]
    assert sorted(name for one in examples for name in one.classes) == ["short", "short", "spur"]


def test_a_refined_box_is_what_stands_out_in_it(runs: Path, boards: Path) -> None:
    y, x = np.ogrid[:120, :160]
    truth = (x - 80) ** 2 + (y - 60) ** 2 <= 14**2
    agree = []
    for how in ("box", "ellipse", "refine"):
        home = done(runs, boards, boxes=how)["project"]
        (spot,) = (one for one in project.load(home, Assets(runs)) if one.classes == ("short",) and one.group == "b")
        found = mask_of(spot, (120, 160))
        agree.append((found & truth).sum() / (found | truth).sum())
    assert agree == sorted(agree)
    assert agree[2] > 0.95


def test_where_nothing_stands_out_a_box_becomes_its_ellipse() -> None:
    flat = np.full((60, 80), 120, np.uint8)
    box = Box(20, 10, 60, 40, "x")
    found = boxed.refined(box, flat)
    assert np.array_equal(found, boxed.ellipse(box, (60, 80)))
    assert found.mean() == pytest.approx(np.pi / 4 * 1200 / 4800, rel=0.03)
    thin = Box(5, 5, 40, 6, "x")
    assert boxed.refined(thin, flat).any()
    assert boxed.refined(Box(-4, -4, 90, 70, "x"), flat).any()
