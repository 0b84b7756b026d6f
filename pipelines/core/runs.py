"""A run: the folder that answers a request, and the hand a task works with. Knows the queue; not what a task does."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipelines.core import files, images
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Cancelled, Missing
from pipelines.core.queue import Owner, Queue
from pipelines.core.requests import Request

Verdict = Literal["kept", "discarded", "deleted"]
"""Deleted: out of sight and out of every export. It can be undone until core/trash frees the files."""
FAN_OUT = 1000
ASIDE = "aside"
"""The folder of pictures that a batch set aside, and what their rows say the reason under. No data set looks there."""
FAILED = "failed"
"""What the row of a try that made no picture says the sentence under."""
TICK_S = 0.1
PREVIEW_S = 0.25

_JUDGING = threading.Lock()  # two keys in a row are two threads; each reads the file and writes it anew


@dataclass(frozen=True)
class Painted:
    """One finished picture: what was made, both masks, and what is known about it."""

    picture: np.ndarray
    """HxW or HxWx3, uint8 or uint16."""
    asked: np.ndarray
    """bool HxW: what was painted."""
    changed: np.ndarray
    """bool HxW: what differs from the source."""
    label: Literal["changed", "asked"]
    regions: Sequence[tuple[np.ndarray, Mapping[str, Any]]]
    """Each area's label mask and its facts (defect, severity, ...)."""
    request: Mapping[str, Any]
    """What goes into the picture's metadata."""
    row: Mapping[str, Any]
    """What goes into the manifest beside the file names."""


@dataclass(frozen=True)
class Laid:
    """A finished picture as it goes on the disk: its files by their place in the run's folder, and its manifest row."""

    files: Mapping[str, bytes]
    row: dict[str, Any]

    def aside(self) -> "Laid":
        """The same below `aside/`, where no data set looks."""
        return Laid({f"{ASIDE}/{name}": data for name, data in self.files.items()}, self._moved(self.row))

    def _moved(self, value: Any) -> Any:
        """Names of its files, wherever they stand in the row, as they are called there."""
        if isinstance(value, str):
            return f"{ASIDE}/{value}" if value in self.files else value
        if isinstance(value, Mapping):
            return {key: self._moved(one) for key, one in value.items()}
        return [self._moved(one) for one in value] if isinstance(value, list) else value


def laid(stem: str, painted: Painted) -> Laid:
    """A painted picture, its masks and its thumbnail under that stem. Equal pictures give equal bytes."""
    row: dict[str, Any] = {"file": f"images/{stem}.png", "mask": f"masks/{stem}.png", **painted.row}
    other = "asked" if painted.label == "changed" else "changed"
    masks = {"asked": painted.asked, "changed": painted.changed}
    row[other] = f"masks/{stem}.{other}.png"
    drawn = {row["mask"]: masks[painted.label], row[other]: masks[other]}
    row["regions"] = []
    for number, (mask, facts) in enumerate(painted.regions, start=1):
        file = row["mask"] if len(painted.regions) == 1 else f"masks/{stem}.r{number}.png"
        drawn.setdefault(file, mask)
        row["regions"].append({"mask": file, **facts})
    encoded = {file: images.encode_png(mask) for file, mask in drawn.items()}
    return _with_picture(stem, encoded, row, painted.picture, painted.request)


def laid_whole(stem: str, picture: np.ndarray, request: Mapping[str, Any], row: Mapping[str, Any]) -> Laid:
    """A picture that was made whole: it has no mask and shows no defect that is known of."""
    whole = {"file": f"images/{stem}.png", "defect": "", "regions": [], **row}
    return _with_picture(stem, {}, whole, picture, request)


def _with_picture(
    stem: str, encoded: dict[str, bytes], row: dict[str, Any], picture: np.ndarray, request: Mapping[str, Any]
) -> Laid:
    row["thumb"] = f"thumbs/{stem}.jpg"
    encoded[row["file"]] = images.encode_png(picture, request=dict(request))
    encoded[row["thumb"]] = images.thumbnail(picture)
    return Laid(encoded, row)


class Run:
    """A claimed run: `items` walks what is left, `save` commits a picture, `tick` reports and raises Cancelled."""

    def __init__(
        self, queue: Queue, id: str, request: Request, owner: Owner, between: Callable[[], None] | None = None
    ) -> None:
        self.id = id
        self.request = request
        self.folder = queue.runs / id
        self.assets = Assets(queue.runs)
        self._queue = queue
        self._owner = owner
        self._between = between
        self._told = 0.0
        self._shown = 0.0
        self._finished = self._still_there(queue.finished(id))
        if self.folder.exists():
            files.sweep(self.folder)  # what a killed worker left half-written
        with files.explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "request.json").exists():
            files.write_json(self.folder / "request.json", request.model_dump(mode="json"))

    def _still_there(self, rows: Mapping[int, Mapping[str, Any]]) -> set[int]:
        """The items whose files lie where they were put; the others, removed by hand, are made again."""
        found = set()
        for index, row in rows.items():
            if all((self.folder / row[key]).is_file() for key in ("file", "mask") if key in row):
                found.add(index)
            else:
                self._queue.forget_item(self.id, self._owner, index)
        return found

    def items(self, count: int) -> Iterator[int]:
        """The indices still to do. Between two items Stop is heard and more urgent runs go first."""
        for (index,) in self.batches(count, 1):
            yield index

    def batches(self, count: int, size: int) -> Iterator[list[int]]:
        """The indices still to do, up to `size` at a time; between two batches as between two items.

        A batch never reaches over a multiple of `size`: taken up again, a run goes on with the rest of a batch.
        """
        left = (index for index in range(count) if index not in self._finished)
        for _, found in groupby(list(left), lambda index: index // size):
            self.give_way()
            self.tick(len(self._finished), count, force=True)
            batch = list(found)
            for index in batch:
                self.begin(index)
            yield batch

    def finished(self) -> dict[int, dict[str, Any]]:
        """The rows of what is committed, by index; those whose files were removed are not among them."""
        return {index: row for index, row in self._queue.finished(self.id).items() if index in self._finished}

    def begin(self, index: int) -> None:
        """Count an attempt at an item before it is made. Raises Quarantined after three deaths on it, LostLease."""
        self._queue.start_item(self.id, self._owner, index)

    def give_way(self) -> None:
        """Where standing still does no harm, between two items or in a long one: more urgent runs go first."""
        if self._between is not None:
            self._between()

    def tick(
        self,
        done: int,
        total: int,
        note: str = "",
        preview: np.ndarray | Callable[[], np.ndarray] | None = None,
        *,
        force: bool = False,
    ) -> None:
        """Report progress, at most ten times a second. Raises Cancelled after Stop, LostLease after a takeover.

        A preview that takes work is given as a function, called only when one is due.
        """
        now = time.monotonic()
        if preview is not None and now - self._shown >= PREVIEW_S:
            shown = preview() if callable(preview) else preview
            files.write_bytes(self.folder / "preview.jpg", images.thumbnail(shown, side=512))
            self._shown = now
        if not force and now - self._told < TICK_S:
            return
        self._told = now
        if self._queue.progress(self.id, self._owner, done, total, note):
            raise Cancelled(self.id)

    def log(self, **fields: Any) -> None:
        """One line in log.jsonl."""
        line = json.dumps({"time": round(time.time(), 3), **fields}, ensure_ascii=False, default=str)
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    def rewind(self, keep: Callable[[Mapping[str, Any]], bool]) -> None:
        """Takes the lines out of log.jsonl that `keep` turns down, and one that a killed process left half-written."""
        path = self.folder / "log.jsonl"
        if not path.exists():
            return
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                if keep(json.loads(line)):
                    kept.append(line + "\n")
        files.write_bytes(path, "".join(kept).encode())

    def save(self, index: int, painted: Painted) -> dict[str, Any]:
        """Write picture, masks and thumbnail, then commit the item. After a kill in between it is made again, equal."""
        return self.put(index, laid(name(index, self.request.length()), painted))

    def save_whole(
        self, index: int, picture: np.ndarray, request: Mapping[str, Any], row: Mapping[str, Any]
    ) -> dict[str, Any]:
        """As `save`, for a picture that was made whole: it has no mask and shows no defect that is known of."""
        return self.put(index, laid_whole(name(index, self.request.length()), picture, request, row))

    def put(self, index: int, done: Laid) -> dict[str, Any]:
        """Write the files of a finished picture, then commit the item. Returns its row."""
        for file, data in done.files.items():
            path = self.folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_bytes(path, data)
        self.commit(index, done.row)
        return done.row

    def keep_picture(self, file: str, pixels: np.ndarray) -> str:
        """Write a PNG that explains a picture and is none itself; returns `file`, its place in the run's folder."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        images.write_png(path, pixels)
        return file

    def commit(self, index: int, row: Mapping[str, Any]) -> None:
        """Commit an item whose files, if it has any, are on the disk."""
        done = len(self._finished) + (index not in self._finished)
        self._queue.finish_item(self.id, self._owner, index, dict(row), done)
        self._finished.add(index)

    def rows(self) -> list[dict[str, Any]]:
        """The manifest so far."""
        return self._queue.rows(self.id)

    def write_manifest(self) -> None:
        """manifest.jsonl from the committed items."""
        list_finished(self._queue, self.id)

    def bring_up_to_date(self, names: Sequence[str]) -> None:
        """Other runs of this folder, by id or path, that are not over get a manifest of what they finished so far."""
        for name in names:
            folder = self._queue.runs / Path(name).name
            if not (folder.is_dir() and self._queue.has(folder.name)):
                continue
            if not (self._queue.get(folder.name).over and (folder / "manifest.jsonl").exists()):
                list_finished(self._queue, folder.name)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write result.json, the last file of a run."""
        (self.folder / "preview.jpg").unlink(missing_ok=True)
        files.write_json(self.folder / "result.json", {"task": self.request.task, **result})


class Beside(Run):
    """The same run in a process that computes along with the one that answers it: it writes and says nothing."""

    def __init__(self, runs: Path, request: Request) -> None:
        """`folder` is set by whoever hears of it from the process that answers."""
        self.id, self.request = "", request
        self.folder = runs
        self.assets = Assets(runs)

    def begin(self, index: int) -> None: ...

    def give_way(self) -> None: ...

    def tick(self, *said: Any, **more: Any) -> None: ...

    def log(self, **fields: Any) -> None: ...

    def rewind(self, keep: Callable[[Mapping[str, Any]], bool]) -> None: ...

    def commit(self, index: int, row: Mapping[str, Any]) -> None: ...

    def finish(self, result: Mapping[str, Any]) -> None: ...


def list_finished(queue: Queue, id: str) -> None:
    """A run's manifest.jsonl from its committed items."""
    lines = (json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in queue.rows(id) if listed(row))
    files.write_bytes(queue.runs / id / "manifest.jsonl", "".join(lines).encode())


def listed(row: Mapping[str, Any]) -> bool:
    """Whether an item is a picture of a data set: not one that was set aside, nor one that is no picture."""
    return "file" in row and ASIDE not in row


def name(index: int, count: int) -> str:
    """`00000`, or `000/00000` in a run of more than a thousand pictures."""
    return f"{index:05d}" if count <= FAN_OUT else f"{index // FAN_OUT:03d}/{index:05d}"


def verdicts(folder: Path) -> dict[str, Verdict]:
    """What a person decided about a run's pictures, by the picture's stem."""
    path = folder / "review.json"
    if not path.exists():
        return {}
    found: dict[str, Verdict] = json.loads(path.read_text(encoding="utf-8"))
    return found


def judge(folder: Path, changes: Mapping[str, Verdict | None]) -> dict[str, Verdict]:
    """Decide about pictures by their stems, or (None) take a decision back. All or none. Raises Missing, BadInput."""
    for verdict in changes.values():
        if verdict not in ("kept", "discarded", "deleted", None):
            raise BadInput(
                f"verdict {verdict!r}: choose kept, discarded or deleted, or nothing to take it back", "verdict"
            )
    with deciding(folder) as found:
        for stem, verdict in changes.items():
            if not files.inside(folder / "images", f"{stem}.png").is_file():
                raise Missing(f"run {folder.name} has no picture {stem}")
            if verdict is None:
                found.pop(stem, None)
            else:
                found[stem] = verdict
    return found


@contextmanager
def deciding(folder: Path) -> Iterator[dict[str, Verdict]]:
    """A run's verdicts, for one at a time to change; kept when the block ends well, else as they were."""
    with _JUDGING:
        found = verdicts(folder)
        yield found
        files.write_json(folder / "review.json", found)
