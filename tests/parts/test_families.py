"""What every family does alike: pictures of each task, batches that are singles, guidance, stopping, adapters."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pipelines.core.models import Models
from pipelines.parts.adapter_files import Adapter, Layer
from pipelines.parts.adapters import Use
from pipelines.parts.families import opened_source
from pipelines.parts.family import Family, Source, Task
from pipelines.parts.sampling import Ask, Step, generators, sample, whole_cells
from tests import tiny

BASES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "sd15": ("stable-diffusion", tiny.stable_diffusion),
    "sd15-inpaint": ("stable-diffusion", lambda folder: tiny.stable_diffusion(folder, in_channels=9)),
    "sd2": ("stable-diffusion", lambda folder: tiny.stable_diffusion(folder, prediction="v_prediction")),
    "sdxl": ("sdxl", tiny.sdxl),
    "sdxl-inpaint": ("sdxl", lambda folder: tiny.sdxl(folder, in_channels=9)),
    "sd3": ("sd3", tiny.sd3),
    "sd3-inpaint": ("sd3", lambda folder: tiny.sd3(folder, in_channels=33)),
}
ABLE: dict[str, tuple[Task, ...]] = {
    name: ("inpaint",) if name.endswith("inpaint") else ("text", "image", "inpaint") for name in BASES
}
EVERY = [(name, task) for name, tasks in ABLE.items() for task in tasks]
every = pytest.mark.parametrize(("name", "task"), EVERY, ids=[f"{name}-{task}" for name, task in EVERY])
one_of_each = pytest.mark.parametrize("name", ["sd15", "sdxl", "sd3"])


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """Opens a base by name. All stay in one registry, as in a worker."""
    root, models = tmp_path_factory.mktemp("bases"), Models("cpu")

    @contextmanager
    def base(name: str) -> Iterator[Family]:
        family, build = BASES[name]
        if not (root / name).is_dir():
            build(root / name)
        with opened_source(Source(name, family, root / name), models) as opened:
            opened.registry = models  # type: ignore[attr-defined]
            yield opened

    yield base
    assert not any(row["pinned"] for row in models.report())


def wanted(task: Task, count: int = 1, **more: Any) -> Ask:
    """A picture, a mask, a text, a seed and a strength of guidance for each of the batch."""
    random = torch.Generator().manual_seed(1)
    masks = torch.zeros(count, 1, tiny.PX, tiny.PX, dtype=torch.bool)
    for place in range(count):
        masks[place, :, 4 + 4 * place : 16 + 4 * place, 10:26] = True
    given = Ask(
        task,
        ["a deep scratch", "a dent", "a crack", "scarred"][:count],
        [3, 4, 5, 6][:count],
        (tiny.PX, tiny.PX),
        2,
        [5.0, 1.0, 8.0, 2.5][:count],
        negatives=["", "blurred", "", "dark"][:count],
        images=torch.rand(count, 3, tiny.PX, tiny.PX, generator=random) if task != "text" else None,
        masks=masks if task == "inpaint" else None,
        strength=0.6 if task != "text" else 1.0,
    )
    return replace(given, **more)


def nothing(step: Step) -> None:
    """On to the next step."""


def latents_of(base: Family, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> tuple[Tensor, Tensor]:
    """The pictures, and the latents they were decoded from."""
    seen: list[Tensor] = []
    own = base.decode

    def decode(latents: Tensor) -> Tensor:
        seen.append(latents)
        return own(latents)

    with monkeypatch.context() as patch:
        patch.setattr(base, "decode", decode)
        made = sample(base, ask, nothing)
    return made, torch.cat(seen)


@every
def test_it_makes_pictures_and_shows_them_on_the_way(bases: Any, name: str, task: Task) -> None:
    with bases(name) as base:
        assert set(ABLE[name]) == base.tasks
        steps: list[Step] = []
        looks: list[Tensor] = []

        def show(step: Step) -> None:
            steps.append(step)
            looks.append(step.look())

        made = sample(base, wanted(task, 2, steps=4), show)
        assert made.shape == (2, 3, tiny.PX, tiny.PX)
        assert made.dtype == torch.float32
        assert made.isfinite().all()
        assert 0 <= made.min() < made.max() <= 1
        assert [step.done for step in steps] == list(range(1, steps[0].total + 1))
        assert len(steps) == (4 if task == "text" else 3 if base.denoiser_part == "transformer" else 2)
        cells = tiny.PX // base.cell_px
        assert all(look.shape == (3, cells, cells) and 0 <= look.min() <= look.max() <= 1 for look in looks)


@every
def test_a_batch_of_four_is_four_singles(bases: Any, monkeypatch: pytest.MonkeyPatch, name: str, task: Task) -> None:
    with bases(name) as base:
        ask = wanted(task, 4)
        together, latents = latents_of(base, ask, monkeypatch)
        assert (together[0] - together[1]).abs().max() > 0.1
        for place in range(4):
            alone, own = latents_of(base, ask.one(place), monkeypatch)
            assert (latents[place] - own[0]).norm() / own[0].norm() <= 1e-4
            assert (together[place] - alone[0]).abs().max() <= 1 / 255


@pytest.mark.parametrize("name", BASES)
def test_outside_the_mask_the_text_changes_nothing(bases: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with bases(name) as base:
        ask = wanted("inpaint")
        assert ask.masks is not None
        _, first = latents_of(base, ask, monkeypatch)
        _, second = latents_of(base, replace(ask, prompts=["oil all over"]), monkeypatch)
        inside = whole_cells(ask.masks, base.side_px)[:, :, :: base.cell_px, :: base.cell_px].expand_as(first)
        assert torch.equal(first[~inside], second[~inside])
        assert (first - second)[inside].abs().max() > 1e-3


@one_of_each
def test_its_guidance_is_the_pipelines_own(bases: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Which half is which, and what strength 1 means: nothing of the other half."""
    with bases(name) as base:
        for scale in (1.0, 4.0):
            ask = wanted("text", scales=[scale], negatives=["blurred"])
            _, ours = latents_of(base, ask, monkeypatch)
            theirs = base.pipeline("text")(
                **base.text_arguments(ask.prompts, ask.negatives, 0),
                num_inference_steps=ask.steps,
                generator=generators(ask.seeds),
                guidance_scale=scale,
                output_type="latent",
                height=tiny.PX,
                width=tiny.PX,
            ).images
            assert (ours - theirs).norm() / theirs.norm() <= 1e-4
        assert not base.denoiser._forward_hooks


@one_of_each
def test_strength_rescale_and_interval_of_guidance_act(bases: Any, name: str) -> None:
    with bases(name) as base:
        made = {
            "plain": sample(base, wanted("text", scales=[9.0]), nothing),
            "none": sample(base, wanted("text", scales=[1.0]), nothing),
            "rescaled": sample(base, wanted("text", scales=[9.0], rescale=0.9), nothing),
            "late": sample(base, wanted("text", scales=[9.0], interval=(0.4, 1.0)), nothing),
            "never": sample(base, wanted("text", scales=[9.0], interval=(1.0, 1.0)), nothing),
        }
        assert torch.equal(made.pop("never"), made["none"])
        names = list(made)
        for place, first in enumerate(names):
            for second in names[place + 1 :]:
                assert (made[first] - made[second]).abs().max() > 1e-4, (first, second)


@every
def test_it_stops_at_the_step_that_says_so(bases: Any, name: str, task: Task) -> None:
    class Stopped(Exception):
        pass

    def stop(step: Step) -> None:
        seen.append(step.done)
        if step.done == 2:
            raise Stopped

    with bases(name) as base:
        whole = sample(base, wanted(task, steps=5), nothing)
        seen: list[int] = []
        with pytest.raises(Stopped):
            sample(base, wanted(task, steps=5), stop)
        assert seen == [1, 2]
        assert not base.denoiser._forward_hooks
        assert torch.equal(sample(base, wanted(task, steps=5), nothing), whole)


@one_of_each
def test_all_its_pipelines_have_the_same_parts(bases: Any, name: str) -> None:
    with bases(name) as base:
        held = base.registry.held_bytes
        made = [base.pipeline(task) for task in base.tasks]
        for part in base.held:
            assert {id(getattr(one, part)) for one in made} == {id(base.held[part])}
        assert len({id(one.scheduler) for one in made}) == len(made)
        assert base.registry.held_bytes == held


@one_of_each
def test_noise_and_target_belong_together(bases: Any, name: str) -> None:
    """With the right prediction the clean latents are found again from the noisy ones."""
    with bases(name) as base:
        channels = base.vae.config.latent_channels
        clean, noise = torch.randn(2, channels, 16, 16), torch.randn(2, channels, 16, 16)
        steps = torch.tensor([100, 800])
        noisy, target = base.add_noise(clean, noise, steps), base.target(clean, noise, steps)
        if base.denoiser_part == "transformer":
            found = noisy - (steps / 1000).view(-1, 1, 1, 1) * target
        else:
            alpha = base._noise.alphas_cumprod[steps].view(-1, 1, 1, 1)
            found = (noisy - (1 - alpha).sqrt() * target) / alpha.sqrt()
        assert torch.allclose(found, clean, atol=1e-4)
        text = base.encode_prompt(["a", "b"])
        assert base.predict(noisy, steps, text).shape == clean.shape


def lora(base: Family, part: str, targets: tuple[str, ...]) -> dict[str, Layer]:
    """A change of every module of a part whose name ends so."""
    torch.manual_seed(0)
    found = {}
    for name, module in base.held[part].named_modules():
        if name.endswith(targets):
            out, width = module.weight.shape
            found[name] = Layer(0.3 * torch.randn(2, width), 0.3 * torch.randn(out, 2), 2.0)
    return found


@one_of_each
def test_a_lora_is_attached_and_comes_off(bases: Any, name: str) -> None:
    with bases(name) as base:
        encoders = [part for part in base.models if part.startswith("text_encoder") and part != "text_encoder_3"]
        layers = {part: lora(base, part, base.text_lora_targets) for part in encoders}
        layers[base.denoiser_part] = lora(base, base.denoiser_part, base.lora_targets)
        assert all(layers.values())
        before = sample(base, wanted("text"), nothing)
        held = base.registry.held_bytes
        for changed in (layers, {encoders[-1]: layers[encoders[-1]]}):
            adapter = Adapter("own", "dotted", changed)
            with base.attached([Use(adapter, 0.8)]) as attached:
                assert attached.changed == {"own": sum(map(len, changed.values()))}
                assert (sample(base, wanted("text"), nothing) - before).abs().max() > 1e-4
            with base.attached([Use(adapter, 0.0)]):
                assert (sample(base, wanted("text"), nothing) - before).abs().max() <= 1e-5
            assert torch.equal(sample(base, wanted("text"), nothing), before)
        assert base.registry.held_bytes == held
