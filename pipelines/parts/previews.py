"""A rough look at latents without decoding them: a linear map to colours, fitted once to each autoencoder.

The usual trick with fixed factors holds for one autoencoder alone; a fit holds for any.
"""

from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.parts.family import Family

CELLS = 8
_FITTED: WeakKeyDictionary[torch.nn.Module, Tensor] = WeakKeyDictionary()


@torch.no_grad()
def rough(base: Family, latents: Tensor) -> Tensor:
    """float32 [3, h, w] in [0, 1] on the CPU, a pixel a latent cell, of scaled latents [1, C, h, w]."""
    if base.vae not in _FITTED:
        _FITTED[base.vae] = _fit(base, latents.shape[1])
    colours = _FITTED[base.vae].to(latents.device)
    flat = latents[0].float().flatten(1)
    shown = colours[:, :-1] @ flat + colours[:, -1:]
    return shown.view(3, *latents.shape[-2:]).clamp(0, 1).cpu()


def _fit(base: Family, channels: int) -> Tensor:
    """[3, C + 1]: least squares from smooth random latents to the mean colour each cell is decoded to."""
    random = torch.Generator().manual_seed(0)
    count = max(4, channels // 2)  # a field knows no more than its four corners
    coarse = torch.randn(count, channels, 2, 2, generator=random)
    fields = F.interpolate(coarse, size=(CELLS, CELLS), mode="bilinear")
    pictures = torch.cat([base.decode(one[None].to(base.device, base.vae.dtype)) for one in fields]).float().cpu()
    colours = F.adaptive_avg_pool2d((pictures + 1) / 2, (CELLS, CELLS))
    known = torch.cat([fields.transpose(0, 1).flatten(1), torch.ones(1, count * CELLS * CELLS)])
    return torch.linalg.lstsq(known.T, colours.transpose(0, 1).flatten(1).T).solution.T
