"""Bases are data: what a table says is what a person can choose, and a wrong table says what is wrong."""

import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.core import bases, weights
from pipelines.core.errors import BadInput, Missing
from tests import models

SD15 = """
[sd15]
label = "Stable Diffusion 1.5"
family = "stable-diffusion"
licence = "CreativeML Open RAIL-M"
repo = "stable-diffusion-v1-5/stable-diffusion-v1-5"
revision = "main"
files = ["unet/model.safetensors", "vae/model.safetensors"]
size_bytes = 2147483648
"""


def table(folder: Path, text: str) -> Path:
    path = folder / "bases.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models folder."""
    monkeypatch.setenv("FLAWSMITH_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_procedural_is_ready_without_weights() -> None:
    base = bases.get("procedural")
    assert (base.family, base.licence, base.needs_weights, base.size_bytes) == ("procedural", "Apache-2.0", False, 0)
    assert base.state() == ("ready", "ready, needs no weights", None)


def test_the_shipped_table_says_everything_that_a_fetch_and_a_request_need() -> None:
    table = bases.shipped()
    assert list(table) == [
        "procedural", "exemplar", "sd15", "sd15-inpaint", "sd2", "sd2-inpaint", "sdxl", "sdxl-inpaint", "sd3-medium",
        "flux1-dev", "flux1-schnell", "flux1-fill", "flux1-kontext", "flux2-dev", "flux2-klein",
    ]  # fmt: skip
    diffusing = [base for base in table.values() if not base.draws]
    assert len({base.edition for base in diffusing}) == len(diffusing) == len(table) - 2
    for base in diffusing:
        assert base.repo
        assert base.revision == "main"
        assert base.resolution
        assert base.tasks
        assert 0 < base.memory_bytes <= base.size_bytes
        assert "model_index.json" in base.files
        assert any(file.endswith(".safetensors") for file in base.files)
        assert not any(file.endswith(weights.PICKLES) for file in base.files)
        parts = {file.split("/")[0] for file in base.files if "/" in file}
        assert all(f"{part}/config.json" in base.files for part in parts if not part.startswith(("tok", "sched")))
    flow = {name for name, base in table.items() if base.defaults.scheduler == "flow-euler"}
    assert flow == {name for name, base in table.items() if base.family in ("sd3", "flux", "flux2")}
    assert table["sd15"].defaults == bases.Defaults(guidance_scale=7.5, num_inference_steps=20, scheduler="unipc")


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("runwayml/stable-diffusion-inpainting", "sd15-inpaint"),
        ("stabilityai/stable-diffusion-2-inpainting", "sd2-inpaint"),
        ("stabilityai/stable-diffusion-xl-base-1.0", "sdxl"),
    ],
)
def test_a_repository_names_its_base_under_any_name_it_had(name: str, base: str) -> None:
    assert bases.get(name).name == base


def test_a_path_is_no_base_and_the_sentence_says_how_to_add_it(tmp_path: Path) -> None:
    for name in ("./mine", "mine.safetensors", str(tmp_path)):
        with pytest.raises(BadInput, match=re.escape(f"add it once with `python -m pipelines bases add {name}`")):
            bases.get(name)
    with pytest.raises(BadInput, match="no base 'embedded'; there is exemplar, flux1-dev, "):
        bases.get("embedded")


def test_missing_weights_say_how_big_from_where_by_which_command_and_where_to_copy_them() -> None:
    assert bases.get("sd15").state() == (
        "missing",
        "weights missing: 12 of 12 files, 2.0 GiB in all from stable-diffusion-v1-5/stable-diffusion-v1-5;"
        " without a network, copy its folder to models/sd15 by hand",
        "python -m pipelines fetch sd15",
    )
    with pytest.raises(
        Missing, match=r"sd15 is not here yet \(weights missing.*\): run python -m pipelines fetch sd15"
    ):
        bases.get("sd15").place()


def test_a_folder_copied_by_hand_is_ready_also_in_another_edition_of_its_files(folder: Path) -> None:
    base, here = bases.get("sd15"), models.base(folder / "sd15")
    assert base.state() == ("ready", "ready", None)
    assert base.place() == (here, None, None, "")
    plain = here / "unet" / "diffusion_pytorch_model.safetensors"
    (here / "unet" / "diffusion_pytorch_model.fp16.safetensors").rename(plain)
    assert base.state().ready
    plain.unlink()
    assert base.state().text.startswith("weights missing: 1 of 12 files, 2.0 GiB in all")


UNET = "unet/diffusion_pytorch_model.fp16.safetensors"
WHOLE = models.base_files()[UNET]


@pytest.mark.parametrize(
    ("file", "data", "sentence"),
    [
        (UNET, b"", "is empty (0 bytes)"),
        (UNET, WHOLE[:-1], f"is cut off: {len(WHOLE) - 1} of {len(WHOLE)} bytes are here"),
        (UNET, b"PK\x03\x04" + WHOLE, "is a pickle under another name, which could run code"),
        (UNET, b"hello, this is text", "is no safetensors file"),
        ("vae/config.json", b"{", "vae/config.json is damaged: it is no valid JSON"),
        ("model_index.json", b"", "model_index.json is damaged: it is no valid JSON"),
        ("tokenizer/merges.txt", b"", "merges.txt is empty (0 bytes)"),
    ],
)
def test_a_file_that_is_not_whole_is_named_until_it_is_mended(
    folder: Path, file: str, data: bytes, sentence: str
) -> None:
    here = models.base(folder / "sd15")
    whole = (here / file).read_bytes()
    (here / file).write_bytes(data)
    state = bases.get("sd15").state()
    assert (state.kind, state.remedy) == ("broken", "python -m pipelines fetch sd15")
    assert sentence in state.text
    assert file.rpartition("/")[2] in state.text
    with pytest.raises(BadInput, match="sd15 cannot be used: "):
        bases.get("sd15").place()
    (here / file).write_bytes(whole)
    assert bases.get("sd15").state().ready


def test_a_second_look_reads_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models.base(folder / "sd15")
    assert bases.get("sd15").state().ready
    opened: list[str] = []
    real = Path.open

    def watched(self: Path, *given: Any, **named: Any) -> Any:
        opened.append(self.name)
        return real(self, *given, **named)

    monkeypatch.setattr(Path, "open", watched)
    assert bases.get("sd15").state().ready
    assert [name for name in opened if name.endswith((".safetensors", ".json"))] == []


@pytest.mark.parametrize(
    ("line", "instead", "sentence"),
    [
        ('licence = "CreativeML Open RAIL-M"\n', "", "has no licence; every base has label, family and licence"),
        ('family = "stable-diffusion"', 'family = ""', "family = '': String should have at least 1 character"),
        ('family = "stable-diffusion"', 'family = "sd"', "family = 'sd': choose one of procedural, stable-diffusion, "),
        ('family = "stable-diffusion"', "family = 3", "family = 3: Input should be a valid string"),
        ('revision = "main"\n', "", "weights need repo, revision, files and size_bytes together; revision is missing"),
        ("size_bytes = 2147483648\n", "", "together; size_bytes is missing"),
        ("size_bytes = 2147483648", "size_bytes = -1", "size_bytes = -1: Input should be greater than or equal to 0"),
        ("size_bytes = 2147483648", 'size_bytes = "2 GB"', "size_bytes = '2 GB': Input should be a valid integer"),
        (
            "size_bytes = 2147483648",
            "size_bytes = 1\nsha = 'x'",
            "sha: no such key; a base has label, licence, repo, revision, files",
        ),
        ("size_bytes = 2147483648", "size_bytes = 1\nname = 'x'", "name: the table's own name is the name"),
        (
            '"stable-diffusion-v1-5/stable-diffusion-v1-5"',
            '"https://x.y/z"',
            "repo = 'https://x.y/z': String should match",
        ),
        ('"unet/model.safetensors"', '"../secret"', "files.0 = '../secret': a file stands inside its repository"),
        ('"unet/model.safetensors"', '"/etc/passwd"', "files.0 = '/etc/passwd': a file stands inside its repository"),
        ('"unet/model.safetensors"', '"a\\\\..\\\\b"', "a file stands inside its repository"),
        ('"unet/model.safetensors"', '""', "files.0 = '': a file stands inside its repository"),
        (
            '["unet/model.safetensors", "vae/model.safetensors"]',
            '"unet"',
            "files = 'unet': Input should be a valid tuple",
        ),
    ],
)
def test_a_wrong_table_is_refused_naming_file_table_key_and_value(
    tmp_path: Path, line: str, instead: str, sentence: str
) -> None:
    assert line in SD15
    with pytest.raises(BadInput, match=re.escape(sentence)) as caught:
        bases.shipped(table(tmp_path, SD15.replace(line, instead)))
    assert str(caught.value).startswith("bases.toml [sd15] ")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[sd15", "bases.toml is not valid TOML"),
        ('sd15 = "here"', "bases.toml: 'sd15' stands outside a table; write [sd15] with family and licence under it"),
    ],
)
def test_a_file_that_is_no_table_of_bases_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=re.escape(sentence)):
        bases.shipped(table(tmp_path, text))
