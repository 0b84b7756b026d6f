"""Tiny models of the real classes, randomly initialised: what a test of anything with weights stands on.

Every builder seeds itself, so that two calls give equal weights. `folder` saves a base as a user would have it.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

PX = 32
"""Side of the pictures the tiny models are made for."""
WIDTH = 32
"""Width of the tiny text encoder."""
MERGES = (("s", "c"), ("sc", "r"), ("a", "t"), ("d", "e"))


def _byte_letters() -> list[str]:
    """The letters that byte-level BPE writes the 256 bytes with."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [*map(chr, shown), *(chr(256 + number) for number in range(len(hidden)))]


def save_tokenizer(folder: Path) -> None:
    """A whole byte-level vocabulary with four merges: any text is tokens."""
    letters = _byte_letters()
    words = [*letters, *(f"{one}</w>" for one in letters), *("".join(pair) for pair in MERGES)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate(words)}))
    merges = "\n".join(["#version: 0.2", *(" ".join(pair) for pair in MERGES), ""])
    (folder / "merges.txt").write_text(merges)
    made = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)
    made.save_pretrained(folder)


def text_encoder(*, projection: bool = False, width: int = WIDTH, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    last = 2 * 256 + len(MERGES) + 1
    config = CLIPTextConfig(
        vocab_size=last + 1,
        hidden_size=width,
        intermediate_size=37,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=last - 1,
        eos_token_id=last,
        pad_token_id=last,
        projection_dim=width,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval()


def unet(in_channels: int = 4, *, seed: int = 0, **more: Any) -> Any:
    torch.manual_seed(seed)
    return diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=PX // 2,
        in_channels=in_channels,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **{"cross_attention_dim": WIDTH, "attention_head_dim": 8, **more},
    ).eval()


def vae(*, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return diffusers.AutoencoderKL(
        block_out_channels=[32, 64],
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
        sample_size=PX,
    ).eval()


def scheduler(**more: Any) -> Any:
    """SD's own noise schedule."""
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    return diffusers.DDIMScheduler(**betas, clip_sample=False, set_alpha_to_one=False, steps_offset=1, **more)


@cache
def tokenizer(folder: Path) -> Any:
    return CLIPTokenizer.from_pretrained(folder)


def stable_diffusion(folder: Path, *, in_channels: int = 4, prediction: str = "epsilon", seed: int = 0) -> Path:
    """SD1.5 (4 channels), SD1.5-inpaint (9) or SD2 (v_prediction) as a diffusers folder."""
    save_tokenizer(folder / "tokenizer")
    made = diffusers.StableDiffusionPipeline(
        vae=vae(seed=seed),
        text_encoder=text_encoder(seed=seed),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        unet=unet(in_channels, seed=seed),
        scheduler=scheduler(prediction_type=prediction),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.save_pretrained(folder)
    return folder
