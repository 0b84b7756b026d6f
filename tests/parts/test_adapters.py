"""Adapters on tiny models of the real classes: each make of file does what diffusers' loading does, or is refused."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pipelines.core.adapter_names import tags
from pipelines.core.errors import BadInput
from pipelines.parts import adapter_files, adapters
from pipelines.parts.adapters import Use, attached, kohya, plan, words
from tests import tiny
from tests.tiny import TARGETS, lora

SHORT: dict[str, Any] = {"num_inference_steps": 2, "height": tiny.PX, "width": tiny.PX, "output_type": "np"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.stable_diffusion(tmp_path_factory.mktemp("sd"))


@pytest.fixture
def pipe(base: Path) -> Any:
    made = diffusers.StableDiffusionPipeline.from_pretrained(base, safety_checker=None)
    made.set_progress_bar_config(disable=True)
    return made


def models(pipe: Any) -> dict[str, nn.Module]:
    return {"unet": pipe.unet, "text_encoder": pipe.text_encoder}


def drawn(pipe: Any, prompt: str = "a scratch") -> np.ndarray:
    return np.asarray(pipe(prompt, generator=torch.Generator().manual_seed(0), **SHORT).images)


@pytest.fixture(scope="module")
def made(base: Path) -> dict[str, dict[str, Tensor]]:
    """Raw LoRA tensors of a UNet and a text encoder."""
    fresh = diffusers.StableDiffusionPipeline.from_pretrained(base, safety_checker=None)
    text = lora(fresh.text_encoder, 1, target_modules=["q_proj", "k_proj", "v_proj", "out_proj"])
    return {"unet": lora(fresh.unet), "text_encoder": text}


def as_peft(made: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {f"{part}.{name}": one for part, tensors in made.items() for name, one in tensors.items()}


def as_diffusers(made: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    swap = (("lora_A", "lora.down"), ("lora_B", "lora.up"))
    return {_renamed(name, swap): one for name, one in as_peft(made).items()}


def as_processor(made: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    found = {}
    for name, one in made["unet"].items():
        module, side = name.removesuffix(".weight").rsplit(".", 1)
        above, which = module.removesuffix(".0").rsplit(".", 1)
        found[f"{above}.processor.{which}_lora.{'down' if side == 'lora_A' else 'up'}.weight"] = one
    return found


def as_doubled(made: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    found = {}
    for name, one in made["unet"].items():
        module, side = name.removesuffix(".weight").rsplit(".", 1)
        end = "lora_down" if side == "lora_A" else "lora_up"
        found[f"lora_unet_unet_{module.replace('.', '_')}_{end}.weight"] = one
    return found


def _renamed(name: str, swap: tuple[tuple[str, str], ...]) -> str:
    for old, new in swap:
        name = name.replace(old, new)
    return name


def saved(tensors: Mapping[str, Tensor], folder: Path, metadata: dict[str, str] | None = None) -> Path:
    path = folder / "adapter.safetensors"
    save_file({name: one.contiguous() for name, one in tensors.items()}, path, metadata)
    return path


def by_diffusers(pipe: Any, tensors: Mapping[str, Tensor]) -> np.ndarray:
    pipe.load_lora_weights(dict(tensors), adapter_name="theirs")
    found = drawn(pipe)
    pipe.unload_lora_weights()
    return found


@pytest.mark.parametrize(
    ("spell", "spelling", "parts"),
    [
        (as_peft, "dotted", ("unet", "text_encoder")),
        (as_diffusers, "dotted", ("unet", "text_encoder")),
        (as_processor, "dotted", ("unet",)),
        (as_doubled, "joined", ("unet",)),
    ],
)
def test_each_make_of_file_does_the_same(
    pipe: Any, made: Any, tmp_path: Path, spell: Any, spelling: str, parts: tuple[str, ...]
) -> None:
    chosen = {part: made[part] for part in parts}
    wanted = by_diffusers(pipe, as_peft(chosen))
    before = drawn(pipe)
    assert np.abs(wanted - before).max() > 1e-3
    adapter = adapter_files.read(saved(spell(chosen), tmp_path))
    assert adapter.spelling == spelling
    with attached(models(pipe), [Use(adapter)], "tiny") as counts:
        assert counts == [sum(len(one) // 2 for one in chosen.values())]
        assert np.abs(drawn(pipe) - wanted).max() <= 1e-5
    assert np.array_equal(drawn(pipe), before)


def test_kohyas_form_goes_out_and_comes_back(pipe: Any, made: Any, tmp_path: Path) -> None:
    adapter = adapter_files.read(saved(as_peft(made), tmp_path))
    with attached(models(pipe), [Use(adapter)], "tiny"):
        wanted = drawn(pipe)
    exported = kohya(plan(adapter, models(pipe), "tiny"))
    assert np.abs(by_diffusers(pipe, exported) - wanted).max() <= 1e-5
    again = adapter_files.read(saved(exported, tmp_path))
    assert again.spelling == "joined"
    with attached(models(pipe), [Use(again)], "tiny"):
        assert np.abs(drawn(pipe) - wanted).max() <= 1e-6


def test_alpha_of_the_metadata_counts(pipe: Any, base: Path, tmp_path: Path) -> None:
    other = diffusers.StableDiffusionPipeline.from_pretrained(base, safety_checker=None)
    tensors = lora(other.unet, lora_alpha=16, alpha_pattern={"to_k": 2}, use_rslora=True)
    from diffusers.training_utils import _collate_lora_metadata

    other.save_lora_weights(tmp_path, unet_lora_layers=tensors, **_collate_lora_metadata({"unet": other.unet}))
    pipe.load_lora_weights(tmp_path, adapter_name="theirs")
    wanted = drawn(pipe)
    pipe.unload_lora_weights()
    adapter = adapter_files.read(tmp_path / "pytorch_lora_weights.safetensors")
    assert {layer.alpha for layer in adapter.layers["unet"].values()} == {32.0, 4.0}
    with attached(models(pipe), [Use(adapter)], "tiny"):
        assert np.abs(drawn(pipe) - wanted).max() <= 1e-5


def test_weights_are_exact_also_for_dora(pipe: Any, base: Path, tmp_path: Path) -> None:
    other = diffusers.StableDiffusionPipeline.from_pretrained(base, safety_checker=None)
    tensors = lora(other.unet, use_dora=True, target_modules=[*TARGETS, "conv1"])
    whole, before = drawn(other), drawn(pipe)
    adapter = adapter_files.read(saved({f"unet.{name}": one for name, one in tensors.items()}, tmp_path))
    assert all(layer.magnitude is not None for layer in adapter.layers["unet"].values())
    found = {}
    for weight in (0.0, 0.5, 1.0):
        with attached(models(pipe), [Use(adapter, weight)], "tiny"):
            found[weight] = drawn(pipe)
    assert np.abs(found[0.0] - before).max() <= 1e-6
    assert np.abs(found[1.0] - whole).max() <= 1e-5
    assert np.abs(found[0.5] - before).max() > 1e-4
    assert np.abs(found[0.5] - whole).max() > 1e-4


def test_several_adapters_add_up(pipe: Any, base: Path, made: Any, tmp_path: Path) -> None:
    other = diffusers.StableDiffusionPipeline.from_pretrained(base, safety_checker=None)
    second = {f"unet.{name}": one for name, one in lora(other.unet, 5, r=2, lora_alpha=2).items()}
    pipe.load_lora_weights(as_peft(made), adapter_name="one")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # two adapters at once are what is meant
        pipe.load_lora_weights(second, adapter_name="two")
    pipe.set_adapters(["one", "two"], [0.8, -0.5])
    wanted = drawn(pipe)
    pipe.unload_lora_weights()
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    uses = [
        Use(adapter_files.read(saved(as_peft(made), tmp_path / "one")), 0.8),
        Use(adapter_files.read(saved(second, tmp_path / "two")), -0.5),
    ]
    with attached(models(pipe), uses, "tiny"):
        assert np.abs(drawn(pipe) - wanted).max() <= 1e-5


def test_an_error_leaves_every_module_as_it_was(pipe: Any, made: Any, tmp_path: Path) -> None:
    adapter = adapter_files.read(saved(as_peft(made), tmp_path))
    before = {name: id(one) for name, one in pipe.unet.named_modules()}
    wanted = [one.requires_grad for one in pipe.unet.parameters()]
    with pytest.raises(ZeroDivisionError), attached(models(pipe), [Use(adapter)], "tiny"):
        raise ZeroDivisionError
    assert {name: id(one) for name, one in pipe.unet.named_modules()} == before
    assert [one.requires_grad for one in pipe.unet.parameters()] == wanted
    assert not hasattr(pipe.unet, "peft_config")


def test_many_switches_leave_nothing_behind(pipe: Any, made: Any, tmp_path: Path) -> None:
    adapter = adapter_files.read(saved(as_peft(made), tmp_path))
    held = sum(one.numel() for one in pipe.unet.state_dict().values())
    for weight in np.linspace(0, 1, 20):
        with attached(models(pipe), [Use(adapter, float(weight))], "tiny"):
            pass
    assert sum(one.numel() for one in pipe.unet.state_dict().values()) == held


WRONG: dict[str, tuple[dict[str, Tensor], str]] = {
    "nothing of the kind": ({"conv.weight": torch.ones(2, 2)}, "holds 1 tensors that are of no known adapter"),
    "LoHa": ({"lora_unet_a.hada_w1_a": torch.ones(2, 2)}, "is a LoHa file"),
    "half": ({"unet.mid.to_q.lora_A.weight": torch.ones(4, 8)}, "only half of the change of unet.mid.to_q"),
    "ranks": (
        {"unet.mid.to_q.lora_A.weight": torch.ones(4, 8), "unet.mid.to_q.lora_B.weight": torch.ones(8, 2)},
        "have ranks 4 and 2",
    ),
    "not finite": ({"unet.mid.to_q.lora_A.weight": torch.full((4, 8), float("nan"))}, "holds NaN or infinity"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_cannot_be_applied_is_refused(name: str, tmp_path: Path) -> None:
    tensors, sentence = WRONG[name]
    with pytest.raises(BadInput, match=sentence):
        adapter_files.read(saved(tensors, tmp_path))


def test_an_adapter_of_another_base_is_refused_before_anything_changes(pipe: Any, made: Any, tmp_path: Path) -> None:
    adapter = adapter_files.read(saved(as_peft(made), tmp_path))
    wide = tiny.unet(cross_attention_dim=48)
    with pytest.raises(BadInput, match=r"does not fit wide: .*attn2\.to_[kv] is 64x48 there and 64x32 in the file"):
        plan(adapter, {"unet": wide, "text_encoder": pipe.text_encoder}, "wide")
    with pytest.raises(BadInput, match="changes a text_encoder, which bare has not"):
        plan(adapter, {"unet": pipe.unet}, "bare")
    strange = {f"unet.up_blocks.9.to_q.lora_{side}.weight": torch.ones(4, 4) for side in "AB"}
    with pytest.raises(BadInput, match=r"1 of its 1 changes of the unet find no place in tiny \(up_blocks\.9\.to_q\)"):
        plan(adapter_files.read(saved(strange, tmp_path)), models(pipe), "tiny")


def test_new_words_are_known_for_a_while(pipe: Any) -> None:
    torch.manual_seed(3)
    vectors = torch.randn(2, tiny.WIDTH)
    before, table = drawn(pipe), pipe.text_encoder.get_input_embeddings()
    with words(pipe.tokenizer, pipe.text_encoder, {"<rust>": vectors}) as (tokenizer, written):
        assert written == {"<rust>": "<rust> <rust>_1"}
        ids = tokenizer(written["<rust>"], return_tensors="pt").input_ids
        assert ids.shape == (1, 4)
        found = pipe.text_encoder.get_input_embeddings()(ids)[0, 1:3]
        assert torch.allclose(found, vectors)
    assert pipe.text_encoder.get_input_embeddings() is table
    assert pipe.tokenizer("<rust>").input_ids != ids.tolist()[0]
    assert np.array_equal(drawn(pipe), before)


def test_a_run_that_goes_first_finds_nothing_of_the_one_that_waits(
    pipe: Any, made: Mapping[str, Mapping[str, Tensor]], tmp_path: Path
) -> None:
    use = Use(adapter_files.read(saved(as_peft(made), tmp_path)))
    vectors = torch.randn(1, tiny.WIDTH, generator=torch.Generator().manual_seed(3))
    before = drawn(pipe)
    with attached(models(pipe), [use], "tiny"), words(pipe.tokenizer, pipe.text_encoder, {"<rust>": vectors}):
        changed = drawn(pipe)
        assert not np.array_equal(changed, before)
        with adapters.bare(models(pipe).values()):
            assert np.array_equal(drawn(pipe), before)
            with (
                attached(models(pipe), [use], "tiny"),
                words(pipe.tokenizer, pipe.text_encoder, {"<dust>": vectors}) as (_, written),
            ):
                assert written == {"<dust>": "<dust>"}
                assert np.array_equal(drawn(pipe), changed)
        assert np.array_equal(drawn(pipe), changed)
    assert np.array_equal(drawn(pipe), before)


def test_words_that_do_not_fit_are_refused(pipe: Any) -> None:
    with (
        pytest.raises(
            BadInput, match=r"'<rust>' has vectors of 768 numbers where this text encoder takes 32: .*SD1\.5"
        ),
        words(pipe.tokenizer, pipe.text_encoder, {"<rust>": torch.ones(1, 768)}),
    ):
        pass


@pytest.mark.parametrize(
    ("prompt", "left", "found"),
    [
        ("a scratch", "a scratch", []),
        ("a <lora:rust:0.8> scratch", "a scratch", [("rust", 0.8)]),
        ("rust, <lora:a>, <lora:b c:-1>", "rust", [("a", 1.0), ("b c", -1.0)]),
    ],
)
def test_prompts_name_adapters(prompt: str, left: str, found: list[tuple[str, float]]) -> None:
    assert tags(prompt)[1] == found
    assert tags(prompt)[0].replace(" ,", "").rstrip(", ") == left


# -- real files, on the real configurations without weights


@pytest.fixture(scope="module")
def real(test_data: Path) -> Path:
    folder = test_data.parent / "weights"
    if not folder.is_dir():
        pytest.skip("no folder `weights` with published files stands beside the one FLAWSMITH_TEST_DATA names")
    return folder


def skeleton(real: Path, owner: str) -> dict[str, nn.Module]:
    from transformers import CLIPTextConfig, CLIPTextModel

    folder = real / "hf_skeletons" / owner
    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel.from_config(json.loads((folder / "unet/config.json").read_text()))
        text = CLIPTextModel(CLIPTextConfig.from_pretrained(folder / "text_encoder"))
    return {"unet": unet, "text_encoder": text}


FITTING = {
    "lora_brain_mri/pytorch_lora_weights.safetensors": 128,
    "lora_catundchat/pytorch_lora_weights.bin": 128,
    "lora_catundchat/pytorch_lora_weights.safetensors": 128,
    "lora_cloneofsimo/analog_svd_rank4.safetensors": 192,
    "lora_cloneofsimo/lora_disney.safetensors": 192,
    "lora_haseebae/pytorch_lora_weights.safetensors": 128,
    "lora_pokemon/pytorch_lora_weights.safetensors": 128,
    "lora_satellite/pytorch_lora_weights.safetensors": 128,
    "lora_timohavdk/2100-lora.safetensors": 128,
    "lora_timohavdk/new.safetensors": 128,
    "lora_timohavdk/pytorch_lora_weights.safetensors": 128,
}


def test_real_files_find_every_place_in_the_real_base(real: Path) -> None:
    sd15 = skeleton(real, "runwayml/stable-diffusion-v1-5")
    for name, count in FITTING.items():
        found = plan(adapter_files.read(real / name), sd15, "sd15")
        assert sum(len(layers) for layers in found.values()) == count, name


def test_a_real_file_of_another_base_says_which(real: Path) -> None:
    adapter = adapter_files.read(real / "lora_vfph55/pytorch_lora_weights.safetensors")
    with pytest.raises(BadInput, match=r"does not fit sd15: .* 320x768 there and 320x1024 in the file: it is for SD2"):
        plan(adapter, skeleton(real, "runwayml/stable-diffusion-v1-5"), "sd15")
    assert plan(adapter, skeleton(real, "stabilityai/stable-diffusion-2-1"), "sd2")


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("ti_fastai/learned_embeds.bin", "<birb-style>"),
        ("ti_rummd/learned_embeds.bin", "<styled-image>"),
        ("ti_ttekcor/learned_embeds.safetensors", "<detail-schemas>"),
    ],
)
def test_real_words_are_read(real: Path, name: str, word: str) -> None:
    found = adapter_files.read(real / name)
    assert {key: tuple(one.shape) for key, one in found.embeddings.items()} == {word: (1, 768)}
    assert found.count == 0


def test_the_numbered_layers_are_counted_as_their_tool_counted(pipe: Any, made: Any, tmp_path: Path) -> None:
    """Numbers stand for attention's linear layers in the order of the network: to_q, to_k, to_v, to_out of each."""
    order = [name for name, _ in pipe.unet.named_modules() if name.endswith((".attn1", ".attn2"))]
    places = [f"{name}.{which}" for name in order for which in TARGETS]
    tensors = {}
    for number, place in enumerate(places):
        tensors[f"unet:{number}:down"] = made["unet"][f"{place}.lora_A.weight"]
        tensors[f"unet:{number}:up"] = made["unet"][f"{place}.lora_B.weight"]
    wanted = by_diffusers(pipe, as_peft({"unet": made["unet"]}))
    adapter = adapter_files.read(saved(tensors, tmp_path, {"unet": '["CrossAttention"]'}))
    with attached(models(pipe), [Use(adapter)], "tiny"):
        assert np.abs(drawn(pipe) - wanted).max() <= 1e-5
    assert adapters.RENAMED["CrossAttention"] == "Attention"
