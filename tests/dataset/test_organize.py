"""Sorting a data set by its captions: what goes where, that a dry run touches nothing, and the way back from a kill."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipelines.core import datasets, images, intake, projects, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Missing
from pipelines.core.models import Models
from pipelines.core.queue import Owner, Queue
from pipelines.core.requests.organize import Organize, folder_name
from pipelines.core.runs import Run
from pipelines.dataset import organize
from pipelines.parts import journal, loaders
from pipelines.parts.captioners import nouns
from pipelines.parts.loaders import captioned

SIDE = 16
Tree = dict[str, bytes | None]


class Killed(BaseException):
    """The process is gone: nobody may catch it."""


def look(root: Path) -> Tree:
    """Every path with its bytes; None for a folder."""
    return {path.relative_to(root).as_posix(): None if path.is_dir() else path.read_bytes() for path in root.rglob("*")}


def picture(path: Path, caption: str | bytes | None = None, *, end: str = ".cap", shade: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write_png(path, np.full((SIDE, SIDE), shade, np.uint8))
    if caption is not None:
        path.with_suffix(end).write_bytes(caption if isinstance(caption, bytes) else caption.encode())
    return path


def leather(root: Path) -> Path:
    """Six scratches, four dents, and what is hard about captions and names."""
    for number in range(6):
        picture(root / f"{number}.png", f"a photo of leather with a thin scratch, no. {number}", shade=10 + number)
    for number in range(4):
        picture(root / "lot b" / f"{number}.png", "two dents in leather", end=".txt", shade=50 + number)
    picture(root / "lot b" / "傷 a:b.png", "scratches", shade=90)
    picture(root / "lot b" / "empty.png", "", shade=91)
    picture(root / "lot b" / "latin.png", b"caf\xe9 stain", shade=92)
    picture(root / "lot b" / "huge.png", "scratch " * 20_000, shade=93)
    picture(root / "no words.png", shade=94)
    return root


def begin(runs: Path, **fields: Any) -> Run:
    request = intake.from_paths(
        requests.parse({"task": "organize", **{"nouns": "words", "leave_out": ["leather"]}, **fields}), Assets(runs)
    )
    queue, me = Queue(runs), Owner.me()
    return Run(queue, queue.submit(request, owner=me), request, me)


def answer(run: Run) -> dict[str, Any]:
    assert isinstance(run.request, Organize)
    organize.run(run.request, run, Models())
    Queue(run.folder.parent).end(run.id, Owner.me(), "done")
    found: dict[str, Any] = json.loads((run.folder / "result.json").read_text(encoding="utf-8"))
    return found


def done(runs: Path, **fields: Any) -> dict[str, Any]:
    return answer(begin(runs, **fields))


def moved(runs: Path, root: Path, **fields: Any) -> tuple[Run, dict[str, Any]]:
    run = begin(runs, data=str(root), mode="move", dry_run=False, minimum_images=3, **fields)
    return run, answer(run)


def undone(runs: Path, root: Path, run: str, **fields: Any) -> dict[str, Any]:
    return done(runs, data=str(root), undo=run, dry_run=False, **fields)


CAPTIONS = [
    ("a photo of leather with a small hairline crack in the upper left, running horizontally", ["leather", "crack"]),
    ("scratches, rolled-in scale on steel sheets", ["scratch", "rolled-in scale", "sheet"]),
    ("pitted_surface", ["pitted surface"]),
    ("A close-up of a metal bearing housing with several dents and rust", ["housing", "dent", "rust"]),
    ("two pin holes in a circuit board", ["pin hole", "board"]),
    ("表面の傷、へこみ", ["表面の傷", "へこみ"]),
    ("a photo of a part without a defect", []),
    ("12 345 !!", []),
    ("", []),
]


@pytest.mark.parametrize(("caption", "found"), CAPTIONS, ids=[caption[:20] for caption, _ in CAPTIONS])
def test_the_nouns_of_a_caption(caption: str, found: list[str]) -> None:
    assert nouns.candidates(caption) == found


def chosen(found: Sequence[Sequence[str]], **fields: Any) -> list[str]:
    return organize.assigned(found, Organize(data="x", **fields))


def test_the_noun_that_most_share_goes_first_and_each_picture_has_one_folder() -> None:
    found = [["scratch", "dent"]] * 3 + [["dent"]] * 2 + [["hole"], []]
    assert chosen(found, minimum_images=2) == ["dent"] * 5 + ["", ""]
    assert chosen(found, minimum_images=2, leave_out=["Dents"]) == ["scratch"] * 3 + [""] * 4
    assert chosen(found, minimum_images=6) == [""] * 7


def test_a_folder_is_made_only_by_enough_pictures_that_have_none_yet() -> None:
    found = [["dent", "edge"]] * 3 + [["dent"]] * 2 + [["edge"]] * 2 + [["hole"]] * 2
    assert chosen(found, minimum_images=3) == ["dent"] * 5 + [""] * 4
    assert chosen(found, minimum_images=2) == ["dent"] * 5 + ["edge"] * 2 + ["hole"] * 2
    assert chosen(found, minimum_images=2, most_folders=1) == ["dent"] * 5 + [""] * 4


def test_a_noun_of_every_caption_tells_nothing_unless_there_is_no_other() -> None:
    assert (
        chosen([["leather", "dent"]] * 2 + [["leather", "hole"]] * 2, minimum_images=2) == ["dent"] * 2 + ["hole"] * 2
    )
    assert chosen([["leather"]] * 3, minimum_images=2) == ["leather"] * 3


def test_a_dry_run_shows_the_tree_and_changes_nothing(runs: Path, tmp_path: Path) -> None:
    root = leather(tmp_path / "leather")
    before = look(root)
    for mode in ("copy", "move"):
        run = begin(runs, data=str(root), mode=mode, minimum_images=3)
        result = answer(run)
        assert {name: one["images"] for name, one in result["tree"].items()} == {"scratch": 7, "dent": 4, "other": 4}
        assert result["tree"]["scratch"]["examples"][0] == "0.png"
        assert result["unassigned"] == {"leather": 10}
        assert result["images"] == 15
        assert look(root) == before
        assert {path.name for path in run.folder.iterdir()} == {"request.json", "result.json"}
    assert any("latin.cap" in note and "not UTF-8" in note for note in result["notes"])


def test_moved_pictures_keep_their_bytes_and_their_captions(runs: Path, tmp_path: Path) -> None:
    root = leather(tmp_path / "leather")
    before = look(root)
    said = {one.image.read_bytes(): one.caption for one in captioned.load(root, lambda fault: None)}
    _, result = moved(runs, root)
    after = look(root)
    assert sorted(name for name in after if after[name] is None) == ["dent", "other", "scratch"]
    pictures = {data for name, data in before.items() if name.endswith(".png")}
    assert {data for name, data in after.items() if name.endswith(".png")} == pictures
    assert after["scratch/傷 a:b.png"] == before["lot b/傷 a:b.png"]
    assert after["other/latin.cap"] == b"caf\xe9 stain"
    assert after["dent/2.cap"] == b"two dents in leather\n"
    assert after["dent/2.txt"] == b"two dents in leather"
    assert (result["moved"], result["renamed"]) == (15, 0)
    again = {one.image.read_bytes(): one.caption for one in captioned.load(root, lambda fault: None)}
    with_words = {data for data, words in said.items() if words and words != "lot b"}
    assert {data: again[data] for data in with_words} == {data: said[data] for data in with_words}


def test_undo_gives_the_same_tree_to_the_byte(runs: Path, tmp_path: Path) -> None:
    root = leather(tmp_path / "leather")
    before = look(root)
    run, _ = moved(runs, root)
    assert done(runs, data=str(root), undo=run.id)["files"] > 15
    assert look(root) != before
    result = undone(runs, root, run.id)
    assert (result["changed"], result["kept"], result["gone"]) == ([], [], [])
    assert look(root) == before


@pytest.mark.parametrize("steps", [0, 1, 2, 7, 20, 27])
def test_killed_in_the_middle_it_goes_on_and_can_be_undone(
    runs: Path, tmp_path: Path, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, twin = leather(tmp_path / "leather"), leather(tmp_path / "twin" / "leather")
    before = look(root)
    moved(runs, twin)
    run = begin(runs, data=str(root), mode="move", dry_run=False, minimum_images=3)
    left, real = [steps], journal._do

    def dying(place: Path, step: journal.Step) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        real(place, step)

    monkeypatch.setattr(journal, "_do", dying)
    with pytest.raises(Killed):
        organize.run(run.request, run, Models())  # type: ignore[arg-type]
    monkeypatch.setattr(journal, "_do", real)
    half = look(root)
    Queue(runs).end(run.id, Owner.me(), "cancelled")
    Queue(runs).resume(run.id, Owner.me())
    result = answer(Run(Queue(runs), run.id, run.request, Owner.me()))
    assert look(root) == look(twin) != half
    assert sum(one["images"] for one in result["tree"].values()) == 15
    undone(runs, root, run.id)
    assert look(root) == before


def test_a_run_that_was_killed_can_be_undone_at_once_and_never_goes_on(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = leather(tmp_path / "leather")
    before = look(root)
    run = begin(runs, data=str(root), mode="move", dry_run=False, minimum_images=3)
    real = journal._do

    def dying(place: Path, step: journal.Step) -> None:
        if "3.png" in step.to:
            raise Killed
        real(place, step)

    monkeypatch.setattr(journal, "_do", dying)
    with pytest.raises(Killed):
        organize.run(run.request, run, Models())  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="is not over \\(running\\): stop it first"):
        undone(runs, root, run.id)
    Queue(runs).end(run.id, Owner.me(), "cancelled")
    undone(runs, root, run.id)
    assert look(root) == before
    Queue(runs).resume(run.id, Owner.me())
    with pytest.raises(BadInput, match="was taken back meanwhile"):
        answer(Run(Queue(runs), run.id, run.request, Owner.me()))
    assert look(root) == before


def test_an_undo_that_was_killed_goes_on(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = leather(tmp_path / "leather")
    before = look(root)
    run, _ = moved(runs, root)
    back = begin(runs, data=str(root), undo=run.id, dry_run=False)
    real, left = journal._take_back, [9]

    def dying(place: Path, step: journal.Step, found: journal.Undone) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        real(place, step, found)

    monkeypatch.setattr(journal, "_take_back", dying)
    with pytest.raises(Killed):
        organize.run(back.request, back, Models())  # type: ignore[arg-type]
    monkeypatch.setattr(journal, "_take_back", real)
    answer(back)
    assert look(root) == before


def test_undone_twice_is_a_sentence(runs: Path, tmp_path: Path) -> None:
    root = leather(tmp_path / "leather")
    run, _ = moved(runs, root)
    undone(runs, root, run.id)
    before = look(root)
    with pytest.raises(BadInput, match=f"run {run.id} was undone already, by run"):
        undone(runs, root, run.id)
    assert look(root) == before


def test_what_moved_nothing_or_something_else_is_not_undone(runs: Path, tmp_path: Path) -> None:
    root, other = leather(tmp_path / "leather"), leather(tmp_path / "other")
    run, _ = moved(runs, root)
    with pytest.raises(BadInput, match="sorted another data set"):
        undone(runs, other, run.id)
    shown = begin(runs, data=str(other), mode="move")
    answer(shown)
    with pytest.raises(BadInput, match="moved nothing"):
        undone(runs, other, shown.id)
    with pytest.raises(BadInput, match="is no run's id"):
        undone(runs, other, "../x")


def test_names_that_clash_get_numbers_whatever_their_case(runs: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for place, name in (("a", "x.png"), ("b", "X.png"), ("Dent", "x.png"), ("c", "y.png"), ("c", "y.jpg.png")):
        picture(root / place / name, "a dent", shade=len(look(root)))
    before = look(root)
    run, result = moved(runs, root)
    stems = [path.stem.casefold() for path in (root / "Dent").glob("*.png")]
    assert len(stems) == len(set(stems)) == 5
    assert (root / "Dent/x.png").read_bytes() == before["Dent/x.png"]
    assert list(result["tree"]) == ["Dent"]
    assert result["renamed"] == 2
    undone(runs, root, run.id)
    assert look(root) == before


def test_two_pictures_of_one_stem_each_have_their_caption(runs: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    picture(root / "x.png", "a dent")
    for number in range(3):
        picture(root / f"{number}.png", "a dent", shade=number)
    (root / "x.bmp").write_bytes((root / "x.png").read_bytes())
    moved(runs, root)
    captions = {path.stem: path.read_text().strip() for path in (root / "dent").glob("*.cap")}
    assert captions == dict.fromkeys(("0", "1", "2", "x", "x_2"), "a dent")


def test_a_mask_goes_along_and_still_belongs_to_its_picture(runs: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for side in ("pictures side by side", "beside"):
        base = root / side
        images_, masks = (base / "images", base / "masks") if side != "beside" else (base, base)
        for number, defect in enumerate(["dent"] * 3 + ["hole"] * 3):
            picture(images_ / "lot" / f"{number}.png", f"leather with a {defect}", shade=10 * number + 10)
            mask = np.zeros((SIDE, SIDE), bool)
            mask[number : number + 2, 3] = True
            name = f"{number}.png" if side != "beside" else f"{number}_mask.png"
            (masks / "lot").mkdir(parents=True, exist_ok=True)
            images.write_png(masks / "lot" / name, mask)
        pairs = read_pairs(base)
        before = look(base)
        run, result = moved(runs, base)
        assert result["layout"] == "paired"
        assert read_pairs(base) == pairs
        assert {one.defect for one in loaders.load(base)} == {"dent", "hole"}
        undone(runs, base, run.id)
        assert look(base) == before


def read_pairs(root: Path) -> dict[bytes, bytes]:
    return {one.image.read_bytes(): one.mask.read_bytes() for one in loaders.load(root, "paired") if one.mask}


def test_parts_stay_apart_and_good_pictures_stay_good(runs: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for part in ("train", "test"):
        for number in range(3):
            picture(root / part / f"{number}.png", "a dent")
    picture(root / "good" / "9.png")
    _, result = moved(runs, root)
    assert {name: one["images"] for name, one in result["tree"].items()} == {
        "test/dent": 3, "train/dent": 3, "good": 1,
    }  # fmt: skip


def test_links_are_not_followed_and_nothing_leaves_the_folder(runs: Path, tmp_path: Path) -> None:
    root, outside = tmp_path / "set", tmp_path / "outside"
    picture(outside / "secret.png", "a dent")
    for number in range(3):
        picture(root / f"{number}.png", "a dent")
    (root / "link.png").symlink_to(outside / "secret.png")
    (root / "dent").symlink_to(outside, target_is_directory=True)
    before = look(outside)
    _, result = moved(runs, root)
    assert look(outside) == before
    assert (root / "link.png").is_symlink()
    assert sorted(path.name for path in (root / "dent_2").glob("*.png")) == ["0.png", "1.png", "2.png"]
    assert any("link.png is a link" in note for note in result["notes"])


def test_copies_lie_in_the_run_and_are_a_data_set_of_their_own(runs: Path, tmp_path: Path) -> None:
    root = leather(tmp_path / "leather")
    before = look(root)
    run = begin(runs, data=str(root), dry_run=False, minimum_images=3)
    result = answer(run)
    assert look(root) == before
    copies = look(run.folder / "organized")
    assert copies["scratch/傷 a:b.png"] == before["lot b/傷 a:b.png"]
    assert copies["dent/0.cap"] == b"two dents in leather\n"
    found = loaders.load(datasets.folder(result["data"], runs), "captioned", lambda fault: None)
    assert len(found) == 15
    organize.run(run.request, run, Models())  # type: ignore[arg-type]
    assert look(run.folder / "organized") == copies


def test_copies_of_a_labelled_set_bring_their_masks(runs: Path, tmp_path: Path) -> None:
    root = tmp_path / "metal"
    marks = {}
    picture(root / "train/good/0.png")
    for number in range(3):
        image = picture(root / f"test/hole/{number}.png", shade=20 * number)
        marks[image.read_bytes()] = np.zeros((SIDE, SIDE), bool)
        marks[image.read_bytes()][number, 2:9] = True
        (root / "ground_truth/hole").mkdir(parents=True, exist_ok=True)
        images.write_png(root / f"ground_truth/hole/{number}_mask.png", marks[image.read_bytes()])
    with pytest.raises(BadInput, match="layout mvtec would break if its pictures moved"):
        moved(runs, root)
    run = begin(runs, data=str(root), dry_run=False, minimum_images=3)
    result = answer(run)
    assert result["layout"] == "mvtec"
    every = loaders.load(run.folder / "organized", "auto", lambda fault: None)
    assert sorted((one.part, one.defect) for one in every) == [("test", "hole")] * 3 + [("train", "")]
    found = [one for one in every if one.mask]
    assert len(found) == 3
    for one in found:
        assert one.defect == "hole"
        assert np.array_equal(loaders.mask_of(one, (SIDE, SIDE)), marks[one.image.read_bytes()])


def test_copies_of_a_project_have_its_names_and_what_has_no_class_is_good(runs: Path, tmp_path: Path) -> None:
    assets, store = Assets(runs), projects.Projects(runs)
    project = store.create("Housing").id
    added = [assets.put(picture(tmp_path / f"part {one}.png", shade=one), f"part {one}.png") for one in (10, 20, 30)]
    store.add(project, added, {one.id: {"defect": "dent"} for one in added[:2]})
    result = done(runs, data=project, minimum_images=2)
    assert {name: one["examples"] for name, one in result["tree"].items()} == {
        "dent": ["part_10.png", "part_20.png"],
        "good": ["part_30.png"],
    }
    assert result["renamed"] == 0


def test_spacy_that_is_not_there_is_a_sentence(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = leather(tmp_path / "leather")
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(Missing, match=r"pip install spacy`, then `python -m spacy download en_core_web_sm"):
        done(runs, data=str(root), nouns="spacy")
    assert done(runs, data=str(root), nouns="auto")["nouns"] == "words"
    stub = ModuleType("spacy")
    stub.util = SimpleNamespace(is_package=lambda name: False)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spacy", stub)
    with pytest.raises(Missing, match="without its English model"):
        done(runs, data=str(root), nouns="spacy")


def test_nouns_come_from_spacy_where_it_is(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reads:
        def pipe(self, texts: Sequence[str]) -> list[list[Any]]:
            tags = {"blob": "NOUN", "photo": "NOUN", "see": "VERB"}
            return [[SimpleNamespace(lemma_=word, pos_=tags.get(word, "X")) for word in text.split()] for text in texts]

    stub = ModuleType("spacy")
    stub.util = SimpleNamespace(is_package=lambda name: name == "en_core_web_sm")  # type: ignore[attr-defined]
    stub.load = lambda name, exclude: Reads()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spacy", stub)
    root = tmp_path / "set"
    for number in range(3):
        picture(root / f"{number}.png", "photo see blob")
    result = done(runs, data=str(root), nouns="auto", minimum_images=2)
    assert (result["nouns"], list(result["tree"])) == ("spacy", ["blob"])


def test_over_http_a_path_is_refused_and_an_id_will_do(runs: Path, tmp_path: Path) -> None:
    root = leather(tmp_path / "leather")
    for task in ("organize", "crop"):
        with pytest.raises(BadInput, match="is no run, no project and no data set"):
            intake.from_web({"task": task, "data": str(root)}, Assets(runs))
        opened = datasets.put(runs, root, "leather")
        asked = intake.from_web({"task": task, "data": opened.id}, Assets(runs))
        assert asked.lane() == "cpu"
    before = look(root)
    result = done(runs, data=opened.id, mode="move", dry_run=False, minimum_images=3)
    assert "scratch" in result["tree"]
    assert look(root) != before


NAMES = [
    ("rolled-in scale", "rolled-in_scale"), ("a/b:c", "a_b_c"), ("..", ""), ("con", "con_"), ("傷", "傷"),
    ("_x_", "x"), ("a" * 300, "a" * 80), ("傷" * 90, "傷" * 26), ("a\n\u202eb", "a_b"), (" . ", ""),
]  # fmt: skip


@pytest.mark.parametrize(("words", "name"), NAMES)
def test_words_become_the_name_of_a_folder(words: str, name: str) -> None:
    assert folder_name(words) == name


def test_a_set_without_a_picture_and_a_name_that_is_none_are_sentences(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput):
        done(runs, data=str(tmp_path / "empty"))
    with pytest.raises(BadInput, match="is no name for a folder"):
        done(runs, data=str(tmp_path), other="../x")
