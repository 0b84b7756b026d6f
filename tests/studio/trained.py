"""Trainings made by hand: the run's row and folder as a worker leaves them. Trains nothing."""

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core import files, images, requests
from pipelines.core.adapter_names import WEIGHTS_FILE
from pipelines.core.queue import Queue
from tests import adapters, pictures

STEPS = 600
HELD_OUT = (0.30, 0.20, 0.15, 0.16, 0.18, 0.20)
DIVERSITY = (0.50, 0.48, 0.45, 0.40, 0.34, 0.30)


def dataset(folder: Path) -> Path:
    """A small MVTec tree: good parts, scratches and holes with their masks."""
    for place, count in (("train/good", 6), ("test/good", 2), ("test/scratch", 4), ("test/hole", 3)):
        for number in range(count):
            _write(folder / place / f"{number:03d}.png", pictures.good(48, 48))
    for defect, count in (("scratch", 4), ("hole", 3)):
        for number in range(count):
            _write(folder / f"ground_truth/{defect}/{number:03d}_mask.png", pictures.disc(48, 48))
    return folder


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write_png(path, pixels)


def training(runs: Path, state: str, done: int = STEPS, **fields: Any) -> str:
    """A training of the request `fields` that took `done` of its steps; returns its id."""
    queue = Queue(runs)
    request = requests.parse({"task": "train-lora", "base": "sd15", "max_train_steps": STEPS, "seed": 7, **fields})
    id = queue.submit(request)
    folder = runs / id
    folder.mkdir()
    files.write_json(folder / "request.json", request.model_dump(mode="json"))
    lines = [line for step in range(1, done + 1) for line in _lines(folder, step)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if state == "done":
        finish(folder)
    with queue.writing() as db:
        change = "UPDATE run SET state=?, done=?, total=?, started=created, ended=? WHERE id=?"
        ended = time.time() + 90 if state in ("done", "failed", "cancelled") else None
        db.execute(change, (state, done, STEPS, ended, id))
    queue.close()
    return id


def finish(folder: Path) -> None:
    """What stands in a training's folder at its end."""
    (folder / "weights").mkdir()
    (folder / "weights" / WEIGHTS_FILE).write_bytes(adapters.written(adapters.LORA))
    best = {"score": min(HELD_OUT), "step": 300}
    files.write_json(folder / "result.json", {"steps": STEPS, "loss": 0.05, "best": best, "files": [], "notes": []})


def _lines(folder: Path, step: int) -> list[dict[str, Any]]:
    denoising, prior = 0.05 + 0.3 * math.exp(-step / 150), 0.02
    losses = {"loss": denoising + prior, "denoising": denoising, "prior": prior}
    found: list[dict[str, Any]] = [{"time": 0, "step": step, **losses, "learning_rate": 1e-4, "grad_norm": 0.5}]
    if step % 100 == 0:
        names = [f"samples/{step:06d}/00-{number:02d}.png" for number in range(2)]
        for name in names:
            _write(folder / name, np.full((32, 32, 3), step % 256, np.uint8))
        (folder / "checkpoints" / f"checkpoint-{step:06d}").mkdir(parents=True)
        look = step // 100 - 1
        more = {"held_out": HELD_OUT[look], "diversity": DIVERSITY[look]}
        found.append({"time": 0, "step": step, "samples": {"a vfx": names}, **more})
    return found
