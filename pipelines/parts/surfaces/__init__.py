"""Pictures of good surfaces and parts, drawn physically, with exact height, normals and albedo.

    surface = surfaces.make("leather", seed=7, size=(1024, 1024))

A surface is a function that lays albedo and relief on a sheet; `picture.take` photographs it. The same seed at another
resolution is the same surface. Knows nothing of defects, files or captions for prompts.
"""

from collections.abc import Callable

from pipelines.core import noise
from pipelines.core.errors import BadInput
from pipelines.parts.lighting import Light
from pipelines.parts.surfaces.board import board
from pipelines.parts.surfaces.kernel import hazelnut
from pipelines.parts.surfaces.metals import brushed, cast, machined, magnetic, rolled
from pipelines.parts.surfaces.minerals import ceramic, concrete, terrazzo
from pipelines.parts.surfaces.natural import leather, wood
from pipelines.parts.surfaces.objects import capsule, nut, pill, washer
from pipelines.parts.surfaces.picture import Surface, take
from pipelines.parts.surfaces.sheet import Material, Sheet, open_sheet
from pipelines.parts.surfaces.soft import carpet, fabric, rubber
from pipelines.parts.surfaces.technical import grid, painted

SMALLEST, LARGEST = 32, 8192  # pixels a side

__all__ = ["SURFACES", "Surface", "make"]


def make(name: str, seed: int, size: tuple[int, int] = (512, 512), light: Light | None = None) -> Surface:
    """The surface `name` at size = (height, width) pixels; each seed varies colour, scale and direction.

    Where `light` is None the seed chooses the lamp. Raises BadInput for an unknown name or an impossible size.
    """
    if name not in SURFACES:
        raise BadInput(f"there is no surface {name!r}; choose one of {', '.join(SURFACES)}")
    height, width = size
    if not (SMALLEST <= height <= LARGEST and SMALLEST <= width <= LARGEST):
        raise BadInput(f"a surface of {width} x {height} pixels cannot be drawn; sides go from {SMALLEST} to {LARGEST}")
    random = noise.rng(seed, "lamp", name)
    lamp = Light(float(random.uniform(0, 360)), float(random.uniform(38, 68)))
    sheet = open_sheet(seed, size, light or lamp, name)
    return take(SURFACES[name](sheet), sheet)


SURFACES: dict[str, Callable[[Sheet], Material]] = {
    "rolled": rolled,
    "brushed": brushed,
    "cast": cast,
    "machined": machined,
    "concrete": concrete,
    "magnetic": magnetic,
    "ceramic": ceramic,
    "terrazzo": terrazzo,
    "wood": wood,
    "leather": leather,
    "fabric": fabric,
    "carpet": carpet,
    "board": board,
    "grid": grid,
    "painted": painted,
    "rubber": rubber,
    "nut": nut,
    "washer": washer,
    "capsule": capsule,
    "pill": pill,
    "hazelnut": hazelnut,
}
