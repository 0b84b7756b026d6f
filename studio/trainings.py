"""The routes that follow trainings: which there are, what one has shown so far, and what a person wishes of it.

Reads a run's folder as it grows; a log of many steps is read on from where it was left. Computes no loss.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, Query
from starlette.responses import Response

from pipelines.core import checkpoints, files, images, wishes
from pipelines.core.errors import BadInput, Missing
from pipelines.core.queue import Row
from pipelines.core.wishes import Wish
from studio import i18n, sets, training
from studio.answers import hide
from studio.chart import Log
from studio.context import Context
from studio.downloads import THUMB_PX
from studio.i18n import Language

MOST = 60
MOST_LOGS = 8
TASKS = "task LIKE 'train-%'"
Tongue = Annotated[str, Query(max_length=20, description="The language of sentences, such as ja")]
SHOWN = ("defect", "base", "stage", "data", "max_train_steps", "num_train_epochs", "seed", "learning_rate")
"""What of a request names a training in the list."""


class Logs:
    """The logs that are looked at, each read once. May be used from several threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, tuple[int, int, Log]] = OrderedDict()
        self._alone = threading.Lock()

    def drawn(self, path: Path) -> dict[str, Any]:
        """What a log says by now, as the page draws it. Of one that is not there: nothing."""
        with self._alone:
            log = self._read(path)
            return {
                **log.drawn(),
                "looks": list(log.looks),
                "held_out": log.numbers("held_out"),
                "diversity": log.numbers("diversity"),
                "hints": log.hints(),
                "notes": list(dict.fromkeys(log.notes)),
            }

    def _read(self, path: Path) -> Log:
        try:
            with path.open("rb") as file:
                number = path.stat().st_ino
                known, at, log = self._kept.get(path, (number, 0, Log()))
                if known != number or path.stat().st_size < at:  # it was written anew: a training that was taken up
                    at, log = 0, Log()
                file.seek(at)
                data = file.read()
        except FileNotFoundError:
            return Log()
        whole = data[: data.rfind(b"\n") + 1]  # the last line may still be on its way
        for line in whole.splitlines():
            _take(log, line)
        self._kept[path] = (number, at + len(whole), log)
        self._kept.move_to_end(path)
        while len(self._kept) > MOST_LOGS:
            self._kept.popitem(last=False)
        return log


def _take(log: Log, line: bytes) -> None:
    try:
        said = json.loads(line)
    except ValueError:  # a killed process left it half-written
        said = None
    if isinstance(said, dict):
        log.take(said)


def router(context: Context) -> APIRouter:
    """Everything below /api/trainings."""
    routes = APIRouter(prefix="/api/trainings", tags=["trainings"])
    logs, decoding = Logs(), anyio.CapacityLimiter(2)
    no_such: dict[int | str, dict[str, Any]] = {404: {"description": "No such training"}}

    @routes.get("", summary="Every training, newest first, with what it trains and how far it is")
    def every(language: Tongue = i18n.ENGLISH) -> list[dict[str, Any]]:
        say = i18n.language(i18n.best(language, ""))
        query = f"SELECT id FROM run WHERE {TASKS} ORDER BY seq DESC LIMIT ?"
        rows = [context.queue.get(one["id"]) for one in context.queue.reading.execute(query, (2 * MOST,))]
        return [_facts(context, say, row) for row in rows if not row.request.get("estimate")][:MOST]

    @routes.get("/{run}", summary="One training: its numbers so far, samples, checkpoints, result", responses=no_such)
    def one(run: str, language: Tongue = i18n.ENGLISH) -> dict[str, Any]:
        say = i18n.language(i18n.best(language, ""))
        row, folder = _training(context, run), context.runs / run
        said = logs.drawn(folder / "log.jsonl")
        looks = said.pop("looks")
        return {
            **_facts(context, say, row),
            **said,
            "notes": [say.sentence(hide(note, context.runs)) for note in said["notes"]],
            "samples": [_look(run, look) for look in looks if look.get("samples")],
            "checkpoints": checkpoints.steps(folder / "checkpoints"),
            "result": _json(folder / "result.json"),
            "request": row.request,
            "weights": training.weights(context, run),
        }

    @routes.get("/{run}/real", summary="Pictures of the data set, to hold the samples against", responses=no_such)
    def real(run: str) -> dict[str, list[str]]:
        found = _real(context, _training(context, run))
        return {"pictures": [f"/api/trainings/{run}/real/{place}" for place in range(len(found))]}

    @routes.get(
        "/{run}/real/{place}",
        summary="One of them, small, as a JPEG",
        response_class=Response,
        responses={404: {"description": "No such picture"}},
    )
    async def picture(run: str, place: int) -> Response:
        def small() -> bytes:
            found = _real(context, _training(context, run))
            if not 0 <= place < len(found):
                raise Missing(f"the data set has no picture number {place} to show")
            return images.thumbnail(images.read(found[place]).pixels, side=THUMB_PX)

        data = await anyio.to_thread.run_sync(small, limiter=decoding)
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=600"})

    @routes.post("/{run}/wishes/{wish}", summary="Save it now, or pause it between two steps", responses=no_such)
    def wish(run: str, wish: Wish) -> dict[str, bool]:
        if _training(context, run).over:
            raise BadInput(f"the training {run} is over: there is nothing to save or to pause any more")
        wishes.make(context.runs / run, wish)
        return _wished(context, run)

    @routes.delete("/{run}/wishes/pause", summary="Let a paused training go on", responses=no_such)
    def go_on(run: str) -> dict[str, bool]:
        _training(context, run)
        wishes.drop(context.runs / run, "pause")
        return _wished(context, run)

    return routes


def _training(context: Context, run: str) -> Row:
    row = context.queue.get(run)
    if not row.task.startswith("train-"):
        raise Missing(f"run {run} is of another task: GET /api/runs says which")
    return row


def _facts(context: Context, say: Language, row: Row) -> dict[str, Any]:
    sentence = hide(row.sentence, context.runs) if row.sentence else ""
    return {
        **{
            name: getattr(row, name) for name in ("id", "state", "task", "done", "total", "created", "started", "ended")
        },
        **{name: row.request.get(name) for name in SHOWN},
        **_wished(context, row.id),
        "note": say.sentence(row.note) if row.note else "",
        "sentence": say.sentence(sentence) if sentence else "",
        "stopping": row.stop and not row.over,
        "data_label": sets.label(context, str(row.request.get("data", ""))),
    }


def _wished(context: Context, run: str) -> dict[str, bool]:
    folder = context.runs / run
    return {"paused": wishes.made(folder, "pause"), "saving": wishes.made(folder, "save")}


def _look(run: str, look: Mapping[str, Any]) -> dict[str, Any]:
    """The samples of one step, each by the address of its picture."""
    shown = {
        str(prompt): [f"/files/{run}/{name}" for name in names if isinstance(name, str)]
        for prompt, names in look["samples"].items()
        if isinstance(names, list)
    }
    return {"step": look["step"], "prompts": shown}


def _real(context: Context, row: Row) -> list[Path]:
    defect = row.request.get("defect")
    return sets.pictures(context, str(row.request.get("data", "")), defect if isinstance(defect, str) else None)


def _json(path: Path) -> Any:
    try:
        with files.reading(path, path.name) as file:
            return json.loads(file.read())
    except (Missing, ValueError):
        return None
