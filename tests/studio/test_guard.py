"""Who may ask from where, how much may be sent, and what of Gradio is open. A real server where the wire matters."""

from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message
from starlette.websockets import WebSocket

from studio.fence import Fence
from studio.guard import Guard
from tests.studio.serving import ask as ask_server
from tests.studio.serving import serving

HOME = "http://127.0.0.1:7860"


async def echo(request: Request) -> Response:
    body = await request.body()
    return PlainTextResponse(str(len(body)), headers={"Access-Control-Allow-Origin": "http://evil.example"})


async def socket_route(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


def inner() -> Starlette:
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Starlette(
        routes=[WebSocketRoute("/socket", socket_route), Route("/{rest:path}", echo, methods=methods)],
    )


def client(app: ASGIApp, **headers: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HOME, headers=headers)


async def ask(method: str, path: str = "/api/runs", **headers: str) -> httpx.Response:
    async with client(Guard(inner())) as browser:
        return await browser.request(
            method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


HOSTS = [
    ("127.0.0.1:7860", 200),
    ("localhost:7860", 200),
    ("LOCALHOST", 200),
    ("[::1]:7860", 200),
    ("localhost:9000", 200),  # through a tunnel
    ("evil.example", 421),
    ("evil.example:7860", 421),
    ("localhost.evil.example", 421),
    ("127.0.0.1.nip.io", 421),
    ("127.0.0.1@evil.example", 421),
    ("0.0.0.0:7860", 421),
    ("[::1", 421),
    ("", 421),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("host", "status"), HOSTS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_only_the_own_names_are_answered(method: str, host: str, status: int) -> None:
    answer = await ask(method, host=host)
    assert answer.status_code == status
    if status == 421:
        assert answer.json()["error"]["message"].startswith(
            "this studio answers to 127.0.0.1, [::1], localhost, not to"
        )


ORIGINS = [
    (None, 200),
    ("http://127.0.0.1:7860", 200),
    ("HTTP://127.0.0.1:7860", 200),
    ("http://127.0.0.1:7861", 403),
    ("http://localhost:7860", 403),  # another origin to a browser, too
    ("http://evil.example", 403),
    ("http://127.0.0.1:7860.evil.example", 403),
    ("http://127.0.0.1:7860@evil.example", 403),
    ("null", 403),
    ("", 403),
    ("file://", 403),
    ("http://[", 403),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("origin", "status"), ORIGINS)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
async def test_pages_of_other_sites_are_refused(method: str, origin: str | None, status: int) -> None:
    headers = {} if origin is None else {"origin": origin}
    assert (await ask(method, **headers)).status_code == status


SITES = [
    ("GET", "same-origin", "cors", 200),
    ("GET", "none", "navigate", 200),
    ("GET", "cross-site", "navigate", 200),  # a link to the studio in a chat
    ("GET", "cross-site", "no-cors", 403),  # <img src> on another page
    ("POST", "cross-site", "navigate", 403),  # a form on another page
    ("POST", "same-site", "cors", 403),  # another program on this machine's name
    ("POST", "same-origin", "cors", 200),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("method", "site", "mode", "status"), SITES)
async def test_what_the_browser_says_about_the_asking_site_counts(
    method: str, site: str, mode: str, status: int
) -> None:
    assert (await ask(method, sec_fetch_site=site, sec_fetch_mode=mode)).status_code == status


@pytest.mark.anyio
async def test_every_answer_says_what_a_browser_may_do_with_it() -> None:
    for path, policy in [
        ("/", "'self'"),
        ("/files/x/a.png", "sandbox"),
        ("/api/tasks", "sandbox"),
        ("/docs", "script-src 'self';"),
    ]:
        answer = await ask("GET", path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors" in answer.headers["content-security-policy"]
        assert policy in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"] or path == "/"
    refused = await ask("GET", host="evil.example")
    assert refused.headers["x-content-type-options"] == "nosniff"


@pytest.mark.anyio
async def test_nothing_behind_the_guard_can_open_itself_to_other_sites() -> None:
    assert not [name for name in (await ask("GET")).headers if name.startswith("access-control-")]


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
@pytest.mark.parametrize(("path", "cap"), [("/api/runs", 1000), ("/api/uploads", 5000)])
def test_a_body_over_the_cap_is_refused_and_one_at_the_cap_passes(path: str, cap: int, announced: bool) -> None:
    with serving(Guard(inner(), max_body=1000, max_upload=5000)) as port:
        for size, status in [(cap, 200), (cap + 1, 413), (2_000_000, 413)]:
            whole = b"x" * size
            sent = whole if announced else iter([whole[:500], whole[500:]])
            answer = ask_server(port, "POST", path, sent)
            assert answer.status == status
            if status == 413:
                limit = f"this is larger than the {cap} bytes that may be sent here; send less"
                assert answer.error["message"] == limit
            else:
                assert answer.body == str(cap).encode()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("host", "origin", "opened"),
    [
        ("127.0.0.1:7860", HOME, True),
        ("127.0.0.1:7860", "http://evil.example", False),
        ("evil.example", "http://evil.example", False),
    ],
)
async def test_a_websocket_from_elsewhere_is_not_opened(host: str, origin: str, opened: bool) -> None:
    """Spoken in ASGI: the installed uvicorn has no websocket library, and Gradio needs none."""
    told: list[Message] = []
    asked: Iterator[Message] = iter([{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}])

    async def receive() -> Message:
        return next(asked)

    async def send(message: Message) -> None:
        told.append(message)

    headers = [(b"host", host.encode()), (b"origin", origin.encode())]
    scope = {
        "type": "websocket",
        "path": "/socket",
        "raw_path": b"/socket",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "subprotocols": [],
    }
    await Guard(inner())(scope, receive, send)
    assert told[0]["type"] == ("websocket.accept" if opened else "websocket.close")


CLOSED = [
    "/gradio_api/file=/etc/passwd",
    "/gradio_api/file=http://169.254.169.254/latest/meta-data",
    "/gradio_api/upload",
    "/gradio_api/component_server",
    "/gradio_api/run/predict",
    "/gradio_api/api/predict",
    "/gradio_api/call/predict",
    "/gradio_api/proxy=https://x.hf.space/a",
    "/gradio_api/vibe-code",
    "/gradio_api/stream/a/b/c/playlist.m3u8",
    "/gradio_api/custom_component/a/client/component/x",
    "/gradio_api/openapi.json",
    "/gradio_api/runs",
    "/gradio_api/deep_link",
    "/monitoring",
    "/login",
    "/file=/etc/passwd",
    "/gradio_api/file/etc/passwd",
    "//gradio_api/run/predict",
]


@pytest.mark.anyio
@pytest.mark.parametrize("path", CLOSED)
async def test_what_the_page_does_not_need_of_gradio_does_not_exist(path: str) -> None:
    async with client(Fence(inner())) as browser:
        answer = await browser.get(HOME + path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "missing")
        assert (await browser.get("/gradio_api/queue/data")).status_code == 200
