"""The request that tries one thing several ways and shows all of them side by side. Pydantic only."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from pipelines.core.errors import BadInput
from pipelines.core.requests.base import Lane, Part, Request, by_length
from pipelines.core.requests.batch import TEMPLATES, put
from pipelines.core.requests.generate import SEED_MAX

MOST_CELLS = 4096
MOST_WORDS = 6
LABEL = 40


class Way(Part):
    """One way to do it, of several that differ in more than one field."""

    label: str = Field(min_length=1, max_length=80, description="What it is called on the sheet")
    fields: dict[str, Any] = Field(default_factory=dict, description="What is different then, by dotted names")


class Axis(Part):
    """What changes along one direction of the sheet: one of `values`, `ways` and `words`."""

    field: str = Field(
        "", max_length=100, description="A field of the template by its dotted name, such as severity or look.width"
    )
    values: tuple[Any, ...] = Field((), max_length=64, description="Its values, in order")
    ways: tuple[Way, ...] = Field((), max_length=64, description="Whole recipes instead, compared on the same seeds")
    words: tuple[str, ...] = Field(
        (),
        max_length=MOST_WORDS,
        description="Or parts of the prompt: it is made with every selection of them, laid after the template's own",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(map(bool, (self.values, self.ways, self.words))) != 1:
            raise ValueError("an axis has values of a field, ways, or words: give one of the three")
        if bool(self.values) != bool(self.field):
            raise ValueError(f"field {self.field!r} and values belong together: give both")
        labels = [label for label, _ in self.steps({})]
        if len({*labels}) != len(labels):
            twice = next(one for one in labels if labels.count(one) > 1)
            raise ValueError(f"{twice!r} stands twice on one axis: give each step once")
        return self

    def steps(self, template: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """(what it is called, what it changes) of each step."""
        if self.values:
            return [(_label(f"{self.field} {_shown(value)}"), {self.field: value}) for value in self.values]
        if self.ways:
            return [(way.label, way.fields) for way in self.ways]
        prompt = str(template.get("prompt") or "")
        return [
            (_label(" + ".join(chosen) or prompt or "-"), {"prompt": ", ".join(filter(None, (prompt, *chosen)))})
            for chosen in _selections(self.words)
        ]


def _selections(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every selection, the smallest first, each in the order of the words."""
    for size in range(len(words) + 1):
        yield from combinations(words, size)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _label(text: str) -> str:
    return text if len(text) <= LABEL else f"{text[: LABEL - 1]}…"


class Grid(Request):
    """Make the same picture with other parameters: a sheet of up to three axes."""

    title: ClassVar[str] = "Compare side by side"
    skeleton: ClassVar[dict[str, Any]] = {
        "template": {"task": "inpaint", "image": "image.png", "mask": "mask.png", "defect": "scratch"},
        "x": {"field": "severity", "values": [0.2, 0.8]},
    }
    task: Literal["grid"] = "grid"
    template: dict[str, Any] = Field(description="The picture as it is where nothing differs: a whole request")
    x: Axis = Field(description="What changes from column to column")
    y: Axis | None = Field(None, description="What changes from row to row")
    z: Axis | None = Field(None, description="What changes from sheet to sheet")
    seeds: tuple[int, ...] = Field(
        (), max_length=16, description="Every cell is made with each of these seeds; empty = with the template's own"
    )

    @field_validator("template")
    @classmethod
    def _can_be_repeated(cls, template: Mapping[str, Any]) -> dict[str, Any]:
        if template.get("task") not in TEMPLATES:
            raise ValueError(f"template.task = {template.get('task')!r}: a grid repeats one of {', '.join(TEMPLATES)}")
        return {**template, "num_images": 1}

    @field_validator("seeds")
    @classmethod
    def _in_bounds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        for one in seeds:
            if not 0 <= one <= SEED_MAX:
                raise ValueError(f"seeds holds {one}: each goes from 0 to {SEED_MAX}")
        return tuple(dict.fromkeys(seeds))

    @model_validator(mode="after")
    def _every_cell_can_be(self) -> Self:
        if self.length() > MOST_CELLS:
            raise ValueError(f"{self.length()} pictures are too many for one sheet: ask for up to {MOST_CELLS}")
        for index in range(self.length()):
            try:
                self.cell(index)
            except BadInput as error:
                raise ValueError(f"{', '.join(filter(None, self.labels(index)))}: {error}") from error
        return self

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """How many sheets, rows, columns, and seeds."""
        z, y, x = (len(steps) for steps in self._steps())
        return z, y, x, max(1, len(self.seeds))

    def _steps(self) -> list[list[tuple[str, dict[str, Any]]]]:
        """Of z, y and x; one step that changes nothing where there is no axis."""
        return [axis.steps(self.template) if axis else [("", {})] for axis in (self.z, self.y, self.x)]

    def places(self, index: int) -> tuple[int, int, int, int]:
        """(sheet, row, column, seed) of a picture: sheet by sheet, row by row, of each cell all seeds."""
        found = []
        for length in reversed(self.shape):
            index, place = divmod(index, length)
            found.append(place)
        seed, x, y, z = found
        return z, y, x, seed

    def labels(self, index: int) -> tuple[str, str, str]:
        """What the sheet, the row and the column of a picture are called."""
        z, y, x, _ = self.places(index)
        sheets, rows, columns = self._steps()
        return sheets[z][0], rows[y][0], columns[x][0]

    def cell(self, index: int) -> Request:
        """The request of one picture. Raises BadInput."""
        from pipelines.core import requests

        *places, seed = self.places(index)
        data = dict(self.template)
        for step, place in zip(self._steps(), places, strict=True):
            for name, value in step[place][1].items():
                put(data, name, value)
        if self.seeds:
            data["seed"] = self.seeds[seed]
        return requests.parse(data)

    def lane(self) -> Lane:
        return self.cell(0).lane()

    def priority(self) -> int:
        return by_length(self.length())

    def length(self) -> int:
        z, y, x, seeds = self.shape
        return z * y * x * seeds
