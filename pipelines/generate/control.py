"""Pictures steered by edges, depth and normals: a defect painted into a part, or, without a mask, the whole made anew.

Knows requests and runs; nothing of Gradio or of the queue.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pipelines.core import bases, intake, kinds
from pipelines.core.models import Models
from pipelines.core.requests import Control
from pipelines.core.runs import Run
from pipelines.generate import asking, nets, repaint, scene, sizes, steering, trials
from pipelines.generate.scene import Scene
from pipelines.parts import ladder
from pipelines.parts.family import Attached, Family
from pipelines.parts.sampling import Ask, Step, pixels, sample


def run(request: Control, run: Run, models: Models) -> None:
    """Make `request.length()` pictures: cell by cell of what is tried, of each all variants."""
    nets.chosen(request)  # what is missing is said before a base is loaded
    whole = scene.read(request, run.assets)
    maps = steering.Maps(request, run, whole, models)
    if whole.areas:
        repaint.run(request, run, whole, models, maps)
    else:
        _anew(request, run, whole, models, maps)
    run.write_manifest()
    rows = run.rows()
    result: dict[str, Any] = {"images": len(rows)}
    if whole.areas:
        result["outside_max"] = max((row["scores"]["outside_max"] for row in rows), default=0)
    run.finish({**result, **(trials.told(request, run, rows) if len(request.tried) > 1 else {})})


def _anew(request: Control, run: Run, whole: Scene, models: Models, maps: steering.Maps) -> None:
    """The whole picture from words and maps; below strength 1 from the picture as well."""
    run.tick(0, request.length(), f"loading {bases.get(request.base).label}", force=True)

    def make(base: Family) -> None:
        with asking.adapted(base, request, run.assets) as said, nets.opened(base, maps, models) as steers:
            assert steers is not None
            size = sizes.at_once(models.device.name)
            maker = _Maker(request, run, whole, models, base, said, steers)
            for left in run.batches(request.length(), size):
                first = left[0] // size * size
                maker.make(range(first, min(first + size, request.length())), set(left))

    ladder.with_base(request.base, models, make)


class _Maker:
    """Makes whole pictures, batch by batch."""

    def __init__(
        self,
        request: Control,
        run: Run,
        whole: Scene,
        models: Models,
        base: Family,
        said: Attached,
        steers: nets.Steering,
    ) -> None:
        self.request, self.run, self.whole, self.models = request, run, whole, models
        self.base, self.said, self.steers = base, said, steers
        resolution = bases.get(request.base).resolution or base.usual_px
        self.size = sizes.like(whole.asked.shape, resolution, base.side_px)

    def make(self, batch: Sequence[int], left: set[int]) -> None:
        ones = {index: self.request.for_image(index) for index in batch}
        what = f"a picture of {self.size[1]} x {self.size[0]} px"
        made = ladder.climb(
            list(batch), lambda some: self._made([ones[one] for one in some], batch[0]), self.models, what
        )
        for index, one in zip(batch, made, strict=True):
            if index in left:
                self._save(index, ones[index], one)

    def _made(self, ones: Sequence[Control], done: int) -> Tensor:
        """float32 [B, 3, H, W] in [0, 1]."""
        request, usual = self.request, [asking.usual(one, self.base) for one in ones]
        starts = request.strength < 1
        ask = Ask(
            task="image" if starts else "text",
            prompts=[self._prompt()] * len(ones),
            negatives=[self.said.prompt(request.negative_prompt)] * len(ones),
            seeds=[one.seed for one in ones],
            size=self.size,
            steps=usual[0].steps,
            scales=[one.scale for one in usual],
            rescale=usual[0].rescale,
            interval=(request.guidance_start, request.guidance_end),
            adapter_scale=request.adapter_scale,
            prompt_noise=request.prompt_noise,
            images=torch.stack([self._start()] * len(ones)) if starts else None,
            strength=max(request.strength, 0.01),
            scheduler=usual[0].scheduler,
            clip_skip=request.clip_skip,
            steers=self.steers.of([(one, self.whole) for one in ones], None, self.size),
        )

        def on_step(step: Step) -> None:
            note = f"picture {done + 1} of {request.length()}, step {step.done} of {step.total}"
            self.run.tick(done, request.length(), note, lambda: pixels(step.look()))

        made = sample(self.base, ask, on_step)
        asking.check(made, self.base.name, self.models.device.dtype)
        return made

    def _start(self) -> Tensor:
        """[3, H, W] in [0, 1]."""
        return repaint.as_tensor(self.whole.pixels, self.whole.white, self.size)

    def _prompt(self) -> str:
        """The request's own words, or those of its defect."""
        defect = self.request.defect
        return self.said.prompt(self.request.prompt or (kinds.load()[defect].words if defect else ""))

    def _save(self, index: int, one: Control, made: Tensor) -> None:
        picture, source = pixels(made), self.whole.source
        row = {
            **trials.cell(self.request, index),
            "seed": one.seed,
            "base": one.base,
            "mode": "control",
            "prompt": self._prompt(),
            "negative_prompt": one.negative_prompt,
            "caption": one.prompt or self._prompt(),
            "source": {"asset": source.id, "name": source.name, "sha256": source.sha256},
            "conditions": self.steers.kept(self.run, f"{index:05d}", (one, self.whole), None, self.size),
        }
        self.run.save_whole(index, picture, intake.named(one, self.run.assets), row)
        self.run.log(image=index, seed=one.seed, adapters=dict(self.said.changed))
        self.run.tick(index + 1, self.request.length(), preview=picture)
