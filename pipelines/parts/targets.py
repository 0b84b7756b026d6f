"""Where an export lands: a folder or a stored ZIP, which appears whole or not at all. Knows nothing of what is written.

It is written under a name of its own beside the place it is for, and renamed last. A ZIP is only packed, for PNG is
compressed already. Its entries carry no time, so that the same files make the same ZIP.
"""

import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from pipelines.core import files
from pipelines.core.errors import BadInput

OURS = "README.md"
LIST = ".flawsmith-export.json"
"""Stands in an exported folder and lists its files: the next export replaces the folder if it holds nothing else."""
MARK = "Exported by Flawsmith."
"""Stands as a ZIP's comment: a ZIP that bears it may be replaced by the next export."""


class Target(Protocol):
    def add(self, name: str, data: bytes) -> None:
        """Write a file; a name that ends in / makes an empty folder."""


@contextmanager
def opened(path: Path, owner: str, need: int = 0) -> Iterator[Target]:
    """A folder, or a ZIP where the name ends in .zip. It is there after the block, and only if the block ended well.

    `owner` tells apart those who write at once; what an owner left half-written is cleared away. `need` is how many
    bytes are to come, for the sentence when there is no room. Raises BadInput where something else is in the place,
    DiskFull, Problem.
    """
    half = path.with_name(f".{path.name}.{owner}.part")
    with files.explained(path, need):
        _check_free(path)
        _remove(half)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            if is_zip(path):
                with zipfile.ZipFile(half, "x", zipfile.ZIP_STORED) as packed:
                    packed.comment = MARK.encode()
                    yield _Zip(packed)
            else:
                half.mkdir()
                folder = _Folder(half)
                yield folder
                files.write_json(half / LIST, sorted(folder.names))
            _settle(half, path)
        finally:
            _remove(half)


def is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


class _Zip:
    def __init__(self, packed: zipfile.ZipFile) -> None:
        self._packed = packed

    def add(self, name: str, data: bytes) -> None:
        info = zipfile.ZipInfo(name)  # dated 1980, the first day a ZIP knows
        info.create_system = 3  # else it tells on which kind of machine it was made
        info.external_attr = (0o40755 << 16 | 0x10) if info.is_dir() else 0o100644 << 16
        self._packed.writestr(info, data)


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root
        self.names: list[str] = []

    def add(self, name: str, data: bytes) -> None:
        path = self._root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            self.names.append(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def _check_free(path: Path) -> None:
    """Raises BadInput where the place holds anything that is not an earlier export."""
    if is_zip(path):
        if path.is_dir():
            raise BadInput(
                f"output: {path} is a folder; name a .zip that is not there yet, or a folder without .zip", "output"
            )
        if path.exists() and not _is_our_zip(path):
            raise BadInput(
                f"output: {path.name} is there already and no export of ours: name another, or remove it", "output"
            )
    elif path.exists():
        if not path.is_dir():
            raise BadInput(f"output: {path.name} is a file: name a folder, or a name that ends in .zip", "output")
        if any(path.iterdir()):
            _check_ours(path)


def _is_our_zip(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as packed:
            return packed.comment == MARK.encode()
    except zipfile.BadZipFile:
        return False


def _check_ours(path: Path) -> None:
    """Raises BadInput unless the folder holds what an earlier export put there and nothing else."""
    try:
        listed = {*json.loads((path / LIST).read_text(encoding="utf-8")), LIST}
    except (OSError, ValueError, TypeError):
        raise BadInput(
            f"output: the folder {path.name} is not empty and no export of ours: name another, or empty it", "output"
        ) from None
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if not file.is_dir() and name not in listed:
            raise BadInput(
                f"output: the folder {path.name} is an earlier export, but {name} is not of it and would be lost:"
                " move it away, or name another folder",
                "output",
            )


def _settle(half: Path, path: Path) -> None:
    """Bring what was written onto the disk for good, and under its name."""
    for file in [half] if half.is_file() else [file for file in half.rglob("*") if file.is_file()]:
        with file.open("rb") as written:
            os.fsync(written.fileno())
    before = path.with_name(half.name.removesuffix(".part") + ".before")
    if path.is_dir():  # a folder cannot be renamed over one that is not empty
        _remove(before)
        path.rename(before)
    half.replace(path)
    _remove(before)
    files.sync_folder(path.parent)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
