"""What a worker says of itself: all that is known, nothing that is guessed, and no torch for it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from torch import nn

from pipelines.core.models import Key, Models
from pipelines.core.nvml import Nvml
from pipelines.core.vitals import Vitals, processor
from tests.nvml import GIB, Card, Driver

H200 = Card("GPU-aa", "NVIDIA H200", 12 * GIB, 139 * GIB, 41, 120_000)


def on_card(driver: Any = None) -> dict[str, Any]:
    return Vitals("cuda:0", Models("cuda:0"), Nvml(driver or Driver([H200]))).report()


def test_a_worker_that_has_only_drawn_tells_its_device_its_memory_and_what_models_may_hold() -> None:
    said = Vitals("cpu", Models("cpu")).report()
    assert (said["device"], said["held_bytes"], said["models"]) == ("cpu", 0, [])
    memory = said["memory"]
    assert 0 < memory["process"] <= memory["used"] <= memory["total"]
    assert said["total_bytes"] == memory["total"]
    assert said["budget_bytes"] == said["default_bytes"] == memory["total"] // 2
    assert not {"reason", "dtype", "card"} & set(said), "nobody has decided anything yet"


def test_once_the_device_is_decided_its_reason_is_told() -> None:
    models = Models("cpu")
    assert models.decided is None
    assert models.device.name == "cpu"
    said = Vitals("cpu", models).report()
    assert (said["reason"], said["dtype"]) == ("the CPU was asked for", "float32")


def test_what_is_loaded_is_told_with_its_size_and_whether_it_is_in_use() -> None:
    models = Models("cpu", 10 * 2**20)
    vitals = Vitals("cpu", models)
    with models.use(Key("tiny", "unet", "float32", "cpu"), lambda: nn.Linear(256, 256, bias=False)):
        during = vitals.report()
    after = vitals.report()
    key = {"base": "tiny", "part": "unet", "dtype": "float32", "device": "cpu"}
    assert [(one["key"], one["bytes"], one["pinned"]) for one in during["models"]] == [(key, 2**18, True)]
    assert [one["pinned"] for one in after["models"]] == [False]
    assert (after["held_bytes"], after["budget_bytes"]) == (2**18, 10 * 2**20)
    assert json.loads(json.dumps(after)) == after


def test_a_card_is_told_with_temperature_and_power_before_torch_was_needed() -> None:
    said = on_card()
    assert said["title"] == "NVIDIA H200"
    assert said["card"] == {"used": 12 * GIB, "total": 139 * GIB, "temperature_c": 41, "power_w": 120.0}
    assert (said["default_bytes"], said["total_bytes"]) == (131 * GIB, 139 * GIB)


def test_what_the_card_does_not_tell_is_left_out() -> None:
    said = on_card(Driver([H200], refuses={"nvmlDeviceGetTemperature", "nvmlDeviceGetMemoryInfo"}))
    assert said["card"] == {"power_w": 120.0}
    assert not {"budget_bytes", "default_bytes", "total_bytes"} & set(said)


def test_a_card_that_cannot_be_asked_leaves_a_report_without_one() -> None:
    said = on_card(Driver([H200], refuses={"nvmlInit_v2"}))
    assert "card" not in said
    assert "title" not in said
    assert said["memory"]["total"] > 0


def test_a_budget_that_was_set_is_told_as_far_as_the_device_has_it() -> None:
    total = Vitals("cpu", Models("cpu")).report()["total_bytes"]
    assert Vitals("cpu", Models("cpu", 5 * 2**20)).report()["budget_bytes"] == 5 * 2**20
    assert Vitals("cpu", Models("cpu", total * 3)).report()["budget_bytes"] == total


def test_a_report_imports_no_torch() -> None:
    program = (
        "import sys; from pipelines.core.models import Models; from pipelines.core.vitals import Vitals; "
        "Vitals('cpu', Models('cpu', 5)).report(); Vitals('cuda:0', Models('cuda:0')).report(); "
        "print('torch' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    reply = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert reply.stdout.strip() == "False"


def test_the_processor_is_called_what_it_is_sold_as(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: AMD EPYC 9654\nflags\t\t: fpu\n")
    assert processor(tmp_path / "cpuinfo") == "AMD EPYC 9654"
