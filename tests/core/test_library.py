"""The library of adapters: what is taken in, described, refused, found by name, deleted and taken back."""

import json
import os
import pickle
import struct
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipelines.core import adapter_facts, ids
from pipelines.core.adapter_facts import Facts
from pipelines.core.assets import Asset, Assets
from pipelines.core.errors import BadInput, Missing, Problem
from pipelines.core.library import Change, Library, of_run
from tests import adapters, pictures
from tests.adapters import LORA, SDXL

RUN = "20260101-000000-abcdef"


@pytest.fixture
def store(runs: Path) -> Library:
    return Library(runs)


def kept(runs: Path, data: bytes | None = None, name: str = "rust.safetensors") -> Asset:
    return Assets(runs).put(adapters.written(LORA) if data is None else data, name)


def read(tmp_path: Path, data: bytes, name: str) -> Facts:
    path = tmp_path / "original"
    path.write_bytes(data)
    return adapter_facts.read(path, name)


DORA = {**LORA, "unet.down_blocks.0.attn2.to_k.lora_magnitude_vector": (64,)}
FLUX = {f"transformer.single_transformer_blocks.0.attn.to_q.lora_{side}.weight": (4, 4) for side in "AB"}
SD3 = {f"transformer.transformer_blocks.0.attn.to_q.lora_{side}.weight": (4, 4) for side in "AB"}
FACTS: dict[str, tuple[Mapping[str, Any], Mapping[str, str], dict[str, Any]]] = {
    "LoRA of SD1.5": (LORA, {}, {"kind": "lora", "modules": 1, "ranks": (4,), "text_width": 768, "family": "SD1.5"}),
    "LoRA of SDXL": (SDXL, {}, {"family": "SDXL", "parts": {"unet": 1}}),
    "DoRA": (DORA, {}, {"kind": "dora", "modules": 1}),
    "FLUX": (FLUX, {}, {"family": "FLUX", "parts": {"transformer": 1}}),
    "SD3": (SD3, {}, {"family": "SD3", "text_width": None}),
    "a word": ({"<rust>": (2, 1024)}, {}, {"kind": "inversion", "family": "SD2", "words": ("<rust>",), "name": "rust"}),
    "a word for two encoders": (
        {"clip_l": (1, 768), "clip_g": (1, 1280)},
        {},
        {"kind": "inversion", "family": "SDXL", "words": ("rust",), "triggers": ("rust",)},
    ),
    "kohya's notes": (
        LORA,
        {
            "ss_tag_frequency": json.dumps({"10_rust": {"rust spot": 12, "steel": 3, "x" * 200: 99}}),
            "ss_sd_model_name": "v1-5-pruned",
            "ss_output_name": "Rust v2",
        },
        {"triggers": ("rust spot", "steel"), "base": "v1-5-pruned", "name": "Rust v2"},
    ),
    "a phrase": (LORA, {"modelspec.trigger_phrase": "sks rust, sks steel"}, {"triggers": ("sks rust", "sks steel")}),
    "notes nobody can read": (LORA, {"ss_tag_frequency": "[1"}, {"triggers": ()}),
}


@pytest.mark.parametrize("name", FACTS)
def test_a_file_is_described_by_its_header(name: str, tmp_path: Path) -> None:
    shapes, metadata, wanted = FACTS[name]
    found = read(tmp_path, adapters.written(shapes, metadata), "rust.safetensors")
    assert {key: getattr(found, key) for key in wanted} == wanted


def zipped(content: bytes) -> bytes:
    import io

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    return made.getvalue()


class Runs:
    """What a pickle may not do."""

    def __reduce__(self) -> Any:
        return (os.system, ("touch /tmp/flawsmith-was-here",))


REFUSED: dict[str, tuple[bytes, str, str]] = {
    "no adapter": (adapters.written({"conv.weight": (2, 2)}), "a.safetensors", "of no known adapter"),
    "half": (adapters.written({"unet.to_q.lora_A.weight": (4, 8)}), "a.safetensors", "only half of the change"),
    "rank 0": (
        adapters.written({"unet.to_q.lora_A.weight": (0, 8), "unet.to_q.lora_B.weight": (8, 0)}),
        "a.safetensors",
        "rank 0",
    ),
    "LoHa": (adapters.written({"lora_unet_a.hada_w1_a": (2, 2)}), "a.safetensors", "is a LoHa file"),
    "cut off": (adapters.written(LORA)[:-8], "a.safetensors", "a.safetensors is cut off"),
    "a pickle under another name": (zipped(b""), "a.safetensors", "a pickle under another name"),
    "another ending": (b"x", "a.exe", "is no adapter file"),
    "no pickle": (b"plain text", "a.bin", "is cut off or no file of weights"),
    "a pickle that runs something": (zipped(pickle.dumps(Runs())), "a.bin", "code out of a file is never run"),
    "a pickle of nothing": (zipped(pickle.dumps({})), "a.bin", "holds no adapter"),
    "a zip of pictures": (adapters.archive("picture.png"), "a.pt", "holds no adapter"),
    "a header of strange shapes": (
        struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":"wide","data_offsets":[0,0]}}'.ljust(60),
        "a.safetensors",
        "its header cannot be read",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_adapter_is_refused_with_the_reason(name: str, store: Library) -> None:
    data, called, sentence = REFUSED[name]
    asset = kept(store.runs, data, called)
    with pytest.raises(BadInput, match=sentence):
        store.add(asset)
    assert store.every().entries == ()


@pytest.mark.parametrize("newer", [False, True])
def test_torchs_own_pickles_are_described_without_torch(newer: bool, tmp_path: Path) -> None:
    import torch

    path = tmp_path / "style.pt"
    vectors = {"*": torch.zeros(2, 768)}
    whole = {"string_to_token": {"*": 265}, "string_to_param": vectors, "name": "style", "step": 300}
    torch.save(whole, path, _use_new_zipfile_serialization=newer)
    found = adapter_facts.read(path, path.name)
    assert (found.kind, found.family, found.words) == ("inversion", "SD1.5", ("style",))


def test_a_pickle_that_asks_for_all_memory_gets_none(tmp_path: Path) -> None:
    greedy = zipped(b"\x80\x02}r\xff\xff\xff\x7f.")  # an empty table, put at place 2**31 - 1
    with pytest.raises(BadInput, match="holds no adapter"):
        read(tmp_path, greedy, "a.bin")


def test_one_file_is_one_adapter_and_names_are_their_own(store: Library) -> None:
    first = store.add(kept(store.runs))
    assert (first.name, first.triggers, first.file) == ("rust", (), "rust.safetensors")
    assert store.add(kept(store.runs), "again") == first
    other = store.add(kept(store.runs, adapters.written(SDXL)), "Rust")
    assert other.name == "Rust 2"
    assert [one.id for one in store.every().entries] == [other.id, first.id]


def test_what_a_person_writes_is_kept_and_the_rest_stays(store: Library) -> None:
    entry = store.add(kept(store.runs))
    sample = Assets(store.runs).put(adapters.picture(), "part.png").id
    store.change(entry.id, Change(triggers=("sks", "sks", ""), note=" fine ", samples=(sample,)))
    found = store.change(entry.id, Change(base="sd15", name="Rust on steel"))
    assert (found.triggers, found.note, found.base) == (("sks",), "fine", "sd15")
    assert (found.name, found.samples) == ("Rust on steel", (sample,))
    assert store.get(entry.id) == found


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": " "}, "has no name"),
        ({"name": "a:b"}, "which a prompt cannot name"),
        ({"name": "x" * 61}, "has 61 characters"),
        ({"name": "OTHER"}, "another adapter is called OTHER"),
    ],
)
def test_a_name_that_cannot_be_is_refused(store: Library, change: dict[str, Any], sentence: str) -> None:
    store.add(kept(store.runs, adapters.written(SDXL)), "other")
    entry = store.add(kept(store.runs))
    with pytest.raises(BadInput, match=sentence):
        store.change(entry.id, Change(**change))
    assert store.get(entry.id) == entry


def test_only_pictures_are_samples(store: Library) -> None:
    entry = store.add(kept(store.runs))
    with pytest.raises(BadInput, match="is no picture"):
        store.change(entry.id, Change(samples=(entry.asset,)))


def test_a_prompt_finds_an_adapter_by_name_file_or_id(store: Library) -> None:
    entry = store.add(kept(store.runs), "Rust on steel")
    for name in ("rust on steel", "rust", entry.id):
        assert store.named(name) == entry
    with pytest.raises(BadInput, match="names an adapter 'moss' that the library has not; it has Rust on steel"):
        store.named("moss")


def test_a_deletion_is_taken_back_and_forgotten_after_a_week(store: Library) -> None:
    entry = store.add(kept(store.runs))
    store.delete(entry.id)
    with pytest.raises(Missing, match="it was deleted"):
        store.get(entry.id)
    assert store.restore(entry.id) == entry
    store.delete(entry.id)
    old = time.time() - 8 * 24 * 3600
    os.utime(store.folder / ".deleted" / f"{entry.id}.json", (old, old))
    other = store.add(kept(store.runs, adapters.written(SDXL)))
    store.delete(other.id)
    with pytest.raises(Missing):
        store.restore(entry.id)
    assert store.restore(other.id) == other


@pytest.mark.parametrize("damage", [b"", b"[1]", b'{"id": "x"}', b"\xff"])
def test_a_damaged_entry_costs_its_own_sentence(store: Library, damage: bytes) -> None:
    entry, other = store.add(kept(store.runs)), store.add(kept(store.runs, adapters.written(SDXL)))
    (store.folder / f"{entry.id}.json").write_bytes(damage)
    found = store.every()
    assert found.entries == (other,)
    assert len(found.damaged) == 1
    assert entry.id in found.damaged[0]
    with pytest.raises(Problem, match="is damaged"):
        store.get(entry.id)


def test_a_runs_adapter_is_there_when_the_run_is_finished(runs: Path) -> None:
    with pytest.raises(Missing, match="there is no run"):
        of_run(runs, RUN)
    weights = runs / RUN / "weights" / "pytorch_lora_weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(adapters.written(LORA))
    with pytest.raises(Missing, match="is not finished"):
        of_run(runs, RUN)
    (runs / RUN / "result.json").write_text("{}")
    assert of_run(runs, RUN) == weights
    weights.unlink()
    with pytest.raises(Missing, match="made no adapter"):
        of_run(runs, RUN)


def test_ids_lead_nowhere_else(store: Library) -> None:
    for id in ("../assets", "adapter-0123456789ab/../x", "mask-0123456789ab", ids.new_run()):
        with pytest.raises(Missing):
            store.get(id)


# -- real files

KNOWN = {
    "lora_brain_mri/pytorch_lora_weights.safetensors": ("lora", 128, "SD1.5", ()),
    "lora_catundchat/pytorch_lora_weights.bin": ("lora", 128, "SD1.5", ()),
    "lora_catundchat/pytorch_lora_weights.safetensors": ("lora", 128, "SD1.5", ()),
    "lora_cloneofsimo/analog_svd_rank4.safetensors": ("lora", 192, "SD1.5", ()),
    "lora_cloneofsimo/lora_disney.safetensors": ("lora", 192, "SD1.5", ("<s1>", "<s2>")),
    "lora_haseebae/pytorch_lora_weights.safetensors": ("lora", 128, "SD1.5", ()),
    "lora_pokemon/pytorch_lora_weights.safetensors": ("lora", 128, "SD1.5", ()),
    "lora_satellite/pytorch_lora_weights.safetensors": ("lora", 128, "SD1.5", ()),
    "lora_timohavdk/2100-lora.safetensors": ("lora", 128, "SD1.5", ()),
    "lora_timohavdk/new.safetensors": ("lora", 128, "SD1.5", ()),
    "lora_timohavdk/pytorch_lora_weights.safetensors": ("lora", 128, "SD1.5", ()),
    "lora_vfph55/pytorch_lora_weights.safetensors": ("lora", 128, "SD2", ()),
    "ti_fastai/learned_embeds.bin": ("inversion", 0, "SD1.5", ("<birb-style>",)),
    "ti_rummd/learned_embeds.bin": ("inversion", 0, "SD1.5", ("<styled-image>",)),
    "ti_ttekcor/learned_embeds.safetensors": ("inversion", 0, "SD1.5", ("<detail-schemas>",)),
}


def test_every_real_file_is_described_as_it_is_and_weights_of_another_kind_are_refused(
    test_data: Path, store: Library
) -> None:
    real = test_data.parent / "weights"
    if not real.is_dir():
        pytest.skip("no folder `weights` with published files stands beside the one FLAWSMITH_TEST_DATA names")
    found, refused = {}, {}
    for path in sorted(real.rglob("*.*")):
        if path.suffix in (".safetensors", ".bin", ".pt", ".pth") and "hf_skeletons" not in path.parts:
            name = path.relative_to(real).as_posix()
            try:
                facts = store.add(kept(store.runs, path.read_bytes(), path.name)).facts
            except BadInput as error:
                refused[name] = str(error)
            else:
                found[name] = (facts.kind, facts.modules, facts.family, facts.triggers)
    assert found == KNOWN
    assert refused
    assert all("of no known adapter" in why or "no file of weights" in why for why in refused.values()), refused


def test_the_pictures_metadata_names_an_adapter_by_name_and_hash(tmp_path: Path, runs: Path) -> None:
    from pipelines.core import intake, requests

    assets = Assets(runs)
    entry = Library(runs).add(kept(runs))
    data = {**pictures.request(tmp_path), "prompt": "rust <lora:rust:0.5>, wet", "adapters": [{"path": entry.asset}]}
    request = intake.from_paths(requests.parse(data), assets)
    named = intake.named(request, assets)
    assert named["prompt"] == "rust , wet"
    assert [one["path"]["name"] for one in named["adapters"]] == ["rust.safetensors"] * 2
    assert requests.parse(named) == request
