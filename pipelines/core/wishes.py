"""What a person wishes of a training while it runs: to be saved now, to pause. Knows a run's folder, nothing else.

A wish is an empty file in the run's folder: who computes looks for it between two steps. It outlives both processes.
"""

from pathlib import Path
from typing import Literal, get_args

from pipelines.core import files
from pipelines.core.errors import BadInput

Wish = Literal["save", "pause"]
WISHES: tuple[Wish, ...] = get_args(Wish)


def make(folder: Path, wish: Wish) -> None:
    """Wish it of the run in `folder`; twice is once. Raises BadInput where no run works there, Problem."""
    if not folder.is_dir():
        raise BadInput(f"run {folder.name} has not begun: there is nothing to {wish} yet")
    files.write_bytes(_place(folder, wish), b"")


def made(folder: Path, wish: Wish) -> bool:
    return _place(folder, wish).exists()


def drop(folder: Path, wish: Wish) -> None:
    """It is granted, or taken back."""
    _place(folder, wish).unlink(missing_ok=True)


def _place(folder: Path, wish: Wish) -> Path:
    return folder / f"wish-{wish}"
