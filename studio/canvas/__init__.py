"""The mask canvas for Gradio. Knows what goes to the browser and what comes back; nothing of runs or requests.

The picture goes as a URL and never comes back. What comes back is one 8-bit PNG for each painted area, and only when an
event asks for it: painting itself sends nothing. The drawing lives in the files beside this one.
"""

import base64
import binascii
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from pipelines.core import images, shapes
from pipelines.core.errors import BadInput

FOLDER = Path(__file__).parent
SCRIPTS = (
    "raster.js",
    "runs.js",
    "measure.js",
    "strokes.js",
    "view.js",
    "draft.js",
    "png.js",
    "last.js",
    "server.js",
    "saved.js",
    "menus.js",
    "pointer.js",
    "crosshair.js",
    "files.js",
    "library.js",
    "canvas.js",
)
SWATCH = (46, 100)  # height and width of a defect brush's picture
MOST_AREAS = 8
MOST_MASK_BYTES = 8 * 2**20
_PNG = "data:image/png;base64,"


@dataclass(frozen=True)
class Shown:
    """A picture as the canvas shows it: by URL, which may give a smaller copy, and with its own full size."""

    asset: str
    name: str
    url: str
    width: int
    height: int


@dataclass(frozen=True)
class Area:
    """One painted area: the PNG of its mask, and what the page noted about it."""

    mask: bytes
    defect: str
    severity: float | None


@dataclass(frozen=True)
class Painting:
    """What the canvas gives back: the picture's asset id ("" when there is none) and its painted areas."""

    asset: str
    areas: tuple[Area, ...]


def mask_canvas(
    value: Shown | None = None,
    *,
    titles: Mapping[str, str],
    start: Mapping[str, Any] | None = None,
    words: Mapping[str, Any],
    uploads: str = "/api/uploads",
    drawing: str = "/api/shapes",
    masks: str = "/api/masks",
    library: str = "/api/library",
    drafts: str = "",
    memory: str = "",
    **more: Any,
) -> gr.HTML:
    """The canvas. Events: `open` (an uploaded picture's asset id), `restore` (the asset id of an uploaded picture
    that carries its request), `refuse` (a sentence), `input` (a stroke ended), `select` (another area became the
    active one), `of_picture` (what is painted is to be the picture's mask: project, asset, mask, defect, back).

    A function, not a subclass of gr.HTML: Gradio writes a .pyi file beside every module that defines a component class.
    titles: what to call each defect on an area's chip. start: what is noted about the first area before anybody chose.
    uploads, drawing, masks, library: where a dropped file is posted, a defect brush's stroke is drawn, an uploaded mask
    is read, named masks are kept. drafts: below which address the server keeps what is painted on each picture; a value
    may name another, "" keeps it in the browser alone. memory: what tells this canvas's own drafts in the browser from
    those of another one on the page.
    """
    return gr.HTML(
        value=shown(value),
        html_template=(FOLDER / "canvas.html").read_text(encoding="utf-8"),
        css_template=(FOLDER / "canvas.css").read_text(encoding="utf-8"),
        js_on_load="\n".join((FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS),
        apply_default_css=False,
        titles=dict(titles),
        start=dict(start or {}),
        words=dict(words),
        swatches=swatches(),
        uploads=uploads,
        shapes=drawing,
        masks=masks,
        library=library,
        drafts=drafts,
        memory=memory,
        **more,
    )


@cache
def swatches() -> dict[str, str]:
    """What each defect brush draws, as the address of a small picture: what it will draw is what its menu shows."""
    way = [(12, 32), (35, 20), (60, 25), (88, 13)]
    found = {}
    for shape, wide in (("scratch", 30), ("crack", 16), ("pits", 30), ("blob", 22), ("flakes", 34)):
        mask = shapes.draw(shape, SWATCH, way, width_px=wide, seed=4)
        picture = np.where(mask, 255, 43).astype(np.uint8)
        found[shape] = _PNG + base64.b64encode(images.encode_png(picture)).decode()
    return found


def shown(
    picture: Shown | None, areas: Sequence[Mapping[str, Any]] = (), drafts: str = "", keep: bool = False
) -> dict[str, Any]:
    """The value that puts a picture on the canvas.

    areas: what to fill in on it, each a mask by its asset id under `mask` and else what is noted about it (defect,
    severity, ...). They take the place of what is painted there, undoably, each time such a value comes.
    keep: whether it came to have its mask drawn: then keeping that is what stands below it.
    """
    value: dict[str, Any] = {"picture": None if picture is None else vars(picture)}
    if keep:
        value["keep"] = True
    if areas:  # an order of its own, so that the same areas asked for again are filled in again
        value |= {"areas": [dict(one) for one in areas], "order": secrets.token_hex(6)}
    return {**value, "drafts": drafts} if drafts else value


def painting(payload: Any) -> Painting:
    """What the browser sent, taken apart with distrust. Raises BadInput."""
    if not isinstance(payload, dict):
        return Painting("", ())
    picture = payload.get("picture")
    asset = picture.get("asset") if isinstance(picture, dict) else None
    areas = payload.get("areas", [])
    if not isinstance(areas, list) or len(areas) > MOST_AREAS:
        raise BadInput(f"the canvas sent too many areas: {MOST_AREAS} can be painted at once")
    return Painting(asset if isinstance(asset, str) else "", tuple(_area(one) for one in areas))


def _area(one: Any) -> Area:
    mask = one.get("mask") if isinstance(one, dict) else None
    if not isinstance(mask, str) or not mask.startswith(_PNG):
        raise BadInput("the canvas sent an area without a PNG mask: reload the page")
    if len(mask) > MOST_MASK_BYTES * 4 // 3:
        raise BadInput(f"the painted mask is larger than {MOST_MASK_BYTES // 2**20} MB: paint fewer, simpler areas")
    try:
        data = base64.b64decode(mask[len(_PNG) :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInput("the canvas sent a damaged mask: reload the page") from error
    severity, defect = one.get("severity"), one.get("defect")
    known = isinstance(severity, int | float) and not isinstance(severity, bool)
    return Area(data, defect if isinstance(defect, str) else "", float(severity) if known else None)
