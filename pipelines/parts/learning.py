"""An adapter that learns: low-rank changes laid around a base's layers, with what they are as a file at any time.

LoRA (arXiv 2106.09685), DoRA (2402.09353), rsLoRA (2312.03732), LoHa (2108.06098) and LoKr (2309.14859) by peft. Knows
modules and numbers; no loss and no step.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pipelines.core.errors import BadInput
from pipelines.parts import adapters
from pipelines.parts.adapter_files import Layer
from pipelines.parts.adapters import Plan

NAME = "learning"
GROWN = re.compile(r"lora_[AB]\." + NAME)


@dataclass(frozen=True)
class Shape:
    """What an adapter is made of."""

    kind: Literal["lora", "dora", "loha", "lokr"] = "lora"
    rank: int = 32
    alpha: float = 32.0
    rslora: bool = False
    dropout: float = 0.0

    @property
    def factor(self) -> float:
        """What a change is multiplied by: alpha / r, or alpha / sqrt(r) with rsLoRA."""
        return self.alpha / (self.rank**0.5 if self.rslora else self.rank)


class Learner:
    """The adapter on the models of a base. Inside `on`; `aside` for a while, for whoever else uses the base."""

    def __init__(self, models: Mapping[str, nn.Module], shapes: Mapping[str, Shape], rank: int | None = None) -> None:
        """`models` and `shapes` by part. `rank`: how much of the ranks is in use at first; None = all."""
        self.models = models
        self.shapes = shapes
        self.rank = rank
        self._wrapped = {part: adapters.wrapped(model) for part, model in models.items()}

    def parameters(self, part: str) -> list[nn.Parameter]:
        """What learns in a part, in an order that stays."""
        return [one for _, one in self._named(part)]

    def tensors(self) -> dict[str, Tensor]:
        """All that learns, under names to `load` it by."""
        return {f"{part}.{name}": one.detach() for part in self.models for name, one in self._named(part)}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what `tensors` gave. Raises BadInput where it is of another make."""
        own = {f"{part}.{name}": one for part in self.models for name, one in self._named(part)}
        if own.keys() != tensors.keys() or any(own[key].shape != one.shape for key, one in tensors.items()):
            raise BadInput(
                "the adapter to go on from has other layers or another rank than this training: use its kind, rank"
                " and target_modules, or leave resume_from empty",
                "resume_from",
            )
        for key, one in tensors.items():
            own[key].copy_(one)

    @torch.no_grad()
    def begin_with(self, plan: Plan, name: str) -> None:
        """Starts from an adapter of a file: a smaller one fills the first ranks. Raises BadInput where it fits not."""
        for part, layers in plan.items():
            there = self._wrapped.get(part, {})
            missing = [module for module in layers if module not in there]
            if missing:
                raise BadInput(
                    f"resume_from: {name} changes {len(missing)} modules of the {part} that this training does not"
                    f" ({missing[0]}): choose the same target_modules and text_encoder",
                    "resume_from",
                )
            for module, layer in layers.items():
                self._fill(there[module], self.shapes[part], layer, name)

    def _fill(self, module: Any, shape: Shape, layer: Layer, name: str) -> None:
        assert layer.down is not None
        assert layer.up is not None
        if shape.kind not in ("lora", "dora"):
            raise BadInput(
                f"resume_from: {name} is a LoRA and this training makes a {shape.kind}: choose lora", "resume_from"
            )
        if layer.rank > shape.rank:
            raise BadInput(
                f"resume_from: {name} has rank {layer.rank} and this training {shape.rank}: choose rank"
                f" {layer.rank} or more",
                "resume_from",
            )
        if layer.magnitude is not None and shape.kind != "dora":
            raise BadInput(f"resume_from: {name} is a DoRA: choose the kind dora", "resume_from")
        down, up = module.lora_A[NAME].weight, module.lora_B[NAME].weight
        up.zero_()  # ranks that the file has not begin without effect, wherever `down` points
        down[: layer.rank] = layer.down.reshape(layer.rank, *down.shape[1:]).to(down)
        factor = float(layer.alpha or layer.rank) / layer.rank
        up[:, : layer.rank] = (layer.up.float() * (factor / shape.factor)).reshape(-1, layer.rank, *up.shape[2:]).to(up)
        if layer.magnitude is not None:
            lengths = module.lora_magnitude_vector[NAME].weight
            lengths.copy_(layer.magnitude.reshape(lengths.shape))

    def grow(self, rank: int) -> None:
        """Has more of the ranks in use. What they add begins at nothing, so the base answers as before."""
        self.rank = rank

    def hold_back(self) -> None:
        """After the backward pass: ranks not yet in use are given no step."""
        if self.rank is None:
            return
        for part in self.models:
            for name, one in self._named(part):
                if one.grad is not None and (found := GROWN.search(name)):
                    rest = one.grad[self.rank :] if found[0].startswith("lora_A") else one.grad[:, self.rank :]
                    rest.zero_()

    @torch.no_grad()
    def plan(self) -> Plan:
        """The change of each module as LoRA says it, to be written by parts/adapter_forms. LoHa and LoKr exactly so."""
        return {
            part: {name: self._layer(module, self.shapes[part]) for name, module in self._wrapped[part].items()}
            for part in self.models
        }

    def _layer(self, module: Any, shape: Shape) -> Layer:
        if shape.kind == "loha":
            return _hadamard(module)
        if shape.kind == "lokr":
            return _kronecker(module)
        rank = self.rank or shape.rank
        down, up = (one[NAME].weight.detach().float().cpu() for one in (module.lora_A, module.lora_B))
        layer = Layer(down[:rank].clone(), up[:, :rank].clone(), shape.factor * rank)
        if shape.kind == "dora":
            layer.magnitude = module.lora_magnitude_vector[NAME].weight.detach().float().cpu().flatten()
        return layer

    def _named(self, part: str) -> list[tuple[str, nn.Parameter]]:
        """(name, what learns) of a part, in the order of the modules."""
        return [
            (f"{name}.{inner}", one)
            for name, module in self._wrapped[part].items()
            for inner, one in module.named_parameters()
            if NAME in inner.split(".")
        ]

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The base as if nothing were on it; afterwards the adapter is back, as it was."""
        for part, modules in self._wrapped.items():
            for name, module in modules.items():
                adapters.put(self.models[part], name, module.get_base_layer())
        try:
            yield
        finally:
            for part, modules in self._wrapped.items():
                for name, module in modules.items():
                    adapters.put(self.models[part], name, module)


@contextmanager
def on(
    models: Mapping[str, nn.Module],
    shapes: Mapping[str, Shape],
    targets: Mapping[str, Sequence[str]],
    seed: int,
    rank: int | None = None,
) -> Iterator[Learner]:
    """The models with an adapter that learns; off again afterwards. All by part. Raises BadInput naming a target.

    What begins by chance begins by `seed`. Its numbers are float32, whatever the base's are.
    """
    from peft import inject_adapter_in_model

    with ExitStack() as stack:
        for place, (part, model) in enumerate(models.items()):
            stack.callback(_take_off, model)
            with torch.random.fork_rng():
                torch.manual_seed(seed + place)
                try:
                    inject_adapter_in_model(_config(shapes[part], list(targets[part])), model, NAME)
                except ValueError as error:
                    asked = ", ".join(targets[part])
                    raise BadInput(
                        f"target_modules: no layer of the {part} ends in {asked}: the usual ones are to_q, to_k, to_v,"
                        " to_out.0",
                        "target_modules",
                    ) from error
            adapters.forget(model)
            for module in adapters.wrapped(model).values():
                module.train()  # the share that is left out at random
        learner = Learner(models, shapes, rank)
        for part in models:
            for one in learner.parameters(part):
                one.data = one.data.float()
                one.requires_grad_(True)
        yield learner


def _take_off(model: nn.Module) -> None:
    for name, module in adapters.wrapped(model).items():
        base = module.get_base_layer()
        base.eval()
        adapters.put(model, name, base)
    adapters.forget(model)
    model.requires_grad_(False)


def _config(shape: Shape, targets: list[str]) -> Any:
    import peft

    told: dict[str, Any] = {"r": shape.rank, "target_modules": targets}
    if shape.kind == "loha":
        return peft.LoHaConfig(alpha=shape.alpha, module_dropout=shape.dropout, **told)
    if shape.kind == "lokr":
        return peft.LoKrConfig(alpha=shape.alpha, module_dropout=shape.dropout, **told)
    return peft.LoraConfig(
        lora_alpha=shape.alpha,
        lora_dropout=shape.dropout,
        use_dora=shape.kind == "dora",
        use_rslora=shape.rslora,
        init_lora_weights="gaussian",
        **told,
    )


def _hadamard(module: Any) -> Layer:
    """(A1 B1) o (A2 B2) is one product of matrices: of all pairs of columns, and of all pairs of rows."""
    first, second = (
        (getattr(module, f"hada_{w}_a")[NAME].float().cpu(), getattr(module, f"hada_{w}_b")[NAME].float().cpu())
        for w in ("w1", "w2")
    )
    up = torch.einsum("oi,oj->oij", first[0], second[0]).flatten(1)
    down = torch.einsum("in,jn->ijn", first[1], second[1]).flatten(0, 1)
    return _scaled(down, up, module)


def _kronecker(module: Any) -> Layer:
    """kron(C, A B) = kron(C, A) kron(1, B), so that it is a product of matrices too."""

    def part(name: str) -> tuple[Tensor, Tensor]:
        whole = getattr(module, f"lokr_{name}")
        if NAME in whole:
            found = whole[NAME].float().cpu()
            return found, torch.eye(found.shape[1])
        return tuple(getattr(module, f"lokr_{name}_{half}")[NAME].float().cpu() for half in ("a", "b"))

    (left, left_down), (right, right_down) = part("w1"), part("w2")
    return _scaled(torch.kron(left_down, right_down), torch.kron(left.contiguous(), right.contiguous()), module)


def _scaled(down: Tensor, up: Tensor, module: Any) -> Layer:
    """As the module is shaped: the down part of a convolution has its kernel, the up part is one of 1x1."""
    rank, inner = down.shape[0], module.get_base_layer().weight.shape[1:]
    outer = (1,) * (len(inner) - 1)
    return Layer(down.reshape(rank, *inner), up.reshape(-1, rank, *outer), module.scaling[NAME] * rank)
