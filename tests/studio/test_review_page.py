"""The Review tab in Chromium, by keys: judge, undo, choose several, delete, look closer, export what was chosen."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.core import images
from tests import pictures
from tests.studio import windows
from tests.studio.conftest import Studio, started
from tests.studio.serving import ask

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio of its own with twelve dents and sixty holes, really drawn, over two source pictures."""
    with started(tmp_path_factory.mktemp("review") / "runs") as studio:
        mask = upload(studio, images.encode_png(pictures.disc()), "mask.png")
        for seed, defect, count in ((1, "dent", 12), (2, "hole", 60)):
            part = upload(studio, images.encode_png(pictures.good(seed=seed)), f"part {seed}.png")
            fields = {"image": part, "mask": mask, "defect": defect, "num_images": count}
            run = ask(studio.port, "POST", "/api/runs", data={"task": "inpaint", **fields}).json()["id"]
            with_events = ask(studio.port, "GET", f"/api/runs/{run}/events")  # ends when the run does
            assert b"event: end" in with_events.body
        yield studio


def upload(studio: Studio, data: bytes, name: str) -> str:
    found: str = ask(studio.port, "POST", "/api/uploads", data, {"X-Filename": name.replace(" ", "%20")}).json()[
        "asset"
    ]
    return found


@pytest.fixture
def window(gallery: Studio, browser: Any) -> Iterator[Any]:
    """The tab, nothing decided."""
    for file in gallery.runs.glob("*/review.json"):
        file.unlink()
    with windows.watched(browser, gallery.home, viewport=windows.LARGE) as page:
        page.goto(gallery.home)
        page.get_by_role("tab", name="Review", exact=True).click()
        page.wait_for_selector(".grd-tile")
        page.locator(".grd-tiles").focus()
        yield page


def verdicts(studio: Studio) -> dict[str, str]:
    """Every verdict there is, by RUN/stem."""
    return {
        f"{file.parent.name}/{stem}": verdict
        for file in studio.runs.glob("*/review.json")
        for stem, verdict in json.loads(file.read_text()).items()
    }


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def counted(page: Any, label: str) -> None:
    page.wait_for_selector(f"#review-verdict label >> text={label}")


def tiles(page: Any) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        ".grd-tile", "all => all.filter(one => one.offsetParent).map(one => one.querySelector('img').src)"
    )
    return found


def test_keys_judge_and_take_back(window: Any, gallery: Studio) -> None:
    press(window, "a", "r", "a")
    counted(window, "Kept 2")
    counted(window, "Discarded 1")
    assert sorted(verdicts(gallery).values()) == ["discarded", "kept", "kept"]
    press(window, "Control+z", "Control+z")
    counted(window, "Kept 1")
    counted(window, "Discarded 0")
    assert list(verdicts(gallery).values()) == ["kept"]


@pytest.mark.long
def test_several_are_chosen_judged_and_deleted_at_once_and_come_back(window: Any, gallery: Studio) -> None:
    press(window, "Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight")
    window.wait_for_selector(".grd-count >> text=4 chosen")
    press(window, "a")
    counted(window, "Kept 4")
    window.locator(".grd-tile").nth(8).click(modifiers=["Control"])
    window.wait_for_selector(".grd-count >> text=5 chosen")
    before = tiles(window)
    press(window, "Delete")
    counted(window, "Deleted 5")
    assert tiles(window) == [one for place, one in enumerate(before) if place not in (0, 1, 2, 3, 8)]
    press(window, "Control+z")
    counted(window, "Kept 4")
    counted(window, "Deleted 0")
    assert tiles(window) == before
    assert sorted(verdicts(gallery).values()) == ["kept"] * 4


@pytest.mark.long
def test_the_trash_gives_back(window: Any, gallery: Studio) -> None:
    press(window, "Delete")
    counted(window, "Deleted 1")
    window.locator("#review-verdict label", has_text="Deleted").click()
    window.wait_for_selector(".grd[data-trash='1'] .grd-tile")
    window.click(".grd-restore")
    counted(window, "Deleted 0")
    assert verdicts(gallery) == {}


@pytest.mark.long
def test_pages_turn_by_key_and_a_choice_outlives_them(window: Any) -> None:
    first = tiles(window)
    assert len(first) == 60
    press(window, "Shift+ArrowRight", "PageDown")
    window.wait_for_selector(".grd-place >> text=61–72 / 72")
    assert not set(tiles(window)) & set(first)
    assert window.inner_text(".grd-count") == "2 chosen"
    press(window, "PageUp")
    window.wait_for_selector(".grd-place >> text=1–60 / 72")
    assert tiles(window) == first


@pytest.mark.long
def test_filters_narrow_the_page_and_the_data_set(window: Any) -> None:
    window.locator("#review-filter .menu input").first.click()
    window.get_by_role("option", name="Dent (12)").click()
    window.wait_for_selector(".grd-count >> text=12 pictures")
    window.wait_for_selector("#pack-tree >> text=12 pictures of this list")
    assert "ground_truth/" in window.inner_text(".pack-tree")
    window.click("#review-more button")
    window.get_by_label("Visibility from").fill("1000")
    window.wait_for_selector(".grd-none >> text=No picture here")
    window.wait_for_selector("#pack-tree >> text=Nothing to export")
    assert window.is_disabled("#pack-export")


@pytest.mark.long
def test_enter_looks_closer_and_escape_leads_back(window: Any, gallery: Studio) -> None:
    press(window, "ArrowRight", "Enter")
    window.wait_for_selector("#review-compare .cmp[data-ready='1'][data-index='1']")
    window.locator("#review-compare .cmp").focus()
    press(window, "r")
    counted(window, "Discarded 1")
    press(window, "Escape")
    window.wait_for_selector(".grd-tile[data-verdict=discarded]")
    assert window.locator(".grd-tile").nth(1).get_attribute("data-verdict") == "discarded"


@pytest.mark.long
def test_the_facts_follow_and_the_request_can_be_copied(window: Any, gallery: Studio) -> None:
    window.context.grant_permissions(["clipboard-read", "clipboard-write"])
    press(window, "ArrowRight", "ArrowRight")
    here = window.get_attribute(".grd", "data-here")
    window.wait_for_selector(f".fct[data-id='{here}']")
    assert "part 2.png" in window.inner_text(".fct")
    window.click(".fct button")
    window.wait_for_selector(".fct button >> text=Copied")
    run, _, stem = here.partition("/")
    copied = json.loads(window.evaluate("navigator.clipboard.readText()"))
    assert copied == images.read_request(gallery.runs / run / "images" / f"{stem}.png")


@pytest.mark.long
def test_what_was_chosen_leaves_as_the_tree_that_was_shown(window: Any) -> None:
    press(window, "Shift+ArrowRight", "Shift+ArrowRight")
    window.wait_for_selector("#pack-tree >> text=3 pictures chosen")
    shown = window.inner_text(".pack-tree").split()
    assert shown[shown.index("ground_truth/") :][:3] == ["ground_truth/", "hole/", "3"]
    window.click("#pack-export")
    with window.expect_download() as download:
        window.click("#pack-link a")
    with zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())) as book:
        assert len([name for name in book.namelist() if "ground_truth/hole/" in name]) == 3


@pytest.mark.long
def test_everything_needed_is_in_sight(window: Any) -> None:
    window.wait_for_selector(".pack-tree")
    window.wait_for_selector(".fct[data-empty='']")
    shown = (".grd-keep", ".grd-discard", "#review-verdict", "[data-act=older]", "#pack-export", ".fct button")
    for width, height in ((1440, 900), (1024, 768)):
        windows.in_sight(window, shown, width, height)


@pytest.mark.long
def test_on_a_low_screen_the_export_options_need_no_scrolling(window: Any) -> None:
    window.set_viewport_size({"width": 1024, "height": 768})
    window.wait_for_selector("#pack-export >> text=Export 72 pictures")
    window.click("#pack-more button")
    window.wait_for_selector("#pack-name input")
    window.wait_for_function("document.querySelector('#pack-name input').getBoundingClientRect().height > 20")
    for needed in ("#pack-format", "#pack-name input", "#pack-shares input", "#pack-pairs input", "#pack-export"):
        for one in window.locator(needed).all():
            box = one.bounding_box()
            assert box["y"] + box["height"] <= 768, needed
    room = window.evaluate(
        "(({ scrollHeight, clientHeight }) => scrollHeight - clientHeight)(document.querySelector('#review-right'))"
    )
    assert room <= 0


@pytest.mark.long
def test_the_trash_is_emptied_after_a_yes_that_names_the_count(window: Any, gallery: Studio) -> None:
    runs = ask(gallery.port, "GET", "/api/runs").json()["runs"]
    run = next(one["id"] for one in runs if one["task"] == "inpaint")
    gone = [f"{run}/{stem}" for stem in ("00058", "00059")]
    press(window, "Shift+ArrowRight", "Delete")
    counted(window, "Deleted 2")
    assert verdicts(gallery) == dict.fromkeys(gone, "deleted")
    assert window.is_hidden(".grd-empty")
    window.locator("#review-verdict label", has_text="Deleted").click()
    window.wait_for_selector(".grd[data-trash='1'] .grd-tile")
    window.click(".grd-restore")  # the first of the two
    counted(window, "Deleted 1")
    window.click(".grd-empty")
    assert window.inner_text(".grd-sure strong") == "Delete 1 picture for good?"
    press(window, "Escape")
    assert verdicts(gallery) == {gone[0]: "deleted"}
    window.click(".grd-empty")
    window.click(".grd-sure [data-act=yes]")
    window.wait_for_selector(".grd-none >> text=No picture here")
    counted(window, "Deleted 0")
    counted(window, "All 71")
    assert not list((gallery.runs / run).rglob("00058*"))
    assert len(list((gallery.runs / run).rglob("00059*"))) == 4
    assert verdicts(gallery) == {}
