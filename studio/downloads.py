"""Serves the files of runs and assets, by id and name. The one way out for a file; knows nothing of what made it.

Only pictures, text and data are shown in the browser; everything else is saved, so that nothing a user brought in can
run as a page of this server.
"""

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import anyio
import anyio.to_thread
from fastapi import APIRouter, Header, Query
from starlette.responses import FileResponse, Response

from pipelines.core import files, ids, images
from pipelines.core.errors import DiskFull, Missing
from studio.context import Context

SHOWN = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".json": "application/json",
    ".jsonl": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}
SAVED = {".zip": "application/zip", ".csv": "text/csv; charset=utf-8"}
NEVER_CHANGES = ("images", "masks", "thumbs")
DECODING = 2
AT_ONCE_BYTES = 8_000_000  # what is still being replaced is read whole, up to this: a preview, a list, a log
THUMB_PX = 256  # of an upload this copy is kept: a page of photographs takes seconds to decode


def locate(context: Context, id: str, name: str) -> tuple[Path, bool]:
    """The file, and whether its content is settled for ever. Raises Missing, BadInput for a name leading elsewhere."""
    if ids.ASSET.fullmatch(id):
        asset = context.assets.get(id)
        if name != asset.name:
            raise Missing(f"asset {id} has no file {name[:200]!r}; it has {asset.name}")
        return asset.path, True
    if not ids.RUN.fullmatch(id):
        raise Missing(f"{id[:80]!r} is no run and no asset; GET /api/runs lists the runs")
    context.queue.get(id)
    path = files.inside(context.runs / id, name)
    if any(part.startswith(".") for part in Path(name).parts) or not path.is_file():
        raise Missing(f"run {id} has no file {name[:200]!r}")
    return path, name.split("/", 1)[0] in NEVER_CHANGES


def _tag(path: Path, side: int | None, exact: bool) -> str:
    found = path.stat()
    return (
        '"'
        + hashlib.sha256(f"{path.name}\n{found.st_mtime_ns}\n{found.st_size}\n{side}\n{exact}".encode()).hexdigest()[
            :32
        ]
        + '"'
    )


def _send(path: Path, name: str, settled: bool, headers: dict[str, str]) -> Response:
    """A file that may be replaced at any moment is read in one go: its length and its bytes must be of one edition."""
    kind = path.suffix.lower()
    shown = kind in SHOWN
    if shown and not settled and path.stat().st_size <= AT_ONCE_BYTES:
        return Response(path.read_bytes(), media_type=SHOWN[kind], headers=headers)
    return FileResponse(
        path,
        headers=headers,
        media_type=SHOWN.get(kind) or SAVED.get(kind, "application/octet-stream"),
        filename=Path(name).name,
        content_disposition_type="inline" if shown else "attachment",
    )


def _smaller(path: Path, side: int, exact: bool, kept: Path | None, headers: dict[str, str]) -> Response:
    """`kept` is where the copy lies, or will lie from now on."""
    if exact:
        data = images.encode_png(images.smaller(images.read(path).pixels, side))
        return Response(data, media_type="image/png", headers=headers)
    if kept is not None and kept.is_file():
        return FileResponse(kept, media_type="image/jpeg", headers=headers)
    data = images.thumbnail(images.read(path).pixels, side=side)
    if kept is not None:
        with suppress(DiskFull):  # looking goes on without it
            files.write_bytes(kept, data)
    return Response(data, media_type="image/jpeg", headers=headers)


def router(context: Context) -> APIRouter:
    """GET /files/{id}/{name}."""
    routes = APIRouter(tags=["files"])
    decoding = anyio.CapacityLimiter(DECODING)

    @routes.head("/files/{id}/{name:path}", include_in_schema=False)
    @routes.get(
        "/files/{id}/{name:path}",
        summary="A file of a run, or an uploaded file, by id and name",
        description="With `side` a JPEG of the picture, at most that many pixels wide and high: "
        "what a browser can show of a 16-bit TIFF. With `exact` too it is a PNG of those pixels, without loss.",
        response_class=FileResponse,
        responses={304: {"description": "What you have is still true"}, 404: {"description": "No such file"}},
    )
    async def download(
        id: str,
        name: str,
        side: Annotated[int | None, Query(ge=16, le=2048, description="Longest side of the JPEG, in pixels")] = None,
        exact: Annotated[bool, Query(description="With `side`: a PNG")] = False,
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        path, settled = await anyio.to_thread.run_sync(locate, context, id, name)
        tag = _tag(path, side, exact)
        headers = {
            "ETag": tag,
            "Cache-Control": "private, max-age=31536000, immutable" if settled else "private, no-cache",
        }
        if if_none_match and tag in [one.strip().removeprefix("W/") for one in if_none_match.split(",")]:
            return Response(status_code=304, headers=headers)
        if side is None:
            try:
                return await anyio.to_thread.run_sync(_send, path, name, settled, headers)
            except FileNotFoundError as error:  # a run that ends takes its preview away
                raise Missing(f"run {id} has no file {name[:200]!r}") from error
        kept = path.with_name("thumb.jpg") if side == THUMB_PX and ids.ASSET.fullmatch(id) else None
        return await anyio.to_thread.run_sync(_smaller, path, side, exact, kept, headers, limiter=decoding)

    return routes
