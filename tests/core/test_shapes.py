"""The mask generators: where they draw, how they repeat, and that pixels are only a matter of fineness."""

import time

import cv2
import numpy as np
import pytest

from pipelines.core import shapes
from pipelines.core.errors import BadInput

STROKE = [(60.0, 80.0), (130.0, 150.0), (210.0, 170.0)]
# The finest shapes are spots a pixel or two wide, whose overlap is the first thing a coarser grid loses.
SAME = {"pits": 0.6, "scratch": 0.6, "crack": 0.75, "polygon": 0.9, "flakes": 0.75}


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


@pytest.mark.parametrize("shape", list(shapes.SHAPES))
class TestEveryShape:
    def test_a_stroke_leaves_a_mask_of_the_pictures_size(self, shape: str) -> None:
        mask = shapes.draw(shape, (240, 280), STROKE, width_px=40, seed=1)
        assert mask.shape == (240, 280)
        assert mask.dtype == bool
        assert 20 < mask.sum() < 240 * 280 / 2

    def test_a_click_draws_something_at_the_click(self, shape: str) -> None:
        mask = shapes.draw(shape, (200, 200), [(100, 100)], width_px=40, seed=2)
        ys, xs = np.nonzero(mask)
        assert len(xs)
        assert abs(xs.mean() - 100) < 40
        assert abs(ys.mean() - 100) < 40

    def test_the_seed_decides_everything(self, shape: str) -> None:
        once, again = (shapes.draw(shape, (240, 280), STROKE, width_px=40, seed=5) for _ in range(2))
        assert np.array_equal(once, again)

    def test_twice_the_pixels_is_the_same_shape(self, shape: str) -> None:
        small = shapes.draw(shape, (240, 280), STROKE, width_px=40, seed=3)
        large = shapes.draw(shape, (480, 560), [(2 * x, 2 * y) for x, y in STROKE], width_px=80, seed=3)
        again = cv2.resize(large.astype(np.float32), (280, 240), interpolation=cv2.INTER_AREA) >= 0.5
        assert overlap(small, again) > SAME.get(shape, 0.93)

    def test_it_takes_less_than_a_tenth_of_a_second_at_1024_pixels(self, shape: str) -> None:
        points = [(100, 120), (600, 500), (900, 950)]
        shapes.draw(shape, (64, 64), [(10, 10), (50, 50)], width_px=10, seed=0)
        spent = []
        for seed in range(3):
            start = time.process_time()
            shapes.draw(shape, (1024, 1024), points, width_px=160, seed=seed)
            spent.append(time.process_time() - start)
        assert min(spent) < 0.1

    def test_a_stroke_outside_the_picture_draws_nothing(self, shape: str) -> None:
        assert not shapes.draw(shape, (100, 100), [(-900, -900), (-800, -850)], width_px=10, seed=1).any()


@pytest.mark.parametrize("shape", ["scratch", "crack", "pits", "blob", "flakes"])
def test_another_seed_is_another_shape(shape: str) -> None:
    one, other = (shapes.draw(shape, (240, 280), STROKE, width_px=40, seed=s) for s in (1, 2))
    assert overlap(one, other) < 0.95


def test_an_unknown_shape_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match=r"no shape 'star'.*ellipse"):
        shapes.draw("star", (10, 10), [(1, 1)], width_px=3, seed=0)


@pytest.mark.parametrize(
    ("points", "width_px", "says"),
    [([], 3.0, "at least one point"), ([(1.0, float("nan"))], 3.0, "finite"), ([(1.0, 1.0)], 0.0, "width_px = 0")],
)
def test_a_stroke_that_cannot_be_drawn_is_refused(
    points: list[tuple[float, float]], width_px: float, says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        shapes.draw("line", (10, 10), points, width_px=width_px, seed=0)


def test_a_rectangle_covers_exactly_its_pixels() -> None:
    mask = shapes.draw("rectangle", (40, 40), [(10, 12), (20, 30)], width_px=1, seed=0)
    ys, xs = np.nonzero(mask)
    assert abs(mask.sum() - 10 * 18) <= 10 + 18 + 1
    assert (xs.min(), ys.min()) == (10, 12)


def test_an_ellipse_has_the_area_of_an_ellipse() -> None:
    mask = shapes.draw("ellipse", (200, 200), [(20, 40), (180, 140)], width_px=1, seed=0)
    assert mask.sum() == pytest.approx(np.pi * 80 * 50, rel=0.02)


def test_a_wandering_line_starts_and_ends_where_it_should() -> None:
    stray = shapes.wander(np.random.default_rng(0), 77)
    assert len(stray) == 77
    assert stray[0] == 0
    assert stray[-1] == 0
    assert np.abs(stray).max() > 0.1


@pytest.mark.parametrize("shape", ["blob", "flakes"])
@pytest.mark.parametrize("seed", range(6))
def test_a_stroke_drawn_in_its_part_of_the_picture_is_the_one_drawn_over_all_of_it(
    shape: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(seed)
    size = (int(random.integers(200, 500)), int(random.integers(200, 500)))
    points = random.uniform(-0.1, 1.1, (3, 2)) * size[::-1] if seed else np.array([[200.0, 40.0]])
    width_px = float(random.uniform(8, 60))
    found = shapes.draw(shape, size, points, width_px=width_px, seed=seed)
    monkeypatch.setattr(shapes, "_around", lambda size, *_: (slice(0, size[0]), slice(0, size[1])))
    whole = shapes.draw(shape, size, points, width_px=width_px, seed=seed)
    assert whole.any()
    assert np.count_nonzero(found != whole) <= 1  # none, but for the last digit of another machine's sums
