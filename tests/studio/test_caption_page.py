"""The Caption tab in Chromium: a caption written by hand, by rule and by looking; compared, taken, taken back, kept."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pipelines.core import images
from tests import pictures
from tests.studio import windows
from tests.studio.conftest import Studio
from tests.studio.serving import ask
from tests.studio.test_axe import to, violations
from tests.studio.test_page import go

pytestmark = [pytest.mark.browser, pytest.mark.long]
CLASSES = ("hole", "hole", "dent", "")


@pytest.fixture
def project(studio: Studio) -> str:
    """Two holes, a dent and a good part, each defect with its mask, none with a caption."""

    def upload(pixels: np.ndarray, name: str) -> str:
        answer = ask(studio.port, "POST", "/api/uploads", images.encode_png(pixels), {"X-Filename": name})
        found: str = answer.json()["asset"]
        return found

    mask = np.zeros((96, 128), bool)
    mask[30:50, 20:44] = True
    marked = upload(mask, "mask.png")
    id: str = ask(studio.port, "POST", "/api/projects", data={"name": "Housing"}).json()["id"]
    assets = [upload(pictures.good(96, 128, seed=seed), f"part-{seed}.png") for seed in range(len(CLASSES))]
    ask(studio.port, "POST", f"/api/projects/{id}/pictures", data={"assets": assets})
    known = [{"defect": name, "mask": marked if name else ""} for name in CLASSES]
    values = {"values": dict(zip(assets, known, strict=True))}
    ask(studio.port, "POST", f"/api/projects/{id}/each", data=values)
    return id


@pytest.fixture
def window(studio: Studio, project: str, browser: Any) -> Iterator[Any]:
    with windows.unwatched(browser, color_scheme="light") as page:
        go(page, studio)
        opened(page)
        yield page


def opened(page: Any) -> None:
    to(page, "caption")
    page.wait_for_selector(".cap[data-state=some] .cap-table tbody tr")


def captions(studio: Studio, project: str) -> list[str]:
    return [one["caption"] for one in studio.get(f"/api/projects/{project}/records")["records"]]


def tool(page: Any, name: str) -> None:
    page.click(f"[data-tool={name}]")
    page.wait_for_selector(f"#cap-panel-{name}")


def boxes(page: Any) -> list[str]:
    found: list[str] = page.eval_on_selector_all(".cap-table textarea", "all => all.map((one) => one.value)")
    return found


def test_from_an_empty_table_to_captions_that_are_kept(window: Any, studio: Studio, project: str) -> None:
    # by hand: Ctrl+Enter saves and goes on, Escape gives up, leaving it saves
    window.locator(".cap-table textarea").first.click()
    window.keyboard.type("a large hole")
    window.keyboard.press("Control+Enter")
    window.keyboard.type("another large hole")
    window.keyboard.press("ArrowDown")
    window.keyboard.type("nothing of use")
    window.keyboard.press("Escape")
    window.wait_for_function("document.querySelectorAll('.cap-edit[data-state=saved]').length === 2")
    assert captions(studio, project) == ["a large hole", "another large hole", "", ""]

    # find and replace, looked at first
    tool(window, "replace")
    window.fill("#cap-find", "large")
    window.fill("#cap-instead", "small")
    window.wait_for_selector("[data-act=replace]:enabled >> text=Replace in 2")
    assert window.locator(".cap-changes del").all_inner_texts() == ["large", "large"]
    assert window.locator(".cap-changes ins").all_inner_texts() == ["small", "small"]
    assert captions(studio, project)[0] == "a large hole"
    window.click("[data-act=replace]")
    window.wait_for_function("document.querySelector('.cap-table textarea').value === 'a small hole'")
    assert violations(window) == []

    # tags: to what was chosen
    tool(window, "tags")
    window.locator(".cap-table tbody [type=checkbox]").nth(2).check()
    window.fill("#cap-tag", "wet")
    window.click(".cap-new-tag button")
    window.wait_for_selector(".cap-tag-list [aria-pressed=true] >> text=wet")
    assert window.locator(".cap-tags span").all_inner_texts() == ["wet"]
    window.click("[data-act=none]")
    assert violations(window) == []

    # templates: one for all, one for a class
    tool(window, "template")
    window.fill("#cap-template", "{caption}, {defect}")
    window.click(".cap-own summary")
    window.get_by_label("dent (1)").fill("a {defect} by itself")
    window.wait_for_selector("[data-act=template]:enabled >> text=Write 3 captions")
    window.click("[data-act=template]")
    written = ["a small hole, hole", "another small hole, hole", "a dent by itself", ""]
    window.wait_for_function("document.querySelectorAll('.cap-table textarea')[2].value === 'a dent by itself'")
    assert captions(studio, project) == written
    assert violations(window) == []

    # captioners look, nothing is written yet; a refresh finds the run again
    tool(window, "write")
    window.check("#cap-by-said")
    window.check("[name=cap-write][value=review]")
    window.click("#cap-go")
    window.wait_for_selector(".cap[data-run=done] .cap-said button")
    assert captions(studio, project) == written
    assert violations(window) == []
    window.reload()
    opened(window)
    window.wait_for_selector(".cap[data-run=done] .cap-said button")
    assert window.is_checked("#cap-by-said")

    # side by side: one is taken
    window.locator(".cap-thumb").first.click()
    window.wait_for_selector(".cap-card .cap-take:enabled")
    assert window.locator(".cap-card b").all_inner_texts() == [
        "Measured from the mask",
        "The caption that is there",
        "The run's own choice",
    ]
    measured = window.locator(".cap-card p").first.inner_text()
    assert "hole" in measured
    assert violations(window) == []
    window.locator(".cap-take").first.click()
    window.wait_for_selector(".cap-card .cap-take:disabled >> text=Taken")
    assert captions(studio, project)[0] == measured
    window.focus(".cap-stage")
    window.keyboard.press("Escape")
    window.wait_for_selector(".cap[data-view=table] .cap-table")
    assert boxes(window)[0] == measured

    # taken back, and made again
    window.wait_for_selector("[data-act=undo] >> text=Undo: caption")
    window.keyboard.press("Control+z")
    window.wait_for_function("document.querySelector('.cap-table textarea').value === 'a small hole, hole'")
    window.click("[data-act=redo]")
    window.wait_for_function("text => document.querySelector('.cap-table textarea').value === text", arg=measured)

    # what is typed when the studio cannot take it outlives a refresh
    window.route("**/each", lambda route: route.abort())
    window.locator(".cap-table textarea").nth(3).fill("a part without fault")
    window.keyboard.press("Enter")
    window.wait_for_selector(".cap-edit[data-state=failed] [role=alert]")
    window.focus("#cap-search")
    window.wait_for_selector(".cap-edit[data-state=failed] [role=alert]")
    window.reload()
    opened(window)
    window.wait_for_selector(".cap-edit[data-state=draft]")
    window.unroute("**/each")
    assert boxes(window)[3] == "a part without fault"
    window.locator(".cap-table textarea").nth(3).press("Enter")
    window.wait_for_selector(".cap-edit[data-state=saved]")
    assert captions(studio, project)[3] == "a part without fault"
