"""The device is one decision with a reason; the rule is tried on cards this machine need not have."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipelines.core.device import Card, choose, decide, gib, present, ram, runs_on
from pipelines.core.errors import BadInput

GIB = 2**30
HOPPER = Card("cuda:0", "NVIDIA H200", (9, 0), 139 * GIB, True)
TURING = Card("cuda:1", "Tesla T4", (7, 5), 15 * GIB, True)
PASCAL = Card("cuda:0", "GeForce GTX 1080", (6, 1), 8 * GIB, False)


def test_the_first_usable_card_is_chosen_and_the_reason_says_why() -> None:
    device = decide(None, [HOPPER, TURING], "", 64 * GIB)
    assert (device.name, device.dtype, device.memory_bytes) == ("cuda:0", "bfloat16", 139 * GIB)
    assert device.reason == "NVIDIA H200 (139.0 GiB, compute capability 9.0) computes in bfloat16"


def test_a_card_without_kernels_is_passed_over_for_one_that_has_them() -> None:
    assert decide(None, [PASCAL, TURING], "", 64 * GIB).name == "cuda:1"


def test_a_machine_whose_only_card_has_no_kernels_computes_on_the_cpu_and_says_so() -> None:
    device = decide(None, [PASCAL], "", 64 * GIB)
    assert (device.name, device.dtype, device.memory_bytes) == ("cpu", "float32", 64 * GIB)
    assert "GeForce GTX 1080" in device.reason


def test_without_a_card_the_reason_is_why_there_is_none() -> None:
    assert decide(None, [], "torch sees no GPU on this machine", GIB).reason == "torch sees no GPU on this machine"


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [((12, 0), "bfloat16"), ((8, 0), "bfloat16"), ((7, 5), "float16"), ((7, 0), "float16"), ((6, 1), "float32")],
)
def test_the_number_format_is_the_one_the_card_is_fast_at(capability: tuple[int, int], dtype: str) -> None:
    assert decide(None, [Card("cuda:0", "a card", capability, GIB, True)], "", GIB).dtype == dtype


@pytest.mark.parametrize(
    ("asked", "given"), [("cuda:1", "cuda:1"), ("cuda:0", "cuda:0"), ("cuda", "cuda:0"), ("cpu", "cpu")]
)
def test_a_device_asked_for_by_name_is_the_one_given(asked: str, given: str) -> None:
    assert decide(asked, [HOPPER, TURING], "", GIB).name == given


@pytest.mark.parametrize(
    ("asked", "cards", "sentence"),
    [
        ("cuda:2", [HOPPER, TURING], "no device 'cuda:2'; there is cuda:0, cuda:1, cpu"),
        ("cuda:0", [], "no device 'cuda:0' (torch sees no GPU); there is cpu"),
        ("mps", [], "no device 'mps' (torch sees no GPU); there is cpu"),
        ("", [], "no device '' (torch sees no GPU); there is cpu"),
        ("cuda:0", [PASCAL], "device 'cuda:0' cannot be used: this torch has no kernels for GeForce GTX 1080"),
    ],
)
def test_a_device_that_is_not_here_is_refused_with_what_is(asked: str, cards: list[Card], sentence: str) -> None:
    with pytest.raises(BadInput, match=re.escape(sentence)) as caught:
        decide(asked, cards, "" if cards else "torch sees no GPU", GIB)
    assert caught.value.field == "device"


@pytest.mark.parametrize(
    ("capability", "built_for", "runs"),
    [
        ((9, 0), ["sm_75", "sm_80", "sm_90", "sm_120"], True),
        ((8, 9), ["sm_80", "sm_86"], True),  # machine code runs on a later minor of its generation
        ((8, 0), ["sm_86"], False),
        ((6, 1), ["sm_75", "sm_80", "sm_90"], False),
        ((13, 0), ["sm_90", "sm_120"], False),
        ((13, 0), ["sm_90", "compute_120"], True),  # intermediate code is compiled for what comes later
        ((10, 0), ["sm_90a"], False),
        ((9, 0), ["sm_90a"], False),
        ((9, 4), ["gfx90a", "gfx942"], True),  # ROCm
    ],
)
def test_a_card_runs_what_torch_was_built_for(capability: tuple[int, int], built_for: list[str], runs: bool) -> None:
    assert runs_on(capability, built_for) is runs


def test_this_machine_gets_a_device_torch_can_compute_on() -> None:
    import torch

    device = choose()
    assert torch.ones(2, device=device.name, dtype=getattr(torch, device.dtype)).sum().item() == 2
    assert (device.name == "cpu") is not torch.cuda.is_available()
    assert device.reason
    assert device.memory_bytes > 0


def test_the_cpu_can_be_asked_for_on_any_machine() -> None:
    device = choose("cpu")
    assert (device.name, device.dtype, device.reason) == ("cpu", "float32", "the CPU was asked for")


def test_listing_the_cards_does_not_import_torch() -> None:
    program = (
        "import sys; from pipelines.core import device; device.present(); device.ram(); print('torch' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    reply = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert reply.stdout.strip() == "False"


def nvidia_smi(folder: Path, script: str) -> Path:
    """A stand-in for the driver's own program."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return folder


TWO_CARDS = (
    "echo 'GPU 0: NVIDIA A100 (UUID: GPU-aa)'; echo '  MIG 1g.5gb Device 0: (UUID: MIG-bb)'; echo 'GPU 1: NVIDIA A100'"
)


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for nvidia-smi is a shell script")
@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ["cuda:0", "cuda:1"]),
        ("", []),
        ("-1", []),
        ("1", ["cuda:0"]),
        ("1,0", ["cuda:0", "cuda:1"]),
        ("0,7,1", ["cuda:0"]),  # CUDA stops at the first it does not know
        ("GPU-aa", ["cuda:0"]),
    ],
)
def test_present_counts_what_nvidia_smi_lists_and_cuda_may_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, names: list[str]
) -> None:
    monkeypatch.setenv("PATH", str(nvidia_smi(tmp_path, TWO_CARDS)))
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert present(tmp_path / "no driver") == names


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for nvidia-smi is a shell script")
def test_a_driver_that_does_not_answer_means_no_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(nvidia_smi(tmp_path, "echo 'NVIDIA-SMI has failed'; exit 9")))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "gpus" / "0000:01:00.0").mkdir(parents=True)
    assert present(tmp_path / "gpus") == []


def test_without_nvidia_smi_the_drivers_own_folder_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert present(tmp_path / "gpus") == []
    for card in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "gpus" / card).mkdir(parents=True)
    assert present(tmp_path / "gpus") == ["cuda:0", "cuda:1"]


def test_the_containers_memory_limit_counts_where_it_is_lower(tmp_path: Path) -> None:
    machine = psutil.virtual_memory().total
    assert ram(tmp_path).total == machine
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert ram(tmp_path).total == machine
    (tmp_path / "memory.max").write_text(f"{64 * 2**20}\n")
    (tmp_path / "memory.current").write_text(f"{60 * 2**20}\n")
    assert ram(tmp_path) == (64 * 2**20, 4 * 2**20)


def test_a_version_one_cgroup_limits_memory_too(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text(f"{32 * 2**20}\n")
    (tmp_path / "memory" / "memory.usage_in_bytes").write_text(f"{40 * 2**20}\n")
    assert ram(tmp_path) == (32 * 2**20, 0)


@pytest.mark.parametrize(("count", "text"), [(0, "0 MiB"), (512 * 2**20, "512 MiB"), (int(7.9 * GIB), "7.9 GiB")])
def test_bytes_are_said_as_a_person_reads_them(count: int, text: str) -> None:
    assert gib(count) == text
