"""FLUX.1 on tiny weights of the real classes: its four editions, its files, its adapters."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.parts import adapter_files, adapters, original
from pipelines.parts.adapters import Use
from pipelines.parts.families import opened_source
from pipelines.parts.family import Source, Task
from pipelines.parts.flux import Flux
from pipelines.parts.sampling import Ask, Step, sample
from tests import originals, tiny_flux
from tests.tiny_flux import ask

CAN: list[tuple[str, Task]] = [
    ("dev", "text"),
    ("dev", "image"),
    ("dev", "inpaint"),
    ("schnell", "text"),
    ("schnell", "image"),
    ("schnell", "inpaint"),
    ("fill", "inpaint"),
    ("kontext", "text"),
    ("kontext", "edit"),
    ("kontext", "inpaint"),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("flux")
    return {kind: tiny_flux.flux(root / kind, kind=kind) for kind in ("dev", "schnell", "fill", "kontext")}


@pytest.fixture(scope="module")
def models() -> Models:
    return Models("cpu")


@pytest.fixture(scope="module")
def opened(folders: dict[str, Path], models: Models) -> Any:
    @contextmanager
    def door(kind: str, **more: Any) -> Iterator[Flux]:
        name = kind if not more else f"{kind} of a file"
        with opened_source(Source(name, "flux", folders[kind], **more), models) as base:
            assert isinstance(base, Flux)
            yield base
        if more:
            models.release_all()

    return door


def ignored(step: Step) -> None:
    pass


def latents_of(base: Flux, asked: Ask, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """[B, C, h, w]: what is decoded in the end."""
    seen: list[Tensor] = []
    decode = base.decode

    def spy(latents: Tensor) -> Tensor:
        seen.append(latents)
        return decode(latents)

    with monkeypatch.context() as patch:
        patch.setattr(base, "decode", spy)
        sample(base, asked, ignored)
    return torch.cat(seen)


@pytest.mark.parametrize(("kind", "task"), CAN)
def test_a_batch_is_singles(opened: Any, kind: str, task: Task) -> None:
    with opened(kind) as base:
        whole = ask(base, task, 4)
        together = sample(base, whole, ignored)
        assert together.shape == (4, 3, *whole.size)
        for place in range(4):
            assert (together[place] - sample(base, whole.one(place), ignored)[0]).abs().max() <= 1e-4


def test_what_an_edition_can_do_its_configurations_say(opened: Any) -> None:
    for kind in ("dev", "schnell", "fill", "kontext"):
        with opened(kind) as base:
            assert base.tasks == {task for one, task in CAN if one == kind}
            assert base.inpaints == (kind == "fill")
            assert base.side_px == 2 * base.cell_px == 4


@pytest.mark.parametrize("kind", ["dev", "fill", "kontext"])
@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_around_the_mask_the_latents_are_the_pictures(
    opened: Any, kind: str, strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pixel, the corner, the border and a box: each keeps its cells and nothing beyond."""
    with opened(kind) as base:
        asked = ask(base, "inpaint", 4, strength=strength)
        made = latents_of(base, asked, monkeypatch)
        assert asked.images is not None
        assert asked.masks is not None
        found = base.encode_image(asked.images * 2 - 1)
        whole = found.mode()
        if kind == "dev":  # its pipeline takes a sample, before any other noise
            whole = found.sample([torch.Generator().manual_seed(seed) for seed in asked.seeds])
        kept = base.scaled(whole)
        cells = torch.nn.functional.max_pool2d(asked.masks.float(), base.side_px)
        inside = torch.nn.functional.interpolate(cells, scale_factor=2) > 0
        apart = (made - kept).abs()
        assert (apart * ~inside).max() <= 1e-5
        assert ((apart * inside).flatten(1).max(dim=1).values > 1e-2).all()


@pytest.mark.parametrize(("kind", "task"), [("dev", "image"), ("fill", "inpaint"), ("kontext", "edit")])
def test_stop_is_at_that_step_and_leaves_nothing(opened: Any, kind: str, task: Task) -> None:
    class StopHere(Exception):
        pass

    seen: list[tuple[int, int]] = []

    def stop(step: Step) -> None:
        seen.append((step.done, step.total))
        look = step.look()
        assert look.ndim == 3
        assert look.isfinite().all()
        if step.done == 2:
            raise StopHere

    with opened(kind) as base:
        with pytest.raises(StopHere):
            sample(base, ask(base, task, 2, steps=4, **({} if task == "edit" else {"strength": 1.0})), stop)
        assert seen == [(1, 4), (2, 4)]
        assert not base.transformer._forward_hooks
        assert not base.transformer._forward_pre_hooks


def test_a_weak_change_takes_the_last_steps_only(opened: Any) -> None:
    totals = []
    with opened("dev") as base:
        sample(base, ask(base, "image", 1, steps=4, strength=0.5), lambda step: totals.append(step.total))
    assert totals == [2, 2]


def test_a_distilled_base_is_told_and_another_is_asked_twice(opened: Any) -> None:
    for kind, scale, calls in (("dev", 4.0, 2), ("schnell", 1.0, 2), ("schnell", 3.0, 4)):
        seen: list[Any] = []
        with opened(kind) as base:
            handle = base.transformer.register_forward_pre_hook(
                lambda module, given, named, seen=seen: seen.append(named["guidance"]), with_kwargs=True
            )
            made = sample(base, ask(base, "text", 1, steps=2, scales=[scale]), ignored)
            handle.remove()
            other = sample(base, ask(base, "text", 1, steps=2, scales=[scale + 3]), ignored)
        assert len(seen) == calls
        assert (made - other).abs().max() > 1e-4


def test_guidance_in_two_calls_is_that_of_diffusers(opened: Any) -> None:
    with opened("schnell") as base:
        asked = ask(base, "text", 1, scales=[3.0], negatives=["rust"])
        theirs = base.pipeline("text")(
            prompt="a scratch",
            negative_prompt="rust",
            true_cfg_scale=3.0,
            max_sequence_length=tiny_flux.TOKENS,
            generator=torch.Generator().manual_seed(3),
            num_inference_steps=3,
            height=tiny_flux.PX,
            width=tiny_flux.PX,
            output_type="pt",
        ).images
        assert (sample(base, asked, ignored) - theirs).abs().max() <= 1e-4
        never = ask(base, "text", 1, scales=[3.0], negatives=["rust"], interval=(0.99, 1.0))
        plain = ask(base, "text", 1, scales=[1.0])
        assert (sample(base, never, ignored) - sample(base, plain, ignored)).abs().max() <= 1e-4
        narrowed = ask(base, "text", 1, scales=[3.0], negatives=["rust"], rescale=0.7)
        assert (sample(base, narrowed, ignored) - theirs).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("kind", "more", "sentence"),
    [
        ("dev", {"negatives": ["rust"]}, "negative_prompt: base dev knows none"),
        ("dev", {"rescale": 0.5}, r"guidance_rescale 0\.5: base dev guides by itself"),
        ("dev", {"interval": (0.2, 1.0)}, "guidance_start, guidance_end: base dev guides by itself"),
        ("dev", {"clip_skip": 1}, "clip_skip = 1: dev leaves no layers of its text out"),
    ],
)
def test_what_could_have_no_effect_is_refused(opened: Any, kind: str, more: dict[str, Any], sentence: str) -> None:
    with opened(kind) as base, pytest.raises(BadInput, match=sentence):
        sample(base, ask(base, "text", 1, **more), ignored)


def test_an_edition_nobody_knows_is_refused(folders: dict[str, Path], models: Models, tmp_path: Path) -> None:
    folder = tmp_path / "depth"
    shutil.copytree(folders["dev"], folder)
    tiny_flux.transformer(in_channels=32).save_pretrained(folder / "transformer")
    with (
        pytest.raises(
            BadInput, match="the transformer of depth takes 32 numbers a patch, where FLUX takes 16 and Fill 48"
        ),
        opened_source(Source("depth", "flux", folder), models),
    ):
        pass


def test_latents_are_the_autoencoders_and_pack_as_in_diffusers(opened: Any) -> None:
    with opened("dev") as base:
        pixels = torch.rand(1, 3, 32, 24) * 2 - 1
        latents = base.scaled(base.encode_image(pixels).mode())
        assert torch.allclose(base.decode(latents), base.vae(pixels).sample.clamp(-1, 1), atol=1e-5)
        packed = diffusers.FluxPipeline._pack_latents(latents, *latents.shape)
        assert torch.equal(base.repacked(latents), packed)
        assert torch.equal(base.unpacked(packed, (32, 24)), latents)


def test_noise_and_target_belong_together(opened: Any) -> None:
    """x_t - t v = x_0, and the schedule's own noising is the same."""
    with opened("dev") as base:
        clean, noise, steps = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8), torch.tensor([100.0, 800.0])
        noisy = base.add_noise(clean, noise, steps)
        found = noisy - (steps / 1000).view(-1, 1, 1, 1) * base.target(clean, noise, steps)
        assert torch.allclose(found, clean, atol=1e-5)
        scheduler = tiny_flux.schedule(use_dynamic_shifting=False)
        scheduler.set_timesteps(4)
        two = scheduler.timesteps[1:3]
        assert torch.allclose(scheduler.scale_noise(clean, two, noise), base.add_noise(clean, noise, two), atol=1e-5)


@pytest.mark.parametrize(("kind", "task"), [("dev", "text"), ("schnell", "text"), ("fill", "inpaint")])
def test_training_predicts_what_the_pipeline_does(opened: Any, kind: str, task: Task) -> None:
    given: list[tuple[dict[str, Any], Tensor]] = []
    with opened(kind) as base:
        handle = base.transformer.register_forward_hook(
            lambda module, arguments, named, output: given.append((named, output[0])), with_kwargs=True
        )
        asked = ask(base, task, 2, scales=[1.0, 1.0], **({"strength": 1.0} if task == "inpaint" else {}))
        sample(base, asked, ignored)
        handle.remove()
        named, answer = given[0]
        noisy, *more = named["hidden_states"].split(tiny_flux.LATENTS * 4, dim=2)
        beside = None
        if kind == "fill":
            assert asked.masks is not None
            cells = torch.nn.functional.max_pool2d(asked.masks.float(), base.side_px)
            masked = base.unpacked(more[0], asked.size)
            beside = torch.cat([torch.nn.functional.interpolate(cells, size=masked.shape[-2:]), masked], dim=1)
        text = base.encode_prompt(asked.prompts)
        with torch.no_grad():
            own = base.predict(base.unpacked(noisy, asked.size), named["timestep"] * 1000, text, beside)
        assert torch.allclose(own, base.unpacked(answer, asked.size), atol=1e-5)
        wrong = torch.zeros(2, 5, 16, 16) if beside is None else None
        with pytest.raises(BadInput, match="mask and masked picture beside the latents"):
            base.predict(base.unpacked(noisy, asked.size), named["timestep"] * 1000, text, wrong)


def published(folder: Path) -> dict[str, Tensor]:
    return tiny_flux.as_published(load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors"))


@pytest.mark.parametrize("above", ["", "model.diffusion_model."])
def test_a_transformer_alone_is_laid_over_its_base(
    opened: Any, folders: dict[str, Path], tmp_path: Path, above: str
) -> None:
    other = tiny_flux.transformer(seed=9)
    file = tmp_path / "community.safetensors"
    save_file({f"{above}{name}": one for name, one in tiny_flux.as_published(other.state_dict()).items()}, file)
    with opened("dev", denoiser_file=file) as base:
        for name, one in other.state_dict().items():
            assert torch.equal(base.transformer.state_dict()[name], one), name
        assert sample(base, ask(base, "text", 1), ignored).isfinite().all()
    half = dict(list(load_file(file).items())[:9])
    save_file(half, file)
    with pytest.raises(BadInput, match=r"community\.safetensors"), opened("dev", denoiser_file=file):
        pass


def test_one_file_with_everything(opened: Any, folders: dict[str, Path], tmp_path: Path) -> None:
    held = dict(originals.models(folders["dev"]))
    whole = {f"model.diffusion_model.{name}": one for name, one in published(folders["dev"]).items()}
    for above, tensors in (
        ("vae.", originals.vae(held["vae"])),
        ("text_encoders.clip_l.transformer.", originals.clip(held["text_encoder"])),
        ("text_encoders.t5xxl.transformer.", originals.t5(held["text_encoder_2"])),
    ):
        whole |= {f"{above}{name}": one for name, one in tensors.items()}
    file = tmp_path / "everything.safetensors"
    originals.save(whole, file)
    with opened("dev") as base:
        wanted = sample(base, ask(base, "text", 1), ignored)
    with opened("dev", file=file) as base:
        assert (sample(base, ask(base, "text", 1), ignored) - wanted).abs().max() <= 1e-6


def test_names_are_read_as_diffusers_reads_them() -> None:
    """diffusers' own reading knows one width only, that of the real one: compared there, without memory."""
    from diffusers.loaders.single_file_utils import convert_flux_transformer_checkpoint_to_diffusers as theirs

    with torch.device("meta"):
        real: dict[str, Any] = {"attention_head_dim": 128, "num_attention_heads": 24, "axes_dims_rope": (16, 56, 56)}
        wide = tiny_flux.transformer(joint_attention_dim=4096, pooled_projection_dim=768, **real)
    mine = original.transformer(tiny_flux.as_published(wide.state_dict()))
    other = theirs(tiny_flux.as_published(wide.state_dict()))
    assert {name: one.shape for name, one in mine.items()} == {name: one.shape for name, one in other.items()}


def low_rank(names: dict[str, tuple[int, ...]], spelled: str) -> dict[str, Tensor]:
    """A LoRA of rank 2 for matrices of these shapes; `spelled` is kohya's beginning; without, peft's."""
    torch.manual_seed(4)
    found: dict[str, Tensor] = {}
    for name, (rows, columns) in names.items():
        stem = f"{spelled}_{name.replace('.', '_')}" if spelled else f"diffusion_model.{name}"
        down, up = ("lora_down", "lora_up") if spelled else ("lora_A", "lora_B")
        found[f"{stem}.{down}.weight"] = 0.3 * torch.randn(2, columns)
        found[f"{stem}.{up}.weight"] = 0.3 * torch.randn(rows, 2)
        if spelled:
            found[f"{stem}.alpha"] = torch.tensor(1.0)
    return found


@pytest.mark.parametrize("spelled", ["lora_unet", ""])
def test_an_adapter_of_fused_matrices_changes_what_it_would_there(
    opened: Any, folders: dict[str, Path], tmp_path: Path, spelled: str
) -> None:
    """Checked by adding it to the published matrices themselves."""
    weights = published(folders["dev"])
    chosen = ("img_attn.qkv", "txt_attn.qkv", "img_mlp.0", "txt_attn.proj", "linear1", "linear2", "modulation.lin")
    names = {
        name.removesuffix(".weight"): tuple(one.shape)
        for name, one in weights.items()
        if name.endswith(tuple(f"{one}.weight" for one in chosen))
    }
    tensors = low_rank(names, spelled)
    file = tmp_path / "lora.safetensors"
    save_file(tensors, file)
    factor = 0.5 if spelled else 1.0  # alpha / rank
    for name in names:
        stem = f"{spelled}_{name.replace('.', '_')}" if spelled else f"diffusion_model.{name}"
        down, up = ("lora_down", "lora_up") if spelled else ("lora_A", "lora_B")
        weights[f"{name}.weight"] += factor * tensors[f"{stem}.{up}.weight"] @ tensors[f"{stem}.{down}.weight"]
    merged = tmp_path / "merged.safetensors"
    save_file(weights, merged)
    with opened("dev", denoiser_file=merged) as base:
        wanted = sample(base, ask(base, "text", 2), ignored)
    with opened("dev") as base:
        before = sample(base, ask(base, "text", 2), ignored)
        with base.attached([Use(adapter_files.read(file))]) as on:
            assert on.changed == {"lora": 14}  # two qkv as six, linear1 as four, four alone
            assert (sample(base, ask(base, "text", 2), ignored) - wanted).abs().max() <= 1e-4
        assert torch.equal(sample(base, ask(base, "text", 2), ignored), before)
    assert (wanted - before).abs().max() > 1e-3


@pytest.mark.parametrize("make", ["transformer.", "lora_transformer_", ""])
def test_an_adapter_in_diffusers_names_does_what_diffusers_does(
    opened: Any, folders: dict[str, Path], tmp_path: Path, make: str
) -> None:
    other = tiny_flux.transformer()
    other.load_state_dict(load_file(folders["dev"] / "transformer" / "diffusion_pytorch_model.safetensors"))
    other.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=["to_q", "to_k", "to_out.0", "add_q_proj"]))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, one in other.named_parameters():
            if "lora_" in name:
                one.add_(0.2 * torch.randn_like(one))
    tensors = {}
    for name, one in get_peft_model_state_dict(other).items():
        module, _, side = name.removesuffix(".weight").rpartition(".")
        kohya = f"{module.replace('.', '_')}.{'lora_down' if side == 'lora_A' else 'lora_up'}.weight"
        tensors[f"{make}{kohya if make.startswith('lora_') else name}"] = one.contiguous()
    file = tmp_path / "lora.safetensors"
    save_file(tensors, file)
    with opened("dev") as base:
        asked = ask(base, "text", 1)
        with base.attached([Use(adapter_files.read(file))]) as on:
            made = sample(base, asked, ignored)
        assert on.changed == {"lora": 6}
        base.held = {**base.held, "transformer": other}
        assert (sample(base, asked, ignored) - made).abs().max() <= 1e-4


def test_an_adapter_of_sd_is_refused_by_name(opened: Any, tmp_path: Path) -> None:
    file = tmp_path / "old.safetensors"
    stem = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
    save_file({f"{stem}.lora_A.weight": torch.ones(2, 768), f"{stem}.lora_B.weight": torch.ones(320, 2)}, file)
    refusal = pytest.raises(BadInput, match=r"adapter old changes a unet, which dev has not: it is for SD1\.5")
    with opened("dev") as base, refusal:
        adapters.plan(adapter_files.read(file), base.models, base.name)
