"""Which pictures show the same: re-encoded, brightened, shifted, turned or flipped. Knows pixels, no data set.

A perceptual hash (DCT, 63 bits) proposes, pixels decide: textures of one material hash alike, and parts in one fixture
look alike but for their surface. So two pictures are twins only where every patch of one agrees with the other's.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from pipelines.core import images

SIDE = 96
HASH_SIDE, LOW = 32, 8
NEAR_BITS = 22
"""Two unlike pictures differ in about 31 of 63 bits, with a spread of 4."""
ASKED = 4
"""How many of the nearest by hash are compared pixel by pixel."""
PATCH = 8
NOISE = 4.0
"""Levels of 255 that a patch may differ by whatever it shows."""
ALIKE = 0.6
"""Of a patch's own contrast. Unlike texture differs by 1.4 of it."""
SAME_DETAIL = 0.9
"""Least correlation of what is finer than 6 of 96 px: two photographs of a smooth part have only noise there."""
LEAST_GRAIN, SAME_GRAIN = 0.4, 0.5
"""Three in four patches with more grain than 0.4 levels correlate by 0.5 or more: parts in one fixture share their
outline alone. Measured: 0.8 for pictures encoded anew, 0.1 for other parts."""
MOST_SHIFT = 8.0
STILL = 0.4
"""A shift in 96ths of the side that is none: what encoding at another size leaves."""

# Each of the eight ways to lay a picture: transposed first or not, then flipped by columns, by rows.
WAYS = [
    (transposed, columns, rows) for transposed in (False, True) for columns in (False, True) for rows in (False, True)
]


@dataclass(frozen=True)
class Print:
    """What is kept of a picture to know it again."""

    digest: bytes
    """Of the pixels."""
    small: np.ndarray
    """uint8 96x96, grey."""
    aspect: float
    """Width by height."""

    @cached_property
    def hashes(self) -> np.ndarray:
        """uint64 of the picture laid in each of the eight ways."""
        tiny = cv2.resize(self.small, (HASH_SIDE, HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        low = cv2.dct(tiny)[:LOW, :LOW]
        signs = np.where(np.arange(LOW) % 2, -1.0, 1.0)  # a flip turns the odd waves over
        found = np.zeros(len(WAYS), np.uint64)
        for number, (transposed, columns, rows) in enumerate(WAYS):
            waves = low.T if transposed else low
            waves = waves * (signs[None, :] if columns else 1) * (signs[:, None] if rows else 1)
            bits = waves.ravel()[1:] > 0
            found[number] = np.packbits(np.append(bits, False)).view(np.uint64)[0]
        return found

    @cached_property
    def flat(self) -> bool:
        """Whether it shows too little to be known again."""
        return float(self.small.std()) < 2.0


def fingerprint(pixels: np.ndarray) -> Print:
    """Of HxW or HxWx3, uint8 or uint16."""
    digest = (
        hashlib.sha256(np.ascontiguousarray(pixels).data).digest() + repr((pixels.shape, pixels.dtype.str)).encode()
    )
    height, width = pixels.shape[:2]
    small = cv2.resize(
        pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA if min(height, width) >= SIDE else cv2.INTER_LINEAR
    )
    small = images.smaller(small, SIDE)  # 8 bits, by the camera's white
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) if small.ndim == 3 else small
    return Print(digest, grey, width / height)


def pairs(ones: Sequence[Print], others: Sequence[Print], *, moved: bool = True) -> Iterator[tuple[int, int, bool]]:
    """(index in ones, index in others, whether moved) of what shows the same but has other pixels.

    `moved` asks for shifted, turned and flipped ones as well.
    """
    if not ones or not others:
        return
    hashes = np.stack([one.hashes[0] for one in ones])
    for number, other in enumerate(others):
        if other.flat:
            continue
        ways = other.hashes if moved else other.hashes[:1]
        apart = np.bitwise_count(hashes[:, None] ^ ways[None, :])
        for flat in np.argsort(apart, axis=None, kind="stable")[:ASKED]:
            index, way = divmod(int(flat), len(ways))
            if apart[index, way] > NEAR_BITS:
                break
            one = ones[index]
            if one.flat or one.digest == other.digest:
                continue
            shift = _shift(one, other, way)
            if shift is None or (shift > STILL and not moved):
                continue
            yield index, number, way != 0 or shift > STILL
            break


def agree(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two grey windows of one size, float32, show the same in every patch, whatever their brightness."""
    one, other = (cv2.GaussianBlur(window, (0, 0), 1.0) for window in (one, other))
    spread = float(other.std())
    if spread < 1e-3:
        return False
    gain = float(((one - one.mean()) * (other - other.mean())).mean()) / spread**2
    if not 0.3 < gain < 3.0:
        return False
    fitted = (other - other.mean()) * gain + one.mean()
    fine = [window - cv2.GaussianBlur(window, (0, 0), 6.0) for window in (one, fitted)]
    if _correlated(fine[0].reshape(1, -1), fine[1].reshape(1, -1))[0] < SAME_DETAIL:
        return False
    patches = [_patches(window - cv2.GaussianBlur(window, (0, 0), 2.0)) for window in (one, fitted)]
    told = np.minimum(*(window.std(axis=1) for window in patches)) > LEAST_GRAIN
    if told.any() and np.percentile(_correlated(*(window[told] for window in patches)), 25) < SAME_GRAIN:
        return False
    contrast = np.minimum(_patches(one).std(axis=1), _patches(fitted).std(axis=1))
    apart = np.sqrt((_patches(one - fitted) ** 2).mean(axis=1))
    return bool((apart < ALIKE * (contrast + NOISE)).all())


def _correlated(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of each row of one, N x M, with that of the other: -1 to 1, 0 where one of them is flat."""
    one, other = (rows - rows.mean(axis=1, keepdims=True) for rows in (one, other))
    energy = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    return np.asarray((one * other).sum(axis=1) / np.maximum(energy, 1e-6))


def _shift(one: Print, other: Print, way: int) -> float | None:
    """By how many 96ths of the side `other`, laid in a way, lies off `one`; None where they do not show the same."""
    transposed, columns, rows = WAYS[way]
    if abs((1 / other.aspect if transposed else other.aspect) / one.aspect - 1) > 0.03:
        return None
    laid = other.small.T if transposed else other.small
    laid = laid[:: -1 if rows else 1, :: -1 if columns else 1].astype(np.float32)
    fixed = one.small.astype(np.float32)
    if agree(fixed, laid):
        return 0.0
    window = cv2.createHanningWindow((SIDE, SIDE), cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(fixed - fixed.mean(), laid - laid.mean(), window)
    if max(abs(x), abs(y)) > MOST_SHIFT:
        return None
    back = cv2.warpAffine(laid, np.array([[1, 0, -x], [0, 1, -y]]), (SIDE, SIDE), flags=cv2.INTER_CUBIC)
    margin = int(np.ceil(max(abs(x), abs(y)))) + 1
    inner = (slice(margin, SIDE - margin),) * 2
    return max(abs(x), abs(y)) if agree(fixed[inner], back[inner]) else None


def _patches(window: np.ndarray) -> np.ndarray:
    """float N x 64: patches of 8 x 8 px, what is left over at the far sides with the last ones."""
    height, width = window.shape
    across, down = max(width // PATCH, 1), max(height // PATCH, 1)
    window = (
        cv2.resize(window, (across * PATCH, down * PATCH), interpolation=cv2.INTER_AREA)
        if min(window.shape) < PATCH
        else window
    )
    window = window[: down * PATCH, : across * PATCH]
    return window.reshape(down, PATCH, across, PATCH).swapaxes(1, 2).reshape(-1, PATCH * PATCH)
