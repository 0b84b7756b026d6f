"""A training killed again and again, also in the middle of a save, ends in the same bits. And one on two processes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests import tiny, training

ROOT = Path(__file__).parents[2]
FIELDS: dict[str, Any] = {
    "task": "train-lora",
    "base": "tiny",
    "defect": "scratch",
    "resolution": 32,
    "rank": 2,
    "train_batch_size": 1,
    "checkpointing_steps": 3,
    "checkpoints_total_limit": 2,
    "num_validation_images": 0,
    "use_ema": True,
    "dropout": 0.1,
    "views": 2,
}
# Everything is imported once; each life of the worker is a fork of this process, and so begins at once.
DYING = """
import json, os, random, signal, socket, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
import bitsandbytes, diffusers, peft, transformers, torch.utils.tensorboard
from pipelines.core import intake, requests
from pipelines.core.assets import Assets
from pipelines.core.queue import Queue
from pipelines.train import lora
from pipelines.worker import Worker

asked, kills = json.loads(sys.argv[2]), int(sys.argv[3])
chance = random.Random(1)

def life(runs, die):
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    die()
    request = intake.from_paths(requests.parse(asked), Assets(runs))
    with Worker(runs, "cpu", ()) as worker:
        if (runs / "id").exists():
            row = worker.queue.resume((runs / "id").read_text(), worker.owner)
        else:
            row = worker.queue.get(worker.queue.submit(request, owner=worker.owner))
            (runs / "id").write_text(row.id)
        row = worker.serve(row)
    os._exit(0 if row.state == "done" else 7)

def at_a_moment():
    signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.6, 2.0))

def in_a_save():
    counted = [chance.randrange(4)]
    fsync = os.fsync
    def dying(number):
        if "checkpoints" in os.readlink(f"/proc/self/fd/{number}"):
            counted[0] -= 1
            if counted[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        fsync(number)
    os.fsync = dying

signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
whole, killed = (Path(sys.argv[1]) / name for name in ("whole", "killed"))
assert life(whole, lambda: None) == 0
died = 0
while died < kills:
    status = life(killed, in_a_save if died % 2 else at_a_moment)
    if not os.WIFSIGNALED(status):
        break
    died += 1
    queue = Queue(killed)
    if queue.has((killed / "id").read_text()) and queue.get((killed / "id").read_text()).state == "quarantined":
        break
print(json.dumps({"killed": died}))
assert life(killed, lambda: None) == 0

# And once on two processes, started as torch's launchers start them: the same command, a rank each.
home = Path(sys.argv[1])
(home / "request.json").write_text(json.dumps({**asked, "max_train_steps": 3, "use_ema": False}))
with socket.socket() as found:
    found.bind(("127.0.0.1", 0))
    port = str(found.getsockname()[1])
pids = []
for rank in ("0", "1"):
    pids.append(os.fork())
    if not pids[-1]:
        os.environ.update(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
        from pipelines.__main__ import main
        os._exit(main(["run", str(home / "request.json"), "--runs", str(home / "two")]))
for pid in pids:
    assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny.stable_diffusion(tmp_path / "models" / "tiny")
    training.dataset(tmp_path / "data")
    monkeypatch.setenv("FLAWSMITH_MODELS", str(tmp_path / "models"))
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    return tmp_path


def told(run: Path) -> list[tuple[int, float]]:
    """(step, loss) of each line of a log."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


def died(folder: Path, kills: int, steps: int) -> int:
    """How often one was killed before it ended as the other, which nobody touched."""
    asked = json.dumps({**FIELDS, "data": str(folder / "data"), "max_train_steps": steps})
    done = subprocess.run(
        [sys.executable, "-c", DYING, str(folder), asked, str(kills)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280 if kills <= 10 else 3000,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    whole, run = (folder / name / (folder / name / "id").read_text() for name in ("whole", "killed"))
    file = "weights/pytorch_lora_weights.safetensors"
    one, other = load_file(whole / file), load_file(run / file)
    assert one.keys() == other.keys()
    assert all((one[key] == other[key]).all() for key in one), "not the same bits"
    assert [step for step, _ in told(run)] == list(range(1, steps + 1)), "a step is lost or told twice"
    assert told(run) == told(whole)
    return int(json.loads(done.stdout.splitlines()[0])["killed"])


def test_killed_twice_it_ends_in_the_same_bits_and_two_processes_train_as_one(folder: Path) -> None:
    """One test, as a process that imports all of this takes longer than everything else here."""
    assert died(folder, 2, 12) >= 1
    (run,) = (folder / "two").glob("2*")
    said = json.loads((run / "result.json").read_text())
    assert (said["processes"], said["steps"]) == (2, 3)
    assert [step for step, _ in told(run)] == [1, 2, 3]


@pytest.mark.long
def test_killed_fifty_times_it_ends_in_the_same_bits(folder: Path) -> None:
    assert died(folder, 50, 200) >= 40
