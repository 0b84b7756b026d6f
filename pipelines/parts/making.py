"""How pictures came to be: the requests of their runs, for the recipe and the card. Knows runs' folders; no format."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core import recipes
from pipelines.core.assets import Assets
from pipelines.core.errors import Problem
from pipelines.core.requests import Export
from pipelines.core.requests.dataset import MOST_NAMED
from pipelines.parts import datasets
from pipelines.parts.datasets import Wanted

NAME = "recipe.json"


@dataclass(frozen=True)
class Asked:
    """A run: what was asked of it, with files by name and sha256, and what it came to."""

    name: str
    """In the recipe."""
    request: Mapping[str, Any]
    result: Mapping[str, Any]


@dataclass(frozen=True)
class Making:
    """How a data set was made."""

    runs: tuple[Asked, ...]
    recipe: tuple[Mapping[str, Any], ...]
    """The requests that make it again, the export last; empty where none can."""
    notes: tuple[str, ...]
    """What the recipe leaves out."""

    def text(self) -> bytes:
        """recipe.json, a request a line."""
        lines = (json.dumps(one, ensure_ascii=False, allow_nan=False, sort_keys=True) for one in self.recipe)
        return ("[\n" + ",\n".join(lines) + "\n]\n").encode()

    def adapters(self) -> dict[str, str]:
        """{sha256: name} of every adapter that was asked for, wherever it stands in a request."""
        return {one["sha256"]: one["name"] for asked in self.runs for one in _adapters(asked.request)}


def tell(request: Export, wanted: Mapping[Path, Wanted], given: int = 0) -> Making:
    """How the pictures of these runs were made; `given` are pictures that were not made. Raises BadInput."""
    asked, unknown, outside, times = dict[Path, Asked](), 0, 0, Counter[str]()
    for folder in wanted:
        assets = Assets(folder.parent)
        try:
            data = json.loads((folder / "request.json").read_text(encoding="utf-8"))
            name = recipes.made(data, assets)
            known = recipes.named(data, assets)
        except (OSError, ValueError, Problem):
            unknown += 1
            continue
        times[name] += 1
        outside += recipes.outside(data)
        asked[folder] = Asked(recipes.numbered(name, times[name]), known, _result(folder))
    notes = []
    if given:
        notes.append(f"not part of the recipe, for they were given and not made: {given} pictures")
    if unknown:
        notes.append(
            f"not part of the recipe, for what was asked, or a file of it, is not known any more: {unknown} runs"
        )
    if outside:
        notes.append(f"the recipe needs runs, projects or folders from here, which it names only: {outside} requests")
    export, note = _export(request, {folder: wanted[folder] for folder in asked}, asked)
    notes += [note] if note else []
    recipe = (*(one.request for one in asked.values()), export) if asked else ()
    return Making(tuple(asked.values()), recipe, tuple(notes))


def _result(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _export(request: Export, wanted: Mapping[Path, Wanted], asked: Mapping[Path, Asked]) -> tuple[dict[str, Any], str]:
    """The request of the export with its runs as the recipe calls them, and what it cannot say."""
    said = request.model_dump(mode="json")
    said |= {"data": [one.name for one in asked.values()], "output": None, "kept_only": False}
    said |= {"only": [], "without": []}
    if not any(_chosen(folder, which) for folder, which in wanted.items()):
        return said, ""
    leaving, staying = _first(wanted, asked, True), _first(wanted, asked, False)
    if len(staying) <= min(MOST_NAMED, len(leaving)) and all((folder / "result.json").is_file() for folder in wanted):
        return said | {"without": staying}, ""
    if len(leaving) <= MOST_NAMED:
        return said | {"only": leaving}, ""
    return said, (
        "the recipe makes pictures too that were left out here, for neither those nor the others are few enough to be"
        " named"
    )


def _chosen(folder: Path, which: Wanted) -> bool:
    """Whether less than what the run would make again leaves."""
    whole = (folder / "result.json").is_file()
    plain = not which.kept_only and which.only is None and not which.without
    return not (whole and plain and not (folder / "review.json").is_file())


def _first(wanted: Mapping[Path, Wanted], asked: Mapping[Path, Asked], leaves: bool) -> list[str]:
    """The first MOST_NAMED + 1 pictures that leave, or that stay, as the recipe calls them."""
    names = (
        f"{asked[folder].name}/{line.stem}"
        for folder, which in wanted.items()
        for line, goes in datasets.lines(folder, which)
        if goes == leaves
    )
    return [name for name, _ in zip(names, range(MOST_NAMED + 1), strict=False)]


def _adapters(value: Any) -> Iterator[Mapping[str, str]]:
    if isinstance(value, Mapping):
        for one in value.get("adapters") or () if isinstance(value.get("adapters"), list) else ():
            path = one.get("path") if isinstance(one, Mapping) else None
            if isinstance(path, Mapping) and set(path) == {"name", "sha256"}:
                yield path
        parts: Iterable[Any] = value.values()
    else:
        parts = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    for part in parts:
        yield from _adapters(part)
