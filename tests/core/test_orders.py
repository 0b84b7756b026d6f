"""Orders reach the one worker they are for, are obeyed as the registry allows, and are answered in a sentence."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from torch import nn

from pipelines.core import orders, settings
from pipelines.core.errors import Missing
from pipelines.core.models import Key, Models
from pipelines.core.orders import Answer, Budget, Model, Orders, Release, ReleaseAll
from pipelines.core.owners import Owner
from pipelines.core.queue import Queue

MIB = 2**20
UNET, VAE = Key("tiny", "unet", "float32", "cpu"), Key("tiny", "vae", "float32", "cpu")


@pytest.fixture
def told(runs: Path) -> Orders:
    return Orders(Queue(runs))


def here(told: Orders) -> Owner:
    """This process as a live worker."""
    told.queue.beat(Owner.me(), "cpu", ("device",))
    return Owner.me()


def load(models: Models, *keys: Key) -> None:
    for key in keys:
        with models.use(key, lambda: nn.Linear(1024, 256, bias=False)):  # 1 MiB
            pass


def do(order: orders.Order, models: Models, runs: Path) -> Answer:
    return orders.obey(order.model_dump_json(), models, "cpu", runs)


def release(key: Key) -> Release:
    return Release(model=Model(**key._asdict()))


def test_an_order_waits_for_its_worker_and_is_answered_once(told: Orders) -> None:
    me = here(told)
    first, second = told.tell(me.id, release(UNET)), told.tell(me.id, ReleaseAll())
    assert [one.id for one in told.waiting(me)] == [first, second]
    assert told.get(first).answer is None
    told.answer(first, Answer(code="freed", sentence="freed 1 MiB", freed_bytes=MIB))
    assert [one.id for one in told.waiting(me)] == [second]
    assert told.get(first).answer == Answer(code="freed", sentence="freed 1 MiB", freed_bytes=MIB)


def test_an_order_for_a_worker_that_is_not_there_is_refused(told: Orders) -> None:
    here(told)
    with pytest.raises(Missing, match="no live worker 'x'"):
        told.tell("x", ReleaseAll())


def test_the_next_worker_with_the_same_number_does_not_get_it(told: Orders) -> None:
    me = here(told)
    id = told.tell(me.id, ReleaseAll())
    assert told.waiting(Owner(me.host, me.pid, me.born + 60)) == []
    assert [one.id for one in told.waiting(me)] == [id]


def test_what_a_killed_worker_had_still_to_do_lapses(told: Orders) -> None:
    code = (
        "import sys; from pathlib import Path; from pipelines.core.queue import Queue\n"
        "from pipelines.core.owners import Owner\n"
        f"Queue(Path({str(told.queue.runs)!r})).beat(Owner.me(), 'cpu', ('device',)); print(flush=True); input()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()
    id = told.tell(told.queue.workers()[0]["id"], ReleaseAll())
    assert not told.get(id).lapsed
    child.kill()
    child.communicate()
    assert not psutil.pid_exists(child.pid)
    assert told.get(id).lapsed


def test_an_order_that_waits_too_long_is_not_obeyed_any_more_and_is_swept_out_in_the_end(
    told: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = here(told)
    id = told.tell(me.id, ReleaseAll())
    monkeypatch.setattr(orders, "STALE_S", -1.0)
    assert told.waiting(me) == []
    assert told.get(id).lapsed
    monkeypatch.setattr(orders, "KEEP_S", -1.0)
    told.tell(me.id, ReleaseAll())
    with pytest.raises(Missing, match="kept for an hour"):
        told.get(id)


def test_a_worker_that_leaves_takes_its_open_orders_with_it_and_leaves_the_answers(told: Orders) -> None:
    me = here(told)
    answered, open = told.tell(me.id, ReleaseAll()), told.tell(me.id, ReleaseAll())
    told.answer(answered, Answer(code="nothing", sentence="nothing was freed"))
    told.forget(me)
    assert told.get(answered).answer
    with pytest.raises(Missing):
        told.get(open)


def test_one_model_is_released_and_the_bytes_are_told(runs: Path) -> None:
    models = Models("cpu", 10 * MIB)
    load(models, UNET, VAE)
    assert do(release(UNET), models, runs) == Answer(code="freed", sentence="freed 1 MiB", freed_bytes=MIB)
    assert [one["key"]["part"] for one in models.report()] == ["vae"]


def test_a_model_in_use_stays_and_the_answer_says_what_would_do(runs: Path) -> None:
    models = Models("cpu", 10 * MIB)
    with models.use(UNET, lambda: nn.Linear(1024, 256, bias=False)):
        answer = do(release(UNET), models, runs)
        everything = do(ReleaseAll(), models, runs)
    assert answer.code == "in_use"
    assert "stop the run that uses it" in answer.sentence
    assert (everything.code, everything.in_use) == ("nothing", 1)
    assert models.held_bytes == MIB


def test_release_all_leaves_what_is_in_use(runs: Path) -> None:
    models = Models("cpu", 10 * MIB)
    load(models, VAE)
    with models.use(UNET, lambda: nn.Linear(1024, 256, bias=False)):
        answer = do(ReleaseAll(), models, runs)
    assert (answer.freed_bytes, answer.in_use, answer.sentence) == (MIB, 1, "freed 1 MiB; 1 in use stay")
    assert do(ReleaseAll(), models, runs).freed_bytes == MIB
    assert do(ReleaseAll(), models, runs).sentence == "nothing was freed, nothing is loaded"


def test_a_smaller_budget_is_kept_and_drops_what_was_used_least_recently(runs: Path) -> None:
    models = Models("cpu", 10 * MIB)
    load(models, UNET, VAE)
    answer = do(Budget(budget_bytes=MIB + 5), models, runs)
    assert (answer.code, answer.freed_bytes) == ("budget", MIB)
    assert [one["key"]["part"] for one in models.report()] == ["vae"]
    assert settings.read(runs).budgets == {"cpu": MIB + 5}
    assert do(Budget(budget_bytes=None), models, runs).sentence == "models may hold the default; freed 0 MiB"
    assert settings.read(runs).budgets == {}
    assert models.budget_set is None


def test_a_budget_that_cannot_be_kept_is_not_set(runs: Path) -> None:
    (runs / settings.FILE).write_text("{")
    models = Models("cpu", 10 * MIB)
    answer = do(Budget(budget_bytes=MIB), models, runs)
    assert (answer.code, models.budget_set) == ("bad_input", 10 * MIB)
    assert "mend that, or delete the file" in answer.sentence


def test_a_model_in_use_outlasts_a_budget_too_small_for_it(runs: Path) -> None:
    models = Models("cpu", 10 * MIB)
    with models.use(UNET, lambda: nn.Linear(1024, 256, bias=False)):
        assert do(Budget(budget_bytes=5), models, runs).freed_bytes == 0
    assert models.held_bytes == MIB


def test_a_model_that_is_not_there_and_an_order_of_another_version_are_answered(runs: Path) -> None:
    models = Models("cpu", 10 * MIB)
    assert do(release(UNET), models, runs).code == "missing"
    answer = orders.obey(json.dumps({"do": "dance"}), models, "cpu", runs)
    assert (answer.code, answer.sentence) == ("bad_input", 'this worker does not know the order {"do": "dance"}')


def test_orders_from_many_threads_keep_their_order_and_their_numbers(told: Orders) -> None:
    me = here(told)
    numbers: list[int] = []

    def give() -> None:
        numbers.extend(told.tell(me.id, ReleaseAll()) for _ in range(10))
        told.queue.close()

    threads = [threading.Thread(target=give) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(numbers)) == 50
    assert [one.id for one in told.waiting(me)] == sorted(numbers)
    assert all(one.made <= time.time() for one in told.waiting(me))
