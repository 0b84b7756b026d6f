"""Writes models as their authors' code names them: the single files that the community trades.

The opposite way of diffusers' converters, from the published layouts: CompVis (SD1), Stability-AI (SD2, SDXL, SD3).
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import diffusers
import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor

from pipelines.parts.loading import index_of

Layout = Literal["sd1", "sd2", "sdxl", "sd3"]
Tensors = dict[str, Tensor]

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
AROUND = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
VAE = {
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.resnets.1": "mid.block_2",
    "mid_block.attentions.0": "mid.attn_1",
    "conv_norm_out": "norm_out",
    "conv_shortcut": "nin_shortcut",
    "downsamplers.0": "downsample",
    "upsamplers.0": "upsample",
    "resnets": "block",
}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OPEN_CLIP = {
    "encoder.layers": "transformer.resblocks",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn": "attn",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "final_layer_norm": "ln_final",
    "embeddings.token_embedding": "token_embedding",
    "embeddings.position_embedding.weight": "positional_embedding",
}
MMDIT = {
    "pos_embed.proj": "x_embedder.proj",
    "pos_embed.pos_embed": "pos_embed",
    "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
    "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
    "proj_out": "final_layer.linear",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
}
MMDIT_BLOCK = {
    "attn.to_out.0": "x_block.attn.proj",
    "attn.to_add_out": "context_block.attn.proj",
    "norm1.linear": "x_block.adaLN_modulation.1",
    "norm1_context.linear": "context_block.adaLN_modulation.1",
    "ff.net.0.proj": "x_block.mlp.fc1",
    "ff.net.2": "x_block.mlp.fc2",
    "ff_context.net.0.proj": "context_block.mlp.fc1",
    "ff_context.net.2": "context_block.mlp.fc2",
}


def _renamed(key: str, names: Mapping[str, str]) -> str:
    for ours, theirs in names.items():
        key = re.sub(rf"(^|\.){re.escape(ours)}(?=\.|$)", rf"\g<1>{theirs}", key, count=1)
    return key


def unet(model: Any) -> Tensors:
    """`input_blocks`, `middle_block`, `output_blocks`: one number for each layer of each level."""
    found: Tensors = {}
    layers = model.config.layers_per_block + 1
    for key, tensor in model.state_dict().items():
        place = re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.", key)
        if place is None:
            name = _renamed(key, AROUND)
            found[_renamed(name, RESNET) if "mid_block.resnets" in key else name] = tensor
            continue
        side, level, kind, layer = place[1], int(place[2]), place[3], int(place[4])
        rest = key[place.end() :]
        if kind == "downsamplers":
            name = f"input_blocks.{(level + 1) * layers}.0.{rest.replace('conv', 'op')}"
        elif kind == "upsamplers":
            attends = "CrossAttn" in model.config.up_block_types[level]
            name = f"output_blocks.{level * layers + layers - 1}.{2 if attends else 1}.{rest}"
        else:
            number = level * layers + layer
            block = f"input_blocks.{number + 1}" if side == "down" else f"output_blocks.{number}"
            name = f"{block}.0.{_renamed(rest, RESNET)}" if kind == "resnets" else f"{block}.1.{rest}"
        found[name] = tensor
    return found


def vae(model: Any) -> Tensors:
    """Up blocks are counted from the picture, and attention is made of 1x1 convolutions."""
    found: Tensors = {}
    last = len(model.config.block_out_channels) - 1
    for key, tensor in model.state_dict().items():
        name = re.sub(r"up_blocks\.(\d+)", lambda level: f"up.{last - int(level[1])}", key)
        name = _renamed(name.replace("down_blocks", "down"), VAE)
        if ".attn_1." in name:
            name = _renamed(name, VAE_ATTENTION)
            tensor = tensor[:, :, None, None] if tensor.ndim == 2 else tensor
        found[name] = tensor
    return found


def clip(model: Any) -> Tensors:
    """As transformers wrote it before version 5: everything but the projection under `text_model`."""
    found: Tensors = {}
    for key, tensor in model.state_dict().items():
        inner = key.startswith(("text_model.", "text_projection."))
        found[key if inner else f"text_model.{key}"] = tensor
    found["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    return found


def open_clip(model: Any) -> Tensors:
    """Query, key and value are one matrix, and the projection is turned."""
    found: Tensors = {}
    state = {key.removeprefix("text_model."): tensor for key, tensor in model.state_dict().items()}
    width = model.config.hidden_size
    found["text_projection"] = state.pop("text_projection.weight", torch.eye(width)).T.contiguous()
    for key, tensor in state.items():
        if ".self_attn." in key and ".out_proj." not in key:
            if ".q_proj." in key:
                three = [state[key.replace("q_proj", one)] for one in ("q_proj", "k_proj", "v_proj")]
                name = key.replace(".q_proj.", ".in_proj_")
                found[_renamed(name, OPEN_CLIP)] = torch.cat(three)
        else:
            found[_renamed(key, OPEN_CLIP)] = tensor
    found["logit_scale"] = torch.tensor(4.6)
    return found


def mmdit(model: Any) -> Tensors:
    """SD3's transformer: query, key and value are one matrix; shift stands before scale at the ends."""
    found: Tensors = {}
    state = model.state_dict()
    last = model.config.num_layers - 1
    for key, tensor in state.items():
        block = re.match(r"transformer_blocks\.(\d+)\.", key)
        if block is None:
            turned = key.startswith("norm_out.linear")
            found[_renamed(key, MMDIT)] = torch.cat(tensor.chunk(2)[::-1]) if turned else tensor
            continue
        rest, above = key[block.end() :], f"joint_blocks.{block[1]}"
        fused = re.fullmatch(r"attn\.(to|add)_(q|k|v)(_proj)?\.(weight|bias)", rest)
        if fused is None:
            turned = rest.startswith("norm1_context") and int(block[1]) == last
            found[f"{above}.{_renamed(rest, MMDIT_BLOCK)}"] = torch.cat(tensor.chunk(2)[::-1]) if turned else tensor
        elif fused[2] == "q":
            names = [f"attn.{fused[1]}_{one}{fused[3] or ''}.{fused[4]}" for one in "qkv"]
            side = "x_block" if fused[1] == "to" else "context_block"
            found[f"{above}.{side}.attn.qkv.{fused[4]}"] = torch.cat([state[block[0] + one] for one in names])
    return found


def t5(model: Any) -> Tensors:
    return {key: one for key, one in model.state_dict().items() if key != "encoder.embed_tokens.weight"}


def whole(parts: Mapping[str, Any], layout: Layout) -> Tensors:
    """Every tensor of a published checkpoint, with what else lies in such files."""
    encoders: dict[str, dict[str, tuple[str, Any]]] = {
        "sd1": {"text_encoder": ("cond_stage_model.transformer.", clip)},
        "sd2": {"text_encoder": ("cond_stage_model.model.", open_clip)},
        "sdxl": {
            "text_encoder": ("conditioner.embedders.0.transformer.", clip),
            "text_encoder_2": ("conditioner.embedders.1.model.", open_clip),
        },
        "sd3": {
            "text_encoder": ("text_encoders.clip_l.transformer.", clip),
            "text_encoder_2": ("text_encoders.clip_g.transformer.", clip),
            "text_encoder_3": ("text_encoders.t5xxl.transformer.", t5),
        },
    }
    places: dict[str, tuple[str, Any]] = {
        "unet": ("model.diffusion_model.", unet),
        "transformer": ("model.diffusion_model.", mmdit),
        "vae": ("first_stage_model.", vae),
        **encoders[layout],
    }
    found: Tensors = {}
    for part, model in parts.items():
        above, written = places[part]
        found |= {f"{above}{key}": tensor for key, tensor in written(model).items()}
    if layout in ("sd1", "sd2"):
        found |= {"betas": torch.linspace(0.0008, 0.012, 1000), "model_ema.decay": torch.tensor(0.9999)}
    return found


def models(folder: Path) -> Iterator[tuple[str, Any]]:
    """The models of a diffusers folder, as the libraries themselves load them."""
    for part, named in index_of(folder).items():
        if not isinstance(named, list) or named[0] is None or not list((folder / part).glob("*.safetensors")):
            continue
        cls = getattr({"diffusers": diffusers, "transformers": transformers}[named[0]], named[1])
        yield part, cls.from_pretrained(folder / part)


def save(tensors: Mapping[str, Tensor], file: Path) -> Path:
    save_file({key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()}, file)
    return file


def write(folder: Path, file: Path, layout: Layout) -> Path:
    """A diffusers folder as one file in the original layout."""
    return save(whole(dict(models(folder)), layout), file)
