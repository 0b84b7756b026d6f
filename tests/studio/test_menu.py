"""The menu of defects: every choice is a request that passes, a person's own presets among them."""

import json
from pathlib import Path

import pytest

from pipelines.core import kinds, presets, requests
from pipelines.core.errors import BadInput
from pipelines.core.requests import Inpaint
from studio import i18n, menu
from studio.tabs import which

SAY = i18n.language("en")
RUST = {"defect": "stain", "severity": 0.9, "look": {"fluid": "rust"}, "padding_px": 80, "label": "asked"}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return presets.own_folder(tmp_path)


def test_every_choice_of_the_menu_is_a_request_that_passes() -> None:
    given = {"task": "inpaint", "image": "a.png", "mask": "b.png"}
    choices = [choice for _, product in menu.products(SAY) for _, choice in menu.defects(SAY, product)]
    assert {menu.fields(choice)["defect"] for choice in choices} == set(kinds.load())
    for choice in choices:
        found = requests.parse({**given, **menu.fields(choice)})
        assert isinstance(found, Inpaint)
        assert menu.titles(SAY)[choice]


def test_the_menu_begins_with_any_product_and_ends_with_everything() -> None:
    ids = [id for _, id in menu.products(SAY)]
    assert ids[0] == "generic"
    assert ids[-1] == menu.EVERY
    assert set(ids[:-1]) == set(presets.products())


def test_a_product_or_defect_that_is_not_there_is_named() -> None:
    with pytest.raises(BadInput, match=r"no product 'cheese'; there is .*steel"):
        menu.defects(SAY, "cheese")
    with pytest.raises(BadInput, match=r"no defect 'melt'; choose one of .*scratch"):
        menu.fields("melt")
    with pytest.raises(BadInput, match="no preset 'steel/melt'; there is "):
        menu.fields("steel/melt")


def test_own_presets_stand_under_their_product_and_are_marked(own: Path) -> None:
    presets.save(own, "steel", "Old rust", RUST, {"prompt": "old rust"})
    presets.save(own, "My castings", "Deep dent", {"defect": "dent"})
    (own / "wood.toml").write_text("[knot")
    told = menu.catalogue(SAY, own)
    json.dumps(told)
    products = {one["id"]: one for one in told["products"]}
    assert [one["label"] for one in products["steel"]["defects"] if one["own"]] == ["Old rust"]
    assert products["my_castings"]["label"] == "My castings"
    rust = next(one for one in products["steel"]["defects"] if one["own"])
    assert (rust["fields"], rust["diffusion"]) == (RUST, {"prompt": "old rust"})
    crazing = next(one for one in products["steel"]["defects"] if one["id"] == "steel/crazing")
    assert crazing["diffusion"]["guidance_scale"] == 8.0
    assert "prompt" not in crazing["fields"]
    assert menu.titles(SAY, own)["my_castings/deep_dent"] == "Deep dent"
    assert menu.fields("steel/old_rust", own) == RUST
    assert len(told["broken"]) == 1
    assert "wood.toml" in told["broken"][0]
    assert products["wood"]["defects"]


def test_a_parameter_is_told_with_its_bounds_and_what_auto_draws() -> None:
    look = {one["name"]: one for one in menu.catalogue(SAY)["kinds"]["stain"]["look"]}
    assert look["fluid"]["choices"] == [["water", "water"], ["oil", "oil"], ["rust", "rust"]]
    density = kinds.get("stain").parameters["density"]
    assert (look["density"]["low"], look["density"]["high"]) == (density.low, density.high)
    assert look["density"]["low"] <= look["density"]["mild"] <= look["density"]["severe"] <= look["density"]["high"]
    assert look["density"]["help"] == density.help


def test_what_was_asked_finds_the_choice_that_says_most_of_it(own: Path) -> None:
    asked = {**menu.START, "defect": "stain", "severity": 0.5, "look": {"fluid": "rust"}}
    assert menu.closest(asked, "generic") == ("steel", "steel/rust")
    assert menu.closest({**asked, "severity": 0.7}, "steel") == ("generic", "generic/stain")
    assert menu.closest({**asked, "look": {"fluid": "water"}}, "wood") == ("wood", "wood/stain")
    assert menu.closest({**asked, "look": {"fluid": "water"}}, "leather") == ("leather", "leather/water")
    assert menu.closest({**menu.START, "defect": "fold", "severity": 0.1}, "generic") == (menu.EVERY, "fold")
    assert menu.closest({**menu.START, "defect": "crack"}, "generic") == ("generic", "generic/crack")
    assert menu.closest({**menu.START, "defect": "crack"}, "capsule") == ("capsule", "capsule/crack")
    presets.save(own, "steel", "Old rust", {**RUST, "severity": 0.5})
    assert menu.closest(asked, "steel", own) == ("steel", "steel/rust")
    assert menu.closest({**asked, "padding_px": 80, "label": "asked"}, "steel", own) == ("steel", "steel/old_rust")


def test_a_base_without_its_weights_is_listed_and_refused_with_the_remedy(tmp_path: Path) -> None:
    table = tmp_path / "bases.toml"
    weights = 'repo = "a/b"\nrevision = "main"\nfiles = ["unet/x.safetensors"]\nsize_bytes = 5\ntasks = ["inpaint"]\n'
    own = '[paper]\nlabel = "Paper"\nfamily = "procedural"\nlicence = "x"\ntasks = ["inpaint"]\n'
    table.write_text(f'{own}\n[large]\nlabel = "Large"\nfamily = "sdxl"\nlicence = "x"\n{weights}')
    paper, large = menu.catalogue(SAY, table=table)["bases"]
    assert (paper["ready"], paper["why"]) == (True, "")
    assert large["ready"] is False
    assert large["why"].startswith("Large cannot draw yet: weights missing: 1 of 1 files")
    assert large["why"].endswith("Run python -m pipelines fetch large")
    menu.ready("paper", table)
    with pytest.raises(
        BadInput, match=r"Large cannot draw yet \(weights missing.*\): run python -m pipelines fetch large"
    ):
        menu.ready("large", table)


def test_what_a_preset_has_beside_its_fields_comes_back_with_it(own: Path) -> None:
    words = {"prompt": "old rust", "strength": 0.8}
    asked = {"do": "save", "product": "steel", "label": "Old rust", "fields": RUST, "diffusion": words}
    which.changed(own, SAY, asked)
    text = (own / "steel.toml").read_text() + 'shape = "flakes"\ncontrol = { hed = 0.5 }\n'
    (own / "steel.toml").write_text(text)
    before = presets.get("steel/old_rust", own=own)
    assert (before.diffusion, before.shape, before.control) == (words, "flakes", {"hed": 0.5})
    deleted = which.changed(own, SAY, {"do": "delete", "id": "steel/old_rust"})
    which.changed(own, SAY, json.loads(json.dumps(deleted["undo"])))
    assert presets.get("steel/old_rust", own=own) == before


def test_the_menu_says_what_of_a_preset_is_not_for_a_base() -> None:
    unsaid = {one["name"]: set(one["unsaid"]) for one in menu.catalogue(SAY)["bases"]}
    assert unsaid["sd15"] == unsaid["procedural"] == set()
    assert unsaid["flux1-fill"] == {"negative_prompt", "guidance_scale", "guidance_rescale"}


def test_what_becomes_of_a_preset_can_be_undone(own: Path) -> None:
    saved = which.changed(own, SAY, {"do": "save", "product": "steel", "label": "Old rust", "fields": RUST})
    assert (saved["sentence"], saved["chosen"]) == ("Saved as Old rust", "steel/old_rust")
    renamed = which.changed(own, SAY, {"do": "rename", "id": "steel/old_rust", "label": "Very old rust"})
    assert menu.titles(SAY, own)["steel/old_rust"] == "Very old rust"
    which.changed(own, SAY, renamed["undo"])
    assert menu.titles(SAY, own)["steel/old_rust"] == "Old rust"
    deleted = which.changed(own, SAY, {"do": "delete", "id": "steel/old_rust"})
    assert deleted["chosen"] == "stain"
    assert "steel/old_rust" not in menu.titles(SAY, own)
    back = which.changed(own, SAY, json.loads(json.dumps(deleted["undo"])))
    assert menu.fields(back["chosen"], own) == RUST
    which.changed(own, SAY, saved["undo"])
    assert "steel/old_rust" not in menu.titles(SAY, own)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"do": "steal"}, "do 'steal': a preset can be saved"),
        ({"do": "save", "product": "steel", "label": "x", "fields": "y"}, "says which defect"),
        ({"do": "save", "product": "steel", "label": "x", "fields": RUST, "diffusion": "y"}, "should be a table"),
        ({"do": "restore", "id": "steel/x", "label": "x", "fields": RUST, "shape": ["line"]}, "no shape"),
        ({"do": "restore", "id": "steel/x", "label": "x", "fields": RUST, "control": 1}, "should be a table"),
        ({"do": "restore", "id": "../../x", "label": "x", "fields": {"defect": "dent"}}, "is no preset's name"),
        ({"do": "restore", "id": "steel", "label": "x", "fields": {"defect": "dent"}}, "is no preset's name"),
    ],
)
def test_what_the_page_never_sends_is_refused(own: Path, asked: dict[str, object], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        which.changed(own, SAY, asked)
    assert not list(own.rglob("*.toml"))
