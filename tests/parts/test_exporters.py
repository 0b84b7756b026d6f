"""Each format read back with somebody else's reader, and compared with the masks that went in."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import numpy as np
import pytest
import supervision
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO

from pipelines.core import images, requests
from pipelines.core.splits import PARTS, Part
from pipelines.parts.datasets import Sample, Source, load_runs
from pipelines.parts.exporters import EXPORTERS, Book, Entry
from pipelines.parts.exporters.book import cell
from tests import pictures
from tests.runs import Areas, hard, write

# pycocotools 2.0 reads its own arrays in a way that numpy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

HARD = hard()
CLASSES = ("hole", "scratch", "水渍 stain")
BOOK = Book("nut", CLASSES)


def pictures_of(root: Path, areas: list[Areas]) -> list[Sample]:
    write(root, "a", areas)
    return load_runs(["a"], root, kept_only=False)


@pytest.fixture
def entries(runs: Path) -> list[Entry]:
    """Every hard mask as a picture of its own, one with three regions that overlap, and the good one."""
    areas: list[Areas] = [[(CLASSES[number % 3], mask)] for number, mask in enumerate(HARD.values())]
    areas.append([("hole", HARD["disc"]), ("scratch", HARD["line"]), ("hole", HARD["specks"])])
    samples = pictures_of(runs, areas)
    source = samples[0].source
    assert source is not None
    made = [Entry(f"it {number}", "train", sample, source) for number, sample in enumerate(samples)]
    return [*made, Entry("good 0", "train", source)]


def put(kind: str, entries: list[Entry], folder: Path, book: Book = BOOK) -> Path:
    """Write a format into a folder; returns it."""
    for batch in EXPORTERS[kind].save(entries, book):
        for file in batch:
            path = folder / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            if file.name.endswith("/"):
                path.mkdir(exist_ok=True)
            else:
                assert not path.exists(), f"{file.name} is written twice"
                path.write_bytes(file.data)
    return folder


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def asked(entry: Entry) -> list[tuple[str, np.ndarray]]:
    return [(region.defect, images.read_mask(region.mask)) for region in entry.sample.regions] if entry.sample else []


def test_the_names_a_form_offers_are_the_formats() -> None:
    assert tuple(EXPORTERS) == requests.FORMATS


@pytest.mark.parametrize("segmentation", ["rle", "polygon"])
def test_coco_masks_equal_ours_to_the_pixel(
    entries: list[Entry], tmp_path: Path, segmentation: Literal["rle", "polygon"]
) -> None:
    folder = put("coco", entries, tmp_path / "out", replace(BOOK, segmentation=segmentation))
    coco = COCO(folder / "annotations" / "instances_train.json")
    assert {one["id"]: one["name"] for one in coco.loadCats(coco.getCatIds())} == dict(enumerate(CLASSES, 1))
    by_name = {image["file_name"]: image for image in coco.loadImgs(coco.getImgIds())}
    assert len(by_name) == len(entries)
    for entry in entries:
        image = by_name[f"{entry.stem}.png"]
        read = pixels(folder / "images" / image["file_name"])
        assert read.shape[:2] == (image["height"], image["width"])
        labels = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        assert len(labels) == len(asked(entry))
        for label, (defect, mask) in zip(labels, asked(entry), strict=True):
            assert CLASSES[label["category_id"] - 1] == defect
            assert np.array_equal(coco.annToMask(label) > 0, mask)
            coded = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
            assert label["area"] == int(rle.area(coded))
            assert label["bbox"] == rle.toBbox(coded).tolist()


def test_coco_is_read_by_supervision_too(entries: list[Entry], tmp_path: Path) -> None:
    folder = put("coco", entries, tmp_path / "out")
    read = supervision.DetectionDataset.from_coco(
        str(folder / "images"), str(folder / "annotations" / "instances_train.json"), force_masks=True
    )
    assert list(read.classes) == list(CLASSES)
    for entry in entries:
        found = read.annotations[str(folder / "images" / f"{entry.stem}.png")]
        assert len(found) == len(asked(entry))
        if asked(entry):
            assert np.array_equal(np.asarray(found.mask), [mask for _, mask in asked(entry)])


def test_empty_parts_of_coco_are_files_without_images(entries: list[Entry], tmp_path: Path) -> None:
    folder = put("coco", entries, tmp_path / "out")
    for part in ("val", "test"):
        coco = COCO(folder / "annotations" / f"instances_{part}.json")
        assert coco.getImgIds() == []
        assert len(coco.getCatIds()) == len(CLASSES)


def yolo(folder: Path, masks: bool) -> supervision.DetectionDataset:
    return supervision.DetectionDataset.from_yolo(
        str(folder / "images" / "train"), str(folder / "labels" / "train"), str(folder / "data.yaml"), force_masks=masks
    )


def test_yolo_outlines_fill_to_the_masks(entries: list[Entry], tmp_path: Path) -> None:
    folder = put("yolo-seg", entries, tmp_path / "out")
    read = yolo(folder, masks=True)
    assert list(read.classes) == list(CLASSES)
    for entry in entries:
        found = read.annotations[str(folder / "images" / "train" / f"{entry.stem}.png")]
        filled = np.asarray(found.mask)
        for number, defect in enumerate(CLASSES):
            wanted = [mask for name, mask in asked(entry) if name == defect]
            lines = np.flatnonzero(found.class_id == number)
            assert bool(wanted) == bool(len(lines))
            if wanted:
                assert np.array_equal(np.logical_or.reduce(filled[lines]), np.logical_or.reduce(wanted))


def test_yolo_boxes_are_one_a_region_and_exact(entries: list[Entry], tmp_path: Path) -> None:
    folder = put("yolo", entries, tmp_path / "out")
    read = yolo(folder, masks=False)
    for entry in entries:
        found = read.annotations[str(folder / "images" / "train" / f"{entry.stem}.png")]
        assert len(found) == len(asked(entry))
        for xyxy, (_, mask) in zip(found.xyxy, asked(entry), strict=True):
            left, top, width, height = rle.toBbox(rle.encode(np.asfortranarray(mask, dtype=np.uint8)))
            assert xyxy == pytest.approx([left, top, left + width, top + height], abs=1e-3)


def test_a_good_picture_has_an_empty_label_in_yolo(entries: list[Entry], tmp_path: Path) -> None:
    folder = put("yolo-seg", entries, tmp_path / "out")
    assert (folder / "labels" / "train" / "good 0.txt").read_bytes() == b""
    assert {path.stem for path in (folder / "labels" / "train").iterdir()} == {entry.stem for entry in entries}


def test_voc_boxes_and_classes_are_read_by_supervision(entries: list[Entry], tmp_path: Path) -> None:
    folder = put("voc", entries, tmp_path / "out")
    read = supervision.DetectionDataset.from_pascal_voc(str(folder / "JPEGImages"), str(folder / "Annotations"))
    assert sorted(read.classes) == list(CLASSES)
    for entry in entries:
        found = read.annotations[str(folder / "JPEGImages" / f"{entry.stem}.png")]
        assert [read.classes[number] for number in np.asarray(found.class_id)] == [defect for defect, _ in asked(entry)]
        for xyxy, (_, mask) in zip(found.xyxy, asked(entry), strict=True):
            left, top, width, height = rle.toBbox(rle.encode(np.asfortranarray(mask, dtype=np.uint8)))
            assert xyxy.tolist() == [left, top, left + width, top + height]


def test_voc_masks_carry_class_and_region_under_the_palette(entries: list[Entry], tmp_path: Path) -> None:
    folder = put("voc", entries, tmp_path / "out")
    for entry in entries:
        kinds, objects = np.zeros((2, 72, 96), int)
        for number, (defect, mask) in enumerate(asked(entry), start=1):
            kinds[mask], objects[mask] = CLASSES.index(defect) + 1, number
        for name, wanted in (("SegmentationClass", kinds), ("SegmentationObject", objects)):
            with Image.open(folder / name / f"{entry.stem}.png") as read:
                assert read.mode == "P"
                assert np.array_equal(np.asarray(read), wanted)
                assert (read.getpalette() or [])[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
    stems = (folder / "ImageSets" / "Segmentation" / "train.txt").read_text().splitlines()
    assert stems == [entry.stem for entry in entries]
    root = ElementTree.parse(folder / "Annotations" / "it 0.xml").getroot()
    assert [root.findtext(f"size/{side}") for side in ("width", "height", "depth")] == ["96", "72", "3"]


def test_the_mvtec_tree_holds_defects_in_the_test_alone(runs: Path, tmp_path: Path) -> None:
    samples = pictures_of(
        runs, [[("hole", HARD["disc"])], [("hole", HARD["line"])], [("hole", HARD["disc"]), ("scratch", HARD["line"])]]
    )
    parts: list[Part] = ["test", "train", "test"]
    source = samples[0].source
    assert source is not None
    entries = [Entry(str(n), part, sample, source) for n, (part, sample) in enumerate(zip(parts, samples, strict=True))]
    entries += [Entry(f"good {part}", part, source) for part in PARTS]
    folder = put("mvtec", entries, tmp_path / "out")
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png")) == [
        "nut/ground_truth/combined/000_mask.png",
        "nut/ground_truth/hole/000_mask.png",
        "nut/test/combined/000.png",
        "nut/test/good/000.png",
        "nut/test/hole/000.png",
        "nut/train/good/000.png",
        "nut/train_defects/hole/000.png",
        "nut/train_defects_masks/hole/000_mask.png",
        "nut/validation/good/000.png",
    ]
    mask = pixels(folder / "nut/ground_truth/combined/000_mask.png")
    assert np.array_equal(mask, (HARD["disc"] | HARD["line"]) * np.uint8(255))


def test_the_plain_folder_tells_everything_twice(entries: list[Entry], tmp_path: Path) -> None:
    folder = put("folder", entries[:-1], tmp_path / "out")
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as table:
        cells = list(csv.DictReader(table))
    for entry, row, line in zip(entries[:-1], rows, cells, strict=True):
        assert line["file"] == row["file"] == f"images/{entry.stem}.png"
        assert line["source"] == row["source"]["name"] == "part.png"
        assert row["scores"] == {"outside_max": 0}
        for region, (defect, mask) in zip(row["regions"], asked(entry), strict=True):
            assert region["defect"] == defect
            assert np.array_equal(pixels(folder / region["mask"]) > 0, mask)
        good = pixels(folder / row["good"])
        assert np.array_equal(good, pictures.good())


# Shards are read back in tests/dataset/test_sharding; magnetic tiles are JPEG.
@pytest.mark.parametrize("kind", [kind for kind in EXPORTERS if kind not in ("magnetic_tile", "webdataset")])
def test_pictures_leave_byte_for_byte_and_goods_without_metadata(runs: Path, tmp_path: Path, kind: str) -> None:
    deep = pictures.good(bits=16, grey=True)
    write(runs, "a", [[("hole", HARD["disc"])]], source=deep)
    (sample,) = load_runs(["a"], runs, kept_only=False)
    source = sample.source
    assert source is not None
    entries = [Entry("it", "test", sample, source)]
    if not EXPORTERS[kind].layout.beside:
        entries.append(Entry("good", "test", source))
    folder = put(kind, entries, tmp_path / "out")
    found = {path.read_bytes() for path in folder.rglob("*.png")}
    assert sample.image.read_bytes() in found
    deeper = [png for png in found if images.read_request(png) is None and images.decode(png, "x").bits == 16]
    assert [np.array_equal(images.decode(png, "x").pixels, deep) for png in deeper] == [True]


@pytest.mark.parametrize(
    "kind", [kind for kind in EXPORTERS if kind not in ("folder", "deeppcb", "magnetic_tile", "webdataset")]
)
def test_pairs_name_the_good_picture_of_each(entries: list[Entry], tmp_path: Path, kind: str) -> None:
    folder = put(kind, entries, tmp_path / "out")
    with (folder / "pairs.csv").open(encoding="utf-8", newline="") as table:
        pairs = list(csv.DictReader(table))
    assert len(pairs) == len(entries) - 1
    for entry, pair in zip(entries, pairs, strict=False):
        assert entry.sample is not None
        assert (folder / pair["picture"]).read_bytes() == entry.sample.image.read_bytes()
        assert np.array_equal(pixels(folder / pair["good"]), pictures.good())
    assert not (put(kind, entries, tmp_path / "without", replace(BOOK, pairs=False)) / "pairs.csv").exists()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda sample: images.write_png(sample.mask, np.zeros((72, 96), bool)), "is empty"),
        (lambda sample: images.write_png(sample.mask, np.ones((71, 96), bool)), "96 x 71|71"),
        (lambda sample: sample.image.write_bytes(sample.image.read_bytes()[:-20]), "cut short"),
        (lambda sample: flip(sample.image), "check sum"),
        (lambda sample: sample.image.unlink(), "is gone"),
    ],
)
@pytest.mark.parametrize("kind", EXPORTERS)
def test_a_run_that_was_damaged_is_refused_in_a_sentence(
    runs: Path, tmp_path: Path, kind: str, damage: object, words: str
) -> None:
    (sample,) = pictures_of(runs, [[("hole", HARD["disc"])]])
    assert callable(damage)
    damage(sample)
    with pytest.raises(ValueError if "gone" not in words else LookupError, match=words):
        put(kind, [Entry("it", "test", sample)], tmp_path / "out")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+a", "'+a"),
        ("-a", "'-a"),
        ("@a", "'@a"),
        (" =a", "' =a"),
        ("\ta", "'\ta"),
        (-0.5, -0.5),
        (None, ""),
        ("a=b", "a=b"),
    ],
)
def test_a_cell_that_a_spreadsheet_would_run_is_quoted(value: object, shown: object) -> None:
    assert cell(value) == shown


def test_a_source_is_the_same_whoever_reads_it(runs: Path) -> None:
    one, other = pictures_of(runs, [[("hole", HARD["disc"])]] * 2)
    assert isinstance(one.source, Source)
    assert {one.source} == {other.source}
