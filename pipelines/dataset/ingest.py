"""Takes a data set into a project: pictures by their content, masks, boxes, captions, parts, and what shares a source.

Knows the order of the work. What is undecided comes in as left out, with the fault as the reason; what cannot be read
is told. Taken up again, or asked again, it adds what is not there yet and leaves the rest as people have changed it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core import datasets, files, images
from pipelines.core.assets import Asset, Assets
from pipelines.core.errors import Problem
from pipelines.core.models import Models
from pipelines.core.projects import MAX_NAME, Projects
from pipelines.core.records import FIELDS
from pipelines.core.requests.ingest import Ingest
from pipelines.core.runs import Run
from pipelines.dataset.check import classes, told
from pipelines.parts import boxed, contours, faults, mending, packed, twins
from pipelines.parts.faults import Findings
from pipelines.parts.loaders import Box, Example, mask_of, project

AT_ONCE = 50
PROJECT = "project.json"


@dataclass(frozen=True)
class Item:
    """A picture with all its labels."""

    image: Path
    examples: tuple[Example, ...]
    origin: str
    out: str
    """The fault that nobody decided about; "" for none."""


def run(request: Ingest, run: Run, models: Models) -> None:
    """The result: what the data set holds, what of it is in the project now, and its faults kind by kind."""
    root = datasets.folder(request.data, run.assets.runs)
    if request.layout in ("auto", "packed") and packed.fits(root):
        _open_again(root, request, run)
        return

    def tick(done: int, total: int) -> None:
        run.tick(0, total, f"looking the pictures through, {done} of {total}")

    findings = faults.look(root, request.layout, tick)
    decided, undecided = _parted(findings, request.faults)
    kept = mending.apply(decided, dict(request.faults)) if decided.faults else list(findings.examples)
    items = _items(kept, undecided, findings, request)
    home = _project(request, run, root.name)
    known = Projects(run.assets.runs).records(home)
    for batch in run.batches(len(items), AT_ONCE):
        facts: dict[str, Mapping[str, str]] = {}
        assets: list[Asset] = []
        rows: list[tuple[int, dict[str, Any]]] = []
        for index in batch:
            asset = run.assets.put(items[index].image, items[index].image.name)
            said, row = _facts(items[index], asset, request, run.assets)
            facts.setdefault(asset.id, said)
            assets.append(asset)
            rows.append((index, row))
        added = Projects(run.assets.runs).add(home, assets, facts).added
        for index, row in rows:
            run.commit(index, {**row, "added": row["asset"] in added})
        run.tick(batch[-1] + 1, len(items), f"picture {batch[-1] + 1} of {len(items)}")
    done = run.rows()
    run.finish(
        {
            "layout": findings.layout,
            "project": home,
            "images": len({one.image for one in findings.examples}),
            "added": sum(row["added"] for row in done),
            "good": sum(not one.classes for one in findings.examples),
            "masks": sum(row["masks"] for row in done),
            "boxes": sum(row["boxes"] for row in done),
            "left_out": sum(bool(row["out"]) for row in done),
            "unread": len({path for fault in findings.faults for path in fault.files} & _unread(findings)),
            "pictures": known.count(),
            "classes": classes(findings.examples),
            "faults": told(findings),
        }
    )


def _open_again(root: Path, request: Ingest, run: Run) -> None:
    """A packed project becomes a project again, with all that was known. Raises BadInput for what was damaged."""
    store, about = Projects(run.assets.runs), packed.said(root)
    home = _project(request, run, about["name"])
    if not request.project:
        store.change(home, product=about["product"], form=about["form"])
    lines = list(packed.lines(root))
    for batch in run.batches(len(lines), AT_ONCE):
        some = [lines[index] for index in batch]
        assets = [packed.taken(line, root, run.assets) for line in some]
        facts = {one.record.asset: {name: getattr(one.record, name) for name in FIELDS} for one in some}
        added = store.add(home, assets, facts).added
        for index, line in zip(batch, some, strict=True):
            draft = root / packed.DRAFTS / f"{line.record.asset}.json"
            if draft.is_file() and store.draft(home, line.record.asset) is None:
                store.keep_draft(home, line.record.asset, draft.read_bytes())
            run.commit(index, {"asset": line.record.asset, "added": line.record.asset in added})
        run.tick(batch[-1] + 1, len(lines), f"picture {batch[-1] + 1} of {len(lines)}")
    known = store.records(home)
    run.finish(
        {
            "layout": "packed",
            "project": home,
            "images": len(lines),
            "added": sum(row["added"] for row in run.rows()),
            "good": sum(not one.record.defect for one in lines),
            "masks": sum(len(packed.masks(one.record)) for one in lines),
            "boxes": 0,
            "left_out": sum(bool(one.record.out) for one in lines),
            "unread": 0,
            "pictures": known.count(),
            "classes": {name: count for name, count in sorted(known.tally("defect").items()) if name},
            "faults": [],
        }
    )


def _parted(findings: Findings, choices: Mapping[str, Any]) -> tuple[Findings, dict[Path, str]]:
    """The data set with the faults that somebody decided about, and the kind of what is undecided, by its files."""
    decided, left = [], {}
    for fault in findings.faults:
        if fault.kind in choices or any(key.startswith(f"{fault.kind}:") for key in choices):
            decided.append(fault)
        elif fault.stops:
            left.update(dict.fromkeys(fault.files, fault.kind))
    return replace(findings, faults=tuple(decided)), left


def _unread(findings: Findings) -> set[Path]:
    """Pictures that no program could open."""
    return {one.image for one in findings.examples if one.image not in findings.prints}


def _items(
    examples: Sequence[Example], undecided: Mapping[Path, str], findings: Findings, request: Ingest
) -> list[Item]:
    together: dict[Path, list[Example]] = {}
    for example in examples:
        if example.image in findings.prints:
            together.setdefault(example.image, []).append(example)
    origins = _origins(together, findings.prints if request.keep_twins_together else {})
    return [
        Item(
            path,
            tuple(some),
            origins[path],
            next((undecided[file] for one in some for file in (path, one.mask) if file and file in undecided), ""),
        )
        for path, some in together.items()
    ]


def _origins(together: Mapping[Path, Sequence[Example]], prints: Mapping[Path, twins.Print]) -> dict[Path, str]:
    """What each picture was made from, as the layout says; twins share it."""
    origins = {path: some[0].group for path, some in together.items()}
    paths = [path for path in together if path in prints]
    seen = [prints[path] for path in paths]
    first = {one.digest: path for path, one in zip(reversed(paths), reversed(seen), strict=True)}
    same = [(first[one.digest], path) for path, one in zip(paths, seen, strict=True)]
    same += [(paths[one], paths[other]) for one, other, _ in twins.pairs(seen, seen)]
    joined: dict[str, str] = {}

    def first_of(name: str) -> str:
        while name in joined:
            name = joined[name]
        return name

    for one, other in same:
        here, there = first_of(origins[one]), first_of(origins[other])
        if here != there:
            joined[there] = here
    return {path: first_of(name) for path, name in origins.items()}


def _project(request: Ingest, run: Run, called: str) -> str:
    """The project's id; one that this run made is kept in mind, so that it is made once."""
    store, path = Projects(run.assets.runs), run.folder / PROJECT
    if request.project:
        return store.get(request.project).id
    if not path.exists():
        name = "".join(one if one.isprintable() else " " for one in called).strip()[:MAX_NAME] or "data"
        files.write_json(path, store.create(name).id)
    return str(json.loads(path.read_text(encoding="utf-8")))


def _facts(item: Item, asset: Asset, request: Ingest, assets: Assets) -> tuple[dict[str, str], dict[str, Any]]:
    """What the project keeps of a picture, and its row."""
    pixels = images.read(asset.path, name=asset.name).pixels
    shape, out = (pixels.shape[0], pixels.shape[1]), item.out
    areas: list[tuple[str, np.ndarray]] = []
    boxes: list[Box] = []
    try:
        for example in item.examples:
            if example.mask is not None:
                areas.append((example.defect, mask_of(example, shape)))
                continue
            drawn, plain = boxed.parted(example.boxes, request.boxes, pixels)
            areas += drawn
            boxes += plain
    except Problem:  # told as a fault already, or the file changed since
        out = out or "unreadable"
    named = [(defect, mask) for defect, mask in areas if mask.any()]
    kinds = list(dict.fromkeys([defect for defect, _ in named] + [box.defect for box in boxes])) or [
        name for one in item.examples for name in one.classes
    ]
    first = item.examples[0]
    facts = {
        "defect": kinds[0] if kinds else "",
        "caption": first.caption,
        "part": first.part,
        "origin": item.origin,
        "out": out,
    }
    kept = [project.kept(box) for box in boxes]
    if len(named) == 1 and not boxes:
        facts["mask"] = _mask(named[0][1], asset, assets)
    else:
        kept += [
            {**project.kept(Box(*contours.box(mask), defect)), "mask": _mask(mask, asset, assets, place)}
            for place, (defect, mask) in enumerate(named, 1)
        ]
    if kept:
        facts["boxes"] = json.dumps(kept, ensure_ascii=False)
    return facts, {"asset": asset.id, "name": asset.name, "masks": len(named), "boxes": len(boxes), "out": out}


def _mask(mask: np.ndarray, asset: Asset, assets: Assets, place: int = 0) -> str:
    stem = asset.name.rpartition(".")[0] or asset.name
    name = f"{stem}-mask{place or ''}.png"
    return assets.put(images.encode_png(mask.astype(np.uint8) * 255), name).id
