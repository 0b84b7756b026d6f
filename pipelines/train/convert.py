"""Turns adapters into other forms: kohya's file, one clean diffusers file, or a whole base with them in it.

Knows the order of the work; how adapters are spelled and laid over a base, the shelves know. What opens bases is
imported where one is opened: it takes far longer than an adapter does.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from pipelines.core import files
from pipelines.core.adapter_names import EMBEDDINGS_FILE, WEIGHTS_FILE
from pipelines.core.errors import DiskFull
from pipelines.core.models import Models
from pipelines.core.requests.convert import Convert
from pipelines.core.runs import Run
from pipelines.parts import adapter_files, adapter_forms
from pipelines.parts.adapter_files import Adapter
from pipelines.parts.adapters import Plan, Use, plan

BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}


def run(request: Convert, run: Run, models: Models) -> None:
    """Read the adapters, write the product into weights/. The result names its files."""
    for index in run.items(request.length()):
        run.commit(index, _converted(request, run, models))
    run.finish(run.rows()[0])


def _converted(request: Convert, run: Run, models: Models) -> dict[str, Any]:
    folder = run.folder / "weights"
    with files.explained(folder):
        shutil.rmtree(folder, ignore_errors=True)  # what a killed worker left half-written
        folder.mkdir(parents=True)
    uses = []
    for one in request.data:
        asset = run.assets.get(one.path)
        run.tick(0, 1, f"reading {asset.name}", force=True)
        uses.append(Use(adapter_files.read(asset.path, asset.name), one.weight))
    if request.what == "merged":
        assert request.base is not None  # the request is checked
        changed = _merge(request.base, uses, folder, request.save_dtype, run, models)
    else:
        changed = _rewrite(request, uses[0].adapter, folder, models)
    written = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "what": request.what,
        "adapters": [use.adapter.name for use in uses],
        "base": request.base,
        "modules": changed,
        "files": [{"name": path.relative_to(run.folder).as_posix(), "bytes": path.stat().st_size} for path in written],
    }


def _rewrite(request: Convert, adapter: Adapter, folder: Path, models: Models) -> int:
    """One adapter as one file, and the words it brings as another. Returns how many modules it changes."""
    found = _planned(request, adapter, models)
    if found:
        tensors, metadata = adapter_forms.FORMS[request.what](adapter, found)
        name = f"{adapter.name}.safetensors" if request.what == "kohya" else WEIGHTS_FILE
        _save(folder / name, tensors, metadata)
    if adapter.embeddings:
        _save(folder / EMBEDDINGS_FILE, adapter.embeddings, {"format": "pt"})
    return sum(len(layers) for layers in found.values())


def _planned(request: Convert, adapter: Adapter, models: Models) -> Plan:
    """Which modules it changes, by their names: from the base where one is named, else from the file alone."""
    if not adapter.layers or request.base is None:
        return adapter_forms.spelled_out(adapter)
    from pipelines.parts import families

    with families.opened(request.base, models) as family:
        return plan(adapter, family.models, family.name)


def _save(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    from safetensors.torch import save

    files.write_bytes(path, save({key: one.contiguous() for key, one in tensors.items()}, dict(metadata)))


def _merge(base: str, uses: list[Use], folder: Path, dtype: str, run: Run, models: Models) -> int:
    """The base with the adapters in it, as a complete diffusers folder. Returns how many changes went in."""
    from pipelines.parts import families, merging

    run.tick(0, 1, "opening the base", force=True)
    with families.opened(base, models) as family:
        held = {id(one): one.numel() for model in family.held.values() for one in model.parameters()}
        need = sum(held.values()) * BYTES[dtype]
        free = shutil.disk_usage(folder).free
        if free < need:
            raise DiskFull(
                f"there is no room for the merged base: it needs {files.size(need)} and {files.size(free)} is free;"
                " make room there"
            )
        run.tick(0, 1, "writing the merged base", force=True)
        changed = merging.save(family, uses, folder, dtype)
    note = {"base": base, "adapters": [{"name": use.adapter.name, "weight": use.weight} for use in uses]}
    files.write_bytes(folder / "merged.json", (json.dumps(note, indent=2) + "\n").encode())
    return changed
