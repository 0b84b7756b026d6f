"""From what was painted and what is chosen beside it to a request. Distrusts both: they come from a browser.

Knows requests, presets and the asset store; nothing of Gradio.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.core import bases, presets
from pipelines.core.errors import BadInput
from pipelines.core.requests import Inpaint
from pipelines.core.requests.generate import SEED_MAX, sibling
from studio import menu, pictures, restore
from studio.canvas import Painting
from studio.context import Context

OF_AREA = ("severity", "light", "prompt", "padding_px", "feather_px", "look")
USUAL = {name: Inpaint.model_fields[name].default for name in ("severity", "prompt", "padding_px", "feather_px")}


def inpaint(context: Context, sent: Any, painting: Painting, held: Any) -> dict[str, Any]:
    """The Inpaint request, as data, of what was painted. An area without a choice of its own takes what the card shows.

    `sent` is what the canvas sent, with its notes; `painting` the same taken apart; `held` what the card holds.
    Raises BadInput, Missing.
    """
    held = held if isinstance(held, dict) else {}
    common, shown = _table(held.get("common")), _table(held.get("area"))
    if not painting.asset:
        raise BadInput("there is no picture yet: open one, or take a sample")
    asset = context.assets.get(painting.asset)
    restored = _table(held.get("restored"))
    masks = pictures.keep_masks(context, painting.areas, asset, was=restore.masks(restored))
    menu.ready(str(common.get("base", "")))
    own = presets.own_folder(context.runs)
    draws = bases.get(str(common.get("base", bases.DRAWN))).family == bases.DRAWN
    areas = [_of_base(_area({**shown, **note}, own, draws), draws) for note in _notes(sent, len(masks))]
    names = restore.COMMON if draws else (*restore.COMMON, *restore.DIFFUSED)
    asked = {"task": "inpaint", "image": asset.id, **{name: common[name] for name in names if name in common}}
    if len(areas) == 1:
        (area,) = areas
        return restore.again({**asked, **_without(area, "turn"), "mask": masks[0]}, restored)
    regions = [_region(area, mask, asked, number) for number, (area, mask) in enumerate(zip(areas, masks, strict=True))]
    return restore.again({**asked, "regions": regions}, restored)


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
