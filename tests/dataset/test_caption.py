"""The caption task: what becomes a row and what goes into a project, kills, templates, CLIP, what is refused."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import images
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Cancelled, Missing
from pipelines.core.models import Models
from pipelines.core.projects import Projects
from pipelines.core.queue import Owner, Queue
from pipelines.core.requests.caption import Caption
from pipelines.core.runs import Run
from pipelines.dataset import caption
from pipelines.parts import captioners
from pipelines.parts.captioners import How, Seen, ranking
from tests import pictures

DISC = pictures.disc(radius=9, at=(20, 30))


def begin(runs: Path, **fields: Any) -> Run:
    request, queue, me = Caption(**fields), Queue(runs), Owner.me()
    return Run(queue, queue.submit(request, owner=me), request, me)


def done(runs: Path, **fields: Any) -> tuple[Run, dict[str, Any]]:
    run = begin(runs, **fields)
    assert isinstance(run.request, Caption)
    caption.run(run.request, run, Models())
    return run, json.loads((run.folder / "result.json").read_text())


@pytest.fixture
def project(runs: Path) -> tuple[str, list[str]]:
    """Three pictures: a scratch with a mask, one with a caption and no mask, a good one."""
    store, assets = Projects(runs), Assets(runs)
    kept = [assets.put(images.encode_png(pictures.good(seed=seed)), f"part {seed}.png") for seed in range(3)]
    mask = assets.put(images.encode_png(DISC.astype(np.uint8) * 255), "mask.png")
    known = [{"defect": "scratch", "mask": mask.id}, {"defect": "dent", "caption": "my own words"}, {}]
    id = store.create("x").id
    store.add(id, kept, {one.id: said for one, said in zip(kept, known, strict=True)})
    return id, [one.id for one in kept]


def captions(runs: Path, id: str) -> list[str]:
    return [one.caption for one in Projects(runs).records(id).page()]


def test_a_project_is_described_where_it_says_nothing_yet_and_in_one_step(runs: Path, project: Any) -> None:
    id, assets = project
    run, result = done(runs, data=id, product="wood", template="{caption}, {keywords}", keywords=("macro",))
    rows = run.rows()
    assert [row["image"] for row in rows] == assets
    assert "scratch" in rows[0]["caption"]
    assert "on the left" in rows[0]["caption"]
    assert rows[0]["caption"].endswith(", macro")
    assert captions(runs, id) == [rows[0]["caption"], "my own words", rows[2]["caption"]]
    assert (result["images"], result["written"]) == (3, 2)
    Projects(runs).records(id).undo()
    assert captions(runs, id) == ["", "my own words", ""]


@pytest.mark.parametrize(("write", "count"), [("review", 0), ("all", 3)])
def test_what_is_written_is_what_was_asked_for(runs: Path, project: Any, write: str, count: int) -> None:
    assert done(runs, data=project[0], write=write)[1]["written"] == count


def test_only_some_pictures_and_a_template_of_a_class(runs: Path, project: Any) -> None:
    id, assets = project
    asked = {"only": assets[:2], "templates": {"dent": "{defect} seen, {caption}"}, "captioners": ("said", "folder")}
    run, _ = done(runs, data=id, write="review", **asked)
    assert [row["caption"] for row in run.rows()] == ["", "dent seen, my own words"]
    assert [row["said"] for row in run.rows()] == [{"said": "", "folder": ""}, {"said": "my own words", "folder": ""}]


def test_a_folder_is_described_in_the_run_and_stays_as_it_is(runs: Path, tmp_path: Path) -> None:
    data = tmp_path / "data" / "12_vfx scratch"
    data.mkdir(parents=True)
    (data / "a 1.png").write_bytes(images.encode_png(pictures.good(bits=16, grey=True)))
    (data / "a 1.txt").write_text("deep, old\n")
    before = {path: path.read_bytes() for path in data.rglob("*")}
    run, _ = done(runs, data=str(tmp_path / "data"), captioners=("said", "folder"))
    assert run.rows()[0]["said"] == {"said": "deep, old", "folder": "vfx scratch"}
    assert (run.folder / "captions/12_vfx scratch/a 1.txt").read_text() == "deep, old\n"
    assert {path: path.read_bytes() for path in data.rglob("*")} == before


def test_a_stopped_run_goes_on_where_it_was(runs: Path, project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def said(seen: Sequence[Seen], how: How, models: Models) -> list[str]:
        looked.extend(one.defect for one in seen)
        return [f"a {one.defect or 'good part'}" for one in seen]

    monkeypatch.setitem(captioners.CAPTIONERS, "folder", said)
    run = begin(runs, data=project[0], captioners="folder", batch_size=1, write="all")
    stops = iter([False, True])
    monkeypatch.setattr(run, "_between", lambda: _stop(next(stops)))
    with pytest.raises(Cancelled):
        caption.run(run.request, run, Models())  # type: ignore[arg-type]
    assert (looked, captions(runs, project[0])[0]) == (["scratch"], "")
    monkeypatch.setattr(run, "_between", None)
    caption.run(run.request, run, Models())  # type: ignore[arg-type]
    assert looked == ["scratch", "dent", ""]
    assert captions(runs, project[0]) == ["a scratch", "a dent", "a good part"]


def _stop(now: bool) -> None:
    if now:
        raise Cancelled("stopped")


def test_clip_keeps_what_fits_best_and_tells_the_scores(
    runs: Path, project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def longest(pictures: Any, texts: Sequence[str], names: Any, models: Any) -> np.ndarray:
        return np.array([[len(text) / 100 for text in texts]], np.float32)

    monkeypatch.setattr(ranking, "similarities", longest)
    monkeypatch.setattr(ranking, "here", lambda: ["tiny"])
    monkeypatch.setattr("pipelines.parts.captioners.opening.Home.missing", lambda self: None)
    run, result = done(runs, data=project[0], only=project[1][:1], best_of=True)
    (row,) = run.rows()
    assert result["clips"] == ["tiny"]
    assert row["scores"] == sorted(row["scores"], key=lambda pair: -pair[1])
    assert row["caption"] == max((text for text, _ in row["scores"]), key=len)
    assert len(row["scores"]) == 5


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"captioners": ("blip2",)}, Missing, "blip2"),
        ({"best_of": True}, Missing, "clip-vit"),
        ({"captioners": ("endpoint",)}, Missing, "FLAWSMITH_VISION_URL"),
        ({"only": ("nobody",)}, BadInput, "only names"),
        ({"template": "{colour}"}, BadInput, "no field 'colour'"),
        ({"data": "project-000000000000"}, Missing, "no project"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_before_any_work(
    runs: Path, project: Any, fields: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        done(runs, **{"data": project[0], **fields})


@pytest.mark.parametrize(
    ("fields", "lane"),
    [({}, "cpu"), ({"captioners": ("attributes", "said")}, "cpu"), ({"captioners": ("blip",)}, "device")],
)
def test_what_loads_weights_waits_for_the_device(fields: dict[str, Any], lane: str) -> None:
    assert Caption(data="x", **fields).lane() == lane
