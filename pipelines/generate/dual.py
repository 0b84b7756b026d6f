"""Makes pairs of a damaged part and its defect alone, and reads the mask from the second (DualAnoDiff, CVPR 2025).

Several are made at once, each with noise of its own, so that each comes out as it would alone. Knows nothing of the
queue, nor how two branches work.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipelines.core import bases, images, intake
from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.core.requests import Dual
from pipelines.core.runs import Painted, Run, name
from pipelines.generate import asking, sizes
from pipelines.parts import crop, dual, dual_files, dual_sampling, ladder, quality, segmenters, sheets
from pipelines.parts.adapters import Use
from pipelines.parts.dual_sampling import Ask, Said
from pipelines.parts.family import Family
from pipelines.parts.sampling import Step, pixels

AT_ONCE = 4
"""Pairs made together on a GPU; guided, each is four rows."""
APART_PX = 8
"""Areas whose boxes lie at least twice as far from each other are defects of their own."""
MOST_SHOWN = 64
SHEET = "pairs.png"


def run(request: Dual, run: Run, models: Models) -> None:
    """Make `request.num_images` pairs; pair k uses seed + k. Raises BadInput before the first for what cannot be."""
    asset = run.assets.get(request.model)
    run.tick(0, request.length(), f"reading {asset.name}", force=True)
    model = dual_files.read(asset.path, asset.name)
    base_name = request.base or model.about.base
    if not base_name:
        raise BadInput(f"model {asset.name} does not say which base it was trained on: name it in base", "base")
    if model.shape.background and not request.backgrounds:
        raise BadInput(
            f"model {asset.name} was trained with background compensation: name good parts in backgrounds",
            "backgrounds",
        )
    if request.backgrounds and not model.shape.background:
        raise BadInput(
            f"model {asset.name} was trained without background compensation and reads none: leave backgrounds empty",
            "backgrounds",
        )
    segmenter = segmenters.SEGMENTERS[request.method]()
    run.tick(0, request.length(), f"loading {bases.get(base_name).label}", force=True)

    def make(base: Family) -> None:
        with _maker(request, run, models, base, model, segmenter) as maker:
            at_once = request.batch_size or (AT_ONCE if models.device.name != "cpu" else 1)
            for batch in run.batches(request.length(), at_once):
                maker.make(batch, at_once)

    ladder.with_base(base_name, models, make)
    run.write_manifest()
    rows = run.rows()
    _sheet(run, rows)
    empty = [row["file"] for row in rows if not row["regions"]]
    notes = list(dict.fromkeys(row["note"] for row in rows if "note" in row))
    run.finish({"images": len(rows), "base": base_name, "method": segmenter.name, "empty": empty, "notes": notes})


@contextmanager
def _maker(
    request: Dual,
    run: Run,
    models: Models,
    base: Family,
    model: dual_files.Model,
    segmenter: segmenters.Segmenter,
) -> Iterator["_Maker"]:
    """What makes pairs, with the model's branches at hand; between two batches the base is as anybody else knows it."""
    about = model.about
    words = (request.instance_prompt or about.instance_prompt, request.part_prompt or about.part_prompt)
    for word, field in zip(words, ("instance_prompt", "part_prompt"), strict=True):
        if not word:
            raise BadInput(f"{field} is missing: the model does not say what it was trained to answer to", field)
    plain = dual_sampling.said(dual.checked(base), *words) if request.adapter_scale != 1 else None
    uses = [Use(model.adapter)] if model.text else []
    with base.attached(uses):
        said = dual_sampling.said(base, *words)
    with dual.on(base, model.shape, 0, base.dtype) as branches:
        branches.load(model.branches, model.name)
        with branches.aside():
            yield _Maker(request, run, models, branches, model, segmenter, words, said, plain)


class _Maker:
    """Makes the pairs of a run, batch by batch."""

    def __init__(
        self,
        request: Dual,
        run: Run,
        models: Models,
        branches: dual.Branches,
        model: dual_files.Model,
        segmenter: segmenters.Segmenter,
        words: tuple[str, str],
        said: Said,
        plain: Said | None,
    ) -> None:
        self.request, self.run, self.models, self.branches, self.model = request, run, models, branches, model
        self.base = base = branches.base
        self.segmenter, self.words, self.said, self.plain = segmenter, words, said, plain
        self.defect = request.defect or model.about.defect or "defect"
        self.usual = bases.get(base.name).defaults.scheduler
        usual = dual_sampling.usual_scale(model.shape)
        self.scale = usual if request.guidance_scale is None else request.guidance_scale
        self.shared = model.about.shared_noise if request.shared_noise is None else request.shared_noise
        self.size, self.note = self._sized()
        self.total = request.length()
        self.background = lru_cache(AT_ONCE)(self._background)
        self.foreground = segmenters.SEGMENTERS["u2net"]() if model.about.cut == "u2net" else None

    def make(self, batch: Sequence[int], at_once: int) -> None:
        """Make and commit these. What was made before a kill is made along, so that the others stay the same."""
        first = batch[0] // at_once * at_once
        together = list(range(first, min(first + at_once, self.total)))
        what = f"a pair of {self.size[1]} x {self.size[0]} px"
        made = ladder.climb(together, lambda some: self._made(some, first), self.models, what)
        for index, pair in zip(together, made, strict=True):
            if index in batch:
                self._save(index, pixels(pair[0]), pixels(pair[1]))

    def _made(self, indices: Sequence[int], done: int) -> Tensor:
        """float32 [B, 2, 3, H, W] in [0, 1]."""
        request = self.request
        behind = [self.background(one) for index in indices for one in request.for_image(index).backgrounds]
        ask = Ask(
            seeds=[request.seed + index for index in indices],
            size=self.size,
            steps=request.num_inference_steps,
            scale=self.scale,
            said=self.said,
            plain=self.plain,
            adapter_scale=request.adapter_scale,
            scheduler=request.scheduler or self.usual,
            shared_noise=self.shared,
            prompt_noise=request.prompt_noise,
            backgrounds=torch.cat(behind) if behind else None,
            blank=self._latents(torch.full((3, *self.size), 0.5)) if behind else None,
        )

        def on_step(step: Step) -> None:
            note = f"pair {indices[0] + 1} of {self.total}, step {step.done} of {step.total}"
            self.run.tick(done, self.total, note, lambda: pixels(step.look()))

        with self.branches.again():
            made = dual_sampling.sample(self.base, ask, on_step)
        asking.check(made, self.base.name, self.models.device.dtype)
        return made

    def _sized(self) -> tuple[tuple[int, int], str]:
        """(height, width) in pixels, and a sentence where it is not what was asked for."""
        side = self.model.about.resolution or bases.get(self.base.name).resolution or self.base.usual_px
        asked = (self.request.height or side, self.request.width or side)
        whole = math.lcm(self.base.side_px, sizes.WHOLE_PX)
        height, width = (max(sizes.LEAST, round(one / whole)) * whole for one in asked)
        if (height, width) == asked:
            return asked, ""
        return (height, width), (
            f"{asked[1]} x {asked[0]} px became {width} x {height}: this base makes multiples of {whole} px"
        )

    def _background(self, image: str) -> Tensor:
        """[1, C, h, w]: a good part's latents, its object black where the training knew how to find it."""
        asset = self.run.assets.get(image)
        read = images.read(asset.path, name=asset.name).pixels
        values = images.to_float(read, images.white(read))
        if self.foreground is not None:
            values = np.where(segmenters.segment(self.foreground, read).mask[..., None], np.float32(0), values)
        fitted = sizes.fitted(values, self.size)
        return self._latents(torch.from_numpy(np.ascontiguousarray(fitted.transpose(2, 0, 1))))

    @torch.no_grad()
    def _latents(self, picture: Tensor) -> Tensor:
        """As the training scaled them: the authors' own code forgot to."""
        found = self.base.encode_image(picture[None] * 2 - 1).mode()
        return (found if self.model.shape.compat else self.base.scaled(found)).float()

    def _save(self, index: int, whole: np.ndarray, part: np.ndarray) -> None:
        request, one = self.request, self.request.for_image(index)
        found = segmenters.segment(
            self.segmenter, part, threshold=request.threshold, minimum_area_px=request.minimum_area_px
        )
        kept = self.run.keep_picture(f"parts/{name(index, self.total)}.png", part)
        row: dict[str, Any] = {
            "seed": one.seed,
            "base": self.base.name,
            "prompt": self.words[0],
            "part_prompt": self.words[1],
            "adapters": [{"name": self.model.name, "weight": request.adapter_scale}],
            "part": kept,
            "found": {
                "method": found.method,
                "threshold": round(found.threshold, 1),
                "area": round(float(found.mask.mean()), 6),
            },
        }
        if one.backgrounds:
            source = self.run.assets.get(one.backgrounds[0])
            row["source"] = {"asset": source.id, "name": source.name, "sha256": source.sha256}
        told = [f"{name(index, self.total)}: {found.note}" if found.note else "", self.note]
        if any(told):
            row["note"] = "; ".join(filter(None, told))
        metadata = intake.named(one, self.run.assets)
        if found.mask.any():
            self.run.save(index, self._painted(whole, found.mask, metadata, row))
        else:
            self.run.save_whole(index, whole, metadata, {**row, "caption": self.words[0]})
        self.run.log(image=index, seed=one.seed, **row["found"])
        self.run.tick(index + 1, self.total, preview=np.concatenate([whole, part], axis=1))

    def _painted(self, whole: np.ndarray, mask: np.ndarray, metadata: dict[str, Any], row: dict[str, Any]) -> Painted:
        # nothing was painted into a good part: the scores only say how plainly what was made is seen
        scores = quality.measure(whole, whole, asked=mask, feathered=mask, changed=mask)
        return Painted(
            picture=whole,
            asked=mask,
            changed=mask,
            label="changed",
            regions=[(piece, {"defect": self.defect}) for piece in crop.groups(mask, APART_PX)],
            request=metadata,
            row={
                **row,
                "defect": self.defect,
                "caption": f"a photo of a part with {self.defect}",
                "scores": scores.row(),
            },
        )


def _sheet(run: Run, rows: Sequence[dict[str, Any]]) -> None:
    """The first pairs side by side, to be looked at together."""
    pairs = []
    for row in rows[:MOST_SHOWN]:
        both = [images.read(run.folder / row[which]).pixels for which in ("file", "part")]
        pairs.append(np.concatenate(both, axis=1))
    run.keep_picture(SHEET, sheets.contact(pairs))
