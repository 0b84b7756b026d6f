"""What a request names in one word and means in many: a folder of pictures, a prompt file, a finished training.

Puts in their place what they hold now, so that the run needs nothing else. Knows the stores; loads nothing.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.core import datasets, files, ids, library, projects, requests, runs, trainings
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Missing
from pipelines.core.records import USED
from pipelines.core.requests.batch import Batch
from pipelines.core.requests.diffusion import MAX_PROMPT
from pipelines.core.requests.dual import Dual
from pipelines.core.requests.grid import Grid
from pipelines.core.requests.place import Place
from pipelines.core.requests.segment import Segment
from pipelines.core.requests.text import MOST_PROMPTS, Text

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
# What trainings call their prompts, the word for it first.
PROMPTS = {
    "normal": ("normal_prompt", "instance_prompt", "prompt"),
    "defect": ("defect_prompt", "instance_prompt", "prompt"),
}
MOST_FILE = 2**22


def from_paths(request: Text, assets: Assets) -> Text:
    """As the command line asks: paths are paths. Raises BadInput, Missing."""
    data = _trained(request, assets, paths=True)
    if request.prompt_file is not None:
        data |= {"prompts": prompts(Path(request.prompt_file)), "prompt_file": None}
    return _whole(data, request, assets, paths=True)


def from_web(request: Text, assets: Assets) -> Text:
    """As HTTP asks: no path of this machine is opened. Raises BadInput, Missing."""
    if request.prompt_file is not None:
        raise BadInput("prompt_file: over HTTP send the lines themselves, as prompts", "prompt_file")
    return _whole(_trained(request, assets, paths=False), request, assets, paths=False)


def segment(request: Segment, assets: Assets, *, paths: bool) -> Segment:
    """The request with each picture by itself, whether it named files, a folder, a project or a run. Raises so too."""
    change = {
        name: tuple(one for value in getattr(request, name) for one in _pictures(value, assets, name, paths=paths))
        for name in ("data", "clean")
    }
    return request.model_copy(update=change)


def dual(request: Dual, assets: Assets, *, paths: bool) -> Dual:
    """The request with each background by itself. Raises so too."""
    found = [one for value in request.backgrounds for one in _pictures(value, assets, "backgrounds", paths=paths)]
    return request.model_copy(update={"backgrounds": tuple(found)})


def batch(request: Batch, assets: Assets, *, paths: bool) -> Batch:
    """The request with each source by itself. Raises so too."""
    found = [one for value in request.sources for one in _pictures(value, assets, "sources", paths=paths)]
    real = request.real and datasets.named(request.real, assets.runs, "real", paths=paths)
    settled = partial(_with_data, assets=assets, paths=paths)

    shares = [
        share.model_copy(update={"place": settled("data", share.place), "fields": settled("examples", share.fields)})
        for share in request.defects
    ]
    change: dict[str, Any] = {"sources": tuple(found), "real": real, "defects": tuple(shares)}
    change |= {"place": settled("data", request.place), "template": settled("examples", request.template)}
    return request.model_copy(update=change)


def grid(request: Grid, assets: Assets, *, paths: bool) -> Grid:
    """The request with the examples of its template as the run will find them. Raises so too."""
    return request.model_copy(update={"template": _with_data("examples", request.template, assets, paths=paths)})


def _with_data(field: str, data: Mapping[str, Any], assets: Assets, *, paths: bool) -> dict[str, Any]:
    """Fields of a request, of which one may name a data set."""
    if not data.get(field):
        return dict(data)
    return {**data, field: datasets.named(str(data[field]), assets.runs, field, paths=paths)}


def place(request: Place, assets: Assets, *, paths: bool) -> Place:
    """The request with each picture by itself. Raises so too."""
    found = [one for value in request.image for one in _pictures(value, assets, "image", paths=paths)]
    data = request.data and datasets.named(request.data, assets.runs, "data", paths=paths)
    return request.model_copy(update={"image": tuple(found), "data": data})


def prompts(path: Path) -> list[str]:
    """The prompts of a file, a line each; empty lines and those that begin with # are passed over. Raises BadInput."""
    name = files.plain_name(path.name)
    try:
        with files.reading(path, name) as file:
            text = file.read(MOST_FILE + 1).decode("utf-8-sig")
    except Missing as error:
        raise BadInput(f"prompt_file: there is no file {name}", "prompt_file") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{name} is not written in UTF-8: save it so, with a prompt a line", "prompt_file") from error
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise BadInput(f"{name} holds no prompt: write one a line", "prompt_file")
    if len(found) > MOST_PROMPTS or len(text) > MOST_FILE:
        raise BadInput(f"{name} holds more than {MOST_PROMPTS} prompts: split it", "prompt_file")
    for number, line in enumerate(lines, start=1):
        if len(line) > MAX_PROMPT:
            raise BadInput(
                f"line {number} of {name} has {len(line)} characters; a prompt has up to {MAX_PROMPT}", "prompt_file"
            )
    return found


def _whole(data: dict[str, Any], request: Text, assets: Assets, *, paths: bool) -> Text:
    """The request with its pictures one by one."""
    found = [one for value in request.sources for one in _pictures(value, assets, "images", paths=paths)]
    many = request.images or found != list(request.sources)
    if many:
        taken = found[request.start :][: request.limit]
        if not taken:
            raise BadInput(f"start = {request.start}: there are only {len(found)} pictures", "start")
        data |= {"image": None, "images": taken, "start": 0, "limit": None}
    ready = requests.parse(data)
    assert isinstance(ready, Text)
    return ready


def _pictures(value: str, assets: Assets, field: str, *, paths: bool) -> list[str]:
    """What one value of a field stands for: asset ids, files, or `RUN/images/00000.png`."""
    if ids.ASSET.fullmatch(value):
        return [value]
    if projects.ID.fullmatch(value):
        found = projects.Projects(assets.runs).records(value).assets(USED)
        return found or _none(value, field)
    if ids.RUN.fullmatch(value):
        folder = assets.runs / value
        if not folder.is_dir():
            raise Missing(f"{field}: there is no run {value}")
        names = [f"images/{stem}.png" for stem in _stems(folder)]
        return [str(folder / name) if paths else f"{value}/{name}" for name in names] or _none(value, field)
    if paths and Path(value).is_dir():
        here = [one for one in Path(value).iterdir() if one.suffix.lower() in ENDINGS and one.is_file()]
        return [str(one) for one in sorted(here, key=_order)] or _none(value, field)
    return [value]


def _stems(folder: Path) -> list[str]:
    """The pictures of a run that nobody rejected, in its order."""
    judged = runs.verdicts(folder)
    images = folder / "images"
    stems = sorted(one.relative_to(images).with_suffix("").as_posix() for one in images.rglob("*.png"))
    return [stem for stem in stems if judged.get(stem) not in ("discarded", "deleted")]


def _none(value: str, field: str) -> list[str]:
    raise BadInput(f"{field}: {value} holds no picture (PNG, JPEG, TIFF, BMP or WEBP)", field)


def _order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """part2 before part10."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts], path.name


def _trained(request: Text, assets: Assets, *, paths: bool) -> dict[str, Any]:
    """The request as data, with what its training brings where it says nothing itself."""
    data = request.model_dump(mode="json")
    if request.from_run is None:
        return data
    folder = assets.runs / request.from_run
    if paths and not ids.RUN.fullmatch(request.from_run):
        folder = Path(request.from_run).resolve()
    path = library.of_run(folder.parent, folder.name)
    adapter = {"path": assets.put(path, path.name).id, "weight": 1.0}
    said = trainings.request(folder)
    data |= {"from_run": None, "adapters": [adapter, *data.get("adapters", [])]}
    if data["base"] is None:
        if not said.get("base"):
            raise BadInput(f"run {folder.name} does not say which base it trained: name it in base", "base")
        data["base"] = said["base"]
    if not (request.prompt or request.prompts or request.prompt_file):
        data["prompt"] = prompt_of(said, request.trained)
    data.pop("trained", None)
    return data


def prompt_of(said: Mapping[str, Any], trained: str) -> str:
    """What a training called good parts, or its defect; "" where it does not say."""
    return next((str(said[name]) for name in PROMPTS[trained] if said.get(name)), "")
