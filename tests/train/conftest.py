"""What the tests of training share: a small data set, and a worker that takes no run by itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pipelines.worker import Worker
from tests import training


@pytest.fixture
def here(models_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bases of the file's own `models_folder` are those of the studio."""
    monkeypatch.setenv("FLAWSMITH_MODELS", str(models_folder))
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of good parts and scratches; nobody changes it."""
    return training.dataset(tmp_path_factory.mktemp("data") / "part")


@pytest.fixture
def worker(runs: Path) -> Iterator[Worker]:
    with Worker(runs, "cpu", ()) as found:
        yield found
