"""Pictures with captions: train/<kind>/x.png, and beside it x.txt with what the picture shows, in one line.

What trains on captions takes the text; what goes by folders alone takes the kind for the prompt. There are no masks.
"""

from collections.abc import Sequence

from pipelines.core import layouts
from pipelines.parts.datasets import Sample
from pipelines.parts.exporters.book import Book, Entry, File, Files, ahead, lines_file, pairs_file, read, spare
from pipelines.parts.loaders import tree


def save(entries: Sequence[Entry], book: Book) -> Files:
    """Raises BadInput for a defect that is named as good pictures, a part or a folder to be skipped are."""
    skipped = {name.casefold() for name in book.classes if name.startswith("__")}
    spare(book, {*tree.GOOD, *tree.PARTS, *skipped}, layouts.LAYOUTS["captioned"].title)
    yield from ahead(lambda entry: _one(entry, book), entries)
    yield pairs_file(book, entries, _place)


def caption(entry: Entry, book: Book) -> str:
    """What the run recorded, in one line; without it the product and what is wrong with it."""
    recorded = str(entry.of.facts.get("caption") or "") if isinstance(entry.of, Sample) else ""
    kinds = entry.sample.defects if entry.sample else (layouts.NORMAL,)
    return " ".join(recorded.split()) or ", ".join((book.name, *kinds))


def _place(entry: Entry) -> str:
    return f"{entry.part}/{layouts.filed(entry.sample.defects if entry.sample else ())}/{entry.stem}.png"


def _one(entry: Entry, book: Book) -> list[File]:
    place = _place(entry)
    return [File(place, read(entry).png), lines_file(place.removesuffix(".png") + ".txt", [caption(entry, book)])]
