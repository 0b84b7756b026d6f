"""Adapter files written by hand: names, shapes and zeros. What a test of the library stands on."""

import io
import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from math import prod

from pipelines.core import images
from tests import pictures

_TO_K = "unet.down_blocks.0.attn2.to_k"
LORA = {f"{_TO_K}.lora_A.weight": (4, 768), f"{_TO_K}.lora_B.weight": (64, 4)}
SDXL = {f"{_TO_K}.lora_A.weight": (8, 2048), f"{_TO_K}.lora_B.weight": (64, 8)}


def written(shapes: Mapping[str, Sequence[int]], metadata: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file with zeros in it."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    place = 0
    for key, shape in shapes.items():
        end = place + 4 * prod(shape)
        header[key] = {"dtype": "F32", "shape": list(shape), "data_offsets": [place, end]}
        place = end
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(place)


def archive(*names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name in names:
            file.writestr(name, b"nothing")
    return made.getvalue()


def picture() -> bytes:
    return images.encode_png(pictures.good())
