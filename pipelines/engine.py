"""The one door to what computes: a request class and the function that answers it, imported only when needed."""

from collections.abc import Callable

from pipelines.core.models import Models
from pipelines.core.requests import (
    Annotate,
    Batch,
    Caption,
    Check,
    Control,
    Convert,
    Crop,
    Dual,
    Export,
    Fetch,
    Fit,
    Grid,
    Ingest,
    Inpaint,
    Organize,
    Pack,
    Place,
    Request,
    Segment,
    Text,
    TrainDefectfill,
    TrainDual,
    TrainInversion,
    TrainLora,
)
from pipelines.core.runs import Run


def _inpaint(request: Inpaint, run: Run, models: Models) -> None:
    from pipelines.generate import inpaint

    inpaint.run(request, run, models)


def _control(request: Control, run: Run, models: Models) -> None:
    from pipelines.generate import control

    control.run(request, run, models)


def _annotate(request: Annotate, run: Run, models: Models) -> None:
    from pipelines.generate import annotate

    annotate.run(request, run, models)


def _text(request: Text, run: Run, models: Models) -> None:
    from pipelines.generate import text

    text.run(request, run, models)


def _dual(request: Dual, run: Run, models: Models) -> None:
    from pipelines.generate import dual

    dual.run(request, run, models)


def _batch(request: Batch, run: Run, models: Models) -> None:
    from pipelines.generate import batch

    batch.run(request, run, models)


def _place(request: Place, run: Run, models: Models) -> None:
    from pipelines.generate import place

    place.run(request, run, models)


def _grid(request: Grid, run: Run, models: Models) -> None:
    from pipelines.generate import grid

    grid.run(request, run, models)


def _export(request: Export, run: Run, models: Models) -> None:
    from pipelines.dataset import export

    export.run(request, run, models)


def _check(request: Check, run: Run, models: Models) -> None:
    from pipelines.dataset import check

    check.run(request, run, models)


def _ingest(request: Ingest, run: Run, models: Models) -> None:
    from pipelines.dataset import ingest

    ingest.run(request, run, models)


def _pack(request: Pack, run: Run, models: Models) -> None:
    from pipelines.dataset import pack

    pack.run(request, run, models)


def _caption(request: Caption, run: Run, models: Models) -> None:
    from pipelines.dataset import caption

    caption.run(request, run, models)


def _segment(request: Segment, run: Run, models: Models) -> None:
    from pipelines.dataset import segment

    segment.run(request, run, models)


def _organize(request: Organize, run: Run, models: Models) -> None:
    from pipelines.dataset import organize

    organize.run(request, run, models)


def _crop(request: Crop, run: Run, models: Models) -> None:
    from pipelines.dataset import crop

    crop.run(request, run, models)


def _fit(request: Fit, run: Run, models: Models) -> None:
    from pipelines.dataset import fit

    fit.run(request, run, models)


def _convert(request: Convert, run: Run, models: Models) -> None:
    from pipelines.train import convert

    convert.run(request, run, models)


def _train_lora(request: TrainLora, run: Run, models: Models) -> None:
    from pipelines.train import lora

    lora.run(request, run, models)


def _train_inversion(request: TrainInversion, run: Run, models: Models) -> None:
    from pipelines.train import inversion

    inversion.run(request, run, models)


def _train_defectfill(request: TrainDefectfill, run: Run, models: Models) -> None:
    from pipelines.train import defectfill

    defectfill.run(request, run, models)


def _train_dual(request: TrainDual, run: Run, models: Models) -> None:
    from pipelines.train import dual

    dual.run(request, run, models)


def _fetch(request: Fetch, run: Run, models: Models) -> None:
    from pipelines.dataset import fetch

    fetch.run(request, run, models)


RUNNERS: dict[type[Request], Callable[..., None]] = {
    Inpaint: _inpaint,
    Control: _control,
    Annotate: _annotate,
    Text: _text,
    Dual: _dual,
    Batch: _batch,
    Grid: _grid,
    Place: _place,
    TrainLora: _train_lora,
    TrainInversion: _train_inversion,
    TrainDefectfill: _train_defectfill,
    TrainDual: _train_dual,
    Check: _check,
    Ingest: _ingest,
    Pack: _pack,
    Caption: _caption,
    Segment: _segment,
    Organize: _organize,
    Crop: _crop,
    Fit: _fit,
    Export: _export,
    Convert: _convert,
    Fetch: _fetch,
}


def perform(request: Request, run: Run, models: Models) -> None:
    """Answer a request into its run. Raises what the task raises."""
    RUNNERS[type(request)](request, run, models)
