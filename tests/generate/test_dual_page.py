"""Pairs on the page: what Generate asks, what the comparison and Review say of them, and a pair's form again."""

from pathlib import Path

import pytest

from pipelines.core import library, requests
from pipelines.core.errors import BadInput
from studio import i18n, making, results, review, training
from studio.context import Context
from tests.studio import trained

SAY = i18n.language()
ROW = {
    "file": "images/00000.png",
    "mask": "masks/00000.png",
    "thumb": "thumbs/00000.jpg",
    "part": "parts/00000.png",
    "prompt": "a vfx with sks",
    "regions": [{}],
    "seed": 3,
    "found": {"method": "grey", "threshold": 25.5, "area": 0.0312},
    "scores": {"outside_max": 0, "fidelity": 1, "visibility": 0},
}


@pytest.fixture
def context(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setenv("FLAWSMITH_MODELS", str(tmp_path / "models"))
    return Context.open(runs)


@pytest.fixture
def run(context: Context) -> str:
    """A finished training of pairs."""
    fields = {"task": "train-dual", "base": "sd15", "data": "dataset-0123456789ab", "defect": "scratch"}
    id = trained.training(context.runs, "running", 0, **fields)
    (context.runs / id / "weights").mkdir()
    (context.runs / id / "weights" / library.DUAL_FILE).write_bytes(b"a model")
    (context.runs / id / "result.json").write_text("{}")
    return id


def test_a_training_of_pairs_goes_to_generate_and_asks_for_pairs(context: Context, run: str) -> None:
    (offered,) = making.offered(context, SAY, None)["trainings"]
    assert offered["id"] == run
    assert offered["pairs"] is True
    assert training.pairs(context, run) == {"id": run, "label": f"scratch · sd15 · {run[:8]}"}
    assert [one["pairs"] for one in training.offered(context, SAY)["starts"]] == [True]
    fields = {"model": run, "num_images": 3, "seed": 5, "prompt": "not for pairs", "guidance_scale": None}
    asked = making.asked({"fields": {**fields, "adapter_scale": 0.8, "base": "away"}})
    assert asked == {"task": "dual", "model": run, "num_images": 3, "seed": 5, "adapter_scale": 0.8}
    assert isinstance(requests.parse(asked), requests.Dual)


def test_another_training_has_no_pairs(context: Context) -> None:
    data = "dataset-0123456789ab"
    other = trained.training(context.runs, "done", base="sd15", data=data, defect="scratch")
    assert training.pairs(context, other) is None
    with pytest.raises(BadInput, match="no base is chosen"):
        making.asked({"fields": {"model": ""}})


def test_a_pair_stands_alone_and_says_how_large_its_defect_is(context: Context) -> None:
    item = results.item(context, SAY, "run", ROW, {})
    assert (item["before"], item["exact"], item["note"]) == ("", [], "")
    assert item["mask"] == "/files/run/masks/00000.png"
    (fact,) = item["facts"]
    assert fact["text"] == "The defect covers 3.1 % of the picture"
    assert fact["name"] == "grey 25.5"
    assert review.results.seen(SAY, ROW) == item["facts"]


def test_a_pairs_form_comes_back(context: Context) -> None:
    model = context.assets.put(b"a model", library.DUAL_FILE)
    request = requests.Dual.model_validate({"task": "dual", "model": model.id, "seed": 9, "num_inference_steps": 30})
    form = making.of_pairs(context, request)
    assert form["shown"] == {"pairs": library.DUAL_FILE}
    assert form["fields"] | {"model": model.id, "seed": 9, "num_inference_steps": 30} == form["fields"]
    assert requests.parse(making.asked(form)) == request
