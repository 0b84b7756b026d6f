"""Fits a drawn kind of defect to real ones and shows both side by side. Knows data sets; parts/fitting knows how."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np

from pipelines.core import images, kinds, presets
from pipelines.core.errors import BadInput
from pipelines.core.kinds import Kind
from pipelines.core.models import Models
from pipelines.core.noise import rng
from pipelines.core.requests.fit import AUTO, Fit
from pipelines.core.runs import Run
from pipelines.parts import crop, fitting, marked, sheets
from pipelines.parts.exemplars import residual
from pipelines.parts.fitting import Fitted, Search, Site
from pipelines.parts.marked import Seen

SHEET = "sheets/fit.png"
APART_PX = 8
LEAST_PX = 6
SIDE_PX = 160
"""A look is in parts of the painted size: a larger defect is looked at smaller."""
LOOKED_AT = 3
"""Real defects that every look is tried on; all of them are measured."""
OF_BOARDS = "copper"
"""A kind with this parameter is a fault of printed boards: it is fitted where it is named, never guessed."""
CANDIDATES = 3
"""With auto, so many kinds are fitted: those that come nearest as they are usually drawn."""
SHOWN, CELL_PX = 6, 192

Marks = list[tuple[Seen, np.ndarray]]


def run(request: Fit, run: Run, models: Models) -> None:
    """Write the nearest look as a preset's fields, and a sheet of real | usual | fitted. Raises BadInput, Missing."""
    name, seen = marked.read(request.data, request.layout, run.assets)
    chosen = _marks(request, seen)
    sites = _sites(chosen)
    every = [kind for kind in kinds.load().values() if OF_BOARDS not in kind.parameters]
    run.tick(0, 1, "measuring the real defects", force=True)
    search = Search(sites[:LOOKED_AT], every, request.seed)
    glances = {kind.id: search.glance(kind) for kind in every} if request.kind == AUTO else {}
    asked = sorted(glances, key=lambda id: glances[id])[:CANDIDATES] or [request.kind]
    fitted = min(
        (_fitted(search, kinds.get(id), place, len(asked), run) for place, id in enumerate(asked)), key=_nearest
    )
    run.keep_picture(SHEET, _sheet(sites, fitted))
    fields = _fields(fitted)
    result: dict[str, Any] = {
        "kind": fitted.kind.id,
        "preset": fields,
        "ranges": {name: [round(one, 4) for one in span] for name, span in fitted.ranges.items()},
        "measured": _rounded(asdict(fitting.measure(sites))),
        "distance": {"usual": round(fitted.usual, 4), "fitted": round(fitted.distance, 4)},
        "glances": {id: round(value, 4) for id, value in sorted(glances.items(), key=lambda one: one[1])},
        "examples": len(sites),
        "sheet": SHEET,
    }
    if request.label is not None:
        own = presets.own_folder(run.assets.runs)
        result["saved"] = presets.save(own, request.product or name, request.label, fields).id
    run.log(kind=fitted.kind.id, distance=result["distance"])
    run.finish(result)


def _nearest(one: Fitted) -> float:
    return one.distance


def _fitted(search: Search, kind: Kind, place: int, count: int, run: Run) -> Fitted:
    def tick(done: int, total: int) -> None:
        run.tick(place * total + done, count * total, f"fitting {kind.label.lower()}")

    return search.fit(kind, tick)


def _fields(fitted: Fitted) -> dict[str, Any]:
    """What a preset says of a request."""
    look = {name: value if isinstance(value, str) else round(value, 4) for name, value in fitted.look.items()}
    return {"defect": fitted.kind.id, "look": look}


def _marks(request: Fit, seen: Sequence[Seen]) -> Marks:
    """Up to `num_examples` defects of the class asked for, drawn by the seed, in the data set's order."""
    shown: dict[str, Marks] = {}
    for one in seen:
        for mask, name in one.areas() if not one.unmarked else ():
            for piece in crop.groups(mask, APART_PX):
                if np.count_nonzero(piece) >= LEAST_PX:
                    shown.setdefault(name, []).append((one, piece))
    if not shown:
        raise BadInput("the data set shows no marked defect: mark some first, under Data", "data")
    names = ", ".join(sorted(shown))
    if request.defect is None and len(shown) > 1:
        raise BadInput(f"the data set shows {names}: name one of them in defect", "defect")
    wanted = request.defect if request.defect is not None else next(iter(shown))
    if wanted not in shown:
        raise BadInput(f"the data set shows no marked {wanted!r}; it shows {names}", "defect")
    there = shown[wanted]
    order = rng(request.seed, "fit", "examples").permutation(len(there))[: request.num_examples]
    return [there[place] for place in order.tolist()]


def _sites(chosen: Marks) -> list[Site]:
    found = []
    for one, mask in chosen:
        pixels = images.read(one.path).pixels
        longer = max(int(np.ptp(places)) + 1 for places in np.nonzero(mask))
        box = crop.around(mask, max(round(0.5 * longer), 2 * residual.BESIDE_PX + 6))
        real = np.ascontiguousarray(images.to_float(pixels[box.window], images.white(pixels)))
        own = np.ascontiguousarray(mask[box.window])
        found.append(_smaller(Site(real, own, fitting.mended(real, own), pixels.ndim == 2)))
    return found


def _smaller(site: Site) -> Site:
    scale = SIDE_PX / max(site.mask.shape)
    if scale >= 1:
        return site
    size = (max(1, round(site.mask.shape[1] * scale)), max(1, round(site.mask.shape[0] * scale)))
    real, ground = (cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (site.real, site.ground))
    share = cv2.resize(site.mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return Site(real, share >= min(0.5, float(share.max())), ground, site.grey)


def _sheet(sites: Sequence[Site], fitted: Fitted) -> np.ndarray:
    """Rows: the real defects, the kind as it is usually drawn in their outlines, and fitted."""
    some, kind = sites[:SHOWN], fitted.kind.id
    rows = {
        "real": [one.real for one in some],
        "usual": [fitting.drawn(one, kind, seed, {}) for seed, one in enumerate(some)],
        "fitted": [fitting.drawn(one, kind, seed, fitted.look) for seed, one in enumerate(some)],
    }
    cells = [[_cell(picture) for picture in row] for row in rows.values()]
    return sheets.grid(cells, list(rows), [""] * len(some), CELL_PX)


def _cell(picture: np.ndarray) -> np.ndarray:
    scale = CELL_PX / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    large = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
    return np.round(np.clip(large, 0, 1) * 255).astype(np.uint8)


def _rounded(data: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [round(one, 4) for one in value] if isinstance(value, tuple) else round(value, 4)
        for name, value in data.items()
    }
