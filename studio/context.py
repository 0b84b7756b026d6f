"""What every route and every tab works with. Knows where things are, not what is done with them."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.core.assets import Assets
from pipelines.core.queue import Queue


@dataclass(frozen=True)
class Context:
    """The runs folder and its two stores. May be used from any thread: the queue gives each its own connection."""

    runs: Path
    queue: Queue
    assets: Assets

    @classmethod
    def open(cls, runs: Path) -> "Context":
        """Opens the stores, making the folder where it is missing. Raises Problem when it cannot be written."""
        runs = runs.resolve()
        return cls(runs, Queue(runs), Assets(runs))
