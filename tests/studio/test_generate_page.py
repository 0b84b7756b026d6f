"""Diffusion as a person uses it, under Generate and Paint: with no base, and with a tiny one that makes noise."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.core import images
from tests import pictures
from tests.studio import test_page as painting
from tests.studio import windows
from tests.studio.conftest import Studio, started
from tests.studio.serving import ask
from tests.studio.test_axe import to, violations
from tests.studio.test_page import go

pytestmark = pytest.mark.browser
WARM_S = 240
HELD = "JSON.parse(localStorage.getItem('flawsmith-make')).fields"


@pytest.fixture(scope="module")
def tiny_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio with one tiny base, and a worker that takes what needs weights."""
    from tests import tiny

    folder = tmp_path_factory.mktemp("tiny")
    tiny.stable_diffusion(folder / "models" / "tiny")
    before = os.environ.get("FLAWSMITH_MODELS")
    os.environ["FLAWSMITH_MODELS"] = str(folder / "models")
    try:
        with started(folder / "runs", 0, "--workers", "1") as running:
            _warm(running)
            yield running
    finally:
        if before is None:
            del os.environ["FLAWSMITH_MODELS"]
        else:
            os.environ["FLAWSMITH_MODELS"] = before


def _warm(studio: Studio) -> None:
    """The worker's first picture: it imports torch, which no window should wait for."""
    data = {"task": "text", "base": "tiny", "prompt": "steel", "width": 32, "height": 32, "num_inference_steps": 1}
    id = ask(studio.port, "POST", "/api/runs", data=data).json()["id"]
    deadline = time.monotonic() + WARM_S
    while (run := studio.get(f"/api/runs/{id}"))["state"] in ("queued", "running"):
        assert time.monotonic() < deadline, run
        time.sleep(0.2)
    assert run["state"] == "done", run["sentence"]


@pytest.fixture
def window(tiny_studio: Studio, browser: Any) -> Iterator[Any]:
    """The tab with its form, at 32 pixels and 2 steps. A rough look may be gone by the time a window asks for it."""
    with windows.watched(browser, tiny_studio.home, complaints="404") as page:
        go(page, tiny_studio)
        open_tab(page)
        small(page)
        yield page


def open_tab(page: Any) -> None:
    to(page, "generate")
    page.wait_for_selector(".mk[data-state=ready]")


def small(page: Any) -> None:
    page.click(".mk [data-mode=expert]")
    for name, value in (("width", "32"), ("height", "32"), ("num_inference_steps", "2"), ("seed", "5")):
        page.fill(f"#make-{name} input[type=number]", value)
        page.keyboard.press("Tab")
    page.click(".mk [data-mode=simple]")


def held(page: Any) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(HELD)
    return found


def generate(page: Any, studio: Studio, state: str = "done") -> dict[str, Any]:
    """Presses Generate and waits until the run has ended and the page knows it; returns the run."""
    before = {run["id"] for run in studio.get("/api/runs")["runs"]}
    page.click("#make")
    # Its end may come before the next look at the page: that it was on the way is asked of the server.
    deadline = time.monotonic() + windows.WAIT_MS / 1000
    while not (new := [run for run in studio.get("/api/runs")["runs"] if run["id"] not in before]):
        assert time.monotonic() < deadline, page.inner_text("#make")
        page.wait_for_timeout(50)
    (run,) = new
    page.wait_for_selector(f".bar[data-run='{run['id']}'][data-state={state}]")
    page.wait_for_selector("#make:enabled")
    found: dict[str, Any] = studio.get(f"/api/runs/{run['id']}")
    assert found["state"] == state, found["sentence"]
    return found


@pytest.mark.long
def test_with_no_base_a_card_says_what_is_missing_and_leads_to_models(studio: Studio, browser: Any) -> None:
    with windows.watched(browser, studio.home) as page:
        go(page, studio)
        to(page, "generate")
        page.wait_for_selector(".mk[data-state=none]")
        assert page.is_visible(".mk-none")
        assert page.is_hidden("#make")
        assert "Stable Diffusion 1.5" in page.inner_text(".mk-none ul")
        page.click(".mk-none button")
        page.wait_for_selector("#tabs button[aria-selected=true] >> text=Models")


@pytest.mark.long
def test_words_become_pictures_to_judge(window: Any, tiny_studio: Studio) -> None:
    assert "lacking" in str(window.get_attribute("#make", "class"))
    window.fill("#make-prompt", "a dent in steel")
    window.fill("#make-num_images input", "3")
    window.keyboard.press("Tab")
    assert window.inner_text("#make span") == "Generate 3 pictures"
    run = generate(window, tiny_studio)
    request = run["request"]
    assert (request["base"], request["prompt"], request["seed"], request["width"]) == ("tiny", "a dent in steel", 5, 32)
    window.wait_for_selector("#make-compare .cmp[data-ready='1'][data-look=after]")
    assert window.locator("#make-compare .cmp-strip button").count() == 3
    assert window.inner_text("#make-compare .cmp-facts b") == "a dent in steel"
    assert window.is_disabled("#make-compare [data-look=split]")
    window.click("#make-compare [data-look=tiles]")
    window.wait_for_selector("#make-compare .cmp[data-tiled='1']")
    window.click("#make-compare .cmp-keep")
    window.wait_for_function("document.querySelector('#make-compare .cmp-strip [data-verdict=kept]') !== null")
    deadline = tiny_studio.runs / run["id"] / "review.json"
    window.wait_for_timeout(800)
    assert deadline.is_file()


@pytest.mark.long
def test_a_refresh_keeps_the_form_and_the_pictures(tiny_studio: Studio, browser: Any) -> None:
    with windows.unwatched(browser) as page:
        go(page, tiny_studio)
        open_tab(page)
        small(page)
        page.fill("#make-prompt", "rust")
        generate(page, tiny_studio)
        page.goto(tiny_studio.home)
        open_tab(page)
        assert page.input_value("#make-prompt") == "rust"
        page.wait_for_selector("#make-compare .cmp[data-ready='1']")


@pytest.mark.long
def test_a_sample_is_made_anew_as_far_as_it_may_stray(window: Any, tiny_studio: Studio) -> None:
    assert window.is_hidden("#make-strength")
    window.click("[data-act=browse]")
    window.locator(".mk-browse button").last.click()
    window.wait_for_selector("#make-image")
    assert window.is_visible("#make-strength")
    run = generate(window, tiny_studio)
    assert run["request"]["image"].startswith("asset-")
    assert run["request"]["strength"] == 0.6
    window.click("[data-act=no-image]")
    assert held(window)["image"] is None


@pytest.mark.long
def test_a_prompt_file_gives_a_picture_a_line(window: Any, tiny_studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("# wear\na dent\n\na hole\n", encoding="utf-8")
    window.set_input_files("#make-prompt-file", str(tmp_path / "prompts.txt"))
    window.wait_for_selector("#make-prompts >> text=2 prompts from prompts.txt")
    assert generate(window, tiny_studio)["request"]["prompts"] == ["a dent", "a hole"]


@pytest.mark.long
def test_a_picture_of_ours_that_is_dropped_brings_its_form_back(
    window: Any, tiny_studio: Studio, tmp_path: Path
) -> None:
    window.fill("#make-prompt", "a burr")
    window.click(".mk [data-mode=expert]")
    window.fill("#make-guidance_scale input[type=number]", "9")
    window.keyboard.press("Tab")
    run = generate(window, tiny_studio)
    picture = tiny_studio.runs / run["id"] / "images" / "00000.png"
    window.fill("#make-prompt", "something else")
    window.keyboard.press("Tab")
    window.set_input_files("#make-file", str(picture))
    window.wait_for_function("document.querySelector('#make-prompt').value === 'a burr'")
    again = generate(window, tiny_studio)
    assert again["request"]["guidance_scale"] == 9
    made = tiny_studio.runs / again["id"] / "images" / "00000.png"
    assert made.read_bytes() == picture.read_bytes()


@pytest.mark.long
def test_dropped_on_the_canvas_it_leads_to_the_form(window: Any, tiny_studio: Studio) -> None:
    window.fill("#make-prompt", "a crack")
    run = generate(window, tiny_studio)
    window.fill("#make-prompt", "something else")
    window.keyboard.press("Tab")
    to(window, "paint")
    window.set_input_files(
        "#paint-canvas input[type=file] >> nth=0", str(tiny_studio.runs / run["id"] / "images/00000.png")
    )
    window.wait_for_selector("#tabs button[aria-selected=true] >> text=Generate")
    window.wait_for_function("document.querySelector('#make-prompt').value === 'a crack'")


@pytest.mark.long
def test_a_result_goes_to_paint_as_a_picture_and_to_review(window: Any, tiny_studio: Studio) -> None:
    window.fill("#make-prompt", "steel")
    run = generate(window, tiny_studio)
    window.wait_for_selector("#make-compare .cmp[data-ready='1']")
    window.click("#make-compare [data-act=send]")
    window.click("#make-compare .cmp-menu [data-to=review]")
    window.wait_for_selector("#review-compare .cmp[data-ready='1']")
    window.wait_for_selector(f".fct[data-id^='{run['id']}']")
    assert window.inner_text(".fct strong") == "Made whole"
    to(window, "generate")
    window.click("#make-compare [data-act=start]")
    window.wait_for_selector("#paint-canvas .mc[data-ready='1']:not([data-empty='1'])")


@pytest.mark.long
def test_what_keeps_generate_from_its_work_is_said(window: Any) -> None:
    assert window.inner_text("#make small") == "Say what should be seen"
    window.click(".mk [data-mode=expert]")
    window.select_option("#make-mode select", "image")
    assert window.inner_text("#make small") == "Choose a picture to start from"
    window.select_option("#make-mode select", "edit")
    assert window.inner_text("#make small") == "This base cannot do that: changed by an instruction"


@pytest.mark.long
def test_stop_ends_it_and_what_was_made_stays(window: Any, tiny_studio: Studio) -> None:
    window.fill("#make-prompt", "steel")
    window.fill("#make-num_images input", "60")
    window.keyboard.press("Tab")
    window.focus("#make-prompt")
    window.keyboard.press("Control+Enter")
    window.wait_for_selector("#make-compare .cmp-strip img", state="attached")
    window.click("#stop")
    window.wait_for_selector("#make:enabled")
    run = tiny_studio.get("/api/runs")["runs"][0]
    assert run["state"] == "cancelled"
    assert 0 < run["done"] < 60


@pytest.mark.long
def test_an_adapter_of_the_library_is_laid_over_and_weighed(window: Any, tiny_studio: Studio, tmp_path: Path) -> None:
    from tests.generate.test_text import adapter_of

    adapter_of(tmp_path / "run")
    path = tmp_path / "run" / "weights" / "pytorch_lora_weights.safetensors"
    sent = ask(
        tiny_studio.port, "POST", "/api/uploads/adapter", path.read_bytes(), {"X-Filename": "scratches.safetensors"}
    )
    made = ask(tiny_studio.port, "POST", "/api/adapters", data={"asset": sent.json()["asset"]})
    assert made.status == 201, made.body
    to(window, "paint")
    open_tab(window)
    window.wait_for_selector("#make-adapter")
    window.select_option("#make-adapter", index=1)
    window.fill(".mk-uses .wh-use input[type=number]", "0.7")
    window.fill("#make-prompt", "steel")
    run = generate(window, tiny_studio)
    (use,) = run["request"]["adapters"]
    assert use["weight"] == 0.7
    window.click(".mk-uses .wh-use button")
    assert held(window)["adapters"] == []


@pytest.mark.long
def test_a_finished_training_fills_base_adapter_and_words(window: Any, tiny_studio: Studio) -> None:
    from tests.generate.test_text import adapter_of

    adapter_of(tiny_studio.runs / "20260101-000000-abcdef", normal_prompt="a vfx", defect_prompt="a vfx with sks")
    to(window, "paint")
    open_tab(window)
    window.wait_for_selector("#make-training")
    window.select_option("#make-training", "0 normal")
    assert window.input_value("#make-prompt") == "a vfx"
    run = generate(window, tiny_studio)
    assert (run["request"]["base"], len(run["request"]["adapters"])) == ("tiny", 1)


@pytest.mark.long
def test_what_is_painted_is_sent_here_as_the_picture_to_start_from(window: Any, tiny_studio: Studio) -> None:
    image = ask(
        tiny_studio.port, "POST", "/api/uploads", images.encode_png(pictures.good()), {"X-Filename": "part.png"}
    ).json()["asset"]
    mask = ask(
        tiny_studio.port, "POST", "/api/uploads", images.encode_png(pictures.disc()), {"X-Filename": "mask.png"}
    ).json()["asset"]
    data = {"task": "inpaint", "image": image, "mask": mask, "defect": "scratch"}
    id = ask(tiny_studio.port, "POST", "/api/runs", data=data).json()["id"]
    for _ in range(100):
        if tiny_studio.get(f"/api/runs/{id}")["state"] == "done":
            break
        window.wait_for_timeout(100)
    to(window, "review")
    window.locator(".grd-tile").first.dblclick()
    window.wait_for_selector("#review-compare .cmp[data-ready='1']")
    window.click("#review-compare [data-act=send]")
    window.click("#review-compare .cmp-menu [data-to=generate]")
    window.wait_for_selector("#make-image")
    assert held(window)["image"].startswith("asset-")


@pytest.mark.long
def test_axe_finds_nothing(tiny_studio: Studio, browser: Any) -> None:
    with windows.unwatched(browser, color_scheme="light") as page:
        go(page, tiny_studio)
        open_tab(page)
        small(page)
        page.fill("#make-prompt", "steel")
        simple = violations(page)
        page.click("[data-act=browse]")
        page.click(".mk [data-mode=expert]")
        expert = violations(page)
        page.click(".mk [data-mode=simple]")
        generate(page, tiny_studio)
        page.wait_for_selector("#make-compare .cmp[data-ready='1']")
        assert (simple, expert, violations(page)) == ([], [], [])


@pytest.mark.long
def test_the_tab_is_whole_however_late_it_is_opened(tiny_studio: Studio, browser: Any) -> None:
    with windows.watched(browser, tiny_studio.home) as page:
        go(page, tiny_studio)
        page.wait_for_timeout(4000)  # everything that is sent to a window that opens has come
        open_tab(page)
        assert page.is_visible("#make-prompt")


@pytest.mark.long
def test_paint_offers_the_base_and_shows_what_it_reads(tiny_studio: Studio, browser: Any) -> None:
    with windows.watched(browser, tiny_studio.home, complaints="404") as page:
        go(page, tiny_studio)
        painting.open_sample(page)
        painting.drag(page, (-30, 0), (30, 10))
        assert page.is_hidden("#field-prompt")
        assert page.is_visible("#field-severity")
        page.select_option("#field-base-value", "tiny")
        assert page.is_visible("#field-prompt")
        assert page.is_hidden("#field-severity")  # a base that diffuses knows no severity
        assert "scratch" in page.input_value("#field-prompt-value")  # the preset's own words
        page.fill("#field-prompt-value", "a rusty scratch")
        page.click("#which [data-mode=expert]")
        assert page.is_hidden(".wh-drawn")
        page.fill("#field-num_inference_steps-value", "2")
        page.keyboard.press("Tab")
        page.click("#which [data-mode=simple]")
        id = painting.generate(page)
        asked = tiny_studio.get(f"/api/runs/{id}")["request"]
        assert (asked["base"], asked["prompt"], asked["num_inference_steps"]) == ("tiny", "a rusty scratch", 2)
        assert asked["look"] == {}
        page.select_option("#field-base-value", "procedural")
        assert page.is_hidden("#field-prompt")
        id = painting.generate(page)
        assert "prompt" not in tiny_studio.get(f"/api/runs/{id}")["request"]
