"""The mask canvas: what comes back is taken apart with distrust; the drawing itself, checked against its definition."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.core import images
from pipelines.core.errors import BadInput
from studio import canvas
from studio.canvas import FOLDER, Area, Shown, painting

PNG = "data:image/png;base64," + base64.b64encode(images.encode_png(np.ones((4, 4), bool))).decode()


def test_what_was_painted_comes_back_as_bytes_with_its_notes() -> None:
    found = painting(
        {"picture": {"asset": "asset-1", "url": "/x"}, "areas": [{"mask": PNG, "defect": "dent", "severity": 1}]}
    )
    assert found.asset == "asset-1"
    assert found.areas == (Area(base64.b64decode(PNG[22:]), "dent", 1.0),)


@pytest.mark.parametrize("payload", [None, "", [], {}, {"picture": None}, {"picture": {"asset": 7}, "areas": []}])
def test_an_untouched_canvas_is_an_empty_painting(payload: Any) -> None:
    assert painting(payload) == canvas.Painting("", ())


@pytest.mark.parametrize(
    ("areas", "sentence"),
    [
        ("mask", "too many areas"),
        ([{"mask": PNG}] * 9, "too many areas: 8"),
        ([None], "without a PNG mask"),
        ([{"mask": "data:image/jpeg;base64,AAAA"}], "without a PNG mask"),
        ([{"mask": "data:image/png;base64,A-A="}], "damaged mask"),
        ([{"mask": "data:image/png;base64," + "A" * 12_000_000}], "larger than 8 MB"),
    ],
)
def test_what_the_canvas_never_sends_is_refused(areas: Any, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        painting({"picture": {"asset": "asset-1"}, "areas": areas})


@pytest.mark.parametrize("severity", [True, "0.5", None])
def test_a_severity_that_is_no_number_is_left_to_the_form(severity: Any) -> None:
    found = painting({"picture": {"asset": "a"}, "areas": [{"mask": PNG, "defect": 3, "severity": severity}]})
    assert found.areas[0].severity is None
    assert found.areas[0].defect == ""


def test_only_an_address_goes_to_the_browser() -> None:
    value = canvas.shown(Shown("asset-1", "part.png", "/files/asset-1/part.png", 64, 48))
    assert value == {
        "picture": {"asset": "asset-1", "name": "part.png", "url": "/files/asset-1/part.png", "width": 64, "height": 48}
    }
    assert canvas.shown(None) == {"picture": None}


def test_the_component_writes_no_stub_beside_its_source() -> None:
    assert not list(FOLDER.glob("*.pyi"))


def test_the_templates_hold_nothing_that_gradio_would_run() -> None:
    """HTML and CSS are evaluated as JavaScript template strings: a backtick or ${ in them would be code."""
    for path in [*FOLDER.glob("*.html"), *FOLDER.glob("*.css"), *(FOLDER.parent / "widgets").glob("*.[hc]*")]:
        text = path.read_text(encoding="utf-8")
        assert "`" not in text, path.name
        assert "${" not in text, path.name


@pytest.fixture(scope="module")
def script(browser: Any) -> Iterator[Any]:
    """A bare page with the drawing code and no server at all."""
    page = browser.new_page()
    page.set_content("<p></p>")
    for name in ("raster.js", "runs.js", "measure.js", "strokes.js", "png.js", "last.js"):
        page.add_script_tag(content=(FOLDER / name).read_text(encoding="utf-8"))
    yield page
    page.close()


WIDTH, HEIGHT = 97, 61


def drawn(script: Any, strokes: list[dict[str, Any]]) -> np.ndarray:
    """bool HxW: the strokes as the browser draws them."""
    cells = script.evaluate(
        "([width, height, strokes]) => { const mask = new Uint8Array(width * height);"
        " for (const stroke of strokes) rasterise(mask, width, height, stroke); return Array.from(mask); }",
        [WIDTH, HEIGHT, strokes],
    )
    return np.asarray(cells, np.uint8).reshape(HEIGHT, WIDTH) > 127


def stroke(*points: tuple[float, float], size: float = 1, tool: str = "brush") -> dict[str, Any]:
    return {"tool": tool, "size": size, "area": 1, "points": [[x, y, 1] for x, y in points]}


@pytest.mark.browser
@pytest.mark.parametrize("seed", range(12))
def test_a_stroke_is_all_pixels_within_its_radius_of_the_line(script: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    size = float(random.integers(3, 30))
    (ax, ay), (bx, by) = (random.uniform((-5, -5), (WIDTH + 5, HEIGHT + 5)).round(3).tolist() for _ in range(2))
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    along = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2), 0, 1)
    distance = np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay))
    radius = size / 2 - 0.01
    found = drawn(script, [stroke((ax, ay), (bx, by), size=size, tool="line")])
    sure = np.abs(distance - radius) > 1e-4
    assert (found == (distance <= radius))[sure].all()


@pytest.mark.browser
@pytest.mark.parametrize("seed", range(12))
def test_a_one_pixel_line_is_whole_and_nowhere_thicker(script: Any, seed: int) -> None:
    (ax, ay), (bx, by) = np.random.default_rng(seed).uniform((2, 2), (WIDTH - 2, HEIGHT - 2), (2, 2)).tolist()
    found = drawn(script, [stroke((ax, ay), (bx, by), tool="line")])
    pieces, _ = cv2.connectedComponents(found.astype(np.uint8), connectivity=8)
    assert pieces == 2  # the background and one line
    assert found[int(ay), int(ax)]
    assert found[int(by), int(bx)]
    steps = max(abs(int(bx) - int(ax)), abs(int(by) - int(ay))) + 1
    assert np.count_nonzero(found) == steps


@pytest.mark.browser
def test_a_single_touch_paints_the_pixel_under_the_pointer(script: Any) -> None:
    found = drawn(script, [stroke((10.9, 20.1))])
    assert np.argwhere(found).tolist() == [[20, 10]]


@pytest.mark.browser
def test_a_two_pixel_brush_is_two_pixels_wide(script: Any) -> None:
    assert np.count_nonzero(drawn(script, [stroke((10.9, 20.1), size=2)])) == 4
    for way in (((5.2, 20.7), (60.1, 20.7)), ((20.4, 5.3), (20.4, 50.8))):
        found = drawn(script, [stroke(*way, size=2)])
        rows, columns = np.nonzero(found)
        assert min(np.ptp(rows), np.ptp(columns)) == 1


@pytest.mark.browser
def test_tools_do_what_their_names_say(script: Any) -> None:
    boxed = drawn(script, [stroke((10.5, 10.5), (20.2, 15.9), tool="rectangle")])
    assert boxed[10:16, 10:21].all()
    assert np.count_nonzero(boxed) == 6 * 11
    inverted = drawn(script, [stroke((10.5, 10.5), (20.2, 15.9), tool="rectangle"), stroke(tool="invert")])
    assert (inverted == ~boxed).all()
    erased = drawn(script, [stroke(tool="invert"), stroke((5.0, 5.0), (60.0, 40.0), size=9, tool="eraser")])
    painted = drawn(script, [stroke((5.0, 5.0), (60.0, 40.0), size=9)])
    assert (erased == ~painted).all()
    assert not drawn(script, [stroke(tool="invert"), stroke(tool="clear")]).any()


@pytest.mark.browser
@pytest.mark.parametrize("seed", range(8))
def test_an_ellipse_fills_the_pixels_that_its_rectangle_would(script: Any, seed: int) -> None:
    corners = np.random.default_rng(seed).uniform((-10, -10), (WIDTH + 10, HEIGHT + 10), (2, 2))
    found = drawn(script, [stroke(*corners.tolist(), tool="ellipse")])
    low, high = np.floor(corners.min(0)), np.floor(corners.max(0)) + 1
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    middle, radii = (low + high) / 2, (high - low) / 2
    off = ((x - middle[0]) / radii[0]) ** 2 + ((y - middle[1]) / radii[1]) ** 2
    assert (found == (off <= 1))[np.abs(off - 1) > 1e-4].all()


@pytest.mark.browser
@pytest.mark.parametrize("seed", range(8))
def test_a_polygon_holds_every_pixel_it_goes_round_also_where_it_crosses_itself(script: Any, seed: int) -> None:
    corners = np.random.default_rng(seed).uniform((-20, -20), (WIDTH + 20, HEIGHT + 20), (7, 2))
    found = drawn(script, [stroke(*corners.tolist(), tool="polygon")])
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    turned = np.zeros((HEIGHT, WIDTH))
    for one, other in zip(corners, np.roll(corners, -1, 0), strict=True):  # the winding number, by angles
        start, end = (np.arctan2(point[1] - y, point[0] - x) for point in (one, other))
        turned += (end - start + np.pi) % (2 * np.pi) - np.pi
    assert (found == (np.abs(turned) > 1)).all()


@pytest.mark.browser
@pytest.mark.parametrize(("tool", "change"), [("grow", cv2.dilate), ("shrink", cv2.erode)])
def test_growing_and_shrinking_move_the_edge_by_one_pixel(script: Any, tool: str, change: Any) -> None:
    strokes = [stroke((-4, 30), (40, 20), size=9), stroke((60, 5), (96.5, 60.5), tool="rectangle")]
    before = drawn(script, strokes).astype(np.uint8)
    after = drawn(script, [*strokes, {"tool": tool, "area": 1}, {"tool": tool, "area": 1}])
    assert (after == change(before, np.ones((3, 3), np.uint8), iterations=2).astype(bool)).all()
    assert after.sum() != before.sum()


@pytest.mark.browser
def test_what_is_packed_comes_out_the_same_and_small(script: Any) -> None:
    random = np.random.default_rng(1)
    for mask in (random.random((41, 53)) > 0.5, np.ones((41, 53), bool), np.eye(41, 53, dtype=bool)):
        cells, size = script.evaluate(
            "([cells, width, height]) => { const kept = packed_mask(new Uint8Array(cells), width, height);"
            " const mask = new Uint8Array(width * height); stamp(mask, width, kept);"
            " return [Array.from(mask), kept.runs.length]; }",
            [(mask * 255).ravel().tolist(), 53, 41],
        )
        assert (np.asarray(cells).reshape(41, 53) == mask * 255).all()
        assert size < mask.size
    assert script.evaluate("packed_mask(new Uint8Array(12), 4, 3)") is None


@pytest.mark.browser
def test_a_mask_made_larger_and_smaller_again_is_the_same(script: Any) -> None:
    mask = np.random.default_rng(2).random((HEIGHT, WIDTH)) > 0.7
    for width, height in ((WIDTH, HEIGHT), (2 * WIDTH, 2 * HEIGHT), (231, 145), (WIDTH + 1, HEIGHT + 1)):
        cells = script.evaluate(
            "([cells, w, h, W, H]) => { const large = scaled(new Uint8Array(cells), w, h, W, H, [W / w, H / h]);"
            " return Array.from(scaled(large, W, H, w, h, [w / W, h / H])); }",
            [(mask * 255).ravel().tolist(), WIDTH, HEIGHT, width, height],
        )
        assert (np.asarray(cells).reshape(HEIGHT, WIDTH) == mask * 255).all(), (width, height)


@pytest.mark.browser
def test_a_thin_line_made_smaller_stays_whole(script: Any) -> None:
    line = np.zeros((400, 600), np.uint8)
    cv2.line(line, (10, 20), (580, 390), 255, 1)
    cells = script.evaluate(
        "cells => Array.from(scaled(new Uint8Array(cells), 600, 400, 75, 50, [1 / 8, 1 / 8]))", line.ravel().tolist()
    )
    small = np.asarray(cells, np.uint8).reshape(50, 75)
    assert cv2.connectedComponents(small, connectivity=8)[0] == 2
    assert np.ptp(np.nonzero(small)[1]) >= 70


def thinnest(script: Any, mask: np.ndarray) -> float:
    height, width = mask.shape
    found: float = script.evaluate(
        "([cells, w, h]) => thinnest(new Uint8Array(cells), w, h)",
        [(mask.astype(np.uint8) * 255).ravel().tolist(), width, height],
    )
    return found


@pytest.mark.browser
@pytest.mark.parametrize("angle", [0, 14, 27, 45, 63, 90])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 14, 25])
def test_the_thinnest_width_of_a_stroke_is_its_brush(script: Any, size: int, angle: int) -> None:
    reach = 26 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    middle = np.array([WIDTH, HEIGHT]) / 2
    mask = drawn(script, [stroke(tuple(middle - reach), tuple(middle + reach), size=size, tool="line")])
    assert thinnest(script, mask) == pytest.approx(size, abs=max(1, 0.12 * size))
    if size == 1:
        assert thinnest(script, mask) == 1


@pytest.mark.browser
def test_the_thinnest_width_is_that_of_the_thinnest_part(script: Any) -> None:
    broad = stroke((5, 10), (90, 50), tool="rectangle")
    assert thinnest(script, drawn(script, [broad])) == 41
    assert thinnest(script, drawn(script, [stroke((30, 30), size=31)])) == pytest.approx(31, abs=2)
    fine = stroke((5, 56), (90, 56), size=2, tool="line")
    assert thinnest(script, drawn(script, [broad, fine])) == pytest.approx(2, abs=0.6)
    assert thinnest(script, np.zeros((HEIGHT, WIDTH), bool)) == 0
    assert thinnest(script, np.ones((HEIGHT, WIDTH), bool)) == HEIGHT


@pytest.mark.browser
def test_a_stamp_takes_its_place_among_later_strokes(script: Any) -> None:
    """Its pixels come late: what was erased meanwhile stays erased, and undone and done again it is the same."""
    seen = script.evaluate(
        """() => {
          const strokes = new Strokes(40, 30), block = new Uint8Array(1200), seen = [];
          box(block, 40, 30, 5, 5, 24, 24, 255);
          const late = {tool: "stamp", shape: "blob", area: 1, size: 9, seed: 1, points: [[1, 1, 1]]};
          const note = () => seen.push(area(strokes.mask(1)));
          strokes.apply(late); note();
          strokes.apply({tool: "eraser", size: 4, area: 1, points: [[10, 10, 1], [20, 10, 1]]});
          seen.push(strokes.waiting().length);
          strokes.settle(late, packed_mask(block, 40, 30)); note();
          seen.push(strokes.waiting().length);
          strokes.undo(); note(); strokes.undo(); note(); strokes.redo(); strokes.redo(); note();
          const again = new Strokes(40, 30); again.restore(JSON.parse(JSON.stringify(strokes.saved())));
          seen.push(area(again.mask(1)));
          strokes.drop(late); strokes.rebuild(1); note();
          return seen;
        }"""
    )
    erased = seen[2]
    assert 0 < erased < 400
    assert seen == [0, 1, erased, 0, 400, 0, erased, erased, 0]


@pytest.mark.browser
def test_undo_and_redo_walk_along_the_strokes_of_every_area(script: Any) -> None:
    """Any walk of undo and redo shows the masks that the strokes up to there would have drawn."""
    walk = script.evaluate(
        """() => {
          const strokes = new Strokes(64, 48), seen = [];
          const sums = () => strokes.areas().map((one) => [one, area(strokes.mask(one))]);
          const draw = (number, x) => {
            strokes.begin({tool: "brush", size: 6, area: number, points: [[x, 10, 1]]});
            strokes.extend([x, 30, 1]); strokes.finish();
          };
          const note = () => seen.push(JSON.stringify(sums()));
          const act = (stroke) => { strokes.apply(stroke); note(); };
          note(); draw(1, 10); note();
          act({tool: "add", area: strokes.unused()});
          draw(2, 30); note();
          act({tool: "invert", area: 1});
          act({tool: "remove", area: 2});
          const forward = seen.slice();
          const wrong = (i) => JSON.stringify(sums()) !== forward[i];
          for (let i = forward.length - 2; i >= 0; i--) { strokes.undo(); if (wrong(i)) return "undo " + i; }
          strokes.undo();
          for (let i = 1; i < forward.length; i++) { strokes.redo(); if (wrong(i)) return "redo " + i; }
          strokes.undo(); draw(1, 50); strokes.redo();
          return forward;
        }"""
    )
    assert isinstance(walk, list), walk
    (only,), (first, second) = json.loads(walk[1]), json.loads(walk[2])
    assert (first, second) == (only, [2, 0])
    assert len({*walk}) == len(walk)


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 300), (513, 257)])
def test_the_file_that_goes_back_is_the_mask_in_eight_bits(script: Any, width: int, height: int) -> None:
    mask = np.random.default_rng(3).random((height, width)) > 0.5
    cells = (mask * 255).ravel().tolist()
    address = script.evaluate("([c, w, h]) => png(new Uint8Array(c), w, h)", [cells, width, height])
    data = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    assert data[24:26] == bytes([8, 0])  # bit depth 8, colour type grey
    assert (images.decode(data, "mask").pixels == mask * np.uint8(255)).all()


def test_the_scripts_are_the_ones_in_the_folder() -> None:
    assert {path.name for path in Path(FOLDER).glob("*.js")} == set(canvas.SCRIPTS)
