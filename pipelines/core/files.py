"""Writes files whole or not at all, and keeps names inside their folder. Knows nothing of what the files hold."""

import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pipelines.core.errors import BadInput, DiskFull, Missing, Problem

NAME_BYTES = 255  # what ext4, xfs, APFS and NTFS allow one name
PATH_BYTES = 1024  # what macOS allows a path; nothing of ours comes near

# EFBIG is a limit on one file (ulimit, FAT): room that is there and may not be used.
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NOT_ALLOWED = {errno.EROFS, errno.EACCES, errno.EPERM}
NO_FOLDER = {errno.ENOENT, errno.ENOTDIR}

DEVICE = re.compile(r"(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|CLOCK\$|COM[0-9¹²³]|LPT[0-9¹²³])", re.IGNORECASE)
TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")
DRIVE = re.compile(r"[A-Za-z]:")

# Marks that turn the reading direction: with them `gnp.exe` is shown as `exe.png`.
TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path`: afterwards the file is whole and on the disk, or it is as it was.

    Raises DiskFull, Missing, BadInput, Problem.
    """
    with replacing(path, need=len(data)) as file:
        file.write(data)


def write_json(path: Path, value: Any) -> None:
    """Put `value` at `path` as JSON a person can read. Raises ValueError for NaN, else as `write_bytes`."""
    write_bytes(path, (json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2) + "\n").encode())


@contextmanager
def reading(path: Path, name: str) -> Iterator[BinaryIO]:
    """An ordinary file opened for reading. `name` is what sentences call it. Raises Missing, BadInput, Problem."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, a device never ends
            raise BadInput(f"{name} in {path.parent} is a folder or a device: name one file")
        with path.open("rb") as file:
            yield file
    except Problem:
        raise
    except FileNotFoundError as error:
        raise Missing(f"there is no file {name} in {path.parent}") from error
    except OSError as error:
        raise Problem(f"{name} in {path.parent} cannot be read ({error.strerror}): check who may read it") from error


@contextmanager
def replacing(path: Path, need: int = 0) -> Iterator[BinaryIO]:
    """A file to write into; when the block ends well it takes the place of `path`, else nothing of it is left.

    `need` is how many bytes will be written, for the sentence when there is no room. A process that is killed in the
    block leaves `.<16 hex digits>.tmp` in the folder, never a part of `path`.
    """
    temporary = beside(path)
    with explained(path, need):
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


@contextmanager
def filling(place: Path, name: str = "") -> Iterator[Path]:
    """A folder to put files into; when the block ends well they are on the disk and it is `place`, else it is gone.

    `name` is what sentences call it. A process that is killed in the block leaves `.<16 hex digits>.tmp`, a folder.
    """
    half = beside(place)
    with explained(place.with_name(name) if name else place):
        try:
            half.mkdir(parents=True)
            yield half
            for path in half.rglob("*"):
                if path.is_dir():
                    sync_folder(path)
                else:
                    with path.open("rb") as file:
                        os.fsync(file.fileno())
            sync_folder(half)
            half.rename(place)
            sync_folder(place.parent)
        finally:
            shutil.rmtree(half, ignore_errors=True)


def beside(path: Path) -> Path:
    """A name for what is on its way to `path`, or out of it. The same folder: a rename across disks is a copy."""
    return path.parent / f".{secrets.token_hex(8)}.tmp"


def sha256(path: Path) -> str:
    """The checksum of a file, in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def move(here: Path, there: Path) -> None:
    """Rename a file or folder into a folder that is made if need be. Raises DiskFull, Missing, Problem."""
    with explained(there):
        there.parent.mkdir(exist_ok=True)
        here.rename(there)
        sync_folder(there.parent)
        sync_folder(here.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process and one thread at a time in the block; who else comes waits. `path` is the lock's own, empty file.

    Let go when the block ends, also by a process that is killed. Raises DiskFull, Missing, Problem.
    """
    with explained(path):
        lock = path.open("ab")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed processes left below `folder`. Only for who alone writes there."""
    for left in folder.rglob(".*.tmp"):
        if TEMPORARY.fullmatch(left.name) and left.is_file():
            left.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Make what was written into a file survive a power cut."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def explained(path: Path, need: int = 0) -> Iterator[None]:
    """What the system refuses while `path` is written becomes a sentence: DiskFull, Missing, BadInput or Problem."""
    try:
        yield
    except Problem:  # DiskFull is an OSError too, and already a sentence
        raise
    except OSError as error:
        raise _sentence(error, path, need) from error


def _sentence(error: OSError, path: Path, need: int) -> Problem:
    folder, name = path.parent, plain_name(path.name)
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in NO_ROOM:
        free = shutil.disk_usage(folder).free
        wants = f"{name} needs {size(need)}" if need else f"there is no room for {name}"
        if error.errno == errno.ENOSPC:
            return DiskFull(f"the disk is full: {wants} in {folder} and {size(free)} is free; make room there")
        return DiskFull(
            f"{wants} in {folder}, {size(free)} is free, but a limit stands in the way ({reason}):"
            " have the quota or the file size limit raised, or make room"
        )
    if error.errno in NOT_ALLOWED:
        return Problem(f"{name} cannot be written in {folder} ({reason}): make that folder writable or choose another")
    if error.errno in NO_FOLDER:
        return Missing(f"{name} cannot be written: the folder {folder} is not there (was it moved or deleted?)")
    if error.errno == errno.ENAMETOOLONG:
        return BadInput(f"the name {name} is longer than the {NAME_BYTES} bytes a folder allows: choose a shorter one")
    return Problem(f"{name} could not be written in {folder}: {reason}; check that disk and go on")


def size(count: int) -> str:
    """Bytes for a person: `12 bytes`, `3.4 MB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


def inside(root: Path, name: str) -> Path:
    """The path that `name` means below `root`, links followed. Raises BadInput when it could mean anything elsewhere.

    The file need not exist. Refused on every system, so that a folder can move between them: absolute names, `..`,
    backslashes, drives, control characters, Windows' device names, links that lead out.
    """
    parts = name.split("/")
    refused = (
        any(part in ("", ".", "..") for part in parts)
        or "\\" in name
        or any(unicodedata.category(character) in ("Cc", "Cs") for character in name)
        or DRIVE.match(name) is not None
        or any(DEVICE.fullmatch(part.split(".")[0].split(":")[0].rstrip(" ")) for part in parts)
        or any(len(part.encode(errors="replace")) > NAME_BYTES for part in parts)
        or len(name.encode(errors="replace")) > PATH_BYTES
    )
    if not refused:
        try:
            top = root.resolve()
            path = (top / name).resolve()
        except (OSError, RuntimeError) as error:  # links in a circle, a path beyond the system's length
            raise BadInput(
                f"the name {plain_name(name)!r} leads nowhere: use the name of a file in its folder"
            ) from error
        if path.is_relative_to(top) and path != top:
            return path
    raise BadInput(
        f"the name {_visible(name)[:NAME_BYTES]!r} leads out of its folder or means a device:"
        " use the name of a file inside, like images/00000.png"
    )


def plain_name(name: str) -> str:
    """What a file is called on screen and in sentences: the last part of `name`, in any script, on one line.

    Control characters, line breaks, lone surrogates and marks that turn the reading direction become `\ufffd`, which
    can be seen; more than 255 bytes are shortened with `…` before the ending. Raises BadInput when nothing is left.
    """
    last = _visible(name.replace("\\", "/").rstrip("/").rpartition("/")[2]).strip()
    if last in ("", ".", ".."):
        raise BadInput(f"{_visible(name)[:NAME_BYTES]!r} is no file name: give the file a name like part.png")
    if len(last.encode()) <= NAME_BYTES:
        return last
    stem, dot, ending = last.rpartition(".")
    if not dot or len(ending) > 10:
        stem, dot, ending = last, "", ""
    room = NAME_BYTES - len(f"…{dot}{ending}".encode())
    return stem.encode()[:room].decode(errors="ignore") + f"…{dot}{ending}"


def _visible(text: str) -> str:
    return "".join("\ufffd" if _hides(character) else character for character in text)


def _hides(character: str) -> bool:
    return character in TURNING or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
