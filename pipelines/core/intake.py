"""From what was asked to what is put in line: inputs are taken into the asset store, so that a run needs nothing else.

An adapter is named by file, by asset, by its id in the library, by the run that trained it, or in the prompt
(`<lora:name:0.8>`). Knows the stores; not what a task does with its inputs.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipelines.core import (
    adapter_facts,
    adapter_names,
    datasets,
    files,
    ids,
    library,
    projects,
    recipes,
    requests,
    trainings,
    unfold,
)
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Missing
from pipelines.core.library import Library
from pipelines.core.requests import FileKind, Request
from pipelines.core.requests.batch import GIVEN, PLANNED
from pipelines.core.requests.diffusion import Diffusion
from pipelines.core.requests.grid import Axis

Take = Callable[[str, FileKind, str], str]
"""(field, kind, value) -> the asset that stands for it."""


def from_paths(request: Request, assets: Assets) -> Request:
    """Each file named by path becomes an asset; asset ids stay. Raises BadInput naming the field."""

    def take(field: str, kind: FileKind, value: str) -> str:
        if ids.ASSET.fullmatch(value):
            return assets.get(value).id
        path = Path(value)
        if not path.is_file():
            raise BadInput(f"{field}: there is no file {value}", field)
        return assets.put(path, path.name).id

    request = _unfolded(request, assets, paths=True)
    ready = _changed(request, _knowing_adapters(take, assets), assets)
    if isinstance(ready, requests.Export):  # the worker that takes it up may stand in another folder
        data = tuple(str(Path(one).resolve()) if Path(one).is_dir() else one for one in ready.data)
        output = ready.output
        if output is not None and "://" not in output:
            output = str(Path(output).resolve())
        return ready.model_copy(update={"data": data, "output": output})
    if isinstance(ready, requests.Pack) and ready.output is not None:
        return ready.model_copy(update={"output": str(Path(ready.output).resolve())})
    return ready


def from_web(data: Mapping[str, Any], assets: Assets) -> Request:
    """A request that came over HTTP: files are asset ids (or `RUN/images/00000.png`), never paths.

    One of a recipe names files by name and sha256, and runs by what was asked of them. Raises BadInput, Missing.
    """
    request = requests.parse(recipes.brought(data, assets))

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

    request = _unfolded(request, assets, paths=False)
    checked = _changed(request, _knowing_adapters(take, assets), assets)
    if isinstance(checked, requests.Export | requests.Pack):
        for run in checked.data if isinstance(checked, requests.Export) else ():
            if not (ids.RUN.fullmatch(run) or projects.ID.fullmatch(run)):
                raise BadInput(f"data: {run!r} is no run and no project", "data")
        if checked.output is not None:
            raise BadInput(
                "output: over HTTP an export goes into the run's own folder; leave it empty and fetch it from /files",
                "output",
            )
    return checked


def _unfolded(request: Request, assets: Assets, *, paths: bool) -> Request:
    """The request with whatever one word of it stands for: folders, prompt files, data sets, an earlier training."""
    if isinstance(request, requests.Text):
        return unfold.from_paths(request, assets) if paths else unfold.from_web(request, assets)
    if isinstance(request, requests.Segment):
        return unfold.segment(request, assets, paths=paths)
    if isinstance(request, requests.Dual):
        return unfold.dual(request, assets, paths=paths)
    if isinstance(request, requests.Batch):
        return unfold.batch(request, assets, paths=paths)
    if isinstance(request, requests.Grid):
        return unfold.grid(request, assets, paths=paths)
    if isinstance(request, requests.Place):
        return unfold.place(request, assets, paths=paths)
    if isinstance(request, requests.Training):
        return trainings.settled(request, assets.runs, paths=paths)
    if isinstance(request, requests.Painting) and request.examples is not None:
        examples = datasets.named(request.examples, assets.runs, "examples", paths=paths)
        return request.model_copy(update={"examples": examples})
    if isinstance(request, requests.Export):
        return recipes.found(request, assets)
    if isinstance(request, requests.Check):
        return request.model_copy(update={"data": datasets.named(request.data, assets.runs, "data", paths=paths)})
    return request


def _changed(request: Request, take: Take, assets: Assets) -> Request:
    if isinstance(request, requests.Batch):
        request = _with_template(request, take, assets)
    if isinstance(request, requests.Grid):
        request = _with_cells(request, take, assets)
    return requests.parse(requests.with_files(_with_words(_without_tags(request, assets), assets), take))


def _with_template(batch: requests.Batch, take: Take, assets: Assets) -> requests.Batch:
    """The batch with the files that its template names as assets; those that the plan gives stand open still."""

    def given(field: str, kind: FileKind, value: str) -> str:
        return value if value == PLANNED else take(field, kind, value)

    said = _changed(batch.sample(), given, assets).model_dump(mode="json", exclude_defaults=True)
    own = {"task", "defect", *(name for share in batch.defects for name in share.fields)}  # not what one class brought
    template = {name: value for name, value in said.items() if name not in (*GIVEN, *own)}
    kept = {name: value for name, value in batch.template.items() if name in own}
    shares = [share.model_copy(update={"place": _placed(share.place, take)}) for share in batch.defects]
    change = {"template": {**template, **kept}, "place": _placed(batch.place, take), "defects": tuple(shares)}
    return batch.model_copy(update=change)


def _with_cells(grid: requests.Grid, take: Take, assets: Assets) -> requests.Grid:
    """The grid with the files that its template and its ways name as assets."""

    def ready(data: Mapping[str, Any]) -> dict[str, Any]:
        said = _changed(requests.parse(data), take, assets).model_dump(mode="json", exclude_defaults=True)
        return {**said, "task": grid.template["task"]}

    def settled(axis: Axis | None) -> Axis | None:
        if axis is None:
            return None
        ways = []
        for way in axis.ways:
            plain = {name: value for name, value in way.fields.items() if "." not in name}
            said = ready({**grid.template, **plain})
            fields = {**way.fields, **{name: said.get(name, value) for name, value in plain.items()}}
            ways.append(way.model_copy(update={"fields": fields}))
        return axis.model_copy(update={"ways": tuple(ways)})

    change = {name: settled(getattr(grid, name)) for name in ("x", "y", "z")}
    return grid.model_copy(update={"template": ready(grid.template), **change})


def _placed(place: Mapping[str, Any], take: Take) -> dict[str, Any]:
    """The fields of a placing with its masks as assets."""
    masks = {name: take(f"place.{name}", "mask", place[name]) for name in ("legal", "illegal") if place.get(name)}
    return {**place, **masks}


def _knowing_adapters(take: Take, assets: Assets) -> Take:
    """Finds adapters where only they are found, everything else as `take` does; what is no adapter is refused here."""

    def found(field: str, kind: FileKind, value: str) -> str:
        if kind == "dual" and ids.RUN.fullmatch(value):
            path = library.dual_of_run(assets.runs, value)
            return assets.put(path, path.name).id
        if kind != "adapter":
            return take(field, kind, value)
        known = library.asset_of(assets, value) or assets.get(take(field, kind, value))
        adapter_facts.read(known.path, known.name)
        return known.id

    return found


def _without_tags(request: Request, assets: Assets) -> Request:
    """The request with the adapters that its prompts name among its adapters, and the prompts without their tags.

    Raises BadInput for a name that the library has not.
    """
    if not isinstance(request, Diffusion):
        return request
    named: list[tuple[str, float]] = []

    def cleaned(prompt: str) -> str:
        rest, found = adapter_names.tags(prompt)
        named.extend(found)
        return rest

    data = request.model_dump(mode="json")
    for place in (data, *data.get("regions", ())):
        for name in ("prompt", "prefix"):
            if place.get(name):
                place[name] = cleaned(place[name])
        if place.get("prompts"):
            place["prompts"] = [cleaned(one) for one in place["prompts"]]
    if not named:
        return request
    store = Library(assets.runs)
    uses = [{"path": store.named(name).id, "weight": weight} for name, weight in dict.fromkeys(named)]
    return requests.parse({**data, "adapters": [*data.get("adapters", ()), *uses]})


def _with_words(request: Request, assets: Assets) -> Request:
    """The request with the new words of every training that learned an adapter and words beside it."""
    if not isinstance(request, Diffusion):
        return request
    runs = [use.path for use in request.adapters if ids.RUN.fullmatch(use.path)]
    files = [path for run in runs if (path := library.words_of_run(assets.runs, run)) is not None]
    if not files:
        return request
    words = [{"path": assets.put(path, path.name).id, "weight": 1.0} for path in files]
    data = request.model_dump(mode="json")
    return requests.parse({**data, "adapters": [*data["adapters"], *words]})


def named(request: Request, assets: Assets) -> dict[str, Any]:
    """The request as a picture's metadata holds it: inputs by file name and sha256; no path, no id, no time."""

    def name(field: str, kind: FileKind, value: str) -> dict[str, str]:
        asset = assets.get(value)
        return {"name": asset.name, "sha256": asset.sha256}

    return requests.with_files(request, name)
