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
from studio import review, watch
from studio.i18n import Language
from studio.review import Chosen, Plan
from studio.tabs import ship

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Pack:
    """The card's controls."""

    inputs: list[Any]
    tree: Any
    button: Any
    link: Any


def draw(say: Language) -> Pack:
    """The card, in the block that is open."""
    fields, shares = Export.model_fields, requests.Split()
    with gr.Column(elem_classes="card", elem_id="pack"):
        with gr.Row(elem_id="pack-row"):
            gr.HTML(f"<strong>{html.escape(say('ship.title'))}</strong>", elem_id="pack-title")
            format = gr.Dropdown(
                ship.formats(say),
                value="mvtec",
                show_label=False,
                container=False,
                elem_id="pack-format",
                elem_classes="menu",
            )
        tree = gr.HTML("", elem_id="pack-tree")
        with gr.Accordion(say("pack.more"), open=False, elem_id="pack-more"):
            name = gr.Textbox(
                fields["name"].default, label=say("pack.product"), max_lines=1, elem_id="pack-name", min_width=90
            )
            with gr.Row(elem_id="pack-shares"):
                parts = [
                    gr.Number(
                        100 * getattr(shares, part), label=say(f"pack.{part}"), minimum=0, maximum=100, min_width=60
                    )
                    for part in PARTS
                ]
            pairs = gr.Checkbox(value=fields["pairs"].default, label=say("pack.pairs"), elem_id="pack-pairs")
        button = gr.Button(say("ship.export"), variant="primary", elem_id="pack-export")
        link = gr.HTML("", elem_id="pack-link")
    return Pack([format, name, *parts, pairs], tree, button, link)


def fields(values: Sequence[Any]) -> dict[str, Any]:
    """What the card's inputs say of an Export request. The request checks the bounds."""
    format, name, train, val, test, pairs = values
    split = {part: (share or 0) / 100 for part, share in zip(PARTS, (train, val, test), strict=True)}
    return {"format": format, "name": name or "", "split": split, "pairs": bool(pairs)}


def preview(say: Language, chosen: Chosen, named: int, values: Sequence[Any]) -> str:
    """The tree that would be written, as HTML; or the sentence that says why there is none."""
    what = say.count("pack.chosen" if named else "pack.listed", chosen.leaving)
    head = f'<p class="pack-what">{html.escape(what)}</p>'
    notes = []
    if chosen.rejected:
        notes.append(say("pack.rejected", n=f"{chosen.rejected:,}"))
    if chosen.unfinished:
        notes.append(say("pack.unfinished", n=f"{chosen.unfinished:,}"))
    if not chosen.leaving:
        return head + _notes(say, [*notes, say("pack.nothing")])
    try:
        request = requests.parse({"task": "export", "data": ["run"], **fields(values)})
        assert isinstance(request, Export)
        plan = review.plan(chosen.leaves, request)
    except BadInput as error:
        return head + _notes(say, [say.sentence(str(error))])
    if len({leaf.origin for leaf in chosen.leaves}) == 1:  # said once, instead of for each part that stays empty
        whole = next(part for part, count in plan.parts.items() if count)
        notes.append(say("pack.together", part=say(f"pack.part_{whole}")))
    else:
        notes += map(say.sentence, plan.notes)
    return head + _tree(say, plan) + _notes(say, notes)


def does(say: Language, chosen: Chosen) -> str:
    """What the button will do, as it says."""
    return say.count("pack.export", chosen.leaving) if chosen.leaving else say("ship.export")


def _tree(say: Language, plan: Plan) -> str:
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
    parts = " · ".join(f"{say(f'pack.part_{part}')} {count:,}" for part, count in plan.parts.items())
    tree = f'<div class="pack-tree" {_scrolls(say("pack.tree"))}>{"".join(lines)}</div>'
    return f'<p class="pack-parts">{parts}</p>{tree}'


def _line(name: str, depth: int, number: str) -> str:
    return f'<div style="padding-left:{14 * depth}px"><span>{html.escape(name)}</span>{number}</div>'


def _notes(say: Language, sentences: Sequence[str]) -> str:
    lines = "".join(f"<p>{html.escape(watch.capital(one))}</p>" for one in sentences)
    return f'<div class="pack-notes" {_scrolls(say("pack.notes"))}>{lines}</div>' if lines else ""


def _scrolls(name: str) -> str:
    """What may be longer than its place is reached by keys too, under that name."""
    return f'tabindex="0" role="region" aria-label="{html.escape(name)}"'


def wire(pack: Pack, show: Callable[[Callable[..., Any]], Any]) -> None:
    """`show` binds an event to the preview."""
    for control in pack.inputs:
        show(control.change)
