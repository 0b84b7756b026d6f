"""One picture by itself: a request answered in memory, its files laid out but not written. Knows no queue.

Whoever makes many pictures, one process or a cluster of them, asks for each here and decides what becomes of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipelines.core import images
from pipelines.core.assets import Assets
from pipelines.core.models import Models
from pipelines.core.requests import Control, Inpaint, Request, Text
from pipelines.core.runs import Laid, Painted, Run, laid, laid_whole, name

Heard = Callable[[str], None]
"""Is told how far a long picture is; may raise to end it."""


@dataclass(frozen=True)
class Made:
    """A finished picture."""

    laid: Laid
    picture: np.ndarray
    """HxW or HxWx3, uint8 or uint16."""
    defect: np.ndarray | None
    """bool HxW: what changed; None where the picture was made whole."""

    def told(self, **more: Any) -> Laid:
        """Its files, and its row with more in it."""
        return Laid(self.laid.files, {**self.laid.row, **more})


def make(request: Request, stem: str, assets: Assets, models: Models, heard: Heard = lambda note: None) -> Made:
    """The one picture that a request asks for, under that stem. Raises what its task raises."""
    item = _Item(request, stem, assets, heard)
    _answer(request, item, models)
    done = item.made
    assert done is not None
    return replace(done, laid=Laid({**item.beside, **done.laid.files}, done.laid.row))


def _answer(request: Request, run: Run, models: Models) -> None:
    if isinstance(request, Inpaint):
        from pipelines.generate import inpaint

        inpaint.run(request, run, models)
    elif isinstance(request, Control):
        from pipelines.generate import control

        control.run(request, run, models)
    elif isinstance(request, Text):
        from pipelines.generate import text

        text.run(request, run, models)
    else:
        raise TypeError(f"{request.task} makes no pictures one by one")


class _Item(Run):
    """A run of one picture that keeps what it is given instead of writing it."""

    def __init__(self, request: Request, stem: str, assets: Assets, heard: Heard) -> None:
        self.id, self.request, self.assets = "", request, assets
        self.folder = assets.runs
        self.made: Made | None = None
        self.beside: dict[str, bytes] = {}
        self._stem, self._heard = stem, heard
        self._finished: set[int] = set()

    def begin(self, index: int) -> None: ...

    def give_way(self) -> None: ...

    def tick(self, done: int, total: int, note: str = "", preview: Any = None, *, force: bool = False) -> None:
        self._heard(note)

    def log(self, **fields: Any) -> None: ...

    def save(self, index: int, painted: Painted) -> dict[str, Any]:
        return self._kept(Made(laid(self._stem, painted), painted.picture, painted.changed))

    def save_whole(
        self, index: int, picture: np.ndarray, request: Mapping[str, Any], row: Mapping[str, Any]
    ) -> dict[str, Any]:
        return self._kept(Made(laid_whole(self._stem, picture, request, row), picture, None))

    def _kept(self, made: Made) -> dict[str, Any]:
        self.made = made
        return made.laid.row

    def keep_picture(self, file: str, pixels: np.ndarray) -> str:
        """The task names it by the picture's number, which is 0 here."""
        file = file.replace(name(0, 1), self._stem, 1)
        self.beside[file] = images.encode_png(pixels)
        return file

    def rows(self) -> list[dict[str, Any]]:
        return [self.made.laid.row] if self.made is not None else []

    def write_manifest(self) -> None: ...

    def finish(self, result: Mapping[str, Any]) -> None: ...
