"""Lays masks onto good pictures: one item a mask. Knows the order of the work, not how a shape finds its place.

Rows hold no picture: what a mask lies on shows no defect yet, and must not leave as if it did.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from pipelines.core import files, images
from pipelines.core.assets import Asset, Assets
from pipelines.core.models import Models
from pipelines.core.requests import Place
from pipelines.core.requests.train import Layout
from pipelines.core.runs import Run, name
from pipelines.core.statistics import shares, spaced
from pipelines.parts import placing, sheets
from pipelines.parts.placing import Area, Placer, heat

MOST_AT_HAND = 16
MOST_SHOWN = 36
"""Masks on the contact sheet."""


def run(request: Place, run: Run, models: Models) -> None:
    """Save a mask for each item, then a sheet of them, a map of all placements, and result.json."""
    real = None
    if request.data is not None:
        run.tick(0, request.length(), "measuring the real defects", force=True)
        real = placing.load(
            request.data,
            run.assets,
            layout=request.layout,
            which=request.defect_class,
            tell=lambda done, total: run.tick(0, request.length(), f"measuring mask {done + 1} of {total}"),
        )
    placer, grounds = Placer(request, real), Grounds(request, run.assets)
    for index in run.items(request.length()):
        row = _place(request, run, index, placer, grounds)
        run.log(image=index, instances=len(row["regions"]), tries=row["tries"])
        run.tick(index + 1, request.length())
    rows = run.rows()
    lines = (json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
    files.write_bytes(run.folder / "placements.jsonl", "".join(lines).encode())
    _shown(rows, run)
    facts = [one for row in rows for one in row["regions"]]
    run.finish(
        {
            "masks": len(rows),
            "instances": len(facts),
            "tries": sum(row["tries"] for row in rows),
            "measured": len(real.pieces) if real else 0,
            "notes": list(dict.fromkeys(row["note"] for row in rows if "note" in row)),
        }
    )


def _place(request: Place, run: Run, index: int, placer: Placer, grounds: "Grounds") -> dict[str, Any]:
    """One mask, committed. Returns its row."""
    one = request.for_image(index)
    asset, area = grounds.of(one.image[0])
    placed = placer.draw(area.mask, one.seed, name=asset.name)
    stem = name(index, request.length())
    union = np.logical_or.reduce([each.mask for each in placed])
    row: dict[str, Any] = {
        "mask": run.keep_picture(f"masks/{stem}.png", union),
        "name": asset.name,
        "seed": one.seed,
        "defect": request.defect,
        "size": [int(side) for side in area.mask.shape],
        "source": {"asset": asset.id, "name": asset.name, "sha256": asset.sha256},
        "tries": sum(each.tries for each in placed),
        "regions": [],
    }
    for number, each in enumerate(placed, start=1):
        file = row["mask"] if len(placed) == 1 else run.keep_picture(f"masks/{stem}.r{number}.png", each.mask)
        row["regions"].append({"mask": file, "defect": request.defect, **each.facts})
    if area.note:
        row["note"] = area.note
    run.commit(index, row)
    return row


class Grounds:
    """The legal areas of the pictures at hand; each is read once for its masks."""

    def __init__(self, request: Place, assets: Assets) -> None:
        self._request = request
        self._assets = assets
        self.of = lru_cache(MOST_AT_HAND)(self._of)

    def _of(self, id: str) -> tuple[Asset, Area]:
        """Raises BadInput, Missing."""
        asset = self._assets.get(id)
        pixels = images.read(asset.path, name=asset.name).pixels
        legal, illegal = (self._mask(one, pixels) for one in (self._request.legal, self._request.illegal))
        return asset, placing.area(pixels, self._request.where, legal, illegal, name=asset.name)

    def _mask(self, id: str | None, pixels: np.ndarray) -> np.ndarray | None:
        if id is None:
            return None
        asset = self._assets.get(id)
        return images.read_mask(asset.path, (pixels.shape[0], pixels.shape[1]), name=asset.name)


class Placings:
    """Masks for pictures one by one, of several classes, each laid as a request of its own says."""

    def __init__(self, requests: Sequence[Place], assets: Assets) -> None:
        """Raises BadInput, Missing where the real defects to follow cannot be."""

        @lru_cache
        def measured(data: str, layout: Layout, which: str) -> placing.Real:
            return placing.load(data, assets, layout=layout, which=which)

        reals = [measured(one.data, one.layout, one.defect_class) if one.data else None for one in requests]
        self._placers = [Placer(one, real) for one, real in zip(requests, reals, strict=True)]
        self._grounds = [Grounds(one, assets) for one in requests]

    def draw(self, number: int, source: str, seed: int) -> list[placing.Placed]:
        """The areas of one mask of class `number` on a source. Raises BadInput where there is no room."""
        asset, area = self._grounds[number].of(source)
        return self._placers[number].draw(area.mask, seed, name=asset.name)


def _shown(rows: Sequence[dict[str, Any]], run: Run) -> None:
    """sheet.png: masks on their pictures. heat.png: where all of them lie."""
    shown, captions = [], []
    for row in spaced(rows, MOST_SHOWN):
        asset = run.assets.get(row["source"]["asset"])
        mask = images.read_mask(run.folder / row["mask"])
        shown.append(heat.overlay(images.read(asset.path, name=asset.name).pixels, mask))
        captions.append(f"{row['name']} {row['seed']}")
    run.keep_picture("sheet.png", sheets.contact(shown, captions, side=320))
    cells = heat.of(shares(images.read_mask(run.folder / row["mask"])) for row in rows)
    run.keep_picture("heat.png", heat.picture(cells, (rows[0]["size"][0], rows[0]["size"][1])))
