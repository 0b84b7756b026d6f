"""Prepare for training as an inspector does it: folders shown, a noun left out, copied; moved and undone; cut out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.studio import windows
from tests.studio.conftest import Studio, started
from tests.studio.serving import ask
from tests.studio.test_axe import violations
from tests.studio.test_prepare import look, photos, plates

pytestmark = [pytest.mark.browser, pytest.mark.long]
WAIT_MS = 120_000
FIRST, GO, PREVIEW = ".pp-found h3", ".pp [data-act=go]", ".pp [data-act=preview]"


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("machine") / "line"
    photos(folder / "photos", 10)
    plates(folder / "plates")
    return folder


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, line: Path) -> Iterator[Studio]:
    with started(tmp_path_factory.mktemp("prepared") / "runs", 0, "--data", str(line)) as studio:
        project = ask(studio.port, "POST", "/api/projects", data={"name": "Housing"}).json()["id"]
        for path in ("photos", "plates"):
            ask(studio.port, "POST", "/api/datasets", data={"root": 0, "path": path})
        taken = {"root": 0, "paths": ["plates/images/0.png"]}
        answer = ask(studio.port, "POST", f"/api/projects/{project}/take", data=taken)
        assert answer.status < 300, answer.body
        yield studio


def shown(page: Any, shelf: Studio) -> Any:
    page.goto(shelf.home)
    page.get_by_role("tab", name="Data", exact=True).click()
    page.wait_for_selector(".shf[data-ready='1']")
    page.wait_for_selector(".shf-tile")
    page.click("[data-act=prepare]")
    return page


# Where a test asks for what cannot be, the browser itself says so too.
@pytest.fixture
def window(shelf: Studio, browser: Any) -> Iterator[Any]:
    with windows.watched(browser, shelf.home, complaints="status of 422", viewport=windows.LARGE) as page:
        yield shown(page, shelf)


def says(page: Any, text: str) -> None:
    page.wait_for_selector(f"{FIRST}:text('{text}')", timeout=WAIT_MS)


def folders(page: Any) -> list[str]:
    found: list[str] = page.locator(".pp-tree b").all_inner_texts()
    return found


def sorting(page: Any) -> None:
    page.click(".pp .wh-modes [data-task=organize]")
    page.select_option("#prepare-data", label="line/photos")


def test_folders_are_shown_a_noun_left_out_and_copied(window: Any, line: Path) -> None:
    window.wait_for_selector("#prepare-data option:checked:text-is('Housing (1)')", state="attached")
    window.click(".pp .wh-modes [data-task=organize]")
    window.select_option("#prepare-mode-value", "move")
    assert "Only a folder that was opened" in window.inner_text(".pp-why")
    assert window.is_disabled(PREVIEW)
    window.select_option("#prepare-mode-value", "copy")

    before = look(line)
    sorting(window)
    assert window.is_disabled(GO)
    window.click(PREVIEW)
    says(window, "21 pictures would be copied into 3 folders")
    assert folders(window) == ["cut", "dent", "other"]
    assert violations(window) == []
    window.click("button[title='No folder for “dent”']")
    says(window, "21 pictures would be copied into 2 folders")
    assert folders(window) == ["cut", "other"]
    assert window.input_value("#prepare-leave_out-value") == "dent"
    window.fill("#prepare-minimum_images-value", "5")
    window.keyboard.press("Tab")
    assert "The form has changed" in window.inner_text(".pp-stale")
    assert window.is_disabled(GO)
    window.fill("#prepare-minimum_images-value", "10")
    window.keyboard.press("Tab")
    window.click(GO)
    says(window, "21 pictures of line/photos copied into 2 folders")
    assert look(line) == before
    window.click("text=Train with it")
    window.wait_for_selector("#train-card", state="visible")
    assert "photos 2" in str(window.evaluate("localStorage.getItem('flawsmith-train')"))


def test_a_move_outlives_a_refresh_and_is_undone(window: Any, shelf: Studio, line: Path) -> None:
    before = look(line)
    sorting(window)
    window.select_option("#prepare-mode-value", "move")
    window.click(PREVIEW)
    says(window, "21 pictures would be moved; then there are 3 folders")
    window.click(GO)
    window.wait_for_function("JSON.parse(localStorage.getItem('flawsmith-prepare')).jobs.organize.dry_run === false")
    again = window.context.new_page()
    window.close()
    shown(again, shelf)
    says(again, "21 pictures of line/photos moved")
    assert (line / "photos/cut/10.png").is_file()
    sorting(again)
    again.click(PREVIEW)
    says(again, "would")
    again.click(".pp-moves button:text('Undo')")  # of a run before the newest
    says(again, "Taken back")
    assert look(line) == before
    again.wait_for_selector(".pp-moves", state="detached")
    again.keyboard.press("Escape")
    again.wait_for_selector(".pp-dialog", state="hidden")


def test_what_was_cut_is_shown_with_the_edges_of_its_masks(window: Any) -> None:
    window.select_option("#prepare-data", label="line/plates")
    assert window.is_hidden("#prepare-overlap")
    window.select_option("#prepare-how-value", "tiles")
    assert window.is_visible("#prepare-overlap")
    window.fill("#prepare-side_px-value", "4")
    window.keyboard.press("Tab")
    window.click(GO)
    window.wait_for_selector(".pp-why.refused:has-text('side_px = 4')")
    window.fill("#prepare-side_px-value", "32")
    window.keyboard.press("Tab")
    window.click(GO)
    says(window, "8 windows cut from line/plates")
    window.wait_for_selector(".pp-crops canvas")
    assert window.locator(".pp-crops img").count() == 8
    assert window.locator(".pp-crops canvas").count() == 1
    assert "1 with a mask of a defect, 7 without, from 2 pictures" in window.inner_text(".pp-found")
    window.click("text=Take into a project")
    window.wait_for_selector(".shf-ingest[open] .shf-knows", timeout=WAIT_MS)
