"""The HTTP contract: what scripts rely on, what is refused and in which words. All but the page; see test_app."""

import http.client
import json
import socket
import sqlite3
import tempfile
import threading
import time
from collections import namedtuple
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core import images, png, presets
from pipelines.core.requests import Export, Inpaint
from pipelines.worker import Worker
from studio import events, routes
from studio.context import Context
from studio.guard import Guard
from tests.studio.serving import Answer, ask, serving

LANES = ("cpu", "device")


class Studio:
    """A served studio without its page, and a hand to use it."""

    def __init__(self, context: Context, port: int) -> None:
        self.context = context
        self.port = port

    def get(self, path: str, **headers: str) -> Answer:
        return ask(self.port, "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, data: Any = None) -> Answer:
        return ask(self.port, "POST", path, data=data)

    def upload(self, content: bytes, name: str) -> Answer:
        return ask(self.port, "POST", "/api/uploads", content, {"X-Filename": quote(name)})

    def asset(self, pixels: np.ndarray, name: str) -> str:
        answer = self.upload(images.encode_png(pixels), name)
        assert answer.status == 201, answer.body
        found: str = answer.json()["asset"]
        return found

    def request(self, **fields: Any) -> dict[str, Any]:
        grey = np.full((64, 80, 3), 150, np.uint8)
        mask = np.zeros((64, 80), bool)
        mask[20:40, 20:60] = True
        whole = {"task": "inpaint", "image": self.asset(grey, "part.png"), "mask": self.asset(mask, "mask.png")}
        return {**whole, "defect": "scratch", "seed": 7, **fields}

    def ask(self, **fields: Any) -> str:
        answer = self.post("/api/runs", self.request(**fields))
        assert answer.status == 201, answer.body
        found: str = answer.json()["id"]
        return found

    def work(self) -> None:
        """Answer what waits, here and now."""
        with Worker(self.context.runs, "cpu", LANES) as worker:
            while row := worker.queue.claim(worker.owner, worker.lanes):
                worker.serve(row)


@contextmanager
def open_studio(runs: Path) -> Iterator[Studio]:
    context = Context.open(runs)
    with serving(Guard(routes.application(context))) as port:
        yield Studio(context, port)


@pytest.fixture
def studio(runs: Path) -> Iterator[Studio]:
    """One of its own."""
    with open_studio(runs) as own:
        yield own


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One for all that is refused: it stays as it is."""
    with open_studio(tmp_path_factory.mktemp("shared") / "runs") as common:
        yield common


def test_what_can_be_asked_is_listed_with_its_schema(shared: Studio) -> None:
    assert {"inpaint", "export"} <= {one["task"] for one in shared.get("/api/tasks").json()}
    schema = shared.get("/api/tasks/inpaint").json()
    assert schema["properties"]["severity"]["maximum"] == 1
    assert "steel/scratches" in [one["id"] for one in shared.get("/api/presets").json()]
    bases = {one["name"]: one for one in shared.get("/api/bases").json()}
    assert bases["procedural"]["ready"] is True
    defects = {one["id"]: one for one in shared.get("/api/defects").json()}
    assert defects["scratch"]["parameters"]
    unknown = shared.get("/api/tasks/paint")
    assert (unknown.status, unknown.error["code"]) == (404, "missing")


def test_own_presets_are_listed_beside_those_that_come_with_the_studio(studio: Studio) -> None:
    own = presets.own_folder(studio.context.runs)
    presets.save(own, "My castings", "Deep dent", {"defect": "dent", "severity": 0.9})
    (own / "wood.toml").write_text("[broken")
    found = {one["id"]: one for one in studio.get("/api/presets").json()}
    assert found["my_castings/deep_dent"]["fields"] == {"defect": "dent", "severity": 0.9}
    assert found["my_castings/deep_dent"]["own"] is True
    assert found["wood/crack"]["own"] is False


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


@pytest.mark.parametrize("name", ["../../part.png", "C:\\pictures\\part.png", "/etc/part.png", "a/../part.png"])
def test_where_the_sender_kept_its_file_is_dropped(shared: Studio, name: str) -> None:
    assert shared.upload(images.encode_png(np.zeros((4, 4), np.uint8)), name).json()["name"] == "part.png"


NO_PICTURES = {
    "empty.png": b"",
    "page.png": b"<!doctype html><script>alert(1)</script>",
    "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "archive.png": b"PK\x03\x04" + b"\0" * 100,
    "program.png": b"\x7fELF" + b"\0" * 100,
    "torn.png": images.encode_png(np.zeros((64, 64), np.uint8))[:60],
}


@pytest.mark.parametrize("name", NO_PICTURES)
def test_what_is_no_picture_is_not_kept(shared: Studio, name: str) -> None:
    before = set(shared.context.runs.glob("assets/*"))
    answer = shared.upload(NO_PICTURES[name], name)
    assert (answer.status, answer.error["code"]) == (422, "bad_input")
    assert name in answer.error["message"]
    assert set(shared.context.runs.glob("assets/*")) == before


def test_an_upload_that_breaks_off_leaves_nothing_behind(shared: Studio) -> None:
    def spooled() -> set[Path]:
        return set(Path(tempfile.gettempdir()).glob("flawsmith-upload-*"))

    kept, before = set(shared.context.runs.glob("assets/*")), spooled()
    with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as line:
        line.sendall(
            b"POST /api/uploads HTTP/1.1\r\nHost: localhost\r\nX-Filename: a.png\r\nContent-Length: 9999\r\n\r\nx"
        )
        deadline = time.monotonic() + 5
        while spooled() == before:
            assert time.monotonic() < deadline
    while spooled() != before:
        assert time.monotonic() < deadline
    assert set(shared.context.runs.glob("assets/*")) == kept


def test_an_upload_needs_a_name(shared: Studio) -> None:
    assert ask(shared.port, "POST", "/api/uploads", b"x").error["field"] == "file"
    form = b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--b--\r\n'
    answer = ask(shared.port, "POST", "/api/uploads", form, {"Content-Type": "multipart/form-data; boundary=b"})
    assert (answer.status, answer.error["field"]) == (422, "file")


PATHS = [
    ({"image": "/etc/passwd"}, "image"),
    ({"image": "part.png"}, "image"),
    ({"image": "../assets/part.png"}, "image"),
    ({"mask": "C:\\mask.png"}, "mask"),
    ({"mask": None, "defect": None, "regions": [{"mask": "/tmp/m.png", "defect": "hole"}]}, "regions.0.mask"),
]


@pytest.mark.parametrize(("fields", "field"), PATHS)
def test_a_path_is_refused_where_an_asset_is_wanted(shared: Studio, fields: dict[str, Any], field: str) -> None:
    answer = shared.post("/api/runs", shared.request(**fields))
    assert (answer.status, answer.error["field"]) == (422, field)
    assert field in answer.error["message"]
    assert "upload the file first" in answer.error["message"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"data": ["runs/somewhere"]}, "data"),
        ({"data": ["/etc"]}, "data"),
        ({"data": ["20250101-000000-abcdef"], "output": "/tmp/out.zip"}, "output"),
    ],
)
def test_an_export_over_http_reads_runs_and_writes_into_its_own_folder(
    shared: Studio, fields: dict[str, Any], field: str
) -> None:
    answer = shared.post("/api/runs", {"task": "export", **fields})
    assert (answer.status, answer.error["field"]) == (422, field)


def test_an_asset_that_is_not_here_is_a_bad_request_not_a_missing_page(shared: Studio) -> None:
    answer = shared.post("/api/runs", shared.request(image="asset-" + "0" * 20))
    assert (answer.status, answer.error["code"]) == (422, "missing")
    assert "asset-" in answer.error["message"]


def test_a_finished_picture_can_be_worked_on_again(studio: Studio) -> None:
    first = studio.ask()
    studio.work()
    second = studio.ask(image=f"{first}/images/00000.png", defect="dent")
    studio.work()
    assert studio.get(f"/api/runs/{second}").json()["state"] == "done"
    for name in ("../../queue.db", "..%2f..%2fqueue.db", "images/99999.png", "/etc/passwd"):
        answer = studio.post("/api/runs", studio.request(image=f"{first}/{name}"))
        assert answer.status == 422, name


BAD = [
    ({}, "task", "task is missing"),
    ({"task": "paint"}, "task", "no task 'paint'"),
    ({"severity": 2}, "severity", "less than or equal to 1"),
    ({"severity": "much"}, "severity", "valid number"),
    ({"seed": -1}, "seed", "greater than or equal to 0"),
    ({"seed": 2**64}, "seed", "less than or equal to"),
    ({"num_images": 1.5}, "num_images", "integer"),
    ({"colour": "red"}, "colour", "there is no such field"),
    ({"defect": "hairline"}, "defect", "no defect 'hairline'"),
    ({"base": "sd99"}, "base", "no base 'sd99'"),
    ({"look": {"wobble": 1}}, "", "wobble"),
]


def test_nothing_that_can_be_said_in_json_breaks_the_server(shared: Studio) -> None:
    text = st.text(max_size=20) | st.sampled_from(
        ["inpaint", "export", "scratch", "procedural", "/etc/passwd", "\ud800"]
    )
    leaf = st.none() | st.booleans() | st.integers() | st.floats() | text
    value = st.recursive(leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3))
    names = st.sampled_from([*Inpaint.model_fields, *Export.model_fields])
    fields = st.dictionaries(names, value, max_size=6)

    @settings(max_examples=150, deadline=None, database=None)
    @given(st.sampled_from(["inpaint", "export", ""]), fields)
    def holds(task: str, given_fields: dict[str, Any]) -> None:
        answer = shared.post("/api/runs", {**given_fields, "task": task})
        assert answer.status in (201, 422), answer.body
        if answer.status == 422:
            assert answer.error["message"]

    holds()


@pytest.mark.parametrize(("fields", "field", "words"), BAD, ids=[str(one[0]) for one in BAD])
def test_a_request_that_cannot_be_met_names_field_value_and_bound(
    shared: Studio, fields: dict[str, Any], field: str, words: str
) -> None:
    answer = shared.post("/api/runs", shared.request(**fields) if fields else {})
    assert (answer.status, answer.error["code"]) == (422, "bad_input")
    assert words in answer.error["message"]
    assert answer.error["field"] == (field or None)
    assert shared.get("/api/runs").json()["runs"] == []


NO_REQUESTS = [b"", b"{", b"[]", b"3", b"null", b'{"task": "inpaint", "severity": NaN}', b"\xff", b"[" * 9999]
HALF_CHARACTERS = [
    b'{"task": "\\ud800"}',
    b'{"task": "inpaint", "\\ud800": 1}',
    b'{"task": "inpaint", "image": "\\ud800"}',
]


@pytest.mark.parametrize("body", [*NO_REQUESTS, *HALF_CHARACTERS])
def test_a_body_that_is_no_request_is_refused_with_a_sentence(shared: Studio, body: bytes) -> None:
    answer = ask(shared.port, "POST", "/api/runs", body, {"Content-Type": "application/json"})
    assert answer.status in (400, 422)
    assert len(answer.error["message"]) > 10


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


NOWHERE = [
    ("GET", "/api/runs/20250101-000000-abcdef"),
    ("GET", "/api/runs/none"),
    ("GET", "/api/runs/20250101-000000-abcdef/events"),
    ("POST", "/api/runs/20250101-000000-abcdef/stop"),
    ("POST", "/api/runs/20250101-000000-abcdef/resume"),
    ("GET", "/api/nothing"),
    ("POST", "/api/"),
    ("GET", "/files/20250101-000000-abcdef/a.png"),
    ("GET", "/files/asset-" + "0" * 20 + "/a.png"),
    ("GET", "/files/queue.db/"),
]


@pytest.mark.parametrize(("method", "path"), NOWHERE)
def test_what_is_not_here_is_said_to_be_missing(shared: Studio, method: str, path: str) -> None:
    answer = ask(shared.port, method, path)
    assert (answer.status, answer.error["code"]) == (404, "missing")
    assert str(shared.context.runs) not in answer.error["message"]


SPELLINGS = [
    "../queue.db",
    "../../secret.txt",
    "..%2fqueue.db",
    "%2e%2e/queue.db",
    "%2e%2e%2fqueue.db",
    "images/../../queue.db",
    "images/..%2f..%2fqueue.db",
    "..\\queue.db",
    "..%5cqueue.db",
    "....//queue.db",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "//etc/passwd",
    "./../queue.db",
    "images/%00../../queue.db",
    "..;/queue.db",
    "%252e%252e%252fqueue.db",
    "link.txt",
    "file:///etc/passwd",
    ".hidden",
    "",
    "images",
]


def test_no_spelling_of_a_name_leads_out_of_a_run_or_an_asset(studio: Studio) -> None:
    (studio.context.runs.parent / "secret.txt").write_text("secret")
    run, asset = studio.ask(), studio.asset(np.zeros((4, 4), np.uint8), "a.png")
    studio.work()
    (studio.context.runs / run / "link.txt").symlink_to(studio.context.runs.parent / "secret.txt")
    (studio.context.runs / run / ".hidden").write_text("secret")
    for id in (run, asset, "..", "%2e%2e", "assets", ""):
        for name in SPELLINGS:
            answer = studio.get(f"/files/{id}/{name}")
            assert answer.status in (404, 422), (id, name, answer.status)
            assert b"secret" not in answer.body.replace(b"secret.txt", b"")
            assert b"SQLite" not in answer.body
            assert b"root:" not in answer.body


def test_a_page_or_drawing_in_a_run_is_saved_never_shown(studio: Studio) -> None:
    run = studio.ask()
    studio.work()
    folder = studio.context.runs / run
    for name in ("page.html", "drawing.svg", "page.xhtml", "table.csv", "weights.safetensors", "set.zip", "noending"):
        (folder / name).write_text("<script>alert(1)</script>")
        answer = studio.get(f"/files/{run}/{name}")
        assert answer.headers["content-disposition"].startswith("attachment"), name
        assert answer.headers["content-type"].partition(";")[0] in (
            "application/octet-stream",
            "application/zip",
            "text/csv",
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]


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


def test_a_full_disk_is_said_before_anything_is_put_in_line(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    request = studio.request()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(100, 99, 1))
    answer = studio.post("/api/runs", request)
    assert (answer.status, answer.error["code"]) == (507, "disk_full")
    assert studio.get("/api/runs").json()["runs"] == []


def test_a_broken_job_table_is_unavailable_and_its_path_stays_here(studio: Studio) -> None:
    db = sqlite3.connect(studio.context.runs / "queue.db")
    db.execute("DROP TABLE run")
    db.close()
    answer = studio.get("/api/runs")
    assert (answer.status, answer.error["code"]) == (503, "unavailable")
    assert str(studio.context.runs) not in answer.error["message"]


def test_every_route_of_ours_is_described_and_every_reference_leads_somewhere(shared: Studio) -> None:
    schema = shared.get("/openapi.json").json()
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


def test_the_page_of_the_routes_comes_from_here_alone(shared: Studio) -> None:
    page = shared.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    for name, kind in (("docs.js", "text/javascript"), ("docs.css", "text/css")):
        assert f'"/docs/{name}"'.encode() in page.body
        part = shared.get(f"/docs/{name}")
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
