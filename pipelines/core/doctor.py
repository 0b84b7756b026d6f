"""What is here and what is missing: every line is ok, or comes with its remedy. Looks; changes nothing.

Heavy packages are asked by name and version only; torch and xformers are tried in a process of their own, which a
broken driver may take down without taking the answer with it.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from pipelines.core import bases, nets, safeload
from pipelines.core.device import gib, present, ram
from pipelines.core.errors import BadInput, Problem

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements.txt"
OLDEST, TOO_NEW = (3, 11), (3, 15)  # as requires-python in pyproject.toml
LOW_DISK = 5 * 2**30
LOW_MEMORY = 2 * 2**30
PATIENCE_S = 180  # a first import of torch on a cold disk takes a minute

DEVICE_PROBE = """
import dataclasses, json
from pipelines.core.device import choose
print(json.dumps(dataclasses.asdict(choose())))
"""
XFORMERS_PROBE = """
import torch
from xformers.ops import memory_efficient_attention
q = torch.zeros(1, 64, 2, 64, device="cuda:0", dtype=torch.float16)
memory_efficient_attention(q, q, q)
torch.cuda.synchronize()
"""

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at. A note is worth reading; only a problem keeps Flawsmith from working."""

    name: str
    level: Level
    text: str
    remedy: str | None = None

    @property
    def ok(self) -> bool:
        return self.level != "problem"


def examine(runs: Path, port: int) -> list[Finding]:
    """Looks at everything, in the order a person would mend it. Takes a few seconds, for torch is tried."""
    return [
        python(sys.version_info[:3]),
        packages(),
        opencv(),
        environment(),
        *devices(),
        memory(),
        disk(runs),
        folder(runs),
        *states(),
        free_port(port),
    ]


def render(findings: list[Finding]) -> str:
    """One line a finding, its remedy under it, and a sentence at the end."""
    wide = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:<8} {finding.name:<{wide}}  {finding.text}")
        if finding.remedy:
            lines.append(f"{'':<8} {'':<{wide}}  -> {finding.remedy}")
    problems, notes = (sum(finding.level == level for finding in findings) for level in ("problem", "note"))
    if problems:
        said = f"{_count(problems, 'problem')} and {_count(notes, 'note')}"
        last = f"{said}: mend what is marked problem, then run doctor again."
    else:
        last = f"Flawsmith can work here ({_count(notes, 'note')})."
    return "\n".join([*lines, "", last])


def python(running: tuple[int, ...]) -> Finding:
    """The interpreter against what the pinned packages have wheels for."""
    text = f"{'.'.join(map(str, running))} at {sys.executable}"
    if OLDEST <= running < TOO_NEW:
        return Finding("python", "ok", text)
    wanted = f"from {OLDEST[0]}.{OLDEST[1]} up to, not including, {TOO_NEW[0]}.{TOO_NEW[1]}"
    return Finding("python", "problem", f"{text}; wanted is {wanted}", "make setup PYTHON=python3.11")


def packages(requirements: Path = REQUIREMENTS) -> Finding:
    """What is installed against what is pinned, by name alone. xformers has a line of its own: it is optional."""
    if not requirements.is_file():
        return Finding("packages", "problem", f"{requirements.name} is missing", "git checkout requirements.txt")
    pins = dict(
        re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;#]+)", requirements.read_text(encoding="utf-8"), re.MULTILINE)
    )
    pins.pop("xformers", None)
    absent, other = [], []
    for name, pin in pins.items():
        here = _version(name)
        if here is None:
            absent.append(name)
        elif here.partition("+")[0] != pin:  # what follows a + names the build, such as 2.14.1+cu130
            other.append(f"{name} {here} instead of {pin}")
    if absent:
        return Finding("packages", "problem", f"not installed: {', '.join(absent)}", "make setup")
    if other:
        return Finding("packages", "note", f"not the versions tested: {', '.join(other)}", "make setup")
    return Finding("packages", "ok", f"{len(pins)} as pinned in {requirements.name}")


def opencv() -> Finding:
    """Two packages own the one folder cv2/: they must agree, and what lies there must load without a screen."""
    twins = {name: _version(name) for name in ("opencv-python", "opencv-python-headless")}
    here = {name: found for name, found in twins.items() if found}
    said = ", ".join(f"{name} {found}" for name, found in here.items()) or "no OpenCV is installed"
    newest = max(here.values(), default="")
    mend = f"python -m pip install --force-reinstall --no-deps opencv-python-headless{'==' if newest else ''}{newest}"
    try:
        import cv2
    except (ImportError, AttributeError) as error:  # half of one twin over half of the other gives the second
        return Finding("opencv", "problem", f"cv2 cannot be imported ({error}); {said}", mend)
    if len(set(here.values())) > 1:
        return Finding("opencv", "problem", f"{said} overwrite each other", mend)
    if newest and not newest.startswith(cv2.__version__):
        return Finding("opencv", "problem", f"cv2 is {cv2.__version__} although {said}", mend)
    return Finding("opencv", "ok", f"cv2 {cv2.__version__} ({said})")


def environment() -> Finding:
    """Variables that would open the door to code in weight files."""
    try:
        safeload.check_environment()
    except Problem as problem:
        return Finding("environment", "problem", str(problem), f"unset {safeload.UNSAFE}")
    return Finding("environment", "ok", "weight files cannot run code")


def devices() -> list[Finding]:
    """The device torch would compute on and why, and whether xformers has kernels for it."""
    reply = _try(DEVICE_PROBE)
    if isinstance(reply, Failure):
        return [Finding("device", "problem", f"torch does not start: {reply.text}", "make setup")]
    found = json.loads(reply.splitlines()[-1])
    text = f"{found['name']}, {gib(found['memory_bytes'])}: {found['reason']}"
    if found["name"] == "cpu":
        cards = present()
        if cards:
            what = f"{text}, although the machine has {_count(len(cards), 'NVIDIA GPU')}"
            return [Finding("device", "note", what, "nvidia-smi"), Finding("xformers", "ok", "not used on the CPU")]
        return [Finding("device", "ok", text), Finding("xformers", "ok", "not used on the CPU")]
    return [Finding("device", "ok", text), _xformers()]


def _xformers() -> Finding:
    here = _version("xformers")
    instead = "torch's own attention is used instead"
    if here is None:
        return Finding("xformers", "note", f"not installed; {instead}", "make setup")
    reply = _try(XFORMERS_PROBE)
    if isinstance(reply, Failure):
        return Finding(
            "xformers", "note", f"{here} does not run here ({reply.text}); {instead}", "python -m xformers.info"
        )
    return Finding("xformers", "ok", f"{here}, its kernels run")


def memory() -> Finding:
    """Main memory, as far as this container or machine lets us use it."""
    total, available = ram()
    text = f"{gib(available)} of {gib(total)} are free"
    if available < LOW_MEMORY:
        return Finding("memory", "note", f"{text}; large pictures want {gib(LOW_MEMORY)}", "ps aux --sort=-rss | head")
    return Finding("memory", "ok", text)


def disk(runs: Path) -> Finding:
    """Room where the runs are written."""
    free = shutil.disk_usage(_nearest(runs)).free
    text = f"{gib(free)} are free for {runs}"
    if free < LOW_DISK:
        remedy = f"du -sh {runs}/* | sort -h    (or choose another folder with --runs)"
        return Finding("disk", "note", f"{text}, less than {gib(LOW_DISK)}; a full disk makes runs wait", remedy)
    return Finding("disk", "ok", text)


def folder(runs: Path) -> Finding:
    """Whether runs can be written, tried with a file that is gone again at once."""
    place = _nearest(runs)
    if not place.is_dir():
        return Finding("runs", "problem", f"{place} is a file, not a folder", "choose another folder with --runs DIR")
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"flawsmith")
            file.flush()
    except OSError as error:
        why = error.strerror or str(error)
        return Finding(
            "runs", "problem", f"cannot write in {place} ({why})", f"chmod u+w {place}    (or choose --runs DIR)"
        )
    return Finding("runs", "ok", f"{runs} can be written" if runs == place else f"{runs} can be made")


def states() -> list[Finding]:
    """Every base and net, shipped and own: ready, or what its weights lack, or which file of them is wrong."""
    try:
        known = bases.load()
    except BadInput as error:
        return [Finding("bases", "problem", str(error), f"git checkout {bases.TABLE.relative_to(ROOT)}")]
    found = []
    for name, base in known.items():
        state = base.state()
        found.append(Finding(f"base {name}", "ok" if state.ready else "note", state.text, state.remedy))
    for name, net in nets.load().items():
        state = net.state()
        found.append(Finding(f"net {name}", "ok" if state.ready else "note", state.text, state.remedy))
    return found


def free_port(port: int) -> Finding:
    """Whether the page could listen there. A port in use is a note, as it may well be Flawsmith that listens."""
    if not 0 < port < 65536:
        return Finding("port", "problem", f"{port} is no port; ports go from 1 to 65535", "python app.py --port 7860")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        if os.name == "posix":  # elsewhere this option lets two programs share a port
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except PermissionError:
            return Finding("port", "problem", f"{port} is kept for the system", "python app.py --port 7860")
        except OSError:
            text = f"{port} is in use, by Flawsmith itself or by another program"
            return Finding("port", "note", text, f"python app.py --port {port + 1 if port < 65535 else 7860}")
    return Finding("port", "ok", f"{port} is free")


@dataclass(frozen=True)
class Failure:
    """Why a probe gave no answer: the last line it said."""

    text: str


def _try(program: str) -> str | Failure:
    """Runs a few lines in an interpreter of their own and returns what they print."""
    try:
        reply = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Failure(f"no answer within {PATIENCE_S} s")
    if reply.returncode == 0:
        return reply.stdout
    said = reply.stderr.strip().splitlines()
    return Failure(said[-1] if said else f"it ended with code {reply.returncode}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _nearest(path: Path) -> Path:
    """The path itself, or the folder above it that is there."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
