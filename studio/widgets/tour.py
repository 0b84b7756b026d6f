"""The first minute: three sample parts on the empty canvas, the tour, and the sheet of keys behind the question mark.

Says what is offered and in which words; what a step waits for is seen in the browser (tour_steps.js).
"""

from base64 import b64encode
from functools import cache

import gradio as gr

from pipelines.core import images
from studio import pictures
from studio.i18n import Language
from studio.widgets import FOLDER, VIEW, widget

FIRST = ("brushed_metal", "ceramic_tile", "circuit_board")
SIDE_PX = 256
RUNS = "/api/runs"
SCRIPTS = (VIEW / "menus.js", *(FOLDER / f"tour_{part}.js" for part in ("steps", "card", "first", "keys")))

# What is pressed where, beside the canvas's own sheet: heading, then the keys and the words of what they do.
KEYS = {
    "paint.judge": (
        ("A", "compare.keep"),
        ("R", "compare.discard"),
        ("F", "compare.flicker"),
        ("S", "compare.split"),
        ("B", "compare.before"),
        ("Space", "compare.after"),
        ("X", "compare.difference"),
        ("V", "compare.tiles"),
        ("O", "compare.outline"),
        ("D", "compare.defect"),
        ("←  →", "compare.variants"),
    ),
    "shell.tabs.review": (
        ("A", "grid.keep"),
        ("R", "grid.discard"),
        ("Enter", "grid.open"),
        ("Delete", "grid.remove"),
        ("Ctrl Z", "grid.undo"),
        ("PageUp", "grid.newer"),
        ("PageDown", "grid.older"),
    ),
    "tour.anywhere": (("Ctrl Enter", "paint.go.generate_one"), ("Esc", "tour.leave_tour")),
}


def build(say: Language) -> gr.HTML:
    """The widget, in the row that is open."""
    keys = [[say(heading), [[key, say(words)] for key, words in rows]] for heading, rows in KEYS.items()]
    return widget(
        "tour",
        None,
        scripts=SCRIPTS,
        words=say.table("tour"),
        canvas=say.table("canvas"),
        keys=keys,
        samples=offered(say),
        runs=RUNS,
        elem_id="tour",
    )


@cache
def offered(say: Language) -> list[dict[str, str]]:
    """The samples that an empty studio offers, each large enough to be chosen by its look."""
    found = []
    for id in FIRST:
        sample = pictures.samples()[id]
        picture = b64encode(images.thumbnail(images.read(sample.path).pixels, side=SIDE_PX)).decode()
        title = say.data(f"samples.{id}", sample.title)
        found.append({"id": id, "title": title, "picture": f"data:image/jpeg;base64,{picture}"})
    return found
