"""Files from outside, kept byte for byte under names made of their content. Knows nothing of runs or requests.

`runs/assets/<id>/` holds `original` with an ending by content, and `asset.json` with what is known of it. A folder is
filled beside its place and renamed into it, so that it is there whole or not at all, however many put it at once.
"""

import hashlib
import io
import json
import os
import secrets
import shutil
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pipelines.core import files, headers, ids
from pipelines.core.errors import BadInput, Missing

MAX_BYTES = 1_000_000_000
BLOCK = 2**20
FORGOTTEN_S = 3600.0


@dataclass(frozen=True)
class Asset:
    """A kept file."""

    id: str
    name: str
    """What its owner calls it; not where it is."""
    sha256: str
    """Of its bytes."""
    path: Path
    bytes: int
    kind: Literal["image", "file"] = "file"
    width: int | None = None
    """Of an image, upright, as its header tells; whether its pixels are whole, `images.read` finds out."""
    height: int | None = None
    bits: int | None = None


class Assets:
    """The store below a runs folder. Several processes may use it at once."""

    def __init__(self, runs: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.runs = runs
        self.folder = runs / "assets"
        self.max_bytes = max_bytes

    def put(self, data: bytes | Path, name: str) -> Asset:
        """Keep a file; the same content under the same name is the same asset. A Path is read in pieces, and stays.

        Raises BadInput for an empty or too large file and for an image whose header is refused, Missing without the
        file, DiskFull or Problem when it cannot be kept.
        """
        name = files.plain_name(name)
        opened: AbstractContextManager[BinaryIO]
        opened = nullcontext(io.BytesIO(data)) if isinstance(data, bytes) else files.reading(data, name)
        with opened as source:
            size, sha256 = self._measured(source, name)
            id = ids.asset(sha256, name)
            if not self.has(id):
                self._keep(id, source, _facts(source, name, sha256, size))
        return self.get(id)

    def get(self, id: str) -> Asset:
        """The asset of that id. Raises Missing, also when its file is no longer as it was put."""
        if not self.has(id):
            raise Missing(f"there is no file {id[:40]!r} in the store: upload it first")
        folder = self.folder / id
        with files.reading(folder / "asset.json", f"{id}/asset.json") as file:
            text = file.read()
        try:
            facts: dict[str, Any] = json.loads(text)
            path = folder / facts.pop("file")
            asset = Asset(id=id, path=path, **facts)
            whole = path.stat().st_size == asset.bytes
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            whole = False
        if not whole:
            raise Missing(f"{id} is damaged in the store: delete the folder {folder} and upload the file again")
        return asset

    def has(self, id: str) -> bool:
        """Whether an asset of that id is kept."""
        return ids.ASSET.fullmatch(id) is not None and (self.folder / id / "asset.json").is_file()

    def sweep(self, older_s: float = FORGOTTEN_S) -> None:
        """Remove what killed processes left half-filled; what another one may be filling now stays."""
        if not self.folder.is_dir():
            return
        for left in self.folder.glob(".*.tmp"):
            with suppress(OSError):  # another process swept it too
                if time.time() - left.stat().st_mtime > older_s:
                    shutil.rmtree(left)

    def _measured(self, source: BinaryIO, name: str) -> tuple[int, str]:
        digest, size = hashlib.sha256(), 0
        while block := source.read(BLOCK):
            digest.update(block)
            size += len(block)
            if size > self.max_bytes:
                raise BadInput(f"{name} is larger than {files.size(self.max_bytes)}: send less at once")
        if not size:
            raise BadInput(f"{name} is empty (0 bytes): save or upload it again")
        return size, digest.hexdigest()

    def _keep(self, id: str, source: BinaryIO, facts: dict[str, Any]) -> None:
        filling = self.folder / f".{secrets.token_hex(8)}.tmp"
        with files.explained(self.folder / facts["name"], need=facts["bytes"]):
            try:
                filling.mkdir(parents=True)
                self._copy(source, filling / facts["file"], facts)
                _write(filling / "asset.json", (json.dumps(facts, ensure_ascii=False, indent=2) + "\n").encode())
                files.sync_folder(filling)
                try:
                    filling.rename(self.folder / id)
                except OSError:
                    if not self.has(id):  # else somebody kept the same file meanwhile, and theirs is as good
                        raise
                files.sync_folder(self.folder)
            finally:
                shutil.rmtree(filling, ignore_errors=True)

    def _copy(self, source: BinaryIO, path: Path, facts: dict[str, Any]) -> None:
        source.seek(0)
        digest = hashlib.sha256()
        with path.open("xb") as copy:
            while block := source.read(BLOCK):
                digest.update(block)
                copy.write(block)
            copy.flush()
            os.fsync(copy.fileno())
        if digest.hexdigest() != facts["sha256"]:
            raise BadInput(f"{facts['name']} was changed while it was read: try again once it is finished")


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _facts(source: BinaryIO, name: str, sha256: str, size: int) -> dict[str, Any]:
    """What asset.json holds. An image is refused here when its header is; other files are nobody's business yet."""
    facts: dict[str, Any] = {"name": name, "sha256": sha256, "bytes": size}
    source.seek(0)
    if headers.format_of(source.read(16)) is None:
        return facts | {"file": "original", "kind": "file"}
    header = headers.read(source, name)
    size_and_bits = {"width": header.width, "height": header.height, "bits": header.bits}
    return facts | {"file": f"original{headers.SUFFIX[header.format]}", "kind": "image"} | size_and_bits
