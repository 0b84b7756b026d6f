"""The Paint tab: a picture, a painted area, a defect, Generate; then before and after, keep or discard.

Draws the tab and wires it. What a run does, and where its files are, is known elsewhere.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.core.assets import Asset
from pipelines.core.errors import BadInput
from studio import canvas, menu, pictures, results, watch
from studio.canvas import Painting
from studio.context import Context
from studio.page import QUIET, Page
from studio.tabs import ship, which
from studio.widgets import VIEW, widget

CANVAS = "paint-canvas"
PAINT, JUDGE = "paint-where", "paint-judge"

COMPARE_WORDS = {
    "title": "Before and after",
    "split": "Slider",
    "before": "Before",
    "after": "After",
    "outline": "Outline",
    "out": "Zoom out",
    "in": "Zoom in",
    "actual": "Actual size",
    "defect": "Go to the defect",
    "fit": "Fit to window",
    "variants": "Variant",
    "keep": "Keep",
    "discard": "Discard",
    "kept": "Kept",
    "discarded": "Discarded",
    "empty": "Nothing to judge yet",
    "how": "Paint where the defect goes, choose which one, and press Generate",
    "broken": "This picture cannot be loaded: is the studio still running?",
}


@dataclass(frozen=True)
class Parts:
    """The tab's components."""

    samples: Any
    stages: Any
    painted: Any
    compare: Any
    which: which.Which
    generate: Any
    out: ship.Out


def build(context: Context, page: Page) -> None:
    """Draws the tab in the block that is open, and wires it."""
    parts = _draw()
    _pictures(context, page, parts)
    which.wire(parts.which, parts.painted, CANVAS)
    ship.wire(context, page, parts.compare, parts.out)
    _runs(context, page, parts)


def _draw() -> Parts:
    start = {**which.START, "defect": which.first()}
    with gr.Row(elem_id="paint", equal_height=False):
        with gr.Column(elem_id="paint-left"), gr.Tabs(elem_id="paint-stages") as stages:
            with gr.Tab("1 Paint where", id=PAINT):
                samples = widget("samples", pictures.strip(), words={"title": "Samples"}, elem_id="samples")
                painted = canvas.mask_canvas(titles=menu.titles(), start=start, elem_id=CANVAS)
            with gr.Tab("2 Judge the result", id=JUDGE):
                scripts = [VIEW / "raster.js", VIEW / "view.js"]
                compare = widget("compare", {}, scripts=scripts, words=COMPARE_WORDS, elem_id="compare")
        with gr.Column(elem_id="paint-right"):
            card = which.draw()
            generate = gr.Button("Generate", variant="primary", size="lg", elem_id="generate")
            out = ship.draw()
    return Parts(samples, stages, painted, compare, card, generate, out)


def _pictures(context: Context, page: Page, parts: Parts) -> None:
    """A picture comes onto the canvas by id, never by path: a sample, an upload, or the one that was there before."""

    def opened(event: gr.EventData) -> list[Any]:
        with watch.refusals():
            return _open(context.assets.get(str(event.asset)))

    def picked(event: gr.EventData) -> list[Any]:
        with watch.refusals():
            return _open(pictures.take_sample(context, str(event.sample)))

    def again(asset: Any) -> Any:
        known = isinstance(asset, str) and context.assets.has(asset)
        return _open(context.assets.get(asset))[0] if known else gr.skip()

    def refused(event: gr.EventData) -> None:
        watch.warn(str(event.sentence))

    shown = [parts.painted, parts.stages, page.picture]
    parts.painted.open(opened, None, shown, **QUIET)
    parts.samples.pick(picked, None, shown, **QUIET)
    page.here.arrive(again, page.picture, parts.painted, **QUIET)
    parts.painted.refuse(refused, None, None, **QUIET)


def _open(asset: Asset) -> list[Any]:
    return [canvas.shown(pictures.shown(asset)), gr.Tabs(selected=PAINT), asset.id]


def _runs(context: Context, page: Page, parts: Parts) -> None:
    """Generate submits and follows; a window that opens follows on what its browser painted last."""
    form = parts.which.form

    def submit(sent: Any, defect: str, *values: Any) -> str:
        with watch.refusals():
            data = asked(context, canvas.painting(sent), defect, form.read(values))
        return watch.submit(context, data)

    def follow(event: Callable[..., Any]) -> None:
        shown = [page.bar, page.stop, parts.generate, parts.compare]
        ended = event(_follower(context), page.run, shown, concurrency_limit=None, **QUIET)
        ended.then(_turner(context), page.run, parts.stages, **QUIET)

    inputs = [parts.painted, parts.which.defect, *form.inputs]
    follow(parts.generate.click(submit, inputs, page.run, js=canvas.read(CANVAS), **QUIET).success)
    follow(page.here.arrive)


def _follower(context: Context) -> Callable[[Any], AsyncIterator[list[Any]]]:
    async def follow(run: Any) -> AsyncIterator[list[Any]]:
        async for row in watch.follow(context, run):
            busy = row is not None and not row.over
            button = gr.update(interactive=not busy, value="Drawing…" if busy else "Generate")
            yield [*watch.bar(context, row), button, results.comparison(context, row)]

    return follow


def _turner(context: Context) -> Callable[[Any], Any]:
    def turn(run: Any) -> Any:
        """To the result when there is one; to its reason when there is none."""
        row = watch.find(context, run)
        if row is not None and row.sentence and row.state != "done":
            watch.warn(row.sentence)
        return gr.Tabs(selected=JUDGE) if row is not None and row.done else gr.skip()

    return turn


def asked(context: Context, painting: Painting, defect: str, values: dict[str, Any]) -> dict[str, Any]:
    """The Inpaint request, as data, of what was painted. An area without a choice of its own takes the one on show.

    Raises BadInput, Missing.
    """
    if not painting.asset:
        raise BadInput("there is no picture yet: open one, or take a sample")
    asset = context.assets.get(painting.asset)
    masks = pictures.keep_masks(context, painting.areas, asset)
    found = []
    for area, mask in zip(painting.areas, masks, strict=True):
        preset = menu.fields(area.defect or defect)
        severity = values["severity"] if area.severity is None else area.severity
        found.append({"mask": mask, "defect": preset["defect"], "severity": severity, "look": preset.get("look", {})})
    common = {"task": "inpaint", "image": asset.id, **values}
    return {**common, **found[0]} if len(found) == 1 else {**common, "regions": found}
