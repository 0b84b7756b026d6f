"""A ZIP is unpacked whole, or not at all: bombs, names that lead out, links, encodings, kills."""

import os
import signal
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.core import extract
from pipelines.core.errors import BadInput, DiskFull
from pipelines.core.extract import Limits

SMALL = Limits(files=20, deep=4, total=3_000_000, reserve=0, ratio=200, small=100_000)


def packed(path: Path, *named: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in named:
            archive.writestr(name, data)
    return path


def unpack(archive: Path, limits: Limits = SMALL, name: str = "") -> Path:
    return extract.unpack(archive, archive.parent / "here" / "zip-1", name or archive.name, limits)


def nothing(home: Path) -> bool:
    return not (home / "here").exists() or list((home / "here").iterdir()) == []


def names(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_what_was_packed_comes_out_below_the_archives_name(tmp_path: Path) -> None:
    root = unpack(packed(tmp_path / "革 leather.zip", ("good/0.png", b"a"), ("cut/1.png", b"b"), ("inner.zip", b"PK")))
    assert root.name == "革 leather"
    assert names(root) == ["cut/1.png", "good/0.png", "inner.zip"]
    assert (root / "cut/1.png").read_bytes() == b"b"


@pytest.mark.parametrize("more", [(), (("__MACOSX/tile/._0.png", b"x"), ("tile/.DS_Store", b"x"))])
def test_one_folder_on_top_is_the_root(tmp_path: Path, more: tuple[tuple[str, bytes], ...]) -> None:
    root = unpack(packed(tmp_path / "a.zip", ("tile/good/0.png", b"a"), ("tile/cut/1.png", b"b"), *more))
    assert (root.name, names(root)) == ("tile", ["cut/1.png", "good/0.png"])


@pytest.mark.parametrize("name", ["..", "CON", " . ", "a\nb"])
def test_a_name_that_makes_no_folder_is_replaced(tmp_path: Path, name: str) -> None:
    root = unpack(packed(tmp_path / "a.zip", ("a.png", b"a"), ("b.png", b"b")), name=f"{name}.zip")
    assert root.parent == tmp_path / "here" / "zip-1"
    assert root.name == "data"


OUT = ["/etc/passwd", "../up.png", "a/../../up.png", "C:/up.png", "a\\..\\up.png", "CON", "a/nul.txt", "a\nb", "a//b"]


@pytest.mark.parametrize("name", [*OUT, "x" * 300])
def test_names_that_lead_out_are_refused_and_nothing_stays(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="leads out of its folder"):
        unpack(packed(tmp_path / "a.zip", ("fine.png", b"a"), (name, b"b")))
    assert nothing(tmp_path)
    assert not (tmp_path / "up.png").exists()


def test_a_nul_in_a_name_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", ("fine.png", b"a"), ("nulX.png", b"b"))
    path.write_bytes(path.read_bytes().replace(b"nulX.png", b"nul\0.png"))
    with pytest.raises(BadInput, match="leads out of its folder"):
        unpack(path)


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o010644])
def test_links_and_devices_are_refused(tmp_path: Path, mode: int) -> None:
    info = zipfile.ZipInfo("link.png")
    info.external_attr, info.create_system = mode << 16, 3
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(BadInput, match="a link or a device"):
        unpack(tmp_path / "a.zip")


BIG = os.urandom(1_600_000)
REFUSED: dict[str, tuple[list[tuple[str, bytes]], str]] = {
    "too many": ([(f"{n}.png", b"") for n in range(21)], "more than 20 files"),
    "too deep": ([("a/b/c/d/e.png", b"a")], "more than 4 deep"),
    "too large": ([("a.png", BIG), ("b.png", BIG)], "at most 3.0 MB"),
    "a bomb": ([("a.bmp", bytes(2_000_000)), ("b.png", BIG)], "more than 200 times"),
    "many small bombs": ([(f"{n}.bmp", bytes(90_000)) for n in range(20)], "more than 200 times"),
    "a file that is a folder": ([("a", b"x"), ("a/b.png", b"y")], "'a' twice"),
    "nothing": ([("a/", b"")], "holds no file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_too_much_is_refused_before_anything_is_written(tmp_path: Path, case: str) -> None:
    files, sentence = REFUSED[case]
    with pytest.raises(BadInput, match=sentence):
        unpack(packed(tmp_path / "a.zip", *files))
    assert nothing(tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"'a\.png' twice"):
        unpack(packed(tmp_path / "a.zip", ("a.png", b"a"), ("a.png", b"b")))


def test_the_disk_keeps_its_reserve(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="make room"):
        unpack(packed(tmp_path / "a.zip", ("a.png", b"a")), Limits(reserve=2**62))


def _locked(data: bytearray) -> None:
    data[data.index(b"PK\x01\x02") + 8] |= 1


def _smaller(data: bytearray) -> None:
    """The directory says fewer bytes than there are."""
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<L", 10)


def _cut(data: bytearray) -> None:
    del data[len(data) // 2 :]


def _flipped(data: bytearray) -> None:
    data[60] ^= 0xFF


def _many(data: bytearray) -> None:
    at = data.index(b"PK\x05\x06") + 12
    data[at : at + 4] = struct.pack("<L", 2**31)


DAMAGED: dict[Callable[[bytearray], None], str] = {
    _locked: "locked with a password",
    _smaller: "no whole ZIP|more than it says|less than it says",
    _cut: "no ZIP, or only a part",
    _flipped: "no whole ZIP",
    _many: "more than 20 files",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_what_is_not_as_it_says_leaves_nothing(tmp_path: Path, damage: Callable[[bytearray], None]) -> None:
    path = packed(tmp_path / "a.zip", ("a.png", os.urandom(4000)))
    data = bytearray(path.read_bytes())
    damage(data)
    path.write_bytes(data)
    with pytest.raises(BadInput, match=DAMAGED[damage]):
        unpack(path)
    assert nothing(tmp_path)


def test_no_zip_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(BadInput, match="is no ZIP"):
        unpack(tmp_path / "a.zip")


NAMES = [("Größe.png", "cp437"), ("缺陷.png", "gbk"), ("欠陥.png", "utf-8"), ("plain.png", "ascii")]


@pytest.mark.parametrize(("name", "written"), NAMES)
def test_names_without_a_flag_are_read_as_they_were_written(tmp_path: Path, name: str, written: str) -> None:
    raw = name.encode(written)
    stand_in = "x" * len(raw)
    path = packed(tmp_path / "a.zip", (stand_in, b"a"), ("b.png", b"b"))
    path.write_bytes(path.read_bytes().replace(stand_in.encode(), raw))
    assert names(unpack(path)) == sorted([name, "b.png"])


def test_names_with_the_flag_are_utf8(tmp_path: Path) -> None:
    assert names(unpack(packed(tmp_path / "a.zip", ("欠陥 é.png", b"a"), ("b.png", b"b")))) == ["b.png", "欠陥 é.png"]


KILLED = """
import os, signal, sys
from pathlib import Path
from pipelines.core import extract
read = extract._write
def write(packed, entries, top, name):
    read(packed, entries[:1], top, name)
    os.kill(os.getpid(), signal.SIGKILL)
extract._write = write
extract.unpack(Path(sys.argv[1]), Path(sys.argv[2]), "a.zip")
"""


def test_a_kill_leaves_nothing_half_that_is_not_swept(tmp_path: Path) -> None:
    archive, home = packed(tmp_path / "a.zip", ("a.png", b"a"), ("b.png", b"b")), tmp_path / "home"
    home.mkdir()
    ended = subprocess.run([sys.executable, "-c", KILLED, str(archive), str(home / "zip-1")], check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = home.iterdir()
    assert left.name.endswith(".tmp")
    (home / "dataset-1.json").write_text("{}")
    extract.sweep(home)
    assert [path.name for path in home.iterdir()] == ["dataset-1.json"]
