"""Prepare for training without its page: what routes tell of a sorting, a cutting and moves; the words of its forms."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import images
from studio import i18n, routes
from studio.context import Context
from studio.guard import Guard
from studio.tabs import prepare
from tests.studio.pageless import Studio
from tests.studio.serving import serving


def look(root: Path) -> dict[str, bytes | None]:
    """Every path with its bytes; None for a folder."""
    return {path.relative_to(root).as_posix(): None if path.is_dir() else path.read_bytes() for path in root.rglob("*")}


def photos(root: Path, count: int = 2) -> Path:
    """Pictures in one folder: so many with a dent, so many with a cut, one of which nothing is said."""
    root.mkdir(parents=True)
    said = ["a dent in steel"] * count + ["a cut in steel"] * count
    for number, caption in enumerate([*said, ""]):
        images.write_png(root / f"{number}.png", np.full((24, 24), 40 + 9 * number, np.uint8))
        if caption:
            (root / f"{number}.cap").write_text(caption)
    return root


def plates(root: Path) -> Path:
    """One good picture and one with a hole, each with its mask."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(2):
        mask = np.zeros((64, 64), bool)
        mask[20:30, 20:30] = number == 1
        images.write_png(root / f"images/{number}.png", np.full((64, 64), 90 + number, np.uint8))
        images.write_png(root / f"masks/{number}.png", mask)
    return root


@pytest.fixture
def studio(runs: Path, tmp_path: Path) -> Iterator[Studio]:
    photos(tmp_path / "line" / "photos")
    plates(tmp_path / "line" / "plates")
    with serving(Guard(routes.application(Context.open(runs, [tmp_path / "line"])))) as port:
        yield Studio(Context.open(runs, [tmp_path / "line"]), port)


def asked(studio: Studio, **fields: Any) -> str:
    """A run over one of the folders, answered; its id."""
    path = fields.pop("path")
    data = studio.post("/api/datasets", {"root": 0, "path": path}).json()["id"]
    answer = studio.post("/api/runs", {"data": data, **fields})
    assert answer.status == 201, answer.body
    studio.work()
    return str(answer.json()["id"])


def told(studio: Studio, address: str) -> Any:
    answer = studio.get(f"/api/datasets{address and '/'}{address}")
    assert answer.status == 200, answer.body
    return answer.json()


SORT = {"task": "organize", "path": "photos", "minimum_images": 2, "nouns": "words"}


def test_a_sorting_is_told_with_its_folders_and_sentences_in_the_language(studio: Studio, tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    shutil.copy(tmp_path / "line/photos/0.png", outside)
    (tmp_path / "line/photos/link.png").symlink_to(outside)
    run = asked(studio, **SORT)
    found = told(studio, f"sortings/{run}?language=ja")["found"]
    assert {name: one["images"] for name, one in found["tree"].items()} == {"cut": 2, "dent": 2, "other": 1}
    assert found["notes"]
    assert found["notes"][0] == i18n.language("ja").sentence(told(studio, f"sortings/{run}")["found"]["notes"][0])
    assert studio.get(f"/api/datasets/crops/{run}").status == 404
    assert studio.get(f"/api/datasets/runs/{run}").status == 422


def test_moves_are_listed_until_they_are_taken_back(studio: Studio, tmp_path: Path) -> None:
    before = look(tmp_path / "line/photos")
    asked(studio, **SORT, mode="move")
    assert told(studio, "moves") == []
    run = asked(studio, **SORT, mode="move", dry_run=False)
    (one,) = told(studio, "moves")
    assert (one["id"], one["label"], one["moved"]) == (run, "line/photos", 5)
    (studio.context.runs / "strange").mkdir()
    (studio.context.runs / "strange/journal.jsonl").write_text("{}")
    back = asked(studio, task="organize", path="photos", undo=run, dry_run=False)
    assert told(studio, f"sortings/{back}")["found"]["moved"] == 9
    assert told(studio, "moves") == []
    assert look(tmp_path / "line/photos") == before


def test_a_copy_is_a_data_set_that_can_be_learned_from(studio: Studio) -> None:
    run = asked(studio, **SORT, dry_run=False)
    made = told(studio, f"sortings/{run}")["found"]["data"]
    assert {"id": made, "label": f"photos {run[:15]}"} in told(studio, "")["datasets"]


def test_a_cutting_shows_its_defects_first_and_can_be_learned_from(studio: Studio) -> None:
    run = asked(studio, task="crop", path="plates", side_px=32)
    first, second = told(studio, f"crops/{run}")["found"]["crops"]
    assert (first["name"], second["name"], second["mask"]) == ("1.png", "0.png", "")
    for address in (first["thumb"], first["mask"], second["thumb"]):
        assert studio.get(address).status == 200
    assert [(one["id"], one["count"]) for one in told(studio, "")["runs"]] == [(run, 2)]


@pytest.mark.parametrize("code", i18n.NAMES)
def test_every_control_has_its_words_and_what_it_begins_with(code: str) -> None:
    for task, fields in prepare.fields(i18n.language(code)).items():
        assert all(one["label"] and one["help"] for one in fields.values()), task
        assert "auto" in fields["most_per_picture" if task == "crop" else "most_folders"]
