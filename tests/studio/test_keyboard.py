"""The page without a mouse: from a fresh page to an export by keys alone, and whatever can be reached has a name, a
visible focus and a way on."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.studio import windows
from tests.studio.conftest import Studio
from tests.studio.test_page import area, go

pytestmark = pytest.mark.browser
MOST_STOPS = 200  # between two things on one page
TABS = ["data", "paint", "review", "models", "settings"]

# How an element and what is around it look, as far as a focus can show; where Tab has been; where it could be.
FROM_THE_TOP = "document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')"
STOPS = """
const SHOWN = ["outlineStyle", "outlineWidth", "outlineColor", "boxShadow", "borderColor", "backgroundColor"];
const TAKES = "button, a[href], input, select, textarea, [tabindex]";
const looks = (one) => {
  const found = [];
  for (let at = one, up = 0; at && up < 4; at = at.parentElement, up += 1) {
    const style = getComputedStyle(at);
    found.push(...SHOWN.map((name) => style[name]));
  }
  // A list shows the focus at the one that is chosen in it.
  const items = one.matches("[role=listbox]") ? [...one.querySelectorAll("*")] : [];
  found.push(...items.map((item) => getComputedStyle(item).outlineStyle));
  return found.join(" ");
};
const text = (one) => one.outerHTML.slice(0, 160);
const reachable = (one) => one.tabIndex >= 0 && !one.disabled && one.getClientRects().length
  && one.checkVisibility({ visibilityProperty: true }) && !one.closest("[inert], dialog:not([open])")
  && !(one.type === "radio" && !one.checked);
window.stops = {
  all: [],
  here() {
    const before = this.all.at(-1), here = document.activeElement;
    if (before) before.ring = before.focused !== looks(before.one);
    if (!here || here === document.body) return "end";
    const again = this.all.findIndex((stop) => stop.one === here);
    if (again >= 0) return again ? `trap: ${text(here)}` : "end";
    this.all.push({ one: here, focused: looks(here) });
    return "";
  },
  missed() {
    const been = new Set(this.all.map((stop) => stop.one));
    return [...document.querySelectorAll(TAKES)].filter((one) => reachable(one) && !been.has(one)).map(text);
  },
  ringless() { return this.all.filter((stop) => stop.ring === false).map((stop) => text(stop.one)); },
};
"""


@pytest.fixture
def window(studio: Studio, browser: Any) -> Iterator[Any]:
    with windows.watched(browser, studio.home) as page:
        go(page, studio)
        page.wait_for_selector("#samples [data-sample]")
        yield page


def tab_to(page: Any, selector: str, key: str = "Tab") -> None:
    """Press Tab until that has the focus."""
    for _ in range(MOST_STOPS):
        if page.evaluate("wanted => Boolean(document.activeElement?.matches(wanted))", selector):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{selector} was not reached by {MOST_STOPS} presses of {key}")


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def shown(page: Any, name: str) -> None:
    """Lead to a tab of the page by keys."""
    tab_to(page, f"[role=tab][data-tab-id={name}]")
    press(page, "Enter")
    page.wait_for_selector(f"[role=tab][data-tab-id={name}][aria-selected=true]")


def test_from_a_sample_to_an_export_by_keys_alone(window: Any) -> None:
    tab_to(window, "#samples [data-sample=ceramic_tile]")
    press(window, "Enter")
    window.wait_for_selector(".mc[data-ready='1']")
    tab_to(window, ".mc .mc-rail [data-tool=brush]")
    tab_to(window, ".mc .mc-rail [data-tool=rectangle]")
    press(window, "Enter")
    assert window.get_attribute(".mc", "data-tool") == "rectangle"
    tab_to(window, ".mc", "Shift+Tab")
    press(window, *["ArrowLeft"] * 4, "Enter", *["Shift+ArrowRight"] * 2, *["ArrowDown"] * 6, "Enter")
    assert area(window) > 1000
    press(window, "Control+z")
    assert area(window) == 0
    press(window, "Control+y")
    tab_to(window, "#defect input")
    press(window, "ArrowDown", "ArrowDown", "Enter")
    tab_to(window, "#field-severity input[type=range]")
    press(window, "ArrowRight")
    tab_to(window, "#generate")
    press(window, "Enter")
    window.wait_for_selector(".cmp[data-ready='1']")
    window.wait_for_function("document.activeElement.matches('.cmp')")
    press(window, "a")
    window.wait_for_selector("#kept >> text=kept")
    window.wait_for_selector("#export:not([disabled])")
    tab_to(window, "#export")
    press(window, "Enter")
    window.wait_for_selector("#download a")
    with window.expect_download() as download:
        tab_to(window, "#download a")
        press(window, "Enter")
    assert download.value.suggested_filename.endswith(".zip")
    for name in TABS:
        shown(window, name)


def test_on_each_tab_all_is_reached_by_tab_shows_its_focus_and_has_a_name(window: Any, studio: Studio) -> None:
    window.add_style_tag(content="*, *::before, *::after { transition: none !important; animation: none !important; }")
    window.evaluate(STOPS)
    for name in TABS:
        shown(window, name)
        if name == "review" and any(one["done"] for one in studio.get("/api/runs")["runs"]):
            window.wait_for_selector(".pack-tree")  # what would leave is reckoned last
        settled(window)
        assert nameless(window) == [], name
        window.evaluate("stops.all = []")
        window.evaluate(FROM_THE_TOP)
        for _ in range(MOST_STOPS):
            window.keyboard.press("Tab")
            end = window.evaluate("stops.here()")
            if end:
                break
        assert end == "end", name
        assert window.evaluate("stops.missed()") == [], name
        assert window.evaluate("stops.ringless()") == [], name


@pytest.mark.long
def test_with_a_picture_open_all_of_the_canvas_has_a_name(window: Any) -> None:
    tab_to(window, "#samples [data-sample=ceramic_tile]")
    press(window, "Enter")
    window.wait_for_selector(".mc[data-ready='1']")
    assert nameless(window) == []
    tab_to(window, "[role=tab][data-tab-id=paint-judge]", "Shift+Tab")
    press(window, "Enter")
    window.wait_for_selector("#compare", state="visible")
    assert nameless(window) == []


def settled(page: Any) -> None:
    """Until what the tab asks for has come: nothing new for most of a second."""
    page.evaluate(
        """() => new Promise((done) => {
          let timer = setTimeout(done, 1500);
          const seen = new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(done, 800); });
          seen.observe(document.querySelector("#tabs"), { subtree: true, childList: true });
        })"""
    )


def nameless(page: Any) -> list[str]:
    """What the browser itself would read to a person as nothing but its role."""
    session = page.context.new_cdp_session(page)
    found = []
    for node in session.send("Accessibility.getFullAXTree")["nodes"]:
        able = any(one["name"] == "focusable" and one["value"]["value"] for one in node.get("properties", []))
        role = node.get("role", {}).get("value")
        if node["ignored"] or not able or role == "RootWebArea" or node.get("name", {}).get("value", "").strip():
            continue
        one = session.send("DOM.describeNode", {"backendNodeId": node["backendDOMNodeId"]})["node"]
        if "-1" in one.get("attributes", []):  # tabindex: a script may put the focus there, Tab does not
            continue
        found.append(f"{role}: {one['localName']} {one.get('attributes')}")
    return found
