"""The guidance hook against diffusers' own guidance, and where diffusers has none against single pictures."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.parts import adapter_files
from pipelines.parts.adapters import Use
from pipelines.parts.families import opened_source
from pipelines.parts.family import Source
from pipelines.parts.guidance import ON, Guidance, rescaled
from pipelines.parts.sampling import Ask, sample
from tests import tiny, tiny_flux


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.stable_diffusion(tmp_path_factory.mktemp("sd"))


@pytest.fixture(scope="module")
def parts(base: Path) -> dict[str, Any]:
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(base, safety_checker=None)
    return dict(pipe.components)


def pipe(parts: dict[str, Any], cls: str = "StableDiffusionPipeline") -> Any:
    made = getattr(diffusers, cls)(**parts, requires_safety_checker=False)
    made.set_progress_bar_config(disable=True)
    return made


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


SHORT: dict[str, Any] = {"num_inference_steps": 3, "height": tiny.PX, "width": tiny.PX, "output_type": "np"}


@pytest.mark.parametrize(("scale", "rescale"), [(7.5, 0.0), (7.5, 0.7), (1.5, 1.0)])
def test_it_equals_the_guidance_that_diffusers_has(parts: dict[str, Any], scale: float, rescale: float) -> None:
    one = pipe(parts)
    wanted = one("a", generator=seeded(0), guidance_scale=scale, guidance_rescale=rescale, **SHORT).images
    with Guidance([scale], rescale).attached(one.unet):
        found = one("a", generator=seeded(0), guidance_scale=ON, **SHORT).images
    assert np.abs(found - wanted).max() <= 1e-6
    plain = one("a", generator=seeded(0), guidance_scale=ON, **SHORT).images
    assert np.abs(found - plain).max() > 1e-4


def test_each_image_of_a_batch_has_its_own_scale(parts: dict[str, Any]) -> None:
    one = pipe(parts)
    with Guidance([3.0, 9.0], 0.5).attached(one.unet):
        both = one(["a", "b"], generator=seeded(0, 1), guidance_scale=ON, **SHORT).images
    for place, (prompt, scale) in enumerate((("a", 3.0), ("b", 9.0))):
        with Guidance([scale], 0.5).attached(one.unet):
            single = one(prompt, generator=seeded(place), guidance_scale=ON, **SHORT).images
        assert np.abs(both[place] - single[0]).max() <= 1e-5


def test_outside_its_interval_it_does_not_guide(parts: dict[str, Any]) -> None:
    one = pipe(parts)

    def drawn(guidance: Guidance) -> np.ndarray:
        with guidance.attached(one.unet):
            return np.asarray(one("a", generator=seeded(0), guidance_scale=ON, **SHORT).images)

    assert np.array_equal(drawn(Guidance([9.0], interval=(2.0, 3.0))), drawn(Guidance([1.0])))
    some = drawn(Guidance([9.0], interval=(0.5, 1.0)))
    assert not np.array_equal(some, drawn(Guidance([9.0])))
    assert not np.array_equal(some, drawn(Guidance([1.0])))


def test_it_is_gone_after_the_with_also_after_an_error(parts: dict[str, Any]) -> None:
    one = pipe(parts)
    with pytest.raises(ZeroDivisionError), Guidance([7.5]).attached(one.unet):
        raise ZeroDivisionError
    assert not one.unet._forward_hooks


def test_rescaling_gives_the_spread_of_the_prompts_own_prediction() -> None:
    torch.manual_seed(0)
    guided, with_prompt = 5 * torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    found = rescaled(guided, with_prompt, 1.0)
    assert torch.allclose(found.std(dim=(1, 2, 3)), with_prompt.std(dim=(1, 2, 3)), rtol=1e-5)
    assert torch.equal(rescaled(guided, with_prompt, 0.0), guided)


ADAPTED: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "both halves": ("stable-diffusion", tiny.stable_diffusion),
    "two calls": ("flux", lambda folder: tiny_flux.flux(folder, kind="schnell")),
    "told": ("flux", tiny_flux.flux),
}


@pytest.fixture(scope="module", params=list(ADAPTED))
def adapted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Use]]:
    """A base of each way to be guided, and an adapter for it."""
    family, build = ADAPTED[request.param]
    folder = tmp_path_factory.mktemp("adapted")
    build(folder / "base")
    with opened_source(Source("base", family, folder / "base"), Models("cpu")) as fresh:
        part = fresh.denoiser_part
        tensors = {f"{part}.{name}": one.contiguous() for name, one in tiny.lora(fresh.denoiser).items()}
        save_file(tensors, folder / "adapter.safetensors")
    with opened_source(Source("base", family, folder / "base"), Models("cpu")) as base:
        assert base.guides == request.param
        yield base, Use(adapter_files.read(folder / "adapter.safetensors", name="adapter"), 1.0)


def made(base: Any, **more: Any) -> torch.Tensor:
    own: dict[str, Any] = {"scales": [4.0, 2.0], "steps": 2, **more}
    return sample(base, Ask("text", ["a", "b"], [1, 2], (tiny.PX, tiny.PX), **own), lambda step: None)


def test_an_adapter_has_a_strength_of_its_own_beside_the_prompts(adapted: tuple[Any, Use]) -> None:
    base, use = adapted
    bare = made(base)
    with base.attached([use]):
        full, none, half, more = (made(base, adapter_scale=one) for one in (1.0, 0.0, 0.5, 2.0))
    assert (none - bare).abs().max() < 1e-5
    off = [float((one - bare).abs().mean()) for one in (none, half, full, more)]
    assert off == sorted(off)
    assert off[1] > 1e-4
    with pytest.raises(BadInput, match=r"adapter_scale 0\.5: no adapter lies on"):
        made(base, adapter_scale=0.5)
    assert not base.denoiser._forward_hooks


def test_an_adapters_strength_is_weighed_before_the_prompt_pulls(adapted: tuple[Any, Use]) -> None:
    """bare + a (with - bare), guided, is the guided bare one + a times the way between them: guidance is linear."""
    base, use = adapted
    one: dict[str, Any] = {"scales": [3.0], "steps": 1}
    ask = Ask("text", ["a"], [1], (tiny.PX, tiny.PX), **one)
    seen: dict[float, torch.Tensor] = {}
    with base.attached([use]):
        for scale in (0.0, 0.4, 1.0):
            caught: list[torch.Tensor] = []
            decode, base.decode = (
                base.decode,
                lambda latents, kept=caught: kept.append(latents) or torch.zeros(1, 3, 8, 8),
            )
            sample(base, replace(ask, adapter_scale=scale), lambda step: None)
            base.decode = decode
            seen[scale] = caught[0]
    between = seen[0.0] + 0.4 * (seen[1.0] - seen[0.0])
    assert torch.allclose(seen[0.4], between, atol=1e-4 * float(between.abs().max()) + 1e-5)


def test_noise_on_prompts_is_each_pictures_own(adapted: tuple[Any, Use]) -> None:
    base, _ = adapted
    still, noisy = made(base), made(base, prompt_noise=0.5)
    assert (still - noisy).abs().amax((1, 2, 3)).min() > 1e-4
    ask = Ask("text", ["b"], [2], (tiny.PX, tiny.PX), steps=2, scales=[2.0], prompt_noise=0.5)
    assert (sample(base, ask, lambda step: None) - noisy[1:]).abs().max() < 2e-4
