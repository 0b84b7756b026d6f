"""The registry of loaded models: one copy of each part in memory, and room made before room is needed.

Knows bytes, keys and who is in use; knows nothing of families, adapters or pipelines. Never imports torch at its own
import: sizes are read from whatever has parameters and buffers. Adapters are no part of a key: they come and go on a
model that stays.
"""

import gc
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from pipelines.core.device import Device, choose, gib, ram
from pipelines.core.errors import Missing, Problem

T = TypeVar("T")


class Key(NamedTuple):
    """What makes two models the same model: `Key("sd15", "unet", "bfloat16", "cuda:0")`.

    `device` is where it stays: a model that only rests in main memory and computes elsewhere is on "cpu".
    """

    base: str
    part: str
    dtype: str
    device: str

    def __str__(self) -> str:
        return f"{self.base}/{self.part} ({self.dtype}, {self.device})"


class NoRoom(Problem):
    """A model does not fit beside what is in use; the sentence says what it needs, what there is and what to try."""

    code = "no_room"


class InUse(Problem):
    """A model that a run is using stays until the run lets it go."""

    code = "in_use"


@dataclass(eq=False)
class _Entry:
    model: Any
    storages: dict[int, int]  # address of each block of memory -> its bytes
    used_at: float
    pins: int = 0


def budget(device: Device) -> int:
    """Bytes that models may hold on a device.

    On a GPU a fifth stays free for activations, at least 2 GiB and at most 8; on the CPU half the memory is left to
    pictures, the other worker and the rest of the machine.
    """
    if device.name == "cpu":
        return device.memory_bytes // 2
    reserve = min(max(device.memory_bytes // 5, 2 * 2**30), 8 * 2**30)
    return max(device.memory_bytes - reserve, 0)


def measure(model: Any) -> dict[int, int]:
    """Every block of memory that a model holds, by address: tied weights and views of one block count once.

    A model is a torch module, a pipeline (`.components`), or a mapping, list or tuple of these. Anything else (a
    tokenizer, a scheduler) holds nothing. Tensors on the meta device have no memory yet.
    """
    if isinstance(model, Mapping):
        return _union(measure(part) for part in model.values())
    if isinstance(model, list | tuple):
        return _union(measure(part) for part in model)
    if callable(getattr(model, "parameters", None)) and callable(getattr(model, "buffers", None)):
        storages = {}
        for tensor in (*model.parameters(), *model.buffers()):
            storage = tensor.untyped_storage()
            if tensor.device.type != "meta" and storage.nbytes():  # every empty or meta tensor lives at address 0
                storages[storage.data_ptr()] = storage.nbytes()
        return storages
    if isinstance(getattr(model, "components", None), Mapping):
        return measure(model.components)
    return {}


def out_of_memory(error: BaseException) -> bool:
    """Whether that is what an exception says: torch has a class for its GPUs, and words for the CPU."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )


def _union(storages: Iterable[dict[int, int]]) -> dict[int, int]:
    return {address: size for one in storages for address, size in one.items()}


class Models:
    """The models of one worker. Used by one compute thread; what others may ask as well says so."""

    def __init__(self, name: str | None = None, budget_bytes: int | None = None) -> None:
        """`name` is the device asked for (None: the best here); `budget_bytes` overrides what `budget` says of it, as
        far as the device has that much.

        Neither is looked at before a model is wanted, so that a worker that only draws never imports torch.
        """
        self._name = name
        self._budget = budget_bytes
        self._device: Device | None = None
        self._entries: dict[Key, _Entry] = {}  # least recently used first
        self._sizes: dict[Key, int] = {}  # what each key measured when it was last here
        self._thread: threading.Thread | None = None
        self.attention: str | None = None
        """What computes attention in these models, once one of them was opened. Any thread may ask."""

    @property
    def device(self) -> Device:
        """The device, decided at the first look. Imports torch."""
        if self._device is None:
            self._device = choose(self._name)
        return self._device

    @property
    def decided(self) -> Device | None:
        """The device if it has been decided already. Any thread may ask; never imports torch."""
        return self._device

    @property
    def budget_bytes(self) -> int:
        """Bytes that models may hold at once."""
        return budget(self.device) if self._budget is None else min(self._budget, self.device.memory_bytes)

    @property
    def budget_set(self) -> int | None:
        """The budget that somebody set, if anybody did. Any thread may ask; never imports torch."""
        return self._budget

    @property
    def held_bytes(self) -> int:
        """Bytes that models hold on the device now; what two of them share counts once. Any thread may ask."""
        home = self._device.name if self._device is not None else None
        here = [entry.storages for key, entry in list(self._entries.items()) if home in (None, key.device)]
        return sum(_union(here).values())

    @contextmanager
    def use(self, key: Key, build: Callable[[], T], *, size_bytes: int | None = None) -> Iterator[T]:
        """The model under `key`, built if it is not here, and safe from eviction inside the `with` (which nests).

        Room is made before `build` runs: for what the key measured last time, or the first time for `size_bytes`, its
        size once loaded. Where neither is known, room is made after measuring. Raises NoRoom, leaving the registry
        as it was, when the model cannot fit beside those in use; what `build` raises passes through and leaves no
        trace but the room that was made for it.
        """
        self._guard()
        entry = self._entries.get(key) or self._load(key, build, size_bytes)
        self._touch(key, entry)
        entry.pins += 1
        try:
            yield entry.model
        finally:
            entry.pins -= 1
            entry.storages = measure(entry.model)  # a part may have grown in use: new tokens, a component loaded late
            self._touch(key, entry)

    def release(self, key: Key) -> int:
        """Drops a model; returns the bytes that freed. Raises Missing if it is not here, InUse if it is in use."""
        self._guard()
        if key not in self._entries:
            here = ", ".join(map(str, self._entries)) or "nothing"
            raise Missing(f"{key} is not loaded; loaded is {here}")
        if self._entries[key].pins:
            raise InUse(f"{key} is in use; stop the run that uses it, then release it")
        return self._drop([key])

    def release_all(self) -> int:
        """Drops every model that is not in use and says how many bytes that freed."""
        self._guard()
        return self._drop([key for key, entry in self._entries.items() if not entry.pins])

    def limit(self, budget_bytes: int | None) -> int:
        """Sets what models may hold (None: what `budget` says), drops what is too much and returns the bytes freed.

        The least recently used go first. What is in use stays; it goes when another model wants its room.
        """
        self._guard()
        self._budget = budget_bytes
        going: list[Key] = []
        there = self._in_memory_of(self.device.name)
        staying = {key: entry.storages for key, entry in there.items()}
        for key, entry in there.items():
            if sum(_union(staying.values()).values()) <= self.budget_bytes:
                break
            if not entry.pins:
                del staying[key]
                going.append(key)
        return self._drop(going)

    def report(self) -> list[dict[str, Any]]:
        """What is loaded, last used first: key, bytes, used_at (seconds since 1970), pinned. Any thread may ask."""
        return [
            {
                "key": key._asdict(),
                "bytes": sum(entry.storages.values()),
                "used_at": entry.used_at,
                "pinned": entry.pins > 0,
            }
            for key, entry in reversed(list(self._entries.items()))
        ]

    def _load(self, key: Key, build: Callable[[], Any], size_bytes: int | None) -> _Entry:
        expected = self._sizes.get(key, size_bytes)
        if expected is not None:
            self._drop(self._in_the_way(key, {0: expected}))  # no memory to measure yet
        try:
            model = build()
        except Exception as error:
            if not out_of_memory(error):
                raise
            model = None
        if model is None:
            model = self._built_with_all_room(key, build)
        storages = measure(model)
        others = _union(entry.storages for entry in self._in_memory_of(key.device).values())
        self._sizes[key] = sum(size for address, size in storages.items() if address not in others)
        self._drop(self._in_the_way(key, storages))
        entry = _Entry(model, storages, time.time())
        self._entries[key] = entry
        return entry

    def _built_with_all_room(self, key: Key, build: Callable[[], T]) -> T:
        """Once more, with everything dropped that nobody uses: what else is on the device was not foreseen."""
        self.release_all()
        try:
            return build()
        except Exception as error:
            if not out_of_memory(error):
                raise
        raise NoRoom(
            f"{key} does not fit into the memory that is left: models hold {gib(self.held_bytes)} of the"
            f" {gib(self.device.memory_bytes)} here; close other programs, or choose a smaller base"
        )

    def _in_the_way(self, key: Key, storages: dict[int, int]) -> list[Key]:
        """The least recently used models that must go for `storages` to fit. Raises NoRoom where that would not do."""
        need, allowed = sum(storages.values()), self._allowed(key.device)
        there = self._in_memory_of(key.device)
        if need > allowed:
            raise NoRoom(
                f"{key} needs {gib(need)} and models may hold {gib(allowed)} on this device: "
                "choose a smaller base, a smaller number format or a device with more memory"
            )
        pinned = {name: entry.storages for name, entry in there.items() if entry.pins}
        kept = _union([storages, *pinned.values()])
        if sum(kept.values()) > allowed:
            busy = gib(sum(_union(pinned.values()).values()))
            raise NoRoom(
                f"{key} needs {gib(need)}, models may hold {gib(allowed)}, and {busy} of that are in use by "
                f"{', '.join(map(str, pinned))}: use fewer models at once, or a device with more memory"
            )
        staying = {name: entry.storages for name, entry in there.items()}
        going = []
        for name, held in list(staying.items()):
            if sum(_union([storages, *staying.values()]).values()) <= allowed:
                break
            if not held.keys() <= kept.keys():  # what is in use stays, and dropping what it holds anyway frees nothing
                del staying[name]
                going.append(name)
        return going

    def _in_memory_of(self, device: str) -> dict[Key, _Entry]:
        return {key: entry for key, entry in self._entries.items() if key.device == device}

    def _allowed(self, device: str) -> int:
        """What models may hold there: on the device that computes, or at rest in main memory."""
        return self.budget_bytes if device == self.device.name else ram().total // 2

    def _drop(self, keys: list[Key]) -> int:
        before = self.held_bytes
        for key in keys:
            del self._entries[key]
        if keys:
            gc.collect()  # modules with hooks hold themselves in circles that counting alone does not free
            torch = sys.modules.get("torch")
            if torch is not None and torch.cuda.is_initialized():
                torch.cuda.empty_cache()
        return before - self.held_bytes

    def _touch(self, key: Key, entry: _Entry) -> None:
        self._entries.pop(key, None)
        self._entries[key] = entry
        entry.used_at = time.time()

    def _guard(self) -> None:
        """diffusers neither builds nor runs safely in two threads: the first to ask is the only one while it lives."""
        here = threading.current_thread()
        if self._thread is None or not self._thread.is_alive():
            self._thread = here
        if self._thread is not here:
            raise RuntimeError(
                f"models are used by the thread {self._thread.name!r} and were asked for by {here.name!r}: "
                "send the work to the compute thread"
            )
