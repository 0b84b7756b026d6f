"""Finds the masks of pictures that show a defect. Knows the order of the work, not how a defect is found."""

from typing import Any

from pipelines.core import images, intake
from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.core.requests.segment import Segment
from pipelines.core.runs import Painted, Run
from pipelines.parts import crop, quality, segmenters
from pipelines.parts.segmenters import Segmenter

APART_PX = 8
"""Areas whose boxes lie at least twice as far from each other are defects of their own."""


def run(request: Segment, run: Run, models: Models) -> None:
    """Save every picture as it is with the mask that was found; one without a find is saved without, and reported."""
    if request.clean and len(request.clean) != len(request.data):
        raise BadInput(
            f"clean has {len(request.clean)} pictures and data {len(request.data)}: give one for each, in one order",
            "clean",
        )
    segmenter = segmenters.SEGMENTERS[segmenters.chosen(request.method, clean=bool(request.clean))]()
    for index in run.items(request.length()):
        row = _found(request.for_image(index), run, index, segmenter)
        run.log(image=index, **row["found"])
        run.tick(index + 1, request.length())
    run.write_manifest()
    rows = run.rows()
    empty = [row["name"] for row in rows if not row["regions"]]
    run.finish({"images": len(rows), "method": segmenter.name, "empty": empty, "notes": _notes(rows)})


def _found(one: Segment, run: Run, index: int, segmenter: Segmenter) -> dict[str, Any]:
    """One picture, committed. Returns its row."""
    asset = run.assets.get(one.data[0])
    pixels = images.read(asset.path, name=asset.name).pixels
    source = run.assets.get(one.clean[0]) if one.clean else None
    clean = images.read(source.path, name=source.name).pixels if source else None
    found = segmenters.segment(segmenter, pixels, clean, threshold=one.threshold, minimum_area_px=one.minimum_area_px)
    row: dict[str, Any] = {
        "name": asset.name,
        "seed": 0,
        "base": "photograph",
        "found": {"method": found.method, "threshold": round(found.threshold, 1), "area": round(found.mask.mean(), 6)},
    }
    if source:
        row["source"] = {"asset": source.id, "name": source.name, "sha256": source.sha256}
    if found.note:
        row["note"] = f"{asset.name}: {found.note}"
    metadata = intake.named(one, run.assets)
    if not found.mask.any():
        return run.save_whole(index, pixels, metadata, row)
    row |= {"defect": one.defect, "caption": f"a photo of a part with {one.defect}"}
    # nothing was painted: the scores only say how plainly what was found is seen
    scores = quality.measure(pixels, pixels, asked=found.mask, feathered=found.mask, changed=found.mask)
    done = Painted(
        picture=pixels,
        asked=found.mask,
        changed=found.mask,
        label="changed",
        regions=[(piece, {"defect": one.defect}) for piece in crop.groups(found.mask, APART_PX)],
        request=metadata,
        row={**row, "scores": scores.row()},
    )
    return run.save(index, done)


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["note"] for row in rows if "note" in row))
