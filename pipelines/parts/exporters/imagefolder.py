"""Hugging Face's imagefolder: train/<kind>/x.png, and train/metadata.jsonl with label, mask, kinds and caption.

The folders alone are what torchvision and others take for classes, so the masks lie outside of them. A column that is
empty in one part has another type there, and `datasets` refuses that: each picture has every column, a good one a black
mask. In a set without any defect there are no masks.
"""

from collections.abc import Sequence

import numpy as np

from pipelines.core import images, layouts
from pipelines.core.splits import PARTS
from pipelines.parts.exporters.book import (
    Book,
    Entry,
    File,
    Files,
    ahead,
    json_line,
    lines_file,
    mask_png,
    pairs_file,
    read,
    spare,
)
from pipelines.parts.exporters.captioned import caption
from pipelines.parts.loaders import tree


def save(entries: Sequence[Entry], book: Book) -> Files:
    """train/<kind>/x.png, masks/x.png. Raises BadInput for a defect that is named as a part or as good pictures are."""
    spare(book, {*tree.GOOD, *tree.PARTS}, layouts.LAYOUTS["imagefolder"].title)

    def one(entry: Entry) -> list[File]:
        picture = read(entry)
        files = [File(_place(entry), picture.png)]
        if book.classes:
            black = np.zeros((picture.height, picture.width), bool)
            mask = mask_png(entry.sample, picture) if entry.sample else images.encode_png(black)
            files.append(File(f"masks/{entry.stem}.png", mask))
        return files

    yield from ahead(one, entries)
    for part in PARTS:
        if rows := [_row(entry, book) for entry in entries if entry.part == part]:
            yield [lines_file(f"{part}/metadata.jsonl", map(json_line, rows))]
    yield pairs_file(book, entries, _place)


def _kind(entry: Entry) -> str:
    return layouts.filed(entry.sample.defects if entry.sample else ())


def _place(entry: Entry) -> str:
    return f"{entry.part}/{_kind(entry)}/{entry.stem}.png"


def _row(entry: Entry, book: Book) -> dict[str, str]:
    """Names of files are seen from the table."""
    return {
        "file_name": f"{_kind(entry)}/{entry.stem}.png",
        **({"mask_file_name": f"../masks/{entry.stem}.png"} if book.classes else {}),
        "label": _kind(entry),
        "defects": "+".join(entry.sample.defects) if entry.sample else "",
        "text": caption(entry, book),
    }
