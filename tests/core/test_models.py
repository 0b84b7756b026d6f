"""The registry holds one copy of each model, within its budget, and never takes one away from who uses it."""

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipelines.core.device import Device
from pipelines.core.errors import Missing, Problem
from pipelines.core.models import Key, Models, NoRoom, budget, measure

GIB = 2**30
KB = 1024


def key(part: str) -> Key:
    return Key("tiny", part, "float32", "cpu")


def module(kilobytes: int) -> nn.Module:
    """A module of exactly so many KiB of float32."""
    return nn.Linear(256, kilobytes, bias=False)


def builder(kilobytes: int, built: list[str] | None = None, name: str = "") -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        if built is not None:
            built.append(name)
        return module(kilobytes)

    return build


def loaded(models: Models) -> list[str]:
    """Parts, last used first."""
    return [row["key"]["part"] for row in models.report()]


def load(models: Models, part: str, kilobytes: int) -> None:
    with models.use(key(part), builder(kilobytes)):
        pass


def size(model: Any) -> int:
    return sum(measure(model).values())


def test_a_model_is_built_once_and_given_again() -> None:
    models, built = Models("cpu", 100 * KB), list[str]()
    with models.use(key("unet"), builder(10, built)) as first:
        pass
    with models.use(key("unet"), builder(10, built)) as again:
        assert again is first
    assert len(built) == 1


def test_models_that_differ_in_any_part_of_the_key_are_two_models() -> None:
    models = Models("cpu", 100 * KB)
    for one in (key("unet"), key("vae"), key("unet")._replace(dtype="float16"), key("unet")._replace(base="other")):
        with models.use(one, builder(10)):
            pass
    assert models.held_bytes == 40 * KB


def test_the_least_recently_used_goes_first() -> None:
    models = Models("cpu", 100 * KB)
    for part in ("a", "b", "c"):
        load(models, part, 30)
    load(models, "a", 30)
    load(models, "d", 30)
    assert loaded(models) == ["d", "a", "c"]
    assert models.held_bytes == 90 * KB


def test_leaving_a_model_counts_as_using_it() -> None:
    models = Models("cpu", 100 * KB)
    with models.use(key("long"), builder(40)):
        load(models, "short", 40)
    load(models, "new", 40)
    assert loaded(models) == ["new", "long"]


def test_no_more_is_evicted_than_is_needed() -> None:
    models = Models("cpu", 100 * KB)
    for part, kilobytes in (("a", 20), ("b", 40), ("c", 40)):
        load(models, part, kilobytes)
    load(models, "d", 10)
    assert loaded(models) == ["d", "c", "b"]


def test_a_model_in_use_is_never_evicted_even_when_it_is_the_oldest() -> None:
    models = Models("cpu", 100 * KB)
    with models.use(key("oldest"), builder(40)) as oldest:
        load(models, "b", 40)
        load(models, "c", 40)
        assert loaded(models) == ["c", "oldest"]
        assert oldest(torch.ones(256)).shape == (40,)


def test_a_model_used_twice_at_once_stays_pinned_until_both_have_let_go() -> None:
    models = Models("cpu", 100 * KB)
    with models.use(key("unet"), builder(60)):
        with models.use(key("unet"), builder(60)):
            pass
        assert models.report()[0]["pinned"] is True
        with pytest.raises(NoRoom), models.use(key("other"), builder(60)):
            pass
    assert models.report()[0]["pinned"] is False
    load(models, "other", 60)
    assert loaded(models) == ["other"]


def test_a_model_is_let_go_when_its_user_fails() -> None:
    models = Models("cpu", 100 * KB)
    with pytest.raises(ZeroDivisionError), models.use(key("unet"), builder(10)):
        _ = 1 / 0
    assert models.report()[0]["pinned"] is False


@pytest.mark.parametrize("known_by", ["hint", "memory of last time"])
def test_room_is_free_before_building_begins(known_by: str) -> None:
    models = Models("cpu", 100 * KB)
    if known_by == "memory of last time":
        load(models, "second", 80)
    with models.use(key("first"), builder(80)) as model:
        gone = weakref.ref(model)
        del model
    alive: list[bool] = []

    def build() -> nn.Module:
        alive.append(gone() is not None)
        return module(80)

    with models.use(key("second"), build, size_bytes=80 * KB if known_by == "hint" else None):
        pass
    assert alive == [False]
    assert loaded(models) == ["second"]


def test_a_model_of_unknown_size_takes_its_room_once_it_is_measured() -> None:
    models = Models("cpu", 100 * KB)
    load(models, "first", 80)
    load(models, "second", 80)
    assert loaded(models) == ["second"]


def test_an_evicted_model_leaves_memory_even_when_it_holds_itself() -> None:
    models = Models("cpu", 100 * KB)
    gc.disable()
    try:
        with models.use(key("first"), builder(80)) as model:
            model.myself = [model]
            gone = weakref.ref(model)
            del model
        models.release_all()
        assert gone() is None
    finally:
        gc.enable()


def test_a_failed_load_leaves_the_registry_as_it_was() -> None:
    models = Models("cpu", 100 * KB)
    load(models, "a", 40)
    load(models, "b", 40)
    before = models.report()

    def build() -> nn.Module:
        raise OSError("weights are cut off")

    with pytest.raises(OSError, match="weights are cut off"), models.use(key("broken"), build):
        pass
    assert models.report() == before
    load(models, "broken", 10)
    assert loaded(models) == ["broken", "b", "a"]


@pytest.mark.parametrize("hint", [None, 101 * KB])
def test_a_model_larger_than_the_budget_is_refused_and_nothing_is_evicted_for_it(hint: int | None) -> None:
    models = Models("cpu", 100 * KB)
    load(models, "a", 40)
    before, built = models.report(), list[str]()
    sentence = r"tiny/huge \(float32, cpu\) needs 0 MiB and models may hold 0 MiB on this device: choose a smaller base"
    with pytest.raises(NoRoom, match=sentence), models.use(key("huge"), builder(101, built, "x"), size_bytes=hint):
        pass
    assert models.report() == before
    assert built == ([] if hint else ["x"])


@pytest.mark.parametrize("hint", [None, 50 * KB])
def test_a_model_that_does_not_fit_beside_those_in_use_is_refused_naming_them(hint: int | None) -> None:
    models = Models("cpu", 100 * KB)
    load(models, "idle", 20)
    with models.use(key("unet"), builder(60)):
        before = models.report()
        refused = pytest.raises(NoRoom, match=r"in use by tiny/unet \(float32, cpu\): use fewer models at once")
        with refused as caught, models.use(key("other"), builder(50), size_bytes=hint):
            pass
        assert caught.value.code == "no_room"
        assert models.report() == before


def test_tied_weights_and_views_count_once() -> None:
    one, other = nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False)
    other.weight = one.weight
    assert size(nn.ModuleList([one, other])) == 64 * 64 * 4
    viewed = nn.Module()
    whole = torch.zeros(64, 64)
    viewed.register_buffer("whole", whole)
    viewed.register_buffer("part", whole[:8])
    assert size(viewed) == 64 * 64 * 4


def test_parameters_and_buffers_both_count() -> None:
    norm = nn.BatchNorm2d(16)
    assert size(norm) == 4 * 16 * 4 + 8  # weight, bias, mean, variance; the number of batches is one int64


def test_components_count_wherever_they_stand() -> None:
    class Pipeline:
        def __init__(self, **parts: Any) -> None:
            self.components = parts

    unet, vae = module(10), module(5)
    parts = {"unet": unet, "vae": vae, "tokenizer": object(), "controlnet": [module(3), module(2)]}
    assert size(parts) == size(Pipeline(**parts)) == 20 * KB
    assert size(object()) == 0


def test_a_tensor_without_memory_counts_nothing() -> None:
    with torch.device("meta"):
        hollow = module(1000)
    assert size(hollow) == 0
    assert size(nn.ParameterList([torch.zeros(0, 8), torch.zeros(8, 0)])) == 0


def test_a_component_that_two_models_share_counts_once() -> None:
    models = Models("cpu", 100 * KB)
    with models.use(key("unet"), builder(60)) as unet:
        pass
    with models.use(key("pipeline"), lambda: {"unet": unet, "extra": module(20)}):
        assert models.held_bytes == 80 * KB
    assert models.release(key("unet")) == 0
    assert models.release(key("pipeline")) == 80 * KB


def test_nothing_is_evicted_that_a_model_in_use_holds_anyway() -> None:
    models = Models("cpu", 100 * KB)
    with models.use(key("unet"), builder(60)) as unet:
        pass
    with models.use(key("pipeline"), lambda: {"unet": unet}):
        load(models, "idle", 30)
        load(models, "new", 30)
    assert sorted(loaded(models)) == ["new", "pipeline", "unet"]


def test_what_grew_while_in_use_is_measured_again() -> None:
    models = Models("cpu", 100 * KB)
    with models.use(key("text"), lambda: {"encoder": module(10)}) as parts:
        parts["late"] = module(30)
    assert models.report()[0]["bytes"] == 40 * KB


def test_release_frees_one_model_and_says_how_much() -> None:
    models = Models("cpu", 100 * KB)
    load(models, "a", 30)
    load(models, "b", 40)
    assert models.release(key("a")) == 30 * KB
    assert loaded(models) == ["b"]


def test_releasing_what_is_not_loaded_says_what_is() -> None:
    models = Models("cpu", 100 * KB)
    with pytest.raises(Missing, match=r"tiny/a \(float32, cpu\) is not loaded; loaded is nothing"):
        models.release(key("a"))
    load(models, "b", 10)
    with pytest.raises(Missing, match=r"loaded is tiny/b"):
        models.release(key("a"))


def test_a_model_in_use_is_not_released() -> None:
    models = Models("cpu", 100 * KB)
    load(models, "idle", 10)
    with models.use(key("busy"), builder(30)):
        with pytest.raises(Problem, match=r"tiny/busy \(float32, cpu\) is in use; stop the run"):
            models.release(key("busy"))
        assert models.release_all() == 10 * KB
        assert loaded(models) == ["busy"]
    assert models.release_all() == 30 * KB
    assert models.report() == []


def test_the_report_says_what_is_loaded_how_big_when_used_and_whether_in_use() -> None:
    models = Models("cpu", 100 * KB)
    load(models, "vae", 10)
    with models.use(key("unet"), builder(30)):
        first, second = models.report()
    assert first["key"] == {"base": "tiny", "part": "unet", "dtype": "float32", "device": "cpu"}
    assert (first["bytes"], first["pinned"], second["bytes"], second["pinned"]) == (30 * KB, True, 10 * KB, False)
    assert first["used_at"] >= second["used_at"] > 1.6e9


def in_a_thread(task: Callable[[], Any]) -> Any:
    """What the task returns, or the exception it raises, in a thread of its own."""
    answer: list[Any] = []

    def run() -> None:
        try:
            answer.append(task())
        except RuntimeError as error:
            answer.append(error)

    thread = threading.Thread(target=run, name="the page")
    thread.start()
    thread.join(10)
    return answer[0]


def test_a_second_thread_is_refused_but_may_read_the_report() -> None:
    models = Models("cpu", 100 * KB)
    load(models, "unet", 10)
    for task in (lambda: load(models, "vae", 10), models.release_all, lambda: models.release(key("unet"))):
        refusal = in_a_thread(task)
        assert isinstance(refusal, RuntimeError)
        assert "were asked for by 'the page': send the work to the compute thread" in str(refusal)
    assert in_a_thread(models.report) == models.report()
    assert loaded(models) == ["unet"]


def test_a_new_compute_thread_takes_over_from_one_that_has_ended() -> None:
    models = Models("cpu", 100 * KB)
    in_a_thread(lambda: load(models, "unet", 10))
    load(models, "vae", 10)
    assert loaded(models) == ["vae", "unet"]


@pytest.mark.parametrize(
    ("name", "memory", "held"),
    [("cpu", 16, 8), ("cuda:0", 8, 6), ("cuda:0", 20, 16), ("cuda:0", 139, 131), ("cuda:0", 1, 0)],
)
def test_the_budget_leaves_a_working_reserve(name: str, memory: int, held: int) -> None:
    assert budget(Device(name, "float32", "", memory * GIB)) == held * GIB


def test_the_budget_comes_from_the_device_that_was_asked_for() -> None:
    models = Models("cpu")
    assert models.device.name == "cpu"
    assert models.budget_bytes == models.device.memory_bytes // 2


def test_a_registry_nobody_uses_does_not_import_torch() -> None:
    program = (
        "import sys; from pipelines.core.models import Models; "
        "models = Models(); models.report(); models.release_all(); print('torch' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    reply = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert reply.stdout.strip() == "False"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_an_evicted_model_gives_its_memory_back() -> None:
    models = Models("cuda:0", 100 * 2**20)
    at_first = torch.cuda.memory_reserved()
    with models.use(key("big"), lambda: nn.Linear(4096, 4096, bias=False, device="cuda:0")):
        assert torch.cuda.memory_reserved() > at_first
    assert models.release_all() == 64 * 2**20
    assert torch.cuda.memory_reserved() == at_first
