"""Defects laid into the masked areas from a plant's own examples: a base without weights. Never imports torch.

The examples that a request names by a data set are settled once, and every picture's metadata names them by hash.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from pipelines.core import images
from pipelines.core.assets import Asset, Assets
from pipelines.core.errors import BadInput
from pipelines.core.noise import rng
from pipelines.core.requests import Exemplar, Inpaint, Region
from pipelines.core.requests.generate import sibling
from pipelines.core.runs import Run
from pipelines.generate import drawing, scene
from pipelines.generate.scene import Area, Scene, Variant
from pipelines.parts import crop, exemplars, marked
from pipelines.parts.exemplars import Cutout

APART_PX = 8
"""Marks of one picture whose boxes lie at least twice as far apart are examples of their own."""
SETTLED = ("examples", "num_examples", "exemplars")
"""What `settle` changes of a request for every picture of a class alike."""
MOST_AT_HAND = 8
LEAST_PX = 6
"""A mark of fewer pixels shows nothing to draw from."""


def run(request: Inpaint, run: Run, whole: Scene) -> None:
    """Make `request.num_images` pictures; picture k uses seed + k. Raises BadInput where there is no such example."""
    run.tick(0, request.num_images, "looking for examples", force=True)
    settled = settle(request, run.assets)
    shelf = {name: _read(settled.exemplars, name, run.assets.runs) for name in {*_wanted(settled)}}
    light = drawing.measure(whole.pixels, whole.white).light.azimuth_deg
    for index in run.items(request.num_images):
        one = settled.for_image(index)
        here = whole.for_image(one)
        run.tick(index, request.num_images, f"picture {index + 1} of {request.num_images}")
        pixels, changed, facts = _drawn(here, one, shelf, light)
        scores = scene.save(run, index, here, one, Variant(pixels, changed, {"examples": facts}))
        run.log(image=index, seed=one.seed, scores=scores, examples=facts)
        run.tick(index + 1, request.num_images, preview=pixels)


def settle(request: Inpaint, assets: Assets) -> Inpaint:
    """The request with each example by itself, kept among the assets, and each area's class of examples said.

    Raises BadInput where the data set has no such marked defect, Missing.
    """
    found = request.exemplars or _from_data(request, assets)
    names = tuple(dict.fromkeys(one.defect for one in found))
    plain = {"examples": None, "num_examples": Inpaint.model_fields["num_examples"].default, "exemplars": found}
    areas = request.areas()
    said = [_class(region, names) for region in areas]
    if request.regions:
        regions = tuple(
            one.model_copy(update={"example_defect": name}) for one, name in zip(request.regions, said, strict=True)
        )
        return request.model_copy(update={**plain, "regions": regions})
    return request.model_copy(update={**plain, "example_defect": said[0]})


def _wanted(request: Inpaint) -> list[str]:
    return [region.example_defect or "" for region in request.areas()]


def _class(region: Region, names: Sequence[str]) -> str:
    """Which class of the examples an area is drawn from. Raises BadInput."""
    wanted = region.example_defect
    if wanted is None:
        alike = [name for name in names if name.casefold() == region.defect.casefold()]
        if alike or len(names) == 1:
            return (alike or list(names))[0]
        raise BadInput(f"the examples show {', '.join(names)}: name one of them in example_defect", "example_defect")
    if wanted not in names:
        raise BadInput(f"the examples show no marked {wanted!r}; they show {', '.join(names)}", "example_defect")
    return wanted


def _from_data(request: Inpaint, assets: Assets) -> tuple[Exemplar, ...]:
    """Up to `num_examples` pictures of each class that an area needs, drawn by the seed, in the data set's order."""
    assert request.examples is not None
    _, seen = marked.read(request.examples, "auto", assets)
    shown: dict[str, list[tuple[marked.Seen, np.ndarray]]] = {}
    for one in seen:
        for mask, name in one.areas() if not one.unmarked else ():
            if np.count_nonzero(mask) >= LEAST_PX:
                shown.setdefault(name, []).append((one, mask))
    if not shown:
        raise BadInput("the examples show no marked defect: mark some first, under Data", "examples")
    found: list[Exemplar] = []
    for name in dict.fromkeys(_class(region, sorted(shown)) for region in request.areas()):
        there = shown[name]
        order = rng(request.seed, "examples", name).permutation(len(there))[: request.num_examples]
        for place in sorted(order.tolist()):
            one, mask = there[place]
            image = assets.put(one.path, one.path.name)
            kept = assets.put(images.encode_png(mask), f"{one.path.stem[:200]}_mask.png")
            found.append(Exemplar(image=image.id, mask=kept.id, defect=name))
    return tuple(found)


@dataclass(frozen=True)
class _Lent:
    """One example, ready to be laid."""

    cutout: Cutout
    source: Asset


@lru_cache(MOST_AT_HAND)
def _read(found: tuple[Exemplar, ...], name: str, runs: Path) -> list[_Lent]:
    """The examples of a class, each of its marks by itself. Raises BadInput, Missing.

    Remembered, for the pictures of a batch share them.
    """
    assets, lent = Assets(runs), []
    for one in found:
        if one.defect != name:
            continue
        source, asset = assets.get(one.image), assets.get(one.mask)
        picture = images.read(source.path, name=source.name)
        mask = images.read_mask(asset.path, size=(picture.height, picture.width), name=asset.name)
        light = drawing.measure(picture.pixels, images.white(picture.pixels)).light.azimuth_deg
        for piece in crop.groups(mask, APART_PX):
            if np.count_nonzero(piece) < LEAST_PX:
                continue
            box = crop.around(piece, exemplars.margin_px(piece))
            values = images.to_float(picture.pixels[box.window], images.white(picture.pixels))
            lent.append(_Lent(exemplars.cut(np.ascontiguousarray(values), piece[box.window], light), source))
    if not lent:
        raise BadInput(f"no example of {name!r} shows more than a speck: mark a larger one", "examples")
    return lent


def _drawn(
    here: Scene, request: Inpaint, shelf: Mapping[str, Sequence[_Lent]], light: float
) -> tuple[np.ndarray, list[np.ndarray], list[dict[str, object]]]:
    """(the scene's picture with every area drawn, what changed of each, which example lent what)."""
    pixels = here.pixels.copy()
    changed: list[np.ndarray] = []
    facts: list[dict[str, object]] = []
    for number, area in enumerate(here.areas):
        own = np.zeros(here.asked.shape, bool)
        lent = shelf[area.region.example_defect or ""]
        for piece in range(len(area.pieces)):
            box, drawn = _laid(pixels, here.white, area, piece, lent, request, light)
            before = here.pixels[box.window]
            own[box.window] |= scene.differs(before, pixels[box.window]) & area.pieces[piece][box.window]
            facts.append({"name": lent[drawn.example].source.name, "sha256": lent[drawn.example].source.sha256})
        if not own.any():
            raise BadInput(
                f"nothing can be seen of {area.region.defect} in region {number + 1}: raise strength or severity, or"
                " paint a larger area",
                "severity",
            )
        changed.append(own)
    return pixels, changed, facts


def _laid(
    pixels: np.ndarray, white: int, area: Area, piece: int, lent: Sequence[_Lent], request: Inpaint, light: float
) -> tuple[crop.Box, exemplars.Drawn]:
    """Lay one defect into `pixels`, in place. Returns where, and what was laid there."""
    region, mask = area.region, area.pieces[piece]
    box = crop.around(mask, max(area.padding_px, exemplars.margin_px(mask)) + area.feather_px)
    before = pixels[box.window].copy()
    weight = crop.feather(mask[box.window], area.feather_px) * np.float32(request.strength)
    values = images.to_float(before, white)
    if before.ndim == 2:
        cuts = [exemplars.greyed(one.cutout) for one in lent]
    else:
        cuts = [one.cutout for one in lent]
    drawn = exemplars.draw(
        np.ascontiguousarray(values),
        mask[box.window],
        cuts,
        weight,
        severity=request.severity if region.severity is None else region.severity,
        seed=sibling(region.seed or 0, piece),
        light_deg=light if region.light is None else region.light,
    )
    after = images.from_float(drawn.image, like=before, white=white)
    inside = weight > 0
    pixels[box.window][inside] = after[inside]
    return box, drawn
