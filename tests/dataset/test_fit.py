"""A drawn kind fitted to real defects: nearer than as it is usually drawn, the same again, saved as a preset."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.core import images, intake, presets, requests
from pipelines.core.assets import Assets
from pipelines.core.queue import Row
from pipelines.parts import fitting
from pipelines.parts.fitting import Site
from pipelines.worker import Worker
from tests import pictures


def outline(index: int) -> np.ndarray:
    mask = np.zeros((56, 56), np.uint8)
    cv2.ellipse(mask, (26 + 2 * index, 28), (13, 7), 30, 0, 360, 255, -1)
    return mask > 0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two pictures with a pale, even patch on each, which is marked, and a scratch on another."""
    root = tmp_path / "plant"
    for index in range(2):
        picture, mask = pictures.good(56, 56, seed=index), outline(index)
        picture[mask] = np.clip(picture[mask] * 1.35, 0, 255)
        _put(root, "blotch", index, picture, mask)
    _put(root, "scar", 0, pictures.good(56, 56), outline(0))
    (root / "train" / "good").mkdir(parents=True)
    images.write_png(root / "train" / "good" / "000.png", pictures.good(56, 56, seed=5))
    return root


def _put(root: Path, name: str, index: int, picture: np.ndarray, mask: np.ndarray) -> None:
    for kind, stem, pixels in (("test", "", picture), ("ground_truth", "_mask", mask)):
        (root / kind / name).mkdir(parents=True, exist_ok=True)
        images.write_png(root / kind / name / f"{index:03d}{stem}.png", pixels)


def fit(data: Path, runs: Path, **fields: Any) -> tuple[Row, Path]:
    request = requests.parse({"task": "fit", "data": str(data), "defect": "blotch", "kind": "patches", **fields})
    with Worker(runs, "cpu", ()) as worker:
        ready = intake.from_paths(request, Assets(runs))
        row = worker.serve(worker.queue.get(worker.queue.submit(ready, owner=worker.owner)))
    return row, runs / row.id


def test_a_fitted_kind_is_nearer_to_the_real_ones_and_is_saved_as_a_preset(data: Path, runs: Path) -> None:
    row, run = fit(data, runs, label="Pale blotch")
    assert row.state == "done", row.sentence
    result = json.loads((run / "result.json").read_text())
    assert result["distance"]["fitted"] < result["distance"]["usual"]
    assert result["measured"]["contrast"] > 0.1
    assert result["measured"]["orientation_deg"] == pytest.approx(150, abs=6)  # 30 degrees down is 150 up
    assert result["preset"]["look"]["darkness"] < 0  # usually it is darker than the surface
    saved = presets.get("plant/pale_blotch", own=presets.own_folder(runs))
    assert (saved.fields, result["saved"]) == (result["preset"], saved.id)
    sheet = images.read(run / result["sheet"]).pixels
    assert sheet.shape[0] > 3 * 150
    for name, (least, most) in result["ranges"].items():
        assert least <= result["preset"]["look"][name] <= most


def test_a_class_that_is_not_there_or_not_named_is_refused_in_a_sentence(data: Path, runs: Path) -> None:
    row, _ = fit(data, runs, defect=None)
    assert row.sentence == "the data set shows blotch, scar: name one of them in defect"
    row, _ = fit(data, runs, defect="dent")
    assert row.sentence == "the data set shows no marked 'dent'; it shows blotch, scar"


def test_a_mended_place_shows_no_defect_and_is_untouched_beside_it() -> None:
    clean, mask = images.to_float(pictures.good(56, 56), 255), outline(0)
    real = np.where(mask[..., None], 0.3 * clean, clean).astype(np.float32)
    found = fitting.mended(real, mask)
    assert np.abs(found - clean)[mask].mean() < 0.05
    far = cv2.dilate(mask.astype(np.uint8), np.ones((23, 23), np.uint8)) == 0
    assert (found[far] == real[far]).all()


def test_what_is_measured_of_a_defect_is_what_it_was_drawn_with() -> None:
    clean, mask = images.to_float(pictures.good(56, 56), 255), outline(0)
    real = np.where(mask[..., None], clean * np.array([0.5, 0.7, 0.9], np.float32), clean).astype(np.float32)
    found = fitting.measure([Site(real, mask, clean, False)])
    assert found.colour == pytest.approx((-0.5, -0.3, -0.1), abs=0.08)
    assert found.area_px == np.count_nonzero(mask)
    assert found.elongation == pytest.approx(13 / 7, abs=0.15)
    assert found.edge_px <= 2
