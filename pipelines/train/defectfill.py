"""DefectFill (CVPR 2025, arXiv 2503.13985): a base that inpaints learns to paint one kind of defect into a hole.

Each step looks twice at the same noisy latents, with the defect hidden and with boxes anywhere hidden. Three losses:
the defect's own area, the whole part with the defect counting most, and that the base looks at the defect where its
word is said. That last one has a gradient here; every public re-implementation detaches the map, and trains nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.core import bases
from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.core.requests import TrainDefectfill
from pipelines.core.runs import Run
from pipelines.parts import attention, denoising, likeness, loop, wording
from pipelines.parts.chance import generator
from pipelines.parts.family import Attached, Family
from pipelines.parts.feed import Batch, Row
from pipelines.parts.learning import Learner
from pipelines.parts.lessons import At, Look, Terms
from pipelines.parts.loaders import Example
from pipelines.parts.optimizers import Group
from pipelines.parts.stable_diffusion import Noising
from pipelines.parts.wording import Word
from pipelines.train import material
from pipelines.train.adapting import Adapting, adapter
from pipelines.train.recipe import clip_encoders, opened, ordinary, word_product

SHOWN, SHOWN_LEVEL = 4, 0.5
"""Of so many pictures the attention is shown, at this share of the schedule."""


def run(request: TrainDefectfill, run: Run, models: Models) -> None:
    """Train; the adapter lies in weights/. Raises BadInput before the first step for whatever cannot go well."""
    found = material.gather(request, run)
    run.tick(0, 1, f"loading {bases.get(request.base).label}", force=True)
    with opened(request, models) as base, ExitStack() as stack:
        noising = _noising(base)
        look = stack.enter_context(likeness.opened(models)) if request.perceptual_weight else None
        words = stack.enter_context(_words(request, base))
        learned, held = (shown(examples, request, words) for examples in material.marked(found, request, run))
        learner = stack.enter_context(adapter(base, request, run))
        maps = attention.Living()
        stack.enter_context(attention.watched(base, maps))
        recipe = Filling(request, noising, learner, learned, held, run, maps, words, look)
        recipe.feed.also(ordinary(request, base, found, run, recipe.side, recipe.aside))
        result = loop.fit(recipe, request, len(learned), run, base.device)
        about = {"base": request.base, "defects": list(request.defects), "images": len(learned)}
        run.finish({**about, "prompts": recipe.prompts(), "changed": recipe.changed, **result})


def _noising(base: Family) -> Noising:
    if not base.inpaints or not isinstance(base, Noising):
        raise BadInput(
            f"base {base.name} was not made to inpaint with a UNet of 9 channels: choose one that was, such as"
            " sd15-inpaint, sd2-inpaint or sdxl-inpaint",
            "base",
        )
    return base


@contextmanager
def _words(request: TrainDefectfill, base: Family) -> Iterator[dict[str, Word]]:
    """New words by defect, where the request wants such; several vectors are several words in a prompt."""
    found: dict[str, Word] = {}
    encoders = clip_encoders(base)
    if request.new_word and len(request.defects) > 1 and len(encoders) > 1:
        raise BadInput(
            f"new_word: base {base.name} has {len(encoders)} text encoders, whose file holds one word: train one defect"
            " at a time, or leave new_word off",
            "new_word",
        )
    with ExitStack() as stack:
        for number, defect in enumerate(request.defects if request.new_word else ()):
            token = request.word_of(defect)
            start, count = request.initializer_token, request.num_vectors
            begun = wording.learning(base.spoken, encoders, token, start, count, request.seed + number)
            found[defect] = stack.enter_context(begun)
        yield found


@dataclass(frozen=True)
class Said:
    """A picture that is learned from: both its prompts, and the words in them that stand for its defects."""

    row: Row
    alone: str
    words: tuple[str, ...]


def shown(examples: Sequence[Example], request: TrainDefectfill, words: Mapping[str, Word]) -> list[Said]:
    """What each picture is called."""
    found = []
    for one in examples:
        here = [defect for defect in request.defects if defect in one.classes]
        spelled = Attached({}, {request.word_of(defect): words[defect].written for defect in here if defect in words})
        whole, alone = (
            spelled.prompt(request.said(sentence, *here)) for sentence in (request.instance_prompt, request.part_prompt)
        )
        own = tuple(spelled.prompt(request.word_of(defect)) for defect in here)
        found.append(Said(Row(one.image.name, material.reader(one), whole), alone, own))
    return found


class Filling(Adapting):
    """The recipe that parts/loop asks."""

    def __init__(
        self,
        request: TrainDefectfill,
        base: Noising,
        learner: Learner,
        learned: Sequence[Said],
        held: Sequence[Said],
        run: Run,
        maps: attention.Living,
        words: Mapping[str, Word],
        lpips: likeness.Lpips | None = None,
    ) -> None:
        rows, kept = ([one.row for one in some] for some in (learned, held))
        super().__init__(request, base, learner, rows, kept, run, still=not words, filled=True)
        self.wish, self.noising, self.maps, self.new, self.lpips = request, base, maps, words, lpips
        self.alone = {one.row.prompt: one.alone for one in (*learned, *held)}
        self.tokens = {
            prompt: sorted({place for word in one.words for place in attention.places(base, prompt, [word])})
            for one in (*learned, *held)
            for prompt in (one.row.prompt, one.alone)
        }
        for number, one in enumerate(words.values()):
            for part, table in one.tables.items():
                table.vectors.requires_grad_(True)  # whoever laid the adapter on held the rest of the encoder still
                self.groups.append(Group(f"{part}.{number}", [table.vectors], self._rate(denoiser=False)))

    # -- the losses

    def loss(self, at: At) -> Terms:
        batch = self.feed.batch(at.batch, at.rank, at.ranks)
        return self.terms(
            batch, denoising.noised(self.base, batch.latents, self.levels, self.request.seed, at.batch, at.rank)
        )

    def apart(self, batch: Batch, levels: denoising.Levels, place: int) -> float:
        given = denoising.noised(self.base, batch.latents, levels, self.request.seed, place, rank=-1)
        return float(torch.stack(list(self.terms(batch, given).values())).sum())

    def terms(self, batch: Batch, given: denoising.Noised) -> dict[str, Tensor]:
        """The losses of a batch, weighted (eq. 3 to 6); one noise and one timestep for both looks at a picture."""
        wish, own = self.wish, int((~batch.prior).sum())  # a batch's own rows come first, then the ordinary ones
        passes = [name for name, needed in self._needed(own < len(batch.prior)).items() if needed]
        predicted = self._predicted(batch, given, passes, own)
        off = {
            name: (answer - given.target.float()).square() * given.weights.view(-1, 1, 1, 1).to(answer)
            for name, answer in predicted.items()
        }
        area, found = batch.area[:own].to(given.noisy.device), {}
        if wish.defect_loss_weight:
            found["defect"] = wish.defect_loss_weight * denoising.marked_mean(off["defect"][:own], area)
        if wish.object_loss_weight:
            weight = area + wish.background_weight * (1 - area)
            found["object"] = wish.object_loss_weight * denoising.marked_mean(off["object"][:own], weight)
        if own < len(batch.prior):
            found["prior"] = wish.prior_loss_weight * off["object"][own:].mean()
        if wish.attention_loss_weight:
            found["attention"] = wish.attention_loss_weight * self._astray(area)
        if self.lpips is not None:
            seen = (given.noisy[:own], predicted["defect"][:own], given.timesteps[:own])
            found["perceptual"] = wish.perceptual_weight * denoising.unlike(self.noising, self.lpips, batch, *seen)
        return found

    def _needed(self, prior: bool) -> dict[str, bool]:
        """Which of the two looks at the pictures anything is learned from."""
        wish = self.wish
        watched = wish.attention_pass if wish.attention_loss_weight else ""
        return {
            "defect": bool(wish.defect_loss_weight) or self.lpips is not None or watched == "defect",
            "object": bool(wish.object_loss_weight) or watched == "object" or prior,
        }

    def _predicted(self, batch: Batch, given: denoising.Noised, passes: Sequence[str], own: int) -> dict[str, Tensor]:
        """The base's answer in each look, float32 [B, C, h, w]; `maps` then hold where it looked for the words."""
        assert batch.filled is not None
        assert batch.beside is not None
        beside = {"defect": batch.filled, "object": batch.beside}
        prompts = {"defect": [self.alone.get(one, one) for one in batch.prompts], "object": batch.prompts}
        text = self.spoken([prompt for name in passes for prompt in prompts[name]])
        count, times = len(batch.prompts), len(passes)
        if self.wish.attention_loss_weight:
            watched = self.wish.attention_pass
            self.maps.expect([self.tokens[one] for one in prompts[watched][:own]], passes.index(watched) * count)
        answer = self.base.predict(
            given.noisy.repeat(times, 1, 1, 1).to(self.base.dtype),
            given.timesteps.repeat(times),
            text,
            torch.cat([beside[name] for name in passes]).to(self.base.dtype),
        )
        return dict(zip(passes, answer.float().split(count), strict=True))

    def _astray(self, area: Tensor) -> Tensor:
        """How far the base looks elsewhere than where the defect is, when its word is said."""
        if self.wish.attention_scales == "mean":
            return (self.maps.mean() - area).square().mean()
        sizes = [(one, F.interpolate(area, one.shape[-2:], mode="area")) for one in self.maps.layers.values()]
        return torch.stack([(one - there).square().mean() for one, there in sizes]).mean()

    # -- what it shows

    def look(self, step: int, tick: Callable[[str], None]) -> Look:
        self.maps.expect(())
        look = super().look(step, tick)
        tick("looking where it looks for the defect")
        shares, pictures = self._attention()
        facts = {**look.facts, "attention_inside": float(np.mean(shares))}
        return replace(look, views={"attention": pictures} if pictures else {}, facts=facts)

    @torch.no_grad()
    def _attention(self) -> tuple[list[float], list[np.ndarray]]:
        """Of some pictures the share of the attention that lies on the defect, and the picture, its mask and the map
        side by side, uint8."""
        feed = self.held or self.feed
        seed, shares, shown = self.request.seed, [], []
        for place in range(min(SHOWN, len(feed.rows))):
            draws = generator(seed, place, "attention")
            batch = feed.of([(place, 0)], draws)
            level = denoising.Levels(SHOWN_LEVEL, SHOWN_LEVEL + 1e-3)
            given = denoising.noised(self.base, batch.latents, level, seed, place, rank=-2)
            assert batch.beside is not None
            self.maps.expect([self.tokens[batch.prompts[0]]])
            text, beside = self.spoken(batch.prompts), batch.beside.to(self.base.dtype)
            self.base.predict(given.noisy.to(self.base.dtype), given.timesteps, text, beside)
            heat, area = self.maps.mean()[0, 0].float().cpu(), batch.area[0, 0].cpu()
            shares.append(float((heat * area).sum() / heat.sum().clamp(min=1e-8)))
            if self.request.num_validation_images:
                picture, mask = feed.picture(place, 0)
                shown.append(beside_mask(picture[0], mask[0, 0], heat))
        return shares, shown

    # -- what learns

    def tensors(self) -> dict[str, Tensor]:
        """The adapter's, and the new words' by their number."""
        return {**super().tensors(), **self._vectors()}

    def _vectors(self) -> dict[str, Tensor]:
        words = enumerate(self.new.values())
        return {f"word.{number}.{part}": one for number, word in words for part, one in word.tensors().items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        own = self._vectors()
        super().load({name: one for name, one in tensors.items() if name not in own})
        for number, word in enumerate(self.new.values()):
            word.load({part: tensors[f"word.{number}.{part}"] for part in word.tensors()})

    @contextmanager
    def aside(self) -> Iterator[None]:
        self.maps.expect(())
        with ExitStack() as stack:
            stack.enter_context(super().aside())
            # the words lie over one another: taken off from the last, they come back from the first
            for word in reversed(list(self.new.values())):
                stack.enter_context(word.aside())
            yield

    def write(self, folder: Path) -> Sequence[str]:
        vectors = {word.token: word.tensors() for word in self.new.values()}
        return [*super().write(folder), *(word_product(folder, vectors, self.request.base) if vectors else ())]


def beside_mask(picture: Tensor, mask: Tensor, heat: Tensor) -> np.ndarray:
    """uint8 H x 3W x 3: a picture [3, H, W] in [0, 1], its mask bool [H, W], and a map [h, w] laid over the picture."""
    pixels = np.rint(picture.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    white = np.repeat(mask.numpy().astype(np.uint8)[..., None] * 255, 3, axis=2)
    low, high = heat.min(), heat.max()
    whole = (slice(0, pixels.shape[0]), slice(0, pixels.shape[1]))
    laid = attention.laid_over(pixels, 255, whole, ((heat - low) / (high - low).clamp(min=1e-8)).numpy())
    return np.concatenate([pixels, white, laid], axis=1)
