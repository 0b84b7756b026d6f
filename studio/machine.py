"""The workers as the header and the Models tab show them: device and why, memory, models; and orders to them.

Knows what workers say of themselves in the job table; the models lie in their processes, out of reach from here.
"""

import shutil
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Query

from pipelines.core.device import gib
from pipelines.core.errors import BadInput
from pipelines.core.orders import Budget, Orders, Release, ReleaseAll
from studio import i18n
from studio.answers import hide
from studio.context import Context
from studio.i18n import Language

Role = Literal["device", "light", "run"]
MAKERS = ("NVIDIA ", "GeForce ")
SAID = ("dtype", "attention", "memory", "card", "held_bytes", "budget_bytes", "default_bytes", "total_bytes", "models")


def workers(context: Context, say: Language) -> list[dict[str, Any]]:
    """Every live worker, those that compute with models first."""
    found = [_shown(worker, say) for worker in context.queue.workers()]
    order = {"device": 0, "run": 1, "light": 2}
    return sorted(found, key=lambda one: (order[one["role"]], one["device"]))


def _shown(worker: dict[str, Any], say: Language) -> dict[str, Any]:
    report = worker["report"]
    device = report.get("device", worker["device"])
    reason = report.get("reason")
    return {
        "id": worker["id"],
        "role": role(worker["lanes"]),
        "device": device,
        "title": report.get("title"),
        "short": short(report.get("title"), device),
        "reason": say.sentence(reason) if reason else None,
        "seen": worker["seen"],
        "models": [],
        **{key: report[key] for key in SAID if key in report},
    }


def role(lanes: list[str]) -> Role:
    """What a worker is there for: models, drawing alone, or one run of the command line."""
    if "device" in lanes:
        return "device"
    return "light" if "cpu" in lanes else "run"


def short(title: str | None, device: str) -> str:
    """What a device is called where there is little room: `CPU`, `H200`, `RTX 4090`; `GPU 1` when nobody says."""
    if device == "cpu":
        return "CPU"
    for maker in MAKERS:
        title = title.removeprefix(maker) if title else title
    return title or f"GPU {device.partition(':')[2] or 0}"


def router(context: Context) -> APIRouter:
    """Looking at the workers, and telling one of them what to do."""
    orders = Orders(context.queue)
    routes = APIRouter(prefix="/api/machine", tags=["machine"])
    Tongue = Annotated[str, Query(max_length=20, description="The language of sentences, such as ja")]
    Told = Annotated[Release | ReleaseAll | Budget, Body(discriminator="do")]

    @routes.get("", summary="The live workers: device and why, memory, models; and the room on the disk")
    def machine(language: Tongue = i18n.ENGLISH) -> dict[str, Any]:
        disk = shutil.disk_usage(context.runs)
        return {
            "workers": workers(context, _say(language)),
            "disk": {"free": disk.free, "total": disk.total},
        }

    @routes.post(
        "/{worker}/orders",
        status_code=202,
        summary="Tell a worker to release one model or all, or what models may hold",
        responses={404: {"description": "No such live worker"}},
    )
    def tell(worker: str, order: Told) -> dict[str, int]:
        if isinstance(order, Budget):
            _check(context, worker, order)
        return {"id": orders.tell(worker, order)}

    @routes.get(
        "/orders/{id}",
        summary="What came of an order: waiting, done, refused, or lapsed when its worker is gone",
        responses={404: {"description": "No such order"}},
    )
    def told(id: Annotated[int, Path(ge=0, lt=2**63)], language: Tongue = i18n.ENGLISH) -> dict[str, Any]:
        found = orders.get(id)
        if found.answer is None:
            return {"id": id, "state": "lapsed" if found.lapsed else "waiting"}
        answer = found.answer
        sentence = _say(language).sentence(hide(answer.sentence, context.runs))
        state = "done" if answer.code in ("freed", "nothing", "budget") else "refused"
        return {**answer.model_dump(), "id": id, "state": state, "sentence": sentence}

    return routes


def _say(code: str) -> Language:
    return i18n.language(i18n.best(code, ""))


def _check(context: Context, worker: str, order: Budget) -> None:
    """Raises BadInput for a budget beyond what the device has, where that is known."""
    reports = [one["report"] for one in context.queue.workers() if one["id"] == worker]
    total = reports[0].get("total_bytes") if reports else None
    if total is not None and order.budget_bytes is not None and order.budget_bytes > total:
        raise BadInput(
            f"budget_bytes = {order.budget_bytes} ({gib(order.budget_bytes)}): this device has {gib(total)};"
            " choose no more than that",
            "budget_bytes",
        )
