"""A plain folder: images/, masks/, regions/ and good/ by one name, and a manifest as JSON lines and as a table."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pipelines.parts.datasets import Sample
from pipelines.parts.exporters.book import (
    THREADS,
    Book,
    Entry,
    File,
    Files,
    ahead,
    csv_file,
    good_png,
    json_line,
    lines_file,
    read,
    read_mask,
)

COLUMNS = (
    "file",
    "mask",
    "good",
    "split",
    "defect",
    "seed",
    "base",
    "caption",
    "width",
    "height",
    "source",
    "source_sha256",
)


def save(entries: Sequence[Entry], book: Book) -> Files:
    """images/x.png, masks/x.png, regions/x.r1.png ..., and the good picture it was made from as good/x.png."""
    good = lru_cache(maxsize=THREADS)(good_png)  # forty pictures of one part ask for the same good one forty times
    rows = []

    def one(pair: tuple[Entry, Sample]) -> tuple[list[File], dict[str, Any]]:
        entry, sample = pair
        picture = read(entry)
        files = [File(f"images/{entry.stem}.png", picture.png)]
        if sample.mask is not None:
            read_mask(sample.mask, sample, picture)
            files.append(File(f"masks/{entry.stem}.png", sample.mask.read_bytes()))
        regions = []
        for number, region in enumerate(sample.regions, start=1):
            files.append(File(f"regions/{entry.stem}.r{number}.png", region.mask.read_bytes()))
            regions.append({"mask": files[-1].name, "defect": region.defect, "severity": region.severity})
        row = {
            "file": files[0].name,
            **({"mask": files[1].name} if sample.mask is not None else {}),
            "split": entry.part,
            "width": picture.width,
            "height": picture.height,
            "defect": "+".join(sample.defects),
            "regions": regions,
            **sample.facts,
        }
        if sample.source:
            row["source"] = {"name": sample.source.name, "sha256": sample.source.sha256}
        if entry.good:
            files.append(File(f"good/{entry.stem}.png", good(entry.good)))
            row["good"] = files[-1].name
        return files, row

    for files, row in ahead(one, [(entry, entry.of) for entry in entries if isinstance(entry.of, Sample)]):
        rows.append(row)
        yield files
    yield [
        lines_file("manifest.jsonl", (json_line(row) for row in rows)),
        csv_file("manifest.csv", COLUMNS, [[_flat(row).get(column) for column in COLUMNS] for row in rows]),
    ]


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    source = row.get("source", {})
    return {**row, "source": source.get("name"), "source_sha256": source.get("sha256")}
