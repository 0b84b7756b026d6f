"""What a training may be told by one word: recipes, and three presets each. Read from presets/training.toml.

A preset is a partial request. Knows requests; not how anything is learned, nor what a recipe is called on the page.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.core import presets, requests
from pipelines.core.errors import BadInput

TABLE = Path(__file__).parents[2] / "presets" / "training.toml"
PRESETS = ("fast", "balanced", "published")
FIRST = "balanced"


@dataclass(frozen=True)
class Recipe:
    """One way to train: the task, and what each preset sets of its request."""

    id: str
    task: str
    presets: Mapping[str, Mapping[str, Any]]

    @property
    def stage(self) -> int | None:
        """Of a training in two stages, which one this is."""
        found = self.presets[FIRST].get("stage")
        return int(found) if found is not None else None

    @property
    def wants_defect(self) -> bool:
        return self.stage != 1


@cache
def load(path: Path = TABLE) -> Mapping[str, Recipe]:
    """Every recipe by its id, each preset checked against its request. Raises BadInput naming file, table and field."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path.name} is not valid TOML: {error}") from error
    return {id: _recipe(id, table, path.name) for id, table in entries.items()}


def get(id: str) -> Recipe:
    """Raises BadInput for a recipe there is not."""
    known = load()
    if id not in known:
        raise BadInput(f"no recipe {id[:40]!r}; choose one of {', '.join(known)}", "recipe")
    return known[id]


def _recipe(id: str, table: Any, file: str) -> Recipe:
    if not isinstance(table, dict) or "task" not in table:
        raise BadInput(f"{file} [{id}]: a recipe names its task and has a table a preset", "task")
    shared = {name: value for name, value in table.items() if name not in (*PRESETS, "task")}
    request = requests.task(table["task"])
    found = {}
    for name in PRESETS:
        if not isinstance(table.get(name), dict):
            raise BadInput(f"{file} [{id}]: there is no preset {name}; a recipe has {', '.join(PRESETS)}", name)
        fields = {**shared, **table[name]}
        known = {} if fields.get("stage") == 1 else {"defect": "scratch"}  # a preset leaves open which one
        presets.check(request, {**known, **fields}, f"{file} [{id}.{name}]")
        found[name] = fields
    return Recipe(id, table["task"], found)
