"""The Batch tab: what Paint or Control would make, made many times: planned, looked at, made, watched, taken along.

Draws the tab and wires it. The widget asks the routes of studio.batches itself; events come here for a batch that is
asked for, and for what the rest of the page must hear of.
"""

import time
from collections.abc import Callable
from typing import Any

import gradio as gr

from studio import batching, canvas, watch
from studio.context import Context
from studio.page import QUIET, Page
from studio.tabs import send, ship, which
from studio.widgets import FOLDER, widget

SCRIPTS = ("train_server.js", "batch_open.js", "batch_plan.js", "batch_rules.js", "batch_wall.js")


def build(context: Context, page: Page) -> None:
    """Draws the tab in the block that is open, and wires it."""
    say = page.say
    card = widget(
        "batch",
        None,
        scripts=[FOLDER / name for name in SCRIPTS],
        told={},
        words=say.table("batch"),
        fields=batching.fields(say),
        gates=batching.gates(),
        formats=ship.formats(say),
        language=say.code,
        elem_id="batch",
    )
    run = gr.BrowserState("", storage_key="flawsmith-batched", secret="flawsmith")
    _shown(context, page, card)
    _runs(context, page, card, run)


def _shown(context: Context, page: Page, card: Any) -> None:
    """What there is to choose from, what Paint handed over, and what leads away."""
    say, taken = page.say, gr.State("")

    def arrive(id: Any, order: Any, before: str) -> list[Any]:
        """Nothing is sent to the card before it was seen, as to that of Generate: it asks what was handed over."""
        menu = batching.offered(context, say, which.first(say))
        told = {"menu": menu, "project": batching.project(context, id), "at": str(time.time_ns())}
        mine = isinstance(order, dict) and order.get("to") == send.BATCH and order["at"] != before
        told |= {"sent": order["batch"]} if mine else {}
        return [gr.update(told=told), order["at"] if mine else before]

    def refused(event: gr.EventData) -> None:
        watch.warn(say, str(event.sentence))

    def closer(event: gr.EventData) -> list[Any]:
        return [send.order(send.REVIEW, str(event.run), str(event.stem)), gr.Tabs(selected=send.REVIEW)]

    def paint(event: gr.EventData) -> list[Any]:
        return [send.order(send.PAINT, str(event.run), str(event.stem)), gr.Tabs(selected=send.PAINT)]

    def review(event: gr.EventData) -> list[Any]:
        return [send.order(send.REVIEW, str(event.run), ""), gr.Tabs(selected=send.REVIEW)]

    card.arrive(arrive, [page.project, page.sent, taken], [card, taken], trigger_mode="always_last", **QUIET)
    card.refuse(refused, None, None, trigger_mode="multiple", **QUIET)
    card.pictures(lambda: gr.Tabs(selected=send.DATA), None, page.tabs, **QUIET)
    for event, answer in ((card.closer, closer), (card.paint, paint), (card.review, review)):
        event(answer, None, [page.sent, page.tabs], **QUIET)


def _runs(context: Context, page: Page, card: Any, run: Any) -> None:
    """Make submits all, or the first few to look at; the job bar follows it, also after a refresh."""
    say = page.say

    def submit(held: Any, event: gr.EventData) -> list[Any]:
        with watch.refusals(say):
            data = batching.asked(context, held, bool(event.first))
        id = watch.submit(context, say, data)
        return [gr.update(told={"run": id, "at": str(time.time_ns())}), id]

    def resumed(event: gr.EventData) -> str:
        return str(event.run)

    follow, shown = watch.in_bar(context, say), [page.bar, page.stop]
    card.make(submit, card, [card, run], **QUIET).success(follow, run, shown, concurrency_limit=None, **QUIET)
    card.resumed(resumed, None, run, **QUIET).success(follow, run, shown, concurrency_limit=None, **QUIET)
    page.here.arrive(watch.again(context, follow, watch.nothing), run, shown, concurrency_limit=None, **QUIET)


def hand_over(context: Context, page: Page, go: Any, inputs: list[Any], read: str, ask: Callable[..., Any]) -> None:
    """The button "make many of this" of Paint or Control: what Generate would ask for, as the template of a batch."""
    say = page.say

    def many(sent: Any, held: Any) -> list[Any]:
        with watch.refusals(say):
            data = ask(context, sent, canvas.painting(sent), held)
            product = str(held.get("product", "")) if isinstance(held, dict) else ""
            found = batching.handed(context, data, product)
        return [{"to": send.BATCH, "batch": found, "at": str(time.time_ns())}, gr.Tabs(selected=send.BATCH)]

    go.many(many, inputs, [page.sent, page.tabs], js=read, **QUIET)
