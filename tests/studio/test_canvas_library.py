"""The mask library: what is saved under a name stays with the studio, and comes back onto any picture."""

import base64
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import images, masks, shapes
from pipelines.core.errors import BadInput, Missing, Problem
from studio import routes
from studio.context import Context
from studio.guard import Guard
from tests import pictures
from tests.studio.canvases import Bench, opened
from tests.studio.serving import Answer, ask, serving
from tests.studio.test_page import area, drag
from tests.studio.test_page import masks as painted

MASK = shapes.draw("scratch", (90, 140), [(20, 20), (120, 70)], width_px=12, seed=3)


@pytest.fixture
def store(tmp_path: Path) -> masks.Masks:
    return masks.Masks(tmp_path)


def test_what_is_saved_comes_back_to_the_pixel_after_a_restart(store: masks.Masks, tmp_path: Path) -> None:
    kept = store.save("  Long\nscratch 裂纹 ", MASK)
    again = masks.Masks(tmp_path)
    assert again.get(kept.id) == kept
    assert (kept.name, kept.width, kept.height) == ("Long scratch 裂纹", 140, 90)
    assert (again.pixels(kept.id) == MASK).all()
    assert not list((tmp_path / "masks").glob(".*.tmp"))


def test_the_newest_comes_first_and_a_damaged_one_costs_no_other(store: masks.Masks) -> None:
    first, second = store.save("one", MASK), store.save("two", MASK)
    assert [one.id for one in store.every()] == [second.id, first.id]
    (store.folder / second.id / "mask.json").write_text("{")
    assert [one.id for one in store.every()] == [first.id]
    with pytest.raises(Problem, match=f"the mask {second.id} of the library is damaged"):
        store.get(second.id)
    (store.folder / first.id / "mask.png").unlink()
    with pytest.raises(Problem, match=r"has lost its mask\.png"):
        store.get(first.id)


def test_a_thin_mask_is_seen_in_its_small_picture(store: masks.Masks) -> None:
    mask = np.zeros((1500, 2000), bool)
    mask[700, 100:1900] = True
    small = images.decode(store.small(store.save("line", mask).id), "small").pixels > 127
    assert max(small.shape) <= masks.SMALL_PX
    assert small.any(1).sum() == 1
    assert small.any(0).mean() > 0.85


def test_a_deleted_mask_can_be_taken_back_for_a_week(store: masks.Masks) -> None:
    kept, old = store.save("one", MASK), store.save("old", MASK)
    for one in (old, kept):
        store.delete(one.id)
        with pytest.raises(Missing):
            store.get(one.id)
    assert store.every() == []
    assert store.restore(kept.id) == kept
    aside = store.folder / masks.DELETED / old.id
    os.utime(aside, (0, time.time() - masks.KEPT_S - 60))
    store.delete(kept.id)
    with pytest.raises(Missing, match="it was deleted"):
        store.restore(old.id)
    assert store.restore(kept.id) == kept


@pytest.mark.parametrize("id", ["", "..", "mask-00000000000/", "mask-0123456789ab", ".deleted"])
def test_what_is_no_mask_of_the_library_is_missing(store: masks.Masks, id: str) -> None:
    for act in (store.get, store.pixels, store.small, store.delete, store.restore):
        with pytest.raises(Missing):
            act(id)
    with pytest.raises(Missing):
        store.rename(id, "name")


@pytest.mark.parametrize(
    ("name", "mask", "sentence"),
    [
        (" \n", MASK, "the mask has no name"),
        ("x" * 61, MASK, "61 characters; up to 60"),
        ("empty", np.zeros((4, 4), bool), "nothing is painted yet"),
    ],
)
def test_what_cannot_be_kept_is_refused(store: masks.Masks, name: str, mask: np.ndarray, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        store.save(name, mask)
    assert store.every() == []


def test_a_full_library_says_so(store: masks.Masks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "MOST_MASKS", 1)
    store.save("one", MASK)
    with pytest.raises(BadInput, match="the library holds 1 masks"):
        store.save("two", MASK)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with serving(Guard(routes.application(Context.open(tmp_path_factory.mktemp("runs"))))) as port:
        yield port


def post(port: int, name: str, data: bytes) -> Answer:
    return ask(port, "POST", "/api/library", data={"name": name, "mask": base64.b64encode(data).decode()})


def test_the_routes_save_list_rename_delete_and_take_back(port: int) -> None:
    made = post(port, "edge", images.encode_png(MASK))
    assert made.status == 201, made.body
    id = made.json()["id"]
    assert [one["name"] for one in ask(port, "GET", "/api/library").json()["masks"]] == ["edge"]
    renamed = ask(port, "PATCH", f"/api/library/{id}", data={"name": "rim"}).json()
    assert renamed == {**made.json(), "name": "rim"}
    found = ask(port, "GET", f"/api/library/{id}").json()
    box = found["box"]
    whole = np.zeros((found["height"], found["width"]), bool)
    part = images.decode(base64.b64decode(box["mask"]), "part").pixels > 127
    whole[box["y"] : box["y"] + box["height"], box["x"] : box["x"] + box["width"]] = part
    assert (whole == MASK).all()
    small = ask(port, "GET", made.json()["small"])
    assert small.headers["content-type"] == "image/png"
    assert images.decode(small.body, "small").pixels.max() == 255
    assert ask(port, "DELETE", f"/api/library/{id}").status == 200
    assert ask(port, "GET", f"/api/library/{id}").status == 404
    assert ask(port, "GET", "/api/library").json()["masks"] == []
    assert ask(port, "POST", f"/api/library/{id}/restore").json() == renamed
    ask(port, "DELETE", f"/api/library/{id}")


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("x", b"no picture", "the mask"),
        ("", images.encode_png(MASK), "the mask has no name"),
        ("x", images.encode_png(np.zeros((5, 5), bool)), "nothing is painted yet"),
        ("x", images.encode_png(np.ones((4097, 4200), bool)), "the mask"),
    ],
)
def test_the_routes_refuse_with_a_sentence(port: int, name: str, data: bytes, sentence: str) -> None:
    answer = post(port, name, data)
    assert answer.status == 422
    assert sentence in answer.error["message"]


def test_a_mask_that_is_no_base64_is_refused(port: int) -> None:
    answer = ask(port, "POST", "/api/library", data={"name": "x", "mask": "%%%"})
    assert answer.status == 422
    assert answer.error["field"] == "mask"


# ---- on the page


@pytest.fixture
def bench(server: Bench, browser: Any) -> Iterator[Bench]:
    with opened(server, browser) as bench:
        store = masks.Masks(bench.context.runs)
        for one in store.every():
            store.delete(one.id)
        bench.show(bench.asset(pictures.good(300, 400)))
        yield bench


def save(page: Any, name: str) -> None:
    page.click("[data-menu=masks]")
    page.click("[data-act=keep]")
    page.fill(".mc-keep input", name)
    page.keyboard.press("Enter")
    page.wait_for_selector(f".mc-tile:has-text({json.dumps(name)})")


@pytest.mark.browser
def test_a_mask_is_saved_under_a_name_and_put_onto_another_picture(bench: Bench, browser: Any) -> None:
    page = bench.page
    page.keyboard.press("r")
    drag(page, (-60, -30), (60, 30))
    (first,) = painted(page)
    save(page, "Rim <b>")
    (kept,) = masks.Masks(bench.context.runs).every()
    assert kept.name == "Rim <b>"
    page.keyboard.press("Escape")
    with opened(bench, browser) as other:  # another browser: it stays with the studio
        other.show(other.asset(pictures.good(600, 800), "twice.png"))
        other.page.click("[data-menu=masks]")
        other.page.click(".mc-tile >> text='Rim <b>'")
        other.page.wait_for_function("+document.querySelector('.mc').dataset.painted > 0")
        (mask,) = painted(other.page)
        assert (mask == np.kron(first, np.ones((2, 2), bool))).all()
        other.page.keyboard.press("Control+z")
        assert area(other.page) == 0


@pytest.mark.long
@pytest.mark.browser
def test_an_empty_canvas_has_nothing_to_save(bench: Bench) -> None:
    bench.page.click("[data-menu=masks]")
    assert bench.page.is_disabled("[data-act=keep]")


@pytest.mark.long
@pytest.mark.browser
def test_a_mask_is_renamed_deleted_and_taken_back(bench: Bench) -> None:
    page, store = bench.page, masks.Masks(bench.context.runs)
    kept = store.save("before", MASK)
    page.click("[data-menu=masks]")
    page.click("[aria-label='Rename: before']")
    page.fill(".mc-keep input", "after")
    page.keyboard.press("Enter")
    page.wait_for_selector(".mc-tile:has-text('after')")
    assert store.get(kept.id).name == "after"
    page.click("[aria-label='Delete: after']")
    page.wait_for_selector(".mc-gone:has-text('after is deleted')")
    assert page.locator(".mc-tile").count() == 0
    assert store.every() == []
    page.click(".mc-gone button")
    page.wait_for_selector(".mc-tile:has-text('after')")
    assert store.every()[0].id == kept.id


@pytest.mark.long
@pytest.mark.browser
def test_more_than_twelve_can_be_searched(bench: Bench) -> None:
    page, store = bench.page, masks.Masks(bench.context.runs)
    for number in range(12):
        store.save(f"Scratch {number}", MASK)
    page.click("[data-menu=masks]")
    page.wait_for_selector(".mc-tile")
    assert page.is_hidden("input[name=search]")
    page.keyboard.press("Escape")
    store.save("Rim dent", MASK)
    page.click("[data-menu=masks]")
    page.wait_for_selector("input[name=search]")
    assert page.locator(".mc-tile").count() == 13
    page.fill("input[name=search]", "DENT rim")
    assert page.locator(".mc-tile").all_inner_texts()[0].startswith("Rim dent")
    assert page.locator(".mc-tile").count() == 1
    page.fill("input[name=search]", "nothing like it")
    assert page.is_visible(".mc-none")
    panel = page.locator(".mc-masks").bounding_box()
    assert panel["y"] >= 0


@pytest.mark.long
@pytest.mark.browser
def test_a_library_that_does_not_answer_is_a_sentence(server: Bench, browser: Any) -> None:
    with opened(server, browser, complaints="Failed to load") as bench:
        bench.show(bench.asset(pictures.good(300, 400)))
        bench.page.route("**/api/library", lambda route: route.abort())
        bench.page.click("[data-menu=masks]")
        bench.page.wait_for_timeout(600)
        assert "does not answer" in bench.said("refuse")[0]["sentence"]
        assert bench.page.is_visible("[data-act=import]")
