"""Files of weights of any names and shapes, a few bytes each, as a models folder holds them. Knows no torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

Shapes = Mapping[str, tuple[int, ...]]

SD1 = {
    "input_blocks.0.0.weight": (1, 4, 1, 1),
    "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (1, 768),
}


def tensors(shapes: Shapes) -> bytes:
    """A whole safetensors file with these tensors, all zero."""
    return save({name: np.zeros(shape, np.float16) for name, shape in shapes.items()})


def single(path: Path, shapes: Shapes) -> Path:
    """One file of weights at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tensors(shapes))
    return path


def base_files(**unet: Any) -> dict[str, bytes]:
    """The files of a small SD1.5 in diffusers layout, by their place; `unet` changes its configuration."""
    config = {"in_channels": 4, "cross_attention_dim": 768, **unet}
    index = {
        "_class_name": "StableDiffusionPipeline",
        "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "safety_checker": [None, None],
    }
    texts = {
        "model_index.json": index,
        "scheduler/scheduler_config.json": {"num_train_timesteps": 1000},
        "text_encoder/config.json": {"hidden_size": 768},
        "tokenizer/special_tokens_map.json": {"bos_token": "<s>"},
        "tokenizer/tokenizer_config.json": {"model_max_length": 77},
        "tokenizer/vocab.json": {"a": 0},
        "unet/config.json": config,
        "vae/config.json": {"latent_channels": 4},
    }
    found = {name: json.dumps(text).encode() for name, text in texts.items()}
    found["tokenizer/merges.txt"] = b"#version: 0.2\n"
    for part, name in (
        ("text_encoder", "model"),
        ("unet", "diffusion_pytorch_model"),
        ("vae", "diffusion_pytorch_model"),
    ):
        found[f"{part}/{name}.fp16.safetensors"] = tensors({f"{part}.weight": (64, 1024)})
    return found


def base(folder: Path, files: Mapping[str, bytes] | None = None, **unet: Any) -> Path:
    """Writes them as a folder."""
    for name, data in (files or base_files(**unet)).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
