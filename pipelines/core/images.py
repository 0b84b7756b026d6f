"""The only door for pixels: files in, arrays out, and PNG with its request inside. Knows nothing of runs nor of tasks.

Pixels are HxW (grey) or HxWx3 (RGB), uint8 or uint16; a mask is bool HxW, True where the defect goes. What a file says
beside its pixels (EXIF, profiles, texts) is dropped on the way in, after the picture has been turned upright.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import cv2
import numpy as np

from pipelines.core import decoders, files, headers, png
from pipelines.core.errors import BadInput, Problem
from pipelines.core.headers import MAX_PIXELS, Format

KEYWORD = "flawsmith"
MAX_BYTES_A_PIXEL = 16  # RGBA of 16 bits is 8; beyond 16 the file is something else, or mostly metadata
SENSOR_WHITES = (1023, 4095, 16383, 65535)  # cameras of 10 to 14 bits keep their own scale in 16-bit files
METADATA_BYTES = 64_000_000

# Measured on photographs of 4096 x 4096 px: 2.4 times (8 bits) and 3.7 times (16 bits) as fast as OpenCV's own choice
# of filter and strategy, and smaller: a photograph's noise repeats nowhere. Runs are found, so flat parts stay small.
PHOTO = [
    cv2.IMWRITE_PNG_COMPRESSION, 1,
    cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE,
    cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG,
]  # fmt: skip
MASK = [*PHOTO[:-1], cv2.IMWRITE_PNG_FILTER_NONE]


@dataclass(frozen=True)
class Picture:
    """A decoded picture, and which file it was."""

    pixels: np.ndarray
    """HxW or HxWx3 RGB, uint8 or uint16."""
    name: str
    sha256: str
    """Of the file's bytes."""
    format: Format

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def bits(self) -> Literal[8, 16]:
        return 16 if self.pixels.dtype == np.uint16 else 8

    @property
    def grey(self) -> bool:
        return self.pixels.ndim == 2


def read(path: Path, *, max_pixels: int = MAX_PIXELS, name: str | None = None, over_black: bool = False) -> Picture:
    """The picture in a file, by its content. `name` is what sentences call it. Raises BadInput, Missing.

    `over_black` lays a transparent PNG on black, which is for labels alone: a photograph with holes is refused.
    """
    name = files.plain_name(name or path.name)
    with files.reading(path, name) as file:
        headers.read(file, name, max_pixels)
        size = file.seek(0, io.SEEK_END)
        most = max_pixels * MAX_BYTES_A_PIXEL + METADATA_BYTES
        if size > most:
            raise BadInput(f"{name} is {files.size(size)}; up to {files.size(most)} are read: save it as PNG")
        file.seek(0)
        data = file.read()
    return decode(data, name, max_pixels=max_pixels, over_black=over_black)


def decode(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS, over_black: bool = False) -> Picture:
    """The picture in a file's bytes. Raises BadInput naming the file, what is wrong with it, and what would do."""
    name = files.plain_name(name)
    header = headers.read(io.BytesIO(data), name, max_pixels)
    pixels = decoders.decode(data, header, name, over_black=over_black)
    return Picture(pixels, name, hashlib.sha256(data).hexdigest(), header.format)


def read_mask(path: Path, size: tuple[int, int] | None = None, *, name: str | None = None) -> np.ndarray:
    """A mask file as bool HxW: True where it is brighter than the middle (> 127 of 255). `size` is (height, width).

    Raises BadInput for a coloured picture, an empty mask and one of another size; Missing without the file.
    """
    picture = read(path, name=name)
    pixels, name = picture.pixels, picture.name
    if pixels.ndim == 3:
        if not (np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(pixels[..., 0], pixels[..., 2])):
            raise BadInput(f"mask {name} is coloured: a mask is black, and white where the defect goes", "mask")
        pixels = pixels[..., 0]
    if size is not None and pixels.shape != size:
        raise BadInput(
            f"mask {name} is {picture.width} x {picture.height} px and its picture {size[1]} x {size[0]}:"
            " paint it on that very picture",
            "mask",
        )
    white = np.iinfo(pixels.dtype).max
    mask: np.ndarray = pixels > white // 2
    if not mask.any():
        raise BadInput(
            f"mask {name} is empty: its brightest value is {pixels.max()} of {white}; paint the defect white",
            "mask",
        )
    return mask


def encode_png(pixels: np.ndarray, *, request: dict[str, Any] | None = None) -> bytes:
    """PNG of HxW or HxWx3 RGB; uint8, uint16, or bool as 0 and 255. Equal pixels and request give equal bytes.

    `request` goes into an iTXt chunk `flawsmith` as canonical JSON. Raises ValueError for other arrays, BadInput for a
    request that is no JSON or longer than 1 MB.
    """
    if pixels.dtype not in (np.bool_, np.uint8, np.uint16) or not (
        pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    ):
        raise ValueError(f"a PNG is made of HxW or HxWx3 bool, uint8 or uint16, not of {pixels.shape} {pixels.dtype}")
    settings = PHOTO
    if pixels.dtype == np.bool_:
        pixels, settings = pixels.astype(np.uint8) * 255, MASK
    data = _encoded(".png", pixels, settings)
    return data if request is None else png.with_text(data, KEYWORD, canonical(request))


def canonical(request: dict[str, Any]) -> str:
    """One spelling of a request: keys sorted, no spaces, no NaN, every script as it is. Raises BadInput."""
    try:
        text = json.dumps(request, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        length = len(text.encode())
    except (TypeError, ValueError) as error:
        raise BadInput(f"the request does not fit into a picture ({error}): use numbers and text only") from error
    if length + 100 > png.MAX_TEXT:
        raise BadInput(f"the request has {length} bytes; up to {png.MAX_TEXT} go into a picture: use fewer regions")
    return text


def write_png(path: Path, pixels: np.ndarray, *, request: dict[str, Any] | None = None) -> str:
    """`encode_png` into a file, whole or not at all. Returns the file's sha256. Raises DiskFull, Missing, Problem."""
    data = encode_png(pixels, request=request)
    files.write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def read_request(source: Path | bytes, name: str = "the picture") -> dict[str, Any] | None:
    """The request inside a PNG; None for other files and for PNGs without one. Raises BadInput, Missing.

    Reads chunk headers and that one text, so a path costs no more than its header. At most 1 MB is unpacked.
    """
    if isinstance(source, bytes):
        return _request(io.BytesIO(source), files.plain_name(name))
    plain = files.plain_name(source.name)
    with files.reading(source, plain) as file:
        return _request(file, plain)


def _request(file: BinaryIO, name: str) -> dict[str, Any] | None:
    if headers.format_of(file.read(16)) != "png":
        return None
    text = png.text(file, KEYWORD, name)
    if text is None:
        return None
    try:
        request = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{name} carries a request that is no JSON ({error}): use the file as it was made") from error
    if not isinstance(request, dict):
        raise BadInput(f"{name} carries {text[:40]!r} where a request should be: use the file as it was made")
    return request


def white(pixels: np.ndarray) -> int:
    """The level that counts as white: 255, or in 16 bits the full scale of the camera that made the picture."""
    if pixels.dtype == np.uint8:
        return 255
    brightest = int(pixels.max(initial=0))
    return next(level for level in SENSOR_WHITES if brightest <= level)


def to_float(pixels: np.ndarray, white: int | None = None) -> np.ndarray:
    """float32 HxWx3 in [0, 1], grey three times over. `from_float` gives the very same integers back.

    `white` is the level that becomes 1, the dtype's largest by default; none of the pixels may lie above it.
    """
    values = np.divide(pixels, np.float32(white or np.iinfo(pixels.dtype).max), dtype=np.float32)
    return values if values.ndim == 3 else cv2.cvtColor(values, cv2.COLOR_GRAY2RGB)


def from_float(values: np.ndarray, like: np.ndarray, white: int | None = None) -> np.ndarray:
    """float32 HxWx3 in [0, 1] as the kind of integers `like` is made of; beyond the range clipped, grey by luma.

    Raises ValueError where a value is not finite: no picture is made of those.
    """
    if not np.isfinite(values).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(values))} values of the picture are not finite")
    if like.ndim == 2:
        values = cv2.cvtColor(values.astype(np.float32, copy=False), cv2.COLOR_RGB2GRAY)
    level = np.float32(white or np.iinfo(like.dtype).max)
    return np.rint(np.clip(values, 0, 1) * level).astype(like.dtype)


def thumbnail(pixels: np.ndarray, side: int = 256) -> bytes:
    """JPEG of at most `side` x `side` px, as `smaller` makes it."""
    return _encoded(".jpg", smaller(pixels, side), [cv2.IMWRITE_JPEG_QUALITY, 85])


def smaller(pixels: np.ndarray, side: int) -> np.ndarray:
    """uint8 of at most `side` x `side` px, each pixel the mean of those it stands for."""
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * 255
    level = white(pixels)
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    if scale < 1:
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    if pixels.dtype == np.uint16:
        pixels = np.rint(np.clip(pixels / (level / 255), 0, 255)).astype(np.uint8)
    return pixels


def _encoded(ending: str, pixels: np.ndarray, settings: list[int]) -> bytes:
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(ending, np.ascontiguousarray(pixels), settings)
    if not done:
        raise Problem(f"a picture of {pixels.shape} {pixels.dtype} could not be written as {ending}")
    return data.tobytes()
