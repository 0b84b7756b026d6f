"""Whether the studio lives and can work. Knows the job table's file and the disk; not what runs."""

import shutil
import sqlite3
from typing import get_args

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from pipelines.core.queue import ROOM_BYTES
from pipelines.core.requests import Lane
from studio.answers import NO_ROOM, refuse
from studio.context import Context

LANES: tuple[Lane, ...] = get_args(Lane)
WHAT = {"cpu": "drawing, exporting and importing", "device": "models with weights"}


def unready(context: Context) -> str | None:
    """Why work that is asked for now would wait, as a sentence; None when it would not."""
    db = sqlite3.connect(context.runs / "queue.db", timeout=1, isolation_level=None)
    try:
        db.execute("BEGIN IMMEDIATE")
        db.execute("ROLLBACK")
    except sqlite3.Error as error:
        return f"the job table in the runs folder cannot be written ({error}): make the folder writable"
    finally:
        db.close()
    if shutil.disk_usage(context.runs).free < ROOM_BYTES:
        return NO_ROOM
    served = {lane for worker in context.queue.workers() for lane in worker["lanes"]}
    idle = [lane for lane in LANES if lane not in served]
    if idle:
        lacking = " and ".join(f"{lane} ({WHAT[lane]})" for lane in idle)
        return f"no live worker for {lacking}: one is started again by itself, or with `python -m pipelines work`"
    return None


def router(context: Context) -> APIRouter:
    """/healthz and /readyz."""
    routes = APIRouter(tags=["health"])

    @routes.head("/healthz", include_in_schema=False)
    @routes.get("/healthz", summary="Whether the web process lives")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @routes.head("/readyz", include_in_schema=False)
    @routes.get(
        "/readyz",
        summary="Whether work can be taken: the job table is writable and every lane has a live worker",
        responses={503: {"description": "Not ready, with the reason as a sentence"}},
    )
    def readyz() -> JSONResponse:
        reason = unready(context)
        return JSONResponse({"status": "ready"}) if reason is None else refuse(503, "not_ready", reason)

    return routes
