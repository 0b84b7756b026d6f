"""Nothing of ours runs code out of data: no shell, no eval, no pickle. Read from the syntax tree; imports nothing."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.imports import ROOT, sources

DOOR = "pipelines/core/safeload.py"  # the one file that may open a pickle, once, for its tensors alone

# What runs code, or lets a file or a text do so, by the name it is imported under.
FORBIDDEN = {
    *("eval", "exec", "compile", "__import__", "builtins.eval", "builtins.exec", "code.interact", "runpy.run_path"),
    *("torch.load", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter"),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.UnsafeLoader", "yaml.Loader"),
    *("os.system", "os.popen", "os.execv", "os.execvp", "os.spawnl", "os.spawnv", "os.startfile"),
    *("subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell"),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "pandas.read_pickle", "shutil.unpack_archive"),
}
# Modules that do nothing else. pickle itself may be imported: its UnpicklingError is what torch raises.
FORBIDDEN_MODULES = {"cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle"}
FORBIDDEN_ARGUMENTS = {"shell": True, "allow_pickle": True, "trust_remote_code": True, "weights_only": False}
ARGUMENTS_OF_ANY_VALUE = {"custom_pipeline", "pickle_module"}


def names(tree: ast.AST) -> dict[str, str]:
    """What an imported name stands for: `import torch as t` -> {"t": "torch"}, `from os import system` -> os.system."""
    meant = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                meant[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                meant[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return meant


def full_name(node: ast.expr, meant: dict[str, str]) -> str:
    """`t.load` -> torch.load; an empty text for what is no plain dotted name."""
    if isinstance(node, ast.Name):
        return meant.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        owner = full_name(node.value, meant)
        return f"{owner}.{node.attr}" if owner else ""
    return ""


def unsafe(source: str) -> Iterator[str]:
    """Every place where data could become code, as `line: what`. A name counts where it stands, called or handed on."""
    tree = ast.parse(source)
    meant = names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and full_name(node, meant) in FORBIDDEN:
            yield f"{node.lineno}: {full_name(node, meant)}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in FORBIDDEN_MODULES:
                    yield f"{node.lineno}: {alias.name}"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
            yield f"{node.lineno}: {node.module}"
        elif isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            yield f"{node.lineno}: from {node.module} import *"
        elif isinstance(node, ast.Call):
            for argument in node.keywords:
                value = argument.value.value if isinstance(argument.value, ast.Constant) else None
                forbidden = argument.arg in FORBIDDEN_ARGUMENTS and value is FORBIDDEN_ARGUMENTS[argument.arg]
                if forbidden or argument.arg in ARGUMENTS_OF_ANY_VALUE:
                    yield f"{node.lineno}: {argument.arg}={ast.unparse(argument.value)}"


def test_nothing_of_ours_runs_code_out_of_data() -> None:
    files = sources("app", "studio", "pipelines")
    assert len(files) > 20
    found = {str(path.relative_to(ROOT)): list(unsafe(path.read_text(encoding="utf-8"))) for path in files}
    assert {file: places for file, places in found.items() if places and file != DOOR} == {}


def test_the_door_for_weights_opens_pickles_once_and_only_for_tensors() -> None:
    tree = ast.parse(Path(ROOT, DOOR).read_text(encoding="utf-8"))
    meant = names(tree)
    assert [place.partition(": ")[2] for place in unsafe(ast.unparse(tree))] == ["torch.load"]
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and full_name(node.func, meant) == "torch.load"
    ]
    assert len(calls) == 1
    given = {argument.arg: ast.unparse(argument.value) for argument in calls[0].keywords}
    assert given["weights_only"] == "True"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import torch\ntorch.load('a')", "torch.load"),
        ("import torch as t\nt.load('a')", "torch.load"),
        ("from torch import load as read\nread('a')", "torch.load"),
        ("def f():\n    import torch\n    return map(torch.load, [])", "torch.load"),
        ("eval('1')", "eval"),
        ("list(map(eval, []))", "eval"),
        ("exec('1')", "exec"),
        ("import pickle\npickle.loads(b'')", "pickle.loads"),
        ("from pickle import load", ""),
        ("from pickle import load\nload(open('a'))", "pickle.load"),
        ("import dill", "dill"),
        ("from joblib import load", "joblib"),
        ("import yaml\nyaml.load('')", "yaml.load"),
        ("import yaml\nyaml.safe_load('')", ""),
        ("import os\nos.system('ls')", "os.system"),
        ("from os import *", "from os import *"),
        ("import subprocess\nsubprocess.run('ls', shell=True)", "shell=True"),
        ("import subprocess\nsubprocess.run(['ls'], shell=False)", ""),
        ("import numpy as np\nnp.load('a', allow_pickle=True)", "allow_pickle=True"),
        ("import numpy as np\nnp.load('a')", ""),
        ("pipeline('a', trust_remote_code=True)", "trust_remote_code=True"),
        ("pipeline('a', custom_pipeline=name)", "custom_pipeline=name"),
        ("model.eval()", ""),
        ("import re\nre.compile('a')", ""),
        ("from safetensors.torch import load_file\nload_file('a')", ""),
    ],
)
def test_the_walk_sees_what_it_should_and_no_more(source: str, found: str) -> None:
    assert [place.partition(": ")[2] for place in unsafe(source)] == ([found] if found else [])
