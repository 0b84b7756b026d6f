"""Cases with weights: batches of pictures, switching bases and adapters. On a CPU tiny models, on a GPU SD1.5's size.

Weights are random: what is timed does not depend on them. The peer is the loop one would write with diffusers'
pipeline, one picture at a time and saved by Pillow; a script of one's own takes its place with --peer-script.
"""

import gc
import os
import runpy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench import flops
from bench.harness import Case, Gate

PROMPT = "a photo of a part with scratch"
PEER: Path | None = None
"""What --peer-script named."""


def batch(folder: Path) -> Case:
    """Eight pictures of 64 px, from the request in line to the files written, against the plain pipeline loop."""
    import torch
    from diffusers import AutoencoderKL

    from tests import tiny

    tiny.stable_diffusion(folder / "models" / "base")
    torch.manual_seed(0)
    # Cells of 8 px as every real base has them; the tests' tiny one has cells of 2 px, 16 times as many.
    AutoencoderKL(**{**flops.VAE, "block_out_channels": [32, 32, 64, 64]}).save_pretrained(
        folder / "models" / "base" / "vae"
    )
    return _pictures(folder, side=64, steps=4, count=8, gate=Gate("faster", 1.8), name="8 pictures 64 px, tiny")


def _pictures(folder: Path, *, side: int, steps: int, count: int, gate: Gate, name: str) -> Case:
    os.environ["FLAWSMITH_MODELS"] = str(folder / "models")
    import torch
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    from bench.cases import answering
    from pipelines.core import images
    from pipelines.core.device import choose

    device = choose()
    pipe: Any = StableDiffusionPipeline.from_pretrained(
        folder / "models" / "base", safety_checker=None, dtype=getattr(torch, device.dtype), local_files_only=True
    ).to(device.name)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, timestep_spacing="leading")
    pipe.set_progress_bar_config(disable=True)
    made: list[Path] = []
    answer = answering(folder / "runs", device.name)
    script = runpy.run_path(str(PEER)) if PEER else {}

    def ours() -> None:
        asked = {"width": side, "height": side, "num_inference_steps": steps, "scheduler": "ddim", "batch_size": count}
        asked |= {"guidance_scale": 7.5, "guidance_rescale": 0.0}
        made.append(answer({"task": "text", "base": "base", "prompt": PROMPT, "num_images": count, **asked}))

    def plain() -> None:
        out = folder / "peer"
        out.mkdir(exist_ok=True)
        for seed in range(count):
            more = {"width": side, "height": side, "num_inference_steps": steps, "guidance_scale": 7.5}
            one = pipe(PROMPT, generator=torch.Generator().manual_seed(seed), **more).images[0]
            one.save(out / f"{seed:05d}.png")

    def peer() -> None:
        if script:
            script["run"](folder / "models" / "base", PROMPT, list(range(count)), side, steps, folder / "peer")
        else:
            plain()

    def check() -> None:
        plain()
        for seed in range(count):
            mine = images.read(made[-1] / "images" / f"{seed:05d}.png").pixels
            theirs = images.read(folder / "peer" / f"{seed:05d}.png").pixels
            apart = np.abs(mine.astype(int) - theirs)
            # In 16-bit numbers a batch rounds otherwise than single pictures do; in 32 bit it does not.
            assert apart.max() <= 1 if device.dtype == "float32" else np.percentile(apart, 99) <= 8, f"picture {seed}"

    return Case(name, ours, check, gate, peer=peer, clock="process" if device.name == "cpu" else "wall")


def model_switch(folder: Path) -> Case:
    """Two bases with a tenth of SD1.5's UNet in turn, both in memory, against loading each anew."""
    for seed, name in enumerate(("one", "two")):
        sd15(folder, name=name, seed=seed, width=96)
    return _switch(folder, Gate("slower", 0.05), "model switch, cached")


def _switch(folder: Path, gate: Gate, name: str) -> Case:
    os.environ["FLAWSMITH_MODELS"] = str(folder / "models")
    from pipelines.core.models import Models
    from pipelines.parts import families

    models = Models()

    def both() -> list[int]:
        seen = []
        for base in ("one", "two"):
            with families.opened(base, models) as opened:
                opened.pipeline("text")
                seen.append(id(opened.denoiser))
        return seen

    def cold() -> None:
        models.release_all()
        both()

    def check() -> None:
        assert both() == both(), "a cached base was loaded again"
        assert len(set(both())) == 2

    return Case(name, both, check, gate, peer=cold, clock="wall")


def adapter_switch(folder: Path) -> Case:
    """Three adapters on and off in turn, against diffusers' load_lora_weights and unload_lora_weights."""
    from tests import tiny

    tiny.stable_diffusion(folder / "models" / "base")
    return _adapters(folder, "three adapters in turn, tiny")


def _adapters(folder: Path, name: str) -> Case:
    os.environ["FLAWSMITH_MODELS"] = str(folder / "models")
    import torch
    from diffusers import StableDiffusionPipeline
    from safetensors.torch import save_file

    from pipelines.core.models import Models
    from pipelines.parts import adapter_files, families
    from pipelines.parts.adapters import Use

    models = Models()
    pipe: Any = StableDiffusionPipeline.from_pretrained(
        folder / "models" / "base",
        safety_checker=None,
        dtype=getattr(torch, models.device.dtype),
        local_files_only=True,
    ).to(models.device.name)
    files = []
    for number in range(3):
        random = torch.Generator().manual_seed(number)
        tensors = {}
        for module, layer in pipe.unet.named_modules():
            if module.endswith(("to_q", "to_k", "to_v", "to_out.0")):
                tensors[f"unet.{module}.lora_A.weight"] = torch.randn(8, layer.in_features, generator=random)
                tensors[f"unet.{module}.lora_B.weight"] = torch.randn(layer.out_features, 8, generator=random)
        files.append(folder / f"{number}.safetensors")
        save_file(tensors, files[-1])

    def ours() -> None:
        with families.opened("base", models) as base:
            for file in files:
                with base.attached([Use(adapter_files.read(file))]):
                    pass

    def peer() -> None:
        for file in files:
            pipe.load_lora_weights(file, adapter_name="one")
            pipe.unload_lora_weights()

    def check() -> None:
        with families.opened("base", models) as base:
            state = {key: value.clone() for key, value in base.denoiser.state_dict().items()}
            for file in files:
                adapter = adapter_files.read(file)
                with base.attached([Use(adapter)]) as said:
                    assert said.changed == {adapter.name: adapter.count}, "not all of it found its place"
            after = base.denoiser.state_dict()
            assert after.keys() == state.keys()
            assert all(torch.equal(after[key], value) for key, value in state.items()), "an adapter stayed"

    return Case(name, ours, check, Gate("faster", 1.0), peer=peer)


def sd15(folder: Path, *, name: str = "base", seed: int = 0, width: int = 320) -> Path:
    """SD1.5 with random weights, as a diffusers folder; at its real size where its first block is 320 wide."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    from tests import tiny

    torch.manual_seed(seed)
    place = folder / "models" / name
    tiny.save_tokenizer(place / "tokenizer")
    made = StableDiffusionPipeline(
        vae=AutoencoderKL(**flops.VAE),
        text_encoder=CLIPTextModel(CLIPTextConfig(**flops.TEXT)),
        tokenizer=CLIPTokenizer.from_pretrained(place / "tokenizer"),
        unet=UNet2DConditionModel(**{**flops.UNET, "block_out_channels": (width, 2 * width, 4 * width, 4 * width)}),
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.to(torch.bfloat16).save_pretrained(place)
    return place


def floor(folder: Path, count: int) -> Case:
    """`count` pictures of 512 px at 20 steps in one batch, as a share of what the GPU could do."""
    sd15(folder)
    os.environ["FLAWSMITH_MODELS"] = str(folder / "models")
    import torch

    from bench.cases import answering

    answer = answering(folder / "runs", "cuda:0")
    least = flops.floor(count * flops.picture(20), torch.cuda.get_device_name())
    taken: list[float] = []

    def ours() -> None:
        start = time.perf_counter()
        asked = {"width": 512, "height": 512, "num_inference_steps": 20, "scheduler": "ddim"}
        answer({"task": "text", "base": "base", "prompt": PROMPT, "num_images": count, **asked})
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
        if least:
            print(f"     {count} pictures: {least / taken[-1]:.0%} of the floor, {count / taken[-1]:.1f} a second")

    def check() -> None:
        assert taken, "nothing was made"

    gate = Gate("seconds", 2 * least if least else 60.0)
    return Case(f"SD1.5 512 px, {count} at once", ours, check, gate, clock="wall")


def gpu_batch(folder: Path) -> Case:
    """Eight pictures of SD1.5's size against the plain loop."""
    sd15(folder)
    return _pictures(
        folder, side=512, steps=20, count=8, gate=Gate("faster", 1.3), name="8 pictures 512 px, SD1.5 size"
    )


def gpu_switch(folder: Path) -> Case:
    """Two bases of SD1.5's size in turn, both in memory."""
    for seed, name in enumerate(("one", "two")):
        sd15(folder, name=name, seed=seed)
        gc.collect()
    return _switch(folder, Gate("seconds", 0.4), "model switch, SD1.5 size")  # two switches, 0.2 s each


def gpu_adapters(folder: Path) -> Case:
    """Three adapters of SD1.5's size on and off in turn."""
    sd15(folder)
    return _adapters(folder, "three adapters in turn, SD1.5 size")


CPU: dict[str, Callable[[Path], Case]] = {
    "batch": batch,
    "model-switch": model_switch,
    "adapter-switch": adapter_switch,
}
GPU: dict[str, Callable[[Path], Case]] = {
    "floor-8": lambda folder: floor(folder, 8),
    "floor-1": lambda folder: floor(folder, 1),
    "batch": gpu_batch,
    "model-switch": gpu_switch,
    "adapter-switch": gpu_adapters,
}
