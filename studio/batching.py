"""What the Batch tab offers and asks: defects and bases to choose from; from its form, or from Paint's, to a request.

Distrusts what comes from the browser. Knows requests, presets and the stores; nothing of Gradio.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipelines.core import bases, captioners, presets
from pipelines.core.errors import BadInput, Problem
from pipelines.core.requests import Batch, Inpaint
from pipelines.core.requests.batch import GIVEN, Gates
from studio import asking, captioning, form, menu, shelf
from studio.context import Context
from studio.form import Limits
from studio.i18n import Language

PREVIEW = 12
MINE, AS_REAL = "mine", "as real"
PLACES = ("anywhere", "foreground", AS_REAL)
WANTED = {"visibility": 1.2, "fidelity": 0.05, "duplicate_bits": 3, "texture": 1.5, "clip": 0.0}
"""What a gate begins with when it is switched on."""
ON = ("visibility", "fidelity", "duplicate_bits")
"""The gates that are on at the start; the others need real defects, or a network that may not be here."""
VARIED = ("severity", "strength", "light", "padding_px", "feather_px", "guidance_scale", "num_inference_steps")


def offered(context: Context, say: Language, first: str) -> dict[str, Any]:
    """What there is to choose from now. `first` is the defect that a new list of classes begins with."""
    found = menu.catalogue(say, presets.own_folder(context.runs))
    lack = captioners.no_clip()
    return {
        "products": [
            {"id": one["id"], "label": one["label"], "defects": [_choice(defect) for defect in one["defects"]]}
            for one in found["products"]
        ],
        "looks": {id: [(one["name"], one["label"]) for one in kind["look"]] for id, kind in found["kinds"].items()},
        "bases": found["bases"],
        "first": first,
        "no_clip": say.sentence(str(lack)) if lack else "",
        "at": str(time.time_ns()),
    }


def _choice(one: Mapping[str, Any]) -> dict[str, Any]:
    said = one["fields"]
    severity = said.get("severity", menu.START["severity"])
    return {"id": one["id"], "label": one["label"], "kind": said["defect"], "severity": severity}


def fields(say: Language) -> dict[str, dict[str, Any]]:
    """What may differ from picture to picture, as the form names and bounds it."""
    return form.controls(say, Inpaint, {name: Limits() for name in VARIED})


def gates() -> dict[str, dict[str, Any]]:
    """The gates that have a bound, with what is sensible for it."""
    found = {}
    for name, start in WANTED.items():
        low, high = form.bounds(Gates.model_fields[name])
        found[name] = {"low": low, "high": high, "start": start, "on": name in ON}
    return found


# -- from Paint or Control


def handed(context: Context, data: Mapping[str, Any], product: str) -> dict[str, Any]:
    """A request of Paint or Control as the form takes it: what is the same for all, its defects, picture and masks."""
    own, regions = presets.own_folder(context.runs), data.get("regions") or [data]
    asset = context.assets.get(str(data["image"]))
    common = {name: value for name, value in data.items() if name not in (*GIVEN, *asking.OF_AREA, "defect")}
    classes: list[dict[str, Any]] = []
    for region in regions:
        said = {name: region[name] for name in (*asking.OF_AREA, "defect") if name in region}
        _, choice = menu.closest({**menu.START, **said}, product, own)
        severity = said.pop("severity", None) or menu.START["severity"]
        kind = said.pop("defect")
        kept = {name: value for name, value in said.items() if value != menu.START.get(name)}
        one = {"choice": choice, "kind": kind, "fields": kept, "share": 1, "low": severity, "high": severity}
        classes += [one] if one not in classes else []
    base = bases.get(str(data.get("base", bases.DRAWN)))
    return {
        "template": common,
        "base": base.label,
        "classes": classes,
        "image": {"asset": asset.id, "name": asset.name, "thumb": shelf.thumb(asset.id, asset.name)},
        "masks": [str(one["mask"]) for one in regions if one.get("mask")],
        "size": [asset.width, asset.height],
    }


# -- to a request


def asked(context: Context, held: Any, first: bool) -> dict[str, Any]:
    """The Batch request, as data, of what the form holds. `first`: only the first few, to look at.

    Raises BadInput, Missing.
    """
    given = _table(held)
    sent = _table(given.get("sent"))
    template = _template(given, sent)
    menu.ready(str(template.get("base", bases.DRAWN)))
    sources = _sources(context, given, sent)
    data: dict[str, Any] = {
        "task": "batch",
        "template": template,
        "sources": sources,
        "defects": _classes(context, given, template),
        "vary": _vary(given),
        "gates": _gates(given),
        **{name: given[name] for name in ("count", "tries", "seed") if given.get(name) is not None},
    }
    if given.get("where") == MINE and sent.get("masks"):
        data["masks"] = _masks(context, given, sent, sources)
    else:
        data["place"] = _place(given)
    if given.get("real") and "texture" in data["gates"]:
        data["real"] = str(given["real"])
    if data["gates"].get("texture") is not None and "real" not in data:
        raise BadInput("the texture is compared with real defects, and none are chosen: choose a data set", "real")
    return {**data, "first": PREVIEW} if first else data


def _template(given: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    if sent.get("template"):
        return dict(_table(sent["template"]))
    return {"task": "inpaint", "base": str(given.get("base") or bases.DRAWN)}


def _sources(context: Context, given: Mapping[str, Any], sent: Mapping[str, Any]) -> list[str]:
    if given.get("on") == "picture" and _table(sent.get("image")).get("asset"):
        return [context.assets.get(str(sent["image"]["asset"])).id]
    project = context.projects.get(str(given.get("project") or ""))
    which = replace(captioning.which(given.get("which")), out=False)
    found = context.projects.records(project.id).assets(which)
    if not found:
        raise BadInput("no picture is chosen that a data set would use: choose some, or empty the filter", "sources")
    return list(found)


def _classes(context: Context, given: Mapping[str, Any], template: Mapping[str, Any]) -> list[dict[str, Any]]:
    own, task = presets.own_folder(context.runs), str(template["task"])
    draws = bases.get(str(template.get("base", bases.DRAWN))).family == bases.DRAWN
    found = []
    for one in _rows(given.get("classes")):
        said = asking.area(str(one.get("choice") or ""), own, task, draws)
        kept = one.get("fields")
        said = {**kept, "defect": said["defect"]} if isinstance(kept, dict) else said
        share = {"defect": said.pop("defect"), "share": one.get("share", 1)}
        low, high = one.get("low"), one.get("high")
        if (draws or task == "control") and low is not None and high is not None:
            if low == high:
                said["severity"] = low
            else:
                said.pop("severity", None)
                share["vary"] = [{"field": "severity", "low": low, "high": high}]
        found.append({**share, "fields": said})
    if not found:
        raise BadInput("no defect is chosen: add one at least", "defects")
    return found


def _vary(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for one in _rows(given.get("vary")):
        name, values = str(one.get("field") or ""), one.get("values")
        if isinstance(values, list) and values:
            found.append({"field": name, "values": values})
        elif name and one.get("low") is not None and one.get("high") is not None:
            found.append({"field": name, "low": one["low"], "high": one["high"]})
    return found


def _gates(given: Mapping[str, Any]) -> dict[str, Any]:
    """The gates that are on with their bounds, and of those that have a bound of their own the others as off."""
    chosen = _table(given.get("gates"))
    found = {name: chosen.get(name) for name in WANTED}
    return {name: value for name, value in found.items() if value != Gates.model_fields[name].default}


def _place(given: Mapping[str, Any]) -> dict[str, Any]:
    where = given.get("where") if given.get("where") in PLACES else PLACES[0]
    found: dict[str, Any] = {} if where == PLACES[0] else {"where": where}
    if where == AS_REAL:
        if not given.get("real"):
            raise BadInput("masks are to lie where real ones do, and no data set is chosen: choose one", "place.data")
        found["data"] = str(given["real"])
        if given.get("real_class"):
            found["defect_class"] = str(given["real_class"])
    least, most = _pair(given.get("instances"), (1, 1))
    if (least, most) != (1, 1):
        found["instances"] = [least, most]
    small, large = _pair(given.get("size"), (None, None))
    if small is not None and large is not None:
        found["size"] = [small / 100, large / 100]
    if given.get("angle") not in (None, ""):
        found["angle"] = given["angle"]
    return found


def _masks(
    context: Context, given: Mapping[str, Any], sent: Mapping[str, Any], sources: Sequence[str]
) -> list[dict[str, Any]]:
    """What was painted: for the picture it was painted on, or for every picture of its size."""
    if given.get("on") == "picture":
        return [{"mask": str(mask), "image": sources[0]} for mask in sent["masks"]]
    mask = context.assets.get(str(sent["masks"][0]))
    size = (mask.width, mask.height)
    if not any((one.width, one.height) == size for one in map(context.assets.get, sources)):
        raise BadInput(
            f"none of the {len(sources)} pictures is {size[0]} x {size[1]} px, as the painted mask is: let masks be"
            " placed, or take only the picture it was painted on",
            "masks",
        )
    return [{"mask": str(one)} for one in sent["masks"]]


def more(asked: Batch, tries: int | None) -> Batch:
    """The same with that many tries at each picture. Raises BadInput."""
    if tries is None:
        return asked
    if tries < asked.tries:
        raise BadInput(f"{tries} tries are fewer than the {asked.tries} that were asked for: give more", "tries")
    try:
        return Batch.model_validate({**asked.model_dump(mode="json"), "tries": tries})
    except ValueError as error:
        raise BadInput(f"{tries} tries are too many: give up to 100", "tries") from error


def _rows(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _pair(value: Any, otherwise: tuple[Any, Any]) -> tuple[Any, Any]:
    return (value[0], value[1]) if isinstance(value, list) and len(value) == 2 else otherwise


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def project(context: Context, id: Any) -> str:
    """The project on show: the one a browser has open, or the newest; "" where there is none."""
    try:
        found = context.projects.newest(id if isinstance(id, str) else "")
    except Problem:
        return ""
    return found.id if found else ""
