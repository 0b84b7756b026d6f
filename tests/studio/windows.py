"""A page in a browser profile of its own, and what it asked for and complained of. Knows nothing of what is on it."""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

WAIT_MS = 60_000
SMALL = {"width": 1280, "height": 800}
LARGE = {"width": 1440, "height": 900}


@contextmanager
def unwatched(browser: Any, **more: Any) -> Iterator[Any]:
    """An empty page in a fresh profile; `more` goes to the profile. For what makes a browser itself complain: a refresh
    cuts streams, a refused request is an error to it.
    """
    with closing(browser.new_context(**{"viewport": SMALL, **more})) as profile:
        profile.set_default_timeout(WAIT_MS)
        yield profile.new_page()


@contextmanager
def watched(browser: Any, home: str, *, complaints: str = "", **more: Any) -> Iterator[Any]:
    """The same. No page of the profile may complain of anything but what `complaints` names, nor ask another server."""
    asked: list[str] = []
    complained: list[str] = []
    with unwatched(browser, **more) as page:
        page.context.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda socket: asked.append(socket.url))
        page.context.on("console", lambda said: complained.append(said.text) if said.type == "error" else None)
        page.context.on("weberror", lambda thrown: complained.append(str(thrown.error)))
        yield page
    unnamed = [one for one in complained if not complaints or complaints not in one]
    assert not unnamed, unnamed
    assert asked, f"nothing was asked of {home}, so nothing was watched"
    elsewhere = away(home, asked)
    assert not elsewhere, elsewhere


def away(home: str, urls: Iterable[str]) -> list[str]:
    """Those of them that lead to another server."""
    here = urlsplit(home).netloc
    return [url for url in urls if urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).netloc != here]


def in_sight(page: Any, needed: Iterable[str], width: int, height: int) -> None:
    """In a window of that size, the first of each of them is seen without scrolling."""
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(200)
    for one in needed:
        box = page.locator(one).first.bounding_box()
        assert box["y"] >= 0, (one, width)
        assert box["y"] + box["height"] <= height, (one, width)
        assert box["x"] + box["width"] <= width, (one, width)
