"""PNG as a row of chunks: walks them, checks them, puts a text in and takes it out. Knows nothing of pixels."""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from pipelines.core.errors import BadInput

SIGNATURE = b"\x89PNG\r\n\x1a\n"
IHDR_END = 33  # signature, then a chunk of 13 bytes: always the first
MAX_CHUNKS = 200_000  # encoders write 8 kB or more a chunk; a file of nothing but empty chunks only burns time
MAX_TEXT = 1_000_000


class Chunk(NamedTuple):
    kind: bytes
    start: int
    """Where its data begins in the file."""
    length: int


def chunks(file: BinaryIO, name: str) -> Iterator[Chunk]:
    """Every chunk from the first to IEND; their data is skipped. Raises BadInput when the file ends before."""
    end = file.seek(0, io.SEEK_END)
    position = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        start = file.read(8)
        if len(start) < 8:
            break
        length, kind = struct.unpack(">I4s", start)
        chunk = Chunk(kind, position + 8, length)
        position = chunk.start + length + 4
        if position > end:
            break
        yield chunk
        if kind == b"IEND":
            return
    else:
        raise BadInput(f"{name} has more than {MAX_CHUNKS} PNG chunks: open it in an image editor and save it again")
    raise BadInput(f"{name} is cut short: its PNG data end after {end} bytes; copy or save the file again")


def data(file: BinaryIO, chunk: Chunk) -> bytes:
    """What a chunk holds."""
    file.seek(chunk.start)
    return file.read(chunk.length)


def check(content: bytes, name: str) -> None:
    """Raises BadInput when a chunk's check sum is not that of its data."""
    view = memoryview(content)
    for chunk in chunks(io.BytesIO(content), name):
        end = chunk.start + chunk.length
        if zlib.crc32(view[chunk.start - 4 : end]) != int.from_bytes(view[end : end + 4]):
            raise BadInput(
                f"{name} is damaged: the check sum of its {chunk.kind.decode('latin-1')!r} part at byte {chunk.start}"
                " is wrong; copy or save the file again"
            )


def with_text(content: bytes, keyword: str, text: str) -> bytes:
    """The same PNG with an iTXt chunk (PNG specification, 11.3.3.4), uncompressed, right behind its header."""
    body = b"iTXt" + keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return content[:IHDR_END] + chunk + content[IHDR_END:]


def text(file: BinaryIO, keyword: str, name: str) -> str | None:
    """The text of the first iTXt chunk of that keyword, None without one. Raises BadInput beyond 1 MB."""
    for chunk in chunks(file, name):
        if chunk.kind != b"iTXt":
            continue
        file.seek(chunk.start)
        key = keyword.encode("latin-1") + b"\0"
        if file.read(min(chunk.length, len(key))) != key:
            continue
        if chunk.length > MAX_TEXT:
            raise _too_long(name)
        return _text(data(file, chunk)[len(key) :], name)
    return None


def _text(body: bytes, name: str) -> str:
    compressed, method = body[:1], body[1:2]
    parts = body[2:].split(b"\0", 2)  # language, keyword in that language, text
    if compressed not in (b"\0", b"\1") or method != b"\0" or len(parts) != 3:
        raise BadInput(f"{name} carries a text that is not written as PNG asks: use the file as it was made")
    content = parts[2]
    try:
        if compressed == b"\1":
            unpacker = zlib.decompressobj()
            content = unpacker.decompress(content, MAX_TEXT + 1)
            if len(content) > MAX_TEXT:
                raise _too_long(name)
        return content.decode()
    except (zlib.error, UnicodeDecodeError) as error:
        raise BadInput(f"{name} carries a damaged text ({error}): use the file as it was made") from error


def _too_long(name: str) -> BadInput:
    return BadInput(f"{name} carries a text of more than {MAX_TEXT} bytes: a request is far shorter; use another file")
