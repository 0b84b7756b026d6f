"""What a picture's file says about itself, read before a pixel is decoded. Knows nothing of decoding.

The format is what the first bytes say, never the file's name. A picture that is too large, moving, of several pages or
of a kind the studio cannot hold is refused here, where it has cost a few hundred bytes.
"""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Literal

from pipelines.core import png, tiff
from pipelines.core.errors import BadInput

Format = Literal["png", "jpeg", "bmp", "tiff", "webp"]
Colour = Literal["grey", "rgb", "palette", "cmyk"]

SUFFIX: dict[Format, str] = {"png": ".png", "jpeg": ".jpg", "bmp": ".bmp", "tiff": ".tif", "webp": ".webp"}
READS = "PNG, JPEG, TIFF, BMP or WEBP"
MAX_PIXELS = 40_000_000
MAX_SCANS = 200  # a progressive JPEG has about ten; a thousand empty ones keep a decoder busy for minutes
START = SECTOR = 512
JPEG_COLOURS: dict[int, Colour] = {1: "grey", 3: "rgb", 4: "cmyk"}
TIFF_COLOURS: dict[int, Colour] = {
    0: "grey",
    1: "grey",
    2: "rgb",
    3: "palette",
    5: "cmyk",
    6: "rgb",
}  # 6: YCbCr in JPEG
TIFF_BITS: dict[Colour, tuple[int, ...]] = {
    "grey": (1, 2, 4, 8, 12, 16),
    "rgb": (8, 16),
    "palette": (1, 2, 4, 8),
    "cmyk": (8,),
}
CHANNELS: dict[Colour, int] = {"grey": 1, "rgb": 3, "palette": 1, "cmyk": 4}

# What people take for pictures, and what they should do with it.
OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "a GIF"),
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\x93NUMPY", "a NumPy array"),
)


@dataclass(frozen=True)
class Header:
    """Size and kind of a picture. Width and height as it is looked at, after its orientation."""

    format: Format
    width: int
    height: int
    bits: Literal[8, 16]
    """Of each colour once decoded."""
    colour: Colour
    alpha: bool = False
    orientation: int = 1
    """EXIF's 1..8."""
    depth: int = 8
    """Bits of each colour as stored."""
    planar: bool = False
    inverted: bool = False
    """TIFF's "white is zero"."""


def format_of(start: bytes) -> Format | None:
    """The format that the first bytes of a file (16 will do) announce, None for anything else."""
    if start.startswith(png.SIGNATURE):
        return "png"
    if start.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if start[:4] in tiff.MAGIC:
        return "tiff"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "webp"
    if start.startswith(b"BM") and start[6:10] == b"\0\0\0\0":
        return "bmp"
    return None


def read(file: BinaryIO, name: str, max_pixels: int = MAX_PIXELS) -> Header:
    """A picture's header. `file` is open for reading bytes, `name` is for sentences. Raises BadInput."""
    file.seek(0)
    start = file.read(START)
    format = format_of(start)
    if format is None:
        raise _no_picture(start, name)
    try:
        header = READERS[format](file, name)
    except struct.error as error:
        end = file.seek(0, io.SEEK_END)
        raise _cut(name, format, end) from error
    if header.width < 1 or header.height < 1:
        raise BadInput(f"{name} is {header.width} x {header.height} px: a picture needs at least one pixel")
    if header.width * header.height > max_pixels:
        raise _too_large(name, header.width, header.height, max_pixels)
    return header


def _png(file: BinaryIO, name: str) -> Header:
    head = None
    alpha, orientation = False, 1
    for chunk in png.chunks(file, name):
        if head is None:
            if chunk.kind != b"IHDR" or chunk.length != 13:
                raise BadInput(f"{name} is damaged: a PNG begins with its size, this one does not; save the file again")
            head = struct.unpack(">IIBBBBB", png.data(file, chunk))
        elif chunk.kind == b"acTL":
            raise _moving(name)
        elif chunk.kind == b"tRNS":
            alpha = True
        elif chunk.kind == b"eXIf" and chunk.length <= 65_536:
            orientation = tiff.orientation(png.data(file, chunk))
    assert head is not None  # chunks() ends with IEND or raises
    width, height, depth, kind = head[:4]
    if kind not in (0, 2, 3, 4, 6) or depth not in (1, 2, 4, 8, 16):
        raise BadInput(f"{name} is damaged: its header names PNG colour type {kind} with {depth} bits; save it again")
    colour: Colour = "palette" if kind == 3 else "grey" if kind in (0, 4) else "rgb"
    width, height = _upright(width, height, orientation)
    bits: Literal[8, 16] = 16 if depth == 16 else 8
    return Header("png", width, height, bits, colour, alpha or kind in (4, 6), orientation, depth)


def _jpeg(file: BinaryIO, name: str) -> Header:
    position, orientation = 2, 1
    frame: tuple[int, ...] | None = None
    progressive = False
    while True:
        marker, position = _marker(file, position)
        if marker in (0xD8, 0x01) or 0xD0 <= marker <= 0xD7:  # stand alone
            position += 2
            continue
        if marker == 0xD9:
            raise _cut(name, "jpeg", position)
        length = struct.unpack(">H", file.read(2))[0]
        if marker == 0xE1 and orientation == 1:
            block = file.read(length - 2) if length > 2 else b""
            if block.startswith(b"Exif\0\0"):
                orientation = tiff.orientation(block[6:])
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame = struct.unpack(">BHHB", file.read(6))
            progressive = marker in (0xC2, 0xC6, 0xCA, 0xCE)
        elif marker == 0xDA:
            break
        position += 2 + length
    if frame is None:
        raise BadInput(f"{name} is damaged: its JPEG header names no size; save the file again")
    depth, height, width, colours = frame
    if depth != 8:
        raise BadInput(f"{name} is a JPEG of {depth} bits: save it as a 16-bit PNG or TIFF")
    if colours not in (1, 3, 4):
        raise BadInput(f"{name} is a JPEG of {colours} colours: save it as grey, RGB or CMYK")
    if progressive:
        _few_scans(file, position, name)
    width, height = _upright(width, height, orientation)
    return Header("jpeg", width, height, 8, JPEG_COLOURS[colours], orientation=orientation)


def _marker(file: BinaryIO, position: int) -> tuple[int, int]:
    """The next marker and where it begins. Raises struct.error at the end of the file."""
    file.seek(position)
    first, marker = struct.unpack(">BB", file.read(2))
    while first != 0xFF or marker in (0x00, 0xFF):  # fill bytes
        position += 1
        first, marker = marker, struct.unpack(">B", file.read(1))[0]
    file.seek(position + 2)
    return marker, position


def _few_scans(file: BinaryIO, position: int, name: str) -> None:
    file.seek(position)
    scans, carried = 0, b""
    while block := file.read(2**20):
        block = carried + block
        end = block.find(b"\xff\xd9")
        scans += block.count(b"\xff\xda", 0, end if end >= 0 else len(block))
        if scans > MAX_SCANS:
            raise BadInput(f"{name} is a JPEG of more than {MAX_SCANS} scans: open it in an editor and save it again")
        if end >= 0:
            return
        carried = block[-1:]  # a marker may lie across two blocks


def _bmp(file: BinaryIO, name: str) -> Header:
    file.seek(14)
    size = struct.unpack("<I", file.read(4))[0]
    if size == 12 or 40 <= size <= 256:
        width, height = struct.unpack("<HH", file.read(4)) if size == 12 else struct.unpack("<ii", file.read(8))
    else:
        raise BadInput(f"{name} is damaged: its BMP header is {size} bytes long; save the file again")
    # A negative height says that the first row is the top one. Whether there is alpha, the decoder tells.
    return Header("bmp", width, abs(height), 8, "rgb")


def _tiff(file: BinaryIO, name: str) -> Header:
    found = tiff.layout(file, name)
    if found.numbers != 1:
        kind = {2: "signed", 3: "floating point"}.get(found.numbers, "unusual")
        raise BadInput(f"{name} holds {kind} numbers of {found.bits} bits: save it as 8-bit or 16-bit integers")
    colour = TIFF_COLOURS.get(found.photometric)
    if colour is None:
        raise BadInput(f"{name} is a TIFF of colour kind {found.photometric}: save it as grey, RGB or CMYK")
    base = CHANNELS[colour]
    if found.samples != base and (found.samples != base + 1 or colour in ("palette", "cmyk")):
        raise BadInput(f"{name} has {found.samples} channels where {colour} has {base}: save it as grey or RGB")
    if found.bits not in TIFF_BITS[colour] or (found.bits == 12 and found.samples > 1):
        raise BadInput(
            f"{name} is a {colour} TIFF of {found.bits} bits a colour: save it as grey or RGB of 8 or 16 bits"
        )
    if found.tile > MAX_PIXELS:
        raise BadInput(f"{name} is damaged: its tiles hold {found.tile} px each; save the file again")
    deep = found.bits > 8
    if deep and found.planar and found.samples > 1 and found.compressed:
        raise BadInput(f"{name} is a compressed 16-bit TIFF in colour planes: save it uncompressed")
    width, height = _upright(found.width, found.height, found.orientation)
    return Header(
        "tiff",
        width,
        height,
        16 if deep else 8,
        colour,
        found.samples > base,
        found.orientation,
        found.bits,
        planar=found.planar and found.samples > 1,
        inverted=found.photometric == 0,
    )


def _webp(file: BinaryIO, name: str) -> Header:
    """RFC 9649: a RIFF container of one VP8 (lossy) or VP8L (lossless) picture, or of VP8X with more beside it."""
    end = file.seek(0, io.SEEK_END)
    file.seek(4)
    if struct.unpack("<I", file.read(4))[0] + 8 > end:
        raise _cut(name, "webp", end)
    position, orientation = 12, 1
    size: tuple[int, int] | None = None
    alpha = False
    for _ in range(1_000):
        file.seek(position)
        start = file.read(8)
        if len(start) < 8:
            break
        kind, length = struct.unpack("<4sI", start)
        if kind == b"VP8X":
            flags, wide, high = struct.unpack("<B3x3s3s", file.read(10))
            if flags & 0x02:
                raise _moving(name)
            alpha = bool(flags & 0x10)
            size = (int.from_bytes(wide, "little") + 1, int.from_bytes(high, "little") + 1)
        elif kind == b"VP8 ":
            body = file.read(10)
            found = (struct.unpack_from("<H", body, 6)[0] & 0x3FFF, struct.unpack_from("<H", body, 8)[0] & 0x3FFF)
            size = _same(size, found, name)
        elif kind == b"VP8L":
            word = struct.unpack("<xI", file.read(5))[0]
            size = _same(size, ((word & 0x3FFF) + 1, (word >> 14 & 0x3FFF) + 1), name)
            alpha = alpha or bool(word >> 28 & 1)
        elif kind == b"EXIF" and length <= 65_536:
            orientation = tiff.orientation(file.read(length).removeprefix(b"Exif\0\0"))
        position += 8 + length + length % 2
        if kind in (b"VP8 ", b"VP8L") and length > 2 * SECTOR:
            file.seek(position - length % 2 - SECTOR)
            if not any(file.read(SECTOR)):  # a torn copy: WEBP has no check sum, and zeros decode too
                raise _cut(name, "webp", position - SECTOR)
    if size is None:
        raise _cut(name, "webp", end)
    width, height = _upright(*size, orientation)
    return Header("webp", width, height, 8, "rgb", alpha, orientation)


def _same(canvas: tuple[int, int] | None, picture: tuple[int, int], name: str) -> tuple[int, int]:
    if canvas is not None and canvas != picture:
        raise BadInput(f"{name} is damaged: it names two sizes, {canvas} and {picture}; save the file again")
    return picture


READERS: dict[Format, Callable[[BinaryIO, str], Header]] = {
    "png": _png,
    "jpeg": _jpeg,
    "bmp": _bmp,
    "tiff": _tiff,
    "webp": _webp,
}


def _upright(width: int, height: int, orientation: int) -> tuple[int, int]:
    return (height, width) if orientation >= 5 else (width, height)


def _no_picture(start: bytes, name: str) -> BadInput:
    if not start:
        return BadInput(f"{name} is empty (0 bytes): save or upload it again")
    what = next((what for magic, what in OTHERS if start.startswith(magic)), None)
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if what is None and start[4:8] == b"ftyp":
        what = "a HEIC or AVIF picture, or a film"
    elif what is None and (text.startswith((b"<svg", b"<?xml")) or b"<svg" in text):
        what = "an SVG drawing or other XML"
    elif what is None and text.startswith((b"<!doctype", b"<html")):
        what = "a web page"
    if what is None:
        what = "no picture the studio knows"
    return BadInput(f"{name} is {what}, whatever its name says: save it as {READS}")


def _cut(name: str, format: str, end: int) -> BadInput:
    return BadInput(
        f"{name} is cut short: its {format.upper()} data end after {end} bytes; copy or save the file again"
    )


def _moving(name: str) -> BadInput:
    return BadInput(f"{name} is an animation: save the one frame you want as a PNG")


def _too_large(name: str, width: int, height: int, max_pixels: int) -> BadInput:
    return BadInput(
        f"{name} is {width} x {height} px ({width * height / 1e6:.0f} megapixels);"
        f" up to {max_pixels / 1e6:g} megapixels are read: crop it or make it smaller"
    )
