"""What the Data tab asks: pictures by filter with what is known of them, masks to lay over them, their statistics."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import pictures
from tests.studio.pageless import Project, Studio, open_studio


@pytest.fixture
def studio(runs: Path) -> Iterator[Studio]:
    with open_studio(runs) as own:
        yield own


class Home(Project):
    """A project of three pictures: a masked scratch that is for training, a dent that is left out, and a good one."""

    def __init__(self, studio: Studio) -> None:
        super().__init__(studio)
        self.assets = [studio.asset(pictures.good(seed=seed), f"part {seed}.png") for seed in range(3)]
        self.mask = studio.asset(pictures.disc(), "mask.png")
        scratch = {"defect": "scratch", "mask": self.mask, "part": "train", "caption": "a scratch"}
        self.post("pictures", {"assets": self.assets})
        self.post("each", {"values": {self.assets[0]: scratch, self.assets[1]: {"defect": "dent", "out": "blurred"}}})


@pytest.fixture
def home(studio: Studio) -> Home:
    return Home(studio)


FOUND = {
    "": [0, 1, 2],
    "defect=scratch": [0],
    "defect=": [2],
    "text=PART%201": [1],
    "text=a%20scratch": [0],
    "masked=true": [0],
    "masked=false&out=false": [2],
    "part=train": [0],
    "part=&captioned=false": [1, 2],
    "out=true": [1],
    "text=nowhere": [],
}


def test_pictures_come_by_filter(home: Home) -> None:
    pages = {query: home.get(f"pictures?{query}") for query in FOUND}
    found = {query: [home.assets.index(one["asset"]) for one in page["items"]] for query, page in pages.items()}
    assert found == FOUND
    assert {(len(page["items"]) == page["total"], page["all"]) for page in pages.values()} == {(True, 3)}


def test_a_mask_comes_as_a_see_through_picture_that_stays_true(home: Home) -> None:
    first, second, _ = home.get("pictures")["items"]
    assert second["overlay"] == ""
    answer = home.studio.get(first["overlay"])
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    assert "immutable" in answer.headers["cache-control"]
    drawn = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_UNCHANGED)
    assert drawn is not None
    assert drawn.shape == (72, 96, 4)
    assert np.array_equal(drawn[..., 3] > 0, pictures.disc())
    plain = home.studio.get(f"{home.address}/overlay/{home.assets[0]}?side=32")
    assert (plain.status, "immutable" in plain.headers["cache-control"]) == (200, False)
    assert home.studio.get(f"{home.address}/overlay/{home.assets[2]}").status == 404
    home.post("each", {"values": {home.assets[0]: {"mask": home.studio.asset(pictures.line(), "line.png")}}})
    assert home.get("pictures")["items"][0]["overlay"] != first["overlay"]


def test_statistics_are_those_of_the_filter(home: Home) -> None:
    found = home.get("statistics")
    assert (found["pictures"], found["measured"], found["sizes"]) == (3, 1, [[96, 72, 3]])
    assert found["classes"] == {"": 1, "dent": 1, "scratch": 1}
    assert found["median"] == pytest.approx(pictures.disc().mean())
    assert home.get("statistics?masked=false")["measured"] == 0


def test_all_that_a_filter_finds_are_taken_out_in_one_step(home: Home) -> None:
    assert home.post("pictures/remove", {"which": {"captioned": False}})["count"] == 2
    assert home.get("pictures")["all"] == 1
    home.post("undo")
    assert home.get("pictures")["all"] == 3
    assert home.post("pictures/remove", {})["count"] == 0
