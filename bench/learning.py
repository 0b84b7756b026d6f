"""Shows that training learns: a small base from random weights, then a defect it never saw by a LoRA in two stages.

`python -m bench.learning OUT [--minutes N] [--base-of SURFACE ...]`, on the CPU. Each training is one run in OUT and
goes on from its newest checkpoint when this is called again. Writes OUT/base.png, OUT/learning.png and
OUT/learning.json. The surfaces are our own, one sheet each, in pieces of 64 px; nothing is fetched.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from pipelines.core import images, intake, requests
from pipelines.core.adapter_names import WEIGHTS_FILE
from pipelines.core.assets import Assets
from pipelines.core.errors import Cancelled
from pipelines.core.requests import Training
from pipelines.core.runs import Run
from pipelines.parts import adapter_files, defects, denoising, families, loop, rates, sheets, surfaces
from pipelines.parts.adapters import Use
from pipelines.parts.chance import generator, picked
from pipelines.parts.family import Family
from pipelines.parts.feed import Batch, Feed, Row, Settings
from pipelines.parts.lessons import At
from pipelines.parts.loaders import Example
from pipelines.parts.optimizers import Group
from pipelines.train import material, recipe
from pipelines.worker import Worker
from tests import tiny

SIDE, SHEET = 64, 512  # pixels of a picture, and of the sheet of one surface that it is cut out of
SURFACES, EACH = {"brushed": 1, "wood": 5, "leather": 2}, 300  # with the seed of its sheet
DAMAGED, DEFECT = "wood", "hole"
GOOD, BAD, UNSEEN = 20, 12, 24
"""Pictures of the data set: good, with the defect, and with the defect of seeds that no training sees."""
WIDTH, COLUMNS = 64, 8  # of the text encoder; of a sheet
LEVELS, DRAWS = tuple(0.05 + 0.1 * place for place in range(10)), 2
"""Shares of the schedule at which pictures held out are noised, each so often."""
LATENTS, LARGE = 4, 30.0  # of the 12 numbers of 2 x 2 px; a constant beside latents that vary by 1
UNNAMED = 0.1  # share of the pictures shown without words, so that the base can be guided

COMMON: dict[str, Any] = {"task": "train-lora", "resolution": SIDE, "seed": 1}
BASE = {**COMMON, "base": "start", "data": "surfaces", "max_train_steps": 1400, "train_batch_size": 8, "augment": False}
BASE |= {"learning_rate": 1e-3, "lr_scheduler": "cosine", "lr_warmup_steps": 50, "use_ema": True, "ema_decay": 0.99}
BASE |= {"checkpointing_steps": 100, "validation_steps": 350}
LORA = {**COMMON, "base": "small", "layout": "mvtec", "train_batch_size": 8, "views": 8, "num_validation_images": 0}
LORA |= {"rank": 16, "learning_rate": 1e-3, "text_encoder": False, "oriented": True}
STAGE_1 = {**LORA, "stage": 1, "max_train_steps": 60}
STAGE_2 = {**STAGE_1, "stage": 2, "max_train_steps": 400, "defect": DEFECT, "part_prompt": "sks"}


def cut(pixels: np.ndarray, top: int, left: int) -> np.ndarray:
    """A picture's square of SIDE, uint8."""
    return np.round(pixels[top : top + SIDE, left : left + SIDE] * 255).astype(np.uint8)


@cache
def sheet(surface: str) -> np.ndarray:
    return surfaces.make(surface, SURFACES.get(surface, 1), (SHEET, SHEET)).image


def good(surface: str, seed: int) -> np.ndarray:
    top, left = np.random.default_rng(seed).integers(0, SHEET - SIDE, 2).tolist()
    return cut(sheet(surface), top, left)


def bad(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A damaged picture, and bool SIDE x SIDE: where."""
    random, mask = np.random.default_rng(seed), np.zeros((2 * SIDE, 2 * SIDE), np.uint8)
    top, left = random.integers(0, SHEET - 2 * SIDE, 2).tolist()
    around = sheet(DAMAGED)[top : top + 2 * SIDE, left : left + 2 * SIDE]
    middle, axes = random.integers(SIDE - 14, SIDE + 14, 2).tolist(), random.integers(12, 19, 2).tolist()
    cv2.ellipse(mask, middle, axes, float(random.uniform(0, 180)), 0, 360, 1, -1)
    drawing = defects.draw(around, mask > 0, DEFECT, severity=0.8, seed=seed)
    half = SIDE // 2
    return cut(drawing.image, half, half), cut(drawing.mask.astype(np.float32), half, half) > 0


def write_pictures(folder: Path, names: Sequence[str]) -> None:
    """Surfaces to learn from, a data set in MVTec's layout, and damaged pictures that no training sees."""
    found = {f"surfaces/{one}/{seed:03d}": good(one, seed) for one in names for seed in range(EACH)}
    found |= {f"part/train/good/{number:03d}": good(DAMAGED, 1000 + number) for number in range(GOOD)}
    for number in range(BAD + UNSEEN):
        home = "part" if number < BAD else "unseen"
        pair = (f"{home}/test/{DEFECT}/{number:03d}", f"{home}/ground_truth/{DEFECT}/{number:03d}_mask")
        found |= zip(pair, bad(2000 + number), strict=True)
    for name, pixels in found.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        images.write_png(folder / f"{name}.png", pixels)


def tensor(pictures: Sequence[np.ndarray]) -> Tensor:
    """[N, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def principal(rows: Tensor, count: int) -> Tensor:
    """[count, D]: the main directions of rows [N, D], each as long as makes what it measures vary by 1."""
    values, directions = torch.linalg.eigh(torch.cov(rows.T))
    return (directions[:, -count:] / values[-count:].sqrt()).T.flip(0)


@torch.no_grad()
def set_encoder(vae: Any, pictures: Tensor) -> None:
    """Exact principal components of 2 x 2 px, by what the layers can do: z = silu(z) - silu(-z), and beside each +-z
    stands a constant so large that the norm of its group hardly depends on the picture."""
    squares = torch.nn.functional.pixel_unshuffle(pictures, 2)
    main = principal(squares.movedim(1, -1).flatten(0, -2), LATENTS)
    middle = main @ squares.mean((0, 2, 3))
    encoder = vae.encoder
    for one in encoder.modules():
        if type(one).__name__ == "ResnetBlock2D":
            torch.nn.init.zeros_(one.conv2.weight), torch.nn.init.zeros_(one.conv2.bias)
    half, shortcut = encoder.down_blocks[0].downsamplers[0].conv, encoder.down_blocks[1].resnets[0].conv_shortcut
    for one in (encoder.conv_in, half, shortcut, encoder.conv_out, vae.quant_conv):
        torch.nn.init.zeros_(one.weight), torch.nn.init.zeros_(one.bias)
    encoder.conv_in.bias[3] = 1.0  # the constant goes along as one more channel
    half.weight[12, 3, 0, 0] = 1.0
    for channel in range(3):
        encoder.conv_in.weight[channel, channel, 1, 1] = 1.0
        for corner in range(4):
            half.weight[4 * channel + corner, channel, corner // 2, corner % 2] = 1.0
    encoder.conv_norm_out.weight.fill_(((LARGE**2 + 1) / 2) ** 0.5)
    torch.nn.init.zeros_(encoder.conv_norm_out.bias)
    for place in range(LATENTS):
        for sign, row in ((1.0, 4 * place), (-1.0, 4 * place + 1)):
            shortcut.weight[row, :12, 0, 0], shortcut.bias[row] = sign * main[place], -sign * middle[place]
            shortcut.weight[row + 2, 12] = sign * LARGE
            encoder.conv_out.weight[place, row, 1, 1] = sign
        vae.quant_conv.weight[place, place] = 1.0
    vae.quant_conv.bias[LATENTS:] = -12.0  # the logarithm of how much its latents vary by chance


def autoencoder(pictures: Tensor, steps: int = 800, batch: int = 8, rate: float = 4e-3) -> Any:
    """Encodes as reckoned; learns to decode, first crops of pictures [N, 3, H, W] in [-1, 1], at last all of them."""
    from diffusers import AutoencoderKL

    sizes: dict[str, Any] = {"block_out_channels": (16, 32), "norm_num_groups": 8, "sample_size": SIDE}
    sizes |= {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
    torch.manual_seed(0)
    vae: Any = AutoencoderKL(**sizes, mid_block_add_attention=False, scaling_factor=1.0)
    set_encoder(vae, pictures)
    with torch.no_grad():
        latents = torch.cat([vae.encode(some).latent_dist.mean for some in pictures.split(20)])
    learned = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    optimizer = torch.optim.AdamW(learned, weight_decay=0.0, fused=True)
    cells = SIDE // 4
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * rates.factor("cosine", step, steps, 20)
        draws, chosen = generator(1, step, "crop"), picked(1, step, batch, len(pictures))
        seen, given = pictures[chosen], latents[chosen]
        if step < 0.7 * steps:
            top, left = torch.randint(0, cells + 1, (2,), generator=draws).tolist()
            given = given[:, :, top : top + cells, left : left + cells]
            seen = seen[:, :, 2 * top : 2 * (top + cells), 2 * left : 2 * (left + cells)]
        off = vae.decode(given + 0.02 * torch.randn(given.shape, generator=draws)).sample - seen
        optimizer.zero_grad()
        (off.abs().mean() + torch.nn.functional.avg_pool2d(off, 4).abs().mean()).backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
    return vae


def save_start(folder: Path, vae: Any) -> None:
    """A base that sees, and has yet to learn everything else."""
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel

    text = tiny.text_encoder(width=WIDTH)
    torch.nn.init.normal_(text.get_input_embeddings().weight)  # words stay apart on their way through
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"block_out_channels": (32, 64, 128), "layers_per_block": 1, "norm_num_groups": 16}
    sizes |= {"sample_size": SIDE // 2, "cross_attention_dim": WIDTH, "attention_head_dim": 4}
    sizes |= {"down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D")}
    unet: Any = UNet2DConditionModel(**sizes, up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"))
    tiny.save_tokenizer(folder / "tokenizer")
    parts: dict[str, Any] = {"tokenizer": tiny.tokenizer(folder / "tokenizer"), "text_encoder": text, "unet": unet}
    parts |= {"scheduler": tiny.scheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True), "vae": vae}
    parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    StableDiffusionPipeline(**parts).save_pretrained(folder)
    (folder.parent / "bases.toml").write_text("\n".join(entry(name) for name in ("start", "small")))


def entry(name: str) -> str:
    """A base's lines in the models folder's table."""
    return f'[{name}]\npath = "{name}"\ndefaults = {{ guidance_scale = 1.0 }}\n'


class Drawing(recipe.Denoising):
    """The base's denoiser learns, with all its weights, to draw what it is shown."""

    def __init__(self, request: Training, base: Family, run: Run, rows: Sequence[Row]) -> None:
        super().__init__(request, base, run, rows, [], still=True)
        self.net = base.denoiser.requires_grad_(True)
        self.groups = [Group("unet", list(self.net.parameters()), request.learning_rate)]

    def words(self, batch: Batch, at: At) -> Sequence[str]:
        silent = torch.rand(len(batch.prompts), generator=generator(self.request.seed, at.batch, "words")) < UNNAMED
        return ["" if quiet else prompt for prompt, quiet in zip(batch.prompts, silent.tolist(), strict=True)]

    def tensors(self) -> dict[str, Tensor]:
        return dict(self.net.state_dict())

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        self.net.load_state_dict(tensors)

    def aside(self) -> AbstractContextManager[None]:
        return nullcontext()

    def write(self, folder: Path) -> Sequence[str]:
        self.net.save_pretrained(folder)
        return [one.name for one in folder.iterdir()]


class Bench:
    """The folder, who works in it, and until when. Each training is one run; one that is done is not done again."""

    def __init__(self, out: Path, worker: Worker, minutes: float) -> None:
        self.out, self.worker, self.until = out, worker, time.monotonic() + 60 * minutes

    def between(self) -> None:
        if time.monotonic() > self.until:
            raise Cancelled("time is up")

    def draw(self) -> float:
        """models/small has learned the surfaces; its autoencoder's PSNR in dB on pictures that none has seen."""
        paths = sorted((self.out / "surfaces").rglob("*.png"))
        if not (self.out / "models" / "start").is_dir():
            save_start(self.out / "models" / "start", autoencoder(tensor([images.read(one).pixels for one in paths])))
        self.taught("base", BASE, "small", self.surfaces())
        names = sorted(one.name for one in (self.out / "surfaces").iterdir())
        real = {f"real: {one}": [good(one, 3000 + seed) for seed in range(COLUMNS)] for one in names}
        with families.opened("small", self.worker.models, dtype="float32") as base:
            prompts = [f"a photo of {one}" for one in names]
            made = denoising.samples(base, None, prompts, COLUMNS, 7, SIDE, lambda step: None)
            write_sheet(self.out / "base.png", {**real, **made})
            seen = tensor([one for pictures in real.values() for one in pictures])
            with torch.no_grad():
                off = base.decode(base.scaled(base.encode_image(seen).mode())) - seen
            return float(-10 * (off.square().mean((1, 2, 3)) / 4).log10().mean())

    def surfaces(self) -> list[Row]:
        """The good pictures, each called by its surface."""
        paths = sorted((self.out / "surfaces").rglob("*.png"))
        return [Row(one.name, material.reader(Example(one)), f"a photo of {one.parent.name}") for one in paths]

    def taught(self, name: str, fields: Mapping[str, Any], made: str, rows: Sequence[Row]) -> None:
        """models/`made` is the request's base after it has learned, with all its weights, to draw the rows."""
        request: Any = requests.parse(fields)
        run, done = self._taken_up(name, request)
        if not done:
            with families.opened(request.base, self.worker.models, dtype="float32") as base:
                try:
                    run.finish(loop.fit(Drawing(request, base, run, rows), request, len(rows), run, base.device))
                except Cancelled:
                    self.worker.queue.end(run.id, self.worker.owner, "cancelled")
                    raise
            self.worker.queue.end(run.id, self.worker.owner, "done")
        place = self.out / "models" / made
        if not place.is_dir():
            shutil.copytree(self.out / "models" / request.base, place)
            shutil.copytree(run.folder / "weights", place / "unet", dirs_exist_ok=True)

    def ask(self, name: str, fields: Mapping[str, Any]) -> Path:
        """The run of a training as anybody's, through the worker."""
        request = requests.parse({**fields, "data": str(self.out / "part")})
        run, done = self._taken_up(name, intake.from_paths(request, Assets(self.worker.queue.runs)))
        row = self.worker.queue.get(run.id)
        if not done and (row := self.worker.serve(row)).state != "done":
            raise SystemExit(f"{name}: {row.sentence}")
        return run.folder

    def make(self, asked: Mapping[str, Any]) -> Path:
        """The run of pictures as anybody's, through the worker."""
        self.between()
        request = intake.from_paths(requests.parse(asked), Assets(self.worker.queue.runs))
        row = self.worker.serve(self.worker.queue.get(self.worker.queue.submit(request, owner=self.worker.owner)))
        if row.state != "done":
            raise SystemExit(f"{row.task}: {row.sentence}")
        return self.worker.queue.runs / row.id

    def _taken_up(self, name: str, request: Any) -> tuple[Run, bool]:
        """The run of that name, begun when there is none; and whether it is done."""
        self.between()
        note, queue, owner = self.out / f"{name}.run", self.worker.queue, self.worker.owner
        if not note.exists():
            note.write_text(queue.submit(request, owner=owner))
        done = queue.resume(note.read_text(), owner).state == "done"
        return Run(queue, note.read_text(), request, owner, self.between), done

    def compare(self, adapters: Mapping[str, Path]) -> dict[str, Any]:
        """Losses and pictures of the base, and with each adapter on it, the same seeds for all; the sheet."""
        home, whole, unseen = f"a photo of {DAMAGED}", "a vfx with sks", self.out / "unseen"
        losses: dict[str, Any] = {}
        masks = sorted((unseen / "ground_truth" / DEFECT).iterdir())
        examples = [Example(*two) for two in zip(sorted((unseen / "test" / DEFECT).iterdir()), masks, strict=True)]
        shown = {f"real: {DEFECT}": [images.read(one.image).pixels for one in examples[:COLUMNS]]}
        asked = {"base": (home, whole), "stage 1": ("a vfx", whole), "stage 2": ("a vfx", whole, "sks", home)}
        for stage, prompts in asked.items():
            uses = [Use(adapter_files.read(adapters[stage] / "weights" / WEIGHTS_FILE))] if stage in adapters else []
            with families.opened("small", self.worker.models, dtype="float32") as base, base.attached(uses):
                for prompt in prompts:
                    losses[f"{stage}: {prompt}"] = masked(base, examples, prompt)
                made = denoising.samples(base, None, prompts, COLUMNS, 7, SIDE, lambda step: None)
            shown |= {f"{stage}: {prompt}": made[prompt] for prompt in prompts}
        write_sheet(self.out / "learning.png", shown)
        return losses


@torch.no_grad()
def masked(base: Family, examples: Sequence[Example], prompt: str) -> dict[str, Any]:
    """How far the base is off in the defect's latent cells and elsewhere, always in the same noise; by level too."""
    rows = [Row(one.image.name, material.reader(one), prompt) for one in examples]
    feed = Feed(base, rows, Settings(side=SIDE, batch=1, augment=False))
    text = base.encode_prompt([prompt] * len(rows))
    sums = torch.zeros(len(LEVELS), 2, 2)
    for place, level in enumerate(LEVELS):
        for draw in range(DRAWS):
            batch = feed.of([(row, 0) for row in range(len(rows))], generator(9, draw, "held out"))
            given = denoising.noised(base, batch.latents, denoising.Levels(level, level + 1e-3), 9, draw)
            off = (base.predict(given.noisy, given.timesteps, text) - given.target).square().mean(1, keepdim=True)
            for part, cells in enumerate((batch.cells, ~batch.cells)):
                sums[place, part] += torch.stack([off[cells].sum(), cells.sum()])
    inside, outside = (sums[..., 0] / sums[..., 1]).T
    return {"inside": float(inside.mean()), "outside": float(outside.mean()), "inside_by_level": inside.tolist()}


def write_sheet(path: Path, shown: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Rows of pictures, three times as large."""
    large = [[one.repeat(3, 0).repeat(3, 1) for one in row] for row in shown.values()]
    images.write_png(path, sheets.grid(large, list(shown), [""] * COLUMNS, 3 * SIDE))


def taken_on(name: str, told: str | None, arguments: list[str] | None) -> tuple[Path, float]:
    """The folder of this bench, whose base another one takes on, and its minutes. Raises SystemExit without a base."""
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=told)
    parser.add_argument("out", type=Path, help="the folder of bench.learning")
    parser.add_argument("--minutes", type=float, default=120.0, help="stop after so long; call again to go on")
    asked = parser.parse_args(arguments)
    if not (asked.out / "models" / "small").is_dir():
        raise SystemExit(f"{asked.out} has no trained base: run `python -m bench.learning {asked.out}` first")
    return prepared(asked.out), asked.minutes


def prepared(out: Path) -> Path:
    """The whole path of the folder, its models those of the studio; one thread, so that two benches go side by side."""
    out = out.absolute()
    os.environ["FLAWSMITH_MODELS"] = str(out / "models")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return out


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.learning", description=__doc__)
    parser.add_argument("out", type=Path, help="folder for pictures, models, runs and sheets")
    parser.add_argument("--minutes", type=float, default=120.0, help="stop after so long; call again to go on")
    parser.add_argument("--base-of", nargs="+", metavar="SURFACE", help="only learn a base, of other surfaces")
    asked = parser.parse_args(arguments)
    out = prepared(asked.out)
    if not (out / "unseen").is_dir():
        write_pictures(out, asked.base_of or list(SURFACES))
    with Worker(out / "runs", "cpu", ()) as worker:
        bench = Bench(out, worker, asked.minutes)
        try:
            found: dict[str, Any] = {"psnr": bench.draw()}
            if asked.base_of:
                return 0
            stages = {"stage 1": STAGE_1, "stage 2": STAGE_2}
            adapters = {name: bench.ask(name.replace(" ", "-"), one) for name, one in stages.items()}
        except Cancelled:
            print(f"time is up: call again with {asked.out} to go on")
            return 1
        found["losses"] = bench.compare(adapters)
    before, after = (found["losses"][f"{stage}: a vfx with sks"] for stage in ("base", "stage 2"))
    found["factor"] = {where: before[where] / after[where] for where in ("inside", "outside")}
    (out / "learning.json").write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
