"""The Control tab as an inspector uses it: maps to look at with nothing fetched, and pictures made by tiny weights."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.studio import windows
from tests.studio.conftest import Studio, started
from tests.studio.serving import ask
from tests.studio.test_axe import to, violations
from tests.studio.test_page import go

pytestmark = pytest.mark.browser
CARD = "document.querySelector('#control-which .wh').which"
STEER = "#control-steer .st"
HELD = f"{CARD}.read().common"


@pytest.fixture(scope="module")
def tiny_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio with a tiny base, nets for its edges and its depth, and a worker that takes what needs weights."""
    import diffusers

    from tests import tiny

    folder = tmp_path_factory.mktemp("tiny") / "models"
    tiny.stable_diffusion(folder / "tiny")
    unet = diffusers.UNet2DConditionModel.from_pretrained(folder / "tiny" / "unet")
    for name in ("softedge", "depth"):
        tiny.control_net(unet).save_pretrained(folder / f"tiny-{name}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLAWSMITH_MODELS", str(folder))
        with started(folder.parent / "runs", 0, "--workers", "1") as running:
            yield running


@pytest.fixture(scope="module")
def bare_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio without any weights."""
    folder = tmp_path_factory.mktemp("bare")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLAWSMITH_MODELS", str(folder / "models"))
        with started(folder / "runs") as running:
            yield running


def opened(page: Any, studio: Studio) -> None:
    """The tab with the picture that is open under Paint, and its maps."""
    ask(studio.port, "POST", "/api/projects", data={"name": os.urandom(4).hex()})
    go(page, studio)
    page.click("#samples [data-sample=ceramic_tile]")
    page.wait_for_selector("#paint-canvas .mc[data-ready='1']")
    to(page, "control")
    page.wait_for_selector("#control-canvas .mc[data-ready='1']")
    page.wait_for_selector(f"{STEER}[data-maps~=normal][data-looking='']")


@pytest.fixture
def window(tiny_studio: Studio, browser: Any) -> Iterator[Any]:
    with windows.watched(browser, tiny_studio.home, complaints="404") as page:
        opened(page, tiny_studio)
        yield page


def paint(page: Any, *way: tuple[float, float]) -> None:
    """A stroke from the stage's middle, in screen pixels; then its maps."""
    box = page.locator("#control-canvas .mc-stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x + way[0][0], y + way[0][1])
    page.mouse.down()
    for dx, dy in way[1:]:
        page.mouse.move(x + dx, y + dy, steps=6)
    page.mouse.up()
    page.wait_for_selector(f"{STEER}[data-looking='1']")
    page.wait_for_selector(f"{STEER}[data-looking='']")


def set_number(page: Any, field: str, value: str) -> None:
    page.fill(f"#{field} input[type=number]", value)
    page.keyboard.press("Tab")


def made(page: Any, studio: Studio, state: str = "done") -> dict[str, Any]:
    """Presses Generate and waits for its end; returns the run."""
    before = (
        page.get_attribute("#control-compare .cmp", "data-run") if page.locator("#control-compare .cmp").count() else ""
    )
    page.click("#control-generate")
    page.wait_for_function(
        "before => { const now = document.querySelector('#control-compare .cmp')?.dataset; return now?.run && now.run"
        " !== before && now.ready === '1'; }",
        arg=before,
    )
    page.wait_for_selector("#control-generate:enabled")
    id = page.get_attribute("#control-compare .cmp", "data-run")
    found: dict[str, Any] = studio.get(f"/api/runs/{id}")
    assert found["state"] == state, found["sentence"]
    return found


@pytest.mark.long
def test_with_no_weights_the_maps_are_seen_and_what_to_fetch_is_said(bare_studio: Studio, browser: Any) -> None:
    with windows.watched(browser, bare_studio.home, color_scheme="light", complaints="404") as page:
        opened(page, bare_studio)
        assert "python -m pipelines fetch sd15 && python -m pipelines fetch sd15-softedge" in page.inner_text(
            ".st-lack"
        )
        assert "lacking" in str(page.get_attribute("#control-generate", "class"))
        drawn = page.get_attribute("[data-kind=hed] .st-map img", "src")
        paint(page, (-120, -60), (100, 40))
        assert page.get_attribute("[data-kind=hed] .st-map img", "src") != drawn
        page.click("[data-kind=depth] .st-map")
        page.wait_for_selector("#control-canvas .mc-tag >> text=Depth")
        page.focus("#control-canvas .mc")
        page.keyboard.press("m")
        page.wait_for_selector("#control-canvas .mc-tag >> text=Facing")
        page.keyboard.press("m")
        page.wait_for_selector(f"{STEER}[data-laid='']")
        page.click(".st-more")
        page.click("#control-which [data-mode=expert]")
        assert violations(page) == []
        page.click(".st-lack button")
        page.wait_for_selector("#tabs button[aria-selected=true] >> text=Models")
        page.wait_for_selector(".mod-nets [data-base=sd15-softedge] button")
        assert violations(page) == []


@pytest.mark.long
def test_simple_fits_the_smallest_screen(window: Any) -> None:
    assert window.evaluate("document.documentElement.scrollWidth") <= windows.SMALL["width"]
    needed = (
        "#control-which",
        "#control-generate",
        "#control-canvas .mc-foot",
        "[data-kind=hed]",
        "[data-kind=normal]",
    )
    windows.in_sight(window, (*needed, ".st-find", "#control-ship"), **windows.SMALL)


@pytest.mark.long
def test_a_defect_fills_the_form_and_what_differs_is_marked_and_set_back(window: Any, tiny_studio: Studio) -> None:
    assert window.is_hidden("#control-which .wh-all")
    window.evaluate(f"{CARD}.read()")
    window.click("#control-product input")
    window.get_by_role("option", name="Metal nut", exact=True).click()
    common = window.evaluate(HELD)
    assert (common["steer"]["hed"]["scale"], common["steer"]["normal"]["scale"], common["guidance_scale"]) == (
        0.4,
        0.6,
        8,
    )
    set_number(window, "steer-hed", "1.2")
    assert window.inner_text("[data-kind=hed] .wh-back") == "0.4"
    window.click("#steer-on-depth")
    assert window.evaluate(HELD)["steer"]["depth"]["on"] is False
    window.click("[data-kind=depth] .wh-back")
    assert window.evaluate(HELD)["steer"]["depth"]["on"] is True
    window.click("#control-which [data-own=save]")
    window.fill("#control-which .wh-dialog [name=name]", "Ours")
    window.keyboard.press("Enter")
    window.wait_for_selector("#control-which .wh-said >> text=Saved as Ours")
    (kept,) = [one for one in tiny_studio.get("/api/presets") if one["own"]]
    assert kept["control"] == {"hed": 1.2, "depth": 0.5, "normal": 0.6}
    assert kept["diffusion"]["guidance_scale"] == 8
    assert window.is_hidden("#control-which .wh-all")
    set_number(window, "steer-hed", "0.1")
    window.click("#control-which .wh-all")
    assert window.evaluate(HELD)["steer"]["hed"]["scale"] == 1.2


@pytest.mark.long
def test_a_defect_is_painted_judged_tried_with_other_values_and_brought_back(
    window: Any, tiny_studio: Studio, tmp_path: Path
) -> None:
    window.click("#control-which [data-mode=expert]")
    set_number(window, "control-field-num_inference_steps", "2")
    window.click("#control-which [data-mode=simple]")
    assert "the whole picture is made anew" in window.inner_text("#control-go")
    whole = made(window, tiny_studio)
    assert whole["request"]["mask"] is None
    window.get_by_role("tab", name="1 Picture and maps").click()
    paint(window, (-100, -40), (80, 30))
    run = made(window, tiny_studio)
    assert [one["kind"] for one in run["request"]["conditions"]] == ["hed", "depth"]
    assert "Nothing else was touched" in window.inner_text("#control-compare .cmp-facts")
    picture = tiny_studio.runs / run["id"] / "images" / "00000.png"
    window.get_by_role("tab", name="1 Picture and maps").click()
    window.click(".st-find")
    window.fill(".st-dialog [name=guidance]", "4, 8")
    window.fill(".st-dialog [name=control]", "0.5, 1")
    assert window.inner_text(".st-try") == "Try 4 pictures"
    window.click(".st-try")
    window.wait_for_selector(".st-cell >> nth=3")
    window.wait_for_selector(".st-cell[data-best='1']")
    assert violations(window) == []
    window.locator(".st-cell").first.click()
    assert "Taken: words 4, maps times 0.5" in window.inner_text(".st-taken")
    common = window.evaluate(HELD)
    assert (common["guidance_scale"], common["steer"]["hed"]["scale"]) == (4, 0.3)
    window.click(".st-close")
    window.set_input_files("#control-canvas input[name=picture]", str(picture))
    window.wait_for_function(f"{HELD}.guidance_scale === 8 && {HELD}.steer.hed.scale === 0.6")
    window.wait_for_selector("#control-canvas .mc[data-ready='1']")
    again = made(window, tiny_studio)
    assert (tiny_studio.runs / again["id"] / "images" / "00000.png").read_bytes() == picture.read_bytes()
    to(window, "paint")
    window.set_input_files("#paint-canvas input[name=picture]", str(picture))
    window.wait_for_selector("#tabs button[aria-selected=true] >> text=Control")
