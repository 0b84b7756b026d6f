"""The MVTec AD tree: one folder a product, good pictures to train on, defects only in the test.

`train/` can hold no defect, and `test/` none whose good picture is trained on. So the samples of the training and
validation sources go to `train_defects/` and `validation_defects/` with their masks beside them: nothing that was kept
is lost, and readers of this layout, who look for train, test and ground_truth, pass them by.
"""

from collections import Counter
from collections.abc import Sequence

from pipelines.core import layouts
from pipelines.parts.exporters.book import Book, Entry, File, Files, ahead, mask_png, pairs_file, read


def save(entries: Sequence[Entry], book: Book) -> Files:
    """<name>/test/<defect>/000.png, <name>/ground_truth/<defect>/000_mask.png, <name>/train/good/000.png, ..."""
    places = _places(entries, book)

    def one(entry: Entry) -> list[File]:
        folder, masks, number = places[entry.stem]
        picture = read(entry)
        files = [File(f"{folder}/{number}.png", picture.png)]
        if entry.sample:
            files.append(File(f"{masks}/{number}_mask.png", mask_png(entry.sample, picture)))
        return files

    # The two folders every reader asks for are there even when no picture came to them.
    yield [File(f"{book.name}/{layouts.MVTEC_GOOD[part]}/") for part in ("train", "test")]
    yield from ahead(one, entries)
    yield pairs_file(book, entries, lambda entry: "{0}/{2}.png".format(*places[entry.stem]))


def _places(entries: Sequence[Entry], book: Book) -> dict[str, tuple[str, str, str]]:
    """Of each entry: its folder, its mask's folder, its number there, in as many digits as the fullest folder needs."""
    folders: dict[str, tuple[str, str]] = {}
    for entry in entries:
        if entry.sample:
            kind = layouts.shown(entry.sample.defects)
            pictures, masks = layouts.MVTEC_DEFECTS[entry.part]
            folders[entry.stem] = f"{book.name}/{pictures}/{kind}", f"{book.name}/{masks}/{kind}"
        else:
            folders[entry.stem] = f"{book.name}/{layouts.MVTEC_GOOD[entry.part]}", ""
    digits = max(3, len(str(max(Counter(folders.values()).values()) - 1)))
    seen: Counter[str] = Counter()
    places = {}
    for stem, (pictures, masks) in folders.items():
        places[stem] = pictures, masks, f"{seen[pictures]:0{digits}d}"
        seen[pictures] += 1
    return places
