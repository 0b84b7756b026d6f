"""A base with adapters in its weights for good, written as a complete diffusers folder.

The weights are changed while they are written and put back after it, also after an error: the base in memory is shared.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.core import files
from pipelines.parts.adapter_files import Layer
from pipelines.parts.adapters import Use, plan
from pipelines.parts.family import Family


def save(family: Family, uses: Sequence[Use], folder: Path, dtype: str) -> int:
    """Writes the folder, in the number format `dtype`; returns how many changes went in.

    Raises BadInput before anything is changed when an adapter does not fit, DiskFull.
    """
    words = [replace(use, adapter=replace(use.adapter, layers={})) for use in uses if use.adapter.embeddings]
    with merged(family.models, uses, family.name) as changed, family.attached(words), _counted(family.held):
        pipe = family.pipeline(sorted(family.tasks)[-1])
        pipe.register_modules(scheduler=_own_scheduler(family))
        with files.explained(folder):
            pipe.save_pretrained(folder, safe_serialization=True)
    for path in sorted(folder.rglob("*.safetensors")):
        _recast(path, getattr(torch, dtype))
    return changed


@contextmanager
def merged(models: Mapping[str, nn.Module], uses: Sequence[Use], base: str) -> Iterator[int]:
    """The models with the adapters in their weights; yields how many changes that are. Put back afterwards."""
    plans = [plan(use.adapter, models, base) for use in uses]
    before: list[tuple[Any, Tensor]] = []
    try:
        for part, model in models.items():
            touched = {name for one in plans for name in one.get(part, {})}
            for name in sorted(touched):
                module: Any = model.get_submodule(name)
                layers = [
                    (use.weight, one[part][name])
                    for use, one in zip(uses, plans, strict=True)
                    if name in one.get(part, {})
                ]
                before.append((module.weight, module.weight.data))
                module.weight.data = _sum(module.weight.data, layers)
        yield sum(len(layers) for one in plans for layers in one.values())
    finally:
        for weight, data in reversed(before):
            weight.data = data


def _sum(weight: Tensor, layers: Sequence[tuple[float, Layer]]) -> Tensor:
    """W + the change of each adapter, computed in float32."""
    own = weight.float()
    return (own + sum(_change(own, layer, share) for share, layer in layers)).to(weight.dtype)


def _change(weight: Tensor, layer: Layer, share: float) -> Tensor:
    """What an adapter adds to W at this weight: s BA; of DoRA m (W + s BA) / |W + s BA| - W.

    Eq. 5 of arXiv 2402.09353, with m the row lengths of W where the weight is 0, the adapter's where it is 1.
    """
    assert layer.down is not None
    assert layer.up is not None
    assert layer.alpha is not None
    down, up = (one.flatten(1).to(weight) for one in (layer.down, layer.up))
    low_rank = (share * layer.alpha / layer.rank * up @ down).reshape(weight.shape)
    if layer.magnitude is None:
        return low_rank
    rows = weight.flatten(1)
    whole = (weight + low_rank).flatten(1)
    own = rows.norm(dim=1)
    length = own + share * (layer.magnitude.to(own) - own)
    return (whole * (length / whole.norm(dim=1)).unsqueeze(1) - rows).reshape(weight.shape)


@contextmanager
def _counted(held: Mapping[str, Any]) -> Iterator[None]:
    """Text encoders say in their configuration how many words their table has now."""
    before = {part: model.config.vocab_size for part, model in held.items() if hasattr(model.config, "vocab_size")}
    try:
        for part in before:
            held[part].config.vocab_size = held[part].get_input_embeddings().weight.shape[0]
        yield
    finally:
        for part, size in before.items():
            held[part].config.vocab_size = size


def _own_scheduler(family: Family) -> Any:
    """The one the base came with, not the one runs usually take."""
    import diffusers

    return getattr(diffusers, family.schedule["_class_name"]).from_config(family.schedule)


def _recast(path: Path, dtype: torch.dtype) -> None:
    from safetensors.torch import load_file, save_file

    tensors = {key: one.to(dtype) if one.is_floating_point() else one for key, one in load_file(path).items()}
    again = path.with_suffix(".tmp")
    with files.explained(path):
        save_file(tensors, again, {"format": "pt"})
        again.replace(path)
