"""The card beside the canvas as an inspector uses it: own presets, Expert, what outlives a refresh, Generate."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.studio import windows
from tests.studio.conftest import Studio
from tests.studio.test_page import drag, generate, go, masks, open_sample, ready

pytestmark = pytest.mark.browser
HELD = "document.querySelector('#which .wh').which.read()"


@pytest.fixture
def window(studio: Studio, browser: Any) -> Iterator[Any]:
    with windows.watched(browser, studio.home) as page:
        go(page, studio)
        offered(page)
        yield page


@pytest.fixture
def unwatched(studio: Studio, browser: Any) -> Iterator[Any]:
    with windows.unwatched(browser) as page:
        go(page, studio)
        offered(page)
        yield page


def offered(page: Any) -> None:
    """Until a person's own presets are in the menu."""
    page.wait_for_selector(".wh[data-offered='1']")


def choose(page: Any, which: str, label: str) -> None:
    page.click(f"#{which} input")
    page.get_by_role("option", name=label, exact=True).click()


def chosen(page: Any, which: str) -> str:
    found: str = page.input_value(f"#{which} input")
    return found


def set_number(page: Any, field: str, value: str) -> None:
    page.fill(f"#{field} input[type=number]", value)
    page.keyboard.press("Tab")


def held(page: Any) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(HELD)
    return found


def expert(page: Any) -> None:
    page.click(".wh-modes [data-mode=expert]")
    page.wait_for_selector(".wh[data-mode=expert]")


def save(page: Any, name: str, product: str | None = None) -> None:
    page.click("[data-own=save]")
    page.fill(".wh-dialog [name=name]", name)
    if product is not None:
        page.fill(".wh-dialog [name=product]", product)
    page.keyboard.press("Enter")
    page.wait_for_selector(f".wh-said >> text=Saved as {name}")


@pytest.mark.long
def test_simple_fits_the_smallest_screen_without_scrolling(window: Any) -> None:
    body = "document.querySelector('.wh-body')"
    open_sample(window)
    choose(window, "product", "Steel strip")
    choose(window, "defect", "Rust stain")
    assert window.evaluate(f"{body}.scrollHeight <= {body}.clientHeight")
    assert window.evaluate("document.documentElement.scrollHeight <= innerHeight")
    for needed in (
        "#product",
        "#defect",
        "#field-severity",
        "#field-strength",
        "#field-num_images",
        "#dice",
        "#generate",
    ):
        assert window.is_visible(needed), needed
    for later in ("#field-light", "#field-base", "#look-fluid"):
        assert window.is_hidden(later), later


@pytest.mark.long
def test_expert_shows_the_defects_own_parameters_and_the_base(window: Any) -> None:
    expert(window)
    assert window.locator(".wh-look .wh-field").count() == 5
    assert window.get_attribute("#look-width input[type=number]", "placeholder") == "auto"
    assert window.inner_text("#field-base option") == "Physical drawing, no weights"
    choose(window, "product", "Steel strip")
    choose(window, "defect", "Rust stain")
    assert window.input_value("#look-fluid select") == "rust"
    options = [one.inner_text() for one in window.locator("#look-fluid option").all()]
    assert options == ["auto", "water", "oil", "rust"]


def test_what_was_set_for_each_area_is_what_is_asked(window: Any, studio: Studio) -> None:
    open_sample(window)
    expert(window)
    set_number(window, "look-width", "3.3")
    set_number(window, "field-padding_px", "20")
    drag(window, (-120, -60), (-20, -60))
    window.click(".mc [data-act=add]")
    choose(window, "defect", "Dent")
    set_number(window, "look-depth", "0.77")
    set_number(window, "field-light", "45.5")
    drag(window, (40, 60), (90, 80))
    run = generate(window)
    first, second = studio.get(f"/api/runs/{run}")["request"]["regions"]
    assert (first["look"], first["padding_px"], first["light"]) == ({"width": 3.3}, 20, None)
    assert (second["look"], second["light"], "padding_px" in second) == ({"depth": 0.77}, 45.5, False)
    window.get_by_role("tab", name="1 Paint where").click()
    window.click(".mc-chip >> nth=0 >> button >> nth=0")
    window.wait_for_function("document.querySelector('#look-width input[type=number]')?.value === '3.3'")
    assert chosen(window, "defect") == "Scratch"
    assert window.input_value("#field-padding_px input[type=number]") == "20"


@pytest.mark.long
def test_what_differs_from_the_preset_is_marked_and_set_back(window: Any) -> None:
    expert(window)
    choose(window, "product", "Steel strip")
    choose(window, "defect", "Rust stain")
    assert window.locator(".wh-back:visible").count() == 0
    assert window.is_hidden(".wh-all")
    set_number(window, "field-severity", "0.83")
    set_number(window, "field-strength", "0.6")
    window.select_option("#look-fluid select", "oil")
    said = {name: window.inner_text(f"#{name} .wh-back") for name in ("field-severity", "field-strength", "look-fluid")}
    assert said == {"field-severity": "preset: 0.5", "field-strength": "usual: 1", "look-fluid": "preset: rust"}
    window.click("#look-fluid .wh-back")
    assert window.input_value("#look-fluid select") == "rust"
    assert window.locator(".wh-back:visible").count() == 2
    window.click(".wh-modes [data-mode=simple]")
    set_number(window, "field-strength", "1")
    assert window.is_hidden(".wh-hidden")
    window.click(".wh-all")
    assert held(window)["area"]["severity"] == 0.5
    assert window.locator(".wh-back:visible").count() == 0


@pytest.mark.long
def test_simple_says_what_was_changed_under_expert(window: Any) -> None:
    expert(window)
    set_number(window, "look-width", "2")
    window.click(".wh-modes [data-mode=simple]")
    assert window.inner_text(".wh-hidden") == "Also changed under Expert: Width"
    window.click(".wh-hidden")
    assert window.is_visible("#look-width")


@pytest.mark.long
def test_a_preset_of_ones_own_is_saved_used_renamed_deleted_and_back(window: Any, studio: Studio) -> None:
    choose(window, "product", "Steel strip")
    choose(window, "defect", "Rust stain")
    expert(window)
    set_number(window, "field-severity", "0.83")
    set_number(window, "field-feather_px", "7")
    window.select_option("#field-label select", "asked")
    save(window, "Old rust")
    assert chosen(window, "defect") == "Old rust"
    assert window.locator(".wh-back:visible").count() == 0
    (kept,) = [one for one in studio.get("/api/presets") if one["own"] and one["label"] == "Old rust"]
    fields = {"defect": "stain", "severity": 0.83, "look": {"fluid": "rust"}, "feather_px": 7, "label": "asked"}
    assert (kept["product"], kept["fields"]) == ("steel", fields)
    assert 'label = "Old rust"' in (studio.runs / "presets" / "steel.toml").read_text()
    choose(window, "defect", "Crazing")
    assert held(window)["area"]["feather_px"] == 2
    window.click("#defect input")
    window.keyboard.type("old r")
    window.keyboard.press("Enter")
    now = held(window)
    assert (now["area"]["severity"], now["area"]["feather_px"], now["common"]["label"]) == (0.83, 7, "asked")
    window.click("[data-own=rename]")
    window.fill(".wh-dialog [name=name]", "很旧的锈")
    window.keyboard.press("Enter")
    window.wait_for_function("document.querySelector('#defect input').value === '很旧的锈'")
    window.click(".wh-said button")
    window.wait_for_function("document.querySelector('#defect input').value === 'Old rust'")
    window.click("[data-own=delete]")
    window.wait_for_selector(".wh-said >> text=Old rust was deleted")
    assert chosen(window, "defect") == "Stain"
    assert not [one for one in studio.get("/api/presets") if one["label"] == "Old rust"]
    window.click(".wh-said button")
    window.wait_for_function("document.querySelector('#defect input').value === 'Old rust'")
    assert [one["fields"] for one in studio.get("/api/presets") if one["label"] == "Old rust"] == [fields]


@pytest.mark.long
def test_a_preset_for_a_product_of_ones_own(unwatched: Any) -> None:
    save(unwatched, "Deep dent", "My castings")
    assert chosen(unwatched, "product") == "My castings"
    unwatched.reload()
    offered(unwatched)
    assert (chosen(unwatched, "product"), chosen(unwatched, "defect")) == ("My castings", "Deep dent")
    open_sample(unwatched)
    assert "1 Deep dent" in unwatched.inner_text(".mc-areas").replace("\n", " ")


@pytest.mark.long
def test_a_broken_preset_file_is_a_sentence_in_the_card(unwatched: Any, studio: Studio) -> None:
    folder = studio.runs / "presets"
    folder.mkdir(exist_ok=True)
    (folder / "leather.toml").write_text("[broken")
    try:
        unwatched.reload()
        offered(unwatched)
        assert "leather.toml is not valid TOML" in unwatched.inner_text(".wh-broken")
        choose(unwatched, "product", "Leather")
        assert chosen(unwatched, "defect") == "Wrong colour"
    finally:
        (folder / "leather.toml").unlink()


def test_a_refresh_and_a_new_window_bring_back_everything(unwatched: Any, studio: Studio) -> None:
    open_sample(unwatched)
    expert(unwatched)
    choose(unwatched, "product", "Wood")
    choose(unwatched, "defect", "Oil stain")
    set_number(unwatched, "field-severity", "0.123")
    set_number(unwatched, "look-density", "0.456")
    set_number(unwatched, "field-num_images", "3")
    unwatched.click("#dice")
    drag(unwatched, (-80, 0), (80, 0))
    unwatched.click(".mc [data-act=add]")
    choose(unwatched, "defect", "Dent")
    drag(unwatched, (-80, 60), (80, 60))
    before = held(unwatched)
    unwatched.reload()
    offered(unwatched)
    unwatched.wait_for_selector(".mc[data-ready='1']")
    assert held(unwatched) == before
    unwatched.click(".mc-chip >> nth=0 >> button >> nth=0")
    unwatched.wait_for_function("document.querySelector('#defect input').value === 'Oil stain'")
    assert held(unwatched)["area"]["severity"] == 0.123
    assert held(unwatched)["area"]["look"] == {"fluid": "oil", "density": 0.456}
    unwatched.wait_for_timeout(1500)
    second = unwatched.context.new_page()
    go(second, studio)
    offered(second)
    second.wait_for_function(f"{HELD}.common.num_images === 3")
    assert held(second)["common"] == before["common"]
    assert held(second)["expert"] is True


@pytest.mark.long
def test_generate_says_what_it_will_do_and_what_is_missing(window: Any) -> None:
    assert window.inner_text(".go-why") == "Open a picture of a good part first"
    open_sample(window)
    window.wait_for_selector(".go-why >> text=Paint where the defect goes first")
    assert "lacking" in window.get_attribute("#generate", "class")
    assert window.get_by_role("button", name="Generate Paint where the defect goes first").is_enabled()
    window.click("#generate")
    window.wait_for_selector("text=Nothing is painted yet")
    drag(window, (-60, 0), (60, 0))
    window.wait_for_function("document.querySelector('.go-why').textContent === ''")
    assert window.inner_text("#generate") == "Generate"
    set_number(window, "field-num_images", "3")
    assert window.inner_text("#generate") == "Generate 3 variants"


@pytest.mark.long
def test_ctrl_enter_generates_from_anywhere_and_what_is_being_typed_counts(window: Any, studio: Studio) -> None:
    open_sample(window)
    drag(window, (-60, 0), (60, 0))
    window.fill("#field-seed input", "4711")
    window.keyboard.press("Control+Enter")
    window.wait_for_selector(".cmp[data-ready='1']")
    first = window.get_attribute(".cmp", "data-run")
    assert studio.get(f"/api/runs/{first}")["request"]["seed"] == 4711
    window.wait_for_selector("#generate:not([disabled])")
    window.locator(".cmp").focus()
    window.keyboard.press("Control+Enter")
    window.wait_for_function("first => document.querySelector('.cmp').dataset.run !== first", arg=first)
    window.get_by_role("tab", name="Review").click()
    before = len(studio.get("/api/runs")["runs"])
    window.keyboard.press("Control+Enter")
    window.wait_for_timeout(700)
    assert len(studio.get("/api/runs")["runs"]) == before


@pytest.mark.long
def test_why_a_run_failed_stays_until_the_next_one(window: Any) -> None:
    open_sample(window)
    drag(window, (-60, 0), (60, 0))
    set_number(window, "field-severity", "0")
    set_number(window, "field-strength", "0")
    window.click("#generate")
    window.wait_for_selector(".go-failed >> text=Nothing can be seen of scratch")
    window.wait_for_timeout(9000)
    assert "raise one of them" in window.inner_text(".go-failed")
    window.click(".wh-all")
    generate(window)
    assert window.is_hidden(".go-failed")


@pytest.mark.long
def test_the_menus_work_without_a_mouse(window: Any) -> None:
    window.focus("#product input")
    window.keyboard.press("ArrowDown")
    window.keyboard.type("lea")
    window.keyboard.press("Enter")
    assert chosen(window, "product") == "Leather"
    window.focus("#defect input")
    window.keyboard.press("ArrowDown")
    window.keyboard.press("ArrowDown")
    assert window.get_attribute("#defect input", "aria-expanded") == "true"
    active = window.get_attribute("#defect input", "aria-activedescendant")
    assert window.inner_text(f"#{active}") == "Cut"
    window.keyboard.press("Escape")
    assert chosen(window, "defect") == "Wrong colour"
    window.keyboard.type("zzz")
    window.keyboard.press("Tab")
    assert chosen(window, "defect") == "Wrong colour"


@pytest.mark.long
def test_what_was_open_stays_in_the_strip(window: Any) -> None:
    open_sample(window, "wood")
    window.wait_for_selector("#samples [data-asset]")
    open_sample(window, "ceramic_tile")
    window.wait_for_function("document.querySelectorAll('#samples [data-asset]').length >= 2")
    assert window.locator("#samples [aria-current]").get_attribute("title") == "ceramic_tile.jpg"
    window.click("#samples [data-asset][title='wood.jpg']")
    ready(window, "wood")


@pytest.mark.long
def test_sliders_leave_a_value_between_their_steps_alone(window: Any) -> None:
    set_number(window, "field-severity", "0.333")
    slider = "document.querySelector('#field-severity input[type=range]')"
    assert window.evaluate(f"Math.abs({slider}.value - 0.333) < 1e-9")
    assert held(window)["area"]["severity"] == 0.333


def two_areas(page: Any) -> None:
    """Two areas with values of their own, between the sliders' steps."""
    open_sample(page)
    expert(page)
    choose(page, "product", "Steel strip")
    choose(page, "defect", "Rust stain")
    set_number(page, "field-severity", "0.777")
    set_number(page, "look-density", "0.456")
    drag(page, (-120, -60), (-20, -60))
    assert len(masks(page)) == 1
    page.click(".mc [data-act=add]")
    choose(page, "defect", "Dent")
    set_number(page, "field-feather_px", "5")
    drag(page, (40, 60), (90, 80))
    assert len(masks(page)) == 2
    set_number(page, "field-seed", "41")
    set_number(page, "field-num_images", "2")


def restored(page: Any) -> None:
    page.wait_for_function("document.querySelectorAll('.mc-chip').length === 2")
    page.wait_for_function("document.querySelector('.mc').canvas.settled()")
    page.wait_for_function(f"{HELD}.common.seed === 42 && {HELD}.common.num_images === 1")
    page.wait_for_selector("#generate:not(.lacking)")


def picture(studio: Studio, run: str, index: int) -> bytes:
    return (studio.runs / run / "images" / f"{index:05d}.png").read_bytes()


def test_dropping_a_picture_of_ours_makes_it_again_to_the_byte(window: Any, studio: Studio, tmp_path: Path) -> None:
    two_areas(window)
    run = generate(window)
    made = tmp_path / "made.png"
    made.write_bytes(picture(studio, run, 1))
    window.get_by_role("tab", name="1 Paint where").click()
    open_sample(window, "wood")
    window.click(".wh-all")
    window.click(".wh-modes [data-mode=simple]")
    window.set_input_files(".mc input[name=picture]", made)
    ready(window, "ceramic_tile")
    restored(window)
    window.click(".mc-chip >> nth=0 >> button >> nth=0")
    window.wait_for_function("document.querySelector('#defect input').value === 'Stain'")
    assert held(window)["area"]["severity"] == 0.777
    assert held(window)["area"]["look"] == {"fluid": "rust", "density": 0.456}
    again = generate(window)
    assert picture(studio, again, 0) == made.read_bytes()


@pytest.mark.long
def test_a_result_brings_back_its_request_or_is_painted_on(window: Any, studio: Studio) -> None:
    two_areas(window)
    run = generate(window)
    window.click(".cmp-strip button >> nth=1")
    set_number(window, "field-seed", "7")
    window.click("#compare [data-act=send]")
    window.get_by_role("menuitem", name="Paint: same picture and mask again").click()
    restored(window)
    again = generate(window)
    assert picture(studio, again, 0) == picture(studio, run, 1)
    window.click("#compare [data-act=start]")
    ready(window, f"{again}-00000.png")
    assert window.locator("#samples [data-asset]").count() >= 2


@pytest.mark.long
def test_ctrl_enter_closes_an_open_polygon_and_generates_otherwise(window: Any) -> None:
    open_sample(window)
    window.locator(".mc").focus()
    window.keyboard.press("p")
    for key in ("ArrowRight", "Enter", "Shift+ArrowRight", "Enter", "Shift+ArrowDown", "Enter"):
        window.keyboard.press(key)
    window.wait_for_selector(".mc[data-loop='1']")
    window.keyboard.press("Control+Enter")
    window.wait_for_function("Number(document.querySelector('.mc').dataset.painted) > 0")
    assert window.get_attribute(".bar", "data-state") == "idle"
    window.keyboard.press("Control+Enter")
    window.wait_for_selector(".bar[data-state=done]")
