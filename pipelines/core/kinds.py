"""The kinds of defect: their names, their own parameters and bounds, and what severity does to each.

Data only, read from presets/kinds: what draws them lives in pipelines/parts. Standard library; nothing is read before
the first `load`.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.core.errors import BadInput

FOLDER = Path(__file__).parents[2] / "presets" / "kinds"
_KIND_KEYS = {"label", "help", "shape", "recipe", "parameters"}
_PARAMETER_KEYS = {"low", "high", "default", "help", "mild", "severe", "choices"}


@dataclass(frozen=True)
class Parameter:
    """One thing a person may set about a kind: a number in [low, high], or one of `choices`.

    Left alone (`default` None), a number is drawn between `mild` at severity 0 and `severe` at severity 1, both
    (from, to) ranges, and a choice is drawn evenly.
    """

    name: str
    low: float
    high: float
    default: float | str | None
    help: str
    mild: tuple[float, float]
    severe: tuple[float, float]
    choices: tuple[str, ...] = ()

    def check(self, value: object, kind: str) -> None:
        """Raises BadInput naming kind, parameter, value and bound."""
        if self.choices:
            if value not in self.choices:
                wanted = ", ".join(self.choices)
                raise BadInput(f"look.{self.name} = {value!r}: {kind} takes one of {wanted}", f"look.{self.name}")
        elif isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            between = f"a number from {self.low:g} to {self.high:g}"
            raise BadInput(f"look.{self.name} = {value!r}: {kind} takes {between}", f"look.{self.name}")


@dataclass(frozen=True)
class Kind:
    """A kind of defect. `shape` is the brush its mask is best painted with; `recipe` is what its painter reads."""

    id: str
    label: str
    help: str
    shape: str
    parameters: dict[str, Parameter]
    recipe: dict[str, Any]

    @property
    def words(self) -> str:
        """What a base that diffuses is told where nobody says more."""
        return f"a photo of a part with {self.label.lower()}"

    def check(self, look: Mapping[str, float | str]) -> None:
        """Raises BadInput when `look` names a parameter this kind lacks, or a value out of bounds."""
        for name, value in look.items():
            if name not in self.parameters:
                there = ", ".join(self.parameters)
                raise BadInput(f"look.{name}: {self.id} has no such parameter; it has {there}", f"look.{name}")
            self.parameters[name].check(value, self.id)

    def settle(
        self, severity: float, look: Mapping[str, float | str], random: Callable[[], float]
    ) -> dict[str, float | str]:
        """A value for every parameter: asked, else default, else by severity and chance (`random` in [0, 1))."""
        self.check(look)
        values: dict[str, float | str] = {}
        for name, parameter in self.parameters.items():
            chance = random()  # drawn even when not used, so that setting one parameter does not reshuffle the others
            if name in look:
                values[name] = look[name]
            elif parameter.default is not None:
                values[name] = parameter.default
            elif parameter.choices:
                values[name] = parameter.choices[int(chance * len(parameter.choices))]
            else:
                ends = (
                    mild + severity * (severe - mild)
                    for mild, severe in zip(parameter.mild, parameter.severe, strict=True)
                )
                least, most = ends
                values[name] = least + chance * (most - least)
        return values


def load(folder: Path = FOLDER) -> dict[str, Kind]:
    """Every kind by id, in the order of the files. Raises BadInput naming file, table and key when one is malformed."""
    return dict(_load(folder))


def get(name: str) -> Kind:
    """The kind of that id. Raises BadInput naming those there are."""
    known = _load(FOLDER)
    if name not in known:
        raise BadInput(f"no defect {name!r}; choose one of {', '.join(sorted(known))}", "defect")
    return known[name]


@cache
def _load(folder: Path) -> dict[str, Kind]:
    found: dict[str, Kind] = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadInput(f"{path.name} is not valid TOML: {error}") from error
        for name, table in tables.items():
            if name in found:
                raise BadInput(f"{path.name} [{name}]: this kind stands in another file already; give it another id")
            found[name] = _kind(name, table, f"{path.name} [{name}]")
    if not found:
        raise BadInput(f"no kinds of defect in {folder}: it should hold *.toml files, one table a kind")
    return found


def _kind(name: str, table: object, where: str) -> Kind:
    entries = _table(table, where)
    _only(entries, _KIND_KEYS, where)
    parameters = _table(entries.get("parameters", {}), f"{where} parameters")
    return Kind(
        name,
        _text(entries, "label", where),
        _text(entries, "help", where),
        _text(entries, "shape", where),
        {key: _parameter(key, one, f"{where} parameters.{key}") for key, one in parameters.items()},
        _table(entries.get("recipe", {}), f"{where} recipe"),
    )


def _parameter(name: str, table: object, where: str) -> Parameter:
    entries = _table(table, where)
    _only(entries, _PARAMETER_KEYS, where)
    text = _text(entries, "help", where)
    default = entries.get("default")
    if "choices" in entries:
        choices = entries["choices"]
        if not (isinstance(choices, list) and choices and all(isinstance(one, str) for one in choices)):
            raise BadInput(f"{where}: choices = {choices!r} should be a list of words")
        if default is not None and default not in choices:
            raise BadInput(f"{where}: default = {default!r} is none of {', '.join(choices)}")
        return Parameter(name, 0, 0, default, text, (0, 0), (0, 0), tuple(choices))
    low, high = _number(entries, "low", where), _number(entries, "high", where)
    if low >= high:
        raise BadInput(f"{where}: low = {low:g} should be below high = {high:g}")
    if default is not None:
        default = _number(entries, "default", where)
        if not low <= default <= high:
            raise BadInput(f"{where}: default = {default:g} is outside [{low:g}, {high:g}]")
        return Parameter(name, low, high, default, text, (default, default), (default, default))
    return Parameter(
        name,
        low,
        high,
        None,
        text,
        _span(entries, "mild", low, high, where),
        _span(entries, "severe", low, high, where),
    )


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInput(f"{where}: {value!r} should be a table")
    return value


def _only(entries: dict[str, Any], known: set[str], where: str) -> None:
    for key in entries:
        if key not in known:
            raise BadInput(f"{where}: there is no key {key!r}; it takes {', '.join(sorted(known))}")


def _text(entries: dict[str, Any], key: str, where: str) -> str:
    value = entries.get(key)
    if not isinstance(value, str) or not value:
        raise BadInput(f"{where}: {key} = {value!r} should be a few words")
    return value


def _number(entries: dict[str, Any], key: str, where: str) -> float:
    value = entries.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"{where}: {key} = {value!r} should be a number")
    return float(value)


def _span(entries: dict[str, Any], key: str, low: float, high: float, where: str) -> tuple[float, float]:
    value = entries.get(key)
    if not (isinstance(value, list) and len(value) == 2 and all(isinstance(one, int | float) for one in value)):
        raise BadInput(f"{where}: {key} = {value!r} should be two numbers, [from, to], or give a default")
    least, most = float(value[0]), float(value[1])
    if not low <= least <= most <= high:
        raise BadInput(f"{where}: {key} = {value!r} should rise and lie in [{low:g}, {high:g}]")
    return least, most
