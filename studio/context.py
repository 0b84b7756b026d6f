"""What every route and every tab works with. Knows where things are, not what is done with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.core.assets import Assets
from pipelines.core.folders import Folders
from pipelines.core.projects import Projects
from pipelines.core.queue import Queue


@dataclass(frozen=True)
class Context:
    """The runs folder and its stores. May be used from any thread: the queue gives each its own connection."""

    runs: Path
    queue: Queue
    assets: Assets
    projects: Projects
    folders: Folders
    """Those of this machine that may be looked into."""

    @classmethod
    def open(cls, runs: Path, data: Sequence[Path] = ()) -> "Context":
        """Opens the stores, making the folder where it is missing. `data` are the folders that may be looked into.

        Raises BadInput for one of those that is not there, Problem when the runs folder cannot be written.
        """
        runs, folders = runs.resolve(), Folders(data)
        return cls(runs, Queue(runs), Assets(runs), Projects(runs), folders)
