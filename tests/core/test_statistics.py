"""Overlays and statistics: thin marks stay, areas and places are those that were painted, and much is sampled."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.core import images, overlays, statistics
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Missing
from pipelines.core.records import Record
from tests import pictures

HIGH, WIDE = 200, 400


@pytest.fixture
def store(tmp_path: Path) -> Assets:
    return Assets(tmp_path)


def put(store: Assets, pixels: np.ndarray, name: str) -> str:
    return store.put(images.encode_png(pixels), name).id


def record(store: Assets, mask: np.ndarray | None = None, boxes: object = None, defect: str = "scratch") -> Record:
    picture = put(store, np.full((HIGH, WIDE), 90, np.uint8), "part.png")
    kept = "" if mask is None else put(store, mask, "mask.png")
    return Record(picture, "part.png", defect, kept, json.dumps(boxes) if boxes else "")


def seen(data: bytes) -> np.ndarray:
    """RGBA."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA))


def test_a_scratch_of_one_pixel_is_seen_on_a_small_copy(store: Assets) -> None:
    mask = np.zeros((HIGH, WIDE), bool)
    mask[:, 123] = True
    drawn = seen(overlays.png(record(store, mask), store, 50))
    assert drawn.shape == (25, 50, 4)
    assert (drawn[:, 15, 3] == overlays.EDGE).all()
    assert np.count_nonzero(drawn[..., 3]) == 25
    assert tuple(drawn[0, 0, :3]) == overlays.INK


def test_a_mask_shows_what_is_under_it_and_its_edge_does_not(store: Assets) -> None:
    drawn = seen(overlays.png(record(store, pictures.disc(HIGH, WIDE, radius=60)), store, 400))
    assert drawn[HIGH // 2, WIDE // 2, 3] == overlays.FILLED
    assert drawn[HIGH // 2, WIDE // 2 - 60, 3] == overlays.EDGE
    assert drawn[5, 5, 3] == 0


BOX = {"x0": 100, "y0": 50, "x1": 300, "y1": 150, "defect": "dent"}


@pytest.mark.parametrize(
    ("box", "on", "off"),
    [
        (BOX, (50, 200), (100, 200)),
        ({**BOX, "outline": [[100, 50], [300, 50], [300, 150]]}, (100, 200), (150, 120)),
        ({**BOX, "x1": 9e9}, (50, 390), (100, 200)),
    ],
)
def test_boxes_and_polygons_are_lines(
    store: Assets, box: dict[str, object], on: tuple[int, int], off: tuple[int, int]
) -> None:
    alpha = seen(overlays.png(record(store, boxes=[box]), store, 400))[..., 3]
    assert (alpha[on], alpha[off]) == (overlays.EDGE, 0)


def test_what_cannot_be_drawn_is_said(store: Assets) -> None:
    other = record(store, np.ones((10, 10), bool))
    with pytest.raises(BadInput, match="10 x 10 px and its picture 400 x 200"):
        overlays.png(other, store, 256)
    with pytest.raises(BadInput, match="no numbers of pixels"):
        overlays.png(record(store, boxes=[{**BOX, "x0": "left"}]), store, 256)
    with pytest.raises(Missing):
        overlays.png(Record("asset-000000000000", "part.png", mask="x"), store, 256)


def test_areas_and_places_are_those_that_were_painted(store: Assets) -> None:
    corner, middle = np.zeros((2, HIGH, WIDE), bool)
    corner[:25, :40] = True  # 1.25 % of the picture, in its first corner
    middle[50:150, 100:300] = True
    found = statistics.of(
        [record(store, corner), record(store, middle, defect="dent"), record(store, boxes=[BOX]), record(store)], store
    )
    assert (found.pictures, found.marked, found.measured, found.unread) == (4, 3, 3, 0)
    assert found.classes == {"scratch": 3, "dent": 1}
    assert (found.sizes, found.shape) == ([(WIDE, HIGH, 4)], (WIDE, HIGH))
    assert {round(edge, 3): count for edge, count in zip(found.edges, found.areas, strict=False) if count} == {
        0.01: 1,
        0.1: 2,
    }
    assert found.median == pytest.approx(0.25, abs=0.01)
    whole, scratch, dent = (np.array(one.cells).reshape(found.grid, found.grid) for one in found.heat)
    assert (whole == scratch + dent).all()
    assert (whole[0, 0], whole[12, 12], whole[-1, -1]) == (1, 2, 0)
    assert [one.defect for one in found.heat] == [None, "scratch", "dent"]


def test_one_that_cannot_be_read_is_counted_as_that(store: Assets) -> None:
    found = statistics.of([record(store, np.ones((10, 10), bool)), record(store)], store)
    assert (found.marked, found.measured, found.unread, found.heat, found.median) == (1, 0, 1, [], None)


def test_many_are_sampled_evenly_and_measured_once(store: Assets) -> None:
    masked = record(store, pictures.disc(HIGH, WIDE))
    known: dict[str, statistics.Measure | None] = {}
    found = statistics.of([masked] * (statistics.MOST_MASKS + 100), store, known)
    assert (found.marked, found.measured) == (statistics.MOST_MASKS + 100, statistics.MOST_MASKS)
    assert list(known) == [overlays.stamp(masked)]
    many = [Record(str(number), "") for number in range(1001)]
    assert [one.asset for one in statistics.spaced(many, 5)] == ["0", "250", "500", "750", "1000"]


def test_nothing_has_statistics_too(store: Assets) -> None:
    found = statistics.of([], store)
    assert (found.pictures, found.sizes, found.shape, sum(found.areas)) == (0, [], None, 0)
