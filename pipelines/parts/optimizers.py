"""What takes the steps of a training, by its field's name, and its memory as plain tensors and numbers.

Knows parameters and learning rates; nothing of losses or files.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.core.errors import BadInput

BETAS, EPS = (0.9, 0.999), 1e-8
"""As in diffusers' training scripts."""
SCALARS = (int, float, bool, str, type(None))


@dataclass(frozen=True)
class Group:
    """Parameters that share a learning rate."""

    name: str
    parameters: Sequence[nn.Parameter]
    learning_rate: float


@dataclass(frozen=True)
class Chosen:
    """An optimiser, and a sentence where it is not the one that was asked for."""

    optimizer: torch.optim.Optimizer
    note: str = ""


def make(name: str, groups: Sequence[Group], weight_decay: float) -> Chosen:
    """The optimiser of that name over these groups. Raises KeyError for a name unknown."""
    tables = [{"params": list(one.parameters), "lr": one.learning_rate, "name": one.name} for one in groups]
    return OPTIMIZERS[name](tables, weight_decay)


def _adamw(tables: list[dict[str, Any]], weight_decay: float) -> Chosen:
    """arXiv 1711.05101, all parameters in one kernel."""
    return Chosen(torch.optim.AdamW(tables, betas=BETAS, eps=EPS, weight_decay=weight_decay, fused=True))


def _adamw8bit(tables: list[dict[str, Any]], weight_decay: float) -> Chosen:
    """arXiv 2110.02861. Where its kernels are not to be had, plain AdamW, and a sentence that says so."""
    try:
        from bitsandbytes.optim import AdamW8bit

        made: torch.optim.Optimizer = AdamW8bit(tables, betas=BETAS, eps=EPS, weight_decay=weight_decay)
        _try_out(AdamW8bit, tables[0]["params"][0])
    except (ImportError, OSError, RuntimeError, NotImplementedError, AttributeError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        return Chosen(
            _adamw(tables, weight_decay).optimizer,
            f"the 8-bit optimiser cannot be used here ({why}): AdamW in 32 bits takes its place, with more memory",
        )
    return Chosen(made)


def _try_out(cls: Any, like: Tensor) -> None:
    """A step on a parameter of its own: kernels that are missing are only missed when they are called."""
    probe = nn.Parameter(torch.zeros(4096, device=like.device, dtype=like.dtype))
    probe.grad = torch.ones_like(probe)
    cls([probe]).step()


def _prodigy(tables: list[dict[str, Any]], weight_decay: float) -> Chosen:
    """arXiv 2306.06101: it finds the learning rate by itself, and `lr` is a factor on what it finds."""
    from prodigyopt import Prodigy

    if len({table["lr"] for table in tables}) > 1:
        raise BadInput(
            "prodigy finds one learning rate for all: give text_encoder_lr and learning_rate the same value, such as 1",
            "text_encoder_lr",
        )
    together = [{"params": [one for table in tables for one in table["params"]], "name": "all"}]
    more = {"betas": BETAS, "eps": EPS, "use_bias_correction": True, "safeguard_warmup": True}
    with redirect_stdout(None):  # it prints how it decays weights
        return Chosen(Prodigy(together, lr=tables[0]["lr"], weight_decay=weight_decay, **more))


def _adafactor(tables: list[dict[str, Any]], weight_decay: float) -> Chosen:
    """arXiv 1804.04235."""
    return Chosen(torch.optim.Adafactor(tables, weight_decay=weight_decay))


OPTIMIZERS: dict[str, Callable[[list[dict[str, Any]], float], Chosen]] = {
    "adamw": _adamw,
    "adamw8bit": _adamw8bit,
    "prodigy": _prodigy,
    "adafactor": _adafactor,
}


def pack(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All an optimiser remembers: tensors by `<parameter's number>.<name>`, and what is no tensor, fit for JSON."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, dict[str, Any]] = {}
    for place, one in enumerate(_parameters(optimizer)):
        for name, value in optimizer.state.get(one, {}).items():
            if isinstance(value, Tensor):
                tensors[f"{place}.{name}"] = value.detach()
            elif isinstance(value, SCALARS):
                numbers.setdefault(str(place), {})[name] = value
            else:
                raise TypeError(f"an optimiser that remembers a {type(value).__name__} as {name} cannot be saved")
    groups = [{key: _plain(value) for key, value in one.items() if key != "params"} for one in optimizer.param_groups]
    return tensors, {"numbers": numbers, "groups": groups}


def unpack(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], table: Mapping[str, Any]) -> None:
    """Makes an optimiser remember again what `pack` gave."""
    fused = [bool(group.get("fused")) for group in optimizer.param_groups for _ in group["params"]]
    parameters = _parameters(optimizer)
    for key, tensor in tensors.items():
        place, _, name = key.partition(".")
        one = parameters[int(place)]
        counts = name == "step" and not fused[int(place)]  # torch counts on the CPU where one kernel does not do all
        optimizer.state[one][name] = tensor.to("cpu" if counts else one.device)
    for place, numbers in table["numbers"].items():
        optimizer.state[parameters[int(place)]].update(numbers)
    for own, kept in zip(optimizer.param_groups, table["groups"], strict=True):
        for key, value in kept.items():  # JSON has no tuples: what is one in the optimiser becomes one again
            if isinstance(value, dict):
                own[key] = float(value["float"])
            else:
                own[key] = tuple(value) if isinstance(own.get(key), tuple) else value


def _plain(value: Any) -> Any:
    """JSON has no infinity."""
    return {"float": str(value)} if isinstance(value, float) and not math.isfinite(value) else value


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [one for group in optimizer.param_groups for one in group["params"]]


def finite(parameters: Sequence[Tensor]) -> bool:
    """Whether every number of these is one."""
    return all(math.isfinite(float(one)) for one in torch._foreach_norm([one.detach().float() for one in parameters]))
