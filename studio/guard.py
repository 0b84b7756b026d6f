"""Stands before every route, Gradio's too: who may ask from where, how much may be sent, what a browser may do with
the answer. Pure ASGI. Knows no route, no run and no user.

A page of another site can send requests to 127.0.0.1 from the visitor's browser, and a name that turns to 127.0.0.1
after it was loaded (DNS rebinding) can also read the answers. The Host list stops the second, the Origin check the
first. Ports are not compared in the Host list: whoever reaches a GPU server through `ssh -L 9000:...` asks for
localhost:9000, and an attacker's name is foreign on every port.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.answers import refuse

LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
MAX_UPLOAD = 256 * 2**20  # a 16-bit RGB TIFF of 40 megapixels is 240 MB
MAX_BODY = 16 * 2**20  # a request is data; pixels travel as uploads
DRAIN_S = 5.0
MAX_WEIGHTS = 1000 * 2**20  # an adapter of SDXL at rank 256 is 900 MB
UPLOADS = "/api/uploads"
WEIGHTS = f"{UPLOADS}/adapter"

# Gradio builds its templates with `new Function` and styles elements inline; neither reaches the network.
PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'"
)
DATA_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"


def policy(path: str) -> str:
    """The content security policy of a route: data may do nothing at all, a page may do what it needs."""
    if path == "/docs" or path.startswith("/docs/"):
        return DOCS_POLICY
    if path.startswith(("/api/", "/files/")):
        return DATA_POLICY
    return PAGE_POLICY


def host_name(host: str) -> str:
    """`localhost:7860` -> `localhost`, `[::1]:7860` -> `[::1]`."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.split(":", 1)[0]


class Guard:
    """Wraps the whole application. Refuses with a sentence; otherwise passes on and puts the headers on the answer."""

    def __init__(
        self,
        app: ASGIApp,
        names: Iterable[str] = LOCAL_NAMES,
        *,
        max_upload: int = MAX_UPLOAD,
        max_body: int = MAX_BODY,
        max_weights: int = MAX_WEIGHTS,
    ) -> None:
        self.app = app
        self.names = frozenset(names)
        self.max_body = max_body
        self.larger = {UPLOADS: max_upload, WEIGHTS: max_weights}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            if self._refusal(scope):
                await send({"type": "websocket.close", "code": 1008})
                return
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        """Status, code and sentence of why this may not pass; None when it may."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or host_name(hosts[0]) not in self.names:
            asked = ", ".join(hosts) or "nothing"
            return 421, "wrong_host", f"this studio answers to {_listed(self.names)}, not to {asked[:200]!r}"
        origins = headers.getlist("origin")
        if any(not _same_origin(origin, hosts[0]) for origin in origins):
            return (
                403,
                "wrong_origin",
                f"a page of {origins[0][:200]!r} may not use this studio; open {hosts[0]} itself",
            )
        site = headers.get("sec-fetch-site", "none").lower()
        if site not in ("same-origin", "none"):
            following_a_link = scope.get("method") in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
            if not following_a_link:
                return 403, "wrong_origin", f"another site may not use this studio; open {hosts[0]} itself"
        return None

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        cap = self.larger.get(path, self.max_body)
        body = _Body(receive, send, cap, policy(path))
        refusal = self._refusal(scope)
        if refusal:
            await refuse(*refusal)(scope, receive, body.answer)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdigit() or int(declared) > cap:
            await body.too_large()
            return
        try:
            await self.app(scope, body.take, body.answer)
        except Exception:
            if not body.exceeded:
                raise
        if body.exceeded and not body.answered:
            await body.too_large()


class _Body:
    """Counts what comes in, also when its length was not announced, and dresses what goes out."""

    def __init__(self, receive: Receive, send: Send, cap: int, policy: str) -> None:
        self.receive = receive
        self.send = send
        self.cap = cap
        self.policy = policy
        self.taken = 0
        self.exceeded = False
        self.answered = False

    async def take(self) -> Message:
        """The next piece of the body; past the cap the route sees a client that hung up, and stops reading."""
        if self.exceeded:
            return {"type": "http.disconnect"}
        message = await self.receive()
        self.taken += len(message.get("body", b""))
        if self.taken > self.cap:
            self.exceeded = True
            return {"type": "http.disconnect"}
        return message

    async def answer(self, message: Message) -> None:
        if self.exceeded and not self.answered:
            return  # what the route says about a body cut short is not the reason; too_large is said instead
        if message["type"] == "http.response.start":
            self.answered = True
            self._dress(message)
        await self.send(message)

    async def too_large(self) -> None:
        """Says how much may be sent, and closes. What is still under way is read and dropped for a moment: a connection
        reset under a client that is sending would take the sentence with it."""
        self.exceeded = False
        say = refuse(413, "too_large", f"this is larger than the {_size(self.cap)} that may be sent here; send less")
        headers = [*say.raw_headers, (b"connection", b"close")]
        await self.answer({"type": "http.response.start", "status": say.status_code, "headers": headers})
        await self.answer({"type": "http.response.body", "body": say.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while (await self.receive()).get("more_body", False):
                    pass
        await self.answer({"type": "http.response.body", "body": b""})

    def _dress(self, message: Message) -> None:
        message.setdefault("headers", [])
        headers = MutableHeaders(scope=message)
        for name in [name for name in headers if name.startswith("access-control-")]:
            del headers[name]  # Gradio opens itself to other sites; this studio does not
        headers["Content-Security-Policy"] = self.policy
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "SAMEORIGIN"
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"


def _same_origin(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.strip().lower()


def _size(count: int) -> str:
    return f"{count / 2**20:g} MiB" if count >= 2**20 else f"{count} bytes"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
