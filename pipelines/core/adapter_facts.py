"""What an adapter file says of itself: kind, ranks, parts, trigger words, the base it is for. Reads no weight.

A safetensors file is known by its header. Of a pickle only the table of names and shapes is read, by an unpickler that
builds nothing but such a table.
"""

import collections
import io
import json
import pickle
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict

from pipelines.core import adapter_names, files, safeload
from pipelines.core.adapter_names import ENDINGS, PICKLES, SEVERAL, TOKEN_KEY, WIDTHS, Shape
from pipelines.core.errors import BadInput

Kind = Literal["lora", "dora", "inversion"]
MOST_TABLE = 16 * 2**20
OLD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How torch began its files before they were ZIP archives."""
MOST_TRIGGERS = 5
MOST_WORD = 80
TRIGGERS = ("modelspec.trigger_phrase", "modelspec.trigger_words", "trigger_word", "trigger_words", "instance_prompt")
BASES = ("ss_sd_model_name", "base_model", "modelspec.base_model", "ss_base_model_version", "modelspec.architecture")
NAMES = ("modelspec.title", "ss_output_name")


class Facts(BaseModel):
    """What is known of an adapter file without opening its weights."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    name: str
    """What it calls itself, else its file name without the ending."""
    modules: int = 0
    """How many modules it changes."""
    parts: dict[str, int] = {}
    """Part of a base -> how many of its modules."""
    ranks: tuple[int, ...] = ()
    text_width: int | None = None
    family: str = ""
    """SD1.5, SD2, SDXL, SD3, FLUX; empty where the file does not tell."""
    words: tuple[str, ...] = ()
    """New words it brings (textual inversion)."""
    triggers: tuple[str, ...] = ()
    """Words to write in a prompt so that it shows."""
    base: str = ""
    """What it was trained on, as it says itself."""


def read(path: Path, name: str) -> Facts:
    """The facts of the file at `path`, which its owner calls `name`. Raises Missing, BadInput when it is no adapter."""
    ending = Path(name).suffix.lower()
    if ending not in ENDINGS:
        raise BadInput(f"{name} is no adapter file: an adapter is a .safetensors, .bin, .pt, .ckpt or .pth file")
    if ending in PICKLES:
        shapes, metadata = _pickled(path, name), {}
    else:
        header = safeload.check(path, name)
        metadata = _texts(header.pop("__metadata__", {}))
        shapes = {key: _shape(table, name) for key, table in header.items()}
    return _facts(shapes, metadata, name)


def _facts(shapes: Mapping[str, Shape], metadata: Mapping[str, str], name: str) -> Facts:
    found = adapter_names.outline(shapes, name)
    stem = Path(name).stem
    words = (metadata.get(TOKEN_KEY, stem),) if set(found.words) <= SEVERAL and found.words else tuple(found.words)
    width = adapter_names.text_width(found, shapes)
    dora = any("magnitude" in one for _, _, one in adapter_names.halves(found))
    return Facts(
        kind="inversion" if not found.count else "dora" if dora else "lora",
        name=next((metadata[key].strip() for key in NAMES if metadata.get(key, "").strip()), "")
        or (words[0].strip("<>") if words and not found.count else stem),
        modules=found.count,
        parts={part: len(modules) for part, modules in found.layers.items()},
        ranks=tuple(adapter_names.every_rank(found, shapes)),
        text_width=width,
        family=_family(found, shapes, width),
        words=words,
        triggers=tuple(dict.fromkeys([*words, *_triggers(metadata)]))[:MOST_TRIGGERS],
        base=next((metadata[key].strip() for key in BASES if metadata.get(key, "").strip()), ""),
    )


def _family(found: adapter_names.Outline, shapes: Mapping[str, Shape], width: int | None) -> str:
    """By the width of its text; of a transformer by the names of its blocks; of words by their vectors."""
    if width is not None:
        return WIDTHS.get(width, "")
    modules = [module for _, module, _ in adapter_names.halves(found)]
    if any(module.startswith(("single_transformer_blocks", "single_blocks", "double_blocks")) for module in modules):
        return "FLUX"
    if "transformer" in found.layers:
        return "SD3"
    if "text_encoder_2" in found.layers or set(found.words) >= SEVERAL:
        return "SDXL"
    wide = {shapes[key][-1] for key in found.words.values()} if not found.count else set()
    return {768: "SD1.5", 1024: "SD2", 1280: "SDXL"}.get(max(wide, default=0), "")


def _triggers(metadata: Mapping[str, str]) -> list[str]:
    """From what trainers note: a phrase, or how often each tag stood in the captions, most often first."""
    said = [word.strip() for key in TRIGGERS for word in metadata.get(key, "").split(",")]
    try:
        counted: Counter[str] = Counter()
        for tags in json.loads(metadata.get("ss_tag_frequency", "{}")).values():
            counted.update({str(tag).strip(): int(count) for tag, count in tags.items()})
        said += [tag for tag, _ in counted.most_common(MOST_TRIGGERS)]
    except (ValueError, TypeError, AttributeError, RecursionError):  # a note nobody can read is no note
        said += []
    return [word for word in said if word and len(word) <= MOST_WORD]


def _texts(found: Any) -> dict[str, str]:
    return {str(key): text for key, text in found.items() if isinstance(text, str)} if isinstance(found, dict) else {}


def _shape(table: Any, name: str) -> Shape:
    try:
        return tuple(int(side) for side in table["shape"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{name} is damaged: its header cannot be read; fetch it again") from error


class _Table(pickle._Unpickler):
    """Reads names and shapes: the few names torch's own files use become stand-ins, anything else is refused.

    Python's own unpickler, not the one in C: that one can be told to take all memory by a file of a few bytes.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter"):
            return _rebuilt
        if module == "torch" and (name.endswith("Storage") or name.startswith(("float", "bfloat"))):
            return name
        raise pickle.UnpicklingError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> None:
        return None


class _Stood(tuple[int, ...]):
    """The shape of a tensor that was not read."""

    __slots__ = ()


def _rebuilt(first: Any, *more: Any) -> Any:
    return first if isinstance(first, _Stood) else _Stood(more[1])


def _pickled(path: Path, name: str) -> dict[str, Shape]:
    """The tensors' shapes by dotted name. Raises BadInput."""
    with files.reading(path, name) as file:
        start = file.read(len(OLD))
        file.seek(0)
        if not start.startswith(b"PK") and start != OLD:
            raise BadInput(f"{name} is cut off or no file of weights; fetch it again")
        try:
            return dict(_leaves(_table(file) if start == OLD else _Table(_inside(file, name)).load(), ""))
        except BadInput:
            raise
        except (pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, ArithmeticError, *safeload.DAMAGE) as error:
            raise BadInput(
                f"{name} holds more than weights, or is damaged; code out of a file is never run: "
                "use its safetensors edition, or fetch it again"
            ) from error


def _table(file: BinaryIO) -> Any:
    """Of the older make, which says what it is, in which edition and on which machine, and then what it holds."""
    for _ in range(3):
        _Table(file).load()
    return _Table(file).load()


def _inside(file: BinaryIO, name: str) -> BinaryIO:
    """The table in the newer make, a ZIP archive."""
    with zipfile.ZipFile(file) as archive:
        table = next((one for one in archive.namelist() if one.endswith("/data.pkl")), None)
        if table is None:
            raise BadInput(f"{name} holds no adapter: use a LoRA, DoRA or textual-inversion file")
        with archive.open(table) as inner:
            return io.BytesIO(inner.read(MOST_TABLE))


def _leaves(value: Any, name: str) -> list[tuple[str, Shape]]:
    if isinstance(value, _Stood):
        return [(name, tuple(int(side) for side in value))]
    if isinstance(value, Mapping):
        return [leaf for key, inner in value.items() for leaf in _leaves(inner, f"{name}.{key}" if name else str(key))]
    return []
