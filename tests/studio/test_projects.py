"""The routes of projects and of opened folders: what scripts and the page rely on, and what is refused."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from pipelines.core import images, projects
from pipelines.core.queue import Owner
from pipelines.core.requests import Inpaint
from studio import i18n, routes, shelf
from studio import projects as projects_routes
from studio.context import Context
from studio.guard import Guard
from tests.studio.serving import Answer, ask, serving

ROOT = Path(__file__).parents[2]
SAY = i18n.language()


class Studio:
    """A served studio without its page, and a hand to use it."""

    def __init__(self, context: Context, port: int) -> None:
        self.context = context
        self.port = port

    def __call__(self, method: str, path: str, data: Any = None) -> Answer:
        return ask(self.port, method, path, data=data)

    def made(self, name: str = "Housing") -> str:
        answer = self("POST", "/api/projects", {"name": name})
        assert answer.status == 201, answer.body
        found: str = answer.json()["id"]
        return found

    def asset(self, value: int, name: str = "part.png") -> str:
        return self.context.assets.put(images.encode_png(np.full((40, 60, 3), value, np.uint8)), name).id


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder that was opened: two pictures, a broken one, and a folder with one more."""
    folder = tmp_path / "line 1"
    (folder / "良品 2").mkdir(parents=True)
    for place, name in enumerate(("part 1.png", "part 2.png", "良品 2/部品.png")):
        (folder / name).write_bytes(images.encode_png(np.full((300, 400, 3), place, np.uint8)))
    (folder / "torn.png").write_bytes(images.encode_png(np.zeros((64, 64), np.uint8))[:60])
    (tmp_path / "secret.png").write_bytes(images.encode_png(np.zeros((8, 8), np.uint8)))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    return folder


@pytest.fixture
def studio(runs: Path, data: Path) -> Iterator[Studio]:
    context = Context.open(runs, [data])
    with serving(Guard(routes.application(context))) as port:
        yield Studio(context, port)


def test_a_project_is_made_renamed_filled_and_opened(studio: Studio) -> None:
    id, part = studio.made(), studio.asset(1, "Teil ä.png")
    added = studio("POST", f"/api/projects/{id}/pictures", {"assets": [part, part]}).json()
    assert added == {"added": [part], "already": [], "count": 1}
    changes = {"name": "外壳", "product": "steel", "open": part, "form": {"seed": 3}}
    assert studio("PATCH", f"/api/projects/{id}", changes).status == 200
    found = studio("GET", f"/api/projects/{id}").json()
    assert {name: found[name] for name in changes} == changes
    assert (found["id"], found["count"], "pictures" in found) == (id, 1, False)
    assert [one["id"] for one in studio("GET", "/api/projects").json()["projects"]] == [id]


def test_a_page_of_pictures_says_what_was_made_from_each(studio: Studio) -> None:
    id, assets = studio.made(), [studio.asset(value, f"part {value}.png") for value in range(5)]
    studio("POST", f"/api/projects/{id}/pictures", {"assets": assets})
    worked(studio.context, studio.context.assets.get(assets[2]).sha256)
    found = studio("GET", f"/api/projects/{id}/pictures?first=1&limit=3").json()
    assert (found["first"], found["total"]) == (1, 5)
    assert [one["name"] for one in found["items"]] == ["part 1.png", "part 2.png", "part 3.png"]
    tile = found["items"][1]
    assert (tile["width"], tile["height"], tile["bits"]) == (60, 40, 8)
    assert [(one["made"], one["kept"]) for one in found["items"]] == [(0, 0), (2, 1), (0, 0)]
    thumb = studio("GET", tile["thumb"])
    assert (thumb.status, thumb.headers["content-type"]) == (200, "image/jpeg")


def worked(context: Context, source: str) -> None:
    """A run of three pictures made from a source: one kept, one deleted."""
    asset = next(one.name for one in context.assets.folder.iterdir())
    run = context.queue.submit(Inpaint(image=asset, mask=asset, defect="dent", num_images=3))
    owner = Owner.me()
    context.queue.claim(owner, ("cpu", "device"))
    folder = context.runs / run
    for index in range(3):
        row = {
            "file": f"images/{index:05d}.png",
            "thumb": f"thumbs/{index:05d}.jpg",
            "defect": "dent",
            "regions": [{}],
            "source": {"sha256": source, "name": "part.png"},
            "scores": {"visibility": 1.0, "fidelity": 1.0},
        }
        context.queue.finish_item(run, owner, index, row)
    folder.mkdir()
    (folder / "review.json").write_text('{"00000": "kept", "00001": "deleted"}')


def test_a_picture_that_is_damaged_in_the_store_does_not_hide_the_others(studio: Studio) -> None:
    id, good, bad = studio.made(), studio.asset(1, "good.png"), studio.asset(2, "bad.png")
    studio("POST", f"/api/projects/{id}/pictures", {"assets": [bad, good]})
    studio.context.assets.get(bad).path.write_bytes(b"")
    found = studio("GET", f"/api/projects/{id}/pictures").json()["items"]
    assert [(one["name"], one.get("missing", False)) for one in found] == [("bad.png", True), ("good.png", False)]
    assert studio("DELETE", f"/api/projects/{id}/pictures/{bad}").json()["assets"] == [bad]
    assert studio("DELETE", f"/api/projects/{id}/pictures/{bad}").status == 404


def test_a_removal_and_a_deletion_are_taken_back(studio: Studio) -> None:
    id, assets = studio.made(), [studio.asset(value) for value in range(4)]
    studio("POST", f"/api/projects/{id}/pictures", {"assets": assets})
    studio("POST", f"/api/projects/{id}/pictures/remove", {"assets": [assets[2], assets[0]]})
    assert studio("GET", f"/api/projects/{id}/pictures").json()["undo"] == "remove"
    assert studio("POST", f"/api/projects/{id}/undo").json()["assets"] == [assets[0], assets[2]]
    assert studio("POST", f"/api/projects/{id}/redo").json()["count"] == 2
    assert studio("POST", f"/api/projects/{id}/undo").json()["count"] == 2
    assert studio("POST", f"/api/projects/{id}/undo").json() is None
    shown = studio("GET", f"/api/projects/{id}/pictures").json()["items"]
    assert [one["asset"] for one in shown] == assets
    assert studio("DELETE", f"/api/projects/{id}").json() == {"deleted": id}
    assert studio("GET", f"/api/projects/{id}").status == 404
    assert studio("POST", f"/api/projects/{id}/restore").json()["count"] == 4


def test_drafts_are_kept_and_none_is_null(studio: Studio) -> None:
    id, part = studio.made(), studio.asset(1)
    address = f"/api/projects/{id}/drafts/{part}"
    assert studio("GET", address).json() is None
    assert studio("PUT", address, {"strokes": ["划"]}).status == 200
    assert studio("GET", address).json() == {"strokes": ["划"]}
    assert studio("PUT", address, None).status == 422
    assert ask(studio.port, "PUT", address, b"null").status == 200
    assert studio("GET", address).body == b"null"
    assert ask(studio.port, "PUT", address, b'"' + b"x" * projects.MAX_DRAFT + b'"').error["code"] == "bad_input"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/projects", {}, 422),
        ("POST", "/api/projects", {"name": " "}, 422),
        ("POST", "/api/projects", {"name": "x", "id": "project-000000000000"}, 422),
        ("GET", "/api/projects/project-000000000000", None, 404),
        ("PATCH", "/api/projects/{id}", {"open": "asset-00000000000000000000"}, 404),
        ("PATCH", "/api/projects/{id}", {"made": 1}, 422),
        ("POST", "/api/projects/{id}/pictures", {"assets": ["asset-00000000000000000000"]}, 404),
        ("POST", "/api/projects/{id}/pictures", {"assets": ["../x"]}, 404),
        ("POST", "/api/projects/{id}/pictures", {"assets": ["x"] * 20_001}, 422),
        ("GET", "/api/projects/{id}/pictures?limit=1000", None, 422),
        ("GET", "/api/projects/{id}/drafts/..%2f..%2fproject.json", None, 404),
        ("PUT", "/api/projects/..%2f..%2fassets/drafts/asset-00000000000000000000", 1, 404),
        ("DELETE", "/api/projects/..", None, 404),
        ("POST", "/api/projects/project-000000000000/take", {"root": 0, "paths": []}, 404),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_shape(
    studio: Studio, method: str, path: str, body: Any, status: int
) -> None:
    answer = studio(method, path.replace("{id}", studio.made()), body)
    assert answer.status == status, answer.body
    assert answer.error["message"]
    assert str(studio.context.runs) not in answer.error["message"]


def test_a_damaged_project_is_told_beside_the_others(studio: Studio) -> None:
    good, bad = studio.made("good"), studio.made("bad")
    (studio.context.projects.folder / bad / projects.FILE).write_text("{")
    found = studio("GET", "/api/projects").json()
    assert ([one["id"] for one in found["projects"]], len(found["damaged"])) == ([good], 1)
    assert studio("GET", f"/api/projects/{bad}").status == 503


def test_the_first_project_is_made_only_once(studio: Studio) -> None:
    ids = {studio("POST", "/api/projects", {"name": "Untitled", "only_first": True}).json()["id"] for _ in range(3)}
    assert len(ids) == 1


# -- folders


def test_a_folder_is_browsed_page_by_page(studio: Studio) -> None:
    assert studio("GET", "/api/folders").json() == {"roots": ["line 1"]}
    found = studio("GET", "/api/folders?root=0&limit=2").json()
    assert [one["name"] for one in found["pictures"]] == ["part 1.png", "part 2.png"]
    assert (found["total"], found["folders"]) == (
        3,
        [{"name": "良品 2", "path": "良品 2", "pictures": 1, "whole": True}],
    )
    inner = studio("GET", f"/api/folders?root=0&path={quote('良品 2')}").json()
    assert [one["path"] for one in inner["pictures"]] == ["良品 2/部品.png"]
    deep = studio("GET", "/api/folders/pictures?root=0&deep=true").json()
    assert deep["paths"] == ["part 1.png", "part 2.png", "torn.png", "良品 2/部品.png"]


def test_a_thumbnail_is_small_and_asked_for_once(studio: Studio) -> None:
    address = f"/api/folders/thumb?root=0&path={quote('良品 2/部品.png')}"
    found = studio("GET", address)
    assert found.headers["content-type"] == "image/jpeg"
    assert images.decode(found.body, "x").pixels.shape == (192, 256, 3)
    again = ask(studio.port, "GET", address, headers={"If-None-Match": found.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert studio("GET", "/api/folders/thumb?root=0&path=torn.png").status == 422


@pytest.mark.parametrize(
    "path", ["../secret.png", "link.png", "/etc/passwd", "..", "%2e%2e/secret.png", "a%5cb", "%00"]
)
def test_nothing_leads_out_of_a_folder(studio: Studio, path: str) -> None:
    for address in (f"?root=0&path={path}", f"/pictures?root=0&path={path}", f"/thumb?root=0&path={path}"):
        answer = studio("GET", f"/api/folders{address}")
        assert answer.status in (404, 422), address
        assert str(studio.context.runs.parent) not in answer.error["message"]
    asked = {"root": 0, "paths": [path]}
    found = studio("POST", f"/api/projects/{studio.made()}/take", asked).json()
    assert (found["added"], len(found["refused"])) == ([], 1)
    assert not list(studio.context.assets.folder.glob("*"))


def test_pictures_of_a_folder_are_taken_in_once_and_what_is_refused_is_told(studio: Studio, data: Path) -> None:
    id = studio.made()
    paths = ["part 1.png", "torn.png", "良品 2/部品.png", "gone.png", "良品 2"]
    before = {path: (data / path).read_bytes() for path in paths[:3]}
    found = studio("POST", f"/api/projects/{id}/take", {"root": 0, "paths": paths}).json()
    assert (found["done"], len(found["added"]), found["count"]) == (5, 2, 2)
    assert [one["name"] for one in found["refused"]] == ["torn.png", "gone.png", "良品 2"]
    assert all(str(data.parent) not in one["message"] for one in found["refused"])
    again = studio("POST", f"/api/projects/{id}/take", {"root": 0, "paths": paths[:3]}).json()
    assert (again["added"], again["already"], again["count"]) == ([], found["added"], 2)
    assert {path: (data / path).read_bytes() for path in paths[:3]} == before


def test_a_moment_ends_and_the_rest_can_be_asked_for(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projects_routes, "TAKE_S", -1)
    found = studio("POST", f"/api/projects/{studio.made()}/take", {"root": 0, "paths": ["part 1.png", "part 2.png"]})
    assert (found.json()["done"], found.json()["count"]) == (1, 1)


def test_a_folder_that_is_not_there_ends_the_start_with_a_sentence(tmp_path: Path) -> None:
    flags = ["--no-browser", "--port", "0", "--runs", str(tmp_path / "runs"), "--data", str(tmp_path / "gone")]
    done = subprocess.run([sys.executable, "app.py", *flags], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.strip().endswith(
        "gone cannot be opened (No such file or directory): name a folder that is there"
    )


def test_without_an_opened_folder_there_is_none(runs: Path) -> None:
    with serving(Guard(routes.application(Context.open(runs)))) as port:
        assert ask(port, "GET", "/api/folders").json() == {"roots": []}
        assert ask(port, "GET", "/api/folders?root=0").status == 404


# -- what the page keeps and shows


def test_a_kept_thumbnail_is_the_picture_in_small(studio: Studio) -> None:
    pixels = np.zeros((400, 800, 3), np.uint8)
    pixels[:, 400:] = (200, 30, 30)
    asset = studio.context.assets.put(images.encode_png(pixels), "half.png")
    address = shelf.thumb(asset.id, asset.name)
    first, again = studio("GET", address), studio("GET", address)
    assert first.body == again.body == (asset.path.parent / "thumb.jpg").read_bytes()
    seen = images.decode(first.body, "thumb").pixels
    assert seen.shape == (128, 256, 3)
    assert seen[64, 200].tolist() == pytest.approx([200, 30, 30], abs=6)
    assert studio.context.assets.get(asset.id) == asset


@pytest.mark.parametrize("path", ["/healthz", "/files/{asset}/part.png", "/files/{asset}/part.png?side=64"])
def test_head_says_what_get_would(studio: Studio, path: str) -> None:
    path = path.replace("{asset}", studio.asset(1))
    head, get = studio("HEAD", path), studio("GET", path)
    assert (head.status, head.body) == (200, b"")
    for name in ("content-length", "content-type"):
        assert head.headers[name] == get.headers[name]


def test_what_comes_onto_the_canvas_is_in_a_project_without_a_word(studio: Studio) -> None:
    context = studio.context
    assert shelf.strip(context, "")["items"] == []
    assert shelf.keep_form(context, SAY, "", {"seed": 1}) is None
    first, second = (context.assets.get(studio.asset(value, f"{value}.png")) for value in (1, 2))
    project = shelf.took(context, SAY, "", [first])
    again = shelf.took(context, SAY, "project-000000000000", [second])
    assert (again.id, again.name, again.open) == (project.id, "Untitled", second.id)
    assert context.projects.records(project.id).assets() == [first.id, second.id]
    strip = shelf.strip(context, project.id)
    assert [one["title"] for one in strip["items"]] == ["1.png", "2.png"]
    assert (strip["open"], strip["total"]) == (second.id, 2)
    kept = shelf.keep_form(context, SAY, project.id, {"seed": 1})
    assert kept is not None
    assert kept.form == {"seed": 1}


def test_the_strip_is_around_the_picture_that_is_open(studio: Studio) -> None:
    context = studio.context
    assets = [context.assets.get(studio.asset(value, f"{value}.png")) for value in range(100)]
    project = shelf.took(context, SAY, "", assets, open=False)
    for place, begin in ((0, 0), (50, 30), (99, 60)):
        context.projects.change(project.id, open=assets[place].id)
        shown = [one["asset"] for one in shelf.strip(context, project.id)["items"]]
        assert shown == [one.id for one in assets[begin : begin + shelf.STRIP]]
