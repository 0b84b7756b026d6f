"""From what was painted and chosen to a request; from a finished picture back to both, and to the same bytes."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import images, intake, presets
from pipelines.core.assets import Asset
from pipelines.core.errors import BadInput, Missing
from pipelines.core.requests import Inpaint, parse
from pipelines.worker import Worker
from studio import asking, canvas, restore
from studio.context import Context
from tests import pictures

COMMON: dict[str, Any] = {"strength": 1, "num_images": 1, "seed": 9, "base": "procedural", "label": "changed"}
HELD: dict[str, Any] = {"product": "generic", "common": COMMON, "area": {"defect": "generic/dent", "severity": 0.5}}
LEFT, RIGHT = pictures.disc(at=(25, 36), radius=14), pictures.disc(at=(70, 36), radius=14)


@pytest.fixture
def context(runs: Path) -> Context:
    return Context.open(runs)


def part(context: Context, height: int = 72, width: int = 96) -> Asset:
    return context.assets.put(images.encode_png(pictures.good(height, width)), "part.png")


def area(mask: np.ndarray, **note: Any) -> dict[str, Any]:
    """One area as the canvas sends it."""
    return {"mask": "data:image/png;base64," + base64.b64encode(images.encode_png(mask)).decode(), **note}


def asked(context: Context, asset: str, areas: list[dict[str, Any]], held: Any = HELD) -> Inpaint:
    sent = {"picture": {"asset": asset} if asset else None, "areas": areas}
    found = intake.from_web(asking.inpaint(context, sent, canvas.painting(sent), held), context.assets)
    assert isinstance(found, Inpaint)
    return found


def drawn(context: Context, request: Inpaint) -> list[Path]:
    """The pictures that a request makes."""
    with Worker(context.runs, "cpu", ()) as worker:
        row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
    assert row.state == "done", row.sentence
    return sorted((context.runs / row.id / "images").glob("*.png"))


def view_of(context: Context, id: str, side: int = 10**6) -> np.ndarray:
    """A mask as the canvas shows it: every painted pixel paints its place in a view of at most `side`."""
    full = images.read_mask(context.assets.get(id).path)
    scale = min(1.0, side / max(full.shape))
    view = np.zeros([round(one * scale) for one in full.shape], bool)
    rows, columns = np.nonzero(full)
    view[((rows + 0.5) * scale).astype(int), ((columns + 0.5) * scale).astype(int)] = True
    return view


def brought_back(context: Context, found: restore.Restored, side: int = 10**6) -> Inpaint:
    """What Generate asks for when a restored picture was not touched."""
    assert found.picture is not None
    areas = [
        area(view_of(context, one["mask"], side), **{k: v for k, v in one.items() if k != "mask"})
        for one in found.areas
    ]
    held = {**found.form, "area": areas[-1], "expert": False}
    return asked(context, found.picture.id, areas, held)


def test_nothing_painted_is_a_sentence(context: Context) -> None:
    with pytest.raises(BadInput, match="nothing is painted yet: paint over the place"):
        asked(context, part(context).id, [])
    with pytest.raises(BadInput, match="no picture yet: open one"):
        asked(context, "", [])
    with pytest.raises(Missing, match="upload it first"):
        asked(context, "asset-" + "0" * 20, [area(LEFT)])


def test_one_area_is_a_mask_and_several_are_regions(context: Context) -> None:
    asset = part(context).id
    one = asked(context, asset, [area(LEFT)])
    assert (one.defect, one.severity, one.seed, one.regions) == ("dent", 0.5, 9, ())
    two = asked(context, asset, [area(LEFT, defect="steel/rust", severity=0.9), area(RIGHT, defect="dent")])
    assert [(one.defect, one.severity) for one in two.regions] == [("stain", 0.9), ("dent", 0.5)]
    assert two.regions[0].look == {"fluid": "rust"}
    assert two.regions[0].mask != two.regions[1].mask


def test_each_area_keeps_what_was_set_for_it(context: Context) -> None:
    first = {
        "defect": "stain",
        "look": {"fluid": "oil"},
        "light": 30,
        "padding_px": 20,
        "feather_px": 8,
        "severity": 0.2,
    }
    second = {"defect": "steel/rust", "look": {"fluid": "water", "rim": 0.4}, "light": None}
    asset = part(context).id
    alone = asked(context, asset, [area(LEFT, **first)])
    assert {name: getattr(alone, name) for name in first} == first
    both = asked(context, asset, [area(LEFT, **first), area(RIGHT, **second)])
    assert {name: getattr(both.areas()[0], name) for name in first} == first
    assert both.areas()[1].look == {"fluid": "water", "rim": 0.4}
    assert (both.areas()[1].padding_px, both.areas()[1].feather_px, both.areas()[1].light) == (64, 2, None)


def test_an_own_preset_counts_like_any_other(context: Context) -> None:
    own = presets.own_folder(context.runs)
    kept = presets.save(own, "steel", "Wide", {"defect": "scratch", "padding_px": 90, "look": {"width": 3}})
    found = asked(context, part(context).id, [area(LEFT, defect=kept.id)])
    assert (found.defect, found.padding_px, found.look) == ("scratch", 90, {"width": 3})


@pytest.mark.parametrize("held", [None, [], {}, {"common": 7, "area": "x", "restored": []}])
def test_what_the_card_never_sends_still_makes_a_sentence_or_a_request(context: Context, held: Any) -> None:
    asset = part(context).id
    assert asked(context, asset, [area(LEFT, defect="dent")], held).seed == 0
    with pytest.raises(BadInput, match="no defect ''"):
        asked(context, asset, [area(LEFT)], held)


def test_a_value_out_of_bounds_is_named(context: Context) -> None:
    with pytest.raises(BadInput, match="severity = 3"):
        asked(context, part(context).id, [area(LEFT, defect="dent", severity=3)])
    with pytest.raises(BadInput, match=r"look.depth = 9.0: dent takes a number from 0 to 1"):
        asked(context, part(context).id, [area(LEFT, defect="dent", look={"depth": 9})])


def made(context: Context, **fields: Any) -> list[Path]:
    """Pictures of a request with one area."""
    mask = context.assets.put(images.encode_png(LEFT), "my mask.png").id
    given = {"task": "inpaint", "image": part(context).id, "mask": mask, "defect": "stain", "severity": 0.83}
    request = parse({**given, **fields})
    assert isinstance(request, Inpaint)
    return drawn(context, request)


@pytest.mark.parametrize(
    "fields",
    [
        {"num_images": 3, "seed": 5},
        {
            "defect": "stain",
            "look": {"fluid": "rust", "density": 0.777},
            "light": 45.5,
            "feather_px": 40,
            "padding_px": 300,
        },
        {"defect": "fold", "label": "asked", "strength": 0.61, "severity": 0.333},
    ],
)
def test_a_restored_picture_of_one_area_is_made_again_to_the_byte(context: Context, fields: dict[str, Any]) -> None:
    picture = made(context, **fields)[-1]
    found = restore.of_run(context, picture.parents[1].name, picture.stem)
    (again,) = drawn(context, brought_back(context, found))
    assert again.read_bytes() == picture.read_bytes()


REGIONS: list[list[dict[str, Any]]] = [
    [{"defect": "hole", "severity": 0.8}, {"defect": "stain", "look": {"fluid": "oil"}}],
    [{"defect": "hole", "seed": 7, "light": 20}, {"defect": "dent", "seed": 40, "severity": 0.9, "padding_px": 9}],
    [{"defect": "dent", "severity": 0.7}],
]


@pytest.mark.parametrize("regions", REGIONS)
@pytest.mark.parametrize("top", [{}, {"severity": 0.77, "light": 200, "padding_px": 31, "feather_px": 5}])
def test_a_restored_picture_of_several_areas_is_made_again_to_the_byte(
    context: Context, regions: list[dict[str, Any]], top: dict[str, Any]
) -> None:
    masks = [context.assets.put(images.encode_png(one), f"{k}.png").id for k, one in enumerate((LEFT, RIGHT))]
    table = [{**region, "mask": mask} for region, mask in zip(regions, masks, strict=False)]
    given = {"task": "inpaint", "image": part(context).id, "seed": 11, "num_images": 2, "regions": table, **top}
    request = parse(given)
    assert isinstance(request, Inpaint)
    last = drawn(context, request)[-1]
    found = restore.of_run(context, last.parents[1].name, last.stem)
    (again,) = drawn(context, brought_back(context, found))
    assert again.read_bytes() == last.read_bytes()


def test_a_large_pictures_mask_is_restored_though_the_canvas_shows_it_smaller(context: Context) -> None:
    mask = np.zeros((400, 500), bool)
    mask[100:104, 50:301] = True
    id = context.assets.put(images.encode_png(mask), "thin.png").id
    request = parse({"task": "inpaint", "image": part(context, 400, 500).id, "mask": id, "defect": "dent"})
    assert isinstance(request, Inpaint)
    (picture,) = drawn(context, request)
    found = restore.of_run(context, picture.parents[1].name, picture.stem)
    again = brought_back(context, found, side=120)
    assert again.mask == id
    assert drawn(context, again)[0].read_bytes() == picture.read_bytes()


def test_another_seed_after_restoring_moves_every_area(context: Context) -> None:
    masks = [context.assets.put(images.encode_png(one), f"{k}.png").id for k, one in enumerate((LEFT, RIGHT))]
    table = [{"defect": "dent", "seed": 7 + k, "mask": mask} for k, mask in enumerate(masks)]
    request = parse({"task": "inpaint", "image": part(context).id, "seed": 11, "regions": table})
    assert isinstance(request, Inpaint)
    found = restore.of_request(context, request, {}, "generic")
    before = [one.seed for one in brought_back(context, found).areas()]
    assert before == [7, 8]
    found.form["common"]["seed"] = 12
    assert [one.seed for one in brought_back(context, found).areas()] == [8, 9]


def test_what_was_changed_after_restoring_is_what_is_asked(context: Context) -> None:
    picture = made(context, seed=5)[0]
    found = restore.of_run(context, picture.parents[1].name, picture.stem)
    found.areas[0]["severity"] = 0.1
    assert brought_back(context, found).severity == 0.1
    found.form["common"]["num_images"] = 4
    assert brought_back(context, found).num_images == 4


def test_a_missing_source_is_named_and_the_values_are_set(context: Context, tmp_path: Path) -> None:
    picture = made(context, seed=5, look={"fluid": "rust"}, padding_px=33)[0]
    other = Context.open(tmp_path / "elsewhere")
    found = restore.of_picture(other, picture, "dropped.png")
    assert found.picture is None
    assert "part.png, is not here: open that picture once, then drop this one again" in found.missing[0]
    assert found.form["common"]["seed"] == 5
    assert found.form["area"]["look"] == {"fluid": "rust"}
    assert found.form["area"]["padding_px"] == 33
    assert "restored" not in found.form


def test_a_missing_mask_is_named_and_the_picture_comes(context: Context, tmp_path: Path) -> None:
    picture = made(context, seed=5)[0]
    other = Context.open(tmp_path / "elsewhere")
    part(other)
    found = restore.of_picture(other, picture, "dropped.png")
    assert found.picture is not None
    assert found.areas == []
    assert len(found.missing) == 1
    assert found.missing[0].startswith("the mask my mask.png is not here: open it under Mask")


def test_the_areas_whose_masks_are_here_are_restored_without_the_one_that_is_not(context: Context) -> None:
    kept = context.assets.put(images.encode_png(RIGHT), "right.png").id
    table = [{"mask": "asset-" + "0" * 20, "defect": "hole"}, {"mask": kept, "defect": "dent"}]
    request = parse({"task": "inpaint", "image": part(context).id, "regions": table})
    assert isinstance(request, Inpaint)
    found = restore.of_request(context, request, {"asset-" + "0" * 20: "left.png"}, "generic")
    assert [one["mask"] for one in found.areas] == [kept]
    assert found.missing == ("the mask left.png is not here: open it under Mask, or paint that area anew",)
    assert "restored" not in found.form


def test_what_carries_no_request_of_ours_is_a_sentence(context: Context, tmp_path: Path) -> None:
    plain, odd, unknown = (tmp_path / f"{name}.png" for name in ("plain", "odd", "unknown"))
    images.write_png(plain, pictures.good())
    images.write_png(odd, pictures.good(), request={"task": "export", "data": ["x"]})
    images.write_png(unknown, pictures.good(), request={"task": "inpaint", "image": "a", "mask": "b", "defect": "melt"})
    for path, sentence in ((plain, "carries no request"), (odd, "was made by export"), (unknown, "no defect 'melt'")):
        with pytest.raises(BadInput, match=sentence):
            restore.of_picture(context, path, path.name)


def test_more_areas_than_the_canvas_holds_are_a_sentence(context: Context) -> None:
    mask = context.assets.put(images.encode_png(LEFT), "m.png").id
    request = parse({"task": "inpaint", "image": part(context).id, "regions": [{"mask": mask, "defect": "dent"}] * 9})
    assert isinstance(request, Inpaint)
    with pytest.raises(BadInput, match="painted in 9 areas: the canvas holds 8"):
        restore.of_request(context, request, {}, "generic")


@pytest.mark.parametrize("stem", ["../../x", "00009", "", "/etc/passwd"])
def test_only_a_picture_of_the_run_is_found(context: Context, stem: str) -> None:
    picture = made(context)[0]
    with pytest.raises((BadInput, Missing)):
        restore.picture_of(context, picture.parents[1].name, stem)
