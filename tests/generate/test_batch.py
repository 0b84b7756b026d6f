"""A data set from one request: planned, judged, filled up, the same after a kill and in any count."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import images, intake, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput
from pipelines.core.queue import Row
from pipelines.core.requests import Batch
from pipelines.generate.planning import Plan
from pipelines.worker import Worker
from tests import pictures

TEMPLATE = {"task": "inpaint", "severity": 0.8, "padding_px": 16}


def asked(folder: Path, **fields: Any) -> dict[str, Any]:
    for number in range(2):
        images.write_png(folder / f"part{number}.png", pictures.good(48, 64, seed=number))
    images.write_png(folder / "mask.png", pictures.disc(48, 64, radius=10))
    sources = [str(folder / f"part{number}.png") for number in range(2)]
    masks = [{"mask": str(folder / "mask.png")}]
    return {
        "task": "batch", "template": TEMPLATE, "sources": sources, "defects": ["hole", "stain"], "masks": masks,
        "count": 6, "gates": {"duplicate_bits": None}, **fields,
    }  # fmt: skip


def ready(folder: Path, runs: Path, **fields: Any) -> Batch:
    found = intake.from_paths(requests.parse(asked(folder, **fields)), Assets(runs))
    assert isinstance(found, Batch)
    return found


def answered(request: requests.Request, runs: Path) -> tuple[Row, Path]:
    with Worker(runs, "cpu", ()) as worker:
        row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
    return row, runs / row.id


def manifest(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "manifest.jsonl").read_text().splitlines()]


def result(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "result.json").read_text())
    return found


def hashes(run: Path) -> dict[str, str]:
    places = [
        path for name in ("images", "masks", "thumbs", "aside") for path in (run / name).rglob("*") if path.is_file()
    ]
    files = [*places, run / "manifest.jsonl"]
    return {str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_class_gets_its_share_and_every_source_its_turn(tmp_path: Path, runs: Path) -> None:
    row, run = answered(ready(tmp_path, runs, defects=[{"defect": "hole", "share": 2}, "stain"]), runs)
    assert row.state == "done", row.sentence
    found = manifest(run)
    assert [one["defect"] for one in found] == ["hole", "stain", "hole"] * 2
    assert {one["source"]["name"] for one in found if one["defect"] == "hole"} == {"part0.png", "part1.png"}
    assert result(run)["classes"] == {"hole": {"kept": 4, "wanted": 4}, "stain": {"kept": 2, "wanted": 2}}
    assert len({one["seed"] for one in found}) == 6
    for one in found:
        before = images.read(Assets(runs).get(one["source"]["asset"]).path).pixels
        after = images.read(run / one["file"]).pixels
        mask = images.read_mask(run / one["mask"])
        assert one["scores"]["outside_max"] == 0
        assert ((before != after).any(axis=2) == mask).all()


def test_each_picture_can_be_made_again_from_its_metadata_alone(tmp_path: Path, runs: Path) -> None:
    _, run = answered(ready(tmp_path, runs, count=2), runs)
    told = images.read_request(run / "images/00001.png")
    assert told is not None
    assert told["task"] == "inpaint"
    _, again = answered(intake.from_web(told, Assets(runs)), runs)
    assert (again / "images/00000.png").read_bytes() == (run / "images/00001.png").read_bytes()


def test_a_longer_batch_begins_with_the_same_pictures(tmp_path: Path, runs: Path) -> None:
    _, short = answered(ready(tmp_path, runs, count=40, first=3), runs)
    _, long = answered(ready(tmp_path, runs, count=5), runs)
    for name in ("00000", "00001", "00002"):
        assert (short / f"images/{name}.png").read_bytes() == (long / f"images/{name}.png").read_bytes()
    assert len(manifest(short)) == 3


def test_what_fails_a_gate_is_set_aside_with_the_reason_and_another_takes_its_place(tmp_path: Path, runs: Path) -> None:
    faint = {"vary": [{"field": "strength", "values": [1.0, 0.01]}], "gates": {"visibility": 2, "duplicate_bits": None}}
    row, run = answered(ready(tmp_path, runs, defects=["hole"], tries=12, count=4, **faint), runs)
    assert row.state == "done", row.sentence
    told = result(run)
    assert (told["images"], told["wanted"]) == (4, 4)
    assert told["reasons"].get("visibility", 0) + told["failed"] >= 2
    assert told["tried"] == 4 + told["aside"] + told["failed"]
    assert len(manifest(run)) == 4
    assert all(one["scores"]["visibility"] >= 2 for one in manifest(run))
    assert len(list((run / "aside/images").rglob("*.png"))) == told["aside"]


def test_a_leak_is_set_aside(tmp_path: Path, runs: Path) -> None:
    from pipelines.core.requests.batch import Gates
    from pipelines.parts import gates

    leaked = {"scores": {"outside_max": 1, "visibility": 5.0, "fidelity": 1.0}}
    found = gates.scores(Gates(), leaked)
    assert found is not None
    assert found.gate == "leakage"
    assert gates.scores(Gates(leakage=False), leaked) is None
    assert (
        gates.scores(Gates(fidelity=0.5), {"scores": {**leaked["scores"], "outside_max": 0, "fidelity": 0.4}})
        is not None
    )


def test_twins_of_what_is_kept_are_set_aside(tmp_path: Path, runs: Path) -> None:
    images.write_png(tmp_path / "one.png", pictures.good(48, 64))
    twice = [str(tmp_path / "one.png")]
    fixed = {"gates": {"duplicate_bits": 20, "visibility": None}, "sources": twice, "defects": ["hole"], "tries": 1}
    _, run = answered(ready(tmp_path, runs, count=6, **fixed), runs)
    told = result(run)
    assert told["reasons"]["duplicate"] >= 1
    assert told["images"] + told["reasons"]["duplicate"] == 6


def test_ranges_are_filled_evenly_and_lists_combine(tmp_path: Path, runs: Path) -> None:
    vary = [
        {"field": "severity", "low": 0.2, "high": 1.0},
        {"field": "feather_px", "low": 0, "high": 3},
        {"field": "strength", "values": [0.5, 1.0]},
        {"field": "light", "values": [0, 90]},
    ]
    plan = Plan(ready(tmp_path, runs, defects=["hole"], vary=vary, count=40), Assets(runs))
    found = [plan.wish(slot, 0).facts["varied"] for slot in range(40)]
    severities = sorted(one["severity"] for one in found)
    assert max(np.diff([0.2, *severities, 1.0])) < 0.06
    feathers = [one["feather_px"] for one in found]
    assert {feathers.count(value) for value in range(4)} <= {9, 10, 11}
    pairs = [(one["strength"], one["light"]) for one in found]
    assert {pairs.count(pair) for pair in {*pairs}} == {10}
    assert len({*pairs}) == 4


def test_a_class_may_differ_in_its_own_way(tmp_path: Path, runs: Path) -> None:
    own = {"defect": "hole", "vary": [{"field": "severity", "low": 0.2, "high": 0.4}]}
    vary = [{"field": "severity", "low": 0.8, "high": 1.0}]
    plan = Plan(ready(tmp_path, runs, defects=[own, "stain"], vary=vary, count=20), Assets(runs))
    found = [plan.wish(slot, 0).facts for slot in range(20)]
    assert all((one["varied"]["severity"] < 0.5) == (one["class"] == "hole") for one in found)


def test_every_source_meets_every_value(tmp_path: Path, runs: Path) -> None:
    vary = [{"field": "strength", "values": [0.5, 1.0]}]
    plan = Plan(ready(tmp_path, runs, defects=["hole"], vary=vary, count=8), Assets(runs))
    met = [plan.wish(slot, 0).request.model_dump() for slot in range(8)]
    pairs = [(one["image"], one["strength"]) for one in met]
    assert {pairs.count(pair) for pair in pairs} == {2}
    assert len({*pairs}) == 4


def test_no_second_try_repeats_the_first(tmp_path: Path, runs: Path) -> None:
    plan = Plan(ready(tmp_path, runs), Assets(runs))
    seeds = {plan.wish(slot, attempt).request.model_dump()["seed"] for slot in range(6) for attempt in range(4)}
    assert len(seeds) == 24


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"sources": []}, "sources are missing"),
        ({"defects": []}, "defects are missing"),
        ({"template": {"task": "export"}}, "a batch repeats one of"),
        ({"template": {**TEMPLATE, "seed": 3}}, "leave that to the plan"),
        ({"template": {**TEMPLATE, "severity": 3}}, "severity = 3"),
        ({"vary": [{"field": "severity", "values": [7]}]}, "severity = 7"),
        ({"vary": [{"field": "nothing", "values": [7]}]}, "nothing: there is no such field"),
        ({"vary": [{"field": "severity", "low": 1, "high": 0}]}, "low 1 is above high 0"),
        ({"vary": [{"field": "severity"}]}, "give either values or both low and high"),
        ({"gates": {"texture": 1}}, "needs real defects"),
        ({"defects": [{"defect": "hole", "fields": {"look": {"no": 1}}}]}, "template"),
    ],
)
def test_what_cannot_be_is_refused_before_it_starts(
    tmp_path: Path, runs: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        ready(tmp_path, runs, **fields)


def test_a_mask_that_fits_no_source_is_named(tmp_path: Path, runs: Path) -> None:
    request = ready(tmp_path, runs)
    images.write_png(tmp_path / "large.png", pictures.disc(90, 90))
    other = Assets(runs).put(tmp_path / "large.png", "large.png")
    masks = (request.masks[0].model_copy(update={"mask": other.id}),)
    with pytest.raises(BadInput, match=r"large\.png is 90 x 90 px, and no picture"):
        Plan(request.model_copy(update={"masks": masks}), Assets(runs))


def test_a_batch_that_only_fails_says_so_soon(tmp_path: Path, runs: Path) -> None:
    row, run = answered(ready(tmp_path, runs, template={**TEMPLATE, "strength": 0.0}, count=50), runs)
    assert row.state == "failed"
    assert row.sentence is not None
    assert "none of the first 8 pictures could be made: nothing can be seen of" in row.sentence
    assert manifest(run) == []


@pytest.mark.parametrize("at", [2, 5])
def test_interrupted_and_taken_up_it_is_the_same_to_the_byte(
    tmp_path: Path, runs: Path, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.core.runs import Run

    request = ready(tmp_path, runs, gates={"visibility": 3.5, "duplicate_bits": 12}, tries=3)
    _, whole = answered(request, runs)
    put, calls = Run.put, []

    def dies(self: Run, index: int, done: Any) -> Any:
        calls.append(index)
        if len(calls) == at:
            path = self.folder / next(iter(done.files))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        return put(self, index, done)

    with Worker(runs, "cpu", ()) as worker:
        id = worker.queue.submit(request, owner=worker.owner)
        with monkeypatch.context() as patched:
            patched.setattr(Run, "put", dies)
            with pytest.raises(KeyboardInterrupt):
                worker.serve(worker.queue.get(id))
        row = worker.serve(worker.queue.resume(id, worker.owner))
    assert row.state == "done", row.sentence
    assert hashes(runs / id) == hashes(whole)
    assert result(runs / id) == result(whole)


def test_masks_are_placed_where_none_is_drawn_each_where_it_may_lie(tmp_path: Path, runs: Path) -> None:
    legal = np.zeros((48, 64), bool)
    legal[:, :32] = True
    images.write_png(tmp_path / "legal.png", legal)
    place = {"legal": str(tmp_path / "legal.png"), "size": [8, 14], "instances": [1, 2]}
    row, run = answered(ready(tmp_path, runs, masks=[], place=place, count=6, tries=8), runs)
    assert row.state == "done", row.sentence
    found = manifest(run)
    asked = [images.read_mask(run / one["asked"]) for one in found]
    assert not any(mask[:, 32:].any() for mask in asked)
    assert len({mask.tobytes() for mask in asked}) == 6
    assert {len(one["regions"]) for one in found} == {1, 2}
    assert [len(one["plan"]["placed"]) for one in found] == [len(one["regions"]) for one in found]


def test_a_placing_that_cannot_be_is_refused(tmp_path: Path, runs: Path) -> None:
    with pytest.raises(BadInput, match="place holds seed"):
        ready(tmp_path, runs, masks=[], place={"seed": 3})
    with pytest.raises(BadInput, match="where follows real defects and data is missing"):
        ready(tmp_path, runs, masks=[], place={"where": "as real"})


def test_a_batch_in_which_each_class_looks_its_own_way(tmp_path: Path, runs: Path) -> None:
    defects = [
        {"defect": "hole", "fields": {"severity": 1.0}},
        {"defect": "stain", "fields": {"look": {"fluid": "rust"}}},
    ]
    plan = Plan(
        ready(tmp_path, runs, defects=defects, masks=[], place={"size": [6, 9], "instances": [2, 2]}), Assets(runs)
    )
    first, second = (plan.wish(slot, 0).request.model_dump(mode="json") for slot in (0, 1))
    assert (first["severity"], second["severity"]) == (1.0, 0.8)
    assert [region["look"] for region in second["regions"]] == [{"fluid": "rust"}] * 2
    assert [region["look"] for region in first["regions"]] == [{}] * 2


def test_a_batch_is_laid_from_the_plants_own_examples(tmp_path: Path, runs: Path) -> None:
    """The examples are looked for once; each picture names them by itself."""
    real = tmp_path / "real"
    for number in range(2):
        picture, mask = pictures.good(48, 64, seed=9 + number), pictures.disc(48, 64, radius=7)
        picture[mask] //= 3
        for folder, pixels in (("test/hole", picture), ("ground_truth/hole", mask)):
            (real / folder).mkdir(parents=True, exist_ok=True)
            images.write_png(real / folder / f"{number}{'_mask' if 'truth' in folder else ''}.png", pixels)
    template = {"task": "inpaint", "base": "exemplar", "examples": str(real)}
    request = ready(tmp_path, runs, template=template, defects=["hole"], count=2)
    row, run = answered(request, runs)
    assert row.state == "done", row.sentence
    told = images.read_request(run / "images/00001.png")
    assert told is not None
    assert len(told["exemplars"]) == 2
    assert "examples" not in told
    _, again = answered(intake.from_web(told, Assets(runs)), runs)
    assert (again / "images/00000.png").read_bytes() == (run / "images/00001.png").read_bytes()
