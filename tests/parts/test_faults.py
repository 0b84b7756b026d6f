"""The pre-flight: each of the thirty faults is found, alone, and a clean set has none; a mend gives the right mask."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.core.errors import BadInput
from pipelines.parts import twins
from pipelines.parts.faults import KINDS, look
from pipelines.parts.loaders import Choice, Example, mask_of
from pipelines.parts.mending import apply
from tests import bad_images
from tests import flawed_sets as sets
from tests.flawed_sets import HEIGHT, IMAGE, MASK, PLANTS, SETS, WIDTH

SHAPE = (HEIGHT, WIDTH)


def made(tmp_path: Path, layout: str) -> Path:
    root = tmp_path / "set"
    root.mkdir()
    SETS[layout](root)
    return root


@pytest.mark.parametrize("layout", SETS)
def test_a_clean_set_has_no_fault(layout: str, tmp_path: Path) -> None:
    root = made(tmp_path, layout)
    found = look(root)
    assert found.layout == layout
    assert [fault.sentence for fault in found.faults] == []
    assert apply(found, {}) == list(found.examples)


def test_every_kind_is_planted() -> None:
    assert len(KINDS) == 30
    assert {kind for kind, _, _ in PLANTS} == set(KINDS)


@pytest.mark.parametrize("number", range(len(PLANTS)), ids=[f"{kind}-{i}" for i, (kind, _, _) in enumerate(PLANTS)])
def test_a_planted_fault_is_found_and_no_other(number: int, tmp_path: Path) -> None:
    kind, layout, plant = PLANTS[number]
    root = made(tmp_path, layout)
    plant(root)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    found = look(root, layout)
    assert found.counts() == {kind: 1}, [fault.sentence for fault in found.faults]
    (fault,) = found.faults
    assert any(file.name in fault.sentence for file in fault.files)
    for choice in fault.choices:
        if kind == "broken_annotation" and layout == "coco":
            with pytest.raises(BadInput, match="nothing is left"):
                apply(found, {kind: choice})
        else:
            assert apply(found, {kind: choice})
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def mended(tmp_path: Path, number: int, choice: Choice = "mend") -> list[Example]:
    kind, layout, plant = PLANTS[number]
    root = made(tmp_path, layout)
    plant(root)
    return apply(look(root, layout), {kind: choice})


def numbers(*kinds: str) -> list[int]:
    return [number for number, (kind, _, _) in enumerate(PLANTS) if kind in kinds]


WHOLE = [
    *numbers("inverted_mask", "soft_edged_mask", "palette_mask", "rgb_mask"),
    numbers("size_mismatch")[0],
    numbers("empty_mask")[1],
]


@pytest.mark.parametrize("number", WHOLE, ids=[f"{PLANTS[number][0]}-{number}" for number in WHOLE])
def test_a_mended_mask_is_the_mask_again(number: int, tmp_path: Path) -> None:
    (example,) = [one for one in mended(tmp_path, number) if one.mask and one.mask.as_posix().endswith(MASK)]
    found, meant = mask_of(example, SHAPE), sets.mask() > 0
    assert (found & meant).sum() / (found | meant).sum() > (0.85 if PLANTS[number][0] == "size_mismatch" else 0.95)


@pytest.mark.parametrize(("turned", "shape"), [(6, (WIDTH, HEIGHT)), (3, SHAPE)])
def test_a_mask_is_turned_as_its_picture_was(turned: int, shape: tuple[int, int], tmp_path: Path) -> None:
    number = numbers("exif_rotated")[0 if turned == 6 else 1]
    (example,) = [one for one in mended(tmp_path, number) if one.image.as_posix().endswith(IMAGE)]
    meant = np.rot90(sets.mask() > 0, -1 if turned == 6 else 2)
    assert np.array_equal(mask_of(example, shape), meant)


def test_an_empty_mask_may_make_a_good_picture(tmp_path: Path) -> None:
    found = mended(tmp_path, numbers("empty_mask")[0])
    assert sum(not one.defect for one in found) == 10
    assert not mask_of(next(one for one in found if one.image.as_posix().endswith(IMAGE)), SHAPE).any()


@pytest.mark.parametrize("number", numbers("class_typo"))
def test_a_mistyped_class_is_filed_under_the_one_it_means(number: int, tmp_path: Path) -> None:
    names = {name for one in mended(tmp_path, number) for name in one.classes}
    assert names == ({"crack", "hole"} if PLANTS[number][1] == "mvtec" else {"scratch", "dent"})


def test_boxes_are_cut_dropped_or_used_a_pixel_wide(tmp_path: Path) -> None:
    outside, flat = numbers("box_outside")[0], numbers("empty_box")[0]
    cases: list[tuple[int, Choice, tuple[int, ...] | None]] = [
        (outside, "mend", (99, 19, WIDTH, 40)),
        (flat, "use", (19, 19, 20, 40)),
        (flat, "mend", None),
    ]
    for number, choice, edges in cases:
        folder = tmp_path / f"{number}{choice}"
        folder.mkdir()
        found = [one for one in mended(folder, number, choice) if one.image.stem == "part_0"]
        assert [(box.x0, box.y0, box.x1, box.y1) for one in found for box in one.boxes] == ([edges] if edges else [])


def test_copies_are_kept_once(tmp_path: Path) -> None:
    for number in numbers("duplicate", "near_duplicate_across_splits", "same_part_in_train_and_test"):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert len(mended(folder, number, "use")) == len(mended_again(folder, number)) + 1


def mended_again(folder: Path, number: int) -> list[Example]:
    return apply(look(folder / "set"), {PLANTS[number][0]: "mend"})


@pytest.mark.parametrize(
    ("number", "caption"),
    list(zip(numbers("caption_not_utf8"), ["ein Riß", "a dent", "steel plate, scratched"], strict=True)),
)
def test_a_caption_is_read_as_it_was_meant(number: int, caption: str, tmp_path: Path) -> None:
    (example,) = [one for one in mended(tmp_path, number) if one.image.stem == "part_1"]
    assert example.caption == caption


def test_undecided_faults_are_listed_and_hints_are_not(tmp_path: Path) -> None:
    root = made(tmp_path, "mvtec")
    for number in (*numbers("full_mask"), *numbers("mixed_colour")[:1], *numbers("same_part_in_train_and_test")[:1]):
        PLANTS[number][2](root)
    sets.put(root / "ground_truth/hole/002_mask.png", sets.mask() * 0)
    found = look(root)
    with pytest.raises(BadInput) as refusal:
        apply(found, {})
    assert str(refusal.value) == (
        f"3 faults in 3 files: empty_mask 1 (ground_truth/hole/002_mask.png), full_mask 1 ({MASK}),"
        " same_part_in_train_and_test 1 (train/good/003.png): choose for each in faults, such as"
        " faults.empty_mask = leave_out"
    )
    left = apply(found, {"empty_mask": "leave_out", f"full_mask:{MASK}": "use", "same_part_in_train_and_test": "use"})
    assert len(left) == len(found.examples) - 1


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"full_mask": "mend"}, "It takes leave_out or use"),
        ({"ful_mask": "use"}, "there is no such fault"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(choices: dict[str, Choice], words: str, tmp_path: Path) -> None:
    root = made(tmp_path, "mvtec")
    sets.put(root / MASK, sets.mask() | 255)
    with pytest.raises(BadInput, match=words):
        apply(look(root), choices)


def test_whatever_is_uploaded_is_listed_and_breaks_nothing(tmp_path: Path) -> None:
    root = made(tmp_path, "mvtec")
    cases = list(bad_images.CASES)
    for number, case in enumerate(cases):
        (root / f"train/good/{number:03}_bad.png").write_bytes(case.build())
        (root / f"ground_truth/hole/{number:03}_bad_mask.png").write_bytes(case.build())
        sets.put(root / f"test/hole/{number:03}_bad.png", sets.part(100 + number))
    found = look(root)
    closed = {"unreadable", "truncated_image", "empty_file"}
    listed = {file.name for fault in found.faults if fault.kind in closed for file in fault.files}
    for ending in ("bad.png", "bad_mask.png"):
        assert {name for name in listed if name.endswith(ending)} == {
            f"{number:03}_{ending}" for number, case in enumerate(cases) if case.words is not None
        }


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    look(made(tmp_path, "voc"), tick=lambda done, of: told.append((done, of)))
    assert told == [(number, 6) for number in range(1, 7)]


def test_a_part_before_and_after_its_defect_is_no_defect_among_the_good(tmp_path: Path) -> None:
    root = made(tmp_path, "mvtec")
    sets.put(root / "test/good/009.png", sets.part(21))
    assert look(root).counts() == {}


def test_parts_of_one_fixture_are_no_twins() -> None:
    """Alike but for grain and noise: a smooth body with a sharp outline, always at the same place."""
    prints = []
    for seed in range(12):
        pixels = sets.part(seed).astype(np.float32)
        cv2.circle(pixels, (64, 48), 30, (20, 20, 20), 3)
        noise = np.random.default_rng(seed).normal(0, 2, pixels.shape)
        prints.append(twins.fingerprint(np.clip(pixels + noise, 0, 255).astype(np.uint8)))
    assert list(twins.pairs(prints[::2], prints[1::2])) == []


@pytest.mark.parametrize("side", [40, 96, 700])
def test_twins_are_known_at_any_size(side: int) -> None:
    field = cv2.GaussianBlur(np.random.default_rng(3).normal(size=(side, side)), (0, 0), side / 25)
    pixels = np.clip(128 + field * 50 / field.std(), 0, 255).astype(np.uint8)
    deep = pixels.astype(np.uint16) * 257
    ones = [twins.fingerprint(pixels)]
    lossy = cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 85])[1], cv2.IMREAD_GRAYSCALE)
    ways = [pixels[::-1], pixels.T, np.rot90(pixels), deep // 2, lossy]
    for number, other in enumerate(ways):
        (pair,) = twins.pairs(ones, [twins.fingerprint(np.ascontiguousarray(other))])
        assert pair == (0, 0, number < 3)


# What is truly there: one class of leather has one picture here, one tile's mask is black.
REAL: dict[str, dict[str, int]] = {
    "mvtec_ad/leather": {"class_with_one_image": 1},
    "mvtec_ad/hazelnut": {},
    "mvtec_ad_incomplete/leather": {"missing_mask": 2, "mask_without_image": 1},
    "magnetic_tile": {"empty_mask": 1},
    "NEU-DET": {},
    "NEU-DET-yolo": {},
    "NEU_Seg": {},
    "DeepPCB": {},
    "aws_cookie": {},
}


@pytest.mark.parametrize("name", REAL)
def test_real_sets_raise_no_false_alarm(name: str, test_data: Path) -> None:
    assert look(test_data / name).counts() == REAL[name]
