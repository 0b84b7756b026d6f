"""The library of adapters: named LoRA, DoRA and textual-inversion files that stay with the studio. Opens no weight.

`runs/adapters/<id>.json` holds what is known of one; its file is an asset. Each is written whole, one writer at a time.
A deleted one lies in `.deleted` for a week; its file stays where it is, as finished pictures name it.
"""

import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.core import adapter_facts, files, ids
from pipelines.core.adapter_facts import Facts
from pipelines.core.adapter_names import EMBEDDINGS_FILE, WEIGHTS_FILE
from pipelines.core.assets import Asset, Assets
from pipelines.core.errors import BadInput, Missing, Problem

ID = re.compile(r"adapter-[0-9a-f]{12}")
DUAL_FILE = "dual.safetensors"
"""What a training of pairs calls its model, which is no adapter: nothing but `dual` can use it."""
DELETED = ".deleted"
LOCK = ".lock"
KEPT_S = 7 * 24 * 3600
MOST_ADAPTERS = 1000
MOST_NAME, MOST_TRIGGER, MOST_TRIGGERS, MOST_SAMPLES, MOST_NOTE = 60, 120, 20, 8, 1000

Trigger = Annotated[str, Field(max_length=MOST_TRIGGER)]


class Entry(BaseModel):
    """An adapter of the library."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    name: str
    asset: str
    file: str
    """What its file is called."""
    sha256: str
    bytes: int
    facts: Facts
    """As the file says them."""
    triggers: tuple[str, ...] = ()
    base: str = ""
    """What it was trained on; the file's own word until somebody writes another."""
    note: str = ""
    samples: tuple[str, ...] = ()
    """Pictures that somebody chose for it: asset ids."""
    made: float
    """When it came here, in seconds since 1970."""
    run: str | None = None
    """The run that trained it."""


class Change(BaseModel):
    """What to set; what is left out stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: str | None = None
    triggers: Annotated[tuple[Trigger, ...], Field(max_length=MOST_TRIGGERS)] | None = None
    base: Annotated[str, Field(max_length=MOST_TRIGGER)] | None = None
    note: Annotated[str, Field(max_length=MOST_NOTE)] | None = None
    samples: Annotated[tuple[str, ...], Field(max_length=MOST_SAMPLES)] | None = None


@dataclass(frozen=True)
class Listing:
    """Every adapter, newest first, and a sentence for each that cannot be read."""

    entries: tuple[Entry, ...]
    damaged: tuple[str, ...]


class Library:
    """The library below a runs folder. Several threads and processes may use it at once."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self.folder = runs / "adapters"

    # -- looking

    def get(self, id: str) -> Entry:
        """The adapter of that id. Raises Missing, Problem for one that is damaged."""
        path = self._place(id)
        try:
            return Entry.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise _missing(id) from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            why = f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
            raise Problem(f"the adapter {id} is damaged ({why}): mend its {path.name}, or delete that file") from error
        except OSError as error:
            raise Problem(f"{path.name} cannot be read ({error.strerror}): check who may read it") from error

    def every(self) -> Listing:
        """All of them; a damaged one costs its own sentence and no other."""
        found, damaged = [], []
        for path in sorted(self.folder.glob("*.json")):
            if ID.fullmatch(path.stem):
                try:
                    found.append(self.get(path.stem))
                except Missing:  # deleted between the list and the look
                    continue
                except Problem as problem:
                    damaged.append(str(problem))
        return Listing(tuple(sorted(found, key=lambda one: (-one.made, one.id))), tuple(damaged))

    def named(self, name: str) -> Entry:
        """The adapter that `<lora:name>` in a prompt means, by name or id. Raises BadInput naming what there is."""
        if ID.fullmatch(name) and self._place(name).is_file():
            return self.get(name)
        entries = self.every().entries
        wanted = name.casefold()
        for entry in entries:
            if wanted in (entry.name.casefold(), Path(entry.file).stem.casefold()):
                return entry
        known = ", ".join(entry.name for entry in entries[:20]) or "none yet"
        raise BadInput(f"the prompt names an adapter {name[:60]!r} that the library has not; it has {known}", "prompt")

    # -- making, changing, deleting

    def add(self, asset: Asset, name: str | None = None, run: str | None = None) -> Entry:
        """Takes an adapter file in; one that is there already stays as it is. Raises BadInput when it is no adapter."""
        facts = adapter_facts.read(asset.path, asset.name)
        with self._alone():
            entries = self.every().entries
            for entry in entries:
                if entry.sha256 == asset.sha256:
                    return entry
            if len(entries) >= MOST_ADAPTERS:
                raise BadInput(f"the library holds {MOST_ADAPTERS} adapters and that is full: delete some of them")
            taken = {one.name.casefold() for one in entries}
            entry = Entry(
                id=f"adapter-{secrets.token_hex(6)}",
                name=_free(_line(name), taken) if name else _free(_plain(facts.name), taken),
                asset=asset.id,
                file=asset.name,
                sha256=asset.sha256,
                bytes=asset.bytes,
                facts=facts,
                triggers=facts.triggers,
                base=facts.base[:MOST_TRIGGER],
                made=time.time(),
                run=run,
            )
            self._write(entry)
        return entry

    def change(self, id: str, change: Change) -> Entry:
        """Sets what is given. Raises Missing, BadInput for a name that another has or that a prompt cannot hold."""
        said: dict[str, Any] = {key: value for key, value in change if value is not None}
        if change.name is not None:
            said["name"] = _line(change.name)
        if change.triggers is not None:
            said["triggers"] = tuple(dict.fromkeys(word for word in change.triggers if word))
        for sample in change.samples or ():
            if Assets(self.runs).get(sample).kind != "image":
                raise BadInput(f"samples: {sample} is no picture: upload one first", "samples")
        with self._alone():
            entry = self.get(id)
            others = {one.name.casefold() for one in self.every().entries if one.id != id}
            if said.get("name", "").casefold() in others:
                raise BadInput(f"another adapter is called {said['name']}: choose another name", "name")
            entry = entry.model_copy(update=said)
            self._write(entry)
        return entry

    def delete(self, id: str) -> None:
        """Moves an adapter aside, and forgets those that have lain there for a week. Raises Missing."""
        aside = self.folder / DELETED
        with self._alone():
            self._move(self._place(id), aside / f"{id}.json")
            (aside / f"{id}.json").touch()
            for old in aside.glob("adapter-*.json"):
                if time.time() - old.stat().st_mtime > KEPT_S:
                    old.unlink(missing_ok=True)

    def restore(self, id: str) -> Entry:
        """Takes a deletion back. Raises Missing when it was not deleted, or more than a week ago."""
        with self._alone():
            self._move(self.folder / DELETED / self._place(id).name, self._place(id))
            return self.get(id)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with files.explained(self.folder / LOCK):
            self.folder.mkdir(parents=True, exist_ok=True)
        with files.locked(self.folder / LOCK):
            yield

    def _write(self, entry: Entry) -> None:
        files.write_json(self._place(entry.id), entry.model_dump(mode="json"))

    def _place(self, id: str) -> Path:
        if not ID.fullmatch(id):
            raise _missing(id)
        return self.folder / f"{id}.json"

    def _move(self, here: Path, there: Path) -> None:
        if not here.is_file():
            raise _missing(here.stem)
        files.move(here, there)


def of_run(runs: Path, run: str) -> Path:
    """The adapter that a run trained. Raises Missing when the run is not finished, or trained none."""
    folder = runs / run
    if not ids.RUN.fullmatch(run) or not folder.is_dir():
        raise Missing(f"there is no run {run[:40]!r}: name a run that trained an adapter")
    if not (folder / "result.json").is_file():
        raise Missing(f"run {run} is not finished: wait for it, or name another adapter")
    found = [folder / "weights" / name for name in (WEIGHTS_FILE, EMBEDDINGS_FILE)]
    path = next((one for one in found if one.is_file()), None)
    if path is None:
        raise Missing(f"run {run} made no adapter (weights/{WEIGHTS_FILE}): name a run that trained one")
    return path


def dual_of_run(runs: Path, run: str) -> Path:
    """The model of pairs that a run trained. Raises Missing when the run is not finished, or trained none."""
    folder = runs / run
    path = folder / "weights" / DUAL_FILE
    if not ids.RUN.fullmatch(run) or not folder.is_dir():
        raise Missing(f"there is no run {run[:40]!r}: name a finished train-dual")
    if not (folder / "result.json").is_file():
        raise Missing(f"run {run} is not finished: wait for it, or name another train-dual")
    if not path.is_file():
        raise Missing(f"run {run} made no model of pairs (weights/{DUAL_FILE}): name a finished train-dual")
    return path


def words_of_run(runs: Path, run: str) -> Path | None:
    """The new words that a run learned beside its adapter, if it did."""
    adapter, words = (runs / run / "weights" / name for name in (WEIGHTS_FILE, EMBEDDINGS_FILE))
    return words if adapter.is_file() and words.is_file() else None


def asset_of(assets: Assets, value: str) -> Asset | None:
    """The file that an adapter's id, an asset's id or a run's id stands for; None for anything else.

    Raises Missing, and BadInput where the file holds no adapter.
    """
    if ID.fullmatch(value):
        return assets.get(Library(assets.runs).get(value).asset)
    if ids.RUN.fullmatch(value):
        path = of_run(assets.runs, value)
        return assets.put(path, path.name)
    if ids.ASSET.fullmatch(value):
        return assets.get(value)
    return None


def samples(rows: Sequence[tuple[str, str]], entries: Sequence[Entry]) -> dict[str, list[str]]:
    """Entry id -> the runs that used it, in the order of `rows`: (run id, its request as text)."""
    found: dict[str, list[str]] = {entry.id: [] for entry in entries}
    for run, request in rows:
        for entry in entries:
            if entry.asset in request:
                found[entry.id].append(run)
    return found


def _missing(id: str) -> Missing:
    return Missing(f"there is no adapter {id[:40]!r} in the library: it was deleted, or never added")


def _plain(name: str) -> str:
    """A file's own name as a name for the library: without what a prompt's tag cannot hold."""
    line = " ".join(re.sub(r"[<>:]", " ", "".join(one if one.isprintable() else " " for one in name)).split())
    return line[:MOST_NAME].strip() or "adapter"


def _line(name: str) -> str:
    """A name on one line, in any script. Raises BadInput."""
    line = " ".join("".join(one if one.isprintable() else " " for one in name).split())
    if not line:
        raise BadInput("the adapter has no name: give it one, like rust on steel", "name")
    if len(line) > MOST_NAME:
        raise BadInput(f"the name has {len(line)} characters; up to {MOST_NAME} are shown: shorten it", "name")
    if re.search("[<>:]", line):
        raise BadInput(f"the name {line!r} has a <, > or : in it, which a prompt cannot name: leave it out", "name")
    return line


def _free(name: str, taken: set[str]) -> str:
    """The name, or the name and a number where another adapter has it."""
    found, number = name, 2
    while found.casefold() in taken:
        end = f" {number}"
        found, number = name[: MOST_NAME - len(end)] + end, number + 1
    return found
