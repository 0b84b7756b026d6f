"""Folders that may be looked into: what is listed, in which order, and that nothing leads out of them."""

from pathlib import Path

import pytest

from pipelines.core import folders
from pipelines.core.errors import BadInput, Missing
from pipelines.core.folders import Folders, natural


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two series of parts, and beside the root something that is nobody's business."""
    top = tmp_path / "line 1"
    for name in ("part 2.png", "part 10.PNG", "part 1.tif", "notes.txt", ".hidden.png", "良品/b/1.jpg", "良品/2.bmp"):
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    (top / "empty").mkdir()
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "secret.png").write_bytes(b"x")
    (top / "out").symlink_to(secret)
    (top / "out.png").symlink_to(secret / "secret.png")
    (top / "in.png").symlink_to(top / "part 2.png")
    (top / "loop").symlink_to(top)
    return top


def test_a_folder_is_listed_in_the_order_a_person_counts_in(root: Path) -> None:
    found = Folders([root]).content(0, "")
    assert [(one.name, one.bytes) for one in found.pictures] == [
        ("in.png", 5),
        ("part 1.tif", 5),
        ("part 2.png", 5),
        ("part 10.PNG", 5),
    ]
    assert [(one.path, one.pictures, one.whole) for one in found.folders] == [("empty", 0, True), ("良品", 2, True)]
    inner = Folders([root]).content(0, "良品")
    assert ([one.path for one in inner.folders], [one.path for one in inner.pictures]) == (["良品/b"], ["良品/2.bmp"])


def test_links_inside_may_be_followed_and_links_out_are_not_there(root: Path) -> None:
    """`loop` leads to the root itself, which a name below it cannot mean."""
    open_ = Folders([root])
    assert open_.find(0, "in.png") == root / "part 2.png"
    for path in ("out", "out.png", "out/secret.png", "loop"):
        with pytest.raises(BadInput, match="leads out"):
            open_.find(0, path)


@pytest.mark.parametrize("path", ["..", "../secret", "/etc", "a/../../secret", "C:\\x", "a\\b", "./x", "\0", "a//b"])
def test_no_path_leads_out(root: Path, path: str) -> None:
    open_ = Folders([root])
    for asked in (open_.find, open_.content, lambda number, place: open_.pictures(number, place, deep=True)):
        with pytest.raises(BadInput, match="leads out"):
            asked(0, path)


def test_what_is_gone_or_never_was_is_missing(root: Path) -> None:
    open_ = Folders([root])
    with pytest.raises(Missing, match="no longer there"):
        open_.content(0, "moved")
    for number in (-1, 1):
        with pytest.raises(Missing, match=f"number {number}"):
            open_.content(number, "")
    with pytest.raises(BadInput, match="no folder"):
        open_.content(0, "part 2.png")


def test_a_folder_is_taken_with_or_without_what_lies_below(root: Path) -> None:
    open_ = Folders([root])
    assert open_.pictures(0, "", deep=False) == ["in.png", "part 1.tif", "part 2.png", "part 10.PNG"]
    assert open_.pictures(0, "", deep=True) == [
        "in.png",
        "part 1.tif",
        "part 2.png",
        "part 10.PNG",
        "良品/2.bmp",
        "良品/b/1.jpg",
    ]


def test_counting_ends_and_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST_COUNTED", 1)
    found = Folders([root]).content(0, "")
    assert not found.folders[-1].whole
    monkeypatch.setattr(folders, "MOST_BELOW", 3)
    with pytest.raises(BadInput, match="one by one"):
        Folders([root]).pictures(0, "", deep=False)


def test_two_roots_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for line in ("line 1", "line 2"):
        (tmp_path / line / "images").mkdir(parents=True)
    (tmp_path / "masks").mkdir()
    roots = [tmp_path / "line 1/images", tmp_path / "line 2/images", tmp_path / "masks"]
    assert Folders(roots).names() == ["line 1/images", "line 2/images", "masks"]


def test_a_root_that_is_not_there_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for name in ("gone", "file"):
        with pytest.raises(BadInput, match=f"--data .*{name} cannot be opened"):
            Folders([tmp_path / name])


def test_names_are_in_counting_order() -> None:
    given = ["b1", "a10", "a2", "A1", "2", "10", "a2b10", "a2b9", "é"]
    assert sorted(given, key=natural) == ["2", "10", "A1", "a2", "a2b9", "a2b10", "a10", "b1", "é"]
