"""Adapter files of every common make, read into one form: which module gets which low-rank change. Loads into no model.

Read are: peft and diffusers (`unet.….lora_A.weight`), older diffusers (`….lora.down.weight` and
`….processor.to_k_lora.down.weight`, with or without `unet.`), kohya (`lora_unet_….lora_down.weight` with `.alpha`), and
the first LoRA tool's numbered layers (`unet:0:down`, cloneofsimo/lora). Textual inversion: `{token: vector}` of
diffusers, `string_to_param` of A1111.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from safetensors import safe_open
from torch import Tensor

from pipelines.core import safeload
from pipelines.core.errors import BadInput

Spelling = Literal["dotted", "joined", "numbered"]
"""How a file names modules: `down_blocks.0.to_k`, `down_blocks_0_to_k`, or by their place in the network."""

PICKLES = (".bin", ".pt", ".ckpt", ".pth")
PARTS = {"te": "text_encoder", "te1": "text_encoder", "te2": "text_encoder_2", "unet": "unet"}
SIDES = {"lora_A": "down", "lora_B": "up", "down": "down", "up": "up", "lora_down": "down", "lora_up": "up"}

_PEFT = re.compile(
    r"(?:base_model\.model\.)?(?:(?P<part>unet|transformer|text_encoder(?:_2|_3)?)\.)?(?P<module>.+?)"
    r"\.(?:lora\.|lora_linear_layer\.)?(?P<side>lora_A|lora_B|down|up)(?:\.default(?:_0)?)?\.weight"
)
_PROCESSOR = re.compile(
    r"(?:(?P<part>unet|transformer)\.)?(?P<module>.+)\.processor\.(?P<which>to_q|to_k|to_v|to_out)_lora\.(?P<side>down|up)\.weight"
)
_MAGNITUDE = re.compile(
    r"(?:(?P<part>unet|transformer|text_encoder(?:_2)?)\.)?(?P<module>.+)\.lora_magnitude_vector(?:\.default(?:_0)?)?(?:\.weight)?"
)
_ALPHA = re.compile(r"(?:(?P<part>unet|transformer|text_encoder(?:_2)?)\.)?(?P<module>.+)\.alpha")
_KOHYA = re.compile(
    r"lora_(?P<part>unet|te1|te2|te)_(?:unet_)?(?P<module>.+?)[._](?:(?P<side>lora_down|lora_up)\.weight|(?P<what>alpha|dora_scale))"
)
_NUMBERED = re.compile(r"(?P<part>unet|text_encoder):(?P<module>\d+):(?P<side>down|up)")
_FOREIGN = {
    "hada_w1_a": "LoHa",
    "lokr_w1": "LoKr",
    "lora_mid": "LoCon with a middle (Tucker) factor",
    "oft_blocks": "OFT",
    "to_k_ip": "IP-Adapter",
}


@dataclass
class Layer:
    """The change of one module: W + alpha / r * up @ down, and for DoRA the length of each row after it."""

    down: Tensor | None = None
    """[r, in] or, for a convolution, [r, in, k, k]."""
    up: Tensor | None = None
    """[out, r] or [out, r, 1, 1]."""
    alpha: float | None = None
    """As the file says; None = the rank, so that the factor is 1."""
    magnitude: Tensor | None = None
    """[out], DoRA only (arXiv 2402.09353)."""

    @property
    def rank(self) -> int:
        assert self.down is not None
        return int(self.down.shape[0])


@dataclass(frozen=True)
class Adapter:
    """What an adapter file holds."""

    name: str
    spelling: Spelling
    layers: dict[str, dict[str, Layer]]
    """Part (`unet`, `text_encoder`, ...) -> module as the file spells it -> its change."""
    embeddings: dict[str, Tensor] = field(default_factory=dict)
    """Token -> its vectors [n, width] (textual inversion)."""
    targets: Mapping[str, list[str]] = field(default_factory=dict)
    """Numbered files only: part -> classes of module whose linear layers were counted through."""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many modules it changes."""
        return sum(len(modules) for modules in self.layers.values())

    @property
    def text_width(self) -> int | None:
        """Width of the text the adapter was trained with: what tells SD1.5 (768) from SD2 (1024) and SDXL (2048)."""
        for module, layer in self.layers.get("unet", {}).items():
            if re.search(r"attn2[._](?:processor[._])?to_[kv]$", module) and layer.down is not None:
                return int(layer.down.shape[1])
        return None


def read(path: Path) -> Adapter:
    """The adapter in a file. Raises Missing, BadInput when it is damaged or holds no change this studio can apply."""
    pickled = path.suffix.lower() in PICKLES
    tensors = safeload.pickle_tensors(path) if pickled else safeload.tensors(path)
    metadata = {} if pickled else _metadata(path)
    alphas = _alphas(metadata)
    layers: dict[str, dict[str, Layer]] = {}
    left: dict[str, Tensor] = {}
    spellings: set[Spelling] = set()
    for key, tensor in tensors.items():
        spelling = _take(key, tensor, layers)
        if spelling is None:
            left[key] = tensor
        else:
            spellings.add(spelling)
    embeddings = dict(_embeddings(left, path))
    _check(path, layers, left, embeddings, spellings)
    for part, modules in layers.items():
        for module, layer in modules.items():
            if layer.alpha is None:
                layer.alpha = alphas.get((part, module), float(layer.rank))
    targets = {part: json.loads(metadata[part]) for part in layers if "numbered" in spellings and part in metadata}
    return Adapter(path.stem, spellings.pop() if spellings else "dotted", layers, embeddings, targets, metadata)


def _metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


def _alphas(metadata: Mapping[str, str]) -> "_Alphas":
    """diffusers keeps rank and alpha of a file in its metadata, as the text of one table."""
    try:
        found = json.loads(metadata.get("lora_adapter_metadata", "{}"))
    except ValueError:
        found = {}
    return _Alphas(found if isinstance(found, dict) else {})


@dataclass(frozen=True)
class _Alphas:
    """Alpha of a module: by its pattern, else the part's own. Keys look like `unet.lora_alpha`."""

    table: Mapping[str, object]

    def get(self, where: tuple[str, str], otherwise: float) -> float:
        part, module = where
        patterns = self.table.get(f"{part}.alpha_pattern") or {}
        assert isinstance(patterns, Mapping)
        found = next((value for name, value in patterns.items() if re.fullmatch(rf"(.*\.)?{name}", module)), None)
        alpha = found if found is not None else self.table.get(f"{part}.lora_alpha")
        if not isinstance(alpha, int | float):
            return otherwise
        if self.table.get(f"{part}.use_rslora"):  # alpha / sqrt(r) there, alpha / r here
            return float(alpha) * otherwise**0.5
        return float(alpha)


def _take(key: str, tensor: Tensor, layers: dict[str, dict[str, Layer]]) -> Spelling | None:
    """Puts one tensor where it belongs; None when it belongs to no low-rank change."""

    def layer(part: str | None, module: str) -> Layer:
        return layers.setdefault(part or "unet", {}).setdefault(module, Layer())

    if found := _KOHYA.fullmatch(key):
        one = layer(PARTS[found["part"]], found["module"])
        if found["what"] == "alpha":
            one.alpha = float(tensor)
        elif found["what"] == "dora_scale":
            one.magnitude = tensor.flatten()
        else:
            setattr(one, SIDES[found["side"]], tensor)
        return "joined"
    if found := _NUMBERED.fullmatch(key):
        setattr(layer(found["part"], found["module"]), found["side"], tensor)
        return "numbered"
    if found := _PROCESSOR.fullmatch(key):
        which = "to_out.0" if found["which"] == "to_out" else found["which"]
        setattr(layer(found["part"], f"{found['module']}.{which}"), found["side"], tensor)
        return "dotted"
    if found := _MAGNITUDE.fullmatch(key):
        layer(found["part"], found["module"]).magnitude = tensor.flatten()
        return "dotted"
    if found := _PEFT.fullmatch(key):
        setattr(layer(found["part"], found["module"]), SIDES[found["side"]], tensor)
        return "dotted"
    if (found := _ALPHA.fullmatch(key)) and tensor.numel() == 1:
        layer(found["part"], found["module"]).alpha = float(tensor)
        return "dotted"
    return None


def _embeddings(left: dict[str, Tensor], path: Path) -> Iterator[tuple[str, Tensor]]:
    """Vectors of new words: taken out of `left`."""
    for key in list(left):
        if key.startswith("string_to_param.") and left[key].ndim <= 2:
            word = path.stem if key.endswith(".*") else key.partition(".")[2]
        elif key == "emb_params":
            word = path.stem
        elif re.fullmatch(r"<[^<>]+>|[^.:]+", key) and left[key].ndim <= 2 and left[key].shape[-1] >= 16:
            word = key
        else:
            continue
        tensor = left.pop(key)
        yield word, tensor.reshape(-1, tensor.shape[-1])


def _check(
    path: Path,
    layers: Mapping[str, Mapping[str, Layer]],
    left: Mapping[str, Tensor],
    embeddings: Mapping[str, Tensor],
    spellings: set[Spelling],
) -> None:
    foreign = next((made for key in left for mark, made in _FOREIGN.items() if mark in key), None)
    if foreign:
        raise BadInput(f"{path.name} is a {foreign} file, which cannot be applied yet: use a LoRA or DoRA file")
    if left:
        shown = ", ".join(list(left)[:3])
        raise BadInput(f"{path.name} holds {len(left)} tensors that are of no known adapter ({shown}): use a LoRA file")
    if not layers and not embeddings:
        raise BadInput(f"{path.name} holds no adapter: use a LoRA, DoRA or textual-inversion file")
    if len(spellings) > 1:
        raise BadInput(f"{path.name} mixes adapters of several makes ({', '.join(sorted(spellings))}): save it anew")
    for part, modules in layers.items():
        for module, layer in modules.items():
            if layer.down is None or layer.up is None:
                raise BadInput(f"{path.name} has only half of the change of {part}.{module}: fetch it again")
            if layer.down.shape[0] != layer.up.shape[1]:
                ranks = f"{layer.down.shape[0]} and {layer.up.shape[1]}"
                raise BadInput(f"{path.name}: the two halves of {part}.{module} have ranks {ranks}: fetch it again")
