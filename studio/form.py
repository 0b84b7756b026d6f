"""From a request's fields to controls and back. Bounds, defaults and help are the fields' own; a tab adds the words.

Knows Gradio and pydantic; no task.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import gradio as gr
from pydantic.fields import FieldInfo

from pipelines.core.requests import Request
from studio.page import QUIET

WIDEST_SLIDER = 10_000


@dataclass(frozen=True)
class Words:
    """What a tab calls a field. `choices` words the values of a choice; `auto` the switch of a field that may be empty.
    `low` and `high` narrow a control to what is sensible on a page; the request's own bounds still hold."""

    label: str
    choices: Mapping[str, str] | None = None
    auto: str = ""
    low: float | None = None
    high: float | None = None
    slider: bool = True


@dataclass(frozen=True)
class Field:
    """One field's controls, and how their values become the field's."""

    name: str
    parts: tuple[Any, ...]
    read: Callable[[Sequence[Any]], Any]
    show: Callable[[Any], list[Any]]


class Form:
    """Controls of some fields of a request class, drawn where the layout wants them."""

    def __init__(self, request: type[Request], words: Mapping[str, Words]) -> None:
        self.request = request
        self.words = words
        self.fields: list[Field] = []

    def draw(self, *names: str) -> list[Any]:
        """Makes the controls of these fields in the Gradio block that is open now."""
        made = [_field(name, self.request.model_fields[name], self.words[name]) for name in names]
        self.fields += made
        return [part for field in made for part in field.parts]

    def wire(self) -> None:
        """A field that may be empty shows its control when its switch is off. After everything is drawn."""
        for switch, control in (field.parts for field in self.fields if len(field.parts) == 2):
            switch.change(lambda on: gr.update(visible=not on), switch, control, **QUIET)

    @property
    def inputs(self) -> list[Any]:
        """Every control drawn so far, in that order: what an event takes."""
        return [part for field in self.fields for part in field.parts]

    def control(self, name: str) -> Any:
        """The first control of a field."""
        return next(field.parts[0] for field in self.fields if field.name == name)

    def read(self, values: Sequence[Any]) -> dict[str, Any]:
        """The values of `inputs` as a partial request. Bounds are the request's to check."""
        found, at = {}, 0
        for field in self.fields:
            found[field.name] = field.read(values[at : at + len(field.parts)])
            at += len(field.parts)
        return found

    def show(self, partial: Mapping[str, Any]) -> list[Any]:
        """What sets `inputs` to a partial request; fields it does not name stay as they are."""
        updates: list[Any] = []
        for field in self.fields:
            updates += field.show(partial[field.name]) if field.name in partial else [gr.skip()] * len(field.parts)
        return updates


def bounds(info: FieldInfo) -> tuple[float | None, float | None]:
    """The least and the largest value a field allows; a strict upper bound is taken one unit lower."""
    least = next((mark.ge for mark in info.metadata if hasattr(mark, "ge")), None)
    most = next((mark.le for mark in info.metadata if hasattr(mark, "le")), None)
    below = next((mark.lt for mark in info.metadata if hasattr(mark, "lt")), None)
    return least, below - 1 if most is None and below is not None else most


def _field(name: str, info: FieldInfo, words: Words) -> Field:
    kinds = [kind for kind in get_args(info.annotation) if kind is not NoneType]
    if get_origin(info.annotation) is not Literal and NoneType in get_args(info.annotation):
        return _optional(name, info, words, kinds[0])
    control = _control(name, info, words, info.annotation, info.default)
    return Field(name, (control,), lambda values: values[0], lambda value: [gr.update(value=value)])


def _optional(name: str, info: FieldInfo, words: Words, kind: Any) -> Field:
    """A field that may be empty: a switch, and the control that shows when the switch is off."""
    switch = gr.Checkbox(value=info.default is None, label=words.auto, container=False, elem_id=f"auto-{name}")
    control = _control(name, info, words, kind, 0 if info.default is None else info.default, info.default is not None)

    def show(value: Any) -> list[Any]:
        empty = value is None
        return [gr.update(value=empty), gr.update(visible=not empty) if empty else gr.update(value=value, visible=True)]

    return Field(name, (switch, control), lambda values: None if values[0] else values[1], show)


def _control(name: str, info: FieldInfo, words: Words, kind: Any, value: Any, visible: bool = True) -> Any:
    common = {
        "label": words.label,
        "info": f"{info.description or ''} `{name}`",
        "value": value,
        "visible": visible,
        "elem_id": f"field-{name}",
        "elem_classes": "field",
    }
    if get_origin(kind) is Literal:
        choices = [((words.choices or {}).get(one, one), one) for one in get_args(kind)]
        return gr.Radio(choices, **common) if len(choices) < 4 else gr.Dropdown(choices, **common)
    if kind is bool:
        return gr.Checkbox(**common)
    low, high = bounds(info)
    low = low if words.low is None else words.low
    high = high if words.high is None else words.high
    if kind in (int, float) and low is not None and high is not None:
        whole = kind is int or high - low > 100
        if high - low > WIDEST_SLIDER or not words.slider:
            return gr.Number(minimum=low, maximum=high, precision=0 if whole else None, **common)
        return gr.Slider(low, high, step=1 if whole else 0.05, **common)
    return gr.Textbox(**common)
