"""Shows that DualAnoDiff learns: pairs of a damaged part and its defect alone, whose masks lie where the damage is.

`python -m bench.pairs OUT [--minutes N]`, on the CPU, after `python -m bench.learning OUT`, whose base it first shows
plain tones and spots on them: a defect alone stands on grey. Goes on where it stopped when called again. Writes
OUT/pairs.png (real ones, and made: whole, defect alone, mask) and OUT/pairs.json: the IoU of each mask with what is
darker in the whole picture than the surface ever is.
"""

import json
import sys
from typing import Any

import cv2
import numpy as np

from bench.learning import BASE, COLUMNS, DAMAGED, DEFECT, EACH, SIDE, Bench, bad, entry, good, taken_on, write_sheet
from pipelines.core import images
from pipelines.core.errors import Cancelled
from pipelines.parts.feed import Row
from pipelines.parts.loaders import Example
from pipelines.train import material
from pipelines.worker import Worker

PLAIN = {**BASE, "base": "small", "max_train_steps": 600, "validation_steps": 300, "num_validation_images": 1}
PAIR: dict[str, Any] = {"task": "train-dual", "base": "plain", "layout": "mvtec", "defect": DEFECT, "seed": 1}
PAIR |= {"resolution": SIDE, "train_batch_size": 4, "views": 8, "max_train_steps": 600, "learning_rate": 1e-3}
PAIR |= {"text_encoder": False, "rank": 16, "checkpointing_steps": 100, "num_validation_images": 0, "oriented": True}
PAIR |= {"instance_prompt": f"a photo of {DAMAGED} with a spot", "part_prompt": "a photo of a spot"}
MADE = 24
QUANTILE = 0.001
"""Darker than all but this share of the good surface's pixels is damage."""


class Pairs(Bench):
    """The base that knows plain tones too, and spots on them."""

    def begin(self) -> None:
        table = self.out / "models" / "bases.toml"
        if "[plain]" not in table.read_text():
            table.write_text(table.read_text() + f"\n{entry('plain')}")
        shown = []
        for name, draw in {"a plain tone": tone, "a spot": spot}.items():
            for number in range(EACH):
                path = self.out / "plain" / name / f"{number:03d}.png"
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    images.write_png(path, draw(number))
                shown.append(Row(path.name, material.reader(Example(path)), f"a photo of {name}"))
        self.taught("plain", PLAIN, "plain", [*self.surfaces(), *shown])


def tone(seed: int) -> np.ndarray:
    """uint8 SIDE x SIDE x 3: one grey, every second of them the middle one."""
    level = np.random.default_rng(seed).integers(90, 166) if seed % 2 else 128
    return np.full((SIDE, SIDE, 3), level, np.uint8)


def spot(seed: int) -> np.ndarray:
    """uint8 SIDE x SIDE x 3: a dark ellipse, brownish or grey, somewhere on a grey."""
    random, drawn = np.random.default_rng(seed), tone(seed)
    middle, axes = random.integers(10, SIDE - 10, 2).tolist(), random.integers(4, 14, 2).tolist()
    dark = random.integers(25, 80)
    colour = (dark + random.uniform(0, 0.4) * np.array([20, 4, -10])).tolist()
    return cv2.ellipse(drawn, middle, axes, float(random.uniform(0, 180)), 0, 360, colour, -1)


def damage(picture: np.ndarray, darkest: float) -> np.ndarray:
    """bool: where a picture is darker than the surface, specks left out."""
    dark = (cv2.GaussianBlur(picture.mean(2), (0, 0), 1.0) < darkest).astype(np.uint8)
    return cv2.morphologyEx(dark, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0


def overlap(one: np.ndarray, other: np.ndarray) -> float | None:
    """IoU of two masks; None where both are empty."""
    both = one | other
    return float((one & other).sum() / both.sum()) if both.any() else None


def main(arguments: list[str] | None = None) -> int:
    out, minutes = taken_on("pairs", __doc__, arguments)
    with Worker(out / "runs", "cpu", ()) as worker:
        bench = Pairs(out, worker, minutes)
        try:
            bench.begin()
            run = bench.ask("pairs", PAIR)
            wanted = {"task": "dual", "model": run.name, "num_images": MADE, "num_inference_steps": 25, "seed": 11}
            made = bench.make(
                {**wanted, "guidance_scale": 1.0, "adapter_scale": 1.5, "scheduler": "ddim", "batch_size": 4}
            )
        except Cancelled:
            print(f"time is up: call again with {out} to go on")
            return 1
    surface = np.concatenate([good(DAMAGED, 6000 + number).mean(2).ravel() for number in range(40)])
    darkest = float(np.quantile(surface, QUANTILE))
    wholes, parts, masks, fits = [], [], [], []
    for number in range(MADE):
        whole, part = (images.read(made / folder / f"{number:05d}.png").pixels for folder in ("images", "parts"))
        path = made / "masks" / f"{number:05d}.png"
        mask = images.read_mask(path) if path.exists() else np.zeros(whole.shape[:2], bool)
        fits.append(overlap(mask, damage(whole, darkest)))
        wholes.append(whole)
        parts.append(part)
        masks.append(np.repeat(mask[..., None].astype(np.uint8) * 255, 3, axis=2))
    shown = {"real": [bad(2000 + number)[0] for number in range(COLUMNS)], "whole": wholes[:COLUMNS]}
    write_sheet(out / "pairs.png", {**shown, "defect alone": parts[:COLUMNS], "mask": masks[:COLUMNS]})
    known = sorted(one for one in fits if one is not None)
    found = {"iou": fits, "median": known[len(known) // 2] if known else None, "empty": fits.count(None)}
    found["real"] = [overlap(mask, damage(whole, darkest)) for whole, mask in (bad(7000 + n) for n in range(MADE))]
    (out / "pairs.json").write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
