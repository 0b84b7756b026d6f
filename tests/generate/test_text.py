"""Whole pictures end to end, on tiny models of the real classes: seeds, batches, folders, Stop, memory, a kill."""

import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from pipelines.core import images, intake, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput
from pipelines.core.gallery import Filter, Gallery
from pipelines.core.queue import Row
from pipelines.core.requests import FORMATS, Text
from pipelines.core.runs import Run
from pipelines.generate import sizes
from pipelines.parts import sampling
from pipelines.parts.stable_diffusion import StableDiffusion
from pipelines.worker import Worker
from studio import i18n, making, restore, results, review
from studio.context import Context
from tests import pictures, tiny

PX = 32
USUAL: dict[str, Any] = {
    "task": "text",
    "base": "tiny",
    "prompt": "a scratch on steel",
    "width": PX,
    "height": PX,
    "num_inference_steps": 2,
    "seed": 7,
}


@pytest.fixture(scope="module")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny.stable_diffusion(folder / "tiny")
    return folder


@pytest.fixture(autouse=True)
def here(models_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAWSMITH_MODELS", str(models_folder))


@pytest.fixture
def worker(runs: Path) -> Iterator[Worker]:
    with Worker(runs, "cpu", ()) as found:
        yield found


def asked(runs: Path, **fields: Any) -> Text:
    found = intake.from_paths(requests.parse({**USUAL, **fields}), Assets(runs))
    assert isinstance(found, Text)
    return found


def answer(worker: Worker, request: requests.Request) -> tuple[Row, Path]:
    queue = worker.queue
    row = worker.serve(queue.get(queue.submit(request, owner=worker.owner)))
    return row, queue.runs / row.id


def make(worker: Worker, **fields: Any) -> Path:
    row, run = answer(worker, asked(worker.queue.runs, **fields))
    assert row.state == "done", row.sentence
    return run


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "manifest.jsonl").read_text().splitlines()]


def pixels(run: Path) -> list[np.ndarray]:
    return [images.read(run / row["file"]).pixels for row in rows(run)]


def part(path: Path, colour: int = 150, size: tuple[int, int] = (PX, PX)) -> Path:
    images.write_png(path, np.full((*size, 3), colour, np.uint8))
    return path


def test_words_become_pictures_that_the_manifest_describes(worker: Worker) -> None:
    run = make(worker, num_images=2, negative_prompt="rust", negative_preset="photo", prefix="macro photo")
    first, second = rows(run)
    assert (first["seed"], second["seed"]) == (7, 8)
    assert (first["base"], first["mode"], first["regions"], first["defect"]) == ("tiny", "text", [], "")
    assert first["prompt"] == "macro photo, a scratch on steel"
    assert first["negative_prompt"].startswith("rust, drawing")
    assert "mask" not in first
    assert "source" not in first
    one, other = pixels(run)
    assert one.dtype == np.uint8
    assert one.shape == (PX, PX, 3)
    assert (one != other).any()
    assert (run / first["thumb"]).is_file()
    assert json.loads((run / "result.json").read_text()) == {"task": "text", "images": 2, "notes": []}


def test_a_picture_is_made_again_from_its_own_metadata_to_the_byte(worker: Worker) -> None:
    run = make(worker, num_images=3, prompts=["a dent", "a hole"], prompt="")
    picture = run / "images" / "00004.png"
    data = images.read_request(picture)
    assert data is not None
    assert (data["prompt"], data["seed"], data["num_images"], data["mode"]) == ("a hole", 11, 1, "text")
    _, again = answer(worker, requests.parse(data))
    assert (again / "images" / "00000.png").read_bytes() == picture.read_bytes()


def test_the_metadata_holds_no_path_id_or_time(worker: Worker, tmp_path: Path) -> None:
    run = make(worker, image=str(part(tmp_path / "part.png")))
    text = json.dumps(images.read_request(run / "images" / "00000.png"))
    for secret in (str(tmp_path), run.name, "asset-"):
        assert secret not in text


def test_a_batch_is_its_singles(worker: Worker) -> None:
    alone = pixels(make(worker, num_images=5, batch_size=1))
    together = pixels(make(worker, num_images=5, batch_size=4))
    apart = [np.abs(one.astype(int) - other).max() for one, other in zip(alone, together, strict=True)]
    assert max(apart) <= 1
    assert len({one.tobytes() for one in alone}) == 5


def test_a_picture_is_made_anew_as_far_as_it_may_stray(worker: Worker, tmp_path: Path) -> None:
    part(tmp_path / "part.png")
    near = make(worker, image=str(tmp_path / "part.png"), strength=0.5)
    far = make(worker, image=str(tmp_path / "part.png"), strength=1.0)
    (row,) = rows(near)
    assert row["mode"] == "image"
    assert row["source"]["name"] == "part.png"
    assert (pixels(near)[0] != pixels(far)[0]).any()


@pytest.mark.parametrize("grey", [False, True])
def test_a_16_bit_picture_is_read_as_it_is_looked_at(worker: Worker, tmp_path: Path, grey: bool) -> None:
    before = pictures.good(PX, PX, bits=16, grey=grey)
    tifffile.imwrite(tmp_path / "deep.tif", before, photometric="minisblack" if grey else "rgb")
    eight = np.rint(before / 257).astype(np.uint8)
    images.write_png(tmp_path / "flat.png", eight)
    deep, flat = (pixels(make(worker, image=str(tmp_path / name)))[0] for name in ("deep.tif", "flat.png"))
    assert deep.dtype == np.uint8
    assert deep.shape == (PX, PX, 3)
    assert np.abs(deep.astype(int) - flat).max() <= 2


def test_a_folder_is_taken_in_order_from_start_for_as_many_as_the_limit_says(worker: Worker, tmp_path: Path) -> None:
    for number in (1, 2, 10, 11):
        part(tmp_path / f"part{number}.png", colour=20 * number)
    (tmp_path / "notes.txt").write_text("no picture")
    run = make(worker, images=str(tmp_path), start=1, limit=2)
    assert [row["source"]["name"] for row in rows(run)] == ["part2.png", "part10.png"]
    assert [row["seed"] for row in rows(run)] == [7, 8]


def test_pictures_of_several_sizes_go_together(worker: Worker, tmp_path: Path) -> None:
    part(tmp_path / "a.png", size=(32, 48))
    part(tmp_path / "b.png", size=(48, 32))
    part(tmp_path / "c.png", size=(32, 48))
    run = make(worker, images=str(tmp_path), width=PX, height=None, batch_size=8)
    assert [one.shape[:2] for one in pixels(run)] == [(24, 32), (48, 32), (24, 32)]


def test_a_prompt_file_gives_each_line_its_pictures(worker: Worker, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("# wear\n\na dent\n  a deep scratch  \n", encoding="utf-8")
    run = make(worker, prompt="", prompt_file=str(tmp_path / "prompts.txt"), num_images=2)
    assert [row["caption"] for row in rows(run)] == ["a dent", "a dent", "a deep scratch", "a deep scratch"]


def test_a_size_the_base_cannot_make_is_rounded_and_said(worker: Worker) -> None:
    run = make(worker, width=33, height=38)
    (row,) = rows(run)
    assert row["note"] == "33 x 38 px became 32 x 40: this base makes multiples of 8 px"
    assert json.loads((run / "result.json").read_text())["notes"] == [row["note"]]
    assert pixels(run)[0].shape == (40, 32, 3)


SIZES = [
    ({"width": None, "height": None}, None, (512, 512)),
    ({"width": None, "height": None}, (600, 1200), (360, 728)),
    ({"width": 256, "height": None}, (600, 1200), (128, 256)),
    ({"width": None, "height": 256}, (600, 1200), (256, 512)),
    ({"width": 256, "height": None}, None, (512, 256)),
    ({"width": 16, "height": 16}, None, (16, 16)),
]


@pytest.mark.parametrize(("fields", "shape", "wanted"), SIZES)
def test_what_was_not_asked_for_follows_the_picture_and_the_base(
    fields: dict[str, Any], shape: tuple[int, int] | None, wanted: tuple[int, int]
) -> None:
    request = requests.parse({**USUAL, **fields})
    assert isinstance(request, Text)
    assert sizes.of(request, 512, 8, shape).pair == wanted


def test_a_picture_of_another_shape_is_cut_not_stretched() -> None:
    ramp = np.tile(np.linspace(0, 1, 100, dtype=np.float32)[None, :, None], (50, 1, 3))
    middle = sizes.fitted(ramp, (50, 50))
    assert np.allclose(middle, ramp[:, 25:75])


def adapter_of(run: Path, base: str = "tiny", **said: Any) -> None:
    """A finished training, made by hand."""
    from safetensors.torch import save_file

    weights = run / "weights"
    weights.mkdir(parents=True)
    random = torch.Generator().manual_seed(1)
    name = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_q"
    inner = tiny.unet().mid_block.attentions[0].transformer_blocks[0].attn2.to_q.weight.shape
    save_file(
        {
            f"{name}.lora_A.weight": torch.randn(4, inner[1], generator=random),
            f"{name}.lora_B.weight": torch.randn(inner[0], 4, generator=random),
        },
        weights / "pytorch_lora_weights.safetensors",
    )
    (run / "request.json").write_text(json.dumps({"task": "train-lora", "base": base, **said}))
    (run / "result.json").write_text("{}")


@pytest.mark.parametrize(("trained", "prompt"), [("normal", "a vfx"), ("defect", "a vfx with sks")])
def test_a_training_brings_base_adapter_and_prompt(worker: Worker, runs: Path, trained: str, prompt: str) -> None:
    adapter_of(runs / "20260101-000000-abcdef", normal_prompt="a vfx", defect_prompt="a vfx with sks")
    run = make(worker, base=None, prompt="", from_run="20260101-000000-abcdef", trained=trained)
    (row,) = rows(run)
    assert (row["base"], row["prompt"]) == ("tiny", prompt)
    assert row["adapters"] == [{"name": "pytorch_lora_weights.safetensors", "weight": 1.0}]
    plain = make(worker, prompt=prompt)
    assert (pixels(run)[0] != pixels(plain)[0]).any()


def test_what_was_said_stands_before_what_the_training_says(worker: Worker, runs: Path) -> None:
    adapter_of(runs / "20260101-000000-abcdef", base="sd15", defect_prompt="sks")
    run = make(worker, prompt="a hole", from_run=str(runs / "20260101-000000-abcdef"))
    (row,) = rows(run)
    assert (row["base"], row["prompt"]) == ("tiny", "a hole")


def test_a_training_that_names_no_base_asks_for_one(worker: Worker, runs: Path) -> None:
    adapter_of(runs / "20260101-000000-abcdef", base="")
    with pytest.raises(BadInput, match="does not say which base it trained: name it in base"):
        asked(runs, base=None, from_run="20260101-000000-abcdef")


def test_stop_is_heard_within_a_step(worker: Worker, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.core.runs.TICK_S", 0.0)
    real, seen = sampling.Step, []

    def step(done: int, *more: Any) -> Any:
        seen.append(done)
        if done == 3:
            (row,) = worker.queue.open()
            worker.queue.stop(row.id)
        return real(done, *more)

    monkeypatch.setattr(sampling, "Step", step)
    row, _ = answer(worker, asked(runs, num_inference_steps=10))
    assert (row.state, seen) == ("cancelled", [1, 2, 3])
    assert worker.models.report()
    assert not any(one["pinned"] for one in worker.models.report())


def fails(times: int, error: BaseException, real: Any) -> Callable[..., Any]:
    """`real`, after it has failed so many times."""
    left = [times]

    def one(*given: Any, **more: Any) -> Any:
        if left[0] > 0:
            left[0] -= 1
            raise error
        return real(*given, **more)

    return one


def short_of_memory(monkeypatch: pytest.MonkeyPatch, where: str, times: int) -> None:
    error = torch.OutOfMemoryError("CUDA out of memory.")
    if where == "a step":
        monkeypatch.setattr(sampling, "Step", fails(times, error, sampling.Step))
    else:
        monkeypatch.setattr(StableDiffusion, where, fails(times, error, getattr(StableDiffusion, where)))


@pytest.mark.parametrize("where", ["encode_prompt", "a step", "decode"])
def test_out_of_memory_goes_on_smaller_with_the_same_pictures(
    worker: Worker, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = pixels(make(worker, num_images=4, batch_size=4))
    with monkeypatch.context() as inner:
        short_of_memory(inner, where, 1)
        found = pixels(make(worker, num_images=4, batch_size=4))
    apart = [np.abs(one.astype(int) - other).max() for one, other in zip(wanted, found, strict=True)]
    assert max(apart) <= 1


@pytest.mark.parametrize("where", ["encode_prompt", "a step", "decode"])
def test_where_not_even_one_fits_the_sentence_says_so_and_the_next_run_works(
    worker: Worker, runs: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(worker)
    before = worker.models.held_bytes
    with monkeypatch.context() as inner:
        short_of_memory(inner, where, 99)
        row, _ = answer(worker, asked(runs))
    assert (row.state, row.code) == ("failed", "out_of_memory")
    assert f"a picture of {PX} x {PX} px does not fit into the memory of cpu" in str(row.sentence)
    assert worker.models.held_bytes <= before
    assert not any(one["pinned"] for one in worker.models.report())
    make(worker)
    assert worker.models.held_bytes == before


def test_numbers_that_are_no_picture_are_refused(worker: Worker, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(base: Any, ask: sampling.Ask, on_step: Any) -> torch.Tensor:
        return torch.full((ask.count, 3, *ask.size), float("nan"))

    monkeypatch.setattr("pipelines.generate.text.sample", broken)
    row, run = answer(worker, asked(runs))
    assert row.state == "failed"
    assert "made no picture, only NaN" in str(row.sentence)
    assert not list(run.glob("images/*"))


def test_after_a_kill_in_the_middle_of_a_batch_the_pictures_are_the_same(
    worker: Worker, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = asked(runs, num_images=6, batch_size=4)
    _, whole = answer(worker, request)
    made = sorted(path.name for path in (whole / "images").glob("*.png"))
    id = worker.queue.submit(request, owner=worker.owner)
    real = Run.save_whole
    saved: list[int] = []

    def killed(self: Run, index: int, *given: Any) -> Any:
        if index == 2 and not saved:
            saved.append(index)
            raise KeyboardInterrupt  # nothing catches it: the worker is gone
        return real(self, index, *given)

    monkeypatch.setattr(Run, "save_whole", killed)
    with pytest.raises(KeyboardInterrupt):
        worker.serve(worker.queue.get(id))
    assert len(list((runs / id / "images").glob("*.png"))) == 2
    worker.serve(worker.queue.get(id))
    assert worker.queue.get(id).state == "done"
    for name in made:
        assert (runs / id / "images" / name).read_bytes() == (whole / "images" / name).read_bytes(), name


def names_in(path: Path) -> list[str]:
    with tarfile.open(path) as packed:
        return packed.getnames()


def test_whole_pictures_are_exported_as_good_ones(worker: Worker, runs: Path, tmp_path: Path) -> None:
    run = make(worker, num_images=3)
    for format in FORMATS:
        out = tmp_path / format
        data = {"task": "export", "data": [run.name], "format": format, "output": str(out)}
        row, folder = answer(worker, intake.from_paths(requests.parse(data), Assets(runs)))
        assert row.state == "done", (format, row.sentence)
        result = json.loads((folder / "result.json").read_text())
        assert sum(part.get("good", 0) for part in result["classes"].values()) == 3, format
        assert "made whole, without a mask" in "".join(result["notes"])
        found = [name for path in out.rglob("*.tar") for name in names_in(path)]
        found += [str(path) for path in out.rglob("*.png") if "Segmentation" not in str(path)]
        assert len([name for name in found if name.endswith(".png")]) == 3, format


def test_whole_pictures_are_reviewed_and_the_tree_shows_where_they_go(worker: Worker, runs: Path) -> None:
    run = make(worker, num_images=3, prefix="macro")
    context, say = Context.open(runs), i18n.language()
    gallery = Gallery(runs)
    page = review.page(gallery, say, Filter())
    assert [one["title"] for one in page["items"]] == ["Made whole"] * 3
    assert gallery.defects() == []
    facts = review.facts(context, say, gallery, page["items"][0]["id"])
    assert (facts["scores"], facts["request"]["seed"]) == ([], 9)
    assert {"name": "Prompt", "text": "macro, a scratch on steel"} in facts["lines"]
    results.judge(context, {f"{run.name}/00001": "discarded"})
    gallery.refresh()
    chosen = review.chosen(context, gallery, Filter(), [])
    assert (chosen.leaving, chosen.rejected) == (2, 1)
    tree = review.plan(chosen.leaves, requests.Export(task="export", data=(run.name,))).tree
    assert sum(count for place, count in tree.items() if place.endswith("good/")) == 2


def test_a_finished_picture_brings_its_form_back(worker: Worker, runs: Path, tmp_path: Path) -> None:
    adapter_of(tmp_path / "run")
    weights = tmp_path / "run" / "weights" / "pytorch_lora_weights.safetensors"
    adapters = [{"path": str(weights), "weight": 0.5}]
    run = make(worker, image=str(part(tmp_path / "part.png")), strength=0.7, adapters=adapters)
    context, picture = Context.open(runs), run / "images" / "00000.png"
    request, names = restore.request_of(picture, picture.name)
    assert isinstance(request, Text)
    found = making.restored(context, request, names)
    assert found.missing == ()
    again = intake.from_web(making.asked(found.form), context.assets)
    assert again.for_image(0) == request  # type: ignore[attr-defined]
    elsewhere = Context.open(tmp_path / "other")
    without = making.restored(elsewhere, request, names)
    assert without.form["fields"]["image"] is None
    assert [sentence.partition(",")[0] for sentence in without.missing] == [
        "the picture it was made from",
        "the adapter pytorch_lora_weights.safetensors is not here: add it under Adapters",
    ]
