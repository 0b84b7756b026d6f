"""Projects: what two windows write at once, what a kill leaves, what damage costs, what comes back after a deletion."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from pipelines.core import images, projects, records
from pipelines.core.assets import Asset, Assets
from pipelines.core.errors import BadInput, Missing, Problem
from pipelines.core.projects import Projects

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(runs: Path) -> Projects:
    return Projects(runs)


def parts(runs: Path, count: int) -> list[Asset]:
    data = images.encode_png(np.zeros((4, 4), np.uint8))
    return [Assets(runs).put(data, f"part {place}.png") for place in range(count)]


def names(store: Projects) -> list[str]:
    return [one.name for one in store.every().projects]


def shown(store: Projects, id: str) -> list[str]:
    return store.records(id).assets()


def test_the_project_changed_last_comes_first(store: Projects) -> None:
    first, second = store.create("Housing"), store.create("螺丝 カメラ2")
    assert names(store) == ["螺丝 カメラ2", "Housing"]
    store.change(first.id, name="  Housing,\n camera 2 ")
    assert names(store) == ["Housing, camera 2", "螺丝 カメラ2"]
    assert store.newest(second.id) == second
    assert store.newest("project-ffffffffffff") == store.get(first.id)


def test_pictures_keep_their_order_and_none_is_there_twice(store: Projects, runs: Path) -> None:
    id, (a, b, c, d) = store.create("x").id, parts(runs, 4)
    store.add(id, [a, b])
    found = store.add(id, [b, c, c, d])
    assert (found.added, found.already) == ((c.id, d.id), (b.id,))
    assert shown(store, id) == [a.id, b.id, c.id, d.id]
    assert [one.name for one in store.records(id).page()] == [f"part {place}.png" for place in range(4)]


def test_a_removal_is_taken_back_to_the_very_places(store: Projects, runs: Path) -> None:
    id, assets = store.create("x").id, parts(runs, 6)
    store.add(id, assets)
    store.change(id, open=assets[3].id)
    taken = store.remove(id, [assets[3].id, assets[0].id, assets[5].id])
    assert (taken.what, taken.count) == ("remove", 3)
    assert shown(store, id) == [assets[1].id, assets[2].id, assets[4].id]
    assert store.get(id).open == ""
    back = store.records(id).undo()
    assert back is not None
    assert back.assets == (assets[0].id, assets[3].id, assets[5].id)
    assert shown(store, id) == [one.id for one in assets]


def test_only_what_is_named_changes(store: Projects, runs: Path) -> None:
    id, (part,) = store.create("x").id, parts(runs, 1)
    store.add(id, [part])
    store.change(id, open=part.id, form={"seed": 7, "severity": 0.5})
    store.change(id, form={"severity": 0.9})
    store.change(id, product="steel")
    found = store.get(id)
    assert (found.name, found.open, found.product) == ("x", part.id, "steel")
    assert found.form == {"seed": 7, "severity": 0.9}


def test_nothing_changed_is_nothing_written(store: Projects) -> None:
    project = store.create("x")
    path = store.folder / project.id / projects.FILE
    before = path.stat().st_ino
    assert store.change(project.id, name="x", open="", form={}) == project
    assert path.stat().st_ino == before


def test_what_a_later_version_wrote_stays(store: Projects) -> None:
    id = store.create("x").id
    path = store.folder / id / projects.FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "captions": {"a": "rust"}}))
    store.change(id, name="y")
    assert json.loads(path.read_text())["captions"] == {"a": "rust"}


WRITER = """
import sys
from pathlib import Path
from pipelines.core.assets import Assets
from pipelines.core.projects import Projects
store, me = Projects(Path(sys.argv[1])), sys.argv[3]
assets = Assets(Path(sys.argv[1]))
for place in range(int(sys.argv[4])):
    store.change(sys.argv[2], form={f"{me} {place}": place})
    store.add(sys.argv[2], [assets.put(b"x", f"{me} {place}.txt")])
"""


def writer(runs: Path, id: str, name: str, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(runs), id, name, str(count)], cwd=ROOT)


def test_two_processes_and_two_threads_lose_nothing_of_each_others(store: Projects, runs: Path) -> None:
    id = store.create("x").id

    def write(name: str) -> None:
        for place in range(25):
            store.change(id, form={f"{name} {place}": place})

    threads = [threading.Thread(target=write, args=(name,)) for name in ("c", "d")]
    running = [writer(runs, id, name, 25) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait(60) for process in running] == [0, 0]
    found = store.get(id)
    assert len(found.form) == 100
    assert store.records(id).count() == 50


def test_a_kill_leaves_a_whole_project_and_no_lock(store: Projects, runs: Path) -> None:
    id = store.create("x").id
    for attempt in range(3):
        process = writer(runs, id, f"kill {attempt}", 10_000)
        deadline = time.monotonic() + 30
        while len(store.get(id).form) < 5 * (attempt + 1):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        known = store.get(id).form
        store.change(id, name=f"after {attempt}")
        assert store.get(id).form == known


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'{"name": 1}', b"\xff\xfe", b'{"name":"x","made":1,"changed":1,"pictures":[{}]}']
)
def test_a_damaged_project_costs_one_sentence_and_no_other_project(store: Projects, content: bytes) -> None:
    good, bad = store.create("good"), store.create("bad")
    (store.folder / bad.id / projects.FILE).write_bytes(content)
    found = store.every()
    assert [one.name for one in found.projects] == ["good"]
    assert len(found.damaged) == 1
    assert bad.id in found.damaged[0]
    assert store.newest(bad.id) == good
    with pytest.raises(Problem, match="damaged"):
        store.change(bad.id, name="y")
    store.delete(bad.id)
    assert store.every().damaged == ()


def test_a_deleted_project_comes_back_with_its_drafts(store: Projects, runs: Path) -> None:
    project, (part,) = store.create("x"), parts(runs, 1)
    store.keep_draft(project.id, part.id, b'{"strokes": [1]}')
    store.delete(project.id)
    assert store.every().projects == ()
    for refused in (store.get, store.delete):
        with pytest.raises(Missing, match=project.id):
            refused(project.id)
    with pytest.raises(Missing, match=project.id):
        store.keep_draft(project.id, part.id, b"1")
    assert store.restore(project.id) == project
    assert store.draft(project.id, part.id) == b'{"strokes": [1]}'
    with pytest.raises(Missing):
        store.restore(project.id)


def test_the_first_project_is_made_once_however_many_ask(store: Projects) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(store.settle("", "Untitled").id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert names(store) == ["Untitled"]


def test_a_draft_is_kept_as_it_was_given_and_forgotten_by_null(store: Projects, runs: Path) -> None:
    id, (part,) = store.create("x").id, parts(runs, 1)
    assert store.draft(id, part.id) is None
    given = '{"areas":[{"points":[[1.5,2]],"name":"划痕"}]}'.encode()
    store.keep_draft(id, part.id, given)
    assert store.draft(id, part.id) == given
    for bad in (b"{", b"NaN", b"[" * 100_000, b'"' + b"x" * projects.MAX_DRAFT + b'"'):
        with pytest.raises(BadInput, match="what is painted"):
            store.keep_draft(id, part.id, bad)
    assert store.draft(id, part.id) == given
    store.keep_draft(id, part.id, b"null")
    assert store.draft(id, part.id) is None


@pytest.mark.parametrize("asset", ["../project", "asset-0123", "asset-" + "0" * 20 + "/../../x"])
def test_a_draft_stays_in_its_folder(store: Projects, asset: str) -> None:
    id = store.create("x").id
    with pytest.raises(Missing):
        store.keep_draft(id, asset, b"1")
    assert [one.name for one in (store.folder / id).iterdir()] == [projects.FILE]


@pytest.mark.parametrize("id", ["..", "", "project-1", "../assets", "project-0123456789ab/.."])
def test_what_is_no_project_is_missing(store: Projects, id: str) -> None:
    for asked in (store.get, store.delete, store.restore):
        with pytest.raises(Missing):
            asked(id)


def test_names_that_cannot_be_shown_are_refused(store: Projects) -> None:
    for name in ("", " \n\t ", "\u202e", "x" * 81):
        with pytest.raises(BadInput, match="name"):
            store.create(name)
    assert store.create("a\u202eb\x00c").name == "a b c"


def test_a_form_is_small_and_json(store: Projects) -> None:
    id = store.create("x").id
    for form in ({"a": float("nan")}, {"a": "\ud800"}, {"a": "x" * projects.MAX_FORM}):
        with pytest.raises(BadInput, match="the form"):
            store.change(id, form=form)
    assert store.get(id).form == {}


def test_the_pictures_that_an_older_version_listed_are_taken_over_once(store: Projects, runs: Path) -> None:
    id, assets = store.create("x").id, parts(runs, 3)
    path = store.folder / id / projects.FILE
    listed = [{"asset": one.id, "name": one.name} for one in assets]
    path.write_text(json.dumps({**json.loads(path.read_text()), "pictures": listed}))
    assert store.change(id, open=assets[2].id).open == assets[2].id
    store.remove(id, [assets[1].id])
    store.change(id, name="y")
    assert shown(store, id) == [assets[0].id, assets[2].id]


def test_a_project_has_an_end(store: Projects, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST", 3)
    id, assets = store.create("x").id, parts(runs, 4)
    store.add(id, assets[:3])
    with pytest.raises(BadInput, match="begin another"):
        store.add(id, assets)
    assert len(store.add(id, assets[:3]).already) == 3
