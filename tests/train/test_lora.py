"""Adapters that learn, end to end on tiny bases of the real classes: stages, kinds, growth, resume, use elsewhere."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pipelines.core import requests
from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.core.queue import Row
from pipelines.parts import adapter_files, families, learning, loop
from pipelines.parts.adapters import Use
from pipelines.parts.learning import Shape
from pipelines.train.adapting import rank_at
from pipelines.worker import Worker
from tests import tiny, tiny_flux, training

pytestmark = pytest.mark.usefixtures("here")
USUAL: dict[str, Any] = {
    "task": "train-lora",
    "base": "tiny",
    "resolution": 32,
    "rank": 4,
    "learning_rate": 0.003,
    "train_batch_size": 2,
    "max_train_steps": 4,
    "checkpointing_steps": 2,
    "num_validation_images": 0,
    "views": 2,
}


@pytest.fixture(scope="module")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny.stable_diffusion(folder / "tiny")
    tiny.stable_diffusion(folder / "holes", in_channels=9)
    tiny.sdxl(folder / "large")
    tiny.sd3(folder / "third", t5_too=False)
    tiny_flux.flux(folder / "flux")
    tiny_flux.flux2(folder / "klein", kind="klein")
    return folder


def answered(worker: Worker, data: Path, **fields: Any) -> tuple[Row, Path]:
    return training.answer(worker, {**USUAL, "data": str(data), **fields})


def trained(worker: Worker, data: Path, **fields: Any) -> Path:
    row, run = answered(worker, data, **fields)
    assert row.state == "done", row.sentence
    return run


def weights(run: Path) -> dict[str, Tensor]:
    return load_file(run / "weights/pytorch_lora_weights.safetensors")


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def result(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "result.json").read_text())
    return found


def test_stage_2_stands_on_the_newest_stage_1_and_counts_its_own_steps(worker: Worker, data: Path) -> None:
    with pytest.raises(BadInput, match="stage 2 stands on a finished stage 1 of this data set on tiny, and there"):
        answered(worker, data, stage=2, defect="scratch")
    first = trained(worker, data, stage=1)
    assert result(first)["prompts"] == ["a vfx"]
    second = trained(worker, data, stage=2, defect="scratch", part_prompt="sks", max_train_steps=2)
    assert result(second)["prompts"] == ["a vfx with sks", "sks"]
    assert result(second)["steps"] == 2
    assert len(losses(second)) == 2
    asked = json.loads((second / "request.json").read_text())
    assert asked["resume_from"] == worker_asset(worker, first)
    nothing = trained(
        worker, data, stage=2, defect="scratch", part_prompt="sks", max_train_steps=1, learning_rate=1e-12
    )
    apart = max(float((weights(nothing)[key] - one).abs().max()) for key, one in weights(first).items())
    assert apart < 1e-6, "stage 2 began elsewhere than stage 1 ended"
    assert not same(weights(second), weights(first))


def worker_asset(worker: Worker, run: Path) -> str:
    from pipelines.core import library
    from pipelines.core.assets import Assets

    found = library.asset_of(Assets(worker.queue.runs), run.name)
    assert found is not None
    return found.id


def test_a_training_stopped_in_the_middle_ends_in_the_same_bits(worker: Worker, data: Path) -> None:
    whole = trained(worker, data, defect="scratch", part_prompt="sks", dropout=0.1)
    with training.stopped(worker, 1, of=4):
        row, run = answered(worker, data, defect="scratch", part_prompt="sks", dropout=0.1)
    assert row.state == "cancelled"
    assert (run / "checkpoints/checkpoint-000001").is_dir()
    assert training.again(worker, run.name).state == "done"
    assert same(weights(run), weights(whole))
    assert losses(run) == losses(whole)


def test_kept_latents_and_texts_change_nothing(worker: Worker, data: Path) -> None:
    still = {"text_encoder": False, "max_train_steps": 6, "checkpointing_steps": 6}
    kept = trained(worker, data, **still)
    anew = trained(worker, data, cache_latents=False, **still)
    assert losses(kept) == losses(anew)
    assert same(weights(kept), weights(anew))


def test_bf16_and_float32_agree(worker: Worker, data: Path) -> None:
    full = trained(worker, data, max_train_steps=6, checkpointing_steps=6)
    half = trained(worker, data, max_train_steps=6, checkpointing_steps=6, mixed_precision="bf16")
    assert np.allclose(losses(full), losses(half), rtol=0.02)
    assert all(one.dtype == torch.float32 for one in weights(half).values())


def test_gradient_checkpointing_changes_no_gradient(worker: Worker, data: Path) -> None:
    plain, saving = trained(worker, data), trained(worker, data, gradient_checkpointing=True)
    assert np.allclose(losses(plain), losses(saving), rtol=1e-5)


def drawn(folder: Path, base: str, file: Path | None) -> np.ndarray:
    """What plain diffusers makes of a base with the file on it."""
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder / base, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    if file is not None:
        pipe.load_lora_weights(file.parent, weight_name=file.name)
    latents = torch.randn((1, 4, tiny.PX // 2, tiny.PX // 2), generator=torch.Generator().manual_seed(0))
    return np.asarray(pipe("a vfx", latents=latents, num_inference_steps=2, output_type="np").images)


def ours(base: str, file: Path, weight: float = 1.0) -> np.ndarray:
    """The same by our own way of laying adapters on."""
    with families.opened(base, Models("cpu")) as opened, opened.attached([Use(adapter_files.read(file), weight)]):
        pipe = opened.pipeline("text", "ddim")
        pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="leading")
        latents = torch.randn((1, 4, tiny.PX // 2, tiny.PX // 2), generator=torch.Generator().manual_seed(0))
        return np.asarray(pipe("a vfx", latents=latents, num_inference_steps=2, output_type="np").images)


@pytest.mark.parametrize(
    "kind", ["lora", *(pytest.param(one, marks=pytest.mark.long) for one in ("dora", "loha", "lokr"))]
)
def test_what_was_trained_does_the_same_in_plain_diffusers_and_in_kohyas_form(
    kind: str, worker: Worker, data: Path, models_folder: Path
) -> None:
    more = {"use_rslora": True, "alpha": 3.0} if kind == "lora" else {}
    run = trained(worker, data, kind=kind, learning_rate=0.02, max_train_steps=6, **more)
    file = run / "weights/pytorch_lora_weights.safetensors"
    theirs = drawn(models_folder, "tiny", file)
    assert np.abs(theirs - drawn(models_folder, "tiny", None)).max() > 0.01, "it learned nothing"
    assert np.abs(theirs - ours("tiny", file)).max() < 1e-3
    if kind == "dora":  # diffusers drops what kohya calls dora_scale
        assert np.abs(ours("tiny", file, 0.0) - drawn(models_folder, "tiny", None)).max() < 1e-4
        return
    row, converted = training.answer(worker, {"task": "convert", "data": run.name, "what": "kohya"})
    assert row.state == "done", row.sentence
    (kohya,) = (converted / "weights").glob("*.safetensors")
    assert np.abs(drawn(models_folder, "tiny", kohya) - theirs).max() < 1e-3


def test_the_answer_of_a_learning_adapter_is_that_of_its_file(models_folder: Path) -> None:
    for kind in ("lora", "dora", "loha", "lokr"):
        with families.opened("tiny", Models("cpu")) as base:
            targets = {"unet": ["to_q", "to_k", "conv1", "proj_in"] if kind == "lora" else ["to_q", "to_out.0"]}
            models = {"unet": base.denoiser}
            x, t = torch.randn(1, 4, 16, 16), torch.tensor([5])
            text = base.encode_prompt(["a"])
            before = base.predict(x, t, text)
            with learning.on(models, {"unet": Shape(kind, 4, 6.0)}, targets, 0) as learner:
                assert torch.allclose(base.predict(x, t, text), before, atol=1e-5), f"{kind} does not begin as the base"
                for one in learner.parameters("unet"):
                    one.data += 0.3 * torch.randn(one.shape, generator=torch.Generator().manual_seed(1))
                with torch.no_grad():
                    learned = base.predict(x, t, text)
                with learner.aside():
                    assert torch.equal(base.predict(x, t, text), before)
                    plan = learner.plan()
                assert torch.equal(base.predict(x, t, text).detach(), learned)
            assert torch.equal(base.predict(x, t, text), before)
            adapter = adapter_files.Adapter("it", "dotted", {"unet": dict(plan["unet"])})
            with base.attached([Use(adapter)]):
                again = base.predict(x, t, text)
            assert float((learned - before).abs().max()) > 1e-2
            assert float((again - learned).abs().max()) < 2e-4 * float(learned.abs().max()), kind


def test_the_rank_grows_without_a_jump_and_what_is_not_in_use_does_not_move(worker: Worker, data: Path) -> None:
    assert [rank_at(step, 20, 2, 8, 0.5) for step in (0, 2, 3, 5, 6, 19)] == [2, 2, 4, 4, 8, 8]
    with families.opened("tiny", Models("cpu")) as base:
        shapes, targets = {"unet": Shape("lora", 8, 8.0)}, {"unet": ["to_q", "to_v"]}
        with learning.on({"unet": base.denoiser}, shapes, targets, 0, rank=2) as learner:
            optimizer = torch.optim.AdamW(learner.parameters("unet"), lr=0.02)
            x, t, text = torch.randn(2, 4, 16, 16), torch.tensor([5, 9]), base.encode_prompt(["a", "b"])
            for _ in range(3):
                optimizer.zero_grad()
                base.predict(x, t, text).square().mean().backward()
                learner.hold_back()
                optimizer.step()
            small = learner.plan()["unet"]
            assert {layer.rank for layer in small.values()} == {2}
            before = base.predict(x, t, text).detach()
            learner.grow(4)
            assert torch.equal(base.predict(x, t, text).detach(), before)
            grown = learner.plan()["unet"]
            assert {layer.rank for layer in grown.values()} == {4}
            for name, layer in grown.items():
                assert layer.up is not None
                assert not layer.up[:, 2:].any(), f"{name} moved before its turn"
            optimizer.zero_grad()
            base.predict(x, t, text).square().mean().backward()
            learner.hold_back()
            optimizer.step()
            assert any(
                bool(layer.up[:, 2:4].any()) for layer in learner.plan()["unet"].values() if layer.up is not None
            )
    run = trained(worker, data, first_rank=2, rank=8, growth_share=0.5, max_train_steps=6, text_encoder=False)
    ranks = {one.shape[0] for key, one in weights(run).items() if "lora_A" in key}
    assert ranks == {8}


def test_prior_preservation_weighs_the_ordinary_kind(worker: Worker, data: Path, tmp_path: Path) -> None:
    ordinary = training.dataset(tmp_path / "ordinary", good=2, scratches=0, seed=9)
    run = trained(worker, data, class_data=str(ordinary), prior_loss_weight=0.5, max_train_steps=2)
    double = trained(worker, data, class_data=str(ordinary), prior_loss_weight=1.0, max_train_steps=2)
    lines, twice = (
        [json.loads(line) for line in (one / "log.jsonl").read_text().splitlines()] for one in (run, double)
    )
    assert lines[0]["loss"] == pytest.approx(lines[0]["denoising"] + lines[0]["prior"])
    assert twice[0]["prior"] == pytest.approx(2 * lines[0]["prior"], rel=1e-5)
    assert twice[0]["denoising"] == pytest.approx(lines[0]["denoising"], rel=1e-5)
    made = trained(worker, data, num_class_images=1, max_train_steps=1, class_prompt="a plain part")
    assert (made / "class/00000.png").is_file()


@pytest.mark.parametrize("base", ["holes", "large", "third", "flux", "klein"])
def test_every_family_learns(base: str, worker: Worker, data: Path) -> None:
    more = {"num_validation_images": 1, "max_train_steps": 2, "gradient_checkpointing": base == "third"}
    run = trained(worker, data, base=base, defect="scratch", **more)
    found = result(run)["changed"]
    parts = {"holes": 2, "large": 3, "third": 3, "flux": 2, "klein": 1}[base]
    assert len(found) == parts, found
    learned = {key.partition(".")[0] for key, one in weights(run).items() if "lora_B" in key and bool(one.any())}
    assert learned == set(found), "a part did not learn"
    assert list((run / "samples/000002").glob("*.png"))


def test_held_out_pictures_and_samples_are_shown_on_the_way(worker: Worker, data: Path) -> None:
    fields = {"validation_split": 0.3, "num_validation_images": 2, "validation_steps": 2, "mix": "mixup"}
    run = trained(worker, data, **fields)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    looks = [line for line in lines if "samples" in line]
    assert [line["step"] for line in looks] == [2, 4]
    assert all(line["held_out"] > 0 and line["diversity"] > 0 for line in looks)
    assert result(run)["images"] == 3
    assert result(run)["best"]["score"] == min(line["held_out"] for line in looks)


def test_a_picture_let_in_between_two_steps_is_as_without_the_training(
    data: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "PEOPLE_S", 0.0)
    ask = {"task": "text", "base": "tiny", "prompt": "a vfx", "width": 32, "height": 32, "num_inference_steps": 2}
    with Worker(runs, "cpu", ("cpu", "device")) as worker:
        queue, progress = worker.queue, worker.queue.progress
        urgent: list[str] = []
        _, alone = training.answer(worker, ask)

        def asking(run: str, owner: Any, done: int, total: int, note: str) -> bool:
            if done == 2 and total == 4 and not urgent:
                urgent.append(queue.submit(requests.parse(ask)))
            return progress(run, owner, done, total, note)

        monkeypatch.setattr(queue, "progress", asking)
        whole = trained(worker, data, learning_rate=0.1)
        assert queue.get(urgent[0]).state == "done", "it was not let in"
        ended = [queue.get(id).ended for id in (urgent[0], whole.name)]
        assert ended[0] < ended[1]  # type: ignore[operator]
        made = (runs / urgent[0] / "images/00000.png").read_bytes()
        assert made == (alone / "images/00000.png").read_bytes()
        monkeypatch.setattr(queue, "progress", progress)
        assert same(weights(whole), weights(trained(worker, data, learning_rate=0.1)))


def test_a_learning_rate_that_explodes_ends_with_the_last_good_checkpoint(worker: Worker, data: Path) -> None:
    row, run = answered(worker, data, learning_rate=10.0, max_train_steps=40)
    assert (row.state, row.code) == ("failed", "diverged")
    assert "is kept; start again with a learning_rate below 10" in str(row.sentence)
    assert all(bool(one.isfinite().all()) for one in weights(run).values())


def test_an_adapter_of_another_base_is_refused_before_the_first_step(worker: Worker, data: Path) -> None:
    large = trained(worker, data, base="large", max_train_steps=1)
    row, run = answered(worker, data, resume_from=large.name)
    assert row.state == "failed"
    assert "which tiny has not" in str(row.sentence)
    assert not (run / "checkpoints").exists()


def test_a_disk_that_cannot_be_written_loses_no_training(
    worker: Worker, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(worker, data)
    full, fsync = [True], os.fsync

    def syncing(number: int) -> None:
        if full[0] and "checkpoints" in str(Path(f"/proc/self/fd/{number}").readlink()):
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(number)

    monkeypatch.setattr(os, "fsync", syncing)
    row, run = answered(worker, data)
    assert row.state == "waiting_disk"
    full[0] = False
    assert training.again(worker, run.name).state == "done"
    assert same(weights(run), weights(whole))


SENTENCES: list[tuple[dict[str, Any], str]] = [
    ({"defect": "hole"}, "the data set has no defect 'hole'; it has scratch"),
    ({"target_modules": ["nothing"]}, "target_modules: no layer of the unet ends in nothing"),
    ({"mixed_precision": "fp16"}, "mixed_precision fp16 needs a GPU"),
    ({"base": "third", "snr_gamma": 5}, "snr_gamma = 5: third follows a flow"),
]


@pytest.mark.parametrize(("fields", "sentence"), SENTENCES, ids=[sentence[:24] for _, sentence in SENTENCES])
def test_what_cannot_go_well_is_said_before_the_first_step(
    fields: dict[str, Any], sentence: str, worker: Worker, data: Path
) -> None:
    row, run = answered(worker, data, **fields)
    assert row.state == "failed"
    assert row.code == "bad_input"
    assert sentence in str(row.sentence)
    assert not (run / "checkpoints").exists()
