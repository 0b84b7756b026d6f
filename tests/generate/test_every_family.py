"""Each family behind Inpaint and Text, end to end by a worker: exact outside the mask, and every task that it can."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import bases, images, intake, requests
from pipelines.core.assets import Assets
from pipelines.core.queue import Row
from pipelines.parts import crop
from pipelines.worker import Worker
from tests import pictures, tiny, tiny_flux

PX = 64
BUILT: dict[str, Callable[[Path], Path]] = {
    "tiny-sdxl": tiny.sdxl,
    "tiny-sdxl-fill": lambda folder: tiny.sdxl(folder, in_channels=9),
    "tiny-sd3": tiny.sd3,
    "tiny-flux": tiny_flux.flux,
    "tiny-flux-fill": lambda folder: tiny_flux.flux(folder, kind="fill"),
    "tiny-flux-kontext": lambda folder: tiny_flux.flux(folder, kind="kontext"),
    "tiny-flux2-klein": lambda folder: tiny_flux.flux2(folder, kind="klein"),
}
USUAL: dict[str, Any] = {"num_inference_steps": 2, "seed": 3}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    said = []
    for name, build in BUILT.items():
        build(folder / f"of-{name}")
        said.append(f'[{name}]\npath = "of-{name}"\nresolution = {PX}\n')
    (folder / "bases.toml").write_text("\n".join(said), encoding="utf-8")
    return folder


@pytest.fixture
def worker(runs: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setenv("FLAWSMITH_MODELS", str(shelf))
    with Worker(runs, "cpu", ()) as made:
        yield made


def answer(worker: Worker, data: dict[str, Any]) -> tuple[Row, np.ndarray]:
    runs = worker.queue.runs
    request = intake.from_paths(requests.parse({**USUAL, **data}), Assets(runs))
    row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
    assert row.state == "done", row.sentence
    return row, images.read(runs / row.id / "images" / "00000.png").pixels


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("base", BUILT)
def test_outside_the_mask_not_a_byte_changes(worker: Worker, tmp_path: Path, base: str, strength: float) -> None:
    before, asked = pictures.good(80, 80), np.zeros((80, 80), bool)
    asked[40, :] = True  # one pixel wide, from border to border
    asked[:6, :6] = True
    data = pictures.request(tmp_path, picture=before, mask=asked, base=base, strength=strength, feather_px=2)
    _, after = answer(worker, {**data, "padding_px": 8})
    outside = crop.feather(asked, 2) == 0
    assert (after[outside] == before[outside]).all()
    assert (after[asked] != before[asked]).any()


@pytest.mark.parametrize("base", BUILT)
def test_every_task_it_can_makes_a_picture(worker: Worker, tmp_path: Path, base: str) -> None:
    images.write_png(tmp_path / "part.png", pictures.good(PX, PX))
    can = set() if base.endswith("-fill") else set(bases.get(base).tasks) - {"inpaint"}
    assert can or base.endswith("-fill")
    for mode in sorted(can):
        data = {"task": "text", "base": base, "mode": mode, "prompt": "remove the rust", "width": PX, "height": PX}
        if mode != "text":
            data["image"] = str(tmp_path / "part.png")
        _, made = answer(worker, data)
        assert made.shape == (PX, PX, 3)
        assert made.std() > 1
