"""The bases a request can name: those of presets/bases.toml and a person's own. Knows names, files and states.

Loads and fetches nothing. What lies in a file, core/weights tells; what own bases there are, core/own_bases.
"""

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipelines.core import published, weights
from pipelines.core.errors import BadInput, Missing, Problem
from pipelines.core.published import Published, State, Text

ROOT = Path(__file__).parents[2]
DRAWN = "procedural"
"""The family that draws by itself and has no weights."""
EXEMPLAR = "exemplar"
"""The family that draws with what real examples show, and has no weights either."""
DRAWING = (DRAWN, EXEMPLAR)
FAMILIES = (DRAWN, "stable-diffusion", "sdxl", "sd3", "flux", "flux2", EXEMPLAR)
UNKNOWN = "unknown"
"""The family of an own entry that is broken; no table may say it."""
TABLE = ROOT / "presets" / "bases.toml"

Task = Literal["text", "image", "inpaint", "edit"]
Layout = Literal["folder", "single", "unet"]

# Of a base, what no table of presets/bases.toml says.
FOUND = ("name", "own", "layout", "path", "within", "over", "config", "broken")


def _family(name: str) -> str:
    if name not in FAMILIES:
        raise ValueError(f"choose one of {', '.join(FAMILIES)}")
    return name


class Place(NamedTuple):
    """Where the parts of a ready base are."""

    folder: Path
    """In diffusers layout: configurations, tokenizers and, unless said otherwise below, the weights."""
    file: Path | None = None
    """One file with all weights."""
    denoiser_file: Path | None = None
    """A UNet or transformer alone, put over the folder's own."""
    shared: str = ""
    """The base whose folder that is, where it is another's."""


class Defaults(BaseModel):
    """What a request that leaves these empty gets."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    guidance_scale: Annotated[float, Field(ge=1)] = 7.5
    guidance_rescale: Annotated[float, Field(ge=0, le=1)] = 0.0
    num_inference_steps: Annotated[int, Field(ge=1)] = 20
    scheduler: Text = "unipc"


class Base(Published):
    """One base: the family that computes with it, its licence, and the weights it needs, if any."""

    family: Annotated[Text, AfterValidator(_family)]
    edition: str = ""
    """Which of its family, as core/weights names it: what a single file must be for this base to lend it the rest."""
    memory_bytes: Annotated[int, Field(ge=0)] = 0
    resolution: Annotated[int, Field(ge=8)] | None = None
    tasks: tuple[Task, ...] = Field((), strict=False)
    aliases: tuple[Text, ...] = Field((), strict=False)
    defaults: Defaults = Defaults()
    own: bool = False
    """Brought by a person, not shipped with the studio."""
    layout: Layout = "folder"
    over: str = ""
    """The base that a file with only a denoiser is put over; empty = the ready one of its edition."""
    config: str = ""
    """The base whose configurations and tokenizers a single file uses; empty = the ready one of its edition."""
    broken: str = ""
    """Why this entry cannot be used whatever its files say."""

    @property
    def needs_weights(self) -> bool:
        return bool(self.files) or self.path is not None

    @property
    def draws(self) -> bool:
        """Whether it draws and diffuses nothing: it reads no prompt, and the light worker has all it needs."""
        return self.family in DRAWING

    def state(self) -> State:
        """Looks at the files, and into their headers where they changed; opens no weights."""
        if self.broken:
            return State("broken", self.broken)
        if not self.needs_weights:
            return State("ready", "ready, needs no weights")
        try:
            return self._of_folder() if self.layout == "folder" else self._of_file()
        except Problem as problem:
            return State("broken", str(problem), self.again())

    def place(self) -> Place:
        """Where its parts are. Raises Missing where weights are not here, BadInput where a file of them is wrong."""
        state = self.state()
        if state.kind == "missing":
            raise Missing(
                f"{self.name} is not here yet ({state.text}): run {state.remedy or 'python -m pipelines bases'}"
            )
        if state.kind == "broken":
            raise BadInput(f"{self.name} cannot be used: {state.text}", "base")
        if self.layout == "folder":
            return Place(self.folder)
        lender = self.lender()
        if lender is None:
            raise Missing(f"{self.name} has nothing to stand on: run python -m pipelines bases")
        if self.layout == "single":
            return Place(lender.folder, file=self.folder)
        return Place(lender.folder, denoiser_file=self.folder, shared=lender.name)

    def lender(self) -> "Base | None":
        """The ready base in a folder that lends a file what it does not bring; shipped ones are asked first."""
        named = self.over or self.config
        known = load()
        asked = [known[named]] if named in known else [] if named else list(known.values())
        fits = [one for one in asked if one.layout == "folder" and one.needs_weights and not one.broken]
        fits = [one for one in fits if named or (one.family, one.edition) == (self.family, self.edition)]
        return next((one for one in fits if one.state().ready), None)

    def _of_folder(self) -> State:
        folder = self.folder
        here = [file for file in self.files if (folder / file).is_file()]
        if (folder / "model_index.json").is_file():
            whole = (bool(self.files) and len(here) == len(self.files)) or not weights.lacking(folder)
            for path in weights.files(folder):
                if wrong := weights.fault(path):
                    where = path.relative_to(folder).as_posix()
                    return State("broken", f"its file {where} cannot be used: {wrong}", self.again())
            if whole:
                return State("ready", "ready")
            if not self.files:
                return State("broken", f"incomplete: {', '.join(weights.lacking(folder))} of its folder is not there")
        if not self.files:
            return State("broken", f"{folder.name} has no model_index.json: it is no folder in diffusers layout")
        return self.lacking(len(self.files) - len(here))

    def _of_file(self) -> State:
        if wrong := weights.fault(self.folder):
            return State("broken", wrong)
        lender = self.lender()
        if lender is not None:
            if self.layout == "single":
                return State("ready", f"ready, with the configurations and tokenizers of {lender.name}")
            return State("ready", f"ready, over {lender.name}: the file brings only the denoiser")
        named = self.over or self.config
        if named and named not in load():
            return State("broken", f"it stands on {named}, and there is no such base: run python -m pipelines bases")
        wanted = named or next((one.name for one in shipped().values() if one.edition == self.edition), "")
        if not wanted:
            return State(
                "missing",
                f"no base of its kind ({self.family}, {self.edition}) is here to lend it configurations:"
                " copy such a folder into models, or name one with --over",
            )
        what = "configurations and tokenizers" if self.layout == "single" else "everything but the denoiser"
        return State(
            "missing", f"it takes {what} from {wanted}, which is not ready", f"python -m pipelines fetch {wanted}"
        )


def shipped(path: Path | None = None) -> dict[str, Base]:
    """The bases of presets/bases.toml. Raises BadInput naming the file, the table and the key that is wrong."""
    table = path or TABLE
    return dict(_shipped(table, table.stat().st_mtime_ns))


@lru_cache(8)
def _shipped(path: Path, changed: int) -> Mapping[str, Base]:
    return {name: _made(path.name, name, table) for name, table in read(path).items()}


def read(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises BadInput."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path.name} is not valid TOML: {error}") from error


def _made(file: str, name: str, table: Any) -> Base:
    """A table as a base. Raises BadInput naming the file, the table and the key that is wrong."""
    if not isinstance(table, dict):
        raise BadInput(f"{file}: {name!r} stands outside a table; write [{name}] with family and licence under it")
    if "name" in table:
        raise BadInput(f"{file} [{name}] name: the table's own name is the name; take the key out")
    try:
        return Base.model_validate({**table, "name": name})
    except ValidationError as error:
        raise BadInput(f"{file} [{name}] {published.first_fault(error, Base, 'base', FOUND)}") from error


def load(path: Path | None = None) -> dict[str, Base]:
    """Every base by name: shipped, then a person's own. Raises BadInput where the shipped table is wrong."""
    from pipelines.core import own_bases

    known = shipped(path)
    return {**known, **own_bases.found(known)}


def get(name: str) -> Base:
    """A base by its name, or by the name its repository has or had. Raises BadInput."""
    known = shipped()
    for base in known.values():
        if name in (base.name, base.repo, *base.aliases):
            return base
    known = load()
    if name in known:
        if known[name].broken:
            raise BadInput(f"base {name} cannot be used: {known[name].broken}", "base")
        return known[name]
    if name.endswith(".safetensors") or name.startswith((".", "/", "~")) or "\\" in name or Path(name).exists():
        raise BadInput(f"base {name!r} is a path: add it once with `python -m pipelines bases add {name}`", "base")
    raise BadInput(f"no base {name!r}; there is {', '.join(sorted(known))}", "base")
