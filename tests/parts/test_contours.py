"""Masks as polygons: exact in the plane, and exact for readers that round and for those that truncate."""

import numpy as np
import pytest
from pycocotools import mask as rle
from supervision.detection.utils.converters import polygon_to_mask

from pipelines.parts.contours import box, polygons
from tests import runs

# pycocotools 2.0 reads its own arrays in a way that numpy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

HARD = runs.hard(40, 56)


def area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


@pytest.mark.parametrize("name", HARD)
def test_on_the_plane_area_and_pixels_are_exact(name: str) -> None:
    mask = HARD[name]
    found = polygons(mask, 0, 1)
    assert sum(map(area, found)) == mask.sum()
    coded = rle.merge(rle.frPyObjects([polygon.ravel().tolist() for polygon in found], *mask.shape))
    assert np.array_equal(rle.decode(coded) > 0, mask)


@pytest.mark.parametrize("reader", [np.round, np.trunc])
@pytest.mark.parametrize("name", HARD)
def test_inside_the_pixel_a_filled_polygon_is_the_mask_again(name: str, reader: np.ufunc) -> None:
    mask = HARD[name]
    filled = np.zeros_like(mask)
    for polygon in polygons(mask, 0.05, 0.45):
        assert len(polygon) >= 4
        assert area(polygon) > 0
        filled |= polygon_to_mask(reader(polygon).astype(np.int32), mask.shape[::-1]) > 0
    assert np.array_equal(filled, mask)


def test_parts_come_from_the_top_and_corners_hold_together() -> None:
    found = polygons(HARD["specks"], 0, 1)
    assert tuple(found[0].min(axis=0)) == (0, 0)
    assert len(found) == 4  # five pixels, two of which touch at a corner


def test_a_straight_edge_has_two_points() -> None:
    assert len(polygons(HARD["half"], 0, 1)[0]) == 4


def test_the_box_reaches_just_past_the_last_pixel() -> None:
    mask = np.zeros((9, 12), bool)
    mask[2:5, 3:11] = True
    assert box(mask) == (3, 2, 11, 5)
