"""The layouts a data set comes in. A `load` turns a folder into examples, and reports what it finds wrong in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.core import datasets, projects
from pipelines.core.assets import Assets
from pipelines.core.errors import BadInput, Missing
from pipelines.parts import packed
from pipelines.parts.loaders import (
    captioned,
    coco,
    cvat,
    deeppcb,
    defectfill,
    elpv,
    imagefolder,
    labelme,
    magnetic_tile,
    matlab,
    mvtec,
    paired,
    project,
    run,
    sagemaker,
    tree,
    visa,
    voc,
    yolo,
)
from pipelines.parts.loaders.example import Box, Choice, Example, Fault, Reading
from pipelines.parts.loaders.reading import mask_of
from pipelines.parts.loaders.tree import Report

__all__ = ["LOADERS", "Box", "Choice", "Example", "Fault", "Loader", "Reading", "detect", "load", "mask_of", "named"]


@dataclass(frozen=True)
class Loader:
    """A layout: whether a folder is one, and what it holds."""

    title: str
    fits: Callable[[Path], bool]
    load: Callable[[Path, Report], Iterator[Example]]


# From the most to the least specific: `detect` takes the first that fits.
LOADERS: dict[str, Loader] = {
    "packed": Loader("packed project of the studio", packed.fits, project.load_packed),
    "run": Loader("run of the studio", run.fits, run.load),
    "defectfill": Loader("DefectFill (train/defective)", defectfill.fits, defectfill.load),
    "mvtec": Loader("MVTec AD (test/<defect>, ground_truth)", mvtec.fits, mvtec.load),
    "visa": Loader("VisA (<object>/Data/Images/Anomaly, Data/Masks)", visa.fits, visa.load),
    "magnetic_tile": Loader("magnetic tiles (MT_<defect>/Imgs)", magnetic_tile.fits, magnetic_tile.load),
    "deeppcb": Loader("DeepPCB (<number>_test.jpg, <folder>_not/*.txt)", deeppcb.fits, deeppcb.load),
    "elpv": Loader("ELPV (labels.csv)", elpv.fits, elpv.load),
    "sagemaker": Loader("SageMaker Ground Truth (*.manifest)", sagemaker.fits, sagemaker.load),
    "cvat": Loader("CVAT for images (annotations.xml)", cvat.fits, cvat.load),
    "labelme": Loader("LabelMe (*.json beside the pictures)", labelme.fits, labelme.load),
    "coco": Loader("COCO (annotations/*.json)", coco.fits, coco.load),
    "voc": Loader("Pascal VOC (Annotations/*.xml, SegmentationClass)", voc.fits, voc.load),
    "yolo": Loader("YOLO (data.yaml, labels/*.txt)", yolo.fits, yolo.load),
    "matlab": Loader("MATLAB masks (*.mat)", matlab.fits, matlab.load),
    "imagefolder": Loader("imagefolder (train/<class>, metadata.csv)", imagefolder.fits, imagefolder.load),
    "paired": Loader("images/ and masks/", paired.fits, paired.load),
    "captioned": Loader("pictures in folders", captioned.fits, captioned.load),
}


def detect(root: Path) -> str:
    """The layout of a folder. Raises BadInput naming what is there and which layouts are known, Missing."""
    if not root.is_dir():
        raise Missing(f"there is no folder {root.name} in {root.parent}: name the data set's folder")
    several = [folder for folder in tree.folders(root) if mvtec.fits(folder) or defectfill.fits(folder)]
    found = next((key for key, loader in LOADERS.items() if loader.fits(root)), None)
    if several and found in (None, "captioned", "imagefolder", "paired"):
        raise BadInput(
            f"{root.name} holds {len(several)} data sets ({_some([folder.name for folder in several])}):"
            f" name one of them, such as {root.name}/{several[0].name}"
        )
    if found is None:
        there = _some(sorted(path.name for path in root.iterdir() if not path.name.startswith(".")))
        known = "; ".join(loader.title for loader in LOADERS.values())
        raise BadInput(f"{root.name} holds {there or 'nothing'}, and no layout fits. Known are: {known}")
    return found


def load(root: Path, layout: str = "auto", report: Report | None = None) -> list[Example]:
    """The examples of a folder, in order of their files. Faults go to `report`; without one the first is raised.

    What an export of ours says was made from one source is of one group, whatever the layout.

    Raises BadInput, Missing.
    """
    if layout == "auto":
        layout = detect(root)
    if layout not in LOADERS:
        raise BadInput(f"there is no layout {layout!r}: use auto, {', '.join(LOADERS)}", "layout")
    if not root.is_dir():
        raise Missing(f"there is no folder {root.name} in {root.parent}: name the data set's folder")
    sources = tree.sources(root)
    found = [
        replace(example, group=sources.get(example.image, example.group))
        for example in LOADERS[layout].load(root, report or _refuse)
    ]
    return sorted(found, key=lambda example: (example.image, example.reading.index))


def named(data: str, layout: str, assets: Assets) -> list[Example]:
    """The pictures of what a request names as data: a project, a run or a folder. Faults are for `check` to tell.

    Raises Missing, BadInput.
    """
    if projects.ID.fullmatch(data):
        return project.load(data, assets)
    return load(datasets.folder(data, assets.runs), layout, lambda fault: None)


def _refuse(fault: Fault) -> None:
    raise BadInput(fault.sentence)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
