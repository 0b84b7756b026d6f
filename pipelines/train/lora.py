"""DreamBooth with a low-rank adapter (arXiv 2208.12242, 2106.09685), in one stage or, after TengTengDiff, in two.

Stage 1 learns the good part under one prompt; stage 2 takes up its adapter and learns one defect, whole and alone.
Knows what is shown under which words; how an adapter is laid on, what noise is and how steps are taken, the shelves do.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pipelines.core import bases
from pipelines.core.adapter_names import WEIGHTS_FILE
from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.core.requests.train import TrainLora
from pipelines.core.runs import Run
from pipelines.parts import adapter_files, adapter_forms, adapters, learning, loop
from pipelines.parts.adapter_files import Adapter
from pipelines.parts.family import Attached, Family
from pipelines.parts.feed import Row
from pipelines.parts.learning import Learner, Shape
from pipelines.parts.loaders import Example
from pipelines.parts.optimizers import Group
from pipelines.train import material
from pipelines.train.material import Material
from pipelines.train.recipe import Denoising, clip_encoders, opened, ordinary, product


def run(request: TrainLora, run: Run, models: Models) -> None:
    """Train; the adapter lies in weights/. Raises BadInput before the first step for whatever cannot go well."""
    found = material.gather(request, run)
    run.tick(0, 1, f"loading {bases.get(request.base).label}", force=True)
    with opened(request, models) as base, ExitStack() as stack:
        said = stack.enter_context(base.attached(_words(request, run)))
        rows = shown(found, request, said)
        learner = stack.enter_context(adapter(base, request, run))
        recipe = Recipe(request, base, learner, rows, run)
        recipe.feed.also(ordinary(request, base, found, run, recipe.side, learner.aside))
        result = loop.fit(recipe, request, len(rows.learned), run, base.device)
        about = {"base": request.base, "defect": request.defect, "stage": request.stage, "images": len(found.learned)}
        run.finish({**about, "prompts": recipe.prompts(), "changed": recipe.changed, **result})


def _words(request: TrainLora, run: Run) -> list[adapters.Use]:
    if request.inversion is None:
        return []
    asset = run.assets.get(request.inversion)
    found = adapter_files.read(asset.path, asset.name)
    if not found.embeddings:
        raise BadInput(f"inversion: {asset.name} brings no word: name a finished train-inversion", "inversion")
    return [adapters.Use(found)]


@dataclass(frozen=True)
class Rows:
    """What is shown under which words."""

    learned: Sequence[Row]
    held: Sequence[Row]


def shown(found: Material, request: TrainLora, said: Attached | None = None) -> Rows:
    """Each picture whole and, where the defect alone has a name, alone: as often as `part_share` says."""

    def row(example: Example, prompt: str, *, part: bool = False) -> Row:
        own = example.caption if request.use_captions and not part else ""
        words = own or prompt
        return Row(example.image.name, material.reader(example), said.prompt(words) if said else words, part)

    held = [row(one, request.whole_prompt) for one in found.held]
    whole = [row(one, request.whole_prompt) for one in found.learned]
    if not request.part_prompt:
        return Rows(whole, held)
    marked = [one for one in found.learned if one.mask is not None or one.boxes]
    if not marked:
        raise BadInput(
            f"part_prompt: no picture of {request.defect} has a mask or a box, so the defect cannot be shown alone:"
            " leave part_prompt empty",
            "part_prompt",
        )
    alone = [row(one, request.part_prompt, part=True) for one in marked]
    if request.part_share == 1:
        return Rows(alone, held)
    times = max(1, round(len(whole) / len(alone) * request.part_share / (1 - request.part_share)))
    return Rows([*whole, *alone * times], held)


@contextmanager
def adapter(base: Family, request: TrainLora, run: Run) -> Iterator[Learner]:
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


class Recipe(Denoising):
    """The recipe that parts/loop asks."""

    def __init__(self, request: TrainLora, base: Family, learner: Learner, rows: Rows, run: Run) -> None:
        super().__init__(request, base, run, rows.learned, rows.held, still=len(learner.models) == 1)
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
