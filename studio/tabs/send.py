"""Hands a result from one tab to another: to be painted on, painted again, looked at, or added to the project.

Says what is handed over; the tab that takes it hears `page.sent` and knows what to do with it. Only the project is
served here: it takes a picture whether its tab was ever opened or not.
"""

import html
import time
from typing import Any

import gradio as gr

from pipelines.core.queue import Row
from studio import restore, shelf, watch
from studio.context import Context
from studio.page import QUIET, Page

PAINT, CONTROL, GENERATE, BATCH, REVIEW, DATA = "paint", "control", "generate", "batch", "review", "data"


def wire(context: Context, page: Page, compare: Any, *, start: bool = False) -> None:
    """The menu of a comparison; with `start` also its button that goes on painting, where the tab has no canvas."""

    def send(project: Any, event: gr.EventData) -> list[Any]:
        to, run, stem = str(event.to), str(event.run), str(event.stem)
        if to == DATA:
            return [gr.skip(), gr.skip(), _added(context, page, project, run, stem)]
        found = watch.find(context, run)
        # Nothing is painted on a picture that was made whole: it is one to paint on.
        start = to == PAINT and found is not None and _whole(found)
        start = start or (to == CONTROL and found is not None and found.task in ("text", "dual"))
        return [order(to, run, stem, start=start), gr.Tabs(selected=to), gr.skip()]

    def go_on(event: gr.EventData) -> list[Any]:
        return [order(PAINT, str(event.run), str(event.stem), start=True), gr.Tabs(selected=PAINT)]

    compare.send(send, page.project, [page.sent, page.tabs, page.project], **QUIET)
    if start:
        compare.start(go_on, None, [page.sent, page.tabs], **QUIET)


def _whole(row: Row) -> bool:
    if row.task == "batch":
        return bool(row.request["template"]["task"] == "text")
    return row.task in ("text", "dual") or not (row.request.get("mask") or row.request.get("regions"))


def order(to: str, run: str, stem: str, *, start: bool = False) -> dict[str, Any]:
    """What `page.sent` holds; the time makes the same picture sent twice a new order."""
    return {"to": to, "run": run, "stem": stem, "start": start, "at": str(time.time_ns())}


def _added(context: Context, page: Page, project: Any, run: str, stem: str) -> str:
    """Puts a copy of the result into the open project; returns the project's id."""
    say = page.say
    with watch.refusals(say):
        path = restore.picture_of(context, run, stem)
        found = shelf.took(context, say, project, [context.assets.put(path, f"{run}-{path.name}")], open=False)
    told = html.escape(say("review.added", project=found.name))
    gr.Info(told, title=say("shell.tabs.data"), duration=watch.TOAST_S)
    return found.id
