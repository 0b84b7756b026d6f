"""Adapters in other forms do what they did before: as diffusers reads them, as we read them, and merged for good."""

import json
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.core import intake, library, requests
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput
from pipelines.core.library import Library
from pipelines.core.models import Models
from pipelines.core.queue import Row
from pipelines.parts import adapter_files, adapter_forms, families, merging
from pipelines.parts.adapters import Use, attached
from pipelines.worker import Worker
from tests import adapters, tiny

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]


@pytest.fixture(scope="module")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny.stable_diffusion(folder / "tiny")
    return folder


@pytest.fixture(autouse=True)
def here(models_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAWSMITH_MODELS", str(models_folder))
    torch.set_num_threads(1)


def opened(folder: Path) -> Any:
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def drawn(pipe: Any) -> np.ndarray:
    latents = torch.randn((1, 4, tiny.PX // 2, tiny.PX // 2), generator=torch.Generator().manual_seed(0))
    made = pipe("a scratch", latents=latents, num_inference_steps=2, output_type="np")
    return np.asarray(made.images)


def trained(models_folder: Path, folder: Path, *, text: bool = False, **more: Any) -> Path:
    """An adapter file as diffusers' own training writes it, with something in it."""
    from diffusers.training_utils import _collate_lora_metadata

    pipe = opened(models_folder / "tiny")
    made: dict[str, dict[str, Tensor]] = {}
    wanted = {"unet": ATTENTION} | ({"text_encoder": ["q_proj", "k_proj", "v_proj", "out_proj"]} if text else {})
    torch.manual_seed(1)
    for part, targets in wanted.items():
        model = getattr(pipe, part)
        own = more if part == "unet" else {}
        model.add_adapter(LoraConfig(**{"r": 4, "lora_alpha": 12, "target_modules": targets, **own}))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_" in name:
                    parameter.add_(0.2 * torch.randn_like(parameter))
        made[part] = get_peft_model_state_dict(model)
    pipe.save_lora_weights(
        folder,
        **{f"{part}_lora_layers": tensors for part, tensors in made.items()},
        **_collate_lora_metadata({part: getattr(pipe, part) for part in made}),
    )
    return folder / "pytorch_lora_weights.safetensors"


def asked(runs: Path, **fields: Any) -> tuple[Row, Path, dict[str, Any]]:
    """The run of a convert request, from the command line's door to result.json."""
    request = intake.from_paths(requests.parse({"task": "convert", **fields}), Assets(runs))
    with Worker(runs, "cpu", ()) as worker:
        row = worker.serve(worker.queue.get(worker.queue.submit(request, owner=worker.owner)))
    assert row.state == "done", row.sentence
    return row, runs / row.id, json.loads((runs / row.id / "result.json").read_text())


def with_ours(pipe: Any, file: Path, weight: float = 1.0) -> np.ndarray:
    models = {"unet": pipe.unet, "text_encoder": pipe.text_encoder}
    with attached(models, [Use(adapter_files.read(file), weight)], "tiny"):
        return drawn(pipe)


@pytest.mark.parametrize("what", ["kohya", "diffusers"])
def test_what_is_written_is_read_by_diffusers_and_draws_the_same(
    what: str, models_folder: Path, tmp_path: Path, runs: Path
) -> None:
    file = trained(models_folder, tmp_path, text=True, rank_pattern={"to_k": 2}, alpha_pattern={"to_v": 3})
    pipe = opened(models_folder / "tiny")
    before, wanted = drawn(pipe), with_ours(opened(models_folder / "tiny"), file)
    assert np.abs(wanted - before).max() > 1e-3
    _, run, result = asked(runs, data=str(file), what=what)
    assert result["modules"] == len(load_file(file)) // 2
    product = run / result["files"][0]["name"]
    pipe.load_lora_weights(product.parent, weight_name=product.name)
    assert np.abs(drawn(pipe) - wanted).max() <= 1e-5
    pipe.unload_lora_weights()
    assert np.abs(with_ours(pipe, product) - wanted).max() <= 1e-6


def test_dora_goes_out_in_both_forms_and_comes_back(models_folder: Path, tmp_path: Path, runs: Path) -> None:
    file = trained(models_folder, tmp_path, use_dora=True, target_modules=[*ATTENTION, "conv1"])
    pipe = opened(models_folder / "tiny")
    wanted = with_ours(pipe, file)
    _, run, result = asked(runs, data=str(file), what="kohya")
    exported = run / result["files"][0]["name"]
    assert any(key.endswith(".dora_scale") for key in load_file(exported))
    assert np.abs(with_ours(pipe, exported) - wanted).max() <= 1e-6
    _, run, result = asked(runs, data=str(file), what="diffusers")
    pipe.load_lora_weights(run / "weights")
    assert np.abs(drawn(pipe) - wanted).max() <= 1e-5


def test_a_pickle_and_joined_names_become_one_clean_file_without_a_base(
    models_folder: Path, tmp_path: Path, runs: Path
) -> None:
    file = trained(models_folder, tmp_path, text=True)
    wanted = with_ours(opened(models_folder / "tiny"), file)
    _, run, result = asked(runs, data=str(file), what="kohya")
    pickled = tmp_path / "old.bin"
    torch.save(load_file(run / result["files"][0]["name"]), pickled)
    row, run, result = asked(runs, data=str(pickled), what="diffusers")
    assert row.lane == "cpu"
    assert [one["name"] for one in result["files"]] == ["weights/pytorch_lora_weights.safetensors"]
    pipe = opened(models_folder / "tiny")
    pipe.load_lora_weights(run / "weights")
    assert np.abs(drawn(pipe) - wanted).max() <= 1e-5
    asset = library.asset_of(Assets(runs), row.id)
    assert asset is not None
    assert Library(runs).add(asset, run=row.id).facts.modules == result["modules"]


def test_words_go_into_a_file_of_their_own(tmp_path: Path, runs: Path) -> None:
    torch.save({"<rust>": torch.ones(768)}, tmp_path / "learned.bin")
    _, run, result = asked(runs, data=str(tmp_path / "learned.bin"), what="diffusers")
    assert [one["name"] for one in result["files"]] == ["weights/learned_embeds.safetensors"]
    assert load_file(run / "weights/learned_embeds.safetensors")["<rust>"].shape == (1, 768)


def test_a_file_that_only_numbers_its_layers_asks_for_its_base(models_folder: Path, tmp_path: Path, runs: Path) -> None:
    file = trained(models_folder, tmp_path)
    names = [
        name for name, _ in opened(models_folder / "tiny").unet.named_modules() if name.endswith(("attn1", "attn2"))
    ]
    tensors, numbered = load_file(file), {}
    for number, module in enumerate(f"{name}.{which}" for name in names for which in ATTENTION):
        for side, letter in (("down", "A"), ("up", "B")):
            numbered[f"unet:{number}:{side}"] = tensors[f"unet.{module}.lora_{letter}.weight"]
    save_file(numbered, tmp_path / "old.safetensors", {"unet": '["CrossAttention"]'})
    with pytest.raises(BadInput, match=r"does not spell its modules out \(0\): name the base it is for"):
        adapter_forms.spelled_out(adapter_files.read(tmp_path / "old.safetensors"))
    _, run, _ = asked(runs, data=str(tmp_path / "old.safetensors"), what="diffusers", base="tiny")
    written = load_file(run / "weights/pytorch_lora_weights.safetensors")
    assert {key: tuple(one.shape) for key, one in written.items()} == {k: tuple(v.shape) for k, v in tensors.items()}
    assert all(torch.equal(written[key], tensors[key]) for key in tensors)


@pytest.mark.parametrize("dora", [False, True])
def test_a_merged_base_draws_as_the_base_with_its_adapters(
    dora: bool, models_folder: Path, tmp_path: Path, runs: Path
) -> None:
    first = trained(models_folder, tmp_path / "one", text=not dora, use_dora=dora, init_lora_weights=True)
    second = trained(models_folder, tmp_path / "two", target_modules=["conv1", "to_q", "proj_in"])
    pipe = opened(models_folder / "tiny")
    before = drawn(pipe)
    uses = [Use(adapter_files.read(first), 0.7), Use(adapter_files.read(second), 0.4)]
    with attached({"unet": pipe.unet, "text_encoder": pipe.text_encoder}, uses, "tiny"):
        wanted = drawn(pipe)
    assert np.abs(wanted - before).max() > 1e-3
    data = [{"path": str(first), "weight": 0.7}, {"path": str(second), "weight": 0.4}]
    _, run, result = asked(runs, data=data, what="merged", base="tiny", save_dtype="float32")
    assert np.abs(drawn(opened(run / "weights")) - wanted).max() <= 1e-4
    assert "weights/model_index.json" in [one["name"] for one in result["files"]]
    scheduler = json.loads((run / "weights/scheduler/scheduler_config.json").read_text())
    assert scheduler["_class_name"] == "DDIMScheduler"


def test_a_merged_base_can_be_half_as_large_and_knows_its_new_words(
    models_folder: Path, tmp_path: Path, runs: Path
) -> None:
    torch.save({"<rust>": torch.ones(2, tiny.WIDTH)}, tmp_path / "rust.bin")
    _, run, _ = asked(runs, data=str(tmp_path / "rust.bin"), what="merged", base="tiny")
    written = [load_file(path) for path in (run / "weights").rglob("*.safetensors")]
    assert len(written) == 3
    assert {one.dtype for tensors in written for one in tensors.values()} <= {torch.float16, torch.int64}
    pipe = opened(run / "weights")
    assert pipe.unet.dtype == pipe.text_encoder.dtype
    assert drawn(pipe).shape == (1, tiny.PX, tiny.PX, 3)
    ids = pipe.tokenizer("<rust> <rust>_1").input_ids[1:-1]
    assert len(ids) == 2
    assert torch.equal(pipe.text_encoder.get_input_embeddings().weight[ids], torch.ones(2, tiny.WIDTH))


def test_merging_leaves_the_base_in_memory_as_it_was_also_after_an_error(models_folder: Path, tmp_path: Path) -> None:
    file = trained(models_folder, tmp_path)
    with families.opened("tiny", Models("cpu")) as family:
        before = {name: one.clone() for name, one in family.denoiser.state_dict().items()}
        pointers = [one.data_ptr() for one in family.denoiser.parameters()]
        uses = [Use(adapter_files.read(file))]
        with merging.merged(family.models, uses, "tiny") as changed:
            assert changed == len(load_file(file)) // 2
        with pytest.raises(ZeroDivisionError), merging.merged(family.models, uses, "tiny"):
            raise ZeroDivisionError
        assert [one.data_ptr() for one in family.denoiser.parameters()] == pointers
        assert all(torch.equal(one, before[name]) for name, one in family.denoiser.state_dict().items())


def test_at_weight_0_merging_changes_nothing(models_folder: Path, tmp_path: Path) -> None:
    file = trained(models_folder, tmp_path, use_dora=True)
    pipe = opened(models_folder / "tiny")
    before = {name: one.clone() for name, one in pipe.unet.state_dict().items()}
    with merging.merged({"unet": pipe.unet}, [Use(adapter_files.read(file), 0.0)], "tiny"):
        assert max(float((one - before[name]).abs().max()) for name, one in pipe.unet.state_dict().items()) <= 1e-6


def test_an_adapter_of_sdxl_says_so_on_sd15(models_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "wide.safetensors"
    name = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    shapes = {f"unet.{name}.lora_A.weight": (4, 2048), f"unet.{name}.lora_B.weight": (64, 4)}
    path.write_bytes(adapters.written(shapes))
    pipe = opened(models_folder / "tiny")
    with (
        pytest.raises(BadInput, match=r"adapter wide does not fit sd15: .* 64x2048 in the file: it is for SDXL"),
        attached({"unet": pipe.unet}, [Use(adapter_files.read(path))], "sd15"),
    ):
        pass


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no base to merge into": ({"what": "merged"}, "base is missing: name the base"),
    "two for one file": ({"data": ["a", "b"]}, "data has 2 adapters and diffusers is the form of one"),
    "another form": ({"what": "onnx"}, "what = 'onnx'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_converted_is_said_before_it_waits(name: str) -> None:
    fields, sentence = REFUSED[name]
    with pytest.raises(BadInput, match=sentence):
        requests.parse({"task": "convert", "data": "a.safetensors", **fields})


def test_kohyas_form_has_no_name_for_a_transformer(tmp_path: Path) -> None:
    shapes = {f"transformer.transformer_blocks.0.attn.to_q.lora_{side}.weight": (4, 4) for side in "AB"}
    path = tmp_path / "flux.safetensors"
    path.write_bytes(adapters.written(shapes))
    adapter = adapter_files.read(path)
    with pytest.raises(BadInput, match="no place for changes of a transformer: convert it to diffusers"):
        adapter_forms.as_kohya(adapter, adapter_forms.spelled_out(adapter))


def test_every_form_of_a_request_is_known_to_the_shelf() -> None:
    from pipelines.core.requests.convert import FORMS

    assert {*adapter_forms.FORMS, "merged"} == set(FORMS)
