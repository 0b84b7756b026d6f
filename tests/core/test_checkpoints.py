"""A checkpoint is whole or not there: whatever dies in the middle of a save, the newest whole one is found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.core import checkpoints
from pipelines.core.checkpoints import MANIFEST
from pipelines.core.errors import BadInput, DiskFull

# Saves step 2 over a step 1, keeps one, and dies at the n-th call that touches the disk.
DYING = """
import os, sys
from pathlib import Path
from pipelines.core import checkpoints

home, left = Path(sys.argv[1]), int(sys.argv[2])

def dying(call):
    def at(*given, **named):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return call(*given, **named)
    return at

os.fsync = dying(os.fsync)
os.unlink, os.rmdir = dying(os.unlink), dying(os.rmdir)
Path.rename, Path.replace, Path.mkdir = dying(Path.rename), dying(Path.replace), dying(Path.mkdir)

def write(folder):
    (folder / "weights.bin").write_bytes(b"2" * 4096)
    (folder / "deeper").mkdir()
    (folder / "deeper" / "more.bin").write_bytes(b"two")

checkpoints.save(home, 2, {"loss": 0.5}, write)
checkpoints.prune(home, 1)
"""


def put(home: Path, step: int, text: bytes = b"weights") -> checkpoints.Checkpoint:
    def write(folder: Path) -> None:
        (folder / "weights.bin").write_bytes(text)

    return checkpoints.save(home, step, {"at": step}, write)


def test_what_was_saved_is_found_with_its_facts(tmp_path: Path) -> None:
    for step in (3, 12, 7):
        put(tmp_path / "run" / "checkpoints", step)
    found, told = checkpoints.newest(tmp_path / "run" / "checkpoints")
    assert found is not None
    assert (found.step, found.folder.name, found.facts, told) == (12, "checkpoint-000012", {"at": 12}, [])
    assert (found.folder / "weights.bin").read_bytes() == b"weights"


def test_where_nothing_was_saved_nothing_is_found(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path) == (None, [])
    assert checkpoints.newest(tmp_path / "nowhere") == (None, [])


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "no manifest", "manifest cut", "leads out"])
def test_a_damaged_one_is_told_and_passed_over(tmp_path: Path, damage: str) -> None:
    put(tmp_path, 1)
    folder = put(tmp_path, 2).folder
    weights, manifest = folder / "weights.bin", folder / MANIFEST
    if damage == "cut":
        weights.write_bytes(b"wei")
    elif damage == "changed":
        weights.write_bytes(b"weightz")
    elif damage == "gone":
        weights.unlink()
    elif damage == "no manifest":
        manifest.unlink()
    elif damage == "manifest cut":
        manifest.write_bytes(manifest.read_bytes()[:40])
    else:
        said = json.loads(manifest.read_text())
        said["files"]["../../etc/passwd"] = said["files"].pop("weights.bin")
        manifest.write_text(json.dumps(said))
    with pytest.raises(BadInput):
        checkpoints.check(folder)
    found, (sentence,) = checkpoints.newest(tmp_path)
    assert found is not None
    assert found.step == 1
    assert "checkpoint-000002" in sentence or "leads out" in sentence


def test_a_whole_one_is_not_written_again_and_a_damaged_one_is(tmp_path: Path) -> None:
    put(tmp_path, 5, b"first")
    assert (put(tmp_path, 5, b"second").folder / "weights.bin").read_bytes() == b"first"
    (tmp_path / "checkpoint-000005" / "weights.bin").write_bytes(b"xxxxx")
    assert (put(tmp_path, 5, b"third").folder / "weights.bin").read_bytes() == b"third"


def test_the_last_ones_and_the_best_one_stay(tmp_path: Path) -> None:
    for step in range(1, 7):
        put(tmp_path, step)
    assert checkpoints.prune(tmp_path, 2, best=3) == [1, 2, 4]
    assert sorted(one.name[-1] for one in tmp_path.iterdir()) == ["3", "5", "6"]
    assert checkpoints.prune(tmp_path, 10) == []


def test_an_error_while_writing_leaves_nothing(tmp_path: Path) -> None:
    put(tmp_path, 1)

    def write(folder: Path) -> None:
        (folder / "weights.bin").write_bytes(b"some")
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskFull, match="the disk is full"):
        checkpoints.save(tmp_path, 2, {}, write)
    assert [one.name for one in tmp_path.iterdir()] == ["checkpoint-000001"]


def test_killed_at_any_moment_a_whole_one_remains_and_the_next_save_tidies_up(tmp_path: Path) -> None:
    seen = set()
    for calls in range(100):
        home = tmp_path / str(calls)
        put(home, 1)
        done = subprocess.run([sys.executable, "-c", DYING, str(home), str(calls)], timeout=60, check=False)
        found, told = checkpoints.newest(home)
        assert found is not None, calls
        assert told == [], calls
        seen.add(found.step)
        if done.returncode == 0:
            break
        assert done.returncode == 9
        put(home, 3)
        checkpoints.prune(home, 1)
        assert [one.name for one in home.iterdir()] == ["checkpoint-000003"]
    else:
        raise AssertionError("it never came to its end")
    assert seen == {1, 2}
    assert calls > 8
