"""The Generate tab: words, a picture to start from or none, Generate; then the pictures side by side, keep or discard.

Draws the tab and wires it. What can be asked, studio/making knows; what is held in the form, widgets/make.js.
"""

import time
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from pipelines.core.errors import Problem
from pipelines.core.requests import Dual, Text
from studio import making, pictures, restore, results, watch
from studio.context import Context
from studio.i18n import Language
from studio.page import QUIET, Page
from studio.tabs import send
from studio.widgets import FOLDER, widget
from studio.widgets import compare as comparing

SCRIPTS = ("which_controls.js", "adapter_list.js", "make_picture.js", "make_adapters.js")
NOTHING: dict[str, Any] = {"bases": [], "adapters": [], "trainings": [], "project": {}, "at": ""}


def build(context: Context, page: Page) -> None:
    """Draws the tab in the block that is open, and wires it."""
    say = page.say
    with gr.Row(elem_id="make-tab", equal_height=False):
        with gr.Column(elem_id="make-left"):
            how, targets = say("make.how"), [send.CONTROL, send.REVIEW, send.DATA]
            compare = comparing.build(say, targets=targets, elem_id="make-compare", how=how)
        with gr.Column(elem_id="make-right"):
            card = _draw(say)
    run = gr.BrowserState("", storage_key="flawsmith-made", secret="flawsmith")
    _choices(context, page, card)
    _runs(context, page, card, compare, run)
    send.wire(context, page, compare, start=True)


def _draw(say: Language) -> Any:
    kept = {name: text for name, text in say.table("which").items() if isinstance(text, str)}
    return widget(
        "make",
        None,
        scripts=[FOLDER / name for name in SCRIPTS],
        styles=[FOLDER / "which.css"],
        menu=NOTHING,
        fields=making.controls(say),
        paired=making.paired(),
        samples=pictures.strip(say),
        put=None,
        told={},
        words={**kept, **say.table("make")},
        language=say.code,
        elem_id="make-card",
    )


def _choices(context: Context, page: Page, card: Any) -> None:
    """What the form offers, and whatever is put into it."""
    say = page.say

    taken = gr.State("")

    def arrive(project: Any, order: Any, before: str) -> list[Any]:
        """What can be chosen, and what another tab handed over since the last look.

        Nothing is sent to the card before it was seen: Gradio 6.31 mounts a gr.HTML that was updated unseen with the
        update alone, without its other props.
        """
        with watch.refusals(say):
            menu = gr.update(menu=making.offered(context, say, project))
            if not isinstance(order, dict) or order.get("to") != send.GENERATE or order["at"] == before:
                return [menu, gr.skip()]
            return [{**menu, **sent(order)}, order["at"]]

    def sampled(event: gr.EventData) -> Any:
        with watch.refusals(say):
            return put(picture=making.of_asset(pictures.take_sample(context, str(event.id))))

    def restored(event: gr.EventData) -> Any:
        with watch.refusals(say):
            return _restored(context, say, str(event.asset))

    def sent(order: dict[str, Any]) -> Any:
        """What another tab hands over: a picture made of words brings its form, any other is one to start from."""
        if order.get("pairs"):
            return put(pairs=order["pairs"])
        if order.get("asset"):
            return _restored(context, say, str(order["asset"]))
        run, stem = str(order.get("run")), str(order.get("stem"))
        path = restore.picture_of(context, run, stem)
        name = path.name if context.queue.get(run).task in ("text", "dual") else f"{run}-{path.name}"
        return _restored(context, say, context.assets.put(path, name).id)

    def refused(event: gr.EventData) -> None:
        watch.warn(say, str(event.sentence))

    card.arrive(arrive, [page.project, page.sent, taken], [card, taken], trigger_mode="always_last", **QUIET)
    card.sample(sampled, None, card, **QUIET)
    card.restore(restored, None, card, **QUIET)
    card.refuse(refused, None, None, **QUIET)
    card.models(lambda: gr.Tabs(selected="models"), None, page.tabs, **QUIET)


def _restored(context: Context, say: Language, id: str) -> Any:
    """The form of a picture that was made here of words; any other picture is one to start from."""
    asset = context.assets.get(id)
    try:
        request, names = restore.request_of(asset.path, asset.name)
    except Problem:
        return put(picture=making.of_asset(asset))
    if isinstance(request, Dual):
        return put(form=making.of_pairs(context, request))
    if not isinstance(request, Text):
        return put(picture=making.of_asset(asset))
    found = making.restored(context, request, names)
    for sentence in found.missing:
        watch.warn(say, sentence)
    return put(form=found.form)


def put(**what: Any) -> Any:
    """What sets the form, also to what it was set to before."""
    return gr.update(put={**what, "at": str(time.time_ns())})


def _runs(context: Context, page: Page, card: Any, compare: Any, run: Any) -> None:
    """Generate submits and follows; a window that opens follows on what its browser made last."""
    say = page.say

    def submit(held: Any) -> str:
        with watch.refusals(say):
            data = making.asked(held)
        return watch.submit(context, say, data)

    async def follow(id: Any) -> AsyncIterator[list[Any]]:
        async for row in watch.follow(context, id):
            failed = row.sentence if row is not None and row.sentence and row.state != "done" else ""
            told = {"busy": row is not None and not row.over, "failed": watch.capital(say.sentence(failed))}
            yield [*watch.bar(context, say, row), gr.update(told=told), results.comparison(context, say, row)]

    async def again(id: Any) -> AsyncIterator[list[Any]]:
        """What is over needs no place in the job bar, which may show another run."""
        row = watch.find(context, id)
        if row is not None and not row.over:
            async for bar, stop, _, made in follow(id):
                yield [bar, stop, made]
        else:
            yield [gr.skip(), gr.skip(), results.comparison(context, say, row)]

    async def busy(id: Any) -> AsyncIterator[Any]:
        """Whether a run of before is still on, for a card that was not there when it began."""
        row = watch.find(context, id)
        if row is not None and not row.over:
            async for _, _, told, _ in follow(id):
                yield told

    def judge(event: gr.EventData) -> None:
        with watch.refusals(say):
            results.judge(context, results.changes(event.changes))

    shown = [page.bar, page.stop, card, compare]
    begun = card.generate(submit, card, run, **QUIET)
    begun.success(follow, run, shown, concurrency_limit=None, **QUIET)
    page.here.arrive(again, run, [page.bar, page.stop, compare], concurrency_limit=None, **QUIET)
    card.arrive(busy, run, card, trigger_mode="once", concurrency_limit=None, **QUIET)
    compare.judge(judge, None, None, trigger_mode="multiple", concurrency_limit=1, **QUIET)
