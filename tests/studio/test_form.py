"""The form: every control is its field, and what it gives back is a request."""

from typing import Any

import gradio as gr
import pytest

from pipelines.core import kinds, presets, requests
from pipelines.core.errors import BadInput
from pipelines.core.requests import Inpaint
from studio import menu
from studio.form import Form, Words, bounds
from studio.tabs import which

ASSET = "asset-" + "0" * 20


@pytest.fixture
def form() -> Form:
    """The Paint tab's fields, drawn."""
    made = Form(Inpaint, which.FIELDS)
    made.draw(*which.FIELDS)
    return made


def defaults(form: Form) -> list[Any]:
    return [control.value for control in form.inputs]


def test_an_untouched_form_is_the_request_as_it_comes(form: Form) -> None:
    given = {"task": "inpaint", "image": ASSET, "mask": ASSET, "defect": "dent"}
    assert requests.parse({**given, **form.read(defaults(form))}) == requests.parse(given)


@pytest.mark.parametrize("name", which.FIELDS)
def test_bounds_and_help_of_a_control_are_the_fields_own(form: Form, name: str) -> None:
    info = Inpaint.model_fields[name]
    control = next(field for field in form.fields if field.name == name).parts[-1]
    assert info.description
    assert info.description in control.info
    assert f"`{name}`" in control.info
    low, high = bounds(info)
    if isinstance(control, gr.Slider | gr.Number):
        assert control.minimum == low
        assert control.maximum == (which.FIELDS[name].high or high)
        assert high is not None
        assert control.maximum <= high


def test_a_strict_upper_bound_is_not_on_the_slider(form: Form) -> None:
    assert form.fields[[field.name for field in form.fields].index("light")].parts[1].maximum == 359


def test_a_choice_shows_words_and_gives_the_fields_value(form: Form) -> None:
    assert form.control("label").choices == [("What changed", "changed"), ("What was painted", "asked")]


def test_a_field_that_may_be_empty_has_a_switch(form: Form) -> None:
    values = defaults(form)
    at = form.inputs.index(form.control("light"))
    assert form.read(values)["light"] is None
    values[at : at + 2] = [False, 90]
    assert form.read(values)["light"] == 90


def test_a_preset_sets_what_it_names_and_leaves_the_rest(form: Form) -> None:
    updates = form.show({"severity": 0.8, "light": 45.0, "look": {"fluid": "oil"}})
    by_control = dict(zip([control.elem_id for control in form.inputs], updates, strict=True))
    assert by_control["field-severity"]["value"] == 0.8
    assert by_control["auto-light"]["value"] is False
    assert by_control["field-light"] == {**by_control["field-light"], "value": 45.0, "visible": True}
    assert by_control["field-feather_px"] == gr.skip()


def test_a_new_field_becomes_a_control_of_its_kind() -> None:
    class Sample(requests.Request):
        task: str = "sample"
        tiles: bool = True
        remark: str = "x"

    made = Form(Sample, {"tiles": Words("Tiles"), "remark": Words("Remark")})
    made.draw("tiles", "remark")
    assert [type(control) for control in made.inputs] == [gr.Checkbox, gr.Textbox]
    assert made.read([False, "y"]) == {"tiles": False, "remark": "y"}


def test_every_choice_of_the_menu_is_a_request_that_passes(form: Form) -> None:
    given = {"task": "inpaint", "image": ASSET, "mask": ASSET}
    choices = [choice for _, product in menu.products() for _, choice in menu.defects(product)]
    assert {menu.fields(choice)["defect"] for choice in choices} == set(kinds.load())
    for choice in choices:
        found = requests.parse({**given, **form.read(defaults(form)), **menu.fields(choice)})
        assert isinstance(found, Inpaint)
        assert found.defect == menu.fields(choice)["defect"]
        assert menu.help_text(choice).endswith(f"`{menu.fields(choice)['defect']}`")
        assert menu.titles()[choice]


def test_the_menu_begins_with_any_product_and_ends_with_everything() -> None:
    ids = [id for _, id in menu.products()]
    assert ids[0] == "generic"
    assert ids[-1] == menu.EVERY
    assert set(ids[:-1]) == set(presets.products())


def test_a_product_or_defect_that_is_not_there_is_named() -> None:
    with pytest.raises(BadInput, match=r"no product 'cheese'; there is .*steel"):
        menu.defects("cheese")
    with pytest.raises(BadInput, match=r"no defect 'melt'; choose one of .*scratch"):
        menu.fields("melt")
    with pytest.raises(BadInput, match="no preset 'steel/melt'; there is "):
        menu.fields("steel/melt")
