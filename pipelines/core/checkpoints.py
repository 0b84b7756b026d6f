"""Checkpoints of a training: whole and checked, or not there. Knows folders and hashes; not what is saved in them.

A checkpoint is written beside its place, its files and their hashes go to the disk, and only then does it get its name;
the old ones go after that. Whenever a process dies, the newest one whose manifest holds is where it goes on.
"""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core import files
from pipelines.core.errors import BadInput

MANIFEST = "manifest.json"
NAME = re.compile(r"checkpoint-(\d{6,})")


@dataclass(frozen=True)
class Checkpoint:
    """One that was found whole."""

    step: int
    folder: Path
    facts: Mapping[str, Any]
    """What was noted beside its files."""


def save(home: Path, step: int, facts: Mapping[str, Any], write: Callable[[Path], None]) -> Checkpoint:
    """`write` puts files into the folder it is given; they become `home`/checkpoint-<step>. A whole one stays as it is.

    Raises DiskFull, Missing, Problem; then, as after a kill, nothing of it is there but what the next save sweeps.
    """
    place = home / f"checkpoint-{step:06d}"
    with files.explained(place):
        home.mkdir(parents=True, exist_ok=True)
        _sweep(home)
        if place.exists():
            try:
                return check(place)
            except BadInput:
                _remove(place)
    with files.filling(place) as folder:
        write(folder)
        listed = {
            path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": files.sha256(path)}
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        files.write_json(folder / MANIFEST, {"step": step, "facts": dict(facts), "files": listed})
    return Checkpoint(step, place, dict(facts))


def check(folder: Path) -> Checkpoint:
    """A checkpoint whose every file is what its manifest says. Raises BadInput naming what is wrong."""
    try:
        said = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        step, facts, listed = int(said["step"]), dict(said["facts"]), dict(said["files"])
        wanted = {files.inside(folder, name): (int(one["bytes"]), str(one["sha256"])) for name, one in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{folder.name} has no manifest that can be read: it was never finished, or damaged") from error
    for path, (length, digest) in wanted.items():
        if not path.is_file() or path.stat().st_size != length or files.sha256(path) != digest:
            raise BadInput(f"{path.name} of {folder.name} is not what was saved: it is damaged or was changed")
    return Checkpoint(step, folder, facts)


def newest(home: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint, and a sentence for each newer one that is not."""
    told: list[str] = []
    for folder in reversed(_there(home)):
        try:
            return check(folder), told
        except BadInput as error:
            told.append(str(error))
    return None, told


def prune(home: Path, keep: int, best: int | None = None) -> list[int]:
    """Removes all but the `keep` newest and the step `best`; returns the steps that went. Raises Problem."""
    going = [folder for folder in _there(home)[: -keep or None] if _step(folder) != best]
    with files.explained(home):
        for folder in going:
            _remove(folder)
    return [_step(folder) for folder in going]


def steps(home: Path) -> list[int]:
    """The steps that were saved and kept, oldest first; whether each is whole, `check` finds out."""
    return [_step(folder) for folder in _there(home)]


def _there(home: Path) -> list[Path]:
    """Folders that bear a checkpoint's name, oldest first."""
    found = [one for one in home.iterdir() if NAME.fullmatch(one.name) and one.is_dir()] if home.is_dir() else []
    return sorted(found, key=_step)


def _step(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


def _remove(folder: Path) -> None:
    """Out of the way first: one that is half deleted must not look like one."""
    aside = files.beside(folder)
    folder.rename(aside)
    shutil.rmtree(aside)


def _sweep(home: Path) -> None:
    """What killed processes left; only who trains writes here."""
    for left in home.glob(".*.tmp"):
        if files.TEMPORARY.fullmatch(left.name) and left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
