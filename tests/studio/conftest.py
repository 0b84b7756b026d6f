"""A real studio, the canvas alone and a real browser for the tests of the page. Each starts only when a test asks."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TextIO

import pytest

from tests.studio.serving import ask

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_S = 90


@dataclass(frozen=True)
class Studio:
    """A running app.py."""

    port: int
    runs: Path

    @property
    def home(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> Any:
        return ask(self.port, "GET", path).json()


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """The studio as a person starts it, on a free port."""
    with started(tmp_path_factory.mktemp("studio") / "runs") as running:
        yield running


@pytest.fixture(autouse=True)
def project_of_its_own(request: pytest.FixtureRequest) -> None:
    """A new browser is shown the newest project, what is painted there and all that was kept: each test begins with
    an empty project and nothing judged."""
    if "studio" in request.fixturenames and "browser" in request.fixturenames:
        running = request.getfixturevalue("studio")
        if isinstance(running, Studio):
            for review in running.runs.glob("*/review.json"):
                review.unlink()
            ask(running.port, "POST", "/api/projects", data={"name": request.node.name[:40]})


@contextmanager
def started(runs: Path, port: int = 0, *flags: str) -> Iterator[Studio]:
    """app.py with its light worker, from the moment it can draw until it has ended."""
    command = [sys.executable, "app.py", "--no-browser", "--port", str(port), "--workers", "0", "--runs", str(runs)]
    command += flags
    with TemporaryFile("w+") as complaints:
        process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=complaints)
        yield from _until_ended(process, runs, complaints)


def _until_ended(process: subprocess.Popen[str], runs: Path, complaints: TextIO) -> Iterator[Studio]:
    assert process.stdout
    try:
        said = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", said)
        if not found:
            complaints.seek(0)
            raise AssertionError(f"app.py did not start: {said!r} {complaints.read()}")
        deadline = time.monotonic() + START_S
        while not _draws(int(found[1])):
            assert time.monotonic() < deadline, "no worker came up"
            time.sleep(0.2)
        yield Studio(int(found[1]), runs)
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def _draws(port: int) -> bool:
    """Ready, or lacking only the device worker, which these tests do without."""
    answer = ask(port, "GET", "/readyz")
    return answer.status == 200 or "cpu (" not in answer.error["message"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, or a skip that says how to have it. While it is open this thread has a running event loop."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not path:
        pytest.skip("chromium is not installed: `apt-get install chromium`, or name one in CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """The canvas alone, served: a Bench without a page."""
    from tests.studio import canvases

    with canvases.served() as bench:
        yield bench


@pytest.fixture
def page(server: Any, browser: Any) -> Iterator[Any]:
    """A square picture on that canvas, which has the focus."""
    from tests import pictures
    from tests.studio import canvases

    with canvases.opened(server, browser) as bench:
        bench.show(bench.asset(pictures.good(canvases.SIDE, canvases.SIDE)))
        yield bench.page
