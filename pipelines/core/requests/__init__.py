"""The ground floor: every task's request, and how a table of data becomes one. Knows nothing of how work is done."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast, get_args

from pydantic import BaseModel, ValidationError

from pipelines.core.errors import BadInput
from pipelines.core.requests.base import FileKind, Lane, Part, Request
from pipelines.core.requests.batch import Batch
from pipelines.core.requests.caption import Caption
from pipelines.core.requests.check import Check
from pipelines.core.requests.control import Annotate, Control
from pipelines.core.requests.convert import Convert
from pipelines.core.requests.crop import Crop
from pipelines.core.requests.dataset import FORMATS, Export, Split
from pipelines.core.requests.defectfill import TrainDefectfill
from pipelines.core.requests.dual import Dual, TrainDual
from pipelines.core.requests.fetch import Fetch
from pipelines.core.requests.fit import Fit
from pipelines.core.requests.generate import Exemplar, Inpaint, Painting, Region
from pipelines.core.requests.grid import Grid
from pipelines.core.requests.ingest import Ingest
from pipelines.core.requests.organize import Organize
from pipelines.core.requests.pack import Pack
from pipelines.core.requests.place import Place
from pipelines.core.requests.segment import Segment
from pipelines.core.requests.text import Text
from pipelines.core.requests.train import Adapting, Training, TrainInversion, TrainLora

TASKS: dict[str, type[Request]] = {
    "inpaint": Inpaint,
    "control": Control,
    "annotate": Annotate,
    "text": Text,
    "dual": Dual,
    "batch": Batch,
    "grid": Grid,
    "place": Place,
    "train-lora": TrainLora,
    "train-inversion": TrainInversion,
    "train-defectfill": TrainDefectfill,
    "train-dual": TrainDual,
    "check": Check,
    "ingest": Ingest,
    "pack": Pack,
    "caption": Caption,
    "segment": Segment,
    "organize": Organize,
    "crop": Crop,
    "fit": Fit,
    "export": Export,
    "convert": Convert,
    "fetch": Fetch,
}

__all__ = [
    "FORMATS",
    "TASKS",
    "Adapting",
    "Annotate",
    "Batch",
    "Caption",
    "Check",
    "Control",
    "Convert",
    "Crop",
    "Dual",
    "Exemplar",
    "Export",
    "Fetch",
    "FileKind",
    "Fit",
    "Grid",
    "Ingest",
    "Inpaint",
    "Lane",
    "Organize",
    "Pack",
    "Painting",
    "Part",
    "Place",
    "Region",
    "Request",
    "Segment",
    "Split",
    "Text",
    "TrainDefectfill",
    "TrainDual",
    "TrainInversion",
    "TrainLora",
    "Training",
    "explain",
    "files",
    "parse",
    "task",
    "with_files",
]


def task(name: Any) -> type[Request]:
    """The request class of a task. Raises BadInput."""
    if not isinstance(name, str) or name not in TASKS:
        raise BadInput(f"no task {name!r}; choose one of {', '.join(TASKS)}", "task")
    return TASKS[name]


def parse(data: Any) -> Request:
    """A table of data -> its request. Raises BadInput naming field, value and bound."""
    if not isinstance(data, Mapping):
        raise BadInput(f"a request is a table of fields, not {type(data).__name__}")
    if "task" not in data:
        raise BadInput(f"task is missing; choose one of {', '.join(TASKS)}", "task")
    try:
        return task(data["task"]).model_validate(dict(data))
    except ValidationError as error:
        raise explain(error) from error


def explain(error: ValidationError) -> BadInput:
    """Pydantic's findings as one sentence."""
    found = [_sentence(one) for one in error.errors()]
    first = error.errors()[0]["loc"]
    return BadInput("; ".join(dict.fromkeys(found)), ".".join(str(part) for part in first))


def _sentence(one: Any) -> str:
    where = ".".join(str(part) for part in one["loc"])
    if one["type"] == "value_error":
        return str(one["ctx"]["error"])
    if one["type"] == "extra_forbidden":
        return f"{where}: there is no such field"
    if one["type"] == "missing":
        return f"{where} is missing"
    shown = repr(one["input"])
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return f"{where} = {shown}: {one['msg'][0].lower()}{one['msg'][1:]}"


def files(request: BaseModel, prefix: str = "") -> Iterator[tuple[str, FileKind, str]]:
    """Every file a request names: (dotted field, kind, value)."""
    for name, info in type(request).model_fields.items():
        value = getattr(request, name)
        extra = info.json_schema_extra
        named = extra.get("file") if isinstance(extra, dict) else None
        kind = cast(FileKind, named) if named in get_args(FileKind) else None
        if kind and isinstance(value, str):
            yield prefix + name, kind, value
        elif isinstance(value, tuple):
            for index, part in enumerate(value):
                if isinstance(part, BaseModel):
                    yield from files(part, f"{prefix}{name}.{index}.")
                elif kind and isinstance(part, str):
                    yield f"{prefix}{name}.{index}", kind, part


def with_files(request: BaseModel, change: Callable[[str, FileKind, str], Any]) -> dict[str, Any]:
    """The request as data, each file replaced by `change(field, kind, value)`."""
    data = request.model_dump(mode="json")
    for field, kind, value in list(files(request)):
        *path, last = field.split(".")
        place: Any = data
        for part in path:
            place = place[int(part)] if part.isdigit() else place[part]
        place[int(last) if last.isdigit() else last] = change(field, kind, value)
    return data
