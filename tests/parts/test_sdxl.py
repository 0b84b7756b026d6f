"""SDXL: what its two text encoders say, the size it is told, and an autoencoder too large for half precision."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.parts import adapter_files
from pipelines.parts.adapters import Use
from pipelines.parts.families import opened_source
from pipelines.parts.family import Source
from pipelines.parts.sampling import Ask, sample
from pipelines.parts.sdxl import StableDiffusionXL
from tests import tiny

WIDTH = tiny.WIDTH + tiny.WIDTH_2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.sdxl(tmp_path_factory.mktemp("sdxl"))


@pytest.fixture
def base(folder: Path) -> Iterator[Any]:
    with opened_source(Source("sdxl", "sdxl", folder), Models("cpu")) as opened:
        assert isinstance(opened, StableDiffusionXL)
        yield opened


def told(base: Any, prompt: str, negative: str | None, clip_skip: int | None = None) -> tuple[torch.Tensor, ...]:
    """As its pipeline encodes: embeds, negative embeds, pooled, negative pooled."""
    with torch.no_grad():
        found: tuple[torch.Tensor, ...] = base.pipeline("text").encode_prompt(
            prompt, negative_prompt=negative, device=base.device, clip_skip=clip_skip
        )
    return found


def test_prompts_are_encoded_as_the_pipeline_does(base: Any) -> None:
    ours = base.text_arguments(["a deep scratch"] * 2, ["", "blurred"], 0)
    names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    assert ours["prompt_embeds"].shape == (2, 77, WIDTH)
    assert ours["pooled_prompt_embeds"].shape == (2, tiny.WIDTH_2)
    for place, negative in enumerate((None, "blurred")):
        for name, theirs in zip(names, told(base, "a deep scratch", negative), strict=True):
            assert torch.allclose(ours[name][place], theirs[0], atol=1e-6), (negative, name)


def test_clip_skip_counts_from_the_usual_layer(base: Any) -> None:
    theirs = told(base, "a deep scratch", None, clip_skip=1)
    ours = base.encode_prompt(["a deep scratch"], clip_skip=1)
    assert torch.allclose(ours["prompt_embeds"], theirs[0], atol=1e-6)
    assert torch.allclose(ours["pooled_prompt_embeds"], theirs[2], atol=1e-6)
    assert (ours["prompt_embeds"] - told(base, "a deep scratch", None)[0]).abs().max() > 1e-3
    with pytest.raises(BadInput, match="clip_skip = 2: this text encoder allows 0 to 1"):
        base.encode_prompt(["a"], clip_skip=2)


def test_an_empty_negative_is_zeros_only_where_the_base_says_so(base: Any, tmp_path: Path) -> None:
    assert not base.text_arguments(["a"], [" "], 0)["negative_prompt_embeds"].any()
    folder = tiny.sdxl(tmp_path / "other", force_zeros=False)
    with opened_source(Source("other", "sdxl", folder), Models("cpu")) as other:
        assert other.text_arguments(["a"], [""], 0)["negative_prompt_embeds"].any()


def test_it_is_told_the_size_as_the_pipeline_tells_it(base: Any) -> None:
    """One call of the UNet inside a pipeline is `predict` with the same text."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any], Any]] = []
    handle = base.unet.register_forward_hook(
        lambda model, given, named, out: calls.append((given, named, out[0])), with_kwargs=True
    )
    sample(base, Ask("text", ["a scratch"], [1], (48, 32), 1, [1.0], negatives=["dark"]), lambda step: None)
    handle.remove()
    given, named, answer = calls[0]
    both = base.encode_prompt(["dark", "a scratch"])
    conditions = base.conditions(both, given[0])["added_cond_kwargs"]
    assert torch.equal(named["added_cond_kwargs"]["time_ids"], conditions["time_ids"])
    assert conditions["time_ids"].tolist() == [[48, 32, 0, 0, 48, 32]] * 2
    with torch.no_grad():
        ours = base.predict(given[0], given[1].repeat(2), both)
        cut = {**both, "time_ids": torch.tensor([[96, 64, 8, 8, 48, 32]] * 2)}
        other = base.predict(given[0], given[1].repeat(2), cut)
    assert torch.allclose(ours, answer, atol=1e-5)
    assert (ours - other).abs().max() > 1e-5


def test_an_inpainting_base_wants_the_mask_beside(tmp_path: Path) -> None:
    folder = tiny.sdxl(tmp_path / "inpaint", in_channels=9)
    with opened_source(Source("inpaint", "sdxl", folder), Models("cpu")) as base:
        text, latents, steps = base.encode_prompt(["a"]), torch.randn(1, 4, 16, 16), torch.tensor([5])
        assert base.predict(latents, steps, text, torch.randn(1, 5, 16, 16)).shape == latents.shape
        with pytest.raises(BadInput, match="inpaint needs mask and masked picture"):
            base.predict(latents, steps, text)
        with pytest.raises(BadInput, match="base inpaint cannot do image, only inpaint"):
            base.pipeline("image")


@torch.no_grad()
def test_half_precision_does_not_overflow_in_the_autoencoder(base: Any) -> None:
    """SDXL's own overflows in float16; this one is made to."""
    base.vae.decoder.conv_in.weight.mul_(5e4)
    base.vae.encoder.conv_in.weight.mul_(1e5)
    latents, pixels = torch.randn(1, 4, 16, 16) * 0.13, torch.rand(1, 3, 32, 32) * 2 - 1
    base.vae.half()
    assert not base.vae.decode(latents.half() / 0.13025).sample.isfinite().all()
    decoded, encoded = base.decode(latents.half()), base.encode_image(pixels.half()).mode()
    assert base.vae.dtype == torch.float16
    base.vae.float()
    assert torch.allclose(decoded, base.decode(latents.half()), atol=1e-2)
    assert decoded.isfinite().all()
    assert encoded.isfinite().all()
    base.vae.bfloat16()
    assert base.decode(latents).dtype == torch.bfloat16


def test_a_word_for_both_encoders(base: Any, tmp_path: Path) -> None:
    """Textual inversion files of SDXL hold `clip_l` and `clip_g`; their word is the file's name."""
    torch.manual_seed(0)
    file = tmp_path / "weld.safetensors"
    vectors = {"clip_l": torch.randn(2, tiny.WIDTH), "clip_g": torch.randn(2, tiny.WIDTH_2)}
    save_file(vectors, file)
    before = base.encode_prompt(["a weld seam"])
    tokenizers = dict(base.spoken)
    with base.attached([Use(adapter_files.read(file))]) as attached:
        assert attached.prompt("a weld seam") == "a weld weld_1 seam"
        spoken = base.encode_prompt([attached.prompt("a weld seam")])
        assert spoken["prompt_embeds"].shape == before["prompt_embeds"].shape
        apart = (spoken["prompt_embeds"] - before["prompt_embeds"]).split([tiny.WIDTH, tiny.WIDTH_2], dim=-1)
        assert all(own.abs().max() > 1e-3 for own in apart)
        for part, own in (("text_encoder", "clip_l"), ("text_encoder_2", "clip_g")):
            table = base.held[part].get_input_embeddings().weight
            assert torch.equal(table[-2:], vectors[own])
    after = base.encode_prompt(["a weld seam"])
    assert base.spoken == tokenizers
    assert all(torch.equal(after[name], before[name]) for name in before)
