"""The training loop on a toy: exact resume, what the page is told, Stop, pause, NaN, optimisers, epochs."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pipelines.core import checkpoints, requests, wishes
from pipelines.core.errors import BadInput, Cancelled
from pipelines.core.requests import Training
from pipelines.parts import loop, optimizers
from pipelines.parts.ladder import OutOfMemory
from pipelines.parts.loop import Diverged
from pipelines.parts.optimizers import Group
from pipelines.parts.state import learned
from tests.training import Toy, held

USUAL: dict[str, Any] = {
    "task": "train-lora",
    "base": "sd15",
    "data": "data",
    "max_train_steps": 12,
    "checkpointing_steps": 5,
    "learning_rate": 0.01,
    "seed": 4,
}
CPU = torch.device("cpu")


def asked(**fields: Any) -> Training:
    found = requests.parse({**USUAL, **fields})
    assert isinstance(found, Training)
    return found


def trained(runs: Path, **fields: Any) -> tuple[dict[str, Tensor], list[dict[str, Any]], Path]:
    """(weights, log lines, the run's folder) of a training without a break."""
    request = asked(**fields)
    run = held(runs, request)
    loop.fit(Toy(request), request, 40, run, CPU)
    return load_file(run.folder / "weights/toy.safetensors"), log(run.folder), run.folder


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def steps(folder: Path) -> list[int]:
    return [line["step"] for line in log(folder) if "loss" in line]


class Halt(Exception):
    """The process dies here."""


class Mortal(Toy):
    """Dies in the middle of a step."""

    at = 7

    def loss(self, at: Any) -> Any:
        if at.step == self.at and at.micro == at.micros - 1:
            raise Halt
        return super().loss(at)


def broken_off(runs: Path, at: int, **fields: Any) -> tuple[dict[str, Tensor], Path]:
    """Weights of a training that died at a step and was taken up by another process."""
    request = asked(**fields)
    run = held(runs, request)
    mortal = Mortal(request)
    mortal.at = at
    with pytest.raises(Halt):
        loop.fit(mortal, request, 40, run, CPU)
    loop.fit(Toy(request), request, 40, run, CPU)
    return load_file(run.folder / "weights/toy.safetensors"), run.folder


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


WAYS: list[dict[str, Any]] = [
    {},
    {"use_ema": True, "lr_scheduler": "one_cycle"},
    {"optimizer": "adamw8bit", "lr_scheduler": "cosine", "lr_warmup_steps": 3},
    {"optimizer": "prodigy", "learning_rate": 1.0},
    {"optimizer": "adafactor", "gradient_accumulation_steps": 2, "lr_scheduler": "linear"},
    {"mixed_precision": "bf16"},
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.get("optimizer", next(iter(way), "plain")))
def test_a_training_that_died_ends_in_the_same_bits(way: dict[str, Any], runs: Path) -> None:
    whole, lines, _ = trained(runs, **way)
    for at in (2, 7):
        weights, folder = broken_off(runs, at, **way)
        assert same(weights, whole), f"died in step {at}"
        assert steps(folder) == list(range(1, 13)), "a step is lost or told twice"
        told = [line["loss"] for line in log(folder) if "loss" in line]
        assert told == [line["loss"] for line in lines if "loss" in line]


def test_it_learns_and_each_seed_learns_otherwise(runs: Path) -> None:
    one, lines, _ = trained(runs, max_train_steps=200, checkpointing_steps=200)
    losses = [line["loss"] for line in lines if "loss" in line]
    assert sum(losses[-20:]) < 0.3 * sum(losses[:20])
    again, _, _ = trained(runs, max_train_steps=200, checkpointing_steps=200)
    other, _, _ = trained(runs, max_train_steps=200, checkpointing_steps=200, seed=5)
    assert same(one, again)
    assert not same(one, other)


def test_the_log_tells_terms_rate_pictures_and_the_last_checkpoints_stay(runs: Path) -> None:
    _, lines, folder = trained(runs, checkpoints_total_limit=1, lr_warmup_steps=2)
    first = lines[0]
    assert first["loss"] == pytest.approx(first["square"] + first["size"])
    assert first["learning_rate"] == pytest.approx(0.005)
    assert math.isfinite(first["grad_norm"])
    shown = [line for line in lines if "samples" in line]
    assert [line["step"] for line in shown] == [5, 10, 12]
    assert (folder / shown[0]["samples"]["toy"][0]).is_file()
    kept = [int(one.name.rpartition("-")[2]) for one in (folder / "checkpoints").iterdir()]
    found, _ = checkpoints.newest(folder / "checkpoints")
    assert found is not None
    assert found.step == 12
    best = found.facts["best"][1]
    assert sorted(kept) == sorted({12, best})
    assert list((folder / "tensorboard").glob("events*"))


def test_it_stops_after_the_step_and_goes_on_from_there(runs: Path) -> None:
    whole, _, _ = trained(runs)
    request = asked()
    run = held(runs, request)
    tick = run.tick

    def stopping(done: int, total: int, note: str = "", *rest: Any, **more: Any) -> None:
        if done == 7 and "saved" not in note:
            raise Cancelled(run.id)
        tick(done, total, note, *rest, **more)

    run.tick = stopping  # type: ignore[method-assign]
    with pytest.raises(Cancelled):
        loop.fit(Toy(request), request, 40, run, CPU)
    assert (run.folder / "checkpoints/checkpoint-000007").is_dir()
    assert (run.folder / "weights/toy.safetensors").is_file()
    run.tick = tick  # type: ignore[method-assign]
    loop.fit(Toy(request), request, 40, run, CPU)
    assert same(load_file(run.folder / "weights/toy.safetensors"), whole)
    assert steps(run.folder) == list(range(1, 13))


def test_save_now_and_pause_are_heard_between_steps(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = asked()
    run = held(runs, request)
    slept: list[int] = []
    toy = Toy(request)
    loss = toy.loss

    def wishing(at: Any) -> Any:
        if at.step == 2:
            wishes.make(run.folder, "save")
        if at.step == 7:
            wishes.make(run.folder, "pause")
        return loss(at)

    def sleep(seconds: float) -> None:
        slept.append(run._queue.get(run.id).done)
        if len(slept) == 3:
            wishes.drop(run.folder, "pause")

    toy.loss = wishing  # type: ignore[method-assign]
    monkeypatch.setattr(loop.time, "sleep", sleep)
    loop.fit(toy, request, 40, run, CPU)
    there = {one.name for one in (run.folder / "checkpoints").iterdir()}
    assert not wishes.made(run.folder, "save")
    assert "checkpoint-000008" in there
    assert slept == [8, 8, 8]
    assert steps(run.folder) == list(range(1, 13))


def test_a_training_stands_aside_for_who_waits(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "PEOPLE_S", 0.0)
    request = asked()
    toy = Toy(request)
    came: list[int] = []
    loop.fit(toy, request, 40, held(runs, request, lambda: came.append(toy.stood_aside)), CPU)
    assert len(came) == 12
    assert came == list(range(1, 13)), "somebody came in while the training was not aside"


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_single_bad_steps_are_passed_over(optimizer: str, runs: Path) -> None:
    request = asked(optimizer=optimizer)
    toy = Toy(request)
    toy.spoil = lambda step: math.nan if step in (3, 4, 8) else 1.0
    run = held(runs, request)
    loop.fit(toy, request, 40, run, CPU)
    weights = load_file(run.folder / "weights/toy.safetensors")
    assert all(bool(one.isfinite().all()) for one in weights.values())
    assert [line["step"] for line in log(run.folder) if "loss" in line and line["loss"] is None] == [4, 5, 9]


@pytest.mark.parametrize("spoiled", [math.nan, math.inf, 1e6])
def test_a_loss_that_stays_bad_ends_it_with_the_last_good_checkpoint(spoiled: float, runs: Path) -> None:
    good, _, _ = trained(runs, max_train_steps=5)
    request = asked()
    toy = Toy(request)
    toy.spoil = lambda step: spoiled if step >= 6 else 1.0
    run = held(runs, request)
    with pytest.raises(
        Diverged,
        match=r"astray at step 10 \(loss \S+, gradient \S+\): what it had learned by step 5 is kept; .* below 0\.01",
    ):
        loop.fit(toy, request, 40, run, CPU)
    assert same(load_file(run.folder / "weights/toy.safetensors"), good)
    assert {one.name for one in (run.folder / "checkpoints").iterdir()} == {"checkpoint-000005"}


def test_out_of_memory_is_a_sentence_and_what_was_saved_stays(runs: Path) -> None:
    whole, _, _ = trained(runs)
    request = asked()
    toy = Toy(request)
    loss = toy.loss

    def full(at: Any) -> Any:
        if at.step == 6:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss(at)

    toy.loss = full  # type: ignore[method-assign]
    run = held(runs, request)
    with pytest.raises(
        OutOfMemory, match="step 7 does not fit into the memory of cpu: choose a train_batch_size below 4"
    ):
        loop.fit(toy, request, 40, run, CPU)
    loop.fit(Toy(request), request, 40, run, CPU)
    assert same(load_file(run.folder / "weights/toy.safetensors"), whole)


def test_the_running_mean_is_what_is_saved(runs: Path) -> None:
    plain, _, _ = trained(runs)
    request = asked(use_ema=True)
    toy, run = Toy(request), held(runs, request)
    seen: list[dict[str, Tensor]] = []
    look = toy.look

    def looking(step: int, tick: Any) -> Any:
        seen.append({name: one.clone() for name, one in toy.tensors().items()})
        return look(step, tick)

    toy.look = looking  # type: ignore[method-assign]
    loop.fit(toy, request, 40, run, CPU)
    folder, mean = run.folder, load_file(run.folder / "weights/toy.safetensors")
    assert not same(plain, mean)
    assert same(seen[-1], mean), "what is shown is not what is saved"
    found, _ = checkpoints.newest(folder / "checkpoints")
    assert found is not None
    toy.load(learned(found.folder))
    assert same(dict(toy.tensors()), plain), "it goes on from the weights themselves"


def test_an_estimate_takes_a_few_real_steps_and_leaves_nothing(runs: Path) -> None:
    request = asked(estimate=True, max_train_steps=1000)
    run = held(runs, request)
    said = loop.fit(Toy(request), request, 40, run, CPU)
    assert said["steps"] == 1000
    assert said["seconds"] == pytest.approx(1000 * said["seconds_a_step"], rel=1.0)
    assert said["memory_bytes"] > 10_000_000
    assert not (run.folder / "checkpoints").exists()
    assert not (run.folder / "weights").exists()


def test_epochs_become_steps() -> None:
    assert loop.length(asked(max_train_steps=None, num_train_epochs=3, train_batch_size=4), 10) == 9
    assert loop.length(asked(max_train_steps=None, num_train_epochs=3, train_batch_size=4), 10, ranks=2) == 6
    assert loop.length(asked(max_train_steps=7), 10) == 7


def test_a_number_format_that_the_device_has_not_is_refused() -> None:
    assert loop.precision(asked(), CPU) == "no"
    with pytest.raises(BadInput, match="fp16 needs a GPU: choose no"):
        loop.precision(asked(mixed_precision="fp16"), CPU)


def test_an_8_bit_optimiser_that_cannot_be_had_is_replaced_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = [Group("all", [torch.nn.Parameter(torch.zeros(3))], 0.1)]
    chosen = optimizers.make("adamw8bit", groups, 0.0)
    assert type(chosen.optimizer).__name__ == "AdamW8bit"
    assert chosen.note == ""
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes.optim", None)
    chosen = optimizers.make("adamw8bit", groups, 0.0)
    assert type(chosen.optimizer) is torch.optim.AdamW
    assert "AdamW in 32 bits takes its place" in chosen.note


def test_prodigy_is_told_one_rate_for_all() -> None:
    two = [Group(name, [torch.nn.Parameter(torch.zeros(3))], rate) for name, rate in (("a", 1.0), ("b", 0.5))]
    with pytest.raises(BadInput, match="prodigy finds one learning rate for all"):
        optimizers.make("prodigy", two, 0.0)
