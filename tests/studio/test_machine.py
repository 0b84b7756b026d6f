"""What scripts and the page learn of the workers over HTTP, and how an order goes to one and its answer comes back."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from torch import nn

from pipelines.core.bases import Task
from pipelines.core.models import Key, Models
from pipelines.core.nvml import Nvml
from pipelines.core.orders import Answer, Orders
from pipelines.core.owners import Owner
from pipelines.core.vitals import Vitals
from pipelines.worker import Worker
from studio import i18n, routes
from studio.context import Context
from studio.guard import Guard
from studio.machine import role, short
from studio.widgets import FOLDER
from tests.nvml import GIB, Card, Driver
from tests.studio.serving import Answer as Reply
from tests.studio.serving import ask, serving
from tests.test_worker import until

MIB = 2**20
UNET = Key("tiny", "unet", "float32", "cpu")
H200 = Card("GPU-aa", "NVIDIA H200", 12 * GIB, 139 * GIB, 41, 120_000)


class Studio:
    """A served studio without its page."""

    def __init__(self, context: Context, port: int) -> None:
        self.context = context
        self.port = port

    def machine(self, language: str = "en") -> dict[str, Any]:
        found: dict[str, Any] = ask(self.port, "GET", f"/api/machine?language={language}").json()
        return found

    def tell(self, worker: str, data: Any) -> Reply:
        return ask(self.port, "POST", f"/api/machine/{worker}/orders", data=data)

    def told(self, id: int) -> dict[str, Any]:
        found: dict[str, Any] = ask(self.port, "GET", f"/api/machine/orders/{id}").json()
        return found

    def answered(self, worker: str, data: Any) -> dict[str, Any]:
        id = self.tell(worker, data).json()["id"]
        until(lambda: self.told(id)["state"] != "waiting")
        return self.told(id)

    def beats(self, device: str = "cpu", report: dict[str, Any] | None = None) -> str:
        """This process as a worker that lives and does nothing; returns its id."""
        self.context.queue.beat(Owner.me(), device, ("device",), report)
        return Owner.me().id


@pytest.fixture
def studio(runs: Path) -> Iterator[Studio]:
    context = Context.open(runs)
    with serving(Guard(routes.application(context))) as port:
        yield Studio(context, port)


@contextmanager
def at_work(runs: Path, load: Callable[[Models], None]) -> Iterator[Worker]:
    """A worker that serves in a thread of its own, which has loaded what it holds."""
    with Worker(runs, "cpu", ("device",)) as worker:

        def life() -> None:
            load(worker.models)
            ready.set()
            worker.work()

        ready, thread = threading.Event(), threading.Thread(target=life)
        thread.start()
        ready.wait(30)
        try:
            yield worker
        finally:
            worker.leave()
            thread.join()


def one_unet(models: Models) -> None:
    with models.use(UNET, lambda: nn.Linear(1024, 256, bias=False)):
        pass


def test_without_a_worker_there_is_none_and_still_the_disk(studio: Studio) -> None:
    found = studio.machine()
    assert found["workers"] == []
    assert 0 < found["disk"]["free"] <= found["disk"]["total"]


def test_a_card_is_shown_with_its_short_name_temperature_and_power(studio: Studio) -> None:
    studio.beats("cuda:0", Vitals("cuda:0", Models("cuda:0"), Nvml(Driver([H200]))).report())
    [worker] = studio.machine()["workers"]
    assert (worker["short"], worker["title"], worker["role"]) == ("H200", "NVIDIA H200", "device")
    assert worker["card"] == {"used": 12 * GIB, "total": 139 * GIB, "temperature_c": 41, "power_w": 120.0}
    assert worker["reason"] is None, "torch was not needed yet"


def test_a_card_that_tells_nothing_has_no_such_fields(studio: Studio) -> None:
    silent = Driver([H200], refuses={"nvmlInit_v2"})
    studio.beats("cuda:1", Vitals("cuda:1", Models("cuda:1"), Nvml(silent)).report())
    [worker] = studio.machine()["workers"]
    assert (worker["short"], "card" in worker, "budget_bytes" in worker) == ("GPU 1", False, False)


def test_a_worker_of_an_older_version_is_shown_with_what_it_says(studio: Studio) -> None:
    studio.beats("cpu")
    [worker] = studio.machine()["workers"]
    assert (worker["short"], worker["models"], worker["title"]) == ("CPU", [], None)


def test_no_worker_names_its_host_or_a_folder(studio: Studio) -> None:
    studio.beats("cpu", Vitals("cpu", Models("cpu")).report())
    said = str(studio.machine())
    assert Owner.me().host not in said
    assert str(studio.context.runs) not in said


@pytest.mark.parametrize(
    ("title", "device", "name"),
    [
        ("NVIDIA H200", "cuda:0", "H200"),
        ("NVIDIA GeForce RTX 4090", "cuda:0", "RTX 4090"),
        ("Tesla T4", "cuda:1", "Tesla T4"),
        (None, "cuda:1", "GPU 1"),
        (None, "cuda", "GPU 0"),
        ("AMD EPYC 9654", "cpu", "CPU"),
    ],
)
def test_a_device_has_a_name_short_enough_for_the_header(title: str | None, device: str, name: str) -> None:
    assert short(title, device) == name


def test_workers_are_told_apart_by_what_they_are_there_for() -> None:
    assert [role(lanes) for lanes in (["device"], ["cpu", "device"], ["cpu"], [""])] == [
        "device",
        "device",
        "light",
        "run",
    ]


def test_a_model_that_a_worker_holds_is_seen_and_released(studio: Studio) -> None:
    with at_work(studio.context.runs, one_unet) as worker:
        until(lambda: studio.machine()["workers"][0]["models"])
        [seen] = studio.machine()["workers"]
        assert seen["id"] == worker.owner.id
        assert (seen["models"][0]["key"], seen["held_bytes"]) == (UNET._asdict(), MIB)
        answer = studio.answered(seen["id"], {"do": "release", "model": UNET._asdict()})
        assert (answer["state"], answer["sentence"], answer["freed_bytes"]) == ("done", "freed 1 MiB", MIB)
        again = studio.answered(seen["id"], {"do": "release", "model": UNET._asdict()})
        assert (again["state"], again["code"]) == ("refused", "missing")
        until(lambda: not studio.machine()["workers"][0]["models"])


def test_a_budget_that_is_set_is_shown_and_one_beyond_the_device_is_refused(studio: Studio) -> None:
    with at_work(studio.context.runs, one_unet) as worker:
        id, total = worker.owner.id, studio.machine()["workers"][0]["total_bytes"]
        assert studio.answered(id, {"do": "budget", "budget_bytes": 5 * MIB})["state"] == "done"
        until(lambda: studio.machine()["workers"][0]["budget_bytes"] == 5 * MIB)
        refused = studio.tell(id, {"do": "budget", "budget_bytes": total + 1})
        assert (refused.status, refused.error["field"]) == (422, "budget_bytes")
        assert "choose no more than that" in refused.error["message"]


@pytest.mark.parametrize(
    "order",
    [
        {"do": "dance"},
        {"do": "release"},
        {"do": "release", "model": {"base": "tiny"}},
        {"do": "budget", "budget_bytes": 0},
        {"do": "budget", "budget_bytes": 2**70},
        {"do": "release_all", "now": True},
        [],
    ],
)
def test_an_order_that_is_none_is_refused_by_its_field(studio: Studio, order: Any) -> None:
    refused = studio.tell(studio.beats(), order)
    assert (refused.status, refused.error["code"]) == (422, "bad_input")


def test_an_order_to_nobody_and_a_question_after_none_are_not_found(studio: Studio) -> None:
    assert studio.tell("0" * 12, {"do": "release_all"}).status == 404
    assert ask(studio.port, "GET", "/api/machine/orders/7").status == 404


def test_an_order_nobody_took_waits_and_lapses_with_its_worker(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    id = studio.tell(studio.beats(), {"do": "release_all"}).json()["id"]
    assert studio.told(id) == {"id": id, "state": "waiting"}
    monkeypatch.setattr(Owner, "gone", lambda self: True)
    assert studio.told(id)["state"] == "lapsed"


def test_an_answer_names_no_folder_of_the_server(studio: Studio) -> None:
    id = studio.tell(studio.beats(), {"do": "release_all"}).json()["id"]
    damaged = f"settings.json in {studio.context.runs} is not as it should be"
    Orders(studio.context.queue).answer(id, Answer(code="bad_input", sentence=damaged))
    assert studio.told(id)["sentence"] == "settings.json in the runs folder is not as it should be"


@pytest.mark.parametrize("language", ["ja", "zh-TW", "xx", ""])
def test_every_language_is_answered_and_an_unknown_one_in_english(studio: Studio, language: str) -> None:
    studio.beats("cpu", {"reason": "the CPU was asked for", "title": "x"})
    known = i18n.language(language if language in i18n.codes() else "en")
    assert studio.machine(language)["workers"][0]["reason"] == known.sentence("the CPU was asked for")


@pytest.mark.parametrize("area", ["device", "models"])
def test_every_word_that_the_widget_shows_is_there_and_every_word_there_is_shown(area: str) -> None:
    files = [FOLDER / f"{area}.html", *FOLDER.glob(f"{area}*.js"), FOLDER / "machine.js"]
    source = "\n".join(path.read_text(encoding="utf-8") for path in files)
    asked = set(re.findall(r"words\.(\w+)", source)) | {"light", "light_name", "run", "run_name"}
    named = {
        "models": {*(f"task_{task}" for task in get_args(Task)), *(f"is_{kind}" for kind in ("missing", "broken"))}
    }
    asked |= {"none", "away", "none_help", "away_help"} if area == "device" else named[area]
    asked.discard("kinds")  # the maps are called as the Control tab calls them
    assert asked == set(i18n.language("en").table(area))
