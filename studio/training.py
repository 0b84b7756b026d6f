"""What the Train tab offers and asks: recipes and their presets, bases, what to begin from; and the requests of a form.

Distrusts what comes from the browser. Knows requests and the stores; nothing of Gradio or of how a network learns.
"""

import time
from collections.abc import Mapping
from itertools import islice
from typing import Any

from pipelines.core import bases as known_bases
from pipelines.core import intake, library, training_presets, trainings, unfold
from pipelines.core.errors import BadInput, Missing
from pipelines.core.library import Library
from pipelines.core.queue import Row
from pipelines.core.requests import TrainDefectfill, TrainDual, Training, TrainInversion, TrainLora
from pipelines.core.training_presets import Recipe
from studio import api, bases, form, menu
from studio.context import Context
from studio.form import Limits
from studio.i18n import Language

EVERY = "*"
"""Stands for every defect of the data set, a training each."""
MOST_STARTS = 50
MOST_AT_ONCE = 64
TASKS: dict[str, type[Training]] = {
    "train-lora": TrainLora,
    "train-inversion": TrainInversion,
    "train-defectfill": TrainDefectfill,
    "train-dual": TrainDual,
}

_NUMBER = Limits(slider=False)


def _above_nothing(high: float) -> Limits:
    """The control of a number that must be larger than 0: the request itself refuses 0."""
    return Limits(low=0, high=high, slider=False)


GROUPS: dict[str, dict[str, Limits]] = {
    "words": {
        "instance_prompt": Limits(),
        "part_prompt": Limits(),
        "part_share": Limits(),
        "use_captions": Limits(),
        "object": Limits(),
        "word": Limits(),
        "new_word": Limits(),
        "placeholder_token": Limits(),
        "initializer_token": Limits(),
        "num_vectors": _NUMBER,
    },
    "fill": {
        "defect_loss_weight": Limits(high=1),
        "object_loss_weight": Limits(high=1),
        "attention_loss_weight": Limits(high=1),
        "background_weight": Limits(),
        "attention_pass": Limits(),
        "attention_scales": Limits(),
        "perceptual_weight": Limits(high=1),
        "also": Limits(),
    },
    "pair": {
        "interaction_rank": _NUMBER,
        "background": Limits(),
        "shared_noise": Limits(),
        "prompt_noise": Limits(),
        "paper_compat": Limits(),
    },
    "length": {
        "max_train_steps": _NUMBER,
        "num_train_epochs": _NUMBER,
        "train_batch_size": _NUMBER,
        "gradient_accumulation_steps": _NUMBER,
        "learning_rate": _above_nothing(10),
        "lr_scheduler": Limits(),
        "lr_warmup_steps": _NUMBER,
        "optimizer": Limits(),
        "seed": _NUMBER,
    },
    "adapter": {
        "kind": Limits(),
        "rank": _NUMBER,
        "alpha": _above_nothing(1024),
        "use_rslora": Limits(),
        "first_rank": _NUMBER,
        "growth_share": _above_nothing(1),
        "dropout": _above_nothing(0.99),
        "target_modules": Limits(),
        "text_encoder": Limits(),
        "text_encoder_lr": _above_nothing(10),
    },
    "pictures": {
        "layout": Limits(),
        "train_share": _above_nothing(1),
        "resolution": _NUMBER,
        "validation_split": Limits(),
        "augment": Limits(),
        "oriented": Limits(),
        "views": _NUMBER,
        "mix": Limits(),
        "cache_latents": Limits(),
    },
    "prior": {
        "num_class_images": _NUMBER,
        "class_prompt": Limits(),
        "prior_loss_weight": Limits(),
    },
    "shown": {
        "checkpointing_steps": _NUMBER,
        "checkpoints_total_limit": _NUMBER,
        "validation_steps": _NUMBER,
        "num_validation_images": _NUMBER,
        "validation_prompts": Limits(),
    },
    "finer": {
        "mixed_precision": Limits(),
        "gradient_checkpointing": Limits(),
        "use_ema": Limits(),
        "ema_decay": _above_nothing(0.999999),
        "snr_gamma": _above_nothing(100),
        "min_timestep": _NUMBER,
        "max_timestep": _NUMBER,
        "noise_offset": Limits(),
        "adam_weight_decay": Limits(),
        "max_grad_norm": _above_nothing(1000),
    },
}
"""The fields under Expert, as they stand together."""
LISTS = ("validation_prompts", "target_modules", "also")
"""Fields of several texts: the page has a line for each."""
FILLING = {"scheduler": "ddim", "num_inference_steps": 50, "guidance_scale": 7.5, "num_candidates": 8}
"""How DefectFill paints (section 4.1, arXiv 2503.13985): of eight candidates that is kept which strays most."""
FILES = ("resume_from", "inversion", "class_data")
"""Fields that name something of the studio by its id; each has a menu of its own."""


def controls(say: Language) -> dict[str, dict[str, Any]]:
    """Every field under Expert as the form draws it, with the tasks that have it and what each starts from."""
    found: dict[str, dict[str, Any]] = {}
    for task, request in TASKS.items():
        limits = {name: one for group in GROUPS.values() for name, one in group.items() if name in request.model_fields}
        for name, control in form.controls(say, request, limits).items():
            start = control.pop("start")
            start = "\n".join(start) if name in LISTS else start
            known = found.setdefault(name, {**control, "starts": {}})
            known["starts"][task] = start
            known["start"] = start
    return found


def groups(say: Language) -> list[dict[str, Any]]:
    """The names of those fields, by the heading they stand under."""
    return [{"id": id, "label": say(f"train.groups.{id}"), "fields": list(fields)} for id, fields in GROUPS.items()]


def recipes() -> list[dict[str, Any]]:
    """What can be trained, and what each preset says of it."""
    return [
        {
            "id": one.id,
            "task": one.task,
            "stage": one.stage,
            "defect": one.wants_defect,
            "presets": {name: _on_page(fields) for name, fields in one.presets.items()},
        }
        for one in training_presets.load().values()
    ]


def _on_page(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: "\n".join(value) if name in LISTS else value for name, value in fields.items() if name != "stage"}


def offered(context: Context, say: Language) -> dict[str, Any]:
    """What there is to choose from now."""
    return {
        "bases": [one for one in bases.listed(say) if one["family"] not in known_bases.DRAWING],
        "starts": _starts(context),
        "words": [{"id": one.id, "label": one.name} for one in _adapters(context) if one.facts.kind == "inversion"],
        "at": str(time.time_ns()),
    }


def _adapters(context: Context) -> list[Any]:
    return list(Library(context.runs).every().entries)


def _starts(context: Context) -> list[dict[str, Any]]:
    """What a training can begin from: finished trainings, newest first, then the library's adapters."""
    found = []
    for run, said in islice(trainings.finished(context.runs, trainings.PRODUCTS), MOST_STARTS):
        what = {"base": str(said.get("base") or ""), "data": str(said.get("data") or ""), "stage": said.get("stage")}
        what["pairs"] = said.get("task") == "train-dual"
        found.append({"id": run, "run": True, "defect": str(said.get("defect") or ""), **what})
    kept = [one for one in _adapters(context) if one.facts.kind != "inversion"]
    return [*found, *({"id": one.id, "run": False, "label": one.name, "base": one.base} for one in kept)]


def asked(held: Any) -> list[dict[str, Any]]:
    """The requests, as data, of what the form holds: one, or one for each defect. Raises BadInput.

    With `estimate` only the first, and only to be measured.
    """
    given = _table(held)
    recipe = training_presets.get(str(given.get("recipe")))
    common = {**_fields(recipe, given), **_of_data(given), "base": _base(given), "task": recipe.task}
    defects: list[str | None] = list(_defects(given)) if recipe.wants_defect else [None]
    found = [{**common, **({"defect": one} if one else {})} for one in defects]
    return [{**found[0], "estimate": True}] if given.get("estimate") is True else found


def _fields(recipe: Recipe, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the preset says, and on top of it what a person changed."""
    preset = str(given.get("preset"))
    if preset not in recipe.presets:
        raise BadInput(f"no preset {preset[:40]!r}; choose one of {', '.join(recipe.presets)}", "preset")
    changed = _table(_table(given.get("changed")).get(recipe.id))
    fields = TASKS[recipe.task].model_fields
    names = {name for group in GROUPS.values() for name in group} | set(FILES)
    own = {name: value for name, value in changed.items() if name in names and name in fields}
    for name in LISTS:
        if isinstance(own.get(name), str):
            own[name] = [line.strip() for line in own[name].splitlines() if line.strip()]
    return {**recipe.presets[preset], **own}


def _of_data(given: Mapping[str, Any]) -> dict[str, Any]:
    data = given.get("data")
    if not isinstance(data, str) or not data:
        raise BadInput("no data is chosen: choose pictures to learn from", "data")
    faults = {str(kind): choice for kind, choice in _table(given.get("faults")).items()}
    return {"data": data, **({"faults": faults} if faults else {})}


def _base(given: Mapping[str, Any]) -> str:
    base = str(given.get("base") or "")
    if not base:
        raise BadInput("no base is chosen: choose one that is ready, or get one under Models", "base")
    menu.ready(base)
    return base


def _defects(given: Mapping[str, Any]) -> list[str]:
    chosen = str(given.get("defect") or "").strip()
    if not chosen:
        raise BadInput("no defect is chosen: choose what kind of defect it should learn", "defect")
    if chosen != EVERY:
        return [chosen]
    classes = given.get("classes")
    found = [one for one in classes if isinstance(one, str) and one] if isinstance(classes, list) else []
    if not found:
        raise BadInput("the data set shows no kind of defect: look it through first, or name one", "defect")
    if len(found) > MOST_AT_ONCE:
        raise BadInput(f"{len(found)} kinds of defect are more than {MOST_AT_ONCE} trainings at once: choose one kind")
    return list(dict.fromkeys(found))


def submitted(context: Context, held: Any) -> list[str]:
    """Puts the trainings of a form in line, all of them or none; returns their ids. Raises BadInput, Missing."""
    wanted = asked(held)
    for data in wanted:
        intake.from_web(data, context.assets)
    return [api.submit(context, data) for data in wanted]


def weights(context: Context, run: str) -> str | None:
    """What a training has written so far that can be used, by its name among the run's files."""
    folder = context.runs / run / "weights"
    return next((f"weights/{name}" for name in trainings.PRODUCTS if (folder / name).is_file()), None)


def pairs(context: Context, run: str) -> dict[str, str] | None:
    """What makes pairs in Generate, where the training learned such: its id, and what to call it. None for any other.

    Raises Missing where it has not finished.
    """
    row = context.queue.get(run)
    if row.task != "train-dual":
        return None
    library.dual_of_run(context.runs, run)
    return {"id": run, "label": " · ".join([str(row.request.get("defect")), str(row.request.get("base")), run[:8]])}


def used(context: Context, say: Language, run: str) -> dict[str, Any]:
    """Puts what a training made into the library; returns the form that lays it over its base in Paint.

    Raises Missing, BadInput.
    """
    row = context.queue.get(run)
    file = weights(context, run)
    if file is None:
        raise Missing(f"the training {run} has made no adapter yet: let it go on, or press Save now and stop it")
    path = context.runs / run / file
    name = " ".join(filter(None, (str(row.request.get("defect") or say("train.good_parts")), run[:8])))
    store, beside = Library(context.runs), library.words_of_run(context.runs, run)
    entries = [store.add(context.assets.put(path, path.name), name, run)]
    if beside is not None:
        entries.append(store.add(context.assets.put(beside, beside.name), say("train.words_of", name=name), run))
    base = str(row.request.get("base"))
    known = known_bases.load().get(base)
    common: dict[str, Any] = {"adapters": [{"path": entry.id, "weight": 1} for entry in entries]}
    if known is not None and "inpaint" in known.tasks and known.state().ready:
        common["base"] = base
        if row.task == "train-defectfill":
            common |= FILLING
    return {"common": common, "adapter_names": {one.id: one.name for one in entries}, "prompt": _calls(row)}


def _calls(row: Row) -> str:
    """What is written in Paint to call up what a training learned."""
    if row.task == "train-inversion":
        return str(row.request["placeholder_token"])
    if row.task == "train-defectfill":
        return TrainDefectfill.model_validate(row.request).whole_prompt
    return unfold.prompt_of(row.request, "defect")


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
