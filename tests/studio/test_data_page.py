"""The Data tab in Chromium: pictures come in from files, folders and the studio's machine; projects come back."""

import base64
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import images
from tests import pictures
from tests.studio import windows
from tests.studio.conftest import Studio, started
from tests.studio.serving import ask
from tests.studio.test_axe import violations

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the studio's machine: two good parts, a broken file, and a folder with one more part."""
    folder = tmp_path_factory.mktemp("machine") / "line 1"
    (folder / "良品").mkdir(parents=True)
    for seed, name in enumerate(("camera 2.png", "camera 10.png", "良品/部品.png")):
        (folder / name).write_bytes(images.encode_png(pictures.good(seed=seed)))
    (folder / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, machine: Path) -> Iterator[Studio]:
    """A studio of its own, one folder opened to it."""
    with started(tmp_path_factory.mktemp("data") / "runs", 0, "--data", str(machine)) as studio:
        yield studio


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Three parts on the inspector's machine, and beside them what is no picture."""
    folder = tmp_path / "my parts"
    (folder / "inner").mkdir(parents=True)
    for seed, name in enumerate(("part 1.png", "part 2.png", "inner/part 10.png")):
        (folder / name).write_bytes(images.encode_png(pictures.good(seed=10 + seed)))
    (folder / "inner" / "list.csv").write_text("a,b")
    (folder / ".hidden.png").write_bytes(b"x")
    return folder


@pytest.fixture
def empty(shelf: Studio) -> Studio:
    """The studio without projects."""
    for folder in (shelf.runs / "projects").glob("project-*"):
        shutil.rmtree(folder)
    return shelf


@pytest.fixture
def window(empty: Studio, browser: Any) -> Iterator[Any]:
    refused = "422 (Unprocessable"  # what Chromium says of a refused file
    with windows.watched(browser, empty.home, complaints=refused, viewport=windows.LARGE) as page:
        yield shown(page, empty)


@pytest.fixture
def unwatched(empty: Studio, browser: Any) -> Iterator[Any]:
    with windows.unwatched(browser, viewport=windows.LARGE) as page:
        yield shown(page, empty)


def shown(page: Any, shelf: Studio) -> Any:
    page.goto(shelf.home)
    page.get_by_role("tab", name="Data", exact=True).click()
    page.wait_for_selector(".shf[data-ready='1']")
    return page


def add(page: Any, *paths: Path) -> None:
    page.set_input_files(".shf input[name=pictures]", paths)
    page.wait_for_selector(".shf-report:not([hidden])")


def names(page: Any) -> list[str]:
    found: list[str] = page.locator(".shf-tile span").all_inner_texts()
    return found


def counted(page: Any, text: str) -> None:
    page.wait_for_selector(f".shf-count >> text='{text}'")


def projects(page: Any) -> list[str]:
    found: list[str] = page.locator(".shf-project > span").all_inner_texts()
    return found


def test_files_come_in_and_what_is_refused_is_told(window: Any, files: Path, machine: Path, shelf: Studio) -> None:
    add(window, files / "part 1.png", machine / "torn.png", files / "part 2.png", files / "inner" / "list.csv")
    counted(window, "2 pictures")
    assert names(window) == ["part 1.png", "part 2.png"]
    report = window.inner_text(".shf-report").splitlines()
    assert report[0] == "Added: 2 · Refused: 2"
    assert report[1].startswith("torn.png is cut short")
    assert report[2].startswith("list.csv")
    assert projects(window) == ["Untitled"]
    window.click("[data-act=close]")
    add(window, files / "part 1.png")
    counted(window, "2 pictures")
    assert window.inner_text(".shf-report").strip() == "Added: 0 · Already here: 1"
    (project,) = shelf.get("/api/projects")["projects"]
    assert project["count"] == 2


@pytest.mark.long
def test_a_folder_comes_in_with_what_lies_in_it(window: Any, files: Path) -> None:
    window.set_input_files(".shf input[name=folder]", files)
    counted(window, "3 pictures")
    window.wait_for_selector(".shf-report:not([hidden])")
    assert window.inner_text(".shf-report").strip() == "Added: 3 · No pictures, left out: 1"
    assert names(window) == ["part 10.png", "part 1.png", "part 2.png"]
    size = window.locator(".shf-tile small").first.inner_text()
    assert size == "96 × 72 · 8 bit"


DROP = """([root, files]) => {
  const transfer = new DataTransfer();
  for (const [name, data] of files)
    transfer.items.add(new File([Uint8Array.from(atob(data), (one) => one.charCodeAt(0))], name));
  const where = document.querySelector(root);
  for (const type of ["dragover", "drop"])
    where.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


@pytest.mark.long
def test_what_is_dropped_anywhere_on_the_tab_comes_in(window: Any, files: Path) -> None:
    sent = [[one.name, base64.b64encode(one.read_bytes()).decode()] for one in sorted(files.glob("part*.png"))]
    window.evaluate(DROP, [".shf-list", sent])
    counted(window, "2 pictures")
    assert window.get_attribute(".shf", "data-drop") == ""


@pytest.mark.long
def test_a_sample_begins_a_project(window: Any, shelf: Studio) -> None:
    window.click("[data-sample=ceramic_tile]")
    counted(window, "1 picture")
    assert projects(window) == ["Untitled"]
    assert not window.is_visible(".shf-none")


@pytest.mark.long
def test_pictures_are_taken_out_by_key_and_come_back_to_their_places(window: Any, files: Path) -> None:
    add(window, files / "part 1.png", files / "part 2.png", files / "inner" / "part 10.png")
    counted(window, "3 pictures")
    window.locator(".shf-tiles").focus()
    for key in ("Home", "Shift+ArrowRight", "Delete"):
        window.keyboard.press(key)
    counted(window, "1 picture")
    assert names(window) == ["part 10.png"]
    window.keyboard.press("Control+z")
    window.wait_for_selector(".shf-tile >> nth=2")
    assert names(window) == ["part 1.png", "part 2.png", "part 10.png"]
    counted(window, "2 chosen")
    window.keyboard.press("Control+a")
    counted(window, "3 chosen")
    window.click("[data-act=remove]")
    window.wait_for_selector(".shf-none strong")
    window.click("[data-act=undo]")
    counted(window, "3 chosen")


@pytest.mark.long
def test_projects_are_made_renamed_deleted_and_come_back(window: Any, files: Path, shelf: Studio) -> None:
    add(window, files / "part 1.png")
    window.click("[data-act=create]")
    window.wait_for_selector(".shf-project input")
    window.keyboard.type("外壳, camera 2")
    window.keyboard.press("Enter")
    window.wait_for_selector(".shf-project[aria-selected=true] >> text=外壳, camera 2")
    counted(window, "0 pictures")
    assert projects(window) == ["外壳, camera 2", "Untitled"]
    window.keyboard.press("ArrowDown")
    counted(window, "1 picture")
    window.keyboard.press("F2")
    window.keyboard.type("Nuts")
    window.keyboard.press("Escape")
    window.keyboard.press("ArrowUp")
    counted(window, "0 pictures")
    window.keyboard.press("Delete")
    window.wait_for_function("document.querySelectorAll('.shf-project').length === 1")
    counted(window, "1 picture")
    assert projects(window) == ["Untitled"]
    window.keyboard.press("Control+z")
    window.wait_for_selector(".shf-project[aria-selected=true] >> text=外壳, camera 2")
    assert sorted(one["name"] for one in shelf.get("/api/projects")["projects"]) == ["Untitled", "外壳, camera 2"]


@pytest.mark.long
def test_a_refresh_and_a_second_window_come_back_to_project_and_picture(
    unwatched: Any, files: Path, shelf: Studio
) -> None:
    window = unwatched
    add(window, files / "part 1.png", files / "part 2.png")
    first = window.get_attribute(".shf", "data-project")
    window.locator(".shf-tile").nth(1).dblclick()
    window.wait_for_selector("#tabs button[aria-selected=true] >> text=Paint")
    window.get_by_role("tab", name="Data", exact=True).click()
    window.wait_for_selector(".shf-tile[data-open='1'] >> text=part 2.png")
    other = ask(shelf.port, "POST", "/api/projects", data={"name": "Another"}).json()["id"]
    assert shelf.get("/api/projects")["projects"][0]["id"] == other  # newer, and yet not the one that is open
    for page in (window, shown(window.context.new_page(), shelf)):
        if page is window:
            page.reload()
            page.get_by_role("tab", name="Data", exact=True).click()
        page.wait_for_selector(f".shf[data-ready='1'][data-project='{first}']")
        page.wait_for_selector(".shf-tile[data-open='1'][data-here='1'] >> text=part 2.png")
        assert names(page) == ["part 1.png", "part 2.png"]


READ = "document.querySelector('#which .wh').which.read()"


@pytest.mark.long
def test_another_project_brings_its_picture_and_its_form_to_paint(window: Any, files: Path, shelf: Studio) -> None:
    seeds = {"part 1.png": 101, "part 2.png": 202}
    window.get_by_role("tab", name="Paint", exact=True).click()
    form = window.evaluate(READ)
    for name, seed in seeds.items():
        id = ask(shelf.port, "POST", "/api/projects", data={"name": name}).json()["id"]
        sent = (files / name).read_bytes()
        asset = ask(shelf.port, "POST", "/api/uploads", sent, {"X-Filename": name.replace(" ", "%20")}).json()["asset"]
        ask(shelf.port, "POST", f"/api/projects/{id}/pictures", data={"assets": [asset]})
        held = {**form, "common": {**form["common"], "seed": seed}}
        ask(shelf.port, "PATCH", f"/api/projects/{id}", data={"open": asset, "form": held})
    for name in seeds:
        window.get_by_role("tab", name="Data", exact=True).click()
        window.click(f".shf-project >> text={name}")
        window.wait_for_selector(f".shf-tile >> text={name}")
        window.get_by_role("tab", name="Paint", exact=True).click()
        window.wait_for_selector(f".mc[data-ready='1'] .mc-facts >> text={name}")
        window.wait_for_function(f"seed => {READ}.common.seed === seed", arg=seeds[name])


@pytest.mark.long
def test_a_folder_of_the_machine_is_browsed_and_added(window: Any, machine: Path) -> None:
    window.click("[data-act=browse]")
    window.wait_for_selector(".shf-pictures img")
    shown = window.locator(".shf-pictures span").all_inner_texts()
    assert shown == ["camera 2.png", "camera 10.png", "torn.png"]
    assert window.locator(".shf-folders").inner_text().split() == ["良品", "1", "picture"]
    window.get_by_label("With the folders in it").check()
    window.click("[data-act=gather]")
    counted(window, "3 pictures")
    window.wait_for_selector(".shf-report:not([hidden])")
    assert names(window) == ["camera 2.png", "camera 10.png", "部品.png"]
    assert window.inner_text(".shf-report strong") == "Added: 3 · Refused: 1"
    window.click("[data-act=browse]")
    window.click(".shf-folders button")
    window.click(".shf-pictures button >> text=部品.png")
    window.wait_for_selector("[data-act=gather] >> text=Add the chosen ones (1)")
    window.click("[data-act=gather]")
    window.wait_for_selector(".shf-report strong >> text=Already here: 1")
    counted(window, "3 pictures")


@pytest.mark.long
def test_the_keyboard_alone_browses(window: Any) -> None:
    window.locator("[data-act=browse]").focus()
    window.keyboard.press("Enter")
    window.wait_for_selector(".shf-folders button")
    window.locator(".shf-folders button").focus()
    window.keyboard.press("Enter")
    window.wait_for_selector(".shf-crumbs [aria-current] >> text=良品")
    window.keyboard.press("Escape")
    assert not window.is_visible(".shf-dialog")


@pytest.mark.long
def test_a_damaged_project_is_told_and_the_others_open(window: Any, files: Path, shelf: Studio) -> None:
    add(window, files / "part 1.png")
    bad = ask(shelf.port, "POST", "/api/projects", data={"name": "Bad"}).json()["id"]
    (shelf.runs / "projects" / bad / "project.json").write_text("{")
    window = shown(window.context.new_page(), shelf)
    window.wait_for_selector(f".shf-damaged >> text={bad}")
    counted(window, "1 picture")
    assert projects(window) == ["Untitled"]


@pytest.mark.long
def test_many_pictures_come_in_without_holding_the_page_and_stop_stops(window: Any, tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for place in range(300):
        pixels = np.full((16, 16), place % 256, np.uint8)
        (many / f"part {place}.png").write_bytes(images.encode_png(pixels))
    window.evaluate(
        """() => { window.longest = 0; let before = performance.now();
        const beat = () => { const now = performance.now(); window.longest = Math.max(window.longest, now - before);
          before = now; requestAnimationFrame(beat); }; requestAnimationFrame(beat); }"""
    )
    window.set_input_files(".shf input[name=folder]", many)
    window.wait_for_function("document.querySelector('.shf-going progress').value > 0.1")
    window.click("[data-act=stop]")
    window.wait_for_selector(".shf-report strong >> text=Stopped")
    kept = int(window.inner_text(".shf-count").split()[0])
    assert 0 < kept < 300
    window.set_input_files(".shf input[name=folder]", many)
    counted(window, "300 pictures")
    assert window.inner_text(".shf-place") == "1–60 / 300"
    assert names(window)[:3] == ["part 0.png", "part 1.png", "part 2.png"]
    assert window.evaluate("window.longest") < 3000
    window.locator(".shf-tiles").focus()
    window.keyboard.press("PageDown")
    window.wait_for_selector(".shf-place >> text=61–120 / 300")


@pytest.mark.long
def test_everything_needed_is_in_sight(window: Any, files: Path) -> None:
    add(window, files / "part 1.png")
    needed = [f".shf [data-act={act}]" for act in ("files", "browse", "open", "create", "next")]
    for width, height in ((1440, 900), (1280, 800), (1024, 768)):
        windows.in_sight(window, needed, width, height)
        for one in needed:
            assert window.locator(one).first.bounding_box()["height"] >= 34, (one, width)


@pytest.mark.long
def test_nothing_opened_is_said_with_the_way_to_open_it(browser: Any, studio: Studio) -> None:
    page = browser.new_page()
    page.goto(studio.home)
    page.get_by_role("tab", name="Data", exact=True).click()
    page.wait_for_selector(".shf[data-ready='1']")
    page.click("[data-act=browse]")
    page.wait_for_selector(".shf-inside code >> text=--data")
    assert not page.is_visible("[data-act=gather]")
    page.close()


LABELS = (
    {"defect": "scratch", "mask": "yes", "tags": "wet", "part": "test"},
    {"defect": "dent", "caption": "a dent"},
    *[{}] * 63,
)


def chosen_class(page: Any, value: str) -> None:
    page.locator(".shf-tiles").focus()
    page.keyboard.press("c")
    page.keyboard.type(value)
    page.keyboard.press("Enter")


@pytest.mark.long
def test_a_labelled_set_is_filtered_changed_taken_back_and_counted(window: Any, shelf: Studio) -> None:
    def put(pixels: np.ndarray, name: str) -> str:
        sent = images.encode_png(pixels)
        found: str = ask(shelf.port, "POST", "/api/uploads", sent, {"X-Filename": name}).json()["asset"]
        return found

    home = f"/api/projects/{ask(shelf.port, 'POST', '/api/projects', data={'name': 'Sheets'}).json()['id']}"
    assets = [put(pictures.good(seed=seed), f"part-{seed}.png") for seed in range(len(LABELS))]
    mask = put(pictures.disc(), "mask.png")
    ask(shelf.port, "POST", f"{home}/pictures", data={"assets": assets})
    known = [{**one, **({"mask": mask} if "mask" in one else {})} for one in LABELS]
    ask(shelf.port, "POST", f"{home}/each", data={"values": dict(zip(assets, known, strict=True))})

    def classes() -> dict[str, int]:
        found: dict[str, int] = shelf.get(f"{home}/tally")["classes"]
        return found

    window = shown(window.context.new_page(), shelf)
    window.click(".shf-project >> text=Sheets")
    counted(window, "65 pictures")
    over = window.locator(".shf-over")
    assert over.count() == 1
    window.wait_for_function("document.querySelector('.shf-over').naturalWidth === 96")
    window.click("[data-act=masks]")
    assert not over.first.is_visible()

    window.select_option("[data-filter=defect]", "=dent")
    counted(window, "1 of 65 pictures")
    assert names(window) == ["part-1.png"]
    window.fill(".shf-filter [name=text]", "nowhere")
    counted(window, "0 of 65 pictures")
    window.click("[data-act=show_all]")
    counted(window, "65 pictures")

    window.locator(".shf-tiles").focus()
    for key in ("Home", "Shift+ArrowRight"):
        window.keyboard.press(key)
    assert window.get_attribute(".shf-details [name=defect]", "placeholder") == "different"
    chosen_class(window, "groove")
    window.wait_for_selector("[data-act=undo][title='Undo: class (2 pictures) (Ctrl+Z)']")
    assert classes() == {"": 63, "groove": 2}
    window.keyboard.press("Control+z")
    window.wait_for_selector("[data-act=redo][title='Redo: class (2 pictures) (Ctrl+Y)']")
    assert classes() == {"": 63, "dent": 1, "scratch": 1}
    window.keyboard.press("Control+Shift+z")
    window.wait_for_selector("[data-act=redo]:disabled")
    assert classes() == {"": 63, "groove": 2}

    window.select_option("[data-filter=defect]", "=")
    counted(window, "63 of 65 pictures")
    window.locator(".shf-tiles").focus()
    window.keyboard.press("Control+a")
    window.click("[data-act=every] >> text=Choose all 63")
    counted(window, "63 chosen")
    window.fill(".shf-details [name=tags]", "night, cold")
    window.keyboard.press("Enter")
    window.wait_for_selector(".shf-tags button >> text=night")
    assert shelf.get(f"{home}/tally")["tags"] == {"cold": 63, "night": 63, "wet": 1}

    window.click("[data-act=statistics]")
    window.wait_for_selector(".shf-of >> text=63 of 65 pictures")
    assert window.locator(".shf-bars >> nth=0").inner_text().split() == ["good", "63"]
    assert violations(window) == []
    window.keyboard.press("Escape")
    window.select_option("[data-filter=defect]", "")
    window.click("[data-act=statistics]")
    window.wait_for_selector(".shf-heat rect")
    window.keyboard.press("Escape")
    assert violations(window) == []
    for size in (windows.SMALL, windows.LARGE):
        windows.in_sight(window, ["[data-act=details]", "[data-filter=out]", ".shf-details [data-act=unmask]"], **size)


@pytest.mark.long
def test_a_mask_is_drawn_on_paint_and_kept(window: Any, files: Path, shelf: Studio) -> None:
    add(window, files / "part 1.png")
    window.click("[data-act=paint]")
    window.wait_for_selector("#paint-canvas .mc[data-ready='1'] .mc-facts >> text=part 1.png")
    window.wait_for_function("document.querySelector('#paint-canvas .mc').dataset.drawing === '1'")
    window.focus("#paint-canvas .mc")
    window.keyboard.press("i")
    window.wait_for_function("Number(document.querySelector('#paint-canvas .mc').dataset.painted) > 0")
    window.click("#paint-canvas .mc-drawing")
    window.wait_for_selector(".shf-over")
    project = window.get_attribute(".shf", "data-project")
    (record,) = shelf.get(f"/api/projects/{project}/records")["records"]
    assert record["mask"].startswith("asset-")
    assert record["defect"]
    window.click("[data-act=unmask]")
    window.wait_for_selector(".shf-over", state="detached")
    window.click("[data-act=undo]")
    window.wait_for_selector(".shf-over")
    window.click("[data-act=paint]")
    area = "Number(document.querySelector('#paint-canvas .mc').dataset.painted)"
    window.wait_for_function(f"{area} > 0")


@pytest.mark.long
def test_projects_are_files_that_other_tools_open(window: Any, files: Path, shelf: Studio) -> None:
    add(window, files / "part 1.png")
    folder = shelf.runs / "projects" / window.get_attribute(".shf", "data-project")
    assert json.loads((folder / "project.json").read_text(encoding="utf-8"))["name"] == "Untitled"
    with closing(sqlite3.connect(folder / "pictures.db")) as db:
        assert db.execute("SELECT name FROM picture").fetchall() == [("part 1.png",)]
