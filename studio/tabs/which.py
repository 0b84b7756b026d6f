"""The card "which defect": product, defect, how severe, seed, and under Expert the rest of the request.

Draws the card and answers to it: what it offers, a person's own presets, what it held before. What is chosen in it, for
each painted area and for the whole picture, is kept in the browser until Generate asks for it: widgets/which.js.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.core import presets
from pipelines.core.errors import BadInput
from pipelines.core.presets import Preset
from pipelines.core.requests import Control, Inpaint, Painting
from studio import form, laid, menu, shelf, steering, watch
from studio.context import Context
from studio.form import Limits
from studio.i18n import Language
from studio.page import QUIET, Page
from studio.widgets import FOLDER, widget

LIMITS = {
    "severity": Limits(),
    "prompt": Limits(),
    "strength": Limits(),
    "num_images": Limits(high=24, slider=False),
    "seed": Limits(),
    "base": Limits(),
    "light": Limits(),
    "feather_px": Limits(high=32),
    "padding_px": Limits(high=256),
    "label": Limits(),
    "negative_prompt": Limits(),
    "guidance_scale": Limits(high=20),
    "guidance_rescale": Limits(),
    "guidance_start": Limits(),
    "guidance_end": Limits(),
    "num_inference_steps": Limits(high=100),
    "scheduler": Limits(),
    "clip_skip": Limits(high=4),
    "adapter_scale": Limits(),
    "prompt_noise": Limits(),
    "num_candidates": Limits(high=8),
    "select": Limits(),
    "attention_maps": Limits(),
}


@dataclass(frozen=True)
class Spot:
    """Where a card stands, and what it asks for."""

    at: str
    """What the ids of its parts begin with."""
    request: type[Painting]
    steered: bool = False
    """Whether maps steer what is made: then only bases are offered that can be steered."""

    @property
    def id(self) -> str:
        return f"{self.at}which"


PAINT, CONTROL = Spot("", Inpaint), Spot("control-", Control, steered=True)
BESIDES = ("diffusion", "shape", "control")
"""What a preset has beside its fields."""
SCRIPTS = ("which_controls.js", "adapter_list.js", "which_picker.js", "which_presets.js")


def first(say: Language) -> str:
    """The choice that stands when the page opens."""
    return menu.defects(say, menu.FIRST)[0][1]


def draw(say: Language, painted: str, spot: Spot = PAINT) -> Any:
    """The card, in the block that is open. `painted` is the canvas's id on the page."""
    steers: dict[str, Any] = {"steers": steering.STEERS, "recipes": steering.RECIPES} if spot.steered else {}
    return widget(
        "which",
        None,
        scripts=[FOLDER / name for name in SCRIPTS],
        at=spot.at,
        menu={**menu.catalogue(say, steered=spot.steered), "adapters": []},
        fields=form.controls(say, spot.request, LIMITS),
        start=menu.START,
        first={"product": menu.FIRST, "defect": first(say)},
        put=None,
        undo=None,
        painted=painted,
        words=say.table("which"),
        elem_id=spot.id,
        **steers,
    )


def wire(context: Context, page: Page, card: Any, painted: Any, spot: Spot = PAINT) -> None:
    """The card hears which area is painted, keeps what it holds, and has its presets saved. What Paint's holds is kept
    with the project too.
    """
    own = presets.own_folder(context.runs)

    def offered(held: Any, project: Any) -> list[Any]:
        """What there is to choose; and what was held, for a window that remembers nothing itself."""
        found = None if spot.steered else context.projects.newest(project if isinstance(project, str) else "")
        form = held or (found.form if found else {})
        back = {"form": form, "memory": True, "nonce": str(time.time_ns())} if form else None
        return [gr.update(menu=_menu(context, page.say, own, spot), put=back), _titles(page.say, context)]

    def keep(held: Any, project: Any) -> Any:
        if isinstance(held, dict) and not spot.steered:
            shelf.keep_form(context, page.say, project, held)
        return held

    pull = f"() => {{ document.querySelector('#{spot.id} .wh').which.pull(); return []; }}"
    painted.select(None, None, None, js=pull)
    page.here.arrive(offered, [page.form, page.project], [card, painted], **QUIET)
    card.keep(keep, [card, page.project], page.form, **QUIET)
    card.preset(_changer(context, page.say, spot), None, [card, painted], **QUIET)


def renewed(context: Context, say: Language, spot: Spot) -> Any:
    """The card with its menu as it is now: a base may have been fetched meanwhile, or a preset saved elsewhere."""
    return gr.update(menu=_menu(context, say, presets.own_folder(context.runs), spot))


def laid_over(context: Context, say: Language, form: dict[str, Any], spot: Spot = PAINT) -> Any:
    """What sets the card to a form, with adapters in its menu that it may not know yet."""
    now = str(time.time_ns())
    menu = _menu(context, say, presets.own_folder(context.runs), spot)
    return gr.update(menu=menu, put={"form": {**form, "at": now}, "memory": False, "nonce": now})


def _menu(context: Context, say: Language, own: Path, spot: Spot) -> dict[str, Any]:
    """The menu as it is now; its time makes the widget hear of it also when nothing is new."""
    found = menu.catalogue(say, own, steered=spot.steered)
    return {**found, "adapters": laid.offered(context), "at": str(time.time_ns())}


def _titles(say: Language, context: Context) -> Any:
    return gr.update(titles=menu.titles(say, presets.own_folder(context.runs)))


def _changer(context: Context, say: Language, spot: Spot) -> Callable[[gr.EventData], list[Any]]:
    """Saves, renames, deletes or puts back one of a person's own presets; what undoes it goes back with the menu."""
    own = presets.own_folder(context.runs)

    def change(event: gr.EventData) -> list[Any]:
        with watch.refusals(say):
            asked = event._data if isinstance(event._data, dict) else {}
            said = changed(own, say, asked)
            return [gr.update(menu=_menu(context, say, own, spot), undo=said), _titles(say, context)]

    return change


def changed(own: Path, say: Language, asked: dict[str, Any]) -> dict[str, Any]:
    """What became of a preset: the sentence, which choice stands now, and what undoes it. Raises BadInput, Missing."""
    does, id, label = (str(asked.get(name, "")) for name in ("do", "id", "label"))
    if does == "save":
        apart = asked.get("diffusion"), asked.get("control")
        kept = presets.save(own, str(asked.get("product", "")), label, _fields(asked), *apart)
        return _said(say, "saved", kept, kept.id, {"do": "delete", "id": kept.id})
    if does == "rename":
        before = presets.get(id, own=own).label
        kept = presets.rename(own, id, label)
        return _said(say, "renamed", kept, kept.id, {"do": "rename", "id": id, "label": before})
    if does == "delete":
        known = presets.products(own=own)
        product = known[id.partition("/")[0]].label if id.partition("/")[0] in known else ""
        gone = presets.delete(own, id)
        back = {"do": "restore", "id": id, "label": gone.label, "product": product, "fields": gone.fields}
        back |= {name: getattr(gone, name) for name in BESIDES}
        return _said(say, "deleted", gone, str(gone.fields.get("defect", "")), back)
    if does == "restore":
        besides = {name: asked[name] for name in BESIDES if name in asked}
        gone = Preset(id, id.partition("/")[0], label, "inpaint", _fields(asked), own=True, **besides)
        kept = presets.restore(own, gone, str(asked.get("product", "")))
        return _said(say, "back", kept, kept.id, {"do": "delete", "id": id})
    raise BadInput(f"do {does[:40]!r}: a preset can be saved, renamed, deleted or put back", "do")


def _fields(asked: dict[str, Any]) -> dict[str, Any]:
    given = asked.get("fields")
    if not isinstance(given, dict) or not given.get("defect"):
        raise BadInput("a preset of the page says which defect: choose one, then save it", "defect")
    return given


def _said(say: Language, key: str, preset: Preset, chosen: str, undo: dict[str, Any]) -> dict[str, Any]:
    return {
        "sentence": say(f"which.own.{key}", label=preset.label),
        "chosen": chosen,
        "undo": undo,
        "at": str(time.time_ns()),
    }
