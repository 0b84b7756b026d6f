"""The bases on the Models tab as a person sees them: what is here, what is not, and fetching it over a local hub."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import hub, models
from tests.studio import windows
from tests.studio.conftest import Studio, started
from tests.studio.serving import ask

pytestmark = pytest.mark.browser
LARGE = "unet/diffusion_pytorch_model.fp16.safetensors"


@pytest.fixture(scope="module")
def there() -> Iterator[hub.Hub]:
    with hub.served(models.base_files()) as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with a base of one's own, and a file that is none."""
    here = tmp_path_factory.mktemp("models")
    models.base(here / "plant")
    models.single(here / "rust.safetensors", {"lora_unet_x.lora_up.weight": (1, 1)})
    return here


@pytest.fixture(scope="module")
def studio(folder: Path, there: hub.Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLAWSMITH_MODELS", str(folder))
        patch.setenv("HF_ENDPOINT", there.home)
        patch.delenv("HF_TOKEN", raising=False)
        with started(tmp_path_factory.mktemp("bases") / "runs") as running:
            yield running


@pytest.fixture
def page(studio: Studio, browser: Any) -> Iterator[Any]:
    with windows.watched(browser, studio.home) as window:
        window.goto(studio.home)
        window.get_by_role("tab", name="Models", exact=True).click()
        window.wait_for_selector(".mod[data-ready='1']")
        yield window


def line(page: Any, base: str) -> Any:
    return page.locator(f".mod-base[data-base='{base}']")


@pytest.mark.long
def test_every_base_says_what_it_is_and_ready_ones_come_first(page: Any) -> None:
    names = page.locator(".mod-base").evaluate_all("all => all.map((one) => one.dataset.base)")
    assert names[:2] == ["procedural", "plant"]
    assert "Ready, needs no weights" in line(page, "procedural").inner_text()
    own = line(page, "plant").inner_text()
    assert "own" in own
    assert "models/plant" in own
    told = line(page, "sd15-inpaint").inner_text()
    for part in (
        "512 px",
        "On disk: 2.0 GiB",
        "CreativeML Open RAIL-M",
        "paint into a mask",
        "models/sd15-inpaint by hand",
    ):
        assert part in told
    assert "python -m pipelines fetch sd15-inpaint" in told
    assert "Broken: rust.safetensors is an adapter" in line(page, "rust").inner_text()
    assert not line(page, "rust").get_by_role("button").count()


@pytest.mark.long
def test_a_base_with_a_licence_to_accept_says_so_instead_of_fetching(page: Any, there: hub.Hub) -> None:
    page.get_by_role("button", name="Fetch FLUX.1 dev, general").click()
    told = line(page, "flux1-dev").locator(".mod-ask-fetch").inner_text()
    assert "open only to those who accepted its licence" in told
    assert "HF_TOKEN=hf_... python app.py" in told
    line(page, "flux1-dev").get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Fetch FLUX.1 dev, general").wait_for()
    assert not [path for _, path, _ in there.asked if "FLUX" in path]


def test_a_fetch_is_confirmed_fails_with_a_sentence_and_goes_on_to_ready(page: Any, there: hub.Hub) -> None:
    there.spoil = LARGE
    page.get_by_role("button", name="Fetch Stable Diffusion 1.5, general").click()
    told = line(page, "sd15").locator(".mod-ask-fetch").inner_text()
    assert f"This reaches {there.home.removeprefix('http://')} over the network and brings 2.0 GiB" in told
    page.keyboard.press("Enter")
    line(page, "sd15").get_by_text("arrived with another checksum").wait_for(timeout=30_000)
    there.spoil = ""
    page.get_by_role("button", name="Fetch Stable Diffusion 1.5, general").click()
    line(page, "sd15").get_by_role("button", name="Fetch now").click()
    page.wait_for_selector(".mod-base[data-base=sd15][data-state=ready]", timeout=30_000)
    assert not line(page, "sd15").get_by_role("button").count()


def test_over_http_a_base_is_told_with_its_facts_in_the_language_asked_and_without_a_path(
    studio: Studio, folder: Path
) -> None:
    answer = ask(studio.port, "GET", "/api/bases?language=ja")
    found = {one["name"]: one for one in answer.json()}
    assert str(folder).encode() not in answer.body
    keys = {
        "name", "label", "family", "licence", "repo", "size_bytes", "memory_bytes", "resolution", "tasks", "defaults",
        "layout", "own", "gated", "ready", "state", "text", "remedy", "from", "token_missing",
    }  # fmt: skip
    assert set(found["sdxl"]) == keys
    assert (found["sdxl"]["state"], found["sdxl"]["remedy"]) == ("missing", "python -m pipelines fetch sdxl")
    assert "重みがありません" in found["sdxl"]["text"]
    assert found["flux1-dev"]["token_missing"] is True
    assert found["plant"]["from"] == "models/plant"


def test_what_has_no_repository_cannot_be_asked_for(studio: Studio) -> None:
    refused = ask(studio.port, "POST", "/api/runs", data={"task": "fetch", "base": "plant"})
    assert refused.status == 422
    assert "base plant is not fetched" in refused.error["message"]
