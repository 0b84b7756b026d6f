"""The job table: order, leases, takeover, attempts, stop and resume."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines.core import queue as queues
from pipelines.core.errors import LostLease, Missing, Problem, Quarantined
from pipelines.core.queue import Owner, Queue
from pipelines.core.requests import Inpaint

LANES = ("cpu", "device")


def ask(count: int = 1) -> Inpaint:
    return Inpaint(image="a.png", mask="m.png", defect="scratch", num_images=count)


def worker(number: int = 1) -> Owner:
    """A live process of this host that is not this one's own: told apart by a made-up start time on another host."""
    return Owner("elsewhere", number, 1.0)


def dead() -> Owner:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return Owner(os.uname().nodename, process.pid, time.time() - 100)


@pytest.fixture
def queue(runs: Path) -> Queue:
    return Queue(runs)


def test_first_come_first_served_within_a_priority(queue: Queue) -> None:
    first, second = queue.submit(ask()), queue.submit(ask())
    claims = [queue.claim(worker(), LANES), queue.claim(worker(2), LANES)]
    assert [row.id for row in claims if row] == [first, second]


def test_an_interactive_request_goes_before_a_long_one(queue: Queue) -> None:
    queue.submit(ask(500))
    short = queue.submit(ask(1))
    row = queue.claim(worker(), LANES)
    assert row
    assert row.id == short


def test_only_something_more_urgent_comes_between_two_items(queue: Queue) -> None:
    queue.submit(ask(500))
    long = queue.claim(worker(), LANES)
    assert long
    queue.submit(ask(400))
    assert queue.claim(worker(), LANES, above=long.priority) is None
    short = queue.submit(ask(1))
    row = queue.claim(worker(), LANES, above=long.priority)
    assert row
    assert row.id == short


def test_a_run_is_claimed_once_by_eight_hungry_workers(queue: Queue) -> None:
    asked = {queue.submit(ask()) for _ in range(40)}
    got: list[str] = []

    def eat(number: int) -> None:
        while row := queue.claim(worker(number), LANES):
            got.append(row.id)
        queue.close()

    threads = [threading.Thread(target=eat, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 40
    assert set(got) == asked


def test_a_worker_takes_only_its_lane(queue: Queue) -> None:
    queue.submit(ask())
    assert queue.claim(worker(), ("device",)) is None
    assert queue.claim(worker(), ("cpu",)) is not None


def test_a_live_lease_is_respected_and_an_old_one_is_not(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    run = queue.submit(ask())
    monkeypatch.setattr(queues, "LEASE_S", 0.2)
    assert queue.claim(worker(1), LANES)
    assert queue.claim(worker(2), LANES) is None
    time.sleep(0.25)
    row = queue.claim(worker(2), LANES)
    assert row
    assert row.id == run


def test_a_dead_process_loses_its_run_at_once(queue: Queue) -> None:
    run = queue.submit(ask(), owner=dead())
    row = queue.claim(worker(), LANES)
    assert row
    assert row.id == run


def test_a_later_process_with_the_same_number_is_not_the_owner() -> None:
    me = Owner.me()
    assert not me.gone()
    assert Owner(me.host, me.pid, me.born - 1000).gone()
    assert not Owner("another-host", 1, psutil.boot_time()).gone()


def test_who_lost_the_lease_writes_nothing_more(queue: Queue) -> None:
    run = queue.submit(ask(), owner=dead())
    old = queue.get(run).owner
    assert old
    queue.claim(worker(), LANES)
    for call in (
        lambda: queue.progress(run, old, 1, 1, ""),
        lambda: queue.start_item(run, old, 0),
        lambda: queue.finish_item(run, old, 0, {}),
        lambda: queue.end(run, old, "done"),
    ):
        with pytest.raises(LostLease):
            call()
    assert queue.get(run).state == "running"
    assert queue.finished(run) == {}


def test_three_deaths_on_one_item_without_progress_set_the_run_aside(queue: Queue) -> None:
    run = queue.submit(ask(5), owner=worker())
    for _ in range(3):
        queue.start_item(run, worker(), 2)
    with pytest.raises(Quarantined, match=r"picture 2 of .* took its worker down 3 times"):
        queue.start_item(run, worker(), 2)
    queue.end(run, worker(), "quarantined", "quarantined", "it did")
    assert queue.claim(worker(2), LANES) is None
    queue.resume(run)
    assert queue.claim(worker(2), LANES) is not None
    queue.start_item(run, worker(2), 2)


def test_progress_and_a_clean_goodbye_reset_the_count(queue: Queue) -> None:
    run = queue.submit(ask(5), owner=worker())
    for _ in range(7):
        queue.start_item(run, worker(), 0)
        queue.finish_item(run, worker(), 0, {"file": "x"})
    for _ in range(7):
        queue.start_item(run, worker(), 1)
        queue.leave(worker())
        assert queue.claim(worker(), LANES)
    assert queue.finished(run).keys() == {0}


def test_stop_of_a_waiting_run_is_at_once_and_of_a_held_one_when_its_worker_confirms(queue: Queue) -> None:
    waiting = queue.submit(ask())
    assert queue.stop(waiting).state == "cancelled"
    held = queue.submit(ask(), owner=worker())
    assert queue.stop(held).state == "running"
    assert queue.progress(held, worker(), 0, 1, "") is True
    queue.end(held, worker(), "cancelled")
    assert queue.get(held).state == "cancelled"


def test_stop_of_a_run_whose_worker_died_needs_no_worker(queue: Queue) -> None:
    run = queue.submit(ask(), owner=dead())
    assert queue.stop(run).state == "cancelled"


def test_what_was_finished_stays_listed_and_resume_goes_on_from_there(queue: Queue) -> None:
    run = queue.submit(ask(3), owner=worker())
    queue.start_item(run, worker(), 0)
    queue.finish_item(run, worker(), 0, {"file": "images/00000.png"})
    queue.stop(run)
    queue.end(run, worker(), "cancelled")
    assert queue.rows(run) == [{"file": "images/00000.png"}]
    assert queue.resume(run).state == "queued"
    assert queue.finished(run).keys() == {0}
    assert not queue.get(run).stop


def test_resume_of_a_done_or_held_run_changes_nothing(queue: Queue) -> None:
    done = queue.submit(ask(), owner=worker())
    queue.end(done, worker(), "done")
    held = queue.submit(ask(), owner=worker())
    before = queue.get(done), queue.get(held)
    assert (queue.resume(done), queue.resume(held)) == before


def test_a_run_that_is_over_is_reopened_without_what_failed(queue: Queue) -> None:
    run, one = queue.submit(ask(3)), worker()
    assert queue.claim(one, ("cpu",)) is not None
    with pytest.raises(Problem, match="not over yet"):
        queue.reopen(run)
    for index, row in enumerate(({"file": "a"}, {"failed": "no room"}, {"file": "c"})):
        queue.start_item(run, one, index)
        queue.finish_item(run, one, index, row)
    queue.end(run, one, "done")
    again = queue.reopen(run, "failed", ask(4))
    assert (again.state, again.done, again.request["num_images"]) == ("queued", 2, 4)
    assert sorted(queue.finished(run)) == [0, 2]
    assert queue.claim(one, ("cpu",)) is not None


def test_resume_takes_over_from_a_host_that_is_gone(queue: Queue) -> None:
    run = queue.submit(ask(), owner=worker(1))
    queue._db.execute("UPDATE run SET lease=1")
    assert queue.resume(run, Owner.me()).owner == Owner.me()


def test_one_run_goes_back_in_line_and_others_stay_held(queue: Queue) -> None:
    one, other = queue.submit(ask(), owner=worker()), queue.submit(ask(), owner=worker())
    queue.hand_back(one, worker())
    assert (queue.get(one).state, queue.get(other).state) == ("queued", "running")
    queue.hand_back(other, worker(2))  # not its own
    assert queue.get(other).owner == worker()


def test_a_damaged_job_table_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "queue.db").write_bytes(b"no database " * 500)
    with pytest.raises(Problem, match=r"queue\.db is damaged .*: move it away and start again"):
        Queue(tmp_path)


def test_a_finished_run_is_all_done_however_its_parts_were_counted(queue: Queue) -> None:
    run = queue.submit(ask(), owner=worker())
    queue.progress(run, worker(), 3, 250, "")
    queue.finish_item(run, worker(), 0, {})
    queue.end(run, worker(), "done")
    row = queue.get(run)
    assert row.done == row.total == 250


def test_a_full_disk_waits_until_there_is_room(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    run = queue.submit(ask(), owner=worker())
    monkeypatch.setattr(queues, "RETRY_DISK_S", -1.0)
    queue.end(run, worker(), "waiting_disk", "disk_full", "full")
    monkeypatch.setattr(Queue, "_free", lambda self: 0)
    assert queue.claim(worker(), LANES) is None
    monkeypatch.setattr(Queue, "_free", lambda self: 2**40)
    row = queue.claim(worker(), LANES)
    assert row
    assert row.id == run


def test_runs_are_listed_newest_first_page_by_page(queue: Queue) -> None:
    asked = [queue.submit(ask()) for _ in range(5)]
    first = queue.newest(limit=2)
    second = queue.newest(after=first[-1].id, limit=10)
    assert [row.id for row in first + second] == asked[::-1]


def test_an_unknown_run_is_named(queue: Queue) -> None:
    for call in (queue.get, queue.stop, queue.resume):
        with pytest.raises(Missing, match="no run 'x'"):
            call("x")


def test_a_worker_is_listed_while_it_lives(queue: Queue) -> None:
    queue.beat(Owner.me(), "cpu", ("cpu",))
    queue.beat(dead(), "cpu", ("cpu",))
    assert [one["pid"] for one in queue.workers()] == [os.getpid()]
    queue.leave(Owner.me())
    assert queue.workers() == []


def test_a_runs_folder_that_is_a_file_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(Problem, match="make it writable or choose another with --runs"):
        Queue(tmp_path / "runs")


def test_what_a_worker_says_of_itself_is_told_with_it_and_goes_with_it(queue: Queue) -> None:
    queue.beat(Owner.me(), "cpu", ("device",), {"title": "CPU", "held_bytes": 5})
    queue.beat(Owner.me(), "cpu", ("device",), {"title": "CPU", "held_bytes": 6})
    queue.beat(worker(), "cpu", ("cpu",))
    said = {one["owner"]: one["report"] for one in queue.workers()}
    assert said == {Owner.me(): {"title": "CPU", "held_bytes": 6}, worker(): {}}
    queue.leave(Owner.me())
    assert queue.reading.execute("SELECT count(*) FROM report").fetchone()[0] == 1


def test_a_report_is_never_taken_for_that_of_a_later_worker_with_the_same_number(queue: Queue) -> None:
    queue.beat(worker(), "cpu", ("cpu",), {"title": "the first"})
    later = Owner("elsewhere", 1, 2.0)
    queue.reading.execute("UPDATE worker SET born=2.0")  # as an older Flawsmith beats, which knows of no reports
    assert [(one["owner"], one["report"]) for one in queue.workers()] == [(later, {})]


def test_workers_that_were_killed_long_ago_are_forgotten(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.beat(dead(), "cpu", ("cpu",), {"title": "gone"})
    monkeypatch.setattr(queues, "FORGET_S", 0.05)
    time.sleep(0.1)
    queue.beat(Owner.me(), "cpu", ("cpu",))
    for table in ("worker", "report"):
        assert [row["pid"] for row in queue.reading.execute(f"SELECT pid FROM {table}")] == [os.getpid()]


def test_a_job_table_of_an_earlier_version_is_gone_on_with_and_that_version_can_go_on_too(runs: Path) -> None:
    old = sqlite3.connect(runs / "queue.db", isolation_level=None)
    old.execute(
        "CREATE TABLE worker(host TEXT NOT NULL, pid INTEGER NOT NULL, born REAL NOT NULL, device TEXT NOT NULL,"
        " lanes TEXT NOT NULL, seen REAL NOT NULL, PRIMARY KEY(host, pid))"
    )
    beat = "INSERT INTO worker VALUES(?,?,?,?,?,?)"
    old.execute(beat, ("elsewhere", 1, 1.0, "cpu", "cpu", time.time()))
    queue = Queue(runs)
    queue.beat(Owner.me(), "cpu", ("device",), {"title": "new"})
    old.execute(beat, ("elsewhere", 2, 1.0, "cpu", "cpu", time.time()))
    assert [one["report"] for one in queue.workers()] == [{}, {}, {"title": "new"}]
    old.close()


def test_a_worker_that_finds_nothing_free_leaves_the_tables_lock_alone(queue: Queue) -> None:
    """Ten times a second each idle worker looks; whoever has something to write should not wait for it."""
    queue.submit(ask(), owner=worker())
    other = sqlite3.connect(queue.runs / "queue.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    assert queue.claim(worker(2), LANES) is None
    assert time.monotonic() - began < 1
    other.execute("ROLLBACK")
    other.close()


def test_a_claim_reads_no_request_but_its_own(queue: Queue) -> None:
    queue.submit(ask(), owner=worker())
    queue.reading.execute("UPDATE run SET request='{'")
    mine = queue.submit(ask())
    row = queue.claim(worker(2), LANES)
    assert row
    assert row.id == mine


def test_a_run_that_changed_hands_after_it_was_looked_at_is_not_claimed(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = queue.submit(ask())
    looked_at = Queue._can_be_had

    def meanwhile(self: Queue, *found: Any) -> bool:
        monkeypatch.setattr(Queue, "_can_be_had", looked_at)
        assert queue.claim(worker(1), LANES)
        return looked_at(self, *found)

    monkeypatch.setattr(Queue, "_can_be_had", meanwhile)
    assert queue.claim(worker(2), LANES) is None
    assert queue.get(run).owner == worker(1)


def test_what_is_not_over_is_counted(queue: Queue) -> None:
    queue.end(queue.submit(ask(), owner=worker()), worker(), "done")
    queue.submit(ask(), owner=worker())
    queue.submit(ask())
    assert queue.count_open() == len(queue.open()) == 2
