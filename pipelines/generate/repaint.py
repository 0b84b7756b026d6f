"""Defects painted into the masked areas by a diffusion base: crop around the mask, inpaint, paste back exactly.

Beyond the feather not one byte moves: what comes out of the base is laid in by the feathered mask alone.
"""

import math
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from pipelines.core import bases, images, kinds
from pipelines.core.models import Models
from pipelines.core.requests import Control, Painting
from pipelines.core.requests.control import Steered
from pipelines.core.requests.generate import sibling
from pipelines.core.runs import Run
from pipelines.generate import asking, nets, scene, sizes, steering, trials
from pipelines.generate.scene import Area, Scene, Variant
from pipelines.parts import attention, crop, ladder, likeness, regional
from pipelines.parts.control import Steer
from pipelines.parts.family import Attached, Family
from pipelines.parts.sampling import Ask, Step, sample

MOST_ENLARGED = 8.0
"""A crop is enlarged to the base's resolution, but not beyond this: what is not there cannot be seen closer."""
LEAST_CELLS = 4


@dataclass(frozen=True)
class Job:
    """One window of the picture, painted in one pass: the areas in it, and how it is brought to the base's size."""

    areas: list[tuple[int, Area, np.ndarray]]
    """Number of the area, the area, and which part of its mask (bool HxW) lies here."""
    box: crop.Box
    size: tuple[int, int]
    """Height and width the base works at."""
    number: int
    """Which of the picture's jobs it is: their seeds are siblings."""


def run(request: Painting, run: Run, whole: Scene, models: Models, maps: steering.Maps | None = None) -> None:
    """Make `request.length()` pictures. Up to eight at a time, each as it would be alone. `maps` steer them."""
    run.tick(0, request.length(), f"loading {bases.get(request.base).label}", force=True)

    def make(base: Family) -> None:
        with asking.adapted(base, request, run.assets) as said, nets.opened(base, maps, models) as steers:
            jobs = plan(whole, base, bases.get(request.base).resolution or base.usual_px)
            size = max(1, sizes.at_once(models.device.name) // request.num_candidates)
            for left in run.batches(request.length(), size):
                # What was made before a kill is made along: in another batch the others would be rounded otherwise.
                first = left[0] // size * size
                batch = range(first, min(first + size, request.length()))
                _Painter(request, run, whole, models, base, said, steers, jobs, batch).paint(set(left))

    ladder.with_base(request.base, models, make)


def plan(whole: Scene, base: Family, resolution: int) -> list[Job]:
    """The windows to paint, in the order of the areas; areas whose windows touch go in one pass where the base can."""
    pieces = [
        (number, area, piece, crop.around(piece, area.padding_px + area.feather_px))
        for number, area in enumerate(whole.areas)
        for piece in area.pieces
    ]
    groups: list[list[tuple[int, Area, np.ndarray, crop.Box]]] = []
    for one in pieces:
        near = [group for group in groups if any(crop.touch(one[3], other[3]) for other in group)]
        if near and regional.can(base):
            for group in near[1:]:
                near[0].extend(group)
                groups.remove(group)
            near[0].append(one)
        else:
            groups.append([one])
    shape = (whole.pixels.shape[0], whole.pixels.shape[1])
    found = []
    for number, group in enumerate(groups):
        box = crop.squarer(crop.union([one[3] for one in group]), shape)
        areas = [one[:3] for one in group]
        found.append(Job(areas, box, working_size(box, resolution, base.side_px), number))
    return found


def working_size(box: crop.Box, resolution: int, side_px: int) -> tuple[int, int]:
    """Height and width for a window: as many pixels as the base is made for, in whole latent cells."""
    height, width = box.bottom - box.top, box.right - box.left
    scale = min(resolution / (height * width) ** 0.5, MOST_ENLARGED)
    whole = math.lcm(side_px, sizes.WHOLE_PX)

    def side(length: int) -> int:
        return max(LEAST_CELLS * side_px, round(length * scale / whole) * whole, whole)

    return side(height), side(width)


class _Painter:
    """The pictures of one batch on their way."""

    def __init__(
        self,
        request: Painting,
        run: Run,
        whole: Scene,
        models: Models,
        base: Family,
        said: Attached,
        steers: nets.Steering | None,
        jobs: Sequence[Job],
        batch: Sequence[int],
    ) -> None:
        self.request, self.run, self.whole, self.models = request, run, whole, models
        self.base, self.said, self.steers, self.jobs = base, said, steers, jobs
        self.batch = list(batch)
        self.ones = [request.for_image(index) for index in batch]
        self.usual = [asking.usual(one, base) for one in self.ones]
        self.scenes = [whole.for_image(one) for one in self.ones]
        self.total = request.length()

    def paint(self, left: Collection[int]) -> None:
        """Paint the batch, choose among candidates, save those that are left to save."""
        tried = self.request.num_candidates
        rows = [(place, candidate) for place in range(len(self.batch)) for candidate in range(tried)]
        painted = [self.whole.pixels.copy() for _ in rows]
        looks: list[list[tuple[Job, np.ndarray]]] = [[] for _ in rows]
        for job in self.jobs:

            def window(some: Sequence[int], job: Job = job) -> Tensor:
                made, seen = self._window(job, [rows[one] for one in some], [painted[one] for one in some])
                for number, look in zip(some, seen, strict=False):
                    looks[number] = [*(one for one in looks[number] if one[0] is not job), (job, look)]
                return made

            what = f"a window of {job.size[1]} x {job.size[0]} px"
            made = ladder.climb(range(len(rows)), window, self.models, what)
            for number, one in enumerate(made):
                self._paste(job, painted[number], one)
        for place, index in enumerate(self.batch):
            if index not in left:
                continue
            group = list(range(place * tried, (place + 1) * tried))
            chosen, scores = self._best(self.scenes[place], [painted[number] for number in group])
            self._save(
                place,
                index,
                painted[group[chosen]],
                {**scores, "chosen": chosen} if scores else {},
                looks[group[chosen]],
            )

    def _window(
        self, job: Job, rows: Sequence[tuple[int, int]], painted: Sequence[np.ndarray]
    ) -> tuple[Tensor, list[np.ndarray]]:
        """float32 [B, 3, h, w] in [0, 1]: the window of each picture, painted; and where the base looked, if asked."""
        before = torch.stack([as_tensor(one[job.box.window], self.whole.white, job.size) for one in painted])
        masks = [shrunk(mask[job.box.window], job.size) for _, _, mask in job.areas]
        together = np.logical_or.reduce(masks)
        prompts = [[self._prompt(place, number) for number, _, _ in job.areas] for place, _ in rows]
        ask = Ask(
            task="inpaint",
            prompts=[one[0] for one in prompts],
            negatives=[self.said.prompt(self.request.negative_prompt)] * len(rows),
            seeds=[self._seed(job, place, candidate) for place, candidate in rows],
            size=job.size,
            steps=self.usual[0].steps,
            scales=[self.usual[place].scale for place, _ in rows],
            rescale=self.usual[0].rescale,
            interval=(self.request.guidance_start, self.request.guidance_end),
            adapter_scale=self.request.adapter_scale,
            prompt_noise=self.request.prompt_noise,
            images=before,
            masks=torch.from_numpy(together)[None, None].repeat(len(rows), 1, 1, 1),
            strength=max(self.request.strength, 0.01),
            scheduler=self.usual[0].scheduler,
            clip_skip=self.request.clip_skip,
            steers=self._steers(job, [place for place, _ in rows]),
        )
        first = self.batch[rows[0][0]]

        def on_step(step: Step) -> None:
            note = f"picture {first + 1} of {self.total}, step {step.done} of {step.total}"
            self.run.tick(first, self.total, note, self._preview(job, painted[0], step.look))

        with ExitStack() as stack:
            stack.enter_context(regional.prompts(self.base, [one[1:] for one in prompts], masks, ask.clip_skip))
            maps = None
            if self.request.attention_maps:
                tokens = [attention.places(self.base, one, self._words(job)) for one in ask.prompts]
                maps = attention.Maps(tokens)
                stack.enter_context(attention.watched(self.base, maps))
            made = sample(self.base, ask, on_step)
        asking.check(made, self.request.base, self.models.device.dtype)
        return made, maps.pictures() if maps is not None else []

    def _steers(self, job: Job, places: Sequence[int]) -> list[Steer]:
        if self.steers is None:
            return []
        return self.steers.of([self._wanted(place) for place in places], job.box, job.size)

    def _wanted(self, place: int) -> nets.One:
        one = self.ones[place]
        assert isinstance(one, Steered)
        return one, self.scenes[place]

    def _prompt(self, place: int, number: int) -> str:
        region = self.scenes[place].areas[number].region
        return self.said.prompt(asking.prompt(self.request, region))

    def _words(self, job: Job) -> list[str]:
        """What stands for the defect in a prompt: a word an adapter brought, else its name."""
        defect = job.areas[0][1].region.defect
        own = (kinds.load()[defect].label.lower(), defect.replace("_", " "), "defect")
        return list(dict.fromkeys([*self.said.written.values(), *own]))

    def _seed(self, job: Job, place: int, candidate: int) -> int:
        own = self.scenes[place].areas[job.areas[0][0]].region.seed or 0
        return sibling(sibling(own, job.number), candidate * 101)

    def _paste(self, job: Job, pixels: np.ndarray, made: Tensor) -> None:
        """Lays a painted window into the picture, in place, by the feathered mask; nothing else is touched."""
        before = pixels[job.box.window]
        size = (before.shape[1], before.shape[0])
        new = made.permute(1, 2, 0).numpy()
        smaller = new.shape[0] > size[1]
        new = cv2.resize(new, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
        weight = np.zeros(before.shape[:2], np.float32)
        for _, area, mask in job.areas:
            np.maximum(weight, crop.feather(mask[job.box.window], area.feather_px), out=weight)
        values = images.to_float(before, self.whole.white)
        mixed = values + weight[..., None] * (new - values)
        after = images.from_float(mixed, like=before, white=self.whole.white)
        inside = weight > 0
        before[inside] = after[inside]

    def _preview(self, job: Job, pixels: np.ndarray, look: Callable[[], Tensor]) -> Callable[[], np.ndarray]:
        def preview() -> np.ndarray:
            shown = pixels.copy()
            self._paste(job, shown, look())
            return shown

        return preview

    def _best(self, here: Scene, candidates: Sequence[np.ndarray]) -> tuple[int, dict[str, object]]:
        """Which candidate is kept, and what was measured."""
        if len(candidates) == 1:
            return 0, {}
        if self.request.select == "coverage":
            asked = here.asked
            shares = [float((scene.differs(here.pixels, one) & asked).sum() / asked.sum()) for one in candidates]
            return int(np.argmax(shares)), {"by": "coverage", "values": [round(one, 4) for one in shares]}
        by, values = likeness.apart(here.pixels, candidates, here.asked, self.whole.white, self.models)
        return int(np.argmax(values)), {"by": by, "values": [round(one, 4) for one in values]}

    def _save(
        self,
        place: int,
        index: int,
        painted: np.ndarray,
        scores: dict[str, object],
        looks: Sequence[tuple[Job, np.ndarray]],
    ) -> None:
        one = self.ones[place]
        row: dict[str, Any] = {"prompt": self._prompt(place, 0)}
        if isinstance(self.request, Control):
            row |= trials.cell(self.request, index)
        if scores:
            row["select"] = scores
        if self.steers is not None:
            many = len(self.jobs) > 1
            for job in self.jobs:
                stem = f"{index:05d}{f'.w{job.number + 1}' if many else ''}"
                row.setdefault("conditions", []).extend(
                    self.steers.kept(self.run, stem, self._wanted(place), job.box, job.size)
                )
        for job, look in looks:
            heat = attention.laid_over(self.whole.pixels, self.whole.white, job.box.window, look)
            file = f"attention/{index:05d}{f'.w{job.number + 1}' if len(self.jobs) > 1 else ''}.png"
            row.setdefault("attention", []).append(self.run.keep_picture(file, heat))
        found = scene.save(self.run, index, self.scenes[place], one, Variant(painted, row=row))
        self.run.log(image=index, seed=one.seed, scores=found, adapters=dict(self.said.changed), select=scores)
        self.run.tick(index + 1, self.total, preview=painted)


def as_tensor(pixels: np.ndarray, white: int, size: tuple[int, int]) -> Tensor:
    """A window as the base takes it: float32 [3, h, w] in [0, 1]."""
    values = images.to_float(pixels, white)
    smaller = size[0] < values.shape[0]
    resized = cv2.resize(values, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    return torch.from_numpy(np.ascontiguousarray(resized.clip(0, 1).transpose(2, 0, 1)))


def shrunk(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """bool mask at another size (height, width): each pixel that the mask touches. Strokes of one pixel stay."""
    if size[0] >= mask.shape[0] and size[1] >= mask.shape[1]:
        return cv2.resize(mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) > 0
    return cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA) > 0
