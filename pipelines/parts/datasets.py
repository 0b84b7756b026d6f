"""Finished pictures as samples: what a data set is made of. Knows a run's folder, not the formats they leave in."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.core import files, runs
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Missing


@dataclass(frozen=True)
class Region:
    """One labelled area of a picture."""

    mask: Path
    """8-bit PNG as large as the picture; above 127 is the defect."""
    defect: str
    severity: float | None = None


@dataclass(frozen=True)
class Source:
    """The good picture that something was made from."""

    assets: Path
    """The runs folder whose asset store holds it."""
    asset: str
    name: str
    sha256: str

    def path(self) -> Path:
        """Raises Missing."""
        return Assets(self.assets).get(self.asset).path


@dataclass(frozen=True)
class Sample:
    """A picture with its label."""

    run: str
    """The name of the folder it comes from."""
    image: Path
    mask: Path | None
    """All regions in one; None where nothing is marked: the picture was made whole, and counts as a good one."""
    regions: tuple[Region, ...]
    source: Source | None
    """None: made from nothing but words."""
    facts: Mapping[str, Any]
    """seed, base, caption and scores, as far as the run recorded them."""
    group: str = ""
    """What it was cut or taken from, where that is no good picture."""

    @property
    def defects(self) -> tuple[str, ...]:
        """Each kind once, in the order of the regions."""
        return tuple(dict.fromkeys(region.defect for region in self.regions))

    @property
    def origin(self) -> str:
        """What must not be spread over train, val and test: the source's content, else the picture itself."""
        stem = self.image.with_suffix("").as_posix().rpartition("/images/")[2]
        return self.source.sha256 if self.source else self.group or f"{self.run}/{stem}"


class Glance(NamedTuple):
    """What is known of a picture without opening a file of it; as `Sample` says."""

    origin: str
    defects: tuple[str, ...]
    source: Source | None
    base: Any


@dataclass(frozen=True)
class Wanted:
    """Which pictures of a run leave, by their stems."""

    kept_only: bool = False
    """Only what was kept in review; what was discarded or deleted never leaves."""
    only: frozenset[str] | None = None
    without: frozenset[str] = frozenset()


class Line(NamedTuple):
    """A picture as its run's manifest has it."""

    number: int
    """From 1 on."""
    offset: int
    """Where the line begins, in bytes."""
    row: dict[str, Any]

    @property
    def stem(self) -> str:
        return str(self.row["file"]).removeprefix("images/").removesuffix(".png")


def load_runs(
    data: Sequence[str], root: Path, *, kept_only: bool, only: Sequence[str] = (), without: Sequence[str] = ()
) -> list[Sample]:
    """The samples of runs, in the order asked and made. `data` are ids of runs in `root`, or run folders elsewhere.

    What was discarded or deleted in review stays out; with `kept_only` so does what nobody judged; with `only`
    ("RUN/00000") so does every picture it does not name, and what `without` names in any case.

    Raises Missing, BadInput.
    """
    wanted = choose(data, root, kept_only=kept_only, only=only, without=without)
    samples = [sample for folder, which in wanted.items() for sample in load_run(folder, which)]
    if not samples:
        raise nothing(wanted)
    return samples


def choose(
    data: Sequence[str], root: Path, *, kept_only: bool, only: Sequence[str] = (), without: Sequence[str] = ()
) -> dict[Path, Wanted]:
    """The runs' folders, and what of each leaves, as `load_runs` takes it. Raises Missing, BadInput."""
    folders: dict[Path, str] = {}
    for name in data:
        folder = _folder(name, root)
        if folder in folders:
            raise BadInput(
                f"data names the run {folder.name} twice, as {folders[folder]!r} and {name!r}: leave one out", "data"
            )
        folders[folder] = name
    strangers = sorted({run for run, _ in map(_picture, only)} - {folder.name for folder in folders})
    if strangers:
        raise BadInput(
            f"only: data does not name the run {strangers[0]}: add it there, or leave its pictures out", "only"
        )
    named, barred = _by_run(only), _by_run(without)
    return {
        folder: Wanted(
            kept_only,
            frozenset(named.get(folder.name, ())) if only else None,
            frozenset(barred.get(folder.name, ())),
        )
        for folder in folders
    }


def nothing(wanted: Mapping[Path, Wanted]) -> BadInput:
    """Why no picture of these runs leaves."""
    named = ", ".join(folder.name for folder in wanted)
    reason = (
        "nothing was kept in review: keep some pictures, or export with kept_only = false"
        if any(which.kept_only for which in wanted.values())
        else "the pictures named are discarded, or not there: keep some of them, or name others"
        if any(which.only is not None for which in wanted.values())
        else ("every picture was discarded, or none is finished: generate some first")
    )
    return BadInput(f"there is nothing to export from {named}: {reason}", "data")


def load_run(folder: Path, wanted: Wanted | None = None) -> Iterator[Sample]:
    """The samples of one run's folder that leave. Raises Missing, BadInput."""
    for line, leaves in lines(folder, wanted or Wanted()):
        if leaves:
            yield sample(folder, line)


def lines(folder: Path, wanted: Wanted) -> Iterator[tuple[Line, bool]]:
    """Each picture of a run's manifest, and whether it leaves; one at a time. Raises BadInput."""
    verdicts = runs.verdicts(folder)
    for line in _lines(folder / "manifest.jsonl"):
        stem, verdict = line.stem, verdicts.get(line.stem)
        judged = verdict == "kept" or (verdict is None and not wanted.kept_only)
        named = (wanted.only is None or stem in wanted.only) and stem not in wanted.without
        yield line, judged and named


def line_at(folder: Path, number: int, offset: int) -> Line:
    """The line that begins there. Raises BadInput."""
    path = folder / "manifest.jsonl"
    with path.open("rb") as file:
        file.seek(offset)
        return Line(number, offset, _row(path, number, file.readline()))


def _by_run(pictures: Sequence[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for run, stem in map(_picture, pictures):
        found.setdefault(run, set()).add(stem)
    return found


def _picture(name: str) -> tuple[str, str]:
    """RUN/00000 or RUN/000/00000 -> the run's name and the picture's stem."""
    run, _, stem = name.partition("/")
    return run, stem


def _folder(name: str, root: Path) -> Path:
    inside = root / name
    folder = inside if Path(name).name == name and inside.is_dir() else Path(name)
    if not folder.is_dir():
        raise Missing(f"data: there is no run {name!r} in {root.name}, and no folder of that name")
    if not (folder / "manifest.jsonl").is_file():
        raise Missing(
            f"data: {folder.name} holds no manifest.jsonl, so it is no finished run: let it end, or name another"
        )
    return folder.resolve()


def _lines(path: Path) -> Iterator[Line]:
    """Without what a batch set aside, which no manifest should name."""
    offset = 0
    with path.open("rb") as file:
        for number, text in enumerate(file, start=1):
            row = _row(path, number, text)
            if runs.ASIDE not in row:
                yield Line(number, offset, row)
            offset += len(text)


def _row(path: Path, number: int, text: bytes) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        raise _broken(path, number, f"is not JSON ({error.msg})") from error
    if not isinstance(row, dict) or not isinstance(row.get("file"), str):
        raise _broken(path, number, "names no file")
    return row


def sample(folder: Path, line: Line) -> Sample:
    """A picture of a run, whose files are all there. Raises Missing, BadInput."""
    manifest, number, row = folder / "manifest.jsonl", line.number, line.row

    @cache  # a single area is the whole mask, and would be looked for twice
    def path(file: str) -> Path:
        found = files.inside(folder, file)
        if not found.is_file():
            raise Missing(
                f"{file} of run {folder.name} is gone, but its manifest lists it: put it back, or leave this run out"
            )
        return found

    try:
        regions = tuple(
            Region(path(region["mask"]), str(region["defect"]), region.get("severity")) for region in row["regions"]
        )
        image, source = path(row["file"]), row.get("source")
        mask = path(row["mask"]) if regions or "mask" in row else None
        found = Source(folder.parent, source["asset"], source["name"], source["sha256"]) if source else None
    except KeyError as error:
        raise _broken(manifest, number, f"lacks {error.args[0]!r}") from error
    except (TypeError, AttributeError) as error:
        raise _broken(manifest, number, f"is not as a run writes it ({error})") from error
    if mask is not None and not regions:
        raise _broken(manifest, number, "lists no region")
    facts: dict[str, Any] = {key: row[key] for key in ("seed", "base", "caption", "scores") if key in row}
    return Sample(folder.name, image, mask, regions, found, facts, _group(row))


def glance(folder: Path, line: Line) -> Glance:
    """What deals a picture, read from its line alone: no file is looked for. Raises BadInput."""
    row = line.row
    try:
        source = row.get("source")
        found = Source(folder.parent, source["asset"], source["name"], source["sha256"]) if source else None
        defects = tuple(dict.fromkeys(str(region["defect"]) for region in row["regions"]))
    except KeyError as error:
        raise _broken(folder / "manifest.jsonl", line.number, f"lacks {error.args[0]!r}") from error
    except (TypeError, AttributeError) as error:
        raise _broken(folder / "manifest.jsonl", line.number, f"is not as a run writes it ({error})") from error
    origin = found.sha256 if found else _group(row) or f"{folder.name}/{line.stem}"
    return Glance(origin, defects, found, row.get("base"))


def _group(row: Mapping[str, Any]) -> str:
    cut = row.get("cut")
    return str(cut["sha256"]) if isinstance(cut, dict) else ""


def _broken(path: Path, number: int, what: str) -> BadInput:
    return BadInput(
        f"line {number} of {path.name} in run {path.parent.name} {what}: make the run again, or leave it out", "data"
    )
