"""Runs' folders made by hand, as a finished run leaves them, with masks that are hard to export."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipelines.core import images
from pipelines.core.assets import Assets
from tests import pictures

Areas = Sequence[tuple[str, np.ndarray]]
"""(defect, bool HxW) of each region."""


def ring(height: int = 72, width: int = 96) -> np.ndarray:
    """bool HxW: one part with a hole, and inside the hole another part."""
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (40, 34), 20, 255, -1)
    cv2.circle(mask, (43, 34), 12, 0, -1)
    cv2.circle(mask, (43, 34), 3, 255, -1)
    return mask > 0


def specks(height: int = 72, width: int = 96) -> np.ndarray:
    """bool HxW: single pixels, two of them in corners of the picture, and two that touch at a corner only."""
    mask = np.zeros((height, width), bool)
    for x, y in ((0, 0), (width - 1, height - 1), (10, 30), (20, 33), (21, 34)):
        mask[y, x] = True
    return mask


def hard(height: int = 72, width: int = 96) -> dict[str, np.ndarray]:
    """Every kind of mask that a polygon has trouble with, by name."""
    half = np.zeros((height, width), bool)
    half[:, : width // 2] = True
    noise = np.random.default_rng(3).random((height, width)) > 0.5
    shapes = {"disc": pictures.disc(height, width), "line": pictures.line(height, width), "half": half, "noise": noise}
    return {**shapes, "ring": ring(height, width), "specks": specks(height, width), "all": np.ones_like(half)}


def write(
    runs: Path, name: str, areas: Sequence[Areas], *, source: np.ndarray | None = None, source_name: str = "part.png"
) -> Path:
    """A run `name` with one picture for each of `areas`, all made from one source."""
    good = pictures.good() if source is None else source
    asset = Assets(runs).put(images.encode_png(good), source_name)
    folder = runs / name
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    rows = [_row(folder, index, good, regions) for index, regions in enumerate(areas)]
    named = {"asset": asset.id, "name": asset.name, "sha256": asset.sha256}
    lines = [json.dumps({**row, "source": named}, ensure_ascii=False) + "\n" for row in rows]
    (folder / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "request.json").write_text('{"task": "inpaint", "base": "procedural"}')
    (folder / "result.json").write_text("{}")
    return folder


def _row(folder: Path, index: int, good: np.ndarray, areas: Areas) -> dict[str, Any]:
    stem = f"{index:05d}"
    union = np.logical_or.reduce([mask for _, mask in areas])
    painted = good.copy()
    painted[union] //= 2
    images.write_png(folder / f"images/{stem}.png", painted, request={"task": "inpaint", "seed": index})
    images.write_png(folder / f"masks/{stem}.png", union)
    regions = []
    for number, (defect, mask) in enumerate(areas, start=1):
        file = f"masks/{stem}.png" if len(areas) == 1 else f"masks/{stem}.r{number}.png"
        images.write_png(folder / file, mask)
        regions.append({"mask": file, "defect": defect, "severity": 0.5})
    return {
        "file": f"images/{stem}.png",
        "mask": f"masks/{stem}.png",
        "regions": regions,
        "defect": "+".join(defect for defect, _ in areas),
        "seed": index,
        "base": "procedural",
        "caption": "a photo of a part",
        "scores": {"outside_max": 0},
    }


def review(folder: Path, **verdicts: str) -> None:
    """What a person decided, by stem; `_00000="kept"`, for a name cannot begin with a digit."""
    judged = {stem.removeprefix("_"): verdict for stem, verdict in verdicts.items()}
    (folder / "review.json").write_text(json.dumps(judged))
