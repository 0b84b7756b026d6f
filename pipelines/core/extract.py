"""Unpacks a ZIP that somebody sent, within bounds. Knows nothing of what lies in it.

An archive is a stranger's: its names may lead out of the folder, its sizes may lie, and a few kilobytes of it may be
petabytes. Everything that its directory says is looked at before a byte is written, and what is written is counted.
"""

import os
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipelines.core import files
from pipelines.core.errors import BadInput, DiskFull, Problem

CHUNK = 2**20
ENTRY = 1024
"""Bytes of the directory that an entry may take on average; it has 46 and its name."""
UTF8_NAME = 0x800
ENCRYPTED = 0x1
END, END64, LOCATOR64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
GB2312 = re.compile(rb"(?:[\x20-\x7e]|[\xa1-\xf7][\xa1-\xfe])+")
SYSTEM = re.compile(r"(__MACOSX|\.DS_Store|Thumbs\.db|desktop\.ini)", re.IGNORECASE)
"""What systems put beside one's files."""


@dataclass(frozen=True)
class Limits:
    """How much may come out of an archive."""

    files: int = 100_000
    deep: int = 16
    """Folders within one another."""
    total: int = 20 * 10**9
    reserve: int = 2 * 10**9
    """Bytes of the disk that stay free."""
    ratio: int = 200
    small: int = 10 * 10**6
    """Up to so many bytes the ratio does not matter: a mask of one colour is small when it is packed."""


LIMITS = Limits()


@dataclass(frozen=True)
class Entry:
    """A file of the archive, and what it will be called."""

    info: zipfile.ZipInfo
    name: str


def unpack(archive: Path, place: Path, name: str, limits: Limits = LIMITS) -> Path:
    """Unpacks into the folder `place`, which is there when it is whole, and not at all before. `name` is the archive's.

    The folder where the files begin comes back: where all lie in one folder it is that one. Raises BadInput, DiskFull,
    Problem.
    """
    stem = Path(name).stem.strip(" .") or "data"
    try:
        with archive.open("rb") as file:
            _bounded(file, name, limits)
            with zipfile.ZipFile(file) as packed, files.filling(place, name) as half:
                top = half / (stem if _fine(half, stem) else "data")
                entries = _entries(packed, top, name, limits)
                _fits(entries, archive.stat().st_size, place.parent, name, limits)
                top.mkdir()
                _write(packed, entries, top, name)
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError, UnicodeError) as error:
        raise BadInput(f"{name} is no whole ZIP that can be unpacked here: pack the folder again as ZIP") from error
    top = place / top.name
    inner = list(top.iterdir())
    return inner[0] if len(inner) == 1 and inner[0].is_dir() else top


def sweep(home: Path) -> None:
    """Removes folders that a killed process left half unpacked. Only for who alone unpacks there."""
    for left in home.glob(".*.tmp"):
        if files.TEMPORARY.fullmatch(left.name) and left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)


def _bounded(file: BinaryIO, name: str, limits: Limits) -> None:
    """That the directory is not too long to be read at all: zipfile takes it whole into memory."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 22 - 2**16))
    tail = file.read()
    at = tail.rfind(END)
    if at < 0 or len(tail) - at < 22:
        raise BadInput(f"{name} is no ZIP, or only a part of one: pack the folder as ZIP, or send it again")
    count, length = struct.unpack("<HL", tail[at + 10 : at + 16])
    if at >= 20 and tail[at - 20 : at - 16] == LOCATOR64:
        file.seek(struct.unpack("<Q", tail[at - 12 : at - 4])[0])
        record = file.read(56)
        if record[:4] != END64:
            raise BadInput(f"{name} is no ZIP, or only a part of one: pack the folder as ZIP, or send it again")
        count, length = struct.unpack("<QQ", record[32:48])
    if count > limits.files or length > limits.files * ENTRY:
        raise _too_many(name, limits)
    file.seek(0)


def _entries(packed: zipfile.ZipFile, top: Path, name: str, limits: Limits) -> list[Entry]:
    """Its files under the names they will have; nothing is written yet."""
    infos = packed.infolist()
    if len(infos) > limits.files:
        raise _too_many(name, limits)
    chinese = _is_gb2312([_raw(info) for info in infos if not info.flag_bits & UTF8_NAME])
    found, seen, folders = [], set(), set()
    for info in infos:
        path = _name(info, chinese)
        shown = path[:100]
        mode = stat.S_IFMT(info.external_attr >> 16)
        if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise BadInput(f"{name} holds {shown!r}, which is a link or a device: pack the files themselves")
        if info.flag_bits & ENCRYPTED:
            raise BadInput(f"{name} is locked with a password: pack it again without one")
        folder = path.endswith("/")
        path = path.rstrip("/") if folder else path
        parts = path.split("/")
        if any(SYSTEM.fullmatch(part) for part in parts):
            continue
        if len(parts) > limits.deep:
            raise BadInput(f"{name} holds folders more than {limits.deep} deep, such as {shown!r}: pack it flatter")
        files.inside(top, path)
        if folder:
            folders.add(path)
            continue
        if path in seen:
            raise BadInput(f"{name} holds {shown!r} twice: pack the folder again")
        seen.add(path)
        folders.update("/".join(parts[:deep]) for deep in range(1, len(parts)))
        found.append(Entry(info, path))
    if both := sorted(seen & folders):
        shown = both[0][:100]
        raise BadInput(f"{name} holds {shown!r} twice: pack the folder again")
    if not found:
        raise BadInput(f"{name} holds no file: pack the folder again")
    return found


def _fits(entries: Sequence[Entry], packed: int, home: Path, name: str, limits: Limits) -> None:
    """Sizes as the archive declares them; that they are true is seen while it is unpacked."""
    total = sum(one.info.file_size for one in entries)
    swollen = [
        one
        for one in entries
        if one.info.file_size > limits.small and one.info.file_size > limits.ratio * one.info.compress_size
    ]
    if swollen or (total > limits.small and total > limits.ratio * packed):
        which = swollen[0].name[-100:] if swollen else "all of it"
        raise BadInput(
            f"{name} would grow more than {limits.ratio} times ({which}), as no data set does: pack the folder again"
        )
    size, most = files.size(total), files.size(limits.total)
    if total > limits.total:
        raise BadInput(f"{name} would unpack to {size}, at most {most}: start the studio with --data and its folder")
    free = shutil.disk_usage(home).free
    if total > free - limits.reserve:
        room = files.size(max(0, free - limits.reserve))
        raise DiskFull(f"{name} would unpack to {size} and there is room for {room}: make room on that disk")


def _write(packed: zipfile.ZipFile, entries: Sequence[Entry], top: Path, name: str) -> None:
    for one in entries:
        path = files.inside(top, one.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        left = one.info.file_size
        with packed.open(one.info) as source, path.open("xb") as out:
            while chunk := source.read(CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise BadInput(f"{name} holds more than it says: pack the folder again")
                out.write(chunk)
        if left:
            raise BadInput(f"{name} holds less than it says: pack the folder again")


def _raw(info: zipfile.ZipInfo) -> bytes:
    """The name's bytes where the archive does not say what they mean; zipfile took them for CP437."""
    return info.orig_filename.encode("cp437")


def _name(info: zipfile.ZipInfo, chinese: bool) -> str:
    if info.flag_bits & UTF8_NAME:
        return info.orig_filename
    raw = _raw(info)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("gbk" if chinese else "cp437", errors="replace")


def _is_gb2312(names: Sequence[bytes]) -> bool:
    """Whether all names that need more than ASCII are Chinese as Windows writes it, which CP437 text never looks like:
    its letters stand below 0xA5 or alone.
    """
    more = [name for name in names if not name.isascii()]
    return bool(more) and all(GB2312.fullmatch(name) for name in more)


def _fine(folder: Path, stem: str) -> bool:
    try:
        return files.inside(folder, stem).parent == folder.resolve()
    except Problem:
        return False


def _too_many(name: str, limits: Limits) -> BadInput:
    most = limits.files
    return BadInput(f"{name} holds more than {most} files: start the studio with --data and its folder instead")
