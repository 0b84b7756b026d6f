"""Weights come in whole, finite and without code, or they do not come in."""

import io
import json
import os
import pickle
import random
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file

from pipelines.core import safeload
from pipelines.core.errors import BadInput, Missing, Problem


@pytest.fixture(autouse=True)
def _safe_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(safeload.UNSAFE, raising=False)


def good() -> dict[str, torch.Tensor]:
    seed = torch.Generator().manual_seed(0)
    return {
        "down": torch.randn(4, 32, generator=seed),
        "up": torch.randn(32, 4, generator=seed).to(torch.bfloat16),
        "alpha": torch.tensor(4.0),
        "count": torch.arange(5),
    }


def test_a_good_file_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    save_file(good(), tmp_path / "a.safetensors", metadata={"rank": "4"})
    found = safeload.tensors(tmp_path / "a.safetensors", expect={"down": (4, 32), "alpha": ()})
    assert found.keys() == good().keys()
    for name, tensor in good().items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


NUMBERS = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64),
    *(torch.float8_e4m3fn, torch.float8_e5m2),
]


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_finite_tensors_of_every_number_format_come_in(tmp_path: Path, dtype: torch.dtype) -> None:
    save_file({"weight": torch.linspace(-9, 9, 1000).to(dtype)}, tmp_path / "a.safetensors")
    assert safeload.tensors(tmp_path / "a.safetensors")["weight"].dtype == dtype


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_one_value_that_is_not_finite_is_refused_by_name(tmp_path: Path, dtype: torch.dtype, bad: float) -> None:
    if dtype == torch.float8_e4m3fn:
        bad = float("nan")  # this format has no infinity
    values = torch.linspace(-9, 9, 1003)
    values[517] = bad
    save_file({"fine": torch.ones(3), "up.weight": values.to(dtype)}, tmp_path / "a.safetensors")
    with pytest.raises(BadInput, match=r"a\.safetensors: 'up\.weight' holds NaN or infinity"):
        safeload.tensors(tmp_path / "a.safetensors")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"weight": torch.randn(100, 100)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BadInput, match=r"a\.safetensors is cut off: \d+ of \d+ bytes are here; fetch it again"):
        safeload.tensors(path)


def header(table: Any, data: bytes = b"") -> bytes:
    text = json.dumps(table).encode()
    return len(text).to_bytes(8, "little") + text + data


def torch_file(content: Any, **how: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **how)
    return file.getvalue()


BROKEN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "is empty (0 bytes); fetch it again"),
    "five bytes": (b"\x01\x02\x03\x04\x05", "is no safetensors file"),
    "cut inside the header": (header({"a": {"dtype": "F32"}})[:20], "is cut off inside its header (20 bytes)"),
    "length without header": ((64).to_bytes(8, "little"), "is cut off inside its header"),
    "a page instead of a file": (b"<!doctype html><html>Not found</html>", "is no safetensors file"),
    "a pointer of git lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "is no safetensors file"),
    "header of no JSON": ((12).to_bytes(8, "little") + b"{not json at", "is damaged: its header cannot be read"),
    "header not UTF-8": ((4).to_bytes(8, "little") + b'{"\xff}', "is damaged: its header cannot be read"),
    "header nested too deep": (
        header({})[:0] + (60000).to_bytes(8, "little") + b'{"a":' * 12000,
        "header cannot be read",
    ),
    "header with strange offsets": (header({"a": {"dtype": "F32", "shape": [1], "data_offsets": "x"}}), "is damaged"),
    "offsets that overlap": (
        header({n: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in "ab"}, bytes(4)),
        "is damaged",
    ),
    "offsets that are no room for the shape": (
        header({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}, bytes(4)),
        "is damaged",
    ),
    "unknown number format": (
        header({"a": {"dtype": "Q3", "shape": [4], "data_offsets": [0, 4]}}, bytes(4)),
        "is damaged",
    ),
    "no tensors": (header({"__metadata__": {"format": "pt"}}), "holds no tensors"),
    "a pickle of torch": (torch_file({"a": torch.ones(2)}), "is a pickle under another name"),
    "an old pickle of torch": (
        torch_file({"a": torch.ones(2)}, _use_new_zipfile_serialization=False),
        "is a pickle under another name",
    ),
    "a bare pickle": (pickle.dumps({"a": 1}), "is a pickle under another name"),
    "rank 0": (header({"a.lora_A": {"dtype": "F32", "shape": [0, 320], "data_offsets": [0, 0]}}), "shape 0x320"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_is_not_whole_is_refused_in_a_sentence(tmp_path: Path, case: str) -> None:
    content, sentence = BROKEN[case]
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(BadInput, match=re.escape(sentence)) as caught:
        safeload.tensors(tmp_path / "a.safetensors")
    assert str(caught.value).startswith("a.safetensors")
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("read", [safeload.tensors, safeload.pickle_tensors])
@pytest.mark.parametrize("name", ["absent", "."])
def test_a_file_that_is_not_there_is_missing(tmp_path: Path, read: Callable[[Path], Any], name: str) -> None:
    with pytest.raises(Missing, match="no weights at"):
        read(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_this_user_may_not_read_is_said_to_be_so(tmp_path: Path) -> None:
    save_file(good(), tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").chmod(0)
    with pytest.raises(Problem, match=r"a\.safetensors may not be read by this user; `chmod a\+r"):
        safeload.tensors(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("expect", "sentence"),
    [
        ({"middle": (4, 4)}, "a.safetensors lacks the tensor 'middle': it was made for another model"),
        ({"down": (8, 32)}, "'down' has the shape 4x32 where 8x32 is wanted: it was made for another model"),
        ({"alpha": (1,)}, "'alpha' has the shape scalar where 1 is wanted"),
    ],
)
def test_a_file_for_another_model_is_refused_by_the_first_shape_that_differs(
    tmp_path: Path, expect: dict[str, tuple[int, ...]], sentence: str
) -> None:
    save_file(good(), tmp_path / "a.safetensors")
    with pytest.raises(BadInput, match=re.escape(sentence)):
        safeload.tensors(tmp_path / "a.safetensors", expect=expect)


@pytest.mark.parametrize("zipped", [True, False])
def test_the_tensors_of_a_pickle_come_out_under_dotted_names(tmp_path: Path, zipped: bool) -> None:
    content = {
        "epoch": 3,
        "name": "hed",
        "state_dict": {"module.conv": torch.ones(2, 2), "more": {"scale": torch.nn.Parameter(torch.zeros(3))}},
    }
    (tmp_path / "a.pth").write_bytes(torch_file(content, _use_new_zipfile_serialization=zipped))
    found = safeload.pickle_tensors(tmp_path / "a.pth")
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == {
        "state_dict.module.conv": (2, 2),
        "state_dict.more.scale": (3,),
    }
    assert not any(tensor.requires_grad for tensor in found.values())


class Harmful:
    """What an attacker would save: unpickling it runs a function."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


def _calls(target: Path) -> list[Harmful]:
    return [
        Harmful(os.system, f"touch {target}"),
        Harmful(os.mkdir, str(target)),
        Harmful(eval, f"open({str(target)!r}, 'w').close()"),
        Harmful(exec, f"open({str(target)!r}, 'w').close()"),
        Harmful(subprocess.call, ["touch", str(target)]),
        Harmful(open, str(target), "w"),
        Harmful(torch.hub.load_state_dict_from_url, "http://127.0.0.1:9/"),
    ]


@pytest.mark.parametrize("wrap", [torch_file, partial(pickle.dumps, protocol=2)], ids=["torch", "bare"])
@pytest.mark.parametrize("index", range(7))
def test_code_in_a_pickle_is_never_run(tmp_path: Path, index: int, wrap: Callable[[Any], bytes]) -> None:
    target = tmp_path / "it ran"
    (tmp_path / "a.pt").write_bytes(wrap({"weight": torch.ones(2), "extra": _calls(target)[index]}))
    with pytest.raises(
        BadInput, match=r"a\.pt holds more than weights, or is damaged; code out of a file is never run"
    ):
        safeload.pickle_tensors(tmp_path / "a.pt")
    assert not target.exists()


def archive(kind: str) -> bytes:
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as plain:
            plain.writestr("readme.txt", "hello")
    else:
        with tarfile.open(fileobj=file, mode="w") as plain_tar:
            plain_tar.addfile(tarfile.TarInfo("readme.txt"))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "a.pt is empty (0 bytes); fetch it again"),
        (torch_file({"a": torch.ones(100)})[:300], "a.pt"),
        (torch_file({"a": torch.ones(100)})[:-30], "a.pt"),
        (torch_file({"a": torch.ones(100)}, _use_new_zipfile_serialization=False)[:200], "a.pt"),
        (archive("zip"), "a.pt is cut off or no file of weights"),
        (archive("tar"), "a.pt"),
        (b"<!doctype html><html>Not found</html>", "a.pt"),
        (header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)), "a.pt"),
        (torch_file({"epoch": 3}), "a.pt holds no tensors"),
        (torch_file([torch.ones(3)]), "a.pt holds no tensors"),
        (torch_file({"a": torch.tensor([1.0, float("nan")])}), "a.pt: 'a' holds NaN or infinity"),
        (torch_file({"a": torch.ones(0, 4)}), "a.pt: 'a' has the shape 0x4"),
    ],
)
def test_a_pickle_that_is_not_weights_is_refused_in_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(BadInput, match=re.escape(sentence)):
        safeload.pickle_tensors(tmp_path / "a.pt")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # a changed byte makes another protocol of it
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_whatever_bytes_change_a_file_is_read_or_refused_in_a_sentence(tmp_path: Path, kind: str) -> None:
    content = {"down": torch.ones(20, 3), "up": torch.zeros(4, dtype=torch.float16)}
    whole = (
        save(content) if kind == "safetensors" else torch_file(content, _use_new_zipfile_serialization=kind == "zip")
    )
    read = safeload.tensors if kind == "safetensors" else safeload.pickle_tensors
    numbers, refused = random.Random(7), 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(numbers.choice((1, 2, 5, 20))):
            damaged[numbers.randrange(min(len(damaged), 300))] = numbers.randrange(256)
        (tmp_path / "a").write_bytes(damaged)
        try:
            read(tmp_path / "a")
        except BadInput:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("value", ["1", "true", "Y", "yes"])
def test_an_environment_that_lets_weights_run_code_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", value)
    with pytest.raises(Problem, match=f"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD={value} lets .* `unset TORCH_FORCE"):
        safeload.check_environment()


@pytest.mark.parametrize("value", ["", "0", "False", "no"])
def test_an_environment_that_says_no_to_it_is_fine(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", value)
    safeload.check_environment()


def test_no_weights_are_read_in_such_an_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file(good(), tmp_path / "a.safetensors")
    (tmp_path / "a.pt").write_bytes(torch_file(good()))
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    for read, name in ((safeload.tensors, "a.safetensors"), (safeload.pickle_tensors, "a.pt")):
        with pytest.raises(Problem, match="lets weight files run code"):
            read(tmp_path / name)


def test_importing_the_door_does_not_import_torch() -> None:
    program = (
        "import sys; from pipelines.core import safeload; safeload.check_environment(); print('torch' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    reply = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert reply.stdout.strip() == "False"


def published(test_data: Path, *endings: str) -> list[Path]:
    """Real files of weights beside the real pictures, or a skip."""
    found = [path for ending in endings for path in sorted((test_data.parent / "weights").rglob(f"*.{ending}"))]
    if not found:
        pytest.skip("no folder `weights` with published files stands beside the one FLAWSMITH_TEST_DATA names")
    return found


def test_real_published_adapters_and_embeddings_come_in(test_data: Path) -> None:
    for path in published(test_data, "safetensors"):
        assert safeload.tensors(path), path


def test_real_published_pickles_come_in(test_data: Path) -> None:
    for path in published(test_data, "pth", "bin"):
        assert safeload.pickle_tensors(path), path
