"""What the routes refuse, and in which words; and a studio that has refused is as it was."""

import socket
import sqlite3
import tempfile
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core import images
from pipelines.core.requests import Export, Inpaint
from tests.studio.pageless import Studio, open_studio
from tests.studio.serving import ask


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
