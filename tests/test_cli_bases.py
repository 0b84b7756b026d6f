"""`bases` and `fetch` on the command line, and a fetch as a run: what they print, how they end, what stays."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import hub, models
from tests.test_cli import COMMAND

LARGE = "unet/diffusion_pytorch_model.fp16.safetensors"


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[hub.Hub]:
    """A hub with every file of sd15, and a models folder that is not there yet."""
    monkeypatch.setenv("FLAWSMITH_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with hub.served(models.base_files()) as found:
        monkeypatch.setenv("HF_ENDPOINT", found.home)
        yield found


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
    )


def test_bases_lists_each_with_its_state_and_takes_one_of_your_own(tmp_path: Path, there: hub.Hub) -> None:
    file = models.single(tmp_path / "steel.safetensors", models.SD1)
    listed = call("bases").stdout
    assert "procedural       ready    Physical drawing, no weights: ready, needs no weights" in listed
    assert "-> python -m pipelines fetch flux2-klein" in listed
    added = call("bases", "add", str(file), "--name", "rust")
    assert added.stdout == (
        "rust (stable-diffusion, sd1): it takes everything but the denoiser from sd15, which is not ready\n"
    )
    assert "rust             missing  rust (own): it takes" in call("bases").stdout
    assert call("bases", "remove", "rust").returncode == 0
    assert "rust" not in call("bases").stdout
    again = call("bases", "remove", "rust")
    assert (again.returncode, "lists no base 'rust'" in again.stderr) == (2, True)


def test_fetch_tells_each_file_and_ends_with_the_folder(tmp_path: Path, there: hub.Hub) -> None:
    done = call("fetch", "runwayml/stable-diffusion-v1-5")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'models' / 'sd15'}\n"), done.stderr
    assert [line for line in done.stderr.splitlines() if line.endswith(LARGE)]
    assert f"12 files, commit {hub.COMMIT}" in done.stderr
    there.token = "hf_x"
    refused = call("fetch", "sd15")
    assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)
    assert "accept its licence at https://huggingface.co/stable-diffusion-v1-5" in refused.stderr
    assert call("fetch", "procedural").returncode == 2


def test_a_fetch_is_also_a_run_and_offline_by_default_does_not_hold_it_back(tmp_path: Path, there: hub.Hub) -> None:
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    there.spoil = LARGE
    failed = call("run", "fetch", "--set", "base=sd15", "--runs", str(tmp_path / "runs"))
    assert failed.returncode == 1
    assert "arrived with another checksum" in failed.stderr
    there.spoil = ""
    there.asked.clear()
    run = Path(failed.stdout.splitlines()[-1])
    done = call("resume", run.name, "--runs", str(tmp_path / "runs"))
    assert done.returncode == 0, done.stderr
    assert there.sent("text_encoder/model.fp16.safetensors") == [], "what was whole is not sent again"
    result = json.loads((run / "result.json").read_text())
    assert (result["base"], result["commit"], result["fetched_files"]) == ("sd15", hub.COMMIT, 12)
    assert result["bytes"] == sum(map(len, there.files.values()))
