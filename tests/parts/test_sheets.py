"""Contact sheets and labelled grids: sizes, places, and letters of every language."""

import numpy as np
import pytest

from pipelines.core.errors import BadInput
from pipelines.parts import sheets
from tests import pictures


def even(level: int, height: int = 40, width: int = 60) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (4, 2, 2), (5, 3, 2), (10, 4, 3)])
def test_a_sheet_is_as_wide_as_the_root_of_how_many(count: int, columns: int, rows: int) -> None:
    sheet = sheets.contact([even(0)] * count)
    gap = sheets.GAP_PX
    assert sheet.shape == (gap + rows * (40 + gap), gap + columns * (60 + gap), 3)
    assert sheet.dtype == np.uint8


def test_pictures_stand_in_reading_order() -> None:
    sheet = sheets.contact([even(level) for level in (10, 20, 30)])
    places = [(8 + 20, 8 + 30), (8 + 20, 8 + 68 + 30), (8 + 48 + 20, 8 + 30)]
    assert [int(sheet[place][0]) for place in places] == [10, 20, 30]


def test_a_large_picture_is_made_smaller_and_a_small_one_left() -> None:
    sheet = sheets.contact([even(10, 400, 800), even(20, 10, 20)], side=100)
    assert sheet.shape[:2] == (50 + 16, 2 * 100 + 24)
    assert int((sheet == 20).all(-1).sum()) == 10 * 20


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_pictures_of_any_depth_and_masks_are_shown_as_they_look(bits: int) -> None:
    grey = np.full((40, 60), 128 if bits == 8 else 128 * 257, np.uint8 if bits == 8 else np.uint16)
    sheet = sheets.contact([grey, pictures.disc(40, 60, radius=10)])
    assert sheet[28, 38].tolist() == [128] * 3
    assert sheet[28, 68 + 38].tolist() == [255] * 3


def test_a_caption_is_a_line_under_its_picture_and_no_wider() -> None:
    without = sheets.contact([even(255)] * 2)
    sheet = sheets.contact([even(255)] * 2, ["a caption that is far too long for a picture so small", ""])
    assert sheet.shape == (without.shape[0] + sheets.LINE_PX, *without.shape[1:])
    line = sheet[48:70]
    assert (line[:, 8:68] < 100).any()
    assert (line[:, 68:] == sheets.PAPER[0]).all()


@pytest.mark.parametrize("word", ["Riß", "裂缝", "трещина"])
def test_no_letter_becomes_a_question_mark(word: str) -> None:
    drawn, asked = (sheets.contact([even(255, 40, 200)], [text]) for text in (word, "?" * len(word)))
    assert not np.array_equal(drawn, asked)


def test_a_grid_has_its_labels_before_the_rows_and_above_the_columns() -> None:
    rows = [[even(10), even(20)], [even(30), even(40)]]
    sheet = sheets.grid(rows, ["step 100", "step 200"], ["one", "two"])
    margin = sheet.shape[1] - 2 * 60 - 4 * sheets.GAP_PX
    assert margin > 20
    top, left = 2 * sheets.GAP_PX + sheets.LINE_PX, margin + 2 * sheets.GAP_PX
    found = [[int(sheet[top + y * 48 + 20, left + x * 68 + 30, 0]) for x in (0, 1)] for y in (0, 1)]
    assert found == [[10, 20], [30, 40]]
    assert (sheet[: top - 8, left:] < 100).any()
    assert (sheet[top:, : left - 8] < 100).any()


def test_no_picture_is_refused() -> None:
    with pytest.raises(BadInput, match="no picture to put on a sheet"):
        sheets.contact([])


@pytest.mark.parametrize(("rows", "columns"), [(["a"], ["b", "c"]), (["a", "b"], ["c"])])
def test_labels_of_another_number_are_refused(rows: list[str], columns: list[str]) -> None:
    with pytest.raises(ValueError, match="zip"):
        sheets.grid([[even(1)]], rows, columns)
    with pytest.raises(ValueError, match="zip"):
        sheets.contact([even(1)] * 3, columns)
