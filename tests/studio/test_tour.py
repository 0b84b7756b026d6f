"""The first minute: what an empty studio offers, and a tour that follows the hand and can be left at any time."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from studio import i18n
from studio.widgets import FOLDER, tour
from tests.studio import windows
from tests.studio.conftest import Studio, started
from tests.studio.test_page import drag, generate

browsing = pytest.mark.browser


def test_every_step_has_its_words_in_the_order_of_the_tour() -> None:
    steps = re.findall(r'\{ name: "(\w+)", tabs: .*done:', (FOLDER / "tour_steps.js").read_text(encoding="utf-8"))
    words = i18n.language("en").table("tour")["steps"]
    assert steps == list(words)
    assert len(steps) == 8
    assert all(set(words[step]) == {"do", "how"} for step in steps)


def test_three_samples_are_offered_by_name_in_every_language() -> None:
    for code in i18n.codes():
        found = tour.offered(i18n.language(code))
        assert [one["id"] for one in found] == list(tour.FIRST)
        assert all(one["title"] and one["picture"].startswith("data:image/jpeg;base64,/9j/") for one in found)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio of this file alone: nothing was made in it until the last test makes something."""
    with started(tmp_path_factory.mktemp("tour") / "runs") as running:
        yield running


@pytest.fixture
def window(fresh: Studio, browser: Any) -> Iterator[Any]:
    with windows.watched(browser, fresh.home) as page:
        yield shown(page, fresh)


@pytest.fixture
def unwatched(fresh: Studio, browser: Any) -> Iterator[Any]:
    with windows.unwatched(browser) as page:
        yield shown(page, fresh)


def shown(page: Any, studio: Studio) -> Any:
    page.goto(studio.home)
    page.wait_for_selector("#samples [data-sample]")
    return page


def step(page: Any, number: int) -> None:
    """Until the tour stands at that step."""
    page.wait_for_function("n => document.querySelector('.tour-place').textContent === `${n} of 8`", arg=number)


def begin(page: Any) -> None:
    page.click(".tour-open")
    page.click("[data-help=tour]")
    step(page, 1)


def turned_to(page: Any, number: int) -> None:
    for now in range(1, number):
        page.click(".tour-card [data-go=next]")
        step(page, now + 1)


def box(page: Any, selector: str) -> dict[str, float]:
    found: dict[str, float] = page.locator(selector).bounding_box()
    return found


def in_the_middle(page: Any) -> bool:
    card, view = box(page, ".tour-card"), page.viewport_size
    across = abs(card["x"] + card["width"] / 2 - view["width"] / 2)
    return bool(across < 2 and abs(card["y"] + card["height"] / 2 - view["height"] / 2) < 2)


@pytest.mark.long
@browsing
@pytest.mark.parametrize("way", ["Escape", pytest.param("leave", marks=pytest.mark.long)])
def test_the_tour_is_left_at_any_time_and_leaves_no_trace(unwatched: Any, way: str) -> None:
    window = unwatched
    window.click(".mc-invite")
    turned_to(window, 3)
    if way == "leave":
        window.click(".tour-card [data-go=leave]")
    else:
        window.click("#defect input")
        window.keyboard.press("Escape")  # closes the list, which lies nearer
        step(window, 3)
        window.keyboard.press("Escape")
    window.wait_for_selector(".tour-card", state="hidden")
    assert window.locator(":popover-open").count() == 0
    window.wait_for_selector(".mc-invite", state="hidden")
    window.reload()
    window.wait_for_selector("[data-first]")
    window.wait_for_timeout(600)
    assert not window.is_visible(".tour-card")
    assert not window.is_visible(".mc-invite")
    begin(window)
    window.click(".tour-card [data-go=leave]")
    assert window.evaluate("document.activeElement.className") == "tour-open"


@pytest.mark.long
@browsing
def test_the_card_follows_the_page_and_stands_in_the_middle_without_it(window: Any) -> None:
    begin(window)
    turned_to(window, 3)
    window.wait_for_timeout(300)
    card, pointed, light = box(window, ".tour-card"), box(window, "#which"), box(window, ".tour-light")
    assert card["x"] + card["width"] <= pointed["x"]
    assert abs(light["x"] + 4 - pointed["x"]) < 2
    window.set_viewport_size({"width": 820, "height": 1180})
    window.wait_for_timeout(500)
    card, light, pointed = box(window, ".tour-card"), box(window, ".tour-light"), box(window, "#which")
    assert abs(light["y"] + 4 - pointed["y"]) < 2
    assert 0 <= card["x"] <= 820 - card["width"]
    window.set_viewport_size({"width": 1280, "height": 800})
    window.evaluate("document.querySelector('#which').remove()")
    window.wait_for_timeout(500)
    assert in_the_middle(window)
    assert not window.is_visible(".tour-light") or window.evaluate(
        "getComputedStyle(document.querySelector('.tour-light')).visibility === 'hidden'"
    )
    window.click(".tour-card [data-go=next]")
    step(window, 4)


@pytest.mark.long
@browsing
def test_another_tab_is_no_end_and_next_leads_where_the_step_is(window: Any) -> None:
    begin(window)
    turned_to(window, 2)
    window.get_by_role("tab", name="2 Judge the result").click()
    window.wait_for_timeout(500)
    assert in_the_middle(window)
    window.click(".tour-card [data-go=back]")
    step(window, 1)
    window.wait_for_selector("#samples", state="visible")
    turned_to(window, 8)
    window.wait_for_selector("#pack", state="visible")
    window.click(".tour-card [data-go=next]")
    window.wait_for_selector("text=That is all")
    window.click(".tour-card [data-go=next]")
    window.wait_for_selector(".tour-card", state="hidden")
    assert window.evaluate("localStorage.getItem('flawsmith-tour')") == "seen"


@pytest.mark.long
@browsing
def test_tab_leads_from_the_card_to_what_it_points_at_and_back(window: Any) -> None:
    begin(window)
    assert window.evaluate("document.activeElement.getAttribute('role')") == "dialog"
    turned_to(window, 4)
    window.focus(".tour-card [data-go=next]")
    window.keyboard.press("Tab")
    assert window.evaluate("document.activeElement.id") == "generate"
    window.keyboard.press("Shift+Tab")
    assert window.evaluate("document.activeElement.dataset.go") == "next"


@pytest.mark.long
@browsing
def test_the_keys_are_a_sheet_of_all_that_can_be_pressed(window: Any) -> None:
    window.click(".tour-open")
    window.click("[data-help=keys]")
    text = window.inner_text(".tour-keys")
    assert all(word in text for word in ("Brush", "Keep", "Older pictures", "Generate", "Leave the tour"))
    window.keyboard.press("Escape")
    window.wait_for_selector(".tour-keys", state="hidden")


@pytest.mark.long
@browsing
def test_an_empty_studio_opens_a_sample_part_at_one_click(window: Any) -> None:
    window.wait_for_selector("[data-first]")
    assert window.locator("[data-first]").all_inner_texts() == ["Brushed metal", "Ceramic tile", "Circuit board"]
    assert window.is_visible(".mc-ways [data-act=open]")
    assert window.is_visible(".mc-ways .mc-invite")
    assert not window.is_visible(".tour-card")
    window.click("[data-first=circuit_board]")
    window.wait_for_function("document.querySelector('.mc-facts').textContent.includes('circuit_board')")
    assert not window.is_visible(".mc-first")


@browsing
def test_the_tour_goes_on_as_each_thing_is_done(fresh: Studio, browser: Any) -> None:
    """The last of this file: from here on the studio is no longer empty."""
    with windows.unwatched(browser) as page:
        begin(shown(page, fresh))
        page.click("#samples [data-sample=ceramic_tile]")
        step(page, 2)
        drag(page, (-120, -40), (100, 30))
        step(page, 3)
        page.locator("#field-severity input[type=range]").fill("0.8")
        page.mouse.click(640, 4)  # off the slider
        step(page, 4)
        generate(page)
        step(page, 5)
        page.wait_for_timeout(300)
        page.keyboard.press("f")
        step(page, 6)
        page.click(".tour-card [data-go=back]")
        page.click(".tour-card [data-go=next]")
        step(page, 6)
        page.keyboard.press("a")  # with the focus on the card, it is meant for the picture
        step(page, 7)
        page.get_by_role("tab", name="Review").click()
        step(page, 8)
        page.wait_for_selector("#pack-export:not([disabled])")
        page.click("#pack-export")
        page.wait_for_selector("text=That is all")
        page.click(".tour-card [data-go=next]")
        assert page.evaluate("localStorage.getItem('flawsmith-tour')") == "seen"
    with windows.unwatched(browser) as page:
        shown(page, fresh)
        page.wait_for_selector(".wh[data-ready='1']")
        page.wait_for_timeout(1000)
        assert page.locator("[data-first]").count() == 0
