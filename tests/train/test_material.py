"""What a training is given: the pictures asked for, faults settled before the first step, some held back."""

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.core import datasets, images, intake, projects, requests, trainings, wishes
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Missing
from pipelines.core.requests import TrainLora
from pipelines.train import material
from pipelines.train.material import Material
from pipelines.worker import Worker
from tests import training


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return training.dataset(tmp_path / "part", good=4, scratches=3)


def asked(runs: Path, data: Path | str, **fields: Any) -> TrainLora:
    found = intake.from_paths(
        requests.parse({"task": "train-lora", "base": "sd15", "data": str(data), **fields}), Assets(runs)
    )
    assert isinstance(found, TrainLora)
    return found


def gathered(runs: Path, data: Path | str, **fields: Any) -> Material:
    request = asked(runs, data, **fields)
    return material.gather(request, training.held(runs, request))


def names(examples: Any) -> list[str]:
    return [f"{one.image.parent.name}/{one.image.stem}" for one in examples]


def test_good_parts_or_one_defect_are_what_is_learned_from(runs: Path, data: Path) -> None:
    assert names(gathered(runs, data).learned) == [f"good/00{number}" for number in range(4)]
    found = gathered(runs, data, defect="scratch")
    assert names(found.learned) == [f"scratch/00{number}" for number in range(3)]
    picture, mask = material.read(found.learned[0])
    assert picture.shape == (*training.SIZE, 3)
    assert picture.dtype == np.float32
    assert picture.max() <= 1
    assert 20 < mask.sum() < 400
    assert names(gathered(runs, data, defect="scratch", train_share=0.34).learned) == ["scratch/000"]


def test_ordinary_pictures_lie_in_a_way_of_their_own(runs: Path, data: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    shutil.copytree(data / "train/good", plain)
    found = gathered(runs, data, layout="mvtec", class_data=str(plain))
    assert names(found.ordinary) == [f"plain/00{number}" for number in range(4)]


def test_pictures_of_one_part_are_held_back_together_and_always_the_same(runs: Path, data: Path) -> None:
    found = gathered(runs, data, validation_split=0.4)
    assert len(found.held) == 2
    assert not set(names(found.held)) & set(names(found.learned))
    assert names(gathered(runs, data, validation_split=0.4).held) == names(found.held)
    few = gathered(runs, data, defect="scratch", validation_split=0.4)
    assert (len(few.learned), len(few.held)) == (3, 0), "of three pictures none can be spared"


def test_a_project_a_run_and_a_data_set_by_its_id_are_pictures_too(runs: Path, data: Path) -> None:
    assets, store = Assets(runs), projects.Projects(runs)
    project = store.create("Parts").id
    store.add(project, [assets.put(one, one.name) for one in sorted((data / "train/good").iterdir())])
    assert len(gathered(runs, project).learned) == 4
    with pytest.raises(BadInput, match="the data set has no defect 'scratch'; it has nothing with a name"):
        gathered(runs, project, defect="scratch")
    id = datasets.put(runs, data, "the part").id
    assert datasets.put(runs, data, "the part").id == id
    assert len(gathered(runs, id).learned) == 4
    shutil.rmtree(data)
    with pytest.raises(Missing, match="the folder part of the data set is gone"):
        gathered(runs, id)
    with pytest.raises(BadInput, match="data: there is no folder nowhere: name a data set's folder"):
        asked(runs, "nowhere")
    with pytest.raises(BadInput, match="is no run, no project and no data set: choose one on the page"):
        intake.from_web({"task": "train-lora", "base": "sd15", "data": str(runs)}, Assets(runs))


def _without_masks(data: Path) -> None:
    shutil.rmtree(data / "ground_truth")


def _one_picture(data: Path) -> None:
    for number in (1, 2):
        (data / f"test/scratch/00{number}.png").unlink()
        (data / f"ground_truth/scratch/00{number}_mask.png").unlink()


def _empty_mask(data: Path) -> None:
    images.write_png(data / "ground_truth/scratch/001_mask.png", np.zeros(training.SIZE, bool))


def _other_size(data: Path) -> None:
    images.write_png(data / "ground_truth/scratch/001_mask.png", np.eye(20, dtype=bool))


def _twice(data: Path) -> None:
    for folder, end in (("test/scratch", ""), ("ground_truth/scratch", "_mask")):
        shutil.copy(data / f"{folder}/000{end}.png", data / f"{folder}/009{end}.png")


STOPPED = [
    (_without_masks, "missing_mask 3", "leave_out", None),
    (_empty_mask, "empty_mask 1", "leave_out", 2),
    (_other_size, "size_mismatch 1", "leave_out", 2),
    (_twice, "duplicate 1", "mend", 3),
]


@pytest.mark.parametrize(("spoil", "told", "choice", "left"), STOPPED, ids=[told for _, told, _, _ in STOPPED])
def test_a_fault_waits_for_a_choice(
    spoil: Any, told: str, choice: str, left: int | None, runs: Path, data: Path
) -> None:
    spoil(data)
    kind = told.partition(" ")[0]
    with pytest.raises(BadInput, match=told):
        gathered(runs, data, defect="scratch")
    assert len(gathered(runs, data).learned) == 4, "good parts have nothing to do with it"
    if left is not None:
        assert len(gathered(runs, data, defect="scratch", faults={kind: choice}).learned) == left


def test_one_picture_is_enough_and_pictures_of_all_sizes_are(runs: Path, data: Path) -> None:
    _one_picture(data)
    assert len(gathered(runs, data, defect="scratch").learned) == 1
    images.write_png(data / "train/good/008.png", cv2.resize(np.eye(9, dtype=np.uint8) * 200, (300, 90)))
    assert len(gathered(runs, data).learned) == 5


def test_the_check_lists_what_a_data_set_holds_and_its_faults(runs: Path, data: Path) -> None:
    _empty_mask(data)
    with Worker(runs, "cpu", ()) as worker:
        row, run = training.answer(worker, {"task": "check", "data": str(data)})
    assert row.state == "done", row.sentence
    import json

    found = json.loads((run / "result.json").read_text())
    assert (found["layout"], found["images"], found["good"], found["classes"]) == ("mvtec", 7, 4, {"scratch": 3})
    (fault,) = found["faults"]
    assert (fault["kind"], fault["count"], fault["stops"]) == ("empty_mask", 1, True)
    assert "leave_out" in fault["choices"]
    assert "001" in fault["sentences"][0]


def test_wishes_are_made_once_granted_and_taken_back(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="run nothing has not begun: there is nothing to pause yet"):
        wishes.make(tmp_path / "nothing", "pause")
    wishes.make(tmp_path, "pause")
    wishes.make(tmp_path, "pause")
    assert wishes.made(tmp_path, "pause")
    assert not wishes.made(tmp_path, "save")
    wishes.drop(tmp_path, "pause")
    wishes.drop(tmp_path, "pause")
    assert not wishes.made(tmp_path, "pause")


def test_the_newest_stage_1_of_a_data_set_is_found(runs: Path) -> None:
    import json

    def finished(id: str, **said: Any) -> None:
        folder = runs / id / "weights"
        folder.mkdir(parents=True)
        (folder / "pytorch_lora_weights.safetensors").write_bytes(b"")
        (runs / id / "request.json").write_text(json.dumps({"task": "train-lora", "base": "sd15", **said}))
        (runs / id / "result.json").write_text("{}")

    finished("20261101-000000-aaaaaa", stage=1, data="/a")
    finished("20261102-000000-aaaaaa", stage=1, data="/a")
    finished("20261103-000000-aaaaaa", stage=2, data="/a")
    finished("20261104-000000-aaaaaa", stage=1, data="/b")
    finished("20261105-000000-aaaaaa", stage=1, data="/a", base="sdxl")
    (runs / "20261102-000000-aaaaaa/result.json").rename(runs / "20261102-000000-aaaaaa/later")
    assert trainings.stage_one(runs, "sd15", "/a") == "20261101-000000-aaaaaa"
    (runs / "20261102-000000-aaaaaa/later").rename(runs / "20261102-000000-aaaaaa/result.json")
    assert trainings.stage_one(runs, "sd15", "/a") == "20261102-000000-aaaaaa"
    assert trainings.stage_one(runs, "sd15", "/c") is None
