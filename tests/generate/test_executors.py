"""A batch made by a cluster of two CPUs: the same to the byte, also where an actor dies and a picture is poisoned."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.core.assets import Assets
from pipelines.core.errors import Missing
from pipelines.core.models import Models
from pipelines.core.runs import Laid
from pipelines.generate import executors
from pipelines.generate.planning import Plan
from pipelines.generate.tries import Tried
from pipelines.parts.gates import Reason
from tests.generate.test_batch import answered, hashes, manifest, ready, result

GATES = {"gates": {"visibility": 3.5, "duplicate_bits": 12}, "tries": 3, "masks": [], "count": 8}


def test_without_the_package_a_sentence_says_what_to_install(
    tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    request = ready(tmp_path, runs, executor="ray")
    with pytest.raises(Missing, match=r"install requirements-scale\.txt, or set executor = local"):
        executors.Ray(Plan(request, Assets(runs)), Models("cpu"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray = pytest.importorskip("ray", reason="ray is not installed: requirements-scale.txt has it")
    paths = os.pathsep.join(filter(None, [str(executors.ROOT), os.environ.get("PYTHONPATH", "")]))
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=128 * 2**20,
        logging_level="ERROR",
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": paths}},
    )
    yield
    ray.shutdown()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # of the package itself
@pytest.mark.usefixtures("cluster")
class TestRay:
    """On two actors."""

    def test_it_makes_the_very_same_data_set(self, tmp_path: Path, runs: Path) -> None:
        request = ready(tmp_path, runs, **GATES)
        _, here = answered(request, runs)
        row, there = answered(request.model_copy(update={"executor": "ray"}), runs)
        assert row.state == "done", row.sentence
        assert hashes(there) == hashes(here)
        assert result(there) == result(here)
        assert result(here)["aside"] > 0

    def test_an_actor_that_dies_and_a_poisoned_picture_lose_nothing(
        self, tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        request = ready(tmp_path, runs, **{**GATES, "tries": 1, "gates": {"visibility": None, "duplicate_bits": None}})
        _, here = answered(request, runs)
        poisoned = f"""
import os
from pipelines.generate.tries import Maker
made = Maker.make
def make(self, index, *more):
    if index == 2 and not os.path.exists({str(tmp_path / "died")!r}):
        open({str(tmp_path / "died")!r}, "w").close()
        os._exit(1)
    return made(self, index, *more)
Maker.make = make
from pipelines.generate import items
answer = items._answer
def poisoned(request, run, models):
    if request.seed == {manifest(here)[5]["seed"]}:
        raise RuntimeError("poison")
    return answer(request, run, models)
items._answer = poisoned
"""
        (tmp_path / "sitecustomize.py").write_text(poisoned)
        import ray

        ray.shutdown()
        paths = os.pathsep.join(filter(None, [str(tmp_path), str(executors.ROOT), os.environ.get("PYTHONPATH", "")]))
        ray.init(
            num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": paths}}
        )
        row, there = answered(request.model_copy(update={"executor": "ray"}), runs)
        assert row.state == "done", row.sentence
        assert (tmp_path / "died").exists()
        told = result(there)
        assert (told["images"], told["failed"], told["tried"]) == (7, 1, 8)
        kept = {name: value for name, value in hashes(here).items() if "00005" not in name and "manifest" not in name}
        assert {name: value for name, value in hashes(there).items() if "manifest" not in name} == kept


def test_what_an_actor_hands_over_is_what_it_made() -> None:
    laid = Laid({"images/0.png": b"one", "masks/0.png": b""}, {"file": "images/0.png", "scores": {"visibility": 1.5}})
    for tried in (
        Tried(laid, "0f", None),
        Tried(laid, "", Reason("visibility", "faint")),
        Tried(None, "", None, "trace"),
    ):
        assert executors.unpacked(executors.packed(tried)) == tried
    with pytest.raises(Missing, match="weights"):
        executors.unpacked(executors.packed(Missing("no weights")))
