"""How an NVIDIA card is: memory, temperature, power. Asked of the driver's own library, without torch.

What the card or its driver does not tell is None, never an error; most machines have no such library at all.
"""

import ctypes
import os
from dataclasses import dataclass
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
NAME_BYTES = 96
CORE = 0  # NVML_TEMPERATURE_GPU


@dataclass(frozen=True)
class Reading:
    """A card now."""

    title: str | None
    used_bytes: int | None
    total_bytes: int | None
    temperature_c: int | None
    power_w: float | None


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class Nvml:
    """The library, opened at the first reading and then kept: each opening may wake a sleeping card up."""

    def __init__(self, library: Any = None) -> None:
        """`library` is what to ask instead of the driver's own."""
        self._library = library
        self._ready: bool | None = None

    def read(self, device: str, uuid: str = "") -> Reading | None:
        """The card that torch calls `device`, or None. `uuid` is torch's for it, where torch has been asked."""
        if not self._open():
            return None
        card = self._card(device, uuid)
        if card is None:
            return None
        memory = _Memory()
        told = self._told("nvmlDeviceGetMemoryInfo", card, ctypes.byref(memory))
        power = self._number("nvmlDeviceGetPowerUsage", card)
        return Reading(
            title=self._title(card),
            used_bytes=memory.used if told else None,
            total_bytes=memory.total if told else None,
            temperature_c=self._number("nvmlDeviceGetTemperature", card, CORE),
            power_w=None if power is None else power / 1000,
        )

    def _open(self) -> bool:
        if self._ready is None:
            try:
                self._library = self._library or ctypes.CDLL(LIBRARY)
            except OSError:
                self._ready = False
            else:
                self._ready = self._told("nvmlInit_v2")
        return self._ready

    def _card(self, device: str, uuid: str) -> ctypes.c_void_p | None:
        """By torch's own name for it where there is one: CUDA counts the fastest card first, NVML by their slots."""
        place = int(device.partition(":")[2] or 0)
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        entries = [entry.strip() for entry in visible.split(",")] if visible is not None else []
        name = f"GPU-{uuid}" if uuid else entries[place] if place < len(entries) else str(place)
        found = ctypes.c_void_p()
        if name.isdigit():
            told = self._told("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(int(name)), ctypes.byref(found))
        else:
            told = self._told("nvmlDeviceGetHandleByUUID", name.encode(), ctypes.byref(found))
        return found if told else None

    def _title(self, card: ctypes.c_void_p) -> str | None:
        text = ctypes.create_string_buffer(NAME_BYTES)
        told = self._told("nvmlDeviceGetName", card, text, ctypes.c_uint(NAME_BYTES))
        return text.value.decode(errors="replace") or None if told else None

    def _number(self, function: str, card: ctypes.c_void_p, *which: int) -> int | None:
        found = ctypes.c_uint()
        return found.value if self._told(function, card, *which, ctypes.byref(found)) else None

    def _told(self, function: str, *arguments: Any) -> bool:
        """Whether the library did as asked; one that lacks the function, being of an older driver, did not."""
        asked = getattr(self._library, function, None)
        return asked is not None and asked(*arguments) == 0
