"""The page at /docs: /openapi.json made readable. FastAPI's own pages load from a CDN; this one lies beside this file.

Knows nothing of what the routes do.
"""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

from studio.head import LOOK

FOLDER = Path(__file__).parent
FILES = {
    FOLDER / "docs.css": "text/css",
    FOLDER / "docs.js": "text/javascript",
    LOOK: "text/javascript",
}

router = APIRouter(include_in_schema=False)


@router.get("/docs")
def page() -> FileResponse:
    """The page itself."""
    return FileResponse(FOLDER / "docs.html", media_type="text/html")


def _serve(path: Path, kind: str) -> None:
    @router.get(f"/docs/{path.name}", name=path.name)
    def part() -> FileResponse:
        return FileResponse(path, media_type=kind)


for _path, _kind in FILES.items():
    _serve(_path, _kind)
