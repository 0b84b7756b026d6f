"""Shards of webdataset: train-000000.tar and so on, each with a table of what lies in it in manifest/.

A sample is a few files of one name: the picture, `.mask.png` (all areas, 0 and 255) and `.classes.png` (at each pixel
the class's place + 1, 0 where nothing is wrong, the later area above the earlier) where something is marked, `.json`.
Everything before the first dot of a name is its key, so a stem has none. The tar is stored, names no time and no owner,
and so the same samples make the same bytes.

The table is Parquet, or JSON lines where pyarrow is not installed. Knows no place that shards are put in.
"""

import hashlib
import importlib.util
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, cast

import numpy as np

from pipelines.core import images, layouts, png
from pipelines.core.layouts import shard_name
from pipelines.core.splits import PARTS
from pipelines.parts.contours import box
from pipelines.parts.datasets import Sample, Source
from pipelines.parts.exporters.book import Book, Entry, File, Files, Picture, ahead, json_line, mask_png, read
from pipelines.parts.exporters.captioned import caption
from pipelines.parts.exporters.coco import run_lengths

NO_PARQUET = "pyarrow is not installed, so the tables in manifest/ are JSON lines: requirements-scale.txt brings it"


class Out(Protocol):
    """What a shard is written into, from its start to its end."""

    def write(self, data: bytes, /) -> int: ...

    def tell(self) -> int: ...


@dataclass(frozen=True)
class Packed:
    """One sample as it goes into a shard."""

    key: str
    files: tuple[tuple[str, bytes], ...]
    """(ending, content), sorted."""
    row: dict[str, Any]


@dataclass(frozen=True)
class Written:
    """What a shard came to, an entry of shards.json."""

    shard: str
    samples: int
    bytes: int
    sha256: str


def save(entries: Sequence[Entry], book: Book) -> Files:
    """All shards, each whole in memory: for a data set that is packed at once."""
    listed = []
    for part in PARTS:
        own = [entry for entry in entries if entry.part == part]
        for number, first in enumerate(range(0, len(own), book.shard_size)):
            name, out, rows = shard_name(part, number), io.BytesIO(), list[dict[str, Any]]()
            for row in pack(own[first : first + book.shard_size], name, book, out):
                rows.append(row)
                yield []
            data = out.getvalue()
            listed.append(Written(name, len(rows), len(data), hashlib.sha256(data).hexdigest()))
            yield [File(f"{name}.tar", data), table(name, rows)]
    yield [shard_list(book, listed)]


def pack(entries: Iterable[Entry], shard: str, book: Book, out: Out) -> Iterator[dict[str, Any]]:
    """Writes the samples as one tar and gives the row of each once it is in. Raises Missing, BadInput."""
    with tarfile.open(fileobj=cast(Any, out), mode="w", format=tarfile.PAX_FORMAT) as tar:
        for one in ahead(lambda entry: _packed(entry, shard, book), entries):
            for ending, data in one.files:
                info = tarfile.TarInfo(f"{one.key}.{ending}")
                info.size, info.mode = len(data), 0o644  # its time and owner are 0 by themselves
                plain = info.name.isascii() and len(info.name) <= tarfile.LENGTH_NAME
                tar.format = tarfile.USTAR_FORMAT if plain else tarfile.PAX_FORMAT  # the same bytes, found sooner
                tar.addfile(info, io.BytesIO(data))
            yield one.row


def table_name(shard: str) -> str:
    return f"manifest/{shard}.{'parquet' if has_parquet() else 'jsonl'}"


def table(shard: str, rows: Sequence[Mapping[str, Any]]) -> File:
    """A shard's rows as Parquet, or as JSON lines where there is no pyarrow."""
    if not has_parquet():
        return File(table_name(shard), "".join(json_line(row) + "\n" for row in rows).encode())
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts, names = pa.string(), pa.list_(pa.string())
    adapters = pa.list_(pa.struct([("name", texts), ("sha256", texts), ("weight", pa.float64())]))
    kinds = {"classes": names, "seed": pa.int64(), "adapters": adapters}
    schema = pa.schema([(name, kinds.get(name, texts)) for name in COLUMNS])
    flat = [{**row, "scores": json_line(row["scores"])} for row in rows]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(flat, schema), out, compression="zstd")
    return File(table_name(shard), out.getvalue())


def has_parquet() -> bool:
    return importlib.util.find_spec("pyarrow") is not None


def shard_list(book: Book, shards: Iterable[Written]) -> File:
    """shards.json: the classes in order of their numbers, and each shard with its size and checksum."""
    listed = [{**asdict(one), "shard": f"{one.shard}.tar"} for one in shards]
    told = {"name": book.name, "classes": {name: number for number, name in enumerate(book.classes, 1)}}
    text = json.dumps({**told, "shards": listed}, ensure_ascii=False, indent=1)
    return File(layouts.SHARD_LIST, (text + "\n").encode())


COLUMNS = (
    "stem", "shard", "part", "classes", "defect", "caption", "seed", "base", "model_sha256", "adapters", "good",
    "source", "source_sha256", "request_sha256", "scores",
)  # fmt: skip
"""Of a row of the manifest: `defect` is what the picture is filed under, `good` the key of the picture it was made
from, `model_sha256` that of the base's weights as they are here, `request_sha256` that of the request in the PNG, word
for word; `scores` is JSON. What is not known is null."""


def key(stem: str) -> str:
    return stem.replace(".", "_")


def _packed(entry: Entry, shard: str, book: Book) -> Packed:
    picture = read(entry)
    row = _row(entry, picture, shard, book)
    found = {"png": picture.png}
    regions = []
    if entry.sample:
        found["mask.png"] = _union(entry.sample, picture)
        found["classes.png"] = images.encode_png(_classes(picture, book))
        regions = [
            _region(defect, mask, one.severity, book)
            for (defect, mask), one in zip(picture.masks, entry.sample.regions, strict=True)
        ]
    told = {name: value for name, value in row.items() if name not in ("stem", "shard")}
    told |= {"width": picture.width, "height": picture.height, "regions": regions}
    found["json"] = json_line(told).encode()
    return Packed(row["stem"], tuple(sorted(found.items())), row)


def _union(sample: Sample, picture: Picture) -> bytes:
    """The mask of all areas; that of a single one has been read and checked already."""
    if len(sample.regions) == 1 and sample.mask == sample.regions[0].mask:
        content = sample.regions[0].mask.read_bytes()
        return content if content.startswith(png.SIGNATURE) else images.encode_png(picture.masks[0][1])
    return mask_png(sample, picture)


def _row(entry: Entry, picture: Picture, shard: str, book: Book) -> dict[str, Any]:
    made = entry.of if isinstance(entry.of, Sample) else None
    facts = made.facts if made else {}
    source = entry.of if isinstance(entry.of, Source) else entry.of.source
    request = images.read_request(picture.png, entry.stem) if made else None
    classes = list(entry.sample.defects) if entry.sample else []
    base = facts.get("base")
    return {
        "stem": key(entry.stem),
        "shard": f"{shard}.tar",
        "part": entry.part,
        "classes": classes,
        "defect": layouts.filed(classes),
        "caption": caption(entry, book),
        "seed": facts.get("seed"),
        "base": base,
        "model_sha256": book.models.get(str(base)),
        "adapters": _adapters(request or {}),
        "good": key(book.goods[entry.good]) if entry.good is not None and entry.good in book.goods else None,
        "source": source.name if source else None,
        "source_sha256": source.sha256 if source else None,
        "request_sha256": hashlib.sha256(images.canonical(request).encode()).hexdigest() if request else None,
        "scores": dict(facts.get("scores") or {}),
    }


def _adapters(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a picture's own request says of them."""
    found = []
    for one in request.get("adapters") or ():
        path = one.get("path") if isinstance(one, Mapping) else None
        if isinstance(path, Mapping):
            found.append({"name": path.get("name"), "sha256": path.get("sha256"), "weight": one.get("weight")})
    return found


def _classes(picture: Picture, book: Book) -> np.ndarray:
    """uint8 HxW, uint16 where there are more than 255 classes."""
    wide = len(book.classes) > np.iinfo(np.uint8).max
    labels = np.zeros((picture.height, picture.width), np.uint16 if wide else np.uint8)
    for defect, mask in picture.masks:
        labels[mask] = book.number(defect) + 1
    return labels


def _region(defect: str, mask: np.ndarray, severity: float | None, book: Book) -> dict[str, Any]:
    left, top, right, bottom = box(mask)
    return {
        "defect": defect,
        "class": book.number(defect) + 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": int(mask.sum()),
        "segmentation": run_lengths(mask),
        "severity": severity,
    }
