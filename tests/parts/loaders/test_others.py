"""Layouts that other people's tools write: what is found in them, pixel by pixel where a mask is meant, and faults."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as cocos
from scipy.io import loadmat, savemat

from pipelines.core import images
from pipelines.core.errors import BadInput
from pipelines.core.requests.train import Layout
from pipelines.parts import mending
from pipelines.parts.faults import look
from pipelines.parts.loaders import LOADERS, Fault, detect, drawn, load, mask_of
from pipelines.parts.loaders.coco import unpacked
from pipelines.parts.loaders.reading import unrolled
from tests import flawed_sets
from tests.flawed_sets import HEIGHT, WIDTH, place, put, spot
from tests.parts.loaders import others
from tests.parts.loaders.others import SHAPE, ring

Counts = dict[tuple[str, str], int]
RECTANGLE = np.zeros(SHAPE, bool)
RECTANGLE[20:30, 20:40] = True

# The set, its layout, and how many examples of which part and defect it has.
SETS: tuple[tuple[Callable[[Path], None], str, Counts], ...] = (
    (
        others.visa,
        "visa",
        {
            ("train", ""): 4,
            ("test", ""): 2,
            ("test", "candle melt"): 1,
            ("test", "candle combined"): 1,
            ("test", "pcb 1 anomaly"): 2,
        },
    ),
    (others.labelme, "labelme", {("", "划痕"): 7, ("", ""): 1}),
    (others.cvat, "cvat", {("", "dent"): 7, ("", "scorched"): 1, ("", ""): 1}),
    (others.sagemaker, "sagemaker", {("", "scratch"): 2, ("", "dent"): 1, ("", "rust"): 1, ("", ""): 1}),
    (others.deeppcb, "deeppcb", {("train", ""): 1, ("train", "short"): 1, ("test", ""): 1, ("test", "mousebite"): 1}),
    (
        others.elpv,
        "elpv",
        {("", ""): 1, ("", "perhaps defective"): 1, ("", "probably defective"): 1, ("", "defective"): 1},
    ),
    (others.matlab, "matlab", {("", "defect"): 2, ("", ""): 1}),
    (
        others.imagefolder,
        "imagefolder",
        {(part, kind): 2 for part in ("train", "test") for kind in ("", "rust", "划痕 深")},
    ),
    (others.metadata, "imagefolder", {("train", ""): 1, ("train", "dent"): 1, ("test", "rust"): 1, ("test", ""): 1}),
    (others.coco, "coco", {("train", "dent"): 4}),
    (others.voc, "voc", {("", "cat"): 2, ("", "bus"): 2, ("", "combined"): 2}),
)


@pytest.mark.parametrize(("make", "layout", "counts"), SETS, ids=[make.__name__ for make, _, _ in SETS])
def test_a_layout_of_others_is_known_and_read(
    make: Callable[[Path], None], layout: str, counts: Counts, tmp_path: Path
) -> None:
    make(tmp_path)
    assert detect(tmp_path) == layout
    found = load(tmp_path)  # without a report the first fault would be raised
    assert Counter((one.part, one.defect) for one in found) == counts
    for example in found:
        marked = mask_of(example, images.read(example.image).pixels.shape[:2]).any()
        assert marked == bool(example.boxes or example.mask)


def test_a_training_may_name_every_layout() -> None:
    assert set(get_args(Layout)) == {"auto", *LOADERS}


def masks(root: Path) -> dict[str, np.ndarray]:
    return {one.image.stem: mask_of(one, SHAPE) for one in load(root)}


@pytest.mark.parametrize("make", [others.coco, others.matlab])
def test_masks_that_are_no_files_come_out_to_the_pixel(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path)
    for stem, mask in masks(tmp_path).items():
        number = int(stem[-1])
        assert np.array_equal(mask, ring(number)) or (make is others.matlab and number == 2 and not mask.any())


@given(arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_runs_are_what_cocos_own_tools_write(mask: np.ndarray) -> None:
    written = cocos.encode(np.asfortranarray(mask.astype(np.uint8)))
    box = drawn.of_lengths(unpacked(written["counts"].decode()), mask.shape, "dent")
    assert box.runs is not None
    assert np.array_equal(unrolled(box.runs), mask)
    left, top, width, height = cocos.toBbox(written)
    assert (box.x0, box.y0, box.x1, box.y1) == (left, top, left + width, top + height)
    assert drawn.of_mask(mask, "dent") == box


@given(st.text(st.characters(min_codepoint=32, max_codepoint=130), max_size=30))
def test_any_text_is_runs_or_refused(text: str) -> None:
    try:
        box = drawn.of_lengths(unpacked(text), (5, 7), "dent")
    except ValueError:
        return
    assert box.runs is not None
    assert unrolled(box.runs).shape == (5, 7)


def test_runs_of_another_picture_are_told_before_training(tmp_path: Path) -> None:
    others.coco(tmp_path)
    put(tmp_path / "images/part 1.png", flawed_sets.part(1, at=place(1))[:80])
    (fault,) = [one for one in look(tmp_path).faults if one.kind == "size_mismatch"]
    words = "images/part 1.png is 128 x 80 px and its mask of dent 128 x 96: draw it on that very picture"
    assert fault.sentence.startswith(words)
    (example,) = [one for one in load(tmp_path) if one.image.stem == "part 1"]
    with pytest.raises(BadInput, match=r"the mask of dent is 128 x 96 px and part 1\.png 128 x 80"):
        mask_of(example, (80, WIDTH))
    kept = mending.apply(look(tmp_path), {"size_mismatch": "leave_out", "near_duplicate_across_splits": "use"})
    assert [one.image.stem for one in kept] == ["part 0", "part 2", "part 3"]


def test_shapes_of_labelme_are_where_they_were_drawn(tmp_path: Path) -> None:
    others.labelme(tmp_path)
    found = {stem.removeprefix("线 "): mask for stem, mask in masks(tmp_path).items()}
    rows, columns = np.indices(SHAPE) + 0.5
    assert np.array_equal(found["polygon"], RECTANGLE)
    assert np.array_equal(found["rectangle"], RECTANGLE)
    assert np.array_equal(found["circle"], np.hypot(columns - 40, rows - 40) <= 10)
    assert np.array_equal(found["point"], np.hypot(columns - 30, rows - 30) <= 5)
    assert found["line"][15:25, 20:60].all()
    assert found["line"].sum() == found["line"][15:25, 15:65].sum()
    assert found["linestrip"][15:25, 20:60].all()
    assert found["linestrip"][20:60, 55:65].all()
    mask = np.zeros(SHAPE, bool)
    mask[42:49, 53:54] = True
    assert np.array_equal(found["mask"], mask)
    assert not found["good 1"].any()


def test_shapes_of_cvat_are_where_they_were_drawn(tmp_path: Path) -> None:
    others.cvat(tmp_path)
    found = list(masks(tmp_path).values())
    rows, columns = np.indices(SHAPE) + 0.5
    upright = np.zeros(SHAPE, bool)
    upright[15:35, 25:35] = True
    assert np.array_equal(found[0], RECTANGLE)
    assert np.array_equal(found[1], upright)
    assert np.array_equal(found[2], RECTANGLE)
    assert np.array_equal(found[3], ((rows - 40) / 20) ** 2 + ((columns - 40) / 10) ** 2 <= 1)
    assert sorted(zip(*np.nonzero(found[4]), strict=True)) == [(40, 32), (40, 33), (40, 34), (41, 34)]
    assert found[6][30, 30]
    assert found[6][60, 60]
    assert not found[6][45, 45]


def test_a_box_that_is_turned_goes_round_clockwise() -> None:
    top_left, top_right, *_ = drawn.turned(0, 0, 20, 10, 30)
    assert top_right[1] > top_left[1]  # y grows downwards


def test_voc_masks_stand_for_boxes_where_they_are(tmp_path: Path) -> None:
    others.voc(tmp_path)
    found = load(tmp_path)
    square = np.zeros(SHAPE, bool)
    square[80:91, 90:101] = True
    for example in found:
        number = int(example.image.stem[-1])
        mask = mask_of(example, SHAPE)
        if number < 2 and example.defect == "cat":
            assert np.array_equal(mask, spot(place(number)))  # without the seam
        elif number == 0:
            assert np.array_equal(mask, square)
        elif number == 1:  # no colour of a bus: its box stays
            assert [box.defect for box in example.boxes] == ["bus"]
        elif number == 2:
            assert np.array_equal(mask, spot(place(2)) | square)
        else:
            assert mask[80:91, 90:101].all()
            assert mask.sum() > spot(place(3)).sum() + square.sum()


def test_colours_without_a_name_are_told_and_named_by_a_list(tmp_path: Path) -> None:
    (tmp_path / "Annotations").mkdir()
    put(tmp_path / "JPEGImages/a.png", flawed_sets.part(0, at=place(0)))
    boxes = (("dent", 20, 20, 40, 30), ("rust", 91, 81, 101, 91))
    (tmp_path / "Annotations/a.xml").write_text(flawed_sets.xml(*boxes))
    others.palette(tmp_path / "SegmentationClass/a.png", np.where(spot(place(0)), 8, 0))
    heard: list[Fault] = []
    (example,) = load(tmp_path, report=heard.append)
    assert [fault.kind for fault in heard] == ["mask_value_beyond_classes"]
    assert "holds the colour #400000, and no class has it: name it in labelmap.txt" in heard[0].sentence
    assert len(example.boxes) == 2
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\ndent:64,0,0::\n")
    dent, rust = sorted(load(tmp_path), key=lambda one: one.defect)
    assert (dent.defect, rust.defect, len(rust.boxes)) == ("dent", "rust", 1)
    assert np.array_equal(mask_of(dent, SHAPE), spot(place(0)))


def test_grey_masks_of_voc_are_named_by_their_numbers(tmp_path: Path) -> None:
    """As labelme's own labelme2voc writes class_names.txt."""
    put(tmp_path / "JPEGImages/a.png", flawed_sets.part(0, at=place(0)))
    put(tmp_path / "SegmentationClass/a.png", spot(place(0)).astype(np.uint8) * 2)
    (tmp_path / "class_names.txt").write_text("__ignore__\n_background_\ndent\nrust\n")
    (example,) = load(tmp_path)
    assert example.defect == "rust"
    assert np.array_equal(mask_of(example, SHAPE), spot(place(0)))


def test_what_is_drawn_on_nothing_is_marked_where_it_covers(tmp_path: Path) -> None:
    others.sagemaker(tmp_path)
    disc = spot(place(1))
    colours = np.zeros((*SHAPE, 4), np.uint8)
    colours[disc] = (0x1F, 0x77, 0xB4, 255)
    colours[:4] = (0x1F, 0x77, 0xB4, 120)  # less than half
    Image.fromarray(colours).save(tmp_path / "job/annotations/1.png")
    (example,) = [one for one in load(tmp_path) if one.mask is not None]
    assert example.defect == "dent"
    assert np.array_equal(mask_of(example, SHAPE), disc)
    assert not {"unreadable", "palette_mask", "rgb_mask"} & set(look(tmp_path).counts())


@pytest.mark.parametrize("make", [make for make, _, _ in SETS])
def test_the_pre_flight_finds_no_fault_in_labels_that_have_none(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path)
    of_pictures = {"class_with_one_image", "mixed_colour", "wrong_extension", "same_part_in_train_and_test"}
    of_pictures |= {"duplicate", "near_duplicate_across_splits", "defect_in_good"}
    assert set(look(tmp_path).counts()) <= of_pictures


def test_one_object_of_visa_may_be_loaded_alone(tmp_path: Path) -> None:
    others.visa(tmp_path)
    found = load(tmp_path / "candle")
    assert Counter((one.part, one.defect) for one in found) == {
        ("train", ""): 2,
        ("test", ""): 1,
        ("test", "melt"): 1,
        ("test", "combined"): 1,
    }
    assert [np.array_equal(mask_of(one, SHAPE), spot(place(n))) for n, one in enumerate(found[:2])] == [True, True]
    assert not {"empty_mask", "soft_edged_mask", "rgb_mask"} & set(look(tmp_path / "candle").counts())


def test_captions_and_boxes_come_from_a_metadata_file(tmp_path: Path) -> None:
    others.metadata(tmp_path)
    rust, good, plain, dent = load(tmp_path)
    assert [plain.caption, dent.caption] == ["plate 0", "plate 1"]
    assert np.array_equal(mask_of(dent, SHAPE), RECTANGLE)
    assert np.array_equal(mask_of(rust, SHAPE), spot(place(0)))
    assert (good.mask, good.boxes, plain.boxes) == (None, (), ())


def test_the_cell_type_is_the_caption(tmp_path: Path) -> None:
    others.elpv(tmp_path)
    assert {one.caption for one in load(tmp_path)} == {
        "a monocrystalline solar cell",
        "a polycrystalline solar cell",
    }


@pytest.mark.parametrize(
    ("variables", "marked", "names"),
    [
        ({"mask": ring(0)}, ring(0), {"defect"}),
        ({"x": ring(0).astype(float) * 255}, ring(0), {"defect"}),
        ({"gt": ring(0) * 1 + spot((100, 60)) * 2, "scale": 3.5}, ring(0) | spot((100, 60)), {"1", "2"}),
        ({"label": ring(0) * 1, "depth": np.random.default_rng(0).random(SHAPE)}, ring(0), {"defect"}),
    ],
)
def test_matlab_arrays_are_masks(
    variables: dict[str, object], marked: np.ndarray, names: set[str], tmp_path: Path
) -> None:
    put(tmp_path / "板 1.png", flawed_sets.part(0, at=place(0)))
    savemat(tmp_path / "板 1.mat", variables)
    assert "板" in str(next(tmp_path.glob("*.mat")))
    assert set(loadmat(tmp_path / "板 1.mat")) >= set(variables)
    (example,) = load(tmp_path)
    assert np.array_equal(mask_of(example, SHAPE), marked)
    assert set(example.classes) == names


def _labelme_broken(root: Path) -> None:
    (root / "线 line.json").write_text('{"shapes": [{"label": "a", "imagePath": ""}]')


def _labelme_orphans(root: Path) -> None:
    (root / "线 line.png").unlink()
    put(root / "new.png", flawed_sets.part(50))


def _labelme_shape(root: Path) -> None:
    others.written(root, "线 line", [others.labelme_shape("a", "polygon", [[1, 1], [2, 2]])])


def _cvat_orphan(root: Path) -> None:
    (root / "images/批 0.png").unlink()


def _cvat_rle(root: Path) -> None:
    path = root / "annotations.xml"
    path.write_text(path.read_text().replace("2, 3, 4, 1", "2, 3, 4, 9"))


def _cvat_film(root: Path) -> None:
    path = root / "annotations.xml"
    path.write_text(path.read_text().replace("</annotations>", '<track id="0" label="dent"/></annotations>'))


def _cvat_entity(root: Path) -> None:
    path = root / "annotations.xml"
    path.write_text(path.read_text().replace("<annotations>", '<!DOCTYPE a [<!ENTITY b "b">]><annotations>'))


def _manifest_line(root: Path) -> None:
    with (root / "job/manifests/output/output.manifest").open("a") as file:
        file.write('{"source-ref": "s3://plates/gone.png"}\n{"broken\n')


def _manifest_class(root: Path) -> None:
    path = root / "job/manifests/output/output.manifest"
    path.write_text(path.read_text().replace('"class_id": 1', '"class_id": 7'))


def _manifest_mask(root: Path) -> None:
    (root / "job/annotations/1.png").unlink()


def _pcb_type(root: Path) -> None:
    (root / "PCBData/group00041/00041_not/00041000.txt").write_text("20 20 40 30 9\n")


def _pcb_line(root: Path) -> None:
    (root / "PCBData/group00041/00041_not/00041000.txt").write_text("20 20 40 30\n")
    (root / "PCBData/group00041/00041_not/00041001.txt").unlink()


def _elpv_share(root: Path) -> None:
    with (root / "labels.csv").open("a") as file:
        file.write("images/cell0001.png  1.5  mono\nimages/cell0099.png  0.0  mono\n../secret.png  0.0  mono\nnone\n")


def _mat_73(root: Path) -> None:
    (root / "groundTruth/000.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512, b" "))


def _mat_cut(root: Path) -> None:
    path = root / "groundTruth/000.mat"
    path.write_bytes(path.read_bytes()[:200])
    (root / "groundTruth/009.mat").write_bytes(path.read_bytes())
    (root / "groundTruth/001.mat").unlink()


def _mat_float(root: Path) -> None:
    savemat(root / "groundTruth/000.mat", {"heat": np.random.default_rng(0).random(SHAPE)})


def _metadata(root: Path) -> None:
    with (root / "train/metadata.jsonl").open("a") as file:
        file.write('{"file_name": "../../x.png"}\n{"file_name": "1.png", "objects": {"bbox": [[1, 2]]}}\n')
    put(root / "train/unsaid.png", flawed_sets.part(50))


def _coco_counts(root: Path) -> None:
    path = root / "annotations/instances_train.json"
    table = json.loads(path.read_text())
    table["annotations"][0]["segmentation"]["counts"] = "~"
    table["annotations"][1]["segmentation"]["counts"] = [1, 2, 3]
    path.write_text(json.dumps(table))


def _visa_row(root: Path) -> None:
    (root / "candle/Data/Images/Normal/0001.JPG").unlink()
    (root / "candle/Data/Masks/Anomaly/001.png").unlink()


def _voc_orphan(root: Path) -> None:
    (root / "JPEGImages/2007_000000.png").unlink()


BROKEN = ["broken_annotation"]
ORPHAN = ["mask_without_image"]
FAULTS: tuple[tuple[Callable[[Path], None], Callable[[Path], None], list[str], str], ...] = (
    (others.labelme, _labelme_broken, BROKEN, r"线 line\.json cannot be read \("),
    (others.labelme, _labelme_orphans, [*ORPHAN, "missing_mask"], r"线 line\.json is the JSON file of a picture"),
    (others.labelme, _labelme_shape, BROKEN, "a polygon of a has 2 corners, and at least 3 make one"),
    (others.cvat, _cvat_orphan, ORPHAN, r"批 0\.png is the entry in annotations\.xml of a picture"),
    (others.cvat, _cvat_rle, BROKEN, "its runs mark 18 pixels of a window that has 5 x 2"),
    (others.cvat, _cvat_film, BROKEN, "tracks of a film: export the task as CVAT for images"),
    (others.cvat, _cvat_entity, BROKEN, "document type"),
    (others.sagemaker, _manifest_line, [*BROKEN, *ORPHAN], "line 6 is no entry with a source-ref"),
    (others.sagemaker, _manifest_class, ["label_beyond_names"], "labels class 7, and the names are 0 dent, 1 scratch"),
    (others.sagemaker, _manifest_mask, ["missing_mask"], r"pictures/p 1\.png has no mask"),
    (others.deeppcb, _pcb_type, ["label_beyond_names"], "labels class 9, and the names are 1 open"),
    (others.deeppcb, _pcb_line, [*BROKEN, "missing_mask"], "line 1 is '20 20 40 30', not x1 y1 x2 y2 type"),
    (others.elpv, _elpv_share, [*BROKEN * 2, *ORPHAN * 2], r"has the probability 1\.5, and it goes from 0 to 1"),
    (others.matlab, _mat_73, BROKEN, r"version 7\.3 \(HDF5\): save it in MATLAB with"),
    (others.matlab, _mat_cut, [*BROKEN, *ORPHAN, "missing_mask"], r"000\.mat cannot be read"),
    (others.matlab, _mat_float, BROKEN, r"its array heat holds \d+ different values"),
    (others.metadata, _metadata, [*BROKEN, *ORPHAN, "missing_mask"], r"the objects of train/1\.png are not as"),
    (others.coco, _coco_counts, BROKEN * 2, "its counts hold '~', which COCO's tools never write"),
    (others.visa, _visa_row, [*ORPHAN, "missing_mask"], r"row in split_csv/1cls\.csv of a picture"),
    (others.voc, _voc_orphan, ORPHAN * 3, r"SegmentationClass/2007_000000\.png is the mask of a picture"),
)


@pytest.mark.parametrize(("make", "spoil", "kinds", "words"), FAULTS, ids=[spoil.__name__ for _, spoil, _, _ in FAULTS])
def test_what_is_wrong_is_told(
    make: Callable[[Path], None], spoil: Callable[[Path], None], kinds: list[str], words: str, tmp_path: Path
) -> None:
    make(tmp_path)
    layout = detect(tmp_path)
    spoil(tmp_path)
    heard: list[Fault] = []
    found = load(tmp_path, layout, heard.append)
    assert sorted(fault.kind for fault in heard) == sorted(kinds)
    assert any(re.search(words, fault.sentence) for fault in heard), [fault.sentence for fault in heard]
    assert found or layout == "cvat"


@pytest.mark.parametrize(
    ("name", "layout", "counts", "boxes"),
    [
        # 26 lines of template.manifest, 14 with a mask of `cracked`.
        ("aws_cookie", "sagemaker", {("", "cracked"): 14, ("", ""): 12}, {}),
        # 40 boards and their templates; of 280 lines each type as often as `cut -d' ' -f5 | sort | uniq -c` counts.
        (
            "DeepPCB",
            "deeppcb",
            {("train", ""): 28, ("train", "combined"): 28, ("test", ""): 12, ("test", "combined"): 12},
            {"open": 59, "short": 39, "mousebite": 51, "spur": 45, "copper": 43, "pin-hole": 43},
        ),
        # 80 pictures; one example for each class that is in the mask.
        (
            "NEU_Seg",
            "paired",
            {
                ("train", "1"): 22,
                ("train", "2"): 26,
                ("train", "3"): 26,
                ("test", "1"): 12,
                ("test", "2"): 8,
                ("test", "3"): 5,
            },
            {},
        ),
        # datumaro's own reading of these: a box of b; a polygon of a and runs of b in the other part.
        (
            "format_fixtures_datumaro/coco_dataset/coco",
            "coco",
            {("train", "b"): 1, ("val", "combined"): 1},
            {"a": 1, "b": 2},
        ),
        # Colour 2 of VOC, a bicycle, all over; a cat and a person have boxes alone.
        (
            "format_fixtures_datumaro/voc_dataset/voc_dataset1",
            "voc",
            {("train", "bicycle"): 1, ("train", "combined"): 1},
            {"cat": 1, "person": 1},
        ),
    ],
)
def test_real_sets_are_counted(name: str, layout: str, counts: Counts, boxes: dict[str, int], test_data: Path) -> None:
    root = test_data / name
    assert detect(root) == layout
    found = load(root)
    assert Counter((one.part, one.defect) for one in found) == counts
    assert Counter(box.defect for one in found for box in one.boxes) == boxes
    for example in found[:: max(1, len(found) // 12)]:
        marked = mask_of(example, images.read(example.image).pixels.shape[:2])
        assert marked.any() == bool(example.boxes or example.mask)


def test_masks_drawn_on_nothing_are_where_the_colour_covers(test_data: Path) -> None:
    """Pillow's reading of the same file: marked where the colour is at least half there."""
    cracked = [one for one in load(test_data / "aws_cookie") if one.defect]
    for example in cracked[:4]:
        assert example.mask is not None
        alpha = np.asarray(Image.open(example.mask).convert("RGBA"))[..., 3]
        assert np.array_equal(mask_of(example, alpha.shape), alpha > 127)


def test_runs_in_datumaros_own_fixture_are_read_as_pycocotools_reads_them(test_data: Path) -> None:
    root = test_data / "format_fixtures_datumaro/coco_dataset/coco"
    table = json.loads((root / "annotations/instances_val.json").read_text())
    counted = 0
    (example,) = [one for one in load(root) if one.part == "val"]
    for annotation in table["annotations"]:
        runs = annotation["segmentation"]
        if isinstance(runs, dict):
            meant = cocos.decode(cocos.frPyObjects(runs, *runs["size"])).astype(bool)
            assert any(box.runs is not None and np.array_equal(unrolled(box.runs), meant) for box in example.boxes)
            counted += 1
    assert counted == 1


def test_a_shape_beyond_the_picture_is_cut_and_told(tmp_path: Path) -> None:
    put(tmp_path / "a.png", flawed_sets.part(0))
    others.written(tmp_path, "a", [others.labelme_shape("a", "circle", [[0, 0], [0, 10]])])
    (example,) = load(tmp_path)
    rows, columns = np.indices(SHAPE) + 0.5
    assert np.array_equal(mask_of(example, SHAPE), np.hypot(rows, columns) <= 10)
    findings = look(tmp_path)
    assert findings.counts()["box_outside"] == 1
    (kept,) = mending.apply(findings, {"box_outside": "mend"})
    assert (kept.boxes[0].x0, kept.boxes[0].x1) == (0, 10)
    assert HEIGHT > 10
