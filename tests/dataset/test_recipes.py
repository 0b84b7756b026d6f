"""A data set made again from its card: the recipe runs elsewhere and gives the same bytes, or says what it lacks."""

import json
import shutil
import signal
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipelines.__main__ import main
from pipelines.core import images, intake, recipes, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Missing
from pipelines.core.queue import Queue
from pipelines.core.runs import judge
from pipelines.parts import loaders, targets
from pipelines.worker import Worker
from tests import pictures
from tests.dataset.test_export import done, tree, unpacked
from tests.runs import write


def answered(data: dict[str, Any], runs: Path) -> str:
    """The id of the run that answered it."""
    request = intake.from_paths(requests.parse(data), Assets(runs))
    with Worker(runs, "cpu", ()) as worker:
        row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
    assert row.state == "done", row.sentence
    return row.id


@pytest.fixture
def made(tmp_path: Path, runs: Path) -> list[str]:
    """A picture by hand, the same request once more, and a batch of three with a mask that is placed."""
    (tmp_path / "in").mkdir()
    one = pictures.request(tmp_path / "in", num_images=2)
    images.write_png(tmp_path / "in" / "other.png", pictures.good(48, 64, seed=4))
    images.write_png(tmp_path / "in" / "area.png", pictures.disc(48, 64, radius=20))
    batch = {
        "task": "batch", "template": {"task": "inpaint", "severity": 0.9}, "count": 3, "tries": 2,
        "sources": [str(tmp_path / "in" / "other.png")], "defects": ["hole", "stain"],
        "place": {"legal": str(tmp_path / "in" / "area.png")}, "gates": {"duplicate_bits": None},
        "vary": [{"field": "severity", "low": 0.6, "high": 0.9}],
    }  # fmt: skip
    return [answered(one, runs), answered(one, runs), answered(batch, runs)]


@pytest.fixture
def signals() -> Any:
    """The command line answers to Ctrl-C in its own way; tests do not."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("kind", ["webdataset", "coco"])
def test_a_recipe_makes_the_same_data_set_elsewhere(
    tmp_path: Path, runs: Path, made: list[str], kind: str, signals: None, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(runs / made[0], {"00001": "discarded"})
    done(runs, made, format=kind, output=str(tmp_path / "set"), name="nut", shard_size=3)
    first = tree(tmp_path / "set")
    del first[targets.LIST]
    assert len(json.loads(first["recipe.json"])) == 4
    assert not any(name.encode() in first["recipe.json"] for name in (str(tmp_path), *made))
    (tmp_path / "elsewhere").mkdir()
    for name in ("part.png", "mask.png", "other.png", "area.png"):
        shutil.copy(tmp_path / "in" / name, tmp_path / "elsewhere")
    recipe = tmp_path / "elsewhere" / "recipe.json"
    recipe.write_bytes(first["recipe.json"])
    code = main(["run", str(recipe), "--runs", str(tmp_path / "fresh")])
    said = capsys.readouterr()
    assert code == 0, said.err
    again = unpacked(Path(said.out.splitlines()[-1]) / "export.zip", tmp_path / "again")
    assert tree(again) == first


def test_the_card_says_what_a_batch_was_asked_for_and_what_became_of_it(runs: Path, made: list[str]) -> None:
    folder, _ = done(runs, made[2:], format="folder")
    with zipfile.ZipFile(folder / "export.zip") as packed:
        card = packed.read("README.md").decode()
        assert images.decode(packed.read("sheet.jpg"), "sheet.jpg").width > 64
    assert '"low": 0.6' in card
    assert '"vary"' in card
    assert "It kept 3 of 3 after" in card
    assert "base procedural: 3 pictures (licence: Apache-2.0)" in card.replace("\\", "")
    assert "python -m pipelines run recipe.json" in card


def test_over_http_the_requests_of_a_recipe_go_in_one_by_one(tmp_path: Path, runs: Path, made: list[str]) -> None:
    done(runs, made[1:], format="coco", output=str(tmp_path / "set"))
    *asked, export = json.loads((tmp_path / "set/recipe.json").read_text())
    assets = Assets(runs)
    for one, run in zip(asked, made[1:], strict=True):
        again = intake.from_web(one, assets)
        assert again.model_dump(mode="json") == json.loads((runs / run / "request.json").read_text())
    found = intake.from_web(export, assets)
    assert isinstance(found, requests.Export)
    assert found.data == tuple(made[1:])
    with pytest.raises(Missing, match=r"2 of the runs .* are not done here"):
        intake.from_web(export, Assets(tmp_path / "fresh"))
    with pytest.raises(Missing, match=r"\.png with the sha256 [0-9a-f]{12}… is not here: put that file beside"):
        intake.from_web(asked[0], Assets(tmp_path / "fresh"))


def test_a_file_of_the_same_name_with_other_content_is_not_taken(tmp_path: Path, runs: Path) -> None:
    (tmp_path / "part.png").write_bytes(b"something else")
    named = {"image": {"name": "part.png", "sha256": "0" * 64}}
    with pytest.raises(Missing, match=r"part\.png"):
        recipes.brought(named, Assets(runs), [tmp_path])


def test_json_without_end_is_refused() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BadInput, match="nested too deeply"):
        recipes.brought(deep, Assets(Path()))


def test_a_run_that_does_not_know_what_was_asked_is_said_to_be_missing_from_the_recipe(
    runs: Path, tmp_path: Path
) -> None:
    write(runs, "a", [[("hole", pictures.disc())]])
    done(runs, ["a"], format="coco", output=str(tmp_path / "set"))
    assert json.loads((tmp_path / "set/recipe.json").read_text()) == []
    card = (tmp_path / "set/README.md").read_text()
    assert "is not known any more: 1 runs" in card
    assert "None of it can be made again" in card


def test_the_newest_of_equal_runs_is_meant(runs: Path, made: list[str]) -> None:
    assets = Assets(runs)
    name = recipes.made(Queue(runs).get(made[0]).request, assets)
    assert name == recipes.made(Queue(runs).get(made[1]).request, assets)
    export = requests.parse({"task": "export", "data": [name, f"{name}.2"], "only": [f"{name}/00000"]})
    assert isinstance(export, requests.Export)
    found = recipes.found(export, assets)
    assert (found.data, found.only) == ((made[1], made[0]), (f"{made[1]}/00000",))


@pytest.mark.parametrize("kind", ["captioned", "labelme", "matlab", "yolo"])
def test_the_sheet_beside_the_card_is_no_picture_of_the_data_set(runs: Path, tmp_path: Path, kind: str) -> None:
    write(runs, "a", [[("hole", pictures.disc())]] * 3)
    done(runs, ["a"], format=kind, output=str(tmp_path / "set"))
    found = loaders.load(tmp_path / "set", report=lambda fault: None)
    assert len({example.image for example in found}) == 4
    assert "sheet.jpg" not in {example.image.name for example in found}
