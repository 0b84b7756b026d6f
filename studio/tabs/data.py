"""The Data tab: projects, their pictures, and every way a picture comes in. The first thing an inspector does.

Draws the tab and wires it. The widget asks the routes of studio.projects and studio.folders itself; events come here
only for what the rest of the page must hear of.
"""

import time
from typing import Any

import gradio as gr

from studio import pictures, shelf, watch
from studio.context import Context
from studio.i18n import Language
from studio.page import QUIET, Page
from studio.tabs import prepare
from studio.widgets import FOLDER, widget

PARTS = ("open", "server", "take", "projects", "browse", "labels", "details", "statistics", "zip", "ingest", "pack")


def build(context: Context, page: Page) -> None:
    """Draws the tab in the block that is open, and wires it."""
    say = page.say
    found = widget(
        "shelf",
        {},
        scripts=[FOLDER / f"shelf_{name}.js" for name in PARTS],
        words={**say.table("data"), "faults": say.table("train")["faults"]},
        language=say.code,
        samples=pictures.strip(say),
        elem_id="data",
    )
    _wire(context, page, found)
    prepare.build(page)


def _wire(context: Context, page: Page, widget: Any) -> None:
    say = page.say

    def arrive(id: Any, event: gr.EventData) -> list[Any]:
        """What this browser had open, or the newest. Who chose one meanwhile keeps that: `choices` goes back."""
        project = context.projects.newest(id if isinstance(id, str) else "")
        found = project.id if project else ""
        choices = int(event.choices) if hasattr(event, "choices") else 0
        return [{**shown(found), "choices": choices}, gr.skip() if found == id else found]

    def chosen(event: gr.EventData) -> list[Any]:
        """Another project: Paint takes up its picture and what its form held."""
        id = str(event.id)
        with watch.refusals(say):
            asset = context.projects.get(id).open if id else ""
        return [id, order(id, asset)]

    def opened(event: gr.EventData) -> list[Any]:
        with watch.refusals(say):
            project = context.projects.change(str(event.project), open=str(event.asset))
        return [project.id, order(project.id, project.open), gr.Tabs(selected="paint")]

    def drawn(event: gr.EventData) -> list[Any]:
        """A picture whose mask is to be drawn: Paint shows the one it has, and offers to keep the new one."""
        id, asset = str(event.project), str(event.asset)
        with watch.refusals(say):
            record = context.projects.records(id).get(asset)
            project = context.projects.change(id, open=asset)
        draw = {"draw": {"mask": record.mask, "defect": record.defect}}
        return [project.id, {**order(project.id, asset), **draw}, gr.Tabs(selected="paint")]

    def sampled(id: Any, event: gr.EventData) -> list[Any]:
        with watch.refusals(say):
            project = shelf.took(context, say, id, [pictures.take_sample(context, str(event.sample))], open=False)
        return [shown(project.id), project.id]

    def told(event: gr.EventData) -> dict[str, Any]:
        """What was refused, in the page's language."""
        refused = [_told(say, str(one["name"]), str(one["message"])) for one in event.refused]
        return {"told": {"sum": str(event.sum), "refused": refused}, "at": str(time.time_ns())}

    def refused(event: gr.EventData) -> None:
        watch.warn(say, str(event.sentence))

    # None is dropped because another is on its way: an arrow key that is held chooses one project after the other.
    last: dict[str, Any] = {"trigger_mode": "always_last", **QUIET}
    each: dict[str, Any] = {"trigger_mode": "multiple", "concurrency_limit": 1, **QUIET}
    for seen in (widget.arrive, page.here.arrive):
        seen(arrive, page.project, [widget, page.project], **last)
    widget.project(chosen, None, [page.project, page.sent], **last)
    widget.open(opened, None, [page.project, page.sent, page.tabs], **last)
    widget.draw(drawn, None, [page.project, page.sent, page.tabs], **QUIET)
    widget.sample(sampled, page.project, [widget, page.project], **each)
    widget.told(told, None, widget, **each)
    widget.refuse(refused, None, None, **each)


def _told(say: Language, name: str, message: str) -> str:
    """What became of one file; most sentences name it themselves."""
    return say.sentence(message) if name in message else f"{name}: {say.sentence(message)}"


def shown(project: str) -> dict[str, Any]:
    """The project the widget opens; a new value even when it is the same, so that the widget hears of it."""
    return {"project": project, "at": str(time.time_ns())}


def order(project: str, asset: str) -> dict[str, Any]:
    """What Paint hears: a project with the picture that is open in it, "" for none."""
    return {"to": "paint", "at": time.time_ns(), "project": project, "asset": asset}
