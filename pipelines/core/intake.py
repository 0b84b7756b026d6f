"""From what was asked to what is put in line: inputs are taken into the asset store, so that a run needs nothing else.

Knows the stores; not what a task does with its inputs.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.core import files, ids, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Missing
from pipelines.core.requests import FileKind, Request


def from_paths(request: Request, assets: Assets) -> Request:
    """Each file named by path becomes an asset; asset ids stay. Raises BadInput naming the field."""

    def take(field: str, kind: FileKind, value: str) -> str:
        if ids.ASSET.fullmatch(value):
            return assets.get(value).id
        path = Path(value)
        if not path.is_file():
            raise BadInput(f"{field}: there is no file {value}", field)
        return assets.put(path, path.name).id

    ready = _changed(request, take)
    if isinstance(ready, requests.Export):  # the worker that takes it up may stand in another folder
        data = tuple(str(Path(one).resolve()) if Path(one).is_dir() else one for one in ready.data)
        output = str(Path(ready.output).resolve()) if ready.output is not None else None
        return ready.model_copy(update={"data": data, "output": output})
    return ready


def from_web(data: Mapping[str, Any], assets: Assets) -> Request:
    """A request that came over HTTP: files are asset ids (or `RUN/images/00000.png`), never paths.

    Raises BadInput, Missing.
    """
    request = requests.parse(data)

    def take(field: str, kind: FileKind, value: str) -> str:
        if ids.ASSET.fullmatch(value):
            return assets.get(value).id
        run, _, file = value.partition("/")
        if ids.RUN.fullmatch(run) and file:
            path = files.inside(assets.runs / run, file)
            if not path.is_file():
                raise Missing(f"{field}: run {run} has no file {file}")
            return assets.put(path, path.name).id
        raise BadInput(
            f"{field}: {value!r} is no asset id; upload the file first (POST /api/uploads) and use the id it returns",
            field,
        )

    checked = _changed(request, take)
    if isinstance(checked, requests.Export):
        for run in checked.data:
            if not ids.RUN.fullmatch(run):
                raise BadInput(f"data: {run!r} is no run id", "data")
        if checked.output is not None:
            raise BadInput(
                "output: over HTTP an export goes into the run's own folder; leave it empty and fetch it from /files",
                "output",
            )
    return checked


def _changed(request: Request, take: Any) -> Request:
    return requests.parse(requests.with_files(request, take))


def named(request: Request, assets: Assets) -> dict[str, Any]:
    """The request as a picture's metadata holds it: inputs by file name and sha256; no path, no id, no time."""

    def name(field: str, kind: FileKind, value: str) -> dict[str, str]:
        asset = assets.get(value)
        return {"name": asset.name, "sha256": asset.sha256}

    return requests.with_files(request, name)
