"""Pixels come in whole, upright and with all their bits, or are refused in a sentence; they go out unchanged."""

import hashlib
import io
import json
import resource
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pipelines.core import images, png
from pipelines.core.errors import BadInput, Missing
from tests import bad_images
from tests.bad_images import CASES, MASKS, READ, REFUSED, WIDTH, Case, Mask, colours, deep, grey, opencv, pillow, tiff

ROOT = Path(__file__).parents[2]


def ids(case: Case | Mask) -> str:
    return case.id


@pytest.mark.parametrize("case", REFUSED, ids=ids)
def test_a_bad_file_is_refused_in_one_sentence_that_names_it(case: Case) -> None:
    started = time.monotonic()
    with pytest.raises(BadInput) as refusal:
        images.decode(case.build(), case.file)
    sentence = str(refusal.value)
    assert time.monotonic() - started < 2
    assert sentence.startswith(case.file)
    assert "\n" not in sentence
    assert any(mark in sentence for mark in (": ", "; "))  # what would do comes after it
    for words in case.words or ():
        assert words in sentence


@pytest.mark.parametrize("case", READ, ids=ids)
def test_an_odd_but_whole_file_is_read(case: Case) -> None:
    picture = images.decode(case.build(), case.file)
    assert picture.pixels.shape == case.shape
    assert (picture.height, picture.width) == case.shape[:2]
    assert picture.bits == case.bits
    assert picture.grey == (len(case.shape) == 2)
    assert picture.pixels.flags.c_contiguous


def test_there_are_150_bad_files_in_the_table() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
    assert len(REFUSED) + sum(mask.words is not None for mask in MASKS) >= 150


def test_refusing_every_bad_file_takes_less_than_300_mb() -> None:
    code = """
import resource
from pipelines.core import images
from pipelines.core.errors import BadInput
from tests.bad_images import REFUSED
files = [case.build() for case in REFUSED]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for data in files:
    try:
        images.decode(data, "part.png")
    except BadInput:
        continue
    raise SystemExit("read what was to be refused")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300_000  # kB


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's remarks on broken TIFF tags
@settings(max_examples=400, deadline=2000, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    case=st.sampled_from([case for case in CASES if len(case.build()) > 20]),
    edits=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=0, max_size=6)), min_size=1, max_size=5
    ),
    early=st.booleans(),
)
def test_whatever_is_done_to_a_file_it_is_read_or_refused(
    case: Case, edits: list[tuple[float, bytes]], early: bool
) -> None:
    data = bytearray(case.build())
    for place, new in edits:
        position = int(place * (min(200, len(data)) if early else len(data)))
        data[position : position + max(1, len(new) - 2)] = new
    try:
        pixels = images.decode(bytes(data), "part.png").pixels
    except BadInput:
        return
    assert pixels.dtype in (np.uint8, np.uint16)


LOSSLESS: dict[str, tuple[Any, np.ndarray]] = {
    "png": (lambda: pillow(colours(), "PNG"), colours()),
    "png-grey": (lambda: pillow(grey(), "PNG"), grey()),
    "png-rgba": (lambda: pillow(bad_images.opaque(colours()), "PNG"), colours()),
    "png16": (lambda: opencv(deep(), ".png"), deep()),
    "png16-grey": (lambda: opencv(deep()[..., 0], ".png"), deep()[..., 0]),
    "png16-rgba": (lambda: cv2.imencode(".png", bad_images.opaque(deep())[..., [2, 1, 0, 3]])[1].tobytes(), deep()),
    "interlaced": (bad_images.interlaced, grey()),
    "bmp": (lambda: pillow(colours(), "BMP"), colours()),
    "bmp-upside-down": (lambda: bottom_up(), colours()[::-1]),
    "bmp-grey": (lambda: pillow(grey(), "BMP"), grey()),
    "webp": (lambda: pillow(colours(), "WEBP", lossless=True), colours()),
    "webp-rgba": (lambda: pillow(bad_images.opaque(colours()), "WEBP", lossless=True), colours()),
    "tiff": (lambda: pillow(colours(), "TIFF"), colours()),
    "tiff-lzw": (lambda: pillow(colours(), "TIFF", compression="tiff_lzw"), colours()),
    "tiff-planes": (lambda: tiff(colours().transpose(2, 0, 1), photometric="rgb", planarconfig="separate"), colours()),
    "tiff-white-is-zero": (lambda: tiff(255 - grey(), photometric="miniswhite"), grey()),
    "tiff16": (lambda: tiff(deep(), photometric="rgb"), deep()),
    "tiff16-grey": (lambda: tiff(deep()[..., 0]), deep()[..., 0]),
    "tiff16-big-endian": (lambda: tiff(deep(), photometric="rgb", byteorder=">"), deep()),
    "tiff16-bigtiff": (lambda: tiff(deep(), photometric="rgb", bigtiff=True), deep()),
    "tiff16-bigtiff-big-endian": (lambda: tiff(deep(), photometric="rgb", bigtiff=True, byteorder=">"), deep()),
    "tiff16-tiles": (lambda: tiff(deep(), photometric="rgb", tile=(16, 16)), deep()),
    "tiff16-deflate": (lambda: tiff(deep(), photometric="rgb", compression="zlib"), deep()),
    "tiff16-lzw": (lambda: opencv(deep(), ".tif", cv2.IMWRITE_TIFF_COMPRESSION, 5), deep()),
    "tiff16-planes": (lambda: tiff(deep().transpose(2, 0, 1), photometric="rgb", planarconfig="separate"), deep()),
    "tiff16-rgba": (
        lambda: tiff(bad_images.opaque(deep()), photometric="rgb", extrasamples=["unassalpha"]),
        deep(),
    ),
    "tiff16-white-is-zero": (lambda: tiff(65535 - deep()[..., 0], photometric="miniswhite"), deep()[..., 0]),
    "tiff-thumbnail": (bad_images.with_thumbnail, colours()),
}


def bottom_up() -> bytes:
    data = bytearray(pillow(colours(), "BMP"))
    data[22:26] = struct.pack("<i", -struct.unpack("<i", data[22:26])[0])
    return bytes(data)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_lossless_file_gives_the_very_pixels_it_was_made_of(kind: str) -> None:
    build, pixels = LOSSLESS[kind]
    picture = images.decode(build(), "part")
    assert picture.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(picture.pixels, pixels)


def test_twelve_packed_bits_become_sixteen_with_black_and_white_where_they_were() -> None:
    pixels = images.decode(bad_images.twelve_bits(), "camera.tif").pixels
    values = bad_images.twelve_bit_values()
    assert (pixels[0, 0], pixels[0, 1]) == (0, 65535)
    np.testing.assert_array_equal(pixels >> 4, values)
    np.testing.assert_allclose(pixels / 65535, values / 4095, atol=1e-4)


def test_twelve_bits_stored_in_sixteen_stay_as_they_are() -> None:
    values = bad_images.twelve_bit_values()
    picture = images.decode(tiff(values), "camera.tif")
    np.testing.assert_array_equal(picture.pixels, values)
    assert picture.bits == 16


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_a_lossy_file_has_the_colours_that_another_decoder_sees(format: str) -> None:
    data = pillow(colours(), format, quality=90)
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    ours = images.decode(data, "part").pixels
    assert np.abs(ours - theirs).max() <= 2


def test_palette_colours_are_those_of_the_palette() -> None:
    palette = struct.pack("9B", 255, 0, 0, 0, 255, 0, 10, 20, 30)
    data = bad_images.png(3, 1, 8, 3, bytes([0, 0, 1, 2]), bad_images.chunk(b"PLTE", palette))
    assert images.decode(data, "part.png").pixels.tolist() == [[[255, 0, 0], [0, 255, 0], [10, 20, 30]]]


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_is_neither_inverted_nor_mixed_up(format: str) -> None:
    patches = np.zeros((16, 64, 3), np.uint8)
    for place, colour in enumerate([(230, 30, 30), (30, 200, 40), (30, 40, 220), (240, 240, 240)]):
        patches[:, 16 * place : 16 * place + 16] = colour
    options: dict[str, Any] = {"quality": 100, "subsampling": 0} if format == "JPEG" else {}
    pixels = images.decode(pillow(patches, format, "CMYK", **options), "print").pixels
    assert np.abs(pixels.astype(int) - patches).max() <= 6


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """How a camera stores an upright scene under that orientation (EXIF 2.32, the table of tag 274)."""
    undo = {1: lambda p: p, 2: np.fliplr, 3: lambda p: np.rot90(p, 2), 4: np.flipud, 5: lambda p: p.swapaxes(0, 1)}
    undo |= {6: lambda p: np.rot90(p, 1), 7: lambda p: np.rot90(p, 2).swapaxes(0, 1), 8: lambda p: np.rot90(p, -1)}
    return np.ascontiguousarray(undo[orientation](upright))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "webp", "tiff", "tiff-deflate", "tiff16", "tiff16-planes", "tiff16-grey"])
def test_a_turned_picture_comes_out_upright(kind: str, orientation: int) -> None:
    upright = deep() if "16" in kind else colours()
    upright = upright[..., 0] if "grey" in kind else upright
    pixels = stored(upright, orientation)
    tag = [(274, "H", 1, orientation, True)]
    if kind == "png":
        data = pillow(pixels, "PNG", exif=bad_images.exif(orientation))
    elif kind == "webp":
        data = pillow(pixels, "WEBP", lossless=True, exif=bad_images.exif(orientation))
    elif kind == "tiff16-planes":
        planes = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
        data = tiff(planes, photometric="rgb", planarconfig="separate", extratags=tag)
    else:
        compression = "zlib" if kind == "tiff-deflate" else None
        photometric = "minisblack" if "grey" in kind else "rgb"
        data = tiff(pixels, photometric=photometric, compression=compression, extratags=tag)
    np.testing.assert_array_equal(images.decode(data, "part").pixels, upright)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", [None, "L", "CMYK"])
def test_a_turned_jpeg_comes_out_as_pillow_turns_it(mode: str | None, orientation: int) -> None:
    data = pillow(colours(), "JPEG", mode, quality=95, exif=bad_images.exif(orientation))
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    theirs = np.asarray(picture.convert("RGB") if mode == "CMYK" else picture).astype(int)
    ours = images.decode(data, "phone.jpg").pixels
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 2


def test_metadata_does_not_travel(tmp_path: Path) -> None:
    block = bad_images.exif(6)
    block[0x010F] = "SecretCamera"
    picture = images.decode(pillow(colours(), "JPEG", exif=block, comment=b"secret note"), "part.jpg")
    images.write_png(tmp_path / "out.png", picture.pixels)
    with (tmp_path / "out.png").open("rb") as file:
        assert {chunk.kind for chunk in png.chunks(file, "out.png")} == {b"IHDR", b"IDAT", b"IEND"}


def test_a_picture_knows_which_file_it_was(tmp_path: Path) -> None:
    data = pillow(colours(), "JPEG")
    path = tmp_path / "nut.png"
    path.write_bytes(data)
    picture = images.read(path)
    assert (picture.name, picture.format) == ("nut.png", "jpeg")
    assert picture.sha256 == hashlib.sha256(data).hexdigest()
    assert images.read(path, name="a\nb.png").name == "a\ufffdb.png"


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"no file gone\.png"):
        images.read(tmp_path / "gone.png")


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="folder or a device"):
        images.read(tmp_path)
    with pytest.raises(BadInput, match="folder or a device"):
        images.read(Path("/dev/zero"))


def test_the_limit_on_pixels_is_the_callers() -> None:
    data = pillow(colours(), "PNG")
    assert images.decode(data, "part.png", max_pixels=WIDTH * 61).width == WIDTH
    with pytest.raises(BadInput, match="97 x 61"):
        images.decode(data, "part.png", max_pixels=WIDTH * 61 - 1)


def test_a_file_with_more_metadata_than_picture_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.write(pillow(colours(), "PNG"))
        file.truncate(3_000_000_000)  # a hole: no room is taken
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadInput, match=r"huge\.png is 3\.0 GB"):
        images.read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


@pytest.mark.parametrize("mask", MASKS, ids=ids)
def test_a_mask_is_read_or_refused_in_a_sentence(mask: Mask, tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(mask.build())
    if mask.words is None:
        found = images.read_mask(path, (bad_images.HEIGHT, WIDTH))
        assert found.dtype == np.bool_
        assert found.sum() == mask.area
        return
    with pytest.raises(BadInput, match=r"mask\.png") as refusal:
        images.read_mask(path, (bad_images.HEIGHT, WIDTH))
    for words in mask.words:
        assert words in str(refusal.value)


def test_a_soft_mask_is_cut_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "soft.png"
    path.write_bytes(pillow(bad_images.soft(), "PNG"))
    np.testing.assert_array_equal(images.read_mask(path), bad_images.soft() > 127)


def test_a_missing_mask_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"no file stroke\.png"):
        images.read_mask(tmp_path / "x.png", name="stroke.png")


SHAPES = {"rgb": colours(), "grey": grey(), "rgb16": deep(), "grey16": deep()[..., 1], "mask": grey() > 120}


@pytest.mark.parametrize("kind", SHAPES)
def test_what_is_written_is_read_back_by_us_and_by_others(kind: str, tmp_path: Path) -> None:
    pixels = SHAPES[kind]
    path = tmp_path / "out.png"
    sha256 = images.write_png(path, pixels, request={"seed": 1})
    expected = pixels.astype(np.uint8) * 255 if kind == "mask" else pixels
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    np.testing.assert_array_equal(images.read(path).pixels, expected)
    if kind != "rgb16":  # Pillow has no RGB of 16 bits
        np.testing.assert_array_equal(np.asarray(Image.open(path)), expected)
    if kind == "mask":
        np.testing.assert_array_equal(images.read_mask(path), pixels)


@pytest.mark.parametrize("kind", SHAPES)
def test_equal_pixels_and_request_give_equal_bytes(kind: str) -> None:
    pixels = SHAPES[kind]
    first = images.encode_png(pixels, request={"seed": 7, "look": {"b": 0.5, "a": 1}})
    again = images.encode_png(np.asfortranarray(pixels), request={"look": {"a": 1, "b": 0.5}, "seed": 7})
    assert first == again
    assert first != images.encode_png(pixels, request={"seed": 8, "look": {"b": 0.5, "a": 1}})


def test_bytes_do_not_depend_on_the_process_or_its_threads() -> None:
    code = """
import sys, cv2
cv2.setNumThreads(1)
from pipelines.core import images
from tests.bad_images import colours
sys.stdout.buffer.write(images.encode_png(colours(), request={"seed": 1}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout == images.encode_png(colours(), request={"seed": 1})


@pytest.mark.parametrize("pixels", [np.zeros((3, 3)), np.zeros((3, 3, 4), np.uint8), np.zeros(3, np.uint8)], ids=str)
def test_other_arrays_are_no_picture(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="HxW"):
        images.encode_png(pixels)


REQUEST = {"task": "inpaint", "image": {"name": "部品 №3.png", "sha256": "ab"}, "look": {"depth": 0.25}, "mask": None}


def test_the_request_comes_back_from_bytes_and_from_a_file(tmp_path: Path) -> None:
    data = images.encode_png(colours(), request=REQUEST)
    path = tmp_path / "out.png"
    path.write_bytes(data)
    assert images.read_request(data) == REQUEST
    assert images.read_request(path) == REQUEST


def test_other_readers_find_the_request_too() -> None:
    picture = Image.open(io.BytesIO(images.encode_png(colours(), request=REQUEST)))
    picture.load()
    text = json.dumps(REQUEST, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert picture.info == {"flawsmith": text}


def test_without_a_request_there_is_none(tmp_path: Path) -> None:
    assert images.read_request(images.encode_png(colours())) is None
    assert images.read_request(pillow(colours(), "JPEG")) is None
    assert images.read_request(b"") is None
    with pytest.raises(Missing, match="gone"):
        images.read_request(tmp_path / "gone.png")


def carrying(body: bytes) -> bytes:
    return bad_images.png(1, 1, 8, 0, b"\0\0", bad_images.chunk(b"iTXt", body))


def test_a_compressed_request_is_read(tmp_path: Path) -> None:
    data = carrying(b"flawsmith\0\1\0en\0\0" + zlib.compress(b'{"seed":3}'))
    assert images.read_request(data) == {"seed": 3}


TEXTS: dict[str, tuple[bytes, str]] = {
    "too-long": (b"flawsmith\0\0\0\0\0" + b" " * 1_000_001, "1000000 bytes"),
    "bomb": (b"flawsmith\0\1\0\0\0" + zlib.compress(bytes(300_000_000), 9), "1000000 bytes"),
    "no-json": (b"flawsmith\0\0\0\0\0{seed}", "no JSON"),
    "a-list": (b"flawsmith\0\0\0\0\0[1]", "where a request should be"),
    "deep": (b"flawsmith\0\0\0\0\0" + b"[" * 200_000, "no JSON"),
    "no-utf8": (b"flawsmith\0\0\0\0\0\xff\xfe", "damaged text"),
    "odd-method": (b"flawsmith\0\1\7\0\0", "as PNG asks"),
    "no-parts": (b"flawsmith\0\0\0", "as PNG asks"),
    "no-zlib": (b"flawsmith\0\1\0\0\0abc", "damaged text"),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_a_hostile_text_is_refused_before_it_costs_anything(kind: str) -> None:
    body, words = TEXTS[kind]
    data = carrying(body)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    with pytest.raises(BadInput, match=r"part\.png") as refusal:
        images.read_request(data, name="part.png")
    assert words in str(refusal.value)
    assert time.monotonic() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"light": float("nan")}, "does not fit"),
        ({"image": Path("x")}, "does not fit"),
        ({"image": "\udcff"}, "does not fit"),
        ({"look": "x" * 1_000_000}, "1000009 bytes|1000000"),
    ],
)
def test_a_request_that_could_not_be_read_back_is_not_written(request_: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        images.encode_png(colours(), request=request_)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_value_comes_back_from_float(dtype: type) -> None:
    values: np.ndarray = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(-1, 256)
    grey_float = images.to_float(values)
    assert grey_float.dtype == np.float32
    assert (grey_float.min(), grey_float.max(), grey_float.shape) == (0, 1, (*values.shape, 3))
    np.testing.assert_array_equal(images.from_float(grey_float, like=values), values)
    colour = np.dstack([values, values[::-1], np.roll(values, 77)])
    back = images.from_float(images.to_float(colour), like=colour)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, colour)


def test_values_beyond_the_range_are_clipped_not_wrapped() -> None:
    values = np.array([[[-0.5, 0.5, 1.5]]], np.float32)
    assert images.from_float(values, like=np.zeros((1, 1, 3), np.uint8)).tolist() == [[[0, 128, 255]]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_makes_no_picture(value: float) -> None:
    values = np.zeros((2, 2, 3), np.float32)
    values[1, 1, 1] = value
    with pytest.raises(ValueError, match="1 values of the picture are not finite"):
        images.from_float(values, like=np.zeros((2, 2, 3), np.uint8))


@pytest.mark.parametrize(
    ("kind", "side", "size"), [("rgb", 32, (32, 20)), ("rgb", 500, (97, 61)), ("mask", 10, (10, 6))]
)
def test_a_thumbnail_fits_and_is_never_larger_than_its_picture(kind: str, side: int, size: tuple[int, int]) -> None:
    thumbnail = Image.open(io.BytesIO(images.thumbnail(SHAPES[kind], side)))
    assert (thumbnail.format, thumbnail.size) == ("JPEG", size)


def test_a_thumbnail_has_the_pictures_colours_at_8_and_at_16_bits() -> None:
    field = np.zeros((400, 400, 3), np.uint8)
    field[:] = (200, 90, 30)
    for pixels in (field, field.astype(np.uint16) * 257):
        small = np.asarray(Image.open(io.BytesIO(images.thumbnail(pixels, 64)))).astype(int)
        assert np.abs(small - (200, 90, 30)).max() <= 3


def test_a_thumbnail_of_a_line_still_has_a_pixel_across() -> None:
    assert Image.open(io.BytesIO(images.thumbnail(np.zeros((8000, 1), np.uint8), 100))).size == (1, 100)


def test_a_tiff_in_is_a_png_out_with_all_its_bits(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "in.tif", deep(), photometric="rgb")
    images.write_png(tmp_path / "out.png", images.read(tmp_path / "in.tif").pixels)
    back = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    assert back is not None
    np.testing.assert_array_equal(back[..., ::-1], deep())


def test_real_photographs_are_read_as_pillow_reads_them(test_data: Path) -> None:
    found = [next(test_data.glob(pattern)) for pattern in ("mvtec_ad/*/train/good/*.png", "magnetic_tile/**/*.jpg")]
    for path in found:
        theirs = Image.open(path)
        np.testing.assert_allclose(images.read(path).pixels, np.asarray(theirs), atol=2)
