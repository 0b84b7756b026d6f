"""VisA: <name>/Data/Images/{Normal,Anomaly}, Data/Masks/Anomaly, kinds in image_anno.csv, parts in split_csv/.

1cls.csv is the table of detectors that train on good pictures alone: it lists those of train, and all of the test.
2cls_highshot.csv, which trains on defects too, lists all of train and test. VisA has no validation part: its pictures
lie in the folders and stand in neither table, for the scripts that read them know no third name. Pictures stay PNG.
"""

from collections.abc import Sequence

from pipelines.core.errors import BadInput
from pipelines.core.layouts import VISA_DEFECTS, VISA_GOOD, VISA_MASKS
from pipelines.parts.exporters.book import Book, Entry, File, Files, ahead, csv_file, mask_png, pairs_file, read

COLUMNS = ("object", "split", "label", "image", "mask")
PARTS = ("train", "test")


def save(entries: Sequence[Entry], book: Book) -> Files:
    """A picture's kinds stand in one cell with commas between. Raises BadInput for a kind that has one itself."""
    for name in book.classes:
        if "," in name:
            raise BadInput(
                f"VisA parts kinds by commas, and one is named {name!r}: rename it, or choose another format", "format"
            )

    def one(entry: Entry) -> list[File]:
        picture = read(entry)
        files = [File(_place(entry, book), picture.png)]
        if entry.sample:
            files.append(File(_mask(entry, book), mask_png(entry.sample, picture)))
        return files

    yield [File(f"{book.name}/{folder}/") for folder in (VISA_GOOD, VISA_DEFECTS, VISA_MASKS)]
    yield from ahead(one, entries)
    listed = [entry for entry in entries if entry.part in PARTS]
    alone = [entry for entry in listed if entry.part == "test" or not entry.sample]
    yield [
        csv_file(f"{book.name}/image_anno.csv", ("image", "label", "mask"), [_kinds(entry, book) for entry in entries]),
        csv_file("split_csv/1cls.csv", COLUMNS, [_row(entry, book) for entry in alone]),
        csv_file("split_csv/2cls_highshot.csv", COLUMNS, [_row(entry, book) for entry in listed]),
    ]
    yield pairs_file(book, entries, lambda entry: _place(entry, book))


def _row(entry: Entry, book: Book) -> tuple[str, ...]:
    label = "anomaly" if entry.sample else "normal"
    return book.name, entry.part, label, _place(entry, book), _mask(entry, book)


def _kinds(entry: Entry, book: Book) -> tuple[str, str, str]:
    label = ",".join(entry.sample.defects) if entry.sample else "normal"
    return _place(entry, book), label, _mask(entry, book)


def _place(entry: Entry, book: Book) -> str:
    return f"{book.name}/{VISA_DEFECTS if entry.sample else VISA_GOOD}/{entry.stem}.png"


def _mask(entry: Entry, book: Book) -> str:
    """Empty for a good picture."""
    return f"{book.name}/{VISA_MASKS}/{entry.stem}.png" if entry.sample else ""
