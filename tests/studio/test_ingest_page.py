"""A data set opened on the Data tab: looked through, its layout corrected, taken in; a ZIP dropped."""

import base64
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import images
from tests import pictures
from tests.studio import windows
from tests.studio.conftest import Studio, started
from tests.studio.test_axe import violations
from tests.studio.test_data_page import DROP

pytestmark = pytest.mark.browser
WAIT_MS = 120_000


def leather(root: Path, seed: int) -> None:
    """MVTec: two good parts, two with a cut, of which one has an empty mask."""
    names = ("train/good/0.png", "test/good/1.png", "test/cut/2.png", "test/cut/3.png")
    for place, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(images.encode_png(pictures.good(seed=seed + place)))
    disc = pictures.disc(radius=9, at=(20, 30)).astype(np.uint8) * 255
    (root / "ground_truth/cut").mkdir(parents=True)
    (root / "ground_truth/cut/2_mask.png").write_bytes(images.encode_png(disc))
    (root / "ground_truth/cut/3_mask.png").write_bytes(images.encode_png(disc * 0))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    machine = tmp_path_factory.mktemp("machine") / "line"
    leather(machine / "leather", 10)
    with started(tmp_path_factory.mktemp("sets") / "runs", 0, "--data", str(machine)) as studio:
        yield studio


@pytest.fixture
def window(shelf: Studio, browser: Any) -> Iterator[Any]:
    with windows.watched(browser, shelf.home, viewport=windows.LARGE) as page:
        yield shown(page, shelf)


def shown(page: Any, shelf: Studio) -> Any:
    page.goto(shelf.home)
    page.get_by_role("tab", name="Data", exact=True).click()
    page.wait_for_selector(".shf[data-ready='1']")
    return page


def facts(page: Any) -> dict[str, str]:
    names, values = (page.locator(f".shf-knows {one}").all_inner_texts() for one in ("dt", "dd"))
    return dict(zip(names, values, strict=True))


@pytest.mark.long
def test_a_folder_and_a_zip_come_in_as_data_sets(window: Any, shelf: Studio, tmp_path: Path) -> None:
    leather(tmp_path / "革 2", 50)
    window.set_input_files(".shf input[name=folder]", tmp_path / "革 2")
    window.wait_for_selector(".shf-ingest[open] .shf-knows", timeout=WAIT_MS)
    assert window.inner_text(".shf-set") == "革 2.zip"
    assert facts(window) == {"Pictures": "4", "Good": "2", "With masks": "2", "Sizes": "96 × 72"}
    window.locator(".shf-ingest .shf-bar [data-act=close_set]").click()
    window.locator(".shf-coming [data-act=forget_set]").click()

    window.click("[data-act=browse]")
    window.click(".shf-folders button[title=leather]")
    window.wait_for_selector(".shf-crumbs [aria-current]:has-text('leather')")
    window.click("[data-act=open_set]")
    window.wait_for_selector(".shf-knows", timeout=WAIT_MS)
    assert facts(window) == {"Pictures": "4", "Good": "2", "With masks": "2", "Sizes": "96 × 72"}
    assert violations(window) == []

    layout = window.locator(".shf-layout select").first
    layout.select_option("captioned")
    window.wait_for_selector(".shf-knows dt:text('With masks')", state="detached", timeout=WAIT_MS)
    window.wait_for_selector(".shf-knows", timeout=WAIT_MS)
    assert facts(window)["Pictures"] != "4" or "With masks" not in facts(window)
    window.locator(".shf-layout select").first.select_option("mvtec")
    window.wait_for_selector(".shf-knows dt:text('With masks')", timeout=WAIT_MS)
    assert window.locator(".shf-fault select").first.input_value() == ""

    window.click("[data-act=take_set]")
    window.wait_for_selector(".shf-wait strong", timeout=WAIT_MS)
    said = window.inner_text(".shf-wait").splitlines()
    assert said[0] == "4 pictures taken in"
    assert "1 of them left out: Masks that mark nothing (1)" in said
    window.locator(".shf-ingest .shf-foot [data-act=close_set]").click()
    window.wait_for_selector(".shf-count:has-text('4 pictures')")
    assert "leather" in window.locator(".shf-project > span").all_inner_texts()
    assert window.locator(".shf-tile b:text('cut')").count() == 2
    assert window.locator(".shf-tile[data-out='1']").count() == 1

    leather(tmp_path / "zipped", 30)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for path in sorted((tmp_path / "zipped").rglob("*.png")):
            packed.write(path, f"belt/{path.relative_to(tmp_path / 'zipped').as_posix()}")
    window.evaluate(DROP, [".shf-list", [["belt.zip", base64.b64encode(out.getvalue()).decode()]]])
    window.wait_for_selector(".shf-ingest[open] .shf-knows", timeout=WAIT_MS)
    assert window.inner_text(".shf-set") == "belt.zip"
    window.click("[data-act=take_set]")
    window.wait_for_function("JSON.parse(localStorage.getItem('flawsmith-data-set')).ingest")
    again = window.context.new_page()
    window.close()  # it goes on, and the next window finds it
    shown(again, shelf)
    again.wait_for_function("!localStorage.getItem('flawsmith-data-set')", timeout=WAIT_MS)
    again.wait_for_selector(".shf-project:has-text('belt')")
    again.wait_for_selector(".shf-report:has-text('belt.zip: 4 pictures taken in')")
    found = {one["name"]: one["count"] for one in shelf.get("/api/projects")["projects"]}
    assert found["belt"] == 4
