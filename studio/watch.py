"""The only three things an event does to a run: submit it, follow it, stop it. Also: how a refusal reaches a person.

Knows the queue; nothing of what a run makes.
"""

import asyncio
import html
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gradio as gr

from pipelines.core.errors import Missing, Problem
from pipelines.core.queue import Row
from studio import api
from studio.context import Context

POLL_S = 0.15
TOAST_S = 8


@contextmanager
def refusals() -> Iterator[None]:
    """Turns a Problem into a message on the page; what was to follow does not happen."""
    try:
        yield
    except Problem as error:
        warn(str(error))
        raise gr.Error(str(error), visible=False, print_exception=False) from error


def warn(sentence: str) -> None:
    """A sentence for a person, as a message that goes away by itself."""
    shown = html.escape(sentence[:1].upper() + sentence[1:])  # Gradio takes it for HTML, and it may quote a file's name
    gr.Warning(shown, duration=TOAST_S, title="Not yet")


def submit(context: Context, data: Mapping[str, Any]) -> str:
    """Put a request in line; returns the run's id. Raises gr.Error with the sentence."""
    with refusals():
        return api.submit(context, dict(data))


def stop(context: Context, run: str) -> None:
    """Ask a run to stop; what is finished stays. Raises gr.Error."""
    with refusals():
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


def bar(context: Context, row: Row | None) -> list[Any]:
    """What sets the job bar and the Stop button to a run."""
    stop = gr.update(visible=row is not None and not row.over, interactive=row is None or not row.stop)
    return [job(row, ahead(context, row)), stop]


def job(row: Row | None, ahead: int = 0) -> dict[str, Any]:
    """What the job bar shows of a run."""
    if row is None:
        return {"run": "", "state": "idle", "text": "", "done": 0, "total": 0}
    return {"run": row.id, "state": row.state, "text": _sentence(row, ahead), "done": row.done, "total": row.total}


def ahead(context: Context, row: Row | None) -> int:
    """How many runs the queue will take up before this one."""
    if row is None or row.state != "queued":
        return 0
    line = [one.id for one in context.queue.open() if one.lane == row.lane]
    return line.index(row.id) if row.id in line else 0


def _sentence(row: Row, ahead: int) -> str:
    if row.state == "queued":
        return f"Waiting: {ahead} before it" if ahead else "Waiting for a worker"
    if row.state == "running":
        return "Stopping…" if row.stop else (row.note or "Working").capitalize()
    if row.state == "waiting_disk":
        return "The disk is full: it goes on by itself when there is room"
    if row.state == "done":
        return f"Done in {_time((row.ended or time.time()) - (row.started or row.created))}"
    if row.state == "cancelled":
        return f"Stopped: {row.done} of {row.total} finished and kept"
    return row.sentence or "It failed"


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
