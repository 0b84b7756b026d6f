"""Gradio's hashed files come from memory: once asked for, the same to everyone, and packed as each browser takes it."""

import re
import zlib
from typing import Any

import pytest

from studio.head import Head
from studio.kept import FOR_EVER, HASHED, Kept
from tests.studio.conftest import Studio
from tests.studio.serving import ask


@pytest.mark.parametrize("path", ["/assets/index-DphvyggB.js", "/assets/Index-DTuG5Jnm.js", "/assets/a-b_cD-123.css"])
def test_a_name_with_a_hash_is_kept(path: str) -> None:
    assert HASHED.fullmatch(path)


@pytest.mark.parametrize(
    "path", ["/theme.css", "/assets/index.js", "/files/index-DphvyggB.js", "/assets/a/../x-12345678.js"]
)
def test_a_name_without_one_is_not(path: str) -> None:
    assert not HASHED.fullmatch(path)


def test_over_http_a_script_is_the_same_again_and_for_ever(studio: Studio) -> None:
    page = ask(studio.port, "GET", "/").body.decode()
    name = re.search(r"assets/index-[\w-]{8}\.js", page)
    assert name
    answers = {}
    for packed in ("br", "gzip", "identity"):
        first, again = (ask(studio.port, "GET", f"/{name[0]}", headers={"Accept-Encoding": packed}) for _ in range(2))
        assert (first.status, first.body) == (200, again.body)
        assert again.headers["cache-control"] == FOR_EVER
        assert again.headers.get("content-encoding", "identity") == packed
        assert again.headers["x-content-type-options"] == "nosniff"
        answers[packed] = again.body
    assert zlib.decompress(answers["gzip"], 47) == answers["identity"]
    assert len(answers["br"]) < len(answers["identity"]) / 2
    assert ask(studio.port, "GET", f"/ja/{name[0]}", headers={"Accept-Encoding": "br"}).body == answers["br"]
    assert ask(studio.port, "GET", "/assets/index-nowhere1.js").status == 404
    assert "cache-control" not in ask(studio.port, "GET", "/assets/index-nowhere1.js").headers


@pytest.mark.anyio
async def test_what_is_asked_for_twice_is_made_once() -> None:
    made = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        made.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    said: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        said.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    kept = Kept(app)
    scope: Any = {
        "type": "http",
        "method": "GET",
        "path": "/assets/index-DphvyggB.js",
        "headers": [(b"if-none-match", b"x")],
    }
    for _ in range(3):
        await kept(scope, receive, send)
    assert len(made) == 1
    assert [one["body"] for one in said if "body" in one] == [b"onetwo"] * 3


@pytest.mark.anyio
@pytest.mark.parametrize("wrap", [Kept, lambda app: Head(app, "en")])
@pytest.mark.parametrize("path", ["/assets/index-DphvyggB.js", "/"])
async def test_to_a_browser_that_has_hung_up_nothing_is_said(wrap: Any, path: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        """Sees that nobody listens any more."""

    async def send(message: Any) -> None:
        raise AssertionError(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    await wrap(app)({"type": "http", "method": "GET", "path": path, "headers": []}, receive, send)
