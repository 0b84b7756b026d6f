"""What every recipe that trains an adapter has in common: it is laid on, grows, is saved. Knows no loss of its own."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from torch import Tensor

from pipelines.core import requests
from pipelines.core.adapter_names import WEIGHTS_FILE
from pipelines.core.runs import Run
from pipelines.parts import adapter_files, adapter_forms, adapters, learning
from pipelines.parts.adapter_files import Adapter
from pipelines.parts.family import Family
from pipelines.parts.feed import Row
from pipelines.parts.learning import Learner, Shape
from pipelines.parts.optimizers import Group
from pipelines.train.recipe import Denoising, clip_encoders, product


@contextmanager
def adapter(base: Family, request: requests.Adapting, run: Run) -> Iterator[Learner]:
    """The base with the adapter that is to learn, begun where the request says. Raises BadInput where that fits not."""
    encoders = list(clip_encoders(base)) if request.text_encoder else []
    shape = Shape(request.kind, request.rank, request.strength, request.use_rslora, request.dropout)
    # diffusers loads no DoRA of a text encoder: it gets a plain LoRA
    plain = Shape("lora", request.rank, request.strength, request.use_rslora, request.dropout)
    shapes = {base.denoiser_part: shape, **dict.fromkeys(encoders, plain if request.kind == "dora" else shape)}
    targets = {
        base.denoiser_part: request.target_modules or base.lora_targets,
        **dict.fromkeys(encoders, base.text_lora_targets),
    }
    before = None
    if request.resume_from is not None:
        asset = run.assets.get(request.resume_from)
        read = adapter_files.read(asset.path, asset.name)
        before = (adapters.plan(read, base.models, base.name), asset.name)
    models = {part: base.held[part] for part in shapes}
    with learning.on(models, shapes, targets, request.seed, request.first_rank) as learner:
        if before is not None:
            learner.begin_with(*before)
        yield learner


class Adapting(Denoising):
    """A recipe that parts/loop asks: plain denoising, learned by an adapter. Who inherits may bring another loss."""

    def __init__(
        self,
        request: requests.Adapting,
        base: Family,
        learner: Learner,
        rows: Sequence[Row],
        held: Sequence[Row],
        run: Run,
        *,
        still: bool = True,
        filled: bool = False,
    ) -> None:
        """`still`: nothing beside the adapter changes how prompts are read."""
        still = still and len(learner.models) == 1
        super().__init__(request, base, run, rows, held, still=still, filled=filled)
        self.asked, self.learner = request, learner
        self.groups = [
            Group(part, learner.parameters(part), self._rate(part == base.denoiser_part)) for part in learner.models
        ]
        self.changed = {part: len(layers) for part, layers in learner.plan().items()}

    def _rate(self, denoiser: bool) -> float:
        own = self.asked.text_encoder_lr
        return self.asked.learning_rate if denoiser or own is None else own

    def before(self, step: int) -> None:
        asked = self.asked
        if asked.first_rank is not None:
            self.learner.grow(rank_at(step, self.steps, asked.first_rank, asked.rank, asked.growth_share))

    def hold_back(self) -> None:
        self.learner.hold_back()

    def tensors(self) -> dict[str, Tensor]:
        return self.learner.tensors()

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        self.learner.load(tensors)

    def aside(self) -> AbstractContextManager[None]:
        return self.learner.aside()

    def write(self, folder: Path) -> Sequence[str]:
        tensors, metadata = adapter_forms.as_diffusers(Adapter(self.run.id, "dotted", {}), self.learner.plan())
        said = {"instance_prompt": self.asked.whole_prompt, "base_model": self.asked.base}
        return product(folder, WEIGHTS_FILE, tensors, {**metadata, **said})


def rank_at(step: int, steps: int, first: int, last: int, share: float) -> int:
    """The rank in use at a step: doubled at even intervals over that share of the steps, from `first` to `last`."""
    ranks = [first]
    while ranks[-1] < last:
        ranks.append(min(2 * ranks[-1], last))
    each = max(1, int(steps * share) // len(ranks))
    return ranks[min(step // each, len(ranks) - 1)]
