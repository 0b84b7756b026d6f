"""Gradio's scripts, styles and fonts from memory: a page asks for seventy of them, and each is the same every time.

Only what bears a hash of its content in its name is kept, so that nothing can grow old: a browser is told so as well.
Knows how Gradio names such files; nothing of what is in them.
"""

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio import i18n
from studio.answers import whole

HASHED = re.compile(r"/assets/[\w.-]*-[\w-]{8}\.(?:js|css|woff2?|svg)")
FOR_EVER = "public, max-age=31536000, immutable"


class Kept:
    """Answers for what it has seen whole; the rest passes as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._seen: dict[tuple[str, str], tuple[Message, bytes]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            return await self.app(scope, receive, send)
        path = i18n.split(scope["path"])[1]
        asked = Headers(scope=scope)
        if not HASHED.fullmatch(path) or "range" in asked:
            return await self.app(scope, receive, send)
        takes = asked.get("accept-encoding", "")
        packed = next((one for one in ("br", "gzip") if one in takes), "identity")
        key = (path, packed)
        if key not in self._seen:
            # Asked without conditions: "not modified" is no answer to keep.
            left = [one for one in scope["headers"] if not one[0].startswith(b"if-") and one[0] != b"accept-encoding"]
            headers = [*left, (b"accept-encoding", packed.encode())]
            found = await whole(self.app, {**scope, "headers": headers}, receive)
            if found is None:
                return None
            MutableHeaders(scope=found[0])["Content-Length"] = str(len(found[1]))
            if found[0]["status"] != 200:
                return await _say(found, send)
            MutableHeaders(scope=found[0])["Cache-Control"] = FOR_EVER
            self._seen[key] = found
        await _say(self._seen[key], send)


async def _say(answer: tuple[Message, bytes], send: Send) -> None:
    start, body = answer
    await send({**start, "headers": list(start["headers"])})  # who wraps us adds headers of its own
    await send({"type": "http.response.body", "body": body})
