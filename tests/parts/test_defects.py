"""Defects drawn on pictures: where they may change something, what the label says, and that they repeat and scale."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.core import kinds, shapes
from pipelines.core.errors import BadInput
from pipelines.core.noise import fractal
from pipelines.parts import crop, defects, lighting

KINDS = list(kinds.load())
BOARD = ["open", "short", "spur", "mousebite", "pin_hole", "spurious_copper"]


def surface(side: int = 160, seed: int = 4) -> np.ndarray:
    """A rolled plate: lines, clouds and grain, the same at every size but for the grain."""
    lines = fractal(seed, (side, side), side / 30, octaves=3, aniso=14, angle=np.pi / 2, stream="lines")
    clouds = fractal(seed, (side, side), side / 2, octaves=3, stream="clouds")
    grain = 0.008 * np.random.default_rng(seed).standard_normal((side, side, 3))
    tone = 0.45 + 0.03 * lines + 0.05 * clouds
    return np.clip(tone[..., None] * np.array([1.0, 0.95, 0.88]) + grain, 0, 1).astype(np.float32)


def board(side: int = 160) -> np.ndarray:
    """Bright traces 1/10 wide on a dark board, running down."""
    x = np.arange(side) / side
    tone = np.where((x % 0.25) < 0.1, 0.8, 0.25)[None, :, None] * np.ones((side, 1, 3))
    tone = cv2.GaussianBlur(tone, (0, 0), 0.6) + 0.006 * np.random.default_rng(1).standard_normal((side, side, 3))
    return np.clip(tone, 0, 1).astype(np.float32)


def ellipse(side: int = 160, scale: float = 1.0) -> np.ndarray:
    return around(side, (0.5, 0.5), (0.27 * scale, 0.2 * scale))


def around(side: int, centre: tuple[float, float], reach: tuple[float, float]) -> np.ndarray:
    """A filled ellipse; centre and reach in parts of the side."""
    corners = np.array([np.subtract(centre, reach), np.add(centre, reach)]) * side
    return shapes.draw("ellipse", (side, side), corners, width_px=1, seed=0)


def stroke(side: int = 160, width: float = 0.04) -> np.ndarray:
    points = [(0.2 * side, 0.6 * side), (0.5 * side, 0.45 * side), (0.85 * side, 0.5 * side)]
    return shapes.draw("line", (side, side), points, width_px=max(width * side, 1), seed=0)


def rounded(image: np.ndarray, bits: int) -> np.ndarray:
    return np.rint(image * (2**bits - 1))


MASKS = {"ellipse": ellipse(), "stroke": stroke(), "thread": stroke(width=0.001), "whole": np.ones((160, 160), bool)}


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    @pytest.mark.parametrize("painted", list(MASKS))
    def test_only_the_mask_changes_and_the_label_is_exactly_what_changed(self, kind: str, painted: str) -> None:
        picture, mask = surface(), MASKS[painted]
        drawing = defects.draw(picture, mask, kind, seed=3)
        differs = (rounded(drawing.image, 8) != rounded(picture, 8)).any(-1)
        assert np.array_equal(drawing.mask, differs)
        assert not (drawing.mask & ~mask).any()
        assert np.array_equal(drawing.image[~mask], picture[~mask])
        assert drawing.mask.any()
        assert drawing.image.dtype == np.float32
        assert drawing.image.min() >= 0
        assert drawing.image.max() <= 1

    @pytest.mark.parametrize("level", [0.03, 0.3, 0.7, 0.98])
    def test_it_can_be_seen_on_dark_and_on_bright(self, kind: str, level: float) -> None:
        grain = 0.006 * np.random.default_rng(5).standard_normal((120, 120, 1))
        picture = np.clip(level + np.repeat(grain, 3, -1), 0, 1).astype(np.float32)
        drawing = defects.draw(picture, ellipse(120), kind, seed=1, severity=0.7, grey=True)
        change = np.abs(drawing.image - picture).max(-1)[drawing.mask]
        assert np.quantile(change, 0.9) > 0.025

    def test_the_seed_decides_everything(self, kind: str) -> None:
        one, again, other = (defects.draw(surface(), ellipse(), kind, seed=s) for s in (7, 7, 8))
        assert np.array_equal(one.image, again.image)
        assert np.array_equal(one.mask, again.mask)
        assert not np.array_equal(one.image, other.image)

    def test_a_grey_picture_stays_grey(self, kind: str) -> None:
        picture = np.repeat(surface()[..., :1], 3, -1)
        image = defects.draw(picture, ellipse(), kind, seed=2, grey=True).image
        assert np.array_equal(image[..., 0], image[..., 1])
        assert np.array_equal(image[..., 0], image[..., 2])

    def test_sixteen_bits_are_kept(self, kind: str) -> None:
        picture = surface()
        drawing = defects.draw(picture, ellipse(), kind, seed=3, bits=16)
        differs = (rounded(drawing.image, 16) != rounded(picture, 16)).any(-1)
        assert np.array_equal(drawing.mask, differs)
        steps = rounded(drawing.image, 16)[drawing.mask] % 257
        assert (steps != 0).mean() > 0.5  # not eight bits stretched to sixteen

    def test_twice_the_pixels_is_the_same_defect(self, kind: str) -> None:
        picture = board if kind in BOARD else surface
        mask = {side: ellipse(side) for side in (160, 320)}
        optics = lighting.relit(lighting.estimate(picture(160)), 120)
        small = defects.draw(picture(160), mask[160], kind, seed=6, severity=0.8, optics=optics)
        large = defects.draw(picture(320), mask[320], kind, seed=6, severity=0.8, light=120)
        again = cv2.resize(large.mask.astype(np.float32), (160, 160), interpolation=cv2.INTER_AREA) >= 0.5
        shared = (small.mask & again).sum() / max(1, (small.mask | again).sum())
        assert shared > (0.35 if kind in THIN else 0.6)

    def test_a_filled_ellipse_cannot_be_seen_as_an_ellipse(self, kind: str) -> None:
        """Along the mask's rim hardly anything changes, or the change is as broken as the defect is."""
        picture, mask = surface(), ellipse()
        drawing = defects.draw(picture, mask, kind, seed=5, severity=0.8)
        inner = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
        rim = mask & (inner <= 2)
        assert drawing.mask[rim].mean() < 0.3

    def test_half_the_weight_has_the_same_label_and_half_the_change(self, kind: str) -> None:
        picture, mask = surface(), ellipse()
        whole = defects.draw(picture, mask, kind, seed=3, severity=0.8)
        half = defects.draw(picture, mask, kind, seed=3, severity=0.8, weight=np.full(mask.shape, 0.5, np.float32))
        assert np.array_equal(half.mask, (rounded(half.image, 8) != rounded(picture, 8)).any(-1))
        assert np.array_equal(half.mask, whole.mask)
        change = [float(np.abs(drawing.image - picture).sum()) for drawing in (half, whole)]
        assert change[0] == pytest.approx(change[1] / 2, rel=0.1)

    def test_a_feather_leaves_no_pinholes_and_no_weight_changes_nothing(self, kind: str) -> None:
        picture, mask = surface(), ellipse()
        weight = np.clip(1 - cv2.distanceTransform((~ellipse(scale=0.7)).astype(np.uint8), cv2.DIST_L2, 5) / 20, 0, 1)
        drawing = defects.draw(picture, mask, kind, seed=3, severity=0.8, weight=weight * mask)
        assert np.array_equal(drawing.mask, (rounded(drawing.image, 8) != rounded(picture, 8)).any(-1))
        assert not (drawing.mask & (weight == 0)).any()
        whole = defects.draw(picture, mask, kind, seed=3, severity=0.8)
        middle = weight == 1
        assert ((whole.mask ^ drawing.mask) & middle).sum() <= 0.1 * max((whole.mask & middle).sum(), 20)
        nothing = defects.draw(picture, mask, kind, seed=3, weight=np.zeros(mask.shape, np.float32))
        assert not nothing.mask.any()
        assert np.array_equal(nothing.image, picture)

    def test_severity_makes_it_worse(self, kind: str) -> None:
        change = [
            np.mean(
                [
                    np.abs(
                        defects.draw(surface(), ellipse(), kind, seed=seed, severity=severity).image - surface()
                    ).sum()
                    for seed in range(4)
                ]
            )
            for severity in (0.0, 1.0)
        ]
        assert change[1] > 1.15 * change[0]

    def test_every_own_parameter_changes_the_drawing(self, kind: str) -> None:
        picture = board() if kind in BOARD else surface()
        for name, parameter in kinds.get(kind).parameters.items():
            ends: list[float | str] = [*parameter.choices[-2:]] or [parameter.low, parameter.high]
            also = {"saturation": 0.6, "density": 0.8} if name == "hue" else {}
            ends = [0.0, 180.0] if name == "hue" else ends
            drawn = [defects.draw(picture, ellipse(), kind, seed=2, look={**also, name: v}).image for v in ends]
            assert not np.array_equal(drawn[0], drawn[1]), name

    def test_its_painter_is_there(self, kind: str) -> None:
        assert kinds.get(kind).recipe["painter"] in defects.PAINTERS


SPREADING = {"stain", "patches", "color", "pitted_surface", "rolled-in_scale", "crazing", "contamination"}


@pytest.mark.parametrize("kind", sorted(SPREADING | {"glue", "dent", "bump", "inclusion"}))
@pytest.mark.parametrize("feather_px", [0, 3])
def test_the_outline_never_follows_a_painted_rectangle(kind: str, feather_px: int) -> None:
    """Of the label's border, hardly any lies on the border of what was painted, and little runs along beside it."""
    mask = np.zeros((180, 200), bool)
    mask[40:140, 35:165] = True
    weight = crop.feather(mask, feather_px)
    away = cv2.distanceTransform((weight > 0).astype(np.uint8), cv2.DIST_L2, 5)
    for near, most in ((3.0, 0.15), (8.0, 0.5)):
        shares = []
        for seed in range(6):
            picture = surface(200)[:180]
            drawing = defects.draw(picture, weight > 0, kind, seed=seed, severity=0.7, weight=weight)
            rims, _ = cv2.findContours(drawing.mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            border = np.concatenate(rims)[:, 0]
            shares.append(float((away[border[:, 1], border[:, 0]] <= near).mean()))
        assert max(shares) < most, (near, shares)


@pytest.mark.parametrize("kind", KINDS)
def test_on_artwork_of_two_tones_every_kind_stays_in_those_two(kind: str) -> None:
    picture = np.where(board() > 0.5, 1.0, 0.0).astype(np.float32)
    drawing = defects.draw(picture, ellipse(), kind, seed=2, severity=0.8)
    tone = drawing.image[drawing.mask].mean(-1)
    assert ((tone < 0.1) | (tone > 0.9)).mean() > 0.5
    assert np.abs(drawing.image - picture)[drawing.mask].max() > 0.9


@pytest.mark.parametrize("kind", ["open", "short", "spur", "mousebite", "pin_hole", "spurious_copper"])
def test_a_board_fault_is_one_piece_without_specks(kind: str) -> None:
    picture = np.where(board(320) > 0.5, 0.0, 1.0).astype(np.float32)
    mask = (
        around(320, (0.3, 0.5), (0.09, 0.07))
        if kind in ("open", "pin_hole")
        else around(320, (0.36, 0.5), (0.06, 0.05))
    )
    for seed in range(5):
        drawing = defects.draw(picture, mask, kind, seed=seed, severity=0.8)
        pieces, _, stats, _ = cv2.connectedComponentsWithStats(drawing.mask.astype(np.uint8), connectivity=8)
        sizes = np.sort(stats[1:, cv2.CC_STAT_AREA])
        assert pieces - 1 <= 2, (seed, sizes)
        assert sizes[0] > 12, (seed, sizes)


# Hairlines a pixel wide lose or win half their width to the grid they are drawn on.
THIN = {"scratch", "scratches", "crack", "crazing", "contamination", "pitted_surface", "burr", "rolled-in_scale"}


@pytest.mark.parametrize(
    ("light", "bright", "dark"), [(0, (0, 8), (0, -8)), (90, (-8, 0), (8, 0)), (225, (6, -6), (-6, 6))]
)
def test_a_bump_is_bright_towards_the_lamp_the_user_set(
    light: float, bright: tuple[int, int], dark: tuple[int, int]
) -> None:
    picture = np.full((160, 160, 3), 0.45, np.float32)
    image = cv2.GaussianBlur(defects.draw(picture, ellipse(scale=0.9), "bump", seed=1, light=light).image, (0, 0), 3)
    middle = 80
    assert image[middle + bright[0], middle + bright[1], 0] > image[middle + dark[0], middle + dark[1], 0] + 0.02


def test_a_dent_is_lit_the_other_way_round() -> None:
    picture = np.full((160, 160, 3), 0.45, np.float32)
    bump, dent = (
        cv2.GaussianBlur(defects.draw(picture, ellipse(), kind, seed=1, light=0).image, (0, 0), 3)[80, :, 0]
        for kind in ("bump", "dent")
    )
    assert bump[95] > bump[65]
    assert dent[95] < dent[65]


def test_a_crack_follows_the_painted_stroke() -> None:
    drawing = defects.draw(surface(), stroke(width=0.06), "crack", seed=1, severity=0.8)
    columns = np.flatnonzero(drawing.mask.any(0))
    assert len(columns) > 0.8 * np.flatnonzero(stroke().any(0)).size


def test_a_hole_takes_the_texture_away_and_a_stain_keeps_it() -> None:
    picture = surface()

    def kept(kind: str) -> float:
        drawing = defects.draw(picture, ellipse(), kind, seed=1, severity=0.9, look=LOOK[kind])
        core = cv2.erode(drawing.mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        fine = [
            lighting.luminance(i) - cv2.GaussianBlur(lighting.luminance(i), (0, 0), 3) for i in (picture, drawing.image)
        ]
        return float(np.corrcoef(fine[0][core], fine[1][core])[0, 1])

    assert kept("stain") > 0.8
    assert kept("hole") < 0.4


LOOK: dict[str, dict[str, float | str]] = {"stain": {"fluid": "water"}, "hole": {"chipping": 0.0, "size": 0.9}}


def test_grain_inside_is_the_grain_around() -> None:
    random = np.random.default_rng(3)
    picture = np.clip(0.5 + 0.03 * random.standard_normal((200, 200, 1)), 0, 1).repeat(3, -1).astype(np.float32)
    drawing = defects.draw(picture, ellipse(200), "missing", seed=2, severity=0.5, grey=True)
    core = cv2.erode(drawing.mask.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    fine = drawing.image[..., 0] - cv2.GaussianBlur(drawing.image[..., 0], (0, 0), 1)
    assert 0.5 < fine[core].std() / fine[~ellipse(200)].std() < 1.5


def test_what_is_drawn_is_no_sharper_than_the_picture() -> None:
    soft = cv2.GaussianBlur(board(), (0, 0), 2.5)
    drawing = defects.draw(soft, ellipse(), "hole", seed=2, severity=0.8, look={"chipping": 0})
    slope = [float(np.quantile(np.hypot(*lighting.slopes(image[..., 0])), 0.999)) for image in (soft, drawing.image)]
    assert slope[1] < 1.5 * slope[0]  # a hole is darker than the board: its edge spans more


def test_no_defect_but_a_recess_is_darker_than_the_pictures_own_shadows() -> None:
    picture = surface() * 0.4 + 0.5
    floor = np.quantile(lighting.luminance(picture), 0.004)
    for kind in ("patches", "stain", "inclusion", "dent"):
        drawing = defects.draw(picture, ellipse(), kind, seed=3, severity=1)
        assert np.quantile(lighting.luminance(drawing.image)[drawing.mask], 0.05) > 0.55 * floor, kind


@pytest.mark.parametrize(
    ("kind", "centre", "to"),
    [("open", 0.3, 0.25), ("pin_hole", 0.3, 0.25), ("spurious_copper", 0.425, 0.8), ("short", 0.425, 0.8)],
)
def test_a_board_fault_takes_the_tone_of_the_other_part(kind: str, centre: float, to: float) -> None:
    picture, side = board(), 160
    mask = around(side, (centre, 0.5), (0.11, 0.06))
    drawing = defects.draw(picture, mask, kind, seed=1, severity=0.9)
    core = drawing.mask & (np.abs(drawing.image - picture).max(-1) > 0.4)
    assert core.sum() > 8
    assert np.median(drawing.image[core]) == pytest.approx(to, abs=0.06)


def test_on_black_and_white_artwork_the_conductor_is_black_even_where_it_is_the_wider_part() -> None:
    picture = np.where(board() > 0.5, 1.0, 0.0).astype(np.float32)  # white gaps, narrower than the black planes
    mask = around(160, (0.35, 0.5), (0.05, 0.05))
    drawing = defects.draw(picture, mask, "mousebite", seed=1, severity=0.9)
    assert drawing.image[drawing.mask].mean() > picture[drawing.mask].mean() + 0.3


def test_an_open_cuts_the_conductor_through() -> None:
    picture, side = board(), 160
    mask = around(side, (0.3, 0.5), (0.12, 0.1))
    image = defects.draw(picture, mask, "open", seed=1, severity=0.8).image[..., 0]
    copper = (image > 0.5)[:, round(0.25 * side) : round(0.35 * side)].astype(np.uint8)
    assert cv2.connectedComponents(copper)[0] - 1 >= 2


def test_a_missing_piece_at_a_parts_edge_shows_the_background() -> None:
    picture = np.full((160, 160, 3), 0.06, np.float32)
    cv2.circle(picture, (80, 80), 55, (0.7, 0.5, 0.3), -1)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.7).astype(np.float32)
    mask = np.zeros((160, 160), bool)
    mask[60:100, 110:150] = True
    drawing = defects.draw(picture, mask, "missing", seed=1, severity=0.6)
    bitten = drawing.image[75:85, 122:130]
    assert np.allclose(np.median(bitten, (0, 1)), 0.06, atol=0.04)
    assert not drawing.mask[60:100, 142:150].any()  # the background itself is not part of the defect


def test_a_crop_with_the_pictures_optics_gets_the_same_defect() -> None:
    picture, mask = surface(256), np.zeros((256, 256), bool)
    mask[100:170, 90:180] = ellipse(160)[45:115, 35:125]
    whole = defects.draw(picture, mask, "crack", seed=5)
    window = (slice(40, 230), slice(30, 240))
    seen = lighting.estimate(picture)
    crop = defects.draw(picture[window], mask[window], "crack", seed=5, optics=seen)
    assert np.array_equal(crop.image, whole.image[window])
    assert np.array_equal(crop.mask, whole.mask[window])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mask": np.zeros((160, 160), bool)}, "the mask is empty: paint at least one stroke"),
        ({"mask": np.ones((10, 12), bool)}, "the mask is 12 x 10 pixels and the picture 160 x 160"),
        ({"kind": "rust"}, "no defect 'rust'"),
        ({"severity": 1.5}, "severity = 1.5"),
        ({"look": {"fluid": "milk"}}, "look.fluid = 'milk': stain takes one of water, oil, rust"),
        ({"picture": np.zeros((160, 160), np.float32)}, "shape .160, 160."),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_a_sentence(change: dict[str, Any], says: str) -> None:
    asked: dict[str, Any] = {"picture": surface(), "mask": ellipse(), "kind": "stain", **change}
    with pytest.raises(BadInput, match=says):
        defects.draw(**asked)


@pytest.mark.parametrize("place", ["mvtec_ad/leather/train/good/000.png", "mvtec_ad/hazelnut/train/good/000.png"])
def test_every_kind_can_be_drawn_on_a_photograph(test_data: Path, place: str) -> None:
    found = cv2.imread(str(test_data / place))
    assert found is not None, place
    picture = found[300:620, 300:620, ::-1].astype(np.float32) / 255
    for kind in KINDS:
        drawing = defects.draw(picture, ellipse(320), kind, seed=1)
        assert np.array_equal(drawing.mask, (rounded(drawing.image, 8) != rounded(picture, 8)).any(-1))
        assert 0.0005 < drawing.mask.mean() < 0.2


@pytest.mark.parametrize("tone", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_the_smallest_and_the_largest_mask_show_something_on_any_tone(kind: str, tone: float) -> None:
    picture = np.full((48, 40, 3), tone, np.float32)
    dot, salt = np.zeros((48, 40), bool), np.random.default_rng(1).random((48, 40)) < 0.03
    dot[20, 20] = True
    for mask in (dot, salt, np.ones((48, 40), bool)):
        drawing = defects.draw(picture, mask, kind, seed=4)
        assert drawing.mask.any()
        assert not (drawing.mask & ~mask).any()
        assert np.isfinite(drawing.image).all()
