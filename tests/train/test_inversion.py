"""A new word, end to end on tiny bases: what learns and what does not, several vectors, resume, under an adapter."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pipelines.core import adapter_facts
from pipelines.core.errors import BadInput
from pipelines.core.models import Models
from pipelines.parts import adapter_files, families, wording
from pipelines.parts.adapters import Use
from pipelines.worker import Worker
from tests import tiny, tiny_flux, training

pytestmark = pytest.mark.usefixtures("here")
USUAL: dict[str, Any] = {
    "task": "train-inversion",
    "base": "tiny",
    "defect": "scratch",
    "resolution": 32,
    "num_vectors": 2,
    "learning_rate": 0.05,
    "train_batch_size": 2,
    "max_train_steps": 3,
    "checkpointing_steps": 2,
    "num_validation_images": 1,
    "validation_steps": 3,
}


@pytest.fixture(scope="module")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny.stable_diffusion(folder / "tiny")
    tiny.sdxl(folder / "large")
    tiny_flux.flux(folder / "flux")
    return folder


def trained(worker: Worker, data: Path, **fields: Any) -> Path:
    row, run = training.answer(worker, {**USUAL, "data": str(data), **fields})
    assert row.state == "done", row.sentence
    return run


def test_only_the_new_vectors_learn_and_the_base_is_as_before(models_folder: Path) -> None:
    with families.opened("tiny", Models("cpu")) as base:
        encoders = {"text_encoder": base.held["text_encoder"]}
        before = base.encode_prompt(["a photo"])["prompt_embeds"]
        table = encoders["text_encoder"].get_input_embeddings()
        words = len(base.spoken["tokenizer"])
        with wording.learning(base.spoken, encoders, "<dent>", "de", 3, 0) as word:
            assert word.written == "<dent> <dent>_1 <dent>_2"
            assert len(base.spoken["tokenizer"]) == words + 3
            assert torch.equal(base.encode_prompt(["a photo"])["prompt_embeds"], before)
            said = base.encode_prompt([f"a {word.written}"])["prompt_embeds"]
            said.square().sum().backward()
            grad = word.tables["text_encoder"].vectors.grad
            assert grad is not None
            assert bool(grad.abs().sum(1).gt(0).all()), "a vector does not learn"
            assert table.weight.grad is None
            with word.aside():
                assert encoders["text_encoder"].get_input_embeddings() is table
            with (
                pytest.raises(BadInput, match="'<dent>' is a word of this base already"),
                wording.learning(base.spoken, encoders, "<dent>", "a", 1, 0),
            ):
                pass
        assert encoders["text_encoder"].get_input_embeddings() is table
        assert len(base.spoken["tokenizer"]) == words


def test_a_word_is_trained_resumed_and_stands_under_an_adapter(worker: Worker, data: Path) -> None:
    run = trained(worker, data)
    file = run / "weights/learned_embeds.safetensors"
    found = load_file(file)
    assert {key: tuple(one.shape) for key, one in found.items()} == {"<scratch>": (2, tiny.WIDTH)}
    facts = adapter_facts.read(file, file.name)
    assert (facts.kind, facts.words) == ("inversion", ("<scratch>",))
    assert list((run / "samples/000003").glob("*.png"))
    on = trained(worker, data, resume_from=run.name, learning_rate=1e-9, max_train_steps=1)
    again = load_file(on / "weights/learned_embeds.safetensors")["<scratch>"]
    assert torch.allclose(again, found["<scratch>"], atol=1e-6)
    row, lora = training.answer(
        worker,
        {
            "task": "train-lora",
            "base": "tiny",
            "data": str(data),
            "defect": "scratch",
            "inversion": run.name,
            "instance_prompt": "a part with <scratch>",
            "resolution": 32,
            "rank": 2,
            "max_train_steps": 1,
            "num_validation_images": 0,
        },
    )
    assert row.state == "done", row.sentence
    assert json.loads((lora / "result.json").read_text())["prompts"] == ["a part with <scratch> <scratch>_1"]


def test_a_base_with_two_text_encoders_learns_the_word_in_both(worker: Worker, data: Path) -> None:
    run = trained(worker, data, base="large", placeholder_token="<mark>", max_train_steps=1)
    file = run / "weights/learned_embeds.safetensors"
    assert {key: one.shape[1] for key, one in load_file(file).items()} == {"clip_l": tiny.WIDTH, "clip_g": tiny.WIDTH_2}
    with families.opened("large", Models("cpu")) as base, base.attached([Use(adapter_files.read(file))]) as said:
        assert said.prompt("a <mark>") == "a <mark> <mark>_1"


def test_a_base_that_takes_no_new_word_says_so(worker: Worker, data: Path) -> None:
    row, _ = training.answer(worker, {**USUAL, "data": str(data), "base": "flux"})
    assert row.state == "failed"
    assert "reads its text by a language model and takes no new word" in str(row.sentence)
