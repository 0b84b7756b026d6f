"""A ZIP over HTTP becomes a data set by its id: whole, in pieces, given up, refused."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pipelines.core import datasets
from studio import sets, uploads
from tests.studio.pageless import Studio, open_studio
from tests.studio.serving import Answer, ask


@pytest.fixture
def studio(runs: Path) -> Iterator[Studio]:
    with open_studio(runs) as own:
        yield own


def archive(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name in names:
            packed.writestr(name, name.encode())
    return out.getvalue()


def send(studio: Studio, data: bytes, query: str = "", name: str = "革.zip") -> Answer:
    return ask(studio.port, "POST", f"/api/uploads/zip{query}", data, {"X-Filename": quote(name)})


def left(runs: Path) -> list[str]:
    return sorted(path.name for path in (runs / "datasets").iterdir())


def test_a_zip_becomes_a_data_set(studio: Studio, runs: Path) -> None:
    answer = send(studio, archive("tile/good/0.png", "tile/cut/1.png"))
    assert answer.status == 201, answer.body
    made = answer.json()
    folder = datasets.folder(made["id"], runs)
    assert (folder.name, made["label"]) == ("tile", "革.zip")
    assert sorted(path.name for path in folder.rglob("*.png")) == ["0.png", "1.png"]
    assert not [name for name in left(runs) if name.endswith((".part", ".tmp"))]
    assert studio.get("/api/datasets").json()["datasets"] == [made]
    assert len(sets.pictures(studio.context, made["id"], None)) == 1


def test_a_zip_comes_in_pieces(studio: Studio, runs: Path) -> None:
    whole = archive("good/0.png", "cut/1.png")
    first = send(studio, whole[:50], "?last=false").json()
    assert first["bytes"] == 50
    again = send(studio, whole[:50], f"?upload={first['upload']}&at=0")
    assert again.status == 422
    assert "begins at 50, not at 0" in again.error["message"]
    made = send(studio, whole[50:], f"?upload={first['upload']}&at=50").json()
    assert datasets.folder(made["id"], runs).name == "革"


def test_what_is_given_up_leaves_nothing(studio: Studio, runs: Path) -> None:
    upload = send(studio, b"PK", "?last=false").json()["upload"]
    assert ask(studio.port, "DELETE", f"/api/uploads/zip/{upload}").status == 200
    assert left(runs) == []
    assert send(studio, b"PK", f"?upload={upload}&at=2").status == 404
    assert send(studio, b"PK", "?upload=../../queue&at=2").status == 404


REFUSED: list[tuple[bytes, str, str]] = [
    (archive("../up.png"), "", "leads out of its folder"),
    (b"no zip", "", "is no ZIP"),
    (b"PK", "?at=4", "names its upload"),
]


@pytest.mark.parametrize(("data", "query", "sentence"), REFUSED)
def test_what_is_refused_leaves_nothing(studio: Studio, runs: Path, data: bytes, query: str, sentence: str) -> None:
    answer = send(studio, data, query)
    assert answer.status == 422
    assert sentence in answer.error["message"]
    assert not (runs / "datasets").exists() or left(runs) == []


def test_more_than_may_be_sent_is_refused(studio: Studio, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_ZIP", 60)
    upload = send(studio, b"P" * 50, "?last=false").json()["upload"]
    answer = send(studio, b"P" * 50, f"?upload={upload}&at=50&last=false")
    assert answer.status == 422
    assert "is larger than 60 bytes" in answer.error["message"]
    assert (runs / "datasets" / f"{upload}.zip.part").stat().st_size == 50


def test_a_start_sweeps_what_was_half_unpacked(runs: Path) -> None:
    half = runs / "datasets" / f".{'0' * 16}.tmp"
    (half / "tile").mkdir(parents=True)
    with open_studio(runs):
        assert left(runs) == []


def test_an_ingest_is_told_by_its_own_route(studio: Studio) -> None:
    made = send(studio, archive("good/0.png")).json()
    run: dict[str, Any] = studio.post("/api/runs", {"task": "ingest", "data": made["id"]}).json()
    told = studio.get(f"/api/datasets/ingests/{run['id']}").json()
    assert (told["data"], told["state"], told["found"]) == (made["id"], "queued", None)
    assert studio.get(f"/api/datasets/checks/{run['id']}").status == 404
