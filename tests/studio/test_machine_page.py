"""The header's device and the Models tab as a person uses them, with a worker process that really holds models."""

import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from pipelines.core.models import Key, Models
from pipelines.core.nvml import Nvml
from pipelines.core.owners import Owner
from pipelines.core.queue import Queue
from pipelines.core.vitals import Vitals
from tests.nvml import GIB, Card, Driver
from tests.studio import windows
from tests.studio.conftest import ROOT, Studio
from tests.test_worker import until

pytestmark = pytest.mark.browser
MIB = 2**20
UNET = Key("tiny", "unet", "float32", "cpu")
H200 = Card("GPU-aa", "NVIDIA H200", 12 * GIB, 139 * GIB, 41, 412_000)
HOLDS = """
import sys
from pathlib import Path
from torch import nn
from pipelines.core.models import Key
from pipelines.worker import Worker
with Worker(Path(sys.argv[1]), "cpu", ("device",)) as worker:
    for part in ("unet", "vae"):
        with worker.models.use(Key("tiny", part, "float32", "cpu"), lambda: nn.Linear(1024, 512, bias=False)):
            pass
    print(flush=True)
    worker.work()
"""


@contextmanager
def holder(studio: Studio) -> Iterator[None]:
    """A process like any worker's, with two models of 2 MiB in its registry."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(studio.runs)], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        process.communicate()


@contextmanager
def device_worker(studio: Studio) -> Iterator[None]:
    """A worker for models, as app.py starts it, that has loaded none."""
    command = [sys.executable, "-m", "pipelines", "work", "--runs", str(studio.runs), "--device", "cpu"]
    process = subprocess.Popen([*command, "--lane", "device"], cwd=ROOT)
    try:
        until(lambda: process.pid in [one["pid"] for one in Queue(studio.runs).workers()])
        yield
    finally:
        process.terminate()
        assert process.wait(20) == 0


@contextmanager
def beating(studio: Studio, device: str, report: dict[str, Any]) -> Iterator[None]:
    """This process beats as a worker that says this of itself."""
    queue, over = Queue(studio.runs), threading.Event()

    def beat() -> None:
        while not over.is_set():
            queue.beat(Owner.me(), device, ("device",), report)
            over.wait(1)
        queue.leave(Owner.me())
        queue.close()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def on_a_card(studio: Studio) -> AbstractContextManager[None]:
    """A worker on a GPU."""
    report = Vitals("cuda:0", Models("cuda:0"), Nvml(Driver([H200]))).report()
    return beating(studio, "cuda:0", report)


def holding(*parts: str) -> dict[str, Any]:
    """What a worker says that holds these."""
    rows = [
        {"key": UNET._replace(part=part)._asdict(), "bytes": 2 * MIB, "used_at": time.time() - 7, "pinned": False}
        for part in parts
    ]
    return {**Vitals("cpu", Models("cpu")).report(), "models": rows}


@pytest.fixture
def window(studio: Studio, browser: Any) -> Iterator[Any]:
    with windows.watched(browser, studio.home) as page:
        page.goto(studio.home)
        page.wait_for_selector(".dev[data-state=alive]")
        yield page


def models(page: Any) -> None:
    page.get_by_role("tab", name="Models", exact=True).click()
    page.wait_for_selector(".mod[data-ready='1']")


@pytest.mark.long
def test_a_model_that_a_worker_holds_is_released_and_the_rest_after_it(window: Any, studio: Studio) -> None:
    with holder(studio):
        models(window)
        worker = window.locator(".mod-worker[data-role=device]")
        worker.locator("tbody tr").nth(1).wait_for()
        assert "Models hold 4 MiB" in worker.locator(".mod-figures").inner_text()
        worker.get_by_role("button", name="Release unet of tiny").click()
        worker.get_by_role("status").get_by_text("Freed 2 MiB").wait_for()
        worker.locator("tbody tr", has_text="unet").wait_for(state="detached")
        assert "Models hold 2 MiB" in worker.locator(".mod-figures").inner_text()
        assert [one["key"]["part"] for one in studio.get("/api/machine")["workers"][0]["models"]] == ["vae"]
        worker.get_by_role("button", name="Release all").click()
        worker.get_by_text("Drawing needs no model").wait_for()
        assert studio.get("/api/machine")["workers"][0]["held_bytes"] == 0


@pytest.mark.long
def test_the_budget_is_set_by_keyboard_kept_on_the_disk_and_put_back(window: Any, studio: Studio) -> None:
    with device_worker(studio):
        models(window)
        worker = window.locator(".mod-worker[data-role=device]")
        slider = worker.get_by_role("slider", name="How much may models hold?")
        slider.focus()
        before = studio.get("/api/machine")["workers"][0]
        for _ in range(3):
            window.keyboard.press("ArrowLeft")
        worker.get_by_role("status").get_by_text("This is remembered").wait_for()
        kept = json.loads((studio.runs / "settings.json").read_text())["budgets"]["cpu"]
        assert kept < 0.99 * before["default_bytes"], "three steps, not one"
        until(lambda: studio.get("/api/machine")["workers"][0]["budget_bytes"] == kept)
        assert slider.evaluate("one => one === document.activeElement")
        worker.locator(".mod-reset[aria-disabled=false]").click()
        until(lambda: studio.get("/api/machine")["workers"][0]["budget_bytes"] == before["default_bytes"])
        assert json.loads((studio.runs / "settings.json").read_text())["budgets"] == {}


@pytest.mark.long
def test_the_focus_stays_where_it_was_while_the_list_renews_itself(window: Any, studio: Studio) -> None:
    focused, report = "document.activeElement.getAttribute('aria-label')", holding("unet", "vae", "text_encoder")
    with beating(studio, "cpu", report):
        models(window)
        window.get_by_role("button", name="Release vae of tiny").focus()
        window.wait_for_function(
            "document.querySelector('.mod-worker td:nth-child(5)').textContent.startsWith('10 sec')"
        )
        assert window.evaluate(focused) == "Release vae of tiny"
        report["models"] = holding("unet", "text_encoder")["models"]
        window.wait_for_function("document.querySelectorAll('.mod-worker tbody tr').length === 2")
        assert window.evaluate(focused) == "Release text_encoder of tiny", "its row is gone: the next one has it"


@pytest.mark.long
def test_a_worker_that_goes_takes_its_card_along_and_the_page_says_what_is_left(window: Any, studio: Studio) -> None:
    with beating(studio, "cpu", holding("unet")):
        models(window)
        window.locator(".mod-worker[data-role=device]").wait_for()
    window.locator(".mod-worker[data-role=device]").wait_for(state="detached")
    window.get_by_text("No worker for models is running").wait_for()
    window.locator(".mod-worker h2", has_text="Worker for drawing").wait_for()


@pytest.mark.long
def test_the_header_tells_the_device_and_its_reason_by_keyboard(window: Any) -> None:
    button = window.get_by_role("button", name="Computing device: CPU")
    assert button.get_attribute("title") == "Draws and exports. It needs no models."
    button.focus()
    window.keyboard.press("Enter")
    details = window.get_by_role("dialog", name="Computing device")
    details.wait_for()
    assert "Main memory" in details.inner_text()
    assert "Free on the disk" in details.inner_text()
    window.keyboard.press("Escape")
    details.wait_for(state="hidden")
    assert button.evaluate("one => one === document.activeElement")


@pytest.mark.long
def test_on_a_card_the_header_tells_memory_temperature_and_power(window: Any, studio: Studio) -> None:
    with on_a_card(studio):
        window.get_by_role("button", name="Computing device: H200, 12.0 GiB of 139 GiB, 41 °C, 412 W").wait_for()
        assert window.inner_text(".dev-heat") == "41 °C · 412 W"


@pytest.mark.long
def test_at_a_tablets_width_the_header_keeps_the_device_in_its_shortest_form(window: Any, studio: Studio) -> None:
    window.set_viewport_size({"width": 1024, "height": 768})
    with on_a_card(studio):
        window.get_by_text("12.0 / 139 GiB").wait_for()
        boxes = {name: window.locator(name).bounding_box() for name in ("#brand", "#bar", ".dev-button")}
        places = [(box["x"], box["x"] + box["width"]) for box in boxes.values()]
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(places)), boxes
        assert places[-1][1] <= 1024
        assert not window.is_visible(".dev-heat")
        assert window.evaluate("document.documentElement.scrollWidth") <= 1024


@pytest.mark.long
def test_a_studio_that_does_not_answer_leaves_no_stale_figure(browser: Any, studio: Studio) -> None:
    page = browser.new_page()
    page.goto(studio.home)
    page.wait_for_selector(".dev[data-state=alive]")
    page.route("**/api/machine*", lambda route: route.abort())
    page.wait_for_selector(".dev[data-state=away]")
    assert page.inner_text(".dev-button") == "No answer"
    page.unroute("**/api/machine*")
    page.wait_for_selector(".dev[data-state=alive]")
    page.close()
