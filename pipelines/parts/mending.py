"""What is left of a data set once a person has decided about its faults. Changes no file: a mend reads otherwise."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from pipelines.core.errors import BadInput
from pipelines.parts.faults import KINDS, Findings
from pipelines.parts.loaders.example import Box, Choice, Example, Fault
from pipelines.parts.loaders.tree import named

TWINS = ("duplicate", "near_duplicate_across_splits", "same_part_in_train_and_test")


def apply(findings: Findings, choices: Mapping[str, Choice]) -> list[Example]:
    """The examples to train on. A choice is for a kind, or for one file of it: `empty_mask:test/crack/004.png`.

    Raises BadInput for a fault that nobody has decided about, a choice that it has not, and when nothing is left.
    """
    _known(choices)
    decided = _decided(findings, choices)
    found = list(findings.examples)
    for fault, choice in decided:
        files = set(fault.files)
        kept: list[Example] = []
        for example in found:
            if example.image not in files and example.mask not in files:
                kept.append(example)
            elif choice == "mend":
                kept += MENDS.get(fault.kind, _as_it_is)(example, fault)
            elif choice == "use":
                kept.append(_thick(example) if fault.kind == "empty_box" else example)
        found = kept
    if not found:
        raise BadInput(
            f"nothing is left of {findings.root.name} to train on: mend or use more of its pictures", "faults"
        )
    return found


def _known(choices: Mapping[str, Choice]) -> None:
    for key in choices:
        if key.partition(":")[0] not in KINDS:
            raise BadInput(f"faults.{key}: there is no such fault; there are {', '.join(KINDS)}", "faults")


def _decided(findings: Findings, choices: Mapping[str, Choice]) -> list[tuple[Fault, Choice]]:
    """Each fault with its choice; hints that nobody spoke of are left out."""
    decided: list[tuple[Fault, Choice]] = []
    undecided: list[Fault] = []
    for fault in findings.faults:
        own = (choices.get(f"{fault.kind}:{named(file, findings.root)}") for file in fault.files)
        choice = next((one for one in own if one), choices.get(fault.kind))
        if choice is None:
            undecided += [fault] if fault.stops else []
        elif choice not in fault.choices:
            where = f"{fault.kind}:{named(fault.files[0], findings.root)}"
            raise BadInput(
                f"faults.{fault.kind} = {choice}: {fault.sentence}. It takes {' or '.join(fault.choices)};"
                f" for this file alone: faults.{where} = {fault.choices[0]}",
                f"faults.{fault.kind}",
            )
        else:
            decided.append((fault, choice))
    if undecided:
        counts = Counter(fault.kind for fault in undecided)
        first = {fault.kind: fault for fault in reversed(undecided)}
        kinds = ", ".join(
            f"{kind} {counts[kind]} ({named(first[kind].files[0], findings.root)})" for kind in KINDS if counts[kind]
        )
        pictures = len({fault.files[0] for fault in undecided})
        one = undecided[0]
        raise BadInput(
            f"{_many(len(undecided), 'fault')} in {_many(pictures, 'file')}: {kinds}: choose for each in faults,"
            f" such as faults.{one.kind} = {one.choices[0]}",
            "faults",
        )
    return decided


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + ("s" if count != 1 else "")


def _as_it_is(example: Example, fault: Fault) -> list[Example]:
    """A mend that the loader has already made: a label without a name is not there, a folder's caption is."""
    return [example]


def _first(example: Example, fault: Fault) -> list[Example]:
    return [] if example.image in fault.files[1:] else [example]


def _other(example: Example, fault: Fault) -> list[Example]:
    return [replace(example, reading=replace(example.reading, marks="other"))]


def _empty(example: Example, fault: Fault) -> list[Example]:
    return _other(example, fault) if fault.instead else [replace(example, mask=None, defect="", boxes=())]


def _turned_over(example: Example, fault: Fault) -> list[Example]:
    return [replace(example, reading=replace(example.reading, inverted=not example.reading.inverted))]


def _scaled(example: Example, fault: Fault) -> list[Example]:
    return [replace(example, reading=replace(example.reading, scaled=True))]


def _turned(example: Example, fault: Fault) -> list[Example]:
    return [replace(example, reading=replace(example.reading, turned=int(fault.instead)))]


def _renamed(example: Example, fault: Fault) -> list[Example]:
    """Two files whose names clash are no classes: the first is kept."""
    if not fault.renames:
        return _first(example, fault)
    old, new = fault.renames, fault.instead
    boxes = tuple(replace(box, defect=new) if box.defect == old else box for box in example.boxes)
    boxes = tuple(box for box in boxes if box.defect)
    return [replace(example, defect=new if example.defect == old else example.defect, boxes=boxes)]


def _cut(example: Example, fault: Fault) -> list[Example]:
    width, height = map(int, fault.instead.split())
    boxes = (
        replace(box, x0=max(box.x0, 0), y0=max(box.y0, 0), x1=min(box.x1, width), y1=min(box.y1, height))
        for box in example.boxes
    )
    return _with(example, [box for box in boxes if box.x0 < box.x1 and box.y0 < box.y1])


def _dropped(example: Example, fault: Fault) -> list[Example]:
    return _with(example, [box for box in example.boxes if box.x0 < box.x1 and box.y0 < box.y1])


def _with(example: Example, boxes: list[Box]) -> list[Example]:
    """A picture all of whose labels were nothing shows something nobody has marked: it is left out."""
    return [replace(example, boxes=tuple(boxes))] if boxes else []


def _thick(example: Example) -> Example:
    boxes = (replace(box, x1=max(box.x1, box.x0 + 1), y1=max(box.y1, box.y0 + 1)) for box in example.boxes)
    return replace(example, boxes=tuple(boxes))


def _captioned(example: Example, fault: Fault) -> list[Example]:
    return [replace(example, caption=fault.instead or example.caption)]


MENDS: dict[str, Callable[[Example, Fault], list[Example]]] = {
    **dict.fromkeys(TWINS, _first),
    "empty_mask": _empty,
    "palette_mask": _other,
    "rgb_mask": _other,
    "inverted_mask": _turned_over,
    "size_mismatch": _scaled,
    "exif_rotated": _turned,
    "class_typo": _renamed,
    "names_clash_by_case": _renamed,
    "box_outside": _cut,
    "empty_box": _dropped,
    "caption_not_utf8": _captioned,
}
