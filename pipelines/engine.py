"""The one door to what computes: a request class and the function that answers it, imported only when it is needed."""

from collections.abc import Callable

from pipelines.core.models import Models
from pipelines.core.requests import Export, Inpaint, Request
from pipelines.core.runs import Run


def _inpaint(request: Inpaint, run: Run, models: Models) -> None:
    from pipelines.generate import inpaint

    inpaint.run(request, run, models)


def _export(request: Export, run: Run, models: Models) -> None:
    from pipelines.dataset import export

    export.run(request, run, models)


RUNNERS: dict[type[Request], Callable[..., None]] = {Inpaint: _inpaint, Export: _export}


def perform(request: Request, run: Run, models: Models) -> None:
    """Answer a request into its run. Raises what the task raises."""
    RUNNERS[type(request)](request, run, models)
