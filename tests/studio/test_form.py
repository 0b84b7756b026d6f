"""The form: what the page is told of a request's fields is what the fields say of themselves."""

from typing import Any, Literal

import pytest
from pydantic import Field

from pipelines.core import requests
from pipelines.core.requests import Inpaint
from studio import form, i18n
from studio.form import Limits, bounds
from studio.tabs import which

SAY = i18n.language("en")


@pytest.fixture
def told() -> dict[str, dict[str, Any]]:
    """What the Paint tab's card is told."""
    return form.controls(SAY, Inpaint, which.LIMITS)


def test_what_an_untouched_form_holds_is_the_request_as_it_comes(told: dict[str, dict[str, Any]]) -> None:
    given = {"task": "inpaint", "image": "a.png", "mask": "b.png", "defect": "dent"}
    held = {name: one["start"] for name, one in told.items()}
    assert requests.parse({**given, **held}) == requests.parse(given)


@pytest.mark.parametrize("name", which.LIMITS)
def test_bounds_and_help_are_the_fields_own(told: dict[str, dict[str, Any]], name: str) -> None:
    info, one = Inpaint.model_fields[name], told[name]
    assert one["help"] == info.description
    assert one["label"]
    low, high = bounds(info)
    if one["kind"] in ("slide", "number"):
        assert one["low"] == low
        assert one["high"] == (which.LIMITS[name].high or high)
        assert one["high"] <= high


def test_every_field_has_the_control_of_its_kind(told: dict[str, dict[str, Any]]) -> None:
    kinds = {"severity": "slide", "strength": "slide", "num_images": "number", "seed": "number", "base": "text"}
    more = {"light": "slide", "feather_px": "slide", "padding_px": "slide", "label": "choice"}
    diffused = {
        "prompt": "text",
        "negative_prompt": "text",
        "guidance_scale": "slide",
        "guidance_rescale": "slide",
        "guidance_start": "slide",
        "guidance_end": "slide",
        "num_inference_steps": "slide",
        "scheduler": "choice",
        "clip_skip": "slide",
        "adapter_scale": "slide",
        "prompt_noise": "slide",
        "num_candidates": "slide",
        "select": "choice",
        "attention_maps": "switch",
    }
    assert {name: one["kind"] for name, one in told.items()} == {**kinds, **more, **diffused}


def test_a_strict_upper_bound_is_not_on_the_slider(told: dict[str, dict[str, Any]]) -> None:
    assert told["light"]["high"] == 359


def test_a_choice_shows_words_and_gives_the_fields_value(told: dict[str, dict[str, Any]]) -> None:
    assert told["label"]["choices"] == [["changed", "What changed"], ["asked", "What was painted"]]


def test_only_a_field_that_may_be_empty_says_what_emptiness_means(told: dict[str, dict[str, Any]]) -> None:
    assert {name for name, one in told.items() if "auto" in one} == {
        "light",
        "label",
        "guidance_scale",
        "guidance_rescale",
        "num_inference_steps",
        "scheduler",
    }


def test_a_field_of_another_kind_is_told_as_such() -> None:
    class Sample(requests.Request):
        task: str = "sample"
        seed: bool = Field(True, description="x")
        label: str = Field("y", description="x")
        strength: Literal["a"] = "a"

    told = form.controls(SAY, Sample, {"seed": Limits(), "label": Limits()})
    assert {name: one["kind"] for name, one in told.items()} == {"seed": "switch", "label": "text"}
