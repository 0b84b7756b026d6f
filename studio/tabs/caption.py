"""The Caption tab: what is said of each picture of the project, written by hand, by rule, or by looking.

Draws the tab and wires it. The widget asks the routes of studio.labels and studio.captions itself; events come here for
the run that writes captions, and for what the rest of the page must hear of.
"""

import time
from typing import Any

import gradio as gr

from studio import captioning, watch
from studio.context import Context
from studio.page import QUIET, Page
from studio.widgets import FOLDER, widget

SCRIPTS = (
    "train_server.js",
    "caption_open.js",
    "caption_rows.js",
    "caption_tools.js",
    "caption_write.js",
    "caption_compare.js",
)


def build(context: Context, page: Page) -> None:
    """Draws the tab in the block that is open, and wires it."""
    card = widget(
        "caption",
        None,
        scripts=[FOLDER / name for name in SCRIPTS],
        told={},
        words=page.say.table("caption"),
        language=page.say.code,
        elem_id="caption",
    )
    run = gr.BrowserState("", storage_key="flawsmith-captioned", secret="flawsmith")
    _shown(context, page, card)
    _runs(context, page, card, run)


def _shown(context: Context, page: Page, card: Any) -> None:
    """Which project is on show, and what leads away from it."""

    def arrive(id: Any) -> Any:
        """What this browser has open under Data, or the newest. Nothing is sent to the card before it was seen."""
        project = context.projects.newest(id if isinstance(id, str) else "")
        return gr.update(told={"project": project.id if project else "", "at": str(time.time_ns())})

    def refused(event: gr.EventData) -> None:
        watch.warn(page.say, str(event.sentence))

    card.arrive(arrive, page.project, card, trigger_mode="always_last", **QUIET)
    card.refuse(refused, None, None, trigger_mode="multiple", **QUIET)
    card.pictures(lambda: gr.Tabs(selected="data"), None, page.tabs, **QUIET)


def _runs(context: Context, page: Page, card: Any, run: Any) -> None:
    """Write captions submits; the job bar follows it, also after a refresh, and one that goes on."""
    say = page.say

    def submit(held: Any) -> list[Any]:
        with watch.refusals(say):
            data = captioning.asked(context, held)
        id = watch.submit(context, say, data)
        return [gr.update(told={"run": id, "at": str(time.time_ns())}), id]

    def resumed(event: gr.EventData) -> str:
        return str(event.run)

    follow, shown = watch.in_bar(context, say), [page.bar, page.stop]
    card.ask(submit, card, [card, run], **QUIET).success(follow, run, shown, concurrency_limit=None, **QUIET)
    card.resumed(resumed, None, run, **QUIET).success(follow, run, shown, concurrency_limit=None, **QUIET)
    page.here.arrive(watch.again(context, follow, watch.nothing), run, shown, concurrency_limit=None, **QUIET)
