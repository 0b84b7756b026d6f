"""A person's own bases: folders and single files in the models folder, and what its bases.toml adds. Loads nothing.

One that is wrong is listed with its sentence and keeps no other from being used; none takes a shipped one's name.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.core import bases, tables, weights
from pipelines.core.bases import Base, Defaults, Layout, Task
from pipelines.core.errors import BadInput, Missing, Problem

FILE = "bases.toml"
NOTE = "as its author says"
# By the denoiser: what a base can be asked for, the side it was made for, and what it is usually asked with.
USUAL: dict[str, tuple[tuple[Task, ...], int, Defaults]] = {
    "stable-diffusion": (("text", "image", "inpaint"), 512, Defaults()),
    "sdxl": (("text", "image", "inpaint"), 1024, Defaults(guidance_scale=5.0)),
    "sd3": (
        ("text", "image", "inpaint"),
        1024,
        Defaults(guidance_scale=7.0, num_inference_steps=28, scheduler="flow-euler"),
    ),
    "flux": (
        ("text", "image", "inpaint"),
        1024,
        Defaults(guidance_scale=3.5, num_inference_steps=28, scheduler="flow-euler"),
    ),
    "flux2": (("text", "edit"), 1024, Defaults(guidance_scale=4.0, num_inference_steps=28, scheduler="flow-euler")),
}


class Entry(BaseModel):
    """A table of models/bases.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    path: str
    label: str = ""
    licence: str = NOTE
    over: str = ""
    config: str = ""
    resolution: int | None = None
    defaults: dict[str, float | int | str] | None = None


def found(shipped: Mapping[str, Base]) -> dict[str, Base]:
    """Every own base by name, the broken ones with their sentence."""
    folder = weights.folder()
    listed = {base.name: base for base in _listed(folder, shipped)}
    paths = {base.path for base in listed.values()}
    return {**listed, **{base.name: base for base in _lying(folder, shipped, listed) if base.path not in paths}}


def add(path: Path, shipped: Mapping[str, Base], name: str = "", over: str = "") -> Base:
    """Lists a folder or file by name in models/bases.toml; nothing is copied. Raises BadInput, Missing, Problem."""
    place = path.expanduser().absolute()
    if not place.exists():
        raise Missing(f"there is no {place}: name a folder in diffusers layout, or a .safetensors file")
    name = name or place.name.removesuffix(".safetensors")
    if name in shipped:
        raise BadInput(f"{name} is the name of a base that ships with the studio: choose another with --name", "name")
    if over and bases.get(over).layout != "folder":
        raise BadInput(f"over {over}: only a base in a folder can lend its parts", "over")
    entry: dict[str, Any] = {"path": str(place)}
    if over:
        content = None if place.is_dir() else weights.single(place)
        entry["config" if content and content.whole else "over"] = bases.get(over).name
    base = _base(name, Entry(**entry), weights.folder(), shipped)
    if base.broken:
        raise BadInput(base.broken, "path")
    weights.folder().mkdir(parents=True, exist_ok=True)
    tables.put(weights.folder() / FILE, name, entry, "Own bases")
    return base


def forget(name: str) -> None:
    """Takes an own base out of models/bases.toml; its files stay where they are. Raises BadInput."""
    path = weights.folder() / FILE
    known = bases.read(path) if path.is_file() else {}
    if not isinstance(known.get(name), dict):
        here = ", ".join(one for one, table in known.items() if isinstance(table, dict)) or "none"
        raise BadInput(f"models/{FILE} lists no base {name!r} (there is {here}); what lies in models is moved by hand")
    tables.remove(path, name)


def _listed(folder: Path, shipped: Mapping[str, Base]) -> Iterator[Base]:
    """What models/bases.toml names."""
    path = folder / FILE
    if not path.is_file():
        return
    try:
        known = bases.read(path)
    except (BadInput, OSError) as error:
        yield _unusable(f"models/{FILE}", None, str(error))
        return
    for name, table in known.items():
        if name == "label":
            continue
        if name in shipped:
            yield _unusable(
                f"{FILE} [{name}]", None, f"[{name}] has the name of a base that ships with the studio: rename it"
            )
            continue
        try:
            yield _base(name, Entry.model_validate(table), folder, shipped)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"])) or "the table"
            yield _unusable(name, None, f'models/{FILE} [{name}] {where}: {first["msg"]}; it needs path = "..."')


def _lying(folder: Path, shipped: Mapping[str, Base], listed: Mapping[str, Base]) -> Iterator[Base]:
    """What lies in the models folder itself: folders in diffusers layout, single files."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:  # not there yet
        return
    for path in entries:
        is_base = path.suffix == ".safetensors" if path.is_file() else (path / "model_index.json").is_file()
        if not is_base or path.name in shipped or path.name.startswith("."):
            continue
        stem = path.name.removesuffix(".safetensors")
        name = path.name if stem in shipped or stem in listed else stem
        yield _base(name, Entry(path=path.name), folder, shipped)


def _base(name: str, entry: Entry, folder: Path, shipped: Mapping[str, Base]) -> Base:
    path = (folder / Path(entry.path).expanduser()).absolute()
    try:
        if path.is_dir():
            content, layout = weights.in_folder(path), "folder"
        elif path.suffix == ".safetensors":
            content, layout = _content(path, entry, shipped)
        elif not path.exists():
            raise Missing(f"{path.name} is not where models/bases.toml names it: was it moved?")
        elif path.suffix in weights.PICKLES:
            raise BadInput(f"{path.name} is a pickle, which could run code: save it as .safetensors and add that")
        else:
            raise BadInput(f"{path.name} is neither a folder in diffusers layout nor a .safetensors file")
        return _made(name, entry, path, content, layout, shipped)
    except (Problem, ValidationError) as error:
        return _unusable(
            name, path, str(error) if isinstance(error, Problem) else f"defaults: {error.errors()[0]['msg']}"
        )


def _content(path: Path, entry: Entry, shipped: Mapping[str, Base]) -> tuple[weights.Content, Layout]:
    """What a single file is. With `over` or `config` a person has said on what it stands: the family is that one's."""
    content = weights.single(path)
    named = shipped.get(entry.over or entry.config)
    if named is not None and named.family != content.family:
        raise BadInput(f"{path.name} is a file of the family {content.family}, and {named.name} is of {named.family}")
    whole = content.whole and not entry.over
    return content, "single" if whole else "unet"


def _made(
    name: str, entry: Entry, path: Path, content: weights.Content, layout: str, shipped: Mapping[str, Base]
) -> Base:
    like = shipped.get(entry.over or entry.config) or next(
        (one for one in shipped.values() if one.edition and one.edition == content.edition), None
    )
    tasks, side, defaults = USUAL[content.family]
    if content.edition.endswith(("-inpaint", "-fill")):
        tasks = ("inpaint",)
    kept = weights.weight_files(path) if layout == "folder" else [path]
    return Base(
        name=name,
        label=entry.label or name,
        family=content.family,
        licence=entry.licence,
        edition=content.edition,
        size_bytes=sum(file.stat().st_size for file in kept),
        memory_bytes=like.memory_bytes if like and layout == "unet" else 2 * sum(map(_elements, kept)),
        resolution=entry.resolution or content.side_px or (like.resolution if like else side),
        tasks=like.tasks if like else tasks,
        defaults=Defaults(**{**(like.defaults if like else defaults).model_dump(), **(entry.defaults or {})}),
        own=True,
        layout="folder" if layout == "folder" else "single" if layout == "single" else "unet",
        path=path,
        over=entry.over,
        config=entry.config,
    )


def _elements(path: Path) -> int:
    """None of a damaged file counts: its state says what is wrong with it."""
    try:
        return weights.elements(path)
    except Problem:
        return 0


def _unusable(name: str, path: Path | None, why: str) -> Base:
    """An entry that can only say what is wrong with it."""
    return Base.model_construct(
        name=name, label=name, family=bases.UNKNOWN, licence=NOTE, own=True, path=path, broken=why
    )
