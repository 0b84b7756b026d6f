"""The mask library: named masks that stay with the studio, to be put onto any picture. Knows no strokes and no runs.

`runs/masks/<id>/` holds mask.png (8-bit, 255 where it is painted), small.png to know it by, and mask.json. A folder is
filled beside its place and renamed into it, so that a mask is there whole or not at all. A deleted one lies in
`.deleted` for a week.
"""

import json
import re
import secrets
import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core import files, images
from pipelines.core.errors import BadInput, Missing, Problem

ID = re.compile(r"mask-[0-9a-f]{12}")
DELETED = ".deleted"
FACTS, PIXELS, SMALL = "mask.json", "mask.png", "small.png"
SMALL_PX = 144
MOST_MASKS = 1000
MOST_NAME = 60
KEPT_S = 7 * 24 * 3600


@dataclass(frozen=True)
class Mask:
    """A mask of the library, without its pixels."""

    id: str
    name: str
    width: int
    height: int
    made: float
    """Seconds since 1970."""


class Masks:
    """The library below a runs folder. Several processes may use it at once."""

    def __init__(self, runs: Path) -> None:
        self.folder = runs / "masks"

    def every(self) -> list[Mask]:
        """All of them, newest first. A damaged one is left out: its folder is all that is wrong with it."""
        found = []
        for path in self.folder.glob(f"*/{FACTS}"):
            try:
                found.append(self.get(path.parent.name))
            except Problem:  # damaged, deleted since, or a stranger's folder
                continue
        return sorted(found, key=lambda one: (-one.made, one.id))

    def get(self, id: str) -> Mask:
        """The mask of that id. Raises Missing, Problem for one that is damaged."""
        folder = self._place(id)
        try:
            data = json.loads((folder / FACTS).read_bytes())
            whole = (folder / PIXELS).is_file()
            mask = Mask(id, str(data["name"]), int(data["width"]), int(data["height"]), float(data["made"]))
        except FileNotFoundError as error:
            raise _missing(id) from error
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise Problem(f"the mask {id} of the library is damaged: move its folder away") from error
        if not whole:
            raise Problem(f"the mask {mask.name} of the library has lost its {PIXELS}: delete it")
        return mask

    def pixels(self, id: str) -> np.ndarray:
        """bool HxW. Raises Missing, BadInput for a damaged file."""
        mask = self.get(id)
        return images.read_mask(self._place(id) / PIXELS, (mask.height, mask.width), name=mask.name)

    def small(self, id: str) -> bytes:
        """A PNG of at most 144 px a side. Raises Missing."""
        with files.reading(self._place(id) / SMALL, f"{id}/{SMALL}") as file:
            return file.read()

    def save(self, name: str, mask: np.ndarray) -> Mask:
        """Keeps a mask, bool HxW. Raises BadInput for an empty one, a name that cannot be shown, or a full library."""
        if not mask.any():
            raise BadInput("nothing is painted yet: paint first, then save the mask")
        if len(self.every()) >= MOST_MASKS:
            raise BadInput(f"the library holds {MOST_MASKS} masks and that is full: delete some of them")
        kept = Mask(f"mask-{secrets.token_hex(6)}", _line(name), mask.shape[1], mask.shape[0], time.time())
        with files.filling(self.folder / kept.id, name=PIXELS) as folder:
            files.write_bytes(folder / PIXELS, images.encode_png(mask))
            files.write_bytes(folder / SMALL, images.encode_png(_smaller(mask)))
            files.write_json(folder / FACTS, asdict(kept))
        return kept

    def rename(self, id: str, name: str) -> Mask:
        """Raises Missing, BadInput."""
        mask = replace(self.get(id), name=_line(name))
        files.write_json(self._place(id) / FACTS, asdict(mask))
        return mask

    def delete(self, id: str) -> None:
        """Moves a mask aside, and forgets those that have lain there for a week. Raises Missing."""
        aside = self.folder / DELETED
        self._move(self._place(id), aside / id)
        (aside / id).touch()
        for old in aside.iterdir():
            if ID.fullmatch(old.name) and time.time() - old.stat().st_mtime > KEPT_S:
                shutil.rmtree(old, ignore_errors=True)

    def restore(self, id: str) -> Mask:
        """Takes a deletion back. Raises Missing when it was not deleted, or more than a week ago."""
        self._move(self.folder / DELETED / self._place(id).name, self._place(id))
        return self.get(id)

    def _place(self, id: str) -> Path:
        if not ID.fullmatch(id):
            raise _missing(id)
        return self.folder / id

    def _move(self, here: Path, there: Path) -> None:
        if not here.is_dir():
            raise _missing(here.name)
        files.move(here, there)


def _missing(id: str) -> Missing:
    return Missing(f"there is no mask {id[:40]!r} in the library: it was deleted, or never saved")


def _line(text: Any) -> str:
    """A name on one line, in any script. Raises BadInput."""
    line = " ".join("".join(one if one.isprintable() else " " for one in str(text)).split())
    if not line:
        raise BadInput("the mask has no name: give it one, like Scratch along the edge", "name")
    if len(line) > MOST_NAME:
        raise BadInput(f"the name has {len(line)} characters; up to {MOST_NAME} are shown: shorten it", "name")
    return line


def _smaller(mask: np.ndarray) -> np.ndarray:
    """A small copy, painted wherever ANY of the pixels it stands for is: a thin scratch must not fall through."""
    factor = -(-max(mask.shape) // SMALL_PX)
    high, wide = (-(-side // factor) for side in mask.shape)
    padded = np.zeros((high * factor, wide * factor), bool)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    return padded.reshape(high, factor, wide, factor).max((1, 3))
