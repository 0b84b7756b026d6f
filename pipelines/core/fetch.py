"""Brings the weights of a base from its hub: whole, checked, resumable, and the same ones each time. Opens none.

HF_ENDPOINT names another hub. A token is used for the asking and never written down. HF_HUB_OFFLINE, which keeps the
libraries from asking by themselves, does not hold back what a person asks for by name.
"""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

from pipelines.core import files, weights
from pipelines.core.errors import BadInput, DiskFull, Missing, Problem
from pipelines.core.published import Published

HUB = "https://huggingface.co"
RECORD = "fetched.json"
LOCK = ".fetch.lock"
TOKEN = "HF_TOKEN"
RESERVE_BYTES = 2**30
READ_BYTES = 2**22
PIECE_BYTES = 2**20
SHA256, BLOB = 64, 40
"""How long an etag is that is a file's sha256, or git's sha1 of it."""

Told = Callable[[int, int, str], None]
"""Hears how many bytes of how many are here, and of which file; may raise, which ends the fetch."""


@dataclass(frozen=True)
class Remote:
    """A file as the hub tells it before it is sent."""

    name: str
    size: int
    etag: str
    commit: str
    location: str


@dataclass(frozen=True)
class Fetched:
    """What a fetch left: the commit, how many files, how many bytes, and how many of them came now."""

    folder: Path
    commit: str
    files: int
    bytes: int
    came: int


def endpoint() -> str:
    """The hub that is asked."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or HUB


def token_missing(base: Published) -> bool:
    """Whether its licence must be accepted first, and no token says who did."""
    return base.gated and not os.environ.get(TOKEN)


def fetch(base: Published, told: Told, token: str | None = None) -> Fetched:
    """Brings what is lacking of a base into models/<name>. A file that is whole stays; half of one is gone on with.

    Raises BadInput for a base that has no repository, Missing, DiskFull, or Problem, with what would do.
    """
    if base.repo is None or base.revision is None:
        raise BadInput(
            f"base {base.name} is not fetched: it has no repository, see `python -m pipelines bases`", "base"
        )
    folder = base.folder
    with files.explained(folder / RECORD):
        folder.mkdir(parents=True, exist_ok=True)
    token = token or os.environ.get(TOKEN) or None
    with _alone(folder, base.name), _online():
        recorded = _recorded(folder)
        remotes = [_ask(base, file, token) for file in _each(base, told)]
        _refuse_changes(base, recorded, remotes)
        total = sum(one.size for one in remotes)
        lacking = [one for one in remotes if not _is_here(folder, one, recorded)]
        here = total - sum(one.size for one in lacking)
        _check_room(folder, sum(one.size - _part_size(folder, one) for one in lacking))
        came = 0
        for one in lacking:
            digest = _bring(folder, one, base, token, partial(_tell, told, here, total, one.name))
            recorded[one.name] = {"sha256": digest, "size": one.size, "etag": one.etag}
            _record(folder, base, remotes[0].commit, recorded)
            here += one.size
            came += one.size
        for one in remotes:  # what was copied by hand and is the hub's own
            if one.name not in recorded:
                recorded[one.name] = {"sha256": files.sha256(folder / one.name), "size": one.size, "etag": one.etag}
        _record(folder, base, remotes[0].commit, recorded)
        told(total, total, "")
    return Fetched(folder, remotes[0].commit, len(remotes), total, came)


def _tell(told: Told, before: int, total: int, name: str, part: int) -> None:
    told(before + part, total, name)


def _each(base: Published, told: Told) -> Iterator[str]:
    for file in base.files:
        told(0, base.size_bytes, file)
        yield file


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """One fetch of a base at a time; a second is told, rather than kept waiting for hours."""
    with files.explained(folder / LOCK):
        lock = (folder / LOCK).open("ab")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Problem(f"{name} is being fetched already: wait for that, or stop it first") from error
        yield


@contextmanager
def _online() -> Iterator[None]:
    """While the block runs the hub's client may ask, in pieces small enough to stop between, and draws no bar."""
    from huggingface_hub import constants, utils

    before, barred = (constants.HF_HUB_OFFLINE, constants.DOWNLOAD_CHUNK_SIZE), utils.are_progress_bars_disabled()
    constants.HF_HUB_OFFLINE, constants.DOWNLOAD_CHUNK_SIZE = False, PIECE_BYTES
    if not barred:
        utils.disable_progress_bars()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, constants.DOWNLOAD_CHUNK_SIZE = before
        if not barred:
            utils.enable_progress_bars()


def fingerprint(base: Published) -> str:
    """One sha256 over those of all files of a base, as its fetch found them; "" where none were fetched.

    Raises BadInput where what was written down is damaged.
    """
    recorded = _recorded(base.folder)
    known = "".join(f"{one.get('sha256', '')}  {name}\n" for name, one in sorted(recorded.items()))
    return hashlib.sha256(known.encode()).hexdigest() if recorded else ""


def _recorded(folder: Path) -> dict[str, dict[str, Any]]:
    """What an earlier fetch wrote down of each file."""
    path = folder / RECORD
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {str(name): {**one} for name, one in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{RECORD} of {folder.name} is damaged: delete it, and every file is compared anew") from error


def _record(folder: Path, base: Published, commit: str, recorded: Mapping[str, Any]) -> None:
    told = {"repo": base.repo, "revision": base.revision, "commit": commit, "files": dict(sorted(recorded.items()))}
    files.write_json(folder / RECORD, told)


def _refuse_changes(base: Published, recorded: Mapping[str, Mapping[str, Any]], remotes: list[Remote]) -> None:
    for one in remotes:
        old = recorded.get(one.name)
        if old is not None and old.get("etag") != one.etag:
            raise Problem(
                f"{base.repo} has changed since {base.name} was fetched: {one.name} is another file now, and nothing"
                f" was replaced; to have the new ones, delete models/{base.name} and fetch again"
            )


def _is_here(folder: Path, one: Remote, recorded: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a file is here and whole. Raises Problem where another one lies in its place."""
    path = folder / one.name
    if not path.is_file() or weights.fault(path):
        return False
    if one.name in recorded:
        return path.stat().st_size == one.size
    if path.stat().st_size == one.size and _etag_of(path, one.etag) in (one.etag, None):
        return True
    raise Problem(
        f"{one.name} lies in models/{folder.name} already and is not the one of the repository: move it away first"
    )


def _check_room(folder: Path, need: int) -> None:
    free = shutil.disk_usage(folder).free
    if need and need + RESERVE_BYTES > free:
        raise DiskFull(
            f"{folder.name} needs {files.size(need)} more, and {files.size(free)} is free for the models folder:"
            " make room there, or name a folder on another disk in FLAWSMITH_MODELS"
        )


def _ask(base: Published, file: str, token: str | None) -> Remote:
    """What the hub has by that name."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(str(base.repo), file, revision=base.revision, endpoint=endpoint())
    with _explained(base, file):
        found = get_hf_file_metadata(url, token=token or False, endpoint=endpoint(), retry_on_errors=True)
    if found.size is None or not found.etag:
        raise Problem(f"{_host()} does not say how large {file} of {base.repo} is: is it a hub? (HF_ENDPOINT)")
    return Remote(file, found.size, found.etag, found.commit_hash or "", found.location)


def _bring(folder: Path, one: Remote, base: Published, token: str | None, told: Callable[[int], None]) -> str:
    """Downloads one file beside its place and moves it there when it is right; returns its sha256."""
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    path, part = folder / one.name, _part(folder, one)
    same = urlsplit(one.location).netloc == urlsplit(endpoint()).netloc
    headers = build_hf_headers(token=token or False) if same else {}
    with files.explained(path, one.size):
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as file:
            if file.tell() > one.size:
                file.truncate(0)
            with _explained(base, one.name):
                http_get(
                    one.location,
                    cast(BinaryIO, _Counted(file, told)),
                    resume_size=file.tell(),
                    headers=headers,
                    expected_size=one.size,
                    displayed_filename=one.name,
                )
            file.flush()
            os.fsync(file.fileno())
        digest = files.sha256(part)
        if _etag_of(part, one.etag, digest) not in (one.etag, None):
            part.unlink()
            raise Problem(
                f"{one.name} of {base.repo} arrived with another checksum than {_host()} states, and was thrown away:"
                " fetch again; if it stays so, something between here and there changes it"
            )
        part.replace(path)
        files.sync_folder(path.parent)
    return digest


class _Counted:
    """A file that tells how far it is with each piece."""

    def __init__(self, file: BinaryIO, told: Callable[[int], None]) -> None:
        self._file = file
        self._told = told

    def write(self, data: bytes) -> int:
        written = self._file.write(data)
        self._told(self._file.tell())
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _part(folder: Path, one: Remote) -> Path:
    """Where half a file waits. Named by what it is half of, so that two editions are never joined."""
    path = folder / one.name
    mark = hashlib.sha256(one.etag.encode()).hexdigest()[:12]
    return path.parent / f".{path.name}.{mark}.part"


def _part_size(folder: Path, one: Remote) -> int:
    path = _part(folder, one)
    return min(path.stat().st_size, one.size) if path.is_file() else 0


def _etag_of(path: Path, etag: str, sha256: str = "") -> str | None:
    """A file's checksum in the form of that etag; None for one that is no checksum."""
    if len(etag) == SHA256:
        return sha256 or files.sha256(path)
    if len(etag) == BLOB:  # how git names a small file
        made = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        with path.open("rb") as file:
            while piece := file.read(READ_BYTES):
                made.update(piece)
        return made.hexdigest()
    return None


def _host() -> str:
    return urlsplit(endpoint()).netloc


@contextmanager
def _explained(base: Published, file: str) -> Iterator[None]:
    """What the hub or the way there refuses becomes a sentence."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    try:
        yield
    except HfHubHTTPError as error:
        raise _refused(base, file, error.response.status_code) from error
    except HTTPError as error:  # of the client itself: no name, no way, no answer, cut off
        raise Problem(
            f"{_host()} cannot be reached, or was cut off ({type(error).__name__}): check network and proxy, then"
            f" fetch again, it goes on where it stopped; or copy the folder to models/{base.name} by hand"
        ) from error
    except OSError as error:
        if error.errno is not None or isinstance(error, Problem):
            raise
        raise Problem(
            f"{file} of {base.repo} did not arrive whole: fetch again, it goes on where it stopped"
        ) from error


def _refused(base: Published, file: str, status: int) -> Problem:
    page = f"{HUB}/{base.repo}"
    if status in (401, 403):
        return Problem(
            f"{base.repo} is not open to everyone: accept its licence at {page}, make a token at {HUB}/settings/tokens,"
            f" and name it in {TOKEN} (it is not stored)"
        )
    if status == 404:
        return Missing(
            f"{_host()} has no {file} in {base.repo} at {base.revision}: the studio's table names it wrongly"
        )
    if status == 429:
        return Problem(f"{_host()} asks for patience (429): fetch again in some minutes, it goes on where it stopped")
    return Problem(
        f"{_host()} answered {status} for {file} of {base.repo}: fetch again later, it goes on where it stopped"
    )


def printed(say: Callable[[str], None], every_s: float = 2.0) -> Told:
    """Progress as lines of text: each file as it begins, and now and then how far it is."""
    shown, at = "", 0.0

    def told(done: int, total: int, name: str) -> None:
        nonlocal shown, at
        if name != shown or time.monotonic() - at >= every_s:
            shown, at = name, time.monotonic()
            say(f"{files.size(done)} of {files.size(total)}  {name}".rstrip())

    return told
