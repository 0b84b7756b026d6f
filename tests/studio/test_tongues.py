"""The page in its languages over real HTTP: who is sent where, and what is open below a language's address."""

import pytest

from studio import i18n
from tests.studio.conftest import Studio
from tests.studio.serving import ask


@pytest.fixture
def port(studio: Studio) -> int:
    return studio.port


@pytest.mark.parametrize(
    ("headers", "place"),
    [
        ({"Accept-Language": "ja,en;q=0.5"}, "/ja/"),
        ({"Accept-Language": "ja", "Cookie": f"x=1; {i18n.COOKIE}=zh-CN"}, "/zh-CN/"),
        ({"Cookie": f"{i18n.COOKIE}=klingon", "Accept-Language": "zh-TW"}, "/zh-TW/"),
    ],
)
def test_a_person_is_sent_to_the_page_in_their_language(port: int, headers: dict[str, str], place: str) -> None:
    answer = ask(port, "GET", "/?__theme=dark", headers=headers)
    assert (answer.status, answer.headers["location"]) == (302, f"{place}?__theme=dark")
    assert "Cookie" in answer.headers["vary"]


@pytest.mark.parametrize(
    "headers", [{}, {"Accept-Language": "de"}, {"Accept-Language": "ja", "Cookie": f"{i18n.COOKIE}=en"}]
)
def test_english_stays_where_it_is(port: int, headers: dict[str, str]) -> None:
    assert ask(port, "GET", "/", headers=headers).status == 200


def test_each_language_has_its_own_words_and_the_same_fence(port: int) -> None:
    for code in i18n.codes():
        place = "" if code == i18n.ENGLISH else f"/{code}"
        config = ask(port, "GET", f"{place}/config").json()
        labels = {part["props"].get("label") for part in config["components"]}
        assert i18n.language(code)("shell.tabs.paint") in labels
        assert ask(port, "GET", f"{place}/gradio_api/file=/etc/passwd").status == 404
        assert ask(port, "POST", f"{place}/gradio_api/run/predict").status == 404
    assert ask(port, "GET", "/ja").status == 302
    assert ask(port, "GET", "/ja/healthz").status == 404
