"""Layouts of other tools: each export is found and read by our own loader, equal in masks and kinds."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.core import images
from pipelines.core.errors import BadInput
from pipelines.core.splits import PARTS, Part
from pipelines.parts.contours import box
from pipelines.parts.datasets import load_runs
from pipelines.parts.exporters import EXPORTERS, Book, Entry, deeppcb
from pipelines.parts.loaders import LOADERS, Example, Fault, detect, load, mask_of
from tests import pictures
from tests.parts.test_exporters import put
from tests.runs import hard, write

HARD = hard()
KINDS = ("pin hole", "scratch", "水渍 stain")
BOOK = Book("六角 nut", KINDS)
SHAPE = (72, 96)


@pytest.fixture
def entries(runs: Path) -> list[Entry]:
    """Every hard mask, dealt to the three parts with the good pictures they were made from; one of two kinds, apart."""
    apart = [("scratch", pictures.disc(radius=6, at=(12, 12))), ("pin hole", pictures.disc(radius=6, at=(80, 60)))]
    found = []
    for number, part in enumerate(PARTS):
        masks = list(HARD.values())[number::3]
        areas = [[(KINDS[(number + index) % 3], mask)] for index, mask in enumerate(masks)]
        write(runs, part, [*areas, apart], source=pictures.good(seed=number))
        samples = load_runs([part], runs, kept_only=False)
        source = samples[0].source
        assert source is not None
        found += [Entry(f"it {part} {index}", part, sample, source) for index, sample in enumerate(samples)]
        found.append(Entry(f"good {part}", part, source))
    return found


def read_back(kind: str, entries: list[Entry], folder: Path) -> list[Example]:
    put(kind, entries, folder, BOOK)
    assert detect(folder) == kind
    heard: list[Fault] = []
    found = load(folder, report=heard.append)
    assert heard == []
    return found


def asked(entry: Entry) -> dict[str, np.ndarray]:
    """The mask of each kind in a picture."""
    found: dict[str, np.ndarray] = {}
    for region in entry.sample.regions if entry.sample else ():
        found[region.defect] = images.read_mask(region.mask) | found.get(region.defect, np.zeros(SHAPE, bool))
    return found


def whole(entry: Entry) -> np.ndarray:
    return np.logical_or.reduce([np.zeros(SHAPE, bool), *asked(entry).values()])


def by_stem(found: list[Example]) -> dict[str, Example]:
    return {example.image.stem: example for example in found}


def told(entry: Entry) -> str:
    """What a layout with one mask a picture files an entry under."""
    kinds = entry.sample.defects if entry.sample else ()
    return "" if not kinds else kinds[0] if len(kinds) == 1 else "combined"


def parted(kind: str, entry: Entry) -> Part | str:
    """The part that our loader finds; "" where the layout has none, or none such."""
    if kind == "visa" and entry.part == "val":
        return ""
    return "" if kind in ("magnetic_tile", "elpv") else entry.part


# Where each area is held apart, kind by kind; the rest has one mask a picture.
APART = ("cvat", "labelme", "matlab")


@pytest.mark.parametrize("kind", ["defectfill", "visa", "magnetic_tile", "imagefolder", *APART])
def test_masks_kinds_and_parts_come_back(kind: str, entries: list[Entry], tmp_path: Path) -> None:
    found = by_stem(read_back(kind, entries, tmp_path / "out"))
    before = "MT_" if kind == "magnetic_tile" else ""
    assert len(found) == len(entries)
    for entry in entries:
        example = found[entry.stem]
        assert example.part == parted(kind, entry)
        assert example.defect == (before + told(entry) if told(entry) else "")
        assert np.array_equal(mask_of(example, SHAPE), whole(entry))
        for name, mask in asked(entry).items() if kind in APART else ():
            only = replace(example, boxes=tuple(one for one in example.boxes if one.defect == name))
            assert np.array_equal(mask_of(only, SHAPE), mask), name


def test_boxes_and_classes_of_ground_truth_come_back(entries: list[Entry], tmp_path: Path) -> None:
    found = by_stem(read_back("sagemaker", entries, tmp_path / "out"))
    for entry in entries:
        example = found[entry.stem]
        boxes = [((one.x0, one.y0, one.x1, one.y1), one.defect) for one in example.boxes]
        assert boxes == [(box(mask), name) for name, mask in asked(entry).items()]
        assert (example.part, example.defect) == (entry.part, told(entry))


def test_boxes_and_types_of_deeppcb_come_back(entries: list[Entry], tmp_path: Path) -> None:
    made = [entry for entry in entries if entry.sample]  # the good ones lie beside
    found = read_back("deeppcb", made, tmp_path / "out")
    labels = sorted(
        ("test" if entry.part == "test" else "train", [(*box(mask), name) for name, mask in asked(entry).items()])
        for entry in made
    )
    tests = [example for example in found if example.image.stem.endswith("_test")]
    read = [(one.part, [(b.x0, b.y0, b.x1, b.y1, b.defect) for b in one.boxes]) for one in tests]
    assert sorted(read) == labels
    templates = [example for example in found if example.image.stem.endswith("_temp")]
    assert Counter(one.group for one in templates) == Counter(one.group for one in tests)
    assert {one.defect for one in templates} == {""}


def test_deeppcb_keeps_its_six_numbers_and_goes_on_from_there() -> None:
    names = ["Mouse bite", "pin-hole", "pin_hole", "Spurious copper", "水渍 stain"]
    assert deeppcb.numbered(names) == [
        "open",
        "short",
        "Mouse bite",
        "spur",
        "Spurious copper",
        "pin-hole",
        "pin_hole",
        "水渍 stain",
    ]


def test_elpv_knows_defective_from_good(entries: list[Entry], tmp_path: Path) -> None:
    found = read_back("elpv", entries, tmp_path / "out")
    assert [example.defect for example in found] == ["defective" if entry.sample else "" for entry in entries]


def test_captions_come_back(entries: list[Entry], tmp_path: Path) -> None:
    found = by_stem(read_back("captioned", entries, tmp_path / "out"))
    for entry in entries:
        wanted = "a photo of a part" if entry.sample else "六角 nut, normal"
        assert (found[entry.stem].caption, found[entry.stem].part) == (wanted, entry.part)


@pytest.mark.parametrize(
    "kind", ["defectfill", "visa", "elpv", "sagemaker", "cvat", "labelme", "matlab", "imagefolder", "captioned"]
)
def test_what_shares_a_source_is_one_group(kind: str, entries: list[Entry], tmp_path: Path) -> None:
    groups = Counter(example.group for example in read_back(kind, entries, tmp_path / "out"))
    assert sorted(groups.values()) == sorted(Counter(entry.part for entry in entries).values())


def test_somebody_elses_pairs_say_nothing(entries: list[Entry], tmp_path: Path) -> None:
    put("cvat", entries, tmp_path, BOOK)
    (tmp_path / "pairs.csv").write_bytes("left;right\nnaïve;x\n".encode("latin-1"))
    assert len({example.group for example in load(tmp_path)}) > len(PARTS)


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("visa", "melt, chunk", "parts kinds by commas"),
        ("magnetic_tile", "free", "means something else in magnetic tile folders"),
        ("imagefolder", "Normal", "means something else"),
        ("imagefolder", "test", "means something else"),
        ("captioned", "Train", "means something else"),
        ("captioned", "__x", "means something else"),
    ],
)
def test_a_kind_that_the_layout_would_misread_is_refused(kind: str, name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=words):
        put(kind, [], tmp_path, Book("nut", (name,)))


def test_elpv_takes_no_more_pictures_than_its_names_can_count(entries: list[Entry], tmp_path: Path) -> None:
    many = [replace(entries[0], stem=str(number)) for number in range(10_000)]
    with pytest.raises(BadInput, match="room for 9999 pictures, not 10000"):
        put("elpv", many, tmp_path)


def test_every_layout_we_read_we_also_write() -> None:
    ours = {"run", "packed", "paired"}  # what the studio itself writes; images/ and masks/ is the plain folder
    assert set(LOADERS) - ours <= set(EXPORTERS)
