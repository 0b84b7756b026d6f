"""The Control tab: a picture, the maps that hold it, a defect, Generate; then before and after, keep or discard.

Draws the tab and wires it. Canvas, card and comparison are those of Paint, with a memory of their own; what maps can
hold, studio/steering knows, what is asked, studio/asking.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from pipelines.core.errors import Problem
from pipelines.core.queue import Row
from studio import api, asking, canvas, menu, pictures, results, steering, watch
from studio.context import Context
from studio.i18n import Language
from studio.page import QUIET, Page
from studio.tabs import batch, bring, paint, send, ship, which
from studio.widgets import FOLDER, widget
from studio.widgets import compare as comparing

CANVAS, WHERE, JUDGE = "control-canvas", "control-where", "control-judge"
CARD = f"document.querySelector('#{which.CONTROL.id} .wh').which.read()"
PAINTED = f"await document.querySelector('#{CANVAS} .mc').canvas.read()"
STEER = "document.querySelector('#control-steer .st').steer"
READ = f"async () => [{PAINTED}, {CARD}]"
READ_MAPS = f"async () => [{PAINTED}, {{...{CARD}, ...{STEER}.wanted()}}]"
READ_TRIED = f"async () => [{PAINTED}, {{...{CARD}, tried: {STEER}.tried()}}]"
SCRIPTS = ("which_controls.js", "steer_rows.js", "steer_tried.js")
TAB = bring.Tab("control", WHERE, which.CONTROL, drafts=False)
MEMORY = {"secret": "flawsmith"}


@dataclass(frozen=True)
class Parts:
    """The tab's components."""

    strip: Any
    stages: Any
    painted: Any
    steer: Any
    compare: Any
    card: Any
    go: Any
    out: ship.Out


def build(context: Context, page: Page) -> None:
    """Draws the tab in the block that is open, and wires it."""
    parts = _draw(page.say)
    run = gr.BrowserState("", storage_key="flawsmith-steered", **MEMORY)
    picture = gr.BrowserState("", storage_key="flawsmith-steered-picture", **MEMORY)
    form = gr.BrowserState({}, storage_key="flawsmith-steered-form", **MEMORY)
    # Nothing may be sent to what stands here before it was seen: Generate says when that is.
    own = replace(page, here=parts.go, run=run, picture=picture, form=form)
    which.wire(context, own, parts.card, parts.painted, which.CONTROL)
    places = bring.Places(parts.painted, parts.strip, parts.stages, parts.compare, parts.card)
    _arrivals(context, own, parts, bring.wire(context, own, places, TAB), page.picture)
    send.wire(context, own, parts.compare)
    ship.wire(context, own, parts.compare, parts.out)
    _runs(context, own, parts)
    batch.hand_over(context, page, parts.go, [parts.painted, parts.card], READ, asking.control)
    _maps(context, own, parts)
    _tried(context, own, parts)


def _draw(say: Language) -> Parts:
    start = {"defect": which.first(say)}
    with gr.Row(elem_id="control", elem_classes="painting", equal_height=False):
        with gr.Column(elem_id="control-left"), gr.Tabs(elem_id="control-stages", elem_classes="stages") as stages:
            with gr.Tab(say("control.where"), id=WHERE):
                words = {"samples": say("paint.samples"), "project": say("paint.project")}
                strip = widget(
                    "samples", {"items": []}, samples=pictures.strip(say), words=words, elem_id="control-samples"
                )
                painted = canvas.mask_canvas(
                    titles=menu.titles(say),
                    start=start,
                    words={**say.table("canvas"), "next_map": say("control.next_map")},
                    memory="-control",
                    elem_id=CANVAS,
                )
                steer = _draw_steer(say)
            with gr.Tab(say("paint.judge"), id=JUDGE):
                targets = [send.CONTROL, send.PAINT, send.GENERATE, send.REVIEW, send.DATA]
                compare = comparing.build(say, targets=targets, elem_id="control-compare", how=say("control.how"))
        with gr.Column(elem_id="control-right"):
            card = which.draw(say, CANVAS, which.CONTROL)
            words = say.table("paint")["go"]
            go = widget("go", None, at=which.CONTROL.at, words=words, painted=CANVAS, elem_id="control-go")
            out = ship.draw(say, which.CONTROL.at)
    return Parts(strip, stages, painted, steer, compare, card, go, out)


def _draw_steer(say: Language) -> Any:
    kept = {name: text for name, text in say.table("which").items() if isinstance(text, str)}
    offered = steering.offered(say)
    return widget(
        "steer",
        None,
        scripts=[FOLDER / name for name in SCRIPTS],
        styles=[FOLDER / "which.css"],
        **{**offered, "words": {**kept, **offered["words"]}},
        uploads="/api/uploads",
        card=which.CONTROL.id,
        painted=CANVAS,
        maps={},
        grid={},
        language=say.code,
        elem_id="control-steer",
    )


def _arrivals(context: Context, page: Page, parts: Parts, comes: bring.Bring, on_paint: Any) -> None:
    """What is shown when the tab is first opened, and what other tabs send to it, then and later."""
    there = gr.State(False)
    shown = [parts.painted, parts.stages, page.picture, parts.card, page.project, parts.strip]

    def arrive(order: Any, asset: Any, painted: Any, project: Any, held: Any) -> list[Any]:
        """What was sent; else what was here before, else what is open under Paint."""
        if isinstance(order, dict) and order.get("to") == TAB.id:
            return [*comes.sent(order, project, held), True]
        canvas, strip = comes.again(asset or painted, project)
        return [canvas, *[gr.skip()] * 4, strip, True]

    def sent(order: Any, project: Any, held: Any, seen: bool) -> list[Any]:
        return comes.sent(order, project, held) if seen else [gr.skip()] * 6

    known = [page.sent, page.picture, on_paint, page.project, parts.card]
    parts.go.arrive(arrive, known, [*shown, there], **QUIET)
    page.sent.change(sent, [page.sent, page.project, parts.card, there], shown, **QUIET)
    parts.go.seen(lambda: which.renewed(context, page.say, which.CONTROL), None, parts.card, **QUIET)
    parts.steer.models(lambda: gr.Tabs(selected="models"), None, page.tabs, **QUIET)
    parts.steer.refuse(comes.refused, None, None, **QUIET)


def _runs(context: Context, page: Page, parts: Parts) -> None:
    """Generate submits and follows; a window that opens follows on what its browser made here last."""
    say, follow = page.say, paint.follower(context, page.say, JUDGE)

    def submit(sent: Any, held: Any) -> str:
        with watch.refusals(say):
            data = asking.control(context, sent, canvas.painting(sent), held)
        return watch.submit(context, say, data)

    def over(row: Row | None) -> list[Any]:
        return [*[gr.skip()] * 3, results.comparison(context, say, row), gr.skip()]

    shown = [page.bar, page.stop, parts.go, parts.compare, parts.stages]
    begun = parts.go.generate(submit, [parts.painted, parts.card], page.run, js=READ, **QUIET)
    begun.success(follow, page.run, shown, concurrency_limit=None, **QUIET)
    page.here.arrive(watch.again(context, follow, over), page.run, shown, concurrency_limit=None, **QUIET)


def _maps(context: Context, page: Page, parts: Parts) -> None:
    """The maps that would steer, made while nobody waits for them; a newer asking stops an older one."""
    previews = steering.Previews(context)

    async def look(sent: Any, held: Any) -> AsyncIterator[Any]:
        turn, before = _turn(held)
        previews.give_up(before)
        try:
            run = api.submit(context, asking.maps(context, sent, canvas.painting(sent), held))
        except Problem as problem:
            failed = watch.capital(page.say.sentence(str(problem)))
            yield gr.update(maps={**steering.maps(context, page.say, None, turn), "failed": failed})
            return
        previews.mine(run)
        async for row in watch.follow(context, run):
            yield gr.update(maps=steering.maps(context, page.say, row, turn))

    args: dict[str, Any] = {"js": READ_MAPS, "trigger_mode": "multiple", "concurrency_limit": None}
    parts.steer.look(look, [parts.painted, parts.card], parts.steer, **args, **QUIET)


def _turn(held: Any) -> tuple[int, str]:
    """Which asking this is, and the run of the one before, as the browser says."""
    table = held if isinstance(held, dict) else {}
    turn = table.get("turn")
    return (turn if isinstance(turn, int) else 0), str(table.get("before") or "")


def _tried(context: Context, page: Page, parts: Parts) -> None:
    """Find good values: several strengths of words and maps, a picture with each, to choose one by looking."""
    say = page.say
    swept = gr.BrowserState("", storage_key="flawsmith-swept", **MEMORY)

    def submit(sent: Any, held: Any) -> str:
        with watch.refusals(say):
            data = asking.tried(context, sent, canvas.painting(sent), held)
        return watch.submit(context, say, data)

    async def follow(run: Any) -> AsyncIterator[list[Any]]:
        async for row in watch.follow(context, run):
            yield [*watch.bar(context, say, row), gr.update(grid=steering.grid(context, say, row))]

    def over(row: Row | None) -> list[Any]:
        return [gr.skip(), gr.skip(), gr.update(grid=steering.grid(context, say, row))]

    shown = [page.bar, page.stop, parts.steer]
    begun = parts.steer.try_values(submit, [parts.painted, parts.card], swept, js=READ_TRIED, **QUIET)
    begun.success(follow, swept, shown, concurrency_limit=None, **QUIET)
    page.here.arrive(watch.again(context, follow, over), swept, shown, concurrency_limit=None, **QUIET)
