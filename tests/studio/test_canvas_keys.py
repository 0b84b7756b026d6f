"""Painting without a pointer: the arrow keys and Enter do with every tool what a hand does."""

from typing import Any

import cv2
import numpy as np
import pytest

from tests.studio.canvases import SIDE
from tests.studio.test_page import area, masks, middle

pytestmark = pytest.mark.browser


def keys(page: Any, *names: str) -> None:
    """`Right*4` presses ArrowRight four times; Shift goes before: `Shift+Right*2`."""
    for name in names:
        key, _, times = name.partition("*")
        for way in ("Left", "Right", "Up", "Down"):
            key = key.replace(way, f"Arrow{way}")
        for _ in range(int(times or 1)):
            page.keyboard.press(key)


def cross(page: Any) -> tuple[int, int]:
    """The pixel of the picture that the crosshair is on."""
    x, y = page.evaluate(
        "async () => { for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);"
        " const box = document.querySelector('.mc-cross').getBoundingClientRect();"
        " return document.querySelector('.mc').canvas.view.point({clientX: box.x, clientY: box.y}); }"
    )
    return int(np.floor(x)), int(np.floor(y))


def is_out(page: Any) -> bool:
    return bool(
        page.evaluate(
            "async () => { for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);"
            " return !document.querySelector('.mc-cross').hidden; }"
        )
    )


def test_the_arrows_move_a_crosshair_and_say_where_it_is(page: Any) -> None:
    assert not is_out(page)
    keys(page, "Right")
    x, y = cross(page)
    assert is_out(page)
    page.wait_for_function("document.querySelector('.mc-said').textContent !== ''")
    assert page.inner_text(".mc-said") == f"Crosshair at x {x}, y {y}"
    pace = cross_pace(page, "Right")
    assert cross_pace(page, "Down") == pace
    assert cross_pace(page, "Shift+Left") > 4 * pace
    assert "Enter puts the tool down" in page.inner_text(".mc-hint")
    keys(page, "Escape")
    assert not is_out(page)
    assert area(page) == 0


def cross_pace(page: Any, key: str) -> int:
    before = np.array(cross(page))
    keys(page, key)
    return int(np.abs(np.array(cross(page)) - before).max())


@pytest.mark.long
def test_zoomed_in_the_crosshair_goes_pixel_by_pixel_and_the_view_follows(page: Any) -> None:
    for _ in range(8):
        page.keyboard.press("+")
    keys(page, "Right")
    assert cross_pace(page, "Right") == 1
    keys(page, "Shift+Down*30")
    x, y = cross(page)
    frame, box = page.locator(".mc-stage").bounding_box(), page.locator(".mc-cross").bounding_box()
    assert frame["y"] < box["y"] < frame["y"] + frame["height"]
    assert y > SIDE / 2 + 20
    keys(page, "Enter", "Enter")
    (mask,) = masks(page)
    assert mask[y, x]


@pytest.mark.long
def test_it_stays_on_the_picture(page: Any) -> None:
    keys(page, "Shift+Left*40", "Shift+Up*40")
    assert cross(page) == (0, 0)
    keys(page, "Shift+Right*60", "Shift+Down*60")
    assert cross(page) == (SIDE - 1, SIDE - 1)


@pytest.mark.parametrize("tool", ["b", pytest.param("l", marks=pytest.mark.long)])
def test_a_stroke_goes_from_where_enter_puts_it_down_to_where_enter_lifts_it(page: Any, tool: str) -> None:
    keys(page, tool, "Right", "Enter")
    start = cross(page)
    assert page.inner_text(".mc-hint").startswith("The tool is down")
    keys(page, "Shift+Right*2", "Shift+Down")
    end = cross(page)
    keys(page, "Enter")
    painted = area(page)
    (mask,) = masks(page)
    assert mask[start[1], start[0]]
    assert mask[end[1], end[0]]
    if tool == "l":  # straight from there to here; a brush has gone round the corner
        line = np.zeros(mask.shape, np.uint8)
        cv2.line(line, start, end, 1, 3)
        assert mask[line > 0].all()
    else:
        assert mask[start[1], end[0]]
    keys(page, "Shift+Left*5")
    assert area(page) == painted
    page.keyboard.press("Control+z")
    assert area(page) == 0


@pytest.mark.long
@pytest.mark.parametrize(("tool", "share"), [("r", 1.0), ("c", np.pi / 4)])
def test_a_rectangle_and_an_ellipse_span_from_corner_to_corner(page: Any, tool: str, share: float) -> None:
    keys(page, tool, "Left", "Enter")
    x0, y0 = cross(page)
    keys(page, "Shift+Right*3", "Shift+Down*2")
    x1, y1 = cross(page)
    keys(page, "Enter")
    assert area(page) == pytest.approx(share * (x1 - x0 + 1) * (y1 - y0 + 1), rel=0.03)


@pytest.mark.long
def test_the_eraser_takes_away_what_it_is_led_over(page: Any) -> None:
    keys(page, "i", "e", "Right", "Enter")
    start = cross(page)
    keys(page, "Shift+Right*2", "Enter")
    (mask,) = masks(page)
    assert not mask[start[1], start[0] : cross(page)[0]].any()
    assert mask.mean() > 0.9


@pytest.mark.long
def test_the_lasso_fills_what_the_keys_go_round(page: Any) -> None:
    keys(page, "f", "Left", "Enter")
    x0, y0 = cross(page)
    keys(page, "Shift+Right*2", "Shift+Down*2", "Shift+Left*2", "Enter")
    (mask,) = masks(page)
    rows, columns = np.nonzero(mask)
    assert abs(columns.min() - x0) < 3
    assert abs(rows.min() - y0) < 3
    assert mask[rows.min() : rows.max(), columns.min() : columns.max()].mean() > 0.9


@pytest.mark.long
@pytest.mark.parametrize("closing", ["Control+Enter", "first"])
def test_a_polygon_is_set_corner_by_corner_and_closed(page: Any, closing: str) -> None:
    keys(page, "p", "Left", "Enter")
    x0, y0 = cross(page)
    keys(page, "Shift+Right*2", "Enter", "Shift+Down*2", "Enter")
    page.wait_for_function("document.querySelector('.mc-said').textContent === 'Corner 3 is set'")
    x1, y1 = cross(page)
    assert area(page) == 0
    if closing == "first":
        keys(page, "Shift+Left*2", "Enter", "Shift+Up*2", "Enter")
        wanted = float((x1 - x0) * (y1 - y0))
    else:
        keys(page, closing)
        wanted = (x1 - x0) * (y1 - y0) / 2
    assert area(page) == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize(
    "shape",
    ["scratch", *(pytest.param(n, marks=pytest.mark.long) for n in ("crack", "pits", "blob", "flakes"))],
)
def test_a_defect_brush_follows_the_keys(page: Any, shape: str) -> None:
    keys(page, "d")
    page.click(f".mc-defects [data-tool={shape}]")
    assert page.evaluate("document.activeElement.matches('.mc')")
    keys(page, "Left", "Enter")
    start = cross(page)
    keys(page, "Shift+Right*3", "Enter")
    page.wait_for_function("document.querySelector('.mc').canvas.settled()")
    (mask,) = masks(page)
    rows, columns = np.nonzero(mask)
    assert columns.max() - columns.min() > 0.5 * (cross(page)[0] - start[0])
    assert abs(np.median(rows) - start[1]) < 40


@pytest.mark.long
def test_escape_gives_the_stroke_up_and_tab_does_not_get_caught(page: Any) -> None:
    for tool in "brl":
        keys(page, tool, "Right", "Enter", "Shift+Down*2", "Escape")
        assert area(page) == 0
        page.wait_for_function("document.querySelector('.mc-said').textContent === 'Given up'")
    keys(page, "b", "Right", "Enter", "Shift+Down")
    keys(page, "Tab")  # out of the canvas: what is drawn is a stroke
    assert not page.evaluate("document.activeElement.matches('.mc')")
    assert not is_out(page)
    assert area(page) > 0


@pytest.mark.long
def test_a_pointer_takes_over_and_no_other_key_acts_while_the_tool_is_down(page: Any) -> None:
    keys(page, "Right", "Enter", "Shift+Right", "i", "e", "Delete")
    assert page.get_attribute(".mc", "data-tool") == "brush"
    keys(page, "Enter")
    painted = area(page)
    assert 0 < painted < SIDE * SIDE / 4
    x, y = middle(page)
    page.mouse.move(x - 80, y - 80)
    page.mouse.move(x - 90, y - 80)
    assert not is_out(page)
    page.mouse.down()
    page.mouse.up()
    assert area(page) > painted


@pytest.mark.long
def test_the_hand_is_moved_by_the_arrows(page: Any) -> None:
    spot = "() => document.querySelector('.mc').canvas.view.screen([0, 0])"
    before = page.evaluate(spot)
    keys(page, "h", "Right*2", "Down")
    after = page.evaluate(spot)
    assert after[0] < before[0]
    assert after[1] < before[1]
    assert not is_out(page)


@pytest.mark.long
def test_the_help_sheet_tells_of_it(page: Any) -> None:
    page.keyboard.press("?")
    shown = page.inner_text(".mc-help")
    assert "Painting with the keyboard" in shown
    assert "Put the tool down" in shown
    assert "Arrow keys move the crosshair" in page.get_attribute(".mc", "aria-description")
