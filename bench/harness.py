"""Times ours against a peer in alternating rounds and judges the worst of them. Knows no case.

A case proves first that both sides did the same work; a figure without that is none."""

import gc
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]
CLOCKS: dict[str, Callable[[], float]] = {"process": time.process_time, "wall": time.perf_counter}
PACKAGES = ("numpy", "opencv-python-headless", "pillow", "gradio", "fastapi", "pycocotools", "torch")


@dataclass(frozen=True)
class Gate:
    """What the worst round must keep: `seconds` at most, or `faster` at least or `slower` at most than the peer."""

    kind: Literal["seconds", "faster", "slower"]
    limit: float

    def worst(self, ours: list[float], peer: list[float]) -> float:
        """The figure of the worst round. Rounds are paired: both sides of one met the same load of the machine."""
        if self.kind == "seconds":
            return max(ours)
        if self.kind == "faster":
            return min(theirs / mine for mine, theirs in zip(ours, peer, strict=True))
        return max(mine / theirs for mine, theirs in zip(ours, peer, strict=True))

    def holds(self, figure: float) -> bool:
        return figure >= self.limit if self.kind == "faster" else figure <= self.limit

    def __str__(self) -> str:
        return {
            "seconds": f"at most {self.limit:g} s",
            "faster": f"at least {self.limit:g}x as fast",
            "slower": f"at most {self.limit:g}x as long",
        }[self.kind]


@dataclass(frozen=True)
class Case:
    """`check` runs once, after the warm-up, and raises when the two sides (or ours and the truth) differ; `tidy` runs,
    untimed, after each run of ours, also after one that failed. By the clock `own` a side returns its own seconds."""

    name: str
    ours: Callable[[], object]
    check: Callable[[], None]
    gate: Gate
    peer: Callable[[], object] | None = None
    clock: Literal["process", "wall", "own"] = "process"
    tidy: Callable[[], object] | None = None

    def __post_init__(self) -> None:
        if self.peer is None and self.gate.kind != "seconds":
            raise ValueError(f"{self.name}: a gate of the kind {self.gate.kind!r} needs a peer to compare with")


@dataclass(frozen=True)
class Spread:
    median: float
    min: float
    max: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Spread":
        return cls(statistics.median(seconds), min(seconds), max(seconds))


@dataclass(frozen=True)
class Result:
    name: str
    clock: str
    rounds: int
    ours: Spread
    peer: Spread | None
    gate: str
    worst: float
    passed: bool

    def __str__(self) -> str:
        sides = f"ours {self.ours.median:8.3f} s"
        if self.peer:
            sides += f"   peer {self.peer.median:8.3f} s   {self.peer.median / self.ours.median:6.2f}x"
        else:
            sides += " " * 27
        verdict = "ok  " if self.passed else "FAIL"
        return f"{verdict} {self.name:34} {sides}   worst {self.worst:7.3f}, {self.gate} ({self.clock} time)"


def measure(case: Case, rounds: int) -> Result:
    """Warm up, check, then time `rounds` rounds; every second one lets the peer begin."""
    clock = CLOCKS.get(case.clock, time.perf_counter)

    def seconds(side: Callable[[], object]) -> float:
        gc.collect()
        start = clock()
        told = side()
        taken = clock() - start
        if case.clock != "own":
            return taken
        assert isinstance(told, float), f"{case.name}: a side that is timed by its own clock returns seconds"
        return told

    def ours(check: Callable[[], None] | None = None) -> float:
        try:
            taken = seconds(case.ours)
            if check:
                check()
            return taken
        finally:
            if case.tidy:
                case.tidy()

    if case.peer:
        case.peer()
    ours(case.check)
    mine: list[float] = []
    theirs: list[float] = []
    for turn in range(rounds):
        if case.peer and turn % 2:
            theirs.append(seconds(case.peer))
        mine.append(ours())
        if case.peer and not turn % 2:
            theirs.append(seconds(case.peer))
    worst = case.gate.worst(mine, theirs)
    return Result(
        name=case.name,
        clock=case.clock,
        rounds=rounds,
        ours=Spread.of(mine),
        peer=Spread.of(theirs) if case.peer else None,
        gate=str(case.gate),
        worst=worst,
        passed=case.gate.holds(worst),
    )


def report(suite: str, results: Iterable[Result], folder: Path) -> Path:
    """Write figures, versions, machine and commit as one JSON file, named by the time."""
    now = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{suite}-{now:%Y%m%d-%H%M%S}.json"
    facts = {
        "suite": suite,
        "when": now.isoformat(timespec="seconds"),
        **commit(),
        "machine": machine(),
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}},
        "cases": [asdict(result) for result in results],
    }
    path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return path


def commit() -> dict[str, Any]:
    """The commit measured, and whether the tree had changes on top; None outside a git clone."""

    def git(*words: str) -> str | None:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain"))}


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code; a load above the cores says how far to trust wall times."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    return {"cpu": model, "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2), "system": platform.platform()}
