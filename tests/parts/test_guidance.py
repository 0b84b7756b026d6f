"""The guidance hook against diffusers' own guidance, and where diffusers has none against single pictures."""

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from pipelines.parts.guidance import ON, Guidance, rescaled
from tests import tiny


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
