"""The closer look in Chromium: flicker, difference, variants side by side, verdicts, and where a result can be sent."""

import base64
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.core import images
from tests import pictures
from tests.studio import windows
from tests.studio.conftest import Studio, started
from tests.studio.serving import ask

pytestmark = pytest.mark.browser
HEIGHT, WIDTH = 180, 240
RADIUS = 24
COMPARE = "#review-compare .cmp"
OUTLINE = [255, 214, 0]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Studio, dict[str, str]]]:
    """A studio with a run of one hole, and one of six on a JPEG, which no two decoders read alike; newest last."""
    with started(tmp_path_factory.mktemp("compare") / "runs") as studio:
        mask = upload(studio, images.encode_png(pictures.disc(HEIGHT, WIDTH, radius=RADIUS)), "mask.png")
        good = pictures.good(HEIGHT, WIDTH)
        parts = {"one": (images.encode_png(good), "one.png", 1), "six": (jpeg(good), "six.jpg", 6)}
        runs = {}
        for name, (data, file, count) in parts.items():
            fields = {"image": upload(studio, data, file), "mask": mask, "defect": "hole", "num_images": count}
            runs[name] = ask(studio.port, "POST", "/api/runs", data={"task": "inpaint", **fields}).json()["id"]
            assert b"event: end" in ask(studio.port, "GET", f"/api/runs/{runs[name]}/events").body
        yield studio, runs


def jpeg(pixels: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=80)
    return data.getvalue()


def upload(studio: Studio, data: bytes, name: str) -> str:
    found: str = ask(studio.port, "POST", "/api/uploads", data, {"X-Filename": name}).json()["asset"]
    return found


@pytest.fixture
def page(made: tuple[Studio, dict[str, str]], browser: Any) -> Iterator[Any]:
    """Nothing is open on it yet."""
    studio, _ = made
    with windows.watched(browser, studio.home, viewport=windows.LARGE) as page:
        yield page


@pytest.fixture
def window(page: Any, made: tuple[Studio, dict[str, str]]) -> Any:
    """The closer look at the newest picture, the last of the six, nothing decided."""
    studio, _ = made
    for file in studio.runs.glob("*/review.json"):
        file.unlink()
    look(page, studio)
    return page


def look(page: Any, studio: Studio) -> None:
    page.goto(studio.home)
    page.get_by_role("tab", name="Review", exact=True).click()
    page.wait_for_selector(".grd-tile")
    page.locator(".grd-tiles").focus()
    page.keyboard.press("Enter")
    opened(page, 0)


def opened(page: Any, index: int) -> None:
    page.wait_for_selector(f"{COMPARE}[data-ready='1'][data-index='{index}']")
    page.locator(COMPARE).focus()


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def flips(page: Any, seconds: float) -> int:
    """How often before and after changed places."""
    count: int = page.evaluate(
        "async ([selector, ms]) => { const root = document.querySelector(selector), end = performance.now() + ms;"
        " let flips = 0, last = root.dataset.flip;"
        " while (performance.now() < end) { await new Promise((done) => setTimeout(done, 20));"
        " if (root.dataset.flip !== last) { flips += 1; last = root.dataset.flip; } } return flips; }",
        [COMPARE, 1000 * seconds],
    )
    return count


def drawn(page: Any, canvas: str = f"{COMPARE} .cmp-picture") -> np.ndarray:
    """What a canvas shows, uint8 HxWx4."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    size, data = page.evaluate(
        "(selector) => { const one = document.querySelector(selector), pen = one.getContext('2d');"
        " const found = pen.getImageData(0, 0, one.width, one.height).data; let text = '';"
        " for (let at = 0; at < found.length; at += 8192)"
        " text += String.fromCharCode(...found.subarray(at, at + 8192));"
        " return [[one.height, one.width], btoa(text)]; }",
        canvas,
    )
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(*size, 4)


def lit(shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the picture lies on the canvas, and where it is not black; each [x0, y0, x1, y1)."""
    boxes = []
    for where in (shown[..., 3] == 255, (shown[..., 3] == 255) & (shown[..., :3].max(axis=2) > 0)):
        rows, columns = np.nonzero(where)
        boxes.append(np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]))
    return boxes[0], boxes[1]


@pytest.mark.long
def test_flicker_shows_both_in_turns_twice_a_second_and_rests_unseen(window: Any) -> None:
    press(window, "o", "f")
    window.wait_for_selector(f"{COMPARE}[data-look=flicker][data-playing='1'][data-flip='1']")
    before = drawn(window)
    window.wait_for_selector(f"{COMPARE}[data-look=flicker][data-flip='']")
    for _ in range(100):  # it is drawn with the next frame, and turns again half a second later
        if (before != drawn(window)).any():
            break
        window.wait_for_timeout(20)
    else:
        pytest.fail("both halves of the flicker show the same picture")
    assert 4 <= flips(window, 3) <= 7
    window.get_by_role("tab", name="Paint", exact=True).click()
    assert flips(window, 1.5) == 0
    window.get_by_role("tab", name="Review", exact=True).click()
    window.locator(COMPARE).focus()
    press(window, "f")
    assert flips(window, 1.5) == 0
    assert "paused" in window.inner_text(f"{COMPARE} .cmp-tag.left")


@pytest.mark.long
def test_flicker_waits_where_less_motion_is_wished_for(window: Any) -> None:
    window.emulate_media(reduced_motion="reduce")
    press(window, "f")
    assert flips(window, 1.2) == 0
    press(window, "f")
    assert flips(window, 1.2) >= 1


@pytest.mark.long
def test_difference_is_black_but_for_what_was_painted(window: Any) -> None:
    press(window, "x")
    window.wait_for_selector(f"{COMPARE}[data-look=difference][data-ready='1']")
    window.wait_for_function(f"document.querySelector('{COMPARE} .cmp-tag.left').textContent === 'What changed, × 8'")
    shown = drawn(window)
    whole, changed = lit(shown)
    zoom = (whole[2] - whole[0]) / WIDTH
    inside = (changed - np.tile(whole[:2], 2)) / zoom
    assert inside[:2] == pytest.approx([WIDTH / 2 - RADIUS, HEIGHT / 2 - RADIUS], abs=RADIUS * 0.6)
    assert (inside >= [WIDTH / 2 - RADIUS - 12, HEIGHT / 2 - RADIUS - 12, 0, 0]).all()
    assert (inside <= [WIDTH, HEIGHT, WIDTH / 2 + RADIUS + 12, HEIGHT / 2 + RADIUS + 12]).all()
    window.locator(f"{COMPARE} .cmp-gain input").focus()
    press(window, "Home")
    window.wait_for_function(f"document.querySelector('{COMPARE} .cmp-tag.left').textContent === 'What changed, × 1'")
    faint = drawn(window)
    assert shown[..., :3].sum() > 3 * faint[..., :3].sum() > 0


@pytest.mark.long
def test_variants_lie_side_by_side_under_one_lens(window: Any) -> None:
    press(window, "v")
    window.wait_for_selector(f"{COMPARE}[data-look=tiles][data-tiled='1']")
    panes = window.locator(f"{COMPARE} .cmp-pane")
    assert panes.count() == 6
    press(window, "o")
    fitted = [drawn(window, f"{COMPARE} .cmp-pane:nth-child({k}) canvas") for k in (1, 6)]
    box = panes.nth(2).bounding_box()
    window.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    window.mouse.wheel(0, -900)
    closer = [drawn(window, f"{COMPARE} .cmp-pane:nth-child({k}) canvas") for k in (1, 6)]
    for one, other in (fitted, closer):
        high, wide = min(one.shape[0], other.shape[0]), min(one.shape[1], other.shape[1])
        assert one.shape == other.shape
        corner = np.s_[: high // 6, : wide // 6]
        assert (one[corner] == other[corner]).all()  # what was not painted is the same, in the same place
        assert (one != other).any()
    assert not (fitted[0] == closer[0]).all()
    press(window, "o")
    outlined = drawn(window, f"{COMPARE} .cmp-pane:nth-child(1) canvas")
    for shown, there in ((closer[0], False), (outlined, True)):
        assert bool((shown[..., :3] == OUTLINE).all(axis=2).any()) is there


@pytest.mark.long
def test_a_variant_is_chosen_by_key_and_click_judged_and_opened(window: Any, made: Any) -> None:
    studio, runs = made
    press(window, "v")
    window.wait_for_selector(f"{COMPARE}[data-look=tiles][data-tiled='1']")
    press(window, "ArrowRight", "a")  # the newest is the last variant: the page goes from 00005 to 00000
    window.wait_for_selector(f"{COMPARE} .cmp-pane:nth-child(2)[data-verdict=kept]")
    window.locator(f"{COMPARE} .cmp-pane").nth(4).click()
    press(window, "r")
    window.wait_for_selector(f"{COMPARE} .cmp-pane:nth-child(5)[data-verdict=discarded]")
    window.wait_for_selector("#review-verdict label >> text=Discarded 1")
    verdicts = json.loads((studio.runs / runs["six"] / "review.json").read_text())
    assert verdicts == {"00004": "kept", "00001": "discarded"}
    window.wait_for_selector(f"{COMPARE} .cmp-pane:nth-child(6)[aria-selected=true]")
    press(window, "ArrowUp")
    chosen = window.locator(f"{COMPARE} .cmp-pane[aria-selected=true]")
    assert chosen.get_attribute("aria-label") == "Variant 3"
    press(window, "Enter")
    window.wait_for_selector(f"{COMPARE}[data-look=split][data-index='2'][data-ready='1']")


@pytest.mark.long
def test_one_variant_needs_no_side_by_side(window: Any) -> None:
    assert window.is_visible(f"{COMPARE} [data-look=tiles]")
    window.locator(f"{COMPARE} .cmp-strip button").nth(6).click()
    opened(window, 6)
    assert window.is_hidden(f"{COMPARE} [data-look=tiles]")
    press(window, "v")
    assert window.get_attribute(COMPARE, "data-look") == "split"


@pytest.mark.long
def test_the_facts_follow_and_the_grid_goes_on_where_one_looked(window: Any, made: Any) -> None:
    run = made[1]["six"]
    press(window, "ArrowRight", "ArrowRight")
    opened(window, 2)
    window.wait_for_selector(f".fct[data-id='{run}/00003']")
    press(window, "Escape")
    window.wait_for_selector(f".grd[data-here='{run}/00003']")
    window.wait_for_selector(f".fct[data-id='{run}/00003']")


@pytest.mark.long
def test_verdicts_of_a_moment_go_as_one(window: Any, made: Any) -> None:
    studio, runs = made
    told: list[str] = []
    window.on("request", lambda request: told.append(request.post_data or "") if "queue/join" in request.url else None)
    window.evaluate(
        "selector => { for (const key of ['a', 'ArrowLeft', 'r', 'a']) document.querySelector(selector)"
        ".dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })); }",
        COMPARE,
    )
    window.wait_for_selector("#review-verdict label >> text=Discarded 1")
    changes = [text for text in told if '"changes"' in text]
    assert len(changes) == 1
    verdicts = json.loads((studio.runs / runs["six"] / "review.json").read_text())
    assert verdicts == {"00005": "discarded", "00004": "kept"}


@pytest.mark.long
def test_a_result_without_its_source_is_shown_alone(window: Any, made: Any) -> None:
    studio, runs = made
    asset = studio.get(f"/api/runs/{runs['one']}")["request"]["image"]
    folder = next(studio.runs.glob(f"assets/**/{asset}"))
    away = folder.rename(folder.with_name("away"))
    try:
        press(window, "Escape")
        window.wait_for_selector(".grd-tiles:focus")
        press(window, "End", "Enter")
        opened(window, 6)
        assert "no longer here" in window.inner_text(f"{COMPARE} .cmp-facts")
        assert window.get_attribute(COMPARE, "data-look") == "after"
        assert window.is_disabled(f"{COMPARE} [data-look=difference]")
        assert drawn(window)[..., 3].max() == 255
    finally:
        away.rename(folder)


@pytest.mark.long
def test_a_result_is_painted_on_and_its_request_restored(window: Any, made: Any) -> None:
    run = made[1]["six"]
    window.click(f"{COMPARE} [data-act=start]")
    window.wait_for_function(
        "name => document.querySelector('.mc')?.textContent.includes(name)", arg=f"{run}-00005.png"
    )
    assert window.get_attribute(".mc", "data-painted") == "0"
    window.get_by_role("tab", name="Review", exact=True).click()
    window.locator("#review-stages [role=tab]").nth(1).click()
    window.click(f"{COMPARE} [data-act=send]")
    window.wait_for_function(f"document.activeElement.closest('{COMPARE} .cmp-menu') !== null")
    press(window, "ArrowDown", "ArrowUp", "Enter")  # the menu opens on its first line: Paint
    window.wait_for_function("document.querySelector('.mc').textContent.includes('six.jpg')")
    window.wait_for_function("Number(document.querySelector('.mc').dataset.painted) > 0")


@pytest.mark.long
def test_a_result_joins_the_project(window: Any, made: Any) -> None:
    studio, runs = made
    window.click(f"{COMPARE} [data-act=send]")
    window.click(f"{COMPARE} [data-to=data]")
    deadline, named = time.monotonic() + 20, list[str]()
    while not named and time.monotonic() < deadline:
        for project in studio.get("/api/projects")["projects"]:
            pages = studio.get(f"/api/projects/{project['id']}/pictures")["items"]
            named += [one["name"] for one in pages if one["name"] == f"{runs['six']}-00005.png"]
        time.sleep(0.2)
    assert named


def test_paint_shows_a_run_from_its_first_moment_and_sends_its_results_on(page: Any, made: Any, tmp_path: Path) -> None:
    studio, _ = made
    path = tmp_path / "large.png"
    path.write_bytes(images.encode_png(np.tile(pictures.good(300, 400), (8, 8, 1))))
    page.goto(studio.home)
    page.wait_for_selector(".mc")
    page.set_input_files(".mc input[type=file]", path)
    page.wait_for_selector(".mc[data-ready='1'] >> text=large.png")
    box = page.locator(".mc-stage").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 - 60, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"] + box["height"] / 2 + 10, steps=5)
    page.mouse.up()
    page.fill("#field-num_images input", "4")
    page.keyboard.press("Tab")
    page.locator("#paint-stages [role=tab]").nth(1).click()
    page.wait_for_selector("#compare .cmp")
    page.evaluate(
        "() => { const root = document.querySelector('#compare .cmp'); window.seen = [];"
        " new MutationObserver(() => { const shown = root.dataset.shown ? 'drawn' : 'live';"
        " const now = root.dataset.live === '1' ? shown : String(root.querySelectorAll('.cmp-strip button').length);"
        " if (window.seen.at(-1) !== now) window.seen.push(now);"
        " }).observe(root, { attributes: true, subtree: true, childList: true }); }"
    )
    page.click("#generate")
    page.wait_for_selector(".bar[data-state=done]")
    page.wait_for_function("document.querySelectorAll('#compare .cmp-strip button').length === 4")
    seen = page.evaluate("window.seen")
    assert "drawn" in seen
    counts = [int(one) for one in seen if one.isdigit() and one != "0"]
    assert counts == sorted(counts)
    assert len(counts) >= 2  # they came one by one
    run = page.get_attribute("#compare .cmp", "data-run")
    page.locator("#compare .cmp-strip button").nth(1).click()
    page.click("#compare [data-act=send]")
    page.click("#compare [data-to=review]")
    page.wait_for_selector(f"{COMPARE}[data-ready='1'][data-index='1']")
    page.wait_for_selector(f".fct[data-id='{run}/00001']")
