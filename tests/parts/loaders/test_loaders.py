"""Each layout read: what is found where, what is reported, and our own exports read back."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.core import images, splits
from pipelines.core.errors import BadInput, Missing
from pipelines.parts import loaders
from pipelines.parts.datasets import load_runs
from pipelines.parts.exporters import EXPORTERS, Book, Entry
from pipelines.parts.loaders import LOADERS, Example, Fault, detect, load, mask_of
from tests import flawed_sets, pictures
from tests.flawed_sets import HEIGHT, WIDTH, place, put, spot
from tests.parts.loaders.test_others import SETS
from tests.runs import hard, write

SHAPE = (HEIGHT, WIDTH)


def magnetic_tile(root: Path) -> None:
    for kind in ("MT_Crack", "MT_Free"):
        for number in range(2):
            path = put(root / f"{kind}/Imgs/exp{number}_num_1.png", spot(place(number)) & (kind == "MT_Crack"))
            flawed_sets.saved(path.with_suffix(".jpg"), flawed_sets.part(number), "JPEG")


def defectfill(root: Path) -> None:
    for number in range(2):
        put(root / f"train/good/{number:03}.png", flawed_sets.part(number))
        put(root / f"train/defective/hole/{number:03}.png", flawed_sets.part(9 + number, at=place(number)))
        put(root / f"train/defective_masks/hole/{number:03}_mask.png", spot(place(number)))


def beside(root: Path) -> None:
    """part.png and part_mask.png."""
    for number in range(2):
        put(root / f"hole/part_{number}.png", flawed_sets.part(number, at=place(number)))
        put(root / f"hole/part_{number}_mask.png", spot(place(number)))
    put(root / "ok/part_7.png", flawed_sets.part(7))


def folders(root: Path) -> None:
    """images/ and masks/ with folders for defects, and good pictures without masks."""
    for number in range(2):
        put(root / f"images/hole/part_{number}.png", flawed_sets.part(number, at=place(number)))
        put(root / f"masks/hole/part_{number}.png", spot(place(number)))
    put(root / "images/good/part_7.png", flawed_sets.part(7))


# The set, its layout, and how many pictures of which part and defect it has.
TREES: tuple[tuple[Callable[[Path], None], str, dict[tuple[str, str], int]], ...] = (
    (
        flawed_sets.mvtec,
        "mvtec",
        {("train", ""): 6, ("test", ""): 3, ("test", "crack"): 4, ("test", "hole"): 4},
    ),
    (defectfill, "defectfill", {("train", ""): 2, ("train", "hole"): 2}),
    (magnetic_tile, "magnetic_tile", {("", "MT_Crack"): 2, ("", ""): 2}),
    (flawed_sets.voc, "voc", {("", "scratch"): 3, ("", "dent"): 3}),
    (
        flawed_sets.yolo,
        "yolo",
        {("train", "scratch"): 2, ("train", "dent"): 2, ("val", "scratch"): 1, ("val", "dent"): 1},
    ),
    (flawed_sets.coco, "coco", {("train", "dent"): 4}),
    (flawed_sets.numbered, "paired", {("train", "1"): 2, ("train", "2"): 2, ("train", "3"): 2}),
    (beside, "paired", {("", "hole"): 2, ("", ""): 1}),
    (folders, "paired", {("", "hole"): 2, ("", ""): 1}),
    (flawed_sets.captioned, "captioned", {("", ""): 5}),
)


@pytest.mark.parametrize(("make", "layout", "counts"), TREES, ids=[make.__name__ for make, _, _ in TREES])
def test_a_layout_is_known_and_read(
    make: Callable[[Path], None], layout: str, counts: dict[tuple[str, str], int], tmp_path: Path
) -> None:
    make(tmp_path)
    assert detect(tmp_path) == layout
    found = load(tmp_path)
    assert [example.image for example in found] == sorted(example.image for example in found)
    assert Counter((example.part, example.defect) for example in found) == counts
    for example in found:
        shape = images.read(example.image).pixels.shape[:2]
        assert mask_of(example, shape).any() == bool(example.defect)
        assert not example.classes or all(example.classes)


def test_every_layout_is_tried() -> None:
    assert {layout for _, layout, _ in (*TREES, *SETS)} | {"run", "packed"} == set(LOADERS)


@pytest.mark.parametrize("make", [flawed_sets.voc, flawed_sets.yolo, flawed_sets.coco])
def test_boxes_are_counted_alike_in_every_format(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path)
    x, y = place(1)
    (example,) = [one for one in load(tmp_path) if one.image.stem == "part_1"]
    assert [(box.x0, box.y0, box.x1, box.y1, box.defect) for box in example.boxes] == [
        (x - 9, y - 9, x + 10, y + 10, "dent")
    ]
    assert mask_of(example, SHAPE).sum() == 19 * 19


def test_numbers_name_no_part_and_serial_numbers_do(tmp_path: Path) -> None:
    flawed_sets.mvtec(tmp_path)
    put(tmp_path / "train/good/SN-4711_aug2.png", flawed_sets.part(40))
    put(tmp_path / "train/good/bolt_9_jpg.rf.00ffaa.png", flawed_sets.part(41))
    groups = {example.image.name: example.group for example in load(tmp_path) if example.part == "train"}
    assert groups["SN-4711_aug2.png"] == "SN-4711"
    assert groups["bolt_9_jpg.rf.00ffaa.png"] == "bolt_9"
    assert groups["000.png"] == "train/good/000"
    assert Example(Path("a/b.png")).group == "b"


def test_voc_has_parts_and_its_test_needs_no_labels(tmp_path: Path) -> None:
    flawed_sets.voc(tmp_path)
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("part_0\npart_1\n")
    (lists / "test.txt").write_text("part_9\n")
    put(tmp_path / "JPEGImages" / "part_9.png", flawed_sets.part(9))
    assert Counter(example.part for example in load(tmp_path)) == {"train": 2, "": 4}


def test_class_numbers_may_have_names_and_a_picture_several_classes(tmp_path: Path) -> None:
    flawed_sets.numbered(tmp_path)
    (tmp_path / "classes.txt").write_text("background\npatch\nscratch\ninclusion\n")
    two = spot(place(0)).astype(np.uint8) + 2 * spot((100, 80)).astype(np.uint8)
    two[0, 0] = 255
    put(tmp_path / "masks/train/000.png", two)
    found = load(tmp_path)
    assert [example.defect for example in found[:2]] == ["patch", "scratch"]
    assert np.array_equal(mask_of(found[1], SHAPE), spot((100, 80)))
    assert {example.defect for example in found} == {"patch", "scratch", "inclusion"}


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ((), "holds nothing, and no layout fits"),
        (("notes.md", "__old/a.png"), "holds __old, notes.md"),
        (("leather/test/cut/000.png", "leather/train/good/0.png", "nut/train/defective/a/0.png"), "holds 2 data sets"),
    ],
)
def test_a_folder_that_is_no_data_set_is_described(there: tuple[str, ...], words: str, tmp_path: Path) -> None:
    for name in there:
        put(tmp_path / name, flawed_sets.part(1))
    with pytest.raises(BadInput, match=words):
        detect(tmp_path)


def test_what_is_wrong_is_raised_where_nobody_listens(tmp_path: Path) -> None:
    flawed_sets.mvtec(tmp_path)
    (tmp_path / "ground_truth/hole/001_mask.png").unlink()
    with pytest.raises(BadInput, match=r"test/hole/001\.png has no mask"):
        load(tmp_path)
    heard: list[Fault] = []
    load(tmp_path, report=heard.append)
    assert [fault.kind for fault in heard] == ["missing_mask"]
    with pytest.raises(BadInput, match="no layout 'mvtek'"):
        load(tmp_path, "mvtek")
    with pytest.raises(Missing, match="there is no folder gone"):
        load(tmp_path / "gone")


def test_a_name_that_leads_out_of_the_folder_is_no_picture(tmp_path: Path) -> None:
    flawed_sets.coco(tmp_path / "set")
    put(tmp_path / "secret.png", flawed_sets.part(1))
    table = tmp_path / "set/annotations/instances_train.json"
    table.write_text(table.read_text().replace("part_1.png", "../../secret.png"))
    heard: list[Fault] = []
    found = load(tmp_path / "set", report=heard.append)
    assert [example.image.name for example in found] == ["part_0.png", "part_2.png", "part_3.png"]
    assert [fault.kind for fault in heard] == ["mask_without_image"]


def test_a_document_type_is_refused(tmp_path: Path) -> None:
    flawed_sets.voc(tmp_path)
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbb">]><annotation>&b;</annotation>'
    (tmp_path / "Annotations/part_0.xml").write_text(bomb)
    with pytest.raises(BadInput, match="document type"):
        load(tmp_path)


HARD = hard()
CLASSES = ("hole", "scratch")


@pytest.fixture
def entries(runs: Path) -> list[Entry]:
    """Hard masks from a run, dealt to train and test, and the good picture they were made from."""
    write(runs, "a", [[(CLASSES[number % 2], mask)] for number, mask in enumerate(HARD.values())])
    samples = load_runs(["a"], runs, kept_only=False)
    source = samples[0].source
    assert source is not None
    parts: tuple[splits.Part, ...] = ("train", "test")
    made = [Entry(f"it {number}", parts[number % 2], sample, source) for number, sample in enumerate(samples)]
    return [*made, Entry("good 0", "train", source)]


@pytest.mark.parametrize(
    ("format", "layout", "exact"),
    [
        ("mvtec", "mvtec", True),
        ("coco", "coco", True),
        ("yolo-seg", "yolo", True),
        ("yolo", "yolo", False),
        ("voc", "voc", True),
    ],
)
def test_an_export_of_ours_is_read_back(
    format: str, layout: str, exact: bool, entries: list[Entry], tmp_path: Path
) -> None:
    book = replace(Book("nut", CLASSES), segmentation="polygon")
    for batch in EXPORTERS[format].save(entries, book):
        for file in batch:
            path = tmp_path / "out" / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            if file.name.endswith("/"):
                path.mkdir(exist_ok=True)
            else:
                path.write_bytes(file.data)
    root = tmp_path / "out" / ("nut" if format == "mvtec" else "")
    assert detect(root) == layout
    heard: list[Fault] = []
    found = load(root, report=heard.append)
    assert heard == []
    assert Counter((one.part, one.defect) for one in found) == Counter(
        (entry.part, entry.sample.defects[0] if entry.sample else "") for entry in entries
    )
    assert len({one.group for one in found}) == 1  # one source
    left = [mask_of(one, pictures.good().shape[:2]) for one in found if one.defect]
    for name, mask in HARD.items():
        meant = mask
        if not exact:
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            meant = np.zeros_like(mask)
            meant[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
        assert any(np.array_equal(one, meant) for one in left), name


def test_a_run_of_ours_is_read(runs: Path) -> None:
    folder = write(runs, "a", [[("hole", HARD["disc"])], [("hole", HARD["disc"]), ("scratch", HARD["line"])]])
    found = loaders.load(folder)
    assert detect(folder) == "run"
    assert [example.defect for example in found] == ["hole", "combined"]
    assert np.array_equal(mask_of(found[0], HARD["disc"].shape), HARD["disc"])
