"""The doctor looks at this machine as it is; what is wrong comes with its remedy."""

import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from pipelines.core import doctor, safeload
from pipelines.core.doctor import Finding


@pytest.fixture(autouse=True)
def _safe_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(safeload.UNSAFE, raising=False)


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_whole_examination_finds_this_machine_fit_and_every_finding_mends_or_is_ok(tmp_path: Path) -> None:
    findings = doctor.examine(tmp_path / "runs", 7860)
    names = [finding.name for finding in findings]
    assert [name for name in names if not name.startswith(("base ", "net "))] == [
        *("python", "packages", "opencv", "environment", "device", "xformers", "memory", "disk", "runs", "port"),
    ]
    assert "base procedural" in names
    assert [finding for finding in findings if finding.level == "problem"] == []
    assert all(finding.remedy for finding in findings if finding.level != "ok")
    assert not (tmp_path / "runs").exists()
    assert list(tmp_path.iterdir()) == []


def test_examining_never_imports_torch_into_this_process(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from pipelines.core import doctor; "
        f"doctor.examine(Path({str(tmp_path)!r}), 7860); print('torch' in sys.modules, 'xformers' in sys.modules)"
    )
    reply = subprocess.run([sys.executable, "-c", program], cwd=doctor.ROOT, capture_output=True, text=True, check=True)
    assert reply.stdout.strip() == "False False"


def test_the_device_is_reported_with_its_reason() -> None:
    import torch

    device, xformers = doctor.devices()
    if torch.cuda.is_available():
        assert device.text.startswith("cuda:0")
        assert xformers.level in ("ok", "note")
    else:
        assert device.text.startswith("cpu")
        assert "torch sees no GPU" in device.text or "cannot be used" in device.text
        assert (xformers.level, xformers.text) == ("ok", "not used on the CPU")


@pytest.mark.parametrize(
    ("probe", "text"),
    [
        ("import no_such_module_here", "ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("import os; os.kill(os.getpid(), 9)", "it ended with code -9"),
        ("import time; time.sleep(60)", "no answer within 2 s"),
    ],
)
def test_a_torch_that_fails_crashes_or_hangs_is_a_problem_and_no_more(
    monkeypatch: pytest.MonkeyPatch, probe: str, text: str
) -> None:
    monkeypatch.setattr(doctor, "DEVICE_PROBE", probe)
    monkeypatch.setattr(doctor, "PATIENCE_S", 2)
    assert doctor.devices() == [Finding("device", "problem", f"torch does not start: {text}", "make setup")]


def test_an_xformers_without_kernels_here_is_a_note_as_torch_does_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    card = {"name": "cuda:0", "memory_bytes": 2**33, "reason": "a card"}
    monkeypatch.setattr(doctor, "DEVICE_PROBE", f"import json; print(json.dumps({card}))")
    monkeypatch.setattr(doctor, "XFORMERS_PROBE", "raise NotImplementedError('No operator found')")
    device, xformers = doctor.devices()
    assert device == Finding("device", "ok", "cuda:0, 8.0 GiB: a card")
    assert xformers.level == "note"
    assert xformers.text.endswith("(NotImplementedError: No operator found); torch's own attention is used instead")
    assert xformers.remedy == "python -m xformers.info"


def test_the_pythons_accepted_are_those_of_the_project_file() -> None:
    with (doctor.ROOT / "pyproject.toml").open("rb") as file:
        wanted = tomllib.load(file)["project"]["requires-python"]
    bounds = [tuple(map(int, bound)) for bound in re.findall(r"(\d+)\.(\d+)", wanted)]
    assert bounds == [doctor.OLDEST, doctor.TOO_NEW]


@pytest.mark.parametrize(
    ("running", "level"), [((3, 10, 14), "problem"), ((3, 11, 0), "ok"), ((3, 14, 9), "ok"), ((3, 15, 0), "problem")]
)
def test_a_python_without_wheels_is_a_problem(running: tuple[int, ...], level: str) -> None:
    finding = doctor.python(running)
    assert finding.level == level
    assert finding.ok is (level == "ok")


def test_packages_are_held_against_their_pins(tmp_path: Path) -> None:
    pins = tmp_path / "requirements.txt"
    numpy = version("numpy")
    pins.write_text(f"# pins\nnumpy=={numpy}  # arrays\nuvicorn[standard]=={version('uvicorn')}\nxformers==0.0.1\n")
    assert doctor.packages(pins) == Finding("packages", "ok", "2 as pinned in requirements.txt")
    pins.write_text("numpy==1.0\n")
    assert doctor.packages(pins) == Finding(
        "packages", "note", f"not the versions tested: numpy {numpy} instead of 1.0", "make setup"
    )
    pins.write_text("numpy==1.0\nno-such-package-here==2\n")
    assert doctor.packages(pins) == Finding("packages", "problem", "not installed: no-such-package-here", "make setup")
    pins.unlink()
    assert doctor.packages(pins).level == "problem"


def test_every_pin_of_the_project_is_found_in_its_file() -> None:
    lines = (doctor.ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if "==" in line and not line.startswith("xformers")]
    assert doctor.packages().text == f"{len(pinned)} as pinned in requirements.txt"


def test_both_opencv_packages_agree_with_what_is_imported() -> None:
    finding = doctor.opencv()
    assert finding.level == "ok"
    assert version("opencv-python-headless") in finding.text


def test_an_environment_that_lets_weights_run_code_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.environment().ok
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    finding = doctor.environment()
    assert (finding.level, finding.remedy) == ("problem", "unset TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")


def test_a_runs_folder_is_tried_without_leaving_anything(tmp_path: Path) -> None:
    assert doctor.folder(tmp_path).text == f"{tmp_path} can be written"
    assert doctor.folder(tmp_path / "deep" / "runs").text == f"{tmp_path / 'deep' / 'runs'} can be made"
    assert list(tmp_path.iterdir()) == []


def test_a_runs_folder_that_is_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    for runs in (tmp_path / "runs", tmp_path / "runs" / "below"):
        finding = doctor.folder(runs)
        assert (finding.level, finding.text) == ("problem", f"{tmp_path / 'runs'} is a file, not a folder")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write in, not even root")
def test_a_runs_folder_that_cannot_be_written_is_a_problem() -> None:
    finding = doctor.folder(Path("/proc/runs"))
    assert finding.level == "problem"
    assert finding.text.startswith("cannot write in /proc (")
    assert finding.remedy is not None
    assert finding.remedy.startswith("chmod u+w /proc")


def test_little_room_on_the_disk_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LOW_DISK", 0)
    assert doctor.disk(tmp_path / "runs").level == "ok"
    monkeypatch.setattr(doctor, "LOW_DISK", 2**62)
    finding = doctor.disk(tmp_path / "runs")
    assert (finding.level, finding.ok) == ("note", True)
    assert "a full disk makes runs wait" in finding.text


def test_little_memory_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LOW_MEMORY", 2**62)
    assert doctor.memory().level == "note"


def test_a_port_in_use_is_a_note_with_the_next_one(busy_port: int) -> None:
    finding = doctor.free_port(busy_port)
    assert (finding.level, finding.ok) == ("note", True)
    assert finding.text == f"{busy_port} is in use, by Flawsmith itself or by another program"
    assert finding.remedy == f"python app.py --port {busy_port + 1 if busy_port < 65535 else 7860}"


def test_a_port_that_was_just_let_go_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            pass
    assert doctor.free_port(port) == Finding("port", "ok", f"{port} is free")


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_a_number_that_is_no_port_is_a_problem(port: int) -> None:
    assert doctor.free_port(port).text == f"{port} is no port; ports go from 1 to 65535"


def test_findings_are_rendered_one_a_line_with_remedies_below_and_a_sentence_last() -> None:
    said = doctor.render([Finding("python", "ok", "3.11.7"), Finding("port", "note", "7860 is in use", "use 7861")])
    assert said.splitlines() == [
        "ok       python  3.11.7",
        "note     port    7860 is in use",
        "                 -> use 7861",
        "",
        "Flawsmith can work here (1 note).",
    ]


def test_the_last_sentence_counts_what_must_be_mended() -> None:
    broken = [Finding("a", "problem", "x", "y"), Finding("b", "problem", "x", "y"), Finding("c", "note", "x", "y")]
    last = doctor.render(broken).splitlines()[-1]
    assert last == "2 problems and 1 note: mend what is marked problem, then run doctor again."
