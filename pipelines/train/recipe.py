"""What every recipe that teaches a base by its own denoising has in common: pictures in, noise on, what it shows.

Knows requests, families and feeds; what learns, and where it is written, each recipe knows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from pipelines.core import bases, files
from pipelines.core.adapter_names import EMBEDDINGS_FILE, SEVERAL, TOKEN_KEY
from pipelines.core.models import Models
from pipelines.core.requests import Training
from pipelines.core.runs import Run
from pipelines.parts import denoising, families, loop
from pipelines.parts.family import Family
from pipelines.parts.feed import Batch, Feed, Row, Settings, Spoken
from pipelines.parts.lessons import At, Look, Terms
from pipelines.parts.sampling import Step
from pipelines.train import material
from pipelines.train.material import Material

CLIP = ("CLIPTextModel", "CLIPTextModelWithProjection")


@contextmanager
def opened(request: Training, models: Models) -> Iterator[Family]:
    """The base in the number format that the training computes in, with the memory saver on where it was asked for."""
    device = torch.device(models.device.name)
    dtype = {"bf16": "bfloat16", "fp16": "float16", "no": "float32"}[loop.precision(request, device)]
    if device.type == "cpu":
        dtype = "float32"  # autocast computes in 16 bits; weights in 16 bits would be slower there
    with families.opened(request.base, models, dtype=dtype) as base:
        if request.gradient_checkpointing:
            base.denoiser.enable_gradient_checkpointing()
        try:
            yield base
        finally:
            if request.gradient_checkpointing:
                base.denoiser.disable_gradient_checkpointing()


class Denoising:
    """Half of a recipe: its loss and what it shows. Who inherits says what learns."""

    def __init__(
        self,
        request: Training,
        base: Family,
        run: Run,
        rows: Sequence[Row],
        held: Sequence[Row],
        *,
        still: bool,
        filled: bool = False,
    ) -> None:
        """`still`: what reads the prompts does not learn. `filled`: pictures also come with their defect hidden."""
        self.request, self.base, self.run = request, base, run
        self.steps = loop.length(request, len(rows))
        side = request.resolution or bases.get(request.base).resolution or base.usual_px
        self.side = max(base.side_px, side - side % base.side_px)
        settings = Settings(
            side=self.side,
            batch=request.train_batch_size,
            views=request.views if request.augment else 1,
            augment=request.augment,
            oriented=request.oriented,
            kept=request.cache_latents,
            mix=request.mix,
            seed=request.seed,
            filled=filled,
        )
        self.spoken = Spoken(base, kept=still)
        self.levels = denoising.Levels(
            request.min_timestep / 1000, request.max_timestep / 1000, request.noise_offset, request.snr_gamma
        )
        if self.levels.gamma:
            base.noise_weights(torch.zeros(1, dtype=torch.long), self.levels.gamma)  # refused now, not at step 1
        self.feed = Feed(base, rows, settings)
        plain = Settings(side=self.side, batch=1, augment=False, seed=request.seed, filled=filled)
        self.held = Feed(base, held, plain) if held else None

    @property
    def scored(self) -> bool:
        return self.held is not None

    def prompts(self) -> Sequence[str]:
        """What it is taught to answer to, as the base reads it."""
        return list(dict.fromkeys(row.prompt for row in self.feed.rows))

    def words(self, batch: Batch, at: At) -> Sequence[str]:
        """The prompts of a batch."""
        return batch.prompts

    def apart(self, batch: Batch, levels: denoising.Levels, place: int) -> float:
        """How far the base is off one picture that was held back."""
        given = denoising.noised(self.base, batch.latents, levels, self.request.seed, place, rank=-1)
        return float(denoising.off(self.base, batch, self.spoken(batch.prompts), given))

    # -- what the loop asks of every recipe

    def before(self, step: int) -> None:
        """Nothing changes by itself."""

    def hold_back(self) -> None:
        """All that learns may move."""

    def loss(self, at: At) -> Terms:
        batch = self.feed.batch(at.batch, at.rank, at.ranks)
        given = denoising.noised(self.base, batch.latents, self.levels, self.request.seed, at.batch, at.rank)
        off = denoising.off(self.base, batch, self.spoken(self.words(batch, at)), given)
        return denoising.terms(off, batch.prior, self.request.prior_loss_weight)

    def look(self, step: int, tick: Callable[[str], None]) -> Look:
        request, held = self.request, None
        if self.held is not None:
            tick("looking at the pictures held back")
            held = denoising.held_out(self.held, self.apart, request.seed)
        pictures: Mapping[str, Sequence[np.ndarray]] = {}
        if request.num_validation_images:

            def on_step(at: Step) -> None:
                tick(f"making pictures to look at, step {at.done} of {at.total}")

            prompts = request.validation_prompts or self.prompts()
            count = request.num_validation_images
            pictures = denoising.samples(self.base, self.feed, prompts[:8], count, request.seed, self.side, on_step)
        return Look(held, pictures, denoising.diversity(pictures))


def ordinary(
    request: Training,
    base: Family,
    found: Material,
    run: Run,
    side: int,
    aside: Callable[[], AbstractContextManager[None]],
) -> list[Row]:
    """Prior preservation (arXiv 2208.12242): pictures of the ordinary kind, given, or made by the base itself before it
    learns; what is made is kept in the run.
    """
    examples = list(found.ordinary)
    for number in range(request.num_class_images):
        file = f"class/{number:05d}.png"
        if not (run.folder / file).is_file():
            run.tick(0, 1, f"making ordinary pictures, {number + 1} of {request.num_class_images}")
            with aside():
                made = denoising.samples(base, None, [request.class_prompt], 1, request.seed + number, side, _quiet)
            run.keep_picture(file, made[request.class_prompt][0])
        examples.append(material.Example(run.folder / file))
    return [Row(one.image.name, material.reader(one), request.class_prompt, prior=True) for one in examples]


def clip_encoders(base: Family) -> dict[str, Any]:
    """The text encoders that learn, by part; T5 and language models are told apart by their class."""
    return {part: model for part, model in base.models.items() if type(model).__name__ in CLIP}


def product(folder: Path, name: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> list[str]:
    """What was learned as a file of that name; returns the names of the product's files. Raises DiskFull, Problem."""
    with files.explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    plain = {key: one.detach().contiguous().cpu() for key, one in tensors.items()}
    files.write_bytes(folder / name, save(plain, dict(metadata)))
    return [name]


def word_product(folder: Path, words: Mapping[str, Mapping[str, Tensor]], base: str) -> list[str]:
    """New words as a file; `words` is token -> text encoder -> its vectors. Returns the names of the product's files.

    For two encoders the file has room for one word, which its metadata names. Raises DiskFull, Problem.
    """
    tensors: dict[str, Tensor] = {}
    for token, vectors in words.items():
        names = [token] if len(vectors) == 1 else sorted(SEVERAL)[::-1]
        tensors |= zip(names, vectors.values(), strict=True)
    metadata = {"format": "pt", TOKEN_KEY: next(iter(words)), "base_model": base}
    return product(folder, EMBEDDINGS_FILE, tensors, metadata)


def _quiet(step: Step) -> None:
    """Pictures made on the side report nothing."""
