"""One thing tried several ways: every cell as it would be alone, on labelled sheets."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.core import images, intake, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput
from pipelines.core.requests import Grid
from tests import pictures
from tests.generate.test_batch import answered, manifest


def ready(folder: Path, runs: Path, **fields: Any) -> Grid:
    template = pictures.request(folder, picture=pictures.good(40, 48), seed=5)
    data = {"task": "grid", "template": template, "x": {"field": "severity", "values": [0.3, 0.6, 0.9]}, **fields}
    found = intake.from_paths(requests.parse(data), Assets(runs))
    assert isinstance(found, Grid)
    return found


def test_every_cell_is_what_it_would_be_alone_and_can_be_made_again(tmp_path: Path, runs: Path) -> None:
    y = {
        "ways": [
            {"label": "hole", "fields": {}},
            {"label": "rust", "fields": {"defect": "stain", "look.fluid": "rust"}},
        ]
    }
    request = ready(tmp_path, runs, y=y)
    row, run = answered(request, runs)
    assert row.state == "done", row.sentence
    found = manifest(run)
    assert [(one["cell"]["row"], one["cell"]["column"]) for one in found] == [
        (label, f"severity {value}") for label in ("hole", "rust") for value in (0.3, 0.6, 0.9)
    ]
    assert {one["seed"] for one in found} == {5}
    told = images.read_request(run / found[4]["file"])
    assert told is not None
    assert (told["defect"], told["severity"], told["look"]) == ("stain", 0.6, {"fluid": "rust"})
    _, alone = answered(intake.from_web(told, Assets(runs)), runs)
    assert (alone / "images/00000.png").read_bytes() == (run / found[4]["file"]).read_bytes()
    assert images.read(run / "grid.png").pixels.shape[1] > 3 * 48


def test_three_axes_and_seeds_make_a_sheet_for_each(tmp_path: Path, runs: Path) -> None:
    y, z = {"field": "defect", "values": ["hole", "dent"]}, {"field": "feather_px", "values": [0, 2]}
    row, run = answered(ready(tmp_path, runs, y=y, z=z, seeds=[1, 2]), runs)
    assert row.state == "done", row.sentence
    told = json.loads((run / "result.json").read_text())
    assert (told["images"], told["shape"]) == (24, [2, 2, 3, 2])
    assert [one["file"] for one in told["sheets"]] == ["grid-1-1.png", "grid-1-2.png", "grid-2-1.png", "grid-2-2.png"]
    assert all((run / one["file"]).is_file() for one in told["sheets"])
    assert [(one["cell"]["place"], one["seed"]) for one in manifest(run)][:3] == [
        ([0, 0, 0, 0], 1), ([0, 0, 0, 1], 2), ([0, 0, 1, 0], 1),
    ]  # fmt: skip


def test_words_of_a_prompt_are_tried_in_every_selection() -> None:
    template = {"task": "text", "base": "sd15", "prompt": "steel"}
    grid = requests.parse({"task": "grid", "template": template, "x": {"words": ["rust", "scratch"]}})
    assert isinstance(grid, Grid)
    prompts = [grid.cell(index).model_dump()["prompt"] for index in range(grid.length())]
    assert prompts == ["steel", "steel, rust", "steel, scratch", "steel, rust, scratch"]
    assert [grid.labels(index)[2] for index in range(4)] == ["steel", "rust", "scratch", "rust + scratch"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"x": {"field": "severity", "values": [0.2, 4]}}, "severity 4: severity = 4"),
        ({"x": {"field": "severity", "values": []}}, "give one of the three"),
        ({"x": {"values": [1]}}, "belong together"),
        ({"x": {"field": "seed", "values": [1, 1]}}, "'seed 1' stands twice"),
        ({"x": {"field": "seed", "values": [1]}, "seeds": [2**33]}, "seeds holds"),
        ({"template": {"task": "export"}}, "a grid repeats one of"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, runs: Path, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        ready(tmp_path, runs, **fields)
