"""Masks that nobody painted: inside what is legal, apart, as large and as turned as asked or as real ones are."""

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.core import requests
from pipelines.core.errors import BadInput
from pipelines.core.requests import Place
from pipelines.core.requests.place import Brush
from pipelines.core.shapes import SHAPES
from pipelines.core.statistics import GRID, shares
from pipelines.parts import loaders, placing
from pipelines.parts.placing import Placer, Real, heat, outlines
from pipelines.parts.placing.draws import USUAL
from tests import pictures

HIGH, WIDE = 160, 200
EVERYWHERE = np.ones((HIGH, WIDE), bool)


def ask(**fields: Any) -> Place:
    request = requests.parse({**Place.skeleton, "task": "place", **fields})
    assert isinstance(request, Place)
    return request


def strokes(count: int = 24, degrees: float = 30, spread: float = 4, seed: int = 3) -> Real:
    """Real masks: strokes of 20 to 40 px that run about `degrees`, all in the picture's left third."""
    random = np.random.default_rng(seed)
    masks = []
    for number in range(count):
        canvas = np.zeros((HIGH, WIDE), np.uint8)
        turn = math.radians(random.normal(degrees, spread))
        reach = random.uniform(10, 20) * np.array([math.cos(turn), -math.sin(turn)])
        middle = np.array([random.uniform(30, 60), random.uniform(30, 130)])
        ends = [tuple(int(v) for v in np.rint(middle + sign * reach)) for sign in (-1, 1)]
        cv2.line(canvas, ends[0], ends[1], 1, 3)
        masks.append((f"{number}.png", canvas > 0, True))
    return placing.measure(masks)


def legal_ring() -> np.ndarray:
    return pictures.disc(HIGH, WIDE, radius=70) & ~pictures.disc(HIGH, WIDE, radius=25)


@pytest.mark.parametrize("brush", list(SHAPES))
def test_every_brush_lies_within_the_legal_area(brush: str) -> None:
    placer = Placer(ask(brushes=[brush], size=[0.1, 0.2], instances=[2, 3]))
    legal = legal_ring()
    for seed in range(3):
        for one in placer.draw(legal, seed):
            assert one.mask.any()
            assert not (one.mask & ~legal).any()
            assert one.source == brush


def test_brushes_that_may_be_asked_for_are_those_there_are() -> None:
    assert list(Brush.__args__) == list(SHAPES) == list(dict.fromkeys([*SHAPES, *USUAL]))  # type: ignore[attr-defined]


@pytest.mark.parametrize("gap", [0, 1, 6])
@pytest.mark.parametrize("real", [None, strokes()], ids=["brushes", "real"])
def test_areas_keep_their_gap_and_lie_where_they_may(gap: int, real: Real | None) -> None:
    request = ask(instances=[5, 5], gap_px=gap, size=[12, 30], **({"data": "x", "where": "as real"} if real else {}))
    legal = legal_ring()
    for seed in range(4):
        placed = Placer(request, real).draw(legal, seed)
        assert len(placed) == 5
        taken = np.zeros(legal.shape, bool)
        for one in placed:
            assert not (one.mask & ~legal).any()
            away = cv2.distanceTransform((~taken).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            assert not taken.any() or away[one.mask].min() > gap
            taken |= one.mask


def test_the_same_seed_lays_the_same_mask_whatever_was_laid_before() -> None:
    request = ask(instances=[1, 3], data="x")
    first, second = Placer(request, strokes()), Placer(request, strokes())
    for seed in (5, 2, 5):
        second.draw(EVERYWHERE, seed + 100)
        for one, other in zip(first.draw(EVERYWHERE, seed), second.draw(EVERYWHERE, seed), strict=True):
            assert (one.box, one.facts) == (other.box, other.facts)
            assert np.array_equal(one.pixels, other.pixels)
    masks = [first.draw(EVERYWHERE, seed)[0].mask for seed in range(4)]
    assert not any(np.array_equal(masks[0], other) for other in masks[1:])


@pytest.mark.parametrize(("size", "least", "most"), [([0.1, 0.3], 16, 48), ([25, 25], 25, 25), ([1.5, 4], 1.5, 4)])
@pytest.mark.parametrize("brush", ["line", "blob", "crack", "real"])
def test_lengths_are_those_asked_for(size: list[float], least: float, most: float, brush: str) -> None:
    real = strokes() if brush == "real" else None
    placer = Placer(ask(size=size, **({"data": "x"} if real else {"brushes": [brush]})), real)
    for seed in range(8):
        (one,) = placer.draw(EVERYWHERE, seed)
        assert least - 1 <= one.facts["length_px"] <= most + 1


def test_lengths_and_angles_follow_the_real_ones() -> None:
    real = strokes(degrees=30, spread=4)
    placer = Placer(ask(data="x"), real)
    facts = [placer.draw(EVERYWHERE, seed)[0].facts for seed in range(60)]
    angles = np.array([one["angle"] for one in facts])
    assert abs(np.median(angles) - 30) < 4
    assert 1 < angles.std() < 12
    lengths, wanted = np.array([one["length_px"] for one in facts]), [one.length * HIGH for one in real.pieces]
    for share in (0.1, 0.5, 0.9):
        assert abs(np.quantile(lengths, share) / np.quantile(wanted, share) - 1) < 0.2


@pytest.mark.parametrize("degrees", [0, 60, 90, 179])
def test_an_angle_that_is_asked_for_is_kept(degrees: float) -> None:
    for request, real in ((ask(angle=degrees, brushes=["line"]), None), (ask(angle=degrees, data="x"), strokes())):
        for seed in range(5):
            angle = Placer(request, real).draw(EVERYWHERE, seed)[0].facts["angle"]
            assert abs((angle - degrees + 90) % 180 - 90) < 6


def test_angles_go_every_way_where_nothing_is_said() -> None:
    placer = Placer(ask(brushes=["line"]))
    angles = np.array([placer.draw(EVERYWHERE, seed)[0].facts["angle"] for seed in range(60)])
    assert np.histogram(angles, 4, (0, 180))[0].min() >= 5


def test_placements_follow_the_map_of_real_ones() -> None:
    real = strokes(60)
    placer = Placer(ask(data="x", where="as real"), real)
    cells = heat.of(shares(placer.draw(EVERYWHERE, seed)[0].mask) for seed in range(250))
    assert np.corrcoef(heat.smoothed(cells, 250).ravel(), real.heat.ravel())[0, 1] > 0.85
    elsewhere = heat.of(shares(Placer(ask(data="x"), real).draw(EVERYWHERE, seed)[0].mask) for seed in range(60))
    assert np.corrcoef(heat.smoothed(elsewhere, 60).ravel(), real.heat.ravel())[0, 1] < 0.5


def test_a_map_counts_large_and_small_defects_alike_and_is_shown() -> None:
    small, large = pictures.disc(radius=4, at=(20, 20)), pictures.disc(radius=20, at=(70, 45))
    cells = heat.of([shares(small), shares(large)])
    assert cells.shape == (GRID, GRID)
    assert cells[:, :8].sum() == pytest.approx(1, abs=0.05)
    assert heat.smoothed(cells, 2).sum() == pytest.approx(1, abs=1e-4)
    shown = heat.picture(cells, (72, 96))
    assert shown.dtype == np.uint8
    assert (shown.shape[0] / shown.shape[1]) == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("factor", [0.3, 0.6, 1.0, 2.5])
@pytest.mark.parametrize("warp", [0.0, 1.0])
def test_a_thin_shape_stays_in_one_piece_at_any_size(factor: float, warp: float) -> None:
    mask = np.zeros((60, 90), np.uint8)
    cv2.polylines(mask, [np.array([[5, 50], [30, 12], [52, 40], [84, 5]])], False, 1, 1)
    for degrees in (0, 37, 120):
        outline = outlines.bent(outlines.trace(mask > 0), warp, np.random.default_rng(1))
        found, _, _ = outlines.drawn(outlines.scaled(outlines.turned(outline, degrees), factor, factor))
        assert cv2.connectedComponents(found.astype(np.uint8), connectivity=8)[0] == 2
        wanted = factor * outlines.length(outline.points)
        assert abs(outlines.length_px(found) - wanted) < 2.5


def test_an_outline_drawn_as_it_was_traced_is_the_mask_itself() -> None:
    hole = pictures.disc(radius=20) & ~pictures.disc(radius=8)
    found, left, top = outlines.drawn(outlines.trace(hole))
    again = np.zeros(hole.shape, bool)
    again[top : top + found.shape[0], left : left + found.shape[1]] = found
    assert (again & hole).sum() / (again | hole).sum() > 0.97
    assert not again[36, 48]


@pytest.mark.parametrize("turns", range(4))
def test_a_defect_that_runs_out_of_its_picture_runs_out_of_the_next_one(turns: int) -> None:
    cut = np.zeros((160, 160), bool)
    cut[40:60, 110:] = True
    placer = Placer(ask(data="x", warp=1), placing.measure([("a.png", np.rot90(cut, turns), True)]))
    for seed in range(6):
        (one,) = placer.draw(np.ones((90, 90), bool), seed)
        upright = np.rot90(one.mask, -turns)
        assert upright[:, -1].sum() >= 6  # the whole end of a bar of 11 px, bent or not
        assert not upright[:, :40].any()
    inside = np.zeros((HIGH, WIDE), bool)
    inside[30:-30, 30:-30] = True
    for seed in range(3):
        (one,) = placer.draw(inside, seed)
        assert not (one.mask & ~inside).any()


def test_a_corridor_of_one_pixel_gives_a_sentence_or_what_fits_it() -> None:
    corridor = np.zeros((HIGH, WIDE), bool)
    corridor[80] = True
    with pytest.raises(BadInput, match=r"there is no room on part.png for area 1 of 1: 0.6 % of it is legal"):
        Placer(ask(brushes=["blob"], size=[20, 40])).draw(corridor, 1, name="part.png")
    (one,) = Placer(ask(brushes=["line"], size=[4, 8], angle=0, warp=0)).draw(corridor, 1)
    assert not (one.mask & ~corridor).any()


def test_what_does_not_fit_beside_the_others_is_left_out_down_to_the_least() -> None:
    small = np.zeros((HIGH, WIDE), bool)
    small[50:90, 50:90] = True
    placed = Placer(ask(brushes=["ellipse"], size=[26, 30], instances=[1, 40], gap_px=4)).draw(small, 3)
    assert 1 <= len(placed) < 5
    with pytest.raises(BadInput, match="for area"):
        Placer(ask(brushes=["ellipse"], size=[26, 30], instances=[12, 40])).draw(small, 3)


@pytest.mark.parametrize("kind", [{}, {"grey": True}, {"bits": 16}, {"bits": 16, "grey": True}], ids=str)
def test_the_foreground_is_the_part_in_any_kind_of_picture(kind: dict[str, Any]) -> None:
    part = pictures.disc(HIGH, WIDE, radius=60)
    pixels = pictures.good(HIGH, WIDE, **kind)
    pixels[~part] = 0
    found = placing.area(pixels, "foreground")
    assert found.note == ""
    assert (found.mask & part).sum() / (found.mask | part).sum() > 0.93
    whole = placing.area(pictures.good(HIGH, WIDE, **kind), "foreground", name="flat.png")
    assert whole.mask.all()
    assert whole.note.startswith("flat.png: no part")


def test_legal_and_illegal_are_both_kept() -> None:
    legal, illegal = pictures.disc(radius=30), pictures.disc(radius=10)
    assert np.array_equal(placing.area(pictures.good(), "anywhere", legal, illegal).mask, legal & ~illegal)
    with pytest.raises(BadInput, match=r"nothing of a.png is legal"):
        placing.area(pictures.good(), "anywhere", illegal, legal, name="a.png")


def test_boxes_lend_sizes_and_places_but_no_outline() -> None:
    box = np.zeros((HIGH, WIDE), bool)
    box[40:50, 40:80] = True
    real = placing.measure([("a.png", box, False)])
    assert Placer(ask(data="x", brushes=["ellipse"]), real).draw(EVERYWHERE, 1)[0].source == "ellipse"
    assert Placer(ask(data="x"), real).draw(EVERYWHERE, 1)[0].source == "line"
    with pytest.raises(BadInput, match="are boxed, not outlined"):
        Placer(ask(data="x", shapes="real"), real)


def test_empty_masks_are_no_real_defects() -> None:
    with pytest.raises(BadInput, match="no mask of data shows a defect"):
        placing.measure([("a.png", np.zeros((9, 9), bool), True)])


def test_where_real_defects_lie_and_nothing_is_legal_there_is_a_sentence() -> None:
    right = np.zeros((HIGH, WIDE), bool)
    right[:, -8:] = True
    with pytest.raises(BadInput, match="lie where nothing of the picture is legal"):
        Placer(ask(data="x", where="as real"), strokes()).draw(right, 1)


def test_real_cracks_of_tiles_run_and_lie_as_they_do_there(test_data: Path) -> None:
    examples = [one for one in loaders.load(test_data / "magnetic_tile") if one.defect == "MT_Crack"][:14]
    masks = []
    for one in examples:
        assert one.mask is not None
        found = cv2.imread(str(one.mask), cv2.IMREAD_GRAYSCALE)
        masks.append((one.image.name, np.asarray(found) > 127, True))
    real = placing.measure(masks)
    placer = Placer(ask(data="x", where="as real", defect="crack"), real)
    area = np.ones((180, 150), bool)
    facts = [placer.draw(area, seed)[0].facts for seed in range(25)]
    shares_ = [one["length_px"] / 150 for one in facts]
    assert abs(math.log(np.median(shares_) / np.median([one.length for one in real.pieces]))) < 0.6
    upright = [abs(one - 90) < 45 for one in (fact["angle"] for fact in facts) if one is not None]
    wanted = [abs(one.angle - 90) < 45 for one in real.pieces if one.angle is not None]
    assert abs(np.mean(upright) - np.mean(wanted)) < 0.25
