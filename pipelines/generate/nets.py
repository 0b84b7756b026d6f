"""Which nets read a request's maps, opened beside its base; and the maps of a batch as they take them.

Knows requests, maps and nets; not what is made with them.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

from pipelines.core import bases, images, nets
from pipelines.core.models import Models
from pipelines.core.nets import Net
from pipelines.core.requests.control import Steered
from pipelines.core.runs import Run
from pipelines.generate.scene import Scene
from pipelines.generate.steering import Maps
from pipelines.parts import control, crop
from pipelines.parts.conditions import Map
from pipelines.parts.control import Steer
from pipelines.parts.family import Family

KEPT = 32
"""Pictures whose maps are kept: candidates and tries of one seed share them."""
One = tuple[Steered, Scene]
"""One picture's request, and its scene."""
Size = tuple[int, int]


def chosen(request: Steered) -> list[Net]:
    """The net that reads each condition. Raises BadInput, Missing."""
    base = bases.get(request.base)
    return [nets.get(one.net) if one.net else nets.of(base, one.kind) for one in request.conditions]


@contextmanager
def opened(base: Family, maps: Maps | None, models: Models) -> Iterator["Steering | None"]:
    """The nets of a request beside its opened base; None where nothing steers."""
    if maps is None:
        yield None
        return
    with ExitStack() as stack:
        named = chosen(maps.request)
        held = [stack.enter_context(control.opened(one, base, models)) for one in named]
        yield Steering(maps, named, held)


class Steering:
    """The maps of a run's pictures, and the nets that read them."""

    def __init__(self, maps: Maps, named: Sequence[Net], held: Sequence[Any]) -> None:
        self.maps, self.named, self.held = maps, named, held
        self._made: dict[tuple[Any, ...], list[Map]] = {}

    def of(self, wanted: Sequence[One], box: crop.Box | None, size: Size) -> list[Steer]:
        """Each net with the maps of all pictures wanted, of the same window."""
        every = [self._of(one, box, size) for one in wanted]
        found = []
        for number, (net, held) in enumerate(zip(self.named, self.held, strict=True)):
            condition = self.maps.request.conditions[number]
            pictures = np.stack([made[number].pixels for made in every]).transpose(0, 3, 1, 2)
            found.append(
                Steer(
                    held,
                    torch.from_numpy(np.ascontiguousarray(pictures)),
                    [one.conditions[number].scale for one, _ in wanted],
                    condition.start,
                    condition.end,
                    net.modes.get(condition.kind),
                )
            )
        return found

    def kept(self, run: Run, stem: str, wanted: One, box: crop.Box | None, size: Size) -> list[dict[str, Any]]:
        """What the manifest says of a picture's maps, which are kept beside it."""
        found = []
        for one, made, net in zip(wanted[0].conditions, self._of(wanted, box, size), self.named, strict=True):
            pixels = images.from_float(made.pixels, like=np.empty((1, 1, 3), np.uint8))
            own = {name: getattr(one, name) for name in ("kind", "scale", "start", "end")}
            file = run.keep_picture(f"conditions/{stem}.{one.kind}.png", pixels)
            found.append({**own, "annotator": made.annotator, "net": net.name, "file": file})
        return found

    def _of(self, wanted: One, box: crop.Box | None, size: Size) -> list[Map]:
        one, here = wanted
        seeds = tuple(area.region.seed for area in here.areas)
        asked = (seeds, box, size)  # without a defect drawn in, every seed has the same maps
        if asked not in self._made:
            if len(self._made) >= KEPT:
                self._made.pop(next(iter(self._made)))
            prepared = self.maps.prepared(one, here, box, size)
            self._made[asked] = [prepared.map(number) for number in range(len(one.conditions))]
        return self._made[asked]
