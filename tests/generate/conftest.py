"""What the tests of made pictures share: a worker on the CPU."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.worker import Worker


@pytest.fixture
def worker(runs: Path) -> Iterator[Worker]:
    with Worker(runs, "cpu", ()) as made:
        yield made
