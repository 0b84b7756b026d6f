"""The only three things an event does to a run: submit it, follow it, stop it. Also: how a refusal reaches a person.

Knows the queue; nothing of what a run makes.
"""

import asyncio
import html
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gradio as gr

from pipelines.core.errors import Missing, Problem
from pipelines.core.queue import Row
from studio import api
from studio.context import Context
from studio.i18n import Language

POLL_S = 0.15
TOAST_S = 8


@contextmanager
def refusals(say: Language) -> Iterator[None]:
    """Turns a Problem into a message on the page; what was to follow does not happen."""
    try:
        yield
    except Problem as error:
        warn(say, str(error))
        raise gr.Error(str(error), visible=False, print_exception=False) from error


def warn(say: Language, sentence: str) -> None:
    """A sentence for a person, as a message that goes away by itself."""
    shown = html.escape(capital(say.sentence(sentence)))  # Gradio takes it for HTML, and it may quote a file's name
    gr.Warning(shown, duration=TOAST_S, title=say("shell.not_yet"))


def capital(sentence: str) -> str:
    """A sentence of the core, which may follow a colon, as it stands alone."""
    return sentence[:1].upper() + sentence[1:]


def submit(context: Context, say: Language, data: Mapping[str, Any]) -> str:
    """Put a request in line; returns the run's id. Raises gr.Error with the sentence."""
    with refusals(say):
        return api.submit(context, dict(data))


def stop(context: Context, say: Language, run: str) -> None:
    """Ask a run to stop; what is finished stays. Raises gr.Error."""
    with refusals(say):
        if context.queue.get(run).over:
            return
        context.queue.stop(run)


def find(context: Context, run: Any) -> Row | None:
    """The run of that id, or None: what a browser remembers may be gone, or from another runs folder."""
    if not isinstance(run, str) or not run:
        return None
    try:
        return context.queue.get(run)
    except Missing:
        return None


async def follow(context: Context, run: Any) -> AsyncIterator[Row | None]:
    """The run now, then again each time something changed, until it is over. None, once, for an unknown run."""
    before: tuple[Any, ...] | None = None
    while True:
        row = await asyncio.to_thread(find, context, run)
        if row is None:
            yield None  # Gradio empties the outputs of an event that yields nothing
            return
        now = (row.state, row.done, row.total, row.note, row.stop)
        if now != before:
            yield row
            before = now
        if row.over:
            return
        await asyncio.sleep(POLL_S)


def again(
    context: Context, follow: Callable[[Any], AsyncIterator[list[Any]]], over: Callable[[Row | None], list[Any]]
) -> Callable[[Any], AsyncIterator[list[Any]]]:
    """What a window that opens shows of a run it remembers: it is followed on, or, where it is over, what `over` gives.

    What is over needs no place in the job bar, which may show another run.
    """

    async def shown(run: Any) -> AsyncIterator[list[Any]]:
        row = await asyncio.to_thread(find, context, run)
        if row is None or row.over:
            yield over(row)
            return
        async for one in follow(run):
            yield one

    return shown


def in_bar(context: Context, say: Language) -> Callable[[Any], AsyncIterator[list[Any]]]:
    """Follows a run in the job bar alone."""

    async def shown(run: Any) -> AsyncIterator[list[Any]]:
        async for row in follow(context, run):
            yield bar(context, say, row)

    return shown


def nothing(row: Row | None) -> list[Any]:
    """Job bar and Stop button stay as they are."""
    return [gr.skip(), gr.skip()]


def bar(context: Context, say: Language, row: Row | None) -> list[Any]:
    """What sets the job bar and the Stop button to a run."""
    stop = gr.update(visible=row is not None and not row.over, interactive=row is None or not row.stop)
    return [job(say, row, ahead(context, row)), stop]


def job(say: Language, row: Row | None, ahead: int = 0) -> dict[str, Any]:
    """What the job bar shows of a run."""
    if row is None:
        return {"run": "", "state": "idle", "text": "", "done": 0, "total": 0}
    return {"run": row.id, "state": row.state, "text": _sentence(say, row, ahead), "done": row.done, "total": row.total}


def ahead(context: Context, row: Row | None) -> int:
    """How many runs the queue will take up before this one."""
    if row is None or row.state != "queued":
        return 0
    line = [one.id for one in context.queue.open() if one.lane == row.lane]
    return line.index(row.id) if row.id in line else 0


def _sentence(say: Language, row: Row, ahead: int) -> str:
    if row.state == "queued":
        return say.count("bar.waiting", ahead) if ahead else say("bar.next")
    if row.state == "running":
        return say("bar.stopping") if row.stop else capital(say.sentence(row.note)) if row.note else say("bar.working")
    if row.state == "waiting_disk":
        return say("bar.disk")
    if row.state == "done":
        return say("bar.done", time=duration(say, (row.ended or time.time()) - (row.started or row.created)))
    if row.state == "cancelled":
        return say("bar.stopped", done=row.done, total=row.total)
    return capital(say.sentence(row.sentence)) if row.sentence else say("bar.failed")


def duration(say: Language, seconds: float) -> str:
    """A span of time, in words."""
    if seconds < 60:
        return say("bar.seconds", s=f"{seconds:.1f}")
    return say("bar.minutes", m=f"{seconds // 60:.0f}", s=f"{seconds % 60:.0f}")
