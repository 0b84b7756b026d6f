"""The pre-flight of a data set: everything wrong with it, before anything is trained. Changes nothing on the disk.

Each picture and each mask is read once. What to do about the faults is for a person to say: see parts/mending.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipelines.core import files, headers, images
from pipelines.core.errors import BadInput, Problem
from pipelines.core.headers import SUFFIX, Header
from pipelines.parts import class_faults, copies, loaders, mask_faults, twins
from pipelines.parts.loaders.example import Example, Fault
from pipelines.parts.loaders.tree import named

KINDS = (
    "missing_mask", "mask_without_image", "size_mismatch", "empty_mask", "full_mask", "inverted_mask",
    "soft_edged_mask", "palette_mask", "rgb_mask", "mask_value_beyond_classes", "truncated_image", "empty_file",
    "wrong_extension", "mixed_bit_depth", "mixed_colour", "exif_rotated", "duplicate", "near_duplicate_across_splits",
    "same_part_in_train_and_test", "defect_in_good", "class_typo", "class_with_one_image", "box_outside", "empty_box",
    "label_beyond_names", "broken_annotation", "caption_not_utf8", "empty_caption", "names_clash_by_case", "unreadable",
)  # fmt: skip
ENDINGS = {"jpeg": (".jpg", ".jpeg"), "tiff": (".tif", ".tiff")}


@dataclass(frozen=True)
class Findings:
    """A data set, and what is wrong with it."""

    root: Path
    layout: str
    examples: tuple[Example, ...]
    faults: tuple[Fault, ...]
    prints: Mapping[Path, twins.Print] = field(default_factory=dict, repr=False)
    """Of the pictures that could be read, to know each again."""

    @property
    def stopping(self) -> tuple[Fault, ...]:
        """Those that somebody must decide about."""
        return tuple(fault for fault in self.faults if fault.stops)

    def counts(self) -> dict[str, int]:
        """How many faults of each kind, in the order of KINDS; kinds without one are left out."""
        found = Counter(fault.kind for fault in self.faults)
        return {kind: found[kind] for kind in KINDS if found[kind]}


@dataclass
class _Look:
    """What is known so far."""

    root: Path
    faults: list[Fault] = field(default_factory=list)
    headers: dict[Path, Header] = field(default_factory=dict)
    prints: dict[Path, twins.Print] = field(default_factory=dict)
    colours: dict[Path, str] = field(default_factory=dict)

    def name(self, path: Path) -> str:
        return named(path, self.root)


def look(root: Path, layout: str = "auto", tick: Callable[[int, int], None] | None = None) -> Findings:
    """Every fault of a data set. `tick(done, of)` is called after each picture. Raises BadInput, Missing."""
    seen = _Look(root)
    layout = loaders.detect(root) if layout == "auto" else layout
    examples = loaders.load(root, layout, seen.faults.append)
    masks: list[mask_faults.Seen] = []
    for done, example in enumerate(examples, start=1):
        if example.image not in seen.headers:
            _picture(example.image, seen)
        if example.mask is not None and (one := _mask(example, seen)):
            masks.append(one)
        _boxes(example, seen)
        if tick:
            tick(done, len(examples))
    seen.faults += mask_faults.inverted(masks, root)
    whole = [example for example in examples if example.image in seen.prints]
    seen.faults += _mixed(seen)
    seen.faults += copies.copies(whole, seen.prints, root)
    seen.faults += class_faults.classes(examples, root)
    seen.faults += class_faults.clashes(examples, root)
    unique = {(fault.kind, fault.files, fault.sentence): fault for fault in seen.faults}
    faults = sorted(unique.values(), key=lambda fault: (KINDS.index(fault.kind), fault.files))
    return Findings(root, layout, tuple(examples), tuple(faults), seen.prints)


def _read(path: Path, seen: _Look, *, over_black: bool = False) -> images.Picture | None:
    """A file's picture, with its header put down; else a fault that says why there is none."""
    name = seen.name(path)
    start = b""
    try:
        if path.is_file() and path.stat().st_size == 0:
            _add(seen, "empty_file", path, f"{name} is empty (0 bytes): copy it again, or leave it out")
            return None
        with files.reading(path, path.name) as file:
            start = file.read(16)
            header = headers.read(file, path.name)
        picture = images.read(path, over_black=over_black)
    except (Problem, OSError) as error:
        cut = isinstance(error, BadInput) and headers.format_of(start) is not None and "cut short" in str(error)
        text = str(error).removeprefix(path.name).strip() if str(error).startswith(path.name) else f"- {error}"
        _add(seen, "truncated_image" if cut else "unreadable", path, f"{name} {text}; or leave it out")
        return None
    seen.headers[path] = header
    if path.suffix.lower() not in ENDINGS.get(header.format, (SUFFIX[header.format],)):
        text = f"{name} is a {header.format.upper()} by its content: it is read as that; rename it"
        seen.faults.append(Fault("wrong_extension", (path,), text, ("use", "leave_out"), stops=False))
    return picture


def _add(seen: _Look, kind: str, path: Path, sentence: str) -> None:
    seen.faults.append(Fault(kind, (path,), sentence, ("leave_out",)))


def _picture(path: Path, seen: _Look) -> None:
    picture = _read(path, seen)
    if picture is None:
        return
    pixels = picture.pixels
    seen.prints[path] = twins.fingerprint(pixels)
    if pixels.ndim == 2:
        seen.colours[path] = "grey"
    else:
        few = pixels[::3, ::3]
        grey = np.array_equal(few[..., 0], few[..., 1]) and np.array_equal(few[..., 0], few[..., 2])
        seen.colours[path] = "grey stored as RGB" if grey else "RGB"


def _mask(example: Example, seen: _Look) -> mask_faults.Seen | None:
    """Where the picture cannot be read there is nothing to hold the mask against."""
    assert example.mask is not None
    picture = _read(example.mask, seen, over_black=example.reading.marks == "colour")
    if picture is None or example.image not in seen.prints:
        return None
    header, image = seen.headers[example.mask], seen.headers[example.image]
    faults, one = mask_faults.look(example, seen.root, picture.pixels, header, image, seen.prints[example.image])
    seen.faults += faults
    return one


def _boxes(example: Example, seen: _Look) -> None:
    header = seen.headers.get(example.image)
    if header is None:
        return
    width, height = header.width, header.height
    for box in example.boxes:
        if box.runs is not None and (box.runs.width, box.runs.height) != (width, height):
            text = (
                f"{seen.name(example.image)} is {width} x {height} px and its mask of {box.defect} {box.runs.width} x"
                f" {box.runs.height}: draw it on that very picture, or leave the picture out"
            )
            seen.faults.append(Fault("size_mismatch", (example.image,), text, ("leave_out",)))
            continue
        edges = f"({box.x0}, {box.y0}) to ({box.x1}, {box.y1})"
        name = f"{seen.name(example.image)}: the box of {box.defect} from {edges}"
        if box.x1 <= box.x0 or box.y1 <= box.y0:
            text = f"{name} has no area: drop it (mend), leave the picture out, or use it a pixel wide"
            seen.faults.append(Fault("empty_box", (example.image,), text, ("mend", "leave_out", "use")))
        elif min(box.x0, box.y0) < -1 or box.x1 > width + 1 or box.y1 > height + 1:  # 1: counted from 0 or from 1
            text = f"{name} leaves the picture of {width} x {height} px: cut it there (mend), or leave the picture out"
            size = f"{width} {height}"
            seen.faults.append(Fault("box_outside", (example.image,), text, ("mend", "leave_out"), instead=size))


def _mixed(seen: _Look) -> Iterator[Fault]:
    bits = {path: f"{seen.headers[path].bits} bits" for path in seen.prints}
    for kind, values in (("mixed_bit_depth", bits), ("mixed_colour", seen.colours)):
        counts = Counter(values.values())
        if len(counts) < 2:
            continue
        usual, most = counts.most_common(1)[0]
        odd = tuple(sorted(path for path, value in values.items() if value != usual))
        text = (
            f"{len(odd)} of {len(values)} pictures, such as {seen.name(odd[0])}, are {values[odd[0]]} and {most}"
            f" {usual}: a model may learn that instead of the defect; save them alike, or leave the fewer out"
        )
        yield Fault(kind, odd, text, ("use", "leave_out"), stops=False)
