"""Makes the maps that would steer a picture, one a condition, each as large as the picture. Loads no base."""

import numpy as np

from pipelines.core import images, intake
from pipelines.core.models import Models
from pipelines.core.requests import Annotate
from pipelines.core.runs import Run
from pipelines.generate import scene, steering


def run(request: Annotate, run: Run, models: Models) -> None:
    """Save a map for each condition; picture k is that of condition k."""
    whole = scene.read(request, run.assets)
    prepared = steering.Maps(request, run, whole, models).prepared(request, whole)
    for index in run.items(request.length()):
        condition = request.conditions[index]
        run.tick(index, request.length(), f"{condition.kind}: map {index + 1} of {request.length()}")
        made = prepared.map(index)
        pixels = images.from_float(made.pixels, like=np.empty((1, 1, 3), np.uint8))
        alone = request.model_copy(update={"conditions": (condition,)})
        row = {
            "kind": condition.kind,
            "annotator": made.annotator,
            "seed": request.seed,
            "base": "annotator",
            "source": {"asset": whole.source.id, "name": whole.source.name, "sha256": whole.source.sha256},
        }
        run.save_whole(index, pixels, intake.named(alone, run.assets), row)
        run.log(image=index, kind=condition.kind, annotator=made.annotator)
        run.tick(index + 1, request.length(), preview=pixels)
    run.write_manifest()
    run.finish({"images": len(run.rows()), "annotators": {row["kind"]: row["annotator"] for row in run.rows()}})
