"""Shows that DualAnoDiff learns: pairs of a damaged part and its defect alone, whose masks lie where the damage is.

`python -m bench.pairs OUT [--minutes N]`, on the CPU, after `python -m bench.learning OUT`, whose base it trains. Goes
on where it stopped when called again. Writes OUT/pairs.png (real ones, and made: whole, defect alone, mask) and
OUT/pairs.json: the IoU of each mask with what is darker in the whole picture than the surface ever is.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from bench.learning import COLUMNS, DAMAGED, DEFECT, SIDE, Bench, bad, good, write_sheet
from pipelines.core import images
from pipelines.core.errors import Cancelled
from pipelines.worker import Worker

PAIR: dict[str, Any] = {"task": "train-dual", "base": "small", "layout": "mvtec", "defect": DEFECT, "seed": 1}
PAIR |= {"resolution": SIDE, "train_batch_size": 4, "views": 8, "max_train_steps": 400, "learning_rate": 1e-3}
PAIR |= {"text_encoder": False, "rank": 16, "checkpointing_steps": 100, "num_validation_images": 0, "oriented": True}
PAIR |= {"instance_prompt": f"a photo of {DAMAGED} with sks", "part_prompt": "sks"}
MADE = 24
QUANTILE = 0.001
"""Darker than all but this share of the good surface's pixels is damage."""


def damage(picture: np.ndarray, darkest: float) -> np.ndarray:
    """bool: where a picture is darker than the surface, specks left out."""
    dark = (cv2.GaussianBlur(picture.mean(2), (0, 0), 1.0) < darkest).astype(np.uint8)
    return cv2.morphologyEx(dark, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0


def overlap(one: np.ndarray, other: np.ndarray) -> float | None:
    """IoU of two masks; None where both are empty."""
    both = one | other
    return float((one & other).sum() / both.sum()) if both.any() else None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.pairs", description=__doc__)
    parser.add_argument("out", type=Path, help="the folder of bench.learning")
    parser.add_argument("--minutes", type=float, default=120.0, help="stop after so long; call again to go on")
    asked = parser.parse_args(arguments)
    out = asked.out.absolute()
    if not (out / "models" / "small").is_dir():
        raise SystemExit(f"{asked.out} has no trained base: run `python -m bench.learning {asked.out}` first")
    os.environ["FLAWSMITH_MODELS"] = str(out / "models")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with Worker(out / "runs", "cpu", ()) as worker:
        bench = Bench(out, worker, asked.minutes)
        try:
            run = bench.ask("pairs", PAIR)
            wanted = {"task": "dual", "model": run.name, "num_images": MADE, "num_inference_steps": 25, "seed": 11}
            made = bench.make({**wanted, "guidance_scale": 2.0, "scheduler": "ddim", "batch_size": 4})
        except Cancelled:
            print(f"time is up: call again with {asked.out} to go on")
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
