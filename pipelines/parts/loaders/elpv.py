"""ELPV: labels.csv with a line for each solar cell: picture, probability that it is defective, cell type. No masks.

The probability is how sure the experts were, in thirds. What they doubted stays by itself: it is no good picture to
learn from, nor a sure defect.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pipelines.core.errors import BadInput
from pipelines.parts.loaders import tree
from pipelines.parts.loaders.example import Example
from pipelines.parts.loaders.tree import Report

TABLE = "labels.csv"
LINE = re.compile(r"\"?(?P<name>[^\"]+?)\"?[\s,]+(?P<share>[-+0-9.eE]+|nan)[\s,]+\"?(?P<type>\w+)\"?")
CELLS = {"mono": "a monocrystalline solar cell", "poly": "a polycrystalline solar cell"}
DEFECTS = ((0.25, ""), (0.5, "perhaps defective"), (0.75, "probably defective"), (1.1, "defective"))
"""What a probability below this is called: 0, 1/3, 2/3 and 1 are what the file holds."""


def fits(root: Path) -> bool:
    table = root / TABLE
    if not table.is_file():
        return False
    with table.open("rb") as file:
        line = LINE.fullmatch(file.readline(1000).decode("utf-8", "replace").strip())
    return line is not None and tree.is_picture(Path(line["name"]))


def load(root: Path, report: Report) -> Iterator[Example]:
    """The cell type is the caption. Raises BadInput for a table that cannot be read at all."""
    table = root / TABLE
    for number, text in enumerate(tree.text(table).splitlines(), start=1):
        if not text.strip():
            continue
        line = LINE.fullmatch(text.strip())
        try:
            if line is None:
                raise BadInput(f"line {number} is {text.strip()[:60]!r}, not picture, probability, cell type")
            share = float(line["share"])
            if not 0 <= share <= 1:
                raise BadInput(f"line {number} has the probability {line['share']}, and it goes from 0 to 1")
        except (BadInput, ValueError) as error:
            report(tree.broken_annotation(table, root, str(error)))
            continue
        image = tree.place(line["name"], root, root)
        if image is None:
            report(tree.mask_without_image(root / line["name"], root, f"line {number} in {TABLE}"))
            continue
        defect = next(name for most, name in DEFECTS if share < most)
        caption = CELLS.get(line["type"].lower(), "")
        yield Example(image, defect=defect, caption=caption, group=tree.group(image, root))
