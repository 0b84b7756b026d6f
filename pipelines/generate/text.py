"""Makes whole pictures: from words, from a picture, or by an instruction. Knows nothing of Gradio or of the queue.

Several are made at once, each with a generator of its own, so that each comes out as it would alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipelines.core import bases, images, intake, negatives
from pipelines.core.assets import Asset
from pipelines.core.models import Models
from pipelines.core.requests import Text
from pipelines.core.requests.text import MOST_AT_ONCE
from pipelines.core.runs import Run
from pipelines.generate import asking, sizes
from pipelines.parts import ladder
from pipelines.parts.family import Attached, Family
from pipelines.parts.sampling import Ask, Step, pixels, sample


@dataclass(frozen=True)
class Start:
    """A picture to start from, or the nothing that words alone start from."""

    asset: Asset | None
    pixels: Tensor | None
    """float32 [3, H, W] in [0, 1], as large as what is made of it."""
    size: sizes.Size

    @property
    def row(self) -> dict[str, Any]:
        if self.asset is None:
            return {}
        return {"source": {"asset": self.asset.id, "name": self.asset.name, "sha256": self.asset.sha256}}


def run(request: Text, run: Run, models: Models) -> None:
    """Make `request.length()` pictures; picture k uses seed + k."""
    assert request.base is not None
    run.tick(0, request.length(), f"loading {bases.get(request.base).label}", force=True)

    def make(base: Family) -> None:
        with asking.adapted(base, request, run.assets) as said:
            maker = _Maker(request, run, models, base, said)
            at_once = request.batch_size or sizes.at_once(models.device.name)
            for batch in run.batches(request.length(), at_once):
                maker.make(batch, at_once)

    ladder.with_base(request.base, models, make)
    run.write_manifest()
    rows = run.rows()
    run.finish({"images": len(rows), "notes": list(dict.fromkeys(row["note"] for row in rows if "note" in row))})


class _Maker:
    """Makes the pictures of a run, batch by batch."""

    def __init__(self, request: Text, run: Run, models: Models, base: Family, said: Attached) -> None:
        assert request.base is not None
        self.request, self.run, self.models, self.base, self.said = request, run, models, base, said
        self.usual = asking.usual(request, base)
        self.resolution = bases.get(request.base).resolution or base.usual_px
        self.total = request.length()
        self.start = lru_cache(MOST_AT_ONCE)(self._start)  # eight variants of one picture read it once

    def make(self, batch: Sequence[int], at_once: int) -> None:
        """Make and commit these. What was made before a kill is made along, so that the others stay the same."""
        first = batch[0] // at_once * at_once
        together = {index: self.request.for_image(index) for index in range(first, min(first + at_once, self.total))}
        sized: dict[tuple[int, int], list[int]] = {}
        for index, one in together.items():
            sized.setdefault(self.start(one.image).size.pair, []).append(index)
        for size, group in sized.items():
            if not set(group) & set(batch):
                continue
            what = f"a picture of {size[1]} x {size[0]} px"
            made = ladder.climb(
                group, lambda some: self._made([together[one] for one in some], first), self.models, what
            )
            for index, one in zip(group, made, strict=True):
                if index in batch:
                    self._save(index, together[index], one)

    def _made(self, ones: Sequence[Text], done: int) -> Tensor:
        """float32 [B, 3, H, W] in [0, 1]."""
        request, starts = self.request, [self.start(one.image) for one in ones]
        pictures = [start.pixels for start in starts if start.pixels is not None]
        ask = Ask(
            task=request.does,
            prompts=[self._prompt(one) for one in ones],
            negatives=[self.said.prompt(_negative(request))] * len(ones),
            seeds=[one.seed for one in ones],
            size=starts[0].size.pair,
            steps=self.usual.steps,
            scales=[self.usual.scale] * len(ones),
            rescale=self.usual.rescale,
            interval=(request.guidance_start, request.guidance_end),
            adapter_scale=request.adapter_scale,
            prompt_noise=request.prompt_noise,
            images=torch.stack(pictures) if pictures else None,
            strength=request.strength,
            scheduler=self.usual.scheduler,
            clip_skip=request.clip_skip,
        )
        first = ones[0].seed - request.seed

        def on_step(step: Step) -> None:
            note = f"picture {first + 1} of {self.total}, step {step.done} of {step.total}"
            self.run.tick(done, self.total, note, lambda: pixels(step.look()))

        made = sample(self.base, ask, on_step)
        asking.check(made, self.base.name, self.models.device.dtype)
        return made

    def _prompt(self, one: Text) -> str:
        return self.said.prompt(", ".join(filter(None, (one.prefix, one.prompt))))

    def _start(self, image: str | None) -> Start:
        """Raises BadInput, Missing."""
        if image is None:
            return Start(None, None, sizes.of(self.request, self.resolution, self.base.side_px, None))
        asset = self.run.assets.get(image)
        picture = images.read(asset.path, name=asset.name)
        shape = (picture.height, picture.width)
        size = sizes.of(self.request, self.resolution, self.base.side_px, shape)
        values = sizes.fitted(images.to_float(picture.pixels, images.white(picture.pixels)), size.pair)
        return Start(asset, torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1))), size)

    def _save(self, index: int, one: Text, made: Tensor) -> None:
        picture, start, request = pixels(made), self.start(one.image), self.request
        row: dict[str, Any] = {
            "seed": one.seed,
            "base": one.base,
            "mode": one.does,
            "prompt": self._prompt(one),
            "negative_prompt": _negative(request),
            "caption": one.prompt,
            "adapters": [
                {"name": self.run.assets.get(use.path).name, "weight": use.weight} for use in request.adapters
            ],
            **start.row,
        }
        if start.size.note:
            row["note"] = start.size.note
        self.run.save_whole(index, picture, intake.named(one, self.run.assets), row)
        self.run.log(image=index, seed=one.seed, adapters=dict(self.said.changed), note=start.size.note)
        self.run.tick(index + 1, self.total, preview=picture)


def _negative(request: Text) -> str:
    """What should not be seen: the request's own words, then those of its list."""
    return ", ".join(filter(None, (request.negative_prompt, negatives.words(request.negative_preset))))
