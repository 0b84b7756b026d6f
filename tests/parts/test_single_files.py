"""Whole checkpoints and denoisers alone, as the community publishes them, opened beside a local configuration."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders import single_file_utils as single
from safetensors.torch import load_file, save_file

from pipelines.core.errors import BadInput, Missing
from pipelines.core.models import Models
from pipelines.parts.families import opened_source
from pipelines.parts.family import Source, Task
from pipelines.parts.loading import index_of
from pipelines.parts.sampling import Ask, sample
from tests import originals, tiny

BUILT: dict[str, tuple[str, originals.Layout, Callable[[Path], Path]]] = {
    "sd15": ("stable-diffusion", "sd1", tiny.stable_diffusion),
    "sd15-inpaint": ("stable-diffusion", "sd1", lambda folder: tiny.stable_diffusion(folder, in_channels=9)),
    "sd2": (
        "stable-diffusion",
        "sd2",
        lambda folder: tiny.stable_diffusion(folder, prediction="v_prediction", use_linear_projection=True),
    ),
    "sdxl": ("sdxl", "sdxl", tiny.sdxl),
    "sdxl-inpaint": ("sdxl", "sdxl", lambda folder: tiny.sdxl(folder, in_channels=9)),
    "sd3": ("sd3", "sd3", tiny.sd3),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("published")


@pytest.fixture
def models() -> Models:
    return Models("cpu")


def published(root: Path, name: str) -> tuple[Path, Path]:
    """A base's folder, and the same weights in one file. Made once."""
    folder, file = root / name, root / f"{name}.safetensors"
    if not file.is_file():
        originals.write(BUILT[name][2](folder), file, BUILT[name][1])
    return folder, file


def configuration(folder: Path, place: Path) -> Path:
    """The folder without its weights: what lies beside a single file."""
    return Path(shutil.copytree(folder, place, ignore=shutil.ignore_patterns("*.safetensors")))


def picture(source: Source, models: Models) -> torch.Tensor:
    with opened_source(source, models) as base:
        task: Task = "inpaint" if base.inpaints else "text"
        masks = torch.zeros(1, 1, tiny.PX, tiny.PX, dtype=torch.bool)
        masks[..., 8:20, 10:26] = True
        image = torch.rand(1, 3, tiny.PX, tiny.PX, generator=torch.Generator().manual_seed(0))
        ask = Ask(task, ["a deep scratch"], [7], (tiny.PX, tiny.PX), 2, [4.0])
        if task == "inpaint":
            ask = Ask(**{**vars(ask), "images": image, "masks": masks})
        return sample(base, ask, lambda step: None)


@pytest.mark.parametrize("name", BUILT)
def test_a_whole_file_is_the_same_base_as_its_folder(root: Path, models: Models, tmp_path: Path, name: str) -> None:
    folder, file = published(root, name)
    bare = configuration(folder, tmp_path / "bare")
    family = BUILT[name][0]
    with (
        opened_source(Source("folder", family, folder), models) as theirs,
        opened_source(Source("file", family, bare, file=file), models) as ours,
    ):
        assert theirs.held.keys() == ours.held.keys()
        for part, model in ours.held.items():
            wanted = theirs.held[part].state_dict()
            assert model.state_dict().keys() == wanted.keys()
            for key, tensor in model.state_dict().items():
                assert torch.equal(tensor, wanted[key]), f"{part}.{key}"
    apart = picture(Source("folder", family, folder), models) - picture(Source("file", family, bare, file=file), models)
    assert apart.abs().max() <= 1e-4


@pytest.mark.parametrize("name", ["sd15", "sd2", "sdxl", "sd3"])
@pytest.mark.parametrize("layout", ["original", "original, bare", "diffusers", "whole"])
def test_a_denoiser_is_laid_over_a_base(root: Path, models: Models, tmp_path: Path, name: str, layout: str) -> None:
    folder, file = published(root, name)
    family = BUILT[name][0]
    part = "transformer" if family == "sd3" else "unet"
    other = next(model for key, model in originals.models(folder) if key == part)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.01)
    written = originals.mmdit(other) if family == "sd3" else originals.unet(other)
    above = {f"model.diffusion_model.{key}": tensor for key, tensor in written.items()}
    tensors = {
        "original": above,
        "original, bare": written,
        "diffusers": other.state_dict(),
        "whole": load_file(file) | above,
    }[layout]
    own = originals.save(tensors, tmp_path / "own.safetensors")
    with opened_source(Source("base", family, folder), models) as base:
        before = models.held_bytes
        with opened_source(Source("own", family, folder, denoiser_file=own, shared="base"), models) as laid:
            for key, tensor in other.state_dict().items():
                assert torch.equal(laid.denoiser.state_dict()[key], tensor), key
            assert laid.vae is base.vae
            denoiser = sum(one.numel() * one.element_size() for one in other.state_dict().values())
            assert models.held_bytes - before <= denoiser * 1.01


def test_a_file_without_t5_is_sd3_without_it(root: Path, models: Models, tmp_path: Path) -> None:
    folder, file = published(root, "sd3")
    tensors = {key: one for key, one in load_file(file).items() if not key.startswith("text_encoders.t5xxl.")}
    without = originals.save(tensors, tmp_path / "without.safetensors")
    with opened_source(Source("without", "sd3", folder, file=without), models) as base:
        assert "text_encoder_3" not in base.held
        assert not base.encode_prompt(["a scratch"])["prompt_embeds"][:, 77:].any()


def test_what_a_file_does_not_bring_is_not_read(root: Path, models: Models, tmp_path: Path) -> None:
    """Training leaves moving averages and optimisers behind, of any size and of any value."""
    folder, file = published(root, "sd15")
    more = load_file(file) | {"model_ema.diffusion_modelout0weight": torch.full((4,), float("nan"))}
    own = originals.save(more, tmp_path / "trained.safetensors")
    assert picture(Source("trained", "stable-diffusion", folder, file=own), models).isfinite().all()


def _truncated(folder: Path, file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _nan(folder: Path, file: Path) -> None:
    tensors = load_file(file)
    tensors["first_stage_model.decoder.conv_out.bias"][0] = float("nan")
    save_file(tensors, file)


def _pickle(folder: Path, file: Path) -> None:
    torch.save({"state_dict": {"betas": torch.ones(3)}}, file)


def _unet_alone(folder: Path, file: Path) -> None:
    tensors = load_file(file)
    save_file({key: one for key, one in tensors.items() if key.startswith("model.diffusion_model.")}, file)


def _no_encoder(folder: Path, file: Path) -> None:
    tensors = load_file(file)
    del tensors["cond_stage_model.transformer.text_model.encoder.layers.1.mlp.fc1.weight"]
    save_file(tensors, file)


def _other_family(folder: Path, file: Path) -> None:
    shutil.copy(published(folder.parents[1] / "kept", "sdxl")[1], file)


def _other_edition(folder: Path, file: Path) -> None:
    shutil.copy(published(folder.parents[1] / "kept", "sd15-inpaint")[1], file)


REFUSED: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "truncated": (_truncated, r"^file\.safetensors is cut off: \d+ of \d+ bytes are here; fetch it again$"),
    "NaN": (_nan, r"^file\.safetensors: 'decoder\.conv_out\.bias' holds NaN or infinity"),
    "pickle": (_pickle, r"^file\.safetensors is a pickle under another name, which could run code"),
    "UNet alone": (_unet_alone, r"^file\.safetensors brings no vae: lay it over a base as its denoiser instead"),
    "half an encoder": (_no_encoder, r"^file\.safetensors lacks the tensor 'encoder\.layers\.1\.mlp\.fc1\.weight'"),
    "SDXL": (_other_family, r"^file\.safetensors does not fit config \(.+\): it is for another base$"),
    "inpainting": (
        _other_edition,
        r"^file\.safetensors does not fit config \(.+conv_in\.weight.+\): it is for another",
    ),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_a_wrong_file_is_refused_with_its_reason(models: Models, tmp_path: Path, root: Path, wrong: str) -> None:
    spoil, sentence = REFUSED[wrong]
    if not (tmp_path.parent / "kept").exists():
        (tmp_path.parent / "kept").symlink_to(root)
    folder, good = published(root, "sd15")
    config = configuration(folder, tmp_path / "config")
    file = Path(shutil.copy(good, tmp_path / "file.safetensors"))
    with opened_source(Source("held", "stable-diffusion", folder), models):
        pass
    before, held = models.held_bytes, {str(row["key"]) for row in models.report()}
    spoil(config, file)
    with (
        pytest.raises(BadInput, match=sentence),
        opened_source(Source("file", "stable-diffusion", config, file=file), models),
    ):
        pass
    assert models.held_bytes == before
    assert {str(row["key"]) for row in models.report()} == held
    assert not any(row["pinned"] for row in models.report())
    assert picture(Source("good", "stable-diffusion", config, file=good), models).isfinite().all()


def _sharded(folder: Path) -> None:
    """The UNet in two files and the table that names them, as large models are published."""
    place = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(place)
    names = [f"diffusion_pytorch_model-0000{one}-of-00002.safetensors" for one in (1, 2)]
    halves = [dict(list(tensors.items())[one::2]) for one in (0, 1)]
    for name, half in zip(names, halves, strict=True):
        save_file(half, folder / "unet" / name, metadata={"format": "pt"})
    table = {key: name for name, half in zip(names, halves, strict=True) for key in half}
    text = json.dumps({"metadata": {"total_size": 1}, "weight_map": table})
    (folder / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(text)
    place.unlink()


def _shard_gone(folder: Path) -> None:
    _sharded(folder)
    (folder / "unet" / "diffusion_pytorch_model-00002-of-00002.safetensors").unlink()


def _only_bin(folder: Path) -> None:
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()


def _tensor_gone(folder: Path) -> None:
    file = folder / "text_encoder" / "model.safetensors"
    tensors = load_file(file)
    del tensors["final_layer_norm.weight"]
    save_file(tensors, file, metadata={"format": "pt"})


def _nan_in_folder(folder: Path) -> None:
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    tensors["encoder.conv_in.bias"][1] = float("inf")
    save_file(tensors, file, metadata={"format": "pt"})


def _refiner(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"text_encoder": [None, None]}))


def _wrong_size(folder: Path) -> None:
    config = json.loads((folder / "unet" / "config.json").read_text())
    (folder / "unet" / "config.json").write_text(json.dumps(config | {"cross_attention_dim": 16}))


def _word_for_a_number(folder: Path) -> None:
    config = json.loads((folder / "text_encoder" / "config.json").read_text())
    (folder / "text_encoder" / "config.json").write_text(json.dumps(config | {"hidden_size": "wide"}))


SPOILT: dict[str, tuple[Callable[[Path], None], type[Exception], str]] = {
    "a shard is gone": (_shard_gone, Missing, r"^base/unet lacks diffusion_pytorch_model-00002-of-00002\.safetensors:"),
    "only .bin": (_only_bin, Missing, r"^base/vae holds no \.safetensors file: fetch it again"),
    "a tensor is gone": (_tensor_gone, BadInput, r"^base/text_encoder lacks the tensor 'final_layer_norm\.weight'"),
    "infinity": (_nan_in_folder, BadInput, r"^base/vae: 'encoder\.conv_in\.bias' holds NaN or infinity"),
    "no encoder": (_refiner, BadInput, r"^base has no text_encoder, so it makes no picture alone"),
    "a word for a number": (
        _word_for_a_number,
        BadInput,
        r"^base/text_encoder cannot be read \(.+\): copy or fetch it",
    ),
    "another size": (_wrong_size, BadInput, r"^base/unet cannot be read \(.+\): copy or fetch it again"),
}


@pytest.mark.parametrize("wrong", SPOILT)
def test_a_wrong_folder_is_refused_with_its_reason(models: Models, tmp_path: Path, root: Path, wrong: str) -> None:
    spoil, kind, sentence = SPOILT[wrong]
    folder = Path(shutil.copytree(published(root, "sd15")[0], tmp_path / "base"))
    spoil(folder)
    with pytest.raises(kind, match=sentence), opened_source(Source("base", "stable-diffusion", folder), models):
        pass
    assert models.held_bytes == 0
    assert models.report() == []


def test_a_folder_in_shards_and_one_in_half_precision_open(models: Models, tmp_path: Path, root: Path) -> None:
    good = published(root, "sd15")[0]
    folder = Path(shutil.copytree(good, tmp_path / "base"))
    _sharded(folder)
    for part, stem in (("vae", "diffusion_pytorch_model"), ("text_encoder", "model")):
        file = folder / part / f"{stem}.safetensors"
        halved = {key: one.half() if one.is_floating_point() else one for key, one in load_file(file).items()}
        save_file(halved, folder / part / f"{stem}.fp16.safetensors", metadata={"format": "pt"})
        file.unlink()
    apart = picture(Source("base", "stable-diffusion", folder), models) - picture(
        Source("good", "stable-diffusion", good), models
    )
    assert apart.abs().max() < 0.05


def test_an_old_autoencoder_opens(models: Models, tmp_path: Path, root: Path) -> None:
    """SD1's own folder names its attention as diffusers did in 2022."""
    good = published(root, "sd15")[0]
    folder = Path(shutil.copytree(good, tmp_path / "base"))
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors: dict[str, Any] = {}
    for key, tensor in load_file(file).items():
        for now, then in names.items():
            key = key.replace(f".{now}.", f".{then}.")
        tensors[key] = tensor
    assert any(".query." in key for key in tensors)
    save_file(tensors, file, metadata={"format": "pt"})
    old = picture(Source("base", "stable-diffusion", folder), models)
    assert torch.equal(old, picture(Source("good", "stable-diffusion", good), models))


# -- the real architectures, from configurations without weights


@pytest.fixture(scope="module")
def skeletons(test_data: Path) -> Path:
    folder = test_data.parent / "weights" / "hf_skeletons"
    if not folder.is_dir():
        pytest.skip("no folder `weights` with published files stands beside the one FLAWSMITH_TEST_DATA names")
    return folder


REAL: dict[str, tuple[str, originals.Layout, str]] = {
    "sd15": ("runwayml/stable-diffusion-v1-5", "sd1", "v1"),
    "sd15-inpaint": ("runwayml/stable-diffusion-inpainting", "sd1", "inpainting"),
    "sd2": ("stabilityai/stable-diffusion-2-1", "sd2", "v2"),
    "sdxl": ("stabilityai/stable-diffusion-xl-base-1.0", "sdxl", "xl_base"),
    "sd3": ("stabilityai/stable-diffusion-3-medium-diffusers", "sd3", "sd3"),
}


def built(folder: Path, part: str, **more: Any) -> Any:
    """A part of a base as its configuration says, without memory."""
    import diffusers
    import transformers

    library, name = index_of(folder)[part]
    with torch.device("meta"):
        if library == "diffusers":
            cls = getattr(diffusers, name)
            return cls.from_config(cls.load_config(folder / part))
        cls = getattr(transformers, name)
        config = cls.config_class.from_pretrained(folder / part)
        config.update(more)
        return cls(config)


@pytest.mark.parametrize("name", REAL)
def test_every_tensor_of_the_real_architecture_finds_its_place(skeletons: Path, name: str) -> None:
    """And the file is taken for what it is by the library's own look at published files."""
    owner, layout, kind = REAL[name]
    folder = skeletons / owner
    parts = [part for part in index_of(folder) if (folder / part / "config.json").is_file()]
    models = {part: built(folder, part) for part in parts if part != "safety_checker"}
    published = dict(models)
    if layout == "sd2":  # published with one layer more than is used
        published["text_encoder"] = built(folder, "text_encoder", num_hidden_layers=24)
    tensors = originals.whole(published, layout)
    assert single.infer_diffusers_model_type(tensors) == kind
    for part, model in models.items():
        wanted = {key: tuple(one.shape) for key, one in model.state_dict().items()}
        if part == "text_encoder_3":
            found = single.convert_sd3_t5_checkpoint_to_diffusers(tensors)
            del wanted["encoder.embed_tokens.weight"]
        elif part.startswith("text_encoder"):
            found = _clip_read(model, tensors, part, layout)
        elif part == "vae":
            found = single.convert_ldm_vae_checkpoint(tensors, model.config)
        elif part == "unet":
            found = single.convert_ldm_unet_checkpoint(tensors, model.config)
        else:
            own = {key: one for key, one in tensors.items() if key.startswith("model.diffusion_model.")}
            found = single.convert_sd3_transformer_checkpoint_to_diffusers(own)
        shapes = {key: tuple(one.shape) for key, one in found.items() if key in wanted}
        assert shapes == wanted, part


def _clip_read(model: Any, tensors: dict[str, Any], part: str, layout: originals.Layout) -> dict[str, Any]:
    """A text encoder as diffusers converts it, without building it in memory."""
    if layout == "sd2" or (layout == "sdxl" and part == "text_encoder_2"):
        above = "cond_stage_model.model." if layout == "sd2" else "conditioner.embedders.1.model."
        found = single.convert_open_clip_checkpoint(model, tensors, prefix=above)
    elif layout == "sd3":
        above = f"text_encoders.clip_{'g' if part == 'text_encoder_2' else 'l'}.transformer."
        found = single.convert_ldm_clip_checkpoint(tensors, above)
    else:
        found = single.convert_ldm_clip_checkpoint(tensors)
    flat = not hasattr(model, "text_model")
    return {key.removeprefix("text_model.") if flat else key: one for key, one in found.items()}
