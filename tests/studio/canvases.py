"""The canvas alone on a page of ours, our routes behind it: its value is set here, and what it says is heard here."""

import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import uvicorn

from pipelines.core import images
from studio import canvas, i18n, pictures, routes, shell
from studio.context import Context
from studio.guard import Guard
from tests.studio import windows
from tests.studio.conftest import ROOT

EVENTS = ("open", "restore", "refuse", "input", "select")
SIDE = 400


@dataclass
class Bench:
    """A served canvas and a browser page on it."""

    context: Context
    home: str
    heard: Path
    """A line of JSON for each event: its name, and what came with it."""
    page: Any = None

    def asset(self, pixels: np.ndarray, name: str = "part.png") -> str:
        return self.context.assets.put(images.encode_png(pixels), name).id

    def show(self, asset: str, areas: Sequence[Mapping[str, Any]] = (), drafts: str = "") -> None:
        """Sets the value, and waits until it is on the canvas."""
        name = self.context.assets.get(asset).name
        self.set(asset, areas, drafts)
        self.page.wait_for_function(
            "name => document.querySelector('.mc').dataset.ready === '1'"
            " && document.querySelector('.mc-facts').textContent.includes(name)",
            arg=name,
        )
        self.page.locator(".mc").focus()

    def set(self, asset: str, areas: Sequence[Mapping[str, Any]] = (), drafts: str = "") -> None:
        value = canvas.shown(pictures.shown(self.context.assets.get(asset)), areas, drafts)
        self.page.evaluate("document.querySelector('.mc').dataset.ready = '0'")
        self.page.fill("#value textarea", json.dumps(value))
        self.page.click("#set")

    def said(self, event: str) -> list[dict[str, Any]]:
        """What came with each such event, in their order."""
        lines = self.heard.read_text().splitlines() if self.heard.is_file() else []
        return [given for name, given in map(json.loads, lines) if name == event]


@contextmanager
def served() -> Iterator[Bench]:
    """The server alone, a process of its own since Gradio leaves loops open; `opened` gives it a page."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.studio.canvases", folder]
        process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)
        assert process.stdout
        try:
            port = int(process.stdout.readline())
            yield Bench(Context.open(Path(folder) / "runs"), f"http://127.0.0.1:{port}", Path(folder) / "heard")
        finally:
            process.terminate()
            process.wait(30)
            process.stdout.close()


@contextmanager
def opened(bench: Bench, browser: Any, **more: Any) -> Iterator[Bench]:
    """A fresh profile on the page, watched; `more` goes to windows.watched."""
    bench.heard.unlink(missing_ok=True)
    with windows.watched(browser, bench.home, **more) as page:
        page.goto(bench.home)
        page.wait_for_selector(".mc[data-ready='0'][data-empty='1']")
        yield replace(bench, page=page)


def serve(folder: Path) -> None:
    """Until it is terminated. The first line it prints is its port."""
    app = gr.mount_gradio_app(
        routes.application(Context.open(folder / "runs")),
        _blocks(folder / "heard"),
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        show_error=False,
        **shell.mount_options(i18n.language("en")),
    )
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    door.listen()
    print(door.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(Guard(app), log_level="critical")).run([door])


def _blocks(heard: Path) -> gr.Blocks:
    def hear(name: str) -> Any:
        def listen(event: gr.EventData) -> None:
            with heard.open("a") as file:
                file.write(json.dumps([name, event._data or {}]) + "\n")

        return listen

    with gr.Blocks() as blocks:
        with gr.Tabs():
            with gr.Tab("Paint"), gr.Tabs():
                with gr.Tab("Where"):
                    words = i18n.language("en").table("canvas")
                    painted = canvas.mask_canvas(titles={"dent": "Dent", "scratch": "Scratch"}, words=words)
                with gr.Tab("Judge"):
                    gr.Markdown("result")
            with gr.Tab("Other"):
                gr.Markdown("elsewhere")
        value = gr.Textbox(elem_id="value", lines=2)
        set_ = gr.Button("Set", elem_id="set")
        set_.click(json.loads, value, painted, queue=False)
        for name in EVENTS:
            getattr(painted, name)(hear(name), None, None, queue=False)
    return blocks


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
