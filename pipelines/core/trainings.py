"""Trainings among the runs: which are finished, and what one that is asked for takes up. Knows folders and requests."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.core import datasets, ids, projects, requests
from pipelines.core.adapter_names import EMBEDDINGS_FILE, WEIGHTS_FILE
from pipelines.core.errors import BadInput
from pipelines.core.library import DUAL_FILE
from pipelines.core.requests.defectfill import TrainDefectfill
from pipelines.core.requests.train import TrainInversion, TrainLora

ADAPTERS = (WEIGHTS_FILE, EMBEDDINGS_FILE)
PRODUCTS = (*ADAPTERS, DUAL_FILE)


def finished(runs: Path, products: Sequence[str] = ADAPTERS) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(run, its request) of every finished training that made one of these, newest first."""
    folders = {one.parents[1] for name in products for one in runs.glob(f"*/weights/{name}")}
    for folder in sorted(folders, reverse=True):
        if ids.RUN.fullmatch(folder.name) and (folder / "result.json").is_file():
            yield folder.name, request(folder)


def request(folder: Path) -> Mapping[str, Any]:
    """The request of a training, as it was asked; empty where its folder holds none that can be read."""
    try:
        found = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def stage_one(runs: Path, base: str, data: str) -> str | None:
    """The newest finished stage 1 of a data set on a base, if there is one."""
    for run, said in finished(runs):
        if said.get("stage") == 1 and said.get("base") == base and said.get("data") == data:
            return run
    return None


def settled(asked: requests.Training, runs: Path, *, paths: bool) -> requests.Training:
    """The request with its data by id or whole path, and stage 2 with the stage 1 it stands on. Raises BadInput."""
    change: dict[str, Any] = {"data": datasets.named(asked.data, runs, "data", paths=paths)}
    if asked.class_data is not None:
        change["class_data"] = datasets.named(asked.class_data, runs, "class_data", paths=paths)
    if isinstance(asked, TrainDefectfill) and not asked.object:
        asked = asked.model_copy(update={"object": _object(change["data"], runs)})
        change["object"] = asked.object
    if isinstance(asked, TrainLora):
        change["instance_prompt"] = asked.whole_prompt  # who makes pictures with it later reads it there
    if isinstance(asked, TrainInversion):
        change["placeholder_token"] = asked.token
    if isinstance(asked, TrainLora) and asked.stage == 2 and asked.resume_from is None:
        found = stage_one(runs, asked.base, str(change["data"]))
        if found is None:
            raise BadInput(
                f"stage 2 stands on a finished stage 1 of this data set on {asked.base}, and there is none: train"
                " stage 1 first, name an adapter in resume_from, or leave stage empty to train all at once",
                "resume_from",
            )
        change["resume_from"] = found
    return asked.model_copy(update=change)


def _object(data: str, runs: Path) -> str:
    """What the parts of a data set are called, by its folder; a project or a run is not called by what it shows."""
    if projects.ID.fullmatch(data) or ids.RUN.fullmatch(data):
        return "part"
    return datasets.folder(data, runs).name.replace("_", " ")
