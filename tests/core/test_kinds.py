"""The tables of defect kinds: complete, well-formed, and refused by name when they are not."""

import random
from pathlib import Path

import pytest

from pipelines.core import kinds, shapes
from pipelines.core.errors import BadInput

IDS = (
    *("scratch", "scratches", "crack", "crazing", "pitted_surface", "inclusion", "patches", "rolled-in_scale", "hole"),
    *("dent", "bump", "stain", "color", "contamination", "missing", "cut", "fold", "glue", "burr"),
    *("open", "short", "spur", "mousebite", "pin_hole", "spurious_copper"),
)
GOOD = """
[gouge]
label = "Gouge"
help = "A deep furrow"
shape = "line"
[gouge.recipe]
painter = "scratches"
[gouge.parameters]
width = { low = 0, high = 10, mild = [1, 2], severe = [3, 6], help = "Width" }
tone = { choices = ["dark", "bright"], help = "Tone" }
depth = { low = 0, high = 1, default = 0.5, help = "Depth" }
"""


def folder(tmp_path: Path, text: str) -> Path:
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    return tmp_path


def test_every_promised_defect_is_there() -> None:
    assert set(IDS) <= set(kinds.load())


@pytest.mark.parametrize("name", IDS)
def test_a_kind_names_a_brush_a_painter_and_parameters_a_person_can_read(name: str) -> None:
    kind = kinds.get(name)
    assert kind.shape in shapes.SHAPES
    assert kind.recipe["painter"]
    assert kind.parameters
    assert all(len(parameter.help) > 10 for parameter in kind.parameters.values())


@pytest.mark.parametrize("severity", [0.0, 0.4, 1.0])
def test_settled_values_lie_within_their_bounds(severity: float) -> None:
    chance = random.Random(1)
    for kind in kinds.load().values():
        kind.check(kind.settle(severity, {}, chance.random))


def test_severity_moves_a_value_from_mild_to_severe(tmp_path: Path) -> None:
    kind = kinds.load(folder(tmp_path, GOOD))["gouge"]
    assert kind.settle(0, {}, lambda: 0.5)["width"] == 1.5
    assert kind.settle(1, {}, lambda: 0.5)["width"] == 4.5


def test_what_was_asked_is_kept_and_does_not_reshuffle_the_rest(tmp_path: Path) -> None:
    kind = kinds.load(folder(tmp_path, GOOD))["gouge"]
    free = kind.settle(0.5, {}, random.Random(3).random)
    asked = kind.settle(0.5, {"width": 9.0}, random.Random(3).random)
    assert asked == {**free, "width": 9.0}
    assert asked["depth"] == 0.5


@pytest.mark.parametrize(
    ("look", "says"),
    [
        ({"length": 1}, r"look.length: gouge has no such parameter; it has width, tone, depth"),
        ({"width": 11}, r"look.width = 11: gouge takes a number from 0 to 10"),
        ({"width": True}, r"look.width = True"),
        ({"width": "wide"}, r"look.width = 'wide'"),
        ({"tone": "red"}, r"look.tone = 'red': gouge takes one of dark, bright"),
    ],
)
def test_a_wrong_look_is_refused_by_name(tmp_path: Path, look: dict[str, float | str], says: str) -> None:
    kind = kinds.load(folder(tmp_path, GOOD))["gouge"]
    with pytest.raises(BadInput, match=says):
        kind.check(look)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('label = "Gouge"', "", r"own.toml \[gouge\]: label = None"),
        ('shape = "line"', 'shape = "line"\ncolour = 3', r"own.toml \[gouge\]: there is no key 'colour'"),
        ("mild = [1, 2]", "mild = [2, 1]", r"own.toml \[gouge\] parameters.width: mild = \[2, 1\]"),
        ("mild = [1, 2], ", "", r"parameters.width: mild = None"),
        ("high = 10", "high = 0", r"low = 0 should be below high = 0"),
        ("severe = [3, 6]", "severe = [3, 60]", r"severe = \[3, 60\] should rise and lie in \[0, 10\]"),
        ("default = 0.5", "default = 5", r"default = 5 is outside \[0, 1\]"),
        ('choices = ["dark", "bright"]', "choices = []", r"choices = \[\]"),
        ("[gouge]", "[gouge", r"own.toml is not valid TOML"),
    ],
)
def test_a_malformed_table_is_refused_with_file_table_and_key(
    tmp_path: Path, before: str, after: str, says: str
) -> None:
    assert before in GOOD
    with pytest.raises(BadInput, match=says):
        kinds.load(folder(tmp_path, GOOD.replace(before, after, 1)))


def test_a_kind_may_not_stand_in_two_files(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(BadInput, match=r"gouge.*stands in another file"):
        kinds.load(folder(tmp_path, GOOD))


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no kinds of defect in"):
        kinds.load(tmp_path)


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match=r"no defect 'rust'.*stain"):
        kinds.get("rust")
