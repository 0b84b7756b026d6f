"""A run's folder: what is written, in which order, and what a person decides about it."""

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipelines.core import images
from pipelines.core.errors import BadInput, Cancelled, LostLease, Missing
from pipelines.core.queue import Owner, Queue
from pipelines.core.requests import Inpaint, parse
from pipelines.core.runs import Painted, Run, Verdict, judge, name, verdicts
from tests import pictures

ME = Owner("elsewhere", 1, 1.0)


def started(folder: Path, count: int = 3) -> tuple[Queue, Run]:
    queue = Queue(folder)
    request = parse({**Inpaint.skeleton, "task": "inpaint", "num_images": count})
    return queue, Run(queue, queue.submit(request, owner=ME), request, ME)


def painted(*, regions: int = 1) -> Painted:
    asked, changed = pictures.disc(), pictures.disc(radius=9)
    return Painted(
        picture=pictures.good(),
        asked=asked,
        changed=changed,
        label="changed",
        regions=[(changed, {"defect": "hole"})] * regions,
        request={"task": "inpaint"},
        row={"defect": "hole", "seed": 0},
    )


def test_a_run_begins_with_its_request(runs: Path) -> None:
    _, run = started(runs)
    assert parse(json.loads((run.folder / "request.json").read_text())) == run.request


def test_a_saved_picture_has_both_masks_a_thumbnail_and_a_row(runs: Path) -> None:
    queue, run = started(runs)
    row = run.save(0, painted())
    for key in ("file", "mask", "asked", "thumb"):
        assert (run.folder / row[key]).is_file()
    assert (images.read_mask(run.folder / row["mask"]) == pictures.disc(radius=9)).all()
    assert (images.read_mask(run.folder / row["asked"]) == pictures.disc()).all()
    assert row["regions"] == [{"mask": row["mask"], "defect": "hole"}]
    assert queue.rows(run.id) == [row]


def test_several_regions_have_a_mask_each(runs: Path) -> None:
    _, run = started(runs)
    row = run.save(1, painted(regions=2))
    assert [region["mask"] for region in row["regions"]] == ["masks/00001.r1.png", "masks/00001.r2.png"]
    assert all((run.folder / region["mask"]).is_file() for region in row["regions"])


def test_items_leave_out_what_is_done(runs: Path) -> None:
    queue, run = started(runs)
    run.save(1, painted())
    assert list(run.items(3)) == [0, 2]
    assert list(Run(queue, run.id, run.request, ME).items(3)) == [0, 2]


def test_a_picture_that_was_removed_by_hand_is_made_again(runs: Path) -> None:
    queue, run = started(runs)
    for index in range(3):
        run.save(index, painted())
    (run.folder / "images" / "00001.png").unlink()
    assert list(Run(queue, run.id, run.request, ME).items(3)) == [1]
    shutil.rmtree(run.folder)
    assert list(Run(queue, run.id, run.request, ME).items(3)) == [0, 1, 2]
    assert (run.folder / "request.json").exists()


def test_a_run_that_is_not_over_can_be_listed_so_far(runs: Path) -> None:
    queue, run = started(runs)
    run.save(0, painted())
    other = Run(queue, queue.submit(run.request, owner=ME), run.request, ME)
    other.bring_up_to_date([run.id, "no-such-run"])
    assert len((run.folder / "manifest.jsonl").read_text().splitlines()) == 1


def test_a_thousand_pictures_lie_in_one_folder_and_more_are_fanned_out() -> None:
    assert name(7, 1000) == "00007"
    assert name(7, 1001) == "000/00007"
    assert name(23_456, 100_000) == "023/23456"


def test_stop_is_heard_at_the_next_tick(runs: Path) -> None:
    queue, run = started(runs)
    queue.stop(run.id)
    with pytest.raises(Cancelled):
        run.tick(0, 3, force=True)


def test_ticks_are_told_at_most_ten_times_a_second(runs: Path) -> None:
    queue, run = started(runs)
    before = queue._db.total_changes
    start = time.monotonic()
    for number in range(3000):
        run.tick(number, 3000)
    allowed = (time.monotonic() - start) / 0.1 + 1
    assert 1 <= queue._db.total_changes - before <= allowed


def test_a_preview_is_a_small_picture(runs: Path) -> None:
    _, run = started(runs)
    run.tick(0, 1, preview=np.zeros((2000, 1000, 3), np.uint16))
    assert images.read(run.folder / "preview.jpg").height == 512


def test_the_manifest_has_a_line_a_picture_in_order(runs: Path) -> None:
    _, run = started(runs)
    for index in (2, 0, 1):
        run.save(index, painted())
    run.write_manifest()
    lines = [json.loads(line) for line in (run.folder / "manifest.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == [f"images/0000{k}.png" for k in range(3)]


def test_a_run_that_lost_its_lease_saves_nothing(runs: Path) -> None:
    queue, run = started(runs)
    queue._db.execute("UPDATE run SET pid=2")
    with pytest.raises(LostLease):
        run.save(0, painted())
    assert queue.finished(run.id) == {}


def test_verdicts_are_kept_changed_and_taken_back(runs: Path) -> None:
    _, run = started(runs)
    run.save(0, painted())
    steps: list[tuple[Verdict | None, dict[str, Verdict]]] = [
        ("kept", {"00000": "kept"}),
        ("discarded", {"00000": "discarded"}),
        ("deleted", {"00000": "deleted"}),
        (None, {}),
    ]
    for verdict, after in steps:
        assert judge(run.folder, {"00000": verdict}) == after
        assert verdicts(run.folder) == after


def test_a_verdict_on_nothing_is_refused(runs: Path) -> None:
    _, run = started(runs)
    run.save(0, painted())
    with pytest.raises(Missing, match="has no picture 00007"):
        judge(run.folder, {"00000": "kept", "00007": "kept"})
    with pytest.raises(BadInput):
        judge(run.folder, {"../../x": "kept"})
    assert verdicts(run.folder) == {}


def test_verdicts_given_at_once_are_all_heard(runs: Path) -> None:
    _, run = started(runs, 24)
    for index in range(24):
        run.save(index, painted())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: judge(run.folder, {f"{index:05d}": "kept"}), range(24)))
    assert len(verdicts(run.folder)) == 24
