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


def tensors(path: Path, *, expect: Mapping[str, Sequence[int]] | None = None, name: str = "") -> "dict[str, Tensor]":
    """The tensors of a safetensors file, on the CPU, in the number formats they were saved in.

    `expect` names tensors that must be there and their shapes; a file may hold more. `name` is what sentences call the
    file, where its own name says nothing (an asset's). Raises Missing where there is no
    file, BadInput where it is a pickle under another name, cut off, damaged, empty, or holds a tensor without
    elements (a LoRA of rank 0) or with NaN or infinity.
    """
    check_environment()
    name = name or path.name
    check(path, name)
    import safetensors
    from safetensors.torch import load_file

    try:
        found = load_file(path)
    except safetensors.SafetensorError as error:
        raise BadInput(f"{name} is damaged ({error}); fetch it again") from error
    return _checked(found, name, expect or {})


def pickle_tensors(path: Path, *, name: str = "") -> "dict[str, Tensor]":
    """The tensors of a `.pt`, `.pth`, `.bin` or `.ckpt` whose author publishes nothing else; no code in it is run.

    Nested tables become dotted names (`state_dict.conv.weight`); numbers, names and settings beside the tensors are
    left out. Raises as `tensors` does, and BadInput where the file asks for anything but tensors and plain values.
    """
    check_environment()
    name = name or path.name
    _size(path, name)
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadInput(
            f"{name} holds more than weights, or is damaged; code out of a file is never run: "
            "use its safetensors edition, or fetch it again"
        ) from error
    except DAMAGE as error:
        raise BadInput(f"{name} is cut off or no file of weights; fetch it again") from error
    return _checked(dict(_leaves(content, "")), name, {})


def _leaves(value: Any, name: str) -> "Iterator[tuple[str, Tensor]]":
    import torch

    if isinstance(value, torch.Tensor):
        yield name, value.detach()
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))


def _size(path: Path, name: str) -> int:
    if not path.is_file():
        raise Missing(f"no weights at {path}")
    size = path.stat().st_size
    if size == 0:
        raise BadInput(f"{name} is empty (0 bytes); fetch it again")
    if not os.access(path, os.R_OK):
        raise Problem(f"{name} may not be read by this user; `chmod a+r {path}`")
    return size


def check(path: Path, name: str = "") -> dict[str, Any]:
    """The header of a safetensors file that is whole, judged by that header alone. Raises Missing, BadInput.

    It is eight bytes of length, then JSON of `name -> {dtype, shape, data_offsets}`, then the data.
    """
    name = name or path.name
    size = _size(path, name)
    with path.open("rb") as file:
        start = file.read(16)
        if start.startswith(PICKLE_STARTS):
            raise BadInput(
                f"{name} is a pickle under another name, which could run code; use its real safetensors edition"
            )
        length = int.from_bytes(start[:8], "little")
        if len(start) < 8 or length > HEADER_LIMIT or start[8:9] not in (b"{", b""):
            raise BadInput(f"{name} is no safetensors file; choose a file saved as safetensors")
        file.seek(8)
        text = file.read(length)
    if len(text) < length:
        raise BadInput(f"{name} is cut off inside its header ({size} bytes); fetch it again")
    try:
        header = json.loads(text)
        ends = [table["data_offsets"][1] for key, table in header.items() if key != "__metadata__"]
        data = max(ends, default=0)
        whole = 8 + length + int(data)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise BadInput(f"{name} is damaged: its header cannot be read; fetch it again") from error
    if size < whole:
        raise BadInput(f"{name} is cut off: {size} of {whole} bytes are here; fetch it again")
    return dict(header)


def _checked(found: "dict[str, Tensor]", name: str, expect: Mapping[str, Sequence[int]]) -> "dict[str, Tensor]":
    if not found:
        raise BadInput(f"{name} holds no tensors; fetch it again, or choose another file")
    for key, shape in expect.items():
        if key not in found:
            raise BadInput(f"{name} lacks the tensor {key!r}: it was made for another model")
        if tuple(found[key].shape) != tuple(shape):
            raise BadInput(
                f"{name}: {key!r} has the shape {_by(found[key].shape)} where {_by(shape)} is wanted: "
                "it was made for another model"
            )
    for key, tensor in found.items():
        if tensor.numel() == 0:
            raise BadInput(f"{name}: {key!r} has the shape {_by(tensor.shape)}, so it holds nothing (rank 0?)")
        if not finite(tensor):
            raise BadInput(f"{name}: {key!r} holds NaN or infinity, so it would spoil every picture; use another file")
    return found


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def finite(tensor: "Tensor") -> bool:
    """Whether no element is NaN or infinite.

    Smallest and largest carry both through; a hundred times faster on the CPU than `isfinite` of all.
    """
    import torch

    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    if not tensor.is_floating_point():
        return True
    if tensor.element_size() == 1:
        tensor = tensor.to(torch.float16)  # no 8-bit float has an aminmax; float16 holds all of their values
    return all(bool(torch.isfinite(bound)) for bound in torch.aminmax(tensor))
