"""The formats a data set leaves in. A `save` turns entries into files: first each entry's, then what lists them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipelines.core.layouts import LAYOUTS, Layout
from pipelines.parts.exporters import coco, folder, mvtec, voc, yolo
from pipelines.parts.exporters.book import Book, Entry, File, Files

__all__ = ["EXPORTERS", "Book", "Entry", "Exporter", "File", "Files"]


@dataclass(frozen=True)
class Exporter:
    """A format: what its tree looks like, and what fills it."""

    layout: Layout
    save: Callable[[Sequence[Entry], Book], Files]


EXPORTERS: dict[str, Exporter] = {
    "mvtec": Exporter(LAYOUTS["mvtec"], mvtec.save),
    "coco": Exporter(LAYOUTS["coco"], coco.save),
    "yolo-seg": Exporter(LAYOUTS["yolo-seg"], yolo.save_outlines),
    "yolo": Exporter(LAYOUTS["yolo"], yolo.save_boxes),
    "voc": Exporter(LAYOUTS["voc"], voc.save),
    "folder": Exporter(LAYOUTS["folder"], folder.save),
}
