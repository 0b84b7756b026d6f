"""The export task from request to file: split, ZIP and folder, stop, refusals, same bytes for the same request."""

import json
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from pipelines.core import images, layouts, requests, splits
from pipelines.core.errors import BadInput, Cancelled, DiskFull, Missing, Problem
from pipelines.core.layouts import LAYOUTS, Leaf
from pipelines.core.models import Models
from pipelines.core.queue import Owner, Queue
from pipelines.core.requests import Export, Split
from pipelines.core.runs import Run
from pipelines.dataset import dealing, export
from pipelines.parts import targets
from pipelines.parts.datasets import load_runs
from pipelines.parts.exporters import EXPORTERS
from tests import pictures
from tests.runs import review, write

DISC, LINE = pictures.disc(), pictures.line()


@pytest.fixture
def ten(runs: Path) -> list[str]:
    """Ten runs of three pictures, each from a source of its own."""
    names = [f"run-{number}" for number in range(10)]
    for number, name in enumerate(names):
        areas = [[("scratch", LINE)], [("hole", DISC)], [("hole", DISC), ("scratch", LINE)]]
        write(runs, name, areas, source=pictures.good(seed=number), source_name=f"part {number}.png")
    return names


def begin(runs: Path, request: Export, kind: type[Run] = Run) -> Run:
    queue, me = Queue(runs), Owner.me()
    return kind(queue, queue.submit(request, owner=me), request, me)


def ask(data: list[str], **fields: Any) -> Export:
    request = requests.parse({"task": "export", "data": data, **fields})
    assert isinstance(request, Export)
    return request


def done(runs: Path, data: list[str], **fields: Any) -> tuple[Path, dict[str, Any]]:
    """The run's folder and its result."""
    request = ask(data, **fields)
    run = begin(runs, request)
    export.run(request, run, Models())
    return run.folder, json.loads((run.folder / "result.json").read_text())


def unpacked(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path) as packed:
        assert packed.testzip() is None
        assert {info.compress_type for info in packed.infolist()} == {zipfile.ZIP_STORED}
        packed.extractall(folder)
    return folder


def test_coco_from_request_to_masks(runs: Path, ten: list[str], tmp_path: Path) -> None:
    folder, result = done(runs, ten, format="coco")
    out = unpacked(folder / "export.zip", tmp_path / "out")
    assert result["output"] == "export.zip"
    assert (result["images"], result["good"], result["notes"]) == (30, 10, [])
    assert result["sources"] == {"train": 7, "val": 1, "test": 2}
    assert result["classes"]["val"] == {"good": 1, "hole": 2, "scratch": 2}
    areas = sum(
        annotation["area"]
        for part in ("train", "val", "test")
        for annotation in COCO(out / "annotations" / f"instances_{part}.json").dataset["annotations"]
    )
    assert areas == 10 * (2 * DISC.sum() + 2 * LINE.sum())


@pytest.mark.parametrize("kind", EXPORTERS)
@pytest.mark.parametrize("pairs", [True, False])
def test_the_tree_shown_beforehand_is_the_tree_that_is_written(
    runs: Path, ten: list[str], kind: str, pairs: bool
) -> None:
    only = [f"{run}/{stem}" for run in ten for stem in ("00000", "00002")][3:]
    folder, _ = done(runs, ten, format=kind, pairs=pairs, name="nut", only=only)
    with zipfile.ZipFile(folder / "export.zip") as packed:
        names = [name for name in packed.namelist() if not name.endswith("/")]
    written = Counter(f"{name.rpartition('/')[0]}/" if "/" in name else name for name in names)
    samples = load_runs(ten, runs, kept_only=False, only=only)
    layout, groups = LAYOUTS[kind], splits.grouped((sample.origin, sample.defects) for sample in samples)
    dealt = splits.deal(groups, Split().shares(), 0, first=layout.first)
    leaves = [Leaf(sample.origin, sample.defects, len(sample.regions)) for sample in samples]
    assert layouts.tree(layout, leaves, dealt, "nut", pairs=pairs) == written


@pytest.mark.parametrize("kind", EXPORTERS)
def test_the_same_request_gives_the_same_bytes(runs: Path, ten: list[str], kind: str) -> None:
    one, _ = done(runs, ten, format=kind)
    other, _ = done(runs, ten, format=kind)
    assert (one / "export.zip").read_bytes() == (other / "export.zip").read_bytes()


@pytest.mark.parametrize("kind", EXPORTERS)
def test_a_zip_and_a_folder_hold_the_same(runs: Path, ten: list[str], tmp_path: Path, kind: str) -> None:
    folder, _ = done(runs, ten, format=kind)
    out = unpacked(folder / "export.zip", tmp_path / "zip")
    done(runs, ten, format=kind, output=str(tmp_path / "new" / "folder"))
    put = tree(tmp_path / "new" / "folder")
    assert sorted(json.loads(put.pop(targets.LIST))) == sorted(tree(out))
    assert tree(out) == put
    assert not list(tmp_path.glob("new/.*"))


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_source_is_in_two_parts(runs: Path, ten: list[str], tmp_path: Path) -> None:
    write(runs, "again", [[("hole", LINE)]] * 5, source=pictures.good(seed=3), source_name="part 3.png")
    folder, _ = done(runs, [*ten, "again"], format="folder", seed=9)
    out = unpacked(folder / "export.zip", tmp_path / "out")
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    parts: dict[str, set[str]] = {}
    for row in rows:
        parts.setdefault(row["source"]["sha256"], set()).add(row["split"])
    assert len(parts) == 10
    assert all(len(found) == 1 for found in parts.values())


def test_one_photograph_fills_the_mvtec_test_and_says_why_the_rest_is_empty(runs: Path, tmp_path: Path) -> None:
    write(runs, "a", [[("hole", DISC)]] * 3)
    folder, result = done(runs, ["a"], format="mvtec", name="hazel nut")
    out = unpacked(folder / "export.zip", tmp_path / "out")
    assert sorted(path.name for path in (out / "hazel nut/test/hole").iterdir()) == ["000.png", "001.png", "002.png"]
    assert len(list((out / "hazel nut/ground_truth/hole").iterdir())) == 3
    assert (out / "hazel nut/train/good").is_dir()
    assert [note.split()[0] for note in result["notes"]] == ["train", "val"]
    assert all(note in (out / "README.md").read_text() for note in result["notes"])


@pytest.mark.parametrize("kind", [kind for kind in EXPORTERS if LAYOUTS[kind].loses or LAYOUTS[kind].one_mask])
def test_what_a_layout_cannot_hold_is_said_in_the_result_and_the_card(
    runs: Path, ten: list[str], tmp_path: Path, kind: str
) -> None:
    folder, result = done(runs, ten, format=kind)
    card = unpacked(folder / "export.zip", tmp_path / "out").joinpath("README.md").read_text()
    mixed = "one mask a picture: in 10 with several kinds nothing says which lies where"
    lost = [note for note in (LAYOUTS[kind].loses, mixed * LAYOUTS[kind].one_mask) if note]
    assert result["notes"] == lost
    plain = card.replace("\\", "")  # signs of Markdown in a note are escaped
    assert all(note in plain for note in lost)
    single = [f"{run}/00000" for run in ten]
    assert mixed not in done(runs, ten, format=kind, only=single)[1]["notes"]


def test_only_kept_pictures_leave_where_that_is_asked(runs: Path) -> None:
    review(write(runs, "a", [[("hole", DISC)]] * 4), _00001="kept", _00002="discarded")
    assert done(runs, ["a"])[1]["images"] == 3
    assert done(runs, ["a"], kept_only=True)[1]["images"] == 1


def test_the_card_counts_names_and_dates_nothing(runs: Path, ten: list[str], tmp_path: Path) -> None:
    folder, _ = done(runs, ten, format="yolo-seg", name="M6 nut")
    card = unpacked(folder / "export.zip", tmp_path / "out").joinpath("README.md").read_text()
    assert card.startswith("# M6 nut\n")
    assert "| scratch | 14 | 2 | 4 |" in card
    assert "| good | 7 | 1 | 2 |" in card
    assert "- base procedural: 30 pictures" in card
    assert "part 7.png" in card
    assert "Licence" in card


def test_a_second_export_takes_the_place_of_the_first(runs: Path, ten: list[str], tmp_path: Path) -> None:
    for output in (tmp_path / "out", tmp_path / "out.zip"):
        done(runs, ten, format="coco", output=str(output))
        done(runs, ten[:2], format="folder", output=str(output))
    assert not (tmp_path / "out" / "annotations").exists()
    assert len(list((tmp_path / "out" / "images").iterdir())) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.zip", "runs"]


class Stopped(Run):
    """A run that a person stops when it is on its twelfth picture; the queue is asked at every tick."""

    def tick(self, done: int, total: int, *more: Any, force: bool = False) -> None:
        if done == 12:
            Queue(self.folder.parent).stop(self.id)
        super().tick(done, total, *more, force=True)


@pytest.mark.parametrize("output", ["out", "out.zip", None])
def test_stop_leaves_nothing_and_what_was_there_before(
    runs: Path, ten: list[str], tmp_path: Path, output: str | None
) -> None:
    place = str(tmp_path / output) if output else None
    before = {}
    if output:
        done(runs, ten[:1], format="coco", output=place)
        before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.name != "runs"}
    request = ask(ten, format="coco", output=place)
    run = begin(runs, request, Stopped)
    with pytest.raises(Cancelled):
        export.run(request, run, Models())
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.name != "runs"} == before
    assert sorted(path.name for path in run.folder.iterdir()) == ["request.json"]


def test_what_a_killed_worker_left_is_cleared_away(runs: Path, ten: list[str]) -> None:
    request = ask(ten, format="coco")
    run = begin(runs, request)
    (run.folder / f".export.zip.{run.id}.part").write_bytes(b"half")
    export.run(request, run, Models())
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "export.zip",
        "log.jsonl",
        "request.json",
        "result.json",
    ]


def test_a_run_killed_after_its_export_only_finishes(runs: Path, ten: list[str]) -> None:
    request = ask(ten, format="coco")
    run = begin(runs, request)
    export.run(request, run, Models())
    (run.folder / "result.json").unlink()
    written = (run.folder / "export.zip").stat().st_mtime_ns
    again = Run(Queue(runs), run.id, request, Owner.me())
    export.run(request, again, Models())
    assert json.loads((run.folder / "result.json").read_text())["images"] == 30
    assert (run.folder / "export.zip").stat().st_mtime_ns == written


def occupied(folder: Path) -> Path:
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").write_text("keep me")
    return folder / "mine"


def foreign(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "mine.zip", "w") as packed:
        packed.writestr("notes.txt", "keep me")
    return folder / "mine.zip"


def text(folder: Path) -> Path:
    (folder / "mine").write_text("keep me")
    return folder / "mine"


def zip_folder(folder: Path) -> Path:
    (folder / "mine.zip").mkdir()
    return folder / "mine.zip"


@pytest.mark.parametrize("place", [occupied, foreign, text, zip_folder])
def test_what_is_no_export_of_ours_is_not_replaced(
    runs: Path, ten: list[str], tmp_path: Path, place: Callable[[Path], Path]
) -> None:
    path = place(tmp_path)
    with pytest.raises(BadInput, match=r"output: .*mine"):
        done(runs, ten, output=str(path))
    assert path.exists()


def test_an_earlier_export_is_replaced_but_nothing_a_person_put_there(
    runs: Path, ten: list[str], tmp_path: Path
) -> None:
    place = tmp_path / "set"
    done(runs, ten, output=str(place), format="yolo")
    done(runs, ten, output=str(place), format="coco")
    assert not (place / "data.yaml").exists()
    (place / "weights").mkdir()
    (place / "weights" / "best.pt").write_bytes(b"mine")
    with pytest.raises(BadInput, match=r"weights/best\.pt is not of it and would be lost"):
        done(runs, ten, output=str(place), format="coco")
    assert (place / "weights" / "best.pt").read_bytes() == b"mine"


def test_a_place_that_cannot_be_written_is_named(runs: Path, ten: list[str]) -> None:
    with pytest.raises(Problem, match="null"):
        done(runs, ten, output="/dev/null/out")


def test_no_room_is_found_before_anything_is_written(
    runs: Path, ten: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dealing, "RESERVE_BYTES", 2**62)
    with pytest.raises(DiskFull, match=r"needs about .* free"):
        done(runs, ten, output=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("output", ["out", "out.zip"])
def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path, output: str) -> None:
    path = Path("/dev/full")
    if not path.exists():
        pytest.skip("/dev/full, which is always full, is not on this system")
    (tmp_path / "there").mkdir()

    def fill() -> None:
        with targets.opened(tmp_path / "there" / output, "me", 7) as target, path.open("wb") as full:
            target.add("a/b.txt", b"some")
            full.write(b"x")
            full.flush()

    with pytest.raises(DiskFull, match=rf"{output} needs 7 bytes"):
        fill()
    assert list((tmp_path / "there").iterdir()) == []


@pytest.mark.parametrize(
    ("defect", "words"),
    [
        ("a/b", "'/'"),
        ("a\\b", "folder's name"),
        ("..", "no dot"),
        ("COM1", "no device"),
        ("good", "rename it"),
        ("a\nb", "folder's name"),
        ("", "folder's name"),
        ("x" * 121, "120 bytes"),
    ],
)
def test_a_class_that_cannot_be_a_folder_is_refused(runs: Path, defect: str, words: str) -> None:
    write(runs, "a", [[(defect, DISC)]])
    with pytest.raises(BadInput, match=words):
        done(runs, ["a"])


def test_classes_that_differ_in_case_alone_are_refused(runs: Path) -> None:
    write(runs, "a", [[("Hole", DISC)], [("Pit", DISC)], [("hole", LINE)]])
    with pytest.raises(BadInput, match="'Hole' and 'hole' differ in case alone"):
        done(runs, ["a"])


def test_a_name_that_cannot_be_a_folder_is_refused(runs: Path, ten: list[str]) -> None:
    with pytest.raises(BadInput, match=r"name '\.\./x'"):
        done(runs, ten, name="../x")


def test_spaces_and_every_script_are_kept(runs: Path, tmp_path: Path) -> None:
    write(runs, "a", [[("水渍 stain", DISC)]], source_name="=cmd|零件.png")
    folder, _ = done(runs, ["a"], format="mvtec", name="六角螺母 M6")
    out = unpacked(folder / "export.zip", tmp_path / "out")
    assert (out / "六角螺母 M6" / "test" / "水渍 stain" / "000.png").is_file()
    assert "'=cmd|零件.png" in (out / "pairs.csv").read_text(encoding="utf-8")


def test_a_good_picture_that_is_gone_is_asked_for_only_where_it_leaves(runs: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    write(elsewhere, "a", [[("hole", DISC)]])
    moved = (elsewhere / "a").rename(tmp_path / "moved")
    with pytest.raises(Missing, match="asset"):
        done(runs, [str(moved)], format="coco")
    assert done(runs, [str(moved)], format="coco", pairs=False)[1]["good"] == 0


def test_sixteen_bits_stay_sixteen(runs: Path, tmp_path: Path) -> None:
    write(runs, "a", [[("hole", DISC)]], source=pictures.good(bits=16))
    folder, _ = done(runs, ["a"], format="coco")
    out = unpacked(folder / "export.zip", tmp_path / "out")
    assert {images.read(path).pixels.dtype for path in (out / "images").iterdir()} == {np.dtype(np.uint16)}
