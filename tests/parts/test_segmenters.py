"""Finding defects: from a part picture, from before and after, and by a net whose file the test writes itself."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from pipelines.core import weights
from pipelines.core.errors import BadInput, Missing
from pipelines.core.requests.segment import METHODS, Segment
from pipelines.parts import segmenters
from pipelines.parts.segmenters import SEGMENTERS, Found
from tests import pictures

GREY, DIFFERENCE = SEGMENTERS["grey"](), SEGMENTERS["difference"]()
DISC = pictures.disc(200, 240, radius=40)


def noisy(pixels: np.ndarray, spread: float, seed: int = 0) -> np.ndarray:
    values = pixels + np.random.default_rng(seed).normal(0, spread, pixels.shape)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def part(mask: np.ndarray = DISC, level: int = 60, spread: float = 2) -> np.ndarray:
    """The part picture of a dual pair: mid-grey, and the defect."""
    return noisy(np.where(mask[..., None], level, 127.5) + np.zeros(3), spread)


def overlap(found: Found, mask: np.ndarray) -> float:
    return float((found.mask & mask).sum() / (found.mask | mask).sum())


def test_the_names_of_the_request_are_those_of_the_catalogue() -> None:
    assert get_args(Segment.model_fields["method"].annotation) == METHODS
    assert sorted(METHODS) == sorted([segmenters.AUTO, *SEGMENTERS])


@pytest.mark.parametrize("level", [20, 90, 200])
def test_a_part_picture_shows_its_defect_by_what_is_not_mid_grey(level: int) -> None:
    assert overlap(segmenters.segment(GREY, part(level=level)), DISC) > 0.98


def test_one_channel_that_leaves_mid_grey_is_enough() -> None:
    picture = part(level=127)
    picture[DISC, 2] = 200
    assert overlap(segmenters.segment(GREY, picture), DISC) > 0.98


@pytest.mark.parametrize("spread", [0.5, 3, 6])
def test_an_empty_part_gives_an_empty_mask_and_says_so(spread: float) -> None:
    found = segmenters.segment(GREY, part(np.zeros_like(DISC), spread=spread))
    assert not found.mask.any()
    assert found.note.startswith("nothing found: no area of 16 px is further than 26 of 255 levels")


def test_a_photograph_taken_for_a_part_picture_is_called_odd() -> None:
    found = segmenters.segment(GREY, np.full((60, 60, 3), 220, np.uint8))
    assert found.note == "the mask covers 100 % of the picture: grey is hardly the way to find it"


@pytest.mark.parametrize("spread", [0.0, 2.0, 4.0])
def test_what_changed_between_two_photographs_is_found_in_their_noise(spread: float) -> None:
    good = pictures.good(200, 240)
    after = good.copy()
    after[DISC] = after[DISC] // 2
    assert overlap(segmenters.segment(DIFFERENCE, noisy(after, spread), noisy(good, spread, 1)), DISC) > 0.97


def test_nothing_changed_but_the_noise_is_nothing() -> None:
    good = pictures.good(200, 240)
    found = segmenters.segment(DIFFERENCE, noisy(good, 4), noisy(good, 4, 1))
    assert not found.mask.any()
    assert found.note


def test_a_soft_edge_belongs_to_the_defect() -> None:
    rows, columns = np.mgrid[0:200, 0:240]
    depth = np.clip(1 - np.hypot(rows - 100, columns - 120) / 60, 0, 1)[..., None]
    good = pictures.good(200, 240)
    found = segmenters.segment(DIFFERENCE, np.rint(good * (1 - 0.5 * depth)).astype(np.uint8), good)
    assert overlap(found, depth[..., 0] > 0) > 0.85


def test_a_line_of_one_pixel_is_found_whole() -> None:
    good, line = pictures.good(), pictures.line()
    after = good.copy()
    after[line] //= 2
    assert (segmenters.segment(DIFFERENCE, after, good).mask & line).sum() > 0.95 * line.sum()


def test_grey_and_16_bit_pairs_are_compared_as_well() -> None:
    good = pictures.good(200, 240, bits=16, grey=True)
    after = good.copy()
    after[DISC] //= 2
    assert overlap(segmenters.segment(DIFFERENCE, after, good), DISC) > 0.99


def test_a_threshold_that_is_given_holds() -> None:
    picture = part(level=100, spread=0)  # 27 levels away
    assert segmenters.segment(GREY, picture, threshold=20).mask.any()
    assert not segmenters.segment(GREY, picture, threshold=40).mask.any()


@pytest.mark.parametrize(("least", "specks"), [(1, True), (30, False)])
def test_specks_below_the_least_area_are_dropped_and_holes_filled(least: int, specks: bool) -> None:
    mask = DISC.copy()
    mask[10:14, 10:14] = True
    mask[98:102, 118:122] = False
    found = segmenters.segment(GREY, part(mask, spread=0), minimum_area_px=least).mask
    assert found[12, 12] == specks
    assert found[100, 120] != specks


def test_pictures_of_two_sizes_are_refused() -> None:
    with pytest.raises(BadInput, match="has 96 x 72 px and the one with the defect 96 x 80"):
        segmenters.segment(DIFFERENCE, pictures.good(80, 96), pictures.good(72, 96))


def test_difference_without_a_good_picture_is_refused() -> None:
    with pytest.raises(BadInput, match="clean is missing"):
        segmenters.segment(DIFFERENCE, pictures.good())


# -- U-2-Net


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the net's weights are looked for; nothing is there yet."""
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path / "models"))
    path = tmp_path / "models" / "u2net" / segmenters.U2NET
    path.parent.mkdir(parents=True)
    return path


def _field(number: int, value: int | str | bytes) -> bytes:
    """A field of a protobuf message."""
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    data = value.encode() if isinstance(value, str) else value
    return _number(number << 3 | 2) + _number(len(data)) + data


def _number(value: int) -> bytes:
    return bytes([value & 127 | 128]) + _number(value >> 7) if value > 127 else bytes([value])


def _value(name: str, side: int) -> bytes:
    dims = b"".join(_field(1, _field(1, dim)) for dim in (1, 3 if name == "x" else 1, side, side))
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dims)))


def _node(kind: str, inputs: Sequence[str], output: str) -> bytes:
    return b"".join(_field(1, one) for one in inputs) + _field(2, output) + _field(4, kind) + _field(3, output)


def _tensor(name: str, dims: Sequence[int], values: Sequence[float]) -> bytes:
    shape = b"".join(_field(1, one) for one in dims)
    return shape + _field(2, 1) + _field(8, name) + _field(9, struct.pack(f"<{len(values)}f", *values))


def net(bias: float, side: int = segmenters.U2NET_PX) -> bytes:
    """ONNX of a net that answers as U-2-Net does, with several maps: where it is brighter than `bias`, and its opposite
    as the second.
    """
    nodes = [
        _node("Conv", ["x", "weight", "bias"], "inner"),
        _node("Sigmoid", ["inner"], "first"),
        _node("Neg", ["inner"], "negative"),
        _node("Sigmoid", ["negative"], "second"),
    ]
    tensors = [_tensor("weight", (1, 3, 1, 1), [4.0] * 3), _tensor("bias", (1,), [-4 * bias])]
    graph = b"".join(_field(1, one) for one in nodes) + _field(2, "net") + b"".join(_field(5, one) for one in tensors)
    graph += _field(11, _value("x", side)) + b"".join(_field(12, _value(name, side)) for name in ("first", "second"))
    return _field(1, 8) + _field(8, _field(1, "") + _field(2, 13)) + _field(7, graph)


def test_the_net_s_first_map_is_the_mask_at_the_picture_s_size(file: Path) -> None:
    file.write_bytes(net(bias=3.0))
    picture = np.where(DISC[..., None], 230, 90).astype(np.uint8) + np.zeros(3, np.uint8)
    found = segmenters.segment(SEGMENTERS["u2net"](), picture)
    assert overlap(found, DISC) > 0.95
    assert found.method == "u2net"


def test_a_net_that_sees_nothing_gives_an_empty_mask(file: Path) -> None:
    file.write_bytes(net(bias=20.0))
    assert not segmenters.segment(SEGMENTERS["u2net"](), pictures.good()).mask.any()


def test_without_its_weights_the_sentence_says_what_and_where_from(file: Path) -> None:
    with pytest.raises(Missing, match=r"u2net\.onnx is not in models/u2net.*danielgatis/rembg.*xuebinqin/U-2-Net"):
        SEGMENTERS["u2net"]()


def test_a_file_that_is_no_net_is_refused(file: Path) -> None:
    file.write_bytes(b"<html>not found</html>")
    with pytest.raises(BadInput, match=r"u2net\.onnx cannot be read as ONNX"):
        SEGMENTERS["u2net"]()


def test_auto_takes_the_best_that_can_be_had(file: Path) -> None:
    assert segmenters.chosen("auto", clean=True) == "difference"
    assert segmenters.chosen("auto", clean=False) == "grey"
    file.write_bytes(net(bias=3.0))
    assert segmenters.chosen("auto", clean=False) == "u2net"
    assert segmenters.chosen("grey", clean=True) == "grey"
