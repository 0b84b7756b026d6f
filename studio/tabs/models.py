"""The Models tab: which models are loaded and what they may hold, worker by worker, and which bases there are.

Draws the tab. The figures come from studio.machine over HTTP, while the tab is seen.
"""

import gradio as gr

from pipelines.core import bases
from pipelines.core.errors import BadInput
from studio.context import Context
from studio.i18n import Language
from studio.page import Page
from studio.widgets import device, widget


def build(context: Context, page: Page) -> None:
    """Draws the tab in the block that is open."""
    say = page.say
    with gr.Column(elem_id="models"):
        widget(
            "models",
            None,
            scripts=[device.SCRIPT],
            words=say.table("models"),
            machine=device.MACHINE,
            bases="/api/bases",
            named=_named(say),
            language=say.code,
        )


def _named(say: Language) -> dict[str, dict[str, str]]:
    """What each base is called in this language; a table that is wrong is said by /api/bases."""
    try:
        known = bases.load().values()
    except BadInput:
        return {}
    return {base.name: {"label": say.data(f"bases.{base.name}.label", base.label)} for base in known}
