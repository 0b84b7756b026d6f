"""The routes that look into the folders opened with --data: what they hold, and small pictures of it.

Knows names, sizes and thumbnails. What is taken in goes through studio.projects.
"""

import hashlib
from dataclasses import asdict
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from pipelines.core import images
from pipelines.core.errors import BadInput
from studio.context import Context
from studio.downloads import THUMB_PX

PAGE = 60
DECODING = 2

Root = Annotated[int, Query(description="The folder's number in `roots`")]
Place = Annotated[str, Query(max_length=1024, description="Below that folder, with /; empty for the folder itself")]


def router(context: Context) -> APIRouter:
    """Everything below /api/folders."""
    routes = APIRouter(prefix="/api/folders", tags=["folders"])
    decoding = anyio.CapacityLimiter(DECODING)
    no_such: dict[int | str, dict[str, Any]] = {404: {"description": "No such folder or picture"}}

    @routes.get("", summary="The folders that were opened; with `root` what one of them holds", responses=no_such)
    def look(
        root: Annotated[int | None, Query(description="The folder's number in `roots`")] = None,
        path: Place = "",
        first: Annotated[int, Query(ge=0, description="How many pictures to pass over")] = 0,
        limit: Annotated[int, Query(ge=1, le=200, description="How many pictures")] = PAGE,
    ) -> dict[str, Any]:
        roots = {"roots": context.folders.names()}
        if root is None:
            return roots
        found = context.folders.content(root, path)
        return {
            **roots,
            "root": root,
            "path": path,
            "folders": [asdict(one) for one in found.folders],
            "pictures": [asdict(one) for one in found.pictures[first : first + limit]],
            "first": first,
            "total": len(found.pictures),
        }

    @routes.get("/pictures", summary="The paths of a folder's pictures", responses=no_such)
    def pictures(
        root: Root,
        path: Place = "",
        deep: Annotated[bool, Query(description="Those in the folders below it too")] = False,
    ) -> dict[str, Any]:
        return {"paths": context.folders.pictures(root, path, deep=deep)}

    @routes.get("/thumb", summary="A small JPEG of a picture", response_class=Response, responses=no_such)
    async def thumb(root: Root, path: Place, if_none_match: Annotated[str | None, Header()] = None) -> Response:
        found = await anyio.to_thread.run_sync(context.folders.find, root, path)
        if not found.is_file():
            raise BadInput(f"{path} is no file: choose a picture")
        state = found.stat()
        tag = hashlib.sha256(f"{found}\n{state.st_mtime_ns}\n{state.st_size}".encode()).hexdigest()[:32]
        headers = {"ETag": f'"{tag}"', "Cache-Control": "private, no-cache"}
        if if_none_match == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        data = await anyio.to_thread.run_sync(_small, context, root, path, limiter=decoding)
        return Response(data, media_type="image/jpeg", headers=headers)

    return routes


def _small(context: Context, root: int, path: str) -> bytes:
    return images.thumbnail(images.read(context.folders.find(root, path)).pixels, side=THUMB_PX)
