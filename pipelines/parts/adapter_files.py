"""Adapter files of every common make, read into one form: which module gets which low-rank change. Loads into no model.

How files spell their tensors, core/adapter_names knows.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from pipelines.core import adapter_names, safeload
from pipelines.core.adapter_names import PICKLES, SEVERAL, TOKEN_KEY, Spelling
from pipelines.core.errors import BadInput


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

    def by_encoder(self, encoders: Sequence[str]) -> dict[str, dict[str, Tensor]]:
        """The new words of each text encoder: one word has vectors for two of them in SDXL's files.

        Raises BadInput where the base has but one of these.
        """
        if set(self.embeddings) != set(SEVERAL):
            return {encoders[0]: dict(self.embeddings)} if self.embeddings else {}
        if len(encoders) < len(SEVERAL):
            raise BadInput(f"the word {self.name!r} is for two text encoders and this base has one: it is for SDXL")
        word = self.metadata.get(TOKEN_KEY, self.name)
        return {part: {word: self.embeddings[one]} for part, one in zip(encoders, sorted(SEVERAL)[::-1], strict=False)}


def read(path: Path, name: str = "") -> Adapter:
    """The adapter in a file; `name` is its own name where `path` is an asset's.

    Raises Missing, BadInput when it is damaged or holds no change this studio can apply.
    """
    name = name or path.name
    pickled = Path(name).suffix.lower() in PICKLES
    tensors = safeload.pickle_tensors(path, name=name) if pickled else safeload.tensors(path, name=name)
    metadata = {} if pickled else metadata_of(path)
    found = adapter_names.outline({key: tuple(one.shape) for key, one in tensors.items()}, name)
    alphas = _alphas(metadata)
    layers: dict[str, dict[str, Layer]] = {}
    for part, module, keys in adapter_names.halves(found):
        held = {what: tensors[key] for what, key in keys.items()}
        layer = Layer(held["down"], held["up"])
        layer.alpha = float(held["alpha"]) if "alpha" in held else alphas.get((part, module), float(layer.rank))
        layer.magnitude = held["magnitude"].flatten() if "magnitude" in held else None
        layers.setdefault(part, {})[module] = layer
    embeddings = {word: tensors[key].reshape(-1, tensors[key].shape[-1]) for word, key in found.words.items()}
    return Adapter(Path(name).stem, found.spelling, layers, embeddings, _targets(found, metadata), metadata)


def _targets(found: adapter_names.Outline, metadata: Mapping[str, str]) -> dict[str, list[str]]:
    """The classes a numbered file counted through. Raises BadInput where its metadata does not say."""
    if found.spelling != "numbered":
        return {}
    try:
        return {part: [str(one) for one in json.loads(metadata[part])] for part in found.layers}
    except (KeyError, ValueError, TypeError) as error:
        raise BadInput(
            "the file numbers its layers and does not say of which classes (no `unet` in its metadata):"
            " use another file"
        ) from error


def metadata_of(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself."""
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
