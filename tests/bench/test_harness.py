"""The harness judges the worst round, alternates who begins, and lets nothing pass that did other work."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import harness
from bench.harness import Case, Gate, Result, measure, report


@pytest.fixture
def spend(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that only moves when a side says how long it took."""
    now = [0.0]

    def take(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setitem(harness.CLOCKS, "process", lambda: now[0])
    return take


def nothing() -> None:
    """Agrees with everything."""


@pytest.mark.parametrize(
    ("gate", "worst", "holds"),
    [
        (Gate("seconds", 3.0), 3.0, True),
        (Gate("seconds", 2.9), 3.0, False),
        (Gate("faster", 2.0), 2.0, True),  # rounds: 4/1, 6/3
        (Gate("faster", 2.1), 2.0, False),
        (Gate("slower", 0.5), 0.5, True),
        (Gate("slower", 0.4), 0.5, False),
    ],
)
def test_a_gate_reads_the_worst_round(gate: Gate, worst: float, holds: bool) -> None:
    figure = gate.worst([1.0, 3.0], [4.0, 6.0])
    assert figure == worst
    assert gate.holds(figure) is holds


@pytest.mark.long
def test_one_slow_round_of_five_fails_the_case(spend: Callable[[float], None]) -> None:
    ours = itertools.chain([0.1], [1.0, 1.0, 1.5, 1.0, 1.0])  # the first is the warm-up and does not count
    result = measure(Case("slow once", ours=lambda: spend(next(ours)), check=nothing, gate=Gate("seconds", 1.2)), 5)
    assert not result.passed
    assert (result.ours.median, result.ours.min, result.ours.max) == pytest.approx((1.0, 1.0, 1.5))
    assert result.worst == pytest.approx(1.5)


@pytest.mark.long
def test_both_sides_begin_in_turn_after_a_warm_up_and_a_check() -> None:
    seen: list[str] = []
    case = Case(
        "order",
        ours=lambda: seen.append("ours"),
        peer=lambda: seen.append("peer"),
        check=lambda: seen.append("check"),
        gate=Gate("faster", 0.0),
        clock="wall",
    )
    measure(case, 3)
    assert seen == ["peer", "ours", "check", "ours", "peer", "peer", "ours", "ours", "peer"]


@pytest.mark.long
def test_what_ours_left_behind_is_tidied_off_the_clock_and_after_a_failure(spend: Callable[[float], None]) -> None:
    open_things: list[str] = []

    def tidy() -> None:
        spend(100.0)
        open_things.clear()

    def ours() -> None:
        assert not open_things
        open_things.append("server")
        spend(1.0)

    result = measure(Case("tidy", ours, nothing, Gate("seconds", 1.0), tidy=tidy), 5)
    assert result.passed

    def breaks() -> None:
        ours()
        raise RuntimeError("no answer")

    with pytest.raises(RuntimeError, match="no answer"):
        measure(Case("broken", breaks, nothing, Gate("seconds", 1.0), tidy=tidy), 5)
    assert not open_things


def test_a_case_whose_sides_differ_gives_no_figure() -> None:
    def differs() -> None:
        raise AssertionError("the two archives hold other pictures")

    with pytest.raises(AssertionError, match="other pictures"):
        measure(Case("unequal", ours=nothing, peer=nothing, check=differs, gate=Gate("faster", 1.0)), 5)


def test_a_comparison_without_a_peer_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a peer"):
        Case("alone", ours=nothing, check=nothing, gate=Gate("faster", 2.0))


def test_the_report_says_what_was_measured_on_what(tmp_path: Path, spend: Callable[[float], None]) -> None:
    case = Case("two", ours=lambda: spend(1.0), peer=lambda: spend(3.0), check=nothing, gate=Gate("faster", 2.0))
    result: Result = measure(case, 5)
    facts = json.loads(report("cpu", [result], tmp_path / "results").read_text(encoding="utf-8"))
    assert facts["cases"] == [
        {
            "name": "two",
            "clock": "process",
            "rounds": 5,
            "ours": {"median": 1.0, "min": 1.0, "max": 1.0},
            "peer": {"median": 3.0, "min": 3.0, "max": 3.0},
            "gate": "at least 2x as fast",
            "worst": 3.0,
            "passed": True,
        }
    ]
    assert facts["versions"]["numpy"]
    assert facts["machine"]["cores"]
    assert set(facts) == {"suite", "when", "commit", "changed", "machine", "versions", "cases"}
