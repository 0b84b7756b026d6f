"""The Adapters tab as a person uses it: files in, words copied, names written, deleted and back, and out again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import adapters
from tests.studio import windows
from tests.studio.conftest import Studio, started
from tests.studio.test_axe import to, violations

pytestmark = pytest.mark.browser
TORCH_MS = 200_000  # the worker imports torch before it converts
NOTES = {"modelspec.trigger_phrase": "sks rust", "ss_sd_model_name": "v1-5-pruned"}


@pytest.fixture
def studio(runs: Path) -> Iterator[Studio]:
    """One of its own: its library is empty."""
    with started(runs) as running:
        yield running


def opened(page: Any, studio: Studio) -> None:
    page.goto(studio.home)
    to(page, "adapters")
    page.wait_for_selector(".adp[data-ready='1']")


def put(page: Any, *files: tuple[str, bytes]) -> None:
    sent = [{"name": name, "mimeType": "application/octet-stream", "buffer": data} for name, data in files]
    page.set_input_files(".adp input[name=files]", sent)
    page.wait_for_function("document.querySelector('.adp-said').textContent.includes('added')")


def test_from_an_empty_library_to_an_exported_file(studio: Studio, browser: Any) -> None:
    with windows.watched(
        browser, studio.home, complaints="422", permissions=["clipboard-read", "clipboard-write"]
    ) as page:
        opened(page, studio)
        page.get_by_text("An adapter is a small file").wait_for()
        assert violations(page) == []

        good = ("rust.safetensors", adapters.written(adapters.LORA, NOTES))
        put(page, good, ("wide.safetensors", adapters.written(adapters.SDXL)), ("bad.safetensors", b"nothing"))
        page.locator(".adp-told p").wait_for()
        assert (
            page.inner_text(".adp-told p")
            == "bad.safetensors is no safetensors file; choose a file saved as safetensors"
        )
        assert page.inner_text(".adp-said") == "2 added · 1 not added"

        card = page.locator(".adp-card", has=page.get_by_role("heading", name="rust"))
        facts = card.inner_text()
        for text in ("LoRA", "SD1.5", "v1-5-pruned", "unet 1", "rust.safetensors"):
            assert text in facts
        card.get_by_role("button", name="Copy: sks rust").click()
        assert page.evaluate("navigator.clipboard.readText()") == "sks rust"

        card.get_by_role("button", name="Edit: rust").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Control+A")
        page.keyboard.type("Rust on steel")
        page.get_by_label("Trigger words").fill("sks, wet rust")
        assert violations(page) == []
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Rust on steel").wait_for()
        kept = {one["name"]: one for one in studio.get("/api/adapters")["adapters"]}["Rust on steel"]
        assert kept["triggers"] == ["sks", "wet rust"]

        card = page.locator(".adp-card", has=page.get_by_role("heading", name="Rust on steel"))
        card.get_by_role("button", name="Export: Rust on steel").click()
        card.locator(".adp-made a").first.wait_for(timeout=TORCH_MS)
        with page.expect_download() as got:
            card.locator(".adp-made a").first.click()
        assert got.value.suggested_filename == "rust.safetensors"

        card.get_by_role("button", name="Delete: Rust on steel").click()
        card.wait_for(state="detached")
        assert page.evaluate("document.activeElement.dataset.act") == "undo"
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Rust on steel").wait_for()
        assert violations(page) == []


@pytest.mark.long
def test_a_sample_picture_is_added_and_the_dark_page_has_no_violation(studio: Studio, browser: Any) -> None:
    with windows.watched(browser, studio.home, color_scheme="dark") as page:
        opened(page, studio)
        put(page, ("rust.safetensors", adapters.written(adapters.LORA)))
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Add a picture: rust").click()
        chooser.value.set_files([{"name": "part.png", "mimeType": "image/png", "buffer": adapters.picture()}])
        page.locator(".adp-pictures img").wait_for()
        page.wait_for_function("document.querySelector('.adp-pictures img').naturalWidth > 0")
        assert violations(page) == []
