"""Models that rest in main memory and come to the device only while they compute. accelerate does the moving."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def until_called(models: Sequence[Any], device: torch.device) -> Iterator[None]:
    """Each of `models` moves to `device` when it is called, and back when the one after it is. All rest afterwards.

    An autoencoder is called by `encode` and `decode`. A pipeline sees from the hooks where it computes.
    """
    from accelerate import cpu_offload_with_hook

    hooks: list[Any] = []
    try:
        for model in models:
            hooks.append(cpu_offload_with_hook(model, device, hooks[-1] if hooks else None)[1])
        yield
    finally:
        for hook in hooks:
            hook.offload()
            hook.remove()
