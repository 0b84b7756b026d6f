"""The page's own pieces beside the canvas: samples, job bar, comparison. Each shows a value; none computes one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

FOLDER = Path(__file__).parent
VIEW = FOLDER.parent / "canvas"
CLIPBOARD = FOLDER / "clipboard.js"
VERDICTS = FOLDER / "verdicts.js"


def widget(name: str, value: Any, *, scripts: Sequence[Path] = (), styles: Sequence[Path] = (), **more: Any) -> gr.HTML:
    """`name`.html, .css and .js of this folder as one component; `scripts` and `styles` are read before its own."""
    files = [*scripts, FOLDER / f"{name}.js"]
    return gr.HTML(
        value=value,
        html_template=(FOLDER / f"{name}.html").read_text(encoding="utf-8"),
        css_template="\n".join(path.read_text(encoding="utf-8") for path in (*styles, FOLDER / f"{name}.css")),
        js_on_load="\n".join(path.read_text(encoding="utf-8") for path in files),
        apply_default_css=False,
        **more,
    )
