"""Before and after, variants side by side, keep and discard, and where a result can be sent. Knows no tab."""

from collections.abc import Sequence

import gradio as gr

from studio.i18n import Language
from studio.widgets import FOLDER, VERDICTS, VIEW, widget

SCRIPTS = (VIEW / "raster.js", VIEW / "view.js", VERDICTS, FOLDER / "compare_looks.js", FOLDER / "compare_tiles.js")


def build(say: Language, *, targets: Sequence[str], elem_id: str, how: str = "") -> gr.HTML:
    """The widget, in the block that is open. `targets` are ids of places a result goes to, `how` leads to one.

    Its events: `judge` {changes}, `look` {run, stem}, `start` {run, stem}, `send` {to, run, stem}, `leave`.
    """
    words = say.table("compare")
    labels = words.pop("targets")
    return widget(
        "compare",
        {},
        scripts=SCRIPTS,
        words={**words, "how": how} if how else words,
        targets=[{"id": target, "label": labels[target]} for target in targets],
        elem_id=elem_id,
    )
