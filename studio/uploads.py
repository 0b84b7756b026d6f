"""Takes a picture in and gives back the id that requests name it by. Knows the asset store; nothing of runs.

The body is never held in memory whole, and never where its sender says: it goes to a nameless temporary file, is looked
at by content, and only then kept. How large it may be is the guard's business.
"""

import re
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

import anyio
import anyio.to_thread
from fastapi import APIRouter, Query, Request
from starlette.datastructures import UploadFile

from pipelines.core import adapter_facts, datasets, extract, files, images
from pipelines.core.assets import Asset
from pipelines.core.errors import BadInput, Missing
from studio.context import Context
from studio.guard import MAX_WEIGHTS

CHUNK = 2**20
DECODING = 2  # a picture of 40 megapixels is up to 240 MB while it is looked at
MOST_ZIP = MAX_WEIGHTS
ZIP_ID = re.compile(r"zip-[0-9a-f]{16}")
PART = ".zip.part"
FORGOTTEN_S = 24 * 3600
"""How long the part of a ZIP that came waits for the rest."""

BODIES: dict[str, Any] = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["file"],
            "properties": {"file": {"type": "string", "format": "binary", "description": "The file itself"}},
        }
    },
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
}


def named(name: str | None) -> str:
    """What the sender calls its file. Raises BadInput when it does not say."""
    if not name:
        raise BadInput("the upload has no file name: send it as form field `file`, or name it in X-Filename", "file")
    return files.plain_name(name)


def router(context: Context) -> APIRouter:
    """POST /api/uploads."""
    routes = APIRouter(tags=["files"])
    decoding, unpacking = anyio.CapacityLimiter(DECODING), anyio.CapacityLimiter(1)

    @routes.post(
        "/api/uploads",
        status_code=201,
        summary="Upload a picture or a mask",
        description="As multipart field `file`, or as the bare body with its name (percent-encoded) in X-Filename. "
        "The same content under the same name is the same asset.",
        openapi_extra={"requestBody": {"required": True, "content": BODIES}},
        responses={
            413: {"description": "Larger than may be sent"},
            422: {"description": "No picture, or too large a one"},
        },
    )
    async def upload(request: Request) -> dict[str, Any]:
        return await taken(request, keep)

    @routes.post(
        "/api/uploads/adapter",
        status_code=201,
        summary="Upload an adapter: a LoRA, DoRA or textual-inversion file",
        description="As pictures are uploaded. A file that holds no adapter this studio can apply is not kept.",
        openapi_extra={"requestBody": {"required": True, "content": BODIES}},
        responses={
            413: {"description": "Larger than may be sent"},
            422: {"description": "No adapter, or one that cannot be applied"},
        },
    )
    async def upload_adapter(request: Request) -> dict[str, Any]:
        return await taken(request, keep_adapter)

    home = context.runs / "datasets"
    extract.sweep(home)  # nobody unpacks there yet

    @routes.post(
        "/api/uploads/zip",
        status_code=201,
        summary="Upload a data set as a ZIP, whole or piece by piece; the last piece unpacks it",
        description="The bare body, its name (percent-encoded) in X-Filename. A large ZIP comes in pieces: the first "
        "is answered with the `upload` that the next ones name, each says where it begins, the last has `last`. "
        "That one is answered with the data set's `id`, for the tasks `check`, `ingest` and every training.",
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/zip": BODIES["application/octet-stream"]}}
        },
        responses={
            404: {"description": "No such upload"},
            413: {"description": "Larger than may be sent"},
            422: {"description": "No ZIP, or one that may not be unpacked"},
        },
    )
    async def upload_zip(
        request: Request,
        upload: Annotated[str, Query(max_length=40)] = "",
        at: Annotated[int, Query(ge=0)] = 0,
        last: bool = True,
    ) -> dict[str, Any]:
        name = named(unquote(request.headers.get("x-filename", "")))
        part = await anyio.to_thread.run_sync(_part, home, upload, at)
        size = await _more(request, part, name)
        if not last:
            return {"upload": part.name.removesuffix(PART), "bytes": size}
        return await anyio.to_thread.run_sync(_unpacked, context, part, name, limiter=unpacking)

    @routes.delete("/api/uploads/zip/{upload}", summary="Give up a ZIP of which pieces came")
    def give_up(upload: str) -> dict[str, str]:
        if ZIP_ID.fullmatch(upload):
            (home / f"{upload}{PART}").unlink(missing_ok=True)
        return {"upload": upload}

    async def taken(request: Request, kept: Callable[[Context, Path, str], dict[str, Any]]) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="flawsmith-upload-") as folder:
            path = Path(folder) / "upload"
            if request.headers.get("content-type", "").startswith("multipart/form-data"):
                name = await _from_form(request, path)
            else:
                name = named(unquote(request.headers.get("x-filename", "")))
                await _from_body(request, path)
            return await anyio.to_thread.run_sync(kept, context, path, name, limiter=decoding)

    return routes


async def _from_form(request: Request, path: Path) -> str:
    async with request.form(max_files=1, max_fields=8) as form:
        sent = form.get("file")
        if not isinstance(sent, UploadFile):
            raise BadInput("the form has no file in its field `file`", "file")
        name = named(sent.filename)
        async with await anyio.open_file(path, "wb") as out:
            while chunk := await sent.read(CHUNK):
                await out.write(chunk)
        return name


async def _from_body(request: Request, path: Path) -> None:
    async with await anyio.open_file(path, "wb") as out:
        async for chunk in request.stream():
            await out.write(chunk)


def _part(home: Path, upload: str, at: int) -> Path:
    """Where the pieces of a ZIP are put together, as far as they came. Raises BadInput, Missing."""
    if upload:
        part = home / f"{upload}{PART}"
        if not ZIP_ID.fullmatch(upload) or not part.exists():
            raise Missing("what came of this ZIP is not here any more: send it again from its start")
        if (here := part.stat().st_size) != at:
            raise BadInput(f"the next piece of this ZIP begins at {here}, not at {at}: send that one", "at")
        return part
    if at:
        raise BadInput("a piece of a ZIP that is not its first names its upload", "upload")
    with files.explained(home):
        home.mkdir(exist_ok=True)
    for left in home.glob(f"zip-*{PART}"):
        if time.time() - left.stat().st_mtime > FORGOTTEN_S:
            left.unlink(missing_ok=True)
    return home / f"zip-{secrets.token_hex(8)}{PART}"


async def _more(request: Request, part: Path, name: str) -> int:
    """Puts a piece behind those that came; how many bytes there are now. A piece that is cut short is taken back."""
    begin = size = part.stat().st_size if part.exists() else 0
    try:
        with files.explained(part.with_name(name)):
            async with await anyio.open_file(part, "ab") as out:
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > MOST_ZIP:
                        most = files.size(MOST_ZIP)
                        raise BadInput(f"{name} is larger than {most}: start the studio with --data and its folder")
                    await out.write(chunk)
    except BaseException:
        if part.exists():
            with part.open("r+b") as out:
                out.truncate(begin)
        if not begin:
            part.unlink(missing_ok=True)
        raise
    return size


def _unpacked(context: Context, part: Path, name: str) -> dict[str, Any]:
    """The data set that a ZIP holds; nothing of the ZIP stays. Raises BadInput, DiskFull, Problem."""
    try:
        root = extract.unpack(part, part.with_name(part.name.removesuffix(PART)), name)
    finally:
        part.unlink(missing_ok=True)
    made = datasets.put(context.runs, root, name)
    return {"id": made.id, "label": made.label}


def keep(context: Context, path: Path, name: str) -> dict[str, Any]:
    """Looks at a file by content and keeps it as an asset. Raises BadInput when it is no picture the studio reads."""
    picture = images.read(path, name=name)
    asset: Asset = context.assets.put(path, name)
    return {
        "asset": asset.id,
        "name": asset.name,
        "sha256": asset.sha256,
        "bytes": asset.bytes,
        "width": picture.width,
        "height": picture.height,
        "bits": picture.bits,
        "grey": picture.grey,
        "request": carries_request(asset.path),
    }


def keep_adapter(context: Context, path: Path, name: str) -> dict[str, Any]:
    """Looks at an adapter file by its names and shapes and keeps it. Raises BadInput when it cannot be applied."""
    facts = adapter_facts.read(path, name)
    asset = context.assets.put(path, name)
    return {
        "asset": asset.id,
        "name": asset.name,
        "sha256": asset.sha256,
        "bytes": asset.bytes,
        "facts": facts.model_dump(mode="json"),
    }


def carries_request(path: Path) -> bool:
    """Whether a picture holds the request it was made from. A damaged one counts: restoring it says what is wrong."""
    try:
        return images.read_request(path) is not None
    except BadInput:
        return True
