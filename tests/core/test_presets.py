"""Presets: each one that ships is valid, and a wrong one is named to the field."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from pipelines.__main__ import _table
from pipelines.core import bases, kinds, nets, presets, requests, shapes
from pipelines.core.errors import BadInput
from pipelines.core.requests import Control, Export, Inpaint, Text
from pipelines.core.requests.diffusion import DIFFUSION

SHIPPED = [preset.id for product in presets.products().values() for preset in product.presets]
FILES: dict[str, Any] = {"image": "part.png", "mask": "mask.png"}
NEU_DET = {
    "crazing": 8.0,
    "inclusion": 7.5,
    "patches": 7.0,
    "pitted_surface": 8.5,
    "rolled-in_scale": 7.0,
    "scratches": 8.0,
}
MVTEC = {
    "bottle": "broken_large broken_small contamination",
    "cable": "bent_wire cable_swap combined cut_inner_insulation cut_outer_insulation missing_cable missing_wire"
    " poke_insulation",
    "capsule": "crack faulty_imprint poke scratch squeeze",
    "carpet": "color cut hole metal_contamination thread",
    "grid": "bent broken glue metal_contamination thread",
    "hazelnut": "crack cut hole print",
    "leather": "color cut fold glue poke",
    "metal_nut": "bent color flip scratch",
    "pill": "color combined contamination crack faulty_imprint pill_type scratch",
    "screw": "manipulated_front scratch_head scratch_neck thread_side thread_top",
    "tile": "crack glue_strip gray_stroke oil rough",
    "toothbrush": "defective",
    "transistor": "bent_lead cut_lead damaged_case misplaced",
    "wood": "color combined hole liquid scratch",
    "zipper": "broken_teeth combined fabric_border fabric_interior rough split_teeth squeezed_teeth",
}
"""The folders under `test/` of each category, without `good`."""


def test_the_products_of_this_house_are_there() -> None:
    assert set(presets.products()) >= {"generic", "steel", "tile", "leather", "wood", "board"}


def test_the_six_classes_of_the_steel_set_have_a_preset() -> None:
    asked = {name: presets.fill(Inpaint, f"steel/{name}", base="sd15", **FILES) for name in NEU_DET}
    assert {name: one.guidance_scale for name, one in asked.items() if isinstance(one, Inpaint)} == NEU_DET


def test_each_defect_type_of_mvtec_ad_has_a_preset() -> None:
    known = presets.products()
    types = [f"{category}/{name}" for category, names in MVTEC.items() for name in names.split()]
    assert (len(MVTEC), len(types)) == (15, 73)
    assert set(types) <= set(SHIPPED)
    other = {preset.id for category in MVTEC for preset in known[category].presets} - set(types)
    assert {id.partition("/")[0] for id in other} == {"leather", "tile", "wood"}, "they had presets before"


def test_magnetic_tiles_and_boards_have_the_classes_of_their_sets() -> None:
    names = {id: {one.id.partition("/")[2] for one in product.presets} for id, product in presets.products().items()}
    assert names["magnetic_tile"] == {"blowhole", "break", "crack", "fray", "uneven"}
    assert names["board"] >= {"open", "short", "mousebite", "spur", "pin_hole", "spurious_copper"}


def test_products_that_lie_one_way_say_so() -> None:
    lying = {id for id, product in presets.products().items() if product.oriented}
    assert lying == {"cable", "capsule", "metal_nut", "pill", "screw", "toothbrush", "transistor", "zipper"}


def test_what_paints_also_steers_by_its_maps() -> None:
    asked = presets.fill(Control, "steel/dent", base="sd15-inpaint", **FILES)
    assert isinstance(asked, Control)
    assert [(one.kind, one.scale) for one in asked.conditions] == [("hed", 0.4), ("depth", 0.5), ("normal", 0.6)]
    assert asked.guidance_scale == 7.5
    with pytest.raises(BadInput, match="steel/dent is for inpaint, not for text"):
        presets.fill(Text, "steel/dent", base="sd15")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_preset_fills_a_request(name: str) -> None:
    preset = presets.get(name)
    request = presets.fill(Inpaint, name, seed=7, **FILES)
    assert isinstance(request, Inpaint)
    assert request.seed == 7
    for field, value in preset.fields.items():
        assert getattr(request, field) == value
    assert not set(request.model_dump()) & DIFFUSION, "a drawn picture says nothing of diffusion"
    assert request.strength == 1


@pytest.mark.parametrize("name", SHIPPED)
def test_a_preset_says_more_to_a_base_that_diffuses(name: str) -> None:
    preset = presets.get(name)
    assert set(preset.diffusion) == {"prompt", "negative_prompt", "guidance_scale", "guidance_rescale", "strength"}
    request = presets.fill(Inpaint, name, base="sd15-inpaint", **FILES)
    assert isinstance(request, Inpaint)
    assert not request.draws
    for field, value in (preset.fields | preset.diffusion).items():
        assert getattr(request, field) == value
    assert preset.shape in shapes.SHAPES
    assert preset.control
    assert set(preset.control) <= set(nets.KINDS)


def test_no_two_presets_are_told_in_the_same_words() -> None:
    prompts = [presets.get(name).diffusion["prompt"] for name in SHIPPED]
    assert len(set(prompts)) == len(prompts)


def test_a_base_that_guides_by_itself_is_not_told_what_it_would_refuse() -> None:
    request = presets.fill(Inpaint, "steel/crazing", base="flux1-fill", **FILES)
    assert isinstance(request, Inpaint)
    assert request.prompt == presets.get("steel/crazing").diffusion["prompt"]
    assert (request.guidance_scale, request.guidance_rescale, request.negative_prompt) == (None, None, "")
    assert {bases.get(name).family for name in ("flux1-fill", "flux2-dev")} == set(presets.TAUGHT)


@pytest.mark.parametrize("base", ["procedural", "sd15"])
def test_the_command_line_asks_by_the_base_too(base: str, tmp_path: Path) -> None:
    fields = [f"base={base}", "look.width=0.5", "image=part.png", "mask=mask.png"]
    asked = _table(Namespace(what="inpaint", preset="steel/scratches", fields=fields, runs=tmp_path))
    assert requests.parse(asked) == presets.fill(Inpaint, "steel/scratches", base=base, look={"width": 0.5}, **FILES)
    assert "width" not in presets.get("steel/scratches").fields.get("look", {})


def test_the_base_a_preset_names_counts_where_nobody_names_one(tmp_path: Path) -> None:
    text = '[a]\ndefect = "dent"\nbase = "sd15"\n[a.diffusion]\nprompt = "a dent"\n'
    (tmp_path / "x.toml").write_text(text)
    assert presets.fill(Inpaint, "x/a", tmp_path, **FILES).prompt == "a dent"  # type: ignore[attr-defined]
    drawn = presets.fill(Inpaint, "x/a", tmp_path, base="procedural", **FILES)
    assert "prompt" not in drawn.model_dump()
    with pytest.raises(BadInput, match="no base 'sd99'"):
        presets.fill(Inpaint, "x/a", tmp_path, base="sd99", **FILES)
    with pytest.raises(BadInput, match="base = 3"):
        presets.fill(Inpaint, "x/a", tmp_path, base=3, **FILES)


def test_what_a_product_says_of_diffusion_lies_under_each_of_its_presets(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(
        'diffusion = { negative_prompt = "text", strength = 0.8 }\n'
        '[a]\ndefect = "dent"\n[b]\ndefect = "hole"\ndiffusion = { strength = 1.0 }\n'
    )
    a, b = presets.products(tmp_path)["x"].presets
    assert a.diffusion == {"negative_prompt": "text", "strength": 0.8}
    assert b.diffusion == {"negative_prompt": "text", "strength": 1.0}


def test_a_preset_has_the_shape_of_its_kind_or_its_own(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(
        '[a]\ndefect = "glue"\n[b]\ndefect = "glue"\nshape = "line"\n[c]\ntask = "export"\n'
    )
    found = presets.products(tmp_path)["x"].presets
    assert [one.shape for one in found] == [kinds.get("glue").shape, "line", ""]
    assert requests.task(found[2].task) is Export


def test_what_a_person_sets_stands_above_the_preset() -> None:
    request = presets.fill(Inpaint, "steel/patches", severity=0.9, **FILES)
    assert isinstance(request, Inpaint)
    assert request.severity == 0.9


WRONG = [
    ("[a]\ncolour = 1", r"x.toml \[a\]: no field 'colour'"),
    ("[a]\nseverity = 2", r"x.toml \[a\]: severity = 2"),
    ("[a]\ndefect = 'scrach'", r"x.toml \[a\]: no defect 'scrach'"),
    ("[a]\ntask = 'paint'", "no task 'paint'"),
    ("[a]\ndefect = 'scratch'\nlook = { nonsense = 1 }", "has no such parameter"),
    ("seed = 3", "'seed' stands outside a table; only label, oriented, diffusion do"),
    ("oriented = 'yes'", "x.toml: oriented = 'yes' should be true or false"),
    ("diffusion = 3", "x.toml: diffusion = 3 should be a table"),
    ("[a]\ndefect = 'dent'\ndiffusion = 'x'", r"x.toml \[a\]: diffusion = 'x' should be a table"),
    ("[a]\ndefect = 'dent'\n[a.diffusion]\nseverity = 0.5", "diffusion takes no field 'severity'; it takes adapter_s"),
    ("[a]\ndefect = 'dent'\n[a.diffusion]\nguidance_scale = 99", r"x.toml \[a\]: guidance_scale = 99"),
    ("[a]\ntask = 'export'\n[a.diffusion]\nprompt = 'x'", "no field 'prompt'"),
    ("[a]\ndefect = 'dent'\nshape = 'star'", r"x.toml \[a\]: no shape 'star'; choose one of line, "),
    ("[a]\ndefect = 'dent'\nshape = ['line']", "no shape"),
    ("[a]\ndefect = 'dent'\ncontrol = 0.5", "control = 0.5 should be a table such as hed = 0.6"),
    ("[a]\ndefect = 'dent'\ncontrol = { pose = 1 }", "control has no kind 'pose'; there is hed, depth"),
    ("[a]\ndefect = 'dent'\ncontrol = { hed = 2.5 }", "control.hed = 2.5 should be a number from 0 to 2"),
    ("[a]\ndefect = 'dent'\ncontrol = { hed = true }", "control.hed = True should be a number from 0 to 2"),
    ("[a", "x.toml is not valid TOML"),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG, ids=[text for text, _ in WRONG])
def test_a_wrong_preset_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(BadInput, match=sentence):
        presets.products(tmp_path)


def test_an_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match=r"no preset 'steel/scrach'; there is .*steel/scratches"):
        presets.get("steel/scrach")


def test_a_preset_for_another_task_is_refused() -> None:
    with pytest.raises(BadInput, match="preset steel/patches is for inpaint, not for export"):
        presets.fill(Export, "steel/patches", data="x")
