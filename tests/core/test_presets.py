"""Presets: each one that ships is valid, and a wrong one is named to the field."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.core import presets
from pipelines.core.errors import BadInput
from pipelines.core.requests import Export, Inpaint

SHIPPED = [preset.id for product in presets.products().values() for preset in product.presets]
FILES: dict[str, Any] = {"image": "part.png", "mask": "mask.png"}


def test_the_products_of_this_house_are_there() -> None:
    assert set(presets.products()) >= {"generic", "steel", "tile", "leather", "wood", "board"}


def test_the_six_classes_of_the_steel_set_have_a_preset() -> None:
    steel = {preset.id.split("/")[1] for preset in presets.products()["steel"].presets}
    assert steel >= {"crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches"}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_preset_fills_a_request(name: str) -> None:
    request = presets.fill(Inpaint, name, seed=7, **FILES)
    assert isinstance(request, Inpaint)
    assert request.seed == 7
    for field, value in presets.get(name).fields.items():
        assert getattr(request, field) == value


def test_what_a_person_sets_stands_above_the_preset() -> None:
    request = presets.fill(Inpaint, "steel/patches", severity=0.9, **FILES)
    assert isinstance(request, Inpaint)
    assert request.severity == 0.9


WRONG = [
    ("[a]\ncolour = 1", r"x.toml \[a\]: no field 'colour'"),
    ("[a]\nseverity = 2", r"x.toml \[a\]: severity = 2"),
    ("[a]\ndefect = 'scrach'", r"x.toml \[a\]: no defect 'scrach'"),
    ("[a]\ntask = 'paint'", "no task 'paint'"),
    ("[a]\ndefect = 'scratch'\nlook = { nonsense = 1 }", "has no such parameter"),
    ("seed = 3", "'seed' stands outside a table"),
    ("[a", "x.toml is not valid TOML"),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG, ids=[text for text, _ in WRONG])
def test_a_wrong_preset_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(BadInput, match=sentence):
        presets.products(tmp_path)


def test_an_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match=r"no preset 'steel/scrach'; there is .*steel/scratches"):
        presets.get("steel/scrach")


def test_a_preset_for_another_task_is_refused() -> None:
    with pytest.raises(BadInput, match="preset steel/patches is for inpaint, not for export"):
        presets.fill(Export, "steel/patches", data="x")
