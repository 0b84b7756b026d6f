"""Adapters written out: kohya's form for most other tools, and one clean form of diffusers. Reads no file.

Both keep what counts: the factor alpha / r of each module, and DoRA's row lengths.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from pipelines.core.errors import BadInput
from pipelines.parts.adapter_files import Adapter, Layer
from pipelines.parts.adapters import Plan, kohya

# What modules of diffusers and CLIP are called, longest first: `attn1_to_out_0` is attn1.to_out.0.
_NAMES = (
    r"single_transformer_blocks|transformer_blocks|down_blocks|up_blocks|mid_block|time_emb_proj|conv_shortcut|"
    r"text_model|self_attn|q_proj|k_proj|v_proj|out_proj|proj_in|proj_out|to_q|to_k|to_v|to_out|attentions|resnets|"
    r"downsamplers|upsamplers|attn1|attn2|ff|net|proj|conv1|conv2|conv|encoder|layers|mlp|fc1|fc2|\d+"
)
_WHOLE = re.compile(rf"(?:{_NAMES})(?:_(?:{_NAMES}))*")
_ONE = re.compile(rf"(?:{_NAMES})(?=_|$)")


def spelled_out(adapter: Adapter) -> Plan:
    """Its modules by their names, told from the file alone. Raises BadInput where only the base can tell."""
    found: Plan = {}
    for part, layers in adapter.layers.items():
        for module, layer in layers.items():
            name = module if adapter.spelling == "dotted" else _dotted(module)
            if name is None or adapter.spelling == "numbered":
                raise BadInput(
                    f"adapter {adapter.name} does not spell its modules out ({module}): name the base it is for", "base"
                )
            # SD's text encoder has lost this step of its names; the others have kept it
            short = name.removeprefix("text_model.") if part == "text_encoder" else name
            found.setdefault(part, {})[short] = layer
    return found


def _dotted(joined: str) -> str | None:
    """`down_blocks_0_attn1_to_q` -> `down_blocks.0.attn1.to_q`; None where a word is not known."""
    return ".".join(_ONE.findall(joined)) if _WHOLE.fullmatch(joined) else None


def as_kohya(adapter: Adapter, plan: Plan) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) as kohya's scripts save them."""
    ranks = Counter(layer.rank for layers in plan.values() for layer in layers.values())
    factors = Counter(float(layer.alpha or 0) for layers in plan.values() for layer in layers.values())
    return kohya(plan), {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(ranks.most_common(1)[0][0]),
        "ss_network_alpha": f"{factors.most_common(1)[0][0]:g}",
        "ss_output_name": adapter.name,
    }


def as_diffusers(adapter: Adapter, plan: Plan) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) as diffusers and peft save them; rank and alpha of each module stand in the metadata.

    Raises BadInput where some modules are DoRA and some are not: peft has one word for all of a part.
    """
    tensors: dict[str, Tensor] = {}
    table: dict[str, Any] = {}
    for part, layers in plan.items():
        for name, layer in layers.items():
            tensors |= _peft(f"{part}.{name}", layer)
        table |= {f"{part}.{key}": value for key, value in _config(adapter, part, layers).items()}
    return tensors, {"format": "pt", "lora_adapter_metadata": json.dumps(table, sort_keys=True)}


def _peft(stem: str, layer: Layer) -> dict[str, Tensor]:
    assert layer.down is not None
    assert layer.up is not None
    found = {f"{stem}.lora_A.weight": layer.down, f"{stem}.lora_B.weight": layer.up}
    if layer.magnitude is not None:
        shape = (1, -1, 1, 1) if layer.down.ndim == 4 else (-1,)
        found[f"{stem}.lora_magnitude_vector"] = layer.magnitude.reshape(shape)
    return found


def _config(adapter: Adapter, part: str, layers: Mapping[str, Layer]) -> dict[str, Any]:
    doras = {layer.magnitude is not None for layer in layers.values()}
    if len(doras) > 1:
        raise BadInput(f"adapter {adapter.name} is DoRA in some modules of the {part} only: convert it to kohya")
    ends = {name.removeprefix("text_model."): layer for name, layer in layers.items()}  # peft goes by how names end
    ranks = {name: layer.rank for name, layer in ends.items()}
    alphas = {name: float(layer.alpha or layer.rank) for name, layer in ends.items()}
    rank, alpha = (Counter(of.values()).most_common(1)[0][0] for of in (ranks, alphas))
    return {
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {name: one for name, one in ranks.items() if one != rank},
        "alpha_pattern": {name: one for name, one in alphas.items() if one != alpha},
        "target_modules": sorted(ends),
        "use_dora": doras == {True},
    }


FORMS: dict[str, Callable[[Adapter, Plan], tuple[dict[str, Tensor], dict[str, str]]]] = {
    "kohya": as_kohya,
    "diffusers": as_diffusers,
}
