"""Files people really upload, built in code: broken, hostile, odd, and some that look it but are fine.

Each case is a name, bytes, and what must come of it. Tests of every door (files, HTTP, command line) walk this table.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image

WIDTH, HEIGHT = 97, 61


@dataclass(frozen=True)
class Case:
    """A file. `words` stand in the refusal, besides the file's name; None when the file is to be read."""

    id: str
    build: Callable[[], bytes]
    words: tuple[str, ...] | None
    shape: tuple[int, ...] = (HEIGHT, WIDTH, 3)
    bits: int = 8
    file: str = "part.png"


@cache
def colours() -> np.ndarray:
    """uint8 HEIGHTxWIDTHx3, smooth with grain, each channel another picture."""
    rng = np.random.default_rng(5)
    field = cv2.GaussianBlur(rng.normal(size=(HEIGHT, WIDTH, 3)), (0, 0), 6)
    return np.clip(128 + 900 * field + rng.normal(0, 3, field.shape), 0, 255).astype(np.uint8)


def deep() -> np.ndarray:
    """uint16 HEIGHTxWIDTHx3 that uses all its bits."""
    return colours().astype(np.uint16) * 257 ^ np.uint16(0x00A5)


def grey() -> np.ndarray:
    return np.ascontiguousarray(colours()[..., 1])


def pillow(pixels: np.ndarray, format: str, mode: str | None = None, **options: Any) -> bytes:
    """Encoded by Pillow, after conversion to `mode`."""
    picture = Image.fromarray(pixels)
    buffer = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(buffer, format, **options)
    return buffer.getvalue()


def opencv(pixels: np.ndarray, ending: str, *options: int) -> bytes:
    return cv2.imencode(ending, pixels[..., ::-1] if pixels.ndim == 3 else pixels, options)[1].tobytes()


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[274] = orientation
    return block


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *between: bytes) -> bytes:
    """A PNG written by hand: header, `between`, rows (each with its filter byte), end."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(between) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def wrong_check_sum(kind: bytes) -> bytes:
    data = bytearray(pillow(colours(), "PNG"))
    start = data.index(kind)
    length = int.from_bytes(data[start - 4 : start])
    data[start + 4 + length] ^= 0x40
    return bytes(data)


def jpeg_of_size(width: int, height: int) -> bytes:
    """A JPEG whose header names another size than it has."""
    data = bytearray(pillow(colours(), "JPEG"))
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def bmp_of_size(width: int, height: int) -> bytes:
    data = bytearray(pillow(colours(), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def webp_of_size(width: int, height: int) -> bytes:
    body = b"\0\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    inner = pillow(colours(), "WEBP")[12:]
    return b"RIFF" + struct.pack("<I", 22 + len(inner)) + b"WEBPVP8X" + struct.pack("<I", 10) + body + inner


def tiff_by_hand(width: int, height: int, bits: int, pixels: bytes, **tags: int) -> bytes:
    """A little-endian grey TIFF of one strip; `tags` as `t322=16` come on top."""
    entries = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: len(pixels)}
    entries |= {int(tag[1:]): value for tag, value in tags.items()}
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + struct.pack("<H", len(entries)) + table + b"\0" * 4


def twelve_bits() -> bytes:
    """A camera's TIFF: 12 bits a pixel, packed without gaps. The values are `twelve_bit_values`."""
    rows = []
    for row in twelve_bit_values():
        text = "".join(f"{value:012b}" for value in row)
        text += "0" * (-len(text) % 8)
        rows.append(int(text, 2).to_bytes(len(text) // 8))
    return tiff_by_hand(WIDTH, HEIGHT, 12, b"".join(rows))


def twelve_bit_values() -> np.ndarray:
    values = deep()[..., 0] >> 4
    values[0, :2] = (0, 4095)
    return values


def many_scans() -> bytes:
    """A progressive JPEG whose last scan comes 300 times."""
    data = pillow(colours(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 300 + b"\xff\xd9"


def see_through(pixels: np.ndarray) -> np.ndarray:
    """With an alpha channel that is transparent in one corner."""
    alpha = np.full((*pixels.shape[:2], 1), np.iinfo(pixels.dtype).max, pixels.dtype)
    alpha[:5, :5] = 0
    return np.concatenate([np.atleast_3d(pixels), alpha], axis=2)


def opaque(pixels: np.ndarray) -> np.ndarray:
    alpha = np.full((*pixels.shape[:2], 1), np.iinfo(pixels.dtype).max, pixels.dtype)
    return np.concatenate([np.atleast_3d(pixels), alpha], axis=2)


def moving(format: str) -> bytes:
    first, *others = [Image.fromarray(np.roll(colours(), shift, axis=1)) for shift in (0, 5, 9)]
    buffer = io.BytesIO()
    first.save(buffer, format, save_all=True, append_images=others, duration=50)
    return buffer.getvalue()


def shortened(build: Callable[[], bytes], share: int, less: int = 0) -> bytes:
    """The first `share` percent of a file, `less` so many bytes."""
    data = build()
    return data[: len(data) * share // 100 - less]


def torn(build: Callable[[], bytes]) -> bytes:
    """What a broken transfer leaves of a file whose room was reserved: its first half, then zeros."""
    data = build()
    return data[: len(data) // 2] + bytes(len(data) // 2)


def cut_short() -> Iterable[Case]:
    """Every format, the end missing from 10, 50 and 90 % on, and the last byte; and the end full of zeros."""
    whole: dict[str, Callable[[], bytes]] = {
        "png": lambda: pillow(colours(), "PNG"),
        "png16": lambda: opencv(deep(), ".png"),
        "png-palette": lambda: pillow(colours(), "PNG", "P"),
        "jpeg": lambda: pillow(colours(), "JPEG"),
        "jpeg-progressive": lambda: pillow(colours(), "JPEG", progressive=True),
        "jpeg-cmyk": lambda: pillow(colours(), "JPEG", "CMYK"),
        "bmp": lambda: pillow(colours(), "BMP"),
        "webp": lambda: pillow(colours(), "WEBP"),
        "webp-lossless": lambda: pillow(colours(), "WEBP", lossless=True),
        "tiff": lambda: pillow(colours(), "TIFF"),
        "tiff-lzw": lambda: pillow(colours(), "TIFF", compression="tiff_lzw"),
        "tiff-deflate": lambda: pillow(colours(), "TIFF", compression="tiff_adobe_deflate"),
        "tiff16": lambda: tiff(deep(), photometric="rgb"),
        "tiff16-lzw": lambda: opencv(deep(), ".tif", cv2.IMWRITE_TIFF_COMPRESSION, 5),
        "tiff16-planes": lambda: tiff(deep().transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
        "tiff16-tiles": lambda: tiff(deep(), photometric="rgb", tile=(16, 16)),
    }
    for kind, build in whole.items():
        for share in (10, 50, 90):
            yield Case(f"cut-{kind}-{share}", partial(shortened, build, share), ())
        yield Case(f"cut-{kind}-end", partial(shortened, build, 100, 2), ())  # one byte may be a BMP's padding
        if kind in ("png", "png16", "jpeg", "jpeg-progressive", "webp-lossless", "tiff-deflate", "tiff16-lzw"):
            yield Case(f"zeros-{kind}", partial(torn, build), ())


def bombs() -> Iterable[Case]:
    """A few bytes that claim to be enormous."""
    for side in (9_000, 13_000, 60_000):
        words = (f"{side} x {side}", "40 megapixels")
        yield Case(f"bomb-png-{side}", partial(png, side, side, 8, 2, bytes(100)), words)
        yield Case(f"bomb-png16-{side}", partial(png, side, side, 16, 6, bytes(100)), words)
        yield Case(f"bomb-jpeg-{side}", partial(jpeg_of_size, side, side), words)
        yield Case(f"bomb-bmp-{side}", partial(bmp_of_size, side, side), words)
        yield Case(f"bomb-tiff-{side}", partial(tiff_by_hand, side, side, 8, bytes(100)), words)
        if side < 16_384:
            yield Case(f"bomb-webp-{side}", partial(webp_of_size, side, side), ())  # its inner size tells another story
    yield Case("bomb-bmp-upside-down", lambda: bmp_of_size(9_000, -9_000), ("9000 x 9000",))
    yield Case("bomb-row", lambda: png(2**31 - 1, 1, 8, 0, bytes(100)), ("megapixels",))
    yield Case(
        "bomb-tiles", lambda: tiff_by_hand(8, 8, 8, bytes(64), t322=65536, t323=65536, t324=8, t325=64), ("tiles",)
    )
    yield Case("bomb-scans", many_scans, ("scans",))
    yield Case("bomb-no-pixels", lambda: png(0, 5, 8, 0, bytes(100)), ("0 x 5",))


def not_pictures() -> Iterable[Case]:
    others: dict[str, tuple[bytes, str]] = {
        "nothing": (b"", "0 bytes"),
        "text": (b"a picture of a part\n" * 20, "no picture"),
        "noise": (np.random.default_rng(1).bytes(4_000), "no picture"),
        "html": (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
        "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "PDF"),
        "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (r) file\n", "PostScript"),
        "svg": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>', "SVG"),
        "gif": (pillow(colours(), "GIF"), "GIF"),
        "elf": (b"\x7fELF\x02\x01\x01" + bytes(60), "program"),
        "exe": (b"MZ\x90\0" + bytes(60), "program"),
        "zip": (b"PK\x03\x04\x14\0\0\0\0\0" + bytes(60), "ZIP"),
        "photoshop": (b"8BPS\0\1" + bytes(60), "Photoshop"),
        "heic": (b"\0\0\0\x18ftypheic" + bytes(60), "HEIC"),
        "numpy": (b"\x93NUMPY\1\0" + bytes(60), "NumPy"),
        "float-map": (b"PF\n3 3\n-1.0\n" + np.full(27, np.nan, np.float32).tobytes(), "no picture"),
        "png-start": (b"\x89PNG\r\n\x1a\n", "cut short"),
        "jpeg-start": (b"\xff\xd8\xff", "cut short"),
        "jpeg-end": (b"\xff\xd8\xff\xd9", "cut short"),
        "jpeg-starts-only": (b"\xff\xd8" * 500, "cut short"),
        "bmp-start": (b"BM" + bytes(12), "cut short"),
        "tiff-start": (b"II*\0\x08\0\0\0", "cut short"),
        "webp-start": (b"RIFF\x04\0\0\0WEBP", "cut short"),
    }
    for kind, (data, words) in others.items():
        yield Case(kind, partial(bytes, data), (words,))


def damaged() -> Iterable[Case]:
    yield Case("check-sum-IHDR", lambda: wrong_check_sum(b"IHDR"), ("check sum", "IHDR"))
    yield Case("check-sum-IDAT", lambda: wrong_check_sum(b"IDAT"), ("check sum", "IDAT"))
    yield Case("check-sum-IEND", lambda: wrong_check_sum(b"IEND"), ("check sum", "IEND"))
    yield Case("png-short-rows", lambda: png(30, 40, 8, 0, bytes(31 * 20)), ("damaged",))
    yield Case("png-odd-filter", lambda: png(3, 2, 8, 0, bytes([9, 1, 2, 3, 9, 1, 2, 3])), ("damaged",))
    yield Case("png-odd-colour", lambda: png(3, 2, 8, 5, bytes(8)), ("colour type 5",))
    yield Case("png-no-header", lambda: b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", b"") + chunk(b"IEND", b""), ("size",))
    yield Case("bmp-odd-header", lambda: b"BM" + bytes(12) + struct.pack("<I", 7) + bytes(90), ("BMP header",))
    yield Case("tiff-no-size", lambda: b"II*\0\x08\0\0\0" + bytes(60), ("no size",))
    yield Case("tiff-circle", lambda: b"II*\0\x08\0\0\0\0\0\x08\0\0\0" + bytes(60), ("several pages",))
    yield Case("tiff-strip-far-away", lambda: tiff_by_hand(8, 8, 8, bytes(64), t273=10**9), ("cut short",))
    yield Case("webp-two-sizes", lambda: webp_of_size(50, 50), ("two sizes",))


def unfit() -> Iterable[Case]:
    """Whole files that hold something else than one opaque picture of integers."""
    yield Case("rgba", lambda: pillow(see_through(colours()), "PNG"), ("transparent", "background"))
    yield Case("rgba16", lambda: cv2.imencode(".png", see_through(deep()))[1].tobytes(), ("transparent",))
    yield Case("la", lambda: pillow(see_through(colours()), "PNG", "LA"), ("transparent",))
    yield Case(
        "palette-transparent",
        lambda: png(2, 1, 8, 3, bytes([0, 0, 1]), chunk(b"PLTE", bytes(6)), chunk(b"tRNS", b"\xff\0")),
        ("transparent in 50 %",),
    )
    yield Case("grey-key", lambda: png(3, 1, 8, 0, bytes(4), chunk(b"tRNS", b"\0\0")), ("transparent",))
    yield Case("rgb-key", lambda: png(1, 1, 8, 2, bytes(4), chunk(b"tRNS", bytes(6))), ("transparent",))
    yield Case("webp-rgba", lambda: pillow(see_through(colours()), "WEBP"), ("transparent",))
    yield Case("webp-lossless-rgba", lambda: pillow(see_through(colours()), "WEBP", lossless=True), ("transparent",))
    yield Case("tiff-rgba", lambda: pillow(see_through(colours()), "TIFF"), ("transparent",))
    yield Case(
        "tiff16-rgba",
        lambda: tiff(see_through(deep()), photometric="rgb", extrasamples=["unassalpha"]),
        ("transparent",),
    )
    yield Case("apng", lambda: moving("PNG"), ("animation", "frame"))
    yield Case("webp-moving", lambda: moving("WEBP"), ("animation", "frame"))
    yield Case("tiff-pages", lambda: moving("TIFF"), ("several pages", "save the page"))
    yield Case("tiff-imagej", lambda: tiff(np.stack([grey()] * 3), imagej=True), ("several pages",))
    yield Case("tiff-float", lambda: tiff(colours().astype(np.float32), photometric="rgb"), ("floating point", "32"))
    yield Case("tiff-nan", lambda: tiff(np.full((9, 9), np.nan, np.float32)), ("floating point",))
    yield Case("tiff-half", lambda: tiff(np.full((9, 9), 0.5, np.float16)), ("floating point", "16"))
    yield Case("mode-F", lambda: pillow(grey().astype(np.float32), "TIFF"), ("floating point",))
    yield Case("tiff-signed", lambda: tiff(grey().astype(np.int16)), ("signed",))
    yield Case("tiff32", lambda: tiff(grey().astype(np.uint32)), ("32 bits",))
    yield Case("tiff-two-channels", lambda: tiff_by_hand(8, 8, 8, bytes(128), t262=2, t277=2), ("2 channels",))
    yield Case("tiff-five-channels", lambda: tiff(np.zeros((9, 9, 5), np.uint8), photometric="rgb"), ("5 channels",))
    yield Case("tiff-lab", lambda: tiff(colours(), photometric="cielab"), ("colour kind 8",))
    yield Case("tiff10", lambda: tiff_by_hand(8, 8, 10, bytes(80)), ("10 bits",))
    yield Case(
        "tiff16-planes-deflate",
        lambda: tiff(deep().transpose(2, 0, 1), photometric="rgb", planarconfig="separate", compression="zlib"),
        ("planes", "uncompressed"),
    )


def fine() -> Iterable[Case]:
    """Odd, and to be read all the same."""
    flat = (HEIGHT, WIDTH)
    yield Case("1x1", lambda: pillow(colours()[:1, :1], "PNG"), None, (1, 1, 3))
    yield Case("1x8000", lambda: pillow(np.zeros((8000, 1), np.uint8), "PNG"), None, (8000, 1))
    yield Case("8000x1", lambda: pillow(np.zeros((1, 8000), np.uint8), "PNG"), None, (1, 8000))
    yield Case("grey", lambda: pillow(grey(), "PNG"), None, flat)
    yield Case("grey-jpeg", lambda: pillow(grey(), "JPEG"), None, flat)
    yield Case("grey-bmp", lambda: pillow(grey(), "BMP"), None, flat)
    yield Case("grey-tiff", lambda: pillow(grey(), "TIFF"), None, flat)
    yield Case("la-opaque", lambda: pillow(colours(), "PNG", "LA"), None, flat)
    yield Case("rgba-opaque", lambda: pillow(opaque(colours()), "PNG"), None)
    yield Case("rgba16-opaque", lambda: cv2.imencode(".png", opaque(deep()))[1].tobytes(), None, bits=16)
    yield Case("webp-rgba-opaque", lambda: pillow(opaque(colours()), "WEBP", lossless=True, exact=True), None)
    yield Case("tiff-rgba-opaque", lambda: pillow(opaque(colours()), "TIFF"), None)
    yield Case("bmp-rgba", lambda: pillow(opaque(colours()), "BMP"), None)
    yield Case("palette", lambda: pillow(colours(), "PNG", "P"), None)
    yield Case("palette-bmp", lambda: pillow(colours(), "BMP", "P"), None)
    yield Case("palette-tiff", lambda: pillow(colours(), "TIFF", "P"), None)
    yield Case("one-bit", lambda: pillow(grey(), "PNG", "1"), None, flat)
    yield Case("one-bit-tiff", lambda: pillow(grey(), "TIFF", "1", compression="group4"), None, flat)
    yield Case("cmyk", lambda: pillow(colours(), "JPEG", "CMYK"), None)
    yield Case("cmyk-tiff", lambda: pillow(colours(), "TIFF", "CMYK"), None)
    yield Case("I;16", lambda: pillow(deep()[..., 0], "PNG"), None, flat, 16)
    yield Case("tiff-I;16", lambda: pillow(deep()[..., 0], "TIFF"), None, flat, 16)
    yield Case("tiff12", twelve_bits, None, flat, 16)
    yield Case("tiff-thumbnail", with_thumbnail, None)
    yield Case("tiff-jpeg", lambda: pillow(colours(), "TIFF", compression="jpeg"), None)
    yield Case("png-trailing", lambda: pillow(colours(), "PNG") + b"\0" * 900, None)
    yield Case("jpeg-trailing", lambda: pillow(colours(), "JPEG") + b"\xff\xda\0\0" * 900, None)
    yield Case("jpeg-named-png", lambda: pillow(colours(), "JPEG"), None)
    yield Case("broken-exif", lambda: pillow(colours(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), None)
    yield Case("interlaced", interlaced, None, flat)


def with_thumbnail() -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(colours(), photometric="rgb")
        file.write(colours()[::4, ::4], photometric="rgb", subfiletype=1)
    return buffer.getvalue()


def interlaced() -> bytes:
    """Adam7 by hand: seven small pictures, one behind the other."""
    pixels = grey()
    rows = b""
    for top, left, down, right in (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ):
        rows += b"".join(b"\0" + row.tobytes() for row in pixels[top::down, left::right])
    data = bytearray(png(WIDTH, HEIGHT, 8, 0, rows))
    data[28] = 1
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


CASES: tuple[Case, ...] = (*not_pictures(), *cut_short(), *bombs(), *damaged(), *unfit(), *fine())
REFUSED = tuple(case for case in CASES if case.words is not None)
READ = tuple(case for case in CASES if case.words is None)

# A name, and what a person is shown of it.
ODD_NAMES: dict[str, str] = {
    "part.png": "part.png",
    "部品 №3.png": "部品 №3.png",
    "Werkstück – kühl.png": "Werkstück – kühl.png",
    "../../etc/passwd": "passwd",
    "C:\\parts\\nut.png": "nut.png",
    "a\nb.png": "a\ufffdb.png",
    "a\r\nX-Evil: 1.png": "a\ufffd\ufffdX-Evil: 1.png",
    "nul\0byte.png": "nul\ufffdbyte.png",
    "photo\u202egnp.exe": "photo\ufffdgnp.exe",
    "line\u2028break.png": "line\ufffdbreak.png",
    "lone\udcff.png": "lone\ufffd.png",
    "CON": "CON",
    "-rf.png": "-rf.png",
    ".hidden": ".hidden",
    "=1+1.png": "=1+1.png",
    "a" * 251 + ".png": "a" * 251 + ".png",
    "b" * 300 + ".png": "b" * 248 + "….png",
    "ü" * 200: "ü" * 126 + "…",
}
NO_NAMES = ("", " ", "/", "..", "a/..", "\\", ".")


@dataclass(frozen=True)
class Mask:
    """A mask for a picture of HEIGHT x WIDTH; `area` is how many pixels it marks, `words` stand in its refusal."""

    id: str
    build: Callable[[], bytes]
    words: tuple[str, ...] | None
    area: int = 0


def painted(value: int = 255, dtype: type = np.uint8) -> np.ndarray:
    mask: np.ndarray = np.zeros((HEIGHT, WIDTH), dtype)
    mask[10:20, 30:50] = value
    return mask


def soft() -> np.ndarray:
    """One ramp from 0 to 255; half of it is beyond the middle."""
    return np.broadcast_to(np.linspace(0, 255, 256, dtype=np.uint8), (4, 256)).copy()


def coloured() -> np.ndarray:
    return np.dstack([painted(), np.zeros_like(painted()), np.zeros_like(painted())])


MASKS: tuple[Mask, ...] = (
    Mask("plain", lambda: pillow(painted(), "PNG"), None, 200),
    Mask("all-255", lambda: pillow(np.full((HEIGHT, WIDTH), 255, np.uint8), "PNG"), None, HEIGHT * WIDTH),
    Mask("rgb", lambda: pillow(np.dstack([painted()] * 3), "PNG"), None, 200),
    Mask("palette", lambda: pillow(painted(), "PNG", "P"), None, 200),
    Mask("one-bit", lambda: pillow(painted(), "PNG", "1"), None, 200),
    Mask("16-bit", lambda: pillow(painted(65535, np.uint16), "PNG"), None, 200),
    Mask("just-beyond", lambda: pillow(painted(128), "PNG"), None, 200),
    Mask("jpeg", lambda: pillow(painted(), "JPEG", quality=100), None, 200),
    Mask("all-0", lambda: pillow(painted(0), "PNG"), ("empty", "0 of 255", "white")),
    Mask("zero-and-one", lambda: pillow(painted(1), "PNG"), ("empty", "1 of 255", "white")),
    Mask("just-below", lambda: pillow(painted(127), "PNG"), ("empty", "127 of 255")),
    Mask("coloured", lambda: pillow(coloured(), "PNG"), ("coloured", "black")),
    Mask("wrong-size", lambda: pillow(painted().T.copy(), "PNG"), ("61 x 97", "97 x 61")),
    Mask("transparent", lambda: pillow(see_through(painted()), "PNG", None), ("transparent",)),
    Mask("broken", lambda: pillow(painted(), "PNG")[:60], ("cut short",)),
)
