"""What weights of any kind have in common that go by a name: licence, repository, files, and whether they are here.

Knows tables and files; not what the weights are for.
"""

from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from pipelines.core import weights
from pipelines.core.device import gib

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class State(NamedTuple):
    """Whether weights can be used now, in words, and the command that would make it so."""

    kind: Literal["ready", "missing", "broken"]
    text: str
    remedy: str | None = None

    @property
    def ready(self) -> bool:
        return self.kind == "ready"


def _inside(file: str) -> str:
    parts = PurePosixPath(file).parts
    if not parts or file.startswith("/") or ".." in parts or "\\" in file or ":" in file:
        raise ValueError("a file stands inside its repository, such as unet/model.safetensors")
    return file


class Published(BaseModel):
    """Weights under a name, their licence, and where they come from."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Text
    label: Text
    licence: Text
    repo: Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    revision: Annotated[str, StringConstraints(pattern=r"^[\w./-]+$")] | None = None
    files: tuple[Annotated[str, AfterValidator(_inside)], ...] = Field((), strict=False)
    size_bytes: Annotated[int, Field(ge=0)] = 0
    gated: bool = False
    path: Path | None = None
    """Where its files are, where that is not the models folder."""
    within: str = ""
    """Where in the models folder they are, where that is not its name."""

    @model_validator(mode="after")
    def _all_of_it(self) -> Self:
        given = {name: bool(getattr(self, name)) for name in ("repo", "revision", "files", "size_bytes")}
        if any(given[name] for name in ("repo", "revision", "files")) and not all(given.values()):
            lacking = ", ".join(name for name, there in given.items() if not there)
            raise ValueError(f"weights need repo, revision, files and size_bytes together; {lacking} is missing")
        return self

    @property
    def folder(self) -> Path:
        """Where its files lie, or would."""
        return self.path or weights.folder() / (self.within or self.name)

    def again(self) -> str | None:
        """The command that fetches it."""
        return f"python -m pipelines fetch {self.name}" if self.repo else None

    def lacking(self, count: int) -> State:
        """Its state while `count` of its files are not here."""
        return State(
            "missing",
            f"weights missing: {count} of {len(self.files)} files, {gib(self.size_bytes)} in all"
            f" from {self.repo}; without a network, copy its folder to models/{self.folder.name} by hand",
            self.again(),
        )


def first_fault(error: ValidationError, model: type[BaseModel], what: str, hidden: tuple[str, ...] = ()) -> str:
    """The first thing wrong with a table: key, what is wanted, what is there. `what` is what it calls such a thing."""
    first = error.errors(include_url=False, include_context=False)[0]
    if not first["loc"]:
        return first["msg"].removeprefix("Value error, ")
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"has no {key}; every {what} has label, family and licence"
    if first["type"] == "extra_forbidden":
        keys = ", ".join(name for name in model.model_fields if name not in hidden)
        return f"{key}: no such key; a {what} has {keys}"
    return f"{key} = {first['input']!r}: {first['msg'].removeprefix('Value error, ')}"
