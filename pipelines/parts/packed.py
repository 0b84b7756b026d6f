"""A project as files: what leaves when it is packed, and what is found when it is opened again. Knows no run.

`project.json` says what it is called, `pictures.jsonl` what is known of each picture, a line each, `files/` holds
pictures and masks by their asset ids, `drafts/` what is painted and is no run yet. An id is made of a file's content
and name, so a file that was changed on the way is found out.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.core import files, ids
from pipelines.core.assets import Asset, Assets
from pipelines.core.errors import BadInput, Missing
from pipelines.core.projects import Project
from pipelines.core.records import FIELDS, Record

KIND = "flawsmith-project-1"
PROJECT, PICTURES, FILES, DRAFTS = "project.json", "pictures.jsonl", "files", "drafts"
MOST_LINE = 2_000_000


@dataclass(frozen=True)
class Line:
    """One picture of a packed project."""

    record: Record
    names: dict[str, str]
    """What each of its files is called, by asset id: the picture's and its masks'."""


def fits(root: Path) -> bool:
    """Whether a folder is a packed project."""
    try:
        return bool(json.loads((root / PROJECT).read_text(encoding="utf-8")).get("kind") == KIND)
    except (OSError, ValueError, AttributeError):
        return False


def about(project: Project) -> bytes:
    """project.json: what it is called and what its form holds; no picture is open in it."""
    said = project.model_dump(mode="json", include={"name", "product", "form"})
    return json.dumps({"kind": KIND, **said}, ensure_ascii=False, indent=1).encode()


def said(root: Path) -> dict[str, Any]:
    """The same read: name, product and form. Raises BadInput."""
    try:
        data = json.loads((root / PROJECT).read_text(encoding="utf-8"))
        return {"name": str(data["name"]), "product": str(data["product"]), "form": dict(data["form"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{PROJECT} of {root.name} is damaged: pack the project again") from error


def of(record: Record, assets: Assets) -> tuple[bytes, list[Asset]]:
    """A picture's line, and its files. Raises Missing for one that is gone."""
    held = [assets.get(id) for id in dict.fromkeys([record.asset, *masks(record)])]
    line = {**asdict(record), "names": {one.id: one.name for one in held}}
    return json.dumps(line, ensure_ascii=False).encode(), held


def masks(record: Record) -> list[str]:
    """The assets that its labels are."""
    drawn = [str(one["mask"]) for one in json.loads(record.boxes or "[]") if one.get("mask")]
    return [*([record.mask] if record.mask else []), *drawn]


def file(asset: Asset) -> str:
    """Where it lies in the packed project."""
    return f"{FILES}/{asset.id}{asset.path.suffix}"


def lines(root: Path) -> Iterator[Line]:
    """The pictures in their order. Raises BadInput naming the line."""
    with files.reading(root / PICTURES, PICTURES) as file:
        for number, text in enumerate(file, 1):
            try:
                data: Any = json.loads(text) if len(text) <= MOST_LINE else None
                known = {name: str(data[name]) for name in ("asset", "name", *FIELDS)}
                yield Line(Record(**known), {str(id): str(name) for id, name in data["names"].items()})
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise BadInput(f"line {number} of {PICTURES} is no picture of ours: pack the project again") from error


def taken(line: Line, root: Path, assets: Assets) -> Asset:
    """Its files put into the store; returns the picture. Raises Missing, BadInput for one that was changed."""
    for id, name in line.names.items():
        if assets.put(found(root, id), name).id != id:
            raise BadInput(f"{name} was changed since the project was packed: pack it again")
    return assets.get(line.record.asset)


def found(root: Path, id: str) -> Path:
    """Where the file of an asset lies. Raises Missing."""
    here = sorted((root / FILES).glob(f"{id}.*")) if ids.ASSET.fullmatch(id) else []
    if not here:
        raise Missing(f"{id[:40]} is not in the packed project: pack it again")
    return here[0]
