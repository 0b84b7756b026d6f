"""From a checked header and a file's bytes to pixels: whole or refused. Knows nothing of folders nor of requests.

OpenCV decodes what it decodes right and faster (PNG, JPEG, WEBP, interleaved 16-bit TIFF), Pillow the rest. Neither
hands out half a picture: OpenCV 5 answers None, Pillow raises as long as nobody sets LOAD_TRUNCATED_IMAGES.
Colour profiles go the way of all metadata: values are taken as they are stored.
"""

import io
from collections.abc import Callable

import cv2
import numpy as np
from PIL import BmpImagePlugin, Image, ImageFile, JpegImagePlugin, TiffImagePlugin

from pipelines.core import png
from pipelines.core.errors import BadInput
from pipelines.core.headers import Format, Header

# OpenCV turns pictures by EXIF in some formats and flags but not in others; here it is done once, by `_turned`.
AS_STORED = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
EVERYTHING = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION


def decode(data: bytes, header: Header, name: str, *, over_black: bool = False) -> np.ndarray:
    """HxW or HxWx3 RGB, uint8 or uint16, upright, without alpha. Raises BadInput for damage and for transparency.

    `over_black`: a PNG of colours that is transparent is laid on black instead.
    """
    laid = over_black and header.format == "png" and header.alpha and header.colour != "grey"
    try:
        pixels = _laid(data, header, name) if laid else DECODERS[header.format](data, header, name)
    except (cv2.error, OSError, ValueError, SyntaxError) as error:  # Pillow says SyntaxError for a broken file
        if isinstance(error, BadInput):
            raise
        raise _damaged(name, header, data) from error
    if pixels.shape[:2] != (header.height, header.width):
        raise _damaged(name, header, data)
    return np.ascontiguousarray(pixels)


def _png(data: bytes, header: Header, name: str) -> np.ndarray:
    png.check(data, name)
    if header.alpha and header.colour == "grey":
        _no_grey_key(data, header, name)
    return _turned(_by_opencv(data, header, name), header.orientation)


def _laid(data: bytes, header: Header, name: str) -> np.ndarray:
    """A transparent PNG on black: each colour as much as it covers."""
    png.check(data, name)
    pixels = _whole(cv2.imdecode(np.frombuffer(data, np.uint8), EVERYTHING), name, header, data)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        most = np.iinfo(pixels.dtype).max
        pixels = (pixels[..., :3] * (pixels[..., 3:] / np.float32(most)) + 0.5).astype(pixels.dtype)
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return _turned(pixels, header.orientation)


def _jpeg(data: bytes, header: Header, name: str) -> np.ndarray:
    if header.colour == "cmyk":
        return _turned(_by_pillow(JpegImagePlugin.JpegImageFile, data, name), header.orientation)
    return _turned(_by_opencv(data, header, name), header.orientation)


def _webp(data: bytes, header: Header, name: str) -> np.ndarray:
    return _turned(_by_opencv(data, header, name), header.orientation)


def _bmp(data: bytes, header: Header, name: str) -> np.ndarray:
    return _by_pillow(BmpImagePlugin.BmpImageFile, data, name)


def _tiff(data: bytes, header: Header, name: str) -> np.ndarray:
    """Pillow and OpenCV both apply a TIFF's orientation themselves; tifffile does not."""
    if header.bits == 8:
        return _by_pillow(TiffImagePlugin.TiffImageFile, data, name)
    if header.planar:  # OpenCV mixes the planes up
        pixels = _turned(_planes(data), header.orientation)
    else:
        pixels = _whole(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), name, header, data)
        if pixels.ndim == 3:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    if header.depth == 12:  # OpenCV moves the 12 bits to the top of the 16; this makes white 65535, not 65520
        pixels |= pixels >> 12
    if header.inverted:
        pixels = ~pixels
    return _opaque(pixels, name) if header.alpha else pixels


def _by_opencv(data: bytes, header: Header, name: str) -> np.ndarray:
    buffer = np.frombuffer(data, np.uint8)
    if not header.alpha:
        colour = cv2.IMREAD_GRAYSCALE if header.colour == "grey" else cv2.IMREAD_COLOR_RGB
        return _whole(cv2.imdecode(buffer, AS_STORED | colour), name, header, data)
    pixels = _whole(cv2.imdecode(buffer, EVERYTHING), name, header, data)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = _opaque(pixels, name)
    if pixels.ndim == 2:
        return pixels
    return pixels[..., 0] if header.colour == "grey" else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _by_pillow(plugin: Callable[[io.BytesIO], ImageFile.ImageFile], data: bytes, name: str) -> np.ndarray:
    """By the format's own class: Image.open would try every format, and warn of sizes the header has already passed."""
    picture: Image.Image = plugin(io.BytesIO(data))
    picture.load()
    if picture.mode in WITH_ALPHA:
        return _opaque(np.asarray(picture.convert(WITH_ALPHA[picture.mode])), name)
    if picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode not in ("L", "RGB"):
        picture = picture.convert("RGB")
    return np.asarray(picture)


def _planes(data: bytes) -> np.ndarray:
    import tifffile  # 0.3 s to import, and hardly a file needs it

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return np.moveaxis(file.pages.first.asarray(maxworkers=1), 0, -1)


def _opaque(pixels: np.ndarray, name: str) -> np.ndarray:
    """The colours alone: HxWxC with alpha last becomes HxW or HxWx(C-1)."""
    alpha = pixels[..., -1]
    see_through = np.count_nonzero(alpha != np.iinfo(pixels.dtype).max)
    if see_through:
        share = 100 * see_through / alpha.size
        raise BadInput(
            f"{name} is transparent in {share:.3g} % of its pixels: put it on a plain background and save it again"
        )
    return pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3]


def _no_grey_key(data: bytes, header: Header, name: str) -> None:
    """A grey PNG may name one value that is transparent (tRNS); OpenCV does not tell, so such a file is refused."""
    if any(chunk.kind == b"tRNS" for chunk in png.chunks(io.BytesIO(data), name)):
        raise BadInput(f"{name} declares one grey value transparent: save it again without transparency")


def _whole(pixels: np.ndarray | None, name: str, header: Header, data: bytes) -> np.ndarray:
    if pixels is None:
        raise _damaged(name, header, data)
    return pixels


def _damaged(name: str, header: Header, data: bytes) -> BadInput:
    return BadInput(
        f"{name} is damaged or cut short: its {len(data)} bytes are no whole {header.format.upper()} of"
        f" {header.width} x {header.height} px; copy or save the file again"
    )


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Upright, by EXIF's orientation 1..8 (EXIF 2.32, 4.6.4 A)."""
    if orientation >= 5:
        pixels = cv2.transpose(pixels)
    flip = FLIPS[orientation]
    return pixels if flip is None else cv2.flip(pixels, flip)


# Pillow's modes with a fourth (or second) channel, and the one to look at it in.
WITH_ALPHA = {"RGBA": "RGBA", "RGBX": "RGBX", "RGBa": "RGBA", "LA": "LA", "La": "LA", "PA": "RGBA"}

# cv2.flip's code, after the transposition of 5..8: 1 left and right, 0 top and bottom, -1 both.
FLIPS: dict[int, int | None] = {1: None, 2: 1, 3: -1, 4: 0, 5: None, 6: 1, 7: -1, 8: 0}

DECODERS: dict[Format, Callable[[bytes, Header, str], np.ndarray]] = {
    "png": _png,
    "jpeg": _jpeg,
    "bmp": _bmp,
    "tiff": _tiff,
    "webp": _webp,
}
