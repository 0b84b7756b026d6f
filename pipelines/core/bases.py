"""The bases a request can name, from presets/bases.toml. Knows names, licences and files; loads and fetches nothing."""

import tomllib
from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from pipelines.core.device import gib
from pipelines.core.errors import BadInput

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "presets" / "bases.toml"
WEIGHTS = ROOT / "models"


def _inside(file: str) -> str:
    parts = PurePosixPath(file).parts
    if not parts or file.startswith("/") or ".." in parts or "\\" in file or ":" in file:
        raise ValueError("a file stands inside its repository, such as unet/model.safetensors")
    return file


Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class State(NamedTuple):
    """Whether a base can be used now, in words, and what would make it so."""

    ready: bool
    text: str
    remedy: str | None


class Base(BaseModel):
    """One base: the family that computes with it, its licence, and the weights it needs, if any."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Text
    label: Text
    family: Text
    licence: Text
    repo: Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    revision: Annotated[str, StringConstraints(pattern=r"^[\w./-]+$")] | None = None
    files: tuple[Annotated[str, AfterValidator(_inside)], ...] = Field((), strict=False)
    size_bytes: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _all_of_it(self) -> Self:
        given = {name: bool(getattr(self, name)) for name in ("repo", "revision", "files", "size_bytes")}
        if any(given.values()) and not all(given.values()):
            lacking = ", ".join(name for name, there in given.items() if not there)
            raise ValueError(f"weights need repo, revision, files and size_bytes together; {lacking} is missing")
        return self

    @property
    def needs_weights(self) -> bool:
        return bool(self.files)

    def state(self, weights: Path = WEIGHTS) -> State:
        """Looks for every file under `weights`/<name>/; opens none."""
        if not self.needs_weights:
            return State(True, "ready, needs no weights", None)
        here = [file for file in self.files if (weights / self.name / file).is_file()]
        if len(here) == len(self.files):
            return State(True, "ready", None)
        lacking = len(self.files) - len(here)
        text = f"weights missing: {lacking} of {len(self.files)} files, {gib(self.size_bytes)} in all"
        return State(False, text, f"python -m pipelines fetch {self.name}")


def load(path: Path = TABLE) -> dict[str, Base]:
    """Every base by name. Raises BadInput naming the file, the table and the key that is wrong."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path.name} is not valid TOML: {error}") from error
    found = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise BadInput(
                f"{path.name}: {name!r} stands outside a table; write [{name}] with family and licence under it"
            )
        if "name" in table:
            raise BadInput(f"{path.name} [{name}] name: the table's own name is the name; take the key out")
        try:
            found[name] = Base.model_validate({**table, "name": name})
        except ValidationError as error:
            raise BadInput(f"{path.name} [{name}] {_sentence(error)}") from error
    return found


def _sentence(error: ValidationError) -> str:
    """The first thing wrong: key, what is wanted, what is there."""
    first = error.errors(include_url=False, include_context=False)[0]
    if not first["loc"]:
        return first["msg"].removeprefix("Value error, ")
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"has no {key}; every base has label, family and licence"
    if first["type"] == "extra_forbidden":
        return f"{key}: no such key; a base has {', '.join(name for name in Base.model_fields if name != 'name')}"
    return f"{key} = {first['input']!r}: {first['msg'].removeprefix('Value error, ')}"
