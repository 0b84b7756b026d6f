"""What axe-core finds in the page: nothing, in no tab, menu or dialog, on the light page and on the dark one."""

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from tests.studio import windows
from tests.studio.conftest import Studio
from tests.studio.test_page import drag, generate, go, open_sample

pytestmark = pytest.mark.browser
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")

# A button that is on its way from grey to black has neither's contrast.
SETTLED = """
() => Promise.allSettled(
  document.getAnimations().filter((one) => one instanceof CSSTransition).map((one) => one.finished))
"""


def violations(page: Any) -> list[str]:
    """What axe-core finds in the page as it stands, of any impact, one line an element: all of it on the light page,
    and on the dark one what other colours may change. The page, which follows the system, is light afterwards.
    """
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(AXE)
    found = []
    for look, rules in (("dark", "runOnly: ['color-contrast']"), ("light", "")):
        page.emulate_media(color_scheme=look)
        page.wait_for_function("dark => document.body.classList.contains('dark') === dark", arg=look == "dark")
        page.evaluate(SETTLED)
        result = page.evaluate(f"axe.run(document, {{resultTypes: ['violations'], {rules}}})")
        found += [
            f"{look}: {rule['id']} ({rule['impact']}): {' '.join(map(str, node['target']))} {node['html'][:160]}"
            for rule in result["violations"]
            for node in rule["nodes"]
        ]
    return found


@pytest.fixture
def window(studio: Studio, browser: Any) -> Iterator[Any]:
    """The page with a picture open."""
    with windows.unwatched(browser, color_scheme="light") as page:
        go(page, studio)
        to(page, "paint")
        open_sample(page)
        yield page


def tabs(page: Any) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        "#tabs > .tab-wrapper [role=tab]", "tabs => [...new Set(tabs.map(tab => tab.dataset.tabId))]"
    )
    return found


def to(page: Any, tab: str) -> None:
    page.locator(f"#tabs > .tab-wrapper [role=tab][data-tab-id={tab}]").first.click()


@pytest.mark.long
def test_axe_finds_what_is_wrong(window: Any) -> None:
    window.evaluate("document.querySelector('#brand').insertAdjacentHTML('afterend', '<button></button>')")
    assert [line.split()[:2] for line in violations(window)] == [["light:", "button-name"]]


def test_no_tab_has_a_violation(window: Any) -> None:
    found = {}
    names = tabs(window)
    for name in names:
        to(window, name)
        window.wait_for_timeout(600)  # figures that come over HTTP while a tab is seen
        found[name] = violations(window)
    assert "settings" in names
    assert found == {name: [] for name in names}


@pytest.mark.long
def test_a_result_to_judge_has_none(window: Any) -> None:
    drag(window, (-120, -40), (100, 30))
    generate(window)
    judged = violations(window)
    window.click(".cmp-keep")
    window.wait_for_selector("#export:enabled")
    kept = violations(window)
    to(window, "review")
    window.wait_for_selector(".grd-tile")
    listed = violations(window)
    window.locator(".grd-tile").first.click()
    window.keyboard.press("Enter")
    window.wait_for_timeout(600)
    assert (judged, kept, listed, violations(window)) == ([], [], [], [])


# What opens over the page under Paint: what to press one after the other, and what is open then.
OPENED = {
    "the keys of the canvas": (("?",), ".mc-help[open]"),
    "its defect brushes": ((".mc [data-menu=defects]",), ".mc-defects:popover-open"),
    "its masks": ((".mc [data-menu=masks]",), ".mc-masks:popover-open"),
    "the products": (("#product [role=combobox]",), ".wh-list:popover-open"),
    "the defects": (("#defect [role=combobox]",), ".wh-list:popover-open"),
    "the name of a preset": (("[data-own=save]",), ".wh-dialog[open]"),
    "the device": ((".dev-button",), ".dev-pop:popover-open"),
    "the help": ((".tour-open",), ".tour-menu:popover-open"),
    "the keys of the page": ((".tour-open", "[data-help=keys]"), ".tour-keys[open]"),
    "the tour": ((".tour-open", "[data-help=tour]"), ".tour-card:popover-open"),
}


@pytest.mark.long
def test_what_opens_over_the_page_has_none(window: Any) -> None:
    found = {}
    for what, (ways, opened) in OPENED.items():
        for way in ways:
            if len(way) == 1:
                window.focus(".mc")
                window.keyboard.press(way)
            else:
                window.click(way)
        window.wait_for_selector(opened)
        found[what] = violations(window)
        window.keyboard.press("Escape")
        window.wait_for_selector(opened, state="hidden")
    to(window, "paint")
    window.click(".wh [data-mode=expert]")
    found["expert"] = violations(window)
    assert found == {what: [] for what in (*OPENED, "expert")}


@pytest.mark.long
def test_what_the_doctor_found_has_none(window: Any) -> None:
    to(window, "settings")
    window.click(".set-examine")
    window.wait_for_selector(".set-findings li", timeout=200_000)
    window.locator(".set summary").first.click()
    assert violations(window) == []
