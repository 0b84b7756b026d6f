"""Batches over HTTP: the list, how far one is, its wall page by page, once more for what failed; what the form asks."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import images, requests
from pipelines.core.errors import BadInput, Missing
from pipelines.core.requests import Batch
from studio import asking, batching
from studio.batches import Counts
from tests import pictures
from tests.studio.pageless import Project, Studio, open_studio

TEMPLATE = {"task": "inpaint", "padding_px": 16}
ROWS = 100_000


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with open_studio(tmp_path_factory.mktemp("batches") / "runs") as own:
        yield own


@pytest.fixture(scope="module")
def home(studio: Studio) -> dict[str, Any]:
    """A project of two good parts and a dent, and a mask of their size."""
    project = Project(studio)
    assets = [studio.asset(pictures.good(48, 64, seed=seed), f"part {seed}.png") for seed in range(3)]
    project.post("pictures", {"assets": assets})
    project.post("each", {"values": {assets[2]: {"defect": "dent"}}})
    return {"project": project.id, "assets": assets, "mask": studio.asset(pictures.disc(48, 64, radius=10), "mask.png")}


def made(studio: Studio, home: dict[str, Any], **fields: Any) -> str:
    data = {
        "task": "batch", "template": TEMPLATE, "sources": home["assets"][:2], "defects": ["hole", "stain"],
        "masks": [{"mask": home["mask"]}], "count": 5, "gates": {"duplicate_bits": None}, **fields,
    }  # fmt: skip
    answer = studio.post("/api/runs", data)
    assert answer.status == 201, answer.body
    studio.work()
    found: str = answer.json()["id"]
    return found


@pytest.fixture(scope="module")
def batch(studio: Studio, home: dict[str, Any]) -> str:
    """Of eight tries that it wants some are too faint."""
    vary = [{"field": "strength", "values": [1.0, 0.01]}]
    return made(studio, home, vary=vary, tries=1, count=8, gates={"visibility": 2, "duplicate_bits": None})


def form(home: dict[str, Any], **fields: Any) -> dict[str, Any]:
    hole = {"choice": "hole", "share": 2, "low": 0.4, "high": 0.8}
    return {
        "on": "project", "project": home["project"], "which": {"defect": ""}, "classes": [hole], "where": "anywhere",
        "gates": {}, "count": 6, "tries": 3, "seed": 4, **fields,
    }  # fmt: skip


def test_a_batch_says_what_became_of_its_tries(studio: Studio, batch: str) -> None:
    (listed, *_) = [one for one in studio.get("/api/batches").json() if one["id"] == batch]
    found = studio.get(f"/api/batches/{batch}").json()
    assert listed.items() <= found.items()
    assert (found["state"], found["wanted"], found["tried"]) == ("done", 8, 8)
    assert found["kept"] + sum(found["aside"].values()) + found["failed"] == 8
    assert found["aside"]["visibility"] >= 1
    assert sum(found["classes"].values()) == found["kept"]
    assert found["bytes_each"] > 1000
    assert found["seconds_each"] > 0
    assert found["per_minute"] == pytest.approx(60 / found["seconds_each"], rel=0.05)
    assert found["sources"] == 2
    assert "sources" not in found["request"]


def test_the_wall_shows_the_last_first_and_goes_on_where_it_stopped(studio: Studio, batch: str) -> None:
    first = studio.get(f"/api/batches/{batch}/wall?limit=5&language=ja").json()
    rest = studio.get(f"/api/batches/{batch}/wall?limit=5&before={first['next']}&language=ja").json()
    assert [one["index"] for one in (*first["pictures"], *rest["pictures"])] == list(range(7, -1, -1))
    assert rest["next"] is None
    assert any(one["failed"] for one in (*first["pictures"], *rest["pictures"]))
    for one in (*first["pictures"], *rest["pictures"]):
        if one["failed"]:
            continue
        assert one["scores"]["outside_max"] == 0
        assert studio.get(one["thumb"]).status == studio.get(one["mask"]).status == 200
        if one["aside"]:
            assert one["aside"]["gate"] == "visibility"
            assert "2.00" in one["aside"]["why"]
            assert "less than" not in one["aside"]["why"]
            assert one["stem"].startswith("aside/")


def test_what_failed_is_made_again_and_what_is_open_is_tried_more_often(
    studio: Studio, home: dict[str, Any], batch: str
) -> None:
    context = studio.context
    run = made(studio, home, count=4)
    with context.queue.writing() as db:
        row = json.dumps({"failed": "it failed", "plan": {"slot": 1, "attempt": 0, "class": "stain"}})
        db.execute("UPDATE item SET row = ? WHERE run = ? AND idx = 1", (row, run))
        db.execute("UPDATE run SET ended = ended + 1 WHERE id = ?", (run,))
    assert studio.get(f"/api/batches/{run}").json()["failed"] == 1
    (told,) = [one for one in studio.get(f"/api/batches/{run}/wall").json()["pictures"] if one["failed"] == "it failed"]
    assert told["index"] == 1
    assert studio.post(f"/api/batches/{run}/retry", {}).json()["state"] == "queued"
    assert studio.post(f"/api/batches/{run}/retry", {}).status == 503
    studio.work()
    found = studio.get(f"/api/batches/{run}").json()
    assert (found["kept"], found["failed"], found["tried"]) == (4, 0, 4)

    before = studio.get(f"/api/batches/{batch}").json()
    again = studio.post(f"/api/batches/{batch}/retry", {"tries": 12}).json()
    assert again["tries"] == 12
    studio.work()
    after = studio.get(f"/api/batches/{batch}").json()
    assert after["kept"] > before["kept"]
    assert after["tried"] > before["tried"]
    asked = studio.get(f"/files/{batch}/request.json").json()
    assert asked["tries"] == 12
    assert studio.post(f"/api/batches/{batch}/retry", {"tries": 2}).status == 422


def test_other_runs_are_no_batches(studio: Studio) -> None:
    run = studio.ask()
    for path in (f"/api/batches/{run}", f"/api/batches/{run}/wall", "/api/batches/nothing"):
        assert studio.get(path).status == 404
    assert studio.post(f"/api/batches/{run}/retry", {}).status == 404
    assert run not in [one["id"] for one in studio.get("/api/batches").json()]


def test_a_hundred_thousand_tries_are_quick_to_look_at(studio: Studio, home: dict[str, Any]) -> None:
    run, context = made(studio, home, count=1), studio.context
    row = context.queue.finished(run)[0]
    with context.queue.writing() as db:
        db.execute("DELETE FROM item WHERE run = ?", (run,))
        db.execute(
            "INSERT INTO item WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " SELECT ?, i, 'done', 0, ? FROM n",
            (ROWS - 1, run, json.dumps(row)),
        )
        db.execute("UPDATE run SET state = 'running', ended = NULL, done = ? WHERE id = ?", (ROWS, run))
    counts = Counts(context)
    counts.of(run, ROWS, None)
    with context.queue.writing() as db:
        db.execute("INSERT INTO item VALUES(?, ?, 'done', 0, ?)", (run, ROWS, json.dumps(row)))
    begun = time.perf_counter()
    assert counts.of(run, ROWS + 1, None).kept.total() == ROWS + 1
    assert time.perf_counter() - begun < 0.05
    for before in ("", f"&before={ROWS // 2}"):
        studio.get(f"/api/batches/{run}/wall?limit=48{before}")
        begun = time.perf_counter()
        assert len(studio.get(f"/api/batches/{run}/wall?limit=48{before}").json()["pictures"]) == 48
        assert time.perf_counter() - begun < 0.1
    with context.queue.writing() as db:
        db.execute("DELETE FROM item WHERE run = ?", (run,))
        db.execute("UPDATE run SET state = 'cancelled', ended = 1 WHERE id = ?", (run,))


def test_the_form_asks_for_what_it_holds(studio: Studio, home: dict[str, Any]) -> None:
    data = batching.asked(studio.context, form(home), True)
    found = requests.parse(data)
    assert isinstance(found, Batch)
    assert (found.first, found.count, found.tries, found.seed) == (12, 6, 3, 4)
    assert found.sources == tuple(home["assets"][:2])
    (share,) = found.classes
    assert (share.defect, share.share) == ("hole", 2)
    assert [(one.field, one.low, one.high) for one in share.vary] == [("severity", 0.4, 0.8)]
    assert found.gates.visibility is None

    placed = form(home, where="foreground", instances=[1, 3], size=[5, 20], angle="any", gates={"visibility": 1.5})
    found = requests.parse(batching.asked(studio.context, placed, False))
    assert isinstance(found, Batch)
    assert found.first is None
    assert found.place == {"where": "foreground", "instances": [1, 3], "size": [0.05, 0.2], "angle": "any"}
    assert found.gates.visibility == 1.5


def test_paint_hands_over_what_it_would_ask(studio: Studio, home: dict[str, Any]) -> None:
    area = {"defect": "scratch", "severity": 0.7, "look": {"width": 2.0}}
    data = {"task": "inpaint", "image": home["assets"][0], "mask": home["mask"], "seed": 3, "num_images": 4, **area}
    sent = batching.handed(studio.context, {**data, "base": "procedural", "strength": 0.9}, "")
    assert sent["template"] == {"task": "inpaint", "base": "procedural", "strength": 0.9}
    assert sent["masks"] == [home["mask"]]
    (one,) = sent["classes"]
    assert (one["kind"], one["low"], one["high"], one["fields"]) == ("scratch", 0.7, 0.7, {"look": {"width": 2.0}})

    held = form(home, sent=sent, classes=sent["classes"], where="mine", on="picture")
    found = requests.parse(batching.asked(studio.context, held, False))
    assert isinstance(found, Batch)
    assert found.sources == (home["assets"][0],)
    assert [(one.mask, one.image) for one in found.masks] == [(home["mask"], home["assets"][0])]
    assert found.classes[0].fields == {"look": {"width": 2.0}, "severity": 0.7}
    for_all = requests.parse(batching.asked(studio.context, {**held, "on": "project"}, False))
    assert isinstance(for_all, Batch)
    assert for_all.masks[0].image is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"classes": []}, "no defect is chosen"),
        ({"which": {"defect": "crack"}}, "no picture is chosen"),
        ({"where": "as real"}, "no data set is chosen"),
        ({"gates": {"texture": 1.5}}, "compared with real defects"),
        ({"base": "sd15"}, "cannot draw yet"),
        ({"classes": [{"choice": "nothing"}]}, "nothing"),
    ],
)
def test_what_the_form_lacks_is_said(studio: Studio, home: dict[str, Any], fields: dict[str, Any], said: str) -> None:
    with pytest.raises((BadInput, Missing), match=said):
        batching.asked(studio.context, form(home, **fields), False)


def test_a_mask_that_fits_no_picture_is_refused(studio: Studio, home: dict[str, Any]) -> None:
    sent = {"template": TEMPLATE, "masks": [studio.asset(np.ones((8, 8), bool), "small.png")]}
    with pytest.raises(BadInput, match="8 x 8 px"):
        batching.asked(studio.context, form(home, sent=sent, where="mine"), False)


def test_what_was_set_aside_can_be_painted_again(studio: Studio, batch: str) -> None:
    from studio import restore

    wall = studio.get(f"/api/batches/{batch}/wall?limit=200").json()["pictures"]
    one = next(one for one in wall if one.get("aside"))
    found = restore.of_run(studio.context, batch, one["stem"])
    assert found.missing == ()
    assert found.picture is not None
    assert images.read_request(restore.picture_of(studio.context, batch, one["stem"]), "x") is not None


def test_a_preset_says_what_an_area_is(tmp_path: Path) -> None:
    assert asking.area("hole", tmp_path, "inpaint", True)["defect"] == "hole"
    assert "look" not in asking.area("steel/scratches", tmp_path, "control", False)
