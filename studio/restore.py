"""From a finished picture back to what it was made from: its picture, its painted areas, and every value asked for.

What is asked again unchanged is the very request, so that it makes the same bytes. Knows requests and assets; nothing
of Gradio or of how areas are drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipelines.core import files, ids, images, presets, requests, runs
from pipelines.core.assets import Asset
from pipelines.core.errors import BadInput, Missing, Problem
from pipelines.core.requests import Control, Inpaint, Painting, Region, Request
from pipelines.core.requests.diffusion import DIFFUSION
from pipelines.core.requests.generate import SEED_MAX, sibling
from studio import laid, menu, steering
from studio.canvas import MOST_AREAS
from studio.context import Context

COMMON = ("base", "strength", "num_images", "seed", "label")
"""What is asked once for a picture; the rest is asked for each area."""
DIFFUSED = (*sorted(DIFFUSION - {"prompt"}), "num_candidates", "select", "attention_maps")
"""What besides is asked of a base that diffuses."""
MAPPED = ("conditions", "geometry")
"""What besides is asked where maps steer."""
OF_WHOLE = ("defect", "severity", "prompt", "padding_px", "feather_px")
"""What is asked for the one area there would be, where nothing is painted and the whole picture is made anew."""


@dataclass(frozen=True)
class Restored:
    """What a picture's request asks for, as far as it can be asked here."""

    picture: Asset | None
    """The good part it was painted on; None when it is not here."""
    areas: list[dict[str, Any]]
    """For each area the note of the canvas about it, and its mask by asset id."""
    form: dict[str, Any]
    """What the card takes."""
    missing: tuple[str, ...]
    """A sentence for what is not here."""


def of_picture(context: Context, path: Path, name: str, product: str = "") -> Restored:
    """What is in the PNG at `path`. Raises BadInput when it carries no request, or one this studio cannot ask."""
    request, names = request_of(path, name)
    if not isinstance(request, Inpaint | Control):
        raise BadInput(f"{name} was made by {request.task}, which is not painted: take a picture made under Paint")
    return of_request(context, request, names, product)


def request_of(path: Path, name: str) -> tuple[Request, dict[str, str]]:
    """The request in the PNG at `path`, and what each of its files was called, by asset id. Raises BadInput."""
    data = images.read_request(path, name)
    if data is None:
        raise BadInput(f"{name} carries no request: take a PNG that this studio made, as it was saved")
    return requests.parse(data), _names(data)


def of_run(context: Context, run: str, stem: str, product: str = "") -> Restored:
    """What a run's picture was made from. Raises BadInput, Missing."""
    path = picture_of(context, run, stem)
    return of_picture(context, path, path.name, product)


def picture_of(context: Context, run: str, stem: str) -> Path:
    """Where the picture `stem` of a run is; one that was set aside, `aside/00001`, lies elsewhere.

    Raises Missing, BadInput for a name that leads out of the run.
    """
    folder = context.runs / context.queue.get(run).id
    kept = stem.removeprefix(f"{runs.ASIDE}/")
    path = files.inside(
        folder, PurePosixPath(*([runs.ASIDE] if kept != stem else []), "images", f"{kept}.png").as_posix()
    )
    if not path.is_file():
        raise Missing(f"run {run} has no picture {stem[:80]}: it may have been deleted")
    return path


def of_request(context: Context, request: Painting, names: Mapping[str, str], product: str) -> Restored:
    """A request's picture and areas, looked for among the assets; `names` says what each asset was called."""
    own = presets.own_folder(context.runs)
    asked = request.areas()
    if len(asked) > MOST_AREAS:
        raise BadInput(f"it was painted in {len(asked)} areas: the canvas holds {MOST_AREAS}; run its request instead")
    here, missing = context.assets.has(request.image), []
    if not here:
        name = names.get(request.image, request.image)
        missing.append(
            Missing(
                f"the picture it was painted on, {name}, is not here: open that picture once, then drop this one again"
            )
        )
    adapters = laid.restored(context, request.adapters, names)
    missing += [Missing(one) for one in adapters.missing]
    common = {name: getattr(request, name) for name in (*COMMON, *([] if request.draws else DIFFUSED))}
    form: dict[str, Any] = {"common": {**common, "adapters": adapters.uses}, "adapter_names": adapters.labels}
    areas, at = [], product
    if isinstance(request, Control):
        form["common"] |= _steered(context, request, names, missing)
        if not asked:
            whole = Region(mask="", defect=request.defect or steering.NAMELESS, severity=request.severity)
            at, form["area"] = _note(_settled(request, whole), request.seed, 0, at, own)
            form["product"] = at
    for number, region in enumerate(asked):
        at, note = _note(region, request.seed, number, at, own)
        if number == 0:
            form |= {"product": at, "area": note}
        if context.assets.has(region.mask):
            areas.append({**note, "mask": region.mask})
        else:
            name = names.get(region.mask, region.mask)
            missing.append(Missing(f"the mask {name} is not here: open it under Mask, or paint that area anew"))
    if not missing:
        form["restored"] = request.model_dump(mode="json")
    picture = context.assets.get(request.image) if here else None
    return Restored(picture, areas if here else [], form, tuple(str(one) for one in missing))


def _steered(context: Context, request: Control, names: Mapping[str, str], missing: list[Missing]) -> dict[str, Any]:
    """What the card holds of the maps of a request; a ready-made one that is not here is missed."""
    kept = []
    for one in request.conditions:
        if one.image is not None and not context.assets.has(one.image):
            name = names.get(one.image, one.image)
            missing.append(Missing(f"the ready-made map {name} is not here: open it again under Expert"))
            one = one.model_copy(update={"image": None})
        kept.append(one)
    alone = [one.kind for one in request.conditions] == ["canny"] and not request.areas()
    recipe = steering.WHOLE if alone else steering.DEFECT
    return {"steer": steering.of_conditions(kept, names), "geometry": request.geometry, "recipe": recipe}


def _settled(request: Painting, region: Region) -> Region:
    said = {name: getattr(request, name) for name in ("light", "padding_px", "feather_px", "seed")}
    return region.model_copy(update={**said, "prompt": request.prompt or None})


def _note(region: Region, seed: int, number: int, product: str, own: Path) -> tuple[str, dict[str, Any]]:
    """(product, what the canvas notes) of an area. `turn` is how far its seed lies from the one it would have."""
    asked = {
        name: getattr(region, name) for name in ("defect", "severity", "light", "padding_px", "feather_px", "look")
    }
    product, choice = menu.closest(asked, product, own)
    turn = ((region.seed or 0) - sibling(seed, number)) % (SEED_MAX + 1)
    if region.prompt:
        asked["prompt"] = region.prompt
    return product, {**asked, "look": dict(region.look), "defect": choice, **({"turn": turn} if turn else {})}


def _names(data: Mapping[str, Any]) -> dict[str, str]:
    """What each file was called when the picture was made, by the asset id it had."""
    found: dict[str, str] = {}
    held = [*(data.get("regions") or ()), *(data.get("adapters") or ()), *(data.get("conditions") or ())]
    parts = [data, *(one for one in held if isinstance(one, Mapping))]
    for file in (part.get(name) for part in parts for name in ("image", "mask", "path")):
        if isinstance(file, Mapping) and set(file) == {"name", "sha256"}:
            found[ids.asset(str(file["sha256"]), str(file["name"]))] = str(file["name"])
    return found


def masks(restored: Mapping[str, Any]) -> list[str]:
    """The masks by asset id of a restored request, as the card gave it back."""
    regions = restored.get("regions")
    parts = [restored, *(one for one in regions if isinstance(one, dict))] if isinstance(regions, list) else [restored]
    return [part["mask"] for part in parts if isinstance(part.get("mask"), str)]


def again(asked: dict[str, Any], restored: Mapping[str, Any]) -> dict[str, Any]:
    """`asked`, or where it asks for just what was restored, the restored request: the same picture, to the byte.

    A restored request that cannot be read any more counts for nothing: what is on the page is what is asked.
    """
    if not restored:
        return asked
    try:
        now = requests.parse(asked)
        names = (*COMMON, *DIFFUSED, *MAPPED)
        then = requests.parse({**restored, **{name: asked[name] for name in names if name in asked}})
    except Problem:
        return asked
    if not isinstance(now, Painting) or type(then) is not type(now) or now.image != then.image:
        return asked
    if not now.areas() and any(getattr(now, name) != getattr(then, name) for name in OF_WHOLE):
        return asked
    return then.model_dump(mode="json") if now.areas() == then.areas() else asked
