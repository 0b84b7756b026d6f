"""What was kept, and the way out with it: count, format, Export ZIP, link. Knows nothing of how pictures are made."""

import html
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.core.queue import Row
from studio import results, watch
from studio.context import Context
from studio.page import QUIET, Page

FORMATS = {
    "mvtec": "MVTec AD folders",
    "coco": "COCO",
    "yolo-seg": "YOLO, outlines",
    "yolo": "YOLO, boxes",
    "voc": "Pascal VOC",
    "folder": "Plain folder and tables",
}
TITLE = "<strong>Data set</strong>"


@dataclass(frozen=True)
class Out:
    """The card's controls."""

    count: Any
    format: Any
    button: Any
    link: Any


def draw() -> Out:
    """The card, in the block that is open."""
    with gr.Column(elem_classes="card", elem_id="ship"):
        count = gr.HTML(kept_text({}), elem_id="kept")
        with gr.Row(elem_id="ship-row"):
            choices = [(label, name) for name, label in FORMATS.items()]
            format = gr.Dropdown(choices, value="mvtec", show_label=False, container=False, elem_id="format")
            button = gr.Button("Export ZIP", elem_id="export", interactive=False, min_width=110, scale=0)
        link = gr.HTML("", elem_id="download")
    return Out(count, format, button, link)


def wire(context: Context, page: Page, compare: Any, out: Out) -> None:
    """`compare` says what is kept and discarded; the card counts it and exports it."""

    def count() -> tuple[str, Any]:
        found = results.kept(context)
        return kept_text(found), gr.update(interactive=bool(found))

    def judge(event: gr.EventData) -> None:
        with watch.refusals():
            results.judge(context, str(event.run), str(event.stem), str(event.verdict))

    def export(format: str) -> str:
        data = {"task": "export", "data": list(results.kept(context)), "kept_only": True, "format": format}
        return watch.submit(context, data)

    async def follow(run: Any) -> AsyncIterator[list[Any]]:
        async for row in watch.follow(context, run):
            ended = gr.update(interactive=row is None or row.over)
            yield [*watch.bar(context, row), ended, export_text(context, row)]

    # Two keys in a row are two verdicts: the second must not be dropped because the first is still on its way.
    # Their answers may come in any order, so the count is asked for after the last of them.
    judged = compare.judge(judge, None, None, trigger_mode="multiple", concurrency_limit=1, **QUIET)
    judged.success(count, None, [out.count, out.button], trigger_mode="always_last", **QUIET)
    page.here.arrive(count, None, [out.count, out.button], **QUIET)
    begun = out.button.click(export, out.format, page.export, **QUIET)
    shown = [page.bar, page.stop, out.button, out.link]
    begun.success(follow, page.export, shown, concurrency_limit=None, **QUIET)


def kept_text(found: Mapping[str, int]) -> str:
    """How much was kept, as a line of HTML."""
    if not found:
        return f"{TITLE}<p>Nothing kept yet: press Keep on a result, and it goes in here.</p>"
    pictures, runs = sum(found.values()), len(found)
    what = f"{pictures} picture{'s' if pictures > 1 else ''} kept"
    return f"{TITLE}<p>{what} from {runs} run{'s' if runs > 1 else ''}</p>"


def export_text(context: Context, row: Row | None) -> str:
    """How the export goes, and its link when it is there, as a line of HTML."""
    if row is None:
        return ""
    if row.state == "done":
        return f'<a href="{html.escape(results.download(context, row))}" download>Download the ZIP</a>'
    if row.over:
        return f"<p>{html.escape(row.sentence or 'The export was stopped.')}</p>"
    return "<p>Packing…</p>"
