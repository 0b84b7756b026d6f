"""Shows what each loss of DefectFill is for: a small base that inpaints, then the same defect with each left out once.

`python -m bench.filling OUT [--minutes N]`, on the CPU, after `python -m bench.learning OUT`, whose base it takes on
from 4 to 9 channels. Goes on where it stopped when called again. Writes OUT/filling.png (what each paints into parts it
never saw, and where it looked), OUT/attention.png (how much it looks at the defect, by steps) and OUT/filling.json.
"""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from bench.learning import BASE, COLUMNS, DAMAGED, DEFECT, SIDE, Bench, bad, entry, good, taken_on, write_sheet
from pipelines.core import images
from pipelines.core.errors import Cancelled
from pipelines.worker import Worker

HOLES = {**BASE, "base": "begun", "max_train_steps": 500, "validation_steps": 500, "num_validation_images": 0}
FILL: dict[str, Any] = {"task": "train-defectfill", "base": "holes", "layout": "mvtec", "defect": DEFECT, "seed": 1}
FILL |= {"resolution": SIDE, "train_batch_size": 4, "views": 8, "max_train_steps": 200, "learning_rate": 2e-3}
FILL |= {"object": DAMAGED, "text_encoder": False, "rank": 8, "oriented": True, "attention_loss_weight": 2.0}
FILL |= {"checkpointing_steps": 100, "validation_steps": 25}
FILL |= {"num_validation_images": 1, "instance_prompt": "a photo of {object} with {word}"}
FILL |= {"part_prompt": "a photo of {word}"}
# The published 0.05 is for SD, whose loss inside the mask is about 0.1; this base's begins at 4.
LEFT_OUT: dict[str, dict[str, Any]] = {
    "all three losses": {},
    "without attention": {"attention_loss_weight": 0.0},
    "without object": {"object_loss_weight": 0.0},
    "without defect": {"defect_loss_weight": 0.0},
}
COLOURS = ((40, 90, 200), (200, 60, 50), (30, 150, 90), (150, 90, 190))
CHART = (360, 720)


class Filling(Bench):
    """The base that inpaints, and what each choice of losses makes of it."""

    def begin(self) -> None:
        """models/holes paints surfaces into holes: models/small with five more channels, trained on random boxes."""
        begun, small = (self.out / "models" / name for name in ("begun", "small"))
        if not begun.is_dir():
            shutil.copytree(small, begun)
            widen(begun)
            table = self.out / "models" / "bases.toml"
            table.write_text(table.read_text() + "".join(f"\n{entry(name)}" for name in ("begun", "holes")))
        self.taught("holes", HOLES, "holes", self.surfaces())

    def learn(self, name: str, fields: Mapping[str, Any]) -> Path:
        """The run that trained with these fields."""
        return self.ask(f"fill {name}".replace(" ", "-"), {**FILL, **fields})

    def paint(self, name: str, run: Path) -> list[np.ndarray]:
        """Defects in parts that it never saw, by the studio's own `inpaint`."""
        found = []
        for number in range(COLUMNS):
            picture, mask = self.out / f"new-{number}.png", self.out / f"new-{number}-mask.png"
            if not mask.exists():
                images.write_png(picture, good(DAMAGED, 4000 + number))
                images.write_png(mask, bad(5000 + number)[1])
            asked: dict[str, Any] = {"task": "inpaint", "base": "holes"}
            asked |= {"image": str(picture), "mask": str(mask), "defect": DEFECT}
            asked |= {"adapters": [{"path": run.name}], "prompt": f"a photo of {DAMAGED} with sks", "seed": 11 + number}
            asked |= {"feather_px": 1, "guidance_scale": 1.0, "num_inference_steps": 20, "scheduler": "ddim"}
            folder = self.make(asked)
            found.append(images.read(folder / "images/00000.png").pixels)
        return found


def widen(folder: Path) -> None:
    """The UNet takes mask and masked latents too; what it does not know yet counts for nothing."""
    from diffusers import UNet2DConditionModel

    old: Any = UNet2DConditionModel.from_pretrained(folder / "unet", local_files_only=True)
    new: Any = UNet2DConditionModel.from_config({**old.config, "in_channels": 9})
    state = old.state_dict()
    wide = torch.zeros_like(new.conv_in.weight)
    wide[:, :4] = state["conv_in.weight"]
    new.load_state_dict({**state, "conv_in.weight": wide})
    new.save_pretrained(folder / "unet")
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace('"StableDiffusionPipeline"', '"StableDiffusionInpaintPipeline"'))


def followed(run: Path) -> list[tuple[int, float]]:
    """(step, share of the attention that lies on the defect)."""
    lines = (json.loads(line) for line in (run / "log.jsonl").read_text().splitlines())
    return [(line["step"], line["attention_inside"]) for line in lines if "attention_inside" in line]


def last_maps(run: Path) -> list[np.ndarray]:
    """Four pictures, each beside where it looked in it at the end: the first and the third of its attention view."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    files = next(line["samples"]["@attention"] for line in reversed(lines) if "@attention" in line.get("samples", {}))
    views = [images.read(run / file).pixels for file in files]
    return [one[:, at : at + SIDE] for one in views for at in (0, 2 * SIDE)]


def chart(curves: Mapping[str, Sequence[tuple[int, float]]]) -> np.ndarray:
    """uint8: each curve over its steps, from 0 to the highest."""
    height, width = CHART
    top, last = max(y for one in curves.values() for _, y in one), max(x for one in curves.values() for x, _ in one)
    drawn = np.full((height, width, 3), 255, np.uint8)
    for share in (0.25, 0.5, 0.75, 1.0):
        y = round(height - 30 - share * (height - 60))
        cv2.line(drawn, (50, y), (width - 10, y), (225, 225, 225), 1)
        cv2.putText(
            drawn, f"{share * top:.2f}", (6, y + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (80, 80, 80), 1, cv2.LINE_AA
        )
    for number, (name, curve) in enumerate(curves.items()):
        places = [(50 + x / last * (width - 60), height - 30 - y / top * (height - 60)) for x, y in curve]
        cv2.polylines(drawn, [np.round(places).astype(np.int32)], False, COLOURS[number], 2, cv2.LINE_AA)
        write(drawn, name, (60 + 165 * number, height - 8), COLOURS[number])
    return drawn


def write(drawn: np.ndarray, text: str, place: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(drawn, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)


def main(arguments: list[str] | None = None) -> int:
    out, minutes = taken_on("filling", __doc__, arguments)
    with Worker(out / "runs", "cpu", ()) as worker:
        bench = Filling(out, worker, minutes)
        try:
            bench.begin()
            runs = {name: bench.learn(name, fields) for name, fields in LEFT_OUT.items()}
            painted = {name: bench.paint(name, run) for name, run in runs.items()}
        except Cancelled:
            print(f"time is up: call again with {out} to go on")
            return 1
    before = [images.read(out / f"new-{number}.png").pixels for number in range(COLUMNS)]
    masks = [images.read_mask(out / f"new-{number}-mask.png") for number in range(COLUMNS)]
    shown = {
        "real defects": [bad(2000 + number)[0] for number in range(COLUMNS)],
        "good part": before,
        "mask": [np.repeat(one[..., None].astype(np.uint8) * 255, 3, axis=2) for one in masks],
        **painted,
        **{f"looks: {name}": last_maps(run) for name, run in runs.items()},
    }
    write_sheet(out / "filling.png", shown)
    curves = {name: followed(run) for name, run in runs.items()}
    images.write_png(out / "attention.png", chart(curves))
    inside = {name: [darker(one, two, mask) for one, two, mask in zip(before, made, masks, strict=True)]
              for name, made in painted.items()}  # fmt: skip
    found = {"attention_inside": curves, "darker_inside": inside}
    (out / "filling.json").write_text(json.dumps(found, indent=1))
    print(json.dumps({name: [curve[0], curve[-1]] for name, curve in curves.items()}, indent=1))
    return 0


def darker(before: np.ndarray, after: np.ndarray, mask: np.ndarray) -> float:
    """By how many grey levels the area became darker: a hole is dark."""
    return float((before.astype(float) - after)[mask].mean())


if __name__ == "__main__":
    sys.exit(main())
