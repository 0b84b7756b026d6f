"""Files of two branches (parts/dual): our own, and those of DualAnoDiff's code. Reads and spells; loads into no model.

Ours is one safetensors file: `unet.<attention>.…` and the text encoder's LoRA as peft spells it, with what the model is
for in its metadata. Published ones name `unet.<attention>.processor.to_q_lora.0.down.weight` and so on; where a
background is read, `chained_proc` stands in between, and a cross-attention brings layers for it that nothing reads.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from pipelines.core import safeload
from pipelines.core.adapter_names import ENDINGS, PICKLES
from pipelines.core.errors import BadInput
from pipelines.parts.adapter_files import Adapter, Layer, metadata_of
from pipelines.parts.adapters import Plan
from pipelines.parts.dual import Shape

MARK, EDITION = "flawsmith_dual", "1"
TEXT = "text_encoder"

_TEXT = re.compile(rf"{TEXT}\.(?P<module>.+)\.lora_(?P<half>[AB])\.weight")
_PUBLISHED = re.compile(r"(?:unet\.)?(?P<module>.+\.attn[12])\.processor\.(?:chained_proc\.)?(?P<rest>.+)")
_PUBLISHED_TEXT = re.compile(
    rf"{TEXT}\.(?P<module>.+\.self_attn)\.to_(?P<which>q|k|v|out)_lora\.(?P<half>down|up)\.weight"
)
_RESTS = (
    (re.compile(r"to_(q|k|v|out)_lora\.([01])\.(down|up)\.weight"), r"changes.\1.\2.\3.weight"),
    (re.compile(r"temporal_n\.(weight|bias)"), r"interaction.norm.\1"),
    (re.compile(r"temporal_i\.(weight|bias)"), r"interaction.input.\1"),
    (re.compile(r"temporal_q\.(weight|bias)"), r"interaction.query.\1"),
    (re.compile(r"temporal_k\.(weight|bias)"), r"interaction.key.\1"),
    (re.compile(r"temporal_v\.(weight|bias)"), r"interaction.value.\1"),
    (re.compile(r"temporal_o\.(weight|bias)"), r"interaction.output.\1"),
    (re.compile(r"temporal_condition_mlp\.0\.(weight|bias)"), r"background.first.\1"),
    (re.compile(r"temporal_condition_mlp\.1\.(weight|bias)"), r"background.last.\1"),
    (re.compile(r"temporal_a"), "background.share"),
)
"""What stands behind a processor's name in a published file -> what it is called here."""


@dataclass(frozen=True)
class About:
    """What a model is for. Of a published one the file says nothing but its numbers."""

    base: str = ""
    instance_prompt: str = ""
    part_prompt: str = ""
    defect: str = ""
    resolution: int = 0
    """Side of the squares it learned from; 0 = the file does not say."""
    shared_noise: bool = False
    cut: str = ""
    """How the object was cut out of its backgrounds: `u2net`, `defect`, or "" without any."""


@dataclass(frozen=True)
class Model:
    """What a file holds."""

    name: str
    shape: Shape
    branches: dict[str, Tensor]
    """As parts/dual names them."""
    text: dict[str, Layer] = field(default_factory=dict)
    """Module of the text encoder -> its change."""
    about: About = field(default_factory=About)

    @property
    def adapter(self) -> Adapter:
        """The text encoder's part, as any adapter."""
        return Adapter(self.name, "dotted", {TEXT: self.text} if self.text else {})


def read(path: Path, name: str = "") -> Model:
    """The model in a file; `name` is its own name where `path` is an asset's. Raises Missing, BadInput."""
    name = name or path.name
    ending = Path(name).suffix.lower()
    if ending not in ENDINGS:
        raise BadInput(f"{name} is no file of weights: name a finished train-dual, or its {', '.join(ENDINGS)}")
    tensors = safeload.pickle_tensors(path, name=name) if ending in PICKLES else safeload.tensors(path, name=name)
    metadata = {} if ending in PICKLES else metadata_of(path)
    ours = MARK in metadata
    if ours and metadata[MARK] != EDITION:
        raise BadInput(f"{name} is of edition {metadata[MARK]} of its format, and this studio reads {EDITION}: update")
    branches, text = _own(tensors, name) if ours else _published(tensors, name)
    return Model(
        name,
        _shape(branches, name, compat=not ours or metadata.get("paper_compat") == "true"),
        branches,
        text,
        _about(metadata) if ours else About(cut="u2net" if any(".background." in key for key in branches) else ""),
    )


def spelled(
    branches: Mapping[str, Tensor], text: Plan, shape: Shape, about: About
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) as a file of ours has them."""
    tensors = {f"unet.{key}": one for key, one in branches.items()}
    for module, layer in text.get(TEXT, {}).items():
        assert layer.down is not None
        assert layer.up is not None
        tensors |= {f"{TEXT}.{module}.lora_A.weight": layer.down, f"{TEXT}.{module}.lora_B.weight": layer.up}
    return tensors, {
        "format": "pt",
        MARK: EDITION,
        "rank": str(shape.rank),
        "interaction_rank": str(shape.interaction_rank or ""),
        "background": about.cut,
        "base_model": about.base,
        "instance_prompt": about.instance_prompt,
        "part_prompt": about.part_prompt,
        "defect": about.defect,
        "resolution": str(about.resolution),
        "paper_compat": str(shape.compat).lower(),
        "shared_noise": str(about.shared_noise).lower(),
    }


def _about(metadata: Mapping[str, str]) -> About:
    side = metadata.get("resolution", "")
    return About(
        base=metadata.get("base_model", ""),
        instance_prompt=metadata.get("instance_prompt", ""),
        part_prompt=metadata.get("part_prompt", ""),
        defect=metadata.get("defect", ""),
        resolution=int(side) if side.isdecimal() else 0,
        shared_noise=metadata.get("shared_noise") == "true",
        cut=metadata.get("background", ""),
    )


def _shape(branches: Mapping[str, Tensor], name: str, *, compat: bool) -> Shape:
    """As the tensors are; those that disagree are refused where they are loaded."""
    found = next((one for key, one in branches.items() if key.endswith("changes.q.0.down.weight")), None)
    if found is None:
        raise BadInput(f"{name} holds no model of two branches: name a finished train-dual, or a file of DualAnoDiff's")
    met = next((one for key, one in branches.items() if key.endswith("interaction.input.0.weight")), None)
    return Shape(
        rank=int(found.shape[0]),
        interaction_rank=None if met is None else int(met.shape[0]),
        background=any(".background." in key for key in branches),
        compat=compat,
    )


def _own(tensors: Mapping[str, Tensor], name: str) -> tuple[dict[str, Tensor], dict[str, Layer]]:
    branches: dict[str, Tensor] = {}
    text: dict[str, Layer] = {}
    for key, one in tensors.items():
        if key.startswith("unet."):
            branches[key.removeprefix("unet.")] = one
        elif found := _TEXT.fullmatch(key):
            _put(text, found["module"], "down" if found["half"] == "A" else "up", one)
        else:
            raise _stranger(name, key)
    return branches, _whole(text, name)


def _published(tensors: Mapping[str, Tensor], name: str) -> tuple[dict[str, Tensor], dict[str, Layer]]:
    branches: dict[str, Tensor] = {}
    text: dict[str, Layer] = {}
    for key, one in tensors.items():
        if found := _PUBLISHED_TEXT.fullmatch(key):
            _put(text, f"{found['module']}.{found['which']}_proj", found["half"], one)
            continue
        found = _PUBLISHED.fullmatch(key)
        rest = _renamed(found["rest"]) if found else None
        if found is None or rest is None:
            raise _stranger(name, key)
        if not (rest.startswith("background.") and found["module"].endswith("attn2")):
            branches[f"{found['module']}.{rest}"] = one
    return branches, _whole(text, name)


def _renamed(rest: str) -> str | None:
    return next((pattern.sub(new, rest) for pattern, new in _RESTS if pattern.fullmatch(rest)), None)


def _put(text: dict[str, Layer], module: str, half: str, one: Tensor) -> None:
    layer = text.setdefault(module, Layer())
    if half == "down":
        layer.down, layer.alpha = one, float(one.shape[0])  # strength 1
    else:
        layer.up = one


def _whole(text: dict[str, Layer], name: str) -> dict[str, Layer]:
    for module, layer in text.items():
        if layer.down is None or layer.up is None:
            raise BadInput(f"{name} has half of the change of {module}: fetch it again")
    return text


def _stranger(name: str, key: str) -> BadInput:
    return BadInput(
        f"{name} holds no model of two branches ({key}): name a finished train-dual, or a file of DualAnoDiff's"
    )
