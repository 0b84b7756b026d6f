"""The control nets that steer a base, by name, and the annotators' weights. Knows names, files and states.

Those of presets/nets.toml, and a person's own: folders with a control net's config.json in the models folder. What map
an own one reads is in its name (`softedge`, `depth`, ...) or in models/nets.toml. Loads and fetches nothing.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.core import bases, published, weights
from pipelines.core.bases import Base
from pipelines.core.errors import BadInput, Missing, Problem
from pipelines.core.published import Published, State, Text

Kind = Literal["hed", "depth", "normal", "canny", "lineart", "mask"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TABLE = bases.ROOT / "presets" / "nets.toml"
OWN = "nets.toml"
NOTE = "as its author says"
# The class in a net's config.json -> the family it steers; a UNet's net says by `addition_embed_type` which.
CLASSES = {
    "ControlNetModel": "stable-diffusion",
    "ControlNetUnionModel": "sdxl",
    "SD3ControlNetModel": "sd3",
    "FluxControlNetModel": "flux",
}
ANNOTATOR = "annotator"
"""The family of what makes maps."""
# What a folder is called by those who publish nets -> the map it reads; the first that is in the name.
CALLED: dict[str, Kind] = {
    "softedge": "hed", "hed": "hed", "scribble": "hed", "canny": "canny", "depth": "depth", "normal": "normal",
    "lineart": "lineart", "seg": "mask", "mask": "mask",
}  # fmt: skip


class Net(Published):
    """One control net: what it steers, which map it reads; or the weights that make maps."""

    family: Text
    edition: str = ""
    """Which of its family it was made for, as core/weights names them; empty = any."""
    kind: Kind | None = None
    modes: Mapping[Kind, int] = Field(default_factory=dict)
    """Of a union net, which reads several: the number of each."""
    own: bool = False
    broken: str = ""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The maps it can read."""
        return tuple(self.modes) or ((self.kind,) if self.kind else ())

    def state(self) -> State:
        """Looks at the files; opens no weights."""
        if self.broken:
            return State("broken", self.broken)
        if away := [file for file in self.files if not (self.folder / file).is_file()]:
            return self.lacking(len(away))
        for path in sorted(self.folder.glob("*.safetensors")):
            if wrong := weights.fault(path):
                return State("broken", f"its file {path.name} cannot be used: {wrong}", self.again())
        return State("ready", "ready")

    def fits(self, base: Base) -> bool:
        """Whether it was made for a base. Inpainting editions are steered by what steers their plain ones."""
        if self.family != base.family:
            return False
        return not self.edition or self.edition == _plain(base.edition)


class Entry(BaseModel):
    """A table of models/nets.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Kind | None = None
    modes: Annotated[Mapping[Kind, int], Field(strict=False)] = Field(default_factory=dict)
    path: str = ""
    label: str = ""
    licence: str = NOTE


def shipped() -> dict[str, Net]:
    """Those of presets/nets.toml by name. Raises BadInput naming what is wrong."""
    return dict(_shipped(TABLE, TABLE.stat().st_mtime_ns))


@lru_cache(4)
def _shipped(path: Path, changed: int) -> Mapping[str, Net]:
    found = {}
    for name, table in tomllib.loads(path.read_text(encoding="utf-8")).items():
        try:
            found[name] = Net.model_validate({**table, "name": name})
        except ValidationError as error:
            wrong = published.first_fault(error, Net, "net", ("name", "own", "path", "broken"))
            raise BadInput(f"{path.name} [{name}] {wrong}") from error
    return found


def load() -> dict[str, Net]:
    """Every net by name: shipped, then a person's own, the broken ones with their sentence."""
    known = shipped()
    return {**known, **{one.name: one for one in _own(known)}}


def get(name: str) -> Net:
    """A net by its name, or by that of its repository. Raises BadInput."""
    known = load()
    found = known.get(name) or next((one for one in known.values() if one.repo == name), None)
    if found is None or found.family == ANNOTATOR:
        steering = sorted(one.name for one in known.values() if one.family != ANNOTATOR)
        raise BadInput(f"no control net {name!r}; there is {', '.join(steering)}", "net")
    return found


def fetchable(name: str) -> Published:
    """What has a repository under this name: a base, a net or annotators. Raises BadInput."""
    return known[name] if (known := shipped()).get(name) else bases.get(name)


def of(base: Base, kind: str) -> Net:
    """The ready net that steers a base by a kind of map, one's own first. Raises Missing, BadInput."""
    found = kinds_of(base).get(kind)
    if found is None:
        raise BadInput(
            f"no control net for {kind} fits base {base.name}: take another base, or put one made for it into the"
            " models folder",
            "conditions",
        )
    if not (state := found.state()).ready:
        raise Missing(f"{found.name} is not here, the control net for {kind} on {base.name} ({state.text})")
    return found


def kinds_of(base: Base) -> dict[str, Net]:
    """What can steer a base: the net of each kind, a ready one where there is one."""
    found: dict[str, Net] = {}
    for one in sorted(load().values(), key=lambda one: (not one.state().ready, not one.own, bool(one.modes))):
        for kind in one.kinds if one.fits(base) else ():
            found.setdefault(kind, one)
    return {kind: found[kind] for kind in KINDS if kind in found}


def _own(known: Mapping[str, Net]) -> Iterator[Net]:
    folder = weights.folder()
    listed, wrong = _entries(folder / OWN)
    if wrong:
        yield _unusable(OWN, None, wrong)
    for name, entry in listed.items():
        yield _net(name, (folder / Path(entry.path or name).expanduser()).absolute(), entry)
    try:
        lying = sorted(path for path in folder.iterdir() if (path / "config.json").is_file())
    except OSError:  # not there yet
        return
    taken = {(folder / Path(one.path or name)).absolute() for name, one in listed.items()}
    for path in lying:
        new = path.name not in known and path not in taken and not path.name.startswith(".")
        if new and _class_of(path) in CLASSES:
            yield _net(path.name, path, Entry())


def _entries(path: Path) -> tuple[dict[str, Entry], str]:
    """The tables of models/nets.toml, and a sentence where they cannot be read."""
    if not path.is_file():
        return {}, ""
    try:
        return {name: Entry.model_validate(table) for name, table in bases.read(path).items()}, ""
    except ValidationError as error:
        return {}, f"models/{OWN}: {published.first_fault(error, Entry, 'net')}"
    except (BadInput, OSError) as error:
        return {}, str(error)


def _class_of(path: Path) -> str:
    try:
        return str(weights.json_of(path / "config.json").get("_class_name", ""))
    except Problem:
        return ""


def _net(name: str, path: Path, entry: Entry) -> Net:
    """An own net as its folder says. One that cannot be used is kept with its sentence."""
    try:
        config = weights.json_of(path / "config.json")
        family, edition = _made_for(config, path.name)
    except Problem as problem:
        return _unusable(name, path, str(problem))
    kind = entry.kind or next((kind for word, kind in CALLED.items() if word in path.name.lower()), None)
    if kind is None and not entry.modes:
        return _unusable(
            name,
            path,
            f"which map {path.name} reads is not in its name: say it in models/{OWN}, as [{name}] and kind ="
            f' "depth"; there is {", ".join(KINDS)}',
        )
    here = sorted(path.glob("*.safetensors"))
    if not here:
        return _unusable(name, path, f"{path.name} has no .safetensors file: copy it whole, or convert it")
    return Net(
        name=name,
        label=entry.label or name,
        licence=entry.licence,
        family=family,
        edition=edition,
        kind=None if entry.modes else kind,
        modes=dict(entry.modes),
        path=path,
        own=True,
    )


def _made_for(config: Mapping[str, Any], name: str) -> tuple[str, str]:
    """(family, edition) of a net's configuration. Raises BadInput."""
    said = str(config.get("_class_name"))
    if said not in CLASSES:
        raise BadInput(f"config.json of {name} names {said}: a control net is one of {', '.join(CLASSES)}")
    if CLASSES[said] in ("sd3", "flux"):
        return CLASSES[said], ""  # SD3 and FLUX have one width each; the loader compares
    large = config.get("addition_embed_type") == "text_time"
    width = config.get("cross_attention_dim")
    if not isinstance(width, int):
        raise BadInput(f"config.json of {name} lacks cross_attention_dim: copy or fetch it again")
    return ("sdxl" if large else "stable-diffusion"), weights.unet_edition(large, width, 4)


def _plain(edition: str) -> str:
    return edition.removesuffix("-inpaint")


def _unusable(name: str, path: Path | None, why: str) -> Net:
    return Net.model_construct(
        name=name, label=name, licence=NOTE, family=bases.UNKNOWN, own=True, path=path, broken=why, files=(), modes={}
    )
