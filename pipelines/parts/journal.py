"""Changes to a tree of files that can be gone on with and taken back. Knows no data set and no run.

All steps are on the disk, a line each, before the first of them is done. Whether a step was done is read from the tree
itself: a move is a rename, a new file comes by a rename, and no step ever replaces what is there. So whoever is killed
in the middle may go on (`replay`) or turn round (`undo`), as often as need be.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from pipelines.core import files
from pipelines.core.errors import BadInput, Missing

Tick = Callable[[int, int], None]
"""(done, of how many)."""


@dataclass(frozen=True)
class Step:
    """One change, its places relative to the tree's root."""

    kind: Literal["folder", "move", "write", "clear"]
    """folder: `to` is made. move: `here` goes to `to`. write: `text` becomes the file `to`. clear: the empty folder
    `here` goes."""
    to: str = ""
    here: str = ""
    text: str = ""
    sha256: str = ""
    """Of the file that is moved or written."""

    def line(self) -> str:
        """ASCII: a name of bytes that are no text is kept too."""
        return json.dumps({key: value for key, value in asdict(self).items() if value})


@dataclass
class Undone:
    """What came of taking steps back, in names relative to the root."""

    moved: int = 0
    removed: int = 0
    """Files that were written and folders that were made."""
    changed: list[str] = field(default_factory=list)
    """Went back, with other bytes than they came with."""
    kept: list[str] = field(default_factory=list)
    """Written, and changed by somebody since."""
    gone: list[str] = field(default_factory=list)
    """Moved, and removed by somebody since."""


def written(to: str, text: str) -> Step:
    """The step that writes a text."""
    return Step("write", to, text=text, sha256=hashlib.sha256(text.encode()).hexdigest())


def begin(path: Path, steps: Iterable[Step]) -> None:
    """Put a journal on the disk, whole, before anything is done. Raises DiskFull, Problem."""
    files.write_bytes(path, "".join(step.line() + "\n" for step in steps).encode("ascii"))


def read(path: Path) -> list[Step]:
    """Raises Missing, and BadInput for what is no journal."""
    if not path.is_file():
        raise Missing(f"there is no journal {path.name} in {path.parent.name}: nothing was moved there")
    found = []
    for number, line in enumerate(path.read_text(encoding="ascii", errors="replace").splitlines(), start=1):
        try:
            found.append(Step(**json.loads(line)))
            right = found[-1].kind in ("folder", "move", "write", "clear")
        except (ValueError, TypeError):
            right = False
        if not right:
            raise BadInput(f"line {number} of {path.name} is no step of a journal: it was changed by hand")
    return found


def replay(root: Path, steps: Sequence[Step], tick: Tick) -> None:
    """Do every step that is not done yet. Raises BadInput where something is in the way or gone, and what `tick` does.

    What is in the way stays as it is, and so does all that was done before.
    """
    for number, step in enumerate(steps):
        tick(number, len(steps))
        _do(root, step)
    tick(len(steps), len(steps))


def undo(root: Path, steps: Sequence[Step], tick: Tick) -> Undone:
    """Take every step back that was done, the last one first. Raises BadInput before the first where one cannot."""
    for step in steps:
        if step.kind == "move" and _moved(root, step) and _stands(_place(root, step.here)):
            raise BadInput(
                f"{shown(step.to)} cannot go back, for {shown(step.here)} is there again: move that one away, then undo"
            )
    found = Undone()
    for number, step in enumerate(reversed(steps)):
        tick(number, len(steps))
        _take_back(root, step, found)
    tick(len(steps), len(steps))
    return found


def done(root: Path, steps: Sequence[Step]) -> int:
    """How many moves and new files of a journal stand in the tree."""
    return sum(
        _moved(root, step) if step.kind == "move" else _stands(_place(root, step.to))
        for step in steps
        if step.kind in ("move", "write")
    )


def _moved(root: Path, step: Step) -> bool:
    """Where something is at both ends the file was never moved if it is still itself where it was."""
    here = _place(root, step.here)
    return _stands(_place(root, step.to)) and not (_stands(here) and _sha256(here) == step.sha256)


def _do(root: Path, step: Step) -> None:
    to, here = _place(root, step.to or step.here), _place(root, step.here or step.to)
    if step.kind == "folder":
        with files.explained(to), suppress(FileExistsError):
            to.mkdir()
    elif step.kind == "clear":
        with suppress(OSError):  # not empty: somebody put something there
            here.rmdir()
    elif step.kind == "write":
        if _stands(to):
            if _sha256(to) != step.sha256:
                raise BadInput(f"{shown(step.to)} is there already, with other words: move it away, or undo the run")
            return
        half = _half(to)
        with files.explained(to):
            with half.open("wb") as file:
                file.write(step.text.encode())
                file.flush()
                os.fsync(file.fileno())
            half.rename(to)
    elif _stands(to):
        if _stands(here):
            raise BadInput(
                f"{shown(step.here)} cannot go to {shown(step.to)}, where a file is: move that away and resume, or undo"
            )
    elif not _stands(here):
        raise BadInput(f"{shown(step.here)} is gone: put it back and resume the run, or undo it")
    else:
        with files.explained(to):
            here.rename(to)
            files.sync_folder(to.parent)


def _take_back(root: Path, step: Step, found: Undone) -> None:
    to, here = _place(root, step.to or step.here), _place(root, step.here or step.to)
    if step.kind == "clear":
        here.mkdir(parents=True, exist_ok=True)
    elif step.kind == "folder":
        with suppress(OSError):  # never made, or somebody put something into it
            to.rmdir()
            found.removed += 1
    elif step.kind == "write":
        _half(to).unlink(missing_ok=True)
        if _stands(to):
            if _sha256(to) == step.sha256:
                to.unlink()
                found.removed += 1
            else:
                found.kept.append(shown(step.to))
    elif _moved(root, step):
        if _sha256(to) != step.sha256:
            found.changed.append(shown(step.here))
        with files.explained(here):
            here.parent.mkdir(parents=True, exist_ok=True)
            to.rename(here)
            files.sync_folder(here.parent)
        found.moved += 1
    elif not _stands(here):
        found.gone.append(shown(step.here))


def _place(root: Path, name: str) -> Path:
    """Where a step's file lies, in a folder that is below the root by no link. Raises BadInput."""
    pure = PurePosixPath(name)
    if name and not pure.is_absolute() and ".." not in pure.parts and "\0" not in name:
        top = root.resolve()
        if (top / pure.parent).resolve() == top / pure.parent:
            return top / pure
    raise BadInput(f"{shown(name)} leads out of the data set's folder, or by a link: nothing is done there")


def _stands(path: Path) -> bool:
    """Whether anything is there, a link that leads nowhere too."""
    return os.path.lexists(path)


def _sha256(path: Path) -> str:
    """ "" for what is no ordinary file: it is none of ours."""
    return files.sha256(path) if path.is_file() and not path.is_symlink() else ""


def _half(path: Path) -> Path:
    """What a file is called until it is whole: the same each time, so that a half one is found again."""
    return path.parent / f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.tmp"


def shown(name: str) -> str:
    """A name as sentences and results say it: on one line, whatever its bytes."""
    return "".join(one if one.isprintable() else "\ufffd" for one in name)
