"""The Review tab: everything that was made, page by page; keep, discard, delete, look closer, and export a choice.

Draws the tab and wires it. What there is, and what becomes of a choice, is known in studio.review.
"""

import html
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.core import files
from pipelines.core.gallery import Filter, Gallery
from pipelines.core.trash import Freed
from studio import results, review, watch
from studio.context import Context
from studio.i18n import Language
from studio.page import QUIET, Page
from studio.tabs import pack, send, ship
from studio.widgets import CLIPBOARD, VERDICTS, widget
from studio.widgets import compare as comparing

GRID = "review-grid"
PICTURES, CLOSER = "review-pictures", "review-closer"
# The choice lies in the browser; an event that needs it takes the grid as its first input and reads it there.
READ = f"(_, ...rest) => [document.querySelector('#{GRID} .grd').grid.read(), ...rest]"


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
    at: Any
    """gr.State: the picture that was looked at last, where the grid goes on."""

    @property
    def filter(self) -> list[Any]:
        return [self.verdict, *self.menus, *self.ranges]


def build(context: Context, page: Page) -> None:
    """Draws the tab in the block that is open, and wires it."""
    gallery, parts = Gallery(context.runs), _draw(page.say)
    show = _preview(context, page.say, gallery, parts)
    _pages(page, gallery, parts, show)
    _judging(context, page.say, gallery, parts, show)
    _closer(context, page, gallery, parts)
    _export(context, gallery, page, parts)


def _draw(say: Language) -> Parts:
    with gr.Row(elem_id="review", equal_height=False):
        with gr.Column(elem_id="review-left"):
            with gr.Column(elem_id="review-filter", elem_classes="card"):
                with gr.Row():
                    verdict = gr.Radio(
                        [(say("review.all"), "")], value="", show_label=False, container=False, elem_id="review-verdict"
                    )
                    menus = [
                        gr.Dropdown(
                            [(label, "")], value="", label=label, show_label=False, container=False, elem_classes="menu"
                        )
                        for label in (say("review.any_defect"), say("review.any_source"), say("review.any_run"))
                    ]
                with gr.Accordion(say("review.more"), open=False, elem_id="review-more"), gr.Row():
                    dates = {"include_time": False, "type": "string", "min_width": 110}
                    ranges = [gr.DateTime(label=say(f"review.{end}"), **dates) for end in ("from", "until")]
                    for name in ("visibility", "fidelity"):
                        bounds = {"placeholder": say("review.any"), "max_lines": 1, "min_width": 80}
                        ranges += [gr.Textbox(label=say(f"review.{name}_{end}"), **bounds) for end in ("from", "to")]
            with gr.Tabs(elem_id="review-stages") as stages:
                with gr.Tab(say("review.pictures"), id=PICTURES):
                    grid = widget("grid", {}, scripts=[VERDICTS], words=say.table("grid"), elem_id=GRID)
                with gr.Tab(say("review.closer"), id=CLOSER):
                    targets, how = [send.PAINT, send.CONTROL, send.GENERATE, send.DATA], say("review.how_closer")
                    compare = comparing.build(say, targets=targets, elem_id="review-compare", how=how)
        with gr.Column(elem_id="review-right"):
            with gr.Column(elem_classes="card", elem_id="review-facts"):
                facts = widget("facts", {}, scripts=[CLIPBOARD], words=say.table("facts"))
            card = pack.draw(say)
            run, at = gr.State(""), gr.State("")
    return Parts(verdict, menus, ranges, stages, grid, compare, facts, card, run, at)


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


def _pages(page: Page, gallery: Gallery, parts: Parts, show: Callable[..., Any]) -> None:
    """Pages come by filter, by turning, and again when the tab is seen again; then also those of a run that another
    tab asks for, with a filter for that run and nothing else.
    """
    say, taken = page.say, gr.State("")

    def first(*values: Any) -> dict[str, Any]:
        with watch.refusals(say):
            return review.page(gallery, say, wanted(values))

    def arrive(order: Any, before: str, *values: Any) -> list[Any]:
        mine = _asks_for_run(order) and order["at"] != before
        set_to = ["", "", "", str(order["run"]), None, None, "", "", "", ""] if mine else list(values)
        changed: list[dict[str, Any]] = [{"value": value} if mine else {} for value in set_to]
        for place, found in enumerate(review.choices(gallery, say).values(), start=1):
            known = set_to[place] in [value for _, value in found]
            changed[place]["choices"] = found if known or not mine else [*found, (set_to[place], set_to[place])]
        stage = gr.Tabs(selected=PICTURES) if mine else gr.skip()
        return [first(*set_to), *(gr.update(**one) for one in changed), stage, order["at"] if mine else before]

    def turn(event: gr.EventData, *values: Any) -> Any:
        with watch.refusals(say):
            asked = wanted(values)
            if hasattr(event, "before"):
                return review.page(gallery, say, asked, before=int(event.before))
            return review.page(gallery, say, asked, after=int(event.after))

    def back(event: gr.EventData, at: str, *values: Any) -> Any:
        with watch.refusals(say):
            return review.again(gallery, say, wanted(values), list(event.ids), at)

    shown = [parts.grid, *parts.filter, parts.stages, taken]
    show(parts.grid.arrive(arrive, [page.sent, taken, *parts.filter], shown, **QUIET).success)
    parts.grid.turn(turn, parts.filter, parts.grid, **QUIET)
    parts.grid.back(back, [parts.at, *parts.filter], parts.grid, **QUIET)
    for control in [parts.verdict, *parts.menus]:
        show(control.input(first, parts.filter, parts.grid, trigger_mode="always_last", **QUIET).success)
    for control in parts.ranges:
        show(control.change(first, parts.filter, parts.grid, trigger_mode="always_last", **QUIET).success)


def _judging(context: Context, say: Language, gallery: Gallery, parts: Parts, show: Callable[..., Any]) -> None:
    """Verdicts from the grid and from the closer look, and the end of what was deleted."""

    def judge(event: gr.EventData) -> None:
        with watch.refusals(say):
            review.judge(context, gallery, results.changes(event.changes))

    def empty(event: gr.EventData, *values: Any) -> dict[str, Any]:
        with watch.refusals(say):
            freed = review.empty(context, gallery, int(event.count))
            page = review.page(gallery, say, wanted(values))
        gr.Info(html.escape(emptied(say, freed)), title=say("grid.empty"), duration=watch.TOAST_S)
        return page

    # One at a time and none dropped: a verdict and its undo must be heard in the order they were given.
    heard: dict[str, Any] = {"trigger_mode": "multiple", "concurrency_limit": 1, "concurrency_id": "verdicts", **QUIET}
    show(parts.grid.judge(judge, None, None, **heard).success)
    show(parts.compare.judge(judge, None, None, **heard).success)
    show(parts.grid.empty(empty, parts.filter, parts.grid, concurrency_limit=1, **QUIET).success)


def emptied(say: Language, freed: Freed) -> str:
    """What emptying the trash did, as a sentence."""
    pictures = say.count("review.emptied_pictures", freed.pictures)
    told = say("review.emptied", pictures=pictures, size=files.size(freed.bytes))
    return f"{told} {say.count('review.emptied_waiting', freed.waiting)}" if freed.waiting else told


def _closer(context: Context, page: Page, gallery: Gallery, parts: Parts) -> None:
    """The closer look, opened from the grid or from another tab; the facts follow what is looked at in either."""
    say = page.say

    def look(sent: Any) -> dict[str, Any]:
        here = sent.get("here") if isinstance(sent, dict) else None
        with watch.refusals(say):
            return review.facts(context, say, gallery, str(here)) if here else {}

    def look_closer(event: gr.EventData) -> list[Any]:
        id = f"{event.run}/{event.stem}"
        with watch.refusals(say):
            return [review.facts(context, say, gallery, id), id]

    def open(event: gr.EventData) -> list[Any]:
        with watch.refusals(say):
            found = review.comparison(context, say, gallery, [str(id) for id in event.ids], str(event.id))
        return [found, gr.Tabs(selected=CLOSER)]

    def sent(order: Any) -> list[Any]:
        """What another tab hands over: a result, to be looked at among the others of its run; or all of a run, which
        the grid asks for when it is seen.
        """
        if _asks_for_run(order):
            return [gr.skip(), gr.Tabs(selected=PICTURES)]
        if not isinstance(order, dict) or order.get("to") != send.REVIEW:
            return [gr.skip(), gr.skip()]
        with watch.refusals(say):
            found = review.of_run(context, say, gallery, str(order.get("run")), str(order.get("stem")))
        return [found, gr.Tabs(selected=CLOSER)]

    parts.grid.look(look, parts.grid, parts.facts, js=READ, trigger_mode="always_last", **QUIET)
    parts.grid.open(open, None, [parts.compare, parts.stages], **QUIET)
    parts.compare.look(look_closer, None, [parts.facts, parts.at], trigger_mode="always_last", **QUIET)
    parts.compare.leave(lambda: gr.Tabs(selected=PICTURES), None, parts.stages, **QUIET)
    page.sent.change(sent, page.sent, [parts.compare, parts.stages], **QUIET)
    send.wire(context, page, parts.compare, start=True)


def _asks_for_run(order: Any) -> bool:
    to_here = isinstance(order, dict) and order.get("to") == send.REVIEW
    return bool(to_here and order.get("run") and not order.get("stem"))


def _preview(context: Context, say: Language, gallery: Gallery, parts: Parts) -> Callable[..., Any]:
    """What binds an event to the counts of verdicts and to the tree that would be written."""
    inputs = [parts.grid, *parts.filter, *parts.pack.inputs]

    def tree(sent: Any, *values: Any) -> list[Any]:
        with watch.refusals(say):
            asked, ids = wanted(values[: len(parts.filter)]), _ids(sent)
            found, counts = review.chosen(context, gallery, asked, ids), review.verdict_choices(gallery, say, asked)
        text = pack.preview(say, found, len(ids), values[len(parts.filter) :])
        button = gr.update(value=pack.does(say, found), interactive=bool(found.leaving))
        return [gr.update(choices=counts), text, button]

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
    say = page.say

    def export(sent: Any, *values: Any) -> str:
        with watch.refusals(say):
            asked, ids = wanted(values[: len(parts.filter)]), _ids(sent)
            leaving = review.leaving(context, gallery, asked, ids)
            form = pack.fields(values[len(parts.filter) :])
            data = review.export_request(leaving, asked, ids, form)
        return watch.submit(context, say, data)

    async def follow(run: Any) -> AsyncIterator[list[Any]]:
        async for row in watch.follow(context, run):
            ended = gr.update(interactive=row is None or row.over)
            yield [*watch.bar(context, say, row), ended, ship.export_text(context, say, row)]

    inputs = [parts.grid, *parts.filter, *parts.pack.inputs]
    begun = parts.pack.button.click(export, inputs, parts.run, js=READ, **QUIET)
    shown = [page.bar, page.stop, parts.pack.button, parts.pack.link]
    begun.success(follow, parts.run, shown, concurrency_limit=None, **QUIET)
