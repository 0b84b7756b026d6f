"""The words of the page: found, filled, counted, translated; and which language a person gets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from studio import i18n

EN, JA = i18n.language("en"), i18n.language("ja")


def test_words_are_found_by_area_and_key() -> None:
    assert EN("shell.stop") == "Stop"
    assert EN("ship.formats.yolo-seg") == "YOLO, outlines"
    assert EN.table("bar")["idle"] == "Ready"


def test_words_take_values_and_count() -> None:
    assert EN("bar.done", time="0.3 s") == "Done in 0.3 s"
    assert EN.count("ship.pictures", 1) == "1 picture"
    assert EN.count("ship.pictures", 12345) == "12,345 pictures"


@pytest.mark.parametrize("key", ["paint.no_such", "no_area.key", "ship.formats", "paint.generate.more"])
def test_words_that_are_not_there_are_a_mistake_of_ours(key: str) -> None:
    with pytest.raises(KeyError, match=key.partition(".")[0]):
        EN(key)
    with pytest.raises(KeyError):
        EN.table("no_area")


def test_a_language_speaks_its_own_words() -> None:
    assert JA("shell.tabs.paint") == "描く"
    assert JA.data("kinds.no_such.label", "Rust") == "Rust"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[i18n.Language]:
    """A language of two files, and an English of one."""
    for code, area, words in (
        ("en", "one", 'yes = "Yes"\nno = "No"'),
        ("ja", "one", 'yes = "はい"'),
        ("ja", "sentences", '"{name} is empty ({n} bytes): upload it again" = "{name} は空です ({n} バイト)"'),
    ):
        (tmp_path / code).mkdir(exist_ok=True)
        (tmp_path / code / f"{area}.toml").write_text(words, encoding="utf-8")
    monkeypatch.setattr(i18n, "FOLDER", tmp_path)
    i18n.language.cache_clear()
    yield i18n.Language("ja")
    i18n.language.cache_clear()


def test_what_a_language_lacks_is_said_in_english(made: i18n.Language) -> None:
    assert (made("one.yes"), made("one.no")) == ("はい", "No")
    assert made.table("one") == {"yes": "はい", "no": "No"}


def test_a_sentence_of_the_core_is_known_by_its_template(made: i18n.Language) -> None:
    assert made.sentence("a (1).png is empty (0 bytes): upload it again") == "a (1).png は空です (0 バイト)"
    assert made.sentence("something else happened") == "something else happened"
    assert EN.sentence("a.png is empty (0 bytes): upload it again").startswith("a.png is empty")


@pytest.mark.parametrize(
    ("chosen", "accepted", "found"),
    [
        (None, "", "en"),
        (None, "de-DE,de;q=0.9", "en"),
        (None, "ja,en;q=0.5", "ja"),
        (None, "de;q=0.9,zh-HK;q=0.8", "zh-TW"),
        (None, "zh-Hant-TW", "zh-TW"),
        (None, "zh", "zh-CN"),
        (None, "en;q=0.2,zh-SG;q=0.9", "zh-CN"),
        ("ja", "zh", "ja"),
        ("en", "ja", "en"),
        ("klingon", "ja;q=x,zh-TW", "zh-TW"),
    ],
)
def test_a_person_is_greeted_in_the_language_chosen_or_preferred(chosen: str | None, accepted: str, found: str) -> None:
    assert i18n.best(chosen, accepted) == found


@pytest.mark.parametrize(
    ("path", "found"),
    [("/ja/config", ("ja", "/config")), ("/ja", ("ja", "/")), ("/en/x", (None, "/en/x")), ("/jam", (None, "/jam"))],
)
def test_an_address_tells_its_language(path: str, found: tuple[str | None, str]) -> None:
    assert i18n.split(path) == found
