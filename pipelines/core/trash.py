"""Frees the pictures that were deleted in review: their files go, and with them their lines in the manifest.

A picture's verdict goes last. What is killed on the way is still "deleted" then, shows nowhere else, and the next time
finishes it. Knows runs and the job table; nothing of the index of pictures.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core import files, ids, runs
from pipelines.core.errors import Problem
from pipelines.core.queue import Queue

FILES = ("file", "mask", "asked", "changed", "thumb")
FREED = "freed"
"""What a row without its files has instead: their names, so that what was begun can be finished."""


@dataclass(frozen=True)
class Freed:
    """What became of the trash."""

    pictures: int
    bytes: int
    runs: tuple[str, ...]
    """Those that had some."""
    waiting: int
    """Pictures of runs that are not over; they stay in the trash until then."""


def empty(queue: Queue) -> Freed:
    """Frees every picture that is deleted in a run that is over. Raises Problem while an export reads pictures."""
    if any(row.task == "export" and row.state == "running" for row in queue.open()):
        raise Problem("a data set is being written just now: empty the trash when it is done")
    pictures = size = waiting = 0
    touched = []
    for review in sorted(queue.runs.glob("*/review.json")):
        folder = review.parent
        if not ids.RUN.fullmatch(folder.name) or not queue.has(folder.name):
            continue
        deleted = [stem for stem, verdict in runs.verdicts(folder).items() if verdict == "deleted"]
        if deleted and not queue.get(folder.name).over:
            waiting += len(deleted)
        elif deleted:
            count, freed = _free(queue, folder)
            pictures, size = pictures + count, size + freed
            touched.append(folder.name)
    return Freed(pictures, size, tuple(touched), waiting)


def _free(queue: Queue, folder: Path) -> tuple[int, int]:
    """(pictures, bytes) of one run. Nobody decides about its pictures meanwhile."""
    with runs.deciding(folder) as verdicts:
        deleted = {stem for stem, verdict in verdicts.items() if verdict == "deleted"}
        names = _strike(queue, folder.name, deleted)
        if (folder / "manifest.jsonl").is_file():
            runs.list_finished(queue, folder.name)
        size = sum(_unlink(folder, name) for name in names)
        for stem in deleted:
            del verdicts[stem]
    return len(deleted), size


def _strike(queue: Queue, run: str, stems: Iterable[str]) -> list[str]:
    """Takes the files out of these pictures' rows, so that nothing lists them; returns the files' names."""
    wanted = {f"images/{stem}.png" for stem in stems}
    found: list[str] = []
    with queue.writing() as db:
        rows = db.execute("SELECT idx, row FROM item WHERE run=? AND state='done'", (run,)).fetchall()
        for index, row in ((one["idx"], json.loads(one["row"])) for one in rows):
            if row.get("file") in wanted:
                row = _without_files(row)
                text = json.dumps(row, ensure_ascii=False, sort_keys=True)
                db.execute("UPDATE item SET row=? WHERE run=? AND idx=?", (text, run, index))
            if wanted.intersection(row.get(FREED, ())):
                found += row[FREED]
    return found


def _without_files(row: Mapping[str, Any]) -> dict[str, Any]:
    regions = row.get("regions", [])
    names = [row[key] for key in FILES if key in row] + [region["mask"] for region in regions if "mask" in region]
    rest = {key: value for key, value in row.items() if key not in FILES}
    rest["regions"] = [{key: value for key, value in region.items() if key != "mask"} for region in regions]
    return {**rest, FREED: list(dict.fromkeys(names))}


def _unlink(folder: Path, name: str) -> int:
    """How many bytes there are more; none for a file that is gone already."""
    path = files.inside(folder, name)
    if not path.is_file():
        return 0
    size = path.stat().st_size
    with files.explained(path):
        path.unlink(missing_ok=True)
    return size
