"""Shows that control nets steer: nets for edges, depth and normals trained on our surfaces, tried on ones never seen.

`python -m bench.steering OUT [--minutes N]`, on the CPU, after `python -m bench.learning OUT`, whose base they steer.
Edges want surfaces that have some: `python -m bench.learning OUT --base-of terrazzo grid board` makes another base.
Goes on where it stopped when called again. Writes OUT/steering.png (surfaces that no net saw, their maps, and what is
made with the net and without) and OUT/steering.json: how far the map measured again on what was made agrees with the
one that was asked for (Pearson's r), and at strength 0 as the floor. All maps are made from pictures, without weights.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from bench.learning import COLUMNS, SHEET, SIDE, UNNAMED, Bench, cut, taken_on, tensor, write_sheet
from pipelines.core.errors import Cancelled
from pipelines.core.models import Models
from pipelines.parts import conditions, denoising, families, rates, surfaces
from pipelines.parts.chance import generator, picked
from pipelines.parts.conditions import Given
from pipelines.parts.control import Steer
from pipelines.parts.family import Family
from pipelines.parts.sampling import Ask, pixels, sample
from pipelines.worker import Worker

KINDS = ("hed", "depth", "normal")
SEEN, EACH, UNSEEN = range(10, 22), 10, 32
"""Seeds of the sheets that are learned from, pieces of each sheet and surface, and pieces of others for the trial."""
GAIN = {"depth": (1.0, 0.5), "normal": (8.0, 0.5), "hed": (3.0, 0.0)}
"""How much a map is strengthened, and around which value: our surfaces are nearly flat and have soft edges."""
STEPS, BATCH, RATE, SILENT = 1200, 8, 1e-3, UNNAMED
TRIED = (0.0, 1.0)
STEPS_MADE = 20


@dataclass(frozen=True)
class Piece:
    """A square of SIDE of a surface, its words, and its maps, float32 SIDE x SIDE x 3, by kind."""

    pixels: np.ndarray
    words: str
    maps: Mapping[str, np.ndarray]


@cache
def sheet(surface: str, seed: int) -> np.ndarray:
    return surfaces.make(surface, seed, (SHEET, SHEET)).image


def piece(surface: str, seed: int, number: int, models: Models) -> Piece:
    """Its maps are read from the picture, as those of any photograph."""
    whole = sheet(surface, seed)
    top, left = np.random.default_rng(1000 * seed + number).integers(0, SHEET - SIDE, 2).tolist()
    maps = {kind: read(kind, whole[top : top + SIDE, left : left + SIDE], models) for kind in KINDS}
    return Piece(cut(whole, top, left), f"a photo of {surface}", maps)


def read(kind: str, picture: np.ndarray, models: Models) -> np.ndarray:
    """The built-in annotator's map, float32 SIDE x SIDE x 3, of a picture float32 SIDE x SIDE x 3, made plain by GAIN.

    Read from the picture at twice its size: the annotators are tuned for pictures of 512 px.
    """
    large = cv2.resize(picture, (2 * SIDE, 2 * SIDE), interpolation=cv2.INTER_CUBIC)
    found = cv2.resize(
        conditions.annotate(kind, "built-in", Given(large), models).pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA
    )
    gain, rest = GAIN[kind]
    return np.clip((found - np.float32(rest)) * gain + np.float32(rest), 0, 1)


class Steering(Bench):
    """The nets, and what they make of maps."""

    def learn(self, kind: str, base: Family, pieces: Sequence[Piece]) -> Any:
        """The net for a kind of map; trained once and kept in the models folder."""
        from diffusers import ControlNetModel

        place = self.out / "models" / f"net-{kind}"
        if (place / "config.json").is_file():
            return ControlNetModel.from_pretrained(place, local_files_only=True).eval()
        torch.manual_seed(0)
        net: Any = ControlNetModel.from_unet(base.denoiser, conditioning_embedding_out_channels=(16, 32)).train()
        net.requires_grad_(True)
        optimizer = torch.optim.AdamW(net.parameters(), weight_decay=1e-2, fused=True)
        with torch.no_grad():
            seen = tensor([one.pixels for one in pieces])
            latents = torch.cat([base.scaled(base.encode_image(some).mode()) for some in seen.split(20)])
        hints = stacked([one.maps[kind] for one in pieces])
        losses = []
        for step in range(STEPS):
            self.between()
            optimizer.param_groups[0]["lr"] = RATE * rates.factor("cosine", step, STEPS, 20)
            chosen, draws = picked(1, step, BATCH, len(pieces)), generator(1, step, "steering")
            silent = torch.rand(BATCH, generator=draws) < SILENT
            words = ["" if quiet else pieces[one].words for one, quiet in zip(chosen, silent.tolist(), strict=True)]
            given = denoising.noised(base, latents[chosen], denoising.Levels(), 1, step)
            text = base.encode_prompt(words)["prompt_embeds"]
            called = {"encoder_hidden_states": text}
            found = base.residuals(net, hints[chosen], None, [given.noisy, given.timesteps], called)
            answer = base.denoiser(given.noisy, given.timesteps, **called, **found).sample
            loss = (answer - given.target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            losses.append(float(loss.detach()))
        (self.out / f"net-{kind}.json").write_text(json.dumps(losses))
        net.save_pretrained(place)
        return net.eval()


def stacked(maps: Sequence[np.ndarray]) -> Tensor:
    """[N, 3, H, W] in [0, 1]."""
    return torch.from_numpy(np.stack(maps).transpose(0, 3, 1, 2).copy())


def made(base: Family, net: Any, pieces: Sequence[Piece], kind: str, scale: float) -> list[np.ndarray]:
    """What is drawn of each piece's words, steered by its map; the same seeds for every strength."""
    found: list[np.ndarray] = []
    for first in range(0, len(pieces), BATCH):
        some = pieces[first : first + BATCH]
        steer = Steer(net, stacked([one.maps[kind] for one in some]), [scale] * len(some))
        seeds = list(range(40 + first, 40 + first + len(some)))
        words, free = [one.words for one in some], [1.0] * len(some)
        ask = Ask("text", words, seeds, (SIDE, SIDE), STEPS_MADE, free, scheduler="ddim", steers=[steer])
        found += [pixels(one) for one in sample(base, ask, lambda step: None)]
    return found


def agrees(kind: str, asked: np.ndarray, picture: np.ndarray, models: Models) -> float:
    """Pearson's r of a map with what the built-in annotator reads from a picture; of normals both directions."""
    again = read(kind, picture.astype(np.float32) / 255, models)
    channels = (0, 1) if kind == "normal" else (0,)
    return float(np.mean([correlation(asked[..., one], again[..., one]) for one in channels]))


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """0 where one of them is flat."""
    flat = min(float(one.std()), float(other.std())) < 1e-6
    return 0.0 if flat else float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def main(arguments: list[str] | None = None) -> int:
    out, minutes = taken_on("steering", __doc__, arguments)
    found: dict[str, Any] = {}
    shown: dict[str, Sequence[np.ndarray]] = {}
    with Worker(out / "runs", "cpu", ()) as worker, families.opened("small", worker.models, dtype="float32") as base:
        bench = Steering(out, worker, minutes)
        models, names = worker.models, sorted(one.name for one in (out / "surfaces").iterdir())
        seen = [piece(name, seed, number, models) for name in names for seed in SEEN for number in range(EACH)]
        held = [piece(names[number % len(names)], 100 + number, 0, models) for number in range(UNSEEN)]
        shown["never seen"] = [one.pixels for one in held[:COLUMNS]]
        for kind in KINDS:
            try:
                net = bench.learn(kind, base, seen)
            except Cancelled:
                print(f"time is up: call again with {out} to go on")
                return 1
            shown[f"{kind}: asked"] = [np.round(one.maps[kind] * 255).astype(np.uint8) for one in held[:COLUMNS]]
            reached: dict[str, list[float]] = {}
            for scale in TRIED:
                pictures = made(base, net, held, kind, scale)
                shown[f"{kind} x {scale:g}"] = pictures[:COLUMNS]
                reached[f"strength {scale:g}"] = [
                    agrees(kind, one.maps[kind], picture, models) for one, picture in zip(held, pictures, strict=True)
                ]
            found[kind] = {name: round(float(np.median(values)), 3) for name, values in reached.items()}
            print(kind, found[kind], flush=True)
    write_sheet(out / "steering.png", shown)
    (out / "steering.json").write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
