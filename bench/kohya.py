"""A training step against kohya's sd-scripts, on a GPU: SD1.5's size, the same layers, rank and batch.

The peer is a checkout of sd-scripts that is named by --kohya and brings its own Python in venv/; it runs as its users
run it, with latents kept and its attention by torch. Both sides log every step for TensorBoard: what is timed lies
between two entries, so that starting and loading count for neither.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from bench.harness import Case, Gate
from bench.training import BATCH, PROMPT, RANK, RATE, Ours, write_pictures

CHECKOUT: Path | None = None
"""What --kohya named."""
STEPS, WARM = 60, 10
LAYERS = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2")
"""What networks.lora changes of a UNet: all that multiplies inside its transformers."""
TOKENIZER = "openai_clip-vit-large-patch14"


def step(folder: Path, *, side: int = 512, steps: int = STEPS, batch: int = BATCH) -> Case:
    """Seconds of STEPS - WARM steps, each side by its own log."""
    from bench.diffusion import sd15
    from pipelines.core.device import choose

    base = sd15(folder)
    os.environ["FLAWSMITH_MODELS"] = str(folder / "models")
    device = choose().name
    write_pictures(folder / "data", side)
    more = {"target_modules": LAYERS, "train_batch_size": batch, "mixed_precision": "no" if device == "cpu" else "bf16"}
    ours, theirs = Ours(folder, side, steps, device, **more), _Kohya(folder, base, side, steps, batch, device)

    def mine() -> float:
        ours.train()
        return between(ours.folder / "tensorboard", "loss")

    def check() -> None:
        """Both change as many numbers; what they learn is not the same, for their noise is not."""
        assert theirs.numbers() == ours.numbers(), (theirs.numbers(), ours.numbers())

    name = f"LoRA step {side} px b{batch}, SD1.5 size, kohya"
    return Case(name, mine, check, Gate("faster", 1.0), peer=theirs.train, clock="own")


def between(folder: Path, tag: str) -> float:
    """Wall seconds from the WARMth entry of a tag to the last, in the event files under a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    home = next(folder.rglob("events.*")).parent
    read = EventAccumulator(str(home), size_guidance={"scalars": 0}).Reload()
    times = sorted(one.wall_time for one in read.Scalars(tag))
    if len(times) <= WARM:
        raise RuntimeError(f"{home} has {len(times)} entries of {tag!r}: too few to time")
    return float(times[-1] - times[WARM - 1])


class _Kohya:
    def __init__(self, folder: Path, base: Path, side: int, steps: int, batch: int, device: str) -> None:
        if CHECKOUT is None:
            raise SystemExit("train-kohya needs a checkout of sd-scripts with its Python in venv/: name it by --kohya")
        self.folder, self.logs, self.out = folder / "kohya", folder / "kohya" / "logs", folder / "kohya" / "out"
        pictures = self.folder / "data" / f"100_{PROMPT}"
        shutil.copytree(folder / "data", pictures)
        # it would fetch this one by name
        shutil.copytree(base / "tokenizer", self.folder / "tokenizers" / TOKENIZER)
        told: dict[str, object] = {
            "pretrained_model_name_or_path": base,
            "tokenizer_cache_dir": self.folder / "tokenizers",
            "train_data_dir": pictures.parent,
            "output_dir": self.out,
            "output_name": "adapter",
            "logging_dir": self.logs,
            "log_with": "tensorboard",
            "resolution": side,
            "train_batch_size": batch,
            "max_train_steps": steps,
            "learning_rate": RATE,
            "optimizer_type": "AdamW",
            "lr_scheduler": "constant",
            "network_module": "networks.lora",
            "network_dim": RANK,
            "network_alpha": RANK,
            "mixed_precision": "no" if device == "cpu" else "bf16",
            "max_data_loader_n_workers": 0,
            "save_model_as": "safetensors",
            "seed": 0,
        }
        flags = ("network_train_unet_only", "cache_latents", "sdpa", "no_metadata")
        python = str(CHECKOUT.absolute() / "venv" / "bin" / "python")
        self.command = [python, "train_network.py", *(f"--{name}={value}" for name, value in told.items())]
        self.command += [f"--{flag}" for flag in flags]

    def train(self) -> float:
        shutil.rmtree(self.logs, ignore_errors=True)
        done = subprocess.run(self.command, cwd=CHECKOUT, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"sd-scripts ended with {done.returncode}: {done.stderr[-2000:]}")
        return between(self.logs, "loss/current")

    def numbers(self) -> int:
        """How many numbers its adapter has, without its scales."""
        from safetensors.torch import load_file

        tensors = load_file(self.out / "adapter.safetensors")
        return sum(one.numel() for key, one in tensors.items() if not key.endswith(".alpha"))


GPU: dict[str, Callable[[Path], Case]] = {"train-kohya": step}
