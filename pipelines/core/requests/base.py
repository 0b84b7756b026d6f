"""What every request is: frozen data that can be printed, mailed, saved and replayed. Knows no task."""

import inspect
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from pipelines.core import ids

FileKind = Literal["image", "mask", "adapter", "dual"]
Lane = Literal["cpu", "device"]

BACKGROUND, NORMAL, INTERACTIVE = -10, 0, 10
INTERACTIVE_IMAGES, NORMAL_IMAGES = 8, 1000
"""Up to how many pictures somebody waits for, and up to how many they are no work for the night."""


def by_length(count: int) -> int:
    """The priority of a run that makes so many pictures: short ones go first."""
    if count <= INTERACTIVE_IMAGES:
        return INTERACTIVE
    return NORMAL if count <= NORMAL_IMAGES else BACKGROUND


def one_or_many(value: Any) -> Any:
    """A single text where several may stand."""
    return (value,) if isinstance(value, str) else value


def _named_by_hash(value: Any) -> Any:
    """A picture's metadata names its inputs by hash and file name; that pair is exactly what an asset id is made of."""
    if isinstance(value, dict) and set(value) == {"name", "sha256"}:
        return ids.asset(str(value["sha256"]), str(value["name"]))
    return value


File = Annotated[str, BeforeValidator(_named_by_hash)]
"""Names a file: a path on the CLI, an asset id over HTTP and in a run. Its field says IMAGE or MASK beside it."""
IMAGE: dict[str, Any] = {"file": "image"}
MASK: dict[str, Any] = {"file": "mask"}
ADAPTER: dict[str, Any] = {"file": "adapter"}
DUAL: dict[str, Any] = {"file": "dual"}


class Part(BaseModel):
    """A piece of a request."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, str_strip_whitespace=True)


class Request(Part):
    """Everything asked is one of these. The bounds, the default and the help of a field stand in the field, once."""

    title: ClassVar[str] = ""
    skeleton: ClassVar[dict[str, Any]] = {}
    """What a preset leaves open, filled with something valid, so that a partial request can be checked by itself."""
    task: str

    @classmethod
    def origin(cls, field: str) -> str:
        """Under what a field's help stands in other languages: the task, or the class that several tasks share."""
        owner = next(one for one in cls.__mro__ if field in inspect.get_annotations(one))
        own = inspect.get_annotations(owner).get("task") not in (None, str)
        return str(cls.model_fields["task"].default) if own else owner.__name__.lower()

    def lane(self) -> Lane:
        """Which kind of worker it needs: `cpu` is the light one that never loads weights."""
        return "cpu"

    def priority(self) -> int:
        """Higher goes first, also between two items of a longer run."""
        return NORMAL

    def length(self) -> int:
        """How many items the run has; each is committed, and taken up again, by itself."""
        return 1
