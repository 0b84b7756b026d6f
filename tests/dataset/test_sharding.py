"""Shards by way of the export task: read back with plain tarfile and pyarrow, resumed after a kill, written once."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pycocotools import mask as rle

from pipelines.core import images
from pipelines.core.errors import BadInput, DiskFull, Missing
from pipelines.core.models import Models
from pipelines.core.queue import Owner, Queue
from pipelines.core.requests import Export
from pipelines.core.runs import Run
from pipelines.dataset import dealing, export
from pipelines.parts import places, targets
from pipelines.parts.exporters import webdataset
from tests import pictures
from tests.dataset.test_export import ask, begin, done, tree, unpacked
from tests.runs import review, write

DISC, LINE = pictures.disc(), pictures.line()
KINDS = {"hole": DISC, "scr.atch": LINE}


@pytest.fixture
def four(runs: Path) -> list[str]:
    """Four runs of three pictures, each run from a source of its own."""
    for number in range(4):
        areas = [[("scr.atch", LINE)], [("hole", DISC)], [("hole", DISC), ("scr.atch", LINE)]]
        write(runs, f"run-{number}", areas, source=pictures.good(seed=number), source_name=f"part {number}.png")
    return [f"run-{number}" for number in range(4)]


def sharded(runs: Path, data: list[str], output: str | Path, **fields: Any) -> dict[str, Any]:
    return done(runs, data, format="webdataset", output=str(output), **{"shard_size": 4, **fields})[1]


def samples(folder: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(key, files by ending) as webdataset groups them: everything before the first dot is the key."""
    for shard in sorted(folder.glob("*.tar")):
        found: dict[str, dict[str, bytes]] = {}
        with tarfile.open(shard) as tar:
            for member in tar:
                assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")
                key, _, ending = member.name.partition(".")
                content = tar.extractfile(member)
                assert content is not None
                found.setdefault(key, {})[ending] = content.read()
        yield from found.items()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_shards_hold_pictures_masks_and_labels(runs: Path, four: list[str], tmp_path: Path) -> None:
    result = sharded(runs, four, tmp_path / "set")
    assert (result["images"], result["good"]) == (12, 4)
    own = {path.read_bytes(): path for path in runs.glob("run-*/images/*.png")}
    found = dict(samples(tmp_path / "set"))
    assert len(found) == 16
    for stem, files in found.items():
        told = json.loads(files["json"])
        if stem.startswith("good_"):
            assert sorted(files) == ["json", "png"]
            assert (told["classes"], told["regions"], told["request_sha256"]) == ([], [], None)
            continue
        path = own.pop(files["png"])
        asked = images.read_request(path)
        assert asked is not None
        assert told["request_sha256"] == hashlib.sha256(images.canonical(asked).encode()).hexdigest()
        masks = [KINDS[region["defect"]] for region in told["regions"]]
        assert np.array_equal(pixels(files["mask.png"]), np.logical_or.reduce(masks) * np.uint8(255))
        labels = np.zeros(DISC.shape, np.uint8)
        for region, mask in zip(told["regions"], masks, strict=True):
            assert region["class"] == sorted(KINDS).index(region["defect"]) + 1
            assert np.array_equal(rle.decode(region["segmentation"]), mask)
            assert region["area"] == mask.sum()
            labels[mask] = region["class"]
        assert np.array_equal(pixels(files["classes.png"]), labels)
        assert json.loads(found[told["good"]]["json"])["source_sha256"] == told["source_sha256"]
    assert not own


def test_the_tables_say_of_each_sample_what_it_came_from(runs: Path, four: list[str], tmp_path: Path) -> None:
    sharded(runs, four, tmp_path / "set")
    rows = [row for path in sorted((tmp_path / "set/manifest").iterdir()) for row in pq.read_table(path).to_pylist()]
    assert {row["stem"] for row in rows} == {key for key, _ in samples(tmp_path / "set")}
    assert set(rows[0]) == set(webdataset.COLUMNS)
    parts: dict[str, set[str]] = {}
    for row in rows:
        assert (tmp_path / "set" / row["shard"]).is_file()
        assert row["shard"].startswith(row["part"])
        parts.setdefault(row["source_sha256"], set()).add(row["part"])
    assert len(parts) == 4
    assert all(len(found) == 1 for found in parts.values())
    listed = json.loads((tmp_path / "set/shards.json").read_text())
    assert listed["classes"] == {"hole": 1, "scr.atch": 2}
    for shard in listed["shards"]:
        data = (tmp_path / "set" / shard["shard"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (shard["bytes"], shard["sha256"])
    assert sum(shard["samples"] for shard in listed["shards"]) == 16


class Killed(Exception):
    """As if the process had ended here."""


class Dies(Run):
    """A run that is killed when it has committed its second shard."""

    def commit(self, index: int, row: Any) -> None:
        super().commit(index, row)
        if index == 1:
            raise Killed


def test_killed_between_shards_it_goes_on_and_gives_the_same_bytes(runs: Path, four: list[str], tmp_path: Path) -> None:
    sharded(runs, four, tmp_path / "whole")
    request = ask(four, format="webdataset", shard_size=4, output=str(tmp_path / "set"))
    run = begin(runs, request, Dies)
    with pytest.raises(Killed):
        export.run(request, run, Models())
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "set").glob("*.tar")}
    assert len(before) == 2
    (tmp_path / "set" / f".{'0' * 16}.tmp").write_bytes(b"half a shard")
    export.run(request, Run(Queue(runs), run.id, request, Owner.me()), Models())
    assert tree(tmp_path / "set") == tree(tmp_path / "whole")
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "set").glob("*.tar")}
    assert before.items() <= after.items()
    assert json.loads((run.folder / "result.json").read_text())["written"] == len(after)


def test_the_same_export_again_writes_nothing_and_another_leaves_nothing_of_it(
    runs: Path, four: list[str], tmp_path: Path
) -> None:
    def times() -> dict[str, int]:
        return {path.as_posix(): path.stat().st_mtime_ns for path in (tmp_path / "set").rglob("*") if path.is_file()}

    assert sharded(runs, four, tmp_path / "set")["written"] > 3
    before = times()
    assert sharded(runs, four, tmp_path / "set")["written"] == 0
    assert times() == before
    sharded(runs, four[:1], tmp_path / "set", pairs=False)
    listed = json.loads((tmp_path / "set" / targets.LIST).read_text())
    assert sorted(listed) == sorted(set(tree(tmp_path / "set")) - {targets.LIST})
    assert len(list(samples(tmp_path / "set"))) == 3


def test_a_shard_that_was_changed_or_lost_is_written_again(runs: Path, four: list[str], tmp_path: Path) -> None:
    sharded(runs, four, tmp_path / "set")
    good = tree(tmp_path / "set")
    first, second = sorted((tmp_path / "set").glob("*.tar"))[:2]
    first.write_bytes(first.read_bytes()[:-1] + b"x")
    second.unlink()
    assert sharded(runs, four, tmp_path / "set")["written"] == 2
    assert tree(tmp_path / "set") == good


def test_an_address_a_folder_and_a_zip_hold_the_same(runs: Path, four: list[str], tmp_path: Path) -> None:
    sharded(runs, four, tmp_path / "set")
    sharded(runs, four, f"file://{tmp_path}/named")
    store = fsspec.filesystem("memory")
    address = f"memory://{tmp_path.name}/set"
    sharded(runs, four, address)
    try:
        assert sharded(runs, four, address)["written"] == 0
        root = f"/{tmp_path.name}/set/"
        there = {str(path).removeprefix(root): store.cat_file(path) for path in store.find(root)}
    finally:
        store.rm(f"/{tmp_path.name}", recursive=True)
    expected = tree(tmp_path / "set")
    assert there == expected == tree(tmp_path / "named")
    folder, _ = done(runs, four, format="webdataset", shard_size=4)
    del expected[targets.LIST]
    assert tree(unpacked(folder / "export.zip", tmp_path / "zip")) == expected


def test_what_is_no_export_of_ours_is_left_alone(runs: Path, four: list[str], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(BadInput, match="mine is not empty and no export of ours"):
        sharded(runs, four, tmp_path / "mine")
    assert tree(tmp_path / "mine") == {"notes.txt": b"keep me"}
    sharded(runs, four, tmp_path / "set")
    (tmp_path / "set" / "best.pt").write_bytes(b"mine")
    with pytest.raises(BadInput, match=r"best\.pt is not of it"):
        sharded(runs, four, tmp_path / "set")


@pytest.mark.parametrize(
    ("output", "error", "words"),
    [("nowhere://x", BadInput, "is no address"), ("gdrive://x", Missing, "needs a package that is not installed")],
)
def test_an_address_that_leads_nowhere_is_refused(
    runs: Path, four: list[str], output: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        sharded(runs, four, output)


def test_only_shards_go_to_an_address() -> None:
    with pytest.raises(BadInput, match="only a webdataset goes to an address; for coco"):
        ask(["a"], format="coco", output="s3://bucket/set")


def test_a_full_disk_is_waited_for_and_the_shards_that_are_there_stay(
    runs: Path, four: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(four, format="webdataset", shard_size=4, output=str(tmp_path / "set"))
    run = begin(runs, request, Dies)
    with pytest.raises(Killed):
        export.run(request, run, Models())
    again = Run(Queue(runs), run.id, request, Owner.me())
    with monkeypatch.context() as patch:
        patch.setattr(dealing, "RESERVE_BYTES", 2**62)
        with pytest.raises(DiskFull, match=r"needs about .* free"):
            export.run(request, again, Models())
    assert len(list((tmp_path / "set").glob("*.tar"))) == 2
    export.run(request, again, Models())
    assert len(list(samples(tmp_path / "set"))) == 16


def test_without_pyarrow_the_tables_are_json_lines_and_a_note_says_so(
    runs: Path, four: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webdataset, "has_parquet", lambda: False)
    assert webdataset.NO_PARQUET in sharded(runs, four, tmp_path / "set")["notes"]
    rows = [
        json.loads(line)
        for path in sorted((tmp_path / "set/manifest").glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    assert {row["stem"] for row in rows} == {key for key, _ in samples(tmp_path / "set")}


def test_what_was_discarded_or_set_aside_or_is_left_out_never_leaves(
    runs: Path, four: list[str], tmp_path: Path
) -> None:
    review(runs / "run-0", _00001="discarded")
    manifest = runs / "run-1/manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    rows[2]["aside"] = {"gate": "visibility", "why": "too faint"}
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    gone = [runs / "run-0/images/00001.png", runs / "run-1/images/00002.png", runs / "run-2/images/00000.png"]
    result = sharded(runs, four, tmp_path / "set", without=["run-2/00000"])
    assert result["images"] == 9
    there = {files["png"] for _, files in samples(tmp_path / "set")}
    assert not there & {path.read_bytes() for path in gone}


def test_a_place_that_is_not_whole_at_once_gets_each_file_under_another_name_first(tmp_path: Path) -> None:
    class Slow:
        """A file system that writes down what was asked of it."""

        def __init__(self) -> None:
            self.said: list[tuple[str, ...]] = []

        def makedirs(self, path: str, exist_ok: bool) -> None: ...

        def put_file(self, here: str, there: str) -> None:
            self.said.append(("put", there))

        def mv(self, one: str, other: str) -> None:
            self.said.append(("mv", one, other))

    slow = Slow()
    store = places.Store(slow, "host/set", "sftp://host/set", tmp_path, at_once=False)
    store.put(tmp_path / "draft", "a.tar")
    part = f"host/set/a.tar{places.PART}"
    assert slow.said == [("put", part), ("mv", part, "host/set/a.tar")]


def test_shards_are_what_the_request_is_asked_for() -> None:
    assert Export(data=("a",), format="webdataset", output="set").in_shards
    assert not Export(data=("a",), format="webdataset", output="set.zip").in_shards
    assert not Export(data=("a",), format="webdataset").in_shards
