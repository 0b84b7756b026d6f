"""From what a request says to what a base is asked: settings that were left to the base, prompts, adapters on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from pipelines.core import bases, kinds
from pipelines.core.assets import Assets
from pipelines.core.errors import Problem
from pipelines.core.requests import Region
from pipelines.core.requests.diffusion import Diffusion
from pipelines.parts import adapter_files, adapters
from pipelines.parts.family import Attached, Family

T = TypeVar("T")


@dataclass(frozen=True)
class Usual:
    """The settings of a run, each the request's or, where that says nothing, the base's."""

    steps: int
    scale: float
    rescale: float
    scheduler: str


def usual(request: Diffusion, base: Family) -> Usual:
    """What holds for a request to an opened base. One that is not guided is asked for no guidance."""
    own = bases.get(base.name).defaults
    scale = 1.0 if base.guides == "not" else own.guidance_scale
    return Usual(
        steps=_settled(request.num_inference_steps, own.num_inference_steps),
        scale=_settled(request.guidance_scale, scale),
        rescale=_settled(request.guidance_rescale, own.guidance_rescale),
        scheduler=_settled(request.scheduler, own.scheduler),
    )


def _settled(said: T | None, otherwise: T) -> T:
    return otherwise if said is None else said


def prompt(request: Diffusion, region: Region) -> str:
    """The words for a region: its own, the request's, or its defect's name."""
    said = region.prompt if region.prompt is not None else request.prompt
    return said or kinds.load()[region.defect].words


def check(made: Tensor, base: str, dtype: str) -> None:
    """Raises Problem where what a base made is no picture."""
    if not bool(torch.isfinite(made).all()):
        raise Problem(
            f"base {base} made no picture, only NaN: its weights do not suit the number format"
            f" {dtype} of this device; use another edition of it"
        )


@contextmanager
def adapted(base: Family, request: Diffusion, assets: Assets) -> Iterator[Attached]:
    """The base with the request's adapters on it; off again afterwards. Raises BadInput, Missing naming the file."""
    uses = []
    for one in request.adapters:
        asset = assets.get(one.path)
        uses.append(adapters.Use(adapter_files.read(asset.path, name=asset.name), one.weight))
    with base.attached(uses) as said:
        yield said
