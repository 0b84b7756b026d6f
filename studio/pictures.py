"""Pictures for a browser: by which address it sees one, and how what was painted on it becomes a mask of full size.

Knows assets and runs; nothing of Gradio's events.
"""

import tomllib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from pipelines.core import images
from pipelines.core.assets import Asset
from pipelines.core.errors import BadInput
from studio.canvas import Area, Shown
from studio.context import Context
from studio.i18n import Language

SAMPLES = Path(__file__).parents[1] / "presets" / "samples"
VIEW_PX = 2048
EXACT = f"side={VIEW_PX}&exact=true"
SHOWN_AS_IS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
THUMB_PX = 96


@dataclass(frozen=True)
class Sample:
    """A picture that comes with the studio."""

    id: str
    title: str
    path: Path


@cache
def samples(folder: Path = SAMPLES) -> dict[str, Sample]:
    """The samples by id, in the order of samples.toml."""
    table = tomllib.loads((folder / "samples.toml").read_text(encoding="utf-8"))
    return {one["name"]: Sample(one["name"], one["label"], folder / one["file"]) for one in table["samples"]}


@cache
def strip(say: Language, folder: Path = SAMPLES) -> list[dict[str, str]]:
    """The samples with a small picture each, as the strip shows them."""
    found = []
    for sample in samples(folder).values():
        small = images.thumbnail(images.read(sample.path).pixels, side=THUMB_PX)
        thumb = "data:image/jpeg;base64," + b64encode(small).decode()
        found.append({"id": sample.id, "title": say.data(f"samples.{sample.id}", sample.title), "thumb": thumb})
    return found


def take_sample(context: Context, id: str) -> Asset:
    """A sample as an asset. Raises BadInput."""
    known = samples()
    if id not in known:
        raise BadInput(f"there is no sample {id[:40]!r}; there is {', '.join(known)}")
    return context.assets.put(known[id].path, known[id].path.name)


def smaller(asset: Asset) -> str:
    """What to add to an address so that a browser can show it: nothing, or the order for a copy of at most 2048 px."""
    large = max(asset.width or 0, asset.height or 0) > VIEW_PX
    return f"?side={VIEW_PX}" if large or asset.path.suffix.lower() not in SHOWN_AS_IS else ""


def exact(asset: Asset) -> str:
    """Where the browser finds the same pixels without loss, at most 2048 px a side: to be compared, not shown."""
    return f"/files/{asset.id}/{quote(asset.name)}?{EXACT}"


def address(asset: Asset) -> str:
    """Where the browser finds a picture it can show."""
    return f"/files/{asset.id}/{quote(asset.name)}{smaller(asset)}"


def shown(asset: Asset) -> Shown:
    """An asset as the canvas shows it. Raises BadInput when it is no picture."""
    if asset.width is None or asset.height is None:
        raise BadInput(f"{asset.name} is no picture: open a PNG, JPEG, TIFF, BMP or WEBP file")
    return Shown(asset.id, asset.name, address(asset), asset.width, asset.height)


def full_size(area: Area, asset: Asset) -> np.ndarray:
    """bool HxW of the picture's own size: the painted mask, each of its pixels repeated where the view was smaller."""
    grey = _painted(area).astype(np.uint8)
    width, height = asset.width or 0, asset.height or 0
    if abs(grey.shape[1] * height - grey.shape[0] * width) > max(width, height):
        size = f"{grey.shape[1]} × {grey.shape[0]}"
        raise BadInput(f"the painted mask ({size}) is not of {asset.name} ({width} × {height}): open the picture again")
    scaled = cv2.resize(grey, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(scaled > 0)


def keep_masks(context: Context, areas: tuple[Area, ...], asset: Asset, was: Sequence[str] = ()) -> list[str]:
    """Each area's mask as an asset; returns the ids. An area that shows one of the masks `was` is that mask still, also
    where the canvas shows it smaller than it is. Raises BadInput when nothing is painted.
    """
    if not areas:
        raise BadInput("nothing is painted yet: paint over the place where the defect should be")
    known = {id: context.assets.get(id) for id in was if context.assets.has(id)}
    before = {id: images.read_mask(one.path, name=one.name) for id, one in known.items()}
    found = []
    for number, area in enumerate(areas, start=1):
        mask = full_size(area, asset)
        same = next((id for id, full in before.items() if _shows(area, full, mask)), None)
        found.append(same or context.assets.put(images.encode_png(mask), f"mask-{number}.png").id)
    return found


def _shows(area: Area, full: np.ndarray, mask: np.ndarray) -> bool:
    """Whether what is painted is the mask `full` as the canvas shows it: any painted pixel paints its place."""
    if full.shape != mask.shape:
        return False
    view = _painted(area)
    rows, columns = np.nonzero(full)
    down, along = view.shape[0] / full.shape[0], view.shape[1] / full.shape[1]
    small = np.zeros(view.shape, bool)
    small[np.floor((rows + 0.5) * down).astype(int), np.floor((columns + 0.5) * along).astype(int)] = True
    return bool((small == view).all())


def _painted(area: Area) -> np.ndarray:
    pixels = images.decode(area.mask, "the painted mask").pixels
    return np.asarray((pixels if pixels.ndim == 2 else pixels[..., 0]) > 127)
