"""The SD convention on tiny weights of the real classes: shared parts, prompts, noise and targets, pipelines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.core.errors import BadInput, Missing
from pipelines.core.models import Models
from pipelines.parts import schedulers
from pipelines.parts.families import opened_source as opened
from pipelines.parts.family import Family, Source
from pipelines.parts.stable_diffusion import StableDiffusion
from tests import tiny


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {
        "plain": tiny.stable_diffusion(root / "plain"),
        "inpaint": tiny.stable_diffusion(root / "inpaint", in_channels=9),
        "v": tiny.stable_diffusion(root / "v", prediction="v_prediction"),
    }


@pytest.fixture
def models() -> Models:
    return Models("cpu")


@pytest.fixture
def plain(folders: dict[str, Path], models: Models) -> Iterator[Family]:
    with opened(Source("plain", "stable-diffusion", folders["plain"]), models) as base:
        yield base


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def picture(seed: int) -> torch.Tensor:
    """3xHxW in [0, 1]."""
    return torch.rand(3, tiny.PX, tiny.PX, generator=torch.Generator().manual_seed(seed))


def test_every_pipeline_of_a_base_has_the_same_parts(folders: dict[str, Path], models: Models) -> None:
    source = Source("plain", "stable-diffusion", folders["plain"])
    with opened(source, models) as base:
        once = models.held_bytes
        made = [base.pipeline(task, name) for task in StableDiffusion.pipelines for name in ("unipc", "ddim")]
        assert {id(one.unet) for one in made} == {id(base.denoiser)}
        assert len({id(one.scheduler) for one in made}) == len(made)
        with opened(source, models) as again:
            assert again.denoiser is base.denoiser
        assert models.held_bytes == once
    assert {row["key"]["part"] for row in models.report()} == {"unet", "vae", "text_encoder"}
    assert not any(row["pinned"] for row in models.report())
    models.release_all()
    assert models.held_bytes == 0


def test_prompts_are_encoded_as_the_pipeline_does(plain: Family) -> None:
    theirs, _ = plain.pipeline("text").encode_prompt("a deep scratch", plain.device, 1, False)
    assert torch.allclose(plain.encode_prompt(["a deep scratch"])["prompt_embeds"], theirs, atol=1e-6)
    skipped = plain.encode_prompt(["a deep scratch"], clip_skip=1)["prompt_embeds"]
    assert skipped.shape == theirs.shape
    assert (skipped - theirs).abs().max() > 1e-3
    with pytest.raises(BadInput, match="clip_skip = 3: this text encoder allows 0 to 2"):
        plain.encode_prompt(["a"], clip_skip=3)


def test_encoding_and_decoding_are_the_autoencoders(plain: Family) -> None:
    pixels = picture(0)[None] * 2 - 1
    latents = plain.scaled(plain.encode_image(pixels).mode())
    assert latents.shape == (1, 4, tiny.PX // plain.cell_px, tiny.PX // plain.cell_px)
    assert torch.allclose(plain.decode(latents), plain.vae(pixels).sample.clamp(-1, 1), atol=1e-5)


@pytest.mark.parametrize("name", ["plain", "v"])
def test_noise_and_target_belong_together(folders: dict[str, Path], models: Models, name: str) -> None:
    """With the right prediction the clean latents are found again from the noisy ones."""
    with opened(Source(name, "stable-diffusion", folders[name]), models) as base:
        clean, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
        steps = torch.tensor([100, 800])
        noisy = base.add_noise(clean, noise, steps)
        alpha = schedulers.make("ddpm", base.schedule).alphas_cumprod[steps].view(-1, 1, 1, 1)
        target = base.target(clean, noise, steps)
        if name == "v":
            found = alpha.sqrt() * noisy - (1 - alpha).sqrt() * target
        else:
            found = (noisy - (1 - alpha).sqrt() * target) / alpha.sqrt()
        assert torch.allclose(found, clean, atol=1e-4)
        text = base.encode_prompt(["a", "b"])
        assert base.predict(noisy, steps, text).shape == clean.shape


def test_an_inpainting_base_wants_the_mask_beside(folders: dict[str, Path], models: Models) -> None:
    with opened(Source("inpaint", "stable-diffusion", folders["inpaint"]), models) as base:
        assert base.inpaints
        text, latents, steps = base.encode_prompt(["a"]), torch.randn(1, 4, 8, 8), torch.tensor([5])
        assert base.predict(latents, steps, text, torch.randn(1, 5, 8, 8)).shape == latents.shape
        with pytest.raises(BadInput, match="inpaint needs mask and masked picture"):
            base.predict(latents, steps, text)
        with pytest.raises(BadInput, match="base inpaint cannot do text, only inpaint"):
            base.pipeline("text")


@pytest.mark.parametrize("name", ["plain", "inpaint"])
@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_a_batch_of_inpaintings_equals_singles(
    folders: dict[str, Path], models: Models, name: str, strength: float
) -> None:
    """A picture, a mask and a generator for each: passed once for all, the noise would shift from image to image."""
    mask = torch.zeros(1, tiny.PX, tiny.PX)
    mask[:, 8:20, 10:26] = 1
    with opened(Source(name, "stable-diffusion", folders[name]), models) as base:
        more: dict[str, Any] = {
            "strength": strength,
            "num_inference_steps": 3,
            "guidance_scale": 5.0,
            "height": tiny.PX,
            "width": tiny.PX,
            "output_type": "np",
        }

        def made(seeds: list[int]) -> np.ndarray:
            found = base.pipeline("inpaint")(
                **base.text_arguments(["a scratch"] * len(seeds), [""] * len(seeds), 0),
                image=torch.stack([picture(0)] * len(seeds)),
                mask_image=torch.stack([mask] * len(seeds)),
                generator=seeded(*seeds),
                **more,
            )
            return np.asarray(found.images)

        together = made([3, 4, 5, 6])
        for place, seed in enumerate((3, 4, 5, 6)):
            assert np.abs(together[place] - made([seed])[0]).max() <= 1e-4


def test_a_unet_alone_is_put_over_its_base(folders: dict[str, Path], models: Models, tmp_path: Path) -> None:
    torch.manual_seed(9)
    other = tiny.unet(seed=9)
    file = tmp_path / "community.safetensors"
    save_file({name: one.contiguous() for name, one in other.state_dict().items()}, file)
    with opened(Source("community", "stable-diffusion", folders["plain"], denoiser_file=file), models) as base:
        assert torch.equal(base.denoiser.conv_in.weight, other.conv_in.weight)
    half = dict(list(load_file(file).items())[:20])
    save_file(half, file)
    with (
        pytest.raises(BadInput, match=r"community\.safetensors does not fit plain \(.+\): it is for another base"),
        opened(Source("half", "stable-diffusion", folders["plain"], denoiser_file=file), models),
    ):
        pass


@pytest.mark.parametrize(("lacking", "sentence"), [("vae", "has no folder vae"), ("tokenizer", "no folder tokenizer")])
def test_what_is_missing_is_named(models: Models, tmp_path: Path, lacking: str, sentence: str) -> None:
    import shutil

    folder = tiny.stable_diffusion(tmp_path / "base")
    shutil.rmtree(folder / lacking)
    with pytest.raises(Missing, match=sentence), opened(Source("base", "stable-diffusion", folder), models):
        pass
    assert not any(row["pinned"] for row in models.report())
