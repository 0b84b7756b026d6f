"""What is painted is kept for each picture, here and with the server; and what comes with a picture is filled in."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pipelines.core import images
from tests import pictures
from tests.studio.canvases import Bench, opened
from tests.studio.test_page import area, drag, masks

pytestmark = pytest.mark.browser
DRAFTS = "/api/kept"
SIZE = (300, 400)


@pytest.fixture
def bench(server: Bench, browser: Any) -> Iterator[Bench]:
    with opened(server, browser, complaints="404") as bench:
        yield bench


def good(bench: Bench, number: int = 0) -> str:
    return bench.asset(np.roll(pictures.good(*SIZE), number, 1), f"part-{number}.png")


def mask_of(bench: Bench, rows: slice, columns: slice, name: str = "mask.png") -> tuple[str, np.ndarray]:
    mask = np.zeros(SIZE, bool)
    mask[rows, columns] = True
    return bench.asset(mask, name), mask


def test_going_to_another_picture_and_back_keeps_what_was_painted(bench: Bench) -> None:
    first, second = good(bench, 0), good(bench, 1)
    bench.show(first)
    drag(bench.page, (-60, -30), (60, 30))
    (mask,) = masks(bench.page)
    bench.show(second)
    assert area(bench.page) == 0
    drag(bench.page, (-30, 60), (30, 60))
    (other,) = masks(bench.page)
    bench.show(first)
    assert (masks(bench.page)[0] == mask).all()
    bench.page.keyboard.press("Control+z")
    assert area(bench.page) == 0
    bench.show(second)
    assert (masks(bench.page)[0] == other).all()


@pytest.mark.long
def test_the_pictures_painted_longest_ago_are_dropped_first(bench: Bench) -> None:
    for number in range(26):
        bench.page.evaluate(
            "number => { const kept = JSON.parse(sessionStorage.getItem('flawsmith-strokes') || '[]');"
            " const key = 'flawsmith-strokes  old-' + number; kept.push(key);"
            " sessionStorage.setItem(key, '{}'); sessionStorage.setItem('flawsmith-strokes', JSON.stringify(kept)); }",
            number,
        )
    asset = good(bench, 0)
    bench.show(asset)
    drag(bench.page, (-60, -30), (60, 30))
    kept = bench.page.evaluate("JSON.parse(sessionStorage.getItem('flawsmith-strokes'))")
    assert len(kept) == 24
    assert kept[-1].endswith(asset)
    assert kept[0].endswith("old-3")
    assert bench.page.evaluate("Object.keys(sessionStorage).filter((one) => one.includes('old-')).length") == 23


@pytest.mark.long
def test_a_full_store_makes_room_for_what_is_painted_now(bench: Bench) -> None:
    asset = good(bench, 0)
    bench.page.evaluate(
        "() => { const key = 'flawsmith-strokes  large'; let size = 1 << 22;"
        " for (const step of [100000, 1000, 100]) for (;;) {"
        " try { sessionStorage.setItem(key, 'x'.repeat(size + step)); size += step; } catch (full) { break; } }"
        " sessionStorage.setItem('flawsmith-strokes', JSON.stringify([key])); }"
    )
    bench.show(asset)
    for step in range(3):
        drag(bench.page, (-100, step), (100, step + 30), (-100, step + 40), (100, step + 50))
    kept = bench.page.evaluate("JSON.parse(sessionStorage.getItem('flawsmith-strokes'))")
    assert [one.split()[-1] for one in kept] == [asset]


@pytest.fixture
def drafts(bench: Bench) -> dict[str, str]:
    """A server of drafts as the canvas expects it: asset id -> text."""
    kept: dict[str, str] = {}

    def answer(route: Any) -> None:
        asset = route.request.url.rpartition("/")[2]
        if route.request.method == "PUT":
            kept[asset] = route.request.post_data
            route.fulfill(json={"kept": 1})
        elif asset in kept:
            route.fulfill(body=kept[asset], content_type="application/json")
        else:
            route.fulfill(status=404, json={"error": {"message": "none"}})

    bench.page.context.route(f"**{DRAFTS}/*", answer)
    return kept


def until(bench: Bench, found: Any) -> None:
    for _ in range(100):
        if found():
            return
        bench.page.wait_for_timeout(50)
    raise AssertionError("it did not come")


@pytest.mark.long
def test_where_a_project_is_open_the_server_keeps_it_too(
    bench: Bench, drafts: dict[str, str], server: Bench, browser: Any
) -> None:
    asset = good(bench, 0)
    bench.show(asset, drafts=DRAFTS)
    assert drafts == {}
    drag(bench.page, (-60, -30), (60, 30))
    (mask,) = masks(bench.page)
    until(bench, lambda: asset in drafts)
    assert json.loads(drafts[asset])["done"]
    bench.page.evaluate("sessionStorage.clear()")  # as another window would come
    bench.show(good(bench, 1))
    bench.page.evaluate("sessionStorage.clear()")
    bench.show(asset, drafts=DRAFTS)
    assert (masks(bench.page)[0] == mask).all()
    bench.page.keyboard.press("Control+z")
    until(bench, lambda: drafts[asset] == "null")
    bench.page.evaluate("sessionStorage.clear()")
    bench.show(good(bench, 1))
    bench.page.evaluate("sessionStorage.clear()")
    bench.show(asset, drafts=DRAFTS)  # the server answers null: there is nothing
    assert area(bench.page) == 0


@pytest.mark.long
def test_the_same_picture_in_two_projects_is_painted_twice(bench: Bench, drafts: dict[str, str]) -> None:
    asset = good(bench, 0)
    bench.show(asset, drafts=DRAFTS)
    drag(bench.page, (-60, -30), (60, 30))
    painted = area(bench.page)
    bench.show(asset)
    assert area(bench.page) == 0
    until(bench, lambda: asset in drafts)
    bench.show(asset, drafts=DRAFTS)
    assert area(bench.page) == painted


@pytest.mark.long
def test_many_strokes_are_one_message_and_leaving_the_picture_sends_it(bench: Bench, drafts: dict[str, str]) -> None:
    sent: list[str] = []
    bench.page.on("request", lambda one: sent.append(one.method) if DRAFTS in one.url else None)
    asset = good(bench, 0)
    bench.show(asset, drafts=DRAFTS)
    for step in range(4):
        drag(bench.page, (-60, 10 * step), (60, 10 * step))
    until(bench, lambda: asset in drafts)
    assert sent.count("PUT") <= 2
    assert len(json.loads(drafts[asset])["done"]) in (3, 4)
    bench.page.keyboard.press("Delete")
    assert json.loads(drafts[asset])["done"][-1]["tool"] == "brush"
    bench.show(good(bench, 1), drafts=DRAFTS)
    until(bench, lambda: json.loads(drafts[asset])["done"][-1]["tool"] == "clear")


@pytest.mark.long
def test_a_server_that_keeps_nothing_is_said_once_and_never_in_the_way(server: Bench, browser: Any) -> None:
    with opened(server, browser, complaints="Failed to load") as bench:
        bench.page.route(f"**{DRAFTS}/*", lambda route: route.abort())
        for number in (0, 1):
            bench.show(good(bench, number), drafts=DRAFTS)
            drag(bench.page, (-60, -30), (60, 30))
            assert area(bench.page) > 0
            bench.page.wait_for_timeout(1800)
        assert len(bench.said("refuse")) == 1
        assert "kept in this window only" in bench.said("refuse")[0]["sentence"]


# ---- areas that come with the picture


def test_areas_come_with_the_picture_with_their_notes_and_undoably(bench: Bench) -> None:
    one, first = mask_of(bench, slice(20, 60), slice(30, 90), "one.png")
    two, second = mask_of(bench, slice(100, 101), slice(10, 390), "two.png")
    areas: list[dict[str, Any]] = [
        {"mask": one, "defect": "dent", "severity": 0.25, "look": {"depth": 2}},
        {"mask": two, "defect": "scratch"},
    ]
    bench.show(good(bench), areas)
    found = masks(bench.page)
    assert (found[0] == first).all()
    assert (found[1] == second).all()
    sent = bench.page.evaluate("document.querySelector('.mc').canvas.read()")
    assert sent["areas"][0] | {"mask": ""} == {"mask": "", "defect": "dent", "severity": 0.25, "look": {"depth": 2}}
    assert bench.page.locator(".mc-chip").all_inner_texts()[1].startswith("2 Scratch")
    assert bench.page.evaluate("document.querySelector('.mc').canvas.active().defect") == "dent"
    until(bench, lambda: bench.said("select"))
    for _ in range(3):
        bench.page.keyboard.press("Control+z")
    assert area(bench.page) == 0


@pytest.mark.long
def test_new_areas_on_the_same_picture_replace_what_is_painted_and_undo_brings_it_back(bench: Bench) -> None:
    asset = good(bench)
    bench.show(asset)
    drag(bench.page, (-60, -30), (60, 30))
    bench.page.keyboard.press("n")
    drag(bench.page, (-60, 60), (60, 60))
    before = masks(bench.page)
    one, mask = mask_of(bench, slice(20, 60), slice(30, 90))
    bench.show(asset, [{"mask": one, "defect": "dent"}])
    assert len(masks(bench.page)) == 1
    assert (masks(bench.page)[0] == mask).all()
    bench.page.keyboard.press("Control+z")
    bench.page.keyboard.press("Control+z")
    assert all((now == then).all() for now, then in zip(masks(bench.page), before, strict=True))
    bench.page.keyboard.press("Delete")
    bench.show(asset, [{"mask": one, "defect": "dent"}])  # the same once more
    assert (masks(bench.page)[0] == mask).all()
    bench.show(asset)
    assert (masks(bench.page)[0] == mask).all()


@pytest.mark.long
def test_an_area_whose_mask_is_gone_is_a_sentence_and_changes_nothing(server: Bench, browser: Any) -> None:
    with opened(server, browser, complaints="404") as bench:
        asset = good(bench)
        bench.show(asset)
        drag(bench.page, (-60, -30), (60, 30))
        painted = area(bench.page)
        one, _ = mask_of(bench, slice(20, 60), slice(30, 90))
        bench.set(asset, [{"mask": one}, {"mask": "asset-00000000000000000000"}])
        until(bench, lambda: bench.said("refuse"))
        assert "upload it first" in bench.said("refuse")[0]["sentence"]
        assert area(bench.page) == painted
        assert bench.page.get_attribute(".mc", "data-ready") == "1"


# ---- a picture dropped anywhere

DROP = """([selector, bytes, name]) => {
  const data = new DataTransfer(), target = document.querySelector(selector);
  data.items.add(new File([Uint8Array.from(bytes)], name, {type: 'image/png'}));
  const how = {bubbles: true, cancelable: true, dataTransfer: data};
  const send = (type) => target.dispatchEvent(new DragEvent(type, how));
  send('dragover');
  const shown = document.querySelector('.mc').dataset.drop;
  send('drop');
  return [shown, document.querySelector('.mc').dataset.drop];
}"""


def drop(bench: Bench, selector: str, data: bytes, name: str = "dropped.png") -> list[str]:
    found: list[str] = bench.page.evaluate(DROP, [selector, list(data), name])
    return found


@pytest.mark.parametrize(
    "where", [".mc-stage", *(pytest.param(n, marks=pytest.mark.long) for n in ("body", "#set", "Judge"))]
)
def test_a_picture_dropped_anywhere_on_the_page_is_opened(bench: Bench, where: str) -> None:
    if where == "Judge":
        bench.page.click("button[role=tab]:has-text('Judge')")
        where = "body"
    assert drop(bench, where, images.encode_png(pictures.good(30, 40))) == ["1", ""]
    until(bench, lambda: bench.said("open"))
    assert bench.context.assets.get(bench.said("open")[0]["asset"]).name == "dropped.png"


@pytest.mark.long
def test_while_another_tab_is_shown_a_drop_is_not_the_canvas_s(bench: Bench) -> None:
    bench.page.click("button[role=tab]:has-text('Other')")
    bench.page.wait_for_selector("text=elsewhere")
    assert drop(bench, "body", images.encode_png(pictures.good(30, 40)))[0] != "1"
    bench.page.wait_for_timeout(800)
    assert bench.said("open") == []


@pytest.mark.long
def test_what_somebody_else_took_is_left_alone(bench: Bench) -> None:
    bench.page.evaluate("document.querySelector('#set').addEventListener('drop', (event) => event.preventDefault())")
    drop(bench, "#set", images.encode_png(pictures.good(30, 40)))
    bench.page.wait_for_timeout(800)
    assert bench.said("open") == []


def test_one_of_our_own_pictures_asks_to_be_restored(bench: Bench) -> None:
    request = {"task": "inpaint", "image": "asset-00000000000000000000"}
    drop(bench, "body", images.encode_png(pictures.good(30, 40), request=request), "00000.png")
    until(bench, lambda: bench.said("restore"))
    assert bench.context.assets.get(bench.said("restore")[0]["asset"]).name == "00000.png"
    assert bench.said("open") == []


# ---- by pixels of the picture


@pytest.mark.long
def test_in_a_large_picture_the_edge_moves_by_pixels_of_the_picture(bench: Bench) -> None:
    """At 4096 px the view has half the pixels: two presses move its edge by one."""
    large = np.tile(pictures.good(256, 256), (16, 16, 1))
    bench.show(bench.asset(large, "large.png"))
    bench.page.keyboard.press("r")
    drag(bench.page, (-60, -30), (60, 30))
    (before,) = masks(bench.page)
    high, wide = (int(np.ptp(one)) + 1 for one in np.nonzero(before))
    for presses in range(1, 6):
        bench.page.keyboard.press(".")
        steps = -(-presses // 2)
        assert area(bench.page) == (high + 2 * steps) * (wide + 2 * steps)
    for _ in range(5):
        bench.page.keyboard.press(",")
    assert area(bench.page) == high * wide
    for _ in range(10):
        bench.page.keyboard.press("Control+z")
    assert (masks(bench.page)[0] == before).all()
