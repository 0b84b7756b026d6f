"""Maps as the page asks for them and brings them back: which hold, how strongly, which of them can be had."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import images, intake, presets
from pipelines.core.errors import BadInput
from pipelines.core.gallery import Filter, Gallery
from pipelines.core.requests import Annotate, Control, Inpaint, Request, parse
from pipelines.worker import Worker
from studio import asking, canvas, i18n, menu, restore, steering
from studio.context import Context
from studio.tabs import bring, which
from tests import models, pictures
from tests.studio.test_asking import area, part, view_of

SAY = i18n.language("en")
AREA = {"defect": "generic/dent", "severity": 0.4, "prompt": "a dent", "padding_px": 64, "feather_px": 2}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A base of one's own, and nets that hold its edges and its depth."""
    here = tmp_path / "models"
    models.base(here / "plant")
    for name in ("plant-softedge", "plant-depth"):
        config = {"_class_name": "ControlNetModel", "cross_attention_dim": 768}
        models.single(here / name / "diffusion_pytorch_model.safetensors", {"conv_in.weight": (1, 1)})
        (here / name / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("FLAWSMITH_MODELS", str(here))
    return here


@pytest.fixture
def context(runs: Path) -> Context:
    return Context.open(runs)


def held(steer: dict[str, Any] | None = None, **common: Any) -> dict[str, Any]:
    """What the card holds, with some of what is said of each kind."""
    every = {kind: {**one, **(steer or {}).get(kind, {})} for kind, one in steering.START.items()}
    said = {"base": "plant", "seed": 3, "num_images": 1, "strength": 0.9, "geometry": True, "recipe": "defect"}
    return {"common": {**said, "steer": every, **common}, "area": AREA}


def sent(asset: str, *masks: np.ndarray) -> dict[str, Any]:
    return {"picture": {"asset": asset}, "areas": [area(mask, **AREA) for mask in masks]}


def checked(context: Context, data: dict[str, Any]) -> Request:
    return intake.from_web(data, context.assets)


def control(context: Context, what: dict[str, Any], form: dict[str, Any]) -> Control:
    found = checked(context, asking.control(context, what, canvas.painting(what), form))
    assert isinstance(found, Control)
    return found


def test_maps_whose_net_is_here_are_asked_for_with_their_strengths(context: Context) -> None:
    what = sent(part(context).id, pictures.disc())
    form = held({"hed": {"scale": 0.8, "end": 0.7}, "normal": {"scale": 1.2}})
    request = control(context, what, form)
    assert [(one.kind, one.scale, one.end) for one in request.conditions] == [("hed", 0.8, 0.7), ("depth", 0.4, 1.0)]
    assert (request.mask is not None, request.defect, request.severity) == (True, "dent", 0.4)
    assert (request.prompt, request.strength, request.geometry) == ("a dent", 0.9, True)


def test_several_areas_are_regions(context: Context) -> None:
    left, right = pictures.disc(at=(25, 36), radius=12), pictures.disc(at=(70, 36), radius=12)
    request = control(context, sent(part(context).id, left, right), held())
    assert [region.defect for region in request.regions] == ["dent", "dent"]


def test_with_nothing_painted_the_whole_picture_is_made_anew(context: Context) -> None:
    request = control(context, sent(part(context).id), held())
    assert (request.mask, request.regions, request.defect, request.prompt) == (None, (), "dent", "a dent")


def test_the_recipe_canny_makes_the_whole_picture_whatever_is_painted(context: Context, folder: Path) -> None:
    (folder / "plant-depth").rename(folder / "plant-canny")
    said = steering.RECIPES["canny"]
    request = control(context, sent(part(context).id, pictures.disc()), held(**said, recipe="canny"))
    assert [(one.kind, one.scale, one.low, one.high) for one in request.conditions] == [("canny", 1.0, 100, 200)]
    assert (request.mask, request.strength, request.geometry) == (None, 0.6, False)


@pytest.mark.parametrize(
    ("steer", "said"),
    [
        ({kind: {"on": False} for kind in steering.KINDS}, "no map is switched on"),
        ({kind: {"scale": 0} for kind in steering.KINDS}, "no map is switched on"),
        ({"hed": {"on": False}, "depth": {"on": False}}, "run python -m pipelines fetch sd15-normal"),
    ],
)
def test_without_a_map_that_can_hold_the_sentence_says_what_to_do(
    context: Context, steer: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        control(context, sent(part(context).id), held(steer))


def test_a_base_that_is_not_here_is_named_with_what_brings_it(context: Context) -> None:
    with pytest.raises(BadInput, match=r"Stable Diffusion 1\.5.*fetch sd15"):
        control(context, sent(part(context).id), held(base="sd15"))


def test_values_to_try_make_a_picture_with_each_pair(context: Context) -> None:
    what = sent(part(context).id, pictures.disc())
    form = {**held(num_images=4), "tried": {"guidance": [5, 7.5, 10], "control": [0.5, 1]}}
    request = checked(context, asking.tried(context, what, canvas.painting(what), form))
    assert isinstance(request, Control)
    assert (request.length(), request.tried[0], request.tried[-1]) == (6, (5, 0.5), (10, 1))
    for wrong in ([], ["much"], None):
        with pytest.raises(BadInput, match="guidance_scales holds no number"):
            asking.tried(context, what, canvas.painting(what), {**form, "tried": {"guidance": wrong}})


def test_the_maps_in_sight_need_neither_base_nor_net(context: Context) -> None:
    what = sent(part(context).id, pictures.disc())
    form = {**held(base="gone"), "maps": ["hed", "normal", "cheese"]}
    request = checked(context, asking.maps(context, what, canvas.painting(what), form))
    assert isinstance(request, Annotate)
    assert ([one.kind for one in request.conditions], request.lane()) == (["hed", "normal"], "cpu")
    assert request.defect == "dent"


def made(context: Context, request: Request) -> str:
    with Worker(context.runs, "cpu", ()) as worker:
        row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
    assert row.state == "done", row.sentence
    return row.id


def test_maps_that_were_made_are_shown_kept_out_of_review_and_given_up(context: Context) -> None:
    what = sent(part(context).id, pictures.disc())
    form = {**held(), "maps": ["hed", "depth"]}
    run = made(context, checked(context, asking.maps(context, what, canvas.painting(what), form)))
    shown = steering.maps(context, SAY, context.queue.get(run), 4)
    assert (shown["turn"], shown["over"], list(shown["items"])) == (4, True, ["hed", "depth"])
    assert shown["items"]["hed"]["by"] == "built-in"
    gallery = Gallery(context.runs)
    gallery.refresh()
    assert gallery.count(Filter()) == 0
    previews = steering.Previews(context)
    previews.give_up(run)  # not its own
    assert (context.runs / run / "images").is_dir()
    previews.mine(run)
    previews.give_up(run)
    assert not (context.runs / run / "images").exists()
    assert steering.maps(context, SAY, context.queue.get(run), 4)["items"] == {}


def test_what_a_picture_was_steered_by_comes_back_and_asks_for_the_same(context: Context) -> None:
    what = sent(part(context).id, pictures.disc())
    form = held({"hed": {"scale": 0.75, "start": 0.1}, "depth": {"on": False}}, guidance_scale=9.0, geometry=False)
    request = control(context, what, form)
    found = restore.of_request(context, request, {}, "generic")
    assert found.picture is not None
    steer = found.form["common"]["steer"]
    assert (steer["hed"]["on"], steer["hed"]["scale"], steer["hed"]["start"]) == (True, 0.75, 0.1)
    assert (steer["depth"]["on"], found.form["common"]["geometry"], found.form["common"]["recipe"]) == (
        False,
        False,
        "defect",
    )
    mask = view_of(context, found.areas[0]["mask"])
    note = {name: value for name, value in found.areas[0].items() if name != "mask"}
    again = {"picture": {"asset": found.picture.id}, "areas": [area(mask, **note)]}
    assert control(context, again, {**found.form, "area": note}) == request


def test_a_picture_made_whole_comes_back_too(context: Context) -> None:
    request = control(context, sent(part(context).id), held())
    found = restore.of_request(context, request, {}, "generic")
    assert found.picture is not None
    assert found.form["area"]["prompt"] == "a dent"
    assert control(context, sent(found.picture.id), found.form) == request


def test_of_a_drawn_picture_only_its_place_its_defect_and_its_seed_count(context: Context) -> None:
    mask = context.assets.put(images.encode_png(pictures.disc()), "mask.png").id
    drawn = {"task": "inpaint", "image": part(context).id, "mask": mask, "defect": "dent", "seed": 4, "strength": 0.3}
    for base, common in (("procedural", {"seed": 4, "num_images": 1}), ("plant", {"seed": 4, "strength": 0.3})):
        request = parse({**drawn, "base": base})
        assert isinstance(request, Inpaint)
        form = bring.steered(restore.of_request(context, request, {}, "generic").form)
        assert form["chosen"] == "generic/dent"
        assert ("base" in form["common"]) == (base == "plant")
        assert common.items() <= form["common"].items()
    steered = restore.of_request(context, control(context, sent(part(context).id, pictures.disc()), held()), {}, "")
    assert bring.steered(steered.form) == steered.form


def test_a_ready_made_map_that_is_gone_is_said(context: Context) -> None:
    asset = part(context)
    data = {"task": "control", "image": asset.id, "base": "plant", "conditions": [{"kind": "hed", "image": "asset-x"}]}
    request = parse(data)
    assert isinstance(request, Control)
    found = restore.of_request(context, request, {"asset-x": "edges.png"}, "generic")
    assert found.missing == ("the ready-made map edges.png is not here: open it again under Expert",)
    assert found.form["common"]["steer"]["hed"]["image"] == ""


def test_only_bases_that_can_be_steered_are_offered_ready_ones_first() -> None:
    offered = menu.catalogue(SAY, steered=True)["bases"]
    assert offered[0]["name"] == "plant"
    assert not any(one["draws"] for one in offered)
    nets = {kind: net["ready"] for kind, net in offered[0]["nets"].items()}
    assert nets == {"hed": True, "depth": True, "normal": False, "canny": False, "lineart": False}
    assert offered[0]["nets"]["normal"]["remedy"] == "python -m pipelines fetch sd15-normal"


def test_a_preset_of_ones_own_keeps_how_strongly_each_map_holds(tmp_path: Path) -> None:
    own = tmp_path / "presets"
    fields, apart = {"defect": "dent", "severity": 0.4}, {"guidance_scale": 9.0, "num_inference_steps": 30}
    asked = {"do": "save", "product": "steel", "label": "Ours", "fields": fields, "diffusion": apart}
    kept = which.changed(own, SAY, {**asked, "control": {"hed": 0.7, "depth": 0.2}})
    preset = presets.get(kept["chosen"], own=own)
    assert (preset.control, preset.diffusion["num_inference_steps"]) == ({"hed": 0.7, "depth": 0.2}, 30)
    product = next(one for one in menu.catalogue(SAY, own)["products"] if one["id"] == "steel")
    assert next(one for one in product["defects"] if one["own"])["control"] == {"hed": 0.7, "depth": 0.2}
    with pytest.raises(BadInput, match=r"control\.hed = 3"):
        which.changed(own, SAY, {**asked, "control": {"hed": 3}})
    gone = which.changed(own, SAY, {"do": "delete", "id": kept["chosen"]})
    back = which.changed(own, SAY, gone["undo"])
    assert presets.get(back["chosen"], own=own).control == {"hed": 0.7, "depth": 0.2}


def test_a_sweep_is_a_grid_row_by_row_with_the_best_marked(context: Context) -> None:
    what = sent(part(context).id, pictures.disc())
    form = {**held(), "tried": {"guidance": [5, 10], "control": [1, 1.5]}}
    run = context.queue.submit(checked(context, asking.tried(context, what, canvas.painting(what), form)))
    shown = steering.grid(context, SAY, context.queue.get(run))
    assert (shown["guides"], shown["steers"], shown["over"]) == ([5, 10], [1, 1.5], False)
    assert [(one["guidance_scale"], one["control_scale"]) for one in shown["cells"]] == [
        (5, 1),
        (10, 1),
        (5, 1.5),
        (10, 1.5),
    ]
    assert shown["scales"] == {"hed": 0.6, "depth": 0.4}
    assert steering.grid(context, SAY, None) == {"run": "", "cells": []}
