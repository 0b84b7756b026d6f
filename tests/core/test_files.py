"""A file is written whole or not at all, also on a full disk; a name stays inside its folder."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipelines.core import files
from pipelines.core.errors import BadInput, Missing, Problem
from tests.bad_images import NO_NAMES, ODD_NAMES

ROOT = Path(__file__).parents[2]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def python(code: str, *arguments: object, wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*wrapper, sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_what_is_written_is_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    files.write_bytes(path, b"one")
    files.write_bytes(path, b"two, longer")
    assert path.read_bytes() == b"two, longer"
    assert names(tmp_path) == ["a.bin"]


def test_a_new_file_may_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    """The page, the worker and the command line may be three users of one group."""
    before = os.umask(0o027)
    try:
        files.write_bytes(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_json_keeps_every_script_and_refuses_what_json_has_not(tmp_path: Path) -> None:
    value = {"name": "部品 №3", "scores": [0.25, None]}
    files.write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == value
    assert "部品" in (tmp_path / "a.json").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "b.json", {"score": float("nan")})
    assert names(tmp_path) == ["a.json"]


def test_a_failure_while_writing_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    files.write_bytes(path, b"old")

    def half() -> None:
        with files.replacing(path) as file:
            file.write(b"half of the ne")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"a\.png cannot be written: the folder .*gone is not there"):
        files.write_bytes(tmp_path / "gone" / "a.png", b"x")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Missing, match="is not there"):
        files.write_bytes(tmp_path / "file" / "a.png", b"x")


def test_a_name_too_long_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="255 bytes"):
        files.write_bytes(tmp_path / ("a" * 256), b"x")
    files.write_bytes(tmp_path / ("a" * 255), b"x")
    assert names(tmp_path) == ["a" * 255]


def test_a_folder_in_the_way_is_a_problem_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(Problem, match=r"a\.png could not be written"):
        files.write_bytes(tmp_path / "a.png", b"x")
    assert names(tmp_path) == ["a.png"]


FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from pipelines.core import files, images
from pipelines.core.assets import Assets
from pipelines.core.errors import DiskFull
from tests.bad_images import colours
folder = Path(sys.argv[1])
(folder / "data.bin").write_bytes(b"old")
writes = {
    "data.bin": lambda: files.write_bytes(folder / "data.bin", bytes(50_000)),
    "data.json": lambda: files.write_json(folder / "data.json", ["x" * 50_000]),
    "part.png": lambda: images.write_png(folder / "part.png", colours()),
    "upload.bin": lambda: Assets(folder).put(bytes(50_000), "upload.bin"),
}
def everything():
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
for room in (0, 1, 4096, 9_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    for name, write in writes.items():
        try:
            write()
        except DiskFull as full:
            sentence = str(full)
            assert name in sentence and str(folder) in sentence, sentence
            assert "limit" in sentence and "make room" in sentence, sentence
            assert name not in ("data.bin", "upload.bin") or "50.0 kB" in sentence, sentence
        else:
            raise SystemExit(f"{name} was written with room for {room} bytes")
        assert everything() == ["data.bin"], everything()
        assert not list(folder.rglob("*.tmp")), "left behind"
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert (folder / "data.bin").read_bytes() == b"old"
for write in writes.values():
    write()
assert images.read(folder / "part.png").width == colours().shape[1]
print("held")
"""


def test_where_no_more_may_be_written_nothing_is_left_and_room_mends_it(tmp_path: Path) -> None:
    """The kernel's own limit on file sizes: it stops a write in the middle on every system, also for root."""
    done = python(FULL, tmp_path)
    assert done.stdout == "held\n", done.stderr


SMALL_DISK = """
import subprocess, sys
from pathlib import Path
folder = Path(sys.argv[1])
mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
mounted = subprocess.run(mount, capture_output=True, text=True)
if mounted.returncode:
    raise SystemExit("no mount: " + mounted.stderr)
from pipelines.core import files
from pipelines.core.errors import DiskFull, Problem
files.write_bytes(folder / "kept.bin", bytes(20_000))
try:
    files.write_bytes(folder / "kept.bin", bytes(60_000))
except DiskFull as full:
    sentence = str(full)
assert "the disk is full: kept.bin needs 60.0 kB" in sentence and "is free" in sentence, sentence
assert [path.name for path in folder.iterdir()] == ["kept.bin"]
assert (folder / "kept.bin").stat().st_size == 20_000
subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
try:
    files.write_bytes(folder / "more.bin", b"x")
except Problem as refused:
    sentence = str(refused)
assert "Read-only file system" in sentence and "make that folder writable" in sentence, sentence
print("held")
"""


def test_a_disk_that_is_full_and_one_that_is_read_only_are_told_apart(tmp_path: Path) -> None:
    done = python(SMALL_DISK, tmp_path, wrapper=("unshare", "--user", "--map-root-user", "--mount"))
    if "no mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"this machine lets nobody mount a small disk of their own: {done.stderr.strip()[:200]}")
    assert done.stdout == "held\n", done.stderr


READ_ONLY = """
import os, sys
from pathlib import Path
from pipelines.core import files
from pipelines.core.assets import Assets
from pipelines.core.errors import DiskFull, Problem
folder = Path(sys.argv[1])
if os.geteuid() == 0:  # whom no permission stops
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for write in (lambda: files.write_bytes(folder / "a.png", b"x"), lambda: Assets(folder).put(b"x", "a.png")):
    try:
        write()
    except Problem as refused:
        sentence = str(refused)
        assert not isinstance(refused, DiskFull) and refused.code == "failed", refused.code
        assert "a.png" in sentence and str(folder) in sentence and "make that folder writable" in sentence, sentence
    else:
        raise SystemExit("written")
assert not list(folder.iterdir())
print("held")
"""


def test_a_folder_one_may_not_write_in_is_named() -> None:
    with tempfile.TemporaryDirectory() as folder:  # not below tmp_path, which only its owner may enter
        Path(folder).chmod(0o555)
        done = python(READ_ONLY, folder)
        Path(folder).chmod(0o755)
    assert done.stdout == "held\n", done.stderr


# Seventeen spellings of "somewhere else", and what only some systems take for one.
ELSEWHERE = (
    "../secret.png",
    "images/../../secret.png",
    "..",
    ".",
    "",
    "/etc/passwd",
    "//host/share/a.png",
    "..\\secret.png",
    "images\\..\\..\\secret.png",
    "C:\\secret.png",
    "C:secret.png",
    "\\\\host\\share\\a.png",
    "images/./00000.png",
    "images//00000.png",
    "images/00000.png/",
    "images/00000.png\0.jpg",
    "images/\n00000.png",
    "link.png",
    "folder/secret.png",
    "circle/a.png",
    "lone\udcff.png",
    "a" * 256,
    "a/" * 3000 + "b",
    "CON",
    "nul.txt",
    "images/com1.png",
    "LPT9",
    "AUX .png",
    "PRN:stream",
)


@pytest.mark.parametrize("name", ELSEWHERE, ids=lambda name: ascii(name)[:30])
def test_a_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    root = tmp_path / "run"
    (root / "images").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"secret")
    (root / "link.png").symlink_to("../secret.png")
    (root / "folder").symlink_to("..")
    (root / "circle").symlink_to("circle")
    with pytest.raises(BadInput, match=r"use (the name of a file|a name like)"):
        files.inside(root, name)


@pytest.mark.parametrize(
    "name",
    [
        "images/00000.png",
        "part.png",
        "..part.png",
        "a..b.png",
        "部品 №3.png",
        "-rf.png",
        "~root",
        "%2e%2e%2fa",
        "console.png",
    ],
)
def test_a_name_inside_is_the_file_inside(name: str, tmp_path: Path) -> None:
    assert files.inside(tmp_path, name) == tmp_path.resolve() / name


def test_a_link_that_stays_inside_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "b.png").symlink_to("a.png")
    assert files.inside(tmp_path, "b.png") == tmp_path.resolve() / "a.png"


def test_a_root_that_is_a_link_itself_is_no_way_out(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "runs").symlink_to("real")
    assert files.inside(tmp_path / "runs", "a.png") == (tmp_path / "real").resolve() / "a.png"


@pytest.mark.parametrize(("name", "shown"), ODD_NAMES.items(), ids=lambda name: ascii(name)[:30])
def test_a_name_is_shown_on_one_line_with_what_it_hides(name: str, shown: str) -> None:
    assert files.plain_name(name) == shown
    assert len(shown.encode()) <= 255
    assert files.plain_name(shown) == shown


@pytest.mark.parametrize("name", NO_NAMES, ids=repr)
def test_a_name_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="is no file name"):
        files.plain_name(name)


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_500, "1.5 kB"), (52_000_000, "52.0 MB"), (3 * 10**9, "3.0 GB")],
)
def test_sizes_are_said_as_people_say_them(count: int, words: str) -> None:
    assert files.size(count) == words
