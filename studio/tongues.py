"""The page in each language: English at /, another at its code, such as /ja/. Knows who gets which; draws none.

A page is made when somebody first asks for it, as most studios only ever speak one language.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from studio import i18n


class Tongues:
    """`english` answers everything else too; `page` makes the application of another language."""

    def __init__(self, english: ASGIApp, page: Callable[[str], Awaitable[ASGIApp]]) -> None:
        self.english = english
        self.page = page
        self._made: dict[str, ASGIApp] = {}
        self._making = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.english(scope, receive, send)
            return
        code, _ = i18n.split(scope["path"])
        if code is None:
            wanted = _wanted(scope) if scope["path"] == "/" else i18n.ENGLISH
            answer = self.english if wanted == i18n.ENGLISH else _elsewhere(scope, wanted)
        elif scope["path"] == f"/{code}":
            answer = _elsewhere(scope, code)
        else:
            answer = await self._of(code)
        await answer(scope, receive, send)

    async def _of(self, code: str) -> ASGIApp:
        async with self._making:
            if code not in self._made:
                self._made[code] = await self.page(code)
            return self._made[code]


def _wanted(scope: Scope) -> str:
    """The language of a person who asks for the page: chosen once under Settings, else what the browser prefers."""
    headers = Headers(scope=scope)
    return i18n.best(_cookie(headers.get("cookie", "")), headers.get("accept-language", ""))


def _cookie(header: str) -> str | None:
    try:
        found = SimpleCookie(header).get(i18n.COOKIE)
    except CookieError:
        return None
    return found.value if found else None


def _elsewhere(scope: Scope, code: str) -> RedirectResponse:
    query = scope.get("query_string", b"").decode("latin-1")
    headers = {"Cache-Control": "no-store", "Vary": "Cookie, Accept-Language"}
    return RedirectResponse(f"/{code}/{'?' + query if query else ''}", 302, headers=headers)
