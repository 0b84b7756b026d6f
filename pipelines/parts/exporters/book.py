"""What every format is made from: the entries of a data set, read and checked, and the files that come of them.

Knows no format, and not whether the files end in a folder or in a ZIP.
"""

import csv
import io
import json
import os
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from pipelines.core import headers, images, png
from pipelines.core.errors import BadInput, Missing
from pipelines.core.splits import PARTS, Part
from pipelines.parts.datasets import Sample, Source

THREADS = 4

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class File:
    """One file of an export."""

    name: str
    """Relative, with forward slashes. A name that ends in one is an empty folder that the format wants to be there."""
    data: bytes = b""


Files = Generator[list[File], None, None]
"""What a format's `save` gives: the files of one entry after the other, and last those about all of them."""


@dataclass(frozen=True)
class Entry:
    """A picture of the data set: a sample, or the good picture that samples were made from."""

    stem: str
    """Its file name without ending; no two entries share one."""
    part: Part
    of: Sample | Source
    good: Source | None = None
    """What a sample was made from, where the good pictures are to leave too."""

    @property
    def sample(self) -> Sample | None:
        """The picture with a defect that it is; None for a good one, also where that was made whole."""
        return self.of if isinstance(self.of, Sample) and self.of.regions else None


@dataclass(frozen=True)
class Book:
    """What holds for the data set as a whole."""

    name: str
    classes: tuple[str, ...]
    """Sorted; a class's number is its place here."""
    segmentation: Literal["rle", "polygon"] = "rle"
    pairs: bool = True
    shard_size: int = 1000
    goods: Mapping[Source, str] = field(default_factory=dict)
    """The stem of each good picture that leaves beside what was made from it."""
    models: Mapping[str, str] = field(default_factory=dict)
    """The sha256 of each base's weights, as far as it is known."""

    def number(self, defect: str) -> int:
        return self.classes.index(defect)


@dataclass(frozen=True)
class Picture:
    """An entry read: the PNG that leaves, and its labels as bool HxW."""

    png: bytes
    height: int
    width: int
    channels: Literal[1, 3]
    masks: tuple[tuple[str, np.ndarray], ...] = ()
    """(defect, mask) of each region."""


def read(entry: Entry) -> Picture:
    """A sample's PNG as the run wrote it, byte for byte, and its masks; a good picture written anew, without metadata.

    Raises Missing, BadInput.
    """
    if isinstance(entry.of, Source):
        return _picture(good_png(entry.of), entry.of.name)
    sample, bare = entry.of, _picture(_bytes(entry.of), f"{entry.of.image.name} of run {entry.of.run}")
    return replace(bare, masks=tuple((one.defect, read_mask(one.mask, sample, bare)) for one in sample.regions))


def read_mask(path: Path, sample: Sample, picture: Picture) -> np.ndarray:
    """bool HxW, as large as the sample's picture and not empty. Raises Missing, BadInput."""
    return images.read_mask(path, (picture.height, picture.width), name=f"{path.name} of run {sample.run}")


def mask_png(sample: Sample, picture: Picture) -> bytes:
    """The mask of all areas of a sample that has some, as the run wrote it. Raises Missing, BadInput."""
    assert sample.mask is not None
    mask = read_mask(sample.mask, sample, picture)
    content = sample.mask.read_bytes()
    return content if content.startswith(png.SIGNATURE) else images.encode_png(mask.astype(np.uint8) * 255)


def good_png(source: Source) -> bytes:
    """The good picture in its own depth, without metadata. Raises Missing, BadInput."""
    return images.encode_png(images.read(source.path(), name=source.name).pixels)


def _bytes(sample: Sample) -> bytes:
    """The picture as it lies there, where that is an upright PNG; a photograph is written anew, in its own depth."""
    try:
        content = sample.image.read_bytes()
        header = headers.read(io.BytesIO(content), sample.image.name)
        if header.format == "png" and header.orientation == 1:
            return content
        return images.encode_png(images.read(sample.image).pixels)
    except FileNotFoundError as error:
        raise Missing(f"{sample.image.name} of run {sample.run} is gone: put it back, or leave this run out") from error


def _picture(content: bytes, name: str) -> Picture:
    """A run checked its pictures when it made them; here only what has happened to the file since is looked for."""
    header = headers.read(io.BytesIO(content), name)
    png.check(content, name)
    return Picture(content, header.height, header.width, 3 if header.colour == "rgb" else 1)


def ahead(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`work` of each item, in order, a few done ahead in threads: reading and coding leave Python's lock alone."""
    threads = min(THREADS, os.cpu_count() or 1)
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def json_line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def lines_file(name: str, lines: Iterable[str]) -> File:
    return File(name, "".join(line + "\n" for line in lines).encode())


def csv_file(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> File:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([cell(value) for value in row] for row in rows)
    return File(name, text.getvalue().encode())


def cell(value: object) -> object:
    """Text that a spreadsheet would run as a formula gets an apostrophe before it; numbers stay numbers."""
    if isinstance(value, str) and value.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        return "'" + value
    return "" if value is None else value


def lists_files(entries: Sequence[Entry], place: Callable[[Entry], str]) -> list[File]:
    """train.txt, val.txt and test.txt: which pictures are of which part, where the layout has no parts of its own."""
    return [lines_file(f"{part}.txt", [place(entry) for entry in entries if entry.part == part]) for part in PARTS]


def spare(book: Book, taken: Collection[str], title: str) -> None:
    """Raises BadInput where a class has a name, in whatever case, that means something else in a layout."""
    for name in book.classes:
        if name.casefold() in taken:
            raise BadInput(
                f"a defect is named {name!r}, which means something else in {title}: rename it, or choose another"
                " format",
                "format",
            )


def pairs_file(book: Book, entries: Sequence[Entry], place: Callable[[Entry], str]) -> list[File]:
    """pairs.csv: beside each picture the good one it was made from. `place` tells where an entry's picture lies."""
    if not book.pairs:
        return []
    goods = {entry.of: place(entry) for entry in entries if isinstance(entry.of, Source)}
    rows = [
        (
            place(entry),
            goods[entry.good],
            entry.part,
            "+".join(entry.sample.defects),
            entry.good.name,
            entry.good.sha256,
        )
        for entry in entries
        if entry.sample and entry.good
    ]
    return [csv_file("pairs.csv", ("picture", "good", "split", "defect", "source", "source_sha256"), rows)]
