"""A large run made by hand, as a batch leaves it, to export in shards: its pictures are few, and linked many times."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core import images
from pipelines.core.assets import Assets
from pipelines.core.runs import name

DISTINCT = 100
SOURCES = 1000


def made(runs: Path, count: int, side: int = 64) -> Path:
    """A run of so many pictures from SOURCES sources. Returns its folder."""
    chance, store, folder = np.random.default_rng(0), Assets(runs), runs / "large"
    goods = []
    for number in range(min(SOURCES, count)):
        pixels = np.full((side, side), 90 + number % 60, np.uint8)
        pixels.flat[: number % 1000 + 1] = 30
        asset = store.put(images.encode_png(pixels), f"part {number}.png")
        goods.append({"asset": asset.id, "name": asset.name, "sha256": asset.sha256})
    kept = folder / "kept"
    kept.mkdir(parents=True)
    for number in range(DISTINCT):
        mask = np.zeros((side, side), bool)
        top, left = chance.integers(4, side - 20, 2)
        mask[top : top + 12, left : left + 9] = True
        pixels = chance.integers(80, 120, (side, side)).astype(np.uint8)
        pixels[mask] //= 2
        images.write_png(kept / f"{number}.png", pixels, request={"task": "inpaint", "seed": number})
        images.write_png(kept / f"{number}.mask.png", mask)
    for index in range(count):
        for place, ending in (("images", ".png"), ("masks", ".mask.png")):
            path = folder / place / f"{name(index, count)}.png"
            if index % 1000 == 0:
                path.parent.mkdir(parents=True)
            os.link(kept / f"{index % DISTINCT}{ending}", path)
    with (folder / "manifest.jsonl").open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in _rows(count, goods))
    (folder / "request.json").write_text("{}")
    (folder / "result.json").write_text("{}")
    return folder


def _rows(count: int, goods: list[dict[str, str]]) -> Iterator[dict[str, Any]]:
    for index in range(count):
        stem, defect = name(index, count), ("scratch", "dent", "hole")[index % 3]
        mask = f"masks/{stem}.png"
        yield {
            "file": f"images/{stem}.png", "mask": mask, "defect": defect, "seed": index, "base": "procedural",
            "regions": [{"mask": mask, "defect": defect, "severity": 0.5}], "caption": f"a part with a {defect}",
            "source": goods[index % len(goods)], "scores": {"visibility": 2.5, "outside_max": 0},
        }  # fmt: skip
