"""The menu of defects in an inspector's words: products, what each is known for, and what a choice means for a request.

A choice is a preset (`steel/scratches`), one of a person's own presets, or a kind of defect (`scratch`). Knows presets,
kinds and bases; no Gradio. `own` is the folder of a person's presets.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.core import bases, kinds, nets, presets
from pipelines.core.errors import BadInput
from pipelines.core.kinds import Kind, Parameter
from pipelines.core.presets import Preset, Product
from pipelines.core.requests import Inpaint
from studio.i18n import Language

EVERY = "*"
FIRST = "generic"


def products(say: Language, own: Path | None = None) -> list[tuple[str, str]]:
    """(label, id): any product first, then those with presets, then the list of every kind."""
    order = sorted(presets.products(own=own).values(), key=lambda product: (product.id != FIRST, product.label))
    return [*((_product(say, product), product.id) for product in order), (say("which.every"), EVERY)]


def defects(say: Language, product: str, own: Path | None = None) -> list[tuple[str, str]]:
    """(label, choice) of a product. Raises BadInput."""
    if product == EVERY:
        return [(kind_label(say, kind.id), kind.id) for kind in kinds.load().values()]
    known = presets.products(own=own)
    if product not in known:
        raise BadInput(f"no product {product!r}; there is {', '.join(known)}", "preset")
    return [(_preset(say, preset), preset.id) for preset in _painting(known[product])]


def catalogue(
    say: Language, own: Path | None = None, table: Path = bases.TABLE, steered: bool = False
) -> dict[str, Any]:
    """Everything the card offers, as its widget takes it; `broken` has a sentence for each own file that is wrong.

    `steered`: only the bases that maps can steer, each with the nets that do it.
    """
    known = presets.products(own=own)
    found: list[dict[str, Any]] = []
    for label, id in products(say, own):
        if id == EVERY:
            shown = [_choice(kind_label(say, one.id), one.id, {"defect": one.id}) for one in kinds.load().values()]
        else:
            shown = [_of_preset(say, one) for one in _painting(known[id])]
        found.append({"id": id, "label": label, "defects": shown})
    return {
        "products": found,
        "kinds": {kind.id: _kind(say, kind) for kind in kinds.load().values()},
        "bases": _steered(say, table) if steered else _that_paint(say, table),
        "broken": [say.sentence(one) for one in presets.problems(own)] if own else [],
    }


def _that_paint(say: Language, table: Path) -> list[dict[str, Any]]:
    """Without the one that draws from examples: the card has no place yet to name them."""
    known = bases.load(table).values()
    return [_base(say, base) for base in known if "inpaint" in base.tasks and base.family != bases.EXEMPLAR]


def _steered(say: Language, table: Path) -> list[dict[str, Any]]:
    """Bases that diffuse and that some net fits, whether it is here or not; those that are ready, first."""
    found = []
    for base in bases.load(table).values():
        if not base.draws and (fitting := nets.kinds_of(base)):
            found.append({**_base(say, base), "nets": {kind: _net(say, net) for kind, net in fitting.items()}})
    return sorted(found, key=lambda one: not one["ready"])


def _net(say: Language, net: nets.Net) -> dict[str, Any]:
    state = net.state()
    return {"name": net.name, "ready": state.ready, "why": say.sentence(state.text), "remedy": state.remedy or ""}


def kind_label(say: Language, id: str) -> str:
    """A kind of defect as an inspector calls it; a kind that is no longer known goes by its id."""
    known = kinds.load()
    return say.data(f"kinds.{id}.label", known[id].label) if id in known else id


def titles(say: Language, own: Path | None = None) -> dict[str, str]:
    """What to call each choice."""
    return {choice: label for _, product in products(say, own) for label, choice in defects(say, product, own)}


def fields(choice: str, own: Path | None = None, draws: bool = True) -> dict[str, Any]:
    """What a choice says of a request: its defect, and whatever else its preset sets. Raises BadInput.

    `draws`: for a base that draws; one that diffuses is told more.
    """
    if "/" in choice:
        preset = presets.get(choice, own=own)
        return {**preset.fields, **({} if draws else preset.diffusion)}
    return {"defect": kinds.get(choice).id}


def closest(asked: Mapping[str, Any], product: str, own: Path | None = None) -> tuple[str, str]:
    """(product, choice) that says most of `asked` and nothing against it: of this product if it can be."""
    known = presets.products(own=own)
    best = (EVERY, str(asked["defect"]))
    most = 0
    for id in sorted(known, key=lambda id: (id != product, id != FIRST)):
        for preset in _painting(known[id]):
            said = {**preset.fields, "look": dict(preset.fields.get("look", {}))}
            agrees = all(_agrees(asked.get(name), value) for name, value in said.items())
            says = sum(START.get(name) != value for name, value in preset.fields.items())
            if agrees and says > most:
                best, most = (id, preset.id), says
    return best


def ready(base: str, table: Path = bases.TABLE) -> None:
    """Raises BadInput with the remedy when a base cannot draw now."""
    known = bases.load(table)
    if base not in known or (state := known[base].state()).ready:
        return
    if state.remedy:
        raise BadInput(f"{known[base].label} cannot draw yet ({state.text}): run {state.remedy}", "base")
    raise BadInput(f"{known[base].label} cannot draw yet ({state.text})", "base")


def _agrees(asked: Any, said: Any) -> bool:
    return all(asked.get(name) == one for name, one in said.items()) if isinstance(said, dict) else bool(asked == said)


def _painting(product: Product) -> list[Preset]:
    return [preset for preset in product.presets if preset.task == "inpaint" and "defect" in preset.fields]


def _product(say: Language, product: Product) -> str:
    return product.label if product.own else say.data(f"presets.{product.id}.label", product.label)


def _preset(say: Language, preset: Preset) -> str:
    return preset.label if preset.own else say.data(f"presets.{preset.id.replace('/', '.')}", preset.label)


def _choice(
    label: str, id: str, said: Mapping[str, Any], own: bool = False, diffusion: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    return {"id": id, "label": label, "own": own, "fields": dict(said), "diffusion": dict(diffusion or {})}


def _of_preset(say: Language, preset: Preset) -> dict[str, Any]:
    found = _choice(_preset(say, preset), preset.id, preset.fields, preset.own, preset.diffusion)
    return {**found, "control": dict(preset.control)}


def _kind(say: Language, kind: Kind) -> dict[str, Any]:
    look = [_parameter(say, kind.id, one) for one in kind.parameters.values()]
    help = say.data(f"kinds.{kind.id}.help", kind.help)
    return {"label": kind_label(say, kind.id), "help": help, "look": look, "words": kind.words}


def _parameter(say: Language, kind: str, one: Parameter) -> dict[str, Any]:
    """A parameter as a control; `mild` and `severe` are the middles of what it is drawn from when it is left alone."""
    words = {
        "name": one.name,
        "label": say.data(f"look.{one.name}", one.name.capitalize()),
        "help": say.data(f"kinds.{kind}.look.{one.name}", one.help),
    }
    if one.choices:
        return {**words, "kind": "choice", "choices": [[x, say.data(f"look.choices.{x}", x)] for x in one.choices]}
    drawn = {"mild": sum(one.mild) / 2, "severe": sum(one.severe) / 2}
    step = 1 if one.high - one.low > 30 else 0.05
    return {**words, "kind": "slide", "low": one.low, "high": one.high, "step": step, **drawn}


def _base(say: Language, base: bases.Base) -> dict[str, Any]:
    state = base.state()
    label = base.label if base.own else say.data(f"bases.{base.name}.label", base.label)
    why, text = "", say.sentence(state.text)
    if not state.ready:
        key = "which.base_not" if state.remedy else "which.base_never"
        why = say(key, base=label, state=text, remedy=state.remedy or "")
    draws, unsaid = base.draws, presets.GUIDED if base.family in presets.TAUGHT else ()
    return {
        "name": base.name,
        "label": label,
        "ready": state.ready,
        "why": why,
        "draws": draws,
        "unsaid": list(unsaid),  # what of a preset's `diffusion` is not for it
    }


START: dict[str, Any] = {
    name: Inpaint.model_fields[name].get_default(call_default_factory=True)
    for name in ("severity", "light", "prompt", "padding_px", "feather_px", "look")
}
"""What an area has before anybody chose anything for it."""
