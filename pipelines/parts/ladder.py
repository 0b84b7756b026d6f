"""Out of memory is not the end: smaller batches, what others left in memory dropped, parts that come to the device in
turn, and only then a sentence."""

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from pipelines.core.device import gib
from pipelines.core.errors import Problem
from pipelines.core.models import Models, NoRoom, out_of_memory
from pipelines.parts import families
from pipelines.parts.family import Family

T = TypeVar("T")


class OutOfMemory(Problem):
    """The device has not enough memory even for one picture at a time."""

    code = "out_of_memory"


def climb(items: Sequence[T], make: Callable[[Sequence[T]], Tensor], models: Models, what: str) -> Tensor:
    """`make` over all items, [n, ...]: together, or after running out of memory in halves, down to one at a time.

    Before each smaller try, models that nobody uses are dropped. Raises OutOfMemory; `what` is what it calls an item.
    """
    size = len(items)
    while True:
        try:
            return torch.cat([make(items[start : start + size]) for start in range(0, len(items), size)])
        except Exception as error:
            if not out_of_memory(error):
                raise
        # Outside the except: the error holds every tensor of the frames it came through.
        gc.collect()
        released = models.release_all()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        if size == 1 and not released:
            raise OutOfMemory(_sentence(models, what))
        size = max(1, size // 2)


def with_base(name: str, models: Models, work: Callable[[Family], None]) -> None:
    """`work` with an opened base. On a GPU that has not room for all of its parts, once more with them resting.

    `work` goes on where it stopped when it is called again. Raises as `families.opened` and `work` do.
    """
    try:
        with families.opened(name, models) as base:
            return work(base)
    except (NoRoom, OutOfMemory):
        if models.device.name == "cpu":
            raise
    # Outside the except: the error holds every tensor of the frames it came through.
    models.release_all()
    with families.opened(name, models, rests=True) as base:
        work(base)


def _sentence(models: Models, what: str) -> str:
    device = models.device
    free = torch.cuda.mem_get_info()[0] if torch.cuda.is_initialized() else device.memory_bytes - models.held_bytes
    return (
        f"{what} does not fit into the memory of {device.name}: models hold {gib(models.held_bytes)} and"
        f" {gib(max(free, 0))} are left; choose a smaller base or a smaller picture"
    )
