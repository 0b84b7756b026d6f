"""The doors of NVIDIA's management library (NVML) as ctypes sees them, with cards of our own behind them."""

import ctypes
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

GIB = 2**30
NOT_FOUND, NOT_SUPPORTED = 6, 3


@dataclass(frozen=True)
class Card:
    """A card and what it would tell. `power_mw` in milliwatts, as the library counts."""

    uuid: str
    title: str
    used: int
    total: int
    temperature: int
    power_mw: int


class Driver:
    """Answers 0 and writes through the pointer it was given, or refuses with the library's own numbers."""

    def __init__(self, cards: Sequence[Card], refuses: AbstractSet[str] = frozenset()) -> None:
        self.asked: list[str] = []
        self._cards = cards
        for name in ("nvmlInit_v2", "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByUUID", "nvmlDeviceGetName"):
            setattr(self, name, self._door(name, refuses))
        for name in ("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetPowerUsage", "nvmlDeviceGetTemperature"):
            setattr(self, name, self._door(name, refuses))

    def _door(self, name: str, refuses: AbstractSet[str]) -> Any:
        def door(*arguments: Any) -> int:
            self.asked.append(name)
            return NOT_SUPPORTED if name in refuses else int(getattr(self, f"_{name}")(*arguments))

        return door

    def _card(self, handle: ctypes.c_void_p) -> Card:
        assert handle.value
        return self._cards[handle.value - 1]

    def _nvmlInit_v2(self) -> int:
        return 0

    def _nvmlDeviceGetHandleByIndex_v2(self, index: ctypes.c_uint, found: Any) -> int:
        return self._hand_out(index.value, found)

    def _nvmlDeviceGetHandleByUUID(self, uuid: bytes, found: Any) -> int:
        places = [place for place, card in enumerate(self._cards) if card.uuid == uuid.decode()]
        return self._hand_out(places[0], found) if places else NOT_FOUND

    def _hand_out(self, place: int, found: Any) -> int:
        if place >= len(self._cards):
            return NOT_FOUND
        found._obj.value = place + 1
        return 0

    def _nvmlDeviceGetName(self, handle: ctypes.c_void_p, text: Any, length: ctypes.c_uint) -> int:
        assert len(text) == length.value
        text.value = self._card(handle).title.encode()
        return 0

    def _nvmlDeviceGetMemoryInfo(self, handle: ctypes.c_void_p, memory: Any) -> int:
        card = self._card(handle)
        memory._obj.total, memory._obj.free, memory._obj.used = card.total, card.total - card.used, card.used
        return 0

    def _nvmlDeviceGetPowerUsage(self, handle: ctypes.c_void_p, found: Any) -> int:
        found._obj.value = self._card(handle).power_mw
        return 0

    def _nvmlDeviceGetTemperature(self, handle: ctypes.c_void_p, sensor: int, found: Any) -> int:
        assert sensor == 0
        found._obj.value = self._card(handle).temperature
        return 0
