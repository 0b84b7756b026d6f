"""Nothing leaves the machine: every tab, in every language, while somebody paints, generates, judges and exports."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from studio import i18n
from tests.studio import windows
from tests.studio.conftest import Studio
from tests.studio.test_page import drag, generate, open_sample

pytestmark = pytest.mark.browser
# What makes a browser look up or connect to another machine before anything is asked of it.
HINTS = (
    "link[rel~=preconnect], link[rel~=dns-prefetch], link[rel~=prefetch], link[rel~=preload], link[rel~=modulepreload]"
)


@contextmanager
def recorded(studio: Studio, browser: Any) -> Iterator[Any]:
    """An empty page, watched in what it asks and, at the end, in what it would have the browser look up."""
    with windows.watched(browser, studio.home) as page:
        yield page
        page.wait_for_timeout(500)
        hinted = page.evaluate("wanted => [...document.querySelectorAll(wanted)].map((link) => link.href)", HINTS)
    assert windows.away(studio.home, hinted) == []


def through_the_tabs(page: Any) -> int:
    """Open each tab of the page and each tab within it; returns how many there were."""
    seen = 0
    for name in page.eval_on_selector_all(
        "#tabs > .tab-wrapper [role=tab]", "all => all.map((one) => one.dataset.tabId)"
    ):
        page.click(f"#tabs > .tab-wrapper [role=tab][data-tab-id={name}]")
        page.wait_for_timeout(700)
        inner = "#tabs > .tabitem [role=tab]:visible"
        for place in range(page.locator(inner).count()):
            page.locator(inner).nth(place).click()
            page.wait_for_timeout(200)
            seen += 1
        seen += 1
    return seen


@pytest.mark.long
@pytest.mark.parametrize(
    "code", [code if code == "en" else pytest.param(code, marks=pytest.mark.long) for code in i18n.codes()]
)
def test_no_tab_in_any_language_asks_another_machine(studio: Studio, browser: Any, code: str) -> None:
    with recorded(studio, browser) as page:
        page.goto(studio.home if code == i18n.ENGLISH else f"{studio.home}/{code}/")
        page.wait_for_selector("#samples [data-sample]")
        assert page.get_attribute("html", "lang") == code
        assert through_the_tabs(page) >= 5


@pytest.mark.long
def test_a_session_from_painting_to_the_zip_asks_no_other_machine(studio: Studio, browser: Any) -> None:
    with recorded(studio, browser) as page:
        page.goto(studio.home)
        open_sample(page)
        drag(page, (-100, -30), (90, 40))
        generate(page)
        page.locator(".cmp").focus()
        page.keyboard.press("a")
        page.click("[role=tab][data-tab-id=review]")
        page.wait_for_selector(".grd-tile")
        page.click("#pack-export:not([disabled])")
        with page.expect_download() as download:
            page.click("#pack-link a")
        assert download.value.suggested_filename.endswith(".zip")
        through_the_tabs(page)


def test_the_check_itself_sees_what_goes_elsewhere() -> None:
    home = "http://127.0.0.1:7860"
    elsewhere = ["https://fonts.example.org/a.woff2", "wss://hub.example.org/", f"{home}.example.org/x"]
    assert windows.away(home, [*elsewhere, f"{home}/config", "data:image/png;base64,"]) == elsewhere
