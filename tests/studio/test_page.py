"""The page as an inspector uses it: Chromium on a running app.py. What needs no browser is tested elsewhere."""

import base64
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.core import images
from tests import pictures
from tests.studio import windows
from tests.studio.conftest import Studio, started

pytestmark = pytest.mark.browser


@pytest.fixture
def window(studio: Studio, browser: Any) -> Iterator[Any]:
    with windows.watched(browser, studio.home, viewport=windows.LARGE) as page:
        go(page, studio)
        yield page


@pytest.fixture
def unwatched(studio: Studio, browser: Any) -> Iterator[Any]:
    with windows.unwatched(browser, viewport=windows.LARGE) as page:
        go(page, studio)
        yield page


def go(page: Any, studio: Studio) -> None:
    page.goto(studio.home)
    page.wait_for_selector(".mc")
    page.wait_for_selector("#generate")


def open_sample(page: Any, name: str = "ceramic_tile") -> None:
    page.click(f"[data-sample={name}]")
    ready(page, name)


def ready(page: Any, name: str) -> None:
    page.wait_for_function(
        "name => document.querySelector('.mc').dataset.ready === '1'"
        " && document.querySelector('.mc-facts').textContent.includes(name)",
        arg=name,
    )


def upload(page: Any, folder: Path, name: str, data: bytes) -> None:
    path = folder / name
    path.write_bytes(data)
    page.set_input_files(".mc input[type=file]", path)


def middle(page: Any) -> tuple[float, float]:
    box = page.locator(".mc-stage").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page: Any, *way: tuple[float, float]) -> None:
    """Press, move along the way (from the stage's middle, in screen pixels) and let go."""
    x, y = middle(page)
    page.mouse.move(x + way[0][0], y + way[0][1])
    page.mouse.down()
    for dx, dy in way[1:]:
        page.mouse.move(x + dx, y + dy, steps=6)
    page.mouse.up()


def area(page: Any) -> int:
    return int(page.get_attribute(".mc", "data-painted"))


def masks(page: Any) -> list[np.ndarray]:
    """What the canvas would send, as bool HxW."""
    sent = page.evaluate("document.querySelector('.mc').canvas.read()")
    data = [one["mask"].partition(",")[2] for one in sent["areas"]]
    return [images.decode(base64.b64decode(one), "mask").pixels > 127 for one in data]


def generate(page: Any) -> str:
    """Press Generate and wait until the new result is on the stage; returns the run's id."""
    before = page.evaluate("document.querySelector('.cmp')?.dataset.run || ''")
    page.click("#generate")
    page.wait_for_function(
        "before => { const one = document.querySelector('.cmp');"
        " return one?.dataset.run && one.dataset.run !== before && one.dataset.ready === '1'; }",
        arg=before,
    )
    page.wait_for_selector(".bar[data-state=done]")
    found: str = page.get_attribute(".cmp", "data-run")
    return found


def test_from_a_picture_to_a_labelled_zip(window: Any, studio: Studio) -> None:
    open_sample(window)
    drag(window, (-120, -40), (100, 30))
    window.fill("#field-num_images input", "3")
    window.keyboard.press("Tab")
    run = generate(window)
    assert window.is_visible(".cmp-stage")
    assert window.locator(".cmp-strip button").count() == 3
    assert "Nothing else was touched" in window.inner_text(".cmp-facts")
    window.click(".cmp-keep")
    window.keyboard.press("r")
    window.keyboard.press("a")
    window.wait_for_function("document.querySelector('#kept').textContent.includes('2 pictures kept')")
    review = json.loads((studio.runs / run / "review.json").read_text())
    assert review == {"00000": "kept", "00001": "discarded", "00002": "kept"}
    window.click("#format input")
    window.get_by_role("option", name="COCO").click()
    window.click("#export")
    with window.expect_download() as download:
        window.click("#download a")
    with zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())) as book:
        found = [json.loads(book.read(name)) for name in book.namelist() if "instances" in name]
    assert sum(len({one["image_id"] for one in table["annotations"]}) for table in found) == 2


@pytest.mark.long
def test_verdicts_in_quick_succession_are_all_heard(window: Any, studio: Studio) -> None:
    open_sample(window)
    drag(window, (-60, 0), (60, 0))
    window.fill("#field-num_images input", "8")
    window.keyboard.press("Tab")
    run = generate(window)
    window.locator(".cmp").focus()
    for key in "araaraaa":
        window.keyboard.press(key)
    window.wait_for_function(
        "() => [...document.querySelectorAll('.cmp-strip button')].every((one) => one.dataset.verdict)"
    )
    folder = studio.runs / run
    for _ in range(100):
        found = json.loads((folder / "review.json").read_text()) if (folder / "review.json").exists() else {}
        if len(found) == 8:
            break
        window.wait_for_timeout(50)
    assert [found[stem][0] for stem in sorted(found)] == ["k", "d", "k", "k", "d", "k", "k", "k"]
    kept = sum(list(json.loads(one.read_text()).values()).count("kept") for one in studio.runs.glob("*/review.json"))
    window.wait_for_selector(f"#kept >> text={kept} pictures kept")


@pytest.mark.long
def test_a_stroke_lands_under_the_pointer_at_any_zoom(window: Any) -> None:
    open_sample(window)
    for wheel in (0, -900, -900, 500, 2400):
        x, y = middle(window)
        window.mouse.move(x, y)
        window.mouse.wheel(0, wheel)
        window.wait_for_timeout(100)
        window.keyboard.press("Delete")
        spot = (x + 31, y - 17)
        window.mouse.click(*spot)
        at = window.evaluate(
            "([x, y]) => document.querySelector('.mc').canvas.view.point({clientX: x, clientY: y})", list(spot)
        )
        (mask,) = masks(window)
        rows, columns = np.nonzero(mask)
        assert abs(columns.mean() + 0.5 - at[0]) <= 1
        assert abs(rows.mean() + 0.5 - at[1]) <= 1


@pytest.mark.long
def test_each_tool_paints_and_undo_takes_it_back(window: Any) -> None:
    open_sample(window)
    tools: dict[str, tuple[list[tuple[float, float]], int, int]] = {
        "brush": ([(-100, 0), (100, 0)], 1500, 6000),
        "line": ([(-100, 0), (100, 0)], 1500, 6000),
        "rectangle": ([(-50, -25), (50, 25)], 5000, 40000),
    }
    for tool, (way, least, most) in tools.items():
        window.click(f".mc-bar [data-tool={tool}]")
        drag(window, *way)
        painted = area(window)
        assert least < painted < most, tool
        assert np.count_nonzero(masks(window)[0]) == painted, tool
        window.keyboard.press("Control+z")
        assert area(window) == 0, tool
        window.keyboard.press("Control+y")
        assert area(window) == painted, tool
        window.keyboard.press("Control+z")


@pytest.mark.long
def test_the_canvas_answers_to_keys(window: Any) -> None:
    open_sample(window)
    drag(window, (-60, 0), (60, 0))
    thin = area(window)
    for key in ("Control+z", "]", "]", "]"):
        window.keyboard.press(key)
    drag(window, (-60, 0), (60, 0))
    thick = area(window)
    assert thick > 1.3 * thin
    window.keyboard.press("e")
    drag(window, (0, -40), (0, 40))
    assert 0 < area(window) < thick
    window.keyboard.press("i")
    assert area(window) > thick
    window.keyboard.press("Delete")
    assert area(window) == 0
    window.keyboard.press("r")
    assert window.get_attribute(".mc", "data-tool") == "rectangle"


@pytest.mark.long
def test_one_pixel_stays_one_pixel(window: Any) -> None:
    open_sample(window)
    window.evaluate(
        "() => { const one = document.querySelector('.mc input[name=size]'); one.value = 0;"
        " one.dispatchEvent(new Event('input')); }"
    )
    drag(window, (-80, -30), (80, 50))
    (mask,) = masks(window)
    rows, columns = np.nonzero(mask)
    assert np.count_nonzero(mask) <= 1.1 * max(np.ptp(rows) + 1, np.ptp(columns) + 1)
    assert cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] == 2


@pytest.mark.long
def test_two_areas_ask_for_two_defects(window: Any, studio: Studio) -> None:
    open_sample(window)
    drag(window, (-120, -60), (-20, -60))
    window.click(".mc [data-act=add]")
    window.click("#defect input")
    window.get_by_role("option", name="Dent", exact=True).click()
    window.wait_for_function("document.querySelector('.mc-areas').textContent.includes('2 Dent')")
    drag(window, (40, 60), (90, 80))
    assert window.inner_text(".mc-areas").replace("\n", " ").startswith("1 Scratch")
    run = generate(window)
    request = studio.get(f"/api/runs/{run}")["request"]
    assert [one["defect"] for one in request["regions"]] == ["scratch", "dent"]
    first, second = (images.read_mask(file) for file in sorted((studio.runs / run / "masks").glob("00000.r*.png")))
    assert np.nonzero(first)[0].mean() < np.nonzero(second)[0].mean()
    window.get_by_role("tab", name="1 Paint where").click()
    window.click(".mc-chip >> nth=0 >> button >> nth=0")
    window.wait_for_function("document.querySelector('#defect input').value === 'Scratch'")


def test_a_refresh_and_a_second_window_are_back_on_the_run(studio: Studio, unwatched: Any) -> None:
    open_sample(unwatched, "wood")
    drag(unwatched, (-100, 0), (100, 0))
    run = generate(unwatched)
    unwatched.reload()
    unwatched.wait_for_selector(f".cmp[data-run='{run}'][data-ready='1']")
    second = unwatched.context.new_page()
    go(second, studio)
    second.wait_for_selector(f".cmp[data-run='{run}'][data-ready='1']")
    second.get_by_role("tab", name="1 Paint where").click()
    ready(second, "wood")


@pytest.mark.long
def test_a_refresh_costs_no_stroke(unwatched: Any) -> None:
    open_sample(unwatched)
    drag(unwatched, (-100, 0), (100, 0))
    unwatched.click(".mc [data-act=add]")
    drag(unwatched, (-20, 60), (40, 80))
    before = masks(unwatched)
    unwatched.reload()
    unwatched.wait_for_selector(".mc[data-ready='1']")
    assert [np.array_equal(*pair) for pair in zip(before, masks(unwatched), strict=True)] == [True, True]
    unwatched.locator(".mc").focus()
    unwatched.keyboard.press("Control+z")
    assert len(masks(unwatched)) == 1
    open_sample(unwatched, "wood")
    assert area(unwatched) == 0


@pytest.mark.long
def test_the_page_outlives_its_server(browser: Any, tmp_path: Path) -> None:
    with windows.unwatched(browser, viewport=windows.LARGE) as page:
        with started(tmp_path / "runs") as first:
            go(page, first)
            open_sample(page)
            drag(page, (-100, 0), (100, 0))
            painted = area(page)
        page.wait_for_selector(".bar >> text=The studio does not answer")
        with started(tmp_path / "runs", first.port):
            page.wait_for_selector(".bar >> text=Ready")
            page.wait_for_selector(".mc[data-ready='1']")
            assert area(page) == painted
            generate(page)


@pytest.mark.long
def test_a_refusal_is_a_sentence_on_the_page(window: Any, tmp_path: Path) -> None:
    window.click("#generate")
    window.wait_for_selector("text=There is no picture yet: open one, or take a sample")
    open_sample(window)
    window.click("#generate")
    window.wait_for_selector("text=Nothing is painted yet: paint over the place where the defect should be")
    assert window.is_enabled("#generate")


@pytest.mark.long
def test_a_broken_file_is_named_and_the_old_picture_stays(unwatched: Any, tmp_path: Path) -> None:
    open_sample(unwatched)
    upload(unwatched, tmp_path, "<b>part.png", b"\x89PNG\r\n\x1a\nnothing")
    unwatched.wait_for_selector("text=<b>part.png")
    ready(unwatched, "ceramic_tile")


@pytest.mark.long
def test_a_sixteen_bit_tiff_comes_back_with_sixteen_bits(window: Any, studio: Studio, tmp_path: Path) -> None:
    good = pictures.good(160, 200, bits=16)
    ok, data = cv2.imencode(".tiff", good[..., ::-1])
    assert ok
    upload(window, tmp_path, "part.tiff", data.tobytes())
    ready(window, "part.tiff")
    drag(window, (-60, 0), (60, 0))
    run = generate(window)
    made = images.read(studio.runs / run / "images" / "00000.png").pixels
    assert made.dtype == np.uint16
    assert made.shape == good.shape
    assert 0 < np.count_nonzero((made != good).any(axis=2)) < good[..., 0].size / 4


@pytest.mark.long
def test_a_large_photograph_is_painted_on_a_smaller_view(window: Any, studio: Studio, tmp_path: Path) -> None:
    good = np.tile(pictures.good(300, 400), (10, 10, 1))
    upload(window, tmp_path, "large.png", images.encode_png(good))
    ready(window, "large.png")
    assert "4000 × 3000" in window.inner_text(".mc-facts")
    drag(window, (-40, 0), (40, 10))
    (view,) = masks(window)
    assert max(view.shape) == 2048
    run = generate(window)
    asked = images.read_mask(studio.runs / run / "masks" / "00000.asked.png")
    assert asked.shape == good.shape[:2]
    share = np.count_nonzero(view) / view.size
    assert np.count_nonzero(asked) / asked.size == pytest.approx(share, rel=0.01)


@pytest.mark.long
def test_stop_stops(window: Any, studio: Studio, tmp_path: Path) -> None:
    good = np.tile(pictures.good(300, 400), (10, 10, 1))
    upload(window, tmp_path, "large.png", images.encode_png(good))
    ready(window, "large.png")
    drag(window, (-40, 0), (40, 10))
    window.fill("#field-num_images input", "24")
    window.keyboard.press("Tab")
    window.click("#generate")
    window.click("#stop")
    window.wait_for_selector(".bar[data-state=cancelled]")
    assert re.fullmatch(r"Stopped: \d+ of 24 finished and kept", window.inner_text(".bar-text"))
    assert window.is_hidden("#stop")
    assert window.is_enabled("#generate")


@pytest.mark.long
def test_a_preset_sets_the_form(window: Any) -> None:
    window.click("#product input")
    window.get_by_role("option", name="Steel strip").click()
    window.wait_for_function("document.querySelector('#defect input').value === 'Crazing'")
    window.click("#defect input")
    window.get_by_role("option", name="Rust stain").click()
    window.wait_for_function("document.querySelector('#about').textContent.includes('stain')")
    before = window.input_value("#field-seed input")
    window.click("#dice")
    window.wait_for_function("old => document.querySelector('#field-seed input').value !== old", arg=before)


@pytest.mark.long
def test_everything_needed_is_in_sight_without_scrolling(window: Any) -> None:
    open_sample(window)
    needed = (".mc-stage", "#generate", "#defect", "#export", ".mc [data-act=add]", ".mc [data-act=fit]")
    for width, height in ((1440, 900), (1280, 800), (1024, 768)):
        windows.in_sight(window, needed, width, height)
        stage = window.locator(".mc-stage").bounding_box()
        assert stage["width"] * stage["height"] > 0.25 * width * height, width
