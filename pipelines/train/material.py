"""From what a training was asked to the pictures it learns from, held-out ones apart. Knows loaders and requests.

Every fault of the data set is settled before the first step: by a choice of the request, or by a sentence.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pipelines.core import datasets, images, projects
from pipelines.core.errors import BadInput
from pipelines.core.requests.train import Training
from pipelines.core.runs import Run
from pipelines.parts import faults, mending
from pipelines.parts.faults import Findings
from pipelines.parts.loaders import Example, mask_of, project

LEAST_DIVIDED = 4
"""Of fewer parts none is held back."""


@dataclass(frozen=True)
class Material:
    """The examples of a training."""

    learned: tuple[Example, ...]
    held: tuple[Example, ...]
    """Kept back, to see how well it does on what it never saw."""
    ordinary: tuple[Example, ...] = ()
    """Prior preservation: of the ordinary kind."""


def gather(request: Training, run: Run) -> Material:
    """The examples that a training asks for. Raises BadInput naming every fault that nobody has settled, Missing."""
    found = _wanted(_examples(request.data, request.layout, request, run), request)
    learned, held = _held_back(_first(found, request.train_share), request)
    if request.validation_split and not held:
        run.log(note=f"none of {len(learned)} pictures is held back: they are too few to be divided")
    ordinary: Sequence[Example] = ()
    if request.class_data is not None:
        ordinary = _examples(request.class_data, "auto", request, run)  # laid out in its own way
    return Material(tuple(learned), tuple(held), tuple(ordinary))


def marked(found: Material, request: Training, run: Run) -> tuple[list[Example], list[Example]]:
    """(learned, held): those whose defect is marked; the others are left out, which is logged. Raises BadInput where
    there are none to learn from.
    """
    learned, held = ([one for one in some if one.mask is not None or one.boxes] for some in (found.learned, found.held))
    if not learned:
        raise BadInput(
            f"no picture of {', '.join(request.defects)} has a mask or a box, and this training learns where the defect"
            " is: mark the defects first, under Data",
            "data",
        )
    if left := len(found.learned) - len(learned):
        run.log(note=f"{left} of {len(found.learned)} pictures have no mask and are left out")
    return learned, held


def read(example: Example) -> tuple[np.ndarray, np.ndarray]:
    """(float32 HxWx3 in [0, 1], bool HxW: its defect). Raises BadInput, Missing."""
    pixels = images.read(example.image).pixels
    return images.to_float(pixels, images.white(pixels)), mask_of(example, pixels.shape[:2])


def reader(example: Example) -> partial[tuple[np.ndarray, np.ndarray]]:
    """`read` of this one, for later."""
    return partial(read, example)


def _examples(data: str, layout: str, request: Training, run: Run) -> Sequence[Example]:
    if projects.ID.fullmatch(data):
        return project.load(data, run.assets)

    def tick(done: int, total: int) -> None:
        run.tick(0, 1, f"looking the pictures through, {done} of {total}")

    findings = _concerning(request, faults.look(datasets.folder(data, run.assets.runs), layout, tick))
    kept = mending.apply(findings, dict(request.faults))
    counts = findings.counts()
    if counts:
        run.log(faults=counts, choices=request.faults)
    return kept


def _concerning(request: Training, findings: Findings) -> Findings:
    """Without the faults of pictures that this training has no use for: those of another defect alone."""
    others = {
        file
        for example in findings.examples
        if example.classes != () and not set(request.defects) & set(example.classes)
        for file in (example.image, example.mask)
    }
    kept = [
        fault for fault in findings.faults if not others.issuperset(fault.files) or fault.instead in request.defects
    ]
    return replace(findings, faults=tuple(kept))


def _wanted(examples: Sequence[Example], request: Training) -> list[Example]:
    if not request.defects:
        good = [one for one in examples if not one.classes]
        if good:
            return good
        raise BadInput(
            f"the data set has no good pictures, only {_named(examples)}: name one of these in defect", "defect"
        )
    for defect in request.defects:
        if not any(defect in one.classes for one in examples):
            raise BadInput(f"the data set has no defect {defect!r}; it has {_named(examples)}", "defect")
    return [_only(one, request.defects) for one in examples if set(request.defects) & set(one.classes)]


def _only(example: Example, defects: Collection[str]) -> Example:
    """Of several boxes those of these defects."""
    return replace(example, boxes=tuple(box for box in example.boxes if box.defect in defects))


def _named(examples: Sequence[Example]) -> str:
    return ", ".join(sorted({name for one in examples for name in one.classes})) or "nothing with a name"


def _first(examples: Sequence[Example], share: float) -> list[Example]:
    """The first by name, at least one (section 7 of AnomalyDiffusion's protocol: the first third)."""
    in_order = sorted(examples, key=lambda one: one.image)
    return in_order[: max(1, int(len(in_order) * share))]


def _held_back(examples: Sequence[Example], request: Training) -> tuple[list[Example], list[Example]]:
    """What shares a group stays together; the same ones are held back each time."""
    if not request.validation_split:
        return list(examples), []
    groups = sorted({one.group for one in examples}, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    if len(groups) < LEAST_DIVIDED:  # each is worth more to learn from than to be tested on
        return list(examples), []
    count = min(max(1, round(len(groups) * request.validation_split)), len(groups) - 1)
    held = set(groups[:count])
    return [one for one in examples if one.group not in held], [one for one in examples if one.group in held]
