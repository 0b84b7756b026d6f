"""Looks a data set through and lists every fault, for a person to settle before a training. Changes nothing."""

from pipelines.core import datasets, projects
from pipelines.core.models import Models
from pipelines.core.requests.check import Check
from pipelines.core.runs import Run
from pipelines.parts import faults
from pipelines.parts.loaders import project

SHOWN = 5
"""Sentences of one kind that are told; how many there are is told beside them."""


def run(request: Check, run: Run, models: Models) -> None:
    """The result: what the data set holds, and its faults kind by kind."""
    for index in run.items(request.count()):

        def tick(done: int, total: int) -> None:
            run.tick(done, total, f"picture {done} of {total}")

        if projects.ID.fullmatch(request.data):
            pictures = tuple(project.load(request.data, run.assets))
            found = faults.Findings(run.folder, "project", pictures, ())
        else:
            found = faults.look(datasets.folder(request.data, run.assets.runs), request.layout, tick)
        classes: dict[str, int] = {}
        for example in found.examples:
            for name in example.classes:
                classes[name] = classes.get(name, 0) + 1
        run.commit(
            index,
            {
                "layout": found.layout,
                "images": len({example.image for example in found.examples}),
                "good": sum(not example.classes for example in found.examples),
                "classes": dict(sorted(classes.items())),
                "faults": told(found),
            },
        )
    run.finish(run.rows()[0])


def told(found: faults.Findings) -> list[dict[str, object]]:
    """The faults kind by kind."""
    return [_told(kind, count, found) for kind, count in found.counts().items()]


def _told(kind: str, count: int, found: faults.Findings) -> dict[str, object]:
    ones = [fault for fault in found.faults if fault.kind == kind]
    return {
        "kind": kind,
        "count": count,
        "stops": any(fault.stops for fault in ones),
        "choices": list(ones[0].choices),
        "sentences": [fault.sentence for fault in ones[:SHOWN]],
    }
