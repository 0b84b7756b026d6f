"""A run's progress as server-sent events until it is over. Knows the queue; a run does not notice who watches.

The end carries the id `end`: a browser that reconnects by itself after it says so, and is told with 204 to stop asking.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import APIRouter, Header
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from pipelines.core.queue import Queue, Row
from studio.answers import refuse

POLL_S = 0.2
KEEPALIVE_S = 10.0
LONGEST_S = 3600.0
MOST_WATCHERS = 64
END = "end"


def seen(row: Row) -> dict[str, Any]:
    """A run without its request: what changes while one watches."""
    return {key: value for key, value in row.public().items() if key != "request"}


class Watchers:
    """How many watch at this moment; each costs a look at the job table five times a second."""

    def __init__(self, queue: Queue, most: int = MOST_WATCHERS, keepalive_s: float = KEEPALIVE_S) -> None:
        self.queue = queue
        self.most = most
        self.keepalive_s = keepalive_s
        self.now = 0

    async def follow(self, run: str) -> AsyncGenerator[str, None]:
        """Event by event: `progress` when something changed, a comment when nothing did for long, `end` at the end."""
        self.now += 1
        try:
            shown, quiet, close = "", time.monotonic(), time.monotonic() + LONGEST_S
            while time.monotonic() < close:
                row = await run_in_threadpool(self.queue.get, run)
                data = json.dumps(seen(row), ensure_ascii=False)
                if row.over:
                    yield f"event: end\nid: {END}\ndata: {data}\n\n"
                    return
                if data != shown:
                    yield f"event: progress\ndata: {data}\n\n"
                    shown, quiet = data, time.monotonic()
                elif time.monotonic() - quiet >= self.keepalive_s:
                    yield ": still here\n\n"
                    quiet = time.monotonic()
                await asyncio.sleep(POLL_S)
        finally:
            self.now -= 1


def router(watchers: Watchers) -> APIRouter:
    """/api/runs/{id}/events."""
    routes = APIRouter(tags=["runs"])

    @routes.get(
        "/api/runs/{id}/events",
        summary="Follow a run: server-sent events until it is over",
        description="`progress` when something changed, `end` when the run is over, a comment line every 10 s.",
        response_class=StreamingResponse,
        responses={204: {"description": "The end was already told"}, 404: {"description": "No such run"}},
    )
    async def events(id: str, last_event_id: Annotated[str | None, Header()] = None) -> Response:
        row = await run_in_threadpool(watchers.queue.get, id)
        if last_event_id == END and row.over:
            return Response(status_code=204)
        if watchers.now >= watchers.most:
            busy = refuse(503, "busy", f"{watchers.most} watch already: ask GET /api/runs/{id} now and then instead")
            busy.headers["Retry-After"] = "5"
            return busy
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(watchers.follow(id), media_type="text/event-stream", headers=headers)

    return routes
