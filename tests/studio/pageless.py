"""A studio without its page: its routes on a real server, and a hand to use them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from pipelines.core import images
from pipelines.worker import Worker
from studio import routes
from studio.context import Context
from studio.guard import Guard
from tests.studio.serving import Answer, ask, serving

LANES = ("cpu", "device")


class Studio:
    """Where it is served, and what it is served from."""

    def __init__(self, context: Context, port: int) -> None:
        self.context = context
        self.port = port

    def get(self, path: str, **headers: str) -> Answer:
        return ask(self.port, "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, data: Any = None) -> Answer:
        return ask(self.port, "POST", path, data=data)

    def upload(self, content: bytes, name: str) -> Answer:
        return ask(self.port, "POST", "/api/uploads", content, {"X-Filename": quote(name)})

    def asset(self, pixels: np.ndarray, name: str) -> str:
        answer = self.upload(images.encode_png(pixels), name)
        assert answer.status == 201, answer.body
        found: str = answer.json()["asset"]
        return found

    def request(self, **fields: Any) -> dict[str, Any]:
        grey = np.full((64, 80, 3), 150, np.uint8)
        mask = np.zeros((64, 80), bool)
        mask[20:40, 20:60] = True
        whole = {"task": "inpaint", "image": self.asset(grey, "part.png"), "mask": self.asset(mask, "mask.png")}
        return {**whole, "defect": "scratch", "seed": 7, **fields}

    def ask(self, **fields: Any) -> str:
        answer = self.post("/api/runs", self.request(**fields))
        assert answer.status == 201, answer.body
        found: str = answer.json()["id"]
        return found

    def work(self) -> None:
        """Answer what waits, here and now."""
        with Worker(self.context.runs, "cpu", LANES) as worker:
            while row := worker.queue.claim(worker.owner, worker.lanes):
                worker.serve(row)


class Project:
    """A project over HTTP, and short ways to ask about it."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.id = studio.post("/api/projects", {"name": "Housing"}).json()["id"]
        self.address = f"/api/projects/{self.id}"

    def post(self, path: str, data: Any = None) -> Any:
        answer = self.studio.post(f"{self.address}/{path}", data)
        assert answer.status == 200, answer.body
        return answer.json()

    def get(self, path: str) -> Any:
        answer = self.studio.get(f"{self.address}/{path}")
        assert answer.status == 200, answer.body
        return answer.json()


@contextmanager
def open_studio(runs: Path) -> Iterator[Studio]:
    context = Context.open(runs)
    with serving(Guard(routes.application(context))) as port:
        yield Studio(context, port)
