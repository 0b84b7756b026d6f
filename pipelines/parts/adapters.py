"""Puts adapters on the models of a base for one run, and takes them off again, whatever happens in between.

Knows modules and low-rank changes; nothing of families or pipelines. A base with an adapter on it is the same model in
memory: nothing is loaded again, and after the `with` every module is the very one it was.
"""

import copy
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.core.adapter_names import WIDTHS
from pipelines.core.errors import BadInput
from pipelines.parts import original
from pipelines.parts.adapter_files import Adapter, Layer

MATRICES = (nn.Linear, nn.Conv2d)
# What the first LoRA tool counted through, as its metadata calls the classes, and what they are called today.
RENAMED = {"CrossAttention": "Attention"}


@dataclass(frozen=True)
class Use:
    """An adapter, and how much of it."""

    adapter: Adapter
    weight: float = 1.0
    """0 is the base, 1 the adapter as it was trained."""


Plan = dict[str, dict[str, Layer]]
"""Part -> module of the model -> its change."""


def plan(adapter: Adapter, models: Mapping[str, nn.Module], base: str) -> Plan:
    """Which module of which model an adapter changes. Raises BadInput when any of it fits nothing in this base.

    `models` are the base's by part (`unet` or `transformer`, `text_encoder` ...); they may be on the meta device.
    """
    found: Plan = {}
    inside = [name for name, _ in models["transformer"].named_modules()] if "transformer" in models else []
    adapter = original.adapter(adapter, models.keys(), inside)
    for part, layers in adapter.layers.items():
        if part not in models:
            if made_for := WIDTHS.get(adapter.text_width or 0):
                raise BadInput(f"adapter {adapter.name} changes a {part}, which {base} has not: it is for {made_for}")
            raise BadInput(f"adapter {adapter.name} changes a {part}, which {base} has not: it is for another base")
        modules = {name: one for name, one in models[part].named_modules() if isinstance(one, MATRICES)}
        names = _names(adapter, part, models[part], modules)
        missing = [module for module in layers if module not in names]
        if missing:
            shown = ", ".join(missing[:2])
            raise BadInput(
                f"adapter {adapter.name}: {len(missing)} of its {len(layers)} changes of the {part} find no place in"
                f" {base} ({shown}): it is for another base"
            )
        found[part] = {names[module]: layer for module, layer in layers.items()}
        for name, layer in found[part].items():
            _check_shape(adapter, base, name, modules[name], layer)
    return found


def _names(adapter: Adapter, part: str, model: nn.Module, modules: Mapping[str, nn.Module]) -> dict[str, str]:
    """Module as the file spells it -> module of the model, for those that are there."""
    spelled = adapter.layers[part]
    if adapter.spelling == "numbered":
        places = list(_counted(model, adapter.targets.get(part, [])))
        return {number: places[int(number)] for number in spelled if int(number) < len(places)}
    known: dict[str, str] = {}
    for name in modules:
        for other in (name, f"text_model.{name}", name.removeprefix("text_model.")):
            known[other if adapter.spelling == "dotted" else other.replace(".", "_")] = name
    original = _from_original(list(spelled), model) if adapter.spelling == "joined" else {}
    return {one: known[original.get(one, one)] for one in spelled if original.get(one, one) in known}


def _counted(model: nn.Module, classes: Sequence[str]) -> Iterator[str]:
    """The linear layers inside modules of these classes, in the order of cloneofsimo/lora's counting.

    It counted through the network as diffusers built it then: a transformer block's `ff` stood between its attentions.
    """
    wanted = {RENAMED.get(name, name) for name in classes}
    ancestors = {name: one for name, one in model.named_modules() if type(one).__name__ in wanted}
    blocks: dict[str, list[str]] = {}
    for name in ancestors:
        blocks.setdefault(re.split(r"\.(?:attn[12]|ff)(?:\.|$)", name)[0], []).append(name)
    for names in blocks.values():
        for name in sorted(names, key=_then):
            for inner, module in ancestors[name].named_modules():
                if isinstance(module, nn.Linear):
                    yield f"{name}.{inner}"


def _then(name: str) -> int:
    found = re.search(r"\.(attn1|ff|attn2)(?:\.|$)", name)
    return ("attn1", "ff", "attn2").index(found[1]) if found else 0


def _from_original(spelled: Sequence[str], model: nn.Module) -> dict[str, str]:
    """SDXL adapters of kohya name modules as the original code did (`input_blocks_4_1_…`); diffusers knows the way."""
    from diffusers.loaders.lora_conversion_utils import _maybe_map_sgm_blocks_to_diffusers

    before = [one for one in spelled if re.match(r"(input_blocks|middle_block|output_blocks)_", one)]
    if not before:
        return {}
    mapped = _maybe_map_sgm_blocks_to_diffusers({f"lora_unet_{one}": one for one in before}, model.config)
    inside = {
        "in_layers_2": "conv1",
        "out_layers_3": "conv2",
        "emb_layers_1": "time_emb_proj",
        "skip_connection": "conv_shortcut",
        "downsamplers_0_op": "downsamplers_0_conv",
    }
    found = {}
    for key, one in mapped.items():
        name = key.removeprefix("lora_unet_")
        for old, new in inside.items():
            name = name.replace(old, new)
        found[one] = name
    return found


def _check_shape(adapter: Adapter, base: str, name: str, module: nn.Module, layer: Layer) -> None:
    assert layer.down is not None
    assert layer.up is not None
    weight = module.weight
    assert isinstance(weight, Tensor)
    given = (layer.up.shape[0], *layer.down.shape[1:])
    if given[0] == weight.shape[0] and given[1] == weight.shape[1] and layer.down[0].numel() == weight[0].numel():
        return
    made_for = WIDTHS.get(adapter.text_width or 0)
    hint = f": it is for {made_for}" if made_for else ": it is for another base"
    here = "x".join(map(str, weight.shape))
    there = "x".join(map(str, given))
    raise BadInput(f"adapter {adapter.name} does not fit {base}: {name} is {here} there and {there} in the file{hint}")


@contextmanager
def attached(models: Mapping[str, nn.Module], uses: Sequence[Use], base: str) -> Iterator[list[int]]:
    """The models with these adapters on them; yields how many modules each changes. Raises BadInput before any change.

    Several adapters add up. Afterwards, also after an error, every module is the one it was.
    """
    plans = [plan(use.adapter, models, base) for use in uses]
    with ExitStack() as stack:
        for part, model in models.items():
            changes = [(use.weight, one[part]) for use, one in zip(uses, plans, strict=True) if part in one]
            if changes:
                stack.callback(_take_off, model, model.training, [one.requires_grad for one in model.parameters()])
                _put_on(model, changes)
        yield [sum(len(layers) for layers in one.values()) for one in plans]


def _put_on(model: nn.Module, changes: Sequence[tuple[float, Mapping[str, Layer]]]) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    names = []
    for number, (weight, layers) in enumerate(changes):
        for dora in (False, True):
            group = {name: layer for name, layer in layers.items() if (layer.magnitude is not None) == dora}
            if not group:
                continue
            ranks = {name: layer.rank for name, layer in group.items()}
            usual = Counter(ranks.values()).most_common(1)[0][0]
            config = LoraConfig(
                r=usual,
                lora_alpha=usual,
                target_modules="|".join(map(re.escape, group)),
                rank_pattern={f"^{re.escape(name)}": rank for name, rank in ranks.items() if rank != usual},
                use_dora=dora,
                init_lora_weights=False,
            )
            own = f"{number}{'d' if dora else ''}"
            inject_adapter_in_model(config, model, own)
            forget(model)
            names.append(own)
            for name, layer in group.items():
                _fill(model.get_submodule(name), own, layer, weight)
    for module in wrapped(model).values():
        module.set_adapter([name for name in names if name in module.lora_A])
    model.requires_grad_(False)


@torch.no_grad()
def _fill(module: Any, name: str, layer: Layer, weight: float) -> None:
    """The file's numbers into one module that peft has prepared."""
    assert layer.down is not None
    assert layer.up is not None
    assert layer.alpha is not None
    base = module.get_base_layer().weight
    for holder, values in ((module.lora_A[name], layer.down), (module.lora_B[name], layer.up)):
        holder.weight = nn.Parameter(
            values.reshape(holder.weight.shape).to(base.device, base.dtype), requires_grad=False
        )
    module.scaling[name] = weight * layer.alpha / layer.rank
    if layer.magnitude is not None:
        # peft's slider leaves DoRA's row lengths as they are, so that weight 0 would not be the base.
        own = base.flatten(1).float().norm(dim=1)
        length = own + weight * (layer.magnitude.to(own) - own)
        magnitude = module.lora_magnitude_vector[name]
        magnitude.weight = nn.Parameter(length.reshape(magnitude.weight.shape).to(base.dtype), requires_grad=False)


def wrapped(model: nn.Module) -> dict[str, Any]:
    """The modules of a model that peft has put its own around, by name."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {name: module for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)}


def forget(model: nn.Module) -> None:
    """peft notes on the model what it holds, and warns of a second adapter; who holds what is known here."""
    if "peft_config" in vars(model):
        del model.peft_config


def _take_off(model: nn.Module, training: bool, wanted_gradients: list[bool]) -> None:
    for name, module in wrapped(model).items():
        put(model, name, module.get_base_layer())
    for parameter, wanted in zip(model.parameters(), wanted_gradients, strict=True):
        parameter.requires_grad_(wanted)
    model.train(training)


def put(model: nn.Module, name: str, module: nn.Module) -> None:
    """A module in the place of another."""
    above, _, last = name.rpartition(".")
    setattr(model.get_submodule(above), last, module)


@contextmanager
def bare(models: Iterable[Any]) -> Iterator[None]:
    """Models as they were loaded, whatever a run that lets this one go first laid on them; that is back afterwards."""
    networks: list[Any] = [one for one in models if isinstance(one, nn.Module)]
    worn = [(one, name, module) for one in networks for name, module in wrapped(one).items()]
    asked = [(one, one.get_input_embeddings()) for one in networks if hasattr(one, "get_input_embeddings")]
    tables = [(one, table) for one, table in asked if isinstance(table, Extended)]
    for model, name, module in worn:
        put(model, name, module.get_base_layer())
    for model, table in tables:
        model.set_input_embeddings(table.plain)
    try:
        yield
    finally:
        for model, table in tables:
            model.set_input_embeddings(table)
        for model, name, module in worn:
            put(model, name, module)


class Extended(nn.Embedding):
    """An encoder's table of words with new ones behind them."""

    plain: nn.Embedding
    """The encoder's own."""

    def __init__(self, count: int, before: nn.Embedding) -> None:
        super().__init__(count, before.weight.shape[1], device=before.weight.device, dtype=before.weight.dtype)
        # not as a part of it: what is saved of the encoder has one table
        self.__dict__["plain"] = before.plain if isinstance(before, Extended) else before


@contextmanager
def words(tokenizer: Any, encoder: Any, embeddings: Mapping[str, Tensor]) -> Iterator[tuple[Any, dict[str, str]]]:
    """A tokenizer that knows new words, and their vectors in the encoder: textual inversion (arXiv 2208.01618).

    Yields the tokenizer and what to write for each word: one of several vectors is several words. The tokenizer given
    stays as it is, and the encoder gets its own table back afterwards. Raises BadInput when a vector is of another
    width, or a word is one of the tokenizer's own.
    """
    original = encoder.get_input_embeddings()
    width = original.weight.shape[1]
    written: dict[str, str] = {}
    rows: list[Tensor] = []
    extended = copy.deepcopy(tokenizer)
    for word, vectors in embeddings.items():
        if vectors.shape[1] != width:
            made_for = WIDTHS.get(vectors.shape[1], "another base")
            raise BadInput(
                f"the word {word!r} has vectors of {vectors.shape[1]} numbers where this text encoder takes {width}:"
                f" it is for {made_for}"
            )
        own = [word, *(f"{word}_{number}" for number in range(1, len(vectors)))]
        if extended.add_tokens(own) != len(own):
            raise BadInput(f"the word {word!r} is there already: rename the token in one of the files")
        rows += list(vectors)
        written[word] = " ".join(own)
    table = Extended(len(extended), original)
    with torch.no_grad():
        table.weight[: original.weight.shape[0]] = original.weight
        for place, row in zip(range(len(extended) - len(rows), len(extended)), rows, strict=True):
            table.weight[place] = row.to(table.weight)
    table.requires_grad_(False)
    encoder.set_input_embeddings(table)
    try:
        yield extended, written
    finally:
        encoder.set_input_embeddings(original)


def kohya(plan: Plan) -> dict[str, Tensor]:
    """The tensors of an adapter as kohya's scripts and most other tools read them. DoRA goes as `dora_scale`.

    All modules get one alpha, their own factors going into the tensors: diffusers loses alphas that differ.

    Raises BadInput for parts that have no name there.
    """
    prefix = {"unet": "lora_unet", "text_encoder": "lora_te", "text_encoder_2": "lora_te2"}
    if "text_encoder_2" in plan:
        prefix["text_encoder"] = "lora_te1"
    alphas = Counter(layer.alpha for layers in plan.values() for layer in layers.values())
    alpha = float(alphas.most_common(1)[0][0] or 1)
    found: dict[str, Tensor] = {}
    for part, layers in plan.items():
        if part not in prefix:
            raise BadInput(f"kohya's form has no place for changes of a {part}: convert it to diffusers", "what")
        for name, layer in layers.items():
            assert layer.down is not None
            assert layer.up is not None
            assert layer.alpha is not None
            inner = f"text_model.{name}" if part != "unet" and not name.startswith("text_model.") else name
            stem = f"{prefix[part]}_{inner.replace('.', '_')}"
            found[f"{stem}.lora_down.weight"] = layer.down.contiguous()
            up = layer.up if layer.alpha == alpha else (layer.up.float() * (layer.alpha / alpha)).to(layer.up.dtype)
            found[f"{stem}.lora_up.weight"] = up.contiguous()
            found[f"{stem}.alpha"] = torch.tensor(alpha)
            if layer.magnitude is not None:
                found[f"{stem}.dora_scale"] = layer.magnitude.reshape(
                    -1, *(1 for _ in layer.down.shape[1:])
                ).contiguous()
    return found
