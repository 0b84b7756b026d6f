"""The Models tab: which models are loaded and what they may hold, worker by worker; which bases and nets there are.

Draws the tab. The figures come from studio.machine, /api/bases and /api/nets over HTTP, while the tab is seen.
"""

import gradio as gr

from pipelines.core import nets
from studio import bases
from studio.context import Context
from studio.page import Page
from studio.widgets import FOLDER, device, widget


def build(context: Context, page: Page) -> None:
    """Draws the tab in the block that is open."""
    say = page.say
    with gr.Column(elem_id="models"):
        widget(
            "models",
            None,
            scripts=[device.SCRIPT, FOLDER / "models_bases.js"],
            words={**say.table("models"), "kinds": {kind: say(f"steer.{kind}") for kind in nets.KINDS}},
            machine=device.MACHINE,
            bases="/api/bases",
            nets="/api/nets",
            runs="/api/runs",
            hub=bases.hub(),
            language=say.code,
        )
