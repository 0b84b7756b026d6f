"""The index of finished pictures: complete, in order, page by page, and never a second truth beside the runs."""

import json
from collections import Counter
from pathlib import Path

import pytest

from pipelines.core import runs as folders
from pipelines.core.errors import Missing
from pipelines.core.gallery import Filter, Gallery
from pipelines.core.queue import Owner, Queue
from pipelines.core.requests import Inpaint

ME = Owner("elsewhere", 1, 1.0)
EVERY = Filter()
DEFECTS = ("scratch", "dent", "scratch+dent")


def finish(queue: Queue, count: int = 3, *, done: int | None = None, run: str | None = None, source: str = "a") -> str:
    """A run of so many pictures, `done` of them finished: its rows, and files that are only there."""
    request = Inpaint(image="a.png", mask="m.png", defect="scratch", num_images=count)
    run = queue.submit(request, owner=ME) if run is None else run
    folder = queue.runs / run
    (folder / "images" / "000").mkdir(parents=True, exist_ok=True)
    for index in set(range(count if done is None else done)) - set(queue.finished(run)):
        stem = folders.name(index, count)
        (folder / "images" / f"{stem}.png").write_bytes(b"")
        row = {
            "file": f"images/{stem}.png",
            "thumb": f"thumbs/{stem}.jpg",
            "defect": DEFECTS[index % 3],
            "regions": [{}] * (1 + (index % 3 == 2)),
            "source": {"sha256": source, "name": f"{source}.png"},
            "scores": {"visibility": float(index), "fidelity": index / 10},
        }
        queue.start_item(run, ME, index)
        queue.finish_item(run, ME, index, row)
    return run


@pytest.fixture
def queue(runs: Path) -> Queue:
    return Queue(runs)


@pytest.fixture
def gallery(runs: Path) -> Gallery:
    return Gallery(runs)


def ids(gallery: Gallery, wanted: Filter = EVERY) -> list[str]:
    gallery.refresh()
    return [one.id for one in gallery.page(wanted)]


def test_newest_first_and_every_picture_on_exactly_one_page(queue: Queue, gallery: Gallery) -> None:
    first, second = finish(queue, 3), finish(queue, 4)
    expected = [f"{second}/0000{k}" for k in (3, 2, 1, 0)] + [f"{first}/0000{k}" for k in (2, 1, 0)]
    assert ids(gallery) == expected
    seen, before = [], None
    while page := gallery.page(Filter(), before=before, limit=3):
        seen += [one.id for one in page]
        before = page[-1].key
    assert seen == expected
    back = gallery.page(Filter(), after=page_key(gallery, expected[5]), limit=3)
    assert [one.id for one in back] == expected[2:5]


def page_key(gallery: Gallery, id: str) -> int:
    return gallery.named([id])[0].key


def test_what_a_running_run_adds_is_taken_in_once(queue: Queue, gallery: Gallery) -> None:
    run = finish(queue, 5, done=2)
    assert len(ids(gallery)) == 2
    finish(queue, 5, done=4, run=run)
    assert len(ids(gallery)) == 4
    queue.end(run, ME, "cancelled")
    queue.resume(run, ME)
    finish(queue, 5, run=run)
    assert len(ids(gallery)) == len(set(ids(gallery))) == 5


def test_a_run_of_more_than_a_thousand_goes_by_its_fanned_out_names(queue: Queue, gallery: Gallery) -> None:
    run = finish(queue, 1500, done=2)
    assert ids(gallery) == [f"{run}/000/00001", f"{run}/000/00000"]
    assert gallery.named([f"{run}/000/00001"])[0].index == 1


def test_verdicts_follow_review_json_whoever_wrote_it(queue: Queue, gallery: Gallery) -> None:
    run = finish(queue)
    folders.judge(queue.runs / run, {"00000": "kept", "00001": "deleted"})
    assert ids(gallery) == [f"{run}/00002", f"{run}/00000"]
    assert gallery.verdicts(Filter(verdict="kept")) == {"": 1, "kept": 1, "deleted": 1}
    (queue.runs / run / "review.json").write_text(json.dumps({"00002": "discarded"}))
    assert ids(gallery, Filter(verdict="discarded")) == [f"{run}/00002"]
    (queue.runs / run / "review.json").unlink()
    assert len(ids(gallery, Filter(verdict="undecided"))) == 3


@pytest.mark.parametrize(
    ("wanted", "indices"),
    [
        (Filter(defect="dent"), [5, 4, 2, 1]),
        (Filter(defect="scratch"), [5, 3, 2, 0]),
        (Filter(defect="den"), []),
        (Filter(source="a"), [5, 4, 3, 2, 1, 0]),
        (Filter(source="b"), []),
        (Filter(visibility=(2, 4)), [4, 3, 2]),
        (Filter(fidelity=(None, 0.1)), [1, 0]),
        (Filter(visibility=(1, None), fidelity=(None, 0.3), defect="scratch"), [3, 2]),
        (Filter(since=0, until=1), []),
        (Filter(since=1), [5, 4, 3, 2, 1, 0]),
    ],
)
def test_a_filter_finds_what_it_says(queue: Queue, gallery: Gallery, wanted: Filter, indices: list[int]) -> None:
    finish(queue, 6)
    gallery.refresh()
    assert [one.index for one in gallery.page(wanted)] == indices
    assert gallery.count(wanted) == len(indices)


def test_menus_count_pictures(queue: Queue, gallery: Gallery) -> None:
    first, second = finish(queue, 3), finish(queue, 2, source="b")
    gallery.refresh()
    assert gallery.defects() == [("dent", 3), ("scratch", 3)]
    assert gallery.sources(10) == [("a", "a.png", 3), ("b", "b.png", 2)]
    assert gallery.newest_runs(10) == [(second, 2), (first, 3)]
    assert gallery.named([f"{first}/00002"])[0].areas == 2


@pytest.mark.parametrize("wanted", [EVERY, Filter(defect="dent"), Filter(verdict="kept"), Filter(visibility=(1, 4))])
def test_groups_count_just_the_pictures_that_are_found(queue: Queue, gallery: Gallery, wanted: Filter) -> None:
    run = finish(queue, 6)
    finish(queue, 4, source="b")
    folders.judge(queue.runs / run, {"00001": "kept", "00002": "kept", "00003": "deleted"})
    gallery.refresh()
    alone: Counter[object] = Counter()
    for one in gallery.every(wanted):
        alone[one.run, one.source, one.defects, one.areas, one.verdict] += 1
    groups = gallery.groups(wanted)
    assert {(one.run, one.source, one.defects, one.areas, one.verdict): one.count for one in groups} == alone
    assert len(groups) == len(alone)


def test_pictures_without_a_source_are_not_thrown_together(queue: Queue, gallery: Gallery) -> None:
    run = queue.submit(Inpaint(image="a.png", mask="m.png", defect="dent", num_images=2), owner=ME)
    for index in range(2):
        row = {"file": f"images/0000{index}.png", "thumb": "t.jpg", "defect": "dent", "regions": [{}]}
        queue.start_item(run, ME, index)
        queue.finish_item(run, ME, index, row)
    gallery.refresh()
    assert [(one.stem, one.source, one.count) for one in gallery.groups(EVERY)] == [
        ("00000", None, 1),
        ("00001", None, 1),
    ]


def test_an_index_that_was_deleted_is_made_again(queue: Queue, gallery: Gallery, runs: Path) -> None:
    run = finish(queue)
    folders.judge(runs / run, {"00001": "kept"})
    before = ids(gallery, Filter(verdict="kept"))
    gallery.close()
    for file in runs.glob("gallery.db*"):
        file.unlink()
    assert ids(Gallery(runs), Filter(verdict="kept")) == before == [f"{run}/00001"]


def test_a_run_that_makes_no_picture_is_not_in_it(queue: Queue, gallery: Gallery) -> None:
    run = queue.submit(Inpaint(image="a.png", mask="m.png", defect="scratch"), owner=ME)
    queue.start_item(run, ME, 0)
    queue.finish_item(run, ME, 0, {"output": "export.zip"})
    assert ids(gallery) == []
    assert gallery.newest_runs(5) == []
    with pytest.raises(Missing, match="there is no picture 'x/00000'"):
        gallery.named(["x/00000"])
