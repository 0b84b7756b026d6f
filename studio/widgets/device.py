"""The header's readout of the device: what computes, what is in use on it, how warm it is. Asks /api/machine itself."""

import gradio as gr

from studio.i18n import Language
from studio.widgets import FOLDER, widget

MACHINE = "/api/machine"
SCRIPT = FOLDER / "machine.js"


def build(say: Language) -> gr.HTML:
    """The widget, in the row that is open."""
    return widget(
        "device",
        None,
        scripts=[SCRIPT],
        words=say.table("device"),
        machine=MACHINE,
        language=say.code,
        elem_id="device",
    )
