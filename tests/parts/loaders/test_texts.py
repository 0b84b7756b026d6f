"""Captions, folder prompts and lists of names, also those that nobody would write."""

from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.parts.loaders.captioned import first_line, folder_prompt
from pipelines.parts.loaders.yolo import read_names

NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("folder", "prompt"),
    [
        ("", ""),
        ("steel_plate", "steel plate"),
        ("steel_plate/deep_scratch", "steel plate, deep scratch"),
        ("steel/_batch_7/scratch", "steel, scratch"),
        ("_all", ""),
        ("steel/__old/scratch", None),
        ("__old", None),
        ("steel__plate/a_", "steel plate, a"),
    ],
)
def test_folders_are_a_prompt(folder: str, prompt: str | None) -> None:
    assert folder_prompt(PurePosixPath(folder)) == prompt


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("a scratch", "a scratch"),
        ("\n\n# by Ann\n  a scratch \nand more", "a scratch"),
        ("#only\n # remarks", ""),
        ("", ""),
        ("a scratch # deep", "a scratch # deep"),
        ("a\r\nb", "a"),
    ],
)
def test_the_first_line_that_counts_is_the_caption(text: str, caption: str) -> None:
    assert first_line(text) == caption


@given(st.text(max_size=200))
@example("\x85#")
def test_a_caption_is_one_line_of_its_text(text: str) -> None:
    line = first_line(text)
    assert line in text
    assert len(line.splitlines()) <= 1
    assert line == line.strip()
    assert not line.startswith("#")


@given(st.lists(NAMES, max_size=5))
def test_a_prompt_holds_every_level_that_counts_and_no_other(names: list[str]) -> None:
    prompt = folder_prompt(PurePosixPath(*names))
    if any(name.startswith("__") for name in names if name not in (".", "..")):
        assert prompt is None
        return
    assert prompt is not None
    assert "_" not in prompt
    for name in PurePosixPath(*names).parts:
        words = " ".join(name.replace("_", " ").split())
        assert words in prompt or name.startswith("_")


@pytest.mark.parametrize(
    "text",
    [
        "names: [a b, 'it''s', \"q\\\"t\"]",
        "names: [a b, 'it''s',\n  \"q\\\"t\"]  # three",
        "nc: 3\nnames:\n  0: a b\n  1: 'it''s'\n  2: \"q\\\"t\"\ntrain: x",
        "names:  # the classes\n- a b\n- 'it''s'\n\n- \"q\\\"t\"\nval: y",
        "names:\n  - a b # first\n  - 'it''s'\n  - \"q\\\"t\"",
        "names: {0: a b, 1: 'it''s', 2: \"q\\\"t\"}\nnc: 3",
        "path: dataset   # 数据集\nnames: ['a b', \"it's\", 'q\"t']",
    ],
)
def test_names_are_read_in_every_form(text: str) -> None:
    assert read_names(text) == {0: "a b", 1: "it's", 2: 'q"t'}


@pytest.mark.parametrize("text", ["", "nc: 3", "names: steel", "names: [a, b", "names:\ntrain: x"])
def test_names_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="names"):
        read_names(text)


@given(st.text(max_size=80))
def test_any_text_is_names_or_refused(text: str) -> None:
    try:
        found = read_names("names: " + text)
    except ValueError:
        return
    assert all(isinstance(number, int) for number in found)
