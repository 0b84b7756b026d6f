"""Prepare for training, a dialogue of the Data tab: cut pictures out of a data set, or sort them into folders.

Draws the dialogue and wires it. The widget asks for the runs and follows them itself; events come here for what the
rest of the page must hear of.
"""

import time
from typing import Any

import gradio as gr

from pipelines.core.requests import Crop, Organize, Request
from studio import form
from studio.form import Limits
from studio.i18n import Language
from studio.page import QUIET, Page
from studio.widgets import FOLDER, widget

SCRIPTS = ("which_controls.js", "train_server.js", "data_menu.js", "prepare_found.js")
_NUMBER = Limits(slider=False)
FORMS: dict[type[Request], dict[str, Limits]] = {
    Crop: {
        "how": Limits(),
        "side_px": _NUMBER,
        "overlap": Limits(),
        "padding": Limits(),
        "minimum_area_px": _NUMBER,
        "most_per_picture": _NUMBER,
        "keep_good": Limits(),
    },
    Organize: {
        "mode": Limits(),
        "minimum_images": _NUMBER,
        "most_folders": _NUMBER,
        "leave_out": Limits(),
        "other": Limits(),
        "nouns": Limits(),
    },
}
OF_CONTROLS = ("changed", "unusual", "back", "on", "off", "empty")
OF_TRAIN = ("of_folders", "of_runs", "with_count", "unreachable")


def fields(say: Language) -> dict[str, dict[str, dict[str, Any]]]:
    """What the page draws of each task's request."""
    return {str(task.model_fields["task"].default): form.controls(say, task, FORMS[task]) for task in FORMS}


def build(page: Page) -> None:
    """Draws the dialogue in the tab that is open, and wires it."""
    say = page.say
    borrowed = {name: say(f"which.{name}") for name in OF_CONTROLS} | {name: say(f"train.{name}") for name in OF_TRAIN}
    asking = widget(
        "prepare",
        None,
        scripts=[FOLDER / name for name in SCRIPTS],
        styles=[FOLDER / "which.css"],
        fields=fields(say),
        said={},
        words={**borrowed, **say.table("prepare")},
        language=say.code,
        elem_id="prepare",
    )

    def refused(event: gr.EventData) -> Any:
        """Why not, in the page's language: below the dialogue nobody would see it."""
        return gr.update(said={"sentence": say.sentence(str(event.sentence)), "at": str(time.time_ns())})

    asking.refuse(refused, None, asking, **QUIET)
    asking.train(lambda: gr.Tabs(selected="train"), None, page.tabs, **QUIET)
