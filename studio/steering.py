"""What maps can hold of a picture, as the page offers it: kinds, strengths, recipes; from what is held to conditions.

Knows requests and the rows of a run; nothing of Gradio. Which net of them is here, studio/menu says with each base.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from pipelines.core import bases, nets
from pipelines.core.errors import BadInput
from pipelines.core.queue import Row
from pipelines.core.requests.control import ANNOTATORS, AUTO, MOST_SCALE, MOST_TRIED, Condition
from studio import watch
from studio.context import Context
from studio.i18n import Language

KINDS = nets.KINDS
FIRST = ("hed", "depth", "normal")
"""Those that stand on the card at once; the others under More."""
SCALES = {"hed": 0.6, "depth": 0.4, "normal": 0.4, "canny": 0.8, "lineart": 0.6, "mask": 0.5}
"""How strongly each holds before a preset says otherwise."""
SAID = ("scale", "start", "end", "annotator", "low", "high")
USUAL = {name: Condition.model_fields[name].default for name in SAID}
START: dict[str, dict[str, Any]] = {
    kind: {"on": kind in FIRST, **USUAL, "scale": SCALES[kind], "image": "", "name": ""} for kind in KINDS
}
CANNY = {kind: {**one, "on": kind == "canny"} for kind, one in START.items()}
CANNY["canny"] = {**CANNY["canny"], "scale": 1.0}
DEFECT, WHOLE = "defect", "canny"
RECIPES: dict[str, dict[str, Any]] = {DEFECT: {}, WHOLE: {"steer": CANNY, "geometry": False, "strength": 0.6}}
"""What each says instead of the preset. The second makes the whole picture anew, as the fine-tuning lab's page did."""
STEERS = {"steer": START, "geometry": True, "recipe": DEFECT}
TRIED_GUIDANCE, TRIED_CONTROL = (5.0, 7.5, 10.0), (0.5, 1.0, 1.5)
NAMELESS = "scratch"
"""The defect that the card shows for a request that names none."""
MAP_PX = 1024
"""Side of a map laid over the canvas."""


def offered(say: Language) -> dict[str, Any]:
    """What the card needs to draw a row for each kind."""
    return {
        "kinds": list(KINDS),
        "first": list(FIRST),
        "annotators": {kind: [AUTO, *known] for kind, known in ANNOTATORS.items()},
        "most": MOST_SCALE,
        "tried": {"guidance": list(TRIED_GUIDANCE), "control": list(TRIED_CONTROL), "most": MOST_TRIED},
        "words": say.table("steer"),
    }


def held(common: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a browser holds of each kind, with what it left out; unknown kinds and values are dropped."""
    sent = common.get("steer")
    table = sent if isinstance(sent, dict) else {}
    return {kind: {**START[kind], **(table[kind] if isinstance(table.get(kind), dict) else {})} for kind in KINDS}


def whole(common: Mapping[str, Any]) -> bool:
    """Whether the picture is made anew whatever is painted."""
    return common.get("recipe") == WHOLE


def conditions(common: Mapping[str, Any], kinds: Sequence[str]) -> list[dict[str, Any]]:
    """The conditions of these kinds, as data: what is as usual is left out."""
    found = []
    for kind in kinds:
        one = held(common)[kind]
        said = {name: one[name] for name in SAID if one[name] != USUAL[name] or name == "scale"}
        found.append({"kind": kind, **said, **({"image": one["image"]} if one["image"] else {})})
    return found


def steering(common: Mapping[str, Any]) -> list[str]:
    """The kinds that are switched on, hold at all, and have a net that is here for the base. Raises BadInput."""
    base = bases.get(str(common.get("base", "")))
    fitting = nets.kinds_of(base)
    wanted = [kind for kind, one in held(common).items() if one["on"] and one["scale"]]
    if not wanted:
        raise BadInput("no map is switched on: switch on what of the picture shall hold", "conditions")
    ready = [kind for kind in wanted if kind in fitting and fitting[kind].state().ready]
    if not ready:
        lacking = next((fitting[kind].name for kind in wanted if kind in fitting), "")
        if not lacking:
            raise BadInput(f"no control net for {', '.join(wanted)} fits base {base.name}: switch on another map")
        raise BadInput(f"no control net of base {base.name} is here: run python -m pipelines fetch {lacking}")
    return ready


def of_conditions(given: Sequence[Condition], names: Mapping[str, str]) -> dict[str, Any]:
    """What the card holds for a request's conditions; `names` says what each ready-made map was called."""
    found = {kind: {**one, "on": False} for kind, one in START.items()}
    for one in given:
        said = {name: getattr(one, name) for name in SAID}
        found[one.kind] |= {"on": True, **said, "image": one.image or "", "name": names.get(one.image or "", "")}
    return found


def maps(context: Context, say: Language, row: Row | None, turn: int) -> dict[str, Any]:
    """The maps that a run has finished so far. `turn` says which asking it answers."""
    if row is None:
        return {"turn": turn, "run": "", "over": True, "items": {}, "failed": ""}
    items = {}
    for one in context.queue.rows(row.id):
        if "file" in one and (context.runs / row.id / one["file"]).is_file():
            file = f"/files/{row.id}/{one['file']}"
            items[one["kind"]] = {"file": f"{file}?side={MAP_PX}", "small": f"{file}?side=192", "by": one["annotator"]}
    failed = watch.capital(say.sentence(row.sentence)) if row.sentence and row.state == "failed" else ""
    return {"turn": turn, "run": row.id, "over": row.over, "items": items, "failed": failed}


def grid(context: Context, say: Language, row: Row | None) -> dict[str, Any]:
    """A sweep as the page shows it: rows are strengths of the maps, columns guidance; the best of them has a star."""
    if row is None or row.task != "control":
        return {"run": "", "cells": []}
    asked = row.request
    guides = asked.get("guidance_scales") or [asked.get("guidance_scale")]
    steers = asked.get("control_scales") or [1.0]
    ranked = _ranked(context, row)
    rows = context.queue.finished(row.id)
    found = {index: _cell(say, row.id, one, index in ranked[:1]) for index, one in rows.items() if "file" in one}
    many = int(asked.get("num_images", 1))
    cells = [
        {"guidance_scale": guide, "control_scale": steer, **found.get((line * len(guides) + place) * many, {})}
        for line, steer in enumerate(steers)
        for place, guide in enumerate(guides)
    ]
    failed = watch.capital(say.sentence(row.sentence)) if row.sentence and row.state != "done" else ""
    doing = "" if row.over else watch.job(say, row, watch.ahead(context, row))["text"]
    scales = {one["kind"]: one.get("scale", 1.0) for one in asked.get("conditions", ())}
    shown = {"guides": guides, "steers": steers, "cells": cells, "scales": scales, "scored": bool(ranked)}
    return {"run": row.id, "over": row.over, "state": row.state, "doing": doing, "failed": failed, **shown}


def _cell(say: Language, run: str, one: Mapping[str, Any], best: bool) -> dict[str, Any]:
    scores = one.get("scores") or {}
    told = ""
    if scores:
        leaks = say("steer.leaks") if scores["outside_max"] else ""
        seen = say("steer.scored", visibility=f"{scores['visibility']:.1f}", fidelity=f"{100 * scores['fidelity']:.0f}")
        told = " · ".join(filter(None, (seen, leaks)))
    stem = PurePosixPath(one["file"]).relative_to("images").with_suffix("").as_posix()
    return {"file": f"/files/{run}/{one['file']}?side=512", "stem": stem, "told": told, "best": best}


def _ranked(context: Context, row: Row) -> list[int]:
    """Best first, among those that leaked nothing; empty until the run is over."""
    path = context.runs / row.id / "result.json"
    if row.state != "done" or not path.is_file():
        return []
    ranked = json.loads(path.read_text(encoding="utf-8")).get("ranked", [])
    return [one for one in ranked if isinstance(one, int)]


class Previews:
    """The runs that made maps for the eye alone: the pictures of an older one go when a newer one is asked for.

    Only what was asked for here is touched, by whatever name a browser gives. May be used from any thread.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._mine: set[str] = set()

    def mine(self, run: str) -> None:
        self._mine.add(run)

    def give_up(self, run: str) -> None:
        """Stops a run, or takes its pictures away where it is over."""
        if run not in self._mine:
            return
        self._mine.discard(run)
        row = watch.find(self._context, run)
        if row is not None and not row.over:
            self._context.queue.stop(run)
        elif row is not None:
            for name in ("images", "thumbs"):
                shutil.rmtree(self._context.runs / run / name, ignore_errors=True)
