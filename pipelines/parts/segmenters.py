"""Where a picture shows its defect: by what differs from mid-grey, from the good picture, or from what draws no eye.

Each way says how far every pixel is from nothing, in grey levels of 255; one threshold and one clean-up make that a
mask. Where nothing is far enough the mask is empty: no way scales its values until something is found.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from skimage.filters import apply_hysteresis_threshold

from pipelines.core import images, weights
from pipelines.core.errors import BadInput, Missing
from pipelines.parts.labels import largest

AUTO = "auto"
MIDDLE = 127.5
"""What a dual pair's part picture shows where there is no defect: 0 in [-1, 1]."""
LEAST_GREY = 0.1 * 255
LEAST_CHANGE = 3.0
LEAST_SALIENCE = (0.3 * 255, 0.5 * 255)
MOST = 0.6
"""Share of a picture beyond which what was found is hardly a defect."""
U2NET = "u2net.onnx"
U2NET_PX = 320
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_SPREAD = np.array([0.229, 0.224, 0.225], np.float32)

Far = Callable[[np.ndarray, np.ndarray | None], np.ndarray]
"""(picture, the good one or None), float32 HxWx3 in [0, 1] -> float32 HxW, 0..255."""


@dataclass(frozen=True)
class Segmenter:
    """One way to find a defect."""

    name: str
    far: Far
    least: Callable[[np.ndarray], tuple[float, float]]
    """From how far each pixel is: how far a defect's edge must be at least, and its core, whatever Otsu says."""


@dataclass(frozen=True)
class Found:
    """A mask, and how it came about."""

    mask: np.ndarray
    """bool HxW; empty where nothing was found."""
    threshold: float
    """At its edge, in grey levels of 255."""
    method: str
    note: str = ""
    """What a person should look at; "" where nothing is odd."""


def grey() -> Segmenter:
    """The distance from mid-grey, for the part picture of a dual pair."""
    return Segmenter("grey", lambda picture, _: largest(picture * 255 - MIDDLE), lambda far: (LEAST_GREY, LEAST_GREY))


def difference() -> Segmenter:
    """The change from the good picture, pixel by pixel: the two must lie on each other."""

    def far(picture: np.ndarray, clean: np.ndarray | None) -> np.ndarray:
        if clean is None:
            raise BadInput("clean is missing: difference compares with the same picture without the defect", "clean")
        return largest((picture - clean) * 255)

    def least(far: np.ndarray) -> tuple[float, float]:
        """Above the noise of two photographs, read from the quarter that differs least: a wide defect is no noise."""
        edge = min(max(LEAST_CHANGE, 4 * float(np.quantile(far, 0.25))), LEAST_GREY)
        return edge, 2 * edge

    return Segmenter("difference", far, least)


def u2net() -> Segmenter:
    """What draws the eye, by U-2-Net (arXiv 2005.09007). Raises Missing without its weights, BadInput for others."""
    path = _weights()
    if not path.is_file():
        raise Missing(
            f"{U2NET} is not in {path.parent.parent.name}/u2net: fetch it from the releases of danielgatis/rembg on"
            " GitHub (the weights of xuebinqin/U-2-Net) and put it there, or choose another method"
        )
    try:
        net = cv2.dnn.readNetFromONNX(str(path))
    except cv2.error as error:
        raise BadInput(f"{U2NET} cannot be read as ONNX ({error.err}): fetch it again") from error

    def far(picture: np.ndarray, _: np.ndarray | None) -> np.ndarray:
        small = cv2.resize(picture, (U2NET_PX, U2NET_PX), interpolation=cv2.INTER_AREA)
        given = (small / max(float(small.max()), 1e-6) - _MEAN) / _SPREAD
        net.setInput(np.ascontiguousarray(given.transpose(2, 0, 1)[None], np.float32))
        seen = np.asarray(net.forward(), np.float32)  # the first of its seven outputs, the six side maps fused
        if seen.shape != (1, 1, U2NET_PX, U2NET_PX):
            raise BadInput(f"{U2NET} answers with {seen.shape}, not with one map of {U2NET_PX} px: it is no U-2-Net")
        return cv2.resize(seen[0, 0] * 255, (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_LINEAR)

    return Segmenter("u2net", far, lambda far: LEAST_SALIENCE)


def chosen(method: str, *, clean: bool) -> str:
    """The name in SEGMENTERS; `auto` is difference with a good picture, else u2net where its weights are, else grey."""
    if method != AUTO:
        return method
    if clean:
        return "difference"
    return "u2net" if _weights().is_file() else "grey"


def segment(
    segmenter: Segmenter,
    picture: np.ndarray,
    clean: np.ndarray | None = None,
    *,
    threshold: float | None = None,
    minimum_area_px: int = 16,
) -> Found:
    """The mask of one picture, HxW or HxWx3, uint8 or uint16.

    `threshold` None = areas with a core beyond Otsu's, out to where nothing begins: Otsu alone cuts soft edges off.
    Raises BadInput where the good picture is missing or of another size.
    """
    if clean is not None and clean.shape[:2] != picture.shape[:2]:
        sizes = [f"{one.shape[1]} x {one.shape[0]}" for one in (clean, picture)]
        raise BadInput(
            f"the clean picture has {sizes[0]} px and the one with the defect {sizes[1]}: they must be equal"
        )
    white = max(images.white(one) for one in (picture, clean) if one is not None)
    far = segmenter.far(images.to_float(picture, white), None if clean is None else images.to_float(clean, white))
    edge, core = segmenter.least(far) if threshold is None else (threshold, threshold)
    if threshold is None:
        core = max(core, _otsu(far))
    mask = _tidied(apply_hysteresis_threshold(far, edge, core), minimum_area_px)
    share = float(mask.mean())
    note = ""
    if not mask.any():
        note = f"nothing found: no area of {minimum_area_px} px is further than {core:.0f} of 255 levels from nothing"
    elif share > MOST:
        note = f"the mask covers {100 * share:.0f} % of the picture: {segmenter.name} is hardly the way to find it"
    return Found(mask, edge, segmenter.name, note)


def _weights() -> Path:
    return weights.folder() / "u2net" / U2NET


def _otsu(far: np.ndarray) -> float:
    levels = np.rint(np.clip(far, 0, 255)).astype(np.uint8)
    return float(cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0])


def _tidied(mask: np.ndarray, least_px: int) -> np.ndarray:
    """Gaps of a pixel closed, specks and pinholes below the least area gone.

    Opened by area and not by a brush, which would wipe out every scratch thinner than itself.
    """
    padded = np.pad(mask.astype(np.uint8), 1, mode="edge")  # the picture's frame is no gap
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    kept = _large(closed, least_px, 8)
    return ~_large((~kept).astype(np.uint8), least_px, 4)


def _large(pieces: np.ndarray, least_px: int, connectivity: int) -> np.ndarray:
    """bool HxW: the parts that hang together and have `least_px` pixels at least."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(pieces), connectivity=connectivity)
    large = stats[:, cv2.CC_STAT_AREA] >= least_px
    large[0] = False
    return np.asarray(large[labels])


SEGMENTERS: dict[str, Callable[[], Segmenter]] = {"difference": difference, "grey": grey, "u2net": u2net}
