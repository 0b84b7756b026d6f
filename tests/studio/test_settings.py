"""What the Settings tab gathers: folders and their sizes, packages and their licences."""

from pathlib import Path

import pytest

from studio import i18n
from studio.context import Context
from studio.tabs import settings

ENGLISH = i18n.language()


def fill(folder: Path, *sizes: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, size in enumerate(sizes):
        (folder / str(number)).write_bytes(b"x" * size)


def test_a_folder_is_measured_with_what_lies_below_it(tmp_path: Path) -> None:
    fill(tmp_path, 10, 20)
    fill(tmp_path / "below" / "deeper", 300)
    assert settings.occupied(tmp_path) == (330, True)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", 5000)
    fill(tmp_path / "here", 10)
    (tmp_path / "here" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "here" / "again").symlink_to(tmp_path / "here")
    taken, whole = settings.occupied(tmp_path / "here")
    assert whole
    assert taken < 1000


def test_a_vast_folder_is_measured_in_part(tmp_path: Path) -> None:
    fill(tmp_path, *[1] * 20)
    taken, whole = settings.occupied(tmp_path, most=5)
    assert (taken, whole) == (5, False)
    assert settings.occupied(tmp_path, patience_s=0)[1] is False


def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    assert settings.occupied(tmp_path / "gone") == (0, True)


def test_every_folder_says_where_it_is_why_and_how_to_change_it(tmp_path: Path) -> None:
    data = tmp_path / "pictures" / "parts"
    fill(data, 2**20)
    context = Context.open(tmp_path / "work" / "runs", [data])
    runs, models, pictures = settings.folders(context, ENGLISH)
    assert [one["kind"] for one in (runs, models, pictures)] == ["runs", "models", "data"]
    assert (runs["short"], runs["full"]) == ("work/runs", str(context.runs))
    assert runs["flag"] == "python app.py --runs DIR"
    assert (pictures["short"], pictures["full"]) == ("pictures/parts", str(data))
    assert pictures["size"].startswith("1 MiB in it · ")
    assert pictures["flag"] == "python app.py --data DIR"
    assert all(one["why"] and one["name"] for one in (runs, models, pictures))


def test_a_folder_that_is_not_there_yet_says_so(tmp_path: Path) -> None:
    found = settings._folder(ENGLISH, "models", tmp_path / "models", "")
    assert found["size"] == "not there yet"


def test_every_package_of_ours_names_its_licence() -> None:
    found = settings.packages()
    assert {"gradio", "numpy", "pillow"} <= {one["name"] for one in found}
    assert [one["name"] for one in found if not one["licence"]] == []


@pytest.mark.parametrize("code", i18n.codes())
def test_a_language_leads_to_its_own_page(code: str) -> None:
    assert settings._language(code)["href"] == ("/" if code == "en" else f"/{code}/")


def test_the_version_is_that_of_the_project() -> None:
    assert f'version = "{settings.version()}"' in settings.PROJECT.read_text(encoding="utf-8")
