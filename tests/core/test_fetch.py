"""Weights come whole, the same ones each time, and every way in which they do not come has its sentence."""

import hashlib
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.core import bases, fetch
from pipelines.core.errors import BadInput, Cancelled, DiskFull, Missing, Problem
from tests import hub, models

UNET = "unet/diffusion_pytorch_model.fp16.safetensors"


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[hub.Hub]:
    """A hub with every file of sd15, and an empty models folder."""
    monkeypatch.setenv("FLAWSMITH_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with hub.served(models.base_files()) as found:
        monkeypatch.setenv("HF_ENDPOINT", found.home)
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "sd15"


def get(told: Callable[[int, int, str], None] = lambda *_: None, token: str | None = None) -> fetch.Fetched:
    return fetch.fetch(bases.get("sd15"), told, token)


def test_a_base_arrives_whole_and_is_ready_with_commit_and_checksums_beside_it(there: hub.Hub, folder: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    found = get(lambda *told: seen.append(told))
    assert bases.get("sd15").state() == ("ready", "ready", None)
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        *bases.get("sd15").files,
        fetch.RECORD,
        fetch.LOCK,
    }
    record = json.loads((folder / fetch.RECORD).read_text())
    assert (record["commit"], record["repo"]) == (hub.COMMIT, "stable-diffusion-v1-5/stable-diffusion-v1-5")
    assert {name: one["sha256"] for name, one in record["files"].items()} == {
        name: hashlib.sha256(data).hexdigest() for name, data in there.files.items()
    }
    total = sum(map(len, there.files.values()))
    assert (found.bytes, found.came, found.files) == (total, total, len(there.files))
    assert seen[-1] == (total, total, "")
    done = [done for done, of, _ in seen if of == total]
    assert done == sorted(done)


def test_a_second_fetch_asks_but_sends_for_nothing(there: hub.Hub) -> None:
    get()
    there.asked.clear()
    assert get().came == 0
    assert {method for method, _, _ in there.asked} == {"HEAD"}


def test_a_connection_that_breaks_off_is_gone_on_with_where_it_was(there: hub.Hub, folder: Path) -> None:
    there.files[UNET] = models.tensors({"unet.weight": (1000, 2000)})
    models.base(folder, {name: data for name, data in there.files.items() if name != UNET})
    there.cuts = [3 * 2**20]
    get()
    assert there.sent(UNET) == ["", f"bytes={3 * 2**20}-"]
    assert (folder / UNET).read_bytes() == there.files[UNET]


def test_a_stopped_fetch_keeps_what_is_whole_and_half_of_the_rest(there: hub.Hub, folder: Path) -> None:
    there.files[UNET] = models.tensors({"unet.weight": (1000, 2000)})  # more than one piece

    def stop(done: int, total: int, name: str) -> None:
        if name == UNET and total == sum(map(len, there.files.values())):
            raise Cancelled

    with pytest.raises(Cancelled):
        get(stop)
    assert (folder / "text_encoder/model.fp16.safetensors").is_file()
    assert not (folder / UNET).exists()
    assert bases.get("sd15").state().kind == "missing"
    half = next((folder / "unet").glob(".*.part")).stat().st_size
    assert 0 < half < len(there.files[UNET])
    there.asked.clear()
    get()
    assert there.sent(UNET) == [f"bytes={half}-"]
    assert there.sent("text_encoder/model.fp16.safetensors") == []
    assert (folder / UNET).read_bytes() == there.files[UNET]


def test_a_repository_that_changed_is_refused_and_nothing_is_replaced(there: hub.Hub, folder: Path) -> None:
    get()
    before = (folder / UNET).read_bytes()
    there.files[UNET] = models.tensors({"unet.weight": (1, 2)})
    with pytest.raises(Problem, match=rf"has changed since sd15 was fetched: {re.escape(UNET)} is another file now"):
        get()
    assert (folder / UNET).read_bytes() == before
    shutil.rmtree(folder)
    get()
    assert (folder / UNET).read_bytes() == there.files[UNET]


def test_bytes_that_changed_on_the_way_are_thrown_away(there: hub.Hub, folder: Path) -> None:
    there.spoil = UNET
    with pytest.raises(Problem, match=r"arrived with another checksum than 127.0.0.1:\d+ states, and was thrown away"):
        get()
    assert not (folder / UNET).exists()
    assert not list((folder / "unet").glob(".*.part"))
    there.spoil = "unet/config.json"
    (folder / "unet/config.json").unlink()
    with pytest.raises(Problem, match=r"unet/config.json of .* arrived with another checksum"):
        get()
    there.spoil = ""
    get()
    assert bases.get("sd15").state().ready


@pytest.mark.parametrize(
    ("status", "kind", "sentence"),
    [
        (
            401,
            Problem,
            "accept its licence at https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5, make",
        ),
        (403, Problem, "name it in HF_TOKEN"),
        (404, Missing, "has no model_index.json in stable-diffusion-v1-5/stable-diffusion-v1-5 at main"),
        (410, Problem, "answered 410 for model_index.json of stable-diffusion-v1-5"),
    ],
)
def test_what_the_hub_refuses_is_said_with_what_would_do(
    there: hub.Hub, status: int, kind: type[Problem], sentence: str
) -> None:
    there.fails = status
    with pytest.raises(kind, match=re.escape(sentence)):
        get()


def test_a_file_that_the_repository_does_not_have_is_named(there: hub.Hub) -> None:
    del there.files["vae/config.json"]
    with pytest.raises(Missing, match=r"has no vae/config.json in stable-diffusion-v1-5/stable-diffusion-v1-5 at main"):
        get()


def test_a_token_opens_the_door_and_is_written_nowhere(
    there: hub.Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.token = "hf_secret"
    with pytest.raises(Problem, match="is not open to everyone"):
        get()
    get(token="hf_secret")
    assert not [path for path in folder.rglob("*") if path.is_file() and b"hf_secret" in path.read_bytes()]
    shutil.rmtree(folder)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert get().came


def test_without_a_network_the_sentence_names_the_folder_to_copy(
    there: hub.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    with pytest.raises(Problem, match=r"127.0.0.1:9 cannot be reached.*; or copy the folder to models/sd15 by hand"):
        get()


def test_a_disk_that_is_too_small_is_said_before_anything_is_sent_for(
    there: hub.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "RESERVE_BYTES", 2**60)
    with pytest.raises(DiskFull, match=r"sd15 needs \d+\.\d [kM]B more, and .* is free for the models folder"):
        get()
    assert {method for method, _, _ in there.asked} == {"HEAD"}


def test_what_was_copied_by_hand_is_compared_and_another_file_is_left_alone(there: hub.Hub, folder: Path) -> None:
    models.base(folder, there.files)
    assert get().came == 0
    assert len(json.loads((folder / fetch.RECORD).read_text())["files"]) == len(there.files)
    (folder / fetch.RECORD).unlink()
    models.single(folder / UNET, {"another.weight": (2, 2)})
    mine = (folder / UNET).read_bytes()
    with pytest.raises(
        Problem, match=r"lies in models/sd15 already and is not the one of the repository: move it away"
    ):
        get()
    assert (folder / UNET).read_bytes() == mine


def test_a_file_that_is_cut_off_is_brought_anew(there: hub.Hub, folder: Path) -> None:
    get()
    (folder / UNET).write_bytes(there.files[UNET][:100])
    assert bases.get("sd15").state().kind == "broken"
    assert get().came == len(there.files[UNET])
    assert bases.get("sd15").state().ready


def test_a_base_is_fetched_once_at_a_time(there: hub.Hub) -> None:
    inside, over, said = threading.Event(), threading.Event(), []

    def wait(*_: object) -> None:
        inside.set()
        over.wait(10)

    def first() -> None:
        get(wait)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(10)
    try:
        get()
    except Problem as problem:
        said.append(str(problem))
    finally:
        over.set()
        thread.join()
    assert said == ["sd15 is being fetched already: wait for that, or stop it first"]


def test_what_has_no_repository_is_not_fetched() -> None:
    with pytest.raises(BadInput, match="base procedural is not fetched: it has no repository"):
        fetch.fetch(bases.get("procedural"), lambda *_: None)
