"""The command line as scripts use it: exit codes, the last line, the one sentence."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.__main__ import main
from pipelines.core import images, presets, requests
from pipelines.core.queue import Queue
from tests import pictures

COMMAND = [sys.executable, "-m", "pipelines"]


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_list_names_a_task_a_line() -> None:
    done = call("list")
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(requests.TASKS)


def test_show_prints_the_schema_of_a_task_and_the_parameters_of_a_defect() -> None:
    schema = json.loads(call("show", "inpaint").stdout)
    assert schema["properties"]["severity"]["maximum"] == 1
    assert "fluid" in json.loads(call("show", "stain").stdout)["parameters"]
    wrong = call("show", "paint")
    assert wrong.returncode == 2
    assert "no task 'paint'; choose one of inpaint, " in wrong.stderr


def test_run_of_a_file_answers_into_the_folder_on_the_last_line(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(pictures.request(tmp_path, num_images=2)))
    done = call("run", str(file), "--runs", str(tmp_path / "runs"))
    assert done.returncode == 0, done.stderr
    run = Path(done.stdout.splitlines()[-1])
    assert sorted(path.name for path in (run / "images").iterdir()) == ["00000.png", "00001.png"]
    assert json.loads((run / "result.json").read_text())["images"] == 2


def test_a_list_of_requests_is_answered_in_order(tmp_path: Path) -> None:
    one = pictures.request(tmp_path)
    file = tmp_path / "requests.json"
    file.write_text(json.dumps([one, {**one, "seed": 1}]))
    done = call("run", str(file), "--runs", str(tmp_path / "runs"))
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)


def test_run_of_a_task_takes_a_preset_of_ones_own(tmp_path: Path) -> None:
    own = presets.own_folder(tmp_path / "runs")
    presets.save(own, "steel", "Old rust", {"defect": "stain", "severity": 0.9, "look": {"fluid": "rust"}})
    table = pictures.request(tmp_path)
    fields = [part for key in ("image", "mask") for part in ("--set", f"{key}={table[key]}")]
    done = call("run", "inpaint", "--runs", str(tmp_path / "runs"), "--preset", "steel/old_rust", *fields)
    assert done.returncode == 0, done.stderr
    request = json.loads((Path(done.stdout.strip()) / "request.json").read_text())
    assert (request["defect"], request["severity"], request["look"]) == ("stain", 0.9, {"fluid": "rust"})


def test_run_of_a_task_takes_preset_and_fields(tmp_path: Path) -> None:
    table = pictures.request(tmp_path)
    done = call(
        *("run", "inpaint", "--runs", str(tmp_path / "runs"), "--preset", "steel/rust", "--set", "seed=7"),
        *("--set", f"image={table['image']}", "--set", f"mask={table['mask']}", "--set", "look.density=0.9"),
    )
    assert done.returncode == 0, done.stderr
    asked = images.read_request(Path(done.stdout.splitlines()[-1]) / "images" / "00000.png")
    assert asked is not None
    assert (asked["defect"], asked["seed"], asked["look"]) == ("stain", 7, {"fluid": "rust", "density": 0.9})


BAD = [
    (["run", "inpaint", "--set", "severity=3"], "severity = 3: input should be less than or equal to 1"),
    (["run", "inpaint", "--set", "severity"], "--set 'severity' is not key=value"),
    (["run", "inpaint", "--preset", "steel/none"], "no preset 'steel/none'"),
    (["run", "export", "--preset", "steel/rust"], "preset steel/rust is for inpaint, not for export"),
    (["run", "gone.json"], "gone.json cannot be read"),
    (["run", "paint"], "no task 'paint'"),
    (["work", "--device", "banana"], "--device banana: this machine has"),
    (["resume", "x"], "is no runs folder: name it with --runs"),
    (["status", "x"], "is no runs folder: name it with --runs"),
]


@pytest.mark.parametrize(("arguments", "sentence"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_a_bad_request_is_exit_2_and_one_sentence(
    tmp_path: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--runs", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert len(said.strip().splitlines()) == 1


def test_a_picture_that_cannot_be_painted_is_exit_2_with_its_sentence(tmp_path: Path) -> None:
    table = pictures.request(tmp_path)
    Path(table["image"]).write_bytes(b"not a picture")
    file = tmp_path / "request.json"
    file.write_text(json.dumps(table))
    done = call("run", str(file), "--runs", str(tmp_path / "runs"))
    assert done.returncode == 2
    assert "part.png" in done.stderr


def interrupted(file: Path, runs: Path) -> tuple[int, str]:
    """Exit code and stdout of a `run` that gets Ctrl-C as soon as its first picture is there."""
    process = subprocess.Popen([*COMMAND, "run", str(file), "--runs", str(runs)], stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 30
    while not list(runs.glob("2*/images/*.png")):
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    return process.returncode, out


def test_interrupt_is_exit_3_and_resume_ends_it_with_equal_bytes(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    file = tmp_path / "request.json"
    file.write_text(json.dumps(pictures.request(tmp_path, num_images=60)))
    code, out = interrupted(file, runs)
    run = Path(out.splitlines()[-1])
    assert code == 3
    done = len(list((run / "images").glob("*.png")))
    assert 0 < done < 60
    kept = {path.name: path.read_bytes() for path in (run / "images").glob("*.png")}
    again = call("resume", run.name, "--runs", str(runs))
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, str(run))
    assert len(list((run / "images").glob("*.png"))) == 60
    assert {name: (run / "images" / name).read_bytes() for name in kept} == kept
    assert call("resume", run.name, "--runs", str(runs)).returncode == 0  # a no-op on a done run


def test_a_disk_that_fills_up_while_saving_leaves_nothing_half_written_and_resume_goes_on(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3)).astype(np.uint8)
    table = pictures.request(tmp_path, picture=noise, mask=pictures.disc(400, 400, radius=60), severity=1)
    coarse = cv2.imencode(".jpg", cv2.GaussianBlur(noise, (0, 0), 1), [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    (tmp_path / "part.jpg").write_bytes(coarse.tobytes())
    (tmp_path / "request.json").write_text(json.dumps({**table, "image": str(tmp_path / "part.jpg")}))
    # No file may pass 180 kB: the JPEG and the queue fit, the finished PNG does not.
    limited = f"ulimit -f {180 * 1024 // 512 // 2 * 2}; exec {shlex.join(COMMAND)} run request.json --runs runs"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    full = subprocess.run(
        ["sh", "-c", limited], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert full.returncode == 1, full.stderr
    assert "no room" in full.stderr or "full" in full.stderr or "limit" in full.stderr, full.stderr
    assert len(full.stderr.strip().splitlines()) == 1
    run = runs / Path(full.stdout.splitlines()[-1]).name
    assert Queue(runs).get(run.name).state == "waiting_disk"
    assert not [path for path in run.rglob("*.png") if path.parent.name == "images"]
    assert not list(run.rglob(".*.tmp"))
    again = call("resume", run.name, "--runs", str(runs))
    assert again.returncode == 0, again.stderr
    assert images.read(run / "images" / "00000.png").height == 400


def test_interrupt_ends_a_list_of_requests_too(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    file = tmp_path / "requests.json"
    file.write_text(json.dumps([pictures.request(tmp_path, num_images=200)] * 3))
    code, _ = interrupted(file, runs)
    assert code == 3
    assert len(list(runs.glob("2*"))) == 1


def test_fields_are_laid_over_the_requests_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(pictures.request(tmp_path, seed=1)))
    done = call("run", str(file), "--set", "seed=7", "--runs", str(tmp_path / "runs"))
    asked = images.read_request(Path(done.stdout.splitlines()[-1]) / "images" / "00000.png")
    assert asked is not None
    assert asked["seed"] == 7
    refused = call("run", str(file), "--preset", "steel/rust", "--runs", str(tmp_path / "runs"))
    assert (refused.returncode, "--preset goes with a task" in refused.stderr) == (2, True)


def test_status_and_stop_name_the_run(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    file = tmp_path / "request.json"
    file.write_text(json.dumps(pictures.request(tmp_path)))
    run = Path(call("run", str(file), "--runs", str(runs)).stdout.splitlines()[-1])
    status = json.loads(call("status", run.name, "--runs", str(runs)).stdout)
    assert (status["state"], status["done"], status["total"]) == ("done", 1, 1)
    assert call("stop", run.name, "--runs", str(runs)).returncode == 0
    assert Queue(runs).get(run.name).state == "done"


def test_doctor_says_what_is_here(tmp_path: Path) -> None:
    done = call("doctor", "--runs", str(tmp_path / "runs"), "--port", "0")
    assert done.returncode in (0, 1)
    for word in ("python", "device", "disk", "procedural"):
        assert word in done.stdout
