"""Which attention computes: xformers where its kernels really run, else torch's own. Decided once a device.

The two packages are built for one another's exact versions; a wheel that installs need not work, and says so in six
lines at its import. A tiny call is the only proof (docs/decisions/0011).
"""

import logging
from functools import cache
from typing import Any, Literal

import torch

Attention = Literal["xformers", "torch SDPA"]

logging.getLogger("xformers").setLevel(logging.CRITICAL)  # before diffusers imports it: what it cannot do is told below


@cache
def attention(device: str) -> Attention:
    """What computes attention on a device. Never raises, never prints."""
    if not device.startswith("cuda"):
        return "torch SDPA"  # xformers has no kernels for anything else
    try:
        from xformers.ops import memory_efficient_attention

        tiny = torch.zeros(1, 64, 2, 64, device=device, dtype=torch.float16)
        memory_efficient_attention(tiny, tiny, tiny)
        torch.cuda.synchronize(device)
    except Exception:  # whatever a build for another torch comes up with: it does not work, and that is all
        return "torch SDPA"
    return "xformers"


def put_on(denoiser: Any, device: str) -> None:
    """Has a denoiser compute with what `attention` chose; torch's own is what it comes with."""
    if attention(device) == "xformers" and hasattr(denoiser, "enable_xformers_memory_efficient_attention"):
        denoiser.enable_xformers_memory_efficient_attention()
