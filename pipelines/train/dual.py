"""DualAnoDiff (CVPR 2025): a base learns pairs of a damaged part and its defect alone on grey, which see each other.

Two branches in one UNet (parts/dual), each picture of a pair with noise of its own at one timestep, and the plain loss
over both. Knows what is shown and what is learned; how branches meet, the shelves do.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipelines.core import bases
from pipelines.core.errors import BadInput
from pipelines.core.library import DUAL_FILE
from pipelines.core.models import Models
from pipelines.core.requests import TrainDual
from pipelines.core.runs import Run
from pipelines.parts import adapters, denoising, dual, dual_files, dual_sampling, learning, likeness, loop, segmenters
from pipelines.parts.chance import generator
from pipelines.parts.dual import Branches, interleaved
from pipelines.parts.family import Family
from pipelines.parts.feed import Batch, Feed, Row, Settings
from pipelines.parts.learning import Learner
from pipelines.parts.lessons import At, Look, Terms
from pipelines.parts.loaders import Example
from pipelines.parts.optimizers import Group
from pipelines.parts.sampling import APART, Step, pixels
from pipelines.train import material
from pipelines.train.recipe import Denoising, opened, product

TEXT = dual_files.TEXT
FOUND, DEFECT = "u2net", "defect"
"""What is blacked out of a background: the object, as U-2-Net finds it, or the defect alone."""


def run(request: TrainDual, run: Run, models: Models) -> None:
    """Train; the model lies in weights/. Raises BadInput before the first step for whatever cannot go well."""
    found = material.gather(request, run)
    learned, held = material.marked(found, request, run)
    run.tick(0, 1, f"loading {bases.get(request.base).label}", force=True)
    with opened(request, models) as base, ExitStack() as stack:
        look = stack.enter_context(likeness.opened(models)) if request.perceptual_weight else None
        branches, learner = stack.enter_context(_learning(base, request, run))
        recipe = Pairing(request, base, branches, learner, learned, held, run, look)
        result = loop.fit(recipe, request, len(learned), run, base.device)
        about = {"base": request.base, "defect": request.defect, "images": len(learned)}
        run.finish({**about, "prompts": recipe.prompts(), "changed": recipe.changed, **result})


def shape_of(request: TrainDual) -> dual.Shape:
    """What the branches of this training are made of."""
    return dual.Shape(request.rank, request.interaction_rank, request.background, request.paper_compat)


@contextmanager
def _learning(base: Family, request: TrainDual, run: Run) -> Iterator[tuple[Branches, Learner | None]]:
    """The base with what is to learn, begun where the request says. Raises BadInput where that fits not."""
    shape = shape_of(request)
    before, text = None, None
    if request.resume_from is not None:
        asset = run.assets.get(request.resume_from)
        before = dual_files.read(asset.path, asset.name)
        _check_start(before, shape, request)
        text = adapters.plan(before.adapter, base.models, base.name)
    with ExitStack() as stack:
        branches = stack.enter_context(dual.on(base, shape, request.seed))
        for one in branches.parameters():
            one.requires_grad_(True)
        learner = None
        if request.text_encoder:
            own = learning.Shape("lora", request.rank, float(request.rank))
            targets = {TEXT: base.text_lora_targets}
            on = learning.on({TEXT: base.held[TEXT]}, {TEXT: own}, targets, request.seed)
            learner = stack.enter_context(on)
        if before is not None:
            branches.load(before.branches, before.name)
        if learner is not None and text:
            learner.begin_with(text, before.name if before else "")
        yield branches, learner


def _check_start(before: dual_files.Model, shape: dual.Shape, request: TrainDual) -> None:
    """Raises BadInput where a model cannot be gone on from."""
    theirs, name = before.shape, before.name
    if replace(theirs, compat=shape.compat) != shape:
        raise BadInput(
            f"resume_from: {name} has rank {theirs.rank}, interaction_rank {theirs.interaction_rank or 'empty'} and"
            f" background {str(theirs.background).lower()}: choose the same",
            "resume_from",
        )
    if before.text and not request.text_encoder:
        raise BadInput(
            f"resume_from: {name} also changes the text encoder, and this training would lose that: set text_encoder",
            "resume_from",
        )


@dataclass(frozen=True)
class Pair:
    """A batch of B pictures as each branch sees them: the same pictures, shown the same way."""

    whole: Batch
    part: Batch
    behind: Batch | None
    """Their backgrounds."""


@dataclass(frozen=True)
class Given:
    """Pairs with noise on them, as the base is asked about them: 2B rows, whole and part in turn."""

    rows: denoising.Noised
    text: Tensor
    """[2B, n, width]."""
    behind: Tensor | None
    """[B, C, h, w]: the backgrounds, in noise of their own at the same timesteps."""


@dataclass(frozen=True)
class _Feeds:
    """The same pictures whole, as parts, and as backgrounds: what one draws, all draw."""

    whole: Feed
    part: Feed
    behind: Feed | None

    def batch(self, at: At) -> Pair:
        step = (at.batch, at.rank, at.ranks)
        return Pair(
            self.whole.batch(*step), self.part.batch(*step), None if self.behind is None else self.behind.batch(*step)
        )

    def of(self, place: int, draws: Callable[[], torch.Generator]) -> Pair:
        which = [(place, 0)]
        return Pair(
            self.whole.of(which, draws()),
            self.part.of(which, draws()),
            None if self.behind is None else self.behind.of(which, draws()),
        )


class Pairing(Denoising):
    """The recipe that parts/loop asks."""

    def __init__(
        self,
        request: TrainDual,
        base: Family,
        branches: Branches,
        learner: Learner | None,
        learned: Sequence[Example],
        held: Sequence[Example],
        run: Run,
        lpips: likeness.Lpips | None = None,
    ) -> None:
        rows = [self._rows(some, request.instance_prompt) for some in (learned, held)]
        super().__init__(request, base, run, *rows, still=learner is None)
        self.wish, self.branches, self.learner, self.lpips = request, branches, learner, lpips
        self.noising = dual.checked(base)
        self.cut = ""
        if request.background:
            self.cut = FOUND if segmenters.chosen(segmenters.AUTO, clean=False) == FOUND else DEFECT
            what = "the object, as U-2-Net finds it" if self.cut == FOUND else "the defect alone, without U-2-Net"
            run.log(note=f"blacked out of the backgrounds is {what}")
        self.feeds = self._feeds(self.feed, learned)
        self.held_feeds = self._feeds(self.held, held) if self.held is not None else None
        self.groups = [Group("unet", branches.parameters(), request.learning_rate)]
        self.changed = {"unet": len(branches.processors)}
        if learner is not None:
            own = request.learning_rate if request.text_encoder_lr is None else request.text_encoder_lr
            self.groups.append(Group(TEXT, learner.parameters(TEXT), own))
            self.changed[TEXT] = len(learner.plan()[TEXT])

    @staticmethod
    def _rows(examples: Sequence[Example], prompt: str, *, part: bool = False) -> list[Row]:
        return [Row(one.image.name, material.reader(one), prompt, part) for one in examples]

    def _feeds(self, whole: Feed, examples: Sequence[Example]) -> _Feeds:
        def feed(rows: Sequence[Row], settings: Settings = whole.settings) -> Feed:
            return Feed(self.base, rows, settings)

        finds = segmenters.u2net() if self.cut == FOUND else None
        behind = [replace(row, read=partial(_background, row.read, finds)) for row in whole.rows]
        return _Feeds(
            whole,
            feed(self._rows(examples, self.wish.part_prompt, part=True)),
            feed(behind) if self.cut else None,
        )

    def prompts(self) -> Sequence[str]:
        return [self.wish.instance_prompt, self.wish.part_prompt]

    # -- the loss

    def loss(self, at: At) -> Terms:
        pair = self.feeds.batch(at)
        return self.terms(pair, self.given(pair, self.levels, at.batch, at.rank))

    def apart(self, batch: Batch, levels: denoising.Levels, place: int) -> float:
        assert self.held_feeds is not None
        pair = self.held_feeds.of(place, lambda: generator(self.request.seed, place, f"held out at {levels.low}"))
        return float(torch.stack(list(self.terms(pair, self.given(pair, levels, place, -1)).values())).sum())

    def given(self, pair: Pair, levels: denoising.Levels, number: int, rank: int) -> Given:
        """The pairs of batch `number` as they are learned from."""
        base, wish, seed = self.base, self.wish, self.request.seed
        one = denoising.noised(base, pair.whole.latents, levels, seed, number, rank)
        other = one.noise
        if not wish.shared_noise:
            other = denoising.noised(base, pair.part.latents, levels, seed ^ APART, number, rank).noise
        latents = interleaved(pair.whole.latents, pair.part.latents)
        noise, timesteps = interleaved(one.noise, other), interleaved(one.timesteps, one.timesteps)
        rows = denoising.Noised(
            base.add_noise(latents, noise, timesteps),
            timesteps,
            noise,
            base.target(latents, noise, timesteps),
            interleaved(one.weights, one.weights),
        )
        text = self.spoken(self.prompts())["prompt_embeds"].repeat(len(pair.whole.latents), 1, 1)
        if wish.prompt_noise:
            laid = torch.randn(text.shape, generator=generator(seed, number, "noise on the prompts", rank))
            text = text + wish.prompt_noise * laid.to(text)
        return Given(rows, text, self._behind(pair, one.timesteps, number, rank))

    def _behind(self, pair: Pair, timesteps: Tensor, number: int, rank: int) -> Tensor | None:
        if pair.behind is None:
            return None
        clean = self._scaled(pair.behind.latents)
        noise = torch.randn(clean.shape, generator=generator(self.request.seed, number, "noise behind", rank))
        return self.base.add_noise(clean, noise.to(clean), timesteps)

    def _scaled(self, latents: Tensor) -> Tensor:
        """Backgrounds as the base expects them; the authors' own code forgot the autoencoder's factor."""
        return latents / self.base.vae.config.scaling_factor if self.wish.paper_compat else latents

    def terms(self, pair: Pair, given: Given) -> dict[str, Tensor]:
        """The mean square over all rows, in two halves; and what LPIPS says of the defect in the whole picture."""
        rows, behind = given.rows, None
        if given.behind is not None:
            behind = dual.recorded(self.base, given.behind, rows.timesteps[0::2], given.text[0::2])
        answer = dual.predict(self.base, rows.noisy, rows.timesteps, given.text, "dual", behind).float()
        off = (answer - rows.target.float()).square().flatten(1).mean(1) * rows.weights.to(answer)
        found = {"whole": off[0::2].mean() / 2, "part": off[1::2].mean() / 2}
        if self.lpips is not None:
            seen = (rows.noisy[0::2], answer[0::2], rows.timesteps[0::2])
            unlike = denoising.unlike(self.noising, self.lpips, pair.whole, *seen)
            found["perceptual"] = self.wish.perceptual_weight * unlike
        return found

    # -- what it shows

    def look(self, step: int, tick: Callable[[str], None]) -> Look:
        held = None
        if self.held is not None:
            tick("looking at the pictures held back")
            held = denoising.held_out(self.held, self.apart, self.request.seed)
        if not self.request.num_validation_images:
            return Look(held)
        pairs = self._samples(tick)
        wholes = {self.wish.instance_prompt: [whole for whole, _ in pairs]}
        both = [np.concatenate(pair, axis=1) for pair in pairs]
        return Look(held, pictures=wholes, views={"pairs": both}, facts=denoising.diversity(wholes))

    def _samples(self, tick: Callable[[str], None]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Pairs, uint8 HxWx3, always with the same seeds."""
        base, wish, usual = self.base, self.wish, bases.get(self.base.name).defaults
        said = dual_sampling.said(base, wish.instance_prompt, wish.part_prompt)
        found = []
        for number in range(wish.num_validation_images):
            ask = dual_sampling.Ask(
                seeds=[wish.seed + number],
                size=(self.side, self.side),
                steps=min(usual.num_inference_steps, denoising.MOST_STEPS),
                scale=dual_sampling.usual_scale(shape_of(wish)),
                said=said,
                scheduler=usual.scheduler,
                shared_noise=wish.shared_noise,
                prompt_noise=wish.prompt_noise,
                **self._seen_behind(number),
            )

            def on_step(at: Step) -> None:
                tick(f"making pictures to look at, step {at.done} of {at.total}")

            ((whole, part),) = dual_sampling.sample(base, ask, on_step)
            found.append((pixels(whole), pixels(part)))
        return found

    def _seen_behind(self, number: int) -> dict[str, Tensor]:
        """A background of those it learns from, and the grey one of the prediction without a prompt."""
        feed = self.feeds.behind
        if feed is None:
            return {}
        place = number % len(feed.rows)
        latents = feed.of([(place, 0)], generator(self.request.seed, place, "background")).latents
        with torch.no_grad():
            grey = self.base.scaled(self.base.encode_image(torch.zeros(1, 3, self.side, self.side)).mode())
        return {"backgrounds": self._scaled(latents), "blank": self._scaled(grey.float())}

    # -- what learns

    def tensors(self) -> dict[str, Tensor]:
        own = {f"dual.{name}": one for name, one in self.branches.tensors().items()}
        return own | (self.learner.tensors() if self.learner is not None else {})

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        own = {key.removeprefix("dual."): one for key, one in tensors.items() if key.startswith("dual.")}
        self.branches.load(own, "of the checkpoint")
        if self.learner is not None:
            self.learner.load({key: one for key, one in tensors.items() if not key.startswith("dual.")})

    @contextmanager
    def aside(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(self.branches.aside())
            if self.learner is not None:
                stack.enter_context(self.learner.aside())
            yield

    def write(self, folder: Path) -> Sequence[str]:
        wish = self.wish
        about = dual_files.About(
            base=wish.base,
            instance_prompt=wish.instance_prompt,
            part_prompt=wish.part_prompt,
            defect=str(wish.defect),
            resolution=self.side,
            shared_noise=wish.shared_noise,
            cut=self.cut,
        )
        text = self.learner.plan() if self.learner is not None else {}
        return product(folder, DUAL_FILE, *dual_files.spelled(self.branches.tensors(), text, shape_of(wish), about))


def _background(
    read: Callable[[], tuple[np.ndarray, np.ndarray]], finds: segmenters.Segmenter | None
) -> tuple[np.ndarray, np.ndarray]:
    """A picture with its object, or its defect alone, black; and where the defect is, so that it is cropped alike."""
    picture, mask = read()
    hidden = mask
    if finds is not None:
        hidden = segmenters.segment(finds, np.rint(picture * 255).astype(np.uint8)).mask
    return np.where(hidden[..., None], np.float32(0), picture), mask
