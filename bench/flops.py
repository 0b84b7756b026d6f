"""What SD1.5 must compute, counted on its real architecture without a weight; and the floor that sets on a GPU.

The architecture is public knowledge (runwayml/stable-diffusion-v1-5's configurations); weights are random.
"""

from functools import cache
from typing import Any

import torch

UNET = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
VAE: dict[str, Any] = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
}
TEXT = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "quick_gelu",
}
# Dense bf16 without sparsity, in operations a second, as sold. A card that is not here has no floor.
PEAK = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "RTX 4090": 165e12, "RTX 3090": 71e12}
REACHED = 0.8
"""What a large matrix product reaches of that on an H200 (790 TFLOP/s): nothing real is faster."""


@cache
def picture(steps: int, side: int = 512) -> int:
    """Operations of one picture with guidance: twice the UNet a step, and the decoder once."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from torch.utils.flop_counter import FlopCounterMode

    cells = side // 8
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        unet = UNet2DConditionModel(**UNET)
        vae = AutoencoderKL(**VAE)
        unet(torch.empty(2, 4, cells, cells), torch.empty(2), torch.empty(2, 77, 768))
        once = counter.get_total_flops()
        vae.decode(torch.empty(1, 4, cells, cells))
    return steps * once + counter.get_total_flops() - once


@cache
def step(batch: int, side: int = 512) -> int:
    """Operations of a LoRA step on kept latents and words: the UNet forward, and back through its activations.

    Its weights are frozen, so nothing is computed for them; what the adapter itself adds is under a tenth.
    """
    from diffusers import UNet2DConditionModel
    from torch.utils.flop_counter import FlopCounterMode

    cells = side // 8
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        unet = UNet2DConditionModel(**UNET).requires_grad_(False)
        latents = torch.empty(batch, 4, cells, cells, requires_grad=True)
        unet(latents, torch.empty(batch), torch.empty(batch, 77, 768)).sample.sum().backward()
    return counter.get_total_flops()


def floor(operations: int, card: str) -> float | None:
    """Seconds that a card needs at least; None for one whose peak is not known."""
    peak = next((value for name, value in PEAK.items() if name in card), None)
    return operations / (peak * REACHED) if peak else None
