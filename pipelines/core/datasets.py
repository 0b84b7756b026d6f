"""Data sets by id: folders of this machine that were opened to the studio, so that a request need not name a path.

`runs/datasets/<id>.json` holds where one lies and what it is called. Knows places; nothing of what lies in them.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from pipelines.core import files, ids, projects
from pipelines.core.errors import BadInput, Missing

ID = re.compile(r"dataset-[0-9a-f]{12}")


@dataclass(frozen=True)
class Dataset:
    """A folder of pictures, under an id."""

    id: str
    label: str
    folder: Path


def put(runs: Path, folder: Path, label: str) -> Dataset:
    """Gives a folder an id; the same folder has the same one each time. Raises Missing, Problem."""
    folder = folder.resolve()
    if not folder.is_dir():
        raise Missing(f"there is no folder {folder.name}: choose one that is there")
    made = Dataset("dataset-" + hashlib.sha256(str(folder).encode()).hexdigest()[:12], label, folder)
    home = runs / "datasets"
    with files.explained(home):
        home.mkdir(parents=True, exist_ok=True)
    files.write_json(home / f"{made.id}.json", {"label": label, "folder": str(folder)})
    return made


def get(runs: Path, id: str) -> Dataset:
    """Raises Missing."""
    try:
        said = json.loads((runs / "datasets" / f"{id}.json").read_text(encoding="utf-8"))
        return Dataset(id, str(said["label"]), Path(said["folder"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Missing(f"there is no data set {id[:40]!r} any more: choose its folder again") from error


def named(value: str, runs: Path, field: str, *, paths: bool) -> str:
    """`data` of a request as it goes in line: a run, a project or a data set by its id, or (CLI) a folder's whole path.

    Raises BadInput, Missing.
    """
    if ID.fullmatch(value):
        return get(runs, value).id
    if projects.ID.fullmatch(value):
        return projects.Projects(runs).get(value).id
    if ids.RUN.fullmatch(value):
        if not (runs / value).is_dir():
            raise Missing(f"{field}: there is no run {value}")
        return value
    if not paths:
        raise BadInput(f"{field}: {value[:80]!r} is no run, no project and no data set: choose one on the page", field)
    if not Path(value).is_dir():
        raise BadInput(f"{field}: there is no folder {value}: name a data set's folder, a run or a project", field)
    return str(Path(value).resolve())


def folder(value: str, runs: Path) -> Path:
    """Where a data set lies that is no project. Raises Missing."""
    if ID.fullmatch(value):
        found = get(runs, value).folder
    else:
        found = runs / value if ids.RUN.fullmatch(value) else Path(value)
    if not found.is_dir():
        raise Missing(f"the folder {found.name} of the data set is gone: put it back, or choose another")
    return found
