"""A place that a data set is put in file by file: a folder, or a store of objects by its address (s3:// ...).

Nothing there is ever half a file under its own name. A list of all names stands there before the first of them, so that
after a kill the place is known as ours. Knows no format. What is put at once, or packed, parts/targets does.
"""

import contextlib
import hashlib
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import fsspec

from pipelines.core import files
from pipelines.core.errors import BadInput, Missing, Problem
from pipelines.parts.targets import LIST

BLOCK = 2**20
AT_ONCE = {"memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss"}
"""Where an object appears whole, or not at all. Elsewhere it is put under another name and moved."""


class Place(Protocol):
    """Where the files go. Names are relative, with forward slashes."""

    title: str

    def names(self) -> set[str]:
        """All that is there, also what is no file of ours, but for what a killed process left half-written."""

    def tidy(self) -> None:
        """Clear that away. Only for a place that is ours."""

    def read(self, name: str) -> bytes | None: ...

    def sha256(self, name: str) -> str | None:
        """Of the file that is there, read to its end; None: there is none."""

    def size(self, name: str) -> int | None: ...

    def draft(self, need: int = 0) -> contextlib.AbstractContextManager[Path]:
        """A file to write into, gone after the block if it was not put."""

    def put(self, draft: Path, name: str) -> None: ...

    def remove(self, name: str) -> None: ...


def at(output: str, scratch: Path) -> Place:
    """The place of that name; `scratch` is a folder for drafts of what goes elsewhere. Raises BadInput, Missing."""
    if output.startswith("file://"):
        output = fsspec.core.strip_protocol(output)
    if "://" not in output:
        return Folder(Path(output))
    protocol = output.partition("://")[0]
    try:
        system, root = fsspec.core.url_to_fs(output)
    except ImportError as error:
        raise Missing(f"output: {protocol}:// needs a package that is not installed ({error})") from error
    except ValueError as error:
        raise BadInput(
            f"output: {output} is no address: name a folder, or one such as s3://bucket/name", "output"
        ) from (error)
    return Store(system, root, output, scratch, at_once=protocol in AT_ONCE)


def begin(place: Place, planned: Collection[str]) -> None:
    """Make the place ours before anything is put.

    Raises BadInput where something lies that no export of ours put there.
    """
    listed, there = _listed(place), place.names()
    if there - {LIST} and listed is None:
        raise BadInput(f"output: {place.title} is not empty and no export of ours: name another, or empty it", "output")
    known = listed or set()
    strange = sorted(there - known - {LIST})
    if strange:
        raise BadInput(
            f"output: {place.title} is an earlier export, but {strange[0]} is not of it: move it away, or name another",
            "output",
        )
    place.tidy()
    _list(place, known | set(planned))


def end(place: Place, planned: Collection[str]) -> None:
    """Take away what an earlier export left, and list what is there now."""
    for name in sorted(place.names() - set(planned) - {LIST}):
        place.remove(name)
    _list(place, set(planned))


def put(place: Place, name: str, data: bytes) -> bool:
    """A small file; whether it had to be written."""
    if place.size(name) == len(data) and place.read(name) == data:
        return False
    with place.draft(len(data)) as draft:
        draft.write_bytes(data)
        place.put(draft, name)
    return True


def settle(place: Place, draft: Path, name: str, sha256: str) -> bool:
    """Put a large file that was written as a draft, unless the very same is there; whether it had to be."""
    if place.size(name) == draft.stat().st_size and place.sha256(name) == sha256:
        return False
    place.put(draft, name)
    return True


def _listed(place: Place) -> set[str] | None:
    text = place.read(LIST)
    try:
        return None if text is None else {str(name) for name in json.loads(text)}
    except (ValueError, TypeError):
        return None


def _list(place: Place, names: set[str]) -> None:
    put(place, LIST, (json.dumps(sorted(names), ensure_ascii=False, indent=2) + "\n").encode())


class Folder:
    """A folder here. A file is written beside its place and renamed into it."""

    def __init__(self, root: Path) -> None:
        """Makes it. Raises BadInput, Problem."""
        self.root, self.title = root, root.name
        if root.exists() and not root.is_dir():
            raise BadInput(f"output: {root.name} is a file: name a folder, or a name that ends in .zip", "output")
        with files.explained(root):
            root.mkdir(parents=True, exist_ok=True)

    def names(self) -> set[str]:
        found = (path for path in self.root.rglob("*") if not path.is_dir())
        return {path.relative_to(self.root).as_posix() for path in found if not files.TEMPORARY.fullmatch(path.name)}

    def tidy(self) -> None:
        files.sweep(self.root)

    def read(self, name: str) -> bytes | None:
        path = self.root / name
        return path.read_bytes() if path.is_file() else None

    def sha256(self, name: str) -> str | None:
        path = self.root / name
        return files.sha256(path) if path.is_file() else None

    def size(self, name: str) -> int | None:
        path = self.root / name
        return path.stat().st_size if path.is_file() else None

    @contextmanager
    def draft(self, need: int = 0) -> Iterator[Path]:
        draft = files.beside(self.root / "draft")
        with files.explained(self.root, need):
            try:
                yield draft
            finally:
                draft.unlink(missing_ok=True)

    def put(self, draft: Path, name: str) -> None:
        path = self.root / name
        with files.explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            files.sync(draft)
            draft.replace(path)
            files.sync_folder(path.parent)

    def remove(self, name: str) -> None:
        path = self.root / name
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self.root or any(folder.iterdir()):
                return
            folder.rmdir()


class Store:
    """What fsspec knows by an address. Drafts are written here first."""

    def __init__(self, system: Any, root: str, title: str, scratch: Path, *, at_once: bool) -> None:
        self._system, self._root, self.title = system, root.rstrip("/"), title
        self._scratch, self._at_once = scratch, at_once

    def names(self) -> set[str]:
        with self._said():
            self._system.invalidate_cache()
            found = self._system.find(self._root) if self._system.exists(self._root) else []
        inside = len(self._root) + 1
        return {name for path in found if not (name := str(path)[inside:]).endswith(PART)}

    def tidy(self) -> None:
        """Nothing: what is on its way has a name of its own, and the next put of that file takes its place."""

    def read(self, name: str) -> bytes | None:
        with self._said():
            return bytes(self._system.cat_file(self._path(name))) if self._has(name) else None

    def sha256(self, name: str) -> str | None:
        digest = hashlib.sha256()
        with self._said():
            if not self._has(name):
                return None
            with self._system.open(self._path(name), "rb") as file:
                while block := file.read(BLOCK):
                    digest.update(block)
        return digest.hexdigest()

    def size(self, name: str) -> int | None:
        with self._said():
            return int(self._system.size(self._path(name))) if self._has(name) else None

    @contextmanager
    def draft(self, need: int = 0) -> Iterator[Path]:
        draft = files.beside(self._scratch / "draft")
        with files.explained(self._scratch, need):
            try:
                yield draft
            finally:
                draft.unlink(missing_ok=True)

    def put(self, draft: Path, name: str) -> None:
        path = self._path(name)
        with self._said():
            self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
            if self._at_once:
                self._system.put_file(str(draft), path)
            else:
                self._system.put_file(str(draft), path + PART)
                self._system.mv(path + PART, path)

    def remove(self, name: str) -> None:
        with self._said():
            self._system.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _has(self, name: str) -> bool:
        return bool(self._system.exists(self._path(name)))

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Problem(f"{self.title} does not answer as it should ({error}): what is there stays, resume it") from (
                error
            )


PART = ".flawsmith-part"
"""What is on its way ends in this, where a put is not whole at once."""
