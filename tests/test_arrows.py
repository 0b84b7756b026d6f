"""Imports go down only, and the page is up before torch is: both are read from the source, and then tried."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import imports
from tests.imports import ROOT, all_imports, module_name, read_imports

WINGS = ("generate", "train", "dataset")
# Ten to twenty seconds of import, or a package that brings torch in by itself.
HEAVY = {
    "torch",
    "torchvision",
    "diffusers",
    "transformers",
    "peft",
    "accelerate",
    "controlnet_aux",
    "xformers",
    "timm",
}
# What the ground may stand on. Torch is not among them: core opens it inside the functions that hold models.
GROUND = {"numpy", "cv2", "PIL", "tifffile", "pydantic", "pydantic_core", "psutil", "safetensors", "huggingface_hub"}


def allowed(importer: str, imported: str) -> bool:
    """Whether the arrow importer -> imported goes down (both are modules of app, studio or pipelines)."""

    def within(module: str, *parents: str) -> bool:
        return any(module == parent or module.startswith(parent + ".") for parent in parents)

    if imported == "pipelines":
        return True  # the bare package: nothing is in it
    if importer == "app":
        return within(imported, "studio", "pipelines.core")
    if within(importer, "studio"):
        return within(imported, "studio", "pipelines.core")
    if within(importer, "pipelines.core"):
        return within(imported, "pipelines.core")
    if within(importer, "pipelines.parts"):
        return within(imported, "pipelines.core", "pipelines.parts")
    for wing in WINGS:
        if within(importer, f"pipelines.{wing}"):
            return within(imported, "pipelines.core", "pipelines.parts", f"pipelines.{wing}")
    wings = tuple(f"pipelines.{wing}" for wing in WINGS)
    if importer == "pipelines.engine":
        return within(imported, "pipelines.core", *wings)
    # What stands beside the engine: the worker, the command line and what they alone use.
    doors = imported.startswith("pipelines.") and not within(imported, "pipelines.parts", *wings)
    opens_engine = importer in ("pipelines.worker", "pipelines.__main__")
    return doors and (imported != "pipelines.engine" or opens_engine)


def test_every_arrow_goes_down() -> None:
    up = [
        str(found)
        for found in all_imports("app", "studio", "pipelines")
        if found.top in ("app", "studio", "pipelines", "bench", "tests")
        and not allowed(module_name(ROOT / found.file), found.module)
    ]
    assert not up, "\n".join(up)


@pytest.mark.parametrize(
    ("importer", "imported", "verdict"),
    [
        ("app", "studio.server", True),
        ("app", "pipelines.worker", False),
        ("studio.tabs.paint", "pipelines.core.requests", True),
        ("studio.server", "pipelines.engine", False),
        ("studio.server", "pipelines.parts.defects", False),
        ("pipelines.core.images", "pipelines.core.errors", True),
        ("pipelines.core.images", "pipelines.parts.defects", False),
        ("pipelines.parts.defects", "pipelines.parts.lighting", True),
        ("pipelines.parts.defects", "pipelines.generate.inpaint", False),
        ("pipelines.generate.inpaint", "pipelines.parts.defects", True),
        ("pipelines.generate.inpaint", "pipelines.dataset.export", False),
        ("pipelines.dataset.export", "pipelines.engine", False),
        ("pipelines.engine", "pipelines.generate.inpaint", True),
        ("pipelines.worker", "pipelines.engine", True),
        ("pipelines.worker", "pipelines.generate.inpaint", False),
        ("pipelines.doctor", "pipelines.engine", False),
        ("pipelines.__main__", "pipelines.doctor", True),
        ("pipelines.core.runs", "studio.server", False),
    ],
)
def test_the_rule_itself_tells_up_from_down(importer: str, imported: str, verdict: bool) -> None:
    assert allowed(importer, imported) is verdict


def test_the_reader_sees_imports_inside_functions_and_relative_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "ROOT", tmp_path)
    (tmp_path / "studio").mkdir()
    (tmp_path / "studio/server.py").write_text("")
    page = tmp_path / "studio/page.py"
    page.write_text("from . import server\nfrom .server import app\nimport numpy.random\ndef f():\n    import torch\n")
    found = [(found.module, found.at_import) for found in read_imports(page)]
    assert found == [("studio.server", True), ("studio.server", True), ("numpy.random", True), ("torch", False)]


def test_the_studio_never_touches_a_tensor_library() -> None:
    assert not [str(found) for found in all_imports("app", "studio") if found.top in HEAVY]


def test_pipelines_knows_no_gradio() -> None:
    assert not [str(found) for found in all_imports("pipelines") if found.top.startswith("gradio")]


def test_the_ground_stands_on_few_packages() -> None:
    foreign = [
        str(found)
        for found in all_imports("pipelines/core")
        if found.top not in GROUND | set(sys.stdlib_module_names) | {"pipelines"}
        and not (found.top in HEAVY and not found.at_import)
    ]
    assert not foreign, "\n".join(foreign)


@pytest.mark.parametrize(
    "module", ["studio.server", "app", "pipelines.__main__", "pipelines.worker", "pipelines.engine"]
)
def test_importing_it_loads_no_torch(module: str) -> None:
    """In a process of its own, because this one may have loaded torch for another test."""
    script = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(json.loads(done.stdout.splitlines()[-1]))
