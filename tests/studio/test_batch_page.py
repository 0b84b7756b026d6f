"""The Batch tab in Chromium: planned, looked at, made, found after a refresh, stopped, taken up, reviewed, exported."""

from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.core import images
from tests import pictures
from tests.studio import windows
from tests.studio.conftest import Studio
from tests.studio.serving import ask
from tests.studio.test_axe import to, violations
from tests.studio.test_page import drag, go, open_sample

pytestmark = [pytest.mark.browser, pytest.mark.long]
MANY = 400
BUTTONS = ("#batch-preview", "#batch-make", "#batch-count")


@pytest.fixture
def project(studio: Studio) -> str:
    """Three good parts and one with a dent."""
    id: str = ask(studio.port, "POST", "/api/projects", data={"name": "Housing"}).json()["id"]
    assets = []
    for seed in range(4):
        sent = images.encode_png(pictures.good(192, 256, seed=seed))
        answer = ask(studio.port, "POST", "/api/uploads", sent, {"X-Filename": f"part-{seed}.png"})
        assets.append(answer.json()["asset"])
    ask(studio.port, "POST", f"/api/projects/{id}/pictures", data={"assets": assets})
    ask(studio.port, "POST", f"/api/projects/{id}/each", data={"values": {assets[3]: {"defect": "dent"}}})
    return id


@pytest.fixture
def window(studio: Studio, project: str, browser: Any) -> Iterator[Any]:
    with windows.unwatched(browser, color_scheme="light") as page:
        go(page, studio)
        opened(page)
        yield page


def opened(page: Any) -> None:
    to(page, "batch")
    page.wait_for_selector(".bt[data-ready='1'] #batch-make")


def number(page: Any, selector: str, value: float) -> None:
    page.fill(selector, str(value))
    page.press(selector, "Tab")


def newest(studio: Studio) -> dict[str, Any]:
    found: dict[str, Any] = studio.get("/api/batches")[0]
    return found


def test_from_a_plan_to_a_data_set(window: Any, studio: Studio) -> None:
    # planned: on three good parts, two classes
    window.wait_for_selector(".bt-count >> text=3 pictures")
    windows.in_sight(window, BUTTONS, 1280, 800)
    windows.in_sight(window, BUTTONS, 1440, 900)
    window.click(".bt [data-act=add]")
    window.wait_for_function("document.querySelectorAll('.bt-classes li').length === 2")
    window.locator(".bt-classes li").nth(0).locator("select").select_option(label="Hole")
    window.locator(".bt-classes li").nth(1).locator("select").select_option(label="Stain")
    window.wait_for_selector(".bt-balance[aria-label='Hole 50, Stain 50']")
    window.get_by_label("Share: Hole").fill("3")
    window.get_by_label("Share: Hole").press("Tab")
    window.wait_for_selector(".bt-balance[aria-label='Hole 75, Stain 25']")
    window.get_by_label("Mildest, in percent: Stain").fill("95")
    window.get_by_label("Mildest, in percent: Stain").press("Tab")
    window.wait_for_selector("#batch-make.lacking >> text=the first value is the mildest")
    assert window.is_disabled("#batch-preview")
    window.get_by_label("Mildest, in percent: Stain").fill("40")
    window.get_by_label("Mildest, in percent: Stain").press("Tab")
    window.click(".bt-gates summary")
    window.click(".bt-vary summary")
    assert violations(window) == []
    window.click(".bt-gates summary")

    # looked at
    window.click("#batch-preview")
    window.wait_for_selector(".bt[data-batch=done]")
    assert newest(studio)["first"] == 12
    assert window.locator(".bt-tile[data-state=kept]").count() == 12
    window.wait_for_selector(".bt-estimate >> text=/100 pictures: about/")
    assert violations(window) == []
    window.locator(".bt-tile").first.click()
    window.wait_for_selector(".bt-zoom[open] dl")
    assert violations(window) == []
    window.keyboard.press("ArrowRight")
    window.keyboard.press("Escape")
    window.wait_for_selector(".bt-zoom", state="hidden")
    assert window.evaluate("document.activeElement.className") == "bt-tile"

    # made, a few
    number(window, "#batch-count", 6)
    window.click("#batch-make >> text=Make 6 pictures")
    window.wait_for_function("document.querySelectorAll('.bt-list button').length === 2")
    window.wait_for_selector(".bt[data-batch=done] .bt-line >> text=6 of 6 kept")

    # many: found again after a refresh while it runs; stopped; taken up
    number(window, "#batch-count", MANY)
    window.click("#batch-make")
    window.wait_for_selector(".bt[data-batch=running] .bt-tile")
    window.reload()
    opened(window)
    window.wait_for_selector(f".bt[data-batch=running] .bt-line >> text=of {MANY} kept")
    assert window.input_value("#batch-count") == str(MANY)
    assert window.locator(".bt-classes li").count() == 2
    window.click(".bt-run [data-act=stop]")
    window.wait_for_selector(".bt[data-batch=cancelled]")
    before = newest(studio)["kept"]
    assert 0 < before < MANY
    window.click(".bt-run [data-act=resume]")
    window.wait_for_function(f"parseInt(document.querySelector('.bt-line strong').textContent) > {before}")
    window.click(".bt-run [data-act=stop]")
    window.wait_for_selector(".bt[data-batch=cancelled]")
    assert newest(studio)["kept"] > before

    # the small one: taken along, and reviewed
    small = window.locator(".bt-list button").nth(1)
    small.click()
    window.wait_for_selector(".bt[data-batch=done] .bt-line >> text=6 of 6 kept")
    window.click(".bt-run [data-act=pack]")
    window.wait_for_selector(".bt-pack a[href$='export.zip']")
    run = small.get_attribute("data-run")
    window.click(".bt-run [data-act=review]")
    window.wait_for_function("document.querySelectorAll('#review-grid .grd-tile').length === 6")
    shown = window.eval_on_selector_all("#review-grid .grd-tile img", "all => all.map((one) => one.src)")
    assert all(run in one for one in shown)


def test_what_is_painted_is_made_many_times(window: Any, studio: Studio) -> None:
    to(window, "paint")
    open_sample(window)
    drag(window, (-60, -20), (60, 20))
    window.click("#many")
    window.wait_for_selector(".bt-from >> text=As in Paint")
    assert window.is_checked("[name=batch-where][value=mine]")
    window.click("[name=batch-on][value=picture]")
    number(window, "#batch-count", 2)
    window.click("#batch-make")
    window.wait_for_selector(".bt[data-batch=done] .bt-line >> text=of 2 kept")
    asked = studio.get(f"/api/batches/{newest(studio)['id']}")["request"]
    assert asked["template"]["task"] == "inpaint"
    assert newest(studio)["sources"] == 1
    window.click(".bt-from [data-act=forget]")
    window.wait_for_selector(".bt-from", state="hidden")
    assert window.is_checked("[name=batch-where][value=anywhere]")
