"""The journal: whatever moment it is cut off at, it can be gone on with, and taken back to the byte."""

import hashlib
from pathlib import Path

import pytest

from pipelines.core.errors import BadInput, Missing
from pipelines.parts import journal
from pipelines.parts.journal import Step

Tree = dict[str, bytes | None]


class Killed(Exception):
    """The process is gone."""


def look(root: Path) -> Tree:
    """Every path with its bytes; None for a folder."""
    return {path.relative_to(root).as_posix(): None if path.is_dir() else path.read_bytes() for path in root.rglob("*")}


def quiet(done: int, total: int) -> None: ...


def after(steps: int) -> journal.Tick:
    """Ends the process when so many steps are done."""

    def tick(done: int, total: int) -> None:
        if done >= steps:
            raise Killed

    return tick


def move(root: Path, here: str, to: str) -> Step:
    return Step("move", to, here, sha256=hashlib.sha256((root / here).read_bytes()).hexdigest())


def filled(root: Path) -> list[Step]:
    """A tree with hard names, and the steps that turn it over."""
    for name in ("a b/teil 1.png", "a b/傷:2.png", "c/x.cap", "c/x.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return [
        Step("folder", "new"),
        move(root, "a b/teil 1.png", "new/teil 1.png"),
        move(root, "a b/傷:2.png", "new/傷:2.png"),
        move(root, "c/x.png", "new/x.png"),
        move(root, "c/x.cap", "new/x.cap"),
        journal.written("new/teil 1.cap", "傷\n"),
        Step("clear", here="a b"),
        Step("clear", here="c"),
    ]


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    odd = b"\xff.png".decode(errors="surrogateescape")
    steps = [Step("folder", "a b"), Step("move", f"a b/{odd}", odd, sha256="0" * 64), journal.written("x.cap", "傷\n")]
    journal.begin(tmp_path / "journal.jsonl", steps)
    assert journal.read(tmp_path / "journal.jsonl") == steps


def test_all_is_done_and_taken_back_to_the_byte(tmp_path: Path) -> None:
    steps = filled(tmp_path)
    before = look(tmp_path)
    journal.replay(tmp_path, steps, quiet)
    assert sorted(look(tmp_path)) == ["new", *(f"new/{n}" for n in sorted(
        ["teil 1.cap", "teil 1.png", "x.cap", "x.png", "傷:2.png"]))]  # fmt: skip
    assert journal.done(tmp_path, steps) == 5
    undone = journal.undo(tmp_path, steps, quiet)
    assert (undone.moved, undone.removed, undone.changed, undone.kept, undone.gone) == (4, 2, [], [], [])
    assert look(tmp_path) == before
    assert journal.done(tmp_path, steps) == 0


@pytest.mark.parametrize("steps_done", range(8))
def test_cut_off_anywhere_it_goes_on_and_comes_back(tmp_path: Path, steps_done: int) -> None:
    root = tmp_path / "set"
    steps = filled(root)
    before = look(root)
    with pytest.raises(Killed):
        journal.replay(root, steps, after(steps_done))
    half = look(root)
    journal.undo(root, steps, quiet)
    assert look(root) == before
    with pytest.raises(Killed):
        journal.replay(root, steps, after(steps_done))
    assert look(root) == half
    journal.replay(root, steps, quiet)
    whole = look(root)
    with pytest.raises(Killed):
        journal.undo(root, steps, after(steps_done))
    journal.undo(root, steps, quiet)
    assert look(root) == before
    journal.replay(root, steps, quiet)
    assert look(root) == whole


def test_a_half_written_file_of_a_killed_process_is_gone_after_undo(tmp_path: Path) -> None:
    steps = [journal.written("x.cap", "words")]
    journal._half(tmp_path / "x.cap").write_bytes(b"wo")
    journal.undo(tmp_path, steps, quiet)
    assert look(tmp_path) == {}
    journal._half(tmp_path / "x.cap").write_bytes(b"wo")
    journal.replay(tmp_path, steps, quiet)
    assert look(tmp_path) == {"x.cap": b"words"}


def test_nothing_that_stands_in_the_way_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    (tmp_path / "b").write_bytes(b"foreign")
    step = move(tmp_path, "a", "b")
    before = look(tmp_path)
    with pytest.raises(BadInput, match="a cannot go to b, where a file is"):
        journal.replay(tmp_path, [step], quiet)
    with pytest.raises(BadInput, match="b is there already, with other words"):
        journal.replay(tmp_path, [journal.written("b", "mine")], quiet)
    assert journal.undo(tmp_path, [step], quiet).moved == 0
    assert look(tmp_path) == before


def test_undo_replaces_nothing_and_begins_only_where_it_can_end(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
    steps = [Step("folder", "n"), move(tmp_path, "a", "n/a"), move(tmp_path, "b", "n/b")]
    journal.replay(tmp_path, steps, quiet)
    (tmp_path / "a").write_bytes(b"another")
    before = look(tmp_path)
    with pytest.raises(BadInput, match="n/a cannot go back, for a is there again"):
        journal.undo(tmp_path, steps, quiet)
    assert look(tmp_path) == before


def test_what_somebody_changed_or_removed_meanwhile_is_said(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
    steps = [
        Step("folder", "n"),
        move(tmp_path, "a", "n/a"),
        move(tmp_path, "b", "n/b"),
        journal.written("n/a.cap", "x"),
    ]
    journal.replay(tmp_path, steps, quiet)
    (tmp_path / "n/a").write_bytes(b"changed")
    (tmp_path / "n/b").unlink()
    (tmp_path / "n/a.cap").write_bytes(b"my own words")
    undone = journal.undo(tmp_path, steps, quiet)
    assert (undone.changed, undone.gone, undone.kept) == (["a"], ["b"], ["n/a.cap"])
    assert look(tmp_path) == {"a": b"changed", "n": None, "n/a.cap": b"my own words"}


def test_a_file_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="a is gone: put it back"):
        journal.replay(tmp_path, [Step("move", "b", "a", sha256="0" * 64)], quiet)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "link/x", "link/deep/x", "", "a\0b"])
def test_no_step_leaves_the_folder(tmp_path: Path, name: str) -> None:
    root = tmp_path / "set"
    root.mkdir()
    (tmp_path / "deep").mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(BadInput, match="leads out of the data set's folder"):
        journal._place(root, name)


def test_a_journal_that_somebody_changed_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with pytest.raises(Missing, match="there is no journal"):
        journal.read(path)
    for line in ("{", '{"kind": "delete", "to": "x"}', '{"to": "x"}', "[]", "3", '{"kind": "move", "rm": 1}'):
        path.write_text(line + "\n")
        with pytest.raises(BadInput, match=r"line 1 of journal\.jsonl is no step"):
            journal.read(path)
