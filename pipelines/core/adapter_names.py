"""What the tensors of an adapter file mean, told by their names and shapes alone. Knows no tensor library.

The one table of spellings: parts/adapter_files reads files by it, the library of adapters describes and refuses by it.
Known are: peft and diffusers (`unet.….lora_A.weight`), older diffusers (`….lora.down.weight` and
`….processor.to_k_lora.down.weight`, with or without `unet.`), kohya (`lora_unet_….lora_down.weight` with `.alpha`), and
the first LoRA tool's numbered layers (`unet:0:down`, cloneofsimo/lora). Textual inversion: `{token: vector}` of
diffusers, `string_to_param` of A1111, `clip_l` and `clip_g` of SDXL.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal, NamedTuple

from pipelines.core.errors import BadInput

Spelling = Literal["dotted", "joined", "numbered"]
"""How a file names modules: `down_blocks.0.to_k`, `down_blocks_0_to_k`, or by their place in the network."""
What = Literal["down", "up", "alpha", "magnitude"]
Shape = tuple[int, ...]

PICKLES = (".bin", ".pt", ".ckpt", ".pth")
ENDINGS = (".safetensors", *PICKLES)
WEIGHTS_FILE = "pytorch_lora_weights.safetensors"
"""What a finished training, and most tools, call an adapter."""
EMBEDDINGS_FILE = "learned_embeds.safetensors"
"""What they call a new word."""
TOKEN_KEY = "token"
"""Where our own files note the word that their vectors are, as two text encoders' files do not say it."""
WIDTHS = {768: "SD1.5", 1024: "SD2", 2048: "SDXL"}
"""Which family an adapter is for, by the width of the text it was trained with."""
PARTS = {
    "te": "text_encoder",
    "te1": "text_encoder",
    "te2": "text_encoder_2",
    "unet": "unet",
    "transformer": "transformer",
}
SIDES: dict[str, What] = {
    "lora_A": "down",
    "lora_B": "up",
    "down": "down",
    "up": "up",
    "lora_down": "down",
    "lora_up": "up",
}
SEVERAL = {"clip_l", "clip_g"}
"""A word for two text encoders: its vectors stand under their names, and the file's name is the word."""

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
    r"lora_(?P<part>unet|transformer|te1|te2|te)_(?:unet_)?(?P<module>.+?)[._](?:(?P<side>lora_down|lora_up)\.weight|(?P<what>alpha|dora_scale))"
)
_NUMBERED = re.compile(r"(?P<part>unet|text_encoder):(?P<module>\d+):(?P<side>down|up)")
_FOREIGN = {
    "hada_w1_a": "LoHa",
    "lokr_w1": "LoKr",
    "lora_mid": "LoCon with a middle (Tucker) factor",
    "oft_blocks": "OFT",
    "to_k_ip": "IP-Adapter",
}
_CROSS = re.compile(r"attn2[._](?:processor[._])?to_[kv]$")
LEAST_WIDTH = 16
"""Vectors of words are wider than this; what is narrower is a setting that was saved as a tensor."""


class Place(NamedTuple):
    """Where one tensor belongs."""

    spelling: Spelling
    part: str
    module: str
    what: What


@dataclass(frozen=True)
class Outline:
    """What an adapter file holds: which tensor is what."""

    spelling: Spelling
    layers: dict[str, dict[str, dict[What, str]]]
    """Part (`unet`, `text_encoder`, ...) -> module as the file spells it -> the tensor of each half."""
    words: dict[str, str] = field(default_factory=dict)
    """Token -> the tensor with its vectors (textual inversion)."""

    @property
    def count(self) -> int:
        """How many modules it changes."""
        return sum(len(modules) for modules in self.layers.values())


def outline(shapes: Mapping[str, Shape], name: str) -> Outline:
    """Sorts the tensors of a file. `name` is the file's. Raises BadInput where nothing in it can be applied."""
    layers: dict[str, dict[str, dict[What, str]]] = {}
    left: dict[str, Shape] = {}
    spellings: set[Spelling] = set()
    for key, shape in shapes.items():
        place = placed(key, shape)
        if place is None:
            left[key] = shape
        else:
            layers.setdefault(place.part, {}).setdefault(place.module, {})[place.what] = key
            spellings.add(place.spelling)
    words = dict(_words(left, PurePath(name).stem))
    _check(name, shapes, layers, left, words, spellings)
    return Outline(next(iter(spellings), "dotted"), layers, words)


def placed(key: str, shape: Shape) -> Place | None:
    """Where one tensor belongs; None when it belongs to no low-rank change."""
    if found := _KOHYA.fullmatch(key):
        what: What = SIDES[found["side"]] if found["side"] else "alpha" if found["what"] == "alpha" else "magnitude"
        return Place("joined", PARTS[found["part"]], found["module"], what)
    if found := _NUMBERED.fullmatch(key):
        return Place("numbered", found["part"], found["module"], SIDES[found["side"]])
    if found := _PROCESSOR.fullmatch(key):
        which = "to_out.0" if found["which"] == "to_out" else found["which"]
        return Place("dotted", found["part"] or "unet", f"{found['module']}.{which}", SIDES[found["side"]])
    if found := _MAGNITUDE.fullmatch(key):
        return Place("dotted", found["part"] or "unet", found["module"], "magnitude")
    if found := _PEFT.fullmatch(key):
        return Place("dotted", found["part"] or "unet", found["module"], SIDES[found["side"]])
    if (found := _ALPHA.fullmatch(key)) and _size(shape) == 1:
        return Place("dotted", found["part"] or "unet", found["module"], "alpha")
    return None


def text_width(found: Outline, shapes: Mapping[str, Shape]) -> int | None:
    """Width of the text an adapter was trained with: what tells SD1.5 (768) from SD2 (1024) and SDXL (2048)."""
    for module, halves in found.layers.get("unet", {}).items():
        if _CROSS.search(module):
            return shapes[halves["down"]][1]
    if found.spelling == "numbered":  # only its text encoder says how wide it is
        widths = {shapes[one["down"]][1] for one in found.layers.get("text_encoder", {}).values()}
        return min(widths, default=None)
    return None


def _size(shape: Shape) -> int:
    count = 1
    for side in shape:
        count *= side
    return count


def _words(left: dict[str, Shape], stem: str) -> Iterator[tuple[str, str]]:
    """Vectors of new words: taken out of `left`, with what A1111 notes beside them."""
    for key in list(left):
        shape = left[key]
        if key.startswith("string_to_token.") or (key == "step" and _size(shape) == 1):
            del left[key]
            continue
        if key.startswith("string_to_param.") and len(shape) <= 2:
            word = stem if key.endswith(".*") else key.partition(".")[2]
        elif key == "emb_params":
            word = stem
        elif re.fullmatch(r"<[^<>]+>|[^.:]+", key) and 1 <= len(shape) <= 2 and shape[-1] >= LEAST_WIDTH:
            word = key
        else:
            continue
        del left[key]
        yield word, key


def _check(
    name: str,
    shapes: Mapping[str, Shape],
    layers: Mapping[str, Mapping[str, Mapping[What, str]]],
    left: Mapping[str, Shape],
    words: Mapping[str, str],
    spellings: set[Spelling],
) -> None:
    foreign = next((made for key in left for mark, made in _FOREIGN.items() if mark in key), None)
    if foreign:
        raise BadInput(f"{name} is a {foreign} file, which cannot be applied yet: use a LoRA or DoRA file")
    if left:
        shown = ", ".join(list(left)[:3])
        raise BadInput(f"{name} holds {len(left)} tensors that are of no known adapter ({shown}): use a LoRA file")
    if not layers and not words:
        raise BadInput(f"{name} holds no adapter: use a LoRA, DoRA or textual-inversion file")
    if len(spellings) > 1:
        raise BadInput(f"{name} mixes adapters of several makes ({', '.join(sorted(spellings))}): save it anew")
    for part, modules in layers.items():
        for module, halves in modules.items():
            if "down" not in halves or "up" not in halves:
                raise BadInput(f"{name} has only half of the change of {part}.{module}: fetch it again")
            down, up = shapes[halves["down"]], shapes[halves["up"]]
            if len(down) < 2 or len(up) < 2 or 0 in (*down, *up):
                raise BadInput(f"{name}: the change of {part}.{module} holds nothing (rank 0?): fetch it again")
            if down[0] != up[1]:
                ranks = f"{down[0]} and {up[1]}"
                raise BadInput(f"{name}: the two halves of {part}.{module} have ranks {ranks}: fetch it again")


TAG = re.compile(r"<lora:([^:<>]+)(?::(-?\d+(?:\.\d+)?))?>")


def tags(prompt: str) -> tuple[str, list[tuple[str, float]]]:
    """A prompt without its `<lora:name:0.8>` tags, and the adapters they name with their weights."""
    found = [(match[1].strip(), float(match[2] or 1)) for match in TAG.finditer(prompt)]
    if not found:
        return prompt, []
    return re.sub(r"\s{2,}", " ", TAG.sub("", prompt)).strip(" ,"), found


def halves(found: Outline) -> Iterator[tuple[str, str, Mapping[What, str]]]:
    """(part, module, its tensors) of every change."""
    for part, modules in found.layers.items():
        for module, one in modules.items():
            yield part, module, one


def every_rank(found: Outline, shapes: Mapping[str, Shape]) -> Sequence[int]:
    """The ranks that occur, smallest first."""
    return sorted({shapes[one["down"]][0] for _, _, one in halves(found)})
