"""The formats a data set leaves in. A `save` turns entries into files: first each entry's, then what lists them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipelines.core.layouts import LAYOUTS, Layout
from pipelines.parts.exporters import (
    captioned,
    coco,
    cvat,
    deeppcb,
    defectfill,
    elpv,
    folder,
    imagefolder,
    labelme,
    magnetic_tile,
    matlab,
    mvtec,
    sagemaker,
    visa,
    voc,
    webdataset,
    yolo,
)
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
    "defectfill": Exporter(LAYOUTS["defectfill"], defectfill.save),
    "visa": Exporter(LAYOUTS["visa"], visa.save),
    "magnetic_tile": Exporter(LAYOUTS["magnetic_tile"], magnetic_tile.save),
    "deeppcb": Exporter(LAYOUTS["deeppcb"], deeppcb.save),
    "elpv": Exporter(LAYOUTS["elpv"], elpv.save),
    "sagemaker": Exporter(LAYOUTS["sagemaker"], sagemaker.save),
    "cvat": Exporter(LAYOUTS["cvat"], cvat.save),
    "labelme": Exporter(LAYOUTS["labelme"], labelme.save),
    "matlab": Exporter(LAYOUTS["matlab"], matlab.save),
    "imagefolder": Exporter(LAYOUTS["imagefolder"], imagefolder.save),
    "captioned": Exporter(LAYOUTS["captioned"], captioned.save),
    "webdataset": Exporter(LAYOUTS["webdataset"], webdataset.save),
}
