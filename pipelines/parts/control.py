"""Control nets at work on a base: maps of edges, depth or normals steer what its denoiser draws (arXiv 2302.05543).

Done as a hook on the denoiser, so that every way a base is asked, with a mask, from words or from a picture, is steered
the same, each picture of a batch by its own maps and strengths. Knows tensors and families; no request and no run.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pipelines.core import nets, weights
from pipelines.core.errors import BadInput
from pipelines.core.models import Key, Models
from pipelines.parts import loading
from pipelines.parts.family import Family, Residuals

PART = "controlnet"


@dataclass(frozen=True)
class Steer:
    """One net on a batch of B pictures."""

    net: Any
    """A control net of diffusers, for this family."""
    maps: Tensor
    """[B, 3, H, W] in [0, 1]."""
    scales: Sequence[float]
    """B strengths: 0 not at all, 1 as trained (`controlnet_conditioning_scale`)."""
    start: float = 0.0
    end: float = 1.0
    """From which to which share of the steps it steers (`control_guidance_start`, `_end`)."""
    mode: int | None = None
    """The number under which a union net knows this kind of map."""

    def one(self, place: int) -> "Steer":
        """That picture of the batch alone."""
        own = slice(place, place + 1)
        return replace(self, maps=self.maps[own], scales=self.scales[own])

    def steers(self, step: int, steps: int) -> bool:
        """Whether it does at this step: as diffusers' own pipelines count."""
        return any(self.scales) and step / steps >= self.start and (step + 1) / steps <= self.end


@contextmanager
def opened(net: nets.Net, base: Family, models: Models) -> Iterator[Any]:
    """A net by name, held as every other model. Raises Missing, BadInput where it is not here or fits not the base."""
    state = net.state()
    if not state.ready:
        raise BadInput(f"control net {net.name} cannot be used: {state.text}", "conditions")
    key = Key(net.name, PART, models.device.dtype, models.device.name)
    with models.use(key, partial(_load, net, models)) as found:
        _check_fit(net, found, base)
        yield found


def _load(net: nets.Net, models: Models) -> Any:
    import diffusers

    loading.hush()
    said = str(weights.json_of(net.folder / "config.json").get("_class_name"))
    if said not in nets.CLASSES:
        raise BadInput(f"config.json of {net.name} names {said}: a control net is one of {', '.join(nets.CLASSES)}")
    with warnings.catch_warnings():  # diffusers' FLUX nets import what it calls deprecated itself
        warnings.simplefilter("ignore", FutureWarning)
        found = loading.from_folder(
            getattr(diffusers, said), net.folder, getattr(torch, models.device.dtype), net.folder.name
        )
    loading.check(found, net.name)
    return found.requires_grad_(False).to(models.device.name).eval()


def _check_fit(net: nets.Net, found: Any, base: Family) -> None:
    """Raises BadInput where the inside of a net is not that of the base."""
    names = ("block_out_channels", "cross_attention_dim", "joint_attention_dim", "num_attention_heads", "patch_size")
    for name in names:
        own, wanted = found.config.get(name), base.denoiser.config.get(name)
        if own and wanted and _plain(own) != _plain(wanted):
            raise BadInput(
                f"control net {net.name} does not fit base {base.name}: its {name} is {own} and that of the base"
                f" {wanted}; take a net made for this base",
                "conditions",
            )


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value


@contextmanager
def steered(base: Family, steers: Sequence[Steer], steps: Callable[[], int], calls: int = 1) -> Iterator[None]:
    """Inside the `with`, every call of the base's denoiser is steered.

    `steps` tells how many steps the schedule has, once it is known; `calls` is how often the denoiser is asked at each.
    """
    if not steers:
        yield
        return
    hints = [base.hinted(one.net, one.maps.to(base.device, base.dtype)) for one in steers]
    asked = 0

    def before(denoiser: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        nonlocal asked
        step, asked = asked // calls, asked + 1
        found: Residuals = {}
        for one, hint in zip(steers, hints, strict=True):
            if one.steers(step, steps()):
                found = _sum(found, _of(base, one, hint, arguments, named))
        return arguments, {**named, **found}

    handle = base.denoiser.register_forward_pre_hook(before, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _of(base: Family, steer: Steer, hint: Tensor, arguments: Sequence[Any], named: dict[str, Any]) -> Residuals:
    """What one net adds, as strongly as each picture asks. A guided batch comes twice: without the prompt, with it."""
    rows = len(arguments[0] if arguments else named["hidden_states"])
    twice = rows // len(hint)
    found = base.residuals(steer.net, hint.repeat(twice, *([1] * (hint.ndim - 1))), steer.mode, arguments, named)
    scales = torch.tensor(list(steer.scales), device=hint.device, dtype=hint.dtype).repeat(twice)
    return {
        name: _each(lambda one: one * scales.view(-1, *([1] * (one.ndim - 1))), some) for name, some in found.items()
    }


def _sum(one: Residuals, other: Residuals) -> Residuals:
    """What two nets add together; blocks that only one of them reaches get what that one gives."""
    return {**one, **{name: _both(one[name], some) if name in one else some for name, some in other.items()}}


def _both(one: Any, other: Any) -> Any:
    if isinstance(one, list):
        return [first + second for first, second in zip(one, other, strict=True)]
    return one + other


def _each(change: Callable[[Tensor], Tensor], some: Any) -> Any:
    return [change(one) for one in some] if isinstance(some, list) else change(some)
