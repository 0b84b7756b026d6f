"""Captions without networks: masks drawn here and measured there, folders, templates, and a server on this machine."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.core import images, kinds, templates, weights
from pipelines.core.errors import BadInput, Missing, Problem
from pipelines.core.models import Models
from pipelines.parts.captioners import CAPTIONERS, How, Seen, attributes, endpoint, folder_words, lacks, mixing, nouns
from pipelines.parts.captioners.attributes import measured

SIDE = 240
GREY = np.full((SIDE, SIDE, 3), 128, np.uint8)
NETWORKS = ("blip2", "blip", "llava")


def drawn(*shapes: tuple[str, tuple[Any, ...]], size: tuple[int, int] = (SIDE, SIDE)) -> np.ndarray:
    """bool mask of shapes: ("circle", (x, y, radius)), ("line", (x, y, x, y, thickness)), ("box", (x, y, x, y))."""
    mask = np.zeros(size, np.uint8)
    for shape, at in shapes:
        if shape == "circle":
            cv2.circle(mask, at[:2], at[2], 1, -1)
        elif shape == "line":
            cv2.line(mask, at[:2], at[2:4], 1, at[4])
        else:
            cv2.rectangle(mask, at[:2], at[2:4], 1, -1)
    return mask > 0


def seen(mask: np.ndarray | None = None, defect: str = "hole", product: str = "wood", **more: Any) -> Seen:
    return Seen(GREY, mask, defect, product, **more)


def caption(*one: Seen, how: How | None = None, name: str = "attributes") -> list[str]:
    return CAPTIONERS[name](one, how or How(), Models("cpu"))


PLACES = [
    ((40, 40), "in the upper left"),
    ((120, 40), "at the top"),
    ((200, 40), "in the upper right"),
    ((40, 120), "on the left"),
    ((120, 120), "in the middle"),
    ((200, 120), "on the right"),
    ((40, 200), "in the lower left"),
    ((120, 200), "at the bottom"),
    ((200, 200), "in the lower right"),
]


@pytest.mark.parametrize(("centre", "place"), PLACES)
def test_a_defect_is_where_it_was_drawn(centre: tuple[int, int], place: str) -> None:
    assert measured(GREY, drawn(("circle", (*centre, 12)))).place == place


@pytest.mark.parametrize(
    ("line", "place", "direction"),
    [
        ((10, 30, 230, 30, 3), "across the top", "running horizontally"),
        ((10, 120, 230, 130, 3), "across the middle", "running horizontally"),
        ((10, 220, 230, 220, 3), "across the bottom", "running horizontally"),
        ((30, 10, 30, 230, 3), "down the left side", "running vertically"),
        ((120, 10, 130, 230, 1), "down the middle", "running vertically"),
        ((220, 10, 220, 230, 3), "down the right side", "running vertically"),
        ((5, 5, 235, 235, 2), "across the whole picture", "running diagonally"),
        ((235, 5, 5, 235, 2), "across the whole picture", "running diagonally"),
        ((20, 20, 60, 60, 3), "in the upper left", "running diagonally"),
        ((20, 60, 60, 20, 3), "in the upper left", "running diagonally"),
    ],
)
def test_what_is_elongated_runs_as_it_was_drawn(line: tuple[int, ...], place: str, direction: str) -> None:
    found = measured(GREY, drawn(("line", line)))
    assert (found.place, found.direction, found.count) == (place, direction, 1)


@pytest.mark.parametrize("degrees", range(-90, 91, 15))
def test_every_angle_has_its_word(degrees: int) -> None:
    turn = np.deg2rad(degrees)
    ends = [(round(120 + sign * 60 * np.cos(turn)), round(120 + sign * 60 * np.sin(turn))) for sign in (1, -1)]
    steep = abs(degrees)
    wanted = "horizontally" if steep < 22.5 else "vertically" if steep > 67.5 else "diagonally"
    assert measured(GREY, drawn(("line", (*ends[0], *ends[1], 5)))).direction == f"running {wanted}"


def test_what_is_round_runs_nowhere() -> None:
    for shape in (("circle", (120, 120, 20)), ("box", (60, 60, 120, 90))):
        assert measured(GREY, drawn(shape)).direction == ""


def test_two_parallel_scratches_run_one_way_and_crossed_ones_do_not() -> None:
    level, upright = ("line", (30, 60, 180, 60, 3)), ("line", (215, 20, 215, 170, 3))
    assert measured(GREY, drawn(level, ("line", (30, 180, 180, 180, 3)))).direction == "running horizontally"
    assert measured(GREY, drawn(level, upright)).direction == "running in different directions"


@pytest.mark.parametrize(
    ("centres", "place"),
    [
        (((70, 40), (90, 40)), "at the top"),
        (((40, 40), (40, 60)), "in the upper left"),
        (((30, 40), (210, 40)), "across the top"),
        (((30, 40), (30, 210)), "down the left side"),
        (((120, 30), (120, 200)), "down the middle"),
        (((50, 50), (190, 190)), "spread over the picture"),
        (((20, 20), (220, 20), (20, 220), (220, 220)), "spread over the picture"),
    ],
)
def test_pieces_that_lie_apart_are_not_placed_between_them(centres: tuple[tuple[int, int], ...], place: str) -> None:
    assert measured(GREY, drawn(*(("circle", (*centre, 8)) for centre in centres))).place == place


def test_a_larger_circle_is_never_called_smaller() -> None:
    words = [word for _, word in attributes.SIZES]
    found = [measured(GREY, drawn(("circle", (120, 120, radius)))) for radius in range(1, 118, 4)]
    ranks = [words.index(one.size) for one in found]
    assert ranks == sorted(ranks)
    assert set(ranks) == set(range(len(words)))
    for one in found:
        (most,) = [most for most, word in attributes.SIZES if word == one.size]
        assert one.share <= most


def test_a_scratch_is_long_by_its_length_and_not_by_its_area() -> None:
    lengths = [measured(GREY, drawn(("line", (20, 120, 20 + length, 120, 2)))) for length in (20, 90, 200)]
    assert [one.size for one in lengths] == ["short", "", "long"]
    assert all(one.share < 0.02 for one in lengths)


@pytest.mark.parametrize(
    ("count", "word"), [(1, "a tiny hole"), (2, "two tiny holes"), (9, "nine tiny holes"), (12, "many tiny holes")]
)
def test_pieces_are_counted(count: int, word: str) -> None:
    circles = [("circle", (20 + 50 * (at % 4), 20 + 50 * (at // 4), 4)) for at in range(count)]
    mask = drawn(*circles)
    assert measured(GREY, mask).count == count
    assert f"with {word} " in caption(seen(mask))[0]


def test_specks_are_not_counted_and_a_single_pixel_is() -> None:
    mask = drawn(("circle", (120, 120, 20)))
    mask[5, 5] = mask[230, 230] = True
    assert (measured(GREY, mask).count, measured(GREY, mask).place) == (1, "in the middle")
    alone = np.zeros((SIDE, SIDE), bool)
    alone[0, 0] = True
    found = measured(GREY, alone)
    assert (found.count, found.size, found.place, found.direction) == (1, "tiny", "in the upper left", "")


@pytest.mark.parametrize(("level", "word"), [(60, "darker"), (200, "brighter"), (128, ""), (130, ""), (116, "darker")])
def test_darker_and_brighter_are_against_what_lies_around(level: int, word: str) -> None:
    mask = drawn(("circle", (200, 120, 25)))
    picture = GREY.copy()
    picture[:, :60] = 255  # far away, it counts for nothing
    picture[mask] = level
    assert measured(picture, mask).contrast == word
    whole = np.ones((SIDE, SIDE), bool)
    assert measured(picture, whole).contrast == ""


def test_real_masks_are_measured_as_skimage_measures_them(test_data: Path) -> None:
    from skimage.measure import label, regionprops

    files = sorted((test_data / "magnetic_tile").glob("MT_*/Imgs/*.png"))[::4]
    compared = 0
    for file in files:
        mask = np.asarray(images.read(file).pixels > 127)
        if not mask.any():
            continue
        found = measured(np.zeros((*mask.shape, 3), np.uint8), mask)
        regions = regionprops(label(mask, connectivity=2))
        largest = max(region.area for region in regions)
        kept = [region for region in regions if region.area >= max(0.02 * largest, 4)]
        assert found.count == len(kept), file.name
        if len(kept) > 1 or kept[0].area < 200:
            continue
        longer = kept[0].axis_major_length / kept[0].axis_minor_length
        slope = 90 - abs(np.rad2deg(kept[0].orientation))  # skimage's are from the vertical
        if min(abs(longer - attributes.ELONGATED), abs(slope - 22.5) / 10, abs(slope - 67.5) / 10) < 0.2:
            continue  # on the edge between two words
        word = "horizontally" if slope < 22.5 else "vertically" if slope > 67.5 else "diagonally"
        assert found.direction == (f"running {word}" if longer > attributes.ELONGATED else ""), file.name
        row, column = (int(3 * (at + 0.5) / side) for at, side in zip(kept[0].centroid, mask.shape, strict=True))
        assert found.place in (attributes.PLACES[row][column], attributes.ACROSS[row], attributes.DOWN[column])
        compared += 1
    assert compared >= 5


def test_attributes_are_the_same_at_another_resolution() -> None:
    shapes = [("circle", (60, 60, 14)), ("circle", (180, 70, 16)), ("line", (30, 200, 150, 140, 6))]
    small = drawn(*shapes)
    large = cv2.resize(small.astype(np.uint8), None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST) > 0
    one, other = measured(GREY, small), measured(np.full((*large.shape, 3), 128, np.uint8), large)
    assert replace(one, share=0) == replace(other, share=0)
    assert abs(one.share - other.share) < 1e-9


def test_a_caption_is_one_stable_sentence() -> None:
    picture = GREY.copy()
    holes = drawn(*(("circle", (x, 50, 8)) for x in (30, 55, 80)))
    scratch = drawn(("line", (10, 120, 230, 122, 3)))
    picture[holes] = 30
    picture[scratch] = 220
    assert caption(
        Seen(picture, holes, "hole", "wood"),
        Seen(picture, scratch, "scratch", "metal_nut"),
        Seen(GREY, drawn(("line", (20, 20, 60, 60, 3))), "", ""),
        Seen(GREY, drawn(("circle", (120, 120, 60))), "glue", "leather"),
        Seen(GREY, drawn(("circle", (50, 50, 8)), ("circle", (190, 190, 8))), "rolled-in_scale", "steel"),
    ) == [
        "a photo of wood with three small holes in the upper left, darker than their surroundings",
        "a photo of a metal nut with a long scratch across the middle, running horizontally,"
        " brighter than its surroundings",
        "a photo of a part with a defect in the upper left, running diagonally",
        "a photo of leather with a large area of glue in the middle",
        "a photo of steel with two small areas of rolled-in scale spread over the picture",
    ]


def test_without_a_mask_only_what_is_known_is_said() -> None:
    empty = np.zeros((SIDE, SIDE), bool)
    assert caption(seen(), seen(defect=""), seen(empty, defect=""), seen(empty, "crack", "pill")) == [
        "a photo of wood with a hole",
        "a photo of wood",
        "a photo of wood without a defect",
        "a photo of a pill with a crack",
    ]


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(BadInput, match=r"^the mask has 20 x 10 px and its picture 240 x 240: they must be equal$"):
        caption(seen(np.ones((10, 20), bool)))
    with pytest.raises(BadInput, match="the mask is empty"):
        measured(GREY, np.zeros((SIDE, SIDE), bool))


def test_masks_of_a_line_and_of_everything_are_measured() -> None:
    for shape in ((1, 300), (300, 1), (1, 1), (7, 2000)):
        found = measured(np.zeros((*shape, 3), np.uint8), np.ones(shape, bool))
        assert (found.count, found.share) == (1, 1.0)


@pytest.mark.parametrize(
    ("noun", "count", "how", "words"),
    [
        ("scratch", 1, "", "a scratch"),
        ("inclusion", 1, "", "an inclusion"),
        ("inclusion", 1, "small", "a small inclusion"),
        ("scratch", 2, "long", "two long scratches"),
        ("scratches", 1, "", "scratches"),
        ("patches", 3, "large", "three large patches"),
        ("crazing", 1, "", "crazing"),
        ("glue", 2, "", "two areas of glue"),
        ("bent", 1, "large", "a large bent area"),
        ("poked", 2, "", "two poked areas"),
        ("mouse bite", 2, "", "two mouse bites"),
        ("impurity", 2, "", "two impurities"),
        ("glass", 1, "", "glass"),
    ],
)
def test_nouns_of_every_sort_are_english(noun: str, count: int, how: str, words: str) -> None:
    assert nouns.phrase(noun, count, how) == words


def test_every_kind_of_ours_can_be_named() -> None:
    for name in kinds.load():
        assert "_" not in nouns.called(name)
        for count in (1, 2):
            assert "  " not in nouns.phrase(nouns.called(name), count, "small")


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("12_vfx scratch", "vfx scratch"),
        ("vfx_scratch", "vfx scratch"),
        ("100_rolled-in_scale", "rolled-in scale"),
        ("wood/3_deep_hole", "wood, deep hole"),
        ("steel/_batch 4/12 scratches", "steel, scratches"),
        ("__skipped", ""),
        ("0042", ""),
        ("m3_screw", "m3 screw"),
        ("", ""),
    ],
)
def test_a_folder_says_what_lies_in_it(folder: str, words: str) -> None:
    assert folder_words(folder) == words
    assert caption(seen(folder=folder), name="folder") == [words]


def test_what_stands_beside_a_picture_is_taken_as_it_is() -> None:
    said = caption(seen(said="# remark\n\n a deep scratch \nmore"), seen(), name="said")
    assert said == ["a deep scratch", ""]


def test_captions_are_mixed_as_the_steel_pipeline_does() -> None:
    mixed = mixing.mixed(
        mixing.TEMPLATE, caption="A strip of metal.", defect="rolled-in_scale", keywords=("surface", "metal", "Surface")
    )
    assert mixed == "A strip of metal, rolled-in scale, surface, metal"
    assert mixing.mixed("{token} on {product}, {folder}", token="<s1>", product="metal_nut") == "<s1> on metal nut"
    assert mixing.mixed("{{{caption}}}", caption="a") == "{a}"
    assert mixing.mixed("{caption}", caption="a {defect}") == "a {defect}", "what is filled in is no template"


def test_words_with_weights_stay_whole() -> None:
    assert templates.tidy("(a, b:1.2), (c, b:0.8), , (a, b:1.2), <lora:x:1>") == "(a, b:1.2), (c, b:0.8), <lora:x:1>"


@pytest.mark.parametrize("field_", ["colour", "caption.__class__", "0", "", "caption!r", "caption:>9"])
def test_an_unknown_field_is_refused_by_name(field_: str) -> None:
    name = field_.partition("!")[0].partition(":")[0]
    with pytest.raises(BadInput, match=r"it may hold caption, token, defect, product, folder, keywords$") as problem:
        mixing.mixed(f"x {{{field_}}}", caption="a")
    assert f"has no field {name!r}" in str(problem.value)
    assert problem.value.field == "template"
    with pytest.raises(BadInput, match="has a brace too many or too few"):
        mixing.mixed("{caption")


def test_variants_are_those_of_the_steel_pipeline() -> None:
    assert mixing.variants("a strip", "scratches", "steel") == [
        "a strip",
        "a strip, high detail, macro photography",
        "a strip, industrial inspection, surface texture",
        "a strip, steel defect, scratches",
        "a strip, grayscale, monochrome, no humans",
    ]


def test_no_variant_comes_twice() -> None:
    whole = "a strip, high detail, macro photography, steel defect, scratches"
    found = mixing.variants(whole, "scratches", "steel")
    assert len(found) == len({one.casefold() for one in found}) == 3
    assert found[0] == whole


def test_an_instruction_holds_what_is_known() -> None:
    assert mixing.asked(mixing.INSTRUCTION, seen(defect="rolled-in_scale", product="steel")).startswith(
        "Describe this rolled-in scale defect on this steel surface in detail"
    )
    assert mixing.asked(mixing.INSTRUCTION, seen(defect="", product="")).startswith(
        "Describe this defect on this surface in detail"
    )
    with pytest.raises(BadInput, match=r"prompt 'what \{it\} is' has no field 'it': it may hold defect, product"):
        mixing.asked("what {it} is", seen())


@pytest.mark.parametrize(
    ("name", "folder", "source"),
    [
        ("blip2", "captioners", "Salesforce/blip2-opt-2.7b"),
        ("blip", "captioners", "Salesforce/blip-image-captioning-large"),
        ("llava", "captioners", "llava-hf/llava-1.5-7b-hf"),
        ("keywords", "clip", "openai/clip-vit-large-patch14-336"),
    ],
)
def test_what_is_missing_is_said_with_where_it_comes_from(
    name: str, folder: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path / "nets"))
    problem = lacks(name)
    assert isinstance(problem, Missing)
    file = source.rpartition("/")[2] if name == "keywords" else name
    assert str(problem) == f"{file} is not in nets/{folder}: put its folder there (it is {source} on Hugging Face)"
    with pytest.raises(Missing, match=f"{file} is not in nets/{folder}"):
        caption(seen(), name=name)
    if name in NETWORKS:
        place = tmp_path / "nets" / folder / name
        place.mkdir(parents=True)
        (place / "config.json").write_text("{}")
        (place / "pytorch_model.bin").write_bytes(b"pickle")
        assert "has no weights in safetensors, and a pickle could run code" in str(lacks(name))


def test_the_others_need_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [lacks(name) for name in ("attributes", "folder", "said")] == [None] * 3
    assert sorted(CAPTIONERS) == sorted(("attributes", "folder", "said", "keywords", *NETWORKS, "endpoint"))
    with pytest.raises(BadInput, match=r"^there is no captioner 'clip'; choose one of attributes, folder"):
        lacks("clip")


KEY = "sk-very-secret-0123456789"


@dataclass
class Vision:
    """A server on this machine, what it answers and what it was asked."""

    url: str = ""
    status: int = 200
    body: bytes = b""
    wait_s: float = 0
    asked: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)

    def says(self, content: object) -> None:
        self.body = json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}).encode()


@contextmanager
def serving() -> Iterator[Vision]:
    vision = Vision()
    free = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            vision.asked.append((self.path, dict(self.headers), json.loads(data)))
            if vision.wait_s:
                free.wait(vision.wait_s)
                return
            self.send_response(vision.status)
            if vision.status == 302:
                self.send_header("Location", f"{vision.url}/elsewhere")
            self.send_header("Content-Length", str(len(vision.body)))
            self.end_headers()
            self.wfile.write(vision.body)

        def do_GET(self) -> None:
            vision.asked.append((self.path, dict(self.headers), {}))
            self.send_error(404)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    vision.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield vision
    finally:
        free.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def vision(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vision]:
    with serving() as found:
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setenv(endpoint.URL, found.url + "/")
        monkeypatch.setenv(endpoint.KEY, f" {KEY}\n")
        monkeypatch.setenv(endpoint.MODEL, "tiny-vision")
        yield found


def test_the_endpoint_is_off_until_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as vision:
        for name in (endpoint.URL, endpoint.KEY, endpoint.MODEL):
            monkeypatch.delenv(name, raising=False)
        assert isinstance(lacks("endpoint"), Missing)
        monkeypatch.setenv(endpoint.URL, vision.url)
        with pytest.raises(Missing, match=r"set FLAWSMITH_VISION_KEY, FLAWSMITH_VISION_MODEL where the studio is"):
            caption(seen(), name="endpoint")
        assert vision.asked == []


def test_the_endpoint_is_shown_the_picture_and_asked_the_instruction(vision: Vision) -> None:
    vision.says(" a deep\n \x07scratch ")
    assert lacks("endpoint") is None
    picture = np.random.default_rng(0).integers(0, 255, (40, 1500, 3)).astype(np.uint8)
    one = Seen(picture, defect="scratch", product="steel")
    assert caption(one, one, how=How(max_new_tokens=7), name="endpoint") == ["a deep scratch"] * 2
    path, headers, body = vision.asked[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("tiny-vision", 7, 0)
    text, shown = body["messages"][0]["content"]
    assert text == {"type": "text", "text": mixing.asked(mixing.INSTRUCTION, one)}
    address = shown["image_url"]["url"]
    assert address.startswith("data:image/jpeg;base64,")
    sent = images.decode(base64.b64decode(address.partition(",")[2]), "sent")
    assert (sent.format, sent.pixels.shape) == ("jpeg", (27, 1024, 3))
    vision.says([{"type": "text", "text": "in"}, {"type": "text", "text": "parts"}])
    assert caption(one, how=How("what is {defect}?"), name="endpoint") == ["in parts"]
    assert vision.asked[-1][2]["messages"][0]["content"][0]["text"] == "what is scratch?"


REFUSALS: list[tuple[str, Callable[[Vision], None], str]] = [
    ("key", lambda one: _answer(one, 401, f"wrong key {KEY}"), r"does not take the key \(HTTP 401\): set FLAWSMITH_VI"),
    ("often", lambda one: _answer(one, 429, "slow"), r"was asked too often \(HTTP 429\): wait a while"),
    ("model", lambda one: _answer(one, 404, f"no model for {KEY}"), r"refused \(HTTP 404: no model for …\): see"),
    ("elsewhere", lambda one: _answer(one, 302, "go"), r"refused \(HTTP 302: go\)"),
    ("garbage", lambda one: _answer(one, 200, "<html>"), "answered, but with no caption: see that FLAWSMITH_VISION_MO"),
    ("list", lambda one: _answer(one, 200, "[1]"), "answered, but with no caption"),
    ("deep", lambda one: _answer(one, 200, "[" * 100_000), "answered, but with no caption"),
    ("null", lambda one: one.says(None), "answered, but with no caption"),
    ("huge", lambda one: one.says("x" * 2_000_000), "answered, but with no caption"),
    ("nothing", lambda one: setattr(one, "wait_s", 1e-9), r"broke off its answer \(RemoteDisconnected\): try again"),
    ("late", lambda one: setattr(one, "wait_s", 30), r"did not answer within 0\.3 s: try again later"),
]


def _answer(vision: Vision, status: int, body: str) -> None:
    vision.status, vision.body = status, body.encode()


@pytest.mark.parametrize(("name", "spoil", "words"), REFUSALS, ids=[name for name, *_ in REFUSALS])
def test_a_server_that_fails_is_told_in_a_sentence_without_the_key(
    name: str, spoil: Callable[[Vision], None], words: str, vision: Vision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "PATIENCE_S", 0.3)
    spoil(vision)
    with pytest.raises(Problem, match=rf"^127\.0\.0\.1:\d+ {words}") as problem:
        caption(seen(), name="endpoint")
    chain: BaseException | None = problem.value
    while chain is not None:
        assert KEY not in str(chain)
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
    assert len(vision.asked) == 1, "a redirection is not followed"


def test_a_server_that_is_not_there_is_told_in_a_sentence(vision: Vision, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(endpoint.URL, "http://127.0.0.1:9")
    with pytest.raises(Problem, match=r"^127\.0\.0\.1:9 cannot be reached \(.+\): see that it runs, and FLAWSMITH_V"):
        caption(seen(), name="endpoint")


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "127.0.0.1:80/v1", "http://", "http://a:b@127.0.0.1", "http://[::1", "http://x:y"]
)
def test_an_address_that_is_none_is_refused(address: str, vision: Vision, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(endpoint.URL, address)
    assert str(lacks("endpoint")).startswith("FLAWSMITH_VISION_URL is no address of a server")
    with pytest.raises(BadInput, match="FLAWSMITH_VISION_URL is no address"):
        caption(seen(), name="endpoint")


@pytest.mark.parametrize("key", ["sk-a\r\nHost: x", "schlüssel"])
def test_a_key_that_is_none_is_refused_without_repeating_it(
    key: str, vision: Vision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(endpoint.KEY, key)
    assert str(lacks("endpoint")) == "FLAWSMITH_VISION_KEY holds characters that no key has: copy it again"
    assert KEY not in repr(endpoint.Server("http://x", KEY, "m"))


def test_the_keywords_are_those_that_most_captions_hold() -> None:
    from pipelines.parts.captioners import keywords

    one = seen(said="scratch, dark metal, a photo of a steel strip with a long scratch")
    two = seen(said="scratch, dark metal")
    found = keywords.candidates([one.said, two.said], ("rust", "Scratch"))
    assert found[:3] == ["rust", "Scratch", "dark metal"]
    assert set(found[3:]) == {"steel", "strip", "long"}
    counts = [sum(word.casefold() in each.said for each in (one, two)) for word in found[2:]]
    assert all(before >= after for before, after in pairwise(counts))
