"""The HTTP contract: what scripts rely on. What is refused is in test_refusals, the page in test_app."""

import http.client
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from fastapi import FastAPI

from pipelines.core import files, images, png, presets
from pipelines.worker import Worker
from studio import events
from tests.studio.pageless import LANES, Studio, open_studio
from tests.studio.serving import ask, serving


@pytest.fixture
def studio(runs: Path) -> Iterator[Studio]:
    """One of its own."""
    with open_studio(runs) as own:
        yield own


def test_what_can_be_asked_is_listed_with_its_schema(studio: Studio) -> None:
    assert {"inpaint", "export"} <= {one["task"] for one in studio.get("/api/tasks").json()}
    schema = studio.get("/api/tasks/inpaint").json()
    assert schema["properties"]["severity"]["maximum"] == 1
    assert "steel/scratches" in [one["id"] for one in studio.get("/api/presets").json()]
    bases = {one["name"]: one for one in studio.get("/api/bases").json()}
    assert bases["procedural"]["ready"] is True
    defects = {one["id"]: one for one in studio.get("/api/defects").json()}
    assert defects["scratch"]["parameters"]
    unknown = studio.get("/api/tasks/paint")
    assert (unknown.status, unknown.error["code"]) == (404, "missing")


def test_own_presets_are_listed_beside_those_that_come_with_the_studio(studio: Studio) -> None:
    own = presets.own_folder(studio.context.runs)
    presets.save(own, "My castings", "Deep dent", {"defect": "dent", "severity": 0.9})
    (own / "wood.toml").write_text("[broken")
    found = {one["id"]: one for one in studio.get("/api/presets").json()}
    assert found["my_castings/deep_dent"]["fields"] == {"defect": "dent", "severity": 0.9}
    assert found["my_castings/deep_dent"]["own"] is True
    assert found["wood/crack"]["own"] is False


def test_a_preset_is_listed_with_what_it_says_to_diffusion_its_shape_and_its_weights(studio: Studio) -> None:
    found = {one["id"]: one for one in studio.get("/api/presets").json()}
    crazing, core = found["steel/crazing"], found["cable/missing_cable"]
    assert (crazing["diffusion"]["guidance_scale"], crazing["shape"], crazing["oriented"]) == (8.0, "blob", False)
    assert crazing["control"] == {"hed": 0.6, "depth": 0.3, "normal": 0.3}
    assert "prompt" not in crazing["fields"]
    assert (core["shape"], core["oriented"]) == ("ellipse", True)


def test_an_upload_says_whether_it_carries_a_request(studio: Studio) -> None:
    picture = np.full((8, 8, 3), 9, np.uint8)
    made, plain = images.encode_png(picture, request={"task": "inpaint"}), images.encode_png(picture)
    damaged = png.with_text(plain, images.KEYWORD, "{")
    assert [studio.upload(one, "x.png").json()["request"] for one in (made, plain, damaged)] == [True, False, True]


def test_a_request_becomes_a_picture_that_can_be_fetched(studio: Studio) -> None:
    run = studio.ask(num_images=2)
    waiting = studio.get(f"/api/runs/{run}").json()
    assert (waiting["state"], waiting["total"], waiting["images"]) == ("queued", 2, [])
    studio.work()
    done = studio.get(f"/api/runs/{run}").json()
    assert (done["state"], done["done"], done["sentence"]) == ("done", 2, None)
    assert done["images"] == [f"/files/{run}/images/00000.png", f"/files/{run}/images/00001.png"]
    picture = studio.get(done["images"][0])
    assert picture.body == (studio.context.runs / run / "images" / "00000.png").read_bytes()
    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["content-disposition"].startswith("inline")
    assert images.decode(picture.body, "part").pixels.shape == (64, 80, 3)
    assert studio.get(done["files"]["result.json"]).json()["task"] == "inpaint"


def test_a_preview_that_is_replaced_while_it_is_fetched_comes_whole(studio: Studio) -> None:
    run = studio.ask()
    place = studio.context.runs / run / "preview.jpg"
    place.parent.mkdir(exist_ok=True)
    editions = [bytes([number]) * (4000 + 9000 * number) for number in range(4)]
    files.write_bytes(place, editions[0])
    done = threading.Event()

    def replace() -> None:
        while not done.is_set():
            for one in editions:
                files.write_bytes(place, one)

    other = threading.Thread(target=replace)
    other.start()
    try:
        found = [studio.get(f"/files/{run}/preview.jpg") for _ in range(150)]
    finally:
        done.set()
        other.join()
    assert {one.status for one in found} == {200}
    assert all(one.body in editions for one in found)
    place.unlink()
    assert studio.get(f"/files/{run}/preview.jpg").status == 404


def test_a_form_and_a_bare_body_make_the_same_asset(studio: Studio) -> None:
    content = images.encode_png(np.full((8, 8, 3), 9, np.uint8))
    bare = studio.upload(content, "Teil ä.png")
    line = "boundary"
    form = (
        f'--{line}\r\nContent-Disposition: form-data; name="file"; filename="Teil ä.png"\r\n\r\n'.encode()
        + content
        + f"\r\n--{line}--\r\n".encode()
    )
    sent = ask(studio.port, "POST", "/api/uploads", form, {"Content-Type": f"multipart/form-data; boundary={line}"})
    assert sent.json() == bare.json()
    facts = bare.json()
    assert (facts["name"], facts["width"], facts["height"], facts["bits"]) == ("Teil ä.png", 8, 8, 8)
    fetched = studio.get(f"/files/{facts['asset']}/{quote('Teil ä.png')}")
    assert fetched.body == content
    assert "immutable" in fetched.headers["cache-control"]


def test_a_finished_picture_can_be_worked_on_again(studio: Studio) -> None:
    first = studio.ask()
    studio.work()
    second = studio.ask(image=f"{first}/images/00000.png", defect="dent")
    studio.work()
    assert studio.get(f"/api/runs/{second}").json()["state"] == "done"
    for name in ("../../queue.db", "..%2f..%2fqueue.db", "images/99999.png", "/etc/passwd"):
        answer = studio.post("/api/runs", studio.request(image=f"{first}/{name}"))
        assert answer.status == 422, name


def test_runs_are_listed_newest_first_in_pages_that_neither_skip_nor_repeat(studio: Studio) -> None:
    asked = [studio.ask(seed=seed) for seed in range(5)]
    seen: list[str] = []
    address: str | None = "/api/runs?limit=2"
    while address:
        page = studio.get(address).json()
        seen += [one["id"] for one in page["runs"]]
        address = f"/api/runs?limit=2&after={page['next']}" if page["next"] else None
        if len(seen) == 2:
            studio.ask(seed=99)  # what comes in meanwhile moves nothing
    assert seen == asked[::-1]
    assert studio.get("/api/runs?limit=0").status == 422
    assert studio.get("/api/runs?after=20250101-000000-abcdef").status == 404


def test_a_run_is_stopped_and_taken_up_again(studio: Studio) -> None:
    run = studio.ask()
    assert studio.post(f"/api/runs/{run}/stop").json()["state"] == "cancelled"
    studio.work()
    assert studio.get(f"/api/runs/{run}").json()["state"] == "cancelled"
    assert studio.post(f"/api/runs/{run}/resume").json()["state"] == "queued"
    studio.work()
    assert studio.get(f"/api/runs/{run}").json()["state"] == "done"
    assert studio.post(f"/api/runs/{run}/resume").json()["state"] == "done"


def test_what_the_browser_has_already_is_not_sent_again(studio: Studio) -> None:
    run = studio.ask()
    studio.work()
    for query in ("", "?side=32"):
        address = f"/files/{run}/images/00000.png{query}"
        first = studio.get(address)
        again = studio.get(address, If_None_Match=f'"other", W/{first.headers["etag"]}')
        assert (again.status, again.body) == (304, b"")
    assert studio.get(f"/files/{run}/images/00000.png", If_None_Match=first.headers["etag"]).status == 200


def test_a_smaller_copy_shows_what_a_browser_cannot_read(studio: Studio) -> None:
    ramp = np.linspace(0, 65535, 300 * 200).astype(np.uint16).reshape(200, 300)
    asset = studio.asset(ramp, "ramp.png")
    copy = studio.get(f"/files/{asset}/ramp.png?side=64")
    assert copy.headers["content-type"] == "image/jpeg"
    shown = images.decode(copy.body, "copy")
    assert max(shown.pixels.shape[:2]) == 64
    assert shown.bits == 8
    assert int(shown.pixels[0].mean()) + 100 < int(shown.pixels[-1].mean())
    assert studio.get(f"/files/{asset}/ramp.png?side=100000").status == 422


def told(studio: Studio, run: str, **headers: str) -> list[tuple[str, dict[str, Any]]]:
    """Every event until the stream ends."""
    found = []
    for block in studio.get(f"/api/runs/{run}/events", **headers).body.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def test_a_run_is_followed_from_the_line_to_its_end(studio: Studio) -> None:
    run = studio.ask(num_images=3)
    later = threading.Timer(0.5, studio.work)
    later.start()
    seen = told(studio, run)
    later.join()
    assert seen[0][0] == "progress"
    assert seen[0][1]["state"] == "queued"
    assert [name for name, _ in seen].count("end") == 1
    last = seen[-1]
    assert (last[0], last[1]["state"], last[1]["done"]) == ("end", "done", 3)
    assert "request" not in last[1]


def test_a_browser_that_reconnects_after_the_end_is_told_to_stop_asking(studio: Studio) -> None:
    run = studio.ask()
    studio.work()
    assert [name for name, _ in told(studio, run)] == ["end"]
    assert studio.get(f"/api/runs/{run}/events", Last_Event_ID="end").status == 204


@pytest.mark.anyio
async def test_a_quiet_run_sends_signs_of_life_and_watching_is_counted(studio: Studio, anyio_backend: str) -> None:
    run = studio.ask()
    watchers = events.Watchers(studio.context.queue, keepalive_s=0.3)
    stream = watchers.follow(run)
    assert (await anext(stream)).startswith("event: progress")
    assert watchers.now == 1
    assert await anext(stream) == ": still here\n\n"
    await stream.aclose()
    assert watchers.now == 0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_one_watcher_too_many_is_turned_away_and_one_that_leaves_makes_room(studio: Studio) -> None:
    run = studio.ask()
    one = FastAPI()
    one.include_router(events.router(events.Watchers(studio.context.queue, most=1, keepalive_s=0.1)))
    address = f"/api/runs/{run}/events"
    with serving(one) as port:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as first:
            first.request("GET", address)
            with first.getresponse() as stream:
                assert stream.read(6) == b"event:"
                busy = ask(port, "GET", address)
                assert (busy.status, busy.error["code"]) == (503, "busy")
                assert int(busy.headers["retry-after"]) > 0
        studio.post(f"/api/runs/{run}/stop")
        deadline = time.monotonic() + 5
        while ask(port, "GET", address).status != 200:
            assert time.monotonic() < deadline


def test_alive_is_not_ready(studio: Studio) -> None:
    assert studio.get("/healthz").json() == {"status": "alive"}
    idle = studio.get("/readyz")
    assert (idle.status, idle.error["code"]) == (503, "not_ready")
    assert "no live worker for cpu" in idle.error["message"]
    with Worker(studio.context.runs, "cpu", ("cpu",)):
        assert "no live worker for device" in studio.get("/readyz").error["message"]
    with Worker(studio.context.runs, "cpu", LANES):
        assert studio.get("/readyz").json() == {"status": "ready"}
    assert studio.get("/readyz").status == 503


def test_a_table_that_someone_holds_on_to_is_not_ready(studio: Studio) -> None:
    with Worker(studio.context.runs, "cpu", LANES):
        held = sqlite3.connect(studio.context.runs / "queue.db", isolation_level=None)
        held.execute("BEGIN IMMEDIATE")
        assert "cannot be written" in studio.get("/readyz").error["message"]
        held.close()


def test_every_route_of_ours_is_described_and_every_reference_leads_somewhere(studio: Studio) -> None:
    schema = studio.get("/openapi.json").json()
    for path in ("/api/uploads", "/api/runs", "/api/runs/{id}/events", "/files/{id}/{name}", "/healthz", "/readyz"):
        assert path in schema["paths"]
    assert schema["components"]["schemas"]["Inpaint"]["properties"]["severity"]["maximum"] == 1

    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            part = list(part.values())
        for one in part if isinstance(part, list) else ():
            yield from references(one)

    found = set(references(schema))
    assert "#/components/schemas/Inpaint" in found
    assert {one.removeprefix("#/components/schemas/") for one in found} <= set(schema["components"]["schemas"])
    operations = [operation for methods in schema["paths"].values() for operation in methods.values()]
    assert all(operation.get("summary") for operation in operations)


def test_the_page_of_the_routes_comes_from_here_alone(studio: Studio) -> None:
    page = studio.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    for name, kind in (("docs.js", "text/javascript"), ("docs.css", "text/css")):
        assert f'"/docs/{name}"'.encode() in page.body
        part = studio.get(f"/docs/{name}")
        assert part.headers["content-type"].startswith(kind)
        assert b"//" not in part.body.replace(b"// ", b"")
    assert b"http" not in page.body.replace(b"over HTTP", b"")


def test_a_hundred_requests_do_not_make_a_hundred_connections(studio: Studio) -> None:
    """Each thread has its own connection to the job table, and there are at most 40 threads."""
    for _ in range(100):
        studio.get("/api/runs")
    ours = str(studio.context.runs / "queue.db")
    held = [one.readlink() for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    assert 1 <= [str(one) for one in held].count(ours) <= 41
