"""What people set for this studio and a restart must not forget: settings.json in the runs folder, written whole.

Knows the file and its keys; nothing of who acts on them. A key that this version does not know stays as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.core import files
from pipelines.core.errors import BadInput

FILE = "settings.json"
LOCK = ".settings.lock"


class Settings(BaseModel):
    """Every setting, with what holds where nobody has set it."""

    model_config = ConfigDict(extra="allow", validate_assignment=True)

    budgets: dict[str, Annotated[int, Field(gt=0, strict=True)]] = Field(default_factory=dict)
    """Bytes that models may hold, by device (`cpu`, `cuda:0`); the rule of `models.budget` where none is named."""


def read(runs: Path) -> Settings:
    """The settings of a runs folder. Raises BadInput for a file that is not as it should be, Problem for one unread."""
    path = runs / FILE
    if not path.exists():
        return Settings()
    with files.reading(path, FILE) as file:
        data = file.read()
    try:
        return Settings.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise BadInput(
            f"{FILE} in {runs} is not as it should be ({place}: {first['msg']}): mend that, or delete the file"
        ) from error


@contextmanager
def changing(runs: Path) -> Iterator[Settings]:
    """The settings, to change in the block and then on the disk; who else changes them waits. Raises as `read` does."""
    with files.locked(runs / LOCK):
        settings = read(runs)
        yield settings
        files.write_json(runs / FILE, settings.model_dump(mode="json"))
