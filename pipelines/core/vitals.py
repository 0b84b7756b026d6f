"""What a worker says of itself with each heartbeat: where it computes and why, memory, models. Never imports torch.

A worker that has only drawn says what can be known without torch; what is not known is left out.
"""

import platform
from pathlib import Path
from typing import Any

import psutil

from pipelines.core.device import Device, ram
from pipelines.core.models import Models, budget
from pipelines.core.nvml import Nvml, Reading

PROCESSOR = Path("/proc/cpuinfo")


class Vitals:
    """The state of one worker, for the one thread that reports it."""

    def __init__(self, device: str, models: Models, nvml: Nvml | None = None) -> None:
        self._device = device
        self._models = models
        self._nvml = nvml or Nvml()
        self._processor = processor()

    def report(self) -> dict[str, Any]:
        """What is known now, as JSON has it: bytes, seconds since 1970, degrees Celsius, watts."""
        decided = self._models.decided
        name = decided.name if decided else self._device
        memory = ram()
        said: dict[str, Any] = {
            "device": name,
            "memory": {
                "process": psutil.Process().memory_info().rss,
                "used": memory.total - memory.available,
                "total": memory.total,
            },
            "held_bytes": self._models.held_bytes,
            "models": self._models.report(),
        }
        if decided:
            said |= {"dtype": decided.dtype, "reason": decided.reason}
        if self._models.attention:
            said["attention"] = self._models.attention
        title = decided.title if decided else None
        if name == "cpu":
            title = title or self._processor
        elif card := self._nvml.read(name, decided.uuid if decided else ""):
            title = title or card.title
            said["card"] = _told(card)
        if title:
            said["title"] = title
        return said | self._budgets(name, decided, memory.total, said.get("card", {}).get("total"))

    def _budgets(self, name: str, decided: Device | None, ram_total: int, card_total: int | None) -> dict[str, int]:
        """What models may hold and might at most, as far as the device's memory is known."""
        total = decided.memory_bytes if decided else ram_total if name == "cpu" else card_total
        if total is None:
            return {}
        default = budget(decided or Device(name, "", "", total))
        chosen = self._models.budget_set
        return {
            "budget_bytes": default if chosen is None else min(chosen, total),
            "default_bytes": default,
            "total_bytes": total,
        }


def _told(card: Reading) -> dict[str, float]:
    known = {
        "used": card.used_bytes,
        "total": card.total_bytes,
        "temperature_c": card.temperature_c,
        "power_w": card.power_w,
    }
    return {key: value for key, value in known.items() if value is not None}


def processor(path: Path = PROCESSOR) -> str:
    """What this machine's CPU is sold as; empty where nobody says."""
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor()
