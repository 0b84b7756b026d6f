"""What a defect brush gets from the server, and what it makes of a mask file: what core draws and reads."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest

from pipelines.core import images, shapes
from studio import routes
from studio.context import Context
from studio.guard import Guard
from studio.shapes import Shape
from tests.studio.serving import Answer, ask, serving

WIDTH, HEIGHT = 200, 140
WAY = [(20.0, 30.0), (90.5, 70.25), (170.0, 60.0)]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A served studio without its page."""
    with serving(Guard(routes.application(Context.open(tmp_path_factory.mktemp("runs"))))) as port:
        yield port


def stroke(**other: Any) -> dict[str, Any]:
    return {"shape": "scratch", "width": WIDTH, "height": HEIGHT, "points": WAY, "width_px": 24, "seed": 5, **other}


def placed(answer: Answer, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """bool HxW: the answer, put back where it says it belongs."""
    assert answer.status == 200, answer.body
    found = answer.json()
    part = images.decode(base64.b64decode(found["mask"]), "mask").pixels
    assert part.dtype == np.uint8
    assert part.shape == (found["height"], found["width"])
    whole = np.zeros((height, width), bool)
    whole[found["y"] : found["y"] + part.shape[0], found["x"] : found["x"] + part.shape[1]] = part > 127
    return whole


@pytest.mark.parametrize("shape", shapes.SHAPES)
@pytest.mark.parametrize("points", [WAY, WAY[1:2]], ids=["stroke", "click"])
def test_the_route_draws_what_core_draws(port: int, shape: str, points: list[tuple[float, float]]) -> None:
    answer = ask(port, "POST", "/api/shapes", data=stroke(shape=shape, points=points))
    assert (placed(answer) == shapes.draw(shape, (HEIGHT, WIDTH), points, width_px=24, seed=5)).all()


def test_every_shape_of_core_may_be_asked_for() -> None:
    assert set(get_args(Shape)) == set(shapes.SHAPES)


def test_another_seed_is_another_scratch_and_the_same_the_same(port: int) -> None:
    first, again, other = (placed(ask(port, "POST", "/api/shapes", data=stroke(seed=seed))) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize(
    ("wrong", "field", "sentence"),
    [
        ({"shape": "dragon"}, "shape", "'scratch', 'crack'"),
        ({"width": 4097}, "width", "less than or equal to 4096"),
        ({"height": 0}, "height", "greater than or equal to 1"),
        ({"points": []}, "points", "at least 1 item"),
        ({"points": [(1, 1)] * 2001}, "points", "at most 2000 items"),
        ({"points": [(1, 1e9)]}, "points.0.1", "less than or equal to 12288"),
        ({"points": [(1, float("nan"))]}, "points.0.1", "finite number"),
        ({"width_px": 0}, "width_px", "greater than 0"),
        ({"width_px": 1, "points": [(0, 0), (600, 0)]}, "points", "600 brush widths long and 500 may be drawn"),
        ({"points": [(-900, -900)]}, "points", "nothing of this scratch falls on the picture"),
        ({"seed": -1}, "seed", "greater than or equal to 0"),
        ({"colour": "red"}, "colour", "Extra inputs"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_its_field(
    port: int, wrong: dict[str, Any], field: str, sentence: str
) -> None:
    answer = ask(port, "POST", "/api/shapes", data=stroke(**wrong))
    assert answer.status == 422
    assert answer.error["field"] == field
    assert sentence in answer.error["message"]


def test_another_sites_page_may_not_draw(port: int) -> None:
    answer = ask(port, "POST", "/api/shapes", b"{}", {"Origin": "http://elsewhere.example"})
    assert answer.status == 403
    assert answer.error["code"] == "wrong_origin"


@pytest.mark.parametrize("shape", ["scratch", "crack", "pits", "blob", "flakes"])
def test_a_stroke_is_drawn_while_a_hand_still_rests(port: int, shape: str) -> None:
    """100 ms at 1024 px is the aim; three times that is allowed, since this machine may be busy."""
    sent = stroke(shape=shape, width=1024, height=1024, points=[(100, 100), (900, 800)], width_px=64)
    took = []
    for _ in range(5):
        before = time.perf_counter()
        assert ask(port, "POST", "/api/shapes", data=sent).status == 200
        took.append(time.perf_counter() - before)
    assert min(took) < 0.3


def upload(port: int, data: bytes, name: str) -> str:
    answer = ask(port, "POST", "/api/uploads", data and iter([data]), {"X-Filename": name})
    assert answer.status == 201, answer.body
    found: str = answer.json()["asset"]
    return found


@pytest.mark.parametrize("kind", [".png", ".tiff", ".bmp"])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_mask_file_of_any_kind_is_read_to_the_pixel(port: int, kind: str, depth: type[np.unsignedinteger]) -> None:
    if kind == ".bmp" and depth is np.uint16:
        pytest.skip("BMP has no 16 bits")
    mask = shapes.draw("flakes", (HEIGHT, WIDTH), WAY, width_px=40, seed=2)
    ok, data = cv2.imencode(kind, mask.astype(depth) * np.iinfo(depth).max)
    assert ok
    asset = upload(port, data.tobytes(), f"mask{kind}")
    assert (placed(ask(port, "GET", f"/api/masks/{asset}?width={WIDTH}&height={HEIGHT}")) == mask).all()


def test_a_mask_that_does_not_fit_is_refused(port: int) -> None:
    asset = upload(port, images.encode_png(np.ones((HEIGHT, WIDTH), bool)), "small.png")
    answer = ask(port, "GET", f"/api/masks/{asset}?width=400&height=280")
    assert answer.status == 422
    assert "mask small.png is 200 x 140 px and its picture 400 x 280" in answer.error["message"]
    empty = upload(port, images.encode_png(np.zeros((HEIGHT, WIDTH), bool)), "empty.png")
    answer = ask(port, "GET", f"/api/masks/{empty}?width={WIDTH}&height={HEIGHT}")
    assert answer.status == 422
    assert "empty.png is empty" in answer.error["message"]
    assert ask(port, "GET", "/api/masks/asset-00000000000000000000?width=4&height=4").status == 404


def test_the_body_is_described_for_scripts(port: int, tmp_path: Path) -> None:
    schema = ask(port, "GET", "/openapi.json").json()
    body = schema["paths"]["/api/shapes"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    described = schema["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    assert set(described["required"]) == {"shape", "width", "height", "points"}
