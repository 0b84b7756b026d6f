"""The routes of trainings, of data sets and of TensorBoard: what scripts and the page rely on, and what is refused."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from pipelines.core import datasets, files, requests, wishes
from studio import i18n, routes
from studio.context import Context
from studio.guard import Guard
from studio.tensorboard import ROOT, TensorBoard
from tests import pictures, runs
from tests.studio import trained
from tests.studio.pageless import Studio
from tests.studio.serving import serving

WAIT_S = 60


@pytest.fixture
def studio(runs: Path, tmp_path: Path) -> Iterator[Studio]:
    trained.dataset(tmp_path / "data" / "washer")
    context = Context.open(runs, [tmp_path / "data"])
    with serving(Guard(routes.application(context))) as port:
        yield Studio(context, port)


def delete(studio: Studio, path: str) -> Any:
    from tests.studio.serving import ask

    return ask(studio.port, "DELETE", path).json()


def washer(studio: Studio) -> str:
    answer = studio.post("/api/datasets", {"root": 0, "path": "washer"})
    assert answer.status == 201, answer.body
    found: str = answer.json()["id"]
    return found


# -- data sets


def test_a_folder_becomes_a_data_set_and_is_listed(studio: Studio) -> None:
    first, second = washer(studio), washer(studio)
    assert first == second
    listed = studio.get("/api/datasets").json()
    assert listed["datasets"] == [{"id": first, "label": "data/washer"}]
    assert datasets.get(studio.context.runs, first).folder.name == "washer"


def test_projects_and_runs_with_pictures_are_listed(studio: Studio) -> None:
    project = studio.context.projects.create("Housing")
    empty = studio.context.projects.create("Empty")
    asset = studio.context.assets.put(next(Path(ROOT, "presets/samples").glob("*.jpg")), "part.jpg")
    studio.context.projects.add(project.id, [asset])
    studio.ask()
    studio.work()
    listed = studio.get("/api/datasets").json()
    assert [one["label"] for one in listed["projects"]] == ["Housing"]
    assert empty.id not in str(listed)
    assert [(one["label"], one["count"]) for one in listed["runs"]] == [("scratch", 1)]


@pytest.mark.parametrize(
    ("place", "status"),
    [
        ({"root": 0, "path": "../runs"}, 422),
        ({"root": 0, "path": "/etc"}, 422),
        ({"root": 7, "path": ""}, 404),
        ({"root": 0, "path": "no_such"}, 404),
        ({"folder": "/etc"}, 422),
    ],
)
def test_no_folder_beside_the_opened_ones_becomes_a_data_set(studio: Studio, place: Any, status: int) -> None:
    assert studio.post("/api/datasets", place).status == status
    assert studio.get("/api/datasets").json()["datasets"] == []


def test_what_a_look_through_found_is_told_in_the_language(studio: Studio) -> None:
    run = studio.context.queue.submit(requests.parse({"task": "check", "data": washer(studio)}))
    assert studio.get(f"/api/datasets/checks/{run}").json()["found"] is None
    sentence = "a.png is empty (0 bytes): copy it again, or leave it out"
    fault = {"kind": "empty_file", "count": 1, "stops": True, "sentences": [sentence], "choices": ["leave_out"]}
    found = {"layout": "mvtec", "images": 15, "good": 8, "classes": {"scratch": 4, "hole": 3}, "faults": [fault]}
    (studio.context.runs / run).mkdir()
    files.write_json(studio.context.runs / run / "result.json", found)
    with studio.context.queue.writing() as db:
        db.execute("UPDATE run SET state='done' WHERE id=?", (run,))
    told = studio.get(f"/api/datasets/checks/{run}?language=ja").json()
    assert told["found"]["classes"] == {"scratch": 4, "hole": 3}
    assert told["found"]["faults"][0]["sentences"] == [i18n.language("ja").sentence(sentence)]
    other = studio.ask()
    assert studio.get(f"/api/datasets/checks/{other}").status == 404


# -- trainings


def test_trainings_are_listed_newest_first_and_estimates_are_not(studio: Studio) -> None:
    data = washer(studio)
    first = trained.training(studio.context.runs, "done", data=data, stage=1)
    second = trained.training(studio.context.runs, "queued", 0, data=data, defect="hole", stage=2)
    trained.training(studio.context.runs, "done", 3, data=data, estimate=True)
    studio.ask()
    listed = studio.get("/api/trainings").json()
    assert [one["id"] for one in listed] == [second, first]
    assert [(one["stage"], one["state"], one["defect"]) for one in listed] == [(2, "queued", "hole"), (1, "done", None)]
    assert {one["data_label"] for one in listed} == {"data/washer"}


def test_a_training_tells_its_numbers_samples_and_hints(studio: Studio) -> None:
    run = trained.training(studio.context.runs, "done", data=washer(studio), defect="scratch")
    told = studio.get(f"/api/trainings/{run}").json()
    assert told["columns"] == ["step", "loss", "denoising", "prior", "learning_rate"]
    assert len(told["points"]) <= 500
    assert told["points"][-1][0] == trained.STEPS
    assert told["held_out"] == [[(place + 1) * 100, value] for place, value in enumerate(trained.HELD_OUT)]
    assert told["hints"] == ["held_out", "alike"]
    assert told["checkpoints"] == [100, 200, 300, 400, 500, 600]
    assert told["result"]["best"]["step"] == 300
    assert told["weights"] == "weights/pytorch_lora_weights.safetensors"
    first = told["samples"][0]["prompts"]["a vfx"][0]
    assert studio.get(first).headers["content-type"] == "image/png"


def test_a_log_that_grows_is_read_on_and_one_written_anew_from_its_start(studio: Studio) -> None:
    run = trained.training(studio.context.runs, "running", 40, data=washer(studio), defect="scratch")
    log = studio.context.runs / run / "log.jsonl"
    assert studio.get(f"/api/trainings/{run}").json()["points"][-1][0] == 40
    with log.open("a") as file:
        file.write('{"step": 41, "loss": 0.2, "learning_rate": 1e-4}\n{"step": 42, "lo')  # on its way
    assert studio.get(f"/api/trainings/{run}").json()["points"][-1][0] == 41
    with log.open("a") as file:
        file.write('ss": 0.1, "learning_rate": 1e-4}\nbroken\n[1]\n{"note": "the 8-bit optimiser is not here"}\n')
    told = studio.get(f"/api/trainings/{run}").json()
    assert (told["points"][-1][:2], told["notes"]) == ([42, 0.1], ["the 8-bit optimiser is not here"])
    files.write_bytes(log, b'{"step": 1, "loss": 0.9, "learning_rate": 1e-4}\n')
    assert [one[:2] for one in studio.get(f"/api/trainings/{run}").json()["points"]] == [[1, 0.9]]


def test_saving_pausing_and_going_on_are_wished_of_a_training(studio: Studio) -> None:
    run = trained.training(studio.context.runs, "running", 40, data=washer(studio), defect="scratch")
    folder = studio.context.runs / run
    assert studio.post(f"/api/trainings/{run}/wishes/save").json() == {"paused": False, "saving": True}
    assert studio.post(f"/api/trainings/{run}/wishes/pause").json() == {"paused": True, "saving": True}
    assert wishes.made(folder, "save")
    assert studio.get(f"/api/trainings/{run}").json()["paused"] is True
    assert delete(studio, f"/api/trainings/{run}/wishes/pause")["paused"] is False
    assert studio.post(f"/api/trainings/{run}/wishes/dance").status == 422


def test_nothing_is_wished_of_what_is_over_or_is_no_training(studio: Studio) -> None:
    over = trained.training(studio.context.runs, "done", data=washer(studio), defect="scratch")
    assert studio.post(f"/api/trainings/{over}/wishes/pause").status == 422
    other = studio.ask()
    assert studio.post(f"/api/trainings/{other}/wishes/pause").status == 404
    assert studio.get(f"/api/trainings/{other}").status == 404
    assert studio.get("/api/trainings/nothing").status == 404


def test_real_pictures_stand_beside_the_samples(studio: Studio) -> None:
    run = trained.training(studio.context.runs, "done", data=washer(studio), defect="scratch")
    found = studio.get(f"/api/trainings/{run}/real").json()["pictures"]
    assert len(found) == 4
    assert studio.get(found[0]).headers["content-type"] == "image/jpeg"
    assert studio.get(f"/api/trainings/{run}/real/4").status == 404


def test_the_pictures_of_a_run_are_real_ones_too(studio: Studio) -> None:
    made = runs.write(studio.context.runs, "20260101-000000-abcdef", [[("dent", pictures.disc(72, 96))]])
    run = trained.training(studio.context.runs, "done", data=made.name, defect="dent")
    assert len(studio.get(f"/api/trainings/{run}/real").json()["pictures"]) == 1


# -- TensorBoard


def test_tensorboard_is_started_once_and_stopped(studio: Studio) -> None:
    assert studio.get("/api/tensorboard").json() == {"running": False, "ready": False, "port": None, "url": None}
    started = studio.post("/api/tensorboard").json()
    try:
        assert started["running"]
        assert studio.post("/api/tensorboard").json()["port"] == started["port"]
        deadline = time.monotonic() + WAIT_S
        while not (state := studio.get("/api/tensorboard").json())["ready"]:
            assert state["running"], (studio.context.runs / "tensorboard.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        with urlopen(started["url"], timeout=20) as page:
            assert page.status == 200
    finally:
        assert delete(studio, "/api/tensorboard")["running"] is False


def test_tensorboard_ends_with_the_studio_even_when_that_is_killed(runs: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from studio.tensorboard import TensorBoard\n"
        "board = TensorBoard(Path(sys.argv[1])); board.start(); print(board._process.pid, flush=True); time.sleep(60)"
    )
    studio = subprocess.Popen([sys.executable, "-c", script, str(runs)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert studio.stdout
    child = int(studio.stdout.readline())
    os.kill(studio.pid, signal.SIGKILL)
    studio.wait()
    studio.stdout.close()
    deadline = time.monotonic() + WAIT_S
    while _alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _alive(pid: int) -> bool:
    """A zombie that nobody buried is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_stopped_one_leaves_no_port(runs: Path) -> None:
    board = TensorBoard(runs)
    assert board.start()["port"]
    assert board.stop() == board.state() == {"running": False, "ready": False, "port": None, "url": None}
