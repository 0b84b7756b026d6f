"""The layouts of other tools, read as those tools' own readers do, or as their published descriptions say."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import supervision
from PIL import Image, ImageDraw
from scipy.io import loadmat

from pipelines.core import images
from pipelines.parts.contours import box
from pipelines.parts.datasets import load_runs
from pipelines.parts.exporters import Book, Entry
from tests import pictures
from tests.parts.test_exporters import BOOK, CLASSES, asked, entries, pixels, put
from tests.runs import write

__all__ = ["entries"]  # a fixture: every hard mask as a picture of its own, one with three regions, and the good one

SHAPE = (72, 96)


def whole(entry: Entry) -> np.ndarray:
    return np.logical_or.reduce([np.zeros(SHAPE, bool), *(mask for _, mask in asked(entry))])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def labelme_mask(points: list[tuple[float, float]]) -> np.ndarray:
    """labelme.utils.shape_to_mask of a polygon: Pillow fills it and draws its outline."""
    mask = Image.new("L", SHAPE[::-1], 0)
    ImageDraw.Draw(mask).polygon(xy=points, outline=1, fill=1)
    return np.asarray(mask) > 0


def test_labelme_fills_its_polygons_to_the_masks(entries: list[Entry], tmp_path: Path) -> None:
    folder = put("labelme", entries, tmp_path / "out") / "train"
    for entry in entries:
        data = json.loads((folder / f"{entry.stem}.json").read_text(encoding="utf-8"))
        assert pixels(folder / data["imagePath"]).shape[:2] == (data["imageHeight"], data["imageWidth"])
        for name in CLASSES:
            wanted = [mask for defect, mask in asked(entry) if defect == name]
            shapes = [one for one in data["shapes"] if one["label"] == name]
            assert {one["shape_type"] for one in shapes} <= {"polygon"}
            filled = [labelme_mask([(x, y) for x, y in one["points"]]) for one in shapes]
            nothing = np.zeros(SHAPE, bool)
            assert np.array_equal(np.logical_or.reduce([nothing, *filled]), np.logical_or.reduce([nothing, *wanted]))


def test_labelme_is_read_by_supervision_area_by_area(entries: list[Entry], tmp_path: Path) -> None:
    folder = put("labelme", entries, tmp_path / "out") / "train"
    read = supervision.DetectionDataset.from_labelme(str(folder), str(folder), force_masks=True)
    for entry in entries:
        found = read.annotations[str(folder / f"{entry.stem}.png")]
        masks = np.asarray(found.mask) if len(found) else np.zeros((0, *SHAPE), bool)
        areas = [
            (read.classes[int(n)], mask.tobytes()) for n, mask in zip(np.asarray(found.class_id), masks, strict=True)
        ]
        assert sorted(areas) == sorted((defect, mask.tobytes()) for defect, mask in asked(entry))


def test_the_parts_of_an_area_are_one_group_in_labelme(entries: list[Entry], tmp_path: Path) -> None:
    three = next(entry for entry in entries if len(asked(entry)) == 3)
    put("labelme", [three], tmp_path, replace(BOOK, pairs=False))
    shapes = json.loads((tmp_path / f"train/{three.stem}.json").read_text())["shapes"]
    assert [one["group_id"] for one in shapes] == [None, None, 3, 3, 3, 3]


def test_cvat_masks_are_runs_along_the_rows_of_a_window(entries: list[Entry], tmp_path: Path) -> None:
    folder = put("cvat", entries, tmp_path / "out")
    root = ElementTree.parse(folder / "annotations.xml").getroot()
    assert root.findtext("version") == "1.1"
    assert [one.findtext("name") for one in root.iterfind("meta/task/labels/label")] == list(CLASSES)
    assert [one.get("id") for one in root.iterfind("image")] == [str(number) for number in range(len(entries))]
    for entry, image in zip(entries, root.iterfind("image"), strict=True):
        assert pixels(folder / "images" / image.attrib["name"]).shape[:2] == SHAPE
        assert (image.get("width"), image.get("height"), image.get("subset")) == ("96", "72", "train")
        found = []
        for one in image.iterfind("mask"):
            left, top, width, height = (int(one.attrib[key]) for key in ("left", "top", "width", "height"))
            values: list[bool] = []
            for number, length in enumerate(one.attrib["rle"].split(", ")):
                values += [number % 2 == 1] * int(length)
            mask = np.zeros(SHAPE, bool)
            mask[top : top + height, left : left + width] = np.array(values).reshape(height, width)
            found.append((one.attrib["label"], mask.tobytes()))
        assert found == [(defect, mask.tobytes()) for defect, mask in asked(entry)]


def test_a_manifest_of_ground_truth_has_what_its_training_jobs_ask_for(entries: list[Entry], tmp_path: Path) -> None:
    folder = put("sagemaker", entries, tmp_path / "out")
    for entry, line in zip(entries, lines(folder / "train/output.manifest"), strict=True):
        assert pixels(folder / line["source-ref"]).shape[:2] == SHAPE
        said, facts = line["defects"], line["defects-metadata"]
        assert said["image_size"] == [{"width": 96, "height": 72, "depth": 3}]
        assert facts["type"] == "groundtruth/object-detection"
        assert len(facts["objects"]) == len(said["annotations"]) == len(asked(entry))
        for one, (defect, mask) in zip(said["annotations"], asked(entry), strict=True):
            assert facts["class-map"][str(one["class_id"])] == defect
            edges = one["left"], one["top"], one["left"] + one["width"], one["top"] + one["height"]
            assert edges == box(mask)


def test_matlab_files_are_arrays_of_class_numbers_without_a_date(entries: list[Entry], tmp_path: Path) -> None:
    folder = put("matlab", entries, tmp_path / "out")
    assert (folder / "classes.txt").read_text(encoding="utf-8").splitlines() == ["background", *CLASSES]
    for entry in entries:
        file = folder / f"train/masks/{entry.stem}.mat"
        read = loadmat(file)
        wanted = np.zeros(SHAPE, np.uint8)
        for defect, mask in asked(entry):
            wanted[mask] = CLASSES.index(defect) + 1
        assert read["mask"].dtype == np.uint8
        assert np.array_equal(read["mask"], wanted)
        assert b"Created" not in file.read_bytes()[:116]


def test_folders_of_classes_are_read_by_supervision(entries: list[Entry], tmp_path: Path) -> None:
    folder = put("imagefolder", entries, tmp_path / "out")
    read = supervision.ClassificationDataset.from_folder_structure(str(folder / "train"))
    assert sorted(read.classes) == sorted(["combined", "normal", *CLASSES])
    assert len(read) == len(entries)


def test_every_row_of_metadata_has_the_same_columns_of_text(entries: list[Entry], tmp_path: Path) -> None:
    """`datasets` reads a table a part and wants the types of its columns equal; a name leads on from the table."""
    folder = put("imagefolder", entries, tmp_path / "out")
    rows = lines(folder / "train/metadata.jsonl")
    for entry, row in zip(entries, rows, strict=True):
        assert list(row) == ["file_name", "mask_file_name", "label", "defects", "text"]
        assert {type(value) for value in row.values()} == {str}
        assert pixels(folder / "train" / row["file_name"]).shape[:2] == SHAPE
        assert np.array_equal(pixels(folder / "train" / row["mask_file_name"]) > 0, whole(entry))
    assert [row["defects"] for row in rows[-2:]] == ["hole+scratch", ""]


def test_elpvs_own_reader_takes_the_table(entries: list[Entry], tmp_path: Path) -> None:
    """github.com/zae-bayern/elpv-dataset, elpv_reader.py."""
    folder = put("elpv", entries, tmp_path / "out", Book("poly cells", CLASSES))
    data = np.genfromtxt(
        folder / "labels.csv", dtype=["|S19", "<f8", "|S4"], names=["path", "probability", "type"], encoding="utf-8"
    )
    assert data["probability"].tolist() == [float(bool(entry.sample)) for entry in entries]
    assert set(data["type"].tolist()) == {b"poly"}
    for name, entry in zip(data["path"], entries, strict=True):
        content = (folder / name.decode()).read_bytes()
        assert entry.sample is None or content == entry.sample.image.read_bytes()
    assert (folder / "train.txt").read_text().splitlines() == [name.decode() for name in data["path"]]
    assert (folder / "test.txt").read_text() == ""


def test_visas_table_of_one_class_trains_on_good_pictures_alone(runs: Path, tmp_path: Path) -> None:
    """github.com/amazon-science/spot-diff, prepare_data.py: it knows no train/bad in 1cls and no val."""
    write(runs, "a", [[("hole", pictures.disc())], [("hole", pictures.disc()), ("scratch", pictures.line())]] * 3)
    samples = load_runs(["a"], runs, kept_only=False)
    source = samples[0].source
    assert source is not None
    made = [Entry(f"x{number}", ("train", "val", "test")[number // 2], one) for number, one in enumerate(samples)]
    made += [Entry(f"good {part}", part, source) for part in ("train", "val", "test")]
    folder = put("visa", made, tmp_path / "out", Book("nut", CLASSES))
    found: dict[str, list[tuple[str, str]]] = {}
    for name in ("1cls", "2cls_highshot"):
        with (folder / f"split_csv/{name}.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                assert (row["object"], pixels(folder / row["image"]).shape[:2]) == ("nut", SHAPE)
                assert bool(row["mask"]) == (row["label"] == "anomaly")
                assert not row["mask"] or set(np.unique(pixels(folder / row["mask"]))) == {0, 255}
                found.setdefault(name, []).append((row["split"], row["label"]))
    tested = [("test", "anomaly"), ("test", "anomaly"), ("train", "normal"), ("test", "normal")]
    assert found == {"1cls": tested, "2cls_highshot": [("train", "anomaly"), ("train", "anomaly"), *tested]}
    with (folder / "nut/image_anno.csv").open(encoding="utf-8", newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["hole", "hole,scratch"] * 3 + ["normal"] * 3


@pytest.mark.parametrize(("bits", "grey"), [(8, False), (16, True)])
def test_magnetic_tiles_are_jpeg_beside_a_mask_of_that_name(runs: Path, tmp_path: Path, bits: int, grey: bool) -> None:
    write(runs, "a", [[("水渍 stain", pictures.disc())]], source=pictures.good(bits=bits, grey=grey))
    (sample,) = load_runs(["a"], runs, kept_only=False)
    source = sample.source
    assert source is not None
    folder = put("magnetic_tile", [Entry("it", "test", sample), Entry("good", "train", source)], tmp_path / "out")
    for place, wanted in (("MT_水渍 stain/Imgs/it", pictures.disc()), ("MT_Free/Imgs/good", np.zeros(SHAPE, bool))):
        with Image.open(folder / f"{place}.jpg") as read:
            assert (read.format, read.mode, read.size) == ("JPEG", "L" if grey else "RGB", (96, 72))
        assert np.array_equal(pixels(folder / f"{place}.png"), wanted * np.uint8(255))
    before = images.smaller(images.read(sample.image).pixels, 96)
    after = pixels(folder / "MT_水渍 stain/Imgs/it.jpg")
    assert np.abs(after.astype(int) - before).max() <= 4
    assert (folder / "train.txt").read_text(encoding="utf-8") == "MT_Free/Imgs/good.jpg\n"


def test_deeppcb_lists_lead_to_pictures_templates_and_labels(entries: list[Entry], tmp_path: Path) -> None:
    """github.com/tangsanli5201/DeepPCB: a list names `x.jpg x.txt` and means x_test.jpg and x_temp.jpg."""
    made = [entry for entry in entries if entry.sample]
    folder = put("deeppcb", made, tmp_path / "out")
    names = (folder / "classes.txt").read_text(encoding="utf-8").splitlines()
    assert (folder / "test.txt").read_text() == ""
    for entry, line in zip(made, (folder / "trainval.txt").read_text().splitlines(), strict=True):
        picture, label = line.split(" ")
        assert entry.sample is not None
        assert (folder / picture.replace(".png", "_test.png")).read_bytes() == entry.sample.image.read_bytes()
        assert np.array_equal(pixels(folder / picture.replace(".png", "_temp.png")), pictures.good())
        boxes = np.loadtxt(folder / label, int, ndmin=2)
        assert [names[number - 1] for number in boxes[:, 4]] == [defect for defect, _ in asked(entry)]
        assert [tuple(edges) for edges in boxes[:, :4].tolist()] == [box(mask) for _, mask in asked(entry)]


@pytest.mark.parametrize("kind", ["defective", "defective_masks"])
def test_defectfill_pairs_by_the_order_of_names(entries: list[Entry], tmp_path: Path, kind: str) -> None:
    folder = put("defectfill", entries, tmp_path / "out") / "train"
    for name in [*CLASSES, "combined"]:
        meant = [entry for entry in entries if entry.sample and "+".join(entry.sample.defects) == name]
        meant = meant or [entry for entry in entries if entry.sample and len(entry.sample.defects) > 1]
        files = sorted((folder / kind / name).iterdir())
        for file, entry in zip(files, sorted(meant, key=lambda one: one.stem), strict=True):
            assert entry.sample is not None
            wanted = entry.sample.image if kind == "defective" else entry.sample.mask
            assert wanted is not None
            assert file.read_bytes() == wanted.read_bytes()


def test_a_caption_is_one_line_beside_its_picture(entries: list[Entry], tmp_path: Path) -> None:
    folder = put("captioned", entries, tmp_path / "out")
    texts = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.txt")}
    assert texts["train/combined/it 7.txt"] == "a photo of a part\n"
    assert texts["train/normal/good 0.txt"] == "nut, normal\n"
    assert len(texts) == len(entries)
