"""What the Generate tab offers and asks: bases, adapters, finished trainings; and a finished picture's form again.

Distrusts what comes from the browser. Knows requests and the stores; nothing of Gradio.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from pipelines.core import bases as known_bases
from pipelines.core import negatives, trainings, unfold
from pipelines.core.assets import Asset
from pipelines.core.errors import BadInput, Missing
from pipelines.core.requests import Dual, Text
from studio import bases, form, laid, menu, shelf
from studio.context import Context
from studio.form import Limits
from studio.i18n import Language

MOST_TRAININGS = 50
LIMITS = {
    "negative_preset": Limits(),
    "strength": Limits(),
    "width": Limits(slider=False),
    "height": Limits(slider=False),
    "num_images": Limits(high=64, slider=False),
    "seed": Limits(),
    "mode": Limits(),
    "num_inference_steps": Limits(high=60),
    "guidance_scale": Limits(high=15),
    "guidance_rescale": Limits(),
    "guidance_start": Limits(),
    "guidance_end": Limits(),
    "scheduler": Limits(),
    "clip_skip": Limits(high=4),
    "adapter_scale": Limits(),
    "prompt_noise": Limits(),
    "batch_size": Limits(),
}
WORDS = ("base", "prompt", "prompts", "prefix", "negative_prompt", "image", "images", "adapters")


def controls(say: Language) -> dict[str, dict[str, Any]]:
    """The fields as the form draws them. What bases there are, comes with the menu."""
    found = form.controls(say, Text, LIMITS)
    lists = [[name, say.data(f"fields.negative_preset.{name}", name)] for name in negatives.load()]
    found["negative_preset"] |= {"kind": "choice", "choices": lists}
    help = say.data(f"help.{Text.origin('base')}.base", Text.model_fields["base"].description or "")
    base = {"label": say("fields.base.label"), "help": help, "start": "", "kind": "choice", "choices": []}
    return {"base": base, **found}


def paired() -> list[str]:
    """The fields of the form that pairs of part and mask are asked with."""
    return [name for name in LIMITS if name in Dual.model_fields]


def offered(context: Context, say: Language, project: Any) -> dict[str, Any]:
    """What there is to choose from now."""
    every = [one for one in bases.listed(say) if one["family"] not in known_bases.DRAWING]
    return {
        "bases": every,
        "adapters": laid.offered(context),
        "trainings": _trainings(context.runs),
        "project": shelf.strip(context, project if isinstance(project, str) else ""),
        "at": str(time.time_ns()),
    }


def _trainings(runs: Path) -> list[dict[str, Any]]:
    """Finished trainings, newest first: what they trained on and called things."""
    found = []
    for run, said in islice(trainings.finished(runs, trainings.PRODUCTS), MOST_TRAININGS):
        base = str(said.get("base") or "")
        made = datetime.fromtimestamp((runs / run / "result.json").stat().st_mtime).strftime("%Y-%m-%d %H:%M")
        words = {kind: unfold.prompt_of(said, kind) for kind in ("normal", "defect")}
        if words["normal"] == words["defect"]:
            words["normal"] = ""
        label = " · ".join(filter(None, (str(said.get("defect") or ""), base, made)))
        pairs = {"normal": "", "defect": ""} if said.get("task") == "train-dual" else {}
        found.append({"id": run, "label": label, "base": base, **words, **pairs, "pairs": bool(pairs)})
    return found


def asked(held: Any) -> dict[str, Any]:
    """The Text or Dual request, as data, that the form holds. Raises BadInput where it holds no base that is ready."""
    fields = _table(_table(held).get("fields"))
    if fields.get("model"):
        own = {name: fields[name] for name in paired() if fields.get(name) not in (None, "")}
        return {"task": "dual", "model": str(fields["model"]), **own}
    names = [name for name in (*LIMITS, *WORDS) if fields.get(name) not in (None, "", [])]
    base = str(fields.get("base") or "")
    if not base:
        raise BadInput("no base is chosen: choose one that is ready, or get one under Models", "base")
    menu.ready(base)
    data = {"task": "text", **{name: fields[name] for name in names}}
    if data.get("prompts"):
        data.pop("prompt", None)
    return data


def of_pairs(context: Context, request: Dual) -> dict[str, Any]:
    """The form that asks for a pair again. Raises Missing where what made it is gone."""
    model = context.assets.get(request.model)
    data = request.model_dump(mode="json")
    fields = {name: data[name] for name in paired()}
    return {"fields": {**fields, "model": request.model}, "shown": {"pairs": model.name}}


@dataclass(frozen=True)
class Restored:
    """What a picture's request holds, as the form takes it."""

    form: dict[str, Any]
    missing: tuple[str, ...]
    """A sentence for what is not here."""


def restored(context: Context, request: Text, names: Mapping[str, str]) -> Restored:
    """The form that asks for a picture again; `names` says what each of its files was called."""
    data = request.model_dump(mode="json")
    fields = {name: data[name] for name in (*LIMITS, *WORDS) if name in data}
    missing: list[Missing] = []
    shown: dict[str, Any] = {}
    if request.image is not None:
        if context.assets.has(request.image):
            shown |= of_asset(context.assets.get(request.image))
        else:
            fields["image"] = None
            missing.append(
                Missing(
                    f"the picture it was made from, {names.get(request.image, request.image)}, is not here: "
                    "open that picture once, then drop this one again"
                )
            )
    adapters = laid.restored(context, request.adapters, names)
    shown["adapters"] = adapters.labels
    sentences = (*map(str, missing), *adapters.missing)
    return Restored({"fields": {**fields, "adapters": adapters.uses}, "shown": shown}, sentences)


def of_asset(asset: Asset) -> dict[str, Any]:
    """A picture as the form shows it. Raises BadInput when it is none."""
    if asset.kind != "image":
        raise BadInput(f"{asset.name} is no picture: open a PNG, JPEG, TIFF, BMP or WEBP file")
    return {"asset": asset.id, "name": asset.name, "thumb": shelf.thumb(asset.id, asset.name)}


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
