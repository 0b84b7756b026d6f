"""Light and dark, languages, and every size of screen: what a person sees first, and what still fits."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.studio import windows
from tests.studio.conftest import Studio
from tests.studio.test_page import go, open_sample

pytestmark = pytest.mark.browser
LIGHT, DARK = "rgb(238, 240, 243)", "rgb(16, 20, 24)"
FINGER_PX = 44

# Notes the ground of the page in the first frame that has a body, and every other ground until it is asked.
FIRST = """
window.grounds = [];
(function look() {
  if (document.body) {
    const ground = getComputedStyle(document.body).backgroundColor;
    if (window.grounds.at(-1) !== ground) window.grounds.push(ground);
  }
  requestAnimationFrame(look);
})();
"""
# The controls that are seen, in the window and not scrolled away, with their boxes and what lies over them.
CONTROLS = """
() => {
  const all = 'button, input, select, summary, textarea, [role=tab], nav a[href]';
  const shown = { opacityProperty: true, visibilityProperty: true };
  const seen = (one) => {
    let { left, right, top, bottom, width, height } = one.getBoundingClientRect();
    const x = left + width / 2, y = top + height / 2;
    if (width < 3 || height < 3 || !one.checkVisibility(shown)) return null;
    for (let above = one.parentElement; above; above = above.parentElement) {
      if (getComputedStyle(above).overflow === 'visible') continue;
      const frame = above.getBoundingClientRect();
      if (x < frame.left || x > frame.right || y < frame.top || y > frame.bottom) return null;
      [left, right] = [Math.max(left, frame.left), Math.min(right, frame.right)];
    }
    const other = document.elementFromPoint(x, y)?.closest(all);
    const covered = other && other !== one && !one.contains(other) && !other.contains(one);
    const name = `${one.tagName} ${one.className} ${one.getAttribute('aria-label') || one.textContent.trim()}`;
    return { name, height, left, right, under: covered ? other.outerHTML.slice(0, 120) : '' };
  };
  return [...document.querySelectorAll(all)].map(seen).filter(Boolean);
}
"""

Open = Callable[..., Any]


@pytest.fixture
def window(browser: Any) -> Iterator[Open]:
    """Opens a fresh browser profile; every one is closed at the end."""
    with ExitStack() as opened:

        def new(**how: Any) -> Any:
            page = opened.enter_context(windows.unwatched(browser, **how))
            page.context.add_init_script(FIRST)
            return page

        yield new


def ground(page: Any) -> str:
    found: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return found


def to(page: Any, tab: str) -> None:
    page.locator(f"#tabs > .tab-wrapper [role=tab][data-tab-id={tab}]").first.click()


def choose(page: Any, look: str) -> None:
    to(page, "settings")
    page.locator(f".set-looks label:has([value={look}])").click()


@pytest.mark.long
@pytest.mark.parametrize(("system", "look", "colour"), [("dark", "light", LIGHT), ("light", "dark", DARK)])
def test_the_page_begins_as_the_system_has_it_which_a_choice_outdoes(
    window: Open, studio: Studio, system: str, look: str, colour: str
) -> None:
    page = window(color_scheme=system)
    go(page, studio)
    assert page.evaluate("window.grounds") == [DARK if system == "dark" else LIGHT]
    choose(page, look)
    assert ground(page) == colour
    page.goto(f"{studio.home}/?__theme={system}")
    page.wait_for_selector("#generate", state="attached")
    assert page.evaluate("window.grounds") == [colour]  # no other one was ever painted
    assert page.evaluate("document.body.classList.contains('dark')") == (look == "dark")
    to(page, "settings")
    assert page.is_checked(f".set-looks [value={look}]")


@pytest.mark.long
def test_another_window_and_the_system_are_followed(window: Open, studio: Studio) -> None:
    page = window(color_scheme="light")
    go(page, studio)
    other = page.context.new_page()
    other.goto(f"{studio.home}/docs")
    choose(page, "dark")
    other.wait_for_function("document.documentElement.classList.contains('dark')")
    choose(page, "system")
    other.wait_for_function("!document.documentElement.classList.contains('dark')")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.classList.contains('dark')")
    assert ground(page) == DARK


@pytest.mark.long
def test_a_language_is_chosen_and_remembered(window: Open, studio: Studio) -> None:
    page = window(locale="en-GB")
    go(page, studio)
    to(page, "settings")
    page.click(".set-languages [lang=ja]")
    page.wait_for_url(f"{studio.home}/ja/")
    page.wait_for_selector("#generate", state="attached")
    assert page.evaluate("document.documentElement.lang") == "ja"
    fonts = page.evaluate("getComputedStyle(document.querySelector('.gradio-container')).fontFamily")
    assert fonts.index("CJK JP") < fonts.index("CJK SC")
    page.goto(studio.home)
    page.wait_for_url(f"{studio.home}/ja/")
    to(page, "settings")
    assert page.get_attribute(".set-languages [lang=ja]", "aria-current") == "page"
    page.click(".set-languages [lang=en]")
    page.wait_for_url(f"{studio.home}/")


@pytest.mark.long
def test_folders_show_their_whole_path_on_demand(window: Open, studio: Studio) -> None:
    page = window()
    go(page, studio)
    to(page, "settings")
    first = page.locator(".set-folder").first
    first.wait_for()
    whole = first.locator("details code")
    assert first.locator("summary").inner_text() == "/".join(studio.runs.parts[-2:])
    assert not whole.is_visible()
    first.locator("summary").click()
    assert whole.inner_text() == str(studio.runs)


@pytest.mark.long
def test_the_doctor_answers_on_the_page(window: Open, studio: Studio) -> None:
    page = window(permissions=["clipboard-read", "clipboard-write"])
    go(page, studio)
    to(page, "settings")
    page.click(".set-examine")
    page.wait_for_selector(".set-findings li", timeout=200_000)
    names = page.locator(".set-line strong").all_inner_texts()
    assert {"python", "packages", "memory", "disk", "runs"} <= set(names)
    assert "port" not in names
    page.click(".set-all")
    page.wait_for_function("document.querySelector('.set-all').textContent === 'Copied'")
    assert "python" in page.evaluate("navigator.clipboard.readText()")


@pytest.mark.long
def test_the_mark_is_served_by_the_studio(window: Open, studio: Studio) -> None:
    page = window()
    go(page, studio)
    assert page.title() == "Flawsmith"
    icons = page.eval_on_selector_all("link[rel~=icon]", "all => all.map(one => one.href)")
    assert icons == [f"{studio.home}/favicon.ico", f"{studio.home}/favicon.svg"]
    for icon in icons:
        assert page.request.get(icon).headers["content-type"].startswith("image/")


SIZES = {
    "laptop": ({"width": 1280, "height": 800}, False),
    "desk": ({"width": 1920, "height": 1080}, False),
    "tablet": ({"width": 1180, "height": 820}, True),
    "upright": ({"width": 820, "height": 1180}, True),
}


@pytest.mark.parametrize(
    "size", ["laptop", *(pytest.param(n, marks=pytest.mark.long) for n in ("upright", "desk", "tablet"))]
)
def test_every_tab_fits(window: Open, studio: Studio, size: str) -> None:
    viewport, touch = SIZES[size]
    page = window(viewport=viewport, has_touch=touch, is_mobile=touch)
    go(page, studio)
    to(page, "paint")
    open_sample(page)
    bottom = page.eval_on_selector("#generate", "one => one.getBoundingClientRect().bottom + scrollY")
    assert bottom <= viewport["height"]
    names = page.eval_on_selector_all("#tabs > .tab-wrapper [role=tab]", "all => all.map(one => one.dataset.tabId)")
    for name in dict.fromkeys(names):
        to(page, name)
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], name
        found = page.evaluate(CONTROLS)
        assert [(one["name"], one["under"]) for one in found if one["under"]] == [], name
        assert [one["name"] for one in found if one["left"] < -1 or one["right"] > viewport["width"] + 1] == [], name
        if touch:
            assert [(one["name"], one["height"]) for one in found if one["height"] < FINGER_PX - 0.5] == [], name
