"""Bases and adapters in turn, again and again: nothing stays behind."""

import gc
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import save_file

from pipelines.core.models import Models
from pipelines.parts import adapter_files, families
from pipelines.parts.adapters import Use
from pipelines.parts.sampling import Ask, sample
from tests import tiny

MIB = 2**20


def adapter(folder: Path, number: int) -> Use:
    random = torch.Generator().manual_seed(number)
    tensors = {}
    for name, module in tiny.unet().named_modules():
        if name.endswith(("attn2.to_k", "attn2.to_v")):
            tensors[f"unet.{name}.lora_A.weight"] = torch.randn(4, module.in_features, generator=random)
            tensors[f"unet.{name}.lora_B.weight"] = torch.randn(module.out_features, 4, generator=random)
    file = folder / f"adapter{number}.safetensors"
    save_file(tensors, file)
    return Use(adapter_files.read(file))


def alive() -> tuple[int, int]:
    """Tensors of this process, and their bytes."""
    gc.collect()
    kinds = (torch.Tensor, torch.nn.Parameter)
    tensors = [one for one in gc.get_objects() if type(one) in kinds]  # isinstance would wake lazy modules
    return len(tensors), sum(one.numel() * one.element_size() for one in tensors)


@pytest.mark.parametrize(
    ("both_fit", "switches"),
    [
        (True, 10),
        pytest.param(False, 5, marks=pytest.mark.long),  # each one loads a base again
        pytest.param(True, 200, marks=pytest.mark.long),
        pytest.param(False, 200, marks=pytest.mark.long),
    ],
)
def test_memory_does_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, both_fit: bool, switches: int) -> None:
    for seed, name in enumerate(("one", "two")):
        tiny.stable_diffusion(tmp_path / "models" / name, seed=seed)
    monkeypatch.setenv("FLAWSMITH_MODELS", str(tmp_path / "models"))
    uses = [adapter(tmp_path, number) for number in range(3)]
    models = Models("cpu")
    if not both_fit:
        with families.opened("one", models):
            models.limit(int(models.held_bytes * 1.5))

    def switch(number: int) -> torch.Tensor:
        with families.opened(("one", "two")[number % 2], models) as base, base.attached([uses[number % 3]]):
            ask = Ask("text", ["a"], [1], (tiny.PX, tiny.PX), 1, [2.0], scheduler="ddim")
            return sample(base, ask, lambda step: None)

    first = [switch(number) for number in range(6)]  # each pair of base and adapter once
    held, tensors, process = models.held_bytes, alive(), psutil.Process()
    before = process.memory_info().rss
    for number in range(6, switches):
        assert torch.equal(switch(number), first[number % 6]), f"switch {number} made another picture"
    assert models.held_bytes == held
    assert alive() == tensors
    assert process.memory_info().rss - before < 64 * MIB
