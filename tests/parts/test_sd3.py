"""SD3: a flow in sixteen channels, three text encoders of which one may be left out, and which schedulers follow it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.parts.families import opened_source
from pipelines.parts.family import Source
from pipelines.parts.sampling import Ask, sample
from pipelines.parts.schedulers import FLOWS, SCHEDULERS, make
from pipelines.parts.sd3 import T5_TOKENS, StableDiffusion3
from tests import tiny

WIDTH = tiny.WIDTH + tiny.WIDTH_2 + 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.sd3(tmp_path_factory.mktemp("sd3"))


@pytest.fixture(scope="module")
def base(folder: Path) -> Iterator[Any]:
    with opened_source(Source("sd3", "sd3", folder), Models("cpu")) as opened:
        assert isinstance(opened, StableDiffusion3)
        yield opened


def told(base: Any, clip_skip: int | None = None) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        found: tuple[torch.Tensor, ...] = base.pipeline("text").encode_prompt(
            "a deep scratch", None, None, negative_prompt="", device=base.device, clip_skip=clip_skip
        )
    return found


def test_prompts_are_encoded_as_the_pipeline_does(base: Any) -> None:
    ours = base.text_arguments(["a deep scratch"], [""], 0)
    names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    assert ours["prompt_embeds"].shape == (1, 77 + T5_TOKENS, WIDTH)
    for name, theirs in zip(names, told(base), strict=True):
        assert torch.allclose(ours[name], theirs, atol=1e-6), name
    skipped = base.encode_prompt(["a deep scratch"], clip_skip=1)["prompt_embeds"]
    assert torch.allclose(skipped, told(base, clip_skip=1)[0], atol=1e-6)
    assert (skipped - ours["prompt_embeds"])[:, :77].abs().max() > 1e-3


@pytest.mark.parametrize("how", ["no folder", "null"])
def test_without_t5_its_tokens_are_zeros(folder: Path, tmp_path: Path, how: str) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    for part in ("text_encoder_3", "tokenizer_3"):
        shutil.rmtree(other / part)
    if how == "null":
        index = json.loads((other / "model_index.json").read_text())
        index |= {"text_encoder_3": [None, None], "tokenizer_3": [None, None]}
        (other / "model_index.json").write_text(json.dumps(index))
    with opened_source(Source("other", "sd3", other), Models("cpu")) as base:
        ours = base.encode_prompt(["a deep scratch"])["prompt_embeds"]
        assert ours[:, :77].any()
        assert not ours[:, 77:].any()
        assert torch.allclose(ours, told(base)[0], atol=1e-6)
        made = sample(base, Ask("text", ["a scratch"], [1], (32, 32), 2, [4.0]), lambda step: None)
        assert made.isfinite().all()


def test_noise_is_laid_on_as_its_scheduler_does(base: Any) -> None:
    scheduler = make("flow-euler", base.schedule)
    scheduler.set_timesteps(7)
    clean, noise = torch.randn(3, 16, 8, 8), torch.randn(3, 16, 8, 8)
    steps = scheduler.timesteps[[0, 3, 6]]
    assert torch.allclose(base.add_noise(clean, noise, steps), scheduler.scale_noise(clean, steps, noise), atol=1e-5)
    noisy = base.add_noise(clean, noise, steps)
    assert torch.allclose(noisy - base.target(clean, noise, steps) * (steps / 1000).view(-1, 1, 1, 1), clean, atol=1e-5)


def test_one_call_of_the_transformer_is_the_pipelines(base: Any) -> None:
    calls: list[tuple[dict[str, Any], Any]] = []
    handle = base.transformer.register_forward_hook(
        lambda model, given, named, out: calls.append((named, out[0])), with_kwargs=True
    )
    sample(base, Ask("text", ["a scratch"], [1], (32, 48), 1, [1.0], negatives=["dark"]), lambda step: None)
    handle.remove()
    named, answer = calls[0]
    with torch.no_grad():
        ours = base.predict(named["hidden_states"], named["timestep"], base.encode_prompt(["dark", "a scratch"]))
    assert torch.allclose(ours, answer, atol=1e-5)


def test_an_inpainting_transformer_wants_the_mask_beside(tmp_path: Path) -> None:
    folder = tiny.sd3(tmp_path / "inpaint", in_channels=33)
    with opened_source(Source("inpaint", "sd3", folder), Models("cpu")) as base:
        text, latents, steps = base.encode_prompt(["a"]), torch.randn(1, 16, 16, 16), torch.tensor([5])
        assert base.predict(latents, steps, text, torch.randn(1, 17, 16, 16)).shape == latents.shape
        with pytest.raises(BadInput, match="inpaint needs mask and masked picture"):
            base.predict(latents, steps, text)
        with pytest.raises(BadInput, match="base inpaint cannot do text, only inpaint"):
            base.pipeline("text")


@pytest.mark.parametrize("name", FLOWS)
def test_schedulers_that_follow_a_flow(base: Any, name: str) -> None:
    """To a picture that every step points at, each comes exactly; and the base runs with it."""
    scheduler = make(name, base.schedule)
    scheduler.set_timesteps(6)
    clean, now = torch.randn(1, 4, 4, 4), torch.randn(1, 4, 4, 4)
    for place, step in enumerate(scheduler.timesteps):
        now = scheduler.step((now - clean) / scheduler.sigmas[place], step, now).prev_sample
    assert torch.allclose(now, clean, atol=1e-5)
    ask = Ask("text", ["a scratch"], [1], (32, 32), 3, [4.0], scheduler=name)
    assert sample(base, ask, lambda step: None).isfinite().all()


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_of_the_other_kind_is_refused(base: Any, name: str) -> None:
    if name not in FLOWS:
        with pytest.raises(BadInput, match="takes noise away, and this base flows; choose one of flow-euler, unipc"):
            base.pipeline("text", name)
    elif name == "flow-euler":
        with pytest.raises(BadInput, match="is for SD3 and FLUX, and this base does not flow; choose one of unipc"):
            make(name, tiny.scheduler().config)
    else:
        for task in ("image", "inpaint"):
            with pytest.raises(BadInput, match="cannot begin with a picture on a base that flows; choose flow-euler"):
                base.pipeline(task, name)
