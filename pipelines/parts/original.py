"""FLUX as its authors name its modules, in diffusers' names: for whole transformers and for adapters of them.

The authors keep matrices in one that diffusers keeps apart (query, key and value; in FLUX.1's single blocks also the
first of the feed-forward), so one of theirs may become several, cut by rows. Knows names and rows; no base.
"""

import re
from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor

from pipelines.parts.adapter_files import Adapter, Layer

ABOVE = "model.diffusion_model."
"""What stands before every name where a file holds more than the transformer."""
_QKV = ("attn.to_q", "attn.to_k", "attn.to_v")
_DOUBLE = {
    "img_attn.qkv": _QKV,
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "img_attn.proj": ("attn.to_out.0",),
    "txt_attn.proj": ("attn.to_add_out",),
    "img_attn.norm.query_norm": ("attn.norm_q",),
    "img_attn.norm.key_norm": ("attn.norm_k",),
    "txt_attn.norm.query_norm": ("attn.norm_added_q",),
    "txt_attn.norm.key_norm": ("attn.norm_added_k",),
}
_DOUBLE_1 = {
    "img_mlp.0": ("ff.net.0.proj",),
    "img_mlp.2": ("ff.net.2",),
    "txt_mlp.0": ("ff_context.net.0.proj",),
    "txt_mlp.2": ("ff_context.net.2",),
    "img_mod.lin": ("norm1.linear",),
    "txt_mod.lin": ("norm1_context.linear",),
}
_DOUBLE_2 = {
    "img_mlp.0": ("ff.linear_in",),
    "img_mlp.2": ("ff.linear_out",),
    "txt_mlp.0": ("ff_context.linear_in",),
    "txt_mlp.2": ("ff_context.linear_out",),
}
_NORMS = {"norm.query_norm": ("attn.norm_q",), "norm.key_norm": ("attn.norm_k",)}
_SINGLE_1 = {"linear1": (*_QKV, "proj_mlp"), "linear2": ("proj_out",), "modulation.lin": ("norm.linear",), **_NORMS}
_SINGLE_2 = {"linear1": ("attn.to_qkv_mlp_proj",), "linear2": ("attn.to_out",), **_NORMS}
_AROUND = {"img_in": "x_embedder", "txt_in": "context_embedder", "final_layer.linear": "proj_out"}
_EMBEDDED = {"time_in": "timestep_embedder", "vector_in": "text_embedder", "guidance_in": "guidance_embedder"}
_TURNED = "final_layer.adaLN_modulation.1"
"""The authors write shift before scale there, diffusers scale before shift."""
_BLOCK = re.compile(r"(?:diffusion_model\.)?(double|single)_blocks[._](\d+)[._](.+)")


def transformer(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a FLUX.1 transformer under diffusers' names; those that have them already, as they are."""
    own = {name.removeprefix(ABOVE): one for name, one in tensors.items()}
    if not any(name.startswith("double_blocks.") for name in own):
        return tensors
    found: dict[str, Tensor] = {}
    for name, one in own.items():
        module, _, kind = name.rpartition(".")
        if module == _TURNED:
            shift, scale = one.chunk(2)
            found[f"norm_out.linear.{kind}"] = torch.cat([scale, shift])
            continue
        names = _names(module, first=True) or (module,)
        rows = _rows(names, len(one), own.get(f"{module}.weight", one).shape[-1])
        for place, piece in zip(names, one.split(rows), strict=True):
            found[f"{place}.{'weight' if kind == 'scale' else kind}"] = piece
    return found


def adapter(given: Adapter, parts: Collection[str], modules: Collection[str]) -> Adapter:
    """An adapter of a transformer in diffusers' names. Any other comes back as it is.

    `parts` are those of the base, `modules` the names in its transformer.
    """
    layers = given.layers.get("unet", {})
    if "unet" in parts or "transformer" not in parts or not any(map(_is_flux, layers)):
        return given
    first = not any(name.endswith("to_qkv_mlp_proj") for name in modules)
    found: dict[str, Layer] = {}
    for module, layer in layers.items():
        names = _names(module, first)
        if not names:
            found[module] = layer
            continue
        assert layer.down is not None
        assert layer.up is not None
        rows = _rows(names, len(layer.up), layer.down.shape[1])
        lengths = layer.magnitude.split(rows) if layer.magnitude is not None else [None] * len(rows)
        for name, up, length in zip(names, layer.up.split(rows), lengths, strict=True):
            spelled = name if given.spelling == "dotted" else name.replace(".", "_")
            found[spelled] = replace(layer, up=up, magnitude=length)
    others = {part: one for part, one in given.layers.items() if part != "unet"}
    return replace(given, layers={"transformer": found, **others})


def _is_flux(module: str) -> bool:
    return bool(_BLOCK.fullmatch(module)) or module.startswith(("transformer_blocks.", "single_transformer_blocks."))


def _names(module: str, first: bool) -> tuple[str, ...]:
    """What diffusers calls a module of the authors', of FLUX.1 (`first`) or FLUX.2; none where it is not known.

    kohya writes `_` for every dot, so names are compared without either.
    """
    module = module.removeprefix("diffusion_model.")
    if found := _BLOCK.fullmatch(module):
        which, number, inner = found.groups()
        double = {**_DOUBLE, **(_DOUBLE_1 if first else _DOUBLE_2)}
        table = double if which == "double" else (_SINGLE_1 if first else _SINGLE_2)
        above = "transformer_blocks" if which == "double" else "single_transformer_blocks"
        known = next((to for name, to in table.items() if name.replace(".", "_") == inner.replace(".", "_")), ())
        return tuple(f"{above}.{number}.{name}" for name in known)
    if module in _AROUND:
        return (_AROUND[module],)
    above, _, inner = module.partition(".")
    if above in _EMBEDDED and inner in ("in_layer", "out_layer"):
        return (f"time_text_embed.{_EMBEDDED[above]}.linear_{1 if inner == 'in_layer' else 2}",)
    return ()


def _rows(names: tuple[str, ...], rows: int, width: int) -> list[int]:
    """How many rows each of these gets: query, key and value `width` each, the feed-forward what is left."""
    if len(names) == 1:
        return [rows]
    return [width] * 3 if len(names) == 3 else [width] * 3 + [rows - 3 * width]
