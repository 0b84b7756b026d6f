"""The two looks: every colour a name, every text readable on its ground; fonts and head fit the language."""

import re
from pathlib import Path

import gradio
import pytest

from studio import head, i18n, theme

STUDIO = Path(theme.__file__).parent
SHEETS = sorted([STUDIO / "page.css", *STUDIO.glob("widgets/*.css"), *STUDIO.glob("canvas/*.css")])
LITERAL = re.compile(r"#[0-9a-fA-F]{3,8}\b|\b(?:rgb|rgba|hsl|hsla|oklch)\(|(?<=[ :(,])(?:white|black)(?=[ ;,)!])")
OWN = re.compile(r"^:root(?:\.dark)? \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
LOOKS = ("light", "dark")

# (what is read, what it stands on)
READ = [
    ("body-text-color", "body-background-fill"),
    ("body-text-color", "block-background-fill"),
    ("body-text-color", "primary-100"),
    ("body-text-color-subdued", "body-background-fill"),
    ("body-text-color-subdued", "block-background-fill"),
    ("body-text-color-subdued", "neutral-100"),
    ("body-text-color-subdued", "primary-100"),
    ("neutral-500", "block-background-fill"),
    ("input-placeholder-color", "input-background-fill"),
    ("link-text-color", "block-background-fill"),
    ("link-text-color", "body-background-fill"),
    ("color-accent", "body-background-fill"),
    ("button-primary-text-color", "button-primary-background-fill"),
    ("button-primary-text-color", "button-primary-background-fill-hover"),
    ("button-secondary-text-color", "button-secondary-background-fill"),
    ("button-secondary-text-color", "button-secondary-background-fill-hover"),
    ("error-text-color", "error-background-fill"),
    ("on-accent", "primary-600"),
    ("on-fill", "keep"),
    ("on-fill", "keep-hover"),
    ("on-fill", "drop"),
    ("good", "block-background-fill"),
    ("bad", "block-background-fill"),
    ("notice-ink", "notice"),
    ("stage-ink", "stage"),
    ("stage-soft", "stage"),
]
# What is only seen, such as the edge of a field.
SEEN = [
    ("input-border-color", "input-background-fill"),
    ("primary-600", "block-background-fill"),
    ("warn", "block-background-fill"),
    ("amber", "mark"),
]


def colours(look: str) -> dict[str, str]:
    """Every variable of a look, as the browser would have it: those of the theme, then our own of page.css."""
    sheet = f"{theme.theme()._get_theme_css()}\n{theme.css()}"
    light = re.findall(r":root \{\n(.*?)^\}", sheet, re.MULTILINE | re.DOTALL)
    dark = re.findall(r":root\.dark(?:, :root \.dark)? \{\n(.*?)^\}", sheet, re.MULTILINE | re.DOTALL)
    assert len(light) == len(dark) == 2
    found: dict[str, str] = {}
    for block in [*light, *(dark if look == "dark" else [])]:
        found |= re.findall(r"--([\w-]+):\s*([^;]+);", block)
    return found


def value(name: str, known: dict[str, str]) -> str:
    text = known[name].strip()
    while match := re.fullmatch(r"var\(--([\w-]+)\)", text):
        text = known[match[1]].strip()
    return text


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    assert re.fullmatch(r"#[0-9a-f]{6}", colour), colour
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("look", LOOKS)
def test_every_text_reads_on_its_ground(look: str) -> None:
    known = colours(look)
    found = {pair: round(contrast(value(pair[0], known), value(pair[1], known)), 2) for pair in READ}
    assert {pair: ratio for pair, ratio in found.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("look", LOOKS)
def test_every_edge_can_be_seen(look: str) -> None:
    known = colours(look)
    found = {pair: round(contrast(value(pair[0], known), value(pair[1], known)), 2) for pair in SEEN}
    assert {pair: ratio for pair, ratio in found.items() if ratio < 3} == {}


def test_the_dark_page_is_dark_and_the_light_one_light() -> None:
    light, dark = (luminance(value("body-background-fill", colours(look))) for look in LOOKS)
    assert dark < 0.02 < 0.8 < light


@pytest.mark.parametrize("path", SHEETS, ids=lambda path: path.name)
def test_a_style_sheet_names_no_colour_of_its_own(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name == "page.css":
        text = OWN.sub("", text)
    text = re.sub(r"url\([^)]*\)", "", text)  # a mask's shape
    lines = [line.strip() for line in text.splitlines() if LITERAL.search(line)]
    assert lines == []


@pytest.mark.parametrize(("code", "face"), [("zh-CN", "SC"), ("zh-TW", "TC"), ("ja", "JP")])
def test_the_faces_of_the_language_come_first(code: str, face: str) -> None:
    stack = theme.fonts(code)
    cjk = [name for name in stack if "CJK" in name]
    assert cjk[0] == f"Noto Sans CJK {face}"
    assert len(cjk) == 3
    assert stack.index(cjk[0]) == len(theme.LATIN)
    assert stack[-1] == "sans-serif"


def test_every_font_is_a_local_one() -> None:
    made = theme.theme("ja")
    assert made._stylesheets == []
    assert "@font-face" not in made._get_theme_css()


@pytest.mark.parametrize("code", i18n.codes())
def test_the_head_has_language_mark_and_look_before_anything_is_drawn(code: str) -> None:
    page = (Path(gradio.__file__).parent / "templates/frontend/index.html").read_bytes()
    dressed = head.Head(_nothing, code).dress(page).decode()
    assert f'lang="{code}"' in dressed
    assert dressed.count("<html") == 1
    script = dressed.index("flawsmith-look")
    assert dressed.index("<head>") < script < dressed.index("<body")
    assert dressed.index(head.LOOK.read_text(encoding="utf-8")) < dressed.index("gradio_config")
    assert '<link rel="icon" href="/favicon.svg"' in dressed
    assert "<title>Flawsmith</title>" in dressed


def test_the_head_names_no_other_site() -> None:
    page = (Path(gradio.__file__).parent / "templates/frontend/index.html").read_bytes()
    assert b"githubusercontent" in page
    dressed = head.Head(_nothing, "en").dress(page)
    assert b"githubusercontent" not in dressed
    assert b"@Gradio" not in dressed
    assert b"gradio.app" not in dressed
    assert b"manifest" not in dressed


async def _nothing(*_: object) -> None:
    raise AssertionError
