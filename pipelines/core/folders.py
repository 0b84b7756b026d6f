"""Folders of this machine that were opened to the studio at its start: what lies in them, never what lies beside them.

A place is a root's number and a path below it, with `/` on every system. Knows names and sizes; nothing of pixels.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.core import files
from pipelines.core.errors import BadInput, Missing, Problem

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
MOST_COUNTED = 20_000
"""Entries looked at to say how many pictures the folders of one listing hold; a share on the network is slow."""
MOST_BELOW = 20_000
_PARTS = re.compile(r"([0-9]+)")


@dataclass(frozen=True)
class Sub:
    """A folder in a folder."""

    name: str
    path: str
    pictures: int
    """In it and in what it holds."""
    whole: bool
    """Whether all of it was counted."""


@dataclass(frozen=True)
class File:
    """A picture in a folder, by its name's ending."""

    name: str
    path: str
    bytes: int


@dataclass(frozen=True)
class Content:
    """What a folder holds, in the order a person counts in: part 2 before part 10."""

    folders: tuple[Sub, ...]
    pictures: tuple[File, ...]


class Folders:
    """The roots. What leads out of them is not there."""

    def __init__(self, roots: Sequence[Path] = ()) -> None:
        """Raises BadInput for a root that is no folder or cannot be read."""
        self.roots = tuple(_checked(root) for root in dict.fromkeys(roots))

    def names(self) -> list[str]:
        """What to call each root: its own name, with its parent's where two would be called the same."""
        short = [root.name or str(root) for root in self.roots]
        long = [f"{root.parent.name}/{root.name}" for root in self.roots]
        return [long[place] if short.count(name) > 1 else name for place, name in enumerate(short)]

    def find(self, root: int, path: str) -> Path:
        """Where a place is on the disk, links followed. Raises Missing, BadInput for a path that leads out."""
        if not 0 <= root < len(self.roots):
            raise Missing(f"there is no folder number {root}: the studio was started with {len(self.roots)}")
        found = files.inside(self.roots[root], path) if path else self.roots[root]
        if not found.exists():
            raise Missing(f"{path} is no longer there: it was moved or deleted")
        return found

    def content(self, root: int, path: str) -> Content:
        """The folders and pictures of a place. Raises Missing, BadInput, Problem."""
        folders, pictures = _sorted(self._entries(root, path))
        left = MOST_COUNTED
        subs = []
        for entry in folders:
            place = f"{path}/{entry.name}" if path else entry.name
            count = 0
            for one in self._walk(root, place, left):
                left -= 1
                count += one is not None
            subs.append(Sub(entry.name, place, count, left > 0))
        return Content(
            tuple(subs),
            tuple(
                File(one.name, f"{path}/{one.name}" if path else one.name, one.stat().st_size)
                for one in pictures
                if one.is_file()
            ),
        )

    def pictures(self, root: int, path: str, *, deep: bool) -> list[str]:
        """The paths of a folder's pictures, with `deep` of those below it too.

        Raises Missing, BadInput where there are more than can be taken at once.
        """
        _, found = _sorted(self._entries(root, path))
        if not deep:
            paths = [f"{path}/{one.name}" if path else one.name for one in found]
        else:
            paths = [one for one in self._walk(root, path, 10 * MOST_BELOW) if one is not None]
        if len(paths) > MOST_BELOW:
            name = path or self.names()[root]
            raise BadInput(f"{name} has more than {MOST_BELOW:,} pictures: take the folders in it one by one")
        return paths

    def _walk(self, root: int, path: str, most: int) -> Iterator[str | None]:
        """Each entry below a place: a picture's path, None for anything else. Links to folders are not followed."""
        waiting = [path]
        while waiting and most > 0:
            here = waiting.pop()
            try:
                folders, pictures = _sorted(self._entries(root, here))
            except Problem:  # not ours to read: it is shown as empty, and says why when it is opened
                folders, pictures = [], []
            for one in pictures[:most]:
                yield f"{here}/{one.name}" if here else one.name
            for _ in folders[: max(0, most - len(pictures))]:
                yield None
            most -= len(pictures) + len(folders) or 1
            inner = [f"{here}/{one.name}" if here else one.name for one in folders if not one.is_symlink()]
            waiting += reversed(inner)

    def _entries(self, root: int, path: str) -> list[os.DirEntry[str]]:
        """What a folder holds and can be named from outside; hidden names and links that lead out are left away."""
        folder = self.find(root, path)
        if not folder.is_dir():
            raise BadInput(f"{path} is no folder: open the one it lies in")
        try:
            with os.scandir(folder) as found:
                return [one for one in found if _shown(one) and (not one.is_symlink() or self._stays(root, path, one))]
        except OSError as error:
            name = path or self.names()[root]
            raise Problem(f"{name} cannot be opened ({error.strerror}): check who may read it") from error

    def _stays(self, root: int, path: str, link: os.DirEntry[str]) -> bool:
        try:
            files.inside(self.roots[root], f"{path}/{link.name}" if path else link.name)
        except BadInput:
            return False
        return True


def _checked(root: Path) -> Path:
    try:
        found = root.expanduser().resolve(strict=True)
        with os.scandir(found):
            return found
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadInput(f"--data {root} cannot be opened ({reason}): name a folder that is there", "data") from error


def _shown(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and entry.name.isprintable() and "\\" not in entry.name


def _sorted(entries: list[os.DirEntry[str]]) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """Folders and pictures, each in the order a person counts in."""
    ordered = sorted(entries, key=lambda one: natural(one.name))
    folders = [one for one in ordered if one.is_dir()]
    pictures = [one for one in ordered if one.name.lower().endswith(SUFFIXES) and not one.is_dir()]
    return folders, pictures


def natural(name: str) -> list[tuple[int, int, str]]:
    """What to sort a name by so that `part 2` comes before `part 10`."""
    return [
        (0, int(one), one) if one.isdigit() and one.isascii() else (1, 0, one.lower())
        for one in _PARTS.split(name)
        if one
    ]
