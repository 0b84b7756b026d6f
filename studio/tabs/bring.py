"""How pictures come onto the canvas: a sample, an upload, one of the project, a result to go on from; and how a result
brings back the request it was made from. Whatever comes is put into the project that is open.

Wires events of Paint; by which address a picture is shown and what a request holds is known elsewhere.
"""

import html
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.core import bases, presets
from pipelines.core.assets import Asset
from pipelines.core.errors import Problem
from pipelines.core.requests import Control, Dual, Request, Text
from studio import canvas, menu, pictures, restore, shelf, watch
from studio.context import Context
from studio.page import QUIET, Page
from studio.restore import Restored
from studio.tabs import which
from studio.tabs.which import Spot

PAINT = "paint-where"
"""The id of the stage with the canvas."""


@dataclass(frozen=True)
class Places:
    """The components that a picture's coming changes."""

    painted: Any
    strip: Any
    stages: Any
    compare: Any
    card: Any


@dataclass(frozen=True)
class Tab:
    """On which tab pictures arrive."""

    id: str
    stage: str
    """The id of the stage with the canvas."""
    spot: Spot
    drafts: bool = True
    """Whether the project keeps what is painted; else the browser alone does."""


ON_PAINT = Tab("paint", PAINT, which.PAINT)


def wire(context: Context, page: Page, at: Places, tab: Tab = ON_PAINT) -> "Bring":
    """Every way a picture comes: by id, never by path."""
    bring = Bring(context, page, tab)
    shown = [at.painted, at.stages, page.picture, at.card, page.project, at.strip]
    known = [page.project, at.card]

    def listen(event: Callable[..., Any], answer: Callable[..., Any]) -> None:
        event(answer, known, shown, **QUIET)

    listen(at.painted.open, bring.opened)
    at.painted.restore(bring.dropped, known, [*shown, page.sent, page.tabs], **QUIET)
    listen(at.strip.pick, bring.picked)
    listen(at.compare.start, bring.started)
    page.project.change(bring.strip, page.project, at.strip, **QUIET)
    at.painted.refuse(bring.refused, None, None, **QUIET)
    at.painted.of_picture(bring.kept, None, page.tabs, **QUIET)
    if tab is ON_PAINT:
        page.sent.change(bring.sent, [page.sent, *known], shown, **QUIET)
        page.here.arrive(bring.again, [page.picture, page.project], [at.painted, at.strip], **QUIET)
    return bring


@dataclass(frozen=True)
class Bring:
    """What each event answers with: canvas, stage, picture, card, project and strip. `held` is what the card holds."""

    context: Context
    page: Page
    tab: Tab = ON_PAINT

    def opened(self, project: Any, held: Any, event: gr.EventData) -> list[Any]:
        """An uploaded picture."""
        with watch.refusals(self.page.say):
            return self._open(project, self.context.assets.get(str(event.asset)))

    def picked(self, project: Any, held: Any, event: gr.EventData) -> list[Any]:
        """A picture of the strip: one of the project, or a sample."""
        with watch.refusals(self.page.say):
            asset, sample = str(event.asset), str(event.sample)
            found = self.context.assets.get(asset) if asset else pictures.take_sample(self.context, sample)
            return self._open(project, found)

    def dropped(self, project: Any, held: Any, event: gr.EventData) -> list[Any]:
        """An uploaded picture that carries a request; when it cannot be restored it is a picture like any other. One
        that was made of words goes to the tab that makes such.
        """
        with watch.refusals(self.page.say):
            asset = self.context.assets.get(str(event.asset))
            try:
                other = _elsewhere(restore.request_of(asset.path, asset.name)[0], self.tab)
                if other:
                    order = {"to": other, "asset": asset.id, "at": str(time.time_ns())}
                    return [*[gr.skip()] * 6, order, gr.Tabs(selected=other)]
                found = restore.of_picture(self.context, asset.path, asset.name, _product(held))
            except Problem as error:
                watch.warn(self.page.say, str(error))
                return [*self._open(project, asset), gr.skip(), gr.skip()]
            return [*self._restored(project, found), gr.skip(), gr.skip()]

    def dropped_here(self, project: Any, held: Any, id: str) -> list[Any]:
        """A picture of this tab's own that was dropped on another one. Raises Problem."""
        asset = self.context.assets.get(id)
        return self._restored(project, restore.of_picture(self.context, asset.path, asset.name, _product(held)))

    def started(self, project: Any, held: Any, event: gr.EventData) -> list[Any]:
        """A result becomes the picture to paint on."""
        with watch.refusals(self.page.say):
            return self._start(project, str(event.run), str(event.stem))

    def sent(self, order: Any, project: Any, held: Any) -> list[Any]:
        """What another tab hands over: a project with its open picture, a result to restore or to go on from, or what
        the card is to hold (an adapter that was trained).
        """
        if not isinstance(order, dict) or order.get("to") != self.tab.id:
            return [gr.skip()] * 6
        if isinstance(order.get("form"), dict):
            card = which.laid_over(self.context, self.page.say, order["form"], self.tab.spot)
            return [gr.skip(), gr.skip(), gr.skip(), card, gr.skip(), gr.skip()]
        run, stem = str(order.get("run", "")), str(order.get("stem", ""))
        with watch.refusals(self.page.say):
            if run and order.get("start"):
                return self._start(project, run, stem)
            if run:
                return self._restored(project, restore.of_run(self.context, run, stem, _product(held)))
            if order.get("asset") and self.tab is not ON_PAINT:
                return self.dropped_here(project, held, str(order["asset"]))
            return self._of_project(str(order.get("project", "")), str(order.get("asset", "")), order.get("draw"))

    def again(self, asset: Any, project: Any) -> list[Any]:
        """What was on the canvas before a refresh; in a browser that remembers none, what is open in the project."""
        found = self.context.projects.newest(project if isinstance(project, str) else "")
        id, open = (found.id, found.open) if found else ("", "")
        return [self._back(id, asset) or self._back(id, open) or gr.skip(), self.strip(id)]

    def strip(self, project: Any) -> dict[str, Any]:
        """The project's pictures beside the samples."""
        return shelf.strip(self.context, project if isinstance(project, str) else "")

    def kept(self, event: gr.EventData) -> Any:
        """What is painted is the picture's mask now, and where it has no class yet the area's defect is that; who came
        to draw it goes back.
        """
        say, asset, defect = self.page.say, str(event.asset), str(event.defect)
        with watch.refusals(say):
            records = self.context.projects.records(str(event.project))
            record = records.get(asset)
            kind = menu.fields(defect, presets.own_folder(self.context.runs))["defect"] if defect else ""
            values = {"mask": str(event.mask), **({} if record.defect else {"defect": kind})}
            records.change({asset: values}, ", ".join(values))
        gr.Info(
            html.escape(say("data.mask_kept", name=record.name)), title=say("shell.tabs.data"), duration=watch.TOAST_S
        )
        return gr.Tabs(selected="data") if event.back else gr.skip()

    def refused(self, event: gr.EventData) -> None:
        """The canvas could not take a file."""
        watch.warn(self.page.say, str(event.sentence))

    def _open(self, project: Any, asset: Asset, card: Any = None, areas: Sequence[dict[str, Any]] = ()) -> list[Any]:
        shown = pictures.shown(asset)
        kept = shelf.took(self.context, self.page.say, project, [asset])
        picture = canvas.shown(shown, areas=areas, drafts=self._home(kept.id))
        stage = gr.Tabs(selected=self.tab.stage)
        return [picture, stage, asset.id, gr.skip() if card is None else card, kept.id, self.strip(kept.id)]

    def _start(self, project: Any, run: str, stem: str) -> list[Any]:
        path = restore.picture_of(self.context, run, stem)
        return self._open(project, self.context.assets.put(path, f"{run}-{path.name}"))

    def _restored(self, project: Any, found: Restored) -> list[Any]:
        """Picture, areas and values of a finished picture's request; what is missing is said, the rest is set."""
        for sentence in found.missing:
            watch.warn(self.page.say, sentence)
        whole = steered(found.form) if self.tab.spot.steered else found.form
        if found.picture is None:
            return [gr.skip(), gr.Tabs(selected=self.tab.stage), gr.skip(), put(whole), gr.skip(), gr.skip()]
        if not found.areas:
            return self._open(project, found.picture, put(whole))
        form = {name: value for name, value in whole.items() if name != "area"}  # it comes with the canvas's areas
        return self._open(project, found.picture, put(form), found.areas)

    def _of_project(self, id: str, asset: str, draw: Any = None) -> list[Any]:
        """`draw`: the mask and the class of a picture whose mask is to be drawn."""
        form = self.context.projects.get(id).form if id else {}
        card = put(form) if form else gr.skip()
        picture = self._back(id, asset)
        if picture is None:
            return [gr.skip(), gr.skip(), gr.skip(), card, gr.skip(), self.strip(id)]
        if isinstance(draw, dict):
            picture |= canvas.shown(None, areas=self._marked(draw), keep=True) | {"picture": picture["picture"]}
        return [picture, gr.Tabs(selected=self.tab.stage), asset, card, gr.skip(), self.strip(id)]

    def _marked(self, draw: dict[str, Any]) -> list[dict[str, Any]]:
        """The area that a picture's mask is; its class where the menu has one of that name, else the first."""
        mask, defect = str(draw.get("mask", "")), str(draw.get("defect", ""))
        known = defect in menu.titles(self.page.say, presets.own_folder(self.context.runs))
        return [{**menu.START, "defect": defect if known else which.first(self.page.say), "mask": mask}] if mask else []

    def _back(self, project: Any, asset: Any) -> dict[str, Any] | None:
        """A picture that was open before, with what was painted on it; None when it is no longer kept."""
        if not isinstance(asset, str) or not self.context.assets.has(asset):
            return None
        home = self._home(project) if isinstance(project, str) and project else ""
        return canvas.shown(pictures.shown(self.context.assets.get(asset)), drafts=home)

    def _home(self, project: str) -> str:
        """Where the canvas keeps what is painted on the pictures of a project."""
        return f"/api/projects/{project}/drafts" if self.tab.drafts else ""


def _elsewhere(request: Request, tab: Tab) -> str:
    """The tab that makes such pictures, where it is another one: what is painted can be asked for on both."""
    if isinstance(request, Text | Dual):
        return "generate"
    return "control" if isinstance(request, Control) and tab is ON_PAINT else ""


def steered(form: dict[str, Any]) -> dict[str, Any]:
    """A restored form where maps steer. One that was asked without maps takes what its defect's preset says of them,
    and of a drawn picture nothing but its place, its defect and its seed counts.
    """
    common = form["common"]
    if "steer" in common:
        return form
    if bases.get(common["base"]).draws:
        common = {name: common[name] for name in ("seed", "num_images")}
    return {**form, "common": common, "chosen": form["area"]["defect"]}


def put(form: dict[str, Any]) -> Any:
    """What sets the card, also to what it was set to before."""
    now = str(time.time_ns())
    return gr.update(put={"form": {**form, "at": now}, "memory": False, "nonce": now})


def _product(held: Any) -> str:
    return str(held.get("product", "")) if isinstance(held, dict) else ""
