"""What the look through a data set tells a person before it is taken in: masks, boxes, sizes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import images
from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.core.queue import Owner, Queue
from pipelines.core.requests.check import Check
from pipelines.core.runs import Run
from pipelines.dataset import check
from tests import pictures


def checked(runs: Path, data: Path, **more: Any) -> dict[str, Any]:
    request, queue, me = Check(data=str(data), **more), Queue(runs), Owner.me()
    run = Run(queue, queue.submit(request, owner=me), request, me)
    check.run(request, run, Models())
    found: dict[str, Any] = json.loads((run.folder / "result.json").read_text())
    return found


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(pixels))


def test_masks_and_sizes_are_counted(runs: Path, tmp_path: Path) -> None:
    root = tmp_path / "leather"
    write(root / "train/good/000.png", pictures.good(seed=0))
    write(root / "train/good/001.png", pictures.good(64, 48, seed=1))
    write(root / "test/cut/010.png", pictures.good(seed=10))
    write(root / "ground_truth/cut/010_mask.png", pictures.disc(radius=9, at=(20, 30)).astype(np.uint8) * 255)
    (root / "test/cut/011.png").write_bytes(b"torn")
    found = checked(runs, root)
    assert (found["images"], found["good"], found["masks"], found["boxes"]) == (4, 2, 1, 0)
    seen = [images.read(root / name).pixels.shape for name in ("train/good/000.png", "train/good/001.png")]
    usual, other = (f"{shape[1]} x {shape[0]}" for shape in seen)
    assert found["sizes"] == {usual: 2, other: 1}
    assert found["other_sizes"] == 0
    assert {found["from_size"], found["to_size"]} == {usual, other}


def test_boxes_are_told_from_outlines(runs: Path, tmp_path: Path) -> None:
    """LabelMe: a rectangle stays a box, a polygon is a mask, and a picture may have both."""
    corners = {"rectangle": [[5, 5], [20, 20]], "polygon": [[30, 5], [50, 5], [40, 25]]}
    for seed, kinds in enumerate((("rectangle",), ("polygon",), ("rectangle", "polygon"))):
        pixels = pictures.good(seed=seed)
        write(tmp_path / "set" / f"{seed}.png", pixels)
        shapes = [{"label": "dent", "points": corners[kind], "shape_type": kind} for kind in kinds]
        high, wide = pixels.shape[:2]
        said = {"imagePath": f"{seed}.png", "imageHeight": high, "imageWidth": wide, "shapes": shapes}
        (tmp_path / "set" / f"{seed}.json").write_text(json.dumps(said))
    found = checked(runs, tmp_path / "set")
    assert (found["layout"], found["masks"], found["boxes"]) == ("labelme", 2, 2)


def test_only_the_commonest_sizes_are_listed(runs: Path, tmp_path: Path) -> None:
    for seed in range(check.MOST_SIZES + 3):
        write(tmp_path / "set" / "cut" / f"{seed}.png", pictures.good(40 + seed, 48, seed=seed))
    found = checked(runs, tmp_path / "set")
    assert (len(found["sizes"]), found["other_sizes"]) == (check.MOST_SIZES, 3)


@pytest.mark.parametrize("layout", ["coco", "elpv", "voc", "visa", "run"])
def test_a_layout_that_it_is_not_is_told_so(runs: Path, tmp_path: Path, layout: str) -> None:
    write(tmp_path / "set" / "cut" / "0.png", pictures.good(seed=0))
    with pytest.raises(BadInput, match=r"set is not laid out as .*: choose another layout"):
        checked(runs, tmp_path / "set", layout=layout)
