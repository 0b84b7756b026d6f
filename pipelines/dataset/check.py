"""Looks a data set through and lists every fault, for a person to settle before a training. Changes nothing."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from pipelines.core import datasets, files, headers, projects
from pipelines.core.errors import BadInput, Problem
from pipelines.core.models import Models
from pipelines.core.requests.check import Check
from pipelines.core.runs import Run
from pipelines.parts import faults
from pipelines.parts.loaders import LOADERS, Example, project

SHOWN = 5
"""Sentences of one kind that are told; how many there are is told beside them."""
MOST_SIZES = 12


def run(request: Check, run: Run, models: Models) -> None:
    """The result: what the data set holds, and its faults kind by kind."""
    for index in run.items(request.length()):

        def tick(done: int, total: int) -> None:
            run.tick(done, total, f"picture {done} of {total}")

        if projects.ID.fullmatch(request.data):
            pictures = tuple(project.load(request.data, run.assets))
            found = faults.Findings(run.folder, "project", pictures, ())
        else:
            found = _looked(datasets.folder(request.data, run.assets.runs), request.layout, tick)
        every = {example.image for example in found.examples}
        sizes = _sizes(every)
        run.commit(
            index,
            {
                "layout": found.layout,
                "images": len(every),
                **_labels(found),
                "sizes": dict(sizes.most_common(MOST_SIZES)),
                "other_sizes": sum(count for _, count in sizes.most_common()[MOST_SIZES:]),
                "from_size": min(sizes, key=_area, default=""),
                "to_size": max(sizes, key=_area, default=""),
                "good": sum(not example.classes for example in found.examples),
                "classes": classes(found.examples),
                "faults": told(found),
            },
        )
    run.finish(run.rows()[0])


def _looked(root: Path, layout: str, tick: Callable[[int, int], None]) -> faults.Findings:
    """A layout that somebody chose and that is not this folder's is told so, whatever its loader stumbles over."""
    if layout == "auto" or LOADERS[layout].fits(root):
        return faults.look(root, layout, tick)
    name, title = root.name, LOADERS[layout].title
    unfit = BadInput(f"{name} is not laid out as {title}: choose another layout, or auto", "layout")
    try:
        found = faults.look(root, layout, tick)
    except Problem:
        raise
    except (OSError, LookupError, ValueError, AssertionError) as error:
        raise unfit from error
    if not found.examples:
        raise unfit
    return found


def classes(examples: Iterable[Example]) -> dict[str, int]:
    """How many examples show each class, by their names."""
    return dict(sorted(Counter(name for one in examples for name in one.classes).items()))


def told(found: faults.Findings) -> list[dict[str, object]]:
    """The faults kind by kind."""
    return [_told(kind, count, found) for kind, count in found.counts().items()]


def _labels(found: faults.Findings) -> dict[str, int]:
    """How many pictures with a defect have a mask, and how many a box that is no outline; a picture may have both."""
    masks, boxes = set(), set()
    for example in found.examples:
        if not example.classes:  # an empty mask beside a good picture
            continue
        outlined = [bool(box.outline) or box.runs is not None for box in example.boxes]
        if example.mask is not None or any(outlined):
            masks.add(example.image)
        if example.mask is None and not all(outlined):
            boxes.add(example.image)
    return {"masks": len(masks), "boxes": len(boxes)}


def _sizes(pictures: Collection[Path]) -> Counter[str]:
    """`width x height` of those that can be read, and how many have it; from the files' first bytes."""
    found: Counter[str] = Counter()
    for path in sorted(pictures):
        try:
            with files.reading(path, path.name) as file:
                header = headers.read(file, path.name)
        except Problem:  # told as a fault already
            continue
        found[f"{header.width} x {header.height}"] += 1
    return found


def _area(size: str) -> int:
    width, height = size.split(" x ")
    return int(width) * int(height)


def _told(kind: str, count: int, found: faults.Findings) -> dict[str, object]:
    ones = [fault for fault in found.faults if fault.kind == kind]
    return {
        "kind": kind,
        "count": count,
        "stops": any(fault.stops for fault in ones),
        "choices": list(ones[0].choices),
        "sentences": [fault.sentence for fault in ones[:SHOWN]],
    }
