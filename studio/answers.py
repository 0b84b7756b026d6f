"""How the server says no: one shape of error for every route and every guard, and which failure is which status; and
what an application answers, heard to the end.

Knows no route.
"""

import errno
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope

from pipelines.core.errors import BadInput, DiskFull, Missing, Problem

FULL = (errno.ENOSPC, errno.EDQUOT)
NO_ROOM = "the disk of the runs folder is full: make room there, then ask again"


class Reason(BaseModel):
    """Why not: a code for a program, the field that is at fault if there is one, a sentence for a person."""

    code: str
    field: str | None
    message: str


class Refusal(BaseModel):
    """How every route says no."""

    error: Reason


def refuse(status: int, code: str, message: str, field: str = "") -> JSONResponse:
    """A refusal as an answer."""
    reason = Reason(code=code, field=_sendable(field) or None, message=_sendable(message))
    return JSONResponse(Refusal(error=reason).model_dump(), status, headers={"Cache-Control": "no-store"})


def _sendable(text: str) -> str:
    """JSON can hold half of a character pair (`\\ud800`), and a sentence quotes what was sent; UTF-8 cannot hold it."""
    return text.encode(errors="replace").decode()


def hide(text: str, runs: Path) -> str:
    """A sentence without the server's folder: over HTTP nobody can go there, and where it lies is nobody's business."""
    return text.replace(f"{runs}{os.sep}", "").replace(str(runs), "the runs folder")


def problem(error: Problem, runs: Path) -> JSONResponse:
    """422 for what was asked wrongly, 404 for what is not here, 507 for a full disk, 503 for the rest."""
    field = error.field if isinstance(error, BadInput) else ""
    if isinstance(error, BadInput):
        status = 422
    elif isinstance(error, Missing):
        status = 404
    else:
        status = 507 if isinstance(error, DiskFull) else 503
    return refuse(status, error.code, hide(str(error), runs), field)


def _stores(_: Request, error: Exception) -> JSONResponse:
    """The job table or the disk did not do as told."""
    if (isinstance(error, OSError) and error.errno in FULL) or "disk is full" in str(error):
        return refuse(507, "disk_full", NO_ROOM)
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return refuse(503, "unavailable", f"the runs folder cannot be used just now ({reason}); ask again in a moment")


def _shape(_: Request, error: Exception) -> JSONResponse:
    """FastAPI's findings on path, query and body."""
    assert isinstance(error, RequestValidationError)
    found: Iterable[Any] = error.errors()
    first = next(iter(found))
    field = ".".join(str(part) for part in first["loc"][1:])
    if first["type"] == "json_invalid":
        return refuse(422, "bad_input", f"the body is not valid JSON: {first['ctx']['error']}")
    if first["type"] == "missing":
        return refuse(422, "bad_input", f"{field or 'the body'} is missing", field)
    return refuse(422, "bad_input", f"{field} = {str(first['input'])[:80]!r}: {first['msg']}", field)


def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    answer = refuse(error.status_code, "missing" if error.status_code == 404 else "refused", str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


def _cut_short(_: Request, error: Exception) -> JSONResponse:
    """The browser hung up while it was sending; nobody reads this, and the log stays quiet."""
    return refuse(400, "cut_short", "the connection ended before everything was sent; send it again")


def _unforeseen(_: Request, error: Exception) -> JSONResponse:
    """The trace goes to the server's log; the browser learns no path."""
    return refuse(500, "internal", "the studio failed on this; the reason is in the terminal that app.py runs in")


def install(app: FastAPI, runs: Path) -> None:
    """Every failure of a route leaves in the one shape."""

    def explained(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return problem(error, runs)

    app.add_exception_handler(Problem, explained)
    app.add_exception_handler(sqlite3.Error, _stores)
    app.add_exception_handler(OSError, _stores)
    app.add_exception_handler(RequestValidationError, _shape)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _cut_short)
    app.add_exception_handler(Exception, _unforeseen)


async def whole(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes] | None:
    """What an application answers, once it has said it to the end: how it starts, and the body. None where it says
    nothing, as to a browser that has hung up.
    """
    start: Message = {}
    body = bytearray()

    async def gather(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            body.extend(message.get("body", b""))

    await app(scope, receive, gather)
    return (start, bytes(body)) if start else None
