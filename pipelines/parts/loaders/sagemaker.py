"""SageMaker Ground Truth: a manifest of a JSON object a line, with a picture's place and what each job said of it.

Boxes, masks of colours and kinds of whole pictures are read, in that order: a mask says more than a box. Places in S3
are looked for among the files here, by as much of their end as fits. Of text, 3D and film jobs nothing is known.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pipelines.core import layouts
from pipelines.core.errors import BadInput, Problem
from pipelines.parts.loaders import reading, tree
from pipelines.parts.loaders.example import Box, Example, Fault, Part, Reading
from pipelines.parts.loaders.tree import Report

MOST_BYTES = 500_000_000
MASK, BOXES, KIND, KINDS = (
    "groundtruth/semantic-segmentation",
    "groundtruth/object-detection",
    "groundtruth/image-classification",
    "groundtruth/image-classification-multilabel",
)
BACKGROUND = "background"


def fits(root: Path) -> bool:
    return bool(_manifests(root))


def load(root: Path, report: Report) -> Iterator[Example]:
    """`output.manifest` where there is one, else every manifest; train.manifest and the like name parts."""
    for manifest in _manifests(root):
        part = _part(manifest, root)
        try:
            lines = tree.long_text(manifest, MOST_BYTES).split("\n")
        except (BadInput, OSError) as error:
            report(tree.broken_annotation(manifest, root, str(error)))
            continue
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                source = str(record["source-ref"])
            except (KeyError, ValueError, TypeError, RecursionError) as error:
                what = f"line {number} is no entry with a source-ref: {error}"
                report(tree.broken_annotation(manifest, root, what))
                continue
            image = _here(source, manifest, root)
            if image is None:
                label = f"line {number} in {tree.named(manifest, root)}"
                report(tree.mask_without_image(root / PurePosixPath(source).name, root, label))
                continue
            heard: list[Fault] = []
            try:
                found = list(_examples(record, image, part, manifest, root, heard.append))
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                what = f"line {number} is not as Ground Truth writes it: {error!r}"
                heard.append(tree.broken_annotation(manifest, root, what, (image,)))
                found = [Example(image, part=part, group=tree.group(image, root))]
            for fault in heard:
                report(fault)
            yield from found


def _manifests(root: Path) -> list[Path]:
    found = [path for path in sorted(root.rglob("*.manifest")) if not tree.hidden(path, root) and path.is_file()]
    found = [path for path in found if tree.holds(path, b'"source-ref"')]
    return [path for path in found if path.name == "output.manifest"] or found


def _part(manifest: Path, root: Path) -> Part:
    words = re.split(r"[._ -]+", manifest.stem.lower())
    return next((tree.PARTS[word] for word in words if word in tree.PARTS), tree.part(manifest.relative_to(root)))


def _here(source: str, manifest: Path, root: Path) -> Path | None:
    """Where a place in S3, or one beside the manifest, is on this disk."""
    names = [name for name in re.sub(r"^\w+://[^/]*/", "", source).split("/") if name not in ("", ".")]
    above = [folder for folder in manifest.parents if folder == root or folder.is_relative_to(root)]
    tries = (tree.place("/".join(names[start:]), base, root) for start in range(len(names)) for base in above if names)
    return next((path for path in tries if path is not None), None)


def _examples(
    record: dict[str, Any], image: Path, part: Part, manifest: Path, root: Path, report: Report
) -> Iterator[Example]:
    """One example, or one for each class in a mask. Raises KeyError and the like for what is no such record."""
    jobs = [
        (str(facts.get("type")), record[key], facts)
        for key in record
        if isinstance(facts := record.get(f"{key}-metadata"), dict)
    ]
    said = {type: (value, facts) for type, value, facts in reversed(jobs)}
    group = tree.group(image, root)
    kinds = _kinds(said)
    if MASK in said:
        yield from _masked(*said[MASK], image, part, kinds, manifest, root, report)
        return
    boxes: tuple[Box, ...] = ()
    if BOXES in said:
        value, facts = said[BOXES]
        names = {int(number): str(name) for number, name in facts["class-map"].items()}
        boxes, beyond = _boxes(value["annotations"], names)
        for number in sorted(beyond):
            known = [f"{key} {name}" for key, name in names.items()]
            report(tree.label_beyond_names(manifest, image, root, number, known, len(boxes)))
        kinds = tuple(dict.fromkeys(box.defect for box in boxes))
    elif not kinds and KIND not in said and KINDS not in said:
        types = ", ".join(type for type, _, _ in jobs) or "none"
        what = f"of {tree.named(image, root)} it has no box, mask or kind, only {types}"
        report(tree.broken_annotation(manifest, root, what, (image,)))
    yield Example(image, boxes=boxes, defect=layouts.shown(kinds) if kinds else "", part=part, group=group)


def _kinds(said: dict[str, tuple[Any, dict[str, Any]]]) -> tuple[str, ...]:
    """What the picture is as a whole; nothing where that is good."""
    if KINDS in said:
        found = [str(name) for name in said[KINDS][1]["class-map"].values()]
    elif KIND in said:
        found = [str(said[KIND][1].get("class-name") or said[KIND][0])]
    else:
        return ()
    return tuple(dict.fromkeys(name for name in found if name.lower() not in tree.GOOD))


def _boxes(annotations: list[dict[str, Any]], names: dict[int, str]) -> tuple[tuple[Box, ...], set[int]]:
    found, beyond = [], set()
    for one in annotations:
        number = int(one["class_id"])
        left, top, width, height = (float(one[key]) for key in ("left", "top", "width", "height"))
        if number in names:
            found.append(Box(round(left), round(top), round(left + width), round(top + height), names[number]))
        else:
            beyond.add(number)
    return tuple(found), beyond


def _masked(
    value: object,
    facts: dict[str, Any],
    image: Path,
    part: Part,
    kinds: tuple[str, ...],
    manifest: Path,
    root: Path,
    report: Report,
) -> Iterator[Example]:
    """An example for each class whose colour is there, by `internal-color-map`. What is transparent is background."""
    group = tree.group(image, root)
    names: dict[int, str] = {}
    behind = {0}
    for entry in facts["internal-color-map"].values():
        colour, name = int(str(entry["hex-color"]).lstrip("#"), 16), str(entry["class-name"])
        if name.lower() == BACKGROUND:
            behind.add(colour)
        else:
            names[colour] = name
    mask = _here(str(value), manifest, root)
    if mask is None or not names:
        report(tree.missing_mask(image, root))
        yield Example(image, defect=layouts.shown(kinds) if kinds else "", part=part, group=group)
        return
    others = tuple(sorted(behind | set(names)))
    readings = {name: Reading("colour", colour, others) for colour, name in names.items()}
    try:
        pixels = reading.pixels_of(mask, Reading("colour"))
        there = [name for name, how in readings.items() if np.any(reading.marked(pixels, how))]
    except Problem:  # the pre-flight says what is wrong with it
        there = list(readings)[:1]
    if not there and not kinds:
        yield Example(image, part=part, group=group)
        return
    for name in there or list(readings)[:1]:
        yield Example(image, mask, defect=name, part=part, group=group, reading=readings[name])
