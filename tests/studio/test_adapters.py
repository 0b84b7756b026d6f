"""The adapter library over HTTP: in, described, changed, deleted and taken back; and named in requests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.runs import judge
from tests import adapters, pictures
from tests.adapters import LORA, SDXL
from tests.studio.pageless import Studio, open_studio
from tests.studio.serving import Answer, ask

RUN = "20260101-000000-abcdef"


@pytest.fixture
def studio(runs: Path) -> Iterator[Studio]:
    with open_studio(runs) as own:
        yield own


def upload(studio: Studio, data: bytes, name: str = "rust.safetensors") -> Answer:
    return ask(studio.port, "POST", "/api/uploads/adapter", data, {"X-Filename": name})


def added(studio: Studio, data: bytes | None = None, name: str = "rust.safetensors", **more: str) -> dict[str, Any]:
    asset = upload(studio, adapters.written(LORA) if data is None else data, name).json()["asset"]
    answer = studio.post("/api/adapters", {"asset": asset, **more})
    assert answer.status == 201, answer.body
    found: dict[str, Any] = answer.json()
    return found


def test_an_adapter_comes_in_by_upload_and_is_listed_with_its_facts(studio: Studio) -> None:
    made = added(studio, name="Rust.safetensors")
    listed = studio.get("/api/adapters").json()
    assert listed == {"adapters": [made], "damaged": []}
    assert (made["name"], made["facts"]["family"], made["facts"]["modules"]) == ("Rust", "SD1.5", 1)
    assert studio.get(made["download"]).body == adapters.written(LORA)
    assert studio.get(f"/api/adapters/{made['id']}").json() == made


def test_what_is_no_adapter_is_not_kept(studio: Studio) -> None:
    before = set(studio.context.runs.glob("assets/*"))
    for data, name in ((adapters.written({"conv.weight": (2, 2)}), "a.safetensors"), (adapters.picture(), "a.png")):
        answer = upload(studio, data, name)
        assert (answer.status, answer.error["code"]) == (422, "bad_input")
        assert answer.error["message"].startswith(name)
    assert set(studio.context.runs.glob("assets/*")) == before
    picture = studio.asset(pictures.good(), "part.png")
    assert studio.post("/api/adapters", {"asset": picture}).status == 422
    assert studio.get("/api/adapters").json()["adapters"] == []


@pytest.mark.parametrize("body", [{}, {"asset": "a", "run": "b"}, {"asset": "/etc/passwd"}, {"path": "a"}])
def test_an_adapter_is_added_by_asset_or_by_run(studio: Studio, body: dict[str, str]) -> None:
    answer = studio.post("/api/adapters", body)
    assert (answer.status, answer.error["code"]) == (422, "bad_input")


def test_what_a_run_trained_is_added_by_its_id(studio: Studio) -> None:
    weights = studio.context.runs / RUN / "weights" / "pytorch_lora_weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(adapters.written(LORA))
    assert studio.post("/api/adapters", {"run": RUN}).status == 404
    (studio.context.runs / RUN / "result.json").write_text("{}")
    answer = studio.post("/api/adapters", {"run": RUN, "name": "rust on steel"})
    assert (answer.status, answer.json()["run"], answer.json()["name"]) == (201, RUN, "rust on steel")


def test_it_is_changed_deleted_and_taken_back(studio: Studio) -> None:
    made = added(studio)
    address = f"/api/adapters/{made['id']}"
    picture = studio.asset(pictures.good(), "part.png")
    change = {"name": "Moss", "triggers": ["sks moss"], "base": "sd15", "note": "wet", "samples": [picture]}
    found = ask(studio.port, "PATCH", address, data=change).json()
    assert {key: found[key] for key in change} == change
    assert studio.get(found["pictures"][0]["thumb"]).status == 200
    assert ask(studio.port, "PATCH", address, data={"name": ""}).error["field"] == "name"
    assert ask(studio.port, "PATCH", address, data={"colour": "red"}).status == 422
    assert ask(studio.port, "DELETE", address).json() == {"deleted": made["id"]}
    assert studio.get(address).status == 404
    assert studio.post(f"{address}/restore").json() == found


def test_pictures_made_with_it_show_it_but_those_turned_down_do_not(studio: Studio) -> None:
    made = added(studio)
    other = added(studio, adapters.written(SDXL), "wide.safetensors")
    run = studio.ask(num_images=3, adapters=[{"path": made["id"]}])
    studio.work()
    judge(studio.context.runs / run, {"00000": "discarded"})
    found = {one["id"]: one["pictures"] for one in studio.get("/api/adapters").json()["adapters"]}
    assert [one["file"] for one in found[made["id"]]] == [f"/files/{run}/images/{k:05d}.png" for k in (1, 2)]
    assert found[other["id"]] == []


def test_a_request_names_an_adapter_in_its_prompt(studio: Studio) -> None:
    made = added(studio, name="moss.safetensors")
    run = studio.ask(prompt="wet <lora:moss:0.8> rust")
    request = studio.get(f"/api/runs/{run}").json()["request"]
    assert (request["prompt"], request["adapters"]) == ("wet rust", [{"path": made["asset"], "weight": 0.8}])
    answer = studio.post("/api/runs", studio.request(prompt="<lora:rust:1> pit"))
    assert (answer.status, answer.error["field"]) == (422, "prompt")
    assert "it has moss" in answer.error["message"]


def test_a_conversion_is_asked_for_and_fetched_over_http(studio: Studio) -> None:
    made = added(studio)
    answer = studio.post("/api/runs", {"task": "convert", "data": made["id"], "what": "kohya"})
    studio.work()
    run = answer.json()["id"]
    files = studio.get(f"/files/{run}/result.json").json()["files"]
    assert [one["name"] for one in files] == ["weights/rust.safetensors"]
    product = studio.get(f"/files/{run}/{files[0]['name']}")
    assert (product.status, len(product.body)) == (200, files[0]["bytes"])


def test_a_damaged_entry_is_said_and_the_others_are_listed(studio: Studio) -> None:
    made = added(studio)
    other = added(studio, adapters.written(SDXL), "wide.safetensors")
    (studio.context.runs / "adapters" / f"{made['id']}.json").write_bytes(b"{")
    found = studio.get("/api/adapters").json()
    assert [one["id"] for one in found["adapters"]] == [other["id"]]
    assert made["id"] in found["damaged"][0]
    assert str(studio.context.runs) not in found["damaged"][0]


def test_a_page_of_another_site_may_not_add_one(studio: Studio) -> None:
    foreign = {"Origin": "http://evil.example", "X-Filename": "a.safetensors"}
    assert ask(studio.port, "POST", "/api/uploads/adapter", adapters.written(LORA), foreign).status == 403
    assert ask(studio.port, "GET", "/api/adapters", headers={"Origin": "http://evil.example"}).status == 403
