"""Control end to end by a worker: maps with the defect in them, exact outside the mask, cells to compare."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import images, intake, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput
from pipelines.core.queue import Row
from pipelines.generate import sizes
from pipelines.parts import crop
from pipelines.worker import Worker
from tests import pictures, tiny

FAST: dict[str, Any] = {
    "num_inference_steps": 2,
    "scheduler": "ddim",
    "padding_px": 8,
    "guidance_scale": 3.0,
    "seed": 5,
}
KINDS = ("hed", "depth", "normal")
ALL = [{"kind": kind, "annotator": "built-in"} for kind in KINDS]
PX = 64


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with two tiny bases, and a net for each map."""
    folder = tmp_path_factory.mktemp("models")
    tiny.stable_diffusion(folder / "plain")
    tiny.stable_diffusion(folder / "inpainting", in_channels=9)
    said = [f'[{name}]\npath = "{name}"\nresolution = {PX}\n' for name in ("plain", "inpainting")]
    (folder / "bases.toml").write_text("\n".join(said), encoding="utf-8")
    for seed, kind in enumerate(KINDS):
        tiny.control_net(tiny.unet(), seed=seed).save_pretrained(folder / f"net-{kind}")
    return folder


@pytest.fixture(autouse=True)
def models_folder(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLAWSMITH_MODELS", str(shelf))
    return shelf


def made(worker: Worker, data: dict[str, Any]) -> tuple[Row, Path]:
    runs = worker.queue.runs
    request = intake.from_paths(requests.parse(data), Assets(runs))
    row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
    assert row.state == "done", row.sentence
    return row, runs / row.id


def asked(folder: Path, **fields: Any) -> dict[str, Any]:
    own = pictures.request(folder, **{"task": "control", "base": "plain", "defect": "dent", **FAST, **fields})
    return {"conditions": ALL, **own}


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "manifest.jsonl").read_text().splitlines()]


def picture(run: Path, index: int = 0, of: str = "images") -> np.ndarray:
    return images.read(run / of / f"{index:05d}.png").pixels


@pytest.mark.parametrize("base", ["plain", "inpainting"])
def test_outside_the_mask_not_a_byte_changes(worker: Worker, tmp_path: Path, base: str) -> None:
    _, run = made(worker, asked(tmp_path, base=base, mask=pictures.line(), num_images=2))
    before, free = pictures.good(), ~crop.feathered(pictures.line(), 2)
    for index in range(2):
        assert (picture(run, index)[free] == before[free]).all()
    found = rows(run)[0]
    assert [(one["kind"], one["annotator"], one["net"]) for one in found["conditions"]] == [
        (kind, "built-in", f"net-{kind}") for kind in KINDS
    ]
    assert all((run / one["file"]).is_file() for one in found["conditions"])
    assert (images.read_mask(run / found["mask"]) == pictures.line()).all()
    assert json.loads((run / "result.json").read_text())["outside_max"] == 0


def test_at_strength_0_it_is_inpainting(worker: Worker, tmp_path: Path) -> None:
    still = [{**one, "scale": 0} for one in ALL]
    _, steered = made(worker, asked(tmp_path, conditions=still))
    fields = {name: value for name, value in asked(tmp_path).items() if name != "conditions"}
    _, bare = made(worker, {**fields, "task": "inpaint"})
    assert (picture(steered) == picture(bare)).all()
    _, full = made(worker, asked(tmp_path))
    assert (picture(full) != picture(bare)).any()


def test_a_picture_is_made_again_from_its_metadata(worker: Worker, tmp_path: Path) -> None:
    _, run = made(worker, asked(tmp_path, num_images=2, control_scales=[0.5, 1.0]))
    said = images.read_request(run / "images/00003.png")
    assert said is not None
    assert [one["scale"] for one in said["conditions"]] == [1.0, 1.0, 1.0]
    assert "control_scales" not in said
    _, again = made(worker, said)
    assert (run / "images/00003.png").read_bytes() == (again / "images/00000.png").read_bytes()


def test_cells_in_a_batch_are_as_alone(worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "at_once", lambda device: 8)
    tried: dict[str, Any] = {"guidance_scales": [2.0, 6.0], "control_scales": [0.0, 1.5]}
    _, run = made(worker, asked(tmp_path, **tried))
    cells = [row["cell"] for row in rows(run)]
    assert cells == [
        {"guidance_scale": guides, "control_scale": steers} for steers in (0.0, 1.5) for guides in (2.0, 6.0)
    ]
    for index, cell in enumerate(cells):
        own = [{**one, "scale": cell["control_scale"]} for one in ALL]
        _, alone = made(worker, asked(tmp_path, guidance_scale=cell["guidance_scale"], conditions=own))
        assert np.abs(picture(run, index).astype(int) - picture(alone)).max() <= 1
    result = json.loads((run / "result.json").read_text())
    scores = [row["scores"] for row in rows(run)]
    worth = [one["visibility"] * one["fidelity"] for one in scores]
    assert worth[result["ranked"][0]] == max(worth)
    assert sorted(result["ranked"]) == [0, 1, 2, 3]
    assert images.read(run / result["sheet"]).width > PX


@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_without_a_mask_the_whole_picture_is_made(worker: Worker, tmp_path: Path, strength: float) -> None:
    fields = asked(tmp_path, strength=strength)
    del fields["mask"]
    _, run = made(worker, fields)
    found = picture(run)
    assert found.shape == (56, 72, 3)
    (row,) = rows(run)
    assert not row["regions"]
    assert row["prompt"]
    _, bare = made(worker, {**fields, "conditions": [{**one, "scale": 0} for one in ALL]})
    assert (found != picture(bare)).any()


def test_the_shape_is_drawn_into_the_maps(worker: Worker, tmp_path: Path) -> None:
    fields = {name: value for name, value in asked(tmp_path).items() if name not in ("base", *FAST)}
    fields["conditions"] = [*ALL, {"kind": "canny"}, {"kind": "mask"}]
    _, run = made(worker, {**fields, "task": "annotate"})
    assert requests.parse({**fields, "task": "annotate"}).lane() == "cpu"
    _, bare = made(worker, {**fields, "task": "annotate", "geometry": False})
    mask = pictures.disc()
    for index, kind in enumerate((*KINDS, "canny")):
        changed = (picture(run, index).astype(int) != picture(bare, index)).any(axis=2)
        assert changed[mask].mean() > 0.05, kind
        assert picture(run, index).shape == (72, 96, 3)
    depth = picture(run, 1).astype(int) - picture(bare, 1)
    assert depth[mask].min() < -20
    assert np.abs(depth[~crop.feathered(mask, 4)]).max() <= 1
    assert (picture(run, 4)[..., 0] == np.where(mask, 255, 0)).all()
    assert [one["annotator"] for one in rows(run)] == ["built-in"] * 3 + ["opencv", "painted"]


def test_a_ready_made_map_is_taken(worker: Worker, tmp_path: Path) -> None:
    drawn = np.zeros((36, 48), np.uint8)
    drawn[10:20, 5:40] = 255
    images.write_png(tmp_path / "map.png", drawn)
    fields = asked(tmp_path, conditions=[{"kind": "canny", "net": "net-hed", "image": str(tmp_path / "map.png")}])
    _, run = made(worker, {**fields, "geometry": False})
    (row,) = rows(run)
    assert row["conditions"][0]["annotator"] == "brought"
    kept = images.read(run / row["conditions"][0]["file"]).pixels
    assert (kept > 127).mean() == pytest.approx((drawn > 0).mean(), abs=0.25)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"base": "procedural"}, "procedural draws by itself and is not steered"),
        ({"conditions": []}, "conditions"),
        ({"conditions": [{"kind": "smell"}]}, r"conditions\.0\.kind"),
        ({"conditions": [{"kind": "hed", "annotator": "midas"}]}, "hed has no annotator 'midas'; choose auto or hed"),
        ({"conditions": [{"kind": "hed", "start": 0.8, "end": 0.2}]}, "start 0.8 is after end 0.2"),
        ({"conditions": [{"kind": "canny", "low": 250, "high": 9}]}, "low 250 is above high 9"),
        ({"control_scales": [3.0]}, "control_scales holds 3"),
        ({"conditions": [{"kind": "hed", "scale": 1.5}], "control_scales": [1.5]}, "passes 2"),
        ({"guidance_scales": [0.5]}, "guidance_scales holds 0.5"),
        ({"defect": None}, "defect is missing"),
    ],
)
def test_bad_input_is_a_sentence(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        requests.parse({**asked(tmp_path), **change})


def test_a_net_that_is_not_here_is_named(worker: Worker, tmp_path: Path) -> None:
    request = intake.from_paths(
        requests.parse(asked(tmp_path, conditions=[{"kind": "lineart"}])), Assets(worker.queue.runs)
    )
    row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
    assert row.state == "failed"
    assert row.sentence is not None
    assert "no control net for lineart fits base plain" in row.sentence


def test_maps_without_weights_need_no_torch(tmp_path: Path) -> None:
    fields = {name: value for name, value in asked(tmp_path).items() if name not in ("base", *FAST)}
    (tmp_path / "ask.json").write_text(json.dumps({**fields, "task": "annotate"}))
    program = (
        "import sys; from pipelines.__main__ import main;"
        f"code = main(['run', {str(tmp_path / 'ask.json')!r}, '--runs', {str(tmp_path / 'runs')!r}]);"
        "sys.exit(code or ('torch' in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
