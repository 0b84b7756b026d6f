"""What made a data set, as requests that can be answered again anywhere: the recipe beside its card.

In a recipe a file is named by its name and sha256, and a run by what was asked of it, for neither asset ids nor run ids
mean anything elsewhere. Knows requests, files and the job table; not what a request does.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.core import files, ids, projects, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Missing, Problem
from pipelines.core.queue import Queue
from pipelines.core.requests import Export, Request

STEP = 200
"""So many runs are looked through at a time."""


def named(value: Any, assets: Assets) -> Any:
    """JSON with each asset in it, however deep, as {name, sha256}, and of each path its last name. Raises Missing."""
    if isinstance(value, Mapping):
        return {key: named(one, assets) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [named(one, assets) for one in value]
    if isinstance(value, str) and ids.ASSET.fullmatch(value):
        asset = assets.get(value)
        return {"name": asset.name, "sha256": asset.sha256}
    if isinstance(value, str) and value.startswith("/") and Path(value).exists():
        return files.plain_name(value)
    return value


def brought(value: Any, assets: Assets, folders: Sequence[Path] = ()) -> Any:
    """JSON with each {name, sha256} in it as an asset; a file that is not in the store is taken from `folders`.

    Raises Missing naming the file where it is in none of them, BadInput for JSON that is nested without end.
    """
    try:
        return _brought(value, assets, folders)
    except RecursionError as error:
        raise BadInput("the request is nested too deeply") from error


def _brought(value: Any, assets: Assets, folders: Sequence[Path]) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {"name", "sha256"} and all(isinstance(one, str) for one in value.values()):
            return _asset(value["name"], value["sha256"], assets, folders)
        return {key: _brought(one, assets, folders) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_brought(one, assets, folders) for one in value]
    return value


def _asset(name: str, sha256: str, assets: Assets, folders: Sequence[Path]) -> str:
    id = ids.asset(sha256, name)
    if assets.has(id):
        return id
    for path in (folder / files.plain_name(name) for folder in folders):
        if path.is_file() and files.sha256(path) == sha256:
            return assets.put(path, name).id
    raise Missing(f"{name} with the sha256 {sha256[:12]}… is not here: put that file beside the recipe, or upload it")


def outside(value: Any) -> bool:
    """Whether a request names a run, a project or a folder, which a recipe cannot bring along."""
    if isinstance(value, Mapping):
        return any(outside(one) for one in value.values())
    if isinstance(value, list | tuple):
        return any(outside(one) for one in value)
    if not isinstance(value, str):
        return False
    run = value.partition("/")[0]
    path = value.startswith("/") and Path(value).exists()
    return path or bool(ids.RUN.fullmatch(run) or projects.ID.fullmatch(value))


def made(data: Any, assets: Assets) -> str:
    """What a run that answered this request is called in a recipe. Raises BadInput, Missing."""
    request = requests.parse(data)
    said = request.model_dump(mode="json", exclude_defaults=True) | {"task": request.task}
    text = json.dumps(named(said, assets), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return f"made-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def waits(request: Request) -> bool:
    """Whether it speaks of runs by what was asked of them, and so can only be taken in once those are done."""
    return isinstance(request, Export) and any(ids.MADE.fullmatch(name) for name in request.data)


def found(request: Export, assets: Assets) -> Export:
    """The export with the runs themselves: of each name the newest run that ended well. Raises Missing."""
    wanted = {name for name in request.data if ids.MADE.fullmatch(name)}
    if not wanted:
        return request
    known = _runs(wanted, assets)
    if lacking := wanted - set(known):
        raise Missing(
            f"data: {len(lacking)} of the runs that the recipe speaks of are not done here: run its other requests"
            " first"
        )

    def picture(name: str) -> str:
        run, slash, stem = name.partition("/")
        return known.get(run, run) + slash + stem

    change = {"data": tuple(known.get(name, name) for name in request.data)}
    change |= {field: tuple(map(picture, getattr(request, field))) for field in ("only", "without")}
    return request.model_copy(update=change)


def _runs(wanted: set[str], assets: Assets) -> dict[str, str]:
    """Run ids by what they are called in a recipe."""
    queue, known, times, after = Queue(assets.runs), dict[str, str](), dict[str, int](), None
    while wanted - set(known) and (rows := queue.newest(after, STEP)):
        after = rows[-1].id
        for row in rows:
            if row.state != "done":
                continue
            try:
                name = made(row.request, assets)
            except Problem:  # of an older Flawsmith, or a file of it is gone: then it is not what is meant
                continue
            times[name] = times.get(name, 0) + 1
            known.setdefault(numbered(name, times[name]), row.id)
    return known


def numbered(name: str, time: int) -> str:
    """What the second, third ... run is called that answered the very same request."""
    return name if time == 1 else f"{name}.{time}"
