"""A card is read through the driver's library, or not at all; here the library is one of ours with the same doors."""

from typing import Any

import pytest

from pipelines.core.nvml import Nvml
from tests.nvml import GIB, Card, Driver

H200 = Card("GPU-aa", "NVIDIA H200", 12 * GIB, 139 * GIB, 41, 120_500)
T4 = Card("GPU-bb", "Tesla T4", GIB, 15 * GIB, 55, 30_000)


@pytest.fixture(autouse=True)
def everything_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def titles(driver: Driver, *asked: tuple[str, str]) -> list[str | None]:
    nvml = Nvml(driver)
    readings = [nvml.read(*one) for one in asked]
    return [reading.title if reading else None for reading in readings]


def test_a_card_tells_its_memory_temperature_and_power() -> None:
    reading = Nvml(Driver([H200])).read("cuda:0")
    assert reading
    assert (reading.title, reading.used_bytes, reading.total_bytes) == ("NVIDIA H200", 12 * GIB, 139 * GIB)
    assert (reading.temperature_c, reading.power_w) == (41, 120.5)


def test_the_number_of_torch_decides_which_card_where_it_is_known() -> None:
    assert titles(Driver([T4, H200]), ("cuda:0", ""), ("cuda:1", ""), ("cuda:0", "aa")) == [
        "Tesla T4",
        "NVIDIA H200",
        "NVIDIA H200",
    ]


@pytest.mark.parametrize(
    ("visible", "title"), [("1", "NVIDIA H200"), ("GPU-aa", "NVIDIA H200"), ("1,0", "NVIDIA H200"), ("GPU-zz", None)]
)
def test_what_cuda_may_see_is_heeded(monkeypatch: pytest.MonkeyPatch, visible: str, title: str | None) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert titles(Driver([T4, H200]), ("cuda:0", "")) == [title]


def test_what_a_card_does_not_tell_is_left_out() -> None:
    reading = Nvml(Driver([H200], refuses={"nvmlDeviceGetTemperature", "nvmlDeviceGetMemoryInfo"})).read("cuda:0")
    assert reading
    assert (reading.temperature_c, reading.used_bytes, reading.total_bytes) == (None, None, None)
    assert (reading.title, reading.power_w) == ("NVIDIA H200", 120.5)


def test_an_older_driver_without_a_function_is_read_without_it() -> None:
    driver: Any = Driver([H200])
    driver.nvmlDeviceGetPowerUsage = None
    reading = Nvml(driver).read("cuda:0")
    assert reading
    assert (reading.power_w, reading.temperature_c) == (None, 41)


def test_without_a_driver_there_is_nothing_to_read_and_it_is_asked_once() -> None:
    driver = Driver([H200], refuses={"nvmlInit_v2"})
    nvml = Nvml(driver)
    assert [nvml.read("cuda:0"), nvml.read("cuda:0")] == [None, None]
    assert driver.asked == ["nvmlInit_v2"]


def test_a_card_that_is_not_there_is_not_read() -> None:
    assert Nvml(Driver([H200])).read("cuda:3") is None


def test_a_machine_without_the_library_says_so_by_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.core.nvml.LIBRARY", "libnvidia-ml.so.none")
    assert Nvml().read("cuda:0") is None
