"""ELPV: images/ and labels.csv with a line for each solar cell: picture, probability of a defect, cell type.

A picture with a defect has the probability 1, a good one 0; neither masks nor kinds of defect have a place. The type is
mono or poly where the product's name says so, else none. elpv-reader takes 19 characters of a name, so pictures are
images/cell0001.png and so on, and 9999 is the most. The table has no parts: train.txt, val.txt and test.txt
tell them.
"""

from collections.abc import Sequence

from pipelines.core.errors import BadInput
from pipelines.parts.exporters.book import Book, Entry, File, Files, ahead, lines_file, lists_files, pairs_file, read

MOST = 9999
CELLS = ("mono", "poly")


def save(entries: Sequence[Entry], book: Book) -> Files:
    """images/cell0001.png, ... and labels.csv in columns of one width. Raises BadInput for more pictures than MOST."""
    if len(entries) > MOST:
        raise BadInput(f"ELPV has room for {MOST} pictures, not {len(entries)}: export less, or as another format")
    names = {entry.stem: f"images/cell{number:04d}.png" for number, entry in enumerate(entries, start=1)}
    cell = next((cell for cell in CELLS if cell in book.name.lower()), "none")
    yield from ahead(lambda entry: [File(names[entry.stem], read(entry).png)], entries)
    yield [
        lines_file("labels.csv", (f"{names[entry.stem]}  {float(bool(entry.sample)):<3}  {cell}" for entry in entries))
    ]
    yield lists_files(entries, lambda entry: names[entry.stem])
    yield pairs_file(book, entries, lambda entry: names[entry.stem])
