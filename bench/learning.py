"""Shows that training learns: a small base from random weights, then a defect it never saw by a LoRA in two stages.

`python -m bench.learning OUT [--minutes N]`, on the CPU. Each training is one run in OUT and goes on from its newest
checkpoint when this is called again. Writes OUT/base.png, OUT/learning.png and OUT/learning.json. The surfaces are our
own, at 64 px; nothing is fetched.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.core import images, intake, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import Cancelled
from pipelines.core.requests import Training
from pipelines.core.runs import Run
from pipelines.parts import adapter_files, defects, denoising, families, loop, sheets, surfaces
from pipelines.parts.adapters import Use
from pipelines.parts.chance import generator, picked
from pipelines.parts.family import Family
from pipelines.parts.feed import Feed, Row, Settings, Spoken
from pipelines.parts.loaders import Example
from pipelines.parts.loop import At, Look, Terms
from pipelines.parts.optimizers import Group
from pipelines.train import material, recipe
from pipelines.worker import Worker
from tests import tiny

SIDE, DRAWN = 64, 128
"""Pixels of a picture, and of what it is shrunk from."""
SURFACES = ("brushed", "wood", "leather")
EACH = 200
DAMAGED, DEFECT = "wood", "hole"
GOOD, BAD, UNSEEN = 20, 12, 24
"""Pictures of the data set: good, with the defect, and with the defect of seeds that no training sees."""
WIDTH = 64
LEVELS = tuple(round(0.05 + 0.1 * place, 2) for place in range(10))
DRAWS = 4
"""How often a picture held out is noised at each level."""
COLUMNS = 8
UNNAMED = 0.1
"""Share of the pictures shown without words, so that the base can be guided."""

COMMON: dict[str, Any] = {"task": "train-lora", "resolution": SIDE, "seed": 1}
VAE = {**COMMON, "max_train_steps": 900, "train_batch_size": 8, "learning_rate": 4e-3, "lr_scheduler": "cosine"}
VAE |= {"lr_warmup_steps": 20, "adam_weight_decay": 0.0, "checkpointing_steps": 250, "num_validation_images": 0}
BASE = {**COMMON, "max_train_steps": 1800, "train_batch_size": 16, "learning_rate": 1e-3, "lr_scheduler": "cosine"}
BASE |= {"lr_warmup_steps": 50, "use_ema": True, "ema_decay": 0.995, "checkpointing_steps": 200, "views": 4}
BASE |= {"validation_prompts": [f"a photo of {one}" for one in SURFACES], "validation_steps": 400}
LORA = {**COMMON, "base": "small", "layout": "mvtec", "train_batch_size": 8, "checkpointing_steps": 100}
LORA |= {"lr_warmup_steps": 10, "num_validation_images": 0, "views": 8}
STAGE_1 = {**LORA, "stage": 1, "rank": 8, "max_train_steps": 200, "learning_rate": 1e-3}
STAGE_2 = {**LORA, "stage": 2, "rank": 8, "max_train_steps": 400, "learning_rate": 1e-3}
STAGE_2 |= {"defect": DEFECT, "part_prompt": "sks"}


# -- the pictures


def _shrunk(picture: np.ndarray) -> np.ndarray:
    return np.round(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA) * 255).astype(np.uint8)


def good(surface: str, seed: int) -> np.ndarray:
    return _shrunk(surfaces.make(surface, seed, (DRAWN, DRAWN)).image)


def bad(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A damaged picture, and bool SIDE x SIDE: where."""
    random, mask = np.random.default_rng(seed), np.zeros((DRAWN, DRAWN), np.uint8)
    middle, axes = random.integers(40, DRAWN - 40, 2).tolist(), random.integers(24, 38, 2).tolist()
    cv2.ellipse(mask, middle, axes, float(random.uniform(0, 180)), 0, 360, 1, -1)
    drawing = defects.draw(
        surfaces.make(DAMAGED, seed, (DRAWN, DRAWN)).image, mask > 0, DEFECT, severity=0.8, seed=seed
    )
    grown = cv2.resize(drawing.mask.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return _shrunk(drawing.image), grown > 0


def write_pictures(folder: Path) -> None:
    """Surfaces to learn from, a data set in MVTec's layout, and damaged pictures that no training sees."""

    def put(file: str, pixels: np.ndarray) -> None:
        path = folder / file
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            images.write_png(path, pixels)

    for surface in SURFACES:
        for seed in range(EACH):
            put(f"surfaces/{surface}/{seed:03d}.png", good(surface, seed))
    for number in range(GOOD):
        put(f"part/train/good/{number:03d}.png", good(DAMAGED, 1000 + number))
    for number in range(BAD + UNSEEN):
        picture, mask = bad(2000 + number)
        home = "part" if number < BAD else "unseen"
        put(f"{home}/test/{DEFECT}/{number:03d}.png", picture)
        put(f"{home}/ground_truth/{DEFECT}/{number:03d}_mask.png", mask)


# -- the recipes


class Whole:
    """Half of a recipe of parts/loop: a network that learns with all its weights, saved as diffusers does."""

    def __init__(self, net: Any, rate: float) -> None:
        self.net = net.requires_grad_(True)
        self.groups = [Group("all", list(net.parameters()), rate)]

    def before(self, step: int) -> None:
        """Nothing changes by itself."""

    def hold_back(self) -> None:
        """All may move."""

    def tensors(self) -> dict[str, Tensor]:
        return {name: one.detach() for name, one in self.net.named_parameters()}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        for name, one in self.net.named_parameters():
            one.copy_(tensors[name])

    def aside(self) -> AbstractContextManager[None]:
        return nullcontext()

    def write(self, folder: Path) -> Sequence[str]:
        self.net.save_pretrained(folder)
        return [one.name for one in folder.iterdir()]


class Seeing(Whole):
    """An autoencoder learns to give back pictures [N, 3, H, W] in [-1, 1]; most steps see crops, the last ones all."""

    def __init__(self, request: Training, net: Any, pictures: Tensor) -> None:
        super().__init__(net, request.learning_rate)
        self.request, self.pictures = request, pictures

    def loss(self, at: At) -> Terms:
        draws = generator(self.request.seed, at.batch, "crop")
        batch = self.pictures[picked(self.request.seed, at.batch, self.request.train_batch_size, len(self.pictures))]
        if at.step < 0.8 * (self.request.max_train_steps or 0):
            top, left = torch.randint(0, SIDE // 2, (2,), generator=draws).tolist()
            batch = batch[:, :, top : top + SIDE // 2, left : left + SIDE // 2]
        mean = self.net.encode(batch).latent_dist.mean
        off = self.net.decode(mean + 0.05 * torch.randn(mean.shape, generator=draws)).sample - batch
        return {"pixels": off.abs().mean(), "colour": F.avg_pool2d(off, 4).abs().mean()}

    def look(self, step: int, tick: Callable[[str], None]) -> Look:
        return Look(facts={"psnr": psnr(self.net, self.pictures[::10])})


@torch.no_grad()
def psnr(net: Any, pictures: Tensor) -> float:
    """dB, the mean over pictures [N, 3, H, W] in [-1, 1]."""
    off = net.decode(net.encode(pictures).latent_dist.mean).sample.clamp(-1, 1) - pictures
    return float(-10 * (off.square().mean((1, 2, 3)) / 4).log10().mean())


class Drawing(Whole, recipe.Denoising):
    """The base's denoiser learns with all its weights what recipe.Denoising asks of it."""

    def __init__(self, request: Training, base: Family, run: Run, rows: Sequence[Row]) -> None:
        Whole.__init__(self, base.denoiser, request.learning_rate)
        recipe.Denoising.__init__(self, request, base, run, rows, [], still=True)

    def words(self, batch: Any, at: At) -> Sequence[str]:
        silent = torch.rand(len(batch.prompts), generator=generator(self.request.seed, at.batch, "words")) < UNNAMED
        return ["" if quiet else prompt for prompt, quiet in zip(batch.prompts, silent.tolist(), strict=True)]


# -- the steps, each one run


class Bench:
    """The folder, its worker, and what is asked of it; a step that is done is not done again."""

    def __init__(self, out: Path, worker: Worker, minutes: float) -> None:
        self.out, self.worker, self.until = out, worker, time.monotonic() + 60 * minutes
        self.models = out / "models"

    def between(self) -> None:
        if time.monotonic() > self.until:
            raise Cancelled("time is up")

    def fit(self, name: str, fields: Mapping[str, Any], make: Callable[[Training, Run], Any], rows: int) -> Path:
        """A recipe of ours through the loop, to its weights."""
        request = requests.parse({"base": "sd15", "data": "surfaces", **fields})
        assert isinstance(request, Training)
        queue, owner = self.worker.queue, self.worker.owner
        id = self._id(name, lambda: queue.submit(request, owner=owner))
        if queue.resume(id, owner).state != "done":
            run = Run(queue, id, request, owner, self.between)
            try:
                run.finish(loop.fit(make(request, run), request, rows, run, torch.device("cpu")))
            except Cancelled:
                queue.end(id, owner, "cancelled")
                raise
            queue.end(id, owner, "done")
        return queue.runs / id

    def ask(self, name: str, fields: Mapping[str, Any]) -> Path:
        """A request as anybody's, through the worker, to its run."""
        queue, owner = self.worker.queue, self.worker.owner
        request = intake.from_paths(requests.parse({**fields, "data": str(self.out / "part")}), Assets(queue.runs))
        id = self._id(name, lambda: queue.submit(request, owner=owner))
        row = queue.resume(id, owner)
        row = row if row.state == "done" else self.worker.serve(row)
        if row.state != "done":
            raise SystemExit(f"{name}: {row.sentence}")
        return queue.runs / id

    def _id(self, name: str, submit: Callable[[], str]) -> str:
        note = self.out / f"{name}.run"
        if not note.exists():
            note.write_text(submit())
        return note.read_text()

    def see(self) -> float:
        """models/start: all of a base but its denoiser knows something; returns the autoencoder's PSNR in dB."""
        from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel

        seen = [images.read(path).pixels for path in sorted((self.out / "surfaces").rglob("*.png"))]
        pictures = torch.from_numpy(np.stack(seen)).permute(0, 3, 1, 2).float() / 127.5 - 1
        blocks = (["DownEncoderBlock2D"] * 3, ["UpDecoderBlock2D"] * 3)
        torch.manual_seed(0)
        vae: Any = AutoencoderKL(
            block_out_channels=(16, 32, 32),
            down_block_types=blocks[0],
            up_block_types=blocks[1],
            layers_per_block=1,
            norm_num_groups=8,
            mid_block_add_attention=False,
            sample_size=SIDE,
        )
        run = self.fit("vae", VAE, lambda request, run: Seeing(request, vae, pictures), len(pictures))
        vae = AutoencoderKL.from_pretrained(run / "weights")
        fresh = np.stack([good(surface, 3000 + seed) for surface in SURFACES for seed in range(16)])
        decibels = psnr(vae, torch.from_numpy(fresh).permute(0, 3, 1, 2).float() / 127.5 - 1)
        if (self.models / "start").is_dir():
            return decibels
        with torch.no_grad():
            spread = float(vae.encode(pictures[::5]).latent_dist.mean.std())
        vae.register_to_config(scaling_factor=1 / spread)
        torch.nn.init.constant_(vae.quant_conv.bias[4:], -12.0)  # its latents hardly vary
        torch.nn.init.zeros_(vae.quant_conv.weight[4:])
        text = tiny.text_encoder(width=WIDTH)
        torch.nn.init.normal_(text.get_input_embeddings().weight)  # words stay apart on their way through
        torch.manual_seed(0)
        unet: Any = UNet2DConditionModel(
            block_out_channels=(48, 96),
            layers_per_block=1,
            sample_size=SIDE // 4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=WIDTH,
            attention_head_dim=4,
            norm_num_groups=16,
        )
        tiny.save_tokenizer(self.models / "start" / "tokenizer")
        StableDiffusionPipeline(
            vae=vae,
            text_encoder=text,
            tokenizer=tiny.tokenizer(self.models / "start" / "tokenizer"),
            unet=unet,
            scheduler=tiny.scheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).save_pretrained(self.models / "start")
        tables = (f'[{name}]\npath = "{name}"\ndefaults = {{ guidance_scale = 2.0 }}\n' for name in ("start", "small"))
        (self.models / "bases.toml").write_text("\n".join(tables))
        return decibels

    def draw(self) -> Path:
        """models/small: the denoiser has learned the surfaces."""
        rows = [
            Row(path.name, material.reader(Example(path)), f"a photo of {path.parent.name}")
            for path in sorted((self.out / "surfaces").rglob("*.png"))
        ]
        with families.opened("start", self.worker.models, dtype="float32") as base:
            fields = {**BASE, "base": "start"}
            run = self.fit("base", fields, lambda request, run: Drawing(request, base, run, rows), len(rows))
        if not (self.models / "small").is_dir():
            shutil.copytree(self.models / "start", self.models / "small")
            shutil.copytree(run / "weights", self.models / "small" / "unet", dirs_exist_ok=True)
        return run


# -- what came of it


@torch.no_grad()
def masked(base: Family, rows: Sequence[Row]) -> dict[str, Any]:
    """How far the base is off inside the defect's latent cells and outside, always in the same noise; by level too."""
    feed = Feed(base, rows, Settings(side=SIDE, batch=1, augment=False))
    text = Spoken(base, kept=True)([row.prompt for row in rows])
    inside: list[float] = []
    outside: list[float] = []
    for level in LEVELS:
        sums = torch.zeros(2, 2)
        for draw in range(DRAWS):
            batch = feed.of([(place, 0) for place in range(len(rows))], generator(9, draw, "held out"))
            given = denoising.noised(base, batch.latents, denoising.Levels(level, level + 1e-3), 9, draw)
            off = (base.predict(given.noisy, given.timesteps, text) - given.target).square().mean(1, keepdim=True)
            for place, cells in enumerate((batch.cells, ~batch.cells)):
                sums[place] += torch.stack([off[cells].sum(), cells.sum()])
        inside.append(float(sums[0, 0] / sums[0, 1]))
        outside.append(float(sums[1, 0] / sums[1, 1]))
    return {"inside": float(np.mean(inside)), "outside": float(np.mean(outside)), "inside_by_level": inside}


def compare(bench: Bench, adapters: Mapping[str, Path]) -> dict[str, Any]:
    """Losses and pictures of the base, and with each adapter on it, the same seeds for all; the sheet."""
    unseen = [bench.out / "unseen" / "test" / DEFECT / f"{BAD + number:03d}.png" for number in range(UNSEEN)]

    def rows(prompt: str) -> list[Row]:
        masks = [one.parents[2] / "ground_truth" / DEFECT / f"{one.stem}_mask.png" for one in unseen]
        pairs = zip(unseen, masks, strict=True)
        return [Row(one.name, material.reader(Example(one, mask)), prompt) for one, mask in pairs]

    home, whole = f"a photo of {DAMAGED}", "a vfx with sks"
    asked = {"base": (home, whole), "stage 1": ("a vfx", whole), "stage 2": (whole, "sks", home)}
    losses: dict[str, Any] = {}
    shown = {f"real: {DEFECT}": [images.read(one).pixels for one in unseen[:COLUMNS]]}
    for stage, prompts in asked.items():
        uses = [Use(adapter_files.read(adapters[stage]))] if stage in adapters else []
        with families.opened("small", bench.worker.models, dtype="float32") as base, base.attached(uses):
            for prompt in dict.fromkeys([*prompts, whole]):
                losses[f"{stage}: {prompt}"] = masked(base, rows(prompt))
            made = denoising.samples(base, None, prompts, COLUMNS, 7, SIDE, lambda step: None)
        shown |= {f"{stage}: {prompt}": made[prompt] for prompt in prompts}
    write_sheet(bench.out / "learning.png", shown)
    return losses


def write_sheet(path: Path, shown: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Rows of pictures, three times as large, each pixel a square."""
    large = [[one.repeat(3, 0).repeat(3, 1) for one in row] for row in shown.values()]
    images.write_png(path, sheets.grid(large, list(shown), [""] * COLUMNS, 3 * SIDE))


def logged(run: Path) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in (run / "log.jsonl").read_text().splitlines())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.learning", description=__doc__)
    parser.add_argument("out", type=Path, help="folder for pictures, models, runs and sheets")
    parser.add_argument("--minutes", type=float, default=120.0, help="stop after so long; call again to go on")
    asked = parser.parse_args(arguments)
    out: Path = asked.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    os.environ["FLAWSMITH_MODELS"] = str(out / "models")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    write_pictures(out)
    with Worker(out / "runs", "cpu", ()) as worker:
        bench = Bench(out, worker, asked.minutes)
        try:
            decibels = bench.see()
            run = bench.draw()
        except Cancelled:
            print(f"time is up: call again with {out} to go on")
            return 1
        with families.opened("small", worker.models, dtype="float32") as base:
            prompts = [f"a photo of {one}" for one in SURFACES]
            made = denoising.samples(base, None, prompts, COLUMNS, 7, SIDE, lambda step: None)
        real = {f"real: {one}": [good(one, 3000 + seed) for seed in range(COLUMNS)] for one in SURFACES}
        write_sheet(out / "base.png", {**real, **made})
        first = bench.ask("stage-1", STAGE_1)
        second = bench.ask("stage-2", STAGE_2)
        weights = {"stage 1": first / "weights", "stage 2": second / "weights"}
        files = {stage: next(folder.glob("*.safetensors")) for stage, folder in weights.items()}
        losses = compare(bench, files)
    before, after = (losses[f"{stage}: a vfx with sks"]["inside"] for stage in ("stage 1", "stage 2"))
    steps = [line["loss"] for line in logged(run) if "loss" in line]
    found = {"psnr": decibels, "base_loss": [float(np.mean(steps[:50])), float(np.mean(steps[-50:]))]}
    found |= {"losses": losses, "factor": before / after}
    (out / "learning.json").write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
