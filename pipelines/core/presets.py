"""Presets: partial requests in TOML, one file a product. Knows what a request is, not what it does.

Those that come with the studio stand in presets/defects; a person's own stand in `presets/` of the runs folder, on top
of them. Own files are written here and may be edited by hand: comments and order stay, and a file that is broken is one
sentence in `problems` while all others go on working.

What only a diffusion base reads stands apart, in a preset's table `diffusion`: a drawn picture says nothing of it.
"""

import re
import threading
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.core import bases, files, kinds, nets, requests, tables
from pipelines.core.errors import BadInput, Missing
from pipelines.core.requests.control import MOST_SCALE
from pipelines.core.requests.diffusion import DIFFUSION

FOLDER = Path(__file__).parents[2] / "presets" / "defects"
ASIDE = "request"  # a table for the one field of a request, `label`, whose name means the preset's own name here
OF_FILE = ("label", "oriented", "diffusion")
"""Names in a product's file that are its own and no preset's."""
DIFFUSED = DIFFUSION | {"strength", "num_candidates", "select", "attention_maps"}
"""What may stand in `diffusion`. `strength` is every base's, but to one that draws it means something else."""
TAUGHT = ("flux", "flux2")
"""Families taught to follow the words by themselves: guidance of the others is not on their scale."""
GUIDED = ("guidance_scale", "guidance_rescale", "negative_prompt")
"""What a preset does not say to those: they would refuse it, or take it for something else."""
MOST_LABEL = 60
MOST_NAME = 40
_WRITING = threading.Lock()  # read, change, write: two windows may save at once


@dataclass(frozen=True)
class Preset:
    """A partial request under a name such as `steel/scratches`."""

    id: str
    product: str
    label: str
    task: str
    fields: dict[str, Any]
    own: bool = False
    """Made by a person of this house; such a one can be renamed and deleted."""
    diffusion: dict[str, Any] = field(default_factory=dict)
    """What it says besides to a base that diffuses."""
    shape: str = ""
    """The brush its mask is best painted with, a name of core/shapes; that of its kind unless it says otherwise."""
    control: dict[str, float] = field(default_factory=dict)
    """How strongly each kind of ControlNet holds it, 0 to 2."""

    def said(self, base: Any = None) -> dict[str, Any]:
        """What it asks of a request to `base`; None = the base it names, else the task's usual one. Raises BadInput."""
        usual = requests.task(self.task).model_fields.get("base")
        asked = base or self.fields.get("base") or (usual and usual.default)
        named = bases.get(asked) if isinstance(asked, str) else None
        if named is not None and named.draws:
            return dict(self.fields)
        unsaid = GUIDED if named is not None and named.family in TAUGHT else ()
        return {**self.fields, **{name: value for name, value in self.diffusion.items() if name not in unsaid}}

    def asks(self, task: str, base: Any = None) -> dict[str, Any]:
        """What it asks of a request of this task. One that paints also steers, by the maps of its `control`.

        Raises BadInput where it is for another task.
        """
        if task == self.task:
            return self.said(base)
        if (task, self.task) != ("control", "inpaint"):
            raise BadInput(f"preset {self.id} is for {self.task}, not for {task}", "preset")
        maps = [{"kind": kind, "scale": weight} for kind, weight in self.control.items()]
        usual = requests.task(task).model_fields["base"].default
        return {**self.said(base or usual), **({"conditions": maps} if maps else {})}


@dataclass(frozen=True)
class Product:
    """A kind of part, and the defects it is known for."""

    id: str
    label: str
    presets: tuple[Preset, ...]
    own: bool = False
    oriented: bool = False
    """Whether its pictures all lie the same way, so that none may be flipped or turned."""
    diffusion: dict[str, Any] = field(default_factory=dict)
    """What lies under the `diffusion` of each of its presets."""


def own_folder(runs: Path) -> Path:
    """Where a person's own presets stand: beside their data."""
    return runs / "presets"


def _read(path: Path, own: bool = False) -> Product:
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path.name} is not valid TOML: {error}") from error
    label, oriented = entries.pop("label", path.stem), entries.pop("oriented", False)
    if not isinstance(oriented, bool):
        raise BadInput(f"{path.name}: oriented = {oriented!r} should be true or false", "oriented")
    shared = _only_diffusion(entries.pop("diffusion", {}), path.name)
    found = []
    for name, table in entries.items():
        where = f"{path.name} [{name}]"
        if not isinstance(table, dict):
            raise BadInput(f"{path.name}: {name!r} stands outside a table; only {', '.join(OF_FILE)} do")
        fields = dict(table)
        title = fields.pop("label", name.replace("_", " "))
        task = requests.task(fields.pop("task", "inpaint")).model_fields["task"].default
        diffusion = {**shared, **_only_diffusion(fields.pop("diffusion", {}), where)}
        shape, control = fields.pop("shape", ""), fields.pop("control", {})
        aside = fields.pop(ASIDE, {})
        if not isinstance(aside, dict):
            raise BadInput(f'{where}: {ASIDE} = {aside!r} should be a table such as {{ label = "asked" }}', ASIDE)
        fields |= aside
        preset = Preset(f"{path.stem}/{name}", path.stem, str(title), task, fields, own, diffusion, shape, control)
        found.append(_settled(preset, where))
    return Product(path.stem, str(label), tuple(found), own, oriented, shared)


def _settled(preset: Preset, where: str) -> Preset:
    """The preset with a shape, when all of it holds. Raises BadInput naming file, table and field."""
    from pipelines.core import shapes  # here: it brings OpenCV, and not every command reads a preset

    check(requests.task(preset.task), {**preset.fields, **_only_diffusion(preset.diffusion, where)}, where)
    defect = preset.fields.get("defect")
    shape: Any = preset.shape or (kinds.get(defect).shape if defect else "")
    control: Any = preset.control
    if shape and (not isinstance(shape, str) or shape not in shapes.SHAPES):
        raise BadInput(f"{where}: no shape {shape!r}; choose one of {', '.join(shapes.SHAPES)}", "shape")
    if not isinstance(control, dict):
        raise BadInput(f"{where}: control = {control!r} should be a table such as hed = 0.6", "control")
    for kind, weight in control.items():
        if kind not in nets.KINDS:
            raise BadInput(f"{where}: control has no kind {kind!r}; there is {', '.join(nets.KINDS)}", "control")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= MOST_SCALE:
            raise BadInput(
                f"{where}: control.{kind} = {weight!r} should be a number from 0 to {MOST_SCALE:g}", "control"
            )
    return replace(preset, shape=shape)


def _only_diffusion(given: Any, where: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise BadInput(f"{where}: diffusion = {given!r} should be a table of fields such as prompt", "diffusion")
    for key in given:
        if key not in DIFFUSED:
            raise BadInput(f"{where}: diffusion takes no field {key!r}; it takes {', '.join(sorted(DIFFUSED))}", key)
    return given


def check(request: type[requests.Request], fields: Mapping[str, Any], where: str) -> None:
    """Every field of a partial request exists and holds what it may. Raises BadInput naming file, table and field."""
    for key in fields:
        if key not in request.model_fields:
            raise BadInput(f"{where}: no field {key!r}; there is {', '.join(request.model_fields)}", key)
    try:
        requests.parse({**request.skeleton, **fields, "task": request.model_fields["task"].default})
    except BadInput as error:
        raise BadInput(f"{where}: {error}", error.field) from error


@cache
def _load(folder: Path) -> dict[str, Product]:
    return {path.stem: _read(path) for path in sorted(folder.glob("*.toml"))}


def _own(folder: Path) -> tuple[dict[str, Product], list[str]]:
    """What stands in a person's folder, read anew each time, and a sentence for each file that is broken."""
    found, broken = {}, []
    for path in sorted(folder.glob("*.toml")):
        try:
            found[path.stem] = _read(path, own=True)
        except BadInput as error:
            broken.append(str(BadInput(f"your preset file {error}")))
        except OSError as error:
            broken.append(str(BadInput(f"your preset file {path.name} cannot be read: {error.strerror}")))
    return found, broken


def products(folder: Path = FOLDER, own: Path | None = None) -> dict[str, Product]:
    """All products by id, a person's presets from `own` among them. Raises BadInput when a shipped file is wrong."""
    shipped = _load(folder)
    mine = {} if own is None else {id: one for id, one in _own(own)[0].items() if one.presets}
    return {id: _laid_over(shipped.get(id), mine.get(id)) for id in [*shipped, *(set(mine) - set(shipped))]}


def _laid_over(shipped: Product | None, mine: Product | None) -> Product:
    if shipped is None or mine is None:
        found = shipped or mine
        assert found is not None
        return found
    names = {preset.id for preset in mine.presets}
    kept = tuple(preset for preset in shipped.presets if preset.id not in names)
    return replace(shipped, presets=(*kept, *mine.presets))


def problems(own: Path) -> list[str]:
    """One sentence for each of a person's files that cannot be used."""
    return _own(own)[1]


def get(name: str, folder: Path = FOLDER, own: Path | None = None) -> Preset:
    """A preset by `product/name`. Raises BadInput naming what there is, and which own files are broken."""
    known = {preset.id: preset for product in products(folder, own).values() for preset in product.presets}
    if name not in known:
        broken = "".join(f"; {one}" for one in (problems(own) if own else ()))
        raise BadInput(f"no preset {name!r}; there is {', '.join(known)}{broken}", "preset")
    return known[name]


def fill(
    request: type[requests.Request], name: str, folder: Path = FOLDER, own: Path | None = None, **fields: Any
) -> requests.Request:
    """The preset's fields for your base, then yours on top, as a request. Raises BadInput."""
    task = request.model_fields["task"].default
    return requests.parse({**get(name, folder, own).asks(task, fields.get("base")), **fields, "task": task})


def save(
    own: Path,
    product: str,
    label: str,
    fields: Mapping[str, Any],
    diffusion: dict[str, Any] | None = None,
    control: dict[str, float] | None = None,
) -> Preset:
    """Keep a partial Inpaint request among a person's own; `product` is the id of one there is, or a new one's label.

    Raises BadInput for a label without a letter or fields that do not hold, Problem when it cannot be written.
    """
    label = _label(label)
    besides: dict[str, Any] = {"diffusion": diffusion or {}, "control": control or {}}
    kept = _settled(Preset("", "", label, "inpaint", dict(fields), True, **besides), label)
    with _WRITING:
        known = products(own=own)
        id = product if product in known else named(_label(product))
        title = known[id].label if id in known else _label(product)
        taken = {preset.id for preset in known[id].presets} if id in known else set()
        name = _free(named(label), lambda name: name in OF_FILE or f"{id}/{name}" in taken)
        preset = replace(kept, id=f"{id}/{name}", product=id)
        _put(own, preset, title)
    return preset


def rename(own: Path, id: str, label: str) -> Preset:
    """Call one's own preset something else; its id stays. Raises BadInput, Missing."""
    with _WRITING:
        preset = replace(_mine(own, id), label=_label(label))
        _put(own, preset, "")
    return preset


def delete(own: Path, id: str) -> Preset:
    """Take one's own preset away; what comes back is what `restore` takes. Raises Missing."""
    with _WRITING:
        preset = _mine(own, id)
        tables.remove(_path(own, preset.product), id.partition("/")[2])
    return preset


def restore(own: Path, preset: Preset, product: str) -> Preset:
    """Put back what was deleted, under the id it had; `product` is the label of its product. Raises BadInput."""
    plain = named(preset.product) and preset.product == files.plain_name(preset.product)
    if not plain or preset.id.count("/") != 1 or preset.id.partition("/")[2] in OF_FILE:
        raise BadInput(f"{preset.id[:80]!r} is no preset's name: it should be like steel/scratches", "preset")
    preset = _settled(preset, preset.label)
    with _WRITING:
        known = products(own=own)
        there = known[preset.product].presets if preset.product in known else ()
        if any(one.id == preset.id for one in there):
            raise BadInput(f"there is a preset {preset.id} already: give this one another name", "preset")
        _put(own, preset, known[preset.product].label if preset.product in known else product)
    return preset


def named(label: str) -> str:
    """A label as a name for files and ids: letters and digits of any script, `_` for what is between."""
    plain = unicodedata.normalize("NFC", label).casefold()
    return re.sub(r"[^\w-]+", "_", plain).strip("_-")[:MOST_NAME].strip("_-")


def _label(text: str) -> str:
    label = " ".join(unicodedata.normalize("NFC", text).split())
    if not named(label) or not label.isprintable():
        raise BadInput(f"the name {label[:MOST_LABEL]!r} has no letter: call it something like Fine scratch", "label")
    if len(label) > MOST_LABEL:
        raise BadInput(f"the name has {len(label)} letters: use up to {MOST_LABEL}", "label")
    return label


def _free(name: str, taken: Any) -> str:
    number, free = 2, name
    while taken(free):
        free, number = f"{name}_{number}", number + 1
    return free


def _mine(own: Path, id: str) -> Preset:
    found, broken = _own(own)
    for product in found.values():
        for preset in product.presets:
            if preset.id == id:
                return preset
    raise Missing("; ".join([f"you have no preset {id[:80]!r}: only your own can be changed", *broken]))


def _path(own: Path, product: str) -> Path:
    return files.inside(own, f"{product}.toml")


def _put(own: Path, preset: Preset, product: str) -> None:
    """Writes a preset into its product's file, in its old place or at the end."""
    with files.explained(own):
        own.mkdir(parents=True, exist_ok=True)
    table: dict[str, Any] = {"label": preset.label}
    if preset.task != "inpaint":
        table["task"] = preset.task
    table |= {key: value for key, value in preset.fields.items() if key != "label"}
    if "label" in preset.fields:
        table[ASIDE] = {"label": preset.fields["label"]}
    if preset.shape and preset.shape != kinds.get(preset.fields["defect"]).shape:
        table["shape"] = preset.shape
    if preset.control:
        table["control"] = preset.control
    there = _own(own)[0].get(preset.product)
    shared = there.diffusion if there else {}
    if apart := {key: value for key, value in preset.diffusion.items() if key not in shared or shared[key] != value}:
        table["diffusion"] = apart
    tables.put(_path(own, preset.product), preset.id.partition("/")[2], table, product)
