"""Presets: partial requests in TOML, one file a product. Knows what a request is, not what it does."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.core import requests
from pipelines.core.errors import BadInput

FOLDER = Path(__file__).parents[2] / "presets" / "defects"


@dataclass(frozen=True)
class Preset:
    """A partial request under a name such as `steel/scratches`."""

    id: str
    product: str
    label: str
    task: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class Product:
    """One preset file: a kind of part, and the defects it is known for."""

    id: str
    label: str
    presets: tuple[Preset, ...]


def _read(path: Path) -> Product:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path.name} is not valid TOML: {error}") from error
    label = tables.pop("label", path.stem)
    found = []
    for name, table in tables.items():
        where = f"{path.name} [{name}]"
        if not isinstance(table, dict):
            raise BadInput(f"{path.name}: {name!r} stands outside a table; only `label` does")
        fields = dict(table)
        title = fields.pop("label", name.replace("_", " "))
        request = requests.task(fields.pop("task", "inpaint"))
        check(request, fields, where)
        found.append(Preset(f"{path.stem}/{name}", path.stem, title, request.model_fields["task"].default, fields))
    return Product(path.stem, label, tuple(found))


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


def products(folder: Path = FOLDER) -> dict[str, Product]:
    """All products by id. Raises BadInput when a file is wrong."""
    return _load(folder)


def get(name: str, folder: Path = FOLDER) -> Preset:
    """A preset by `product/name`. Raises BadInput naming what there is."""
    known = {preset.id: preset for product in products(folder).values() for preset in product.presets}
    if name not in known:
        raise BadInput(f"no preset {name!r}; there is {', '.join(known)}", "preset")
    return known[name]


def fill(request: type[requests.Request], name: str, folder: Path = FOLDER, **fields: Any) -> requests.Request:
    """The preset's fields, then yours on top, as a request. Raises BadInput."""
    preset = get(name, folder)
    task = request.model_fields["task"].default
    if preset.task != task:
        raise BadInput(f"preset {name} is for {preset.task}, not for {task}", "preset")
    return requests.parse({**preset.fields, **fields, "task": task})
