"""Which of Gradio's own routes are open. Knows Gradio's route names, nothing of ours but where they begin.

Mounted as it comes, Gradio also offers calls that pass the queue's limits (/run, /call), a proxy, a fetch of foreign
addresses and of every cached file by its path (/file=), uploads that nobody looks at, a page to write code with
(/vibe-*), and monitoring. Files come in through /api/uploads and go out through /files, so the page needs none of
them: what is not listed here does not exist.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from studio import i18n
from studio.answers import refuse

OURS = ("/api/", "/files/", "/docs/")
OURS_EXACT = {"/healthz", "/readyz", "/docs", "/openapi.json", "/favicon.svg"}
PAGE = ("/assets/", "/static/", "/svelte/")
PAGE_EXACT = {"/", "/config", "/theme.css", "/favicon.ico", "/robots.txt"}
EVENTS = ("/gradio_api/heartbeat/",)
EVENTS_EXACT = {f"/gradio_api/{name}" for name in ("queue/join", "queue/data", "startup-events", "reset", "cancel")}


def is_open(path: str) -> bool:
    """Whether a path is one of ours, or one of Gradio's that the page lives on, in any of its languages."""
    code, inner = i18n.split(path)
    if code is not None:
        return _of_page(inner)
    return path in OURS_EXACT or path.startswith(OURS) or _of_page(path)


def _of_page(path: str) -> bool:
    return path in PAGE_EXACT | EVENTS_EXACT or path.startswith(PAGE + EVENTS)


class Fence:
    """Lets open paths through; for the rest there is nothing there."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # Gradio streams events over plain HTTP; nothing here speaks this
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http" and not is_open(scope["path"]):
            sentence = f"there is nothing at {scope['path'][:200]}; /docs lists what there is"
            await refuse(404, "missing", sentence)(scope, receive, send)
        else:
            await self.app(scope, receive, send)
