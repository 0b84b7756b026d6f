"""Networks in the layout of transformers, out of a folder of the models folder: whole, as safetensors, never code.

They are held in the registry. Knows classes of transformers by name; not what a network is for.
"""

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.core import safeload
from pipelines.core.captioners import WEIGHTS, Home
from pipelines.core.errors import BadInput
from pipelines.core.models import Key, Models, out_of_memory
from pipelines.parts.conditions.networks import UNFIT


@dataclass(frozen=True)
class Opened:
    """A network in memory, and what makes its inputs."""

    net: Any
    processor: Any

    @property
    def components(self) -> Mapping[str, Any]:
        """What the registry measures."""
        return {"net": self.net}


@contextmanager
def opened(home: Home, kind: str, models: Models, dtype: str = "") -> Iterator[Opened]:
    """The network as transformers' class `kind`, without gradients and warnings inside the `with`.

    `dtype` is the device's unless it is named. Raises Missing without its folder, BadInput where that is damaged
    or another network's, NoRoom.
    """
    if (sentence := home.missing()) is not None:
        raise sentence
    dtype = dtype or models.device.dtype
    key = Key(home.shelf, home.name, dtype, models.device.name)
    with quiet():
        import torch

        size = _elements(home.path) * getattr(torch, dtype).itemsize
        build = partial(_load, home, kind, dtype, models.device.name)
        with models.use(key, build, size_bytes=size) as held, torch.no_grad():
            yield held


@contextmanager
def quiet() -> Iterator[None]:
    """transformers tells of every default it takes; errors still pass."""
    with warnings.catch_warnings(action="ignore"):
        from transformers.utils import logging

        before = logging.get_verbosity()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(before)


def _elements(path: Path) -> int:
    """How many numbers its weights hold, by their headers. Raises BadInput for a damaged one."""
    headers = [safeload.check(file, f"{path.name}/{file.name}") for file in sorted(path.glob(WEIGHTS))]
    return sum(math.prod(one["shape"]) for header in headers for name, one in header.items() if name != "__metadata__")


def _load(home: Home, kind: str, dtype: str, device: str) -> Opened:
    import torch
    import transformers
    from huggingface_hub.errors import StrictDataclassError

    safeload.check_environment()
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        processor = transformers.AutoProcessor.from_pretrained(home.path, **local)
        net, report = getattr(transformers, kind).from_pretrained(
            home.path, use_safetensors=True, dtype=getattr(torch, dtype), output_loading_info=True, **local
        )
    except (*UNFIT, StrictDataclassError, ImportError) as error:
        if out_of_memory(error):
            raise
        why = (str(error).strip().splitlines() or ["no reason given"])[0][:160]
        raise BadInput(
            f"{home.name} in {home.shelf} cannot be opened ({why}): fetch the folder again from {home.source}"
        ) from error
    if report["missing_keys"] or report["mismatched_keys"] or not hasattr(processor, "image_processor"):
        raise BadInput(
            f"{home.name} in {home.shelf} is not whole, or another network: fetch the folder again from {home.source}"
        )
    for name, tensor in net.state_dict().items():
        if not safeload.finite(tensor):
            raise BadInput(f"{home.name} in {home.shelf}: {name!r} holds NaN or infinity: fetch the folder again")
    return Opened(net.to(device).eval().requires_grad_(False), processor)
