"""DeepPCB: boards as <number>_test.png with their template <number>_temp.png, and boxes in <folder>_not/<number>.txt.

A line is `x1 y1 x2 y2 type`, one for each area; the template is the good picture that the board was made from. Types 1
to 6 are DeepPCB's own, found by their names; other defects follow from 7 on, and classes.txt names all of them, one a
line. There are two lists, so validation stands in trainval.txt. Pictures stay PNG, and have numbers for names, since
the lists part their columns by spaces.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from pipelines.core.layouts import BOARD_LABELS, BOARDS
from pipelines.parts.contours import box
from pipelines.parts.exporters.book import THREADS, Book, Entry, File, Files, ahead, good_png, lines_file, read
from pipelines.parts.loaders.deeppcb import TEMPLATE, TEST, TYPES

SAME = {"spuriouscopper": "copper"}
"""What DeepPCB's paper calls a type, and what its labels do."""


def save(entries: Sequence[Entry], book: Book) -> Files:
    """group00000/00000/00000000_test.png, 00000000_temp.png and group00000/00000_not/00000000.txt."""
    names = {entry.stem: f"{number:08d}" for number, entry in enumerate(entries)}
    types = numbered(book.classes)
    good = lru_cache(maxsize=THREADS)(good_png)  # many pictures are made from one board

    def one(entry: Entry) -> list[File]:
        picture, name = read(entry), names[entry.stem]
        lines = [" ".join(map(str, (*box(mask), types.index(defect) + 1))) for defect, mask in picture.masks]
        template = [File(f"{BOARDS}/{name}{TEMPLATE}.png", good(entry.good))] if entry.good else []
        files = [File(f"{BOARDS}/{name}{TEST}.png", picture.png), *template]
        return [*files, lines_file(f"{BOARD_LABELS}/{name}.txt", lines)]

    def listed(*parts: str) -> list[str]:
        found = [names[entry.stem] for entry in entries if entry.part in parts]
        return [f"{BOARDS}/{name}.png {BOARD_LABELS}/{name}.txt" for name in found]

    yield from ahead(one, entries)
    yield [lines_file("trainval.txt", listed("train", "val")), lines_file("test.txt", listed("test"))]
    yield [lines_file("classes.txt", types)]


def numbered(classes: Sequence[str]) -> list[str]:
    """What each type is called, from 1 on: DeepPCB's own under the name they have here, then the others."""
    types = dict.fromkeys(map(_letters, TYPES), "")
    others = []
    for name in classes:
        word = SAME.get(_letters(name), _letters(name))
        if types.get(word) == "":
            types[word] = name
        else:
            others.append(name)
    return [name or own for name, own in zip(types.values(), TYPES, strict=True)] + others


def _letters(name: str) -> str:
    """Pin hole, pin_hole and pin-hole are one type."""
    return re.sub(r"[\W_]", "", name.casefold())
