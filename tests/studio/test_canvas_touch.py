"""Pen and fingers: pressure, pinching, the palm of the hand that holds the pen, and sizes a finger can hit."""

from typing import Any

import numpy as np
import pytest

from tests import pictures
from tests.studio.canvases import Bench, opened
from tests.studio.test_page import area, masks

pytestmark = pytest.mark.browser

# Sends pointer events as a digitiser would: [type, pointer, kind, x, y, pressure], x and y from the stage's middle.
SEND = """async (events) => {
  const stage = document.querySelector('.mc-stage'), frame = stage.getBoundingClientRect();
  stage.setPointerCapture = () => {};
  for (const [type, pointerId, pointerType, x, y, pressure = 0.5] of events) {
    stage.dispatchEvent(new PointerEvent('pointer' + type, {bubbles: true, cancelable: true, pointerId, pointerType,
      pressure, isPrimary: true, button: type === 'move' ? -1 : 0, buttons: type === 'up' ? 0 : 1,
      clientX: frame.x + frame.width / 2 + x, clientY: frame.y + frame.height / 2 + y}));
    await new Promise(requestAnimationFrame);
  }
}"""
PEN, FINGER, OTHER = (7, "pen"), (11, "touch"), (12, "touch")


def send(page: Any, *events: tuple[Any, ...]) -> None:
    page.evaluate(SEND, [[type, *who, *rest] for type, who, *rest in events])


def placed(page: Any) -> np.ndarray:
    """x, y and zoom of the view."""
    return np.array(page.evaluate("(({x, y, zoom}) => [x, y, zoom])(document.querySelector('.mc').canvas.view)"))


@pytest.mark.long
def test_a_light_pen_draws_a_thin_stroke(page: Any) -> None:
    for _ in range(12):
        page.keyboard.press("]")
    for pressure, y in ((1.0, -80), (0.2, 80)):
        send(page, ("down", PEN, -100, y, pressure), ("move", PEN, 100, y, pressure), ("up", PEN, 100, y, 0))
    (mask,) = masks(page)
    column = mask[:, mask.shape[1] // 2]
    firm, light = column[: len(column) // 2].sum(), column[len(column) // 2 :].sum()
    assert light > 0
    assert light == pytest.approx(0.2 * firm, abs=2)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert area(page) == 0


@pytest.mark.long
def test_a_finger_paints_at_full_width(page: Any) -> None:
    send(page, ("down", FINGER, -60, 0, 0), ("move", FINGER, 60, 0, 0), ("up", FINGER, 60, 0, 0))
    (mask,) = masks(page)
    size = int(page.inner_text("output[name=size]").split()[0])
    assert mask[:, 200].sum() == pytest.approx(size, abs=1)


@pytest.mark.long
@pytest.mark.parametrize("tool", ["b", "e", "l", "r", "p", "f"])
def test_two_fingers_zoom_and_move_and_paint_nothing(page: Any, tool: str) -> None:
    if tool == "e":
        page.keyboard.press("i")
    before_area = area(page)
    page.keyboard.press(tool)
    before = placed(page)
    send(page, ("down", FINGER, -40, 0), ("move", FINGER, -42, 0), ("down", OTHER, 40, 0))
    send(page, ("move", FINGER, -80, 30), ("move", OTHER, 84, 30))
    send(page, ("up", FINGER, -80, 30), ("move", OTHER, 150, 90), ("up", OTHER, 150, 90))
    after = placed(page)
    assert after[2] == pytest.approx(2 * before[2], rel=0.05)
    moved = after[:2] + 200 * after[2] - (before[:2] + 200 * before[2])  # of the picture's middle
    assert moved == pytest.approx([1, 30], abs=8)
    assert area(page) == before_area
    page.keyboard.press("e" if tool == "e" else "b")
    send(page, ("down", FINGER, 0, 0), ("up", FINGER, 0, 0))  # one finger paints again
    assert area(page) != before_area


@pytest.mark.long
def test_a_palm_paints_nothing_while_the_pen_is_down(page: Any) -> None:
    send(page, ("down", PEN, -80, 0, 1), ("move", PEN, -40, 0, 1))
    before = placed(page)
    send(
        page, ("down", FINGER, 60, 150), ("move", FINGER, 70, 150), ("down", OTHER, 100, 160), ("move", OTHER, 130, 120)
    )
    send(page, ("up", FINGER, 70, 150), ("move", PEN, 80, 0, 1), ("up", PEN, 80, 0, 0), ("up", OTHER, 130, 120))
    assert (placed(page) == before).all()
    (mask,) = masks(page)
    rows, columns = np.nonzero(mask)
    size = int(page.inner_text("output[name=size]").split()[0])
    assert np.ptp(rows) < size + 2
    wanted = 160 / before[2] + size
    assert np.ptp(columns) + 1 == pytest.approx(wanted, abs=3)
    page.keyboard.press("Control+z")
    assert area(page) == 0


@pytest.mark.long
def test_a_palm_that_came_first_gives_way_to_the_pen(page: Any) -> None:
    send(page, ("down", FINGER, 100, 120), ("move", FINGER, 110, 125))
    send(page, ("down", PEN, -80, -60, 1), ("move", FINGER, 120, 130), ("move", PEN, 0, -60, 1), ("up", PEN, 0, -60, 0))
    send(page, ("up", FINGER, 120, 130))
    (mask,) = masks(page)
    assert np.nonzero(mask)[0].max() < 200
    painted = area(page)
    page.keyboard.press("Control+z")
    assert area(page) == 0
    assert painted > 0


@pytest.mark.long
def test_a_polygon_that_a_first_finger_closed_survives_the_second(page: Any) -> None:
    page.keyboard.press("p")
    for x, y in ((-60, -60), (60, -60), (60, 60)):
        send(page, ("down", FINGER, x, y), ("up", FINGER, x, y))
    send(page, ("down", FINGER, -60, -60), ("down", OTHER, 40, 80), ("up", OTHER, 40, 80), ("up", FINGER, -60, -60))
    assert area(page) > 0


@pytest.mark.parametrize(("width", "height"), [(820, 1180), pytest.param(1024, 768, marks=pytest.mark.long)])
def test_on_a_touch_screen_everything_can_be_hit(server: Bench, browser: Any, width: int, height: int) -> None:
    with opened(server, browser, has_touch=True, is_mobile=True, viewport={"width": width, "height": height}) as bench:
        bench.show(bench.asset(pictures.good(400, 400)))
        page = bench.page
        page.keyboard.press("n")
        assert page.evaluate("matchMedia('(pointer: coarse)').matches")
        page.click("[data-menu=masks]")
        small = page.evaluate(
            "[...document.querySelectorAll('.mc button, .mc input[type=range]')].filter((one) => one.offsetParent)"
            ".map((one) => [one.title || one.textContent || one.name, one.getBoundingClientRect()])"
            ".filter(([, box]) => box.height < 44 || box.width < 40)"
            ".map(([name, box]) => [name, box.width, box.height])"
        )
        assert small == []
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width


@pytest.mark.long
def test_a_mouse_can_hit_the_chips_too(page: Any) -> None:
    page.keyboard.press("n")
    for button in page.locator(".mc-chip button, .mc-foot > button").all():
        box = button.bounding_box()
        assert box is None or (box["height"] >= 34 and box["width"] >= 34)
