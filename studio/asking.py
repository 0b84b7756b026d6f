"""From what was painted and what is chosen beside it to a request. Distrusts both: they come from a browser.

Knows requests, presets and the asset store; nothing of Gradio.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.core import bases, presets
from pipelines.core.assets import Asset
from pipelines.core.errors import BadInput
from pipelines.core.requests import Inpaint
from pipelines.core.requests.generate import SEED_MAX, sibling
from studio import menu, pictures, restore, steering
from studio.canvas import Painting
from studio.context import Context

OF_AREA = ("severity", "light", "prompt", "padding_px", "feather_px", "look")
USUAL = {name: Inpaint.model_fields[name].default for name in ("severity", "prompt", "padding_px", "feather_px")}


def inpaint(context: Context, sent: Any, painting: Painting, held: Any, *, unpainted: bool = False) -> dict[str, Any]:
    """The Inpaint request, as data, of what was painted. An area without a choice of its own takes what the card shows.

    `sent` is what the canvas sent, with its notes; `painting` the same taken apart; `held` what the card holds.
    `unpainted`: also where nothing is painted, and then without a mask. Raises BadInput, Missing.
    """
    held = _table(held)
    common = _table(held.get("common"))
    asset = _opened(context, painting)
    masks = _masks(context, painting, asset, held) if painting.areas or not unpainted else []
    menu.ready(str(common.get("base", "")))
    draws = bases.get(str(common.get("base", bases.DRAWN))).draws
    names = restore.COMMON if draws else (*restore.COMMON, *restore.DIFFUSED)
    asked = {"task": "inpaint", "image": asset.id, **{name: common[name] for name in names if name in common}}
    together = _together(context, sent, held, masks, asked, lambda area: _of_base(area, draws), draws=draws)
    return restore.again(together, _table(held.get("restored")))


def control(context: Context, sent: Any, painting: Painting, held: Any) -> dict[str, Any]:
    """The Control request, as data. Where nothing is painted, or the recipe says so, the whole picture is made anew.

    Of the maps that are switched on, those are asked for whose net is here. Raises BadInput, Missing.
    """
    held = _table(held)
    common = _table(held.get("common"))
    asset = _opened(context, painting)
    whole = steering.whole(common) or not painting.areas
    masks = [] if whole else _masks(context, painting, asset, held)
    menu.ready(str(common.get("base", "")))
    names = (*restore.COMMON, *restore.DIFFUSED, "geometry")
    asked = {"task": "control", "image": asset.id, **{name: common[name] for name in names if name in common}}
    asked["conditions"] = steering.conditions(common, steering.steering(common))
    together = _together(context, {} if whole else sent, held, masks, asked, _steered)
    return restore.again(together, _table(held.get("restored")))


def area(choice: str, own: Path, task: str, draws: bool) -> dict[str, Any]:
    """What is asked for an area of that defect, as its preset says: what is as usual is left out. Raises BadInput."""
    found = _area({"defect": choice}, own, draws)
    found = _steered(found) if task == "control" else _of_base(found, draws)
    return {name: found[name] for name in (*OF_AREA, "defect") if name in found and found[name] != menu.START.get(name)}


def tried(context: Context, sent: Any, painting: Painting, held: Any) -> dict[str, Any]:
    """The Control request, as data, that tries several strengths of prompt and maps, a picture with each.

    Raises BadInput, Missing.
    """
    asked = control(context, sent, painting, _without(_table(held), "restored"))
    values = _table(_table(held).get("tried"))
    scales = {f"{name}_scales": _numbers(values.get(name), name) for name in ("guidance", "control")}
    return {**asked, **scales, "num_images": 1}


def maps(context: Context, sent: Any, painting: Painting, held: Any) -> dict[str, Any]:
    """The Annotate request, as data, for the maps that are in sight. Raises BadInput, Missing."""
    held = _table(held)
    common, wanted = _table(held.get("common")), held.get("maps")
    asset = _opened(context, painting)
    whole = steering.whole(common) or not painting.areas
    kinds = [kind for kind in steering.KINDS if isinstance(wanted, list) and kind in wanted]
    masks = [] if whole else _masks(context, painting, asset, held)
    asked = {"task": "annotate", "image": asset.id, "seed": common.get("seed", 0), "geometry": common.get("geometry")}
    asked["conditions"] = steering.conditions(common, kinds)
    return _together(context, {} if whole else sent, held, masks, asked, _steered)


def _opened(context: Context, painting: Painting) -> Asset:
    if not painting.asset:
        raise BadInput("there is no picture yet: open one, or take a sample")
    return context.assets.get(painting.asset)


def _masks(context: Context, painting: Painting, asset: Asset, held: Mapping[str, Any]) -> list[str]:
    was = restore.masks(_table(held.get("restored")))
    return pictures.keep_masks(context, painting.areas, asset, was=was)


def _together(
    context: Context,
    sent: Any,
    held: Mapping[str, Any],
    masks: Sequence[str],
    asked: dict[str, Any],
    of_base: Callable[[dict[str, Any]], dict[str, Any]],
    draws: bool = False,
) -> dict[str, Any]:
    """`asked` with its areas; without a mask, with what the card shows of the one that might be painted."""
    own, shown = presets.own_folder(context.runs), _table(held.get("area"))
    notes = _notes(sent, len(masks)) if masks else [{}]
    areas = [of_base(_area({**shown, **note}, own, draws)) for note in notes]
    if len(areas) == 1:
        (area,) = areas
        return {**asked, **_without(area, "turn"), **({"mask": masks[0]} if masks else {})}
    regions = [_region(area, mask, asked, number) for number, (area, mask) in enumerate(zip(areas, masks, strict=True))]
    return {**asked, "regions": regions}


def _numbers(given: Any, name: str) -> list[float]:
    if not isinstance(given, list) or not given or not all(isinstance(one, int | float) for one in given):
        raise BadInput(f"{name}_scales holds no number: write some, such as 5, 7.5, 10", f"{name}_scales")
    return given


def _steered(area: dict[str, Any]) -> dict[str, Any]:
    """How bad it is, is seen in the maps; how it looks, is the base's business."""
    return {**area, "look": {}, "light": None}


def _of_base(area: dict[str, Any], draws: bool) -> dict[str, Any]:
    """Without what a base of this kind does not read: words for one that draws, looks for one that diffuses."""
    if draws:
        return _without(area, "prompt")
    return {**area, "look": {}, "light": None, "severity": USUAL["severity"]}


def _area(note: Mapping[str, Any], own: Path, draws: bool) -> dict[str, Any]:
    """What is asked for an area: what its preset says, and on top what was set for it."""
    said = menu.fields(str(note.get("defect", "")), own, draws)
    given = {name: note[name] for name in OF_AREA if name in note and (note[name] is not None or name == "light")}
    turn = note.get("turn")
    found = {**menu.START, **{name: said[name] for name in OF_AREA if name in said}, **given, "defect": said["defect"]}
    return {**found, "turn": turn if isinstance(turn, int) else 0}


def _region(area: dict[str, Any], mask: str, asked: Mapping[str, Any], number: int) -> dict[str, Any]:
    """One of several areas. What is as the request has it anyway is left out."""
    found = {
        name: value
        for name, value in _without(area, "turn").items()
        if name in ("look", "severity") or USUAL.get(name) != value
    }
    seed = asked.get("seed", 0)
    if area["turn"] and isinstance(seed, int):
        found["seed"] = (sibling(seed, number) + area["turn"]) % (SEED_MAX + 1)
    return {**found, "mask": mask}


def _notes(sent: Any, count: int) -> list[dict[str, Any]]:
    """What the canvas noted about each area, in order."""
    areas = sent.get("areas") if isinstance(sent, dict) else None
    return [_table(one) for one in areas] if isinstance(areas, list) else [{}] * count


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _without(table: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key != name}
