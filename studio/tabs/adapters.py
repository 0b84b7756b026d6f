"""The Adapters tab: what a training has learned, to be laid over a base. Cards to look at, edit, take in and send out.

Draws the tab. The widget asks the routes of studio.adapters itself; events come here for what must be said in the
page's language.
"""

import time
from typing import Any

import gradio as gr

from pipelines.core.adapter_names import ENDINGS
from studio import watch
from studio.context import Context
from studio.page import QUIET, Page
from studio.widgets import CLIPBOARD, widget


def build(context: Context, page: Page) -> None:
    """Draws the tab in the block that is open, and wires it."""
    say = page.say
    found = widget(
        "adapters",
        {},
        scripts=[CLIPBOARD],
        words=say.table("adapters"),
        language=say.code,
        endings=",".join(ENDINGS),
        elem_id="adapters",
    )

    def refused(event: gr.EventData) -> None:
        watch.warn(say, str(event.sentence))

    def told(event: gr.EventData) -> dict[str, Any]:
        """What was refused of several files, in the page's language."""
        sentences = [say.sentence(str(one)) for one in event.refused]
        return {"told": sentences, "at": str(time.time_ns())}

    each: dict[str, Any] = {"trigger_mode": "multiple", "concurrency_limit": 1, **QUIET}
    found.refuse(refused, None, None, **each)
    found.told(told, None, found, **each)
