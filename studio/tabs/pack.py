"""The card "data set" of Review: layout, name, shares, pairs, the tree that would be written, Export ZIP, link.

Knows the form of an export; which pictures are meant it is told.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.core import requests
from pipelines.core.errors import BadInput
from pipelines.core.requests import Export
from studio import review
from studio.review import Chosen, Plan
from studio.tabs.ship import FORMATS

PARTS = {"train": "Train %", "val": "Validate %", "test": "Test %"}


@dataclass(frozen=True)
class Pack:
    """The card's controls."""

    inputs: list[Any]
    tree: Any
    button: Any
    link: Any


def draw() -> Pack:
    """The card, in the block that is open."""
    fields, shares = Export.model_fields, requests.Split()
    with gr.Column(elem_classes="card", elem_id="pack"):
        tree = gr.HTML("", elem_id="pack-tree")
        with gr.Row(elem_id="pack-row"):
            choices = [(label, name) for name, label in FORMATS.items()]
            format = gr.Dropdown(
                choices, value="mvtec", show_label=False, container=False, elem_id="pack-format", elem_classes="menu"
            )
            button = gr.Button("Export ZIP", variant="primary", elem_id="pack-export", min_width=110, scale=0)
        link = gr.HTML("", elem_id="pack-link")
        with gr.Accordion("Name, shares, good pictures", open=False, elem_id="pack-more"):
            name = gr.Textbox(fields["name"].default, label="Product", max_lines=1, elem_id="pack-name", min_width=90)
            with gr.Row(elem_id="pack-shares"):
                parts = [
                    gr.Number(100 * getattr(shares, part), label=label, minimum=0, maximum=100, min_width=60)
                    for part, label in PARTS.items()
                ]
            pairs = gr.Checkbox(value=fields["pairs"].default, label="With the good pictures", elem_id="pack-pairs")
    return Pack([format, name, *parts, pairs], tree, button, link)


def fields(values: Sequence[Any]) -> dict[str, Any]:
    """What the card's inputs say of an Export request. The request checks the bounds."""
    format, name, train, val, test, pairs = values
    split = {part: (share or 0) / 100 for part, share in zip(PARTS, (train, val, test), strict=True)}
    return {"format": format, "name": name or "", "split": split, "pairs": bool(pairs)}


def preview(chosen: Chosen, named: int, values: Sequence[Any]) -> str:
    """The tree that would be written, as HTML; or the sentence that says why there is none."""
    count = len(chosen.leaving)
    what = f"{count:,} picture{'' if count == 1 else 's'}"
    head = f"<strong>Data set</strong><p>{what} {'chosen' if named else 'of this list'}</p>"
    notes = []
    if chosen.rejected:
        notes.append(f"{chosen.rejected:,} discarded or deleted stay out")
    if chosen.unfinished:
        notes.append(f"{chosen.unfinished:,} of runs that have not ended stay out")
    if not chosen.leaving:
        return head + _notes([*notes, "Nothing to export: choose other pictures"])
    try:
        request = requests.parse({"task": "export", "data": ["run"], **fields(values)})
        assert isinstance(request, Export)
        plan = review.plan(chosen.leaving, request)
    except BadInput as error:
        return head + _notes([str(error)])
    return head + _tree(plan) + _notes([*notes, *plan.notes])


def _tree(plan: Plan) -> str:
    """Each folder under the one that holds it, its files counted."""
    lines, above = [], [""]
    for place, count in sorted(plan.tree.items(), key=lambda item: (not item[0].endswith("/"), item[0])):
        *folders, file = place.split("/")
        for depth, folder in enumerate(folders, start=1):
            path = "/".join(folders[:depth])
            if path not in above:
                above.append(path)
                number = f"<b>{count:,}</b>" if depth == len(folders) and not file else ""
                lines.append(_line(f"{folder}/", depth - 1, number))
        if file:
            lines.append(_line(file, len(folders), ""))
    parts = " · ".join(f"{part} {count:,}" for part, count in plan.parts.items())
    return f'<p class="pack-parts">{parts}</p><div class="pack-tree">{"".join(lines)}</div>'


def _line(name: str, depth: int, number: str) -> str:
    return f'<div style="padding-left:{14 * depth}px"><span>{html.escape(name)}</span>{number}</div>'


def _notes(sentences: Sequence[str]) -> str:
    lines = "".join(f"<p>{html.escape(one[:1].upper() + one[1:])}</p>" for one in sentences)
    return f'<div class="pack-notes">{lines}</div>' if lines else ""


def wire(pack: Pack, show: Callable[[Callable[..., Any]], Any]) -> None:
    """`show` binds an event to the preview."""
    for control in pack.inputs:
        show(control.change)
