"""Requests: what they take, what they refuse, and in which words."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core import ids, requests
from pipelines.core.errors import BadInput
from pipelines.core.requests import TASKS, Export, Inpaint, Region, parse

GOOD: dict[str, Any] = {"task": "inpaint", "image": "part.png", "mask": "mask.png", "defect": "scratch"}


def inpaint(**fields: Any) -> Inpaint:
    found = parse({**GOOD, **fields})
    assert isinstance(found, Inpaint)
    return found


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_parsed_under_its_own_name(name: str) -> None:
    request = parse({**TASKS[name].skeleton, "task": name})
    assert type(request) is TASKS[name]
    assert parse(request.model_dump(mode="json")) == request


REFUSED = [
    ({}, "task is missing"),
    (
        {"task": "paint"},
        "no task 'paint'; choose one of inpaint, control, annotate, text, dual, batch, grid, place, train-lora,",
    ),
    ({**GOOD, "severity": 1.5}, "severity = 1.5: input should be less than or equal to 1"),
    ({**GOOD, "severity": float("nan")}, "severity = nan"),
    ({**GOOD, "seed": 2**64}, "seed = 18446744073709551616: input should be less than or equal to 4294967295"),
    ({**GOOD, "seed": -1}, "seed = -1: input should be greater than or equal to 0"),
    ({**GOOD, "num_images": 0}, "num_images = 0: input should be greater than or equal to 1"),
    ({**GOOD, "seed": 2**32 - 1, "num_images": 2}, "choose a smaller seed"),
    ({**GOOD, "colour": "red"}, "colour: there is no such field"),
    ({**GOOD, "defect": "scrach"}, "no defect 'scrach'; choose one of"),
    ({**GOOD, "base": "sd9"}, "no base 'sd9'"),
    ({**GOOD, "look": {"nonsense": 1}}, "scratch has no such parameter"),
    ({**GOOD, "mask": None}, "mask is missing: paint where the defect goes"),
    ({**GOOD, "defect": None}, "defect is missing"),
    ({**GOOD, "regions": [{"mask": "a.png", "defect": "hole"}]}, "give one or the other"),
    (
        {"task": "inpaint", "image": "a.png", "look": {"depth": 1}, "regions": [{"mask": "a", "defect": "hole"}]},
        "in each region",
    ),
    ({**GOOD, "light": 360}, "light = 360: input should be less than 360"),
    ({"task": "export", "data": []}, "data"),
    ({"task": "export", "data": ["x"], "split": {"train": 0.9, "val": 0.9, "test": 0}}, "the shares must add up to 1"),
    ({"task": "export", "data": ["x"], "only": ["00000"]}, "only: '00000' is no picture: write RUN/00000"),
    ({"task": "export", "data": ["x"], "only": ["x/../00000"]}, "is no picture"),
    ({"task": "export", "data": ["x"], "format": "dota"}, "format = 'dota'"),
]


@pytest.mark.parametrize(("data", "sentence"), REFUSED, ids=[sentence[:40] for _, sentence in REFUSED])
def test_a_refusal_names_field_value_and_bound(data: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(data)
    assert sentence in str(refused.value)


KEYS = sorted({key for request in TASKS.values() for key in request.model_fields} | set(Region.model_fields) | {"x"})
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(["inpaint", "export", "scratch", "stain", "procedural", "coco", "changed", "oil", "a.png", ""])
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=12,
)
TABLES = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=12)


def answered(task: str, table: dict[str, Any]) -> None:
    """Whatever is asked, the answer is a request that survives its own JSON, or one sentence."""
    for data in (table, {**TASKS[task].skeleton, **table, "task": task}):
        try:
            request = parse(data)
        except BadInput as refused:
            said = str(refused)
        else:
            assert parse(json.loads(request.model_dump_json())) == request
            continue
        assert said


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(TASKS)), TABLES)
def test_any_table_is_a_request_or_a_sentence(task: str, table: dict[str, Any]) -> None:
    answered(task, table)


@pytest.mark.long
@settings(max_examples=10_000, deadline=None)
@given(st.sampled_from(sorted(TASKS)), TABLES)
def test_ten_thousand_tables_are_requests_or_sentences(task: str, table: dict[str, Any]) -> None:
    answered(task, table)


def test_a_request_is_not_a_list() -> None:
    with pytest.raises(BadInput, match="a request is a table of fields, not list"):
        parse([])


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        inpaint().__setattr__("seed", 3)


def test_every_field_has_its_help() -> None:
    for request in TASKS.values():
        for name, info in request.model_fields.items():
            assert name == "task" or info.description, f"{request.__name__}.{name} has no help"


def test_the_request_of_one_picture_is_its_own_first_picture() -> None:
    asked = inpaint(seed=7, num_images=5)
    third = asked.for_image(2)
    assert (third.seed, third.num_images) == (9, 1)
    assert third.for_image(0) == third


def test_regions_take_the_request_s_seed_and_light_unless_they_have_their_own() -> None:
    several = {"task": "inpaint", "image": "a.png", "seed": 5, "light": 90, "num_images": 3}
    regions = [{"mask": "a.png", "defect": "hole"}, {"mask": "b.png", "defect": "stain", "seed": 40, "light": 10}]
    request = parse({**several, "regions": regions})
    assert isinstance(request, Inpaint)
    assert [(area.seed, area.light) for area in request.areas()] == [(5, 90), (40, 10)]
    assert [area.seed for area in request.for_image(2).areas()] == [7, 42]


def test_regions_take_the_request_s_margins_unless_they_have_their_own() -> None:
    regions = [
        {"mask": "a.png", "defect": "hole"},
        {"mask": "b.png", "defect": "hole", "padding_px": 9, "feather_px": 0},
    ]
    request = parse({"task": "inpaint", "image": "a.png", "padding_px": 50, "feather_px": 3, "regions": regions})
    assert isinstance(request, Inpaint)
    assert [(one.padding_px, one.feather_px) for one in request.areas()] == [(50, 3), (9, 0)]
    alone = parse({"task": "inpaint", "image": "a.png", "mask": "b.png", "defect": "hole", "feather_px": 7})
    assert isinstance(alone, Inpaint)
    assert [(one.padding_px, one.feather_px) for one in alone.areas()] == [(64, 7)]


def test_a_region_without_margins_of_its_own_is_written_as_before_there_were_any() -> None:
    regions = [{"mask": "a.png", "defect": "hole"}, {"mask": "b.png", "defect": "hole", "padding_px": 9}]
    request = parse({"task": "inpaint", "image": "a.png", "regions": regions})
    first, second = request.model_dump(mode="json")["regions"]
    assert list(first) == ["mask", "defect", "severity", "seed", "light", "look"]
    assert second["padding_px"] == 9
    assert parse(request.model_dump(mode="json")) == request


def test_regions_without_a_seed_are_no_twins_and_take_the_request_s_severity() -> None:
    regions = [{"mask": "a.png", "defect": "hole"}, {"mask": "b.png", "defect": "hole", "severity": 0.2}]
    request = parse({"task": "inpaint", "image": "a.png", "seed": 5, "severity": 0.9, "regions": regions})
    assert isinstance(request, Inpaint)
    first, second = request.areas()
    assert first.seed == 5
    assert second.seed not in (5, None)
    assert (first.severity, second.severity) == (0.9, 0.2)


def test_a_file_may_be_named_by_hash_as_metadata_does() -> None:
    request = inpaint(image={"name": "part.png", "sha256": "ab" * 32})
    assert request.image == ids.asset("ab" * 32, "part.png")


def test_files_are_found_and_replaced_wherever_they_stand() -> None:
    assert list(requests.files(inpaint())) == [("image", "image", "part.png"), ("mask", "mask", "mask.png")]
    request = parse({"task": "inpaint", "image": "a.png", "regions": [{"mask": "b.png", "defect": "hole"}]})
    assert list(requests.files(request)) == [("image", "image", "a.png"), ("regions.0.mask", "mask", "b.png")]
    changed = requests.with_files(request, lambda field, kind, value: f"{kind}:{value}")
    assert (changed["image"], changed["regions"][0]["mask"]) == ("image:a.png", "mask:b.png")


def test_one_run_to_export_may_be_given_without_a_list() -> None:
    request = parse({"task": "export", "data": "20260101-000000-abcdef"})
    assert isinstance(request, Export)
    assert request.data == ("20260101-000000-abcdef",)


def test_a_short_request_goes_before_a_long_one() -> None:
    assert inpaint(num_images=2).priority() > inpaint(num_images=40).priority() > inpaint(num_images=5000).priority()
