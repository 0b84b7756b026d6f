"""The head of the page: its language, its mark, and light or dark before anything is painted.

Gradio adds a `head=` of ours only after its script has run, when a dark page has already flashed white; so what belongs
there is laid into the HTML on its way out. Knows Gradio's index.html, by the few places that it changes; no tab.
"""

import re
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from studio import i18n
from studio.answers import whole

STATIC = Path(__file__).with_name("static")
LOOK = STATIC / "look.js"
ICONS = {"favicon.svg": "image/svg+xml", "favicon.ico": "image/x-icon"}

AT = b'<meta charset="utf-8" />'
# Cards for networks we are not on, and the manifest of an app that this page is not.
FOREIGN = re.compile(rb'<meta\s+(?:property|name)="(?:og|twitter):[^>]*>\s*|<link rel="manifest"[^>]*>\s*')
# Gradio paints the body by the system's preference until its own styles are there; these colours are the theme's.
FIRST_PAINT = """<style>
  :root { color-scheme: light; }
  :root.dark { color-scheme: dark; }
  html body { background: var(--bg); color: var(--col); }
  html.dark body { background: var(--bg-dark); color: var(--col-dark); }
</style>"""
# Gradio's own words, and the lang that it sets on the page, follow the browser's language; they are to follow ours.
TONGUE = "<script>Object.defineProperty(navigator, 'language', { value: document.documentElement.lang });</script>"

router = APIRouter(include_in_schema=False)


def _serve(name: str, kind: str) -> None:
    @router.get(f"/{name}", name=name)
    def icon() -> FileResponse:
        return FileResponse(STATIC / name, media_type=kind)


for _name, _kind in ICONS.items():
    _serve(_name, _kind)


def html() -> str:
    """What is laid into the head."""
    return f"""
    <title>Flawsmith</title>
    <link rel="icon" href="/favicon.ico" sizes="32x32">
    <link rel="icon" href="/favicon.svg" type="image/svg+xml">
    <script>{LOOK.read_text(encoding="utf-8")}</script>
    {FIRST_PAINT}
    {TONGUE}
"""


class Head:
    """Wraps the page in one language; everything else passes as it is."""

    def __init__(self, app: ASGIApp, code: str) -> None:
        self.app = app
        self.path = "/" if code == i18n.ENGLISH else f"/{code}/"
        self._lang = f'lang="{code}"'.encode()
        self._head = AT + html().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self.path or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        found = await whole(self.app, scope, receive)
        if found is None:
            return
        start, body = found
        dressed = self.dress(body)
        MutableHeaders(scope=start)["Content-Length"] = str(len(dressed))
        await send(start)
        await send({"type": "http.response.body", "body": dressed})

    def dress(self, page: bytes) -> bytes:
        """Gradio's index.html with our head."""
        return FOREIGN.sub(b"", page).replace(b'lang="en"', self._lang, 1).replace(AT, self._head, 1)
