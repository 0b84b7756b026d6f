"""Captions over HTTP: what can write them, the rows of a run as they come, taking them over, templates of classes; and
what the form of the tab asks for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import captioners, weights
from pipelines.core.errors import BadInput
from studio import captioning
from tests.studio.pageless import Project, Studio, open_studio
from tests.studio.serving import ask

CLASSES = ("hole", "hole", "dent", "")


@pytest.fixture
def studio(runs: Path) -> Iterator[Studio]:
    with open_studio(runs) as own:
        yield own


class Home(Project):
    """A project of four pictures: two holes, the second with a caption; a dent; a good one."""

    def __init__(self, studio: Studio) -> None:
        super().__init__(studio)
        mask = np.zeros((32, 32), bool)
        mask[4:12, 4:12] = True
        marked = studio.asset(mask, "mask.png")
        self.assets = [studio.asset(np.full((32, 32), 90 + at, np.uint8), f"part {at}.png") for at in range(4)]
        self.post("pictures", {"assets": self.assets})
        known = [{"defect": name, "mask": marked if name else ""} for name in CLASSES]
        known[1]["caption"] = "an old one"
        self.post("each", {"values": dict(zip(self.assets, known, strict=True))})

    def captions(self) -> list[str]:
        return [one["caption"] for one in self.get("records")["records"]]

    def asked(self, **form: Any) -> dict[str, Any]:
        which = form.pop("which", {})
        return captioning.asked(self.studio.context, {"project": self.id, "which": which, "form": form})

    def written(self, **form: Any) -> str:
        """A run that is over."""
        answer = self.studio.post("/api/runs", self.asked(**form))
        assert answer.status == 201, answer.body
        self.studio.work()
        run: str = answer.json()["id"]
        return run


@pytest.fixture
def home(studio: Studio) -> Home:
    return Home(studio)


def test_every_captioner_says_what_it_lacks(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
    for name in (captioners.URL, captioners.KEY, captioners.MODEL):
        monkeypatch.delenv(name, raising=False)
    found = studio.get("/api/captioners").json()
    lacks = {one["name"]: one["lacks"] for one in found["captioners"]}
    assert [name for name, lack in lacks.items() if not lack] == ["attributes", "folder", "said"]
    assert "Salesforce/blip2-opt-2.7b" in lacks["blip2"]
    assert "FLAWSMITH_VISION_URL, FLAWSMITH_VISION_KEY" in lacks["endpoint"]
    assert (found["host"], found["clips"]) == ("", [])
    monkeypatch.setenv(captioners.URL, "http://10.0.0.7:8000/v1")
    monkeypatch.setenv(captioners.KEY, "a-key-of-ours")
    monkeypatch.setenv(captioners.MODEL, "some-model")
    again = studio.get("/api/captioners?language=ja")
    assert again.json()["host"] == "10.0.0.7:8000"
    assert b"a-key-of-ours" not in again.body
    assert "blip2" in next(one["lacks"] for one in again.json()["captioners"] if one["name"] == "blip2")


def test_the_form_asks_only_for_pictures_that_would_be_written(home: Home) -> None:
    assert home.asked(write="empty")["only"] == [home.assets[at] for at in (0, 2, 3)]
    assert home.asked(write="all")["only"] == []
    chosen = home.asked(write="review", which={"defect": "hole"}, template="", keywords="a, b\nc", clips=[])
    assert (chosen["only"], chosen["keywords"]) == (home.assets[:2], ["a", "b", "c"])
    assert not {"template", "clips"} & set(chosen)
    for which, said in (({"captioned": True}, "has a caption already"), ({"text": "nobody"}, "no picture is chosen")):
        with pytest.raises(BadInput, match=said):
            home.asked(write="empty", which=which)
    with pytest.raises(BadInput, match="load the page again"):
        home.asked(which={"colour": 1})


def test_what_a_run_said_is_shown_and_taken_in_one_step(home: Home) -> None:
    run = home.written(write="review", captioners=["attributes", "said"], template="{caption}, {defect} here")
    (fact,) = home.get("captions")
    assert (fact["id"], fact["state"], fact["over"], fact["done"], fact["write"]) == (run, "done", True, 4, "review")
    assert [row["image"] for row in home.get(f"captions/{run}/rows?first=1&limit=2")] == home.assets[1:3]
    (row,) = home.post(f"captions/{run}/rows", {"assets": [home.assets[1], "none"]})
    assert row["said"]["said"] == "an old one"
    (beside,) = home.get(f"captions/of/{home.assets[1]}")
    assert (beside["run"], beside["said"]) == (run, row["said"])
    before = home.captions()
    assert before[0] == before[2] == before[3] == ""
    assert home.post(f"captions/{run}/take", {"which": {"defect": "hole"}})["count"] == 2
    assert home.captions()[1] == row["caption"]
    assert home.captions()[2:] == ["", ""]
    assert home.post(f"captions/{run}/take", {"which": {}, "captioner": "said"})["count"] == 1
    assert home.captions()[1] == "an old one"
    for _ in range(2):
        home.post("undo")
    assert home.captions() == before


def test_what_a_stopped_run_finished_can_be_taken(home: Home) -> None:
    answer = home.studio.post("/api/runs", home.asked(write="all"))
    run = answer.json()["id"]
    queue = home.studio.context.queue
    (home.studio.context.runs / run).mkdir()
    (home.studio.context.runs / run / "pictures.json").write_text(f'["{home.assets[2]}", "{home.assets[0]}"]')
    with queue.writing() as db:
        row = f'{{"image": "{home.assets[2]}", "said": {{"attributes": "a dent"}}, "scores": [], "caption": "a dent"}}'
        db.execute("INSERT INTO item(run, idx, state, row) VALUES(?, 0, 'done', ?)", (run, row))
        db.execute("UPDATE run SET state = 'cancelled', done = 1, total = 2 WHERE id = ?", (run,))
    (fact,) = home.get("captions")
    assert (fact["state"], fact["done"], fact["total"]) == ("cancelled", 1, 2)
    assert len(home.post(f"captions/{run}/rows", {"assets": home.assets})) == 1
    assert home.post(f"captions/{run}/take", {"which": {}})["count"] == 1
    assert home.captions() == ["", "an old one", "a dent", ""]


def test_a_run_of_another_project_is_refused(home: Home) -> None:
    run = home.written(write="review", which={"defect": "dent"})
    other = home.studio.post("/api/projects", {"name": "Other"}).json()["id"]
    assert home.studio.get(f"/api/projects/{other}/captions").json() == []
    answer = home.studio.get(f"/api/projects/{other}/captions/{run}/rows")
    assert (answer.status, "no captions for this project" in answer.error["message"]) == (404, True)


def test_a_class_has_a_template_of_its_own_in_one_step(home: Home) -> None:
    ask(home.studio.port, "PATCH", home.address, data={"product": "sheet"})
    asked = {"which": {}, "template": "{product}, {name}", "templates": {"hole": "a {defect} in a {product}"}}
    seen = home.post("template", asked)
    assert (seen["count"], seen["shown"][1]["before"], seen["shown"][1]["after"]) == (
        4,
        "an old one",
        "a hole in a sheet",
    )
    assert home.post("template", {**asked, "preview": False})["count"] == 4
    assert home.captions() == ["a hole in a sheet", "a hole in a sheet", "sheet, part 2", "sheet, part 3"]
    home.post("undo")
    assert home.captions() == ["", "an old one", "", ""]
    refused = home.studio.post(f"{home.address}/template", {**asked, "template": "{colour}"})
    assert refused.status == 422
