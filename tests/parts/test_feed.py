"""What a training looks at: views that keep the defect, batches without chance of their own, latents kept or not."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as some

from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.parts import augment, denoising, schedulers
from pipelines.parts.augment import View
from pipelines.parts.chance import generator
from pipelines.parts.families import opened_source
from pipelines.parts.family import Source
from pipelines.parts.feed import Feed, Row, Settings
from tests import tiny


def marked(seed: int, shape: tuple[int, int] = (50, 70)) -> tuple[np.ndarray, np.ndarray]:
    """A dark scratch of one or two pixels, and its mask."""
    random = np.random.default_rng(seed)
    picture = np.full((*shape, 3), 0.8, np.float32)
    mask = np.zeros(shape, np.uint8)
    ends = random.integers(2, min(shape) - 2, 4).tolist()
    cv2.line(mask, ends[:2], ends[2:], 1, int(random.integers(1, 3)))
    picture[mask > 0] = 0.1
    return picture, mask > 0


@trying(max_examples=60, deadline=None)
@given(seed=some.integers(0, 10_000), side=some.sampled_from([24, 32, 64]), oriented=some.booleans())
def test_no_view_moves_a_defect_off_its_mask(seed: int, side: int, oriented: bool) -> None:
    picture, mask = marked(seed)
    view = augment.drawn(generator(seed, 0), oriented=oriented)
    shown, kept = augment.shown(picture, mask, view, side)
    assert shown.shape == (side, side, 3)
    assert kept.shape == (side, side)
    assert kept.any(), "the defect was cut away"
    dark = shown.mean(2) < 0.8 * view.gain + view.offset - 0.1
    near = cv2.dilate(kept.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert not (dark & ~near).any(), "the defect is beside its mask"
    if oriented:
        assert (view.flip, view.turns) == (False, 0)


def test_views_differ_and_a_long_defect_is_not_lost_in_a_crop() -> None:
    views = {augment.drawn(generator(0, number), oriented=False) for number in range(40)}
    assert len(views) == 40
    assert {view.turns for view in views} == {0, 1, 2, 3}
    assert {view.flip for view in views} == {True, False}
    picture, mask = np.zeros((20, 200, 3), np.float32), np.zeros((20, 200), bool)
    mask[2, :3] = mask[18, -3:] = True
    for across in (0.0, 0.5, 1.0):
        _, kept = augment.shown(picture, mask, View(across=across), 20)
        assert kept.any()


def test_random_boxes_are_as_large_as_defectfill_says() -> None:
    for seed in range(5):
        one = augment.boxes(200, generator(seed, 0), count=1)
        rows, columns = one.any(1).sum(), one.any(0).sum()
        assert 5 <= rows <= 51
        assert 5 <= columns <= 51
    assert 0.2 < augment.boxes(200, generator(0, 0)).mean() < 0.7


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.stable_diffusion(tmp_path_factory.mktemp("base") / "tiny")


def rows(count: int, **more: bool) -> list[Row]:
    return [Row(str(number), partial(marked, number), f"prompt {number}", **more) for number in range(count)]


def test_batches_are_functions_of_the_step_and_latents_the_same_kept_or_not(folder: Path) -> None:
    with opened_source(Source("tiny", "stable-diffusion", folder), Models("cpu")) as base:
        kept, anew = (Feed(base, rows(5), Settings(32, 2, views=3, kept=one, seed=1)) for one in (True, False))
        seen: list[int] = []
        for step in (3, 0, 1, 2, 4):
            one, other = kept.batch(step), anew.batch(step)
            assert torch.equal(one.latents, other.latents)
            assert one.prompts == other.prompts == [f"prompt {place}" for place in one.places]
            seen += one.places
        assert sorted(seen) == sorted([*range(5)] * 2), "not every picture came as often"
        halves = [kept.batch(0, rank, 2) for rank in range(2)]
        assert not set(halves[0].places) & set(halves[1].places)
        assert torch.equal(kept.batch(3).latents, anew.batch(3).latents)


def test_a_part_is_shown_on_grey_and_ordinary_rows_come_beside(folder: Path) -> None:
    with opened_source(Source("tiny", "stable-diffusion", folder), Models("cpu")) as base:
        feed = Feed(base, rows(2, part=True), Settings(32, 2, augment=False))
        pixels, mask = feed.picture(0, 0)
        assert bool((pixels.permute(0, 2, 3, 1)[~mask[:, 0]] == 0.5).all())
        feed.also(rows(1, prior=True))
        batch = feed.batch(0)
        assert batch.prior.tolist() == [False, False, True, True]
        off = torch.tensor([1.0, 3.0, 10.0, 20.0])
        found = denoising.terms(off, batch.prior, 0.5)
        assert (float(found["denoising"]), float(found["prior"])) == (2.0, 7.5)
        with pytest.raises(BadInput, match="no picture to learn from"):
            Feed(base, [], Settings(32, 2))


def test_mixed_rows_stay_mostly_themselves(folder: Path) -> None:
    with opened_source(Source("tiny", "stable-diffusion", folder), Models("cpu")) as base:
        plain = Feed(base, rows(4), Settings(32, 4, augment=False)).batch(0)
        for settings in (Settings(32, 4, augment=False, mix="mixup"), Settings(32, 4, augment=False, mix="cutmix")):
            mixed = Feed(base, rows(4), settings).batch(0)
            own = (mixed.latents - plain.latents).abs().mean()
            other = (mixed.latents - plain.latents.roll(1, 0)).abs().mean()
            assert own <= other


def test_min_snr_weighs_as_its_paper_says_and_flows_draw_within_bounds(folder: Path, tmp_path: Path) -> None:
    with opened_source(Source("tiny", "stable-diffusion", folder), Models("cpu")) as base:
        steps = torch.tensor([0, 300, 999])
        alphas = schedulers.make("ddpm", base.schedule).alphas_cumprod[steps]
        ratio = alphas / (1 - alphas)
        assert torch.allclose(
            base.noise_weights(steps, 5.0), torch.minimum(ratio, torch.tensor(5.0)) / ratio, rtol=1e-4
        )
        drawn = base.draw_timesteps(500, generator(0, 0), 0.2, 0.7)
        assert int(drawn.min()) >= 200
        assert int(drawn.max()) < 700
        latents = torch.zeros(4, 4, 16, 16)
        offset = denoising.noised(base, latents, denoising.Levels(offset=1.0), 0, 0)
        assert (
            offset.noise.mean((2, 3)).std()
            > 3 * denoising.noised(base, latents, denoising.Levels(), 0, 0).noise.mean((2, 3)).std()
        )
    flowing = tiny.sd3(tmp_path / "third", t5_too=False)
    with opened_source(Source("third", "sd3", flowing), Models("cpu")) as base:
        drawn = base.draw_timesteps(500, generator(0, 0), 0.2, 0.7)
        assert float(drawn.min()) >= 200
        assert float(drawn.max()) <= 700
