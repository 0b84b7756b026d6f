"""The device: one decision, made once, with a reason a person can read. Knows nothing of models.

`present` and `ram` ask the machine and never import torch, so that app.py can count workers in milliseconds; `choose`
imports torch.
"""

import contextlib
import os
import shutil
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from pipelines.core.errors import BadInput, Missing

DRIVER = Path("/proc/driver/nvidia/gpus")
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Device:
    """Where a worker computes: torch's name for it, the number format of weights there, why, and its memory."""

    name: str
    dtype: str
    reason: str
    memory_bytes: int
    title: str = ""
    """What a GPU is sold as; empty for the CPU."""
    uuid: str = ""
    """Which of several like it: the driver's own number of a GPU."""


@dataclass(frozen=True)
class Card:
    """A GPU as torch describes it. `usable` is False where this torch holds no kernels for it."""

    name: str
    title: str
    capability: tuple[int, int]
    memory_bytes: int
    usable: bool
    uuid: str = ""


class Ram(NamedTuple):
    """Main memory in bytes, as far as this process may use it."""

    total: int
    available: int


def gib(count: int) -> str:
    """A number of bytes as a person reads it: `512 MiB`, `7.9 GiB`."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def ram(cgroup: Path = CGROUP) -> Ram:
    """Main memory, total and available: the machine's, or the container's where that is less (cgroup v2, then v1)."""
    machine = psutil.virtual_memory()
    total, available = machine.total, machine.available
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            allowed, taken = (int((cgroup / name).read_text()) for name in (limit, used))
        except (OSError, ValueError):
            continue  # no such group, or its limit is the word "max"
        total, available = min(total, allowed), min(available, max(allowed - taken, 0))
    return Ram(total, available)


def present(driver: Path = DRIVER) -> list[str]:
    """The NVIDIA GPUs of this machine under torch's names, without torch; heeds CUDA_VISIBLE_DEVICES as CUDA does.

    nvidia-smi is asked first, as it sees what a container may use; /proc answers where it is not installed or does
    not reply.
    """
    count = len(list(driver.iterdir())) if driver.is_dir() else 0
    program = shutil.which("nvidia-smi")
    if program:
        # a driver just waking up can take longer than this: then what /proc counted stands
        with contextlib.suppress(subprocess.TimeoutExpired):
            reply = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=20, check=False)
            count = sum(line.startswith("GPU ") for line in reply.stdout.splitlines()) if reply.returncode == 0 else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        count = _shown(visible, count)
    return [f"cuda:{index}" for index in range(count)]


def _shown(visible: str, count: int) -> int:
    """How many entries of CUDA_VISIBLE_DEVICES hold: CUDA stops reading at the first one it does not know."""
    entries = [entry.strip() for entry in visible.split(",")]
    for position, entry in enumerate(entries):
        known = entry.startswith(("GPU-", "MIG-")) or (entry.isdigit() and int(entry) < count)
        if not known:
            return position
    return len(entries)


def choose(name: str | None = None) -> Device:
    """The device to compute on: `name`, or the first GPU this torch can use, or the CPU. Imports torch.

    Raises BadInput when `name` is not here, Missing when torch is not installed.
    """
    cards, absence = _probe()
    return decide(name, cards, absence, ram().total)


def decide(name: str | None, cards: list[Card], absence: str, ram_bytes: int) -> Device:
    """`choose` without asking the machine: the rule alone. `absence` says why `cards` is empty."""
    if name is None:
        for card in cards:
            if card.usable:
                return _on(card)
        return Device("cpu", "float32", absence or _unusable(cards[0]), ram_bytes)
    if name == "cpu":
        return Device("cpu", "float32", "the CPU was asked for", ram_bytes)
    wanted = "cuda:0" if name == "cuda" else name
    for card in cards:
        if card.name == wanted:
            if not card.usable:
                raise BadInput(f"device {name!r} cannot be used: {_unusable(card)}; use cpu", "device")
            return _on(card)
    here = ", ".join([*(card.name for card in cards), "cpu"])
    because = f" ({absence})" if absence else ""
    raise BadInput(f"no device {name!r}{because}; there is {here}", "device")


def _on(card: Card) -> Device:
    major, minor = card.capability
    # bfloat16 needs capability 8 (below, it is emulated); fast float16 needs 7 (Pascal has it at 1/64 of float32)
    dtype = "bfloat16" if major >= 8 else "float16" if major >= 7 else "float32"
    reason = f"{card.title} ({gib(card.memory_bytes)}, compute capability {major}.{minor}) computes in {dtype}"
    return Device(card.name, dtype, reason, card.memory_bytes, card.title, card.uuid)


def _unusable(card: Card) -> str:
    major, minor = card.capability
    return f"this torch has no kernels for {card.title} (compute capability {major}.{minor})"


def runs_on(capability: tuple[int, int], built_for: list[str]) -> bool:
    """Whether a torch built for these architectures (`sm_90`, `compute_120`; `sm_90a` is not portable) runs on a card.

    Machine code (sm) runs on its own generation from its own minor number up; intermediate code (compute) on anything
    newer.
    """
    names = [name.partition("_") for name in built_for if name.startswith(("sm_", "compute_"))]
    if not names:
        return True  # a ROCm build lists gfx names, and torch lists only cards it was built for
    for kind, _, number in names:
        if number.isdigit():
            major, minor = divmod(int(number), 10)
            same_generation = major == capability[0] and minor <= capability[1]
            if same_generation or (kind == "compute" and (major, minor) <= capability):
                return True
    return False


def _probe() -> tuple[list[Card], str]:
    """The cards torch sees, or none and why."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise Missing("torch is not installed; `python -m pip install -r requirements.txt` brings it") from error
    if torch.version.cuda is None and torch.version.hip is None:
        return [], "this torch was built without GPU support"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")  # torch says why a driver is of no use in a warning: it becomes the reason
        try:
            built_for = torch.cuda.get_arch_list()
            cards = []
            for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
                found = torch.cuda.get_device_properties(index)
                capability = (int(found.major), int(found.minor))
                usable = runs_on(capability, built_for)
                memory, uuid = int(found.total_memory), str(found.uuid)
                cards.append(Card(f"cuda:{index}", str(found.name), capability, memory, usable, uuid))
        except RuntimeError as error:
            return [], f"the GPU cannot be used: {str(error).splitlines()[0]}"
    if cards:
        return cards, ""
    if said:
        return [], f"the GPU cannot be used: {str(said[0].message).splitlines()[0]}"
    return [], "torch sees no GPU on this machine"
