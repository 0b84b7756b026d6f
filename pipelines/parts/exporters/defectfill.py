"""DefectFill's tree: good/, defective/<kind>/ and defective_masks/<kind>/, each in train, val and test."""

from collections.abc import Sequence

from pipelines.core import layouts
from pipelines.parts.exporters.book import Book, Entry, File, Files, ahead, mask_png, pairs_file, read


def save(entries: Sequence[Entry], book: Book) -> Files:
    """train/defective/<kind>/x.png, train/defective_masks/<kind>/x_mask.png, train/good/x.png."""

    def one(entry: Entry) -> list[File]:
        picture = read(entry)
        files = [File(_place(entry), picture.png)]
        if entry.sample:
            masks = f"{entry.part}/defective_masks/{layouts.shown(entry.sample.defects)}"
            files.append(File(f"{masks}/{entry.stem}_mask.png", mask_png(entry.sample, picture)))
        return files

    # What a training opens is there even when no picture came to it.
    yield [File(f"train/{folder}/") for folder in ("good", "defective", "defective_masks")]
    yield from ahead(one, entries)
    yield pairs_file(book, entries, _place)


def _place(entry: Entry) -> str:
    folder = f"defective/{layouts.shown(entry.sample.defects)}" if entry.sample else "good"
    return f"{entry.part}/{folder}/{entry.stem}.png"
