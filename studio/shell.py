"""The frame of the page: header with the job bar, then the tabs in working order. Knows no tab from the inside."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from studio import theme, watch
from studio.context import Context
from studio.i18n import Language
from studio.page import QUIET, Page
from studio.tabs import adapters, batch, caption, control, data, generate, models, paint, review, settings, train
from studio.widgets import device, tour, widget

TABS: dict[str, Callable[[Context, Page], None]] = {
    "data": data.build,
    "caption": caption.build,
    "train": train.build,
    "paint": paint.build,
    "control": control.build,
    "generate": generate.build,
    "batch": batch.build,
    "review": review.build,
    "models": models.build,
    "adapters": adapters.build,
    "settings": settings.build,
}
FIRST = "paint"
"""The tab that is open at the start: with a picture the work goes on, without one the canvas says how to begin."""
BRAND = (
    '<div class="brand"><svg viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="7"/>'
    '<path d="M7 23.5 14.2 15l2.3 3.2L25 8.5"/></svg><h1>Flawsmith</h1></div>'
)

# A browser remembers its own run ids, which open nothing by themselves; a fixed key lets them outlive a restart.
MEMORY = {"secret": "flawsmith"}

# Gradio works on this many events at a time, 40 unless told otherwise: each open window holds one (`_present`), a run
# that is followed another. How many calls of one handler run at a time is another matter, and small.
MOST_WINDOWS = 1000
AT_ONCE = 4
BEAT_S = 5.0
LOOK_S, PROGRESS_S = 0.02, 0.5
"""How often Gradio looks for events, and for progress, which we tell in another way. With a page in each of four
languages its own 0.001 s and 0.01 s cost 7 % of a core at rest, these 1 %."""


def build(context: Context, say: Language) -> gr.Blocks:
    """The whole page in one language."""
    with gr.Blocks(title=say("shell.title"), analytics_enabled=False, fill_width=True) as blocks:
        run = gr.BrowserState("", storage_key="flawsmith-run", **MEMORY)
        picture = gr.BrowserState("", storage_key="flawsmith-picture", **MEMORY)
        export = gr.BrowserState("", storage_key="flawsmith-export", **MEMORY)
        project = gr.BrowserState("", storage_key="flawsmith-project", **MEMORY)
        form = gr.BrowserState({}, storage_key="flawsmith-form", **MEMORY)
        sent = gr.State({})
        with gr.Row(elem_id="header", equal_height=True):
            gr.HTML(BRAND, elem_id="brand")
            bar = widget("bar", watch.job(say, None), words=say.table("bar"), runs="/api/runs", elem_id="bar")
            stop = gr.Button(say("shell.stop"), variant="stop", visible=False, elem_id="stop", min_width=80, scale=0)
            device.build(say)
            tour.build(say)
            here = widget("pulse", 0, beat_s=BEAT_S, alive="/healthz", visible="hidden", elem_id="here")
        blocks.load(_present, None, here, concurrency_limit=None, **QUIET)
        stop.click(_stopper(context, say), bar, None, **QUIET)
        with gr.Tabs(elem_id="tabs", selected=FIRST) as tabs:
            page = Page(say, here, bar, stop, run, picture, project, form, tabs, sent, export)
            for name, build_tab in TABS.items():
                with gr.Tab(say(f"shell.tabs.{name}"), id=name):
                    build_tab(context, page)
    blocks.max_threads = MOST_WINDOWS
    waiting = blocks.queue(default_concurrency_limit=AT_ONCE)._queue
    waiting.sleep_when_free, waiting.progress_update_sleep_when_free = LOOK_S, PROGRESS_S
    return blocks


async def _present() -> AsyncIterator[int]:
    """Pending for as long as the window is open, and nothing more.

    Gradio ends a session's stream whenever nothing is pending; an event sent in that moment runs, but the browser never
    hears of it and the button it came from stays dead (seen in 6.31). With this one pending, that moment never comes.
    It speaks now and then: only at a word does Gradio notice that the window is gone, and only by its silence does the
    window notice that the stream is.
    """
    for beat in itertools.count(1):
        yield beat
        await asyncio.sleep(BEAT_S)


def _stopper(context: Context, say: Language) -> Callable[[Any], None]:
    """Stops the run that the job bar shows."""

    def stop(job: Any) -> None:
        run = job.get("run") if isinstance(job, dict) else None
        if isinstance(run, str) and run:
            watch.stop(context, say, run)

    return stop


def mount_options(say: Language) -> dict[str, Any]:
    """What belongs to the mounting of the page: its look."""
    return {"theme": theme.theme(say.code), "css": theme.css()}
