"""Finished pictures as samples: what a data set is made of. Knows a run's folder, not the formats they leave in."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def load_runs(data: Sequence[str], root: Path, *, kept_only: bool, only: Sequence[str] = ()) -> list[Sample]:
    """The samples of runs, in the order asked and made. `data` are ids of runs in `root`, or run folders elsewhere.

    What was discarded or deleted in review stays out; with `kept_only` so does what nobody judged; with `only`
    ("RUN/00000") so does every picture it does not name. Raises Missing, BadInput.
    """
    folders: dict[Path, str] = {}
    for name in data:
        folder = _folder(name, root)
        if folder in folders:
            raise BadInput(
                f"data names the run {folder.name} twice, as {folders[folder]!r} and {name!r}: leave one out", "data"
            )
        folders[folder] = name
    wanted = {folder: {stem for run, stem in map(_picture, only) if run == folder.name} for folder in folders}
    strangers = sorted({run for run, _ in map(_picture, only)} - {folder.name for folder in folders})
    if strangers:
        raise BadInput(
            f"only: data does not name the run {strangers[0]}: add it there, or leave its pictures out", "only"
        )
    samples = [
        sample
        for folder in folders
        for sample in load_run(folder, kept_only=kept_only, only=wanted[folder] if only else None)
    ]
    if not samples:
        named = ", ".join(folder.name for folder in folders)
        reason = (
            "nothing was kept in review: keep some pictures, or export with kept_only = false"
            if kept_only
            else "the pictures named are discarded, or not there: keep some of them, or name others"
            if only
            else ("every picture was discarded, or none is finished: generate some first")
        )
        raise BadInput(f"there is nothing to export from {named}: {reason}", "data")
    return samples


def load_run(folder: Path, *, kept_only: bool = False, only: set[str] | None = None) -> Iterator[Sample]:
    """The samples of one run's folder, of the stems in `only` where that is given. Raises Missing, BadInput."""
    verdicts = runs.verdicts(folder)
    for number, row in _rows(folder / "manifest.jsonl"):
        stem = str(row["file"]).removeprefix("images/").removesuffix(".png")
        verdict = verdicts.get(stem)
        if (verdict == "kept" or (verdict is None and not kept_only)) and (only is None or stem in only):
            yield _sample(folder, number, row)


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


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise _broken(path, number, f"is not JSON ({error.msg})") from error
        if not isinstance(row, dict) or not isinstance(row.get("file"), str):
            raise _broken(path, number, "names no file")
        yield number, row


def _sample(folder: Path, number: int, row: Mapping[str, Any]) -> Sample:
    manifest = folder / "manifest.jsonl"

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
    facts = {key: row[key] for key in ("seed", "base", "caption", "scores") if key in row}
    cut = row.get("cut")
    return Sample(folder.name, image, mask, regions, found, facts, str(cut["sha256"]) if isinstance(cut, dict) else "")


def _broken(path: Path, number: int, what: str) -> BadInput:
    return BadInput(
        f"line {number} of {path.name} in run {path.parent.name} {what}: make the run again, or leave it out", "data"
    )
