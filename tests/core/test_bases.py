"""Bases are data: what a table says is what a person can choose, and a wrong table says what is wrong."""

import re
from pathlib import Path

import pytest

from pipelines.core import bases
from pipelines.core.errors import BadInput

SD15 = """
[sd15]
label = "Stable Diffusion 1.5"
family = "stable_diffusion"
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


def test_procedural_is_here_and_ready_without_weights(tmp_path: Path) -> None:
    base = bases.load()["procedural"]
    assert (base.family, base.licence, base.needs_weights, base.size_bytes) == ("procedural", "Apache-2.0", False, 0)
    assert base.state(tmp_path) == (True, "ready, needs no weights", None)


def test_every_base_of_the_shipped_table_reads() -> None:
    assert "procedural" in bases.load()
    assert all(base.name == name for name, base in bases.load().items())


def test_a_base_is_ready_when_every_file_of_its_weights_is_there(tmp_path: Path) -> None:
    base = bases.load(table(tmp_path, SD15))["sd15"]
    assert base.needs_weights
    assert base.state(tmp_path) == (
        False,
        "weights missing: 2 of 2 files, 2.0 GiB in all",
        "python -m pipelines fetch sd15",
    )
    (tmp_path / "sd15" / "unet").mkdir(parents=True)
    (tmp_path / "sd15" / "unet" / "model.safetensors").touch()
    assert base.state(tmp_path).text == "weights missing: 1 of 2 files, 2.0 GiB in all"
    (tmp_path / "sd15" / "vae" / "model.safetensors").mkdir(parents=True)
    assert not base.state(tmp_path).ready
    (tmp_path / "sd15" / "vae" / "model.safetensors").rmdir()
    (tmp_path / "sd15" / "vae" / "model.safetensors").touch()
    assert base.state(tmp_path) == (True, "ready", None)


@pytest.mark.parametrize(
    ("line", "instead", "sentence"),
    [
        ('licence = "CreativeML Open RAIL-M"\n', "", "has no licence; every base has label, family and licence"),
        ('family = "stable_diffusion"', 'family = ""', "family = '': String should have at least 1 character"),
        ('family = "stable_diffusion"', "family = 3", "family = 3: Input should be a valid string"),
        ('revision = "main"\n', "", "weights need repo, revision, files and size_bytes together; revision is missing"),
        ("size_bytes = 2147483648\n", "", "together; size_bytes is missing"),
        ("size_bytes = 2147483648", "size_bytes = -1", "size_bytes = -1: Input should be greater than or equal to 0"),
        ("size_bytes = 2147483648", 'size_bytes = "2 GB"', "size_bytes = '2 GB': Input should be a valid integer"),
        (
            "size_bytes = 2147483648",
            "size_bytes = 1\nsha = 'x'",
            "sha: no such key; a base has label, family, licence, repo",
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
        bases.load(table(tmp_path, SD15.replace(line, instead)))
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
        bases.load(table(tmp_path, text))
