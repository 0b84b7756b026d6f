"""A person's own presets: kept beside their data, on top of those that come with the studio, editable by hand."""

import re
import threading
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.core import presets, tables
from pipelines.core.errors import BadInput, Missing
from pipelines.core.requests import Inpaint

FILES: dict[str, Any] = {"image": "part.png", "mask": "mask.png"}
FINE: dict[str, Any] = {"defect": "scratch", "severity": 0.25, "look": {"width": 0.5}, "padding_px": 32}
EVERYTHING: dict[str, Any] = {
    **{"defect": "stain", "severity": 0.7, "strength": 0.9, "base": "procedural", "padding_px": 80},
    **{"feather_px": 6, "light": 45.5, "label": "asked", "look": {"fluid": "rust", "density": 0.4}},
}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return presets.own_folder(tmp_path)


def test_what_was_saved_fills_a_request_under_its_product(own: Path) -> None:
    kept = presets.save(own, "steel", "Fine scratch", FINE)
    assert kept.id == "steel/fine_scratch"
    found = presets.products(own=own)["steel"]
    assert found.label == "Steel strip"
    assert [one.own for one in found.presets] == [False] * (len(found.presets) - 1) + [True]
    request = presets.fill(Inpaint, kept.id, own=own, seed=3, **FILES)
    assert isinstance(request, Inpaint)
    assert {name: getattr(request, name) for name in FINE} == FINE


def test_every_field_comes_back_as_it_was(own: Path) -> None:
    kept = presets.save(own, "steel", "Everything", EVERYTHING)
    assert presets.get(kept.id, own=own).fields == EVERYTHING
    assert presets.get(kept.id, own=own).label == "Everything"


WORDS: dict[str, Any] = {"prompt": "a thin scratch", "guidance_scale": 6.5, "strength": 0.7, "scheduler": "ddim"}
BY_HAND_WHOLE = """label = "Castings"
diffusion = { negative_prompt = "text", strength = 0.8 }

[pores]
label = "Pores"
defect = "hole"
shape = "pits"
control = { depth = 0.5 }
[pores.diffusion]
prompt = "pores in grey iron"
"""


def test_what_was_saved_for_diffusion_is_kept_and_said_to_diffusion_alone(own: Path) -> None:
    kept = presets.save(own, "steel", "Fine scratch", FINE, WORDS)
    assert (kept.fields, kept.diffusion) == (FINE, WORDS)
    assert presets.get(kept.id, own=own) == kept
    assert presets.rename(own, kept.id, "Hairline").diffusion == WORDS
    gone = presets.delete(own, kept.id)
    assert presets.restore(own, gone, "Steel strip") == presets.get(kept.id, own=own) == gone
    diffused = presets.fill(Inpaint, kept.id, own=own, base="sd15", **FILES)
    drawn = presets.fill(Inpaint, kept.id, own=own, **FILES)
    assert isinstance(diffused, Inpaint)
    assert isinstance(drawn, Inpaint)
    assert {name: getattr(diffused, name) for name in WORDS} == WORDS
    assert not set(WORDS) - {"strength"} & set(drawn.model_dump())
    assert drawn.strength == 1


@pytest.mark.parametrize(
    ("diffusion", "sentence"),
    [
        ({"severity": 0.5}, "Fine: diffusion takes no field 'severity'"),
        ({"strength": 7}, "Fine: strength = 7"),
        ("words", "Fine: diffusion = 'words' should be a table"),
    ],
)
def test_what_is_not_for_diffusion_is_refused(own: Path, diffusion: Any, sentence: str) -> None:
    with pytest.raises(BadInput, match=re.escape(sentence)):
        presets.save(own, "steel", "Fine", FINE, diffusion)
    assert not list(own.glob("*.toml"))


def test_shape_weights_and_what_the_file_shares_outlive_a_change_of_name(own: Path) -> None:
    own.mkdir()
    (own / "castings.toml").write_text(BY_HAND_WHOLE)
    before = presets.get("castings/pores", own=own)
    assert before.diffusion == {"negative_prompt": "text", "strength": 0.8, "prompt": "pores in grey iron"}
    assert presets.rename(own, before.id, "Many pores").shape == "pits"
    text = (own / "castings.toml").read_text()
    assert text.count("negative_prompt") == 1
    after = presets.get(before.id, own=own)
    assert (after.diffusion, after.shape, after.control) == (before.diffusion, "pits", {"depth": 0.5})
    presets.restore(own, presets.delete(own, after.id), "Castings")
    assert presets.get(before.id, own=own) == after


def test_a_file_without_presets_offers_no_product(own: Path) -> None:
    own.mkdir()
    (own / "castings.toml").write_text(BY_HAND_WHOLE)
    presets.delete(own, "castings/pores")
    assert "castings" not in presets.products(own=own)
    assert "diffusion" in (own / "castings.toml").read_text()


@pytest.mark.parametrize("label", ["Label", "Diffusion", "oriented"])
def test_a_name_that_means_something_in_the_file_is_not_given(own: Path, label: str) -> None:
    kept = presets.save(own, "My castings", label, FINE)
    assert kept.id == f"my_castings/{label.casefold()}_2"
    assert presets.get(kept.id, own=own).label == label
    assert presets.products(own=own)["my_castings"].label == "My castings"
    with pytest.raises(BadInput, match="is no preset's name"):
        presets.restore(own, replace(kept, id=f"my_castings/{label.casefold()}"), "My castings")


def test_own_presets_are_no_part_of_the_package(own: Path) -> None:
    presets.save(own, "steel", "Fine scratch", FINE)
    assert "steel/fine_scratch" not in {one.id for one in presets.products()["steel"].presets}
    assert [path.name for path in own.iterdir()] == ["steel.toml"]


@pytest.mark.parametrize(
    ("product", "label", "id"),
    [
        ("My castings", "Rough dent", "my_castings/rough_dent"),
        ("冲压件", "细划痕", "冲压件/细划痕"),
        ("プレス品", "へこみ 深い", "プレス品/へこみ_深い"),
        ("a/../b", '"quoted" [x]', "a_b/quoted_x"),
        ("steel", "scratches", "steel/scratches_2"),
    ],
)
def test_names_are_made_from_labels_in_any_script(own: Path, product: str, label: str, id: str) -> None:
    kept = presets.save(own, product, label, FINE)
    assert kept.id == id
    assert presets.get(id, own=own).label == label
    assert presets.get(id, own=own).fields == FINE
    assert presets.products(own=own)[kept.product].label in (product, "Steel strip")


def test_the_same_label_twice_is_two_presets(own: Path) -> None:
    ids = [presets.save(own, "steel", "Fine scratch", FINE).id for _ in range(3)]
    assert ids == ["steel/fine_scratch", "steel/fine_scratch_2", "steel/fine_scratch_3"]


@pytest.mark.parametrize(
    ("product", "label", "fields", "sentence"),
    [
        ("steel", "  ", FINE, "the name '' has no letter"),
        ("steel", "!!", FINE, "the name '!!' has no letter"),
        ("steel", "x" * 61, FINE, "the name has 61 letters: use up to 60"),
        ("///", "Fine", FINE, "the name '///' has no letter"),
        ("con", "Fine", FINE, "means a device"),
        ("steel", "Fine", {"defect": "melt"}, "Fine: no defect 'melt'"),
        ("steel", "Fine", {"defect": "scratch", "severity": 3}, "Fine: severity = 3"),
        ("steel", "Fine", {"defect": "scratch", "look": {"fluid": "oil"}}, "scratch has no such parameter"),
        ("steel", "Fine", {"colour": 1}, "Fine: no field 'colour'"),
    ],
)
def test_what_cannot_be_a_preset_is_a_sentence_and_writes_nothing(
    own: Path, product: str, label: str, fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadInput, match=re.escape(sentence)):
        presets.save(own, product, label, fields)
    assert not list(own.glob("*.toml"))


def test_a_broken_file_is_one_sentence_and_the_others_work(own: Path) -> None:
    presets.save(own, "steel", "Fine scratch", FINE)
    (own / "wood.toml").write_text("[knot\n")
    (own / "tile.toml").write_text("[x]\ndefect = 'melt'\n")
    (own / "latin.toml").write_bytes(b"label = '\xe9'\n")
    assert presets.get("steel/fine_scratch", own=own).own
    assert presets.get("wood/crack", own=own).label == "Crack along the grain"
    said = presets.problems(own)
    assert [re.search(r"(\w+)\.toml", one)[1] for one in said] == ["latin", "tile", "wood"]  # type: ignore[index]
    assert all("\n" not in one for one in said)
    with pytest.raises(BadInput, match=r"no preset 'wood/knot'.*your preset file wood.toml is not valid TOML"):
        presets.get("wood/knot", own=own)
    with pytest.raises(BadInput, match=r"wood.toml is not valid TOML .*mend that file, then save again"):
        presets.save(own, "wood", "Knot", FINE)
    assert (own / "wood.toml").read_text() == "[knot\n"


def test_a_name_is_changed_and_the_id_stays(own: Path) -> None:
    kept = presets.save(own, "steel", "Fine scratch", FINE)
    assert presets.rename(own, kept.id, "Hairline").id == kept.id
    found = presets.get(kept.id, own=own)
    assert (found.label, found.fields) == ("Hairline", FINE)


def test_what_was_deleted_can_be_put_back(own: Path) -> None:
    first = presets.save(own, "My castings", "Dent", {"defect": "dent"})
    second = presets.save(own, "my_castings", "Fine scratch", FINE)
    gone = presets.delete(own, first.id)
    assert [one.id for one in presets.products(own=own)["my_castings"].presets] == [second.id]
    last = presets.delete(own, second.id)
    assert "my_castings" not in presets.products(own=own)
    assert presets.restore(own, gone, "My castings") == first
    assert presets.restore(own, last, "My castings") == second
    assert presets.products(own=own)["my_castings"].label == "My castings"
    with pytest.raises(BadInput, match="there is a preset my_castings/dent already"):
        presets.restore(own, gone, "My castings")


@pytest.mark.parametrize("id", ["steel/scratches", "steel/nothing", "../x", ""])
def test_only_ones_own_can_be_changed(own: Path, id: str) -> None:
    for change in (lambda: presets.rename(own, id, "Mine"), lambda: presets.delete(own, id)):
        with pytest.raises(Missing, match="only your own can be changed"):
            change()


def test_an_own_preset_may_stand_in_for_a_shipped_one(own: Path) -> None:
    own.mkdir()
    (own / "steel.toml").write_text('[scratches]\nlabel = "Ours"\ndefect = "scratches"\nseverity = 0.9\n')
    assert presets.get("steel/scratches", own=own).fields["severity"] == 0.9
    assert len(presets.products(own=own)["steel"].presets) == len(presets.products()["steel"].presets)


BY_HAND = """# the shop's own
label = "Castings"  # as on the drawing

# found on line 3
["fine one"]
label = "Fine one"
defect = "scratch"
[ "fine one".look ]
width = 0.5

# line 4
[deep]
defect = "dent"
"""


def test_comments_and_order_stay_when_something_is_saved_or_deleted(own: Path) -> None:
    own.mkdir()
    path = own / "castings.toml"
    path.write_text(BY_HAND)
    presets.save(own, "castings", "New", FINE)
    assert path.read_text().startswith(BY_HAND)
    presets.rename(own, "castings/deep", "Deep dent")
    assert path.read_text().startswith(BY_HAND[: BY_HAND.index("[deep]")])
    presets.delete(own, "castings/fine one")
    text = path.read_text()
    assert "# the shop's own" in text
    assert "# line 4\n[deep]" in text
    assert "width = 0.5" not in text.split("[new]")[0]
    assert [one.label for one in presets.products(own=own)["castings"].presets] == ["Deep dent", "New"]


def test_a_file_of_an_unforeseen_make_is_written_anew_and_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('label = "X"\na = { defect = "dent" }\n\n[b]\nlabel = """\n[c]\n"""\n')
    tables.put(path, "a", {"defect": "hole"}, "")
    tables.put(path, "c", {"text": 'tab\t"quote" \\ \x7f é 划'}, "")
    found = tomllib.loads(path.read_text())
    assert found == {
        "label": "X",
        "a": {"defect": "hole"},
        "b": {"label": "[c]\n"},
        "c": {"text": 'tab\t"quote" \\ \x7f é 划'},
    }


def test_many_windows_save_at_once_and_none_is_lost(own: Path) -> None:
    threads = [threading.Thread(target=presets.save, args=(own, "steel", "Same", FINE)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one.own for one in presets.products(own=own)["steel"].presets) == 12
