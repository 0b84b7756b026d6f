"""What a project knows of its pictures: filters, steps that are undone and made again, many pictures, bad values."""

import json
import threading
from pathlib import Path

import pytest

from pipelines.core import records
from pipelines.core.assets import Asset
from pipelines.core.errors import BadInput, Missing, Problem
from pipelines.core.records import Filter, Records


def parts(count: int) -> list[Asset]:
    return [Asset(f"asset-{place:020x}", f"part {place}.png", "", Path(), 1) for place in range(count)]


@pytest.fixture
def store(tmp_path: Path) -> Records:
    return Records(tmp_path)


@pytest.fixture
def four(store: Records) -> list[str]:
    """Four pictures: two scratches (one captioned), a dent and a good one."""
    assets = parts(4)
    known = [{"defect": "scratch", "caption": "a deep scratch", "tags": "old, wet"}, {"defect": "scratch"}]
    known += [{"defect": "dent", "part": "test"}, {}]
    store.add(assets, {one.id: said for one, said in zip(assets, known, strict=True)})
    return [one.id for one in assets]


@pytest.mark.parametrize(
    ("which", "found"),
    [
        (Filter(), [0, 1, 2, 3]),
        (Filter(defect="scratch"), [0, 1]),
        (Filter(defect=""), [3]),
        (Filter(captioned=True), [0]),
        (Filter(captioned=False, part="test"), [2]),
        (Filter(text="DEEP"), [0]),
        (Filter(text="part 2"), [2]),
        (Filter(text="%"), []),
        (Filter(tag="wet"), [0]),
        (Filter(tag="we"), []),
        (Filter(masked=True), []),
        (Filter(assets=("asset-" + "0" * 20,)), [0]),
    ],
)
def test_a_filter_finds_its_pictures(store: Records, four: list[str], which: Filter, found: list[int]) -> None:
    assert store.assets(which) == [four[place] for place in found]
    assert store.count(which) == len(found)


def test_pictures_are_counted_by_what_is_known_of_them(store: Records, four: list[str]) -> None:
    assert store.tally("defect") == {"scratch": 2, "": 1, "dent": 1}
    assert store.before(four[2]) == 2
    assert store.before(four[2], Filter(defect="scratch")) == 2
    assert store.before("asset-" + "f" * 20) == 4


def test_every_change_is_undone_and_made_again(store: Records, four: list[str]) -> None:
    was = store.page()
    assert store.change_all(Filter(defect="scratch"), {"defect": "Kratzer", "tags": " a,b , a"}, "class").count == 2
    store.remove(four[:1])
    store.change({four[2]: {"caption": "one\nline"}, "asset-" + "f" * 20: {"caption": "nobody"}}, "caption")
    now = store.page()
    assert [(one.defect, one.tags, one.caption) for one in now] == [
        ("Kratzer", "a, b", ""),
        ("dent", "", "one line"),
        ("", "", ""),
    ]
    for what, picture in (("caption", four[2]), ("remove", four[0]), ("class", four[0])):
        undone = store.undo()
        assert undone is not None
        assert (undone.what, undone.assets[0]) == (what, picture)
    assert store.page() == was
    assert store.undo() is None
    for _ in range(3):
        store.redo()
    assert store.page() == now
    assert store.redo() is None
    assert store.steps() == ("caption", "")


def test_a_new_change_ends_what_could_be_made_again(store: Records, four: list[str]) -> None:
    store.change({four[0]: {"caption": "a"}}, "caption")
    store.undo()
    assert store.change({four[0]: {"caption": "a deep scratch"}}, "caption").count == 0
    assert store.steps() == ("", "caption")
    store.change({four[1]: {"caption": "b"}}, "caption")
    assert store.steps() == ("caption", "")


def test_what_is_taken_out_and_added_again_knows_what_it_knew(store: Records, four: list[str]) -> None:
    store.remove([four[0]])
    assert not store.has(four[0])
    with pytest.raises(Missing, match="no picture of this project"):
        store.get(four[0])
    store.add(parts(1))
    assert store.assets() == [*four[1:], four[0]]
    assert store.get(four[0]).caption == "a deep scratch"


def test_only_so_many_steps_are_kept(store: Records, four: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "STEPS_KEPT", 3)
    for number in range(5):
        store.change({four[0]: {"caption": str(number)}}, "caption")
    while store.undo():
        pass
    assert store.get(four[0]).caption == "1"


def test_a_rewriting_is_shown_before_it_is_done(store: Records, four: list[str]) -> None:
    shown = list(store.rewritten(Filter(), "defect", lambda one: one.defect.replace("scratch", "groove")))
    assert [(one.asset, one.defect, after) for one, after in shown] == [
        (four[0], "scratch", "groove"),
        (four[1], "scratch", "groove"),
    ]
    assert store.tally("defect")["scratch"] == 2


def test_thousands_of_pictures_are_changed_in_one_step(store: Records) -> None:
    assets = parts(20_000)
    store.add(assets)
    assert store.change_all(Filter(), {"caption": "steel"}, "caption").count == 20_000
    assert [one.name for one in store.page(Filter(text="19998"))] == ["part 19998.png"]
    assert [one.name for one in store.page(first=19_999)] == ["part 19999.png"]
    store.undo()
    assert store.count(Filter(captioned=True)) == 0


def test_two_windows_lose_nothing_of_each_others(store: Records) -> None:
    assets = parts(40)
    store.add(assets)

    def write(mine: list[Asset]) -> None:
        for one in mine:
            Records(store.folder).change({one.id: {"caption": one.name}}, "caption")

    writers = [threading.Thread(target=write, args=(assets[half::2],)) for half in range(2)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert [one.caption for one in store.page()] == [one.name for one in assets]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"colour": "red"}, "no field 'colour'"),
        ({"caption": "x" * 4001}, "4,001 characters"),
        ({"part": "holdout"}, "train, val, test"),
        ({"mask": "../mask.png"}, "no file of the store"),
        ({"boxes": "[1]"}, "no list of boxes"),
        ({"boxes": json.dumps([{"x0": 1}])}, "no list of boxes"),
    ],
)
def test_values_of_no_use_are_refused(store: Records, four: list[str], values: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        store.change({four[0]: values}, "x")


def test_a_damaged_or_missing_file_is_a_sentence(store: Records, tmp_path: Path) -> None:
    (tmp_path / records.FILE).write_bytes(b"no database at all, but long enough to be read as one" * 40)
    with pytest.raises(Problem, match="damaged"):
        store.count()
    with pytest.raises(Missing, match="no project"):
        Records(tmp_path / "project-000000000000").count()
