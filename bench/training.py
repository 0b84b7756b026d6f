"""A training step against the loop of diffusers' own LoRA script: same weights, pictures, rank and optimiser.

The peer does in each step what examples/dreambooth/train_dreambooth_lora.py does as it comes: opens and transforms its
pictures, encodes them by the autoencoder and the prompt by the text encoder, predicts, clips, steps, logs. Ours is the
whole of parts/loop, with its checks, log and checkpoint.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench import flops
from bench.harness import Case, Gate

BATCH = 4
RANK = 4
RATE = 1e-4
PROMPT = "a vfx"


def small(folder: Path, side: int, gate: float, steps: int) -> Case:
    """A tiny base on the CPU, its cells 8 px wide as those of real ones."""
    import torch
    from diffusers import AutoencoderKL

    from tests import tiny

    place = tiny.stable_diffusion(folder / "models" / "base")
    torch.manual_seed(0)
    AutoencoderKL(**{**flops.VAE, "block_out_channels": [32, 32, 64, 64]}).save_pretrained(place / "vae")
    return _case(folder, f"LoRA step {side} px b{BATCH}, tiny", side, steps, Gate("faster", gate))


def large(folder: Path) -> Case:
    """SD1.5 at its real size on the GPU, 512 px, batch 4."""
    from bench.diffusion import sd15

    sd15(folder)
    return _case(folder, "LoRA step 512 px b4, SD1.5 size", 512, 20, Gate("faster", 1.5))


def _case(folder: Path, name: str, side: int, steps: int, gate: Gate) -> Case:
    os.environ["FLAWSMITH_MODELS"] = str(folder / "models")
    import torch

    from pipelines.core.device import choose

    device = choose()
    pictures = write_pictures(folder / "data", side)
    ours = Ours(folder, side, steps, device.name)
    theirs = _Script(folder / "models" / "base", pictures, side, device.name, device.dtype)

    def check() -> None:
        """The same latents, noise and words: the same loss, step by step, so that both learn the same."""
        seen = ours.losses
        expected = _Script(folder / "models" / "base", pictures, side, device.name, device.dtype).replayed(ours)
        close = 1e-4 if device.dtype == "float32" else 3e-2
        assert np.allclose(seen[: len(expected)], expected, rtol=close), (seen, expected)

    def peer() -> None:
        theirs.train(steps)

    def mine() -> None:
        start = time.perf_counter()
        ours.train()
        if device.name != "cpu":
            torch.cuda.synchronize()
            each = (time.perf_counter() - start) / steps
            least = flops.floor(flops.step(BATCH, side), torch.cuda.get_device_name())
            if least:
                print(f"     a step in {1000 * each:.1f} ms, all told: {least / each:.0%} of the floor")

    return Case(name, mine, check, gate, peer=peer, clock="process" if device.name == "cpu" else "wall")


def write_pictures(folder: Path, side: int) -> list[Path]:
    """Five pictures of noise, side x side, in a new folder."""
    from pipelines.core import images

    random = np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(5)]
    folder.mkdir()
    for path in paths:
        images.write_png(path, random.integers(0, 255, (side, side, 3), dtype=np.uint8))
    return paths


class Ours:
    """One recipe on the folder's base and pictures; each call trains anew from the beginning, into a run of its own."""

    def __init__(self, folder: Path, side: int, steps: int, device: str, **more: Any) -> None:
        from pipelines.core import intake, requests
        from pipelines.core.assets import Assets
        from pipelines.core.models import Models
        from pipelines.core.owners import Owner
        from pipelines.core.queue import Queue

        fields: dict[str, Any] = {"base": "base", "data": str(folder / "data"), "resolution": side, "rank": RANK}
        fields |= {"learning_rate": RATE, "train_batch_size": BATCH, "max_train_steps": steps, "augment": False}
        fields |= {"text_encoder": False, "num_validation_images": 0, "instance_prompt": PROMPT, **more}
        self.runs, self.owner = folder / "runs", Owner.me()
        self.queue = Queue(self.runs)
        request = intake.from_paths(requests.parse({"task": "train-lora", **fields}), Assets(self.runs))
        assert isinstance(request, requests.TrainLora)
        self.request, self.models = request, Models(device)

    def train(self) -> None:
        """As a worker does it, with the base in memory."""
        from pipelines.core.runs import Run
        from pipelines.train import lora

        run = Run(self.queue, self.queue.submit(self.request, owner=self.owner), self.request, self.owner)
        lora.run(self.request, run, self.models)
        self.folder = run.folder

    def numbers(self) -> int:
        """How many numbers the adapter has."""
        from safetensors.numpy import load_file

        from pipelines.core.adapter_names import WEIGHTS_FILE

        return sum(one.size for one in load_file(self.folder / "weights" / WEIGHTS_FILE).values())

    @property
    def losses(self) -> list[float]:
        import json

        lines = [json.loads(line) for line in (self.folder / "log.jsonl").read_text().splitlines()]
        return [line["loss"] for line in lines if "loss" in line]


class _Script:
    """The script's objects, made once, and its loop."""

    def __init__(self, base: Path, pictures: list[Path], side: int, device: str, dtype: str) -> None:
        import torch
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState
        from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
        from diffusers.optimization import get_scheduler
        from peft import LoraConfig
        from torchvision import transforms
        from transformers import CLIPTextModel, CLIPTokenizer

        AcceleratorState._reset_state(reset_partial_state=False)
        mixed = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}[dtype]
        self.accelerator = Accelerator(cpu=device == "cpu", mixed_precision=mixed)
        kind = getattr(torch, dtype)
        self.tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
        self.text: Any = CLIPTextModel.from_pretrained(base / "text_encoder").to(device, kind).requires_grad_(False)
        self.vae: Any = AutoencoderKL.from_pretrained(base / "vae").to(device, kind).requires_grad_(False)
        self.noise: Any = DDPMScheduler.from_pretrained(base / "scheduler")
        unet: Any = UNet2DConditionModel.from_pretrained(base / "unet").to(device, kind).requires_grad_(False)
        targets = ["to_k", "to_q", "to_v", "to_out.0"]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            unet.add_adapter(
                LoraConfig(r=RANK, lora_alpha=RANK, init_lora_weights="gaussian", target_modules=targets), "learning"
            )
        self.learned = [one for one in unet.parameters() if one.requires_grad]
        for one in self.learned:
            one.data = one.data.float()
        optimizer = torch.optim.AdamW(self.learned, lr=RATE, betas=(0.9, 0.999), weight_decay=1e-2, eps=1e-8)
        self.transforms = transforms.Compose(
            [
                transforms.Resize(side, interpolation=transforms.InterpolationMode.BILINEAR),
                transforms.CenterCrop(side),
                transforms.ToTensor(),
                transforms.Normalize([0.5], [0.5]),
            ]
        )
        self.pictures, self.side = pictures, side
        loader = torch.utils.data.DataLoader(_Rows(self), batch_size=BATCH, shuffle=True, drop_last=True)
        rate = get_scheduler("constant", optimizer=optimizer, num_warmup_steps=0, num_training_steps=1000)
        self.unet, self.optimizer, self.loader, self.rate = self.accelerator.prepare(unet, optimizer, loader, rate)

    def train(self, steps: int) -> None:
        done = 0
        while done < steps:
            for batch in self.loader:
                self.step(batch["pixels"], batch["ids"])
                done += 1
                if done == steps:
                    return

    def step(self, pixels: Any, ids: Any, given: Any = None) -> float:
        """One step; `given` = (latents, noise, timesteps) in the place of its own."""
        import torch
        import torch.nn.functional as F

        with self.accelerator.accumulate(self.unet):
            if given is None:
                latents = self.vae.encode(pixels.to(self.vae.device, self.vae.dtype)).latent_dist.sample()
                latents = latents * self.vae.config.scaling_factor
                noise = torch.randn_like(latents)
                timesteps = torch.randint(0, 1000, (len(latents),), device=latents.device).long()
            else:
                latents, noise, timesteps = given
            noisy = self.noise.add_noise(latents, noise, timesteps)
            words = self.text(ids.to(self.text.device))[0]
            predicted = self.unet(noisy, timesteps, words, return_dict=False)[0]
            loss = F.mse_loss(predicted.float(), noise.float(), reduction="mean")
            self.accelerator.backward(loss)
            if self.accelerator.sync_gradients:
                self.accelerator.clip_grad_norm_(self.learned, 1.0)
            self.optimizer.step()
            self.rate.step()
            self.optimizer.zero_grad()
        return float(loss.detach().item())

    def ids(self) -> Any:
        told = {"padding": "max_length", "max_length": self.tokenizer.model_max_length, "truncation": True}
        return self.tokenizer(PROMPT, return_tensors="pt", **told).input_ids

    def replayed(self, ours: Ours, steps: int = 4) -> list[float]:
        """The losses of the script fed with our latents, noise and timesteps, from our adapter's first numbers."""
        import torch

        from pipelines.core.runs import Beside
        from pipelines.parts import denoising
        from pipelines.train import adapting, lora, material, recipe

        request = ours.request
        quiet = Beside(ours.runs, request)
        found = material.gather(request, quiet)
        losses = []
        with recipe.opened(request, ours.models) as base, adapting.adapter(base, request, quiet) as learner:
            own = {name: one for name, one in self.unet.named_parameters() if one.requires_grad}
            begun = learner.tensors()
            with torch.no_grad():
                for name, one in own.items():
                    one.copy_(begun[f"unet.{name.removeprefix('module.')}"])
            rows = lora.shown(found, request)
            feed = adapting.Adapting(request, base, learner, rows.learned, rows.held, quiet).feed
            for step in range(steps):
                batch = feed.batch(step)
                given = denoising.noised(base, batch.latents, denoising.Levels(), request.seed, step)
                latents = batch.latents.to(base.dtype)
                losses.append(
                    self.step(None, self.ids().repeat(BATCH, 1), (latents, given.noise.to(latents), given.timesteps))
                )
        return losses


class _Rows:
    def __init__(self, script: _Script) -> None:
        self.script = script

    def __len__(self) -> int:
        return 100 * len(self.script.pictures)

    def __getitem__(self, place: int) -> dict[str, Any]:
        from PIL import Image
        from PIL.ImageOps import exif_transpose

        picture = exif_transpose(Image.open(self.script.pictures[place % len(self.script.pictures)]))
        picture = picture if picture.mode == "RGB" else picture.convert("RGB")
        return {"pixels": self.script.transforms(picture), "ids": self.script.ids()[0]}


CPU: dict[str, Callable[[Path], Case]] = {
    "train-64": lambda folder: small(folder, 64, 1.9, 60),
    "train-256": lambda folder: small(folder, 256, 1.25, 8),
}
GPU: dict[str, Callable[[Path], Case]] = {"train": large}
