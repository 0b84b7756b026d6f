"""DreamBooth with a low-rank adapter (arXiv 2208.12242, 2106.09685), in one stage or, after TengTengDiff, in two.

Stage 1 learns the good part under one prompt; stage 2 takes up its adapter and learns one defect, whole and alone.
Knows what is shown under which words; how an adapter is laid on, what noise is and how steps are taken, the shelves do.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from pipelines.core import bases
from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.core.requests.train import TrainLora
from pipelines.core.runs import Run
from pipelines.parts import adapter_files, adapters, loop
from pipelines.parts.family import Attached
from pipelines.parts.feed import Row
from pipelines.parts.loaders import Example
from pipelines.train import material
from pipelines.train.adapting import Adapting, adapter
from pipelines.train.material import Material
from pipelines.train.recipe import opened, ordinary


def run(request: TrainLora, run: Run, models: Models) -> None:
    """Train; the adapter lies in weights/. Raises BadInput before the first step for whatever cannot go well."""
    found = material.gather(request, run)
    run.tick(0, 1, f"loading {bases.get(request.base).label}", force=True)
    with opened(request, models) as base, ExitStack() as stack:
        said = stack.enter_context(base.attached(_words(request, run)))
        rows = shown(found, request, said)
        learner = stack.enter_context(adapter(base, request, run))
        recipe = Adapting(request, base, learner, rows.learned, rows.held, run)
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
