"""MATLAB masks: a .mat file for each picture, of its name, with a two-dimensional array of marks or of class numbers.

Arrays within structures are found too (CrackForest's groundTruth.Segmentation). 0 is the background, or the least
number where no file holds a 0, as MATLAB counts from 1. Several numbers are classes, which `classes.txt` may name; that
they could be parts of one kind, counted, nobody can see. Files of version 7.3 are HDF5, and are not read.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from zlib import error as ZlibError

import numpy as np

from pipelines.core import files, headers, layouts
from pipelines.core.errors import BadInput, Missing, Problem
from pipelines.core.headers import MAX_PIXELS
from pipelines.parts.loaders import drawn, paired, tree
from pipelines.parts.loaders.example import Box, Example
from pipelines.parts.loaders.tree import Report

WORDS = ("mask", "segmentation", "label", "groundtruth", "gt", "annotation", "seg", "bw")
"""What an array that is the mask is called, where a file holds several."""
HDF5 = b"MATLAB 7.3 MAT-file"
MOST_BYTES = 200_000_000
DEEPEST = 4
Boxes = dict[int, Box]


def fits(root: Path) -> bool:
    labels = _labels(root)
    stems = {path.stem for path in tree.pictures(root, below=True)}
    return bool(labels) and 2 * sum(tree.stem(path) in stems for path in labels) > len(labels)


def load(root: Path, report: Report) -> Iterator[Example]:
    """A picture without a .mat file is reported where its folder has some that have one. Raises Missing."""
    images: dict[str, list[Path]] = {}
    for image in tree.pictures(root, below=True):
        images.setdefault(image.stem, []).append(image)
    found: dict[Path, Boxes] = {}
    for label in _labels(root):
        near = sorted(images.get(tree.stem(label), ()), key=lambda path: (-_shared(path, label), path))
        if not near:
            report(tree.mask_without_image(label, root))
            continue
        try:
            found[near[0]] = _boxes(label, near[0])
        except Missing:
            raise
        except (Problem, OSError, ValueError, TypeError, KeyError, IndexError, NotImplementedError, ZlibError) as error:
            report(tree.broken_annotation(label, root, str(error), (near[0],)))
            found[near[0]] = {}
    values = {value for boxes in found.values() for value in boxes}
    names = paired.names(root)
    background = 0 if 0 in values or not values else min(values)
    marks = values - {background}
    for folder in sorted({image.parent for image in found}):
        for image in tree.pictures(folder):
            if image not in found:
                report(tree.missing_mask(image, root, ".mat file"))
            inside = [box for value, box in found.get(image, {}).items() if value != background]
            boxes = tuple(_named(box, names, plain=len(marks) == 1) for box in inside)
            kinds = tuple(dict.fromkeys(box.defect for box in boxes))
            defect, part = layouts.shown(kinds) if kinds else "", tree.part(image.relative_to(root))
            yield Example(image, boxes=boxes, defect=defect, part=part, group=tree.group(image, root))


def _labels(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.mat") if not tree.hidden(path, root) and path.is_file())


def _shared(one: Path, other: Path) -> int:
    """How much of their places two files share: train/images/1.png and train/masks/1.mat more than test's."""
    return len(set(one.parts[:-1]) & set(other.parts[:-1]))


def _named(box: Box, names: Mapping[int, str], *, plain: bool) -> Box:
    number = int(box.defect)
    name = names.get(number) or (paired.DEFECT if plain else str(number))
    return Box(box.x0, box.y0, box.x1, box.y1, name, runs=box.runs)


def _boxes(label: Path, image: Path) -> Boxes:
    """A box with runs for each number in the array, called by that number. Raises BadInput and what scipy raises."""
    with files.reading(image, image.name) as file:
        header = headers.read(file, image.name)
    arrays = _arrays(label)
    fitting = {name: array for name, array in arrays.items() if array.shape == (header.height, header.width)} or arrays
    name = _chosen(list(fitting))
    array = fitting[name]
    numbers = array.astype(np.int64) if array.dtype == np.bool_ else array
    values = np.unique(numbers)
    if len(values) > paired.MOST_CLASSES + 1 or not np.array_equal(values, np.rint(values)) or values.min() < 0:
        raise BadInput(f"its array {name} holds {len(values)} different values, no mask and no class numbers")
    return {int(value): drawn.of_mask(numbers == value, str(int(value))) for value in values}


def _chosen(names: list[str]) -> str:
    if not names:
        raise BadInput("it holds no array of two dimensions")
    if len(names) == 1:
        return names[0]
    for word in WORDS:
        called = [name for name in names if word in name.rpartition(".")[2].lower()]
        if len(called) == 1:
            return called[0]
    raise BadInput(f"it holds several arrays, {', '.join(sorted(names)[:8])}: call the one that marks the defect mask")


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The two-dimensional arrays of numbers in a file, by their names, `outer.inner` in structures."""
    try:
        from scipy.io import loadmat, whosmat
    except ImportError as error:
        raise Missing(".mat files are read by scipy, which is not installed: install requirements.txt") from error
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(HDF5)) == HDF5:
            raise BadInput("it is a file of version 7.3 (HDF5): save it in MATLAB with save(..., '-v7')")
    if size > MOST_BYTES:
        raise BadInput(f"it has {files.size(size)}, and up to {files.size(MOST_BYTES)} are read")
    for name, shape, _ in whosmat(str(path)):
        if int(np.prod(shape, dtype=np.float64)) > MAX_PIXELS:
            raise BadInput(f"its array {name} has {' x '.join(map(str, shape))} values, more than any picture")
    found: dict[str, np.ndarray] = {}
    for name, value in loadmat(str(path)).items():
        if not name.startswith("__"):
            _unwrap(name, value, found, DEEPEST)
    return found


def _unwrap(name: str, value: object, found: dict[str, np.ndarray], deep: int) -> None:
    """MATLAB wraps a structure, and a cell, in an array of one; a single number is such an array too."""
    if deep == 0 or not isinstance(value, np.ndarray | np.void):
        return
    if value.dtype.names:
        one = value.flat[0] if isinstance(value, np.ndarray) and value.size == 1 else value
        if isinstance(one, np.void):
            for field in value.dtype.names:
                _unwrap(f"{name}.{field}", one[field], found, deep - 1)
    elif isinstance(value, np.ndarray) and value.dtype == np.object_:
        if value.size == 1:
            _unwrap(name, value.flat[0], found, deep - 1)
    elif isinstance(value, np.ndarray) and value.ndim == 2 and value.size > 1 and value.dtype.kind in "buif":
        found[name] = value
