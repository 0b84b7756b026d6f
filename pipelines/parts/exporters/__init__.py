"""The formats a data set leaves in. A `save` turns entries into files: first each entry's, then what lists them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipelines.parts.exporters import coco, folder, mvtec, voc, yolo
from pipelines.parts.exporters.book import SEVERAL, Book, Entry, File, Files
from pipelines.parts.splits import PARTS, Part

__all__ = ["EXPORTERS", "SEVERAL", "Book", "Entry", "Exporter", "File", "Files"]


@dataclass(frozen=True)
class Exporter:
    """A format."""

    save: Callable[[Sequence[Entry], Book], Files]
    title: str
    first: tuple[Part, ...] = PARTS
    """Which parts get a source first when there are fewer sources than parts."""
    beside: bool = False
    """The good picture lies beside each picture, by its name, and not among them as one that shows nothing."""
    needs_good: bool = False
    """The layout is nothing without good pictures, whether pairs are asked for or not."""


EXPORTERS: dict[str, Exporter] = {
    # The only place this tree has for defects is its test.
    "mvtec": Exporter(mvtec.save, "MVTec AD tree", first=("test", "train", "val"), needs_good=True),
    "coco": Exporter(coco.save, "COCO"),
    "yolo-seg": Exporter(yolo.save_outlines, "YOLO, outlines"),
    "yolo": Exporter(yolo.save_boxes, "YOLO, boxes"),
    "voc": Exporter(voc.save, "Pascal VOC"),
    "folder": Exporter(folder.save, "plain folder", beside=True),
}
