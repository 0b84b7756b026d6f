"""A person's own bases: found where they lie, told by their tensors alone, and never in the way of another."""

import re
from pathlib import Path

import pytest

from pipelines.core import bases, own_bases, weights
from pipelines.core.errors import BadInput, Missing, Problem
from tests import models

ORIGINAL = "model.diffusion_model."
UNET = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
WHOLE = {"first_stage_model.x": (1,), "cond_stage_model.x": (1,)}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models folder."""
    here = tmp_path / "models"
    here.mkdir()
    monkeypatch.setenv("FLAWSMITH_MODELS", str(here))
    return here


def original(shapes: models.Shapes) -> dict[str, tuple[int, ...]]:
    return {f"{ORIGINAL}{name}": shape for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("shapes", "told"),
    [
        (models.SD1, ("stable-diffusion", "sd1", False)),
        (original(models.SD1), ("stable-diffusion", "sd1", False)),
        ({**original(models.SD1), **WHOLE}, ("stable-diffusion", "sd1", True)),
        ({**models.SD1, "input_blocks.0.0.weight": (1, 9, 1, 1)}, ("stable-diffusion", "sd1-inpaint", False)),
        ({"conv_in.weight": (1, 4, 3, 3), UNET: (1, 768)}, ("stable-diffusion", "sd1", False)),
        ({"conv_in.weight": (1, 4, 3, 3), UNET: (1, 1024)}, ("stable-diffusion", "sd2", False)),
        ({"conv_in.weight": (1, 9, 3, 3), UNET: (1, 1024)}, ("stable-diffusion", "sd2-inpaint", False)),
        ({"conv_in.weight": (1, 4, 3, 3), UNET: (1, 32)}, ("stable-diffusion", "sd-32", False)),
        (
            {"conv_in.weight": (1, 4, 3, 3), UNET: (1, 2048), "add_embedding.linear_1.weight": (1, 1)},
            ("sdxl", "sdxl", False),
        ),
        (
            original(
                {
                    "input_blocks.0.0.weight": (1, 9, 3, 3),
                    "x.attn2.to_k.weight": (1, 2048),
                    "label_emb.0.0.weight": (1,),
                }
            )
            | original({})
            | dict.fromkeys(("first_stage_model.x", "conditioner.x"), (1,)),
            ("sdxl", "sdxl-inpaint", True),
        ),
        (
            original({"x_embedder.proj.weight": (1536, 1, 1, 1), "joint_blocks.0.x": (1,), "pos_embed": (1, 36864, 1)}),
            ("sd3", "sd3-medium", False),
        ),
        (
            {
                "pos_embed.proj.weight": (1536, 1, 1, 1),
                "transformer_blocks.0.attn.add_q_proj.weight": (1,),
                "pos_embed.pos_embed": (1, 147456, 1),
            },
            ("sd3", "sd3.5-medium", False),
        ),
        (
            {"double_blocks.0.img_attn.qkv.weight": (1,), "img_in.weight": (1, 64), "guidance_in.in_layer.bias": (1,)},
            ("flux", "flux-dev", False),
        ),
        ({"double_blocks.0.img_attn.qkv.weight": (1,), "img_in.weight": (1, 64)}, ("flux", "flux-schnell", False)),
        (
            {
                "single_transformer_blocks.0.proj_mlp.weight": (1,),
                "x_embedder.weight": (1, 384),
                "time_text_embed.guidance_embedder.linear_1.weight": (1,),
            },
            ("flux", "flux-fill", False),
        ),
        ({"single_stream_modulation.lin.weight": (1,), "img_in.weight": (6144, 1)}, ("flux2", "flux2-dev", False)),
        (
            {"single_stream_modulation.linear.weight": (1,), "x_embedder.weight": (3072, 1)},
            ("flux2", "flux2-klein", False),
        ),
    ],
)
def test_a_single_file_is_told_by_names_and_shapes(
    folder: Path, shapes: models.Shapes, told: tuple[str, str, bool]
) -> None:
    assert weights.single(models.single(folder / "x.safetensors", shapes)) == weights.Content(*told)


@pytest.mark.parametrize(
    ("shapes", "sentence"),
    [
        ({"lora_unet_x.lora_down.weight": (1, 1)}, "x.safetensors is an adapter (LoRA), not a base"),
        ({"unet.x.lora_A.weight": (1, 1)}, "x.safetensors is an adapter (LoRA), not a base"),
        ({"decoder.x": (1, 1)}, "x.safetensors holds no denoiser the studio knows"),
    ],
)
def test_a_file_that_is_no_base_is_listed_with_the_reason(folder: Path, shapes: models.Shapes, sentence: str) -> None:
    models.single(folder / "x.safetensors", shapes)
    assert sentence in bases.load()["x"].state().text
    with pytest.raises(BadInput, match=re.escape(sentence)):
        bases.get("x")


def test_a_folder_in_the_models_folder_is_a_base_with_its_own_facts(folder: Path) -> None:
    models.base(folder / "plant", in_channels=9)
    base = bases.get("plant")
    assert (base.family, base.edition, base.own, base.layout) == ("stable-diffusion", "sd1-inpaint", True, "folder")
    assert (base.tasks, base.resolution, base.memory_bytes) == (("inpaint",), 512, 3 * 64 * 1024 * 2)
    assert base.state() == ("ready", "ready", None)
    assert base.place().folder == folder / "plant"
    next((folder / "plant" / "vae").glob("*.safetensors")).unlink()
    assert bases.get("plant").state() == ("broken", "incomplete: vae of its folder is not there", None)


def test_a_denoiser_alone_goes_over_the_ready_base_of_its_edition_and_says_so(folder: Path) -> None:
    path = models.single(folder / "steel.safetensors", models.SD1)
    state = bases.get("steel").state()
    assert (state.kind, state.remedy) == ("missing", "python -m pipelines fetch sd15")
    assert state.text == "it takes everything but the denoiser from sd15, which is not ready"
    models.base(folder / "other", cross_attention_dim=1024)
    assert not bases.get("steel").state().ready, "SD2 is no base for it"
    models.base(folder / "sd15")
    assert bases.get("steel").state().text == "ready, over sd15: the file brings only the denoiser"
    assert bases.get("steel").place() == (folder / "sd15", None, path, "sd15")


def test_a_whole_file_takes_configurations_from_a_base_of_its_edition(folder: Path) -> None:
    path = models.single(folder / "whole.safetensors", {**original(models.SD1), **WHOLE})
    assert bases.get("whole").layout == "single"
    assert bases.get("whole").state().text == "it takes configurations and tokenizers from sd15, which is not ready"
    models.base(folder / "mine")
    assert bases.get("whole").state().text == "ready, with the configurations and tokenizers of mine"
    assert bases.get("whole").place() == (folder / "mine", path, None, "")


def test_a_file_of_an_unknown_edition_says_what_it_needs(folder: Path) -> None:
    models.single(folder / "odd.safetensors", {"conv_in.weight": (1, 4, 3, 3), UNET: (1, 32)})
    assert "no base of its kind (stable-diffusion, sd-32) is here" in bases.get("odd").state().text
    models.base(folder / "tiny", cross_attention_dim=32)
    assert bases.get("odd").place().folder == folder / "tiny"


def test_what_is_added_is_listed_and_what_is_forgotten_stays_on_the_disk(folder: Path, tmp_path: Path) -> None:
    path = models.single(tmp_path / "elsewhere" / "Rust v2.safetensors", models.SD1)
    models.base(folder / "lender")
    own_bases.add(path, bases.shipped(), "rust", "sd15")
    text = (folder / "bases.toml").read_text()
    assert f'path = "{path}"' in text
    assert 'over = "sd15"' in text
    assert bases.get("rust").over == "sd15"
    assert bases.get("rust").state().kind == "missing", "another one of its edition is not what was named"
    own_bases.forget("rust")
    assert path.is_file()
    with pytest.raises(BadInput, match="no base 'rust'"):
        bases.get("rust")
    with pytest.raises(BadInput, match="lists no base 'rust'"):
        own_bases.forget("rust")


def test_a_base_is_lent_by_any_own_folder_that_is_named(folder: Path, tmp_path: Path) -> None:
    models.base(folder / "lender", cross_attention_dim=32)
    path = models.single(tmp_path / "fine.safetensors", {"conv_in.weight": (1, 4, 3, 3), UNET: (1, 32)})
    own_bases.add(path, bases.shipped(), over="lender")
    assert bases.get("fine").place() == (folder / "lender", None, path, "lender")


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("gone.safetensors", Missing, "there is no "),
        ("model.ckpt", BadInput, "model.ckpt is a pickle, which could run code"),
        ("empty", BadInput, "empty has no model_index.json"),
        ("lora.safetensors", BadInput, "lora.safetensors is an adapter"),
    ],
)
def test_what_cannot_be_a_base_is_not_added(tmp_path: Path, name: str, kind: type[Problem], sentence: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "model.ckpt").write_bytes(b"PK")
    models.single(tmp_path / "lora.safetensors", {"lora_unet_x.lora_up.weight": (1, 1)})
    with pytest.raises(kind, match=re.escape(sentence)):
        own_bases.add(tmp_path / name, bases.shipped())
    assert not (weights.folder() / "bases.toml").exists()


def test_no_own_base_takes_the_name_of_a_shipped_one(folder: Path, tmp_path: Path) -> None:
    models.single(folder / "sdxl.safetensors", models.SD1)
    with pytest.raises(BadInput, match="sdxl is the name of a base that ships with the studio"):
        own_bases.add(models.base(tmp_path / "sdxl"), bases.shipped())
    (folder / "bases.toml").write_text('[sd15]\npath = "x"\n')
    known = bases.load()
    assert known["sdxl"].repo
    assert known["sdxl.safetensors"].own
    assert known["sd15"].repo
    assert "has the name of a base that ships" in known["bases.toml [sd15]"].state().text


@pytest.mark.parametrize(
    ("text", "name", "sentence"),
    [
        ("[a\n", "models/bases.toml", "bases.toml is not valid TOML"),
        ("[a]\nlabel = 'x'\n", "a", "models/bases.toml [a] path: Field required"),
        ("[a]\npath = 'x'\nsteps = 3\n", "a", "models/bases.toml [a] steps: Extra inputs"),
        ("[a]\npath = 'gone'\n", "a", "gone is not where models/bases.toml names it"),
        ("[a]\npath = 'good'\ndefaults = { guidance_scale = 0.1 }\n", "a", "defaults: Input should be greater"),
    ],
)
def test_a_broken_entry_breaks_no_other(folder: Path, text: str, name: str, sentence: str) -> None:
    models.base(folder / "good")
    models.base(folder / "other")
    (folder / "bases.toml").write_text(text)
    state = bases.load()[name].state()
    assert state.kind == "broken"
    assert sentence in state.text
    assert bases.get("other").state().ready
    assert bases.get("procedural").state().ready


def test_an_entry_says_of_a_folder_what_the_folder_does_not(folder: Path) -> None:
    models.base(folder / "good")
    table = "label = 'Our steel'\npath = 'good'\nlicence = 'ours'\ndefaults = { num_inference_steps = 30 }\n"
    (folder / "bases.toml").write_text(f"[steel]\n{table}")
    base = bases.get("steel")
    assert (base.label, base.licence, base.defaults.num_inference_steps) == ("Our steel", "ours", 30)
    assert base.defaults.guidance_scale == 7.5
    assert [one.name for one in bases.load().values() if one.own] == ["steel"], "listed once"
