"""Projects: which pictures belong together, which one is open, and what was filled in beside it. Knows no pixels.

`runs/projects/<id>/` holds project.json, `drafts/<asset>.json`: what is painted on a picture and is no run yet, and
the pictures with what is known of them (`records`). A change reads project.json, sets what it is about and writes it
whole, one writer at a time, so that two windows lose nothing of each other's. What this version does not know stays as
it is. A deleted project lies in `.deleted`.
"""

import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.core import files, ids, records
from pipelines.core.assets import Asset
from pipelines.core.errors import BadInput, Missing, Problem
from pipelines.core.records import Records, Step

ID = re.compile(r"project-[0-9a-f]{12}")
FILE = "project.json"
DELETED = ".deleted"
LOCK = ".lock"
LISTED = "pictures"
"""In project.json of versions that had no records: the pictures, in their order."""
MAX_NAME = 80
MAX_FORM = 64 * 1024
MAX_DRAFT = 8 * 2**20


class Project(BaseModel):
    """What project.json holds."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: str
    name: str
    made: float
    """Seconds since 1970, as is `changed`."""
    changed: float
    product: str = ""
    open: str = ""
    """The asset of the picture that is open."""
    form: dict[str, Any] = Field(default_factory=dict)
    """What the controls of the page hold; theirs alone to understand."""


@dataclass(frozen=True)
class Listing:
    """Every project, newest change first, and a sentence for each that cannot be read."""

    projects: tuple[Project, ...]
    damaged: tuple[str, ...]


@dataclass(frozen=True)
class Added:
    """What came of adding pictures: asset ids, in the order they were given."""

    project: Project
    added: tuple[str, ...]
    already: tuple[str, ...]
    """Those that the project had before."""


class Projects:
    """The projects of a runs folder. Several threads and processes may use it at once."""

    def __init__(self, runs: Path) -> None:
        self.folder = runs / "projects"

    # -- looking

    def get(self, id: str) -> Project:
        """The project of that id. Raises Missing, Problem for one that is damaged."""
        folder = self._place(id)
        try:
            data = json.loads((folder / FILE).read_bytes())
            listed = data.pop(LISTED, ())
            found = Project.model_validate({**data, "id": id})
        except FileNotFoundError as error:
            raise Missing(f"there is no project {id}: it was deleted, or never made") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        except (ValueError, TypeError, RecursionError):
            why = "it is no JSON of ours"
        except OSError as error:
            raise Problem(f"{FILE} of {id} cannot be read ({error.strerror}): check who may read it") from error
        else:
            if listed and not (folder / records.FILE).exists():
                Records(folder).adopt(listed)
            return found
        raise Problem(f"the project {id} is damaged ({why}): mend its {FILE}, or move its folder away")

    def every(self) -> Listing:
        """All of them; a damaged one costs its own sentence and no other."""
        found, damaged = [], []
        for path in sorted(self.folder.glob(f"*/{FILE}")):
            if ID.fullmatch(path.parent.name):
                try:
                    found.append(self.get(path.parent.name))
                except Missing:  # deleted between the list and the look
                    continue
                except Problem as problem:
                    damaged.append(str(problem))
        return Listing(tuple(sorted(found, key=lambda one: (-one.changed, one.id))), tuple(damaged))

    def newest(self, id: str = "") -> Project | None:
        """The project of that id where it is there and sound, else the one changed last; None where there is none."""
        found = self.every().projects
        return next((one for one in found if one.id == id), found[0] if found else None)

    # -- making, changing, deleting

    def create(self, name: str) -> Project:
        """A new one, empty. Raises BadInput for a name that cannot be shown."""
        with self._alone():
            return self._create(name)

    def settle(self, id: str, name: str) -> Project:
        """What `newest` finds; where there is no project at all, a new one of that name, made once however many ask."""
        with self._alone():
            return self.newest(id) or self._create(name)

    def change(
        self,
        id: str,
        *,
        name: str | None = None,
        product: str | None = None,
        open: str | None = None,
        form: Mapping[str, Any] | None = None,
    ) -> Project:
        """Sets what is given and leaves the rest; of `form` the values that are named. Raises Missing, BadInput."""
        said: dict[str, Any] = {}
        if name is not None:
            said["name"] = _line(name, "name")
        if product is not None:
            said["product"] = _line(product, "product") if product else ""

        def changed(project: Project) -> Project:
            if open and not self.records(id).has(open):
                raise Missing(f"{open[:40]!r} is no picture of the project {project.name}: add it first")
            more: dict[str, Any] = {} if open is None else {"open": open}
            if form is not None:
                more["form"] = _bounded({**project.form, **form})
            return project.model_copy(update={**said, **more})

        return self._changed(id, changed)

    def records(self, id: str) -> Records:
        """Its pictures, and what is known of each. Raises Missing."""
        folder = self._place(id)
        if not (folder / FILE).is_file():
            raise Missing(f"there is no project {id}: it was deleted, or never made")
        return Records(folder)

    def add(self, id: str, assets: Iterable[Asset], facts: Mapping[str, Mapping[str, str]] | None = None) -> Added:
        """Adds pictures at the end, with what is known of them by asset id. Raises Missing, BadInput for too many."""
        added, already = self.records(id).add(assets, facts)
        return Added(self._changed(id, lambda project: project, touch=bool(added)), added, already)

    def remove(self, id: str, assets: Sequence[str]) -> Step:
        """Takes pictures out; `records(id).undo()` puts them back. What is painted on them stays. Raises Missing."""
        done = self.records(id).remove(assets)

        def changed(project: Project) -> Project:
            return project.model_copy(update={"open": ""}) if project.open in assets else project

        self._changed(id, changed, touch=bool(done.count))
        return done

    def delete(self, id: str) -> None:
        """Moves a project aside, with all that is painted in it. Raises Missing."""
        with self._alone():
            self._move(self._place(id), self.folder / DELETED / id, id)

    def restore(self, id: str) -> Project:
        """Takes a deletion back. Raises Missing."""
        with self._alone():
            self._move(self.folder / DELETED / self._place(id).name, self._place(id), id)
        return self.get(id)

    # -- what is painted and is no run yet

    def draft(self, id: str, asset: str) -> bytes | None:
        """The JSON kept for a picture, as it was given; None where there is none. Raises Missing, Problem."""
        path = self._draft(id, asset)
        if not path.is_file():
            return None
        with files.reading(path, path.name) as file:
            return file.read()

    def keep_draft(self, id: str, asset: str, data: bytes) -> None:
        """Keeps JSON for a picture, instead of what was kept before; `null` forgets it. Raises Missing, BadInput."""
        path = self._draft(id, asset)
        if len(data) > MAX_DRAFT:
            raise BadInput(f"what is painted takes {files.size(len(data))}; up to {files.size(MAX_DRAFT)} are kept")
        try:
            empty = json.loads(data, parse_constant=_no_number) is None
        except (ValueError, RecursionError) as error:
            raise BadInput(f"what is painted came as no JSON ({error}): reload the page") from error
        if empty:
            path.unlink(missing_ok=True)
            return
        with files.explained(path):
            path.parent.mkdir(exist_ok=True)
        files.write_bytes(path, data)

    # -- inside

    def _place(self, id: str) -> Path:
        if not ID.fullmatch(id):
            raise Missing(f"{id[:40]!r} is no project")
        return self.folder / id

    def _draft(self, id: str, asset: str) -> Path:
        folder = self._place(id)
        if not (folder / FILE).is_file():
            raise Missing(f"there is no project {id}: it was deleted, or never made")
        if not ids.ASSET.fullmatch(asset):
            raise Missing(f"{asset[:40]!r} is no picture")
        return folder / "drafts" / f"{asset}.json"

    def _create(self, name: str) -> Project:
        now, id = time.time(), f"project-{secrets.token_hex(6)}"
        project = Project(id=id, name=_line(name, "name"), made=now, changed=now)
        with files.explained(self.folder / id):
            (self.folder / id).mkdir()
        self._write(project)
        return project

    def _changed(self, id: str, change: Callable[[Project], Project], *, touch: bool = False) -> Project:
        with self._alone():
            before = self.get(id)
            after = change(before)
            if after == before and not touch:
                return before
            after = after.model_copy(update={"changed": max(time.time(), before.changed)})
            self._write(after)
            return after

    def _write(self, project: Project) -> None:
        files.write_json(self.folder / project.id / FILE, project.model_dump(mode="json"))

    def _move(self, here: Path, there: Path, id: str) -> None:
        if not here.is_dir():
            raise Missing(f"there is no project {id}: it was deleted, or never made")
        files.move(here, there)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with files.explained(self.folder / LOCK):
            self.folder.mkdir(parents=True, exist_ok=True)
        with files.locked(self.folder / LOCK):
            yield


def _line(text: str, field: str) -> str:
    """A name on one line, in any script. Raises BadInput."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    if not line:
        raise BadInput(f"the {field} is empty: give the project a name like Housing, camera 2", field)
    if len(line) > MAX_NAME:
        raise BadInput(f"the {field} has {len(line)} characters; up to {MAX_NAME} are shown: shorten it", field)
    return line


def _bounded(form: dict[str, Any]) -> dict[str, Any]:
    try:
        length = len(json.dumps(form, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, TypeError, RecursionError) as error:
        raise BadInput(f"the form holds what no JSON can ({error}): use numbers and text only", "form") from error
    if length > MAX_FORM:
        raise BadInput(f"the form takes {files.size(length)}; up to {files.size(MAX_FORM)} are kept", "form")
    return form


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")
