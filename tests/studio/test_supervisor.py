"""Workers are kept alive and ended gently: real processes that sleep, die and refuse to end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from studio.supervisor import Backoff, Post, Standing, Supervisor

SOON = Backoff(first_s=0.05, most_s=0.4, settled_s=60)


def post(code: str, name: str = "worker") -> Post:
    return Post(name, (sys.executable, "-S", "-c", code))


def until(true: Callable[[], bool], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def running(supervisor: Supervisor) -> Standing:
    until(lambda: supervisor.standing()[0].pid is not None)
    return supervisor.standing()[0]


def gone(pid: int | None) -> bool:
    return pid is not None and not psutil.pid_exists(pid)


def test_a_worker_that_is_killed_is_started_again(capfd: pytest.CaptureFixture[str]) -> None:
    supervisor = Supervisor([post("import time; time.sleep(60)")], backoff=SOON)
    supervisor.start()
    try:
        first = running(supervisor)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: supervisor.standing()[0].starts == 2)
        assert running(supervisor).pid != first.pid
    finally:
        supervisor.stop()
    assert "worker was ended by signal 9; starting it again in 0.05 s" in capfd.readouterr().err
    assert supervisor.standing()[0].pid is None


def test_a_worker_that_cannot_start_is_tried_less_and_less_often(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    supervisor = Supervisor([post("raise SystemExit(2)")], backoff=SOON)
    supervisor.start()
    until(lambda: supervisor.standing()[0].starts >= 5)
    supervisor.stop()
    waits = [line.rsplit(" in ", 1)[1] for line in capfd.readouterr().err.splitlines()]
    assert waits[:5] == ["0.05 s", "0.1 s", "0.2 s", "0.4 s", "0.4 s"][: len(waits)]
    assert len(waits) >= 4


def test_a_long_life_forgives_earlier_deaths() -> None:
    backoff = Backoff(first_s=1, most_s=30)
    assert [backoff.after(deaths) for deaths in (1, 2, 3, 6, 500)] == [1, 2, 4, 30, 30]


def test_stop_lets_a_worker_hand_back_what_it_holds(tmp_path: Path) -> None:
    note = tmp_path / "note"
    code = f"""
import pathlib, signal, sys, time
def leave(*_):
    time.sleep(0.3)
    pathlib.Path({str(note)!r}).write_text("handed back")
    sys.exit()
signal.signal(signal.SIGTERM, leave)
pathlib.Path({str(note)!r}).write_text("ready")
time.sleep(60)
"""
    supervisor = Supervisor([post(code)], backoff=SOON, grace_s=10)
    supervisor.start()
    until(note.exists)
    until(lambda: note.read_text() == "ready")
    supervisor.stop()
    assert note.read_text() == "handed back"
    assert supervisor.standing()[0] == Standing("worker", None, 1)


def test_a_worker_that_does_not_end_is_killed_after_the_grace(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ready = tmp_path / "ready"
    deaf = f"""
import pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path({str(ready)!r}).touch()
time.sleep(60)
"""
    supervisor = Supervisor([post(deaf, "deaf worker"), post("import time; time.sleep(60)")], backoff=SOON, grace_s=0.5)
    supervisor.start()
    until(ready.exists)
    until(lambda: all(one.pid for one in supervisor.standing()))
    pids = [one.pid for one in supervisor.standing()]
    started = time.monotonic()
    supervisor.stop()
    assert 0.5 <= time.monotonic() - started < 3
    assert all(gone(pid) for pid in pids)
    assert "deaf worker did not end in time and is killed" in capfd.readouterr().err


def test_stop_during_the_wait_before_a_restart_starts_nothing_more() -> None:
    supervisor = Supervisor([post("raise SystemExit(1)")], backoff=Backoff(first_s=60))
    supervisor.start()
    until(lambda: supervisor.standing()[0].starts == 1 and supervisor.standing()[0].pid is None)
    started = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - started < 2
    assert supervisor.standing()[0].starts == 1


def test_stop_is_safe_before_a_start_and_twice() -> None:
    supervisor = Supervisor([post("pass")])
    supervisor.stop()
    supervisor.stop()
    supervisor.start()
    assert supervisor.standing() == [Standing("worker", None, 0)]


def test_ctrl_c_in_the_terminal_does_not_reach_a_worker_directly() -> None:
    """The terminal signals the foreground process group; a worker is in its own, and is ended in order."""
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from studio.supervisor import Post, Supervisor
import time
supervisor = Supervisor([Post("worker", (sys.executable, "-S", "-c", "import time; time.sleep(60)"))])
supervisor.start()
while supervisor.standing()[0].pid is None:
    time.sleep(0.01)
print(os.getpgid(0) != os.getpgid(supervisor.standing()[0].pid))
supervisor.stop()
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert said.stdout.strip() == "True"
