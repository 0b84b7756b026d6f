"""What every test stands on: one thread, no network but the loopback, a runs folder. Knows nothing of the code."""

import ipaddress
import os
import sys
from pathlib import Path
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Set what must stand before torch, OpenMP or a hub client is imported; subprocesses inherit it."""
    os.environ.update(
        OMP_NUM_THREADS="1",  # two busy test processes on two cores are faster than eight threads
        HF_HUB_OFFLINE="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        GRADIO_ANALYTICS_ENABLED="False",
    )
    sys.addaudithook(_loopback_only)


# Files whose few tests take long: handed out last, they would keep one process busy while the others have nothing left.
FIRST = ("test_worker.py", "test_switches.py", "test_cli.py", "test_app.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long first, those that drive a browser next, then the many small ones."""
    items.sort(key=lambda item: 0 if item.path.name in FIRST else 1 if item.get_closest_marker("browser") else 2)


def _loopback_only(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse every name and address that is not this machine's own, whichever library asks."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):  # a str is a Unix socket
        host = arguments[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in (None, "", "localhost") and not _is_loopback(host):
        raise RuntimeError(
            f"a test reached for {host!r}; tests stay on this machine: serve what they need on 127.0.0.1"
        )


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a name
        return False
    return address.is_loopback or address.is_unspecified  # 0.0.0.0 is asked for when a free port is looked for


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """An empty runs folder."""
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real pictures, or a skip that says how to have one."""
    named = os.environ.get("FLAWSMITH_TEST_DATA")
    if not named:
        pytest.skip(
            "FLAWSMITH_TEST_DATA is not set: name a folder with mvtec_ad, NEU-DET, magnetic_tile ... to run this"
        )
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"FLAWSMITH_TEST_DATA names {folder}, which is no folder")
    return folder
