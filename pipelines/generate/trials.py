"""What a run that tried several strengths says at its end: which came out best, and all of them on one labelled sheet.

Knows manifest rows and pictures; not how they were made.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.core import images
from pipelines.core.requests import Control
from pipelines.core.runs import Run
from pipelines.parts import sheets

SHEET = "grid.png"


def told(request: Control, run: Run, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`ranked`, the pictures' numbers with the best first, and the `sheet`."""
    run.keep_picture(SHEET, _sheet(request, run, rows))
    return {"ranked": sorted(range(len(rows)), key=lambda index: (-worth(rows[index]), index)), "sheet": SHEET}


def cell(request: Control, index: int) -> dict[str, Any]:
    """What the manifest says of a picture: which strengths it was tried with, where several were."""
    if len(request.tried) == 1:
        return {}
    guides, steers = request.tried[index // request.num_images]
    return {"cell": {"guidance_scale": guides, "control_scale": steers}}


def worth(row: Mapping[str, Any]) -> float:
    """Visibility x fidelity; nothing where a pixel outside the mask changed. What was made without a mask has none."""
    scores = row.get("scores")
    if not scores or scores["outside_max"]:
        return 0.0
    return float(scores["visibility"] * scores["fidelity"])


def _sheet(request: Control, run: Run, rows: Sequence[Mapping[str, Any]]) -> Any:
    """The first variant of each cell: strengths of the maps in rows, of the prompt in columns."""
    columns = len(request.guidance_scales) or 1
    first = rows[:: request.num_images]
    pictures = [images.read(run.folder / str(row["file"])).pixels for row in first]
    laid = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    maps = [f"maps x {one:g}" for one in request.control_scales] or [""]
    return sheets.grid(laid, maps, [f"guidance {one:g}" for one in request.guidance_scales] or [""])
