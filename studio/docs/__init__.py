"""The page at /docs: /openapi.json made readable. FastAPI's own pages load from a CDN; this one lies beside this file.

Knows nothing of what the routes do.
"""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

FOLDER = Path(__file__).parent
FILES = {"docs.css": "text/css", "docs.js": "text/javascript"}

router = APIRouter(include_in_schema=False)


@router.get("/docs")
def page() -> FileResponse:
    """The page itself."""
    return FileResponse(FOLDER / "docs.html", media_type="text/html")


def _serve(name: str, kind: str) -> None:
    @router.get(f"/docs/{name}", name=name)
    def part() -> FileResponse:
        return FileResponse(FOLDER / name, media_type=kind)


for _name, _kind in FILES.items():
    _serve(_name, _kind)
