"""FLUX.2 on tiny weights of the real classes: dev with Mistral, klein distilled and not with Qwen."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.parts import adapter_files
from pipelines.parts.adapters import Use
from pipelines.parts.families import opened_source
from pipelines.parts.family import Source, Task
from pipelines.parts.flux2 import Flux2
from pipelines.parts.sampling import Ask, Step, sample
from tests import tiny_flux
from tests.tiny_flux import PX, ask

CAN: list[tuple[str, Task]] = [
    ("dev", "text"),
    ("dev", "edit"),
    ("klein", "text"),
    ("klein", "edit"),
    ("klein", "inpaint"),
    ("klein-base", "text"),
    ("klein-base", "edit"),
    ("klein-base", "inpaint"),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("flux2")
    return {kind: tiny_flux.flux2(root / kind, kind=kind) for kind in ("dev", "klein", "klein-base")}


@pytest.fixture(scope="module")
def models() -> Models:
    return Models("cpu")


@pytest.fixture(scope="module")
def opened(folders: dict[str, Path], models: Models) -> Any:
    @contextmanager
    def door(kind: str, **more: Any) -> Iterator[Flux2]:
        name = kind if not more else f"{kind} of a file"
        with opened_source(Source(name, "flux2", folders[kind], **more), models) as base:
            assert isinstance(base, Flux2)
            yield base
        if more:
            models.release_all()

    return door


def ignored(step: Step) -> None:
    pass


def theirs(base: Flux2, asked: Ask, scale: float) -> Tensor:
    """The first picture of a text by diffusers alone, which encodes the prompt itself."""
    more = {"text_encoder_out_layers": (1, 2, 3), "max_sequence_length": base._most_tokens}
    return base.pipeline("text")(
        prompt=asked.prompts[0],
        guidance_scale=scale,
        generator=torch.Generator().manual_seed(asked.seeds[0]),
        num_inference_steps=asked.steps,
        height=PX,
        width=PX,
        output_type="pt",
        **more,
    ).images


@pytest.mark.parametrize(("kind", "task"), CAN)
def test_a_batch_is_singles(opened: Any, kind: str, task: Task) -> None:
    with opened(kind) as base:
        whole = ask(base, task, 4)
        seen: list[tuple[int, int]] = []
        together = sample(base, whole, lambda step: seen.append((step.done, step.total)))
        assert together.shape == (4, 3, *whole.size)
        assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
        assert {total for _, total in seen} == {len(seen)}
        for place in range(4):
            assert (together[place] - sample(base, whole.one(place), ignored)[0]).abs().max() <= 1e-4


def test_what_an_edition_can_do_its_configurations_say(opened: Any) -> None:
    for kind in ("dev", "klein", "klein-base"):
        with opened(kind) as base:
            assert base.tasks == {task for one, task in CAN if one == kind}
            assert base.side_px == 2 * base.cell_px == 4
            assert base.guides == {"dev": "told", "klein": "not", "klein-base": "two calls"}[kind]


@pytest.mark.parametrize(("kind", "scale"), [("dev", 3.0), ("klein", 1.0), ("klein-base", 3.0)])
def test_a_picture_is_the_one_diffusers_makes(opened: Any, kind: str, scale: float) -> None:
    with opened(kind) as base:
        asked = ask(base, "text", 1, scales=[scale])
        made = sample(base, asked, ignored)
        assert (made - theirs(base, asked, scale)).abs().max() <= 1e-4
        other = sample(base, ask(base, "text", 1, scales=[scale], prompts=["clouds"]), ignored)
        assert (made - other).abs().max() > 1e-3
        if kind != "klein":
            stronger = sample(base, ask(base, "text", 1, scales=[scale + 4]), ignored)
            assert (made - stronger).abs().max() > 1e-3


def test_a_negative_prompt_acts_where_it_is_guided_twice(opened: Any) -> None:
    with opened("klein-base") as base:
        asked = ask(base, "text", 1, scales=[4.0])
        other = ask(base, "text", 1, scales=[4.0], negatives=["a long dark scratch"])
        assert (sample(base, asked, ignored) - sample(base, other, ignored)).abs().max() > 1e-3
        narrowed = ask(base, "text", 1, scales=[4.0], rescale=0.7)
        assert (sample(base, asked, ignored) - sample(base, narrowed, ignored)).abs().max() > 1e-3


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_around_the_mask_the_latents_are_the_pictures(
    opened: Any, strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pixel, the corner, the border and a box: each keeps its cells and nothing beyond."""
    with opened("klein") as base:
        asked = ask(base, "inpaint", 4, strength=strength)
        seen: list[Tensor] = []
        decode = base.decode

        def spy(latents: Tensor) -> Tensor:
            seen.append(latents)
            return decode(latents)

        monkeypatch.setattr(base, "decode", spy)
        sample(base, asked, ignored)
        assert asked.images is not None
        assert asked.masks is not None
        kept = base.scaled(base.encode_image(asked.images * 2 - 1).mode())
        cells = torch.nn.functional.max_pool2d(asked.masks.float(), base.side_px)
        inside = torch.nn.functional.interpolate(cells, scale_factor=2) > 0
        apart = (torch.cat(seen) - kept).abs()
        assert (apart * ~inside).max() <= 1e-4
        assert ((apart * inside).flatten(1).max(dim=1).values > 1e-2).all()


def test_a_picture_to_inpaint_goes_in_as_latents(opened: Any) -> None:
    """A picture diffusers would shrink to a megapixel; latents stay as many as were asked for."""
    with opened("klein") as base:
        given = base.pictures("inpaint", torch.rand(1, 3, 48, 64))
        pipe = base.pipeline("inpaint")
        assert given.shape == (1, 4 * pipe.latent_channels, 12, 16)


@pytest.mark.parametrize(("kind", "task"), [("dev", "edit"), ("klein", "inpaint"), ("klein-base", "text")])
def test_stop_is_at_that_step_and_leaves_nothing(opened: Any, kind: str, task: Task) -> None:
    class StopHere(Exception):
        pass

    seen: list[tuple[int, int]] = []

    def stop(step: Step) -> None:
        seen.append((step.done, step.total))
        look = step.look()
        assert look.shape[0] == 3
        assert look.isfinite().all()
        if step.done == 2:
            raise StopHere

    with opened(kind) as base:
        with pytest.raises(StopHere):
            sample(base, ask(base, task, 2, steps=4, **({"strength": 1.0} if task == "inpaint" else {})), stop)
        assert [done for done, _ in seen] == [1, 2]
        assert not base.transformer._forward_hooks
        assert not base.transformer._forward_pre_hooks


def test_an_edit_looks_at_its_own_picture_and_has_the_size_asked_for(opened: Any) -> None:
    with opened("klein") as base:
        asked = ask(base, "edit", 2, size=(64, 96))
        made = sample(base, asked, ignored)
        assert made.shape == (2, 3, 64, 96)
        assert asked.images is not None
        other = ask(base, "edit", 2, size=(64, 96), images=asked.images.flip(0))
        assert ((sample(base, other, ignored) - made).abs().flatten(1).max(dim=1).values > 1e-3).all()
        with pytest.raises(BadInput, match="the picture to edit is 32x64 px: klein takes sides from 64 px"):
            sample(base, ask(base, "edit", 1, images=torch.rand(1, 3, 64, 32)), ignored)


@pytest.mark.parametrize(
    ("kind", "more", "sentence"),
    [
        ("dev", {"negatives": ["rust"]}, "negative_prompt: base dev knows none"),
        ("klein", {"scales": [4.0]}, "guidance_scale 4: base klein is not guided; use 1"),
        ("klein", {"rescale": 0.5}, r"guidance_rescale 0\.5: base klein guides by itself"),
        ("klein-base", {"clip_skip": 2}, "clip_skip = 2: klein-base leaves no layers of its text out"),
    ],
)
def test_what_could_have_no_effect_is_refused(opened: Any, kind: str, more: dict[str, Any], sentence: str) -> None:
    with opened(kind) as base, pytest.raises(BadInput, match=sentence):
        sample(base, ask(base, "text", 1, **more), ignored)


def test_latents_are_normalised_patch_by_patch(opened: Any) -> None:
    with opened("dev") as base:
        pixels = torch.rand(1, 3, 32, 24) * 2 - 1
        raw = base.encode_image(pixels).mode()
        pipe = base.pipeline("text")
        wanted = pipe._encode_vae_image(pixels, torch.Generator())
        latents = base.scaled(raw)
        assert torch.allclose(pipe._patchify_latents(latents), wanted, atol=1e-5)
        assert torch.allclose(base.decode(latents), base.vae(pixels).sample.clamp(-1, 1), atol=1e-4)
        packed = pipe._pack_latents(wanted)
        assert torch.allclose(base.repacked(latents), packed, atol=1e-5)
        assert torch.allclose(base.unpacked(packed, (32, 24)), latents, atol=1e-5)


@pytest.mark.parametrize("kind", ["dev", "klein-base"])
def test_training_predicts_what_the_pipeline_does(opened: Any, kind: str) -> None:
    given: list[tuple[dict[str, Any], Tensor]] = []
    with opened(kind) as base:
        handle = base.transformer.register_forward_hook(
            lambda module, arguments, named, output: given.append((named, output[0])), with_kwargs=True
        )
        asked = ask(base, "text", 2, scales=[1.0, 1.0])
        sample(base, asked, ignored)
        handle.remove()
        named, answer = given[0]
        text = base.encode_prompt(asked.prompts)
        noisy, steps = base.unpacked(named["hidden_states"], asked.size), named["timestep"] * 1000
        with torch.no_grad():
            own = base.predict(noisy, steps, text)
        assert own.shape == noisy.shape
        assert torch.allclose(own, base.unpacked(answer, asked.size), atol=1e-5)
        with pytest.raises(BadInput, match="takes no mask and masked picture beside the latents"):
            base.predict(noisy, steps, text, noisy)


def as_published(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A FLUX.2 transformer's tensors as its authors name them, of one double and one single block."""
    rest = dict(tensors)
    found: dict[str, Tensor] = {}

    def take(named: str, *ours: str) -> None:
        pieces = [rest.pop(f"{name}.weight") for name in ours]
        found[f"{named}.{'scale' if '_norm' in named else 'weight'}"] = torch.cat(pieces)

    double, single = "transformer_blocks.0", "single_transformer_blocks.0"
    for side, add, ff in (("img", "", "ff"), ("txt", "added_", "ff_context")):
        names = ("add_q_proj", "add_k_proj", "add_v_proj") if add else ("to_q", "to_k", "to_v")
        block = f"double_blocks.0.{side}"
        take(f"{block}_attn.qkv", *(f"{double}.attn.{name}" for name in names))
        take(f"{block}_attn.proj", f"{double}.attn.{'to_add_out' if add else 'to_out.0'}")
        take(f"{block}_attn.norm.query_norm", f"{double}.attn.norm_{add}q")
        take(f"{block}_attn.norm.key_norm", f"{double}.attn.norm_{add}k")
        take(f"{block}_mlp.0", f"{double}.{ff}.linear_in")
        take(f"{block}_mlp.2", f"{double}.{ff}.linear_out")
    take("single_blocks.0.linear1", f"{single}.attn.to_qkv_mlp_proj")
    take("single_blocks.0.linear2", f"{single}.attn.to_out")
    take("single_blocks.0.norm.query_norm", f"{single}.attn.norm_q")
    take("single_blocks.0.norm.key_norm", f"{single}.attn.norm_k")
    take("img_in", "x_embedder")
    take("txt_in", "context_embedder")
    take("final_layer.linear", "proj_out")
    for which in ("double_stream_modulation_img", "double_stream_modulation_txt", "single_stream_modulation"):
        take(f"{which}.lin", f"{which}.linear")
    scale, shift = rest.pop("norm_out.linear.weight").chunk(2)
    found["final_layer.adaLN_modulation.1.weight"] = torch.cat([shift, scale])
    for named, ours in (("time_in", "timestep"), ("guidance_in", "guidance")):
        for layer, number in (("in_layer", 1), ("out_layer", 2)):
            if f"time_guidance_embed.{ours}_embedder.linear_{number}.weight" in rest:
                take(f"{named}.{layer}", f"time_guidance_embed.{ours}_embedder.linear_{number}")
    assert not rest, list(rest)
    return {name: one.contiguous() for name, one in found.items()}


@pytest.mark.parametrize("kind", ["dev", "klein"])
def test_a_transformer_alone_is_laid_over_its_base(opened: Any, tmp_path: Path, kind: str) -> None:
    other = tiny_flux.transformer_2(told=kind == "dev", seed=9)
    file = tmp_path / "community.safetensors"
    save_file(as_published(other.state_dict()), file)
    with opened(kind, denoiser_file=file) as base:
        for name, one in other.state_dict().items():
            assert torch.equal(base.transformer.state_dict()[name], one), name
        assert sample(base, ask(base, "text", 1), ignored).isfinite().all()


def test_a_file_that_brings_no_text_encoder_is_refused(opened: Any, tmp_path: Path) -> None:
    file = tmp_path / "alone.safetensors"
    published = as_published(tiny_flux.transformer_2().state_dict())
    save_file({f"model.diffusion_model.{name}": one for name, one in published.items()}, file)
    with (
        pytest.raises(BadInput, match=r"alone\.safetensors brings no \w+: lay it over a base"),
        opened("dev", file=file),
    ):
        pass


@pytest.mark.parametrize("spelled", ["transformer.", "diffusion_model."])
def test_an_adapter_changes_what_it_would_there(
    opened: Any, folders: dict[str, Path], tmp_path: Path, spelled: str
) -> None:
    """In diffusers' names against diffusers, in the authors' against their matrices with it added."""
    weights = load_file(folders["klein"] / "transformer" / "diffusion_pytorch_model.safetensors")
    other = tiny_flux.transformer_2(told=False)
    other.load_state_dict(weights)
    file = tmp_path / "lora.safetensors"
    torch.manual_seed(2)
    if spelled == "transformer.":
        other.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=list(Flux2.lora_targets)))
        with torch.no_grad():
            for name, one in other.named_parameters():
                if "lora_" in name:
                    one.add_(0.3 * torch.randn_like(one))
        made = {f"{spelled}{name}": one for name, one in get_peft_model_state_dict(other).items()}
    else:
        made = {}
        published = as_published(weights)
        for name in ("double_blocks.0.img_attn.qkv", "double_blocks.0.txt_mlp.2", "single_blocks.0.linear1"):
            rows, columns = published[f"{name}.weight"].shape
            up, down = 0.3 * torch.randn(rows, 2), 0.3 * torch.randn(2, columns)
            made |= {f"{spelled}{name}.lora_A.weight": down, f"{spelled}{name}.lora_B.weight": up}
            published[f"{name}.weight"] += up @ down
        from diffusers.loaders.single_file_utils import convert_flux2_transformer_checkpoint_to_diffusers as renamed

        other.load_state_dict(renamed(published))
    save_file({name: one.contiguous() for name, one in made.items()}, file)
    with opened("klein") as base:
        asked = ask(base, "text", 1)
        before = sample(base, asked, ignored)
        with base.attached([Use(adapter_files.read(file))]) as on:
            assert on.changed == {"lora": 5}
            changed = sample(base, asked, ignored)
        assert torch.equal(sample(base, asked, ignored), before)
        base.held = {**base.held, "transformer": other}
        assert (sample(base, asked, ignored) - changed).abs().max() <= 1e-4
        assert (before - changed).abs().max() > 1e-3
