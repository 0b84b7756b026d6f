"""The fence around the tests holds: nothing here reaches another machine, and torch would find one thread."""

import os
import socket

import pytest


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.org", 443), ("2001:db8::1", 80)])
def test_no_test_reaches_another_machine(address: tuple[str, int]) -> None:
    with pytest.raises(RuntimeError, match="tests stay on this machine"):
        socket.create_connection(address, timeout=1)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_test_reaches_what_it_serves_itself(host: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as door,
        socket.create_connection((host, door.getsockname()[1]), 5) as me,
    ):
        assert me.getpeername()[0] == "127.0.0.1"


def test_subprocesses_of_tests_stay_quiet_too() -> None:
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "1"
