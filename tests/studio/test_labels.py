"""Labels over HTTP: what many pictures are given in one step, a replacement looked at first, tags, a template, undo."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.studio.pageless import Project, Studio, open_studio
from tests.studio.serving import ask

WORDS: tuple[dict[str, str], ...] = (
    {"defect": "scratch", "caption": "a Scratch on steel"},
    {"defect": "scratch"},
    {"defect": "dent"},
    {},
)


@pytest.fixture
def studio(runs: Path) -> Iterator[Studio]:
    with open_studio(runs) as own:
        yield own


class Home(Project):
    """A project of four pictures: two scratches, a dent and a good one."""

    def __init__(self, studio: Studio) -> None:
        super().__init__(studio)
        self.assets = [studio.asset(np.full((8, 8), value, np.uint8), f"part {value}.png") for value in range(4)]
        self.post("pictures", {"assets": self.assets})
        assert self.post("each", {"values": dict(zip(self.assets, WORDS, strict=True))})["count"] == 3

    def known(self, field: str, query: str = "") -> list[str]:
        return [one[field] for one in self.studio.get(f"{self.address}/records?{query}").json()["records"]]


@pytest.fixture
def home(studio: Studio) -> Home:
    return Home(studio)


def test_many_are_changed_in_one_step_and_back(home: Home) -> None:
    step = home.post("change", {"which": {"defect": "scratch"}, "values": {"defect": "Kratzer"}})
    assert (step["what"], step["count"], step["assets"]) == ("defect", 2, home.assets[:2])
    assert home.known("defect") == ["Kratzer", "Kratzer", "dent", ""]
    assert home.known("asset", "defect=dent&captioned=false") == home.assets[2:3]
    found = home.studio.get(f"{home.address}/tally").json()
    assert found["classes"] == {"Kratzer": 2, "": 1, "dent": 1}
    assert (found["total"], found["captioned"], found["masked"]) == (4, 1, 0)
    home.post("undo")
    assert home.known("defect") == ["scratch", "scratch", "dent", ""]


def test_tags_come_and_go(home: Home) -> None:
    home.post("tags", {"which": {"assets": home.assets[:3]}, "add": ["wet", "old"]})
    home.post("tags", {"which": {"tag": "wet"}, "add": ["wet", "cold"], "remove": ["old"]})
    assert home.known("tags") == ["wet, cold"] * 3 + [""]
    assert home.studio.get(f"{home.address}/tally?defect=scratch").json()["tags"] == {"cold": 2, "wet": 2}


@pytest.mark.parametrize(
    ("more", "count", "first"),
    [
        ({}, 1, "a deep groove on steel"),
        ({"case": True}, 0, ""),
        ({"find": "scr", "whole": True}, 0, ""),
        ({"find": "Scratch", "whole": True, "case": True}, 1, "a deep groove on steel"),
        ({"field": "defect"}, 2, "deep groove"),
    ],
)
def test_a_replacement_is_looked_at_first(home: Home, more: dict[str, Any], count: int, first: str) -> None:
    asked = {"which": {}, "find": "scratch", "instead": "deep groove", **more}
    field = more.get("field", "caption")
    before = home.known(field)
    seen = home.post("replace", asked)
    assert seen["count"] == count
    assert [one["after"] for one in seen["shown"][:1]] == ([first] if first else [])
    assert home.known(field) == before
    assert home.post("replace", {**asked, "preview": False})["count"] == count
    assert home.known(field)[0] == (first or before[0])


def test_a_template_writes_captions(home: Home) -> None:
    ask(home.studio.port, "PATCH", home.address, data={"product": "sheet"})
    asked = {"which": {"defect": "scratch"}, "template": "{caption}, {defect} on a {product}, {tags}", "preview": False}
    assert home.post("template", asked)["count"] == 2
    assert home.known("caption") == ["a Scratch on steel, scratch on a sheet", "scratch on a sheet", "", ""]
    refused = home.studio.post(f"{home.address}/template", {**asked, "template": "{colour}"})
    assert refused.status == 422
    assert "has no field 'colour'" in refused.error["message"]


def test_what_is_no_label_is_refused(home: Home) -> None:
    for values, said in (({"colour": "red"}, "no field"), ({"part": "holdout"}, "train, val, test")):
        answer = home.studio.post(f"{home.address}/change", {"which": {"assets": home.assets}, "values": values})
        assert (answer.status, said in answer.error["message"]) == (422, True)
    assert home.studio.get("/api/projects/project-000000000000/records").status == 404
