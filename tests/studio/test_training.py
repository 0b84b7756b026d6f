"""What the Train tab offers and asks, and the numbers it draws; and that every preset is a request."""

import math
from pathlib import Path
from typing import Any

import pytest

from pipelines.core import requests, training_presets
from pipelines.core.adapter_names import EMBEDDINGS_FILE
from pipelines.core.errors import BadInput, Missing
from pipelines.core.library import Library
from studio import i18n, sets, training
from studio.chart import MOST_POINTS, Log
from studio.context import Context
from tests import adapters, models
from tests.studio import trained

SAY = i18n.language()
HELD = {"recipe": "once", "preset": "balanced", "base": "tiny", "data": "dataset-0123456789ab", "defect": "scratch"}


@pytest.fixture
def context(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """A studio with a tiny base and a folder of data sets that was opened to it."""
    monkeypatch.setenv("FLAWSMITH_MODELS", str(tmp_path / "models"))
    models.base(tmp_path / "models" / "tiny")
    trained.dataset(tmp_path / "data" / "washer")
    return Context.open(runs, [tmp_path / "data"])


# -- presets


@pytest.mark.parametrize("recipe", training_presets.load())
@pytest.mark.parametrize("preset", training_presets.PRESETS)
def test_every_preset_of_every_recipe_is_a_request(recipe: str, preset: str) -> None:
    found = training_presets.get(recipe)
    more = {"defect": "scratch"} if found.wants_defect else {}
    asked = {**found.presets[preset], **more, "task": found.task, "base": "sd15", "data": "data"}
    request = requests.parse(asked)
    assert isinstance(request, requests.Training)
    assert request.max_train_steps


def test_the_published_presets_have_the_numbers_of_the_paper() -> None:
    good, defect = (training_presets.get(one).presets["published"] for one in ("good", "defect"))
    said = ("stage", "max_train_steps", "learning_rate", "train_batch_size", "rank", "alpha", "instance_prompt")
    assert [good[name] for name in said] == [1, 5000, 2e-5, 8, 32, 32, "a vfx"]
    assert [defect[name] for name in said] == [2, 3000, 2e-5, 4, 32, 32, "a vfx with sks"]
    assert defect["part_prompt"] == "sks"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[good]\nstage = 1", "names its task"),
        ('[good]\ntask = "train-lora"\n[good.fast]', "no preset balanced"),
        ('[good]\ntask = "train-lora"\n[good.fast]\nranks = 3', "no field 'ranks'"),
        ('[good]\ntask = "train-lora"\n[good.fast]\nrank = 0', "rank = 0"),
        ("[good", "not valid TOML"),
    ],
)
def test_a_wrong_preset_is_named_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "training.toml").write_text(text)
    with pytest.raises(BadInput, match=said) as refused:
        training_presets.load(tmp_path / "training.toml")
    assert "training.toml" in str(refused.value)


# -- the form


def test_a_number_is_asked_for_as_a_number() -> None:
    """A bound that is missing would make a text of it."""
    numbers = {
        name
        for name, field in training.controls(SAY).items()
        if field["kind"] == "text" and not isinstance(field["start"], str)
    }
    assert numbers == set()


@pytest.mark.parametrize("code", i18n.codes())
def test_every_control_has_words_in_every_language(code: str) -> None:
    say = i18n.language(code)
    assert {name for group in training.groups(say) for name in group["fields"]} == set(training.controls(say))
    assert all(field["help"] for field in training.controls(say).values())


def test_every_kind_of_fault_has_words() -> None:
    from pipelines.parts import faults

    assert set(faults.KINDS) <= set(SAY.table("train")["faults"])


def test_what_a_form_holds_becomes_its_preset_with_what_was_changed(context: Context) -> None:
    changed = {"once": {"rank": 8, "validation_prompts": "one\n\n two ", "task": "export"}, "good": {"rank": 99}}
    (data,) = training.asked({**HELD, "changed": changed, "faults": {"empty_mask": "leave_out"}})
    request = requests.parse(data)
    assert isinstance(request, requests.TrainLora)
    assert (request.rank, request.lr_scheduler, request.max_train_steps) == (8, "cosine", 2000)
    assert (request.defect, request.part_prompt, request.faults) == ("scratch", "sks", {"empty_mask": "leave_out"})
    assert request.validation_prompts == ("one", "two")


def test_steps_that_were_left_empty_leave_the_length_to_the_epochs(context: Context) -> None:
    changed = {"once": {"max_train_steps": None, "num_train_epochs": 3}}
    request = requests.parse(training.asked({**HELD, "changed": changed})[0])
    assert isinstance(request, requests.TrainLora)
    assert (request.max_train_steps, request.num_train_epochs) == (None, 3)


def test_one_click_asks_for_every_defect(context: Context) -> None:
    every = {**HELD, "defect": training.EVERY, "classes": ["scratch", "hole", "scratch", 3]}
    assert [one["defect"] for one in training.asked(every)] == ["scratch", "hole"]
    assert [one["estimate"] for one in training.asked({**every, "estimate": True})] == [True]


def test_the_good_part_is_asked_for_without_a_defect(context: Context) -> None:
    (data,) = training.asked({**HELD, "recipe": "good"})
    assert "defect" not in data
    assert data["stage"] == 1


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"recipe": "sorcery"}, "recipe", "no recipe"),
        ({"preset": "slow"}, "preset", "no preset"),
        ({"data": ""}, "data", "no data"),
        ({"base": ""}, "base", "no base is chosen"),
        ({"base": "sd15"}, "base", "cannot draw yet"),
        ({"defect": " "}, "defect", "no defect is chosen"),
        ({"defect": "*"}, "defect", "no kind of defect"),
        ({"defect": "*", "classes": [str(one) for one in range(65)]}, "", "more than 64"),
    ],
)
def test_what_a_form_lacks_is_said(context: Context, change: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        training.asked({**HELD, **change})
    assert refused.value.field == field


@pytest.mark.parametrize("held", [None, [], "x", {"recipe": ["once"]}, {**HELD, "changed": [1], "faults": 3}])
def test_nothing_that_a_browser_sends_breaks_it(context: Context, held: Any) -> None:
    try:
        training.asked(held)
    except BadInput:
        pass
    else:
        assert held["changed"] == [1]


def test_of_several_trainings_none_is_queued_when_one_is_refused(context: Context) -> None:
    with pytest.raises(Missing, match="no data set"):
        training.submitted(context, {**HELD, "defect": "*", "classes": ["scratch", "hole"]})
    assert context.queue.count_open() == 0


def test_a_finished_training_is_offered_to_begin_from_and_goes_to_paint(context: Context) -> None:
    data, words = "dataset-0123456789ab", "a vfx with sks"
    run = trained.training(context.runs, "done", base="tiny", data=data, defect="scratch", instance_prompt=words)
    (start,) = training.offered(context, SAY)["starts"]
    assert (start["id"], start["base"], start["defect"]) == (run, "tiny", "scratch")
    form = training.used(context, SAY, run)
    (entry,) = Library(context.runs).every().entries
    assert entry.name.startswith("scratch")
    assert form["common"]["adapters"] == [{"path": entry.id, "weight": 1}]
    assert form["prompt"] == words
    assert training.used(context, SAY, run) == form  # a second time adds nothing


def test_what_learned_to_fill_in_paints_as_the_paper_does_with_its_word_beside_it(context: Context) -> None:
    fields: dict[str, Any] = {
        "task": "train-defectfill",
        "base": "sd15-inpaint",
        "data": "dataset-0123456789ab",
        "defect": "scratch",
    }
    run = trained.training(context.runs, "done", **fields, object="tile", word="<{defect}>", new_word=True)
    (context.runs / run / "weights" / EMBEDDINGS_FILE).write_bytes(adapters.written({"<scratch>": (1, 768)}))
    form = training.used(context, SAY, run)
    assert form["prompt"] == "A tile with <scratch>"
    assert sorted(form["adapter_names"].values()) == [f"scratch {run[:8]}", f"scratch {run[:8]}, its word"]
    assert [use["weight"] for use in form["common"]["adapters"]] == [1, 1]


def test_what_has_made_nothing_yet_cannot_be_used(context: Context) -> None:
    run = trained.training(context.runs, "running", 40, data="dataset-0123456789ab", defect="scratch")
    with pytest.raises(Missing, match="no adapter yet"):
        training.used(context, SAY, run)


# -- the numbers


def log_of(losses: list[float], **more: Any) -> Log:
    log = Log()
    for step, loss in enumerate(losses, start=1):
        log.take({"time": 0, "step": step, "loss": loss, "learning_rate": 1e-4, "grad_norm": 1.0, **more})
    return log


@pytest.mark.parametrize("count", [0, 1, 7, 500, 501, 12_345])
def test_however_many_steps_few_points_are_drawn_and_the_last_is_among_them(count: int) -> None:
    drawn = log_of([1.0] * count, denoising=0.7).drawn()
    assert len(drawn["points"]) == len(drawn["smooth"]) <= MOST_POINTS
    assert not count or drawn["points"][-1] == [count, 1.0, 0.7, 1e-4]
    assert not count or drawn["columns"] == ["step", "loss", "denoising", "learning_rate"]


def test_the_smoothed_loss_lies_where_the_noise_has_its_middle() -> None:
    noisy = [0.5 + 0.2 * math.sin(step * 12.9898) for step in range(4000)]
    smooth = [row[0] for row in log_of(noisy).drawn()["smooth"]]
    assert all(abs(value - 0.5) < 0.06 for value in smooth[20:])


def test_a_step_that_was_no_number_leaves_a_gap() -> None:
    log = log_of([0.5, 0.4])
    log.take({"step": 3, "loss": None, "learning_rate": 1e-4})
    log.take({"step": 4, "loss": 0.3, "learning_rate": None})
    points = log.drawn()["points"]
    assert [one[1] for one in points] == [0.5, 0.4, None, 0.3]
    assert points[-1][-1] is None


def looks(log: Log, **values: list[float]) -> Log:
    for name, found in values.items():
        for place, value in enumerate(found):
            log.take({"step": (place + 1) * 10, "samples": {}, name: value})
    return log


FALLS = [1.0 - step / 100 for step in range(60)]


@pytest.mark.parametrize(
    ("losses", "values", "hints"),
    [
        (FALLS, {"held_out": [0.5, 0.3, 0.2, 0.25, 0.3]}, ["held_out"]),
        (FALLS, {"held_out": [0.5, 0.3, 0.2, 0.19, 0.3]}, []),
        (FALLS, {"held_out": [0.5, 0.6]}, []),
        ([0.2 + step / 50 for step in range(60)], {"held_out": [0.5, 0.3, 0.2, 0.25, 0.3]}, []),
        (FALLS, {"diversity": [0.5, 0.4, 0.3]}, ["alike"]),
        (FALLS, {"diversity": [0.5, 0.5, 0.45]}, []),
    ],
)
def test_learning_by_heart_is_hinted_at(losses: list[float], values: dict[str, Any], hints: list[str]) -> None:
    assert looks(log_of(losses), **values).hints() == hints


# -- pictures of a data set


def test_real_pictures_are_those_of_the_defect_or_good_ones(context: Context, tmp_path: Path) -> None:
    from pipelines.core import datasets

    made = datasets.put(context.runs, tmp_path / "data" / "washer", "washer")
    scratched = sets.pictures(context, made.id, "scratch")
    assert {one.parent.name for one in scratched} == {"scratch"}
    assert {one.parent.parent.name for one in scratched} == {"test"}
    assert {one.parent.name for one in sets.pictures(context, made.id, None)} == {"good"}
    assert len(sets.pictures(context, made.id, "never heard of")) == sets.REAL


def test_of_a_folder_that_was_not_opened_no_picture_is_shown(context: Context, tmp_path: Path) -> None:
    from pipelines.core import datasets

    secret = datasets.put(context.runs, trained.dataset(tmp_path / "elsewhere"), "elsewhere")
    assert sets.pictures(context, secret.id, None) == []
    assert sets.pictures(context, str(tmp_path / "elsewhere"), None) == []
