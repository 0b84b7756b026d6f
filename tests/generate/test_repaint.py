"""Diffusion behind Inpaint: exact outside whatever the base, batches that equal singles, and runs that fail cleanly."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.core import images, intake, kinds, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import Cancelled
from pipelines.core.queue import Row
from pipelines.generate import asking, repaint, scene, sizes
from pipelines.parts import crop, sampling
from pipelines.parts.family import Family
from pipelines.worker import Worker
from tests import pictures, tiny

FAST: dict[str, Any] = {"num_inference_steps": 2, "scheduler": "ddim", "feather_px": 2, "padding_px": 8}
BASES = ("plain", "inpainting")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with two tiny bases."""
    folder = tmp_path_factory.mktemp("models")
    tiny.stable_diffusion(folder / "plain")
    tiny.stable_diffusion(folder / "inpainting", in_channels=9)
    return folder


@pytest.fixture(autouse=True)
def models_folder(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLAWSMITH_MODELS", str(shelf))
    return shelf


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches as a GPU has them."""
    monkeypatch.setattr(sizes, "at_once", lambda device: 8)


def paint(worker: Worker, folder: Path, **fields: Any) -> tuple[Row, Path]:
    runs = worker.queue.runs
    asked = pictures.request(folder, **{"defect": "scratch", **FAST, **fields})
    if "regions" in fields:
        del asked["mask"], asked["defect"]
    request = intake.from_paths(requests.parse(asked), Assets(runs))
    row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
    return row, runs / row.id


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "manifest.jsonl").read_text().splitlines()]


def picture(run: Path, index: int = 0) -> np.ndarray:
    return images.read(run / "images" / f"{index:05d}.png").pixels


def hair(height: int = 80, width: int = 120) -> np.ndarray:
    """A line of one pixel, from border to border."""
    mask = np.zeros((height, width), bool)
    mask[height // 2, :] = True
    return mask


def corner(height: int = 80, width: int = 120) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[:9, :7] = True
    return mask


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("strength", [0.3, 0.7, 1.0])
@pytest.mark.parametrize("mask", [hair, corner, pictures.disc])
def test_beyond_the_feather_nothing_changes(
    worker: Worker, tmp_path: Path, base: str, strength: float, mask: Any
) -> None:
    before = pictures.good(80, 120)
    asked = mask() if mask is not pictures.disc else pictures.disc(80, 120)
    row, run = paint(worker, tmp_path, picture=before, mask=asked, base=base, strength=strength)
    assert row.state == "done", row.sentence
    after = picture(run)
    outside = crop.feather(asked, 2) == 0
    assert (after[outside] == before[outside]).all()
    assert (after[asked] != before[asked]).any()
    (found,) = rows(run)
    assert found["scores"]["outside_max"] == 0
    assert (images.read_mask(run / "masks" / "00000.png") == asked).all()  # diffused: what was painted is the label
    assert found["prompt"] == "a photo of a part with scratch"


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(("bits", "grey"), [(16, False), (16, True), (8, True)])
def test_depth_and_colour_stay(worker: Worker, tmp_path: Path, base: str, bits: int, grey: bool) -> None:
    before, asked = pictures.good(bits=bits, grey=grey), pictures.disc()
    row, run = paint(worker, tmp_path, picture=before, mask=asked, base=base)
    assert row.state == "done", row.sentence
    after = picture(run)
    assert (after.dtype, after.shape) == (before.dtype, before.shape)
    outside = crop.feather(asked, 2) == 0
    assert (after[outside] == before[outside]).all()


@pytest.mark.parametrize("side", [200, 1024])
def test_small_and_large_pictures(worker: Worker, tmp_path: Path, side: int) -> None:
    before = pictures.good(side, side)
    asked = hair(side, side)
    row, run = paint(worker, tmp_path, picture=before, mask=asked, base="inpainting")
    assert row.state == "done", row.sentence
    outside = crop.feather(asked, 2) == 0
    assert (picture(run)[outside] == before[outside]).all()


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize("base", BASES)
def test_a_batch_is_its_singles(worker: Worker, tmp_path: Path, base: str) -> None:
    _, four = paint(worker, tmp_path, base=base, seed=7, num_images=4)
    for index in range(4):
        _, alone = paint(worker, tmp_path, base=base, seed=7 + index)
        assert np.abs(picture(four, index).astype(int) - picture(alone)).max() <= 1
    assert len({picture(four, index).tobytes() for index in range(4)}) == 4


def test_the_same_request_gives_the_same_bytes_also_from_its_metadata(worker: Worker, tmp_path: Path) -> None:
    _, first = paint(worker, tmp_path, base="plain", seed=3, guidance_scale=4.0, guidance_rescale=0.5)
    file = first / "images" / "00000.png"
    data = images.read_request(file, file.name)
    assert data is not None
    assert data["guidance_scale"] == 4.0
    request = intake.from_web(data, Assets(worker.queue.runs))
    again = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
    assert (worker.queue.runs / again.id / "images" / "00000.png").read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    "fields",
    [
        {"guidance_scale": 12.0},
        {"guidance_scale": 7.5, "guidance_rescale": 0.9},
        {"guidance_end": 0.4},
        {"prompt": "a deep rusty hole"},
        {"negative_prompt": "clean smooth"},
        {"scheduler": "euler"},
        {"num_inference_steps": 3},
        {"clip_skip": 1},
        {"strength": 0.5},
        {"seed": 99},
    ],
)
def test_every_setting_changes_the_picture(worker: Worker, tmp_path: Path, fields: dict[str, Any]) -> None:
    _, usual = paint(worker, tmp_path, base="plain")
    row, other = paint(worker, tmp_path, base="plain", **fields)
    assert row.state == "done", row.sentence
    assert (picture(usual) != picture(other)).any()


def test_several_areas_that_touch_are_one_pass_each_with_its_own_words(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[sampling.Ask] = []

    def sample(base: Any, ask: sampling.Ask, on_step: Any) -> torch.Tensor:
        passes.append(ask)
        return sampling.sample(base, ask, on_step)

    monkeypatch.setattr(repaint, "sample", sample)
    before = pictures.good(80, 120)
    left, right = np.zeros((80, 120), bool), np.zeros((80, 120), bool)
    left[30:50, 30:44] = right[30:50, 48:60] = True
    images.write_png(tmp_path / "left.png", left)
    images.write_png(tmp_path / "right.png", right)

    def asked(words: str) -> tuple[Row, Path]:
        regions = [
            {"mask": str(tmp_path / "left.png"), "defect": "scratch"},
            {"mask": str(tmp_path / "right.png"), "defect": "hole", "prompt": words},
        ]
        return paint(worker, tmp_path, picture=before, regions=regions, base="plain")

    row, run = asked("a black hole")
    assert row.state == "done", row.sentence
    assert len(passes) == 1
    outside = (crop.feather(left | right, 2)) == 0
    assert (picture(run)[outside] == before[outside]).all()
    _, other = asked("a white stain")
    differs = (picture(run) != picture(other)).any(axis=2)
    assert differs[right].mean() > 0.5
    found = rows(run)[0]["regions"]
    assert [one["defect"] for one in found] == ["scratch", "hole"]


def test_areas_far_apart_are_painted_one_after_another(worker: Worker, tmp_path: Path) -> None:
    before = pictures.good(64, 400)
    asked = np.zeros((64, 400), bool)
    asked[20:40, 10:20] = asked[20:40, 380:390] = True
    row, run = paint(worker, tmp_path, picture=before, mask=asked, base="inpainting")
    assert row.state == "done", row.sentence
    changed = (picture(run) != before).any(axis=2)
    assert changed[:, :60].any()
    assert changed[:, 340:].any()
    assert not changed[:, 60:340].any()


def test_of_several_candidates_the_one_least_like_the_good_part_is_kept(worker: Worker, tmp_path: Path) -> None:
    row, run = paint(worker, tmp_path, base="plain", num_candidates=3)
    assert row.state == "done", row.sentence
    (found,) = rows(run)
    chosen = found["select"]
    assert chosen["by"] == "ssim"  # no LPIPS weights here, and the row says so
    assert len(set(chosen["values"])) == 3
    assert chosen["chosen"] == int(np.argmax(chosen["values"]))
    _, again = paint(worker, tmp_path, base="plain", num_candidates=3, select="coverage")
    assert rows(again)[0]["select"]["by"] == "coverage"


def test_attention_maps_are_kept_where_they_are_asked_for(worker: Worker, tmp_path: Path) -> None:
    row, run = paint(worker, tmp_path, base="plain", attention_maps=True, num_images=2)
    assert row.state == "done", row.sentence
    _, plain = paint(worker, tmp_path, base="plain", num_images=2)
    assert picture(run).tobytes() == picture(plain).tobytes()  # looking changes nothing
    for index, found in enumerate(rows(run)):
        assert found["attention"] == [f"attention/{index:05d}.png"]
        heat = images.read(run / found["attention"][0]).pixels
        assert heat.shape == (*picture(run).shape[:2], 3)
        assert (heat != picture(run)).any()
    assert "attention" not in rows(plain)[0]
    row, _ = paint(worker, tmp_path, base="plain", attention_maps=True, prompt="something else entirely")
    assert row.state == "failed"
    assert "holds none of the words scratch, defect" in (row.sentence or "")


def lora(folder: Path, *, width: int = tiny.WIDTH) -> Path:
    """A LoRA over every cross-attention key of the tiny UNet."""
    random = torch.Generator().manual_seed(5)
    tensors = {}
    for name, module in tiny.unet().named_modules():
        if name.endswith("attn2.to_k"):
            tensors[f"unet.{name}.lora_A.weight"] = torch.randn(4, width, generator=random)
            tensors[f"unet.{name}.lora_B.weight"] = torch.randn(module.out_features, 4, generator=random)
    file = folder / "rust.safetensors"
    save_file(tensors, file)
    return file


def test_adapters_are_on_for_their_run_alone(worker: Worker, tmp_path: Path) -> None:
    file = str(lora(tmp_path))
    _, without = paint(worker, tmp_path, base="plain")
    row, with_it = paint(worker, tmp_path, base="plain", adapters=[{"path": file, "weight": 1.0}])
    assert row.state == "done", row.sentence
    assert (picture(with_it) != picture(without)).any()
    _, nothing = paint(worker, tmp_path, base="plain", adapters=[{"path": file, "weight": 0.0}])
    assert picture(nothing).tobytes() == picture(without).tobytes()
    _, after = paint(worker, tmp_path, base="plain")
    assert picture(after).tobytes() == picture(without).tobytes()
    data = images.read_request(with_it / "images" / "00000.png", "00000.png")
    assert data is not None
    assert data["adapters"][0]["path"]["name"] == "rust.safetensors"


def test_an_adapter_of_another_base_is_refused_and_the_next_run_works(worker: Worker, tmp_path: Path) -> None:
    row, _ = paint(worker, tmp_path, base="plain", adapters=[{"path": str(lora(tmp_path, width=64))}])
    assert row.state == "failed"
    assert "rust.safetensors" in (row.sentence or "") or "adapter rust" in (row.sentence or "")
    row, _ = paint(worker, tmp_path, base="plain")
    assert row.state == "done"


def out_of_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def held(worker: Worker) -> tuple[int, bool]:
    report = worker.models.report()
    return worker.models.held_bytes, any(row["pinned"] for row in report)


@pytest.mark.parametrize(
    "place", [*(pytest.param(one, marks=pytest.mark.long) for one in ("text", "step 1")), "step 2", "decode"]
)
@pytest.mark.usefixtures("together")
def test_out_of_memory_goes_down_the_ladder_and_then_says_so(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    _, usual = paint(worker, tmp_path, base="plain", num_images=2)
    before = held(worker)
    fails = {"left": 1}

    def maybe() -> None:
        if fails["left"]:
            fails["left"] -= 1
            out_of_memory()

    from pipelines.parts.stable_diffusion import StableDiffusion

    if place.startswith("step"):
        number = int(place[-1])
        original = sampling.Step

        def step(done: int, total: int, look: Any) -> Any:
            if done == number:
                maybe()
            return original(done, total, look)

        monkeypatch.setattr(sampling, "Step", step)
    else:
        owner, name = (StableDiffusion, "encode_prompt") if place == "text" else (Family, "decode")
        kept = getattr(owner, name)

        def broken(self: Any, *arguments: Any, **named: Any) -> Any:
            maybe()
            return kept(self, *arguments, **named)

        monkeypatch.setattr(owner, name, broken)
    row, run = paint(worker, tmp_path, base="plain", num_images=2)
    assert row.state == "done", row.sentence
    for index in range(2):  # one at a time rounds otherwise than together
        assert np.abs(picture(run, index).astype(int) - picture(usual, index)).max() <= 1
    fails["left"] = 1000
    row, _ = paint(worker, tmp_path, base="plain", num_images=2)
    assert (row.state, row.code) == ("failed", "out_of_memory")
    assert "does not fit into the memory of cpu" in (row.sentence or "")
    assert held(worker) == before
    fails["left"] = 0
    row, again = paint(worker, tmp_path, base="plain", num_images=2)
    assert row.state == "done"
    assert picture(again).tobytes() == picture(usual).tobytes()


def test_out_of_memory_while_loading(worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.parts.loading import Loader

    kept, fails = Loader.part, {"left": 1}

    def part(self: Loader, name: str) -> Any:
        if fails["left"]:
            fails["left"] -= 1
            out_of_memory()
        return kept(self, name)

    monkeypatch.setattr(Loader, "part", part)
    row, _ = paint(worker, tmp_path, base="plain")
    assert row.state == "done", row.sentence
    worker.models.release_all()
    fails["left"] = 1000
    row, _ = paint(worker, tmp_path, base="plain")
    assert (row.state, row.code) == ("failed", "no_room")
    assert held(worker) == (0, False)
    fails["left"] = 0
    row, _ = paint(worker, tmp_path, base="plain")
    assert row.state == "done"


def test_stop_ends_a_run_within_the_step(worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _ = paint(worker, tmp_path, base="plain")
    before, steps = held(worker), []
    kept = sampling.Step

    def step(done: int, total: int, look: Any) -> Any:
        steps.append(done)
        if done == 3:
            (row,) = worker.queue.open()
            worker.queue.stop(row.id)
        return kept(done, total, look)

    monkeypatch.setattr(sampling, "Step", step)
    monkeypatch.setattr("pipelines.core.runs.TICK_S", 0)
    row, run = paint(worker, tmp_path, base="plain", num_inference_steps=50)
    assert row.state == "cancelled"
    assert steps[-1] <= 4
    assert not list((run / "images").glob("*")) if (run / "images").exists() else True
    assert held(worker) == before
    monkeypatch.setattr(sampling, "Step", kept)
    row, _ = paint(worker, tmp_path, base="plain")
    assert row.state == "done"


def test_what_is_being_painted_is_shown_on_the_way(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    kept = images.thumbnail
    monkeypatch.setattr("pipelines.core.runs.PREVIEW_S", 0)
    monkeypatch.setattr("pipelines.core.runs.TICK_S", 0)

    def thumbnail(pixels: np.ndarray, side: int = 256) -> bytes:
        if side == 512:
            seen.append(pixels.copy())
        return kept(pixels, side)

    monkeypatch.setattr(images, "thumbnail", thumbnail)
    before, asked = pictures.good(), pictures.disc()
    row, _ = paint(worker, tmp_path, picture=before, mask=asked, base="plain", num_inference_steps=3)
    assert row.state == "done", row.sentence
    assert len(seen) >= 4
    outside = crop.feather(asked, 2) == 0
    for one in seen:
        assert (one[outside] == before[outside]).all()
    assert (seen[0][asked] != seen[1][asked]).any()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        ("missing", "unet"),
        ("truncated", "cut off"),
        ("nan", "NaN or infinity"),
        ("pickle", "pickle under another name"),
    ],
)
def test_a_damaged_base_fails_in_a_sentence_and_the_next_run_works(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str, sentence: str
) -> None:
    shelf = tmp_path / "models"
    folder = tiny.stable_diffusion(shelf / "broken")
    monkeypatch.setenv("FLAWSMITH_MODELS", str(shelf))
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    whole = file.read_bytes()
    if spoil == "missing":
        file.unlink()
    elif spoil == "truncated":
        file.write_bytes(whole[: len(whole) // 2])
    elif spoil == "pickle":
        torch.save({"x": torch.zeros(3)}, file)
    else:
        tensors = load_file(file)
        tensors["conv_in.weight"][0, 0, 0, 0] = float("nan")
        save_file(tensors, file)
    row, _ = paint(worker, tmp_path, base="broken")
    assert row.state == "failed"
    assert sentence in (row.sentence or ""), row.sentence
    assert held(worker) in ((0, False), (held(worker)[0], False))
    file.write_bytes(whole)
    row, _ = paint(worker, tmp_path, base="broken")
    assert row.state == "done", row.sentence


def test_a_drawn_run_and_a_diffused_run_say_which_lane_they_need() -> None:
    common = {"task": "inpaint", "image": "a.png", "mask": "b.png", "defect": "scratch"}
    assert requests.parse(common).lane() == "cpu"
    assert requests.parse({**common, "base": "plain"}).lane() == "device"


@pytest.mark.parametrize("defect", sorted(kinds.load()))
def test_every_defect_has_words(defect: str) -> None:
    asked = {"task": "inpaint", "image": "a.png", "mask": "b.png", "defect": defect, "base": "plain"}
    request = requests.parse(asked)
    assert isinstance(request, requests.Inpaint)
    assert kinds.load()[defect].label.lower() in asking.prompt(request, request.areas()[0])


def test_where_nobody_says_a_word_the_defect_is_called_by_its_name(worker: Worker, tmp_path: Path) -> None:
    row, run = paint(worker, tmp_path, base="plain", defect="crazing", num_inference_steps=1)
    assert row.state == "done", row.sentence
    assert kinds.load()["crazing"].label.lower() in rows(run)[0]["prompt"]


@pytest.mark.usefixtures("together")
def test_taken_up_in_the_middle_of_a_batch_the_bytes_are_the_same(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = paint(worker, tmp_path, base="plain", num_images=3)
    kept = scene.save
    saved: list[int] = []

    def save(run: Any, index: int, *more: Any) -> Any:
        if index == 1 and not saved:
            saved.append(index)
            raise Cancelled(run.id)
        return kept(run, index, *more)

    monkeypatch.setattr(scene, "save", save)
    row, run = paint(worker, tmp_path, base="plain", num_images=3)
    assert (row.state, row.done) == ("cancelled", 1)
    row = worker.serve(worker.queue.resume(row.id, worker.owner))
    assert row.state == "done", row.sentence
    for index in range(3):
        file = f"images/{index:05d}.png"
        assert (run / file).read_bytes() == (whole / file).read_bytes()
