"""Tries one thing several ways: cell by cell, each a picture of its own, and all of them on labelled sheets."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pipelines.core import images
from pipelines.core.models import Models
from pipelines.core.requests import Grid
from pipelines.core.runs import Run, name
from pipelines.generate import items
from pipelines.parts import sheets


def run(request: Grid, run: Run, models: Models) -> None:
    """Make every cell, then the sheets: one for each step of z and each seed."""
    total = request.length()
    for index in run.items(total):
        made = items.make(request.cell(index), name(index, total), run.assets, models, partial(run.tick, index, total))
        sheet, row, column = request.labels(index)
        cell = {"sheet": sheet, "row": row, "column": column, "place": list(request.places(index))}
        run.put(index, made.told(cell=cell))
        run.tick(index + 1, total, preview=made.picture)
    run.write_manifest()
    rows = run.rows()
    run.finish({"images": total, "sheets": _sheets(request, run, rows), "shape": list(request.shape)})


def _sheets(request: Grid, run: Run, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each sheet's file and what it shows."""
    found = []
    z, y, x, seeds = request.shape
    for sheet in range(z):
        for seed in range(seeds):
            first = sheet * y * x * seeds + seed
            table = [[rows[first + (row * x + column) * seeds] for column in range(x)] for row in range(y)]
            laid = [[images.read(run.folder / str(one["file"])).pixels for one in row] for row in table]
            labels = [row[0]["cell"]["row"] for row in table], [one["cell"]["column"] for one in table[0]]
            file = "grid.png" if z * seeds == 1 else f"grid-{sheet + 1}-{seed + 1}.png"
            run.keep_picture(file, sheets.grid(laid, *labels))
            found.append({"file": file, "sheet": table[0][0]["cell"]["sheet"], "seed": table[0][0]["seed"]})
    return found
