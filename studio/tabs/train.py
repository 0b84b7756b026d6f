"""The Train tab: what to learn from and what to learn at the right, and at the left how it goes while it is learned.

Draws the tab and wires it. What can be asked, studio/training knows; how a training goes, the left side asks of the
routes of studio/trainings itself.
"""

import time
from typing import Any

import gradio as gr

from pipelines.core import training_presets
from pipelines.core.errors import Problem
from studio import training, watch
from studio.context import Context
from studio.i18n import Language
from studio.page import QUIET, Page
from studio.tabs.send import GENERATE
from studio.widgets import FOLDER, widget

SCRIPTS = ("which_controls.js", "train_server.js", "data_menu.js", "train_data.js", "train_check.js")
LOOKS = ("train_server.js", "trained_chart.js", "trained_samples.js")
NOTHING: dict[str, Any] = {"bases": [], "starts": [], "words": [], "at": ""}


def build(context: Context, page: Page) -> None:
    """Draws the tab in the block that is open, and wires it."""
    say = page.say
    with gr.Row(elem_id="train-tab", equal_height=False):
        with gr.Column(elem_id="train-left"):
            seen = widget(
                "trained",
                None,
                scripts=[FOLDER / name for name in LOOKS],
                words=say.table("train"),
                language=say.code,
                elem_id="trained",
            )
        with gr.Column(elem_id="train-right"):
            card = _draw(say)
    run = gr.BrowserState("", storage_key="flawsmith-trained", secret="flawsmith")
    _choices(context, page, card, seen)
    _runs(context, page, card, seen, run)


def _draw(say: Language) -> Any:
    kept = {name: text for name, text in say.table("which").items() if isinstance(text, str)}
    return widget(
        "train",
        None,
        scripts=[FOLDER / name for name in SCRIPTS],
        styles=[FOLDER / "which.css", FOLDER / "make.css"],
        menu=NOTHING,
        fields=training.controls(say),
        groups=training.groups(say),
        recipes=training.recipes(),
        first={"recipe": "good", "preset": training_presets.FIRST},
        every_type=training.EVERY,  # `every` is gr.HTML's own
        told={},
        words={**kept, **say.table("train")},
        language=say.code,
        elem_id="train-card",
    )


def _choices(context: Context, page: Page, card: Any, seen: Any) -> None:
    """What the form offers, what was refused, and an adapter on its way to Paint."""
    say = page.say

    def arrive() -> Any:
        """What can be chosen now. Nothing is sent to the card before it was seen, as to that of Generate."""
        with watch.refusals(say):
            return gr.update(menu=training.offered(context, say))

    def refused(event: gr.EventData) -> None:
        watch.warn(say, str(event.sentence))

    def use(event: gr.EventData) -> list[Any]:
        with watch.refusals(say):
            if (pairs := training.pairs(context, str(event.run))) is not None:
                return [{"to": GENERATE, "pairs": pairs, "at": str(time.time_ns())}, gr.Tabs(selected=GENERATE)]
            form = training.used(context, say, str(event.run))
        return [{"to": "paint", "form": form, "at": str(time.time_ns())}, gr.Tabs(selected="paint")]

    card.arrive(arrive, None, card, trigger_mode="always_last", **QUIET)
    card.refuse(refused, None, None, **QUIET)
    card.models(lambda: gr.Tabs(selected="models"), None, page.tabs, **QUIET)
    seen.refuse(refused, None, None, **QUIET)
    seen.use(use, None, [page.sent, page.tabs], **QUIET)


def _runs(context: Context, page: Page, card: Any, seen: Any, run: Any) -> None:
    """Train submits, one training or one a defect; the job bar follows the first of them, or one that goes on."""
    say = page.say

    def submit(held: Any) -> list[Any]:
        with watch.refusals(say):
            ids = training.submitted(context, held)
        return [gr.update(told={"queued": ids, "at": str(time.time_ns())}), ids[0]]

    def estimated(held: Any) -> Any:
        """A few real steps; the card itself hears how they went."""
        id = ""
        try:
            (id,) = training.submitted(context, {**(held if isinstance(held, dict) else {}), "estimate": True})
        except Problem as error:
            watch.warn(say, str(error))
        return gr.update(told={"estimate": id, "at": str(time.time_ns())})

    def resumed(event: gr.EventData) -> str:
        return str(event.run)

    follow, shown = watch.in_bar(context, say), [page.bar, page.stop]
    card.train(submit, card, [card, run], **QUIET).success(follow, run, shown, concurrency_limit=None, **QUIET)
    gone_on = seen.resumed(resumed, None, run, **QUIET)
    gone_on.success(follow, run, shown, concurrency_limit=None, **QUIET)
    card.estimate(estimated, card, card, **QUIET)
    page.here.arrive(watch.again(context, follow, watch.nothing), run, shown, concurrency_limit=None, **QUIET)
