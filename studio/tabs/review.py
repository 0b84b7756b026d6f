"""The Review tab: everything that was made, page by page; keep, discard, delete, look closer, and export a choice.

Draws the tab and wires it. What there is, and what becomes of a choice, is known in studio.review.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.core.gallery import Filter, Gallery
from studio import review, watch
from studio.context import Context
from studio.page import QUIET, Page
from studio.tabs import pack, ship
from studio.tabs.paint import COMPARE_WORDS
from studio.widgets import VIEW, widget

GRID = "review-grid"
PICTURES, CLOSER = "review-pictures", "review-closer"
# The choice lies in the browser; an event that needs it takes the grid as its first input and reads it there.
READ = f"(_, ...rest) => [document.querySelector('#{GRID} .grd').grid.read(), ...rest]"

GRID_WORDS = {
    "title": "Pictures, newest first",
    "tools": "What to do with the chosen pictures",
    "undo": "Undo",
    "open": "Before and after",
    "remove": "Delete",
    "restore": "Restore",
    "discard": "Discard",
    "keep": "Keep",
    "newer": "Newer pictures",
    "older": "Older pictures",
    "one": "% picture",
    "many": "% pictures",
    "chosen": "% chosen",
    "none": "No picture here",
    "how": "Generate some under Paint, or widen the filter above",
    "keys": "Arrows move · Enter opens · Shift or Ctrl chooses several · Ctrl+A all of the page · Ctrl+Z takes back",
}
FACTS_WORDS = {
    "none": "Choose a picture to see its facts.",
    "copy": "Copy the request",
    "copied": "Copied",
    "file": "PNG",
    "undecided": "Undecided",
    "kept": "Kept",
    "discarded": "Discarded",
    "deleted": "Deleted",
}


@dataclass(frozen=True)
class Parts:
    """The tab's components."""

    verdict: Any
    menus: list[Any]
    ranges: list[Any]
    stages: Any
    grid: Any
    compare: Any
    facts: Any
    pack: pack.Pack
    run: Any

    @property
    def filter(self) -> list[Any]:
        return [self.verdict, *self.menus, *self.ranges]


def build(context: Context, page: Page) -> None:
    """Draws the tab in the block that is open, and wires it."""
    gallery, parts = Gallery(context.runs), _draw()
    show = _preview(context, gallery, parts)
    _pages(gallery, parts, show)
    _judging(context, gallery, parts, show)
    _export(context, gallery, page, parts)


def _draw() -> Parts:
    with gr.Row(elem_id="review", equal_height=False):
        with gr.Column(elem_id="review-left"):
            with gr.Column(elem_id="review-filter", elem_classes="card"):
                with gr.Row():
                    verdict = gr.Radio(
                        [("All", "")], value="", show_label=False, container=False, elem_id="review-verdict"
                    )
                    menus = [
                        gr.Dropdown(
                            [(label, "")], value="", label=label, show_label=False, container=False, elem_classes="menu"
                        )
                        for label in ("Any defect", "Any source picture", "Any run")
                    ]
                with gr.Accordion("Dates and scores", open=False, elem_id="review-more"), gr.Row():
                    dates = {"include_time": False, "type": "string", "min_width": 110}
                    ranges = [gr.DateTime(label=label, **dates) for label in ("From", "Until")]
                    for name in ("Visibility", "Fidelity"):
                        bounds = {"placeholder": "any", "max_lines": 1, "min_width": 80}
                        ranges += [gr.Textbox(label=f"{name} {end}", **bounds) for end in ("from", "to")]
            with gr.Tabs(elem_id="review-stages") as stages:
                with gr.Tab("Pictures", id=PICTURES):
                    grid = widget("grid", {}, words=GRID_WORDS, elem_id=GRID)
                with gr.Tab("Before and after", id=CLOSER):
                    scripts = [VIEW / "raster.js", VIEW / "view.js"]
                    words = {**COMPARE_WORDS, "how": "Choose a picture and press Enter; Escape leads back"}
                    compare = widget("compare", {}, scripts=scripts, words=words, elem_id="review-compare")
        with gr.Column(elem_id="review-right"):
            with gr.Column(elem_classes="card", elem_id="review-facts"):
                facts = widget("facts", {}, words=FACTS_WORDS)
            card = pack.draw()
            run = gr.State("")
    return Parts(verdict, menus, ranges, stages, grid, compare, facts, card, run)


def wanted(values: Sequence[Any]) -> Filter:
    """The filter that the controls show. Raises BadInput."""
    verdict, defect, source, run, since, until, *scores = values
    visible_from, visible_to, fills_from, fills_to = (review.number(text) for text in scores)
    return Filter(
        verdict=verdict or "",
        defect=defect or "",
        source=source or "",
        run=run or "",
        since=review.day(since),
        until=review.day(until, end=True),
        visibility=(visible_from, visible_to),
        fidelity=(fills_from, fills_to),
    )


def _pages(gallery: Gallery, parts: Parts, show: Callable[..., Any]) -> None:
    """Pages come by filter, by turning, and again when the tab is seen again."""

    def first(*values: Any) -> dict[str, Any]:
        with watch.refusals():
            return review.page(gallery, wanted(values))

    def arrive(*values: Any) -> list[Any]:
        return [first(*values), *(gr.update(choices=found) for found in review.choices(gallery).values())]

    def turn(event: gr.EventData, *values: Any) -> Any:
        with watch.refusals():
            asked = wanted(values)
            if hasattr(event, "before"):
                return review.page(gallery, asked, before=int(event.before))
            return review.page(gallery, asked, after=int(event.after))

    def back(event: gr.EventData, *values: Any) -> Any:
        with watch.refusals():
            return review.again(gallery, wanted(values), list(event.ids), str(event.at))

    show(parts.grid.arrive(arrive, parts.filter, [parts.grid, *parts.menus], **QUIET).success)
    parts.grid.turn(turn, parts.filter, parts.grid, **QUIET)
    parts.grid.back(back, parts.filter, parts.grid, **QUIET)
    for control in [parts.verdict, *parts.menus]:
        show(control.input(first, parts.filter, parts.grid, trigger_mode="always_last", **QUIET).success)
    for control in parts.ranges:
        show(control.change(first, parts.filter, parts.grid, trigger_mode="always_last", **QUIET).success)


def _judging(context: Context, gallery: Gallery, parts: Parts, show: Callable[..., Any]) -> None:
    """Verdicts from the grid and from the closer look, the closer look itself, and the facts of the picture on show."""

    def judge(event: gr.EventData) -> None:
        with watch.refusals():
            review.judge(context, gallery, {str(id): str(verdict) for id, verdict in dict(event.changes).items()})

    def judge_one(event: gr.EventData) -> None:
        with watch.refusals():
            review.judge(context, gallery, {f"{event.run}/{event.stem}": str(event.verdict)})

    def look(sent: Any) -> dict[str, Any]:
        here = sent.get("here") if isinstance(sent, dict) else None
        with watch.refusals():
            return review.facts(context, gallery, str(here)) if here else {}

    def open(event: gr.EventData) -> list[Any]:
        with watch.refusals():
            found = review.comparison(context, gallery, [str(id) for id in event.ids], str(event.id))
        return [found, gr.Tabs(selected=CLOSER)]

    # One at a time and none dropped: a verdict and its undo must be heard in the order they were given.
    heard: dict[str, Any] = {"trigger_mode": "multiple", "concurrency_limit": 1, "concurrency_id": "verdicts", **QUIET}
    show(parts.grid.judge(judge, None, None, **heard).success)
    show(parts.compare.judge(judge_one, None, None, **heard).success)
    parts.grid.look(look, parts.grid, parts.facts, js=READ, trigger_mode="always_last", **QUIET)
    parts.grid.open(open, None, [parts.compare, parts.stages], **QUIET)
    parts.compare.leave(lambda: gr.Tabs(selected=PICTURES), None, parts.stages, **QUIET)


def _preview(context: Context, gallery: Gallery, parts: Parts) -> Callable[..., Any]:
    """What binds an event to the counts of verdicts and to the tree that would be written."""
    inputs = [parts.grid, *parts.filter, *parts.pack.inputs]

    def tree(sent: Any, *values: Any) -> list[Any]:
        with watch.refusals():
            asked, ids = wanted(values[: len(parts.filter)]), _ids(sent)
            found, counts = review.chosen(context, gallery, asked, ids), review.verdict_choices(gallery, asked)
        text = pack.preview(found, len(ids), values[len(parts.filter) :])
        return [gr.update(choices=counts), text, gr.update(interactive=bool(found.leaving))]

    def show(event: Callable[..., Any]) -> Any:
        shown = [parts.verdict, parts.pack.tree, parts.pack.button]
        return event(tree, inputs, shown, js=READ, trigger_mode="always_last", **QUIET)

    show(parts.grid.choose)
    pack.wire(parts.pack, show)
    return show


def _ids(sent: Any) -> list[str]:
    ids = sent.get("ids") if isinstance(sent, dict) else None
    return [str(id) for id in ids] if isinstance(ids, list) else []


def _export(context: Context, gallery: Gallery, page: Page, parts: Parts) -> None:
    def export(sent: Any, *values: Any) -> str:
        with watch.refusals():
            asked, ids = wanted(values[: len(parts.filter)]), _ids(sent)
            leaving = review.chosen(context, gallery, asked, ids).leaving
            form = pack.fields(values[len(parts.filter) :])
            data = review.export_request(leaving, asked, ids, form)
        return watch.submit(context, data)

    async def follow(run: Any) -> AsyncIterator[list[Any]]:
        async for row in watch.follow(context, run):
            ended = gr.update(interactive=row is None or row.over)
            yield [*watch.bar(context, row), ended, ship.export_text(context, row)]

    inputs = [parts.grid, *parts.filter, *parts.pack.inputs]
    begun = parts.pack.button.click(export, inputs, parts.run, js=READ, **QUIET)
    shown = [page.bar, page.stop, parts.pack.button, parts.pack.link]
    begun.success(follow, parts.run, shown, concurrency_limit=None, **QUIET)
