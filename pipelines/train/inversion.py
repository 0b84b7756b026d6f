"""Textual inversion: a new word for a defect (arXiv 2208.01618). Only the word's vectors learn; the base stays.

Knows under which sentences pictures are shown; what a learning word is, parts/wording knows.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor

from pipelines.core import bases
from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.core.requests.train import TrainInversion
from pipelines.core.runs import Run
from pipelines.parts import adapter_files, loop, wording
from pipelines.parts.chance import generator
from pipelines.parts.family import Family
from pipelines.parts.feed import Batch, Row
from pipelines.parts.lessons import At
from pipelines.parts.optimizers import Group
from pipelines.parts.wording import Word
from pipelines.train import material
from pipelines.train.recipe import Denoising, clip_encoders, opened, ordinary, word_product

SENTENCES = (
    "a photo of {token}",
    "a close-up photo of {token}",
    "a macro photo of {token}",
    "an inspection photo of a part with {token}",
    "a cropped photo of {token}",
    "a bright photo of {token}",
    "a dark photo of {token}",
    "a rendition of {token}",
)
"""Templates as in the paper's, for parts: the word stands in many, so that it comes to mean what they share."""


def run(request: TrainInversion, run: Run, models: Models) -> None:
    """Train; the word lies in weights/. Raises BadInput before the first step for whatever cannot go well."""
    found = material.gather(request, run)
    run.tick(0, 1, f"loading {bases.get(request.base).label}", force=True)
    with opened(request, models) as base:
        encoders = _encoders(base)
        begun = wording.learning(
            base.spoken, encoders, request.token, request.initializer_token, request.num_vectors, request.seed
        )
        with begun as word:
            rows, held = (
                [Row(one.image.name, material.reader(one), _said(request, word)[0]) for one in examples]
                for examples in (found.learned, found.held)
            )
            recipe = _Inversion(request, base, word, rows, held, run)
            recipe.feed.also(ordinary(request, base, found, run, recipe.side, word.aside))
            recipe.begin()
            result = loop.fit(recipe, request, len(rows), run, base.device)
        about = {"base": request.base, "defect": request.defect, "images": len(found.learned)}
        run.finish({**about, "token": request.token, "vectors": request.num_vectors, **result})


def _encoders(base: Family) -> dict[str, object]:
    """The text encoders that learn the word. Raises BadInput for a base that is not told by CLIP's words."""
    if base.source.family not in ("stable-diffusion", "sdxl", "sd3"):
        raise BadInput(
            f"base {base.name} reads its text by a language model and takes no new word: train an adapter instead, or"
            " choose a Stable Diffusion base",
            "base",
        )
    return clip_encoders(base)


def _said(request: TrainInversion, word: Word) -> list[str]:
    """The sentences in which the word stands, as the base reads them."""
    sentences = [request.instance_prompt] if request.instance_prompt else SENTENCES
    return [one.replace("{token}", word.written) for one in sentences]


class _Inversion(Denoising):
    def __init__(
        self, request: TrainInversion, base: Family, word: Word, rows: Sequence[Row], held: Sequence[Row], run: Run
    ) -> None:
        super().__init__(request, base, run, rows, held, still=False)
        self.asked, self.word = request, word
        self.said = _said(request, word)
        self.groups = [Group(part, [one.vectors], request.learning_rate) for part, one in word.tables.items()]

    def begin(self) -> None:
        """From a word that was trained before, where one is named."""
        if self.asked.resume_from is None:
            return
        asset = self.run.assets.get(self.asked.resume_from)
        read = adapter_files.read(asset.path, asset.name)
        vectors = read.by_encoder(list(self.word.tables))
        self.word.load({part: next(iter(one.values())) for part, one in vectors.items()})

    def words(self, batch: Batch, at: At) -> Sequence[str]:
        """Each row in a sentence of its own."""
        draws = generator(self.asked.seed, at.batch, "sentences", at.rank)
        chosen = torch.randint(0, len(self.said), (len(batch.prompts),), generator=draws).tolist()
        pairs = zip(batch.prompts, chosen, batch.prior.tolist(), strict=True)
        return [prompt if prior else self.said[number] for prompt, number, prior in pairs]

    def tensors(self) -> dict[str, Tensor]:
        return self.word.tensors()

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        self.word.load(tensors)

    def aside(self) -> AbstractContextManager[None]:
        return self.word.aside()

    def write(self, folder: Path) -> Sequence[str]:
        return word_product(folder, {self.asked.token: self.word.tensors()}, self.asked.base)
