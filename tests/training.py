"""What tests of training stand on: a small data set, a run by hand, and a recipe that trains two small layers."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from pipelines.core import files, images, intake, requests
from pipelines.core.assets import Assets
from pipelines.core.owners import Owner
from pipelines.core.queue import Queue, Row
from pipelines.core.requests import Training
from pipelines.core.runs import Run
from pipelines.parts.chance import generator, picked
from pipelines.parts.lessons import At, Look, Terms
from pipelines.parts.optimizers import Group
from pipelines.worker import Worker

SIZE = (40, 48)


def dataset(root: Path, good: int = 4, scratches: int = 3, seed: int = 0) -> Path:
    """An MVTec tree: good parts, and parts with one dark scratch."""
    random = np.random.default_rng(seed)

    def part() -> np.ndarray:
        noise = random.integers(90, 180, (*SIZE, 3), dtype=np.uint8)
        return cv2.GaussianBlur(noise, (5, 5), 1.5)

    for number in range(good):
        _put(root / f"train/good/{number:03d}.png", part())
    for number in range(scratches):
        picture, mask = part(), np.zeros(SIZE, np.uint8)
        cv2.line(mask, (6 + 3 * number, 6), (30, 28 + number), 255, 2)
        picture[mask > 0] = 25
        _put(root / f"test/scratch/{number:03d}.png", picture)
        _put(root / f"ground_truth/scratch/{number:03d}_mask.png", mask > 0)
    return root


def _put(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write_png(path, pixels)


def answer(worker: Worker, data: Mapping[str, Any]) -> tuple[Row, Path]:
    """A request to its end, whatever that is."""
    request = intake.from_paths(requests.parse(dict(data)), Assets(worker.queue.runs))
    row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
    return row, worker.queue.runs / row.id


def again(worker: Worker, id: str) -> Row:
    """Takes a run up where it stopped."""
    return worker.serve(worker.queue.resume(id, worker.owner))


@contextmanager
def stopped(worker: Worker, at: int, of: int | None = None) -> Iterator[None]:
    """Whoever tells the queue inside that `at` are done (of `of`, where that is said) is told to stop."""
    progress = worker.queue.progress

    def stopping(run: str, owner: Owner, done: int, total: int, note: str) -> bool:
        return progress(run, owner, done, total, note) or (done == at and of in (None, total))

    worker.queue.progress = stopping  # type: ignore[method-assign]
    try:
        yield
    finally:
        worker.queue.progress = progress  # type: ignore[method-assign]


def lines(run: Path) -> list[dict[str, Any]]:
    """The log of a run."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def equal(one: Path, other: Path) -> bool:
    """Whether two files hold the same tensors, to the bit."""
    first, second = load_file(one), load_file(other)
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def held(runs: Path, request: Training, between: Callable[[], None] | None = None) -> Run:
    """A run of this process, outside any worker."""
    queue, owner = Queue(runs), Owner.me()
    return Run(queue, queue.submit(request, owner=owner), request, owner, between)


class Toy:
    """Learns a straight line with dropout, from batches and noise that are pure functions of the step."""

    def __init__(self, request: Training) -> None:
        self.request = request
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.net = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.3), nn.ReLU(), nn.Linear(16, 1))
            self.x = torch.randn(40, 8)
        self.y = self.x.sum(1, keepdim=True)
        first, last = list(self.net[0].parameters()), list(self.net[3].parameters())
        second = request.learning_rate * (1 if request.optimizer == "prodigy" else 0.5)
        self.groups = [Group("first", first, request.learning_rate), Group("last", last, second)]
        self.spoil: Callable[[int], float] = lambda step: 1.0
        """A factor on the loss of each step."""
        self.stood_aside = 0

    scored = False

    def before(self, step: int) -> None: ...

    def hold_back(self) -> None: ...

    def loss(self, at: At) -> Terms:
        batch = self.request.train_batch_size
        chosen = picked(self.request.seed, at.batch, batch * at.ranks, len(self.x))
        mine = chosen[at.rank * batch : (at.rank + 1) * batch]
        noise = torch.randn(len(mine), 8, generator=generator(self.request.seed, at.batch, "noise", at.rank))
        off = self.net(self.x[mine] + 0.1 * noise) - self.y[mine]
        return {"square": off.square().mean() * self.spoil(at.step), "size": 0.01 * off.abs().mean()}

    def tensors(self) -> dict[str, Tensor]:
        return {name: one.detach() for name, one in self.net.named_parameters()}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        for name, one in self.net.named_parameters():
            one.copy_(tensors[name])

    @contextmanager
    def _aside(self) -> Iterator[None]:
        self.stood_aside += 1
        yield

    def aside(self) -> AbstractContextManager[None]:
        return self._aside()

    def look(self, step: int, tick: Callable[[str], None]) -> Look:
        return Look(pictures={"toy": [np.full((8, 8, 3), step % 256, np.uint8)]}, facts={"diversity": 0.5})

    def write(self, folder: Path) -> Sequence[str]:
        folder.mkdir(parents=True, exist_ok=True)
        files.write_bytes(folder / "toy.safetensors", save(self.tensors()))
        return ["toy.safetensors"]
