"""Paints defects into masked areas of a good part, whatever the base. Knows nothing of Gradio or of the queue."""

from pipelines.core import bases
from pipelines.core.models import Models
from pipelines.core.requests import Inpaint
from pipelines.core.runs import Run
from pipelines.generate import drawing, exemplar, scene


def run(request: Inpaint, run: Run, models: Models) -> None:
    """Make `request.num_images` pictures; picture k uses seed + k."""
    whole = scene.read(request, run.assets)
    if bases.get(request.base).family == bases.EXEMPLAR:
        exemplar.run(request, run, whole)
    elif request.draws:
        drawing.run(request, run, whole)
    else:
        from pipelines.generate import repaint  # brings torch

        repaint.run(request, run, whole, models)
    scene.finish(run)
