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
    for name in ("raster.js", "strokes.js", "png.js"):
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
