"""Submit, follow, stop: against a real queue, with a worker played by the test through the queue's own door."""

import asyncio
import html
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from pipelines.core import images
from pipelines.core.queue import Owner, Row
from studio import i18n, watch
from studio.context import Context
from tests import pictures

SAY = i18n.language()


@pytest.fixture
def context(runs: Path) -> Context:
    return Context.open(runs)


def request(context: Context, **fields: Any) -> dict[str, Any]:
    part = context.assets.put(images.encode_png(pictures.good()), "part.png").id
    mask = context.assets.put(images.encode_png(pictures.disc()), "mask.png").id
    return {"task": "inpaint", "image": part, "mask": mask, "defect": "dent", **fields}


def followed(context: Context, run: Any) -> list[Row | None]:
    async def all_of_it() -> list[Row | None]:
        return [row async for row in watch.follow(context, run)]

    return asyncio.run(asyncio.wait_for(all_of_it(), 20))


def test_what_is_submitted_stands_in_line(context: Context) -> None:
    run = watch.submit(context, SAY, request(context))
    assert context.queue.get(run).state == "queued"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"defect": "melt"}, "no defect 'melt'; choose one of"),
        ({"severity": 2}, "severity = 2"),
        ({"image": "asset-" + "f" * 20}, "there is no file"),
        ({"image": "/etc/passwd"}, "image: '/etc/passwd' is no asset id"),
        ({"mood": 1}, "mood: there is no such field"),
    ],
)
def test_a_refusal_is_the_sentence_and_nothing_is_in_line(
    context: Context, fields: dict[str, Any], sentence: str
) -> None:
    shown = html.escape(sentence[0].upper() + sentence[1:])
    with pytest.warns(UserWarning, match=shown), pytest.raises(gr.Error, match=sentence):
        watch.submit(context, SAY, request(context, **fields))
    assert not context.queue.open()


def test_a_message_cannot_bring_markup_with_it() -> None:
    with pytest.warns(UserWarning, match="&lt;img src=x&gt;\\.png is no picture"):
        watch.warn(SAY, "<img src=x>.png is no picture")


def test_following_shows_each_change_and_ends_with_the_run(context: Context) -> None:
    run = watch.submit(context, SAY, request(context, num_images=3))
    me = Owner.me()

    async def watched() -> list[tuple[str, int]]:
        seen: list[tuple[str, int]] = []
        async for row in watch.follow(context, run):
            assert row
            seen.append((row.state, row.done))
            if row.state == "queued":
                context.queue.claim(me, ("cpu",))
            elif row.done < 3:
                context.queue.progress(run, me, row.done + 1, 3, "drawing")
            elif not row.over:
                context.queue.end(run, me, "done")
        return seen

    seen = asyncio.run(asyncio.wait_for(watched(), 20))
    assert seen == [("queued", 0), ("running", 0), ("running", 1), ("running", 2), ("running", 3), ("done", 3)]


@pytest.mark.parametrize("run", ["", "20260101-000000-abcdef", None, 7, ["x"], {"run": 1}])
def test_what_a_browser_remembers_wrongly_is_nothing_to_follow(context: Context, run: Any) -> None:
    assert followed(context, run) == [None]
    assert watch.job(SAY, None)["state"] == "idle"


def test_stop_cancels_what_waits_and_leaves_what_is_over(context: Context) -> None:
    run = watch.submit(context, SAY, request(context))
    watch.stop(context, SAY, run)
    assert context.queue.get(run).state == "cancelled"
    watch.stop(context, SAY, run)
    assert [row.state for row in followed(context, run) if row] == ["cancelled"]


def test_stop_asks_a_worker_and_the_page_says_so(context: Context) -> None:
    run = watch.submit(context, SAY, request(context))
    context.queue.claim(Owner.me(), ("cpu",))
    watch.stop(context, SAY, run)
    row = context.queue.get(run)
    assert row.stop
    job, button = watch.bar(context, SAY, row)
    assert job["text"] == "Stopping…"
    assert button["visible"]
    assert not button["interactive"]


def test_the_bar_says_how_many_come_first(context: Context) -> None:
    first, second = (watch.submit(context, SAY, request(context)) for _ in range(2))
    assert watch.bar(context, SAY, context.queue.get(first))[0]["text"] == "Waiting for a worker"
    assert watch.bar(context, SAY, context.queue.get(second))[0]["text"] == "Waiting: 1 before it"


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("done", "Done in "),
        ("failed", "Nothing can be seen"),
        ("cancelled", "Stopped: 1 of 4 finished and kept"),
        ("quarantined", "Nothing can be seen"),
        ("waiting_disk", "The disk is full"),
    ],
)
def test_each_end_has_its_words(context: Context, state: Any, text: str) -> None:
    run = watch.submit(context, SAY, request(context, num_images=4))
    me = Owner.me()
    context.queue.claim(me, ("cpu",))
    context.queue.progress(run, me, 1, 4, "")
    context.queue.end(run, me, state, "bad_input", "nothing can be seen")
    assert text in watch.bar(context, SAY, context.queue.get(run))[0]["text"]


def test_the_worker_can_be_followed_from_another_process(context: Context) -> None:
    """A second object on the same folder, as a refreshed page has: it sees the same run."""
    run = watch.submit(context, SAY, request(context))
    other = Context.open(context.runs)
    assert np.array_equal([row.id for row in followed_once(other, run)], [run])


def followed_once(context: Context, run: str) -> list[Row]:
    async def first() -> list[Row]:
        async for row in watch.follow(context, run):
            return [row] if row else []
        return []

    return asyncio.run(first())
