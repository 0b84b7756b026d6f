"""The job bar in Chromium: how much waits, how long it takes, the jobs, and Stop beside each; all by keyboard."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from pipelines.core import images
from tests import pictures
from tests.studio import windows
from tests.studio.conftest import Studio, started
from tests.studio.serving import ask

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Busy:
    """A studio, and pictures that keep its one worker at work."""

    studio: Studio
    files: dict[str, str]

    def submit(self, count: int) -> str:
        """A run of so many large pictures."""
        asked = {"task": "inpaint", **self.files, "defect": "dent", "num_images": count}
        found: str = ask(self.studio.port, "POST", "/api/runs", data=asked).json()["id"]
        return found

    def state(self, run: str) -> str:
        found: str = self.studio.get(f"/api/runs/{run}")["state"]
        return found


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Busy]:
    """The studio, with nothing asked of it yet."""
    good = np.tile(pictures.good(300, 400), (6, 6, 1))
    made = {"image": good, "mask": pictures.disc(*good.shape[:2], radius=150)}
    with started(tmp_path_factory.mktemp("bar") / "runs") as studio:
        files = {}
        for name, pixels in made.items():
            data = images.encode_png(pixels)
            files[name] = ask(studio.port, "POST", "/api/uploads", data, {"X-Filename": f"{name}.png"}).json()["asset"]
        yield Busy(studio, files)


@pytest.fixture
def window(busy: Busy, browser: Any) -> Iterator[Any]:
    """Nothing waits when it closes."""
    with windows.watched(browser, busy.studio.home, locale="en-US") as page:
        page.goto(busy.studio.home)
        page.wait_for_selector(".bar-open")
        yield page
        for run in busy.studio.get("/api/runs?open=true&limit=200")["runs"]:
            ask(busy.studio.port, "POST", f"/api/runs/{run['id']}/stop")


@pytest.mark.long
def test_an_idle_studio_says_that_nothing_waits(window: Any) -> None:
    window.click(".bar-open")
    assert window.inner_text(".bar-panel .bar-none") == "Nothing is running or waiting."
    assert window.locator(".bar-panel li").count() == 0
    window.keyboard.press("Escape")
    assert window.is_hidden(".bar-panel")


def test_jobs_are_listed_timed_and_stopped_by_keyboard(window: Any, busy: Busy) -> None:
    first, second, third = busy.submit(40), busy.submit(41), busy.submit(42)
    window.wait_for_selector(".bar-others >> text=+ 3 more in line")
    window.locator(".bar-open").focus()
    window.keyboard.press("Enter")
    window.wait_for_selector(f".bar-panel li[data-run='{first}'][data-state=running]")
    assert [one.get_attribute("data-run") for one in window.locator(".bar-panel li").all()] == [first, second, third]
    assert "Waiting" in window.inner_text(f".bar-panel li[data-run='{second}']")
    assert window.inner_text(f".bar-panel li[data-run='{first}'] b") == "Paint defects"
    assert window.inner_text(f".bar-panel li[data-run='{first}'] .bar-left") == ""  # no pace is known yet
    window.wait_for_function(
        "run => /(about \\d+ (s|min)|a few seconds) left/.test("
        "document.querySelector(`.bar-panel li[data-run='${run}'] .bar-left`).textContent)",
        arg=first,
    )
    window.locator(f".bar-panel li[data-run='{second}'] button").focus()
    window.keyboard.press("Enter")
    window.wait_for_selector(f".bar-panel li[data-run='{second}']", state="detached")
    assert busy.state(second) == "cancelled"
    focused = "document.activeElement.closest('.bar-panel') !== null"
    assert window.evaluate(focused)  # one goes on where one was, though the line is gone
    window.locator(f".bar-panel li[data-run='{first}'] button").focus()
    window.keyboard.press("Enter")
    window.wait_for_selector(f".bar-panel li[data-run='{first}']", state="detached")
    window.wait_for_selector(f".bar-panel li[data-run='{third}'][data-state=running]")
    window.keyboard.press("Escape")
    assert window.is_hidden(".bar-panel")
    assert window.evaluate("document.activeElement.className") == "bar-open"


@pytest.mark.long
def test_only_so_many_are_listed_and_the_rest_is_counted(window: Any, busy: Busy) -> None:
    for _ in range(25):
        busy.submit(1)
    window.click(".bar-open")
    window.wait_for_function("document.querySelectorAll('.bar-panel li').length === 20")
    window.wait_for_selector(".bar-rest >> text=/and \\d+ more/")
