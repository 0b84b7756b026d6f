"""The families of bases, and the one door to an opened base. Where its files lie, core/bases knows."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from pipelines.core import bases
from pipelines.core.errors import BadInput
from pipelines.core.models import Key, Models
from pipelines.parts import adapters, kernels, resting
from pipelines.parts.family import Family, Source
from pipelines.parts.flux import Flux
from pipelines.parts.flux2 import Flux2
from pipelines.parts.loading import SMALL_TILE_PX, TILE_PX, Loader
from pipelines.parts.sd3 import StableDiffusion3
from pipelines.parts.sdxl import StableDiffusionXL
from pipelines.parts.stable_diffusion import StableDiffusion

FAMILIES: dict[str, type[Family]] = {
    "stable-diffusion": StableDiffusion,
    "sdxl": StableDiffusionXL,
    "sd3": StableDiffusion3,
    "flux": Flux,
    "flux2": Flux2,
}


@contextmanager
def opened(base: str, models: Models, *, rests: bool = False, dtype: str | None = None) -> Iterator[Family]:
    """A base by name, its parts in memory once however many pipelines use them. Raises Missing, BadInput, NoRoom."""
    with opened_source(source_of(base), models, rests=rests, dtype=dtype) as family:
        yield family


def source_of(name: str) -> Source:
    """Where the parts of a base are. Raises Missing where its weights are not here, BadInput for one that draws."""
    base = bases.get(name)
    if base.family not in FAMILIES:
        raise BadInput(f"base {base.name} draws and loads no weights: choose a diffusion base", "base")
    place = base.place()
    return Source(
        name=base.name,
        family=base.family,
        folder=place.folder,
        file=place.file,
        denoiser_file=place.denoiser_file,
        shared=place.shared,
    )


@contextmanager
def opened_source(source: Source, models: Models, *, rests: bool = False, dtype: str | None = None) -> Iterator[Family]:
    """As `opened`, for parts wherever they are. A base that cannot be opened as a whole leaves nothing behind.

    `dtype` is the number format of its weights, the device's own unless said otherwise. With `rests` its parts stay in
    main memory and come to the device in turn: slower, and room for larger bases.
    """
    family = FAMILIES[source.family]
    device = models.device
    home = "cpu" if rests else device.name
    dtype = dtype or device.dtype
    loader = Loader(source, family, dtype, home, tile_px=SMALL_TILE_PX if rests else TILE_PX)
    before = {Key(**row["key"]) for row in models.report()}
    with ExitStack() as stack:
        held = {}
        try:
            for part in loader.look():
                own = part == family.denoiser_part or not source.shared
                key = Key(source.name if own else source.shared, part, dtype, home)
                held[part] = stack.enter_context(models.use(key, partial(loader.part, part)))
            stack.enter_context(adapters.bare(held.values()))
            kernels.put_on(held[family.denoiser_part], device.name)
            models.attention = kernels.attention(device.name)
            base = family(source, held, loader.tokenizers(), loader.schedule(), device.name)
            if rests:
                stack.enter_context(resting.until_called(in_turn(held, family), base.device))
        except BaseException:
            held.clear()
            stack.close()
            for row in models.report():
                if (key := Key(**row["key"])) not in before:
                    models.release(key)
            raise
        yield base


def in_turn(held: Mapping[str, Any], family: type[Family]) -> list[Any]:
    """The parts in the order in which a picture calls them: text encoders, denoiser, autoencoder."""
    last = (family.denoiser_part, "vae")
    return [*(model for part, model in held.items() if part not in last), *(held[part] for part in last)]
