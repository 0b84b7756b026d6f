"""A project packed, moved to another studio and opened again: equal to the byte; damage on the way is told."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import images
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Missing
from pipelines.core.models import Models
from pipelines.core.projects import Projects
from pipelines.core.queue import Owner, Queue
from pipelines.core.requests.pack import Pack
from pipelines.core.runs import Run
from pipelines.dataset import pack
from pipelines.parts import loaders
from tests import pictures
from tests.dataset.test_ingest import DISC, done


@pytest.fixture
def home(runs: Path) -> str:
    """Two pictures with all that can be known of them, and one that was taken out."""
    store, assets = Projects(runs), Assets(runs)
    kept = [
        assets.put(images.encode_png(pictures.good(seed=seed, bits=16, grey=True)), "部品.png") for seed in range(3)
    ]
    mask = assets.put(images.encode_png(DISC.astype(np.uint8) * 255), "mask.png").id
    box = {"x0": 1, "y0": 2, "x1": 9, "y1": 8, "defect": "dent", "mask": mask}
    known = [
        {"defect": "scratch", "mask": mask, "caption": "a scratch", "tags": "old, wet", "part": "test", "origin": "a"},
        {"defect": "dent", "boxes": json.dumps([box]), "out": "empty_mask"},
    ]
    id = store.create("Housing 2").id
    store.add(id, kept, {one.id: said for one, said in zip(kept, known, strict=False)})
    store.remove(id, [kept[2].id])
    store.change(id, product="wood", form={"seed": 7})
    store.keep_draft(id, kept[0].id, b'{"done": []}')
    return id


def packed(runs: Path, id: str, output: Path) -> dict[str, Any]:
    request, queue, me = Pack(project=id, output=str(output)), Queue(runs), Owner.me()
    run = Run(queue, queue.submit(request, owner=me), request, me)
    pack.run(request, run, Models())
    found: dict[str, Any] = json.loads((run.folder / "result.json").read_text())
    return found


def test_a_project_is_the_same_after_it_was_moved(runs: Path, home: str, tmp_path: Path) -> None:
    assert packed(runs, home, tmp_path / "moved.zip")["images"] == 2
    assert packed(runs, home, tmp_path / "again.zip")["bytes"] == (tmp_path / "moved.zip").stat().st_size
    with zipfile.ZipFile(tmp_path / "moved.zip") as whole:
        whole.extractall(tmp_path / "moved")
    other = tmp_path / "other" / "runs"
    other.mkdir(parents=True)
    result = done(other, tmp_path / "moved")
    assert (result["images"], result["added"], result["classes"]) == (2, 2, {"dent": 1, "scratch": 1})
    here, there = Projects(runs), Projects(other)
    project = there.get(result["project"])
    assert (project.name, project.product, project.form) == ("Housing 2", "wood", {"seed": 7})
    assert there.records(project.id).page() == here.records(home).page()
    first, second = there.records(project.id).page()
    assert there.draft(project.id, first.asset) == b'{"done": []}'
    for id in (first.asset, first.mask, second.asset):
        assert Assets(other).get(id).path.read_bytes() == Assets(runs).get(id).path.read_bytes()
    assert [one.classes for one in loaders.load(tmp_path / "moved")] == [("scratch",)]
    again = done(other, tmp_path / "moved", project=project.id)
    assert (again["added"], again["pictures"]) == (0, 2)


def test_what_was_changed_or_lost_on_the_way_is_told(runs: Path, home: str, tmp_path: Path) -> None:
    packed(runs, home, tmp_path / "moved")
    other = tmp_path / "other"
    other.mkdir()
    one = sorted((tmp_path / "moved/files").iterdir())[0]
    whole = one.read_bytes()
    one.write_bytes(images.encode_png(np.zeros((4, 4), np.uint8)))
    with pytest.raises(BadInput, match="was changed since"):
        done(other, tmp_path / "moved")
    one.unlink()
    with pytest.raises(Missing, match="is not in the packed project"):
        done(other, tmp_path / "moved")
    one.write_bytes(whole)
    lines = tmp_path / "moved/pictures.jsonl"
    lines.write_text(lines.read_text().replace('"defect"', '"kind"', 1))
    with pytest.raises(BadInput, match=r"line 1 of pictures\.jsonl"):
        done(other, tmp_path / "moved")


def test_a_picture_that_is_gone_is_told_before_anything_is_there(runs: Path, home: str, tmp_path: Path) -> None:
    asset = Assets(runs).get(Projects(runs).records(home).page()[0].mask)
    asset.path.unlink()
    with pytest.raises(Missing):
        packed(runs, home, tmp_path / "moved.zip")
    assert not (tmp_path / "moved.zip").exists()
