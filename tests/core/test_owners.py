"""A process is told from every other one, whatever happens to the clock on the wall."""

import subprocess
import sys
import time

import psutil
import pytest

from pipelines.core.owners import Owner


def test_a_clock_that_is_put_right_leaves_a_living_owner_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    me, told = Owner.me(), psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: told(process) + 3600)
    assert psutil.Process().create_time() - told(psutil.Process()) == 3600
    assert not me.gone()
    assert Owner.me() == me


def test_another_process_sees_the_same_owner() -> None:
    me = Owner.me()
    code = f"from pipelines.core.owners import Owner; print(Owner({me.host!r}, {me.pid}, {me.born!r}).gone())"
    reply = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert reply.stdout.strip() == "False"


def test_a_process_that_has_ended_and_waits_to_be_fetched_is_gone() -> None:
    code = "from pipelines.core.owners import Owner; me = Owner.me(); print(me.born, flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout
    owner = Owner(Owner.me().host, child.pid, float(child.stdout.readline()))
    assert not owner.gone()
    child.kill()
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert owner.gone()
    child.communicate()


def test_each_owner_has_an_id_of_its_own_that_names_no_machine() -> None:
    owners = [Owner("bench-3", 7, 1.0), Owner("bench-3", 7, 1.01), Owner("bench-3", 8, 1.0), Owner("bench-4", 7, 1.0)]
    ids = [one.id for one in owners]
    assert len(set(ids)) == 4
    assert not [id for id in ids if "bench" in id]
