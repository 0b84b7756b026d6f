"""Every language says everything: the same keys, the same places to fill in, and words of its own."""

import ast
import re
from functools import cache
from typing import Any

import pytest

from studio import i18n
from tests.words import ROOT, derived, flat

OTHERS = [code for code in i18n.NAMES if code != i18n.ENGLISH]
HOLE = re.compile(r"\{\w+\}|%")
OWN = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")  # kana and Chinese characters
NAMES = re.compile(
    r"Flawsmith|MVTec AD|COCO|YOLO|Pascal|VOC|PNG|JPEG|TIFF|BMP|WEBP|ZIP|CPU|GPU|CUDA|Esc|Enter|Tab|Shift|Ctrl|Space"
)


@cache
def english() -> dict[str, str]:
    return dict(flat({**i18n._read(i18n.FOLDER / i18n.ENGLISH), **derived()}))


@cache
def spoken(code: str) -> dict[str, str]:
    return dict(flat(i18n._read(i18n.FOLDER / code)))


@pytest.mark.parametrize("code", OTHERS)
def test_every_language_has_every_key_and_no_other(code: str) -> None:
    wanted, there = english(), spoken(code)
    assert sorted(set(wanted) - set(there)) == []
    assert sorted(set(there) - set(wanted)) == []


@pytest.mark.parametrize("code", OTHERS)
def test_what_is_filled_in_stands_in_every_language(code: str) -> None:
    wanted, there = english(), spoken(code)
    other = [
        key for key in wanted if key in there and sorted(HOLE.findall(wanted[key])) != sorted(HOLE.findall(there[key]))
    ]
    assert other == []


@pytest.mark.parametrize("code", OTHERS)
def test_nothing_was_left_in_english(code: str) -> None:
    wanted, there = english(), spoken(code)
    left = [
        key
        for key, words in there.items()
        if not OWN.search(words)
        and re.search(r"[A-Za-z]{3}", NAMES.sub("", re.sub(r"\{\w+\}", "", wanted.get(key, ""))))
    ]
    assert left == []


def test_simplified_and_traditional_are_not_one_and_the_same() -> None:
    simplified, traditional = spoken("zh-CN"), spoken("zh-TW")
    same = [
        key for key in simplified if len(HOLE.sub("", simplified[key])) > 12 and simplified[key] == traditional.get(key)
    ]
    assert same == []


def test_what_the_code_says_is_in_the_locales() -> None:
    """`say("area.key")` with a key that is written out."""
    known, areas = set(english()), i18n._read(i18n.FOLDER / i18n.ENGLISH)
    for path in sorted((ROOT / "studio").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            key = _said(call)
            if key is None:
                continue
            verb, words = key
            found = words in areas if verb == "table" else words in known
            assert found, f"{path.name}: {verb} {words!r}"


def _said(call: Any) -> tuple[str, str] | None:
    if not (isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant)):
        return None
    function, words = call.func, str(call.args[0].value)
    if isinstance(function, ast.Attribute):
        base = function.value
        owner = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
        if owner == "say" and function.attr in ("table", "count"):
            return function.attr, words
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return (name, words) if name == "say" else None


def test_no_control_is_worded_in_the_code() -> None:
    """Labels, hints and buttons of the tabs come from the locales."""
    worded = []
    for path in [*sorted((ROOT / "studio" / "tabs").glob("*.py")), ROOT / "studio" / "shell.py"]:
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and _is_gradio(call.func):
                texts = [one.value for one in call.keywords if one.arg in ("label", "placeholder", "info", "title")]
                first = call.args[:1] if call.func.attr in ("Button", "Tab", "Accordion", "Markdown") else []
                worded += [
                    f"{path.name}: {one.value!r}"
                    for one in [*texts, *first]
                    if isinstance(one, ast.Constant) and isinstance(one.value, str) and re.search("[a-z]{2}", one.value)
                ]
    assert worded == []


def _is_gradio(function: ast.Attribute) -> bool:
    return isinstance(function.value, ast.Name) and function.value.id == "gr"
