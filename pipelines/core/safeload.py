"""The only door for weights: in come tensors, whole and finite, and never code. Knows nothing of what they mean.

safetensors is the format; a pickle is read only where its author publishes nothing else, and only its tensors.
"""

import json
import os
import pickle
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import BadInput, Missing, Problem

if TYPE_CHECKING:
    from torch import Tensor

UNSAFE = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
HEADER_LIMIT = 100 * 2**20  # bytes; the limit of the safetensors library itself
# Zip (torch >= 1.6), tar (torch < 0.4) and bare pickles of protocol 2 to 5.
PICKLE_STARTS = (b"PK\x03\x04", b"././@PaxHeader", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")

# What torch raises for damaged pickles: seen over thousands of files with a few bytes changed.
DAMAGE = (
    RuntimeError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    LookupError,
    OSError,
    struct.error,
)


def check_environment() -> None:
    """Raises Problem where the environment makes torch run code out of weight files."""
    value = os.environ.get(UNSAFE, "")
    if value.lower() not in ("", "0", "false", "no"):
        raise Problem(f"{UNSAFE}={value} lets weight files run code on this machine; `unset {UNSAFE}` and start again")


def tensors(path: Path, *, expect: Mapping[str, Sequence[int]] | None = None) -> "dict[str, Tensor]":
    """The tensors of a safetensors file, on the CPU, in the number formats they were saved in.

    `expect` names tensors that must be there and their shapes; a file may hold more. Raises Missing where there is no
    file, BadInput where it is a pickle under another name, cut off, damaged, empty, or holds a tensor without
    elements (a LoRA of rank 0) or with NaN or infinity.
    """
    check_environment()
    _check_safetensors(path)
    import safetensors
    from safetensors.torch import load_file

    try:
        found = load_file(path)
    except safetensors.SafetensorError as error:
        raise BadInput(f"{path.name} is damaged ({error}); fetch it again") from error
    return _checked(found, path, expect or {})


def pickle_tensors(path: Path) -> "dict[str, Tensor]":
    """The tensors of a `.pt`, `.pth`, `.bin` or `.ckpt` whose author publishes nothing else; no code in it is run.

    Nested tables become dotted names (`state_dict.conv.weight`); numbers, names and settings beside the tensors are
    left out. Raises as `tensors` does, and BadInput where the file asks for anything but tensors and plain values.
    """
    check_environment()
    _size(path)
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadInput(
            f"{path.name} holds more than weights, or is damaged; code out of a file is never run: "
            "use its safetensors edition, or fetch it again"
        ) from error
    except DAMAGE as error:
        raise BadInput(f"{path.name} is cut off or no file of weights; fetch it again") from error
    return _checked(dict(_leaves(content, "")), path, {})


def _leaves(value: Any, name: str) -> "Iterator[tuple[str, Tensor]]":
    import torch

    if isinstance(value, torch.Tensor):
        yield name, value.detach()
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))


def _size(path: Path) -> int:
    if not path.is_file():
        raise Missing(f"no weights at {path}")
    size = path.stat().st_size
    if size == 0:
        raise BadInput(f"{path.name} is empty (0 bytes); fetch it again")
    if not os.access(path, os.R_OK):
        raise Problem(f"{path.name} may not be read by this user; `chmod a+r {path}`")
    return size


def _check_safetensors(path: Path) -> None:
    """Reads the header: eight bytes of length, then JSON of `name -> {dtype, shape, data_offsets}`, then the data."""
    size = _size(path)
    with path.open("rb") as file:
        start = file.read(16)
        if start.startswith(PICKLE_STARTS):
            raise BadInput(
                f"{path.name} is a pickle under another name, which could run code; use its real safetensors edition"
            )
        length = int.from_bytes(start[:8], "little")
        if len(start) < 8 or length > HEADER_LIMIT or start[8:9] not in (b"{", b""):
            raise BadInput(f"{path.name} is no safetensors file; choose a file saved as safetensors")
        file.seek(8)
        text = file.read(length)
    if len(text) < length:
        raise BadInput(f"{path.name} is cut off inside its header ({size} bytes); fetch it again")
    try:
        header = json.loads(text)
        ends = [table["data_offsets"][1] for name, table in header.items() if name != "__metadata__"]
        data = max(ends, default=0)
        whole = 8 + length + int(data)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise BadInput(f"{path.name} is damaged: its header cannot be read; fetch it again") from error
    if size < whole:
        raise BadInput(f"{path.name} is cut off: {size} of {whole} bytes are here; fetch it again")


def _checked(found: "dict[str, Tensor]", path: Path, expect: Mapping[str, Sequence[int]]) -> "dict[str, Tensor]":
    if not found:
        raise BadInput(f"{path.name} holds no tensors; fetch it again, or choose another file")
    for name, shape in expect.items():
        if name not in found:
            raise BadInput(f"{path.name} lacks the tensor {name!r}: it was made for another model")
        if tuple(found[name].shape) != tuple(shape):
            raise BadInput(
                f"{path.name}: {name!r} has the shape {_by(found[name].shape)} where {_by(shape)} is wanted: "
                "it was made for another model"
            )
    for name, tensor in found.items():
        if tensor.numel() == 0:
            raise BadInput(f"{path.name}: {name!r} has the shape {_by(tensor.shape)}, so it holds nothing (rank 0?)")
        if not _finite(tensor):
            raise BadInput(
                f"{path.name}: {name!r} holds NaN or infinity, so it would spoil every picture; use another file"
            )
    return found


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _finite(tensor: "Tensor") -> bool:
    """Smallest and largest carry NaN and infinity through; a hundred times faster on the CPU than `isfinite` of all."""
    import torch

    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    if not tensor.is_floating_point():
        return True
    if tensor.element_size() == 1:
        tensor = tensor.to(torch.float16)  # no 8-bit float has an aminmax; float16 holds all of their values
    return all(bool(torch.isfinite(bound)) for bound in torch.aminmax(tensor))
