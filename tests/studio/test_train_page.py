"""The Train tab in a browser, without a worker that trains: the form, the queue, and what a training has shown."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.core import datasets, files, ids
from pipelines.core.queue import Queue
from tests import models
from tests.studio import trained, windows
from tests.studio.conftest import Studio, started
from tests.studio.test_axe import to, violations
from tests.studio.test_page import go

pytestmark = pytest.mark.browser
FOUND = {
    "layout": "mvtec",
    "images": 15,
    "good": 8,
    "classes": {"hole": 3, "scratch": 4},
    "faults": [
        {"kind": "empty_mask", "count": 2, "stops": True, "sentences": ["one", "two"], "choices": ["leave_out", "use"]},
        {"kind": "duplicate", "count": 1, "stops": False, "sentences": ["three"], "choices": ["leave_out", "use"]},
    ],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a base that is ready and a data set."""
    folder = tmp_path_factory.mktemp("train")
    models.base(folder / "models" / "tiny")
    trained.dataset(folder / "data" / "washer")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLAWSMITH_MODELS", str(folder / "models"))
        yield folder


@pytest.fixture(scope="module")
def running(home: Path) -> Iterator[Studio]:
    with started(home / "runs", 0, "--data", str(home / "data")) as found:
        yield found


def looked_through(studio: Studio, home: Path) -> tuple[str, str]:
    """The data set, and a run that looked through it, as the light worker leaves it; (data set, run)."""
    data = datasets.put(studio.runs, home / "data" / "washer", "data/washer").id
    run, request = ids.new_run(), json.dumps({"task": "check", "data": data})
    queue = Queue(studio.runs)
    with queue.writing() as db:  # over before a worker sees it
        row = (run, "check", request, "done", "cpu", 5, "", 1, time.time())
        columns = "id, task, request, state, lane, priority, user, total, created"
        db.execute(f"INSERT INTO run({columns}) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    (studio.runs / run).mkdir(exist_ok=True)
    files.write_json(studio.runs / run / "result.json", FOUND)
    queue.close()
    return data, run


@pytest.fixture
def window(running: Studio, home: Path, browser: Any) -> Iterator[Any]:
    """The tab, with the data set known by name and looked through before."""
    with windows.watched(browser, running.home, color_scheme="light") as page:
        prepared(page, running, home)
        yield page


@pytest.fixture
def again(running: Studio, home: Path, browser: Any) -> Iterator[Any]:
    """The same, to be refreshed."""
    with windows.unwatched(browser) as page:
        prepared(page, running, home)
        yield page


def prepared(page: Any, studio: Studio, home: Path) -> None:
    data, run = looked_through(studio, home)
    held = json.dumps({"checks": {data: run}, "recipe": "once", "preset": "fast"})
    page.add_init_script(
        f"localStorage.getItem('flawsmith-train') || localStorage.setItem('flawsmith-train', {held!r})"
    )
    go(page, studio)
    open_tab(page)


def open_tab(page: Any) -> None:
    to(page, "train")
    page.wait_for_selector(".tr[data-state=ready]")


def newest(studio: Studio) -> dict[str, Any]:
    found: dict[str, Any] = studio.get("/api/trainings")[0]
    return found


def test_from_a_folder_to_a_training_in_line_that_is_then_seen_to_learn(window: Any, running: Studio) -> None:
    window.click("[data-act=folders]")
    window.click(".tr-inner button >> text=washer")
    window.click(".tr-take")
    window.wait_for_selector(".tr-check.asks")
    assert "15 pictures, 8 of them good parts" in window.inner_text(".tr-check")
    assert window.inner_text("#train small") == "Say what to do about the faults"
    window.select_option(".tr-line select >> nth=0", "use")
    window.click(".tr-settle")
    window.wait_for_selector(".tr-check.settled")
    window.select_option("#train-defect", "scratch")
    window.select_option("#train-base", "tiny")
    window.click(".tr [data-mode=expert]")
    window.click(".tr-group:has(#train-learning_rate) > summary")
    window.fill("#train-learning_rate-value", "2e-5")
    window.keyboard.press("Tab")
    assert violations(window) == []
    window.click("#train")
    window.wait_for_selector(".td[data-training=queued]")
    request = running.get(f"/api/trainings/{newest(running)['id']}")["request"]
    said = ("defect", "base", "learning_rate", "max_train_steps", "part_prompt")
    assert [request[name] for name in said] == ["scratch", "tiny", 2e-5, 300, "sks"]
    assert request["faults"] == {"empty_mask": "use", "duplicate": "leave_out"}

    data = request["data"]
    run = trained.training(running.runs, "running", 350, base="tiny", data=data, defect="hole")
    window.wait_for_selector(f".td-list [data-run='{run}']")
    window.click(f".td-list [data-run='{run}']")
    window.wait_for_selector(f".td[data-run='{run}'] .td-plot svg")
    assert window.locator(".td-line").count() == 3
    assert window.locator(".td-held").count() == 3
    window.wait_for_function("document.querySelectorAll('.td-made img').length === 2")
    assert "Made at step 300" in window.inner_text(".td-made h3")
    window.wait_for_selector(".td-real .td-tiles img")
    window.click("[data-look=all]")
    assert window.locator(".td-grid figure").count() == 3
    window.click(".td-acts [data-act=pause]")
    window.wait_for_selector(".td[data-training=paused] [data-act=unpause]")
    assert (running.runs / run / "wish-pause").exists()
    assert violations(window) == []


@pytest.mark.long
def test_every_defect_of_a_data_set_is_queued_by_one_click(window: Any, running: Studio) -> None:
    choose(window)
    before = len(running.get("/api/trainings"))
    window.select_option("#train-defect", "*")
    assert window.inner_text("#train span") == "Queue 2 trainings"
    window.click("#train")
    deadline = time.monotonic() + windows.WAIT_MS / 1000
    while len(listed := running.get("/api/trainings")) < before + 2:
        assert time.monotonic() < deadline
        window.wait_for_timeout(100)
    assert {one["defect"] for one in listed[:2]} == {"hole", "scratch"}


@pytest.mark.long
def test_a_finished_training_goes_to_paint_or_begins_another(again: Any, running: Studio, home: Path) -> None:
    data = datasets.put(running.runs, home / "data" / "washer", "data/washer").id
    run = trained.training(running.runs, "done", base="tiny", data=data, defect="scratch")
    again.reload()
    open_tab(again)
    again.click(f".td-list [data-run='{run}']")
    again.wait_for_selector(f".td[data-run='{run}'] .td-hints p")
    again.click("[data-act=fresh]")
    again.wait_for_selector("#train-start:focus")
    assert again.input_value("#train-start") == run
    again.click("[data-act=use]")
    again.wait_for_selector("#tabs button[aria-selected=true] >> text=Paint")
    again.wait_for_selector(".wh-uses strong >> text=scratch", state="attached")


@pytest.mark.long
def test_the_second_stage_waits_for_the_first(window: Any, running: Studio, home: Path) -> None:
    choose(window)
    window.check(".tr-recipes input[value=defect]", force=True)
    assert "First train stage 1" in window.inner_text("#train small")
    data = datasets.put(running.runs, home / "data" / "washer", "data/washer").id
    trained.training(running.runs, "done", base="tiny", data=data, stage=1)
    to(window, "data")
    window.wait_for_timeout(700)
    to(window, "train")
    window.wait_for_function("document.querySelector('#train small').textContent === ''")
    assert window.inner_text("#train-start option >> nth=0").startswith("Newest stage 1")


@pytest.mark.long
def test_a_refresh_keeps_the_form(again: Any, running: Studio) -> None:
    choose(again)
    again.click("[data-preset=published]")
    again.reload()
    open_tab(again)
    again.wait_for_selector("[data-preset=published][aria-pressed=true]")
    again.wait_for_selector(".tr-check.settled")


def choose(page: Any) -> None:
    """The data set, its faults settled."""
    page.wait_for_selector("#train-data option >> text=data/washer", state="attached")
    page.select_option("#train-data", label="data/washer")
    page.wait_for_selector(".tr-check.asks, .tr-check.settled")
    if page.is_visible(".tr-settle"):
        page.click(".tr-settle")
    page.wait_for_selector(".tr-check.settled")
