"""The mask canvas for Gradio. Knows what goes to the browser and what comes back; nothing of runs or requests.

The picture goes as a URL and never comes back. What comes back is one 8-bit PNG for each painted area, and only when an
event asks for it with `read`: painting itself sends nothing. The drawing lives in the files beside this one.
"""

import base64
import binascii
from collections.abc import Mapping
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
    "menus.js",
    "pointer.js",
    "files.js",
    "canvas.js",
)
SWATCH = (46, 100)  # height and width of a defect brush's picture
MOST_AREAS = 8
MOST_MASK_BYTES = 8 * 2**20
_PNG = "data:image/png;base64,"

WORDS = {
    "canvas": "Mask canvas: paint where the defect goes",
    "tools": "Tools",
    "paint": "Paint",
    "shapes": "Shapes",
    "editing": "What is painted",
    "brush": "Brush",
    "eraser": "Eraser",
    "line": "Straight line",
    "rectangle": "Rectangle",
    "ellipse": "Ellipse",
    "polygon": "Polygon, corner by corner",
    "lasso": "Lasso: fill what you draw round",
    "defects": "Defect brushes",
    "defects_how": "Draw along the defect. Each stroke comes out differently.",
    "scratch": "Scratch",
    "crack": "Crack",
    "pits": "Pits",
    "blob": "Stain",
    "flakes": "Flakes",
    "hand": "Move the picture",
    "size": "Size",
    "grow": "Grow by one pixel",
    "shrink": "Shrink by one pixel",
    "undo": "Undo",
    "redo": "Redo",
    "invert": "Swap painted and unpainted",
    "clear": "Clear this area",
    "opacity": "Cover",
    "outline": "Outline only",
    "out": "Zoom out",
    "in": "Zoom in",
    "actual": "Actual size",
    "fit": "Fit to window",
    "empty": "Start with a picture of a good part",
    "how": "Drop it here, choose a file, or take one of the samples above",
    "open": "Open picture…",
    "drop": "Drop the picture to open it",
    "areas": "Painted areas",
    "area": "Area",
    "add": "Add an area",
    "more": "Another area with a defect of its own",
    "remove": "Remove this area",
    "painted": "% painted",
    "nothing": "nothing painted yet",
    "thinnest": "thinnest % px",
    "thin": "Thinner than 2 px in places: it may hardly be seen",
    "vast": "More than a quarter of the picture is painted",
    "loop": "Click corner by corner. Enter or a double click closes, Esc cancels, Backspace takes one back",
    "masks": "Mask",
    "import": "Open a mask file…",
    "export": "Save this mask as PNG",
    "last": "Painted last, click to use again",
    "reuse": "Use again",
    "help": "Keys of the canvas",
    "close": "Close",
    "polygon_keys": "While drawing",
    "close_loop": "Close the polygon",
    "corner_back": "Take the last corner back",
    "cancel": "Give the polygon up",
    "straight": "Hold: straight line, square, circle",
    "looking": "Looking",
    "hold_to_move": "Hold to move the picture",
    "zoom": "Zoom in and out, also the wheel",
    "unreachable": "The studio does not answer: is it still running?",
    "broken": "% cannot be shown by this browser.",
}


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


def read(element: str) -> str:
    """The JavaScript that fetches what was painted; the canvas must be the event's first input."""
    return f"async (_, ...rest) => [await document.querySelector('#{element} .mc').canvas.read(), ...rest]"


def assign(element: str) -> str:
    """The JavaScript that notes defect and severity, the event's two inputs, about the area being painted."""
    return (
        f"(defect, severity) => {{ document.querySelector('#{element} .mc').canvas.assign({{defect, severity}});"
        " return []; }"
    )


def active(element: str) -> str:
    """The JavaScript that brings back defect and severity of the area being painted; they come in as its inputs."""
    return (
        f"(defect, severity) => {{ const note = document.querySelector('#{element} .mc').canvas.active();"
        " return [note.defect ?? defect, note.severity ?? severity]; }"
    )


def mask_canvas(
    value: Shown | None = None,
    *,
    titles: Mapping[str, str],
    start: Mapping[str, Any] | None = None,
    words: Mapping[str, str] = WORDS,
    uploads: str = "/api/uploads",
    drawing: str = "/api/shapes",
    masks: str = "/api/masks",
    **more: Any,
) -> gr.HTML:
    """The canvas. Events: `open` (an uploaded picture's asset id), `refuse` (a sentence), `input` (a stroke ended),
    `select` (another area became the active one).

    A function, not a subclass of gr.HTML: Gradio writes a .pyi file beside every module that defines a component class.
    titles: what to call each defect on an area's chip. start: what is noted about the first area before anybody chose.
    uploads, drawing, masks: where a dropped file is posted, a defect brush's stroke is drawn, an uploaded mask is read.
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


def shown(picture: Shown | None) -> dict[str, Any]:
    """The value that puts a picture on the canvas."""
    return {"picture": None if picture is None else vars(picture)}


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
