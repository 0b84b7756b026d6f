"""Workers against SIGKILL, Stop, urgent requests and a full disk: nothing lost, nothing doubled, every byte equal."""

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipelines import engine
from pipelines.core import intake, orders, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import DiskFull
from pipelines.core.models import Key, Models
from pipelines.core.owners import Owner
from pipelines.core.queue import Queue
from pipelines.core.requests import Inpaint, Request
from pipelines.core.runs import Run
from pipelines.core.vitals import Vitals
from pipelines.worker import Worker
from tests import pictures

WORK = [sys.executable, "-m", "pipelines", "work", "--lane", "cpu", "--runs"]
MADE = ("images", "masks", "thumbs", "aside", "manifest.jsonl", "request.json", "result.json")


def take(folder: Path, runs: Path, **fields: Any) -> Request:
    return intake.from_paths(requests.parse(pictures.request(folder, **fields)), Assets(runs))


def many(folder: Path, runs: Path, count: int) -> Request:
    """A batch whose gates set some of its pictures aside."""
    one = pictures.request(folder)
    gates = {"visibility": 3.0, "duplicate_bits": 8}
    batch = {"task": "batch", "template": {"task": "inpaint"}, "sources": [one["image"]], "defects": ["hole", "stain"]}
    return intake.from_paths(requests.parse({**batch, "count": count, "gates": gates, "seed": 3}), Assets(runs))


def made(run: Path) -> dict[str, str]:
    """sha256 of everything a run made, by name."""
    found = [
        path for name in MADE for path in ([run / name] if (run / name).is_file() else sorted((run / name).rglob("*")))
    ]
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found if path.is_file()
    }


def until(true: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def whole(runs: Path, request: Request) -> Path:
    """The run of a request that nobody interrupts."""
    with Worker(runs, "cpu", ()) as worker:
        row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
    assert row.state == "done", row.sentence
    return runs / row.id


def held_by(queue: Queue, run: str, pid: int) -> bool:
    owner = queue.get(run).owner
    return owner is not None and owner.pid == pid


def progressed(queue: Queue, run: str, before: int) -> bool:
    return len(queue.finished(run)) > before


@pytest.mark.parametrize(
    ("kills", "count", "asked"),
    [
        (6, 6, "batch"),
        pytest.param(50, 40, "inpaint", marks=[pytest.mark.long, pytest.mark.timeout(300)]),
        pytest.param(50, 40, "batch", marks=[pytest.mark.long, pytest.mark.timeout(300)]),
        pytest.param(200, 150, "inpaint", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
        pytest.param(200, 150, "batch", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
def test_kills_leave_every_picture_once_and_equal(tmp_path: Path, kills: int, count: int, asked: str) -> None:
    runs = tmp_path / "runs"
    request = take(tmp_path, runs, num_images=count, seed=3) if asked == "inpaint" else many(tmp_path, runs, count)
    queue = Queue(runs)
    run = queue.submit(request)
    chance = random.Random(5)
    before, without_progress = 0, 0
    for _ in range(kills):
        worker = subprocess.Popen([*WORK, str(runs)])
        until(partial(held_by, queue, run, worker.pid))
        if without_progress == 2:  # a third death on one item would rightly set the run aside
            until(partial(progressed, queue, run, before))
        else:
            time.sleep(chance.uniform(0, 0.05))
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        done = len(queue.finished(run))
        without_progress = 0 if done > before else without_progress + 1
        before = done
        assert queue.get(run).state == "running", "all was done before the kills were"
    last = subprocess.Popen([*WORK, str(runs)])
    until(lambda: queue.get(run).over, 60)
    last.terminate()
    assert last.wait(timeout=20) == 0
    assert queue.get(run).state == "done"
    found = made(runs / run)
    assert len([name for name in found if name.startswith(("images/", "aside/images/"))]) >= count
    assert found == made(whole(runs, request))
    left = [path for path in runs.rglob("*.tmp*") if path.parent != runs / "assets"]
    assert not left
    Assets(runs).sweep(older_s=0)  # what lies there may be another's: it goes when it is an hour old
    assert not list(runs.rglob("*.tmp*"))


def test_a_procedural_run_never_loads_torch(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    queue = Queue(runs)
    run = queue.submit(take(tmp_path, runs))
    code = (
        "import sys; from pathlib import Path; from pipelines.worker import Worker\n"
        f"with Worker(Path({str(runs)!r}), 'cpu', ('cpu',)) as worker:\n"
        "    row = worker.serve(worker.queue.claim(worker.owner, worker.lanes))\n"
        "heavy = [name for name in ('torch', 'diffusers', 'transformers', 'gradio') if name in sys.modules]\n"
        "assert row.state == 'done', row.sentence\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert queue.get(run).state == "done"


def test_stop_is_confirmed_and_what_was_finished_stays(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    request = take(tmp_path, runs, num_images=500)
    with Worker(runs, "cpu", ("cpu",)) as worker:
        run = worker.queue.submit(request)
        thread = threading.Thread(target=worker.work)
        thread.start()
        until(lambda: len(worker.queue.finished(run)) >= 2)
        worker.queue.stop(run)
        until(lambda: worker.queue.get(run).over)
        worker.leave()
        thread.join()
        row = worker.queue.get(run)
        assert row.state == "cancelled"
        done = worker.queue.finished(run)
    assert 2 <= len(done) < 500
    assert len(list((runs / run / "images").glob("*.png"))) == len(done)


def test_a_short_request_goes_between_two_pictures_of_a_long_one(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    long, short = take(tmp_path, runs, num_images=300), take(tmp_path, runs, num_images=1, seed=99)
    with Worker(runs, "cpu", ("cpu",)) as worker:
        first = worker.queue.submit(long)
        thread = threading.Thread(target=worker.work)
        thread.start()
        until(lambda: worker.queue.finished(first))
        second = worker.queue.submit(short)
        until(lambda: worker.queue.get(second).over)
        assert worker.queue.get(first).state == "running"
        worker.queue.stop(first)
        until(lambda: worker.queue.get(first).over)
        worker.leave()
        thread.join()
    assert worker.queue.get(second).state == "done"


def test_a_worker_told_to_go_hands_the_rest_back(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    queue = Queue(runs)
    run = queue.submit(take(tmp_path, runs, num_images=2000))
    worker = subprocess.Popen([*WORK, str(runs)])
    until(lambda: queue.finished(run))
    worker.terminate()
    assert worker.wait(timeout=10) == 0
    assert queue.get(run).state == "queued"
    assert queue.workers() == []


def test_a_full_disk_waits_and_goes_on_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    request = take(tmp_path, runs, num_images=3)
    tries = []

    def fills_up(request: Inpaint, run: Run, models: object) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise DiskFull("the disk is full: make room")
        run.finish({})

    monkeypatch.setattr(engine, "RUNNERS", {Inpaint: fills_up})
    monkeypatch.setattr("pipelines.core.queue.RETRY_DISK_S", 0.2)
    with Worker(runs, "cpu", ("cpu",)) as worker:
        run = worker.queue.submit(request)
        thread = threading.Thread(target=worker.work)
        thread.start()
        until(lambda: worker.queue.get(run).state == "waiting_disk")
        assert worker.queue.get(run).sentence == "the disk is full: make room"
        until(lambda: worker.queue.get(run).state == "done")
        worker.leave()
        thread.join()


def test_a_job_table_that_is_locked_too_long_sends_the_run_back_in_line_and_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    request = take(tmp_path, runs, num_images=30)
    monkeypatch.setattr("pipelines.core.queue.BUSY_S", 0.1)
    monkeypatch.setattr("pipelines.worker.HEART_S", 0.1)
    with Worker(runs, "cpu", ("cpu",)) as worker:
        run = worker.queue.submit(request)
        thread = threading.Thread(target=worker.work)
        thread.start()
        until(lambda: worker.queue.finished(run))
        other = sqlite3.connect(runs / "queue.db", timeout=30, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        time.sleep(0.6)
        other.execute("ROLLBACK")
        other.close()
        until(lambda: worker.queue.get(run).over)
        assert [one for one in threading.enumerate() if one.name == "heart"]
        worker.leave()
        thread.join()
        assert worker.queue.get(run).state == "done"
    assert len(list((runs / run / "images").glob("*.png"))) == 30


def test_an_unforeseen_error_is_a_sentence_for_the_person_and_a_trace_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"

    def breaks(request: Inpaint, run: Run, models: object) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(engine, "RUNNERS", {Inpaint: breaks})
    request = take(tmp_path, runs)
    with Worker(runs, "cpu", ()) as worker:
        row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
    assert (row.state, row.code) == ("failed", "internal")
    assert row.sentence == f"inpaint failed with ZeroDivisionError: by nought; the trace is in {row.id}/error.txt"
    assert "ZeroDivisionError" in (runs / row.id / "error.txt").read_text()


def test_a_run_taken_over_is_let_go_without_a_word(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    request = take(tmp_path, runs, num_images=3)
    with Worker(runs, "cpu", ()) as worker:
        row = worker.queue.get(worker.queue.submit(request, owner=worker.owner))
        other = Owner("elsewhere", 1, 1.0)
        worker.queue._db.execute(
            "UPDATE run SET host=?, pid=?, born=? WHERE id=?", (other.host, other.pid, other.born, row.id)
        )
        after = worker.serve(row)
    assert (after.state, after.owner) == ("running", other)
    assert worker.queue.finished(row.id) == {}


MIB = 2**20
UNET = Key("tiny", "unet", "float32", "cpu")


def hold(models: Models, *parts: str) -> None:
    """Real modules of 1 MiB."""
    from torch import nn

    for part in parts:
        with models.use(UNET._replace(part=part), lambda: nn.Linear(1024, 256, bias=False)):
            pass


def release(part: str) -> orders.Release:
    return orders.Release(model=orders.Model(**UNET._replace(part=part)._asdict()))


@contextmanager
def at_work(runs: Path, *parts: str) -> Iterator[Worker]:
    """A worker that holds models and serves; the thread that loaded them is the one that works, as it must be."""
    with Worker(runs, "cpu", ("cpu", "device")) as worker:

        def life() -> None:
            hold(worker.models, *parts)
            worker.work()

        thread = threading.Thread(target=life)
        thread.start()
        until(lambda: len(worker.models.report()) == len(parts))
        try:
            yield worker
        finally:
            worker.leave()
            thread.join()


def answered(worker: Worker, order: orders.Order) -> orders.Answer:
    """What the page would be told, through the job table."""
    page = orders.Orders(Queue(worker.queue.runs))
    id = page.tell(worker.owner.id, order)
    until(lambda: page.get(id).answer)
    answer = page.get(id).answer
    assert answer
    return answer


def said(worker: Worker) -> dict[str, Any]:
    report: dict[str, Any] = Queue(worker.queue.runs).workers()[0]["report"]
    return report


def test_an_idle_worker_releases_what_it_is_told_to_and_says_so_at_once(tmp_path: Path) -> None:
    with at_work(tmp_path / "runs", "unet", "vae") as worker:
        assert answered(worker, release("unet")).sentence == "freed 1 MiB"
        until(lambda: [one["key"]["part"] for one in said(worker)["models"]] == ["vae"], 2)
        assert answered(worker, orders.ReleaseAll()).freed_bytes == MIB
        assert worker.models.report() == []


def test_a_budget_outlives_the_worker_it_was_told_to(tmp_path: Path) -> None:
    with at_work(tmp_path / "runs", "unet", "vae") as worker:
        assert answered(worker, orders.Budget(budget_bytes=MIB)).freed_bytes == MIB
        until(lambda: said(worker)["budget_bytes"] == MIB, 2)
    with at_work(tmp_path / "runs") as worker:
        assert said(worker)["budget_bytes"] == MIB
        assert answered(worker, orders.Budget(budget_bytes=None)).code == "budget"
        until(lambda: said(worker)["budget_bytes"] == said(worker)["default_bytes"], 2)
    assert Worker(tmp_path / "runs", "cpu", ()).models.budget_set is None


def test_a_settings_file_that_is_damaged_keeps_no_worker_from_its_work(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "settings.json").write_text("{")
    with at_work(runs) as worker:
        assert said(worker)["budget_bytes"] == said(worker)["default_bytes"]
        assert "mend that" in answered(worker, orders.Budget(budget_bytes=MIB)).sentence


def test_between_two_pictures_orders_are_obeyed_and_what_the_run_uses_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    request = take(tmp_path, runs, num_images=2)
    going, answers = threading.Event(), list[orders.Answer]()

    def paints(request: Inpaint, run: Run, models: Models) -> None:
        with models.use(UNET, lambda: None):
            for index in run.items(2):
                going.set()
                if index == 0:
                    until(lambda: len(worker.orders.waiting(worker.owner)) == 2)
                else:
                    answers.extend(filter(None, (page.get(id).answer for id in ids)))
                run.commit(index, {})
        run.finish({})

    monkeypatch.setattr(engine, "RUNNERS", {Inpaint: paints})
    with at_work(runs, "unet", "vae") as worker:
        page = orders.Orders(Queue(runs))
        run = page.queue.submit(request)
        going.wait(20)
        ids = [page.tell(worker.owner.id, order) for order in (release("unet"), release("vae"))]
        until(lambda: page.queue.get(run).over)
        assert page.queue.get(run).state == "done", page.queue.get(run).sentence
    assert [answer.code for answer in answers] == ["in_use", "freed"]


def test_an_order_that_fails_in_an_unforeseen_way_is_answered_and_the_worker_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(self: Models) -> int:
        raise ZeroDivisionError("by nought")

    with at_work(tmp_path / "runs", "unet") as worker:
        monkeypatch.setattr(Models, "release_all", breaks)
        assert answered(worker, orders.ReleaseAll()).sentence == "the order failed with ZeroDivisionError: by nought"
        assert answered(worker, release("unet")).code == "freed"


def test_an_order_is_obeyed_once_though_its_answer_has_to_wait_for_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    monkeypatch.setattr("pipelines.core.queue.BUSY_S", 0.1)
    obeyed, real = list[object](), orders.obey

    def locks(*order: Any) -> orders.Answer:
        other.execute("BEGIN IMMEDIATE")
        obeyed.append(order)
        return real(*order)

    monkeypatch.setattr(orders, "obey", locks)
    with at_work(runs, "unet") as worker:
        page = orders.Orders(Queue(runs))
        other = sqlite3.connect(runs / "queue.db", timeout=30, isolation_level=None, check_same_thread=False)
        id = page.tell(worker.owner.id, release("unet"))
        until(lambda: obeyed)
        time.sleep(0.5)
        assert page.get(id).answer is None
        other.execute("ROLLBACK")
        other.close()
        until(lambda: page.get(id).answer)
        answer = page.get(id).answer
    assert len(obeyed) == 1
    assert answer
    assert answer.code == "freed"


def test_a_report_that_fails_costs_no_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(self: Vitals) -> dict[str, Any]:
        raise ZeroDivisionError

    monkeypatch.setattr(Vitals, "report", breaks)
    monkeypatch.setattr("pipelines.worker.HEART_S", 0.05)
    with at_work(tmp_path / "runs") as worker:
        first = worker.queue.workers()[0]
        until(lambda: worker.queue.workers()[0]["seen"] > first["seen"])
        assert first["report"] == {}
