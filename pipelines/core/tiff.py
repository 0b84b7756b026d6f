"""TIFF as a list of directories: reads the tags that say how a picture is laid out. Knows nothing of pixels.

EXIF is a TIFF of its own inside other formats, so its orientation is read here too.
"""

import io
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from pipelines.core.errors import BadInput

MAGIC = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}
TYPES = {1: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}  # those the tags below are written in
TEXT = 2
MAX_TAGS = 4_096
MAX_PAGES = 32
MAX_TEXT = 20_000

DESCRIPTION, ORIENTATION, SUBFILE = 270, 274, 254
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR = 256, 257, 258, 259, 262, 277, 284
STRIPS, STRIP_BYTES, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES = 273, 279, 322, 323, 324, 325
FORMAT = 339
# The tags read, and how many values each may have: a table of strips or tiles is long, everything else a few numbers.
FEW, MANY = 64, 500_000
LISTS = dict.fromkeys((STRIPS, STRIP_BYTES, TILES, TILE_BYTES), MANY)
READ = dict.fromkeys(
    (WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR, TILE_WIDTH, TILE_HEIGHT, FORMAT, ORIENTATION), FEW
)


class Directory(NamedTuple):
    tags: dict[int, tuple[int, ...]]
    description: bytes
    following: int
    """Where the next directory begins; 0 after the last."""


@dataclass(frozen=True)
class Layout:
    """How the one picture of a file is stored. Size as stored, before the orientation is applied."""

    width: int
    height: int
    bits: int
    samples: int
    photometric: int
    compressed: bool
    planar: bool
    """One plane a colour, not one triple a pixel."""
    numbers: int
    """1 unsigned, 2 signed, 3 floating point."""
    orientation: int
    tile: int
    """Pixels in one tile; 0 in a file of strips."""


def orientation(exif: bytes) -> int:
    """1..8 from an EXIF block; 1, upright, where it says nothing that can be read, as browsers do."""
    if exif[:4] not in MAGIC:
        return 1
    try:
        file = io.BytesIO(exif)
        found = _directory(file, exif[:4], _first(file, exif[:4]), {ORIENTATION: 1}).tags.get(ORIENTATION, (1,))[0]
    except struct.error:  # metadata, not pixels: the picture itself is whole
        return 1
    return found if 1 <= found <= 8 else 1


def layout(file: BinaryIO, name: str) -> Layout:
    """How the picture is stored. Raises BadInput for several pages and for data that lie beyond the file's end."""
    file.seek(0)
    magic = file.read(4)
    try:
        first = _directory(file, magic, _first(file, magic), READ | LISTS)
        pages = _pages(file, magic, first)
    except struct.error as error:
        raise BadInput(
            f"{name} is cut short or damaged: its TIFF directory cannot be read; save the file again"
        ) from error
    tags = first.tags
    found = re.match(rb"ImageJ=.*?\nimages=(\d+)", first.description, re.DOTALL)
    if found:  # ImageJ keeps a stack behind one directory
        pages = max(pages, int(found[1][:9]))
    if pages > 1:
        raise BadInput(f"{name} has several pages: save the page you want as a picture of its own")
    if not all(tags.get(tag) for tag in (WIDTH, HEIGHT, PHOTOMETRIC)):
        raise BadInput(f"{name} is damaged: its TIFF directory names no size or no kind of colour; save the file again")
    bits, numbers = tags.get(BITS, (1,)), tags.get(FORMAT, (1,))
    if len(set(bits)) > 1 or len(set(numbers)) > 1:
        raise BadInput(f"{name} stores its colours with {bits} bits: save it with 8 or 16 bits for every colour")
    _within(file, tags, name)
    turned = tags.get(ORIENTATION, (1,))[0]
    return Layout(
        width=tags[WIDTH][0],
        height=tags[HEIGHT][0],
        bits=bits[0],
        samples=tags.get(SAMPLES, (1,))[0],
        photometric=tags[PHOTOMETRIC][0],
        compressed=tags.get(COMPRESSION, (1,))[0] != 1,
        planar=tags.get(PLANAR, (1,))[0] == 2,
        numbers=numbers[0],
        orientation=turned if 1 <= turned <= 8 else 1,
        tile=tags.get(TILE_WIDTH, (0,))[0] * tags.get(TILE_HEIGHT, (0,))[0],
    )


def _within(file: BinaryIO, tags: dict[int, tuple[int, ...]], name: str) -> None:
    end = file.seek(0, io.SEEK_END)
    starts = tags.get(STRIPS) or tags.get(TILES) or ()
    lengths = tags.get(STRIP_BYTES) or tags.get(TILE_BYTES) or ()
    if not starts or len(starts) != len(lengths):
        raise BadInput(f"{name} is damaged: its TIFF directory does not say where its pixels are; save the file again")
    last = max(start + length for start, length in zip(starts, lengths, strict=True))
    if last > end:
        raise BadInput(f"{name} is cut short: {end} of {last} bytes are there; copy or save the file again")


def _pages(file: BinaryIO, magic: bytes, first: Directory) -> int:
    """How many pictures there are; smaller copies of another page (subfile type 1) are none."""
    count, position, seen = 1, first.following, 0
    while position and seen < MAX_PAGES:
        page = _directory(file, magic, position, {SUBFILE: 1})
        count += not page.tags.get(SUBFILE, (0,))[0] & 1
        position, seen = page.following, seen + 1
    return count


def _first(file: BinaryIO, magic: bytes) -> int:
    order, big = MAGIC[magic]
    return _unpack(file, 8 if big else 4, order + ("Q" if big else "I"))[0]


def _directory(file: BinaryIO, magic: bytes, position: int, wanted: dict[int, int]) -> Directory:
    """The directory at `position`, of its tags those in `wanted`. Raises struct.error where the file ends too soon."""
    order, big = MAGIC[magic]
    count = _unpack(file, position, order + ("Q" if big else "H"))[0]
    if count > MAX_TAGS:
        raise struct.error(f"{count} tags")
    at = position + (8 if big else 2)
    step = 20 if big else 12
    tags: dict[int, tuple[int, ...]] = {}
    description = b""
    for index in range(count):
        place = at + index * step
        tag, kind, number = _unpack(file, place, order + ("HHQ" if big else "HHI"))
        inline = place + (12 if big else 8)
        if tag == DESCRIPTION and kind == TEXT:
            file.seek(_where(file, inline, number, order, big))
            description = file.read(min(number, MAX_TEXT))
        elif tag in wanted and tag not in tags and kind in TYPES and 0 < number <= wanted[tag]:
            form = f"{order}{number}{TYPES[kind]}"
            tags[tag] = _unpack(file, _where(file, inline, struct.calcsize(form), order, big), form)
    following = _unpack(file, at + count * step, order + ("Q" if big else "I"))[0]
    return Directory(tags, description, following)


def _where(file: BinaryIO, inline: int, length: int, order: str, big: bool) -> int:
    """Where a value of `length` bytes stands: in the directory itself when it fits."""
    if length <= (8 if big else 4):
        return inline
    place: int = _unpack(file, inline, order + ("Q" if big else "I"))[0]
    return place


def _unpack(file: BinaryIO, position: int, form: str) -> tuple[int, ...]:
    if position >= 2**63:
        raise struct.error("beyond any file")
    file.seek(position)
    return struct.unpack(form, file.read(struct.calcsize(form)))
