"""Who makes the tries of a batch: this process, one by one, or the actors of a Ray cluster, with equal results.

What comes back comes in the order asked, whoever was quicker, and nothing that was asked for is missing: a try that
fails is a row that says so, and one whose actor dies is made again by the next.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from pipelines.core.assets import Assets
from pipelines.core.errors import DiskFull, Missing, Problem
from pipelines.core.models import Models
from pipelines.core.requests import Batch
from pipelines.core.runs import Laid
from pipelines.generate.planning import Plan
from pipelines.generate.tries import Maker, Tried
from pipelines.parts.gates import Reason

Begin = Callable[[int], None]
"""Is told of an item before it is made; may raise to end all."""
Heard = Callable[[], None]
"""Is told now and then while one is made; may raise so too."""
AT_ONCE = 8
"""Items that an actor takes up together."""
MOST_BLOCKS = 10_000
ROOT = Path(__file__).parents[2]
RESTARTS = 1000
"""Of an actor over a night; each takes up what the one before it had not finished."""
RETRIES = 3
PROBLEMS: dict[str, type[Problem]] = {one.__name__: one for one in (Missing, DiskFull)}


class Executor(Protocol):
    def made(self, items: Sequence[int], begin: Begin, heard: Heard) -> Iterator[tuple[int, Tried]]:
        """Every item with what it came to, in order. Raises what ends the whole run."""


class Local:
    """This process."""

    def __init__(self, plan: Plan, models: Models) -> None:
        self._maker = Maker(plan, models)

    def made(self, items: Sequence[int], begin: Begin, heard: Heard) -> Iterator[tuple[int, Tried]]:
        for item in items:
            begin(item)
            yield item, self._maker.make(item, lambda note: heard())


class Ray:
    """Ray Data's pool of actors: one a GPU for what loads weights, else one a CPU. The runs folder must be shared."""

    def __init__(self, plan: Plan, models: Models) -> None:
        """Raises Missing without the package."""
        try:
            import ray
        except ImportError as error:
            raise Missing(
                "executor = ray needs the package ray, which is not installed: install requirements-scale.txt, or"
                " set executor = local"
            ) from error
        self._plan = plan
        Maker(plan, models)  # what cannot be is said before a cluster is asked
        if not ray.is_initialized():
            ray.init(
                include_dashboard=False,
                logging_level="ERROR",
                log_to_driver=False,
                runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}},
            )

    def made(self, items: Sequence[int], begin: Begin, heard: Heard) -> Iterator[tuple[int, Tried]]:
        import ray
        from ray.data import ActorPoolStrategy, DataContext

        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        resources = ray.cluster_resources()
        device = self._plan.request.lane() == "device" and bool(resources.get("GPU"))
        actors = max(1, int(resources["GPU" if device else "CPU"]))
        request, runs = self._plan.request.model_dump_json(), str(self._plan.assets.runs)
        blocks = min(-(-len(items) // AT_ONCE), MOST_BLOCKS)
        rows = ray.data.from_items([{"item": item} for item in items], override_num_blocks=blocks).map(
            _Actor,
            fn_constructor_args=(request, runs, "cuda" if device else "cpu"),
            compute=ActorPoolStrategy(size=min(actors, blocks)),
            max_restarts=RESTARTS,
            max_task_retries=RETRIES,
            **({"num_gpus": 1} if device else {"num_cpus": 1}),
        )
        for row in rows.iter_rows():
            item = int(row["item"])
            begin(item)
            yield item, unpacked(row["made"])


class _Actor:
    """One process of the cluster, with a maker of its own."""

    def __init__(self, request: str, runs: str, device: str) -> None:
        batch = Batch.model_validate_json(request)
        self._maker = Maker(Plan(batch, Assets(Path(runs))), Models(device))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """A problem that ends the whole run goes back as a row too: an error would be tried again."""
        made: Tried | Problem
        try:
            made = self._maker.make(int(row["item"]))
        except Problem as problem:
            made = problem
        return {"item": row["item"], "made": packed(made)}


def packed(made: Tried | Problem) -> bytes:
    """As bytes that hold no code: how long the facts are, the facts as JSON, the files one after the other."""
    files: list[bytes] = []
    if isinstance(made, Problem):
        facts: dict[str, Any] = {"problem": type(made).__name__, "sentence": str(made)}
    else:
        facts = {"print": made.print, "trace": made.trace}
        if made.reason is not None:
            facts["reason"] = [made.reason.gate, made.reason.sentence]
        if made.laid is not None:
            files = list(made.laid.files.values())
            facts |= {"row": made.laid.row, "files": {name: len(data) for name, data in made.laid.files.items()}}
    head = json.dumps(facts).encode()
    return b"".join([len(head).to_bytes(8, "big"), head, *files])


def unpacked(data: bytes) -> Tried:
    """Raises the problem where it holds one."""
    start = 8 + int.from_bytes(data[:8], "big")
    facts = json.loads(data[8:start])
    if "problem" in facts:
        raise PROBLEMS.get(facts["problem"], Problem)(facts["sentence"])
    files = {}
    for name, size in facts.get("files", {}).items():
        files[name] = data[start : start + size]
        start += size
    laid = Laid(files, facts["row"]) if "row" in facts else None
    return Tried(laid, facts["print"], Reason(*facts["reason"]) if "reason" in facts else None, facts["trace"])


EXECUTORS: dict[str, Callable[[Plan, Models], Executor]] = {"local": Local, "ray": Ray}
