"""The Paint tab: a picture, a painted area, a defect, Generate; then before and after, keep or discard.

Draws the tab and wires it. What a run does, and where its files are, is known elsewhere.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from studio import asking, canvas, menu, pictures, results, watch
from studio.context import Context
from studio.i18n import Language
from studio.page import QUIET, Page
from studio.tabs import batch, bring, send, ship, which
from studio.widgets import compare as comparing
from studio.widgets import widget

CANVAS = "paint-canvas"
READ = (
    f"async () => [await document.querySelector('#{CANVAS} .mc').canvas.read(),"
    " document.querySelector('#which .wh').which.read()]"
)
JUDGE = "paint-judge"


@dataclass(frozen=True)
class Parts:
    """The tab's components."""

    strip: Any
    stages: Any
    painted: Any
    compare: Any
    card: Any
    go: Any
    out: ship.Out


def build(context: Context, page: Page) -> None:
    """Draws the tab in the block that is open, and wires it."""
    parts = _draw(page.say)
    which.wire(context, page, parts.card, parts.painted)
    bring.wire(context, page, bring.Places(parts.painted, parts.strip, parts.stages, parts.compare, parts.card))
    send.wire(context, page, parts.compare)
    ship.wire(context, page, parts.compare, parts.out)
    _runs(context, page, parts)
    template = partial(asking.inpaint, unpainted=True)
    batch.hand_over(context, page, parts.go, [parts.painted, parts.card], READ, template)


def _draw(say: Language) -> Parts:
    start = {**menu.START, "defect": which.first(say)}
    with gr.Row(elem_id="paint", elem_classes="painting", equal_height=False):
        with gr.Column(elem_id="paint-left"), gr.Tabs(elem_id="paint-stages", elem_classes="stages") as stages:
            with gr.Tab(say("paint.where"), id=bring.PAINT):
                words = {"samples": say("paint.samples"), "project": say("paint.project")}
                strip = widget("samples", {"items": []}, samples=pictures.strip(say), words=words, elem_id="samples")
                painted = canvas.mask_canvas(
                    titles=menu.titles(say), start=start, words=say.table("canvas"), elem_id=CANVAS
                )
            with gr.Tab(say("paint.judge"), id=JUDGE):
                targets = [send.PAINT, send.CONTROL, send.GENERATE, send.REVIEW, send.DATA]
                compare = comparing.build(say, targets=targets, elem_id="compare")
        with gr.Column(elem_id="paint-right"):
            card = which.draw(say, CANVAS)
            go = widget("go", None, at="", words=say.table("paint")["go"], painted=CANVAS, elem_id="go")
            out = ship.draw(say)
    return Parts(strip, stages, painted, compare, card, go, out)


def _runs(context: Context, page: Page, parts: Parts) -> None:
    """Generate submits and follows; a window that opens follows on what its browser painted last."""

    def submit(sent: Any, held: Any) -> str:
        with watch.refusals(page.say):
            data = asking.inpaint(context, sent, canvas.painting(sent), held)
        return watch.submit(context, page.say, data)

    def follow(event: Callable[..., Any]) -> None:
        shown = [page.bar, page.stop, parts.go, parts.compare, parts.stages]
        event(follower(context, page.say, JUDGE), page.run, shown, concurrency_limit=None, **QUIET)

    follow(parts.go.generate(submit, [parts.painted, parts.card], page.run, js=READ, **QUIET).success)
    follow(page.here.arrive)


def follower(context: Context, say: Language, judge: str) -> Callable[[Any], AsyncIterator[list[Any]]]:
    """For bar, Stop, Generate, comparison and stages: what to show of a run. `judge` is the stage of its result."""

    async def follow(run: Any) -> AsyncIterator[list[Any]]:
        """Turns to the result as soon as it is being drawn; the variants follow one by one."""
        turned = False
        async for row in watch.follow(context, run):
            begun = row is not None and (row.state == "running" or row.done > 0)
            stage = gr.Tabs(selected=judge) if begun and not turned else gr.skip()
            turned = turned or begun
            failed = row.sentence if row is not None and row.sentence and row.state != "done" else ""
            told = {"busy": row is not None and not row.over, "failed": watch.capital(say.sentence(failed))}
            yield [*watch.bar(context, say, row), told, results.comparison(context, say, row), stage]

    return follow
