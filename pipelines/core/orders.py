"""What a person tells a worker about its models: release one, release all, set how much they may hold.

An order is a row beside the job table, for one process and no other; its worker obeys it between two pictures and
writes the answer under it. Knows the table, the registry and the settings; not who asks.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from pipelines.core import settings
from pipelines.core.device import gib
from pipelines.core.errors import BadInput, Missing, Problem
from pipelines.core.models import Key, Models
from pipelines.core.owners import Owner
from pipelines.core.queue import Queue
from pipelines.core.requests.base import Part

STALE_S = 600.0
KEEP_S = 3600.0

_TABLE = """
CREATE TABLE IF NOT EXISTS told(
  id INTEGER PRIMARY KEY AUTOINCREMENT, host TEXT NOT NULL, pid INTEGER NOT NULL, born REAL NOT NULL,
  what TEXT NOT NULL, made REAL NOT NULL, answer TEXT);
"""


class Model(Part):
    """Which model: the four parts of its key."""

    base: str
    part: str
    dtype: str
    device: str


class Release(Part):
    """Drop one model that is not in use."""

    do: Literal["release"] = "release"
    model: Model


class ReleaseAll(Part):
    """Drop every model that is not in use."""

    do: Literal["release_all"] = "release_all"


class Budget(Part):
    """Set what models may hold on this worker's device, now and after a restart."""

    do: Literal["budget"] = "budget"
    budget_bytes: Annotated[int, Field(gt=0, lt=2**60)] | None = Field(
        None, description="Bytes; null goes back to the default"
    )


Order = Annotated[Release | ReleaseAll | Budget, Field(discriminator="do")]
_ORDERS: TypeAdapter[Order] = TypeAdapter(Order)


class Answer(Part):
    """What came of an order."""

    code: str
    """`freed`, `nothing`, `budget`; for what was not done the code of the problem, such as in_use."""
    sentence: str
    freed_bytes: int = 0
    in_use: int = 0
    """How many models stay because a run uses them."""


@dataclass(frozen=True)
class Told:
    """An order as the table has it."""

    id: int
    owner: Owner
    what: str
    made: float
    answer: Answer | None

    @property
    def lapsed(self) -> bool:
        """Nobody will answer it any more: its worker is gone, or was busy for too long."""
        return self.answer is None and (self.owner.gone() or self.made < time.time() - STALE_S)


class Orders:
    """The orders of one runs folder. May be used from many threads, as the queue may."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        queue.reading.execute(_TABLE)  # takes the table's lock only where it is missing

    def tell(self, worker: str, order: Order) -> int:
        """Put an order down for the worker of that id and return its number. Raises Missing when it is not alive."""
        owner: Owner | None = next((one["owner"] for one in self.queue.workers() if one["id"] == worker), None)
        if owner is None:
            raise Missing(f"no live worker {worker!r}: it has ended, and what it held is free")
        now = time.time()
        with self.queue.writing() as db:
            db.execute("DELETE FROM told WHERE made<?", (now - KEEP_S,))
            made = db.execute(
                "INSERT INTO told(host, pid, born, what, made) VALUES(?,?,?,?,?)",
                (owner.host, owner.pid, owner.born, order.model_dump_json(), now),
            )
            return int(made.lastrowid or 0)

    def get(self, id: int) -> Told:
        """Raises Missing."""
        row = self.queue.reading.execute("SELECT * FROM told WHERE id=?", (id,)).fetchone()
        if row is None:
            raise Missing(f"no order {id}: an order is kept for an hour")
        owner = Owner(row["host"], row["pid"], row["born"])
        answer = Answer.model_validate_json(row["answer"]) if row["answer"] else None
        return Told(row["id"], owner, row["what"], row["made"], answer)

    def waiting(self, owner: Owner) -> list[Told]:
        """What this worker has still to do, in the order it was asked for."""
        rows = self.queue.reading.execute(
            "SELECT * FROM told WHERE answer IS NULL AND host=? AND pid=? AND born=? AND made>=? ORDER BY id",
            (owner.host, owner.pid, owner.born, time.time() - STALE_S),
        ).fetchall()
        return [Told(row["id"], owner, row["what"], row["made"], None) for row in rows]

    def answer(self, id: int, answer: Answer) -> None:
        """Write down what came of an order; who asked may look for it an hour long."""
        with self.queue.writing() as db:
            db.execute("UPDATE told SET answer=? WHERE id=?", (answer.model_dump_json(), id))

    def forget(self, owner: Owner) -> None:
        """A worker that leaves takes with it what nobody will do."""
        with self.queue.writing() as db:
            db.execute("DELETE FROM told WHERE answer IS NULL AND host=? AND pid=?", (owner.host, owner.pid))


def obey(what: str, models: Models, device: str, runs: Path) -> Answer:
    """Do as an order says. Only for the thread that computes. What cannot be done is an answer too, with the reason."""
    try:
        return _done(_ORDERS.validate_python(json.loads(what)), models, device, runs)
    except ValidationError:
        return Answer(code=BadInput.code, sentence=f"this worker does not know the order {what[:200]}")
    except Problem as problem:
        return Answer(code=problem.code, sentence=str(problem))


def _done(order: Order, models: Models, device: str, runs: Path) -> Answer:
    if isinstance(order, Budget):
        with settings.changing(runs) as kept:
            if order.budget_bytes is None:
                kept.budgets.pop(device, None)
            else:
                kept.budgets[device] = order.budget_bytes
        freed = models.limit(order.budget_bytes)
        allowed = "the default" if order.budget_bytes is None else gib(order.budget_bytes)
        return Answer(code="budget", sentence=f"models may hold {allowed}; freed {gib(freed)}", freed_bytes=freed)
    if isinstance(order, Release):
        freed = models.release(Key(**order.model.model_dump()))
        return Answer(code="freed", sentence=f"freed {gib(freed)}", freed_bytes=freed)
    loaded = len(models.report())
    freed = models.release_all()
    staying = len(models.report())
    if loaded == staying:
        why = f"{staying} in use: stop the runs first" if staying else "nothing is loaded"
        return Answer(code="nothing", sentence=f"nothing was freed, {why}", in_use=staying)
    rest = f"; {staying} in use stay" if staying else ""
    return Answer(code="freed", sentence=f"freed {gib(freed)}{rest}", freed_bytes=freed, in_use=staying)
