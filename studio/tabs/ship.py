"""What was kept, and the way out with it: count, format, Export ZIP, link. Knows nothing of how pictures are made."""

import html
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.core.queue import Row
from pipelines.core.requests import FORMATS
from studio import results, watch
from studio.context import Context
from studio.i18n import Language
from studio.page import QUIET, Page


@dataclass(frozen=True)
class Out:
    """The card's controls."""

    count: Any
    format: Any
    button: Any
    link: Any


def formats(say: Language) -> list[tuple[str, str]]:
    """(label, format) of what can be exported."""
    return [(say(f"ship.formats.{name}"), name) for name in FORMATS]


def draw(say: Language, at: str = "") -> Out:
    """The card, in the block that is open; `at` is what the ids of its parts begin with."""
    with gr.Column(elem_classes="card ship", elem_id=f"{at}ship"):
        count = gr.HTML(kept_text(say, {}), elem_id=f"{at}kept")
        with gr.Row(elem_id=f"{at}ship-row"):
            format = gr.Dropdown(formats(say), value="mvtec", show_label=False, container=False, elem_id=f"{at}format")
            button = gr.Button(say("ship.export"), elem_id=f"{at}export", interactive=False, min_width=110, scale=0)
        link = gr.HTML("", elem_id=f"{at}download")
    return Out(count, format, button, link)


def wire(context: Context, page: Page, compare: Any, out: Out) -> None:
    """`compare` says what is kept and discarded; the card counts it and exports it."""
    say = page.say

    def count() -> tuple[str, Any]:
        found = results.kept(context)
        return kept_text(say, found), gr.update(interactive=bool(found))

    def judge(event: gr.EventData) -> None:
        with watch.refusals(say):
            results.judge(context, results.changes(event.changes))

    def export(format: str) -> str:
        data = {"task": "export", "data": list(results.kept(context)), "kept_only": True, "format": format}
        return watch.submit(context, say, data)

    async def follow(run: Any) -> AsyncIterator[list[Any]]:
        async for row in watch.follow(context, run):
            ended = gr.update(interactive=row is None or row.over)
            yield [*watch.bar(context, say, row), ended, export_text(context, say, row)]

    # Two keys in a row are two verdicts: the second must not be dropped because the first is still on its way.
    # Their answers may come in any order, so the count is asked for after the last of them.
    judged = compare.judge(judge, None, None, trigger_mode="multiple", concurrency_limit=1, **QUIET)
    judged.success(count, None, [out.count, out.button], trigger_mode="always_last", **QUIET)
    page.here.arrive(count, None, [out.count, out.button], **QUIET)
    begun = out.button.click(export, out.format, page.export, **QUIET)
    shown = [page.bar, page.stop, out.button, out.link]
    begun.success(follow, page.export, shown, concurrency_limit=None, **QUIET)


def kept_text(say: Language, found: Mapping[str, int]) -> str:
    """How much was kept, as a line of HTML."""
    text = say("ship.none")
    if found:
        pictures, runs = say.count("ship.pictures", sum(found.values())), say.count("ship.runs", len(found))
        text = say("ship.kept", what=pictures, runs=runs)
    return f"<strong>{html.escape(say('ship.title'))}</strong><p>{html.escape(text)}</p>"


def export_text(context: Context, say: Language, row: Row | None) -> str:
    """How the export goes, and its link when it is there, as a line of HTML."""
    if row is None:
        return ""
    if row.state == "done":
        address = html.escape(results.download(context, row))
        return f'<a href="{address}" download>{html.escape(say("ship.download"))}</a>'
    if row.over:
        sentence = watch.capital(say.sentence(row.sentence)) if row.sentence else say("ship.stopped")
        return f"<p>{html.escape(sentence)}</p>"
    return f"<p>{html.escape(say('ship.packing'))}</p>"
