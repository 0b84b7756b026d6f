"""Takes a picture in and gives back the id that requests name it by. Knows the asset store; nothing of runs.

The body is never held in memory whole, and never where its sender says: it goes to a nameless temporary file, is looked
at by content, and only then kept. How large it may be is the guard's business.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile

from pipelines.core import adapter_facts, files, images
from pipelines.core.assets import Asset
from pipelines.core.errors import BadInput
from studio.context import Context

CHUNK = 2**20
DECODING = 2  # a picture of 40 megapixels is up to 240 MB while it is looked at

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
    decoding = anyio.CapacityLimiter(DECODING)

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
