"""Emptying the trash: the files go and so do their lines, what stays stays, and no kill leaves a half of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.core import images, requests, trash
from pipelines.core import runs as folders
from pipelines.core.assets import Assets
from pipelines.core.errors import Missing, Problem
from pipelines.core.gallery import Filter, Gallery
from pipelines.core.queue import Owner, Queue
from pipelines.core.requests import Export
from pipelines.parts import datasets
from pipelines.worker import Worker
from tests import pictures


@pytest.fixture
def queue(runs: Path) -> Queue:
    return Queue(runs)


@pytest.fixture
def run(queue: Queue) -> str:
    """Four dents, really drawn, in two regions each."""
    part = images.encode_png(pictures.good())
    mask = images.encode_png(pictures.disc())
    image, painted = (Assets(queue.runs).put(data, f"{name}.png").id for data, name in ((part, "part"), (mask, "mask")))
    areas = [{"mask": painted, "defect": "dent"}, {"mask": painted, "defect": "hole"}]
    id = queue.submit(requests.parse({"task": "inpaint", "image": image, "regions": areas, "num_images": 4}))
    work(queue)
    return id


def work(queue: Queue) -> None:
    with Worker(queue.runs, "cpu", ("cpu",)) as worker:
        while row := worker.queue.claim(worker.owner, worker.lanes):
            worker.serve(row)


def files_of(folder: Path, stem: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(f"{stem}*"))


def manifest(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def test_the_files_go_with_their_lines_and_the_rest_stays(queue: Queue, run: str) -> None:
    folder = queue.runs / run
    doomed = sum((folder / name).stat().st_size for name in files_of(folder, "00001"))
    assert len(files_of(folder, "00001")) == 6  # picture, both masks, two regions, thumbnail
    before = files_of(folder, "00002"), manifest(folder)
    folders.judge(folder, {"00001": "deleted", "00002": "kept"})
    freed = trash.empty(queue)
    assert (freed.pictures, freed.bytes, freed.runs, freed.waiting) == (1, doomed, (run,), 0)
    assert files_of(folder, "00001") == []
    assert (files_of(folder, "00002"), manifest(folder)) == (before[0], [before[1][k] for k in (0, 2, 3)])
    assert folders.verdicts(folder) == {"00002": "kept"}
    assert [sample.image.stem for sample in datasets.load_run(folder)] == ["00000", "00002", "00003"]


def test_it_is_gone_from_the_index_too(queue: Queue, run: str) -> None:
    gallery = Gallery(queue.runs)
    gallery.refresh()
    folders.judge(queue.runs / run, {"00001": "deleted"})
    gallery.retake(trash.empty(queue).runs)
    assert gallery.verdicts(Filter()) == {"": 3}
    with pytest.raises(Missing):
        gallery.named([f"{run}/00001"])


@pytest.mark.parametrize("step", ["list_finished", "_unlink", "write_json"])
def test_what_was_cut_short_is_finished_the_next_time(
    queue: Queue, run: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, place = queue.runs / run, {"list_finished": folders, "_unlink": trash, "write_json": folders.files}[step]
    folders.judge(folder, {"00000": "deleted", "00003": "deleted"})

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(place, step, killed)
        with pytest.raises(KeyboardInterrupt):
            trash.empty(queue)
    assert folders.verdicts(folder) == {"00000": "deleted", "00003": "deleted"}
    assert [sample.image.stem for sample in datasets.load_run(folder)] == ["00001", "00002"]
    assert trash.empty(queue).pictures == 2
    assert files_of(folder, "00000") == files_of(folder, "00003") == []
    assert [row["file"] for row in manifest(folder)] == ["images/00001.png", "images/00002.png"]
    assert folders.verdicts(folder) == {}


def test_a_run_that_goes_on_does_not_make_it_again(queue: Queue, run: str) -> None:
    folders.judge(queue.runs / run, {"00001": "deleted"})
    trash.empty(queue)
    with queue.writing() as db:  # as if it had been stopped before its end
        db.execute("UPDATE run SET state='cancelled', done=4 WHERE id=?", (run,))
    queue.resume(run)
    work(queue)
    assert queue.get(run).state == "done"
    assert files_of(queue.runs / run, "00001") == []
    assert len(manifest(queue.runs / run)) == 3


def test_pictures_of_a_run_that_is_not_over_wait(queue: Queue, run: str) -> None:
    folders.judge(queue.runs / run, {"00001": "deleted"})
    with queue.writing() as db:
        db.execute("UPDATE run SET state='queued' WHERE id=?", (run,))
    freed = trash.empty(queue)
    assert (freed.pictures, freed.waiting) == (0, 1)
    assert len(files_of(queue.runs / run, "00001")) == 6


def test_an_export_that_reads_them_is_not_disturbed(queue: Queue, run: str) -> None:
    folders.judge(queue.runs / run, {"00001": "deleted"})
    queue.submit(Export(data=(run,)), owner=Owner("elsewhere", 1, 1.0))
    with pytest.raises(Problem, match="a data set is being written just now"):
        trash.empty(queue)
    assert len(files_of(queue.runs / run, "00001")) == 6


def test_a_picture_that_was_taken_back_stays(queue: Queue, run: str) -> None:
    folders.judge(queue.runs / run, {"00001": "deleted"})
    folders.judge(queue.runs / run, {"00001": None})
    assert trash.empty(queue) == trash.Freed(0, 0, (), 0)
    assert len(manifest(queue.runs / run)) == 4
