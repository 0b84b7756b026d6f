"""What comes from outside is kept byte for byte, once, whole, however many bring it at the same time."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from pipelines.core import ids, images
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Missing
from tests import bad_images
from tests.bad_images import NO_NAMES, ODD_NAMES, REFUSED, Case, colours, deep, pillow, tiff

ROOT = Path(__file__).parents[2]
HEADERS = [case for case in REFUSED if case.id.startswith("bomb-") and case.id != "bomb-scans"]


def everything(runs: Path) -> list[str]:
    return sorted(path.relative_to(runs).as_posix() for path in runs.rglob("*") if path.is_file())


def test_the_bytes_are_kept_untouched(runs: Path) -> None:
    data = pillow(colours(), "JPEG", exif=bad_images.exif(6))
    asset = Assets(runs).put(data, "nut.jpg")
    assert asset.path.read_bytes() == data
    assert (asset.name, asset.bytes, asset.sha256) == ("nut.jpg", len(data), hashlib.sha256(data).hexdigest())
    assert asset.id == ids.asset(asset.sha256, "nut.jpg")
    assert everything(runs) == [f"assets/{asset.id}/asset.json", f"assets/{asset.id}/original.jpg"]


def test_what_is_known_of_an_image_stands_beside_it(runs: Path) -> None:
    turned = Assets(runs).put(pillow(colours(), "JPEG", exif=bad_images.exif(6)), "turned.jpg")
    assert (turned.kind, turned.width, turned.height, turned.bits) == ("image", 61, 97, 8)
    assert (turned.height, turned.width) == images.read(turned.path).pixels.shape[:2]
    twice = Assets(runs).put(tiff(deep(), photometric="rgb"), "deep.png")
    assert (twice.kind, twice.width, twice.height, twice.bits, twice.path.suffix) == ("image", 97, 61, 16, ".tif")
    facts = json.loads((twice.path.parent / "asset.json").read_text(encoding="utf-8"))
    known = asdict(twice)
    assert {name: known[name] for name in ("name", "sha256", "bytes", "kind", "width", "height", "bits")} == {
        name: value for name, value in facts.items() if name != "file"
    }


def test_a_file_that_is_no_image_is_kept_as_it_is(runs: Path) -> None:
    asset = Assets(runs).put(b"PK\x03\x04 and so on", "parts.zip")
    assert (asset.kind, asset.width, asset.path.name) == ("file", None, "original")


def test_bytes_and_a_path_give_the_same_asset_and_the_path_stays(runs: Path, tmp_path: Path) -> None:
    data = pillow(colours(), "PNG")
    path = tmp_path / "anything.bin"
    path.write_bytes(data)
    store = Assets(runs)
    assert store.put(path, "nut.png") == store.put(data, "nut.png")
    assert path.read_bytes() == data


def test_the_same_file_under_another_name_is_another_asset(runs: Path) -> None:
    store = Assets(runs)
    data = pillow(colours(), "PNG")
    first, again, other = store.put(data, "a.png"), store.put(data, "a.png"), store.put(data, "b.png")
    assert first == again
    assert first.id != other.id
    assert first.sha256 == other.sha256
    assert len(list((runs / "assets").iterdir())) == 2


def test_what_was_put_is_there_for_another_process(runs: Path) -> None:
    asset = Assets(runs).put(b"something", "a.bin")
    assert Assets(runs).get(asset.id) == asset
    assert Assets(runs).has(asset.id)


@pytest.mark.parametrize("id", ["asset-" + "0" * 20, "", "..", "asset-../../../etc", "asset-" + "0" * 20 + "/..", "\0"])
def test_an_id_that_nobody_put_is_missing(runs: Path, id: str) -> None:
    store = Assets(runs)
    assert not store.has(id)
    with pytest.raises(Missing, match="upload it first"):
        store.get(id)


def test_a_file_changed_in_the_store_is_noticed(runs: Path) -> None:
    store = Assets(runs)
    asset = store.put(b"something", "a.bin")
    asset.path.write_bytes(b"something else")
    with pytest.raises(Missing, match=f"{asset.id} is damaged in the store: delete the folder"):
        store.get(asset.id)
    asset.path.unlink()
    with pytest.raises(Missing, match="is damaged"):
        store.get(asset.id)
    (asset.path.parent / "asset.json").write_text("[]")
    with pytest.raises(Missing, match="is damaged"):
        store.get(asset.id)


@pytest.mark.parametrize(("name", "shown"), ODD_NAMES.items(), ids=lambda name: ascii(name)[:30])
def test_any_name_can_be_kept_and_is_shown_on_one_line(runs: Path, name: str, shown: str) -> None:
    asset = Assets(runs).put(b"something", name)
    assert asset.name == shown
    assert asset.path.parent.parent == runs / "assets"
    assert Assets(runs).get(asset.id) == asset


@pytest.mark.parametrize("name", NO_NAMES, ids=repr)
def test_a_file_without_a_name_is_refused(runs: Path, name: str) -> None:
    with pytest.raises(BadInput, match="is no file name"):
        Assets(runs).put(b"something", name)
    assert everything(runs) == []


@pytest.mark.parametrize("case", HEADERS, ids=lambda case: case.id)
def test_an_image_too_large_to_decode_is_not_even_kept(runs: Path, case: Case) -> None:
    with pytest.raises(BadInput, match=r"part\.png"):
        Assets(runs).put(case.build(), "part.png")
    assert everything(runs) == []


def test_an_empty_and_a_too_large_file_are_refused_and_nothing_is_left(runs: Path, tmp_path: Path) -> None:
    store = Assets(runs, max_bytes=1_000)
    with pytest.raises(BadInput, match=r"a\.bin is empty"):
        store.put(b"", "a.bin")
    with pytest.raises(BadInput, match=r"a\.bin is larger than 1\.0 kB"):
        store.put(bytes(1_001), "a.bin")
    assert everything(runs) == []
    assert store.put(bytes(1_000), "a.bin").bytes == 1_000


def test_what_is_no_file_is_refused(runs: Path, tmp_path: Path) -> None:
    store = Assets(runs)
    with pytest.raises(Missing, match=r"there is no file gone\.png"):
        store.put(tmp_path / "x", "gone.png")
    with pytest.raises(BadInput, match="a folder or a device"):
        store.put(tmp_path, "folder")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="a folder or a device"):
        store.put(tmp_path / "pipe", "pipe")
    assert everything(runs) == []


def test_a_path_is_read_in_pieces(runs: Path, tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
from pipelines.core.assets import Assets
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
Assets(Path(sys.argv[1])).put(Path(sys.argv[2]), "large.bin")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(200_000_000)
    done = subprocess.run(
        [sys.executable, "-c", code, str(runs), str(large)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 30_000  # kB


def test_many_who_bring_the_same_files_at_once_keep_each_once(runs: Path) -> None:
    contents = [np.random.default_rng(number).bytes(200_000) for number in range(4)]
    together = threading.Barrier(16)

    def bring(number: int) -> str:
        together.wait()
        return Assets(runs).put(contents[number % 4], f"{number % 4}.bin").id

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(bring, range(16)))
    assert len(set(found)) == 4
    assert len(list((runs / "assets").iterdir())) == 4
    for number, id in enumerate(found):
        assert Assets(runs).get(id).path.read_bytes() == contents[number % 4]


def test_processes_that_bring_the_same_file_and_are_killed_leave_a_whole_one_or_none(runs: Path) -> None:
    code = """
import sys
from pathlib import Path
from pipelines.core.assets import Assets
print("ready", flush=True)
number = 0
while True:
    Assets(Path(sys.argv[1])).put(number.to_bytes(8) * 20_000, f"{number}.bin")
    number += 1
"""
    for delay in (0.02, 0.05, 0.11):
        workers = [
            subprocess.Popen([sys.executable, "-c", code, str(runs)], cwd=ROOT, stdout=subprocess.PIPE)
            for _ in range(2)
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"ready\n"
        threading.Event().wait(delay)
        for worker in workers:
            worker.kill()
            worker.communicate()
    kept = [folder for folder in (runs / "assets").iterdir() if not folder.name.startswith(".")]
    assert kept
    for folder in kept:
        asset = Assets(runs).get(folder.name)
        assert hashlib.sha256(asset.path.read_bytes()).hexdigest() == asset.sha256


def test_what_a_killed_process_left_half_filled_goes_when_it_is_old(tmp_path: Path) -> None:
    store = Assets(tmp_path)
    kept = store.put(b"kept", "kept.bin")
    old, new = store.folder / f".{'a' * 16}.tmp", store.folder / f".{'b' * 16}.tmp"
    for folder in (old, new):
        folder.mkdir()
        (folder / "half").write_bytes(b"half")
    os.utime(old, (0, 0))
    store.sweep()
    assert not old.exists()
    assert new.exists()
    assert store.get(kept.id).path.read_bytes() == b"kept"
