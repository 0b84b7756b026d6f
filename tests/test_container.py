"""The container starts what the Makefile starts. Reads Dockerfile, compose.yaml and Makefile; starts no engine."""

import fnmatch
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    """Its instructions in order, continuation lines joined, comments dropped."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1].strip()) for line in lines if line.strip()]


@pytest.fixture(scope="module")
def service() -> dict[str, Any]:
    whole = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    assert list(whole["services"]) == ["studio"]
    service: dict[str, Any] = whole["services"]["studio"]
    return service


def every(dockerfile: list[tuple[str, str]], instruction: str) -> list[str]:
    return [value for name, value in dockerfile if name == instruction]


def only(dockerfile: list[tuple[str, str]], instruction: str) -> str:
    (value,) = every(dockerfile, instruction)
    return value


def command(dockerfile: list[tuple[str, str]]) -> list[str]:
    parsed: list[str] = json.loads(only(dockerfile, "CMD"))
    return parsed


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def make(*arguments: str) -> list[str]:
    """The commands a make target would run, whatever the make above this test was asked for."""
    told = ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "ARGS", "JOBS")
    clean = {name: value for name, value in os.environ.items() if name not in told}
    asked = ["make", "--dry-run", "--always-make", "--no-print-directory", *arguments]
    done = subprocess.run(asked, cwd=ROOT, env=clean, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


def test_the_command_is_make_run_with_its_defaults_spelled_out(dockerfile: list[tuple[str, str]]) -> None:
    (run,) = [line for line in make("run") if "app.py" in line]
    words = command(dockerfile)
    assert words[:2] == shlex.split(run)
    asked = subprocess.run(
        [sys.executable, *words[1:2], "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert asked.returncode == 0, asked.stderr
    assert [word for word in words if word.startswith("--") and word not in asked.stdout] == []


def test_it_installs_through_the_makefile_from_the_lock(dockerfile: list[tuple[str, str]]) -> None:
    (setup,) = [value for value in every(dockerfile, "RUN") if value.startswith("make")]
    words = shlex.split(setup)
    assert words[:2] == ["make", "setup"]
    python = next(word.removeprefix("PYTHON=") for word in words if word.startswith("PYTHON="))
    files = next(word.removeprefix("REQUIREMENTS=") for word in words if word.startswith("REQUIREMENTS="))
    commands = make(*words[1:])
    assert any(line.startswith(f"{python} -m venv .venv") for line in commands)
    assert any(
        f"install --python .venv/bin/python --requirement {files} --constraint requirements.lock" in line
        for line in commands
    )
    copied = next(value for name, value in dockerfile if name == "COPY").split()
    assert {"Makefile", files, "requirements.lock"} <= set(copied)
    assert dockerfile.index(("RUN", setup)) > next(i for i, (name, _) in enumerate(dockerfile) if name == "COPY")


def test_its_python_is_one_the_project_and_the_makefile_take(dockerfile: list[tuple[str, str]]) -> None:
    setup = next(value for value in every(dockerfile, "RUN") if value.startswith("make"))
    python = re.search(r"PYTHON=(python3\.(\d+))", setup)
    assert python
    packages = next(value for value in every(dockerfile, "RUN") if "apt-get install" in value).split()
    assert {"make", python[1], f"{python[1]}-venv"} <= set(packages)
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    bounds = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", wanted)
    assert bounds
    assert int(bounds[1]) <= int(python[2]) < int(bounds[2])
    assert f"(3, {bounds[1]}) <= v < (3, {bounds[2]})" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_its_cuda_is_the_one_torch_was_built_for(dockerfile: list[tuple[str, str]]) -> None:
    image = re.fullmatch(r"nvidia/cuda:(\d+)\.(\d+)\.\d+-runtime-ubuntu[\d.]+", only(dockerfile, "FROM"))
    assert image
    torch = find_spec("torch")
    assert torch
    assert torch.origin
    built = runpy.run_path(str(Path(torch.origin).with_name("version.py")))
    assert built["cuda"] == f"{image[1]}.{image[2]}"
    assert f"\ncuda-toolkit=={image[1]}.{image[2]}." in (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_all_it_copies_is_there_and_let_in(dockerfile: list[tuple[str, str]]) -> None:
    copied = {source for value in every(dockerfile, "COPY") for source in value.split()[:-1]}
    assert {"app.py", "pyproject.toml", "studio", "pipelines", "presets"} <= copied  # the version stands in pyproject
    assert [source for source in copied if not (ROOT / source).exists()] == []
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    assert "*" in ignored
    assert [source for source in copied if not any(fnmatch.fnmatch(source, name) for name in let_in)] == []


def test_it_runs_as_a_user_who_may_write_only_into_runs(dockerfile: list[tuple[str, str]]) -> None:
    user = only(dockerfile, "USER")
    assert user not in ("root", "0")
    runs = every(dockerfile, "RUN")
    assert any(f"useradd --create-home --uid 10001 {user}" in value for value in runs)
    assert [value for value in runs if f"--owner={user}" in value] == [f"install --directory --owner={user} runs"]
    last = max(i for i, (name, _) in enumerate(dockerfile) if name in ("RUN", "COPY"))
    assert dockerfile.index(("USER", user)) > last


def test_what_people_make_outlives_the_container(dockerfile: list[tuple[str, str]], service: dict[str, Any]) -> None:
    folder = f"{only(dockerfile, 'WORKDIR')}/{option(command(dockerfile), '--runs')}"
    assert only(dockerfile, "VOLUME") == folder
    assert [volume.split(":")[1] for volume in service["volumes"]] == [folder]


def test_its_health_is_asked_where_it_answers(dockerfile: list[tuple[str, str]]) -> None:
    words = command(dockerfile)
    address = f"http://{option(words, '--host')}:{option(words, '--port')}/healthz"
    check = only(dockerfile, "HEALTHCHECK")
    assert f"'{address}'" in check
    code = json.loads(check[check.index("CMD") + 3 :])
    assert code[0] == words[0]
    compile(code[2], "HEALTHCHECK", "exec")


def test_nothing_but_this_machine_can_reach_it(dockerfile: list[tuple[str, str]], service: dict[str, Any]) -> None:
    assert option(command(dockerfile), "--host") == "127.0.0.1"
    assert service["network_mode"] == "host"
    assert "ports" not in service
    assert "command" not in service
    assert every(dockerfile, "EXPOSE") == []


def test_the_port_is_the_one_make_and_the_readme_name(dockerfile: list[tuple[str, str]]) -> None:
    address = "http://127.0.0.1:" + option(command(dockerfile), "--port")
    for name in ("Makefile", "README.md", "compose.yaml"):
        assert address in (ROOT / name).read_text(encoding="utf-8"), name


def test_it_asks_for_the_gpu(service: dict[str, Any]) -> None:
    assert service["build"] == "."
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert service["init"] is True
