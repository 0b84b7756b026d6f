"""DualAnoDiff: its loss against one written by hand on a tiny base, and whole trainings whose models make pairs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pipelines import engine
from pipelines.core import images, intake, requests, trainings
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Missing
from pipelines.core.models import Models
from pipelines.core.requests import Dual, TrainDual
from pipelines.core.runs import Run
from pipelines.parts import dual as dual_rows
from pipelines.parts import families, likeness, segmenters
from pipelines.parts.feed import GREY
from pipelines.parts.lessons import At
from pipelines.train import dual, material
from pipelines.train.recipe import opened
from pipelines.worker import Worker
from tests import tiny, training

pytestmark = pytest.mark.usefixtures("here")
USUAL: dict[str, Any] = {
    "task": "train-dual",
    "base": "tiny",
    "defect": "scratch",
    "resolution": 32,
    "rank": 4,
    "learning_rate": 1e-3,
    "train_batch_size": 2,
    "max_train_steps": 3,
    "checkpointing_steps": 2,
    "num_validation_images": 0,
    "views": 2,
}
MADE: dict[str, Any] = {"task": "dual", "num_inference_steps": 2}


@pytest.fixture(scope="module")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny.stable_diffusion(folder / "tiny")
    tiny.stable_diffusion(folder / "other", cross_attention_dim=48)
    tiny.stable_diffusion(folder / "holes", in_channels=9)
    tiny.sdxl(folder / "large")
    return folder


@contextmanager
def pairing(runs: Path, data: Path, **fields: Any) -> Iterator[dual.Pairing]:
    """The recipe as the loop would ask it, in this process."""
    asked = requests.parse({**USUAL, "data": str(data), **fields})
    request = intake.from_paths(asked, Assets(runs))
    assert isinstance(request, TrainDual)
    run = training.held(runs, request)
    found = material.gather(request, run)
    with opened(request, Models("cpu")) as base, dual._learning(base, request, run) as (branches, learner):
        yield dual.Pairing(request, base, branches, learner, found.learned, found.held, run)


def test_the_loss_is_that_of_the_paper(runs: Path, data: Path) -> None:
    """Both rows alone, as at first neither branch differs from the base."""
    with pairing(runs, data) as recipe, torch.no_grad():
        pair = recipe.feeds.batch(At(0))
        given = recipe.given(pair, recipe.levels, 0, 0)
        found = recipe.terms(pair, given)
        base, rows = recipe.noising, given.rows
        assert list(found) == ["whole", "part"]
        assert torch.equal(rows.timesteps[0::2], rows.timesteps[1::2])
        assert not torch.allclose(rows.noise[0::2], rows.noise[1::2])
        for number, (words, batch) in enumerate((("a vfx with sks", pair.whole), ("sks", pair.part))):
            noise, times = rows.noise[number::2], rows.timesteps[number::2]
            kept = base._noise.alphas_cumprod[times].view(-1, 1, 1, 1)
            noisy = kept.sqrt() * batch.latents + (1 - kept).sqrt() * noise
            answer = base.predict(noisy, times, base.encode_prompt([words] * 2))
            expected = float(((answer - noise) ** 2).mean()) / 2
            assert float(found[("whole", "part")[number]]) == pytest.approx(expected, rel=1e-4)
    with pairing(runs, data, shared_noise=True, prompt_noise=0.5) as recipe:
        noisy = recipe.given(recipe.feeds.batch(At(0)), recipe.levels, 0, 0)
        assert torch.equal(noisy.rows.noise[0::2], noisy.rows.noise[1::2])
        assert float((noisy.text - given.text).std().detach()) == pytest.approx(0.5, abs=0.05)


def test_a_part_is_its_picture_on_grey_and_a_background_lacks_the_defect(runs: Path, data: Path) -> None:
    with pairing(runs, data, background=True) as recipe:
        feeds = recipe.feeds
        assert feeds.behind is not None
        for place in range(3):
            (whole, mask), (part, same) = (feed.picture(place, 1) for feed in (feeds.whole, feeds.part))
            assert torch.equal(mask, same)
            assert torch.equal(part, torch.where(mask, whole, GREY))
            behind, there = feeds.behind.picture(place, 1)
            assert torch.equal(mask, there)
            far = ~(torch.nn.functional.max_pool2d(mask.float(), 5, 1, 2) > 0).expand_as(behind)
            assert torch.allclose(behind[far], whole[far], atol=0.02)
            assert float(behind[mask.expand_as(behind)].mean()) < float(whole.mean()) / 2


def test_an_object_that_is_found_is_cut_out_of_its_background() -> None:
    bright = segmenters.Segmenter("bright", lambda picture, _: 255 * picture.mean(-1), lambda far: (100.0, 100.0))
    picture, mask = np.zeros((20, 20, 3), np.float32), np.zeros((20, 20), bool)
    picture[...], picture[5:15, 5:15], mask[8, 8] = 0.2, 0.8, True
    behind, same = dual._background(lambda: (picture, mask), bright)
    assert np.array_equal(same, mask)
    assert not behind[5:15, 5:15].any()
    assert np.array_equal(behind[:5], picture[:5])


@pytest.mark.parametrize("compat", [False, True])
def test_backgrounds_are_scaled_unless_as_published(runs: Path, data: Path, compat: bool) -> None:
    with pairing(runs, data, background=True, paper_compat=compat) as recipe:
        pair = recipe.feeds.batch(At(0))
        assert pair.behind is not None
        times = torch.zeros(2, dtype=torch.long)
        found = recipe._behind(pair, times, 0, 0)
        assert found is not None
        factor = recipe.base.vae.config.scaling_factor if compat else 1.0
        kept = recipe.noising._noise.alphas_cumprod[0]
        left = (found - kept.sqrt() * pair.behind.latents / factor).std()
        assert float(left) == pytest.approx(float((1 - kept).sqrt()), rel=0.2)


def test_all_that_learns_has_a_gradient(runs: Path, data: Path) -> None:
    with pairing(runs, data, background=True, interaction_rank=3) as recipe:
        for one in recipe.branches.parameters():
            one.data += 0.1
        sum(recipe.loss(At(0)).values(), torch.zeros(())).backward()
        still = [name for name, one in recipe.branches._named() if one.grad is None or not one.grad.abs().max() > 0]
        # a key's bias moves all scores alike; the last attention of the background's pass is read by nothing
        assert all(name.endswith("interaction.key.1.bias") for name in still), still
        assert recipe.learner is not None
        assert any(float(one.grad.abs().max()) > 0 for one in recipe.learner.parameters("text_encoder"))
        assert all(one.grad is None for one in recipe.base.vae.parameters())


def test_a_training_shows_its_pairs_and_its_model_makes_some(worker: Worker, data: Path) -> None:
    asked = {**USUAL, "data": str(data), "num_validation_images": 1, "validation_split": 0.3}
    row, run = training.answer(worker, asked)
    assert row.state == "done", row.sentence
    shown = [line for line in training.lines(run) if "samples" in line][-1]["samples"]
    assert list(shown) == ["a vfx with sks", "@pairs"]
    assert images.read(run / shown["@pairs"][0]).pixels.shape == (32, 64, 3)
    result = json.loads((run / "result.json").read_text())
    assert result["files"] == ["weights/dual.safetensors"]
    assert result["prompts"] == ["a vfx with sks", "sks"]
    assert [one for one, _ in trainings.finished(worker.queue.runs, trainings.PRODUCTS)] == [row.id]
    assert not list(trainings.finished(worker.queue.runs))
    with safe_open(run / "weights/dual.safetensors", "pt") as file:
        facts = file.metadata()
    assert (facts["base_model"], facts["resolution"], facts["defect"]) == ("tiny", "32", "scratch")
    made, folder = training.answer(worker, {**MADE, "model": row.id, "num_images": 3, "seed": 7})
    assert made.state == "done", made.sentence
    rows = worker.queue.rows(made.id)
    assert [one["seed"] for one in rows] == [7, 8, 9]
    sizes = {images.read(folder / one[which]).pixels.shape for one in rows for which in ("file", "part")}
    assert sizes == {(32, 32, 3)}
    assert (folder / "pairs.png").is_file()
    # each is made again by what its metadata says, to the byte
    said = images.read_request(folder / rows[1]["file"])
    assert said is not None
    assert said["model"]["name"] == "dual.safetensors"
    other = training.answer(worker, said)[1]
    assert np.array_equal(images.read(other / "images/00000.png").pixels, images.read(folder / rows[1]["file"]).pixels)


def test_an_empty_part_gives_no_mask_and_is_reported(worker: Worker, data: Path) -> None:
    row, _ = training.answer(worker, {**USUAL, "data": str(data), "max_train_steps": 1})
    found: dict[str, Any] = {**MADE, "model": row.id, "num_images": 2}
    made, folder = training.answer(worker, {**found, "threshold": 254.0})
    assert made.state == "done", made.sentence
    rows = worker.queue.rows(made.id)
    assert all(one["regions"] == [] and "mask" not in one for one in rows)
    assert rows[0]["note"].startswith("00000: nothing found")
    result = json.loads((folder / "result.json").read_text())
    assert result["empty"] == ["images/00000.png", "images/00001.png"]
    assert len(result["notes"]) == 2
    made, folder = training.answer(worker, {**found, "threshold": 1.0, "defect": "crack"})
    rows = worker.queue.rows(made.id)
    assert all(images.read_mask(folder / one["mask"]).any() for one in rows)
    assert {region["defect"] for one in rows for region in one["regions"]} == {"crack"}
    assert json.loads((folder / "result.json").read_text())["empty"] == []


def test_a_training_stopped_in_the_middle_ends_in_the_same_bits(worker: Worker, data: Path) -> None:
    asked = {**USUAL, "data": str(data), "background": True, "prompt_noise": 0.1, "max_train_steps": 4}
    whole = training.answer(worker, asked)[1]
    with training.stopped(worker, 2, of=4):
        row, run = training.answer(worker, asked)
    assert row.state == "cancelled"
    assert training.again(worker, row.id).state == "done"
    assert training.equal(whole / "weights/dual.safetensors", run / "weights/dual.safetensors")


def test_a_training_takes_up_another_and_reads_backgrounds(worker: Worker, data: Path) -> None:
    asked = {**USUAL, "data": str(data), "background": True, "interaction_rank": 3, "max_train_steps": 1}
    row, run = training.answer(worker, asked)
    assert row.state == "done", row.sentence
    assert any(
        "blacked out of the backgrounds is the defect alone" in line.get("note", "") for line in training.lines(run)
    )
    still = {**asked, "resume_from": row.id, "learning_rate": 1e-12, "adam_weight_decay": 0}
    taken, there = training.answer(worker, still)
    assert taken.state == "done", taken.sentence
    one, other = (load_file(folder / "weights/dual.safetensors") for folder in (run, there))
    assert all(torch.allclose(one[key], other[key], atol=1e-6) for key in one)
    differing = training.answer(worker, {**still, "rank": 8})[0]
    assert "has rank 4, interaction_rank 3 and background true: choose the same" in (differing.sentence or "")
    dumb = training.answer(worker, {**still, "text_encoder": False})[0]
    assert "also changes the text encoder" in (dumb.sentence or "")
    made: dict[str, Any] = {**MADE, "model": row.id, "num_images": 2}
    bare = training.answer(worker, made)[0]
    assert "was trained with background compensation: name good parts in backgrounds" in (bare.sentence or "")
    seen, _ = training.answer(worker, {**made, "backgrounds": str(data / "train/good"), "adapter_scale": 1.2})
    assert seen.state == "done", seen.sentence
    assert [one["source"]["name"] for one in worker.queue.rows(seen.id)] == ["000.png", "001.png"]


def test_lpips_looks_at_the_defect_in_the_whole_picture(runs: Path, data: Path) -> None:
    torch.manual_seed(0)
    from torchvision.models import alexnet

    heads = {
        f"lin{number}.model.1.weight": torch.rand(1, wide, 1, 1) for number, wide in enumerate((64, 192, 384, 256, 256))
    }
    net = likeness.Lpips(alexnet(weights=None).state_dict(), heads).eval().requires_grad_(False)
    with pairing(runs, data, perceptual_weight=0.5, text_encoder=False) as recipe:
        recipe.lpips = net
        terms = recipe.loss(At(0))
        assert float(terms["perceptual"].detach()) > 0
        terms["perceptual"].backward()
        grown = [one.grad for one in recipe.branches.parameters()]
        assert max(float(one.abs().max()) for one in grown if one is not None) > 0


def test_making_pairs_can_be_stopped(worker: Worker, data: Path) -> None:
    row, _ = training.answer(worker, {**USUAL, "data": str(data), "max_train_steps": 1})
    with training.stopped(worker, 1):
        made, _ = training.answer(worker, {**MADE, "model": row.id, "num_images": 3})
    assert made.state == "cancelled"
    assert training.again(worker, made.id).state == "done"
    assert len(worker.queue.rows(made.id)) == 3


def test_between_two_batches_the_base_is_anybody_elses(worker: Worker, data: Path, runs: Path) -> None:
    row, _ = training.answer(worker, {**USUAL, "data": str(data), "max_train_steps": 1})
    request = intake.from_paths(requests.parse({**MADE, "model": row.id, "num_images": 2}), Assets(runs))
    models, seen = Models("cpu"), []

    def between() -> None:
        with families.opened("tiny", models) as base:
            seen.append({type(one).__name__ for one in base.denoiser.attn_processors.values()})

    run = Run(worker.queue, worker.queue.submit(request, owner=worker.owner), request, worker.owner, between)
    engine.perform(request, run, models)
    assert len(seen) == 2
    assert all("Processor" not in names for names in seen)


def test_what_is_wrong_is_said_before_the_first_step(worker: Worker, data: Path, tmp_path: Path) -> None:
    def sentence(**fields: Any) -> str:
        row, _ = training.answer(worker, {**USUAL, "data": str(data), **fields})
        assert row.state == "failed"
        return row.sentence or ""

    assert "base holes has not the UNet of SD1 or SD2" in sentence(base="holes")
    assert "put alexnet-owt-7be5be79.pth and alex.pth into" in sentence(perceptual_weight=0.1)
    bare = training.dataset(tmp_path / "bare", good=1)
    for path in (bare / "ground_truth/scratch").iterdir():
        path.unlink()
    assert "no picture of scratch has a mask or a box" in sentence(data=str(bare), faults={"missing_mask": "use"})
    for fields, said in (
        ({"base": "large"}, "base large has not the UNet of SD1 or SD2"),
        ({"defect": None}, "defect is missing"),
        ({"mix": "cutmix"}, "blended pictures lose their masks"),
        ({"num_class_images": 2}, "this training learns pairs"),
        ({"validation_prompts": ["x"]}, "a pair is called by"),
    ):
        with pytest.raises(BadInput, match=said):
            requests.parse({**USUAL, "data": str(data), **fields})
    row, run = training.answer(worker, {**USUAL, "data": str(data), "max_train_steps": 1})
    file = run / "weights/dual.safetensors"

    def refused(**fields: Any) -> str:
        made, _ = training.answer(worker, {**MADE, "model": row.id, **fields})
        assert made.state == "failed"
        return made.sentence or ""

    assert "does not fit base other" in refused(base="other")
    assert "reads none: leave backgrounds empty" in refused(backgrounds=str(data / "train/good"))
    assert "u2net.onnx is not in" in refused(method="u2net")
    save_file(load_file(file), tmp_path / "nameless.safetensors", {"flawsmith_dual": "1"})
    assert "does not say which base it was trained on" in refused(model=str(tmp_path / "nameless.safetensors"))
    assert "instance_prompt is missing" in refused(model=str(tmp_path / "nameless.safetensors"), base="tiny")
    with pytest.raises(Missing, match="made no model of pairs"):
        intake.from_paths(
            Dual(model=training.answer(worker, {**MADE, "model": row.id})[0].id), Assets(worker.queue.runs)
        )


def test_pictures_without_a_mask_are_left_out(runs: Path, tmp_path: Path) -> None:
    data = training.dataset(tmp_path / "part", good=1)
    next((data / "ground_truth/scratch").iterdir()).unlink()
    request = requests.parse({**USUAL, "data": str(data), "faults": {"missing_mask": "use"}})
    assert isinstance(request, TrainDual)
    run = training.held(runs, request)
    kept, _ = material.marked(material.gather(request, run), request, run)
    assert len(kept) == 2
    assert training.lines(run.folder)[-1]["note"] == "1 of 3 pictures have no mask and are left out"


def test_noise_levels_are_weighed_row_by_row(runs: Path, data: Path) -> None:
    with pairing(runs, data, snr_gamma=0.01) as recipe, torch.no_grad():
        pair = recipe.feeds.batch(At(0))
        given = recipe.given(pair, recipe.levels, 0, 0)
        rows, found = given.rows, recipe.terms(pair, given)
        answer = dual_rows.predict(recipe.base, rows.noisy, rows.timesteps, given.text)
        off = (answer - rows.target).square().flatten(1).mean(1)
        assert torch.equal(rows.weights[0::2], rows.weights[1::2])
        assert float(rows.weights.min()) < 1
        assert float(found["whole"]) == pytest.approx(float((off * rows.weights)[0::2].mean()) / 2, rel=1e-5)
